"""The same bits everywhere: hashes of trained parameters and losses, on other instruction sets, in
chunks, as members.

`same_bits.py` trains from stored numbers; the nox session `arm64` does the same on an emulated
arm64.
"""

import json
import os
import pathlib
import re
from typing import NamedTuple

import llvmlite.binding as llvm
import machine_code
import pytest
import same_bits
from same_bits import FEW, HASHES, RUNS
from survival import python, run

from fastnn.compiler import program
from fastnn.losses import ACTIVATIONS, LOSSES
from fastnn.optimizers import BUILT_IN

ROOT = pathlib.Path(__file__).parents[2]


class Machine(NamedTuple):
    environment: dict
    needs: tuple = ()  # features of the CPU, in LLVM's words
    few: bool = False  # the first steps only
    # that of the runs outside the slow tests, which do all of them; none: the slow tests only
    dtype: str = ""
    without: str = "^$"  # those of the runs that are left to the slow tests
    members: str = ""  # those that are members too, outside the slow tests
    uses: str = ""  # vector registers that the kernel's assembly must name,
    lacks: tuple = ()  # and must not
    libm: tuple = ()  # functions of the C library that it calls in float64, and in float32


def cpu(name):
    """Another CPU for Numba. Without the empty list of features it would keep those of this one."""
    return {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}


HOST = llvm.get_host_cpu_features()
AVX512 = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
# This machine as it is, with the widest vectors that it has: the tests below, in this process, all
# runs. That the kernels need nothing of glibc's mathematics, which is another one without FMA, is
# in test_kernel_code.py.
MACHINES = {
    "skylake-avx512": Machine(cpu("skylake-avx512"), AVX512, uses="zmm"),
    # but for the kernel of threads, which takes as long to compile: nehalem has it
    "haswell": Machine(
        cpu("haswell"),
        ("avx2", "fma", "bmi2"),
        dtype="float32",
        without="three",
        uses="ymm",
        lacks=("zmm",),
    ),
    "nehalem": Machine(
        cpu("nehalem"),
        ("sse4.2", "popcnt"),
        True,
        "float64",
        uses="xmm",
        lacks=("ymm", "zmm"),
        libm=("fma", "fmaf"),
    ),
    "no JIT": Machine(  # three threads have the hashes of one; the session `nojit` does all of it
        {"NUMBA_DISABLE_JIT": "1"},
        few=True,
        dtype="float32",
        without="one thread|digits",
        members="seed|iris|RPROP",
    ),
}


def reason_to_skip(name, dtype):
    """Why this CPU does not run a machine, with the runs of one dtype or with all; None if it
    does."""
    if missing := [feature for feature in MACHINES[name].needs if not HOST.get(feature)]:
        return f"this machine cannot run code for {name}: it has no {', '.join(missing)}"
    if dtype and MACHINES[name].uses == "ymm" and not HOST.get("avx512f"):
        return (
            "this machine's own code is as wide: the tests below have it, and the slow one has both"
        )
    return None


def compiled_for_machines():
    """The kernels, as (name, dtype), that `test_every_machine_gives_the_same_bits` compiles and
    reads outside slow."""
    for name, dtype in (("haswell", "float32"), ("nehalem", "float64")):
        if not reason_to_skip(name, dtype):
            own = {"float32": "train_in_lanes", "float64": "levenberg_marquardt"}[dtype]
            yield from ((kernel, dtype) for kernel in ("train_with_options", "train_members", own))


ALL_RUNS = [pytest.param(name, "", marks=pytest.mark.slow, id=name) for name in MACHINES]
OF_A_DTYPE = [
    pytest.param(name, m.dtype, id=f"{name}, {m.dtype}") for name, m in MACHINES.items() if m.dtype
]

WITH_OTHER_VECTORS = """
import json, drawn, machine_code, numpy as np
drawn.assert_single_rows_are_panels(np.float32, 300)
for seed in drawn.SEEDS:
    assert drawn.differences(drawn.draw_group(seed, np.float32)) == [], seed
print(json.dumps(machine_code.foreign_by_kernel()))
"""


