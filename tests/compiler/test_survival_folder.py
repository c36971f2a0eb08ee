"""The folder of the kernel cache: no other user puts code there, and one that is filled serves who
may only read it.

What needs another user runs in processes that root makes another user's.
"""

import os
import pathlib
import shutil
import stat
import tempfile

import pytest
from kernel_cache import KERNELS, code_of, count_warnings, everything, is_found, the_file
from survival import python

from fastnn.compiler import cache

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")

as_root = pytest.mark.skipif(
    getattr(os, "geteuid", str)() != 0, reason="only root can become another user"
)

NOBODY = 65534


@pytest.fixture
def shared(monkeypatch):
    """The cache folder, which is not there yet, in one that every user can look into, as all on the
    way to it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="fastnn-test-"))
    path.chmod(0o755)
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(path / "cache"))
    yield path / "cache"
    shutil.rmtree(path)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0, 0o002, 0o022, 0o077])
def test_what_fastnn_makes_is_the_users_alone_whatever_the_umask(folder, monkeypatch, mask):
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(folder / "a" / "b"))
    before = os.umask(mask)
    try:
        assert count_warnings(is_found) == []
    finally:
        os.umask(before)
    assert {mode(path) for path in (folder, folder / "a", folder / "a" / "b")} == {0o700}
    assert mode(the_file(folder / "a" / "b")) == 0o600


def test_what_was_looked_at_is_what_is_used(folder, tmp_path, monkeypatch):
    is_found()
    name = the_file(folder).name
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    other.joinpath(name).write_bytes(b"planted")
    really = os.open

    def exchanged(path, flags, *args, **options):
        descriptor = really(path, flags, *args, **options)
        if flags & os.O_DIRECTORY:
            folder.rename(tmp_path / "away")
            other.rename(folder)
        return descriptor

    monkeypatch.setattr(os, "open", exchanged)
    assert cache.load(KERNELS[0]) == code_of(KERNELS[0])
    tmp_path.joinpath("away").rename(other)
    cache.save(KERNELS[1], b"")
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("inner", ["", "inner/cache"])
@pytest.mark.parametrize("others", [0o777, 0o770, 0o702, 0o720])
def test_no_code_is_taken_where_others_can_write(folder, monkeypatch, inner, others):
    """Neither read nor written, in a folder or below it; below one with the sticky bit, such as
    /tmp, it is."""
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(folder / inner))
    is_found()
    before = the_file(folder / inner).read_bytes()
    folder.chmod(others)
    (text,) = count_warnings(everything)
    assert f"{folder} can be written by other users" in text
    assert "chmod go-w" in text
    assert the_file(folder / inner).read_bytes() == before
    folder.chmod(others | stat.S_ISVTX if inner else 0o700)
    assert is_found()  # so it was code that would have been taken


def test_the_way_through_links_is_looked_at_too(folder, tmp_path, monkeypatch):
    """A link is followed where only the user can have made it, and leads where nobody else can
    write."""
    real = tmp_path / "real"
    open_to_all = tmp_path / "open"
    for path in real, open_to_all:
        (path / "cache").mkdir(parents=True)
    (real / "cache").chmod(0o700)
    folder.symlink_to(real / "cache")
    assert [is_found(), is_found()] == [False, True]
    assert len(list(real.joinpath("cache").iterdir())) == 1
    (tmp_path / "first").symlink_to("open/second")
    (open_to_all / "second").symlink_to(real)
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path / "first" / "cache"))
    assert is_found()
    open_to_all.chmod(0o777)  # the second link could be another one
    (text,) = count_warnings(is_found)
    assert f"{open_to_all} can be written by other users" in text


@as_root
def test_a_parent_of_another_user_is_refused(folder, monkeypatch):
    folder.mkdir()
    os.chown(folder, NOBODY, -1)
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(folder / "cache"))
    (text,) = count_warnings(everything)
    assert f"{folder} belongs to another user" in text
    assert not any(folder.iterdir())


AS_ANOTHER = """
import os, sys, warnings
from fastnn.compiler import cache
cache._key("")  # what it imports, another user may not be able to read
real, effective = map(int, sys.argv[1:3])
os.setgroups([])
os.setresuid(real, effective, effective)
warnings.showwarning = lambda message, *_: print("warning:", message)
"""
LOOK = (
    AS_ANOTHER
    + 'found = cache.load(sys.argv[3]) is not None\ncache.warn_once()\nprint("found", found)\n'
)
KEEP = AS_ANOTHER + "cache.save(sys.argv[3], sys.argv[3].encode() * 1000)\ncache.warn_once()\n"


def run_as(code, real, effective):
    return python(code, real, effective, KERNELS[0])


@as_root
def test_another_user_cannot_write_what_a_careless_umask_leaves(shared):
    """A folder made by hand, and a process without umask: its file could be written by all."""
    shared.mkdir(mode=0o755)
    python("import os; os.umask(0)" + KEEP, 0, 0, KERNELS[0])
    path = the_file(shared)
    attack = (
        AS_ANOTHER
        + "try:\n    open(sys.argv[3], 'r+b')\nexcept PermissionError:\n    print('refused')\n"
    )
    assert python(attack, NOBODY, NOBODY, path) == ["refused"]
    assert run_as(LOOK, 0, 0) == ["found True"]


@as_root
def test_the_effective_user_counts(shared):
    """A program that is root on a user's behalf does not run code that he planted; one that acts
    for him alone does."""
    shared.mkdir(mode=0o700)
    os.chown(shared, NOBODY, -1)
    assert run_as(KEEP, NOBODY, NOBODY) == []
    found, warning = run_as(LOOK, NOBODY, 0)[::-1]
    assert "belongs to another user, number 65534" in warning
    assert found == "found False"
    assert run_as(LOOK, 0, NOBODY) == ["found True"]
    shared.chmod(0o500)  # a filled folder that its user cannot write is used
    assert run_as(LOOK, NOBODY, NOBODY) == ["found True"]


@as_root
def test_a_filled_folder_of_roots_serves_everybody(shared):
    """Root has filled it, as in a container's image; a kernel that is missing or unreadable costs
    one warning."""
    run_as(KEEP, 0, 0)
    assert "Permission denied" in run_as(LOOK, NOBODY, NOBODY)[0]
    shared.chmod(0o755)
    warning, found = run_as(LOOK, NOBODY, NOBODY)
    assert "cannot be read (Permission denied): make it readable" in warning
    assert found == "found False"
    the_file(shared).chmod(0o644)
    assert run_as(LOOK, NOBODY, NOBODY) == ["found True"]
    (warning,) = python(KEEP, NOBODY, NOBODY, KERNELS[1])
    assert (
        "cannot be written (Permission denied): set FASTNN_CACHE_DIR to a folder that can"
        in warning
    )
    assert len(list(shared.iterdir())) == 1


WHERE = "from fastnn.measuring import machine; print(machine.cache_state())"
UNSET = dict.fromkeys(("FASTNN_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"), "")


@as_root
def test_a_user_without_a_home_has_no_folder(tmp_path):
    code = "import fastnn.measuring.machine, fastnn.fused.backend, os; os.setuid(54321); " + WHERE
    (said,) = python(code, **UNSET, HOME=None)
    assert said.startswith(
        "CacheState(folder=None, error='this user has no home: set FASTNN_CACHE_DIR"
    )


@pytest.mark.skipif(
    os.name == "nt" or cache.sys.platform == "darwin",
    reason="these systems have a rule of their own",
)
def test_a_relative_cache_home_is_ignored(tmp_path):
    """The XDG standard has it so. A folder of fastnn's own is relative to where the process is."""
    for variables, expected in (
        ({"XDG_CACHE_HOME": "relative"}, "home/.cache/fastnn"),
        ({"XDG_CACHE_HOME": tmp_path / "x"}, "x/fastnn"),
        ({"FASTNN_CACHE_DIR": "own"}, "own"),
    ):
        (said,) = python(WHERE, **UNSET | variables, HOME=tmp_path / "home", cwd=tmp_path)
        assert f"{tmp_path}/{expected}" in said
