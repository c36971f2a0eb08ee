"""The kernel cache: whatever happens to its folder, results are right, nothing is raised, and one warning at most.

These tests keep a small function of their own in the cache, which compiles in no time; those of
`test_survival_cache_processes.py` keep the real kernels, in processes of their own.
"""

import ast
import os
import pathlib
import pickle
import shutil
import sys
import time
import warnings

import numba
import numpy as np
import pytest

import fastnn
from fastnn.fused import jit

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")


def line(x):
    return 3 * x + 1


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder of its own, and no warning given yet."""
    path = tmp_path / "cache"
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(path))
    monkeypatch.setattr(jit, "_warned", [])
    return path


def hits(x=2.0, function=line):
    """Call a function as a new process would: what it answers is checked; how often its code was in the cache."""
    fresh = jit.entry(function)
    answer = fresh(x)
    assert (answer, type(answer)) == (3 * x + 1, type(x))
    return sum(fresh.stats.cache_hits.values())


def the_file(folder):
    (path,) = folder.iterdir()
    return path


def test_code_is_found_again_in_a_folder_of_the_user_alone(folder):
    assert [hits(), hits(), hits(3), hits(3), hits()] == [0, 1, 0, 1, 1]
    assert len(list(folder.iterdir())) == 2  # one file a signature, nothing else
    if os.name != "nt":
        assert folder.stat().st_mode & 0o777 == 0o700


# ------------------------------------------------------------------------------------------------------- damaged files


def test_a_flipped_bit_anywhere_is_found(folder):
    hits()
    path = the_file(folder)
    good = path.read_bytes()
    places = np.unique(np.r_[:40, np.linspace(40, len(good) - 1, 40).astype(int)])
    for i in places:
        path.write_bytes(good[:i] + bytes([good[i] ^ 1 << i % 8]) + good[i + 1 :])
        assert hits() == 0
    assert hits() == 1  # it was written anew


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 1000, -1])
def test_truncated_files_are_compiled_anew(folder, n):
    hits()
    path = the_file(folder)
    path.write_bytes(path.read_bytes()[:n])
    assert [hits(), hits()] == [0, 1]


def _signed(content):
    return jit.hashlib.sha256(content).digest() + content


@pytest.mark.parametrize(
    "content",
    [b"", b"rubbish" * 100, _signed(b"rubbish"), _signed(pickle.dumps(None)), _signed(pickle.dumps((1, 2, 3)))],
    ids=["empty", "rubbish", "signed rubbish", "nothing pickled", "something else pickled"],
)
def test_foreign_files_are_compiled_anew(folder, content):
    hits()
    the_file(folder).write_bytes(content)
    assert [hits(), hits()] == [0, 1]


def test_a_file_of_another_signature_is_not_taken(folder):
    """Both under the other's name, as a damaged index or two processes with one counter would have it."""
    hits()
    first = the_file(folder)
    hits(3)
    (second,) = set(folder.iterdir()) - {first}
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)
    assert [hits(), hits(3), hits(), hits(3)] == [0, 0, 1, 1]


