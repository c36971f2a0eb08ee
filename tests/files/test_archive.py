"""How a file is written: whole or not at all, by each door, under its name and permissions;
pictures by its ending."""

import json
import os
import re
import stat
from unittest import mock

import numpy as np
import pytest
from model_files import NETWORK, data, trained

import fastnn
from fastnn import SGD, ModelFileError, Network, TrainingResult, plotting, train, train_many
from fastnn.files import archive, model
from fastnn.files.export import FORMATS


def test_the_name_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained().save("model")
    trained().save(str(tmp_path / "other.bin"))
    assert sorted(os.listdir()) == ["model", "other.bin"]
    with pytest.raises(FileNotFoundError):
        fastnn.load("nothing")
    with pytest.raises(OSError, match=r"not a regular file, so it is not replaced: '\.'"):
        trained().save(".")
    for folder in ("new/", "new/.", "model/", b"new/"):
        with pytest.raises(
            IsADirectoryError,
            match="it ends as the name of a folder does; add the name of a file: ",
        ):
            trained().save(folder)
    with pytest.raises(TypeError, match="not TrainingState"):
        model.save("model", trained().state)


@pytest.mark.skipif(os.name == "nt", reason="255 characters are for the whole path there")
def test_a_name_may_be_as_long_as_the_system_takes(tmp_path):
    trained().save(tmp_path / ("x" * 255))
    assert os.listdir(tmp_path) == ["x" * 255]


@pytest.mark.parametrize("where", ["savez", "fsync", "replace"])
def test_what_breaks_off_leaves_the_old_file(path, monkeypatch, where):
    """So it is on the disk before it takes the name."""
    trained().save(path)
    old = path.read_bytes()
    monkeypatch.setattr(
        np if where == "savez" else os, where, mock.Mock(side_effect=KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        trained(seed=4).save(path)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == [path.name]


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


@pytest.mark.parametrize(
    ("n_layers", "write", "match"),
    [
        (40_000, TrainingResult.save, "at most 65,536 bytes of layers and options, not 80,"),
        (
            1_000,
            lambda result, path: result.export(path, "safetensors"),
            "at most 65,536 bytes of layers, not ",
        ),
    ],
)
def test_what_could_not_be_read_again_is_not_written(path, n_layers, write, match):
    result = train(
        Network((1,) * n_layers), [[1.0]], [[1.0]], epochs=0, optimizer=SGD(), backend="numpy"
    )
    with pytest.raises(ValueError, match=match):
        write(result, path)
    assert not path.exists()


def drawn():
    pytest.importorskip("matplotlib")
    return plotting.loss_curves([3.0, 2.0])


def fitted():
    pytest.importorskip("sklearn")
    return fastnn.MLPClassifier((2,), max_iter=1, batch_size=2).fit(np.eye(2), [0, 1])


DOORS = {
    "result.save": lambda path: trained().save(path),
    "many.save": lambda path: train_many(NETWORK, *data(), seed=range(2), epochs=1).save(path),
    "plotting.save": lambda path: plotting.save(drawn(), path),
    "estimator.save": lambda path: fitted().save(path),
    "estimator.export": lambda path: fitted().export(path, "numpy"),
}
DOORS |= {
    f"result.export {name}": lambda path, name=name: trained().export(path, name)
    for name in FORMATS
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("door", DOORS)
def test_the_folder_that_is_missing_is_named(door, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    folder = os.path.join(os.path.realpath(tmp_path), "models", "new")
    missing = f"there is no folder {folder!r}; make it first: 'models/new/net'"
    with pytest.raises(FileNotFoundError, match=re.escape(missing)):
        DOORS[door]("models/new/net")
    with pytest.raises(NotADirectoryError, match=r"file' is a file, not a folder: 'file/net'"):
        DOORS[door]("file/net")
    assert os.listdir() == ["file"]


def test_marks_within_texts_are_no_values():
    """Nor does a text without an end make the count long: it is passed over once."""
    marks = json.dumps(["[{,:" * 10**5, '"\\"[,' * 10**5]).encode()
    assert archive.table_of(marks, 0) == json.loads(marks)
    with pytest.raises(ModelFileError, match="more values than a file of its size may have"):
        archive.table_of(json.dumps([[0] * 10**5, "text"] * 3).encode(), 0)
    assert not archive.is_too_much(b'["' + rb"\"," * 10**6, 0)


@pytest.fixture
def figures():
    return [drawn() for _ in range(2)]


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.png", b"\x89PNG"), ("a", b"\x89PNG"), ("a.PDF", b"%PDF"), ("a.svg", b"<?xml")],
)
def test_the_ending_of_a_name_is_the_format(tmp_path, figures, name, begins):
    for folder in ("new", "other"):
        (tmp_path / folder).mkdir()
    paths = str(tmp_path / "new" / name), tmp_path / "other" / name
    first, again = (
        plotting.save(figure, path) for figure, path in zip(figures, paths, strict=True)
    )
    assert [first, again] == [tmp_path / "new" / name, tmp_path / "other" / name]
    assert first.read_bytes().startswith(begins)
    assert again.read_bytes() == first.read_bytes()


def test_what_is_no_figure_or_has_another_ending_is_refused(tmp_path, figures):
    with pytest.raises(TypeError, match=r"figure must be a matplotlib Figure.* not 'loss.png'"):
        plotting.save("loss.png", figures[0])
    with pytest.raises(ValueError, match=r"must end in one of .png, .svg, .pdf, not in '.xyz'"):
        plotting.save(figures[0], tmp_path / "a.xyz")
    assert not list(tmp_path.iterdir())
