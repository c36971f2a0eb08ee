"""The three entry points: train_steps, loss_and_gradient, predict. `model.py` draws the panels and names the buffers.

Each runs a batch block by block: gather, forward, loss and output delta, backward. They allocate nothing, raise
nothing, draw nothing at random and know no strings.
"""

from __future__ import annotations

import math

from fastnn.fused.jit import entry, inlined
from fastnn.fused.layers import activate, activation_delta, bias_gradient, gather_panel, gather_rows
from fastnn.fused.losses import output_loss
from fastnn.fused.model import (
    ACTIVATION,
    BIAS,
    DECAY,
    FAN_IN,
    FAN_OUT,
    INPUT,
    N_BIAS,
    OUTPUT,
    RATE,
    SCALE,
    WEIGHT,
)
from fastnn.fused.simd import at, get, lanes, load, put, store, total, zero
from fastnn.fused.tiles import inner_product, product
from fastnn.fused.updates import ADAM, ADAMW, add, add_squares, finish_gradient, update


@inlined
def gather_block(scratch, model, X, Y, sample_weight, rows):
    """Gather the rows of a block; its width and the sum of its weights."""
    n_inputs, n_outputs = model.layers[0, FAN_IN], model.layers[-1, FAN_OUT]
    width = (len(rows) + lanes(X) - 1) // lanes(X) * lanes(X)
    sum_of_weights = gather_rows(scratch, rows, sample_weight, n_inputs, n_outputs, width)
    gather_panel(scratch.activations, X, scratch.places, scratch.weight, n_inputs, width)
    gather_panel(scratch.targets, Y, at(scratch.places, width), scratch.weight, n_outputs, width)
    return width, sum_of_weights


@inlined
def forward(scratch, model, params, width):
    """Each layer's activations from those of the layer below, from panel to panel of `scratch.activations`."""
    for layer in model.layers:
        Z = at(scratch.activations, layer[OUTPUT] * width)
        W, A = at(params, layer[WEIGHT]), at(scratch.activations, layer[INPUT] * width)
        fan_in, fan_out = layer[FAN_IN], layer[FAN_OUT]
        bias = at(params, layer[BIAS]) if layer[N_BIAS] else scratch.zeros
        bias_step = 1 if layer[N_BIAS] == fan_out else 0
        product(Z, W, 1, fan_out, A, bias, bias_step, fan_out, fan_in, width)
        activate(Z, at(scratch.slopes, slope(scratch, layer, width)), scratch.weight, fan_out, width, layer[ACTIVATION])


@inlined
def slope(scratch, layer, width):
    """Where a layer's panel of f'(z) lies, if the network keeps any."""
    return layer[OUTPUT] * width if len(scratch.slopes) == len(scratch.activations) else 0


@inlined
def block_loss(scratch, model, width):
    """The loss of the block, summed over its rows; delta of the output layer goes to `scratch.delta`."""
    layer = model.layers[-1]
    A = at(scratch.activations, layer[OUTPUT] * width)
    slopes = at(scratch.slopes, slope(scratch, layer, width))
    fan_out, activation = layer[FAN_OUT], layer[ACTIVATION]
    output_loss(
        scratch.sums, scratch.delta, A, slopes, scratch.targets, scratch.weight, fan_out, width,
        model.loss, model.matched, activation,
    )  # fmt: skip
    return total(load(scratch.sums, 0))


@inlined
def backward(scratch, model, rule, vectors, stride, width, first_block, updating):
    """From the output to the input: each layer's gradient, its update after the last block, and delta below it.

    The gradient of the first block is written to `scratch.gradient`, that of another one added. With ``sequential``
    the layer is updated before delta is carried below it, otherwise after: delta takes the weights as they are.
    """
    delta, below = scratch.delta, scratch.delta_below
    gradient = scratch.gradient if first_block else scratch.block_gradient
    check = at(scratch.sums, lanes(vectors))
    for l in range(len(model.layers) - 1, -1, -1):
        layer = model.layers[l]
        fan_in, fan_out, n_bias = layer[FAN_IN], layer[FAN_OUT], layer[N_BIAS]
        low, middle = layer[WEIGHT], layer[BIAS]
        high = middle + n_bias
        W, A = at(vectors, low), at(scratch.activations, layer[INPUT] * width)
        inner_product(at(gradient, low), A, delta, fan_in, fan_out, width)
        bias_gradient(
            at(gradient, middle), delta, at(vectors, middle), n_bias, fan_out, width, model.times_bias
        )
        if not first_block:
            add(scratch.gradient, gradient, low, high)
        if updating and rule.sequential:
            update(vectors, stride, scratch.gradient, scratch.rates, check, low, middle, high, rule.code)
        if l > 0:
            product(below, W, fan_out, 1, delta, scratch.zeros, 0, fan_in, fan_out, width)
            slopes = at(scratch.slopes, slope(scratch, model.layers[l - 1], width))
            activation_delta(below, A, slopes, fan_in, width, model.layers[l - 1, ACTIVATION])
        if updating and not rule.sequential:
            update(vectors, stride, scratch.gradient, scratch.rates, check, low, middle, high, rule.code)
        delta, below = below, delta


