"""How a file is written: whole or not at all, under the name that was given, with the right permissions."""

import os
import stat

import numpy as np
import pytest
from model_files import trained

from fastnn import SGD, Network, load, train
from fastnn.files import model


def test_the_name_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained().save("model")
    trained().save(str(tmp_path / "other.bin"))
    assert sorted(os.listdir()) == ["model", "other.bin"]


@pytest.mark.parametrize("where", ["savez", "fsync", "replace"])
def test_what_breaks_off_leaves_the_old_file(path, monkeypatch, where):
    trained().save(path)
    old = path.read_bytes()

    def fail(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(np if where == "savez" else os, where, fail)
    with pytest.raises(KeyboardInterrupt):
        trained(seed=4).save(path)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


def test_it_is_on_the_disk_before_it_takes_the_name(path, monkeypatch):
    calls = []

    def recorded(name, do):
        return lambda *args: (calls.append(name), do(*args))

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, recorded(name, getattr(os, name)))
    trained().save(path)
    assert calls == ["fsync", "replace"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_permissions_follow_the_umask_and_links_stay(tmp_path):
    old = os.umask(0o027)
    try:
        (tmp_path / "link").symlink_to(tmp_path / "target")
        trained().save(tmp_path / "link")
    finally:
        os.umask(old)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_file_keeps_its_permissions_when_it_is_replaced(path, monkeypatch, mode):
    """From the first byte on: what was private is at no time readable by others."""
    trained().save(path)
    path.chmod(mode)
    seen = []
    really = np.savez

    def savez(file, **arrays):
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        really(file, **arrays)

    monkeypatch.setattr(np, "savez", savez)
    trained(seed=4).save(path)
    assert [*seen, stat.S_IMODE(path.stat().st_mode)] == [mode, mode]


def test_save_and_load_say_what_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(OSError, match=r"not a regular file, so it is not replaced: '\.'"):
        trained().save(".")
    with pytest.raises(TypeError, match="not TrainingState"):
        model.save(tmp_path / "model", trained().state)


def test_what_could_not_be_read_again_is_not_written(path):
    network = Network((1,) * 40_000)
    result = train(network, [[1.0]], [[1.0]], epochs=0, optimizer=SGD(), backend="numpy")
    with pytest.raises(ValueError, match=r"at most 65,536 bytes of layers and options, not 80,"):
        result.save(path)
    assert not path.exists()
