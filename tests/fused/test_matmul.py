"""The matrix products and every register tile: what they mean in Python equals their bits when compiled."""

import functools
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from traced_code import assert_same_bits, in_machine_code

from fastnn.compiler.lanes import horizontal_sum, store_horizontal_sums
from fastnn.compiler.memory_ops import get, lanes_of, load, offset
from fastnn.compiler.tracing import traced
from fastnn.compiler.vectors import Lanes, fma
from fastnn.fused import matmul
from fastnn.fused.layout import TRANSPOSE_FROM

compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="there is nothing to compare with")

PRODUCTS = [(rows, vectors) for rows in (8, 6, 4, 2, 1) for vectors in (2, 1)]  # of every CPU
INNERS = [(rows, cols) for rows in matmul.INNER_TILES for cols in matmul.INNER_TILES]
K = 13  # length of the sums


def in_panels(A, D, T, fan_in, fan_out, widths):
    """What iterates over the panels of A (fan_in, any), D (fan_out, any) and T that lie one behind the other."""

    def panels(*kept):
        first = 0
        for width in widths:
            yield offset(A, first * fan_in), *(offset(x, first * fan_out) for x in (D, T)), width, first > 0
            first += width

    return panels


@traced
def all_products(out, W, A, begun):
    """Each tile on its own stretch of `out`, in a panel of four vectors: what lies beside the tile must stay."""
    width = 4 * lanes_of(out)
    for k, (rows, vectors) in enumerate(PRODUCTS):
        Z, bias = matmul.Strided(offset(out, k * 8 * width), width), matmul.Strided(W, 2)
        matmul.product_tile(rows, vectors, Z, matmul.Matrix(W, 1, 9), matmul.Strided(A, width), bias, K, begun)


