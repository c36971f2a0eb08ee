"""Kernels in the wheel, here the system's C library: which one a process opens, and what it says of
one not used."""

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
from flipped import flipped
from waiting import no_endless_wait

from fastnn.compiler import loader, program, shipped

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only wheels for Linux bring kernels along"
)

NAME = "predict.float64"


def write(folder, **contents):
    text = json.dumps({"sha256": shipped.checksum(contents), "contents": contents})
    folder.joinpath(shipped.MANIFEST).write_text(text, "utf-8")


def say(folder, **changes):
    write(
        folder,
        **json.loads(folder.joinpath(shipped.MANIFEST).read_text("utf-8"))["contents"] | changes,
    )


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A folder of libraries for two levels of CPUs, and the better CPU."""
    for variable in (shipped.VARIABLE, "NUMBA_ENABLE_AVX"):
        monkeypatch.delenv(variable, raising=False)
    changed = {"numba_settings": dict, "FOLDER": tmp_path, "_errors": [], "_warned": []}
    for name, value in (changed | {"cpu_flags": lambda: {"new", "old", "more"}}).items():
        monkeypatch.setattr(shipped, name, value)
    c_library = re.search(
        r"/\S+/libc[.-]\S+", pathlib.Path("/proc/self/maps").read_text("utf-8")
    ).group()
    digest = hashlib.sha256(pathlib.Path(c_library).read_bytes()).hexdigest()
    facts = {"sha256": digest, "signatures": {NAME: "-aaqwwa"}}
    levels = []
    for name, flags in (("best", ["new", "old"]), ("least", ["old"])):
        file = shutil.copy(c_library, tmp_path / f"{name}.so").name
        levels.append({"name": name, "flags": flags, "file": file, **facts})
    made_for = {"system": sys.platform, "machine": platform.machine()}
    write(tmp_path, **made_for, sources=program.sources_digest(), levels=levels)
    shipped._library.cache_clear()
    yield tmp_path
    shipped._library.cache_clear()


def used():
    """The level that is used, None for none, and the warnings, of which there is one at most."""
    with warnings.catch_warnings(record=True, action="always") as caught:
        for _ in range(2):
            library = shipped.library()
            assert shipped.has(NAME) == (library is not None)
            shipped.warn_once()
    return library and library.level, *(str(warning.message) for warning in caught)


def test_a_process_opens_the_library_of_the_best_level_that_its_cpu_has(wheel, monkeypatch):
    assert used() == ("best",)
    assert not shipped.has("predict.float32")
    assert (
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(shipped.library().address_of("abs"))(-7) == 7
    )
    assert loader.origin(NAME) == loader.WHEEL
    monkeypatch.setattr(shipped, "cpu_flags", lambda: {"old"})
    shipped._library.cache_clear()
    assert used() == ("least",)


def test_a_variable_chooses_the_level_or_none(wheel, monkeypatch):
    for value, expected in {"least": "least", "best": "best", "": "best", "none": None}.items():
        monkeypatch.setenv(shipped.VARIABLE, value)
        shipped._library.cache_clear()
        assert used() == (expected,)
    monkeypatch.setenv(shipped.VARIABLE, "bset")
    shipped._library.cache_clear()
    level, text = used()
    assert level is None
    assert text.endswith("FASTNN_KERNELS is 'bset', which is neither none nor one of best, least")


def damage(path, place):
    path.write_bytes(flipped(path.read_bytes(), place))


def pipe(path):
    path.unlink()
    os.mkfifo(path)


NEWER = {"name": "v9", "flags": ["new", "newer"]}
WRONG = {
    "a damaged library": (
        lambda at: damage(at / "best.so", 9999),
        "best.so is damaged: reinstall fastnn-numba",
    ),
    "half a library": (lambda at: os.truncate(at / "best.so", 100), "best.so is damaged"),
    "no library": (
        lambda at: (at / "best.so").unlink(),
        "best.so cannot be read (No such file or directory)",
    ),
    "a pipe for a library": (lambda at: pipe(at / "best.so"), "best.so is not a regular file"),
    "a pipe for a manifest": (
        lambda at: pipe(at / "manifest.json"),
        "manifest.json is not a regular file",
    ),
    "another machine": (
        lambda at: say(at, machine="s390x"),
        "they are for linux s390x, and this is linux",
    ),
    "other sources": (lambda at: say(at, sources="0" * 64), "its source files were edited"),
    "a lesser CPU": (
        lambda at: say(at, levels=[NEWER]),
        "they need a CPU of v9 at least, and this one lacks newer",
    ),
}
# no manifest of ours, no JSON, another JSON, no text
for content in (b"{}", b'{"sha', b"[1]", b"\xff\xfe"):
    WRONG[f"the manifest {content}"] = (
        lambda at, content=content: (at / "manifest.json").write_bytes(content),
        "manifest.json is damaged",
    )


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
    manifest = wheel / shipped.MANIFEST
    right = manifest.read_bytes()
    contents = json.loads(right)["contents"]
    for place in np.random.RandomState(0).permutation(len(right))[:200].tolist():
        manifest.write_bytes(flipped(right, place))
        shipped._library.cache_clear()
        is_refused = shipped.library() is None
        assert is_refused or json.loads(manifest.read_bytes())["contents"] == contents


def test_other_code_is_compiled_where_it_is_asked_for(wheel, monkeypatch):
    """By Numba's settings, as for the disk cache; no warning: whoever asked knows."""
    with monkeypatch.context() as patch:
        patch.setattr(shipped, "numba_settings", lambda: {"CPU_NAME": "haswell"})
        assert used() == (None,)
    with monkeypatch.context() as patch:
        patch.setenv("NUMBA_ENABLE_AVX", "0")
        assert used() == (None,)
    assert used() == ("best",)


