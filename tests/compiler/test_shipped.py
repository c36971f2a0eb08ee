"""Kernels in the wheel: which library a process opens, and what it says of one that it does not use.

`nox -s build -- wheels` tests real ones as installed; here the library is the system's of C.
"""

import ctypes
import hashlib
import itertools
import json
import os
import pathlib
import platform
import re
import runpy
import shutil
import sys
import warnings

import numpy as np
import pytest
from waiting import no_endless_wait

from fastnn.compiler import loader, program, shipped
from fastnn.memory import DATA

pytestmark = [
    pytest.mark.skipif(loader.IN_PYTHON, reason="nothing is compiled"),
    pytest.mark.skipif(sys.platform != "linux", reason="only wheels for Linux bring kernels along"),
]

FLAGS = {"best": ["new", "old"], "least": ["old"]}
NAME = "predict.float64"


def write(folder, **contents):
    """Write a manifest that is whole."""
    text = json.dumps({"sha256": shipped.checksum(contents), "contents": contents})
    folder.joinpath(shipped.MANIFEST).write_text(text, "utf-8")


def say(folder, **changes):
    """Have the manifest say something else."""
    write(folder, **json.loads(folder.joinpath(shipped.MANIFEST).read_text("utf-8"))["contents"] | changes)


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A folder of libraries for two levels of CPUs, and the better CPU."""
    for variable in (shipped.VARIABLE, "NUMBA_ENABLE_AVX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(shipped, "numba_settings", dict)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    monkeypatch.setattr(shipped, "_errors", [])
    monkeypatch.setattr(shipped, "_warned", [])
    monkeypatch.setattr(shipped, "cpu_flags", lambda: {"new", "old", "more"})
    c_library = re.search(r"/\S+/libc[.-]\S+", pathlib.Path("/proc/self/maps").read_text("utf-8")).group()
    levels = []
    for name, flags in FLAGS.items():
        path = tmp_path / f"{name}.so"
        shutil.copy(c_library, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        facts = {"file": path.name, "sha256": digest, "signatures": {NAME: "-aaqwwa"}}
        levels.append({"name": name, "flags": flags, **facts})
    made_for = {"system": sys.platform, "machine": platform.machine(), "array_data": DATA}
    write(tmp_path, **made_for, sources=program.sources_digest(), levels=levels)
    shipped._library.cache_clear()
    yield tmp_path
    shipped._library.cache_clear()


def used():
    """The level that is used, None for none, and the warnings, of which there is one at most."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            library = shipped.library()
            assert shipped.has(NAME) == (library is not None)
            shipped.warn_once()
    return library and library.level, *(str(warning.message) for warning in caught)


def test_a_process_opens_the_library_of_the_best_level_that_its_cpu_has(wheel, monkeypatch):
    assert used() == ("best",)
    assert not shipped.has("predict.float32")
    assert ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(shipped.library().address_of("abs"))(-7) == 7
    assert loader.origin(NAME) == loader.WHEEL
    monkeypatch.setattr(shipped, "cpu_flags", lambda: {"old"})
    shipped._library.cache_clear()
    assert used() == ("least",)


def test_a_variable_chooses_the_level_or_none(wheel, monkeypatch):
    for value, expected in {"least": "least", "best": "best", "": "best", "none": None}.items():
        monkeypatch.setenv(shipped.VARIABLE, value)
        shipped._library.cache_clear()
        assert used() == (expected,)


