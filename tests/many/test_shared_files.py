"""Data and results by files in memory: the same arrays, nothing left behind, a message where a file cannot be."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from waiting import no_endless_wait

from fastnn.many import engine as tasks

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no file system in memory for all users")
for_root = pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="only root gives folders to other users")
ARRAYS = [np.arange(50_000.0), np.zeros((3, 0)), np.float32([[1.5, -0.0], [np.nan, 2]])]
ARRAYS += [np.arange(6).reshape(2, 3).T, np.array(7, np.int64)]


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """A folder in the place of the file system in memory."""
    monkeypatch.setattr(tasks, "MEMORY", tmp_path)
    return tmp_path


def assert_same(arrays, others):
    for one, other in zip(arrays, others, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("why", [None, "no folder", "another machine", "few bytes", "full"])
def test_a_file_holds_the_arrays_or_else_the_message(why, tmp_path, monkeypatch):
    """It is gone when they are taken up, where arrays of the kernel may begin; they are the caller's own to write."""
    if why == "few bytes":
        monkeypatch.setattr(tasks, "LEAST_BYTES", 1 << 30)
    if why == "full":
        monkeypatch.setattr(np, "ascontiguousarray", lambda array: (_ for _ in ()).throw(OSError(28, "full")))
    folder = {"no folder": None, "another machine": str(tmp_path / "elsewhere")}.get(why, str(tmp_path))
    laid = tasks.lay_down(ARRAYS, folder)
    assert (laid.path is None, not laid.arrays) == (why is not None, why is None)
    taken = tasks.take_up(laid)
    assert_same(taken, ARRAYS)
    assert os.listdir(tmp_path) == []
    assert why or all(array.flags.writeable and array.ctypes.data % 64 == 0 for array in taken)


@linux
def test_the_folder_is_there_for_the_time_of_a_call(memory):
    """Those of processes that were killed are removed, those in use are not."""
    (memory / "fastnn-many-left").mkdir()
    (memory / "fastnn-many-left" / "results").touch()
    with tasks.folder_for_workers() as one, tasks.folder_for_workers() as other:
        assert sorted(memory.iterdir()) == sorted(map(type(memory), (one, other)))
        (memory / os.path.basename(one) / "results").touch()  # of a worker that was killed
    assert os.listdir(memory) == []


def _folder(path, *owner):
    path.mkdir()
    (path / "precious").touch()
    if owner:
        os.chown(path, *owner)


OF_OTHERS = {
    "a pipe": lambda path: os.mkfifo(path),
    "a link to a pipe": lambda path: (os.mkfifo(path.parent / "pipe"), path.symlink_to("pipe")),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to a folder": lambda path: (_folder(path.parent / "folder"), path.symlink_to("folder")),
    "a file": lambda path: path.touch(),
    "a folder": pytest.param(lambda path: _folder(path, 65534, 65534), marks=for_root),
}


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@linux
@pytest.mark.parametrize("put", OF_OTHERS.values(), ids=OF_OTHERS)
def test_what_other_users_put_there_stops_and_loses_nothing(memory, put):
    """Any user can put anything under our names into the file system in memory."""
    put(memory / "fastnn-many-x")
    before = tree(memory)
    with no_endless_wait(), tasks.folder_for_workers() as folder:
        assert folder is not None
    assert tree(memory) == before


@linux
def test_only_this_users_folders_are_removed_and_used(memory, monkeypatch):
    _folder(memory / "fastnn-many-x")
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with tasks.folder_for_workers() as folder:
        assert folder is None
    assert tree(memory) == ["fastnn-many-x", "fastnn-many-x/precious"]


def test_a_file_for_workers_stays_and_is_read_only(tmp_path):
    """For all tasks; small arrays, others than of numbers, parts of memory maps and what does not fit have none."""
    big = np.random.RandomState(0).rand(3, 5000).T
    mapped = np.memmap(tmp_path / "mapped", mode="w+", shape=big.shape)
    words = np.array(["word"] * 5000)
    things = [np.zeros(3), big, words, mapped, np.asarray(mapped)[1:], None, {}]
    assert [array is big for array in tasks.worth_a_file(things)] == [True]
    (tmp_path / "mapped").unlink()
    (laid,) = tasks.files_of([big], str(tmp_path)).values()
    for _ in range(2):
        array = tasks.received(laid)
        assert_same([array], [big])
        assert not array.flags.writeable
        assert array.ctypes.data % 64 == 0
    assert len(os.listdir(tmp_path)) == 1
    assert tasks.received(big) is big
    assert tasks.files_of([big], str(tmp_path / "full")) == {}
