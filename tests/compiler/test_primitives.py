"""Every primitive of the compiled code: what it means in Python equals its bits when compiled.

The functions of a table are compiled together, by one traced function a dtype; each of them is a test. NaN equals NaN,
whatever its sign and payload: no promise is made on those.
"""

import functools

import numba
import numpy as np
import pytest
from traced_code import assert_same_bits, in_machine_code

from fastnn.compiler.control import choose, each, not_, pick, smaller
from fastnn.compiler.lanes import horizontal_sum, horizontal_sums, transposed
from fastnn.compiler.memory_ops import gather, get, lanes_of, load, offset, put, splat, store, zero
from fastnn.compiler.tracing import traced
from fastnn.compiler.vectors import (
    Lanes,
    absolute,
    bit_or,
    blend_prefix,
    copysign,
    fma,
    frexp,
    is_double,
    like,
    maximum,
    pow2,
    rounding,
    sqrt,
    where_gt,
)

pytestmark = [pytest.mark.filterwarnings("ignore::RuntimeWarning")]
compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="there is nothing to compare with")


def values(dtype, n, random_state):
    """Special, subnormal and huge numbers; any bit pattern; plain numbers of many sizes; or some of each."""
    info = np.finfo(dtype)
    special = [0.0, np.inf, np.nan, 1.0, 0.5, 1.5, 2.5, info.max, info.tiny, info.smallest_subnormal, 1 + info.eps]
    special = np.array([*special, info.tiny * 0.7, info.max / 2, 1 / 3])
    kinds = [
        random_state.choice([*special, *-special], n),
        random_state.bytes(n * info.bits // 8),
        random_state.standard_normal(n) * 2.0 ** random_state.randint(-30, 30, n),
        random_state.standard_normal(n) * 2.0 ** random_state.randint(info.minexp - 20, info.minexp + 20, n),
    ]
    kinds = [np.frombuffer(k, dtype) if isinstance(k, bytes) else k.astype(dtype) for k in kinds]
    k = random_state.randint(len(kinds) + 1)
    return kinds[k].copy() if k < len(kinds) else np.choose(random_state.randint(0, len(kinds), n), kinds)


# of three vectors a, b, c; an array x, indices in it, and a number n, which is 0 ... 8

PRIMITIVES = {
    "a + b": lambda a, b, c, x, indices, n: a + b,
    "a - b": lambda a, b, c, x, indices, n: a - b,
    "a * b": lambda a, b, c, x, indices, n: a * b,
    "a / b": lambda a, b, c, x, indices, n: a / b,
    "-a": lambda a, b, c, x, indices, n: -a,
    "a + 0.1": lambda a, b, c, x, indices, n: a + 0.1,
    "0.1 + a": lambda a, b, c, x, indices, n: 0.1 + a,
    "a - 0.1": lambda a, b, c, x, indices, n: a - 0.1,
    "1 - a": lambda a, b, c, x, indices, n: 1 - a,
    "a * 0.1": lambda a, b, c, x, indices, n: a * 0.1,
    "0.1 * a": lambda a, b, c, x, indices, n: 0.1 * a,
    "a / 3": lambda a, b, c, x, indices, n: a / 3,
    "0.1 / a": lambda a, b, c, x, indices, n: 0.1 / a,
    "a * n": lambda a, b, c, x, indices, n: a * n,
    "like number": lambda a, b, c, x, indices, n: like(a, 0.1),
    "like integer": lambda a, b, c, x, indices, n: like(a, n),
    "fma": lambda a, b, c, x, indices, n: fma(a, b, c),
    "fma of close numbers": lambda a, b, c, x, indices, n: fma(a, b, -(a * b)),
    "sqrt": lambda a, b, c, x, indices, n: sqrt(a),
    "absolute": lambda a, b, c, x, indices, n: absolute(a),
    "copysign": lambda a, b, c, x, indices, n: copysign(a, b),
    "where_gt": lambda a, b, c, x, indices, n: where_gt(a, b, c, a),
    "maximum": lambda a, b, c, x, indices, n: maximum(a, b),
    "bit_or": lambda a, b, c, x, indices, n: bit_or(a * 0.0, b * 0.0),
    "blend_prefix": lambda a, b, c, x, indices, n: blend_prefix(n, a, b),
    "blend_prefix of none": lambda a, b, c, x, indices, n: blend_prefix(n - 9, a, b),
    "blend_prefix of all": lambda a, b, c, x, indices, n: blend_prefix(n + 16, a, b),
    "pow2": lambda a, b, c, x, indices, n: pow2(like(a, rounding(a)) + (copysign(like(a, n), a))),
    "pow2 of any": lambda a, b, c, x, indices, n: pow2(a),
    "fraction": lambda a, b, c, x, indices, n: frexp(a)[0],
    "exponent": lambda a, b, c, x, indices, n: frexp(a)[1],
    "is_double": lambda a, b, c, x, indices, n: like(a, 2.0 if is_double(a) else 1.0),
    "horizontal_sum": lambda a, b, c, x, indices, n: like(a, horizontal_sum(a)),
    "horizontal_sums": lambda a, b, c, x, indices, n: horizontal_sums(([a, b, c, -a, a * b] * 4)[: lanes_of(x)]),
    "transposed": lambda a, b, c, x, indices, n: functools.reduce(
        where_gt_sum, transposed(([a, b, c, -a] * 4)[: lanes_of(x)])
    ),
    "load anywhere": lambda a, b, c, x, indices, n: load(offset(x, n), 1),
    "get": lambda a, b, c, x, indices, n: like(a, get(x, n)),
    "gather": lambda a, b, c, x, indices, n: gather(x, indices, n),
    "splat": lambda a, b, c, x, indices, n: splat(x, n),
    "zero": lambda a, b, c, x, indices, n: zero(x),
    "lanes": lambda a, b, c, x, indices, n: like(a, lanes_of(x)),
    "each": lambda a, b, c, x, indices, n: sum_in_loop(a, b, n),
    "smaller": lambda a, b, c, x, indices, n: like(a, smaller(n, 2)) * like(b, smaller(n, 64)),
    "choose": lambda a, b, c, x, indices, n: choose(n // 4, lambda: [a], lambda: [b])[0],
    "pick": lambda a, b, c, x, indices, n: pick(n // 4, a, b) * pick(n > 2, n, 3),
    "pick pointer": lambda a, b, c, x, indices, n: load(pick(n < 3, offset(x, 0), offset(x, 1)), 0),
    "==": lambda a, b, c, x, indices, n: like(a, n == 3),
    "3 ==": lambda a, b, c, x, indices, n: like(a, 3 == n),  # noqa: SIM300
    "!=": lambda a, b, c, x, indices, n: like(a, n != 3),
    "< <=": lambda a, b, c, x, indices, n: like(a, (n < 3) + 2 * (n <= 3)),
    "> >=": lambda a, b, c, x, indices, n: like(a, (n > 3) + 2 * (n >= 3)),
    "&": lambda a, b, c, x, indices, n: like(a, (n > 2) & (n < 6)),
    "|": lambda a, b, c, x, indices, n: like(a, (n < 2) | (n > 6)),
    "& of constants": lambda a, b, c, x, indices, n: like(a, (True & (n < 2)) + 2 * ((n < 2) & False)),
    "| of constants": lambda a, b, c, x, indices, n: like(a, (False | (n < 2)) + 2 * ((n < 2) | True)),
    "not_": lambda a, b, c, x, indices, n: like(a, not_(n > 2) + 2 * not_(n // 4)),
}


def where_gt_sum(v, w):
    """Something that depends on the order of many vectors, and on each of their lanes."""
    return where_gt(v, w, v, w) - v * 0.5


def sum_in_loop(a, b, n):
    kept = [a]
    for k in each(n, kept):
        kept[0] = kept[0] * b + k
    return kept[0]


@traced
def all_primitives(out, x, y, z, indices, n):
    L = lanes_of(out)
    for k, function in enumerate(PRIMITIVES.values()):
        store(out, k * L, function(load(x, 0), load(y, 0), load(z, 0), x, indices, n))


@functools.cache
def primitives_in_both(dtype):
    """[Python, compiled] results: arrays (rounds, primitives, lanes)"""
    entry = in_machine_code(all_primitives)
    random_state, L = np.random.RandomState(0), lanes_of(np.empty(0, dtype))
    results = []
    for k in range(150):
        x, y, z = (values(dtype, size, random_state) for size in (4 * L, L, L))
        indices = random_state.randint(0, 3 * L, L)
        pair = np.zeros((2, len(PRIMITIVES) * L), dtype)
        for out, function in zip(pair, (all_primitives, entry), strict=True):
            function(out, x, y, z, indices, k % 9)
        results.append(pair.reshape(2, -1, L))
    return np.stack(results, axis=1)


@compiled
@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive(name, dtype):
    with np.errstate(all="ignore"):
        python, machine = primitives_in_both(dtype)[:, :, list(PRIMITIVES).index(name)]
    assert_same_bits(machine, python)


def plain(out, x, y, n):
    """The primitives as ordinary compiled functions use them, through Numba's own typing of operators and numbers."""
    L = lanes_of(x)
    pointer = offset(x, n)
    v, w = load(pointer, 1), load(y, 0)
    v += w
    v *= 0.1
    v -= 1
    v /= w
    store(out, 0, 1.0 - v * -w + n)
    store(out, L, where_gt(v, maximum(w, zero(x)), fma(v, w, like(w, n)), blend_prefix(n, v, w)))
    put(out, 2 * L, horizontal_sum(v))
    put(out, 2 * L + 1, get(x, n) * get(y, 0))
    out[2 * L + 2] = L


@compiled
def test_primitives_in_ordinary_compiled_functions(dtype):
    machine, random_state = numba.njit(plain, error_model="numpy"), np.random.RandomState(1)
    for n in range(40):
        x, y = values(dtype, 80, random_state), values(dtype, 16, random_state)
        pair = np.zeros((2, 64), dtype)
        with np.errstate(all="ignore"):
            plain(pair[0], x, y, n)
        machine(pair[1], x, y, n)
        assert_same_bits(pair[1], pair[0])


def fma_cases(info):
    """(a, x, c) and the sum, rounded once."""
    largest, eps, tiny, inf = (float(v) for v in (info.max, info.eps, info.smallest_subnormal, np.inf))
    return [
        ((largest, 2.0, 0.0), inf),
        ((-largest, 2.0, 0.0), -inf),
        ((largest, 2.0, -largest), largest),
        ((1 + eps, 1 + eps, -(1 + 2 * eps)), eps * eps),
        ((1 + eps, 1 - eps, -1.0), -eps * eps),
        ((1 + eps, 1.5, tiny), 1.5 + 2 * eps),  # the product is a tie, the sum is not
        ((1 + eps, 1.5, -tiny), 1.5 + eps),
        ((1 + eps, 1 - eps / 2, 0.0), 1.0),
        ((tiny, 0.5, 0.0), 0.0),
        ((tiny, 0.5, tiny), 2 * tiny),  # to even
        ((tiny, 0.25, tiny), tiny),
        ((0.0, -1.0, 0.0), 0.0),
        ((0.0, -1.0, -0.0), -0.0),
        ((inf, 0.0, 1.0), np.nan),
        ((inf, 1.0, -inf), np.nan),
        ((2.0, 3.0, -inf), -inf),
        ((2.0, 3.0, np.nan), np.nan),
    ]


@pytest.mark.nojit
def test_fma_rounds_once(dtype):
    arguments, right = zip(*fma_cases(np.finfo(dtype)), strict=True)
    a, x, c = np.array(arguments, dtype).T.copy().view(Lanes)
    with np.errstate(all="ignore"):
        assert_same_bits(fma(a, x, c).view(np.ndarray), np.array(right, dtype))


MISTAKES = {
    "load beyond the end": lambda x: load(x, x.size - 1),
    "load before": lambda x: load(x, -1),
    "offset before": lambda x: offset(x, -1),
    "splat before": lambda x: splat(x, -1),
    "store beyond the end": lambda x: store(x, x.size - 1, zero(x)),
    "store before": lambda x: store(x, -1, zero(x)),
    "put before": lambda x: put(x, -1, x[0]),
    "get before": lambda x: get(x, -1),
    "gather before": lambda x: gather(x, np.full(x.size, 1), -2),
    "store another dtype": lambda x: store(x, 0, zero(x.astype(np.float16))),
    "fma of two dtypes": lambda x: fma(zero(x), zero(x), zero(x.astype(np.float16))),
}


@pytest.mark.nojit
@pytest.mark.parametrize("mistake", MISTAKES)
def test_python_refuses_what_would_go_wrong_when_compiled(mistake, dtype):
    with pytest.raises(AssertionError):
        MISTAKES[mistake](np.zeros(40, dtype))
