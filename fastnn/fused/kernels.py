"""The three entry points: train_steps, loss_and_gradient, predict. `model.py` draws the panels and names the buffers.

Each runs a batch block by block: gather, forward, loss and output delta, backward. They allocate nothing, raise
nothing, draw nothing at random and know no strings.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastnn.fused.jit import entry, inlined
from fastnn.fused.layers import copy, gather_panel, gather_rows, scatter_panel
from fastnn.fused.model import ALPHA, FAN_IN, N_COLUMNS, OUTPUT, SCALE, WEIGHT, Model, Rule, Scratch
from fastnn.fused.passes import add_rows_of_ones, backward, finish_gradients, forward, output_delta, square_weights
from fastnn.fused.places import at, get, lanes, load, places, put, store, zero
from fastnn.fused.rows import gather_row, padded
from fastnn.fused.shuffles import total
from fastnn.fused.updates import set_rates
from fastnn.state import Data, Steps


@inlined
def gather_block(scratch, model, data, rows, n):
    """Gather `n` rows, a block; its width and the sum of its weights."""
    n_inputs, n_outputs = get(model.layers, FAN_IN), model.n_outputs
    width = padded(n, lanes(data.X))
    if n == 1 and model.alone == 1:
        return width, gather_row(scratch, data, get(rows, 0), n_inputs, n_outputs)
    sum_of_weights = gather_rows(scratch, rows, n, data.sample_weight, n_inputs, n_outputs, width)
    if width == lanes(data.X):
        add_rows_of_ones(scratch, model, width)
    gather_panel(scratch.activations, data.X, scratch.rows_of_X, scratch.weight, n_inputs, width)
    gather_panel(scratch.targets, data.Y, scratch.rows_of_Y, scratch.weight, n_outputs, width)
    return width, sum_of_weights


@inlined
def padded_copy(scratch, model, params, l):
    """The parameters from layer `l` on at a place that is whole vectors long, where its beginning would be."""
    first = get(model.layers, l * N_COLUMNS + WEIGHT)
    copy(at(scratch.params, first), at(params, first), model.n_params - first)
    return scratch.params


@inlined
def block_loss(scratch, model, width, n):
    """The loss of the block, summed over its rows; delta of the output layer goes to `scratch.delta`."""
    output_delta(scratch, model, width, n)
    return float(get(scratch.sum_of_l, 0))  # in Python, a float32 would make the sum of all blocks one


@inlined
def penalty(scratch, model, params, alpha):
    """``alpha / 2`` times the sum of the squared weights."""
    if alpha == 0:
        return 0.0
    store(scratch.squares, 0, zero(params))
    square_weights(scratch, model, params)
    return alpha / 2 * float(total(load(scratch.squares, 0)))


@entry
def train_steps(
    vectors: NDArray,
    beta_products: NDArray[np.float64],
    n_steps: int,
    scratch: Scratch,
    model: Model,
    rule: Rule,
    data: Data,
    steps: Steps,
) -> int:
    """Train, changing `vectors` (1 + n_slots, rule.stride), `beta_products` (2,) and `steps.loss`; the good steps.

    `data` and `steps` are the back ends' Data and Steps, X and Y as one-dimensional arrays in C order. A step whose
    loss or parameters are not finite ends the call; a batch whose weights sum to 0 changes nothing.
    """
    vectors, beta_products, scratch, model = places(vectors), places(beta_products), places(scratch), places(model)
    rule, data, steps = places(rule), places(data), places(steps)
    gathered, width, block_weight = -1, 0, 0.0  # the step whose only block is still in the panels
    for s in range(n_steps):
        first, stop = get(steps.start, s), get(steps.stop, s)
        divisor, sum_of_losses, learning = 0.0, penalty(scratch, model, vectors, rule.alpha), False
        store(scratch.check, 0, zero(vectors))
        begin = first
        while begin < stop:  # a range with this step would divide
            n = min(model.block, stop - begin)
            if gathered < 0 or first != get(steps.start, gathered) or stop != get(steps.stop, gathered):
                width, block_weight = gather_block(scratch, model, data, at(steps.rows, begin), n)
                gathered = s if n == stop - first else -1
            divisor += block_weight
            learning = begin + n == stop and divisor > 0
            if learning:
                divisor = divisor if model.mean else 1.0
                set_rates(scratch.rates, rule, beta_products, get(steps.learning_rate, s), divisor)
            forward(scratch, model, vectors, vectors, width, n)
            sum_of_losses += block_loss(scratch, model, width, n)
            bare = get(scratch.rates, ALPHA) == 0 and get(scratch.rates, SCALE) == 1
            backward(scratch, model, rule, vectors, width, n, begin == first, learning, bare)
            begin += n
        sum_of_losses = sum_of_losses if learning else 0.0
        put(steps.loss, s, sum_of_losses / divisor if learning else 0.0)
        put(scratch.sum_of_l, 0, sum_of_losses)  # in the working dtype it overflows where the reference's does
        if not (math.isfinite(get(scratch.sum_of_l, 0)) and total(load(scratch.check, 0)) == 0):
            return s
    return n_steps


@entry
def loss_and_gradient(
    params: NDArray, n_rows: int, scratch: Scratch, model: Model, rule: Rule, data: Data, rows: NDArray[np.int64]
) -> float:
    """The loss of all rows as one batch; its gradient to `scratch.gradient` (padded n_params,)."""
    scratch, model, rule, data, rows = places(scratch), places(model), places(rule), places(data), places(rows)
    params = padded_copy(scratch, model, places(params), 0)
    divisor, sum_of_losses = 0.0, penalty(scratch, model, params, rule.alpha)
    for begin in range(0, n_rows, model.block):
        n = min(model.block, n_rows - begin)
        width, block_weight = gather_block(scratch, model, data, at(rows, begin), n)
        divisor += block_weight
        forward(scratch, model, params, params, width, n)
        sum_of_losses += block_loss(scratch, model, width, n)
        backward(scratch, model, rule, params, width, n, begin == 0, False, False)
    divisor = divisor if model.mean else 1.0
    put(scratch.rates, SCALE, 1 / divisor)
    finish_gradients(scratch, model, params)
    return sum_of_losses / divisor


@inlined
def gather_inputs(scratch, X, begin, n, n_inputs, width):
    """The inputs of `n` rows from `begin` on, all of weight 1."""
    for b in range(width):
        put(scratch.rows_of_X, b, (begin + min(b, n - 1)) * n_inputs)
        put(scratch.weight, b, 1 if b < n or n == 1 else 0)
    if n > 1:
        gather_panel(scratch.activations, X, scratch.rows_of_X, scratch.weight, n_inputs, width)
    else:
        copy(scratch.activations, at(X, begin * n_inputs), n_inputs)


@entry
def predict(out: NDArray, params: NDArray, n_rows: int, scratch: Scratch, model: Model, X: NDArray) -> None:
    """The outputs of all rows to `out` (n_rows * n_outputs,), a block at a time."""
    out, params, scratch, model, X = places(out), places(params), places(scratch), places(model), places(X)
    tail = padded_copy(scratch, model, params, model.tail)
    n_inputs, last = get(model.layers, FAN_IN), (model.n_layers - 1) * N_COLUMNS
    for begin in range(0, n_rows, model.block):
        n = min(model.block, n_rows - begin)
        width = padded(n, lanes(out))
        gather_inputs(scratch, X, begin, n, n_inputs, width)
        forward(scratch, model, params, tail, width, n)
        A = at(scratch.activations, get(model.layers, last + OUTPUT) * width)
        rows = at(out, begin * model.n_outputs)
        if n > 1:
            scatter_panel(rows, A, n, model.n_outputs, width)
        else:
            copy(rows, A, model.n_outputs)
