"""Every primitive of the compiled code: what it means in Python equals its bits when compiled, but
for those of NaN."""

import functools
import re
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from bits import assert_same_bits_or_nan
from traced_code import in_machine_code

from fastnn.compiler import control, lanes, memory_ops, vectors
from fastnn.compiler.memory_ops import lanes_of, load, store
from fastnn.compiler.shared_numbers import added, observed, swapped
from fastnn.compiler.tracing import traced
from fastnn.compiler.vectors import Lanes, fma, where_gt

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def values(dtype, n, random_state):
    """Special, subnormal and huge numbers; any bit pattern; plain numbers of many sizes; or some of
    each."""
    info = np.finfo(dtype)
    special = [
        0.0,
        np.inf,
        np.nan,
        1.0,
        0.5,
        1.5,
        2.5,
        info.max,
        info.tiny,
        info.smallest_subnormal,
        1 + info.eps,
    ]
    special = np.array([*special, info.tiny * 0.7, info.max / 2, 1 / 3])
    kinds = [
        random_state.choice([*special, *-special], n),
        random_state.bytes(n * info.bits // 8),
        random_state.standard_normal(n) * 2.0 ** random_state.randint(-30, 30, n),
        random_state.standard_normal(n)
        * 2.0 ** random_state.randint(info.minexp - 20, info.minexp + 20, n),
    ]
    kinds = [np.frombuffer(k, dtype) if isinstance(k, bytes) else k.astype(dtype) for k in kinds]
    k = random_state.randint(len(kinds) + 1)
    if k < len(kinds):
        return kinds[k].copy()
    return np.choose(random_state.randint(0, len(kinds), n), kinds)


def order_of(vs):
    """Something that depends on the order of many vectors, and on each of their lanes."""
    return functools.reduce(lambda v, w: where_gt(v, w, v, w) - v * 0.5, vs)


def sum_in_loop(a, b, n):
    kept = [a]
    for k in control.each(n, kept):
        kept[0] = kept[0] * b + k
    return kept[0]


EXPRESSIONS = """
a + b; a - b; a * b; a / b; -a; a + 0.1; 0.1 + a; a - 0.1; 1 - a; a * 0.1; 0.1 * a; a / 3; 0.1 / a
a * n
like(a, 0.1); like(a, n); fma(a, b, c); fma(a, b, -(a * b)); sqrt(a); absolute(a)
copysign(a, b); maximum(a, b)
where_gt(a, b, c, a); bit_or(a * 0.0, b * 0.0); pow2(a)
pow2(like(a, rounding(a)) + (copysign(like(a, n), a)))
blend_prefix(n, a, b); blend_prefix(n - 9, a, b); blend_prefix(n + 16, a, b)
frexp(a)[0]; frexp(a)[1]
like(a, 2.0 if is_double(a) else 1.0); like(a, horizontal_sum(a))
like(a, lanes_of(x)); like(a, get(x, n))
horizontal_sums(([a, b, c, -a, a * b] * 4)[: lanes_of(x)])
order_of(transposed(([a, b, c, -a] * 4)[: lanes_of(x)]))
load(offset(x, n), 1); gather(x, indices, n); splat(x, n); zero(x); sum_in_loop(a, b, n)
like(a, smaller(n, 2)) * like(b, smaller(n, 64)); choose(n // 4, lambda: [a], lambda: [b])[0]
pick(n // 4, a, b) * pick(n > 2, n, 3); load(pick(n < 3, offset(x, 0), offset(x, 1)), 0)
like(a, n == 3); like(a, 3 == n); like(a, n != 3); like(a, (n < 3) + 2 * (n <= 3))
like(a, (n > 3) + 2 * (n >= 3))
like(a, (n > 2) & (n < 6)); like(a, (n < 2) | (n > 6))
like(a, (True & (n < 2)) + 2 * ((n < 2) & False))
like(a, (False | (n < 2)) + 2 * ((n < 2) | True)); like(a, not_(n > 2) + 2 * not_(n // 4))
"""
"""Of three vectors a, b, c; an array x, indices in it, and a number n, which is 0 ... 8."""

NAMES = {
    name: thing
    for module in (vectors, memory_ops, lanes, control)
    for name, thing in vars(module).items()
}
NAMES |= {"order_of": order_of, "sum_in_loop": sum_in_loop}
TEXTS = re.split("; |\n", EXPRESSIONS.strip())
PRIMITIVES = {text: eval(f"lambda a, b, c, x, indices, n: {text}", NAMES) for text in TEXTS}


@traced
def all_primitives(out, x, y, z, indices, n):
    L = lanes_of(out)
    for k, function in enumerate(PRIMITIVES.values()):
        store(out, k * L, function(load(x, 0), load(y, 0), load(z, 0), x, indices, n))


@functools.cache
def primitives_in_both(dtype):
    """[Python, compiled] results: arrays (rounds, primitives, lanes)"""
    entry = in_machine_code(all_primitives)
    random_state = np.random.RandomState(0)
    L = lanes_of(np.empty(0, dtype))
    results = []
    for k in range(150):
        x, y, z = (values(dtype, size, random_state) for size in (4 * L, L, L))
        indices = random_state.randint(0, 3 * L, L)
        pair = np.zeros((2, len(PRIMITIVES) * L), dtype)
        for out, function in zip(pair, (all_primitives, entry), strict=True):
            function(out, x, y, z, indices, k % 9)
        results.append(pair.reshape(2, -1, L))
    return np.stack(results, axis=1)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive(name, dtype):
    with np.errstate(all="ignore"):
        python, machine = primitives_in_both(dtype)[:, :, list(PRIMITIVES).index(name)]
    assert_same_bits_or_nan(machine, python)


@pytest.mark.nojit
def test_fma_rounds_once(dtype):
    info = np.finfo(dtype)
    inf = np.inf
    nan = np.nan
    largest, eps, tiny = (float(v) for v in (info.max, info.eps, info.smallest_subnormal))
    # a, x, c and a x + c
    cases = [(largest, 2, 0, inf), (-largest, 2, 0, -inf), (largest, 2, -largest, largest)]
    cases += [(1 + eps, 1 + eps, -(1 + 2 * eps), eps * eps), (1 + eps, 1 - eps, -1, -eps * eps)]
    # a tie in the product
    cases += [(1 + eps, 1.5, tiny, 1.5 + 2 * eps), (1 + eps, 1.5, -tiny, 1.5 + eps)]
    cases += [
        (1 + eps, 1 - eps / 2, 0, 1),
        (tiny, 0.5, 0, 0),
        (tiny, 0.5, tiny, 2 * tiny),
        (tiny, 0.25, tiny, tiny),
    ]
    cases += [(0, -1, 0, 0), (0, -1, -0.0, -0.0), (inf, 0, 1, nan), (inf, 1, -inf, nan)]
    cases += [(2, 3, -inf, -inf), (2, 3, nan, nan)]
    a, x, c, right = np.array(cases, dtype).T.copy()
    with np.errstate(all="ignore"):
        assert_same_bits_or_nan(fma(*(v.view(Lanes) for v in (a, x, c))).view(np.ndarray), right)


MISTAKES = """
load(x, x.size - 1); load(x, -1); offset(x, -1); splat(x, -1); get(x, -1)
gather(x, full(x.size, 1), -2)
store(x, x.size - 1, zero(x)); store(x, -1, zero(x)); put(x, -1, x[0])
store(x, 0, zero(x.astype("f2"))); fma(zero(x), zero(x), zero(x.astype("f2")))
"""


@pytest.mark.nojit
@pytest.mark.parametrize("mistake", re.split("; |\n", MISTAKES.strip()))
def test_python_refuses_what_would_go_wrong_when_compiled(mistake, dtype):
    """What lies before an array or beyond its end, and vectors of two dtypes."""
    with pytest.raises(AssertionError):
        eval(mistake, NAMES | {"x": np.zeros(40, dtype), "full": np.full})


# -- numbers that threads change at once: no change is lost

N = 1000 if numba.config.DISABLE_JIT else 1_000_000


@numba.njit(nogil=True)
def count(a, n):
    """Count n times to ``a[0]``, by additions, and to ``a[16]``, by exchanges."""
    for _ in range(n):
        added(a, 0, 1)
        old = observed(a, 16)
        while not swapped(a, 16, old, old + 1):
            old = observed(a, 16)


@pytest.mark.nojit
def test_all_threads_count():
    a = np.zeros(32, np.int64)
    count(a, 0)  # compiles it
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(count, [a] * 3, [N] * 3))
    assert (a[0], a[16]) == (3 * N, 3 * N)
    # an exchange tells what it has found
    assert (bool(swapped(a, 0, 1, 2)), a[0]) == (False, 3 * N)
    assert (bool(swapped(a, 0, 3 * N, 5)), added(a, 0, -2), a[0]) == (True, 5, 3)