@posix
def test_what_breaks_off_while_it_is_written_leaves_no_file(folder, monkeypatch):
    def fail(path, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(pathlib.Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        hits()
    assert list(folder.iterdir()) == []
    monkeypatch.undo()


# ----------------------------------------------------------------------------------------------------------- the folder


def test_a_folder_that_is_deleted_is_made_again(folder):
    fresh = jit.entry(line)
    shutil.rmtree(folder)
    assert fresh(2.0) == 7
    assert hits() == 1
    again = jit.entry(line)
    shutil.rmtree(folder)
    assert again(2.0) == 7  # it was there when the function was made, and is not when it is loaded
    assert hits() == 1


def count_warnings(*actions):
    """Do things; the texts of the warnings that they gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for action in actions:
            action()
    return [str(warning.message) for warning in caught]


def other_line(x):
    return 3 * x + 1


def everything():
    """Two functions of two signatures each, twice."""
    for _ in range(2):
        for function in (line, other_line):
            assert hits(2.0, function) == hits(3, function) == 0


def is_a_file(folder):
    folder.write_text("in the way")


def is_under_a_file(folder):
    folder.parent.joinpath("file").write_text("in the way")
    os.environ["FASTNN_CACHE_DIR"] = str(folder.parent / "file" / "cache")  # the fixture puts it back


def cannot_be_made(folder):
    os.environ["FASTNN_CACHE_DIR"] = "/proc/fastnn"


def is_writable_by_others(folder):
    folder.mkdir()
    folder.chmod(0o777)


def is_writable_by_the_group(folder):
    folder.mkdir()
    folder.chmod(0o770)


UNUSABLE = [is_a_file, is_under_a_file]
if sys.platform == "linux":
    UNUSABLE.append(cannot_be_made)
if os.name != "nt":
    UNUSABLE += [is_writable_by_others, is_writable_by_the_group]


@pytest.mark.parametrize("make", UNUSABLE)
def test_an_unusable_folder_costs_one_warning(folder, make):
    make(folder)
    (text,) = count_warnings(everything)
    assert text.startswith("fastnn compiles anew in every process, its kernel cache is not usable: ")
    assert not folder.is_dir() or list(folder.iterdir()) == []


def test_a_folder_that_becomes_unusable_costs_one_warning(folder):
    functions = [jit.entry(line), jit.entry(other_line)]
    shutil.rmtree(folder)
    folder.write_text("in the way")
    calls = [lambda f=f, x=x: f(x) for f in functions for x in (2.0, 3)]
    assert len(count_warnings(*calls)) == 1


def test_a_full_disk_costs_one_warning(folder, monkeypatch):
    def fail(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", fail)
    (text,) = count_warnings(everything)
    assert "No space left" in text


@posix
def test_nothing_is_unpickled_from_a_folder_that_others_can_write(folder, tmp_path):
    """Neither where it is so from the beginning nor where it becomes so later."""
    hits()
    path, marker = the_file(folder), tmp_path / "marker"
    planted = _signed(pickle.dumps(Planted(str(marker))))
    for when in ("before", "after"):
        path.write_bytes(planted)
        folder.chmod(0o777 if when == "before" else 0o700)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fresh = jit.entry(line)
            folder.chmod(0o777)
            assert fresh(2.0) == 7
        assert not marker.exists()
        assert path.read_bytes() == planted
    folder.chmod(0o700)
    hits()
    assert marker.exists()  # so the plant was a live one


class Planted:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


# ------------------------------------------------------------------------------------------------------------- upgrades


def test_code_of_another_version_is_not_taken(folder, monkeypatch):
    hits()
    monkeypatch.setattr(jit, "source_stamp", lambda: "f" * 64)
    assert [hits(), hits()] == [0, 1]
    monkeypatch.undo()


def test_the_stamp_covers_every_module_that_compiled_code_takes_constants_from():
    package, covered = pathlib.Path(fastnn.__file__).parent, {path.name for path in jit.SOURCES_BESIDES}
    for path in package.joinpath("fused").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("fastnn."):
                name = node.module.removeprefix("fastnn.")
                assert name.startswith("fused") or f"{name}.py" in covered, f"{path.name} imports {node.module}"


DAY = 24 * 3600


def age(path, days):
    """Make a file look as if it was last used so many days ago."""
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def left_after_a_new_kernel(folder):
    """The names of the files in the folder, but for the one that is written now."""
    before = set(os.listdir(folder))
    assert hits(3) == 0
    return before & set(os.listdir(folder))


def test_kernels_that_no_process_loads_are_deleted_in_the_end(folder, monkeypatch):
    """Those of an older version above all; one that is loaded now and then stays."""
    hits()
    kernel = the_file(folder)
    with monkeypatch.context() as patch:
        patch.setattr(jit, "source_stamp", lambda: "f" * 64)
        hits()
    (old,) = set(folder.iterdir()) - {kernel}
    killed = kernel.with_suffix(f".{16 * '0'}.tmp")
    killed.write_bytes(b"half a kernel")
    for path in (kernel, old, killed):
        age(path, jit.UNUSED_DAYS - 1)
    assert left_after_a_new_kernel(folder) == {kernel.name, old.name, killed.name}
    for path in folder.iterdir():
        age(path, jit.UNUSED_DAYS + 1)
    assert hits() == 1  # from now on it is in use
    assert set(os.listdir(folder)) > {kernel.name, old.name}  # nothing was written, so nothing is looked at
    for path in set(folder.iterdir()) - {kernel, old, killed}:
        path.unlink()
    assert left_after_a_new_kernel(folder) == {kernel.name}
    assert [hits(), hits(3)] == [1, 1]


def test_what_is_not_fastnns_is_never_deleted(folder):
    hits()
    kernel = the_file(folder)
    names = ["notes.txt", "kernels.line-0123456789.py311.1.nbc", "kernels.line-0123456789.py311.nbi", "a.tmp", "x.nbc"]
    others = [folder / name for name in names]
    for path in others:
        path.write_text("not ours")
    a_folder = folder / kernel.name.replace(".py", ".py9")
    a_folder.mkdir()
    for path in folder.iterdir():
        age(path, 1000)
    assert left_after_a_new_kernel(folder) == {*names, a_folder.name}


@pytest.mark.parametrize("when", ["it is listed", "it is looked at", "it is deleted"])
def test_a_folder_that_is_deleted_while_it_is_pruned_costs_nothing(folder, monkeypatch, when):
    """As by another process, which prunes at the same time."""
    method = {"it is listed": "iterdir", "it is looked at": "stat", "it is deleted": "unlink"}[when]
    hits()
    age(the_file(folder), 1000)
    right, pruning = getattr(pathlib.Path, method), []

    def gone(path, **options):
        if pruning:
            shutil.rmtree(folder, ignore_errors=True)
        return right(path, **options)

    prune = jit._Files._prune
    with monkeypatch.context() as patch:
        patch.setattr(jit._Files, "_prune", lambda files: (pruning.append(files), prune(files), pruning.clear()))
        patch.setattr(pathlib.Path, method, gone)
        assert count_warnings(lambda: hits(3)) == []
    assert not folder.exists()
    assert [hits(), hits()] == [0, 1]
