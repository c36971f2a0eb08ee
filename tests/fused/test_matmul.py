"""The matrix products and every register tile: what they mean in Python equals their bits when
compiled."""

import numpy as np
import pytest
from bits import assert_same_bits_or_nan
from traced_code import in_machine_code

from fastnn.compiler.memory_ops import lanes_of, offset
from fastnn.compiler.tracing import traced
from fastnn.compiler.vectors import Lanes, fma
from fastnn.fused import matmul

PRODUCTS = [(rows, vectors) for rows in (8, 6, 4, 2, 1) for vectors in (2, 1)]  # of every CPU
INNERS = [(rows, cols) for rows in matmul.INNER_TILES for cols in matmul.INNER_TILES]
K = 13  # length of the sums


@traced
def all_products(out, W, A, begun):
    """Each tile on its own stretch of `out`, in a panel of four vectors: what lies beside the tile
    must stay."""
    width = 4 * lanes_of(out)
    for k, (rows, vectors) in enumerate(PRODUCTS):
        Z = matmul.Strided(offset(out, k * 8 * width), width)
        bias = matmul.Strided(W, 2)
        matmul.product_tile(
            rows, vectors, Z, matmul.Matrix(W, 1, 9), matmul.Strided(A, width), bias, K, begun
        )


@traced
def all_inners(out, A, D, nothing):
    width = 4 * lanes_of(out)

    def panels(*kept):
        for first, n in ((0, width // 4), (width // 4, width - width // 4)):
            yield *(offset(x, first * 9) for x in (A, D, D)), n, first > 0

    for k, (rows, cols) in enumerate(INNERS):
        matmul.inner_tile(rows, cols, offset(out, k * 8 * width), panels, width, 1, 2, 5)


@pytest.mark.parametrize(
    ("function", "begun"), [(all_products, 0), (all_products, 1), (all_inners, 0)]
)
def test_each_tile_has_the_bits_of_python(function, begun, dtype):
    L = lanes_of(np.empty(0, dtype))
    first, second, out = drawn(
        dtype, K * 9 + 8 * 4 * L, K * 4 * L, len(PRODUCTS) * 8 * 4 * L, seed=2
    )
    python, machine = np.tile(out, (2, 1))
    function(python, first, second, begun)
    in_machine_code(function)(machine, first, second, begun)
    assert_same_bits_or_nan(machine, python)


def drawn(dtype, *shapes, seed=3):
    random_state = np.random.RandomState(seed)
    return [random_state.standard_normal(shape).astype(dtype) for shape in shapes]


def chain(weights, panel, begin):
    """``begin + sum_k weights[k] * panel[k]``, by fma in ascending order of k, along the rows of
    the panel."""
    for w, row in zip(weights, panel, strict=True):
        begin = fma(np.full_like(row, w).view(Lanes), row.view(Lanes), begin.view(Lanes))
    return begin.view(np.ndarray)


def products(W, A, bias):
    """``bias + W.T @ A``, each number by its chain."""
    begin = np.repeat(bias[:, None], A.shape[1], axis=1)
    return np.stack([chain(*row) for row in zip(W.T, [A] * len(bias), begin, strict=True)])


@traced
def forward_product(Z, W, A, bias, fan_in, fan_out, width, packed):
    matmul.forward_product(Z, W, A, matmul.Strided(bias, 1), fan_in, fan_out, width, packed)


WIDE = matmul.TERMS + 1
PRODUCTS_OF_PANELS = [
    (1, 1, 1),
    (9, 5, 3),
    (15, 4, 2),
    (3, WIDE, 1),
    (261, 3, 2),
    (131, 5, 2),
    (53, WIDE, 2),
]


def packs_panels(M, K, vectors):
    """Whether strips of A are packed before a product."""
    has_work = min(K, matmul.TERMS) * vectors >= matmul.CACHED
    return matmul.PACKS_PANELS and M >= matmul.STRIP_FROM and has_work


@pytest.mark.parametrize(("M", "K", "vectors"), PRODUCTS_OF_PANELS)
def test_forward_products(M, K, vectors, dtype):
    """One chain of fma a result, whatever tile it falls into, and whether strips of W and of A are
    packed before."""
    L = lanes_of(np.empty(0, dtype))
    width = vectors * L
    W, A, bias = drawn(dtype, (K, M), (K, width), M)
    padded_W = np.concatenate([W.reshape(-1), np.zeros(L, dtype)])
    Z = np.zeros((M, width), dtype)
    packed = np.zeros(matmul.SUM_BLOCK * L, dtype)
    call = in_machine_code(forward_product)
    call(Z.reshape(-1), padded_W, A.reshape(-1), bias, K, M, width, packed)
    assert_same_bits_or_nan(Z, products(W, A, bias))
    of_panel, of_weights = np.split(packed, [(matmul.SUM_BLOCK - matmul.TERMS) * L])
    packs_weights = M >= matmul.PACK_FROM * L and width >= matmul.PACK_FROM * L // 8
    assert of_weights.any() == packs_weights
    assert of_panel.any() == (packs_panels(M, K, vectors) and not packs_weights)


@pytest.mark.parametrize(("M", "K", "vectors"), PRODUCTS_OF_PANELS)
def test_backward_products(M, K, vectors, dtype):
    L = lanes_of(np.empty(0, dtype))
    width = vectors * L
    W, A = drawn(dtype, (K, M), (K, width))
    turned_W = W.T.reshape(-1).copy()
    Z = np.zeros((M, width), dtype)
    zeros = np.zeros(L, dtype)
    packed = np.zeros(matmul.SUM_BLOCK * L, dtype)
    call = in_machine_code(matmul.backward_product)
    call(Z.reshape(-1), turned_W, A.reshape(-1), zeros, packed, M, K, width)
    assert_same_bits_or_nan(Z, products(W, A, np.zeros(M, dtype)))
    assert packed.any() == packs_panels(M, K, vectors)