@traced
def all_inners(out, A, D, nothing):
    width = 4 * lanes_of(out)
    for k, (rows, cols) in enumerate(INNERS):
        panels = in_panels(A, D, D, 9, 9, (width // 4, width - width // 4))
        matmul.inner_tile(rows, cols, offset(out, k * 8 * width), panels, width, 1, 2, 5)


@functools.cache
def tiles_in_both(name, dtype, begun):
    function = globals()[f"all_{name}"]
    L, random_state = lanes_of(np.empty(0, dtype)), np.random.RandomState(2)
    first_array, second = (random_state.standard_normal(n).astype(dtype) for n in (K * 9 + 8 * 4 * L, K * 4 * L))
    pair = np.tile(random_state.standard_normal(len(PRODUCTS) * 8 * 4 * L).astype(dtype), (2, 1))
    function(pair[0], first_array, second, begun)
    in_machine_code(function)(pair[1], first_array, second, begun)
    return pair.reshape(2, len(PRODUCTS), -1)


@compiled
@pytest.mark.parametrize(("rows", "vectors"), PRODUCTS)
@pytest.mark.parametrize("begun", [0, 1])
def test_product_tile(rows, vectors, begun, dtype):
    python, machine = tiles_in_both("products", dtype, begun)[:, PRODUCTS.index((rows, vectors))]
    assert_same_bits(machine, python)


@compiled
@pytest.mark.parametrize(("rows", "cols"), INNERS)
def test_inner_tile(rows, cols, dtype):
    python, machine = tiles_in_both("inners", dtype, 0)[:, INNERS.index((rows, cols))]
    assert_same_bits(machine, python)


def drawn(dtype, *shapes):
    random_state = np.random.RandomState(3)
    return [random_state.standard_normal(shape).astype(dtype) for shape in shapes]


def chain(weights, panel, begin):
    """``begin + sum_k weights[k] * panel[k]``, by fma in ascending order of k, along the rows of the panel."""
    for w, row in zip(weights, panel, strict=True):
        begin = fma(np.full_like(row, w).view(Lanes), row.view(Lanes), begin.view(Lanes))
    return begin.view(np.ndarray)


@traced
def forward_product(Z, W, A, bias, fan_in, fan_out, width, packed):
    matmul.forward_product(Z, W, A, matmul.Strided(bias, 1), fan_in, fan_out, width, packed)


WIDE = matmul.TERMS + 1
PRODUCTS_OF_PANELS = [(1, 1, 1), (9, 5, 3), (15, 4, 2), (3, WIDE, 1), (261, 3, 2), (131, 5, 2), (53, WIDE, 2)]


@compiled
@pytest.mark.parametrize(("M", "K", "vectors"), PRODUCTS_OF_PANELS)
def test_products(M, K, vectors, dtype):
    """One chain of fma a result, whatever tile it falls into, and whether strips of W and of A are packed before."""
    L = lanes_of(np.empty(0, dtype))
    width = vectors * L
    W, A, bias = drawn(dtype, (K, M), (K, width), M)
    Z, padded, packed = (np.zeros((M, width), dtype), np.zeros(K * M + L, dtype), np.zeros(matmul.SUM_BLOCK * L, dtype))
    padded[: K * M] = W.reshape(-1)
    in_machine_code(forward_product)(Z.reshape(-1), padded, A.reshape(-1), bias, K, M, width, packed)
    of_panel, of_weights = np.split(packed, [(matmul.SUM_BLOCK - matmul.TERMS) * L])
    of_W = M >= matmul.PACK_FROM * L and width >= matmul.PACK_FROM * L // 8
    of_A = matmul.PACKS_PANELS and M >= matmul.STRIP_FROM and min(K, matmul.TERMS) * vectors >= matmul.CACHED
    assert (of_panel.any(), of_weights.any()) == (of_A and not of_W, of_W)
    assert_same_bits(Z, np.stack([chain(W[:, m], A, np.full(width, bias[m])) for m in range(M)]))
    turned_W, zeros = W.T.reshape(-1).copy(), np.zeros(L, dtype)
    packed = np.zeros(matmul.SUM_BLOCK * L, dtype)
    in_machine_code(matmul.backward_product)(Z.reshape(-1), turned_W, A.reshape(-1), zeros, packed, M, K, width)
    assert packed.any() == of_A
    assert_same_bits(Z, np.stack([chain(W[:, m], A, np.zeros(width, dtype)) for m in range(M)]))


class Layer(NamedTuple):
    fan_in: Any
    fan_out: Any
    transposes: Any


class Buffers(NamedTuple):
    zeros: Any
    packed: Any


@traced
def weight_gradient(G, A, D, T, zeros, packed, layer, n_first):
    layer, width = Layer(*(get(layer, k) for k in range(3))), 3 * lanes_of(G)
    panels = in_panels(A, D, T, layer.fan_in, layer.fan_out, (n_first, width - n_first))
    for _, D_here, T_here, width_here, _ in panels():
        matmul.transpose_delta(layer, T_here, D_here, width_here)
    matmul.weight_gradient(layer, Buffers(zeros, packed), G, panels, width)


@compiled
@pytest.mark.parametrize("fan_in", [1, 7, TRANSPOSE_FROM - 1, TRANSPOSE_FROM, 21])
@pytest.mark.parametrize("fan_out", [5, 16])
@pytest.mark.parametrize("n_first", [0, 2])
def test_weight_gradient(fan_in, fan_out, n_first, dtype):
    """A chain along the batch where deltas are transposed, else a chain a lane and the tree of `horizontal_sum`.

    The first vectors of columns, and the rest of them, are panels of their own.
    """
    L = lanes_of(np.empty(0, dtype))
    A, D = drawn(dtype, (fan_in, 3 * L), (fan_out, 3 * L))
    G, T = np.zeros((fan_in, fan_out), dtype), np.zeros((3 * L, fan_out), dtype)
    A_panels, D_panels = (np.concatenate([part.ravel() for part in np.split(x, [n_first * L], 1)]) for x in (A, D))
    arrays = (
        x.reshape(-1) for x in (G, A_panels, D_panels, T, np.zeros(L, dtype), np.zeros(matmul.SUM_BLOCK * L, dtype))
    )
    transposes = fan_in >= TRANSPOSE_FROM and fan_out % L == 0
    in_machine_code(weight_gradient)(*arrays, np.array([fan_in, fan_out, transposes]), n_first * L)
    if transposes:
        right = np.stack([chain(a, D.T.copy(), np.zeros(fan_out, dtype)) for a in A])
        assert_same_bits(T, D.T.copy())
    else:
        right = np.empty_like(G)
        for i, o in np.ndindex(G.shape):
            s = np.zeros(L, dtype).view(Lanes)
            for a, d in zip(A[i].reshape(-1, L), D[o].reshape(-1, L), strict=True):
                s = fma(a.view(Lanes), d.view(Lanes), s)
            right[i, o] = horizontal_sum(s)
        assert not T.any()
    assert_same_bits(G, right)


@compiled
@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("cols", [1, 2, 4])
def test_store_horizontal_sums(rows, cols, dtype):
    L = lanes_of(np.empty(0, dtype))
    (A,) = drawn(dtype, (rows * cols, L))
    G = np.zeros((rows, cols + 3), dtype)

    @traced
    def of_tile(G, A):
        step = cols + 3
        store_horizontal_sums([offset(G, i * step) for i in range(rows)], [load(A, k * L) for k in range(rows * cols)])

    in_machine_code(of_tile)(G.reshape(-1), A.reshape(-1))
    right = np.array([horizontal_sum(a.view(Lanes)) for a in A]).reshape(rows, cols)
    assert_same_bits(G, np.pad(right, [(0, 0), (0, 3)]))
