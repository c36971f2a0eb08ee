"""The three entry points: train_steps, loss_and_gradient, predict. `model.py` draws the panels and names the buffers.

Each runs a batch block by block: gather, forward, loss and output delta, backward. They allocate nothing, raise
nothing, draw nothing at random and know no strings.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastnn.fused.dense import backward_layer, forward_layer, row_backward_layer, row_forward_layer
from fastnn.fused.jit import entry, inlined
from fastnn.fused.layers import activation_delta, bias_gradient, copy, gather_panel, gather_rows, scatter_panel
from fastnn.fused.losses import output_loss, row_loss
from fastnn.fused.model import (
    ACTIVATION,
    ALPHA,
    BIAS,
    END,
    FAN_IN,
    FAN_OUT,
    INPUT,
    N_BIAS,
    N_COLUMNS,
    OUTPUT,
    PAIRS,
    SCALE,
    SLOPES,
    WEIGHT,
    Model,
    Rule,
    Scratch,
)
from fastnn.fused.narrow import add_row_of_ones, add_sum_of_rows
from fastnn.fused.places import at, get, lanes, load, places, put, store, zero
from fastnn.fused.rows import gather_row, outer_product, padded, row_activation_delta, row_bias_gradient
from fastnn.fused.shuffles import total
from fastnn.fused.tiles import weight_gradient
from fastnn.fused.updates import add, add_squares, finish_gradient, narrow_update, row_update, set_rates, update
from fastnn.state import Data, Steps


@inlined
def gather_block(scratch, model, data, rows, n):
    """Gather `n` rows, a block; its width and the sum of its weights."""
    n_inputs, n_outputs = get(model.layers, FAN_IN), model.n_outputs
    width = padded(n, lanes(data.X))
    if n == 1:
        return width, gather_row(scratch, data, get(rows, 0), n_inputs, n_outputs)
    sum_of_weights = gather_rows(scratch, rows, n, data.sample_weight, n_inputs, n_outputs, width)
    if width == lanes(data.X):
        for l in range(model.n_layers):
            layer = layer_line(model, l)
            add_row_of_ones(at(scratch.activations, get(layer, INPUT) * width), get(layer, FAN_IN))
    gather_panel(scratch.activations, data.X, scratch.rows_of_X, scratch.weight, n_inputs, width)
    gather_panel(scratch.targets, data.Y, scratch.rows_of_Y, scratch.weight, n_outputs, width)
    return width, sum_of_weights


@inlined
def padded_copy(scratch, model, params, l):
    """The parameters from layer `l` on at a place that is whole vectors long, where its beginning would be."""
    first = get(layer_line(model, l), WEIGHT)
    copy(at(scratch.params, first), at(params, first), model.n_params - first)
    return scratch.params


@inlined
def layer_line(model, l):
    """The line of layer `l` in the table of the layers."""
    return at(model.layers, l * N_COLUMNS)


@inlined
def forward(scratch, model, params, tail, width, n):
    """Each layer's activations from those of the layer below, from panel to panel of `scratch.activations`.

    `tail` takes the place of `params` where whole vectors of these may end beyond them. A block of one row has its
    activations side by side.
    """
    for l in range(model.n_layers):
        layer = layer_line(model, l)
        numbers = params if l < model.tail else tail
        activations, slopes, weight, zeros = scratch.activations, scratch.slopes, scratch.weight, scratch.zeros
        if n > 1:
            forward_layer(layer, activations, slopes, numbers, weight, zeros, scratch.packed, width)
        else:
            row_forward_layer(layer, activations, slopes, numbers, weight, zeros)


@inlined
def block_loss(scratch, model, width, n):
    """The loss of the block, summed over its rows; delta of the output layer goes to `scratch.delta`."""
    layer = layer_line(model, model.n_layers - 1)
    A, slopes = at(scratch.activations, get(layer, OUTPUT) * width), at(scratch.slopes, get(layer, SLOPES) * width)
    sum_of_l, D, Y, weight = scratch.sum_of_l, scratch.delta, scratch.targets, scratch.weight
    n_outputs, code = model.n_outputs, get(layer, ACTIVATION)
    if n > 1:
        output_loss(model.loss, sum_of_l, D, A, Y, weight, n_outputs, width)
        if not model.matched:
            activation_delta(D, A, slopes, n_outputs, width, code)
    else:
        row_loss(model.loss, sum_of_l, D, A, Y, weight, n_outputs, scratch.delta_below)
        if not model.matched:
            row_activation_delta(D, A, slopes, n_outputs, code)
    return float(get(scratch.sum_of_l, 0))  # in Python, a float32 would make the sum of all blocks one


@inlined
def backward(scratch, model, rule, vectors, width, n, first_block, updating):
    """From the output to the input: each layer's gradient, its update after the last block, and delta below it.

    The gradient of the first block is written to `scratch.gradient`, that of another one added. With ``sequential``
    the layer is updated before delta is carried below it, otherwise after: delta takes the weights as they are.
    """
    L = lanes(vectors)
    delta, below = scratch.delta, scratch.delta_below
    gradient = scratch.gradient if first_block else scratch.block_gradient
    for l in range(model.n_layers - 1, -1, -1):
        layer = layer_line(model, l)
        fan_in, fan_out, n_bias = get(layer, FAN_IN), get(layer, FAN_OUT), get(layer, N_BIAS)
        low, middle = get(layer, WEIGHT), get(layer, BIAS)
        b, A = at(vectors, middle), at(scratch.activations, get(layer, INPUT) * width)
        dW, db = at(gradient, low), at(gradient, middle)
        # Where it can, the update makes the gradient of the weights on its way.
        small = updating and first_block and n > 1 and width == L and get(layer, PAIRS) >= 0
        whole = updating and first_block and n == 1 and fan_out % L == 0
        if small and n_bias < fan_out:
            add_sum_of_rows(delta, fan_out)
        if n == 1:
            row_bias_gradient(db, delta, b, fan_out, n_bias, model.times_bias)
            if not whole:
                outer_product(dW, A, delta, fan_in, fan_out)
        elif not small:
            weight_gradient(dW, A, delta, scratch.turned, scratch.zeros, scratch.packed, fan_in, fan_out, width)
            bias_gradient(db, delta, b, n_bias, fan_out, width, model.times_bias)
        if not first_block:
            add(scratch.gradient, gradient, low, middle + n_bias)
        if updating and rule.sequential:
            update_layer(scratch, model, rule, vectors, layer, A, delta, small, whole)
        if l > 0:
            activations, slopes, zeros = scratch.activations, scratch.slopes, scratch.zeros
            if n > 1:
                backward_layer(layer, vectors, activations, slopes, delta, below, zeros, scratch.packed, width)
            else:
                row_backward_layer(layer, vectors, activations, slopes, delta, below)
        if updating and not rule.sequential:
            update_layer(scratch, model, rule, vectors, layer, A, delta, small, whole)
        delta, below = below, delta


@inlined
def update_layer(scratch, model, rule, vectors, layer, A, delta, small, whole):
    """A layer's update, by its gradient in `scratch.gradient` or by one that is made of A and delta on the way."""
    low, middle, high = get(layer, WEIGHT), get(layer, BIAS), get(layer, END)
    rates, check = scratch.rates, scratch.check
    if small:
        pairs, high = at(model.pairs, get(layer, PAIRS)), middle + get(layer, N_BIAS)
        narrow_update(
            rule.code, vectors, rule.stride, A, delta, pairs, model.times_bias, rates, check, low, middle, high
        )
    else:
        if whole:
            fan_in, fan_out = get(layer, FAN_IN), get(layer, FAN_OUT)
            bare = 1 if get(rates, ALPHA) == 0 and get(rates, SCALE) == 1 else 0
            row_update(rule.code, vectors, rule.stride, A, delta, rates, check, low, fan_in, fan_out, bare)
            low = middle
        update(rule.code, vectors, rule.stride, scratch.gradient, rates, check, low, middle, high)