@inlined
def penalty(scratch, model, params, alpha):
    """``alpha / 2`` times the sum of the squared weights."""
    if alpha == 0:
        return 0.0
    squares = at(scratch.sums, 2 * lanes(params))
    store(squares, 0, zero(squares))
    for layer in model.layers:
        add_squares(squares, params, layer[WEIGHT], layer[BIAS])
    return alpha / 2 * total(load(squares, 0))


@inlined
def set_rates(rates, rule, beta_products, learning_rate, divisor):
    """What this step's update multiplies with, formed in float64 and rounded once to the working dtype."""
    beta_products[0] *= rule.beta_1
    beta_products[1] *= rule.beta_2
    rate = learning_rate
    if rule.code == ADAM or rule.code == ADAMW:
        rate = learning_rate * math.sqrt(1 - beta_products[1]) / (1 - beta_products[0])
    put(rates, RATE, rate)
    put(rates, DECAY, learning_rate * rule.weight_decay)
    put(rates, SCALE, 1 / divisor)


@entry
def train_steps(vectors, stride, beta_products, loss, scratch, model, rule, data, steps):
    """Train, changing `vectors` (1 + n_slots, stride), `beta_products` (2,) and `loss` (n_steps,); the good steps.

    `data` and `steps` are the back ends' Data and Steps, X and Y as one-dimensional arrays in C order. A step whose
    loss or parameters are not finite ends the call; a batch whose weights sum to 0 changes nothing.
    """
    check = at(scratch.sums, lanes(vectors))
    gathered, width, block_weight = -1, 0, 0.0  # the step whose only block is still in the panels
    for s in range(len(loss)):
        first, stop = steps.start[s], steps.stop[s]
        divisor, sum_of_losses, learning = 0.0, penalty(scratch, model, vectors, rule.alpha), False
        store(check, 0, zero(vectors))
        for begin in range(first, stop, model.block):
            end = min(begin + model.block, stop)
            if gathered < 0 or first != steps.start[gathered] or stop != steps.stop[gathered]:
                width, block_weight = gather_block(
                    scratch, model, data.X, data.Y, data.sample_weight, steps.rows[begin:end]
                )
                gathered = s if end - begin == stop - first else -1
            divisor += block_weight
            learning = end == stop and divisor > 0
            if learning:
                divisor = divisor if model.mean else 1.0
                set_rates(scratch.rates, rule, beta_products, steps.learning_rate[s], divisor)
            forward(scratch, model, vectors, width)
            sum_of_losses += block_loss(scratch, model, width)
            backward(scratch, model, rule, vectors, stride, width, begin == first, learning)
        loss[s] = sum_of_losses / divisor if learning else 0.0
        if not (math.isfinite(loss[s]) and total(load(check, 0)) == 0):
            return s
    return len(loss)


@entry
def loss_and_gradient(gradient, params, scratch, model, rule, data, rows):
    """The loss of all rows as one batch; its gradient to `gradient` (padded n_params,), which is scratch.gradient."""
    divisor, sum_of_losses = 0.0, penalty(scratch, model, params, rule.alpha)
    for begin in range(0, len(rows), model.block):
        width, block_weight = gather_block(
            scratch, model, data.X, data.Y, data.sample_weight, rows[begin : begin + model.block]
        )
        divisor += block_weight
        forward(scratch, model, params, width)
        sum_of_losses += block_loss(scratch, model, width)
        backward(scratch, model, rule, params, len(params), width, begin == 0, False)
    if not model.mean:
        divisor = 1.0
    put(scratch.rates, SCALE, 1 / divisor)
    for layer in model.layers:
        finish_gradient(gradient, params, scratch.rates, layer[WEIGHT], layer[BIAS], layer[BIAS] + layer[N_BIAS])
    return sum_of_losses / divisor


@entry
def predict(out, params, scratch, model, X):
    """The outputs of all rows to `out` (n * n_outputs,), a block at a time."""
    n_inputs, last = model.layers[0, FAN_IN], model.layers[-1]
    n_outputs = last[FAN_OUT]
    n = len(out) // n_outputs
    for begin in range(0, n, model.block):
        rows = min(model.block, n - begin)
        width = (rows + lanes(out) - 1) // lanes(out) * lanes(out)
        for b in range(width):
            put(scratch.places, b, (begin + min(b, rows - 1)) * n_inputs)
            put(scratch.weight, b, 1 if b < rows else 0)
        gather_panel(scratch.activations, X, scratch.places, scratch.weight, n_inputs, width)
        forward(scratch, model, params, width)
        A = at(scratch.activations, last[OUTPUT] * width)
        for b in range(rows):
            for o in range(n_outputs):
                put(out, (begin + b) * n_outputs + o, get(A, o * width + b))
