"""A cache folder that cannot be used: results are right, nothing is raised, and one warning at
most."""

import compileall
import os
import shutil
import sys

import pytest
from kernel_cache import (
    KERNELS,
    PREDICT,
    code_of,
    copy_of_the_package,
    count_warnings,
    everything,
    is_found,
)
from survival import UNOPTIMIZED, python

from fastnn.compiler import cache


def test_a_folder_that_is_deleted_is_made_again(folder):
    is_found()
    shutil.rmtree(folder)
    assert [is_found(), is_found()] == [False, True]
    assert cache.load(KERNELS[1]) is None
    shutil.rmtree(folder)
    cache.save(KERNELS[1], code_of(KERNELS[1]))  # it was there when the code was looked for
    assert is_found(KERNELS[1])


UNUSABLE = {"cache": "", "cache/folder": "Not a directory" if sys.platform == "linux" else ""}
UNUSABLE |= {"/proc/fastnn": "No such file"} if sys.platform == "linux" else {}
UNUSABLE |= {"circle": "symbolic links"} if os.name != "nt" else {}


@pytest.mark.parametrize(("path", "reason"), UNUSABLE.items())
def test_an_unusable_folder_costs_one_warning(folder, monkeypatch, path, reason):
    """A file, what is below one, what the system does not let anybody make, and a link to
    itself."""
    folder.write_text("in the way")
    if path == "circle":
        folder.with_name(path).symlink_to(path)
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(folder.parent / path))
    (text,) = count_warnings(everything)
    assert text.startswith(
        "fastnn compiles anew in every process, its kernel cache is not usable: "
    )
    assert reason in text


FAILING = [
    (cache, "source_stamp"),
    (cache, "_key"),
    (cache, "cache_folder"),
    (cache.Folder, "delete_unused"),
]


@pytest.mark.parametrize(
    ("owner", "function", "error"),
    [
        (os, "replace", OSError(28, "No space left on device")),
        *(
            (*place, kind("unheard of"))
            for kind in (ValueError, MemoryError, RuntimeError)
            for place in FAILING
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value),
)
def test_whatever_fails_costs_one_warning(folder, monkeypatch, owner, function, error):
    def fail(*args, **options):
        raise error

    fail.__wrapped__ = fail  # of the stamp, which is cached
    monkeypatch.setattr(owner, function, fail)
    (text,) = count_warnings(everything)
    assert error.args[-1] in text


@pytest.mark.parametrize("compiled", [False, True])
def test_the_warning_points_at_the_line_that_called_fastnn(tmp_path, compiled):
    """Also where there are no sources but .pyc files, which name the files that they were compiled
    from."""
    site = copy_of_the_package(tmp_path / "site")
    folder = tmp_path / "cache"
    folder.write_text("in the way")
    if compiled:
        compileall.compile_dir(site, legacy=True, quiet=1, stripdir=site, prependdir="/build")
        for source in site.rglob("*.py"):
            source.unlink()
        folder.unlink()  # without sources there is no key
    call = "fastnn.predict(fastnn.Network((1, 1)), [1.0, 1.0], [[1.0]])"
    tmp_path.joinpath("mine.py").write_text(f"import fastnn\n\n\n{call}\n")
    code = (
        "import runpy, warnings; warnings.showwarning = lambda m, c, file, line, *_: "
        "print(file, line); "
    )
    variables = {"FASTNN_CACHE_DIR": folder, "PYTHONPATH": site, **UNOPTIMIZED}
    assert python(code + "runpy.run_path('mine.py')", cwd=tmp_path, **variables) == ["mine.py 4"]


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
    site = copy_of_the_package(tmp_path / "site")
    home = tmp_path / "home"
    home.mkdir()
    modes = {path: path.stat().st_mode for path in (home, site, *site.rglob("*"))}
    unset = dict.fromkeys(("FASTNN_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"), "")
    try:
        for path, mode in modes.items():
            path.chmod(mode & 0o555)
        found, said = python(
            WITHOUT_PRIVILEGES + PREDICT, **unset, **UNOPTIMIZED, HOME=home, PYTHONPATH=site
        )
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert said.count("fastnn compiles anew") == 1
    assert said.startswith("hits 0 warnings fastnn compiles anew in every process")
    assert found == python(PREDICT)[0]