@inlined
def penalty(scratch, model, params, alpha):
    """``alpha / 2`` times the sum of the squared weights."""
    if alpha == 0:
        return 0.0
    store(scratch.squares, 0, zero(params))
    for l in range(model.n_layers):
        layer = layer_line(model, l)
        add_squares(scratch.squares, params, get(layer, WEIGHT), get(layer, BIAS))
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
            backward(scratch, model, rule, vectors, width, n, begin == first, learning)
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
        backward(scratch, model, rule, params, width, n, begin == 0, False)
    divisor = divisor if model.mean else 1.0
    put(scratch.rates, SCALE, 1 / divisor)
    for l in range(model.n_layers):
        layer = layer_line(model, l)
        low, middle = get(layer, WEIGHT), get(layer, BIAS)
        finish_gradient(scratch.gradient, params, scratch.rates, low, middle, middle + get(layer, N_BIAS))
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
    n_inputs, last = get(model.layers, FAN_IN), layer_line(model, model.n_layers - 1)
    for begin in range(0, n_rows, model.block):
        n = min(model.block, n_rows - begin)
        width = padded(n, lanes(out))
        gather_inputs(scratch, X, begin, n, n_inputs, width)
        forward(scratch, model, params, tail, width, n)
        A = at(scratch.activations, get(last, OUTPUT) * width)
        rows = at(out, begin * model.n_outputs)
        if n > 1:
            scatter_panel(rows, A, n, model.n_outputs, width)
        else:
            copy(rows, A, model.n_outputs)