def report_of(machine, dtype, runs, folder):
    """What same_bits.py says on another machine, whose kernels are kept in a folder."""
    only = "|".join(map(re.escape, runs))
    members = machine.members if dtype else ""
    options = [*["--few"] * machine.few, f"--only={only}", f"--members={members}"]
    unset = {name: None for name in os.environ if name.startswith(("NUMBA_", "FASTNN_"))}
    settings = machine.environment | {"FASTNN_CACHE_DIR": folder, "OPENBLAS_NUM_THREADS": 1}
    done = run("tests/support/same_bits.py", *options, cwd=ROOT, **unset | settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_code_is_for(machine, dtype, code, folder):
    """Assert that the kernels use a machine's registers, and call no mathematics but fma."""
    named = {kind for kind, count in code["registers"].items() if count}
    assert machine.uses in {"", *named}
    assert named.isdisjoint(machine.lacks), "the code is for another CPU than the test says"
    if HOST.get("fma") or HOST.get("neon"):
        of_dtype = {"float64": machine.libm[:1], "float32": machine.libm[1:], "": machine.libm}
        assert code["libm"] == list(of_dtype[dtype])
        assert symbols_needed(folder) <= machine_code.MEMORY | set(machine.libm)


@pytest.mark.parametrize(("name", "dtype"), [*OF_A_DTYPE, *ALL_RUNS])
def test_every_machine_gives_the_same_bits(name, dtype, tmp_path):
    """For other vectors, the drawn tests of test_side_by_side.py and test_bits.py besides, with the
    same kernels."""
    machine = MACHINES[name]
    if why := reason_to_skip(name, dtype):
        pytest.skip(why)
    runs = [run for run in RUNS if dtype in run]
    if dtype:
        runs = [run for run in runs if not re.search(machine.without, run)]
    report = report_of(machine, dtype, runs, tmp_path)
    assert same_bits.differences(report["first steps"], same_bits.expected(few=True)) == {}
    assert report["first steps"].keys() == set(runs)
    assert report["members"]
    assert same_bits.other_members(report["members"], machine.few) == {}
    if not machine.few:
        assert same_bits.differences(report["all steps"], same_bits.expected()) == {}
        assert report["all steps"].keys() == report["first steps"].keys()
    if code := report["code"]:
        assert_code_is_for(machine, dtype, code, tmp_path)
        found = [*code["foreign"].items()]
        if name in ("haswell", "nehalem") and dtype != "float64":
            (more,) = python(WITH_OTHER_VECTORS, FASTNN_CACHE_DIR=tmp_path, **machine.environment)
            found += json.loads(more).items()
        compiled = {kernel for kernel, _ in found}
        assert compiled >= {kernel for kernel, of in compiled_for_machines() if of == dtype}
        assert [kernel for kernel, foreign in found if any(foreign)] == []


def symbols_needed(folder):
    contents = (path.read_bytes().partition(b"\x7fELF") for path in folder.glob("*.o"))
    return set().union(
        *(machine_code.elf_symbols(elf + rest)[1] for _, elf, rest in contents if elf)
    )


@pytest.mark.nojit
@pytest.mark.parametrize("kind", ["float64", "float32"])
def test_first_steps_give_the_hashes(kind):
    names = [name for name in RUNS if name.endswith(kind)]
    assert same_bits.differences(same_bits.hashes(names, FEW), same_bits.expected(few=True)) == {}


@pytest.mark.nojit
def test_members_give_the_hashes_of_first_steps():
    found = same_bits.hashes_of_members(few=True)
    whole_epochs = {
        "seed",
        "iris",
        "deep",
        "one",
        "three",
        "RPROP",
        "LevenbergMarquardt",
        "BayesianRegularization",
    }
    assert {name.split()[0] for name in found} == whole_epochs
    assert same_bits.other_members(found, few=True) == {}


def test_members_give_the_hashes():
    found = same_bits.hashes_of_members()
    assert found.keys() == RUNS.keys()
    assert same_bits.other_members(found) == {}


@pytest.mark.parametrize("chunk", [1, 7, None])
def test_chunks_give_the_hashes(chunk):
    assert same_bits.differences(same_bits.hashes(chunk=chunk), same_bits.expected()) == {}


def test_hashes_stand_under_the_kernels_revision():
    revision = json.loads(HASHES.read_text("utf-8"))["revision"]
    assert revision == program.KERNEL_REVISION, (
        "changed on purpose? python tests/support/same_bits.py --write"
    )
    assert f"KERNEL_REVISION {revision}" in ROOT.joinpath("CHANGELOG.md").read_text("utf-8")
    assert same_bits.expected().keys() == same_bits.expected(few=True).keys() == RUNS.keys()
    for hashes in (same_bits.expected(), same_bits.expected(few=True)):
        for dtype in ("float64", "float32"):
            assert hashes[f"three threads {dtype}"] == hashes[f"one thread {dtype}"]


def test_runs_meet_every_line_of_the_registries():
    layers = {layer.activation for run in RUNS.values() for layer in run.network.layers}
    assert layers == set(ACTIVATIONS)
    assert {run.network.loss_name for run in RUNS.values()} == set(LOSSES)
    assert {run.optimizer.name for run in RUNS.values()} == set(BUILT_IN)


def test_hashes_are_renewed_under_a_new_revision_only(monkeypatch, tmp_path):
    """Those of one run, in a file of its own."""
    monkeypatch.setattr(same_bits, "HASHES", tmp_path / "hashes.json")
    monkeypatch.setattr(same_bits, "RUNS", {"seed float64": RUNS["seed float64"]})
    monkeypatch.setattr(same_bits.hashes, "__defaults__", (("seed float64",), None, None))
    same_bits.write(again=False)
    right = same_bits.HASHES.read_text("utf-8")
    wrong = re.sub(r'(?<="loss": ")\w+', "0", right, count=1)
    same_bits.HASHES.write_text(wrong, "utf-8")
    with pytest.raises(
        SystemExit, match=r"1 hashes differ .*: seed float64\. .* raise KERNEL_REVISION"
    ):
        same_bits.write(again=False)
    assert same_bits.HASHES.read_text("utf-8") == wrong != right
    same_bits.write(again=True)
    assert same_bits.HASHES.read_text("utf-8") == right
    monkeypatch.setattr(program, "KERNEL_REVISION", 10**6)
    with pytest.raises(SystemExit, match=r"CHANGELOG\.md has no line on KERNEL_REVISION 1000000"):
        same_bits.write(again=False)
