"""What a kernel is told and what it works in: the arguments of the entry points, as NamedTuples of arrays and numbers.

The panel layout, one block of a batch at a time. A block is up to ROW_BLOCK rows of the data, a panel its matrix
(features, width): one column per row of the block, one row per feature, contiguous. `width` is the number of rows
rounded up to whole vectors; the columns beyond the rows are padding, with row weight 0::

                        column 0 .. n-1: rows of the batch      n .. width-1: padding
    inputs   row 0      x[r0, 0]  x[r1, 0]  x[r2, 0]  ...       0 0 0
             row 1      x[r0, 1]  x[r1, 1]  x[r2, 1]  ...       0 0 0
    layer 1  row 0      a[r0, 0]  ...                           0 0 0
    ...

Every layer then vectorises over the batch, whatever its own width, and weights are broadcast. Where the row weight is
0, in padding or by the user's wish, inputs, hidden activations and deltas are set to 0 by selection, never by
multiplication: 0 times infinity must not become NaN, and what such a row holds must not show in any bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.fused.words import After, address
from fastnn.memory import ALIGNMENT, aligned_zeros, padded_size
from fastnn.network import ACTIVATIONS, LOSSES, Layer, Network
from fastnn.optimizers import OPTIMIZERS

ROW_BLOCK = 256
"""Rows of a block. Part of the format: the gradient is summed block by block, so changing it changes every hash."""

SUM_BLOCK = 512
"""Vectors that a product packs, so that they stay in the cache: of so many terms of a sum at a time, or of half."""

# columns of Model.layers
FAN_IN, FAN_OUT, WEIGHT, BIAS, N_BIAS, BIAS_STEP, END, PAIRS, INSIDE = range(9)
ACTIVATION, BELOW, INPUT, OUTPUT, SLOPES, SLOPES_BELOW, N_COLUMNS = range(9, 16)

SMALL = 256
"""Parameters up to which a layer is small, and has pairs. No bit depends on it."""


class Model(NamedTuple):
    """The network in numbers: one compiled kernel serves every network of a dtype."""

    layers: NDArray[np.int64]
    """(n_layers * N_COLUMNS,), a line a layer: widths; places of W and b in the flat vector; 0, 1 or fan_out biases and
    the step from a neuron's to the next; where its update ends; where its pairs begin, or -1; rows of W that end within
    it if read in whole vectors; codes of its activation and of that below; first row of the input and output panels in
    `Scratch.activations`, and in `Scratch.slopes`."""
    pairs: NDArray[np.int64]
    """(any,): for each number of a small layer, where the rows of its product begin in A and D, if these are narrow."""
    n_layers: int
    n_params: int
    tail: int  # the first layer whose last vectors may reach beyond the parameters
    n_outputs: int
    loss: int  # code of LOSSES, or MATCHED_POISSON
    matched: int  # 1: delta = a - y at the output
    times_bias: int  # 1: the tutorial's bias gradient
    mean: int  # 1: divide by the sum of the row weights
    block: int  # rows of a block
    alone: int  # 1: a block of one row is no panel, see `rows.py`; 0 where every block is a panel of one vector


MATCHED_POISSON = len(LOSSES)
"""The code of the Poisson loss where delta = a - y: no other loss has two derivatives."""


class Rule(NamedTuple):
    """The optimiser in numbers; its constants of the working dtype are in `Scratch.rates`."""

    code: int  # of OPTIMIZERS, or MOMENTUM
    stride: int  # from a vector of the state to the next
    sequential: int
    alpha: float
    beta_1: float
    beta_2: float
    weight_decay: float


MOMENTUM = len(OPTIMIZERS)
"""The code of SGD with momentum, which has one vector of state more than plain SGD."""

# places in Scratch.rates
ALPHA, SCALE, RATE, DECAY, HYPER, N_RATES = 0, 1, 2, 3, 4, 10


class Scratch(NamedTuple):
    """Buffers of the working dtype, each 64-byte aligned, made and owned by the back end for one call.

    Nothing in them outlives a step but `gradient` (read by `loss_and_gradient`), and the gathered inputs, targets and
    row weights while the same rows are trained on. No kernel reads what it has not written in the same call, except
    `rates`, `zeros` and what `gradient` holds beyond the parameters (zeros), which the back end fills.
    """

    params: NDArray
    """(padded n_params,): a copy, from which whole vectors may be read, of parameters that have no padding, or of their
    end."""
    activations: NDArray
    """(sum(sizes) + n_layers, width): panels of the inputs and of each layer's output, each with room for a row of ones
    behind it."""
    slopes: NDArray
    """The same shape: f'(z) of the activations that need z; one vector where no layer does."""
    targets: NDArray
    """(n_outputs, width)"""
    weight: NDArray
    """(width,): row weights; that of a block of one row in every lane."""
    delta: NDArray
    """(largest size + 1, width): delta of the layer that backward is at, and room for the sum of its rows."""
    delta_below: NDArray
    """The same shape: delta of the layer below; the two change places."""
    packed: NDArray
    """(SUM_BLOCK, one vector): a strip of a wide layer's weights, behind a strip of a panel where panels are packed."""
    turned: NDArray
    """(width, largest fan_out): delta with rows and columns exchanged, for a wide layer's gradient."""
    gradient: NDArray
    """(padded n_params,)"""
    block_gradient: NDArray
    """The same, of one block; one vector where a batch is one block."""
    rates: NDArray
    """(N_RATES padded,): what an update multiplies with, rounded once to the working dtype."""
    sum_of_l: NDArray
    """(one vector,): the block's loss, lane by lane."""
    check: NDArray
    """(one vector,): each parameter less itself, after its update; NaN when one is not finite."""
    squares: NDArray
    """(one vector,): the squares of the weights, lane by lane."""
    zeros: NDArray
    """(one vector,)"""
    rows_of_X: NDArray[np.int64]
    """(width,): where each row of the block begins in X."""
    rows_of_Y: NDArray[np.int64]
    """(width,): and in Y."""


