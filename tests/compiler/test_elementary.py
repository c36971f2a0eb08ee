"""The elementary functions of compiled code: at most 2 ULP from the truth, everywhere, and the same
bits in Python."""

import functools
import math

import numba
import numpy as np
import pytest
from bits import assert_same_bits_or_nan

from fastnn.compiler import elementary
from fastnn.compiler.memory_ops import lanes_of, load, store
from fastnn.compiler.vectors import Lanes

BOUND = 2.0

# where simpler versions of tanh and sigmoid exceed the bound in float64
HARD = [
    0.1254537353010192,
    0.17026649340070824,
    0.5189615173444518,
    4.790012658769263,
    17.487901898462766,
]
HARD += [1.9536363738283535, 36.73793081705179]

# name -> the function in NumPy, in a wider dtype
ORACLES = {
    **{name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "tanh")},
    "sigmoid": lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}

# (argument, value) where the value is known by heart
INF = math.inf
NAN = math.nan
SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (-INF, 0.0), (INF, INF)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (-INF, -1.0), (INF, INF)],
    "log": [
        (0.0, -INF),
        (-0.0, -INF),
        (1.0, 0.0),
        (-1.0, NAN),
        (-1e-40, NAN),
        (-INF, NAN),
        (INF, INF),
    ],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-2.0, NAN), (-INF, NAN), (INF, INF)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (-INF, -1.0), (INF, 1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (-INF, 0.0), (INF, 1.0)],
    "softplus": [(-INF, 0.0), (INF, INF)],
}

every_function = pytest.mark.parametrize("name", ORACLES)


@functools.cache
def over_arrays(name):
    function = getattr(elementary, name)

    @numba.njit(error_model="numpy")
    def apply(x, y):
        for i in range(0, x.size, lanes_of(x)):
            store(y, i, function(load(x, i)))

    return apply


def compute(name, x):
    padded = np.concatenate([x, np.ones(-x.size % 16, x.dtype)])
    y = np.empty_like(padded)
    with np.errstate(all="ignore"):  # NumPy speaks up where nothing is compiled
        over_arrays(name)(padded, y)
    return y[: x.size]


def range_of_exp(dtype):
    """Where exp begins to be more than 0, and where it is infinite."""
    return (-746, 710) if dtype == np.float64 else (-104, 89)


def spread(dtype, n, rng):
    """About n numbers: any bit pattern, and the ranges in which the functions bend."""
    info = np.finfo(dtype)
    low, high = range_of_exp(dtype)
    ints = np.dtype(f"u{info.bits // 8}")
    m = n // 8
    parts = [
        rng.integers(0, 2**info.bits, m, ints).view(dtype),
        rng.uniform(low, high, m),
        rng.uniform(low, math.log(info.tiny), m),  # subnormal results of exp
        rng.uniform(-40, 40, m),
        rng.uniform(-2, 2, m),
        rng.uniform(-1, 1, m) * 2.0 ** rng.uniform(-60, 4, m),
        1 + rng.uniform(-1, 1, m) * 2.0 ** rng.uniform(-60, 0, m),
        rng.integers(0, 2**info.nmant, m, ints).view(dtype),  # subnormal arguments
    ]
    return np.concatenate([part.astype(dtype) for part in parts])


QUARTERS = (*range(1, 13), 49, 50, 51, 98, 99, 107, 109, 210, 211, 212, 213, 214, 217)


def around_edges(dtype):
    """The five numbers around each edge, and those that are hard."""
    info = np.finfo(dtype)
    edges = [*range_of_exp(dtype), math.log(info.tiny), math.log(info.max)]
    edges += [1, math.sqrt(2), math.sqrt(0.5), info.tiny, 0, info.max]
    edges += [2.0**-k for k in (24, 25, 26, 53, 54, 55, 60)]
    edges += [k * math.log(2) / 4 for k in QUARTERS]
    ints = np.dtype(f"u{info.bits // 8}")
    bits = np.array(edges, dtype).view(ints)[:, None] + np.arange(-2, 3).astype(ints)
    hard = np.array([*HARD, 0.43, 1, 9, 20, np.inf], dtype)
    return np.concatenate([bits.ravel().view(dtype), hard])


def points(dtype, n):
    """About n numbers, and what lies around every edge, of both signs."""
    edges = around_edges(dtype)
    return np.concatenate([spread(dtype, n, np.random.default_rng(0)), edges, -edges])


def errors(computed, true):
    """Errors in ULP, the spacing of computed's dtype at the true value; inf for another sign,
    infinity or NaN."""
    info = np.finfo(computed.dtype)
    rounded = true.astype(computed.dtype)
    exponent = np.maximum(np.frexp(true)[1] - 1, info.minexp)
    error = np.abs(computed.astype(true.dtype) - true) / np.ldexp(
        np.ones_like(true), exponent - info.nmant
    )
    exact = ~(np.isfinite(rounded) & np.isfinite(computed))
    equal = (rounded == computed) | (np.isnan(rounded) & np.isnan(computed))
    wrong_sign = (
        (rounded == 0) & (np.signbit(rounded) != np.signbit(computed)) & ~np.isnan(computed)
    )
    return np.where(wrong_sign, np.inf, np.where(exact, np.where(equal, 0.0, np.inf), error))


def assert_within_bound(name, x, wider):
    with np.errstate(all="ignore"):
        error = errors(compute(name, x), ORACLES[name](x.astype(wider)))
    worst = int(np.argmax(error))
    assert error[worst] <= BOUND, f"{error[worst]} ULP at {x[worst]!r}"


@pytest.mark.nojit
@every_function
def test_special_values(name, dtype):
    given, expected = np.array(SPECIAL[name], dtype).T.copy()
    found = compute(name, given)
    np.testing.assert_array_equal(found, expected)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[zero]))
    x = np.ones(64 // np.dtype(dtype).itemsize, dtype)  # NaN stays NaN, in its lane
    x[1::4] = np.nan
    x[3::4] = -np.nan
    np.testing.assert_array_equal(np.isnan(compute(name, x)), np.isnan(x))


@pytest.mark.parametrize("n", [250_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
@every_function
@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="longdouble is no wider than float64 here"
)
def test_float64_against_longdouble(name, n):
    assert_within_bound(name, points(np.float64, n), np.longdouble)


@every_function
def test_float32_against_float64(name):
    bits = np.random.default_rng(0).integers(0, 2**32, 1_000_000, np.uint32)
    assert_within_bound(
        name, np.concatenate([bits.view(np.float32), points(np.float32, 100_000)]), np.float64
    )


@pytest.mark.slow
@every_function
def test_every_float32(name):
    for i in range(0, 1 << 32, step := 1 << 20):
        assert_within_bound(
            name, np.arange(i, i + step, dtype=np.uint32).view(np.float32), np.float64
        )


@every_function
def test_python_gives_the_bits_of_the_compiled_code(name, dtype):
    x = np.concatenate(
        [points(dtype, 2_000), np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)]
    )
    width = 64 // x.itemsize
    x = x[: x.size // width * width]
    function = getattr(elementary, name)
    with np.errstate(all="ignore"):
        python = np.concatenate([function(v.view(Lanes)) for v in x.reshape(-1, width)]).view(
            np.ndarray
        )
    assert_same_bits_or_nan(compute(name, x), python)
