"""The files of the kernel cache: found again, damaged, planted, unused, or written by several
processes at once."""

import contextlib
import hashlib
import os
import stat
import time

import numpy as np
import pytest
from flipped import flipped
from kernel_cache import KERNELS, PREDICT, count_warnings, is_found, the_file
from survival import UNOPTIMIZED, Child, python

from fastnn.compiler import cache


def test_a_flipped_bit_anywhere_is_found(folder):
    is_found()
    path = the_file(folder)
    good = path.read_bytes()
    places = np.unique(np.r_[:40, np.linspace(40, len(good) - 1, 400).astype(int)])
    for i in places:
        path.write_bytes(flipped(good, i))
        assert not is_found()
    assert is_found()  # it was written anew


def signed(content):
    return hashlib.sha256(content).digest() + content


def replaced(make):
    """What puts something else in the place of a good file, which is elsewhere then."""
    return lambda path, elsewhere: (path.rename(elsewhere), make(path, elsewhere))


SPOILED = {
    f"cut at {n}": lambda path, _, n=n: path.write_bytes(path.read_bytes()[:n])
    for n in (1, 31, 32, 33, 1000, -1)
}
for content in (b"", b"rubbish" * 100, signed(b""), signed(b"rubbish"), signed(b"rubbish\n" * 100)):
    SPOILED[f"{content[-9:]}, {len(content)}"] = lambda path, _, content=content: path.write_bytes(
        content
    )
if os.name != "nt":
    SPOILED |= {
        f"{mode:o}": lambda path, _, mode=mode: path.chmod(mode)
        for mode in (0o620, 0o602, 0o660, 0o666)
    }
    SPOILED |= {
        # it may lie where others can write, and this one be there by their doing
        "a second link": os.link,
        "a link": replaced(lambda path, good: path.symlink_to(good)),
        # which is not waited for either
        "a pipe": replaced(lambda path, good: os.mkfifo(path, 0o600)),
    }
if hasattr(os, "chown") and os.getuid() == 0:  # only root can give files away
    SPOILED["another user's"] = lambda path, _: os.chown(path, 12345, -1)


@pytest.mark.parametrize("how", SPOILED)
def test_a_file_that_is_not_whole_and_the_users_alone_is_not_taken(folder, tmp_path, how):
    """Nor is what was planted while the folder was open to others: it is compiled anew, into a file
    that is."""
    is_found()
    path = the_file(folder)
    SPOILED[how](path, tmp_path / "elsewhere")
    assert [is_found(), is_found()] == [False, True]
    found = path.lstat()
    assert stat.S_ISREG(found.st_mode)
    if os.name != "nt":
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert found.st_nlink == 1
        assert found.st_uid == os.geteuid()


def test_a_file_of_another_signature_is_not_taken(folder):
    kernels = KERNELS[:2]
    assert [*map(is_found, kernels), *map(is_found, kernels)] == [False, False, True, True]
    first, second = folder.iterdir()  # one file a kernel, nothing else
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert [*map(is_found, kernels), *map(is_found, kernels)] == [False, False, True, True]


def test_a_file_of_another_key_is_not_taken(folder, monkeypatch):
    """Code of another version under this one's name: the name holds but a part of the key's
    hash."""
    is_found()
    path = the_file(folder)
    path.unlink()
    with monkeypatch.context() as upgraded:
        upgraded.setattr(cache, "__version__", "999")
        cache.source_stamp.cache_clear()
        is_found()
    cache.source_stamp.cache_clear()
    the_file(folder).rename(path)
    assert [is_found(), is_found()] == [False, True]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_what_breaks_off_while_it_is_written_leaves_no_file(folder, monkeypatch):
    def fail(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            is_found()
    assert list(folder.iterdir()) == []


def days_old(path, days):
    then = time.time() - days * cache.DAY
    os.utime(path, (then, then))


DIGEST = "0123456789abcdef"
OURS = [f"train_steps.float64.{DIGEST}.o", f"predict.float32.{DIGEST}.{DIGEST}.tmp"]
OURS += [
    f"kernels.train_steps-0123456789.py311.{end}"
    for end in ("1.nbc", f"{DIGEST}.nbc", "nbi", f"{DIGEST}.tmp")
]
FOREIGN = ["main.o", "train_steps.o", "notes.tmp", f"train_steps.float64.{DIGEST}.txt"]
FOREIGN += [f"my {OURS[0]}", "module.function-12.py311.nbi", "module.function-12.py311.1.nbc"]


@pytest.mark.parametrize("times", [1, 2])
def test_files_unused_for_long_are_deleted_and_no_others(folder, monkeypatch, times):
    """It does not matter if another process deletes them first."""
    unlink = os.unlink

    def unlink_so_often(*path, **options):
        for _ in range(times):
            unlink(*path, **options)

    folder.mkdir(mode=0o700)
    for name in OURS + FOREIGN:
        folder.joinpath(name).write_bytes(b"x")
        days_old(folder / name, 1000)
    # which cannot be deleted as a file is, and does not matter
    directory = folder / OURS[0].replace("64", "32")
    directory.mkdir()
    days_old(directory, 1000)
    young = folder / OURS[0].replace("0", "1")
    young.write_bytes(b"x")
    days_old(young, cache.KEPT_DAYS - 1)
    monkeypatch.setattr(os, "unlink", unlink_so_often)
    assert count_warnings(is_found) == []
    left = {path.name for path in folder.iterdir()}
    assert left.isdisjoint(OURS)
    assert left > {*FOREIGN, young.name}
    assert is_found()


def test_a_file_that_is_used_stays(folder):
    """Its time is renewed, but not each time: a folder on another machine would be written all the
    time."""
    is_found()
    path = the_file(folder)
    for days, renewed in ((cache.KEPT_DAYS + 1, True), (2, True), (0.5, False)):
        days_old(path, days)
        assert is_found()
        assert (time.time() - path.stat().st_mtime < cache.DAY / 4) == renewed
        is_found(KERNELS[1])
        assert path.exists()


def test_processes_that_compile_at_once_and_the_next_one_agree(tmp_path):
    orders = (("float32", "float64"), ("float64", "float32"))
    variables = {"FASTNN_CACHE_DIR": tmp_path, **UNOPTIMIZED}
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(Child(PREDICT, *order, **variables)) for order in orders]
        hashes = set()
        said = []
        for child in children:
            while (text := child.line()) is not None:
                (said.append if text.startswith("hits") else hashes.add)(text)
            assert child.end() == 0
    assert len(hashes) == 2, hashes
    assert all(text.endswith("warnings") for text in said)
    *last, told = python(PREDICT, "float32", "float64", **variables)
    assert (set(last), told) == (hashes, "hits 2 warnings")
    assert len(list(tmp_path.iterdir())) == 2
