"""Numbers that many networks have: what is written for vectors, and for sums over rows, is done for each network."""

import re

import numba
import numpy as np
import pytest
from traced_code import assert_same_bits, in_machine_code

from fastnn.compiler import control, lanes, memory_ops, vectors
from fastnn.compiler.lanes import add_padding, each_lane, has_padding, horizontal_sum
from fastnn.compiler.memory_ops import get, lanes_of, load, offset, put, store, zero
from fastnn.compiler.tracing import primitive, traced
from fastnn.compiler.vectors import Many, absolute, fma, in_double, sqrt
from fastnn.memory import ALIGNMENT, aligned_zeros

pytestmark = pytest.mark.nojit
N_COLUMNS = 48


def _many(a, like):
    return numba.types.CPointer(Many(a.dtype, ALIGNMENT * 8 // like.dtype.bitwidth))


def many_ir(a, like):
    return a.builder.bitcast(a.value, a.context.get_value_type(_many(a.type, like.type)))


@primitive(_many, many_ir)
def as_many(a, like):
    """A pointer to numbers of many networks, as many as a vector of another array's dtype has lanes."""
    return a.reshape(-1, ALIGNMENT // like.itemsize)


def changed_once(a, b, n):
    kept = [a]
    for _ in control.once(n > 2, kept):
        kept[0] = kept[0] * b
    return kept[0]


EXPRESSIONS = """
load(x, n); blend_prefix(n - 2, a, b); get(x, n); splat(offset(x, 1), n); zero(x); like(a, narrow_width(x, n))
like(a, lanes_of(x) + 100 * row_lanes_of(x)); (a + b * 2 - 0.1 / a) / -b; fma(a, b, -(a * b))
where_gt(a, b, sqrt(absolute(a)), b); from_bits(bits(a) | bits(b)); horizontal_sum(a); horizontal_sums([a])
transposed([b])[0]; changed_once(a, b, n)
"""
"""Of two vectors a and b, an array x and a number n."""

NAMES = {**vars(vectors), **vars(memory_ops), **vars(lanes), "changed_once": changed_once}
PRIMITIVES = [eval(f"lambda a, b, x, n: {text}", NAMES) for text in re.split("; |\n", EXPRESSIONS.strip())]


@traced
def all_primitives(out, doubles, x, n):
    out, doubles, x = as_many(out, out), as_many(doubles, out), as_many(x, out)
    for k, function in enumerate(PRIMITIVES):
        store(out, k, function(load(x, 0), load(x, 1), x, n))
    put(out, len(PRIMITIVES), 0.1)  # rounded once to each network's number
    put(out, len(PRIMITIVES) + 1, in_double(get(x, 0)) / 3)
    put(doubles, 0, in_double(get(x, 0)) / 3)
    put(doubles, 1, sqrt(in_double(absolute(get(x, 1)))))


@pytest.mark.parametrize("n", range(5))
def test_each_primitive_does_it_for_each_network(n, dtype):
    random, N = np.random.RandomState(n), ALIGNMENT // np.dtype(dtype).itemsize
    x = aligned_zeros(8 * N, np.dtype(dtype))
    x[:] = random.standard_normal(x.size)
    sizes = ((len(PRIMITIVES) + 2) * N, np.dtype(dtype)), (2 * N, np.dtype(np.float64))
    pairs = [tuple(aligned_zeros(*size) for size in sizes) for _ in range(2)]
    for function, (out, doubles) in zip((all_primitives, in_machine_code(all_primitives)), pairs, strict=True):
        function(out, doubles, x, n)
    for python, machine in zip(*pairs, strict=True):
        assert_same_bits(machine, python)
    numbers, x = pairs[1][0].reshape(-1, N), x.reshape(-1, N)
    assert_same_bits(numbers[0], x[n])
    assert_same_bits(numbers[1], x[0 if n > 2 else 1])
    assert_same_bits(numbers[-1], (x[0].astype(np.float64) / 3).astype(dtype))
    assert_same_bits(pairs[1][1][N:], np.sqrt(np.abs(x[1].astype(np.float64))))


def sum_of_products(a, b, width):
    """The sum over the columns of two rows of panels, with what padding adds to it."""
    s = [zero(a)]
    for columns in each_lane(a, width, s):
        for k in columns(width, s):
            s[0] = fma(load(a, k), load(b, k), s[0])
    return horizontal_sum(s[0])


@traced
def side_by_side(out, x, width):
    out, x = as_many(out, out), as_many(x, out)
    store(out, 0, sum_of_products(x, offset(x, N_COLUMNS), width))
    add_padding(out, 1, has_padding(out, width))


@traced
def one_by_one(out, x, width):
    for j in control.each(lanes_of(out)):
        row = offset(x, j * 2 * N_COLUMNS)
        put(out, j, sum_of_products(row, offset(row, N_COLUMNS), width))


@pytest.mark.parametrize("width", [1, 2, 6, 7, 8, 9, 15, 16, 17, 24, 31, 32, 40])
def test_a_sum_over_rows_has_the_order_of_each_network_alone(width, dtype):
    """Some networks' products are all -0.0, or underflow to it; padding beside these, of products 0.0, makes it 0.0."""
    random, N = np.random.RandomState(width), ALIGNMENT // np.dtype(dtype).itemsize
    x = random.standard_normal((N, 2, N_COLUMNS)).astype(dtype)
    x[0], x[1] = -np.finfo(dtype).tiny, np.where(np.arange(2)[:, None] > 0, 0.0, -1.0)
    x[0, 1] *= -1
    x[:, :, width:] = 0
    found, of_many = (aligned_zeros(shape, np.dtype(dtype)) for shape in ((2, 2, N), (2, N_COLUMNS, N)))
    of_many[...] = x.transpose(1, 2, 0)
    for k, compile_it in enumerate((lambda function: function, in_machine_code)):
        compile_it(side_by_side)(found[k, 0], of_many.reshape(-1), width)
        padded = -(-width // N) * N
        compile_it(one_by_one)(found[k, 1], x.reshape(-1), padded)
    assert_same_bits(found[:, 0], found[:, 1])
    assert numba.config.DISABLE_JIT or np.isfinite(found).all()