def test_where_there_are_no_kernels_there_is_nothing_to_warn_of(wheel):
    shutil.rmtree(wheel)
    assert used() == (None,)
    assert shipped.problem() == ""


def test_the_features_of_this_cpu_are_read():
    assert {"fp", "asimd"} <= shipped.cpu_flags() or {"fpu", "sse2"} <= shipped.cpu_flags()


def test_each_level_has_the_features_of_the_one_before(monkeypatch):
    levels_of = runpy.run_path(str(pathlib.Path(__file__).parents[2] / "ship_kernels.py"))["LEVELS"]
    for levels in levels_of.values():
        sets = [set(level.flags.split()) for level in levels]
        assert all(better > worse for better, worse in itertools.pairwise(sets))
    best, *_, least = levels_of["x86_64"]
    assert "avx512f" in best.flags
    assert "+avx512f" in best.features
    assert "avx" not in least.flags


def test_every_entry_point_is_compiled_for_the_wheel():
    from fastnn.fused import kernels

    compiled = {name: thing for name, thing in vars(kernels).items() if hasattr(thing, "overloads")}
    whole = {name for name, thing in compiled.items() if "inline" not in thing.targetoptions}
    # a formula of the user's is known to no wheel: `custom` is compiled where it is met
    assert whole == {*program.ENTRIES, "custom"}


def test_the_bill_of_materials_names_each_library_and_what_made_it():
    script = runpy.run_path(str(pathlib.Path(__file__).parents[2] / "ship_kernels.py"))
    versions = {"fastnn": "0.4.0", "numba": "0.68.1", "LLVM": "20.1.8"}
    levels = [{"file": f"{name}.so", "sha256": name * 32} for name in ("v2", "v3")]
    bill = script["bill_of_materials"]({"versions": versions, "levels": levels}, "0.15.1")
    names = {part["name"]: part["hashes"][0]["content"] for part in bill["components"]}
    assert names == {"fastnn/kernels/v2.so": "v2" * 32, "fastnn/kernels/v3.so": "v3" * 32}
    makers = bill["metadata"]["tools"]["components"]
    assert [maker["name"] for maker in makers] == ["numba", "LLVM", "ziglang"]
    assert bill["metadata"]["component"]["version"] == "0.4.0"
