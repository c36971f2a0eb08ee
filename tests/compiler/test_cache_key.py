"""The key of the kernel cache: no code of another version, source, setting or processor is
taken."""

import ast
import os
import shutil

import llvmlite
import pytest
from kernel_cache import KERNELS, is_found
from survival import python

from fastnn.compiler import cache, program


def test_the_stamp_depends_on_versions(monkeypatch):
    stamp = cache.source_stamp.__wrapped__
    right = stamp()
    for module in (cache, llvmlite, cache.np):
        with monkeypatch.context() as other:
            other.setattr(module, "__version__", "999")
            assert stamp() != right


def test_the_stamp_depends_on_every_file_of_the_compiler_and_the_kernels(tmp_path, monkeypatch):
    stamp = cache.source_stamp.__wrapped__
    copies = [shutil.copytree(folder, tmp_path / folder.name) for folder in program.FOLDERS]
    monkeypatch.setattr(program, "FOLDERS", tuple(copies))
    stamps = [stamp()]
    assert stamps == [cache.source_stamp()]
    for file in [
        *(file for copy in copies for file in sorted(copy.glob("*.py"))),
        copies[0] / "new.py",
    ]:
        with file.open("a", encoding="utf-8") as edited:
            edited.write("# edited\n")
        stamps.append(stamp())
    assert len(set(stamps)) == len(stamps) > 30
    copies[0].joinpath("notes.txt").write_text("")
    assert stamp() == stamps[-1]


def test_what_is_edited_while_it_is_compiled_is_not_kept(folder, tmp_path, monkeypatch):
    """It is not known whether the code is that of before or of after; the stamp is that of the
    source."""
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
    cache.source_stamp.cache_clear()


NO_CONSTANTS = ("interface", "cores", "errors", "sparse", "checking.arguments", "checking.hints")


def test_the_stamp_covers_every_module_that_compiled_code_takes_constants_from():
    covered = {path.name for path in program.SOURCES_BESIDES}
    for path in (path for folder in program.FOLDERS for path in folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("fastnn."):
                name = node.module.removeprefix("fastnn.")
                known = name.startswith(("fused", "compiler")) or f"{name}.py" in covered
                assert known or name in NO_CONSTANTS, f"{path.name} imports {node.module}"


UNSET = {name: None for name in os.environ if name.startswith("NUMBA_")}
SETTINGS = """
import sys
from fastnn.compiler import cache
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
        (
            {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""},
            {"CPU_NAME": "'haswell'", "CPU_FEATURES": "''"},
        ),
        (
            {"NUMBA_DEBUGINFO": "1", "NUMBA_OPT": "0"},
            {"OPT": "_OptLevel(0)", "DEBUGINFO_DEFAULT": "1"},
        ),
        ({"NUMBA_DISABLE_JIT": "1"}, {"DISABLE_JIT": "1"}),
        ({"NUMBA_DISABLE_JIT": "0", "NUMBA_SLP_VECTORIZE": "0"}, {}),
    ],
)
def test_numbas_settings_are_found_before_its_import(variables, settings):
    imported, same = python(SETTINGS, **UNSET | variables)
    settings = ", ".join(f"'{name}': {value}" for name, value in settings.items())
    asked = not set(variables) <= {"NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR"}
    assert imported == f"{asked} False {{{settings}}}"
    assert same == "True"


def test_a_file_of_numbas_settings_is_heard(tmp_path):
    pytest.importorskip("yaml")
    tmp_path.joinpath(".numba_config.yaml").write_text("opt: '0'\n")
    assert python(SETTINGS, **UNSET, cwd=tmp_path)[0] == "True False {'OPT': _OptLevel(0)}"


@pytest.mark.parametrize(
    ("name", "value"), [("OPT", 0), ("CPU_NAME", "nehalem"), ("LOOP_VECTORIZE", 0)]
)
def test_the_key_has_settings_that_a_program_changed(folder, monkeypatch, name, value):
    import numba

    is_found()
    with monkeypatch.context() as changed:
        changed.setattr(numba.config, name, value)
        assert [is_found(), is_found()] == [False, True]
    assert is_found()


@pytest.mark.parametrize(
    ("settings", "shared"),
    [
        ({}, False),
        ({"CPU_NAME": "haswell"}, False),
        ({"CPU_NAME": "haswell", "CPU_FEATURES": ""}, True),
    ],
)
def test_code_for_a_processor_that_was_named_serves_any_host(folder, monkeypatch, settings, shared):
    """One that runs it under valgrind too, which shows fewer features than there are."""
    monkeypatch.setattr(cache, "numba_settings", lambda: settings)
    assert not is_found()
    monkeypatch.setattr(
        cache, "_processor", lambda: (("CPU_NAME", "another"), ("CPU_FEATURES", "+few"))
    )
    assert is_found() == shared
