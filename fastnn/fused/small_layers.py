"""The gradient of a small layer from a block of one vector of rows, made where the update uses it, vector by vector.

For so small a layer a register tile is mostly empty, and scalar stores followed by vector loads would stall the update.
So the update walks through the layer's numbers, weights and then biases, in the order in which they lie, a vector at a
time. Each number is the horizontal sum of one product of two rows of the panels, and `Model.gather_indices` says which
two. The bias of a neuron counts as the weight of an input that is always 1.

All functions here are parts of traced ones; the panels are those of the workspace, `Scratch`.
"""

from __future__ import annotations

from fastnn.compiler.control import each
from fastnn.compiler.lanes import horizontal_sums
from fastnn.compiler.memory_ops import get, lanes_of, load, store, zero
from fastnn.compiler.vectors import fma, like


def add_row_of_ones(A, fan_in):
    """Write the input that is always 1 as row `fan_in` of the panel A (fan_in + 1, one vector)."""
    store(A, fan_in * lanes_of(A), like(zero(A), 1.0))


def add_sum_of_rows(D, fan_out):
    """Write the delta of a bias that all neurons share as row `fan_out` of the panel D (fan_out + 1, one vector)."""
    L = lanes_of(D)
    rest, s = fan_out - 1, [load(D, 0)]  # begun with the first row, as in `dense.bias_gradient`
    for k in each(rest, s):
        s[0] = s[0] + load(D, (k + 1) * L)
    store(D, fan_out * L, s[0])


def small_layer_gradient(A, D, gather_indices, k):
    """Return the numbers k, k + 1, ... of the layer's gradient, a vector: one horizontal sum in each lane."""
    # As many horizontal sums as there are lanes are folded together: 7 additions of vectors, or 15, not 24 or 64.
    lanes = range(lanes_of(A))
    rows = [(get(gather_indices, 2 * (k + j)), get(gather_indices, 2 * (k + j) + 1)) for j in lanes]
    return horizontal_sums([fma(load(A, a), load(D, d), zero(A)) for a, d in rows])
