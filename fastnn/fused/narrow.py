"""The gradient of a small layer from a block of a few rows, one vector: whole vectors of it, made where they are used.

A tile of weights would be the corner of one here, and its results, written number by number, would hold up the update
that reads them as vectors. So the layer's numbers, weights and then biases, are gone through in the order in which they
lie, as many at a time as a vector has lanes. Each is the total of one product of two rows of the panels, and
`Model.pairs` says which. The bias of a neuron counts as the weight of an input that is always 1. All functions here are
parts of traced ones.
"""

from __future__ import annotations

from fastnn.fused.control import each
from fastnn.fused.places import get, lanes_of, load, store, zero
from fastnn.fused.shuffles import totals
from fastnn.fused.simd import fma, like


def add_row_of_ones(A, fan_in):
    """The input that is always 1: a row of the panel, behind the others."""
    store(A, fan_in * lanes_of(A), like(zero(A), 1.0))


def add_sum_of_rows(D, fan_out):
    """The delta of a bias that all neurons share: a row of the panel, behind the others."""
    L = lanes_of(D)
    rest, s = fan_out - 1, [load(D, 0)]
    for k in each(rest, s):
        s[0] = s[0] + load(D, (k + 1) * L)
    store(D, fan_out * L, s[0])


def narrow_gradient(A, D, pairs, k):
    """The numbers k, k + 1, ... of the layer's gradient, a vector."""
    rows = [(get(pairs, 2 * (k + j)), get(pairs, 2 * (k + j) + 1)) for j in range(lanes_of(A))]
    return totals([fma(load(A, a), load(D, d), zero(A)) for a, d in rows])
