"""A cache folder that cannot be used: results are right, nothing is raised, and one warning at most."""

import os
import shutil
import sys
import warnings

import pytest
from kernel_cache import KERNELS, PREDICT, code_of, copy_of_the_package, count_warnings, everything, is_found, the_file
from survival import UNOPTIMIZED, python

from fastnn.compiler import cache, loader

pytestmark = pytest.mark.skipif(loader.IN_PYTHON, reason="nothing is compiled")

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")


def test_a_folder_that_is_deleted_is_made_again(folder):
    is_found()
    shutil.rmtree(folder)
    assert [is_found(), is_found()] == [False, True]
    assert cache.load(KERNELS[1]) is None
    shutil.rmtree(folder)
    cache.save(KERNELS[1], code_of(KERNELS[1]))  # it was there when the code was looked for
    assert is_found(KERNELS[1])


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


UNUSABLE = {is_a_file: "", is_under_a_file: ""}
if sys.platform == "linux":
    UNUSABLE |= {is_under_a_file: "Not a directory", cannot_be_made: "No such file or directory"}
if os.name != "nt":
    UNUSABLE |= dict.fromkeys([is_writable_by_others, is_writable_by_the_group], "can be written by other users")


@pytest.mark.parametrize("make", UNUSABLE)
def test_an_unusable_folder_costs_one_warning(folder, make):
    make(folder)
    (text,) = count_warnings(everything)
    assert text.startswith("fastnn compiles anew in every process, its kernel cache is not usable: ")
    assert UNUSABLE[make] in text
    assert not folder.is_dir() or list(folder.iterdir()) == []


def test_a_folder_that_becomes_unusable_costs_one_warning(folder):
    is_found()
    shutil.rmtree(folder)
    folder.write_text("in the way")
    saves = [lambda kernel=kernel: cache.save(kernel, code_of(kernel)) for kernel in KERNELS]
    assert len(count_warnings(*saves, everything)) == 1


def test_a_full_disk_costs_one_warning(folder, monkeypatch):
    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    (text,) = count_warnings(everything)
    assert "No space left" in text


@pytest.mark.parametrize("error", [ValueError, MemoryError, RuntimeError])
@pytest.mark.parametrize(
    ("owner", "function"),
    [(cache, "source_stamp"), (cache, "_key"), (cache, "cache_folder"), (cache.Folder, "delete_unused")],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_whatever_fails_costs_one_warning(folder, monkeypatch, owner, function, error):
    def fail(*args):
        raise error("something unheard of")

    monkeypatch.setattr(owner, function, fail)
    if function == "source_stamp":
        fail.__wrapped__ = fail
    (text,) = count_warnings(everything)
    assert text.endswith("something unheard of")


def test_the_warning_points_at_the_line_that_called_fastnn(tmp_path):
    tmp_path.joinpath("cache").write_text("in the way")
    call = "fastnn.predict(fastnn.Network((1, 1)), [1.0, 1.0], [[1.0]])"
    tmp_path.joinpath("mine.py").write_text(f"import fastnn\n\n\n{call}\n")
    code = "import runpy, warnings; warnings.showwarning = lambda m, c, file, line, *_: print(file, line); "
    said = python(code + "runpy.run_path('mine.py')", FASTNN_CACHE_DIR=tmp_path / "cache", cwd=tmp_path, **UNOPTIMIZED)
    assert said == ["mine.py 4"]


@posix
def test_no_code_is_taken_from_a_folder_that_others_can_write(folder):
    """Neither read from it nor written to it, whether it is so from the beginning or becomes so."""
    is_found()
    planted = the_file(folder)
    before = planted.read_bytes()
    for mode in (0o777, 0o702, 0o720):
        folder.chmod(mode)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert not is_found()
            assert cache.load(KERNELS[1]) is None
            cache.save(KERNELS[1], b"")
        assert the_file(folder).read_bytes() == before
    folder.chmod(0o700)
    assert is_found()  # so the plant was a live one


# Permissions do not bind root: a container's tests give up the capabilities that make it so.
WITHOUT_PRIVILEGES = """
import ctypes, os
if os.getuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capset(header, none) == 0, os.strerror(ctypes.get_errno())
assert not os.access(os.environ["HOME"], os.W_OK)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="gives up its capabilities the Linux way")
def test_a_read_only_installation_and_home_cost_one_warning(tmp_path):
    site, home = copy_of_the_package(tmp_path / "site"), tmp_path / "home"
    home.mkdir()
    paths = [home, site, *site.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    unset = dict.fromkeys(("FASTNN_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"), "")
    try:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode & 0o555)
        said = python(WITHOUT_PRIVILEGES + PREDICT, **unset, **UNOPTIMIZED, HOME=home, PYTHONPATH=site)
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)
    assert said[1].count("fastnn compiles anew") == 1
    assert said[1].startswith("hits 0 warnings fastnn compiles anew in every process")
    assert said[0] == python(PREDICT)[0]
