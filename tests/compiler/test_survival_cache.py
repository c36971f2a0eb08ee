"""The kernel cache: whatever happens to its folder, results are right, nothing is raised, and one warning at most.

Most of these tests keep a few bytes in the cache where a kernel would keep its machine code; the last ones keep the
real kernels, in processes of their own.
"""

import ast
import contextlib
import hashlib
import os
import pathlib
import shutil
import sys
import time
import warnings

import numpy as np
import pytest
from survival import UNOPTIMIZED, Child, python

import fastnn
from fastnn.compiler import cache, loader, program
from fastnn.compiler import folder as folders

pytestmark = pytest.mark.skipif(loader.IN_PYTHON, reason="nothing is compiled")

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")

KERNELS = [f"{name}.{dtype}" for name in ("train_steps", "predict") for dtype in ("float32", "float64")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder of its own, and no warning given yet."""
    path = tmp_path / "cache"
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(path))
    monkeypatch.setattr(cache, "_errors", [])
    monkeypatch.setattr(cache, "_warned", [])
    cache.source_stamp.cache_clear()  # whoever edits sources while tests run need not see these fail
    return path


def code_of(kernel):
    return kernel.encode() * 1000


def is_found(kernel=KERNELS[0]):
    """Do as a process that needs a kernel: whether its code was in the cache. What is found is the right one."""
    content = cache.load(kernel)
    if content is None:
        cache.save(kernel, code_of(kernel))
        return False
    assert content == code_of(kernel)
    return True


def the_file(folder):
    (path,) = folder.iterdir()
    return path


def test_code_is_found_again_in_a_folder_of_the_user_alone(folder):
    one, other, *_ = KERNELS
    assert [is_found(kernel) for kernel in (one, one, other, other, one)] == [False, True, False, True, True]
    assert len(list(folder.iterdir())) == 2  # one file a kernel, nothing else
    if os.name != "nt":
        assert folder.stat().st_mode & 0o777 == 0o700


# ------------------------------------------------------------------------------------------------------- damaged files


def test_a_flipped_bit_anywhere_is_found(folder):
    is_found()
    path = the_file(folder)
    good = path.read_bytes()
    places = np.unique(np.r_[:40, np.linspace(40, len(good) - 1, 400).astype(int)])
    for i in places:
        path.write_bytes(good[:i] + bytes([good[i] ^ 1 << i % 8]) + good[i + 1 :])
        assert not is_found()
    assert is_found()  # it was written anew


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 1000, -1])
def test_truncated_files_are_compiled_anew(folder, n):
    is_found()
    path = the_file(folder)
    path.write_bytes(path.read_bytes()[:n])
    assert [is_found(), is_found()] == [False, True]


def _signed(content):
    return hashlib.sha256(content).digest() + content


@pytest.mark.parametrize(
    "content",
    [b"", b"rubbish" * 100, _signed(b""), _signed(b"rubbish"), _signed(b"rubbish\n" * 100)],
    ids=["empty", "rubbish", "signed nothing", "signed rubbish", "signed lines"],
)
def test_foreign_files_are_compiled_anew(folder, content):
    is_found()
    the_file(folder).write_bytes(content)
    assert [is_found(), is_found()] == [False, True]


def test_a_file_of_another_signature_is_not_taken(folder):
    """Both under the other's name."""
    one, other, *_ = KERNELS
    is_found(one)
    first = the_file(folder)
    is_found(other)
    (second,) = set(folder.iterdir()) - {first}
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)
    assert [is_found(kernel) for kernel in (one, other, one, other)] == [False, False, True, True]


def test_a_file_of_another_key_is_not_taken(folder, monkeypatch):
    """Code of another version under this one's name: the name holds but a part of the key's hash."""
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


