"""C code of traced functions: its bits are those of the functions as Python runs them."""

import ctypes
import shutil
import subprocess
from operator import neg

import numpy as np
import pytest
from bits import assert_same_bits_or_nan
from numba import from_dtype, types

from fastnn.compiler.c_code import BITS, CFunction, c_type
from fastnn.compiler.control import each, sweep
from fastnn.compiler.elementary import exp, expm1, sigmoid, softplus, tanh
from fastnn.compiler.memory_ops import load, prefetch, store, zero
from fastnn.compiler.vectors import absolute, copysign, fma, like, maximum, sqrt, where_gt

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")

FLAGS = [
    "-std=c99",
    "-O2",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-pedantic",
    "-Werror",
    "-shared",
    "-fPIC",
]


def text_of(body, dtype=np.float64):
    pointer = types.CPointer(from_dtype(np.dtype(dtype)))
    return str(CFunction("body", {"y": pointer, "x": pointer, "n": types.intp}, body, "-"))


def in_c(body, dtype, tmp_path):
    """Compile what a function (y, x, n) is in C, warnings being errors; return a function of x that
    returns y."""
    kind = c_type(from_dtype(np.dtype(dtype)))
    text = text_of(body, dtype)
    word = {"double": "uint64_t", "float": "uint32_t"}[kind]
    helpers = BITS.format(number=kind, word=word) if "bits(" in text else ""
    source = f"#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n\n{helpers}\n{text}\n"
    (tmp_path / "body.c").write_text(source.replace("static void body", "void body"))
    subprocess.run(
        ["cc", *FLAGS, "-o", tmp_path / "body.so", tmp_path / "body.c", "-lm"], check=True
    )
    compiled = ctypes.CDLL(str(tmp_path / "body.so")).body

    def run(x):
        y = np.full_like(x, 7)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (y, x)]
        compiled(*pointers, ctypes.c_size_t(x.size))
        return y

    return run


def mapped(function):
    def body(y, x, n):
        for i in each(n):
            store(y, i, function(load(x, i)))

    return body


def in_python(function, x):
    """The same by the first meaning, whole vectors at a time."""
    y = np.zeros_like(x)
    lanes = 64 // x.itemsize
    for i in range(0, x.size, lanes):
        store(y, i, function(load(x, i)))
    return y


FUNCTIONS = {
    **{f.__name__: f for f in (exp, expm1, sigmoid, softplus, tanh, sqrt, absolute)},
    "operators": lambda z: (z - 1.0) / (z * z + 3.0) - (2.0 - z - (1.0 - z)) * -(z + 1.0),
    "signs": lambda z: -neg(z) * -like(z, -2.0) - neg(z) - (neg(z) - neg(z * -3.0)),
    "choice": lambda z: where_gt(
        z, like(z, 0.5), where_gt(z, like(z, 2.0), z * 2.0, z), maximum(-z, like(z, -1.0))
    ),
    "sign": lambda z: copysign(like(z, 2.5), -z) + fma(z, z, -z),
}


@needs_cc
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_the_bits_of_python(name, dtype, tmp_path):
    random_state = np.random.RandomState(0)
    info = np.finfo(dtype)
    special = [0.0, 1.0, info.max, info.tiny, info.smallest_subnormal, np.inf, np.nan]
    special = np.array([*special, *(-number for number in special)])
    drawn = random_state.standard_normal(402) * 2.0 ** random_state.randint(-30, 12, 402)
    x = np.concatenate([special, drawn]).astype(dtype)
    with np.errstate(all="ignore"):
        found = in_c(mapped(FUNCTIONS[name]), dtype, tmp_path)(x)
        right = in_python(FUNCTIONS[name], x)
    assert_same_bits_or_nan(found, right)


# What follows is compared with the same loops in Python, on numbers that add up exactly.


def exchange(y, x, n):
    """Two values that change places in each round, and one that follows them."""
    a = [load(x, 0)]
    b = [load(x, 1)]
    c = [zero(x)]
    for _ in each(n, a, b, c):
        c[0] = c[0] * 2.0 + a[0]
        a[0], b[0] = b[0], a[0] + 1.0
    for value, i in ((a, 0), (b, 1), (c, 2)):
        store(y, i, value[0])


def read_before_written(y, x, n):
    """What was read from memory before it was written over, used once and after that."""
    first = load(x, 0) * 3.0
    second = load(y, 0)
    store(y, 0, load(x, 1))
    store(y, 1, first + load(y, 0) + second)
    for i in each(n - 3):
        store(y, 3 + i, first)


def shifted(y, x, n):
    """Each number goes to the next place, in place: a wrong order would repeat the first one."""
    before = [load(x, 0)]
    store(y, 0, before[0])
    for i in each(n - 1, before):
        now = load(x, i + 1)
        store(y, i + 1, before[0] + now)
        before[0] = now


def in_tiles(y, x, n):
    """Sums of neighbors in tiles of 4 and of 1, and names that are taken by parameters."""
    for i, size in sweep(n, (4, 1)):
        sums = [load(x, i + k) for k in range(size)]
        for n_rounds in each(n // 8, sums):
            sums[:] = [s + load(x, n_rounds) for s in sums]
        for k, s in enumerate(sums):
            store(y, i + k, s)


def scalars(body, x):
    """Run a function in Python as C does, a number being a vector: with loads and stores of single
    numbers."""
    y = np.full_like(x, 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "load", lambda a, i: a[i].copy())
        patch.setitem(globals(), "store", lambda a, i, v: a.__setitem__(i, v))
        patch.setitem(globals(), "zero", lambda a: a.dtype.type(0))
        body(y, x, x.size)
    return y


@needs_cc
@pytest.mark.parametrize("body", [exchange, read_before_written, shifted, in_tiles])
def test_order_of_reads_and_writes(body, dtype, tmp_path):
    run = in_c(body, dtype, tmp_path)
    for n in (5, 6, 13):
        x = np.arange(1.0, n + 1).astype(dtype) ** 2
        assert run(x).tolist() == scalars(body, x).tolist()


def test_each_operation_is_a_line_and_what_nobody_uses_is_none():
    def body(y, x, n):
        for o in each(n):
            width = load(x, o)
            absolute(width * 2.0)
            area = width * width
            store(y, o, area + 1.0 / -area)

    assert text_of(body).splitlines()[1:] == [
        "static void body(double *restrict y, const double *restrict x, size_t n)",
        "{",
        "    for (size_t i1 = 0; i1 < n; i1++) {",
        "        const double t2 = x[i1];",
        "        const double t5 = t2 * t2;",
        "        const double t6 = -t5;",
        "        const double t7 = 1.0 / t6;",
        "        const double t8 = t5 + t7;",
        "        y[i1] = t8;",
        "    }",
        "}",
    ]


def test_what_has_no_way_in_c_is_named():
    with pytest.raises(
        TypeError, match=r"there is no C code for prefetch: c_code\.py lists the functions"
    ):
        text_of(lambda y, x, n: prefetch(x, 0))