def flip_a_bit(wheel):
    """In the library of the best level."""
    content = bytearray((wheel / "best.so").read_bytes())
    content[len(content) // 2] ^= 1
    (wheel / "best.so").write_bytes(content)


def pipe(path):
    """Put a pipe in the place of a file."""
    path.unlink()
    os.mkfifo(path)


WRONG = {
    "a damaged library": (flip_a_bit, "best.so is damaged: reinstall fastnn-numba"),
    "half a library": (lambda wheel: os.truncate(wheel / "best.so", 100), "best.so is damaged"),
    "no library": (lambda wheel: (wheel / "best.so").unlink(), "best.so cannot be read (No such file or directory)"),
    "a pipe for a library": (lambda wheel: pipe(wheel / "best.so"), "best.so is not a regular file"),
    "a pipe for a manifest": (lambda wheel: pipe(wheel / "manifest.json"), "manifest.json is not a regular file"),
    "no manifest of ours": (lambda wheel: (wheel / "manifest.json").write_text("{}"), "manifest.json is damaged"),
    "no JSON": (lambda wheel: (wheel / "manifest.json").write_text('{"sha'), "manifest.json is damaged"),
    "another JSON": (lambda wheel: (wheel / "manifest.json").write_text("[1]"), "manifest.json is damaged"),
    "no text": (lambda wheel: (wheel / "manifest.json").write_bytes(b"\xff\xfe"), "manifest.json is damaged"),
    "another machine": (lambda wheel: say(wheel, machine="s390x"), "they are for linux s390x, and this is linux"),
    "other sources": (lambda wheel: say(wheel, sources="0" * 64), "its source files were edited"),
    "a lesser CPU": (
        lambda wheel: say(wheel, levels=[{"name": "v9", "flags": ["new", "newer"]}]),
        "they need a CPU of v9 at least, and this one lacks newer",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_kernels_that_are_not_to_be_used_cost_one_warning(wheel, what):
    break_it, expected = WRONG[what]
    break_it(wheel)
    with no_endless_wait():
        level, text = used()
    assert level is None
    assert text.startswith("the kernels that came with fastnn are not used, it compiles its own: ")
    assert expected in text
    assert "reinstall" in text or not re.search(r"[.]so|[.]json", text)
    assert expected in shipped.problem()
    assert loader.origin(NAME) != loader.WHEEL


def test_a_flipped_bit_anywhere_in_the_manifest_is_found(wheel):
    right = (wheel / shipped.MANIFEST).read_bytes()
    contents = json.loads(right)["contents"]
    for at in np.random.RandomState(0).permutation(len(right))[:200]:
        damaged = bytearray(right)
        damaged[at] ^= 1 << int(at) % 7
        (wheel / shipped.MANIFEST).write_bytes(damaged)
        shipped._library.cache_clear()
        library = shipped.library()
        assert library is None or json.loads(damaged)["contents"] == contents


def test_a_level_that_there_is_not_is_named(wheel, monkeypatch):
    monkeypatch.setenv(shipped.VARIABLE, "bset")
    level, text = used()
    assert level is None
    assert text.endswith("FASTNN_KERNELS is 'bset', which is neither none nor one of best, least")


def test_other_code_is_compiled_where_it_is_asked_for(wheel, monkeypatch):
    """By Numba's settings, as for the disk cache; no warning: whoever asked knows."""
    monkeypatch.setattr(shipped, "numba_settings", lambda: {"CPU_NAME": "haswell"})
    assert used() == (None,)
    monkeypatch.setattr(shipped, "numba_settings", dict)
    monkeypatch.setenv("NUMBA_ENABLE_AVX", "0")
    assert used() == (None,)
    monkeypatch.delenv("NUMBA_ENABLE_AVX")
    assert used() == ("best",)


def test_a_python_whose_objects_are_larger_has_no_kernels(wheel):
    say(wheel, array_data=DATA + 16)
    assert used() == (None,)


def test_without_kernels_there_is_nothing_to_warn_of(wheel):
    shutil.rmtree(wheel)
    assert used() == (None,)
    assert shipped.problem() == ""


def test_an_edited_source_changes_the_digest(tmp_path, monkeypatch):
    edited = tmp_path / "network.py"
    found = []
    for text in ("before", "after", "before"):
        edited.write_text(text)
        monkeypatch.setattr(program, "SOURCES_BESIDES", (edited,))
        found.append(program.sources_digest())
    assert found[0] == found[2] != found[1]


def test_the_features_of_this_cpu_are_read():
    assert {"fp", "asimd"} <= shipped.cpu_flags() or {"fpu", "sse2"} <= shipped.cpu_flags()


def test_each_level_has_the_features_of_the_one_before(monkeypatch):
    levels_of = runpy.run_path(str(pathlib.Path(__file__).parents[2] / "ship_kernels.py"))["LEVELS"]
    for levels in levels_of.values():
        sets = [set(level.flags.split()) for level in levels]
        assert all(better > worse for better, worse in itertools.pairwise(sets))
    assert "avx512f" in levels_of["x86_64"][0].flags
    assert "+avx512f" in levels_of["x86_64"][0].features
    assert "avx" not in levels_of["x86_64"][-1].flags


def test_every_entry_point_is_compiled_for_the_wheel():
    from fastnn.fused import kernels

    entries = {
        name
        for name, thing in vars(kernels).items()
        if hasattr(thing, "overloads") and "inline" not in thing.targetoptions
    }
    assert entries == set(program.ENTRIES)
