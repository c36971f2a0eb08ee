"""The kernel in LLVM's code and in assembly: no sum is reordered, no mathematics of C's called,
nothing allocated."""

import json
import math
import re
import tracemalloc

import llvmlite.binding as llvm
import machine_code
import numba
import numpy as np
import pytest
import same_bits
from guards import full_batches
from numba import njit
from same_bits import RUNS
from test_same_bits import compiled_for_machines

from fastnn.backends import get_backend
from fastnn.compiler import cache, codegen
from fastnn.compiler.program import ENTRIES
from fastnn.compiler.vectors import Vec
from fastnn.fused import kernels
from fastnn.state import Data, StepState, Task

RULES = {
    "fast-math": (
        r"\b(fadd|fsub|fmul|fdiv|frem|fneg|fcmp|fptrunc|fpext|select|phi|call) "
        r"(fast|reassoc|nnan|ninf|nsz|arcp|contract|afn)\b|(unsafe-fp|no-nans-fp|no-infs-fp)-math\"=\"true"
    ),
    "unordered": r"@llvm\.(vector\.reduce\.f(add|mul)|fmuladd)\b",
    "allocation": r"@(NRT_Allocate|NRT_MemInfo_(v?alloc|new)|malloc|calloc|realloc|Py\w+_New)",
}


def violations(ir, assembly):
    """{rule: the lines of a function's code that break it}, for libm the functions that it
    calls."""
    lines = ir.splitlines()
    found = {
        rule: [line for line in lines if re.search(pattern, line)]
        for rule, pattern in RULES.items()
    }
    return {**found, "libm": machine_code.libm_symbols(assembly)}


HAS_FMA = any(llvm.get_host_cpu_features().get(feature) for feature in ("fma", "neon"))
MASKED_STORE = (
    r"^\s*v(?:p?maskmov\w+\s+%[xy]mm\d+, %[xy]mm\d+, .*\(|mov\w+\s+%[xyz]mm\d+, .*\(.*\{%k\d\}).*"
)


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_kernel_has_no_reordered_sum_no_libm_no_allocation_and_no_masked_store(dtype):
    """LLVM 22 makes the last of a load, a selection and a store: AMD's processors take up to 20
    cycles for it."""
    _, signature = codegen.compiled_entry("train_steps", np.dtype(dtype))
    ir, assembly = (
        f(signature.args)
        for f in (kernels.train_steps.inspect_llvm, kernels.train_steps.inspect_asm)
    )
    found = violations(ir, assembly)
    if not HAS_FMA:  # without the instruction, fma is a call
        del found["libm"]
    assert [line for lines in found.values() for line in lines] == []
    assert re.findall(MASKED_STORE, assembly, re.M) == []
    # The text read is that of the kernel: it holds its vectors, and what calls Python is not in the
    # step loop.
    lanes = Vec(numba.from_dtype(np.dtype(dtype))).lanes
    assert len(re.findall(rf"<{lanes} x (?:double|float)>", ir)) > 1000
    assert ir.count("@llvm.fma") > 100
    bodies = re.findall(r"^define [^\n]*@(_ZN6fastnn\w+)[^\n]*\{\n(.*?)^\}", ir, re.M | re.S)
    assert any("train_steps" in name for name, _ in bodies)
    called = {name for _, body in bodies for name in re.findall(r"\bcall\b[^@\n]*@([\w.]+)", body)}
    # an instruction
    assert {name for name in called if not name.startswith(("llvm.", "_ZN6fastnn"))} <= {"sqrt"}
    assert sum(machine_code.vector_registers(assembly).values()) > 1000


CODE = [(name, dtype) for name, dtypes in ENTRIES.items() for dtype in dtypes]
C_FUNCTIONS = machine_code.MEMORY | (set() if HAS_FMA else {"fma", "fmaf"})


@pytest.mark.parametrize(("name", "dtype"), CODE)
def test_machine_code_needs_nothing_but_the_c_library(name, dtype):
    """It is loaded into processes without Numba, and where a symbol is missing LLVM ends the
    process."""
    content = cache.load(f"{name}.{dtype}") or codegen.compile_entry(name, np.dtype(dtype))
    header, _, code = content.partition(b"\n")
    if code.startswith(b"\x7fELF"):
        defined, undefined = machine_code.elf_symbols(code)
        assert json.loads(header)[0] in defined
        assert undefined <= C_FUNCTIONS


# compiled for this test alone, of functions that `train_steps` has too
ALONE = ("loss_and_gradient", "predict")
OF_MACHINES = {name for name, _ in compiled_for_machines()}


def is_slow(name, dtype):
    """Whether the same functions are read elsewhere: in the other dtype, or in a compilation for
    another machine."""
    return (
        name in ALONE or name in OF_MACHINES or (dtype == "float32" and "float64" in ENTRIES[name])
    )


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(*code, marks=[pytest.mark.slow] * is_slow(*code))
        for code in CODE
        if code[0] != "train_together"
    ],
)
def test_intermediate_code_declares_nothing_and_holds_no_address(name, dtype):
    """Those that test_same_bits.py compiles for other machines are read there."""
    assert machine_code.foreign(codegen.compiled_entry(name, np.dtype(dtype))[0].library) == []


BREAKING = {
    "fast-math": (lambda x: x[0] + x[1], {"contract"}),
    "libm": (lambda x: math.tanh(x[0]) + math.log(x[1]), set()),
    "allocation": (lambda x: np.ones(x.size)[x.size // 2], set()),
}


@pytest.mark.parametrize("rule", BREAKING)
def test_what_breaks_a_rule_is_found(rule):
    function, fastmath = BREAKING[rule]
    dispatcher = njit("f8(f8[::1])", error_model="numpy", fastmath=fastmath)(function)
    broken = violations(*dispatcher.inspect_llvm().values(), *dispatcher.inspect_asm().values())
    assert [name for name, lines in broken.items() if lines] == [rule]


def test_what_numpy_allocates_for_a_call_does_not_outlast_it():
    run = RUNS["seed float64"]
    params, *rows = same_bits.start_of(run)
    task = Task(run.network, run.optimizer, Data(*rows))
    state = StepState.create(params, 0)
    steps = full_batches(len(rows[0]), 1000, 0.01)
    tracemalloc.start()
    try:
        for k in range(400):
            if k == 300:  # by then NumPy's lists of spare small blocks are full
                start = tracemalloc.get_traced_memory()[0]
            get_backend("numba").train_steps(task, state, steps)
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    assert grown < 2000
