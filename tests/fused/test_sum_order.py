"""The order in which a weight's gradient is summed over a batch's rows, which
docs/explanation/kernel.md promises."""

import numpy as np
import pytest
from bits import bits

from fastnn import SGD, Network, loss_and_gradient, train
from fastnn.compiler.lanes import horizontal_sum
from fastnn.compiler.vectors import fma
from fastnn.memory import ALIGNMENT, ROW_BLOCK

# parameters of a small layer at most; inputs of a layer whose sums are chains at least
SMALL, ENOUGH = (256, 16)


def products(A, D, total, row):
    """`total` (fan_in, fan_out), to which the products of a row are added, each rounded once with
    its sum."""
    a = np.repeat(A[row], D.shape[1])
    d = np.tile(D[row], A.shape[1])
    return np.asarray(fma(a, d, total.ravel())).reshape(total.shape)


def chain(A, D, lanes):
    total = np.zeros((A.shape[1], D.shape[1]), A.dtype)
    for row in range(len(A)):
        total = products(A, D, total, row)
    return total


def lane_by_lane(A, D, lanes):
    """Rows that are `lanes` apart in a chain each, then the tree of the horizontal sum."""
    chains = np.stack(
        [chain(A[lane::lanes], D[lane::lanes], lanes) for lane in range(lanes)], axis=-1
    )
    return np.apply_along_axis(horizontal_sum, -1, chains)


def in_blocks(order, A, D, lanes):
    first, *others = [
        order(A[b : b + ROW_BLOCK], D[b : b + ROW_BLOCK], lanes)
        for b in range(0, len(A), ROW_BLOCK)
    ]
    for other in others:
        first = first + other
    return first


# (inputs, neurons in vectors and single ones, bias), of which (20, 1, 0) are the 20-8 of float64
LAYERS = {
    "small": (ENOUGH, 1, 0, "none"),
    "small in float64": (20, 1, 0, "vector"),
    "just small in float64": (31, 1, 0, "vector"),
    "just not small": (32, 1, 0, "vector"),
    "one bias": (20, 1, 0, "scalar"),
    "too few inputs": (ENOUGH - 1, 2, 0, "vector"),
    "neurons beside the vectors": (20, 1, 1, "vector"),
    "neurons of less than a vector": (40, 0, 7, "vector"),
}


@pytest.mark.parametrize(
    ("layer", "rows"),
    [*((layer, rows) for layer in LAYERS for rows in (8, 9, 16, 17)), ("small", ROW_BLOCK + 4)],
)
def test_sums_over_rows_are_in_the_order_that_is_promised(layer, rows, dtype):
    fan_in, n_vectors, n_single, bias = LAYERS[layer]
    lanes = ALIGNMENT // np.dtype(dtype).itemsize
    fan_out = n_vectors * lanes + n_single
    network = Network((fan_in, fan_out), output="identity", bias=bias, reduction="sum")
    r = np.random.RandomState(rows)
    X, Y = (r.standard_normal((rows, n)).astype(dtype) for n in (fan_in, fan_out))
    sums = {order: in_blocks(order, X, -Y, lanes) for order in (chain, lane_by_lane)}
    assert bits(sums[chain]) != bits(sums[lane_by_lane])

    usual = chain if fan_in >= ENOUGH and fan_out % lanes == 0 else lane_by_lane
    start = np.zeros(network.n_params, dtype)  # outputs are 0, and delta is -Y
    gradient = loss_and_gradient(network, start, X, Y)[1]
    assert bits(network.weights(gradient)[0]) == bits(sums[usual])

    of_step = lane_by_lane if network.n_params <= SMALL and rows <= lanes else usual
    result = train(network, X, Y, params=start, optimizer=SGD(1.0), epochs=1, batch_size=None)
    assert bits(result.weights[0]) == bits(-sums[of_step])