def describe(network: Network, dtype: np.dtype, block: int = ROW_BLOCK) -> Model:
    """The `Model` of a network that computes in `dtype`."""
    table = np.zeros((network.n_layers, N_COLUMNS), np.int64)
    lanes = ALIGNMENT // dtype.itemsize
    panel, pairs = 0, []
    for line, layer in zip(table, network.layers, strict=True):
        line[FAN_IN], line[FAN_OUT], line[N_BIAS] = layer.fan_in, layer.fan_out, layer.n_bias
        line[WEIGHT], line[BIAS] = layer.weight.start, layer.bias.start
        line[BIAS_STEP] = layer.n_bias == layer.fan_out
        line[END] = layer.bias.stop
        line[INSIDE] = max(0, layer.fan_in - (-(-layer.fan_out // lanes) * lanes - 1) // layer.fan_out)
        line[ACTIVATION] = ACTIVATIONS[layer.activation].code
        line[INPUT], line[OUTPUT] = panel, panel + layer.fan_in + 1
        panel += layer.fan_in + 1
        line[PAIRS] = -1
        if layer.fan_in * layer.fan_out + layer.n_bias <= SMALL:
            line[PAIRS] = sum(map(len, pairs))
            pairs.append(_pairs(layer, lanes))
    table[1:, BELOW] = table[:-1, ACTIVATION]
    if _keeps_slopes(network):
        table[:, SLOPES], table[:, SLOPES_BELOW] = table[:, OUTPUT], table[:, INPUT]
    # the last layer is updated to the end of a vector: what follows it is padding
    table[-1, END] = table[-1, WEIGHT] + -(-(table[-1, END] - table[-1, WEIGHT]) // lanes) * lanes
    return Model(
        table.reshape(-1),
        np.concatenate([np.zeros(0, np.int64), *pairs]),
        network.n_layers,
        network.n_params,
        sum(network.n_params - layer.bias.stop >= lanes for layer in network.layers),
        network.n_outputs,
        MATCHED_POISSON if network.matched and network.loss == "poisson" else LOSSES[network.loss].code,
        int(network.matched),
        int(network.bias_gradient == "times_bias"),
        int(network.reduction == "mean"),
        block,
        int(block == 1 or block > lanes),
    )


def known_of(model: Model, rule: Rule, scratch: Scratch) -> tuple[Model, Rule, Scratch]:
    """What `train_steps` may take as known of its arguments, if it is compiled for one network, optimiser and block.

    The tables and sizes, which optimiser it is, and how far the buffers lie from one another; not where they are, nor
    any number of the optimiser's that changes from training to training.
    """
    start = address(scratch.params)
    distances = (After(address(buffer) - start) for buffer in scratch[1:])
    return model, rule._replace(alpha=None, beta_1=None, beta_2=None, weight_decay=None), Scratch(None, *distances)


def _pairs(layer: Layer, lanes: int) -> NDArray[np.int64]:
    """Of each number of a layer and of what fills the last vector: its row in A, its row in D, as places."""
    inputs, neurons = np.divmod(np.arange(layer.fan_in * layer.fan_out), layer.fan_out)
    of_bias = range(layer.fan_out) if layer.n_bias == layer.fan_out else [layer.fan_out] * layer.n_bias
    rows = [*zip(inputs, neurons, strict=True), *((layer.fan_in, row) for row in of_bias)]
    rows += [(0, 0)] * (-len(rows) % lanes)
    return np.array(rows, np.int64).reshape(-1) * lanes


def make_scratch(network: Network, dtype: np.dtype, rows: int, block: int) -> Scratch:
    """Buffers for batches of up to `rows` rows in blocks of `block`."""
    lanes = ALIGNMENT // dtype.itemsize
    width = -(-min(rows, block) // lanes) * lanes
    panels = (sum(network.sizes) + network.n_layers) * width
    vector = padded_size(network.n_params, dtype)
    sizes = {
        "params": vector,
        "activations": panels,
        "slopes": panels if _keeps_slopes(network) else lanes,
        "targets": network.n_outputs * width,
        "weight": width,
        "delta": (max(network.sizes) + 1) * width,
        "delta_below": (max(network.sizes) + 1) * width,
        "packed": SUM_BLOCK * lanes,
        "turned": max(network.sizes) * width,
        "gradient": vector,
        "block_gradient": vector if rows > block else lanes,
        "rates": padded_size(N_RATES, dtype),
        **dict.fromkeys(("sum_of_l", "check", "squares", "zeros"), lanes),
        **dict.fromkeys(("rows_of_X", "rows_of_Y"), width),
    }
    types = {name: np.dtype(np.int64) if name.startswith("rows_of") else dtype for name in sizes}
    memory = aligned_zeros(sum(n * types[name].itemsize for name, n in sizes.items()), np.uint8)
    buffers, start = {}, 0
    for name, n in sizes.items():  # each is whole vectors, so each begins at one
        stop = start + n * types[name].itemsize
        buffers[name] = memory[start:stop].view(types[name])
        start = stop
    return Scratch(**buffers)


def _keeps_slopes(network: Network) -> bool:
    return any(ACTIVATIONS[layer.activation].needs_z for layer in network.layers)