@posix
@pytest.mark.skipif(not hasattr(os, "chown") or os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_taken(folder):
    """It was planted while the folder was open to others."""
    is_found()
    path = the_file(folder)
    os.chown(path, 12345, -1)
    assert [is_found(), is_found()] == [False, True]
    assert path.stat().st_uid == 0


@posix
def test_what_breaks_off_while_it_is_written_leaves_no_file(folder, monkeypatch):
    def fail(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            is_found()
    assert list(folder.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- the folder


def test_a_folder_that_is_deleted_is_made_again(folder):
    is_found()
    shutil.rmtree(folder)
    assert [is_found(), is_found()] == [False, True]
    assert cache.load(KERNELS[1]) is None
    shutil.rmtree(folder)
    cache.save(KERNELS[1], code_of(KERNELS[1]))  # it was there when the code was looked for
    assert is_found(KERNELS[1])


def count_warnings(*actions):
    """Do things; the texts of the warnings that they gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for action in actions:
            action()
            cache.warn_once()
    return [str(warning.message) for warning in caught]


def everything():
    """Two kernels of two dtypes each, twice: looked for and kept."""
    for _ in range(2):
        for kernel in KERNELS:
            assert cache.load(kernel) is None
            assert cache.save(kernel, code_of(kernel)) is None


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
    [(cache, "source_stamp"), (cache, "_key"), (folders, "cache_folder"), (folders.Folder, "delete_unused")],
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


# -------------------------------------------------------------------------------------------------------- unused files


def days_old(path, days):
    then = time.time() - days * folders.DAY
    os.utime(path, (then, then))


OURS = [
    "train_steps.float64.0123456789abcdef.o",
    "predict.float32.0123456789abcdef.0123456789abcdef.tmp",
    "kernels.train_steps-0123456789.py311.0123456789abcdef.nbc",
    "kernels.train_steps-0123456789.py311.1.nbc",
    "kernels.train_steps-0123456789.py311.nbi",
    "kernels.train_steps-0123456789.py311.0123456789abcdef.tmp",
]
FOREIGN = [
    "main.o",
    "train_steps.o",
    "notes.tmp",
    "train_steps.float64.0123456789abcdef.txt",
    "my train_steps.float64.0123456789abcdef.o",
    "module.function-12.py311.nbi",
    "module.function-12.py311.1.nbc",
]


def test_files_unused_for_long_are_deleted_and_no_others(folder):
    folder.mkdir(mode=0o700)
    for name in OURS + FOREIGN:
        folder.joinpath(name).write_bytes(b"x")
        days_old(folder / name, 1000)
    folder.joinpath(OURS[0].replace("64", "32")).mkdir()  # cannot be deleted as a file is, and does not matter
    days_old(folder / OURS[0].replace("64", "32"), 1000)
    young = folder / OURS[0].replace("0", "1")
    young.write_bytes(b"x")
    days_old(young, cache.KEPT_DAYS - 1)
    assert count_warnings(is_found) == []
    left = {path.name for path in folder.iterdir()}
    assert left.isdisjoint(OURS)
    assert left > {*FOREIGN, young.name}
    assert is_found()


def test_a_file_that_is_used_stays(folder):
    """Its time is renewed, but not each time: a folder on another machine would be written all the time."""
    is_found()
    path = the_file(folder)
    for days, renewed in ((cache.KEPT_DAYS + 1, True), (2, True), (0.5, False)):
        days_old(path, days)
        assert is_found()
        assert (time.time() - path.stat().st_mtime < folders.DAY / 4) == renewed
        is_found(KERNELS[1])
        assert path.exists()


def test_a_file_that_another_process_deletes_first_does_not_matter(folder, monkeypatch):
    folder.mkdir(mode=0o700)
    for name in OURS:
        folder.joinpath(name).write_bytes(b"x")
        days_old(folder / name, 1000)
    unlink = os.unlink

    def twice(*path, **options):
        unlink(*path, **options)
        unlink(*path, **options)

    monkeypatch.setattr(os, "unlink", twice)
    assert count_warnings(is_found) == []
    assert len(list(folder.iterdir())) == 1
    assert is_found()


# ------------------------------------------------------------------------------------------------------------- upgrades


def test_code_of_another_version_is_not_taken(folder, monkeypatch):
    is_found()
    with monkeypatch.context() as upgraded:
        upgraded.setattr(cache, "__version__", "999")
        cache.source_stamp.cache_clear()
        assert [is_found(), is_found()] == [False, True]
    cache.source_stamp.cache_clear()
    assert is_found()
    assert len(list(folder.iterdir())) == 2


def test_the_stamp_depends_on_versions(monkeypatch):
    stamp = cache.source_stamp.__wrapped__
    right = stamp()
    assert stamp() == cache.source_stamp() == right
    for module in (cache, cache.llvmlite, cache.np):
        with monkeypatch.context() as other:
            other.setattr(module, "__version__", "999")
            assert stamp() != right


def test_what_is_edited_while_it_is_compiled_is_not_kept(folder, tmp_path, monkeypatch):
    """It is not known whether the code is that of before or of after."""
    edited = tmp_path / "network.py"
    edited.write_text("before")
    monkeypatch.setattr(program, "SOURCES_BESIDES", (edited,))
    cache.source_stamp.cache_clear()
    assert cache.load(KERNELS[0]) is None
    edited.write_text("after")
    cache.save(KERNELS[0], b"")
    assert not folder.exists()
    edited.write_text("before")
    cache.save(KERNELS[0], b"")
    assert len(list(folder.iterdir())) == 1
    monkeypatch.undo()
    cache.source_stamp.cache_clear()


def test_the_stamp_covers_every_module_that_compiled_code_takes_constants_from():
    covered = {path.name for path in program.SOURCES_BESIDES}
    for path in (path for folder in program.FOLDERS for path in folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("fastnn."):
                name = node.module.removeprefix("fastnn.")
                known = (
                    name.startswith(("fused", "compiler")) or name in ("_version", "errors") or f"{name}.py" in covered
                )
                assert known, f"{path.name} imports {node.module}"


SETTINGS = """
import sys
from fastnn.compiler import cache, program
before = "numba" in sys.modules
settings = cache.numba_settings()
print("numba" in sys.modules, before, settings)
import numba
print(cache.numba_settings() == settings)
"""


@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        ({}, {}),
        ({"NUMBA_NUM_THREADS": "1", "NUMBA_CACHE_DIR": ""}, {}),
        ({"NUMBA_OPT": "0"}, {"OPT": "_OptLevel(0)"}),
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}, {"CPU_NAME": "'haswell'", "CPU_FEATURES": "''"}),
        ({"NUMBA_DEBUGINFO": "1"}, {"DEBUGINFO_DEFAULT": "1"}),
        ({"NUMBA_DISABLE_JIT": "1"}, {"DISABLE_JIT": "1"}),
        ({"NUMBA_DISABLE_JIT": "0", "NUMBA_SLP_VECTORIZE": "0"}, {}),
    ],
)
def test_numbas_settings_are_found_before_its_import(variables, settings):
    unset = {name: None for name in os.environ if name.startswith("NUMBA_")}
    imported, same = python(SETTINGS, **unset | variables)
    settings = ", ".join(f"'{name}': {value}" for name, value in settings.items())
    asked = not set(variables) <= {"NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR"}
    assert imported == f"{asked} False {{{settings}}}"
    assert same == "True"


@pytest.mark.parametrize(("name", "value"), [("OPT", 0), ("CPU_NAME", "nehalem"), ("LOOP_VECTORIZE", 0)])
def test_the_key_has_settings_that_a_program_changed(folder, monkeypatch, name, value):
    import numba

    is_found()
    with monkeypatch.context() as changed:
        changed.setattr(numba.config, name, value)
        assert [is_found(), is_found()] == [False, True]
    assert is_found()


@pytest.mark.parametrize(
    ("settings", "shared"),
    [({}, False), ({"CPU_NAME": "haswell"}, False), ({"CPU_NAME": "haswell", "CPU_FEATURES": ""}, True)],
)
def test_code_for_a_processor_that_was_named_serves_any_host(folder, monkeypatch, settings, shared):
    """One that runs it under valgrind too, which shows fewer features than there are."""
    monkeypatch.setattr(cache, "numba_settings", lambda: settings)
    assert not is_found()
    monkeypatch.setattr(cache, "_processor", lambda: (("CPU_NAME", "another"), ("CPU_FEATURES", "+few")))
    assert is_found() == shared


def test_a_file_of_numbas_settings_is_heard(tmp_path):
    pytest.importorskip("yaml")
    tmp_path.joinpath(".numba_config.yaml").write_text("opt: '0'\n")
    unset = {name: None for name in os.environ if name.startswith("NUMBA_")}
    assert python(SETTINGS, **unset, cwd=tmp_path)[0] == "True False {'OPT': _OptLevel(0)}"


PREDICT = """
import hashlib, sys, warnings
import numpy as np
from fastnn import Network, predict
network = Network((3, 20, 2), activation="leaky_relu")
params, X = np.linspace(-1, 1, network.n_params), np.linspace(-2, 2, 30).reshape(10, 3)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for dtype in sys.argv[1:] or ["float64"]:
        out = predict(network, params.astype(dtype), X)
        expected = predict(network, params.astype(dtype), X, backend="numpy")
        np.testing.assert_allclose(out, expected, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-6)
        print(dtype, hashlib.sha256(out.tobytes()).hexdigest())
from fastnn.compiler.loader import found_in_cache
print("hits", sum(found_in_cache.values()), "warnings", *(str(w.message) for w in caught))
"""


def copy_of_the_package(target):
    source = pathlib.Path(fastnn.__file__).parent
    shutil.copytree(source, target / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
    return target


def test_an_upgrade_compiles_anew(tmp_path):
    """Another leaky slope in `network.py`, outside `fused`; the same function signatures, the same cache folder."""
    site, folder = copy_of_the_package(tmp_path / "site"), tmp_path / "cache"
    code = PREDICT.replace("np.testing", "0 and np.testing")
    old = python(code, FASTNN_CACHE_DIR=folder, PYTHONPATH=site, **UNOPTIMIZED)
    constants = site / "fastnn" / "network.py"
    text = constants.read_text("utf-8")
    assert "LEAKY_SLOPE = 0.01" in text
    constants.write_text(text.replace("LEAKY_SLOPE = 0.01", "LEAKY_SLOPE = 0.5"), "utf-8")
    new = python(code, FASTNN_CACHE_DIR=folder, PYTHONPATH=site, **UNOPTIMIZED)
    assert new[0] != old[0]
    assert old[1] == new[1] == "hits 0 warnings"


# -------------------------------------------------------------------------------------------- several processes at once


def test_processes_that_compile_at_once_and_the_next_one_agree(tmp_path):
    folder = tmp_path / "cache"
    orders = (("float32", "float64"), ("float64", "float32"))
    with contextlib.ExitStack() as stack:
        variables = {"FASTNN_CACHE_DIR": folder, **UNOPTIMIZED}
        children = [stack.enter_context(Child(PREDICT, *order, **variables)) for order in orders]
        hashes, said = set(), []
        for child in children:
            while (text := child.line()) is not None:
                (said.append if text.startswith("hits") else hashes.add)(text)
            assert child.end() == 0
    assert len(hashes) == 2, hashes
    assert all(text.endswith("warnings") for text in said)
    last = python(PREDICT, "float32", "float64", **variables)
    assert set(last[:2]) == hashes
    assert last[2] == "hits 2 warnings"
    assert len(list(folder.iterdir())) == 2


# ----------------------------------------------------------------------------------------------- read-only installation

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
