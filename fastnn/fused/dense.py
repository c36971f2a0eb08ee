"""A layer's way forward and back, on panels or on one row: what `layers`, `tiles` and `rows` have, put together.

Each function finds in the layer's line of `Model.layers` what it needs, and is outlined: LLVM optimises it by itself
before it puts it into the loop over the layers.
"""

from __future__ import annotations

from fastnn.fused.control import choose
from fastnn.fused.layers import activate, activation_delta
from fastnn.fused.lowering import outlined
from fastnn.fused.model import (
    ACTIVATION,
    BELOW,
    BIAS,
    BIAS_STEP,
    FAN_IN,
    FAN_OUT,
    INPUT,
    N_BIAS,
    OUTPUT,
    SLOPES,
    SLOPES_BELOW,
    WEIGHT,
)
from fastnn.fused.places import at, get, lanes_of
from fastnn.fused.rows import activate_row, row_activation_delta, row_delta, row_product
from fastnn.fused.tiles import backward_product, forward_product


def _operands(layer, activations, numbers, zeros, width):
    """Z, W, A, the biases and the step from one to the next, fan_in, fan_out: what a product takes."""
    Z, A = at(activations, get(layer, OUTPUT) * width), at(activations, get(layer, INPUT) * width)
    (bias,) = choose(get(layer, N_BIAS), lambda: [at(numbers, get(layer, BIAS))], lambda: [zeros])
    return Z, at(numbers, get(layer, WEIGHT)), A, bias, get(layer, BIAS_STEP), get(layer, FAN_IN), get(layer, FAN_OUT)


@outlined
def forward_layer(layer, activations, slopes, numbers, weight, zeros, packed, width):
    """The layer's activations, from those below it in the panels `activations`; `numbers` are the parameters."""
    Z, *operands, fan_out = _operands(layer, activations, numbers, zeros, width)
    forward_product(Z, *operands, fan_out, width, packed)
    activate(Z, at(slopes, get(layer, SLOPES) * width), weight, fan_out, width, get(layer, ACTIVATION))


@outlined
def row_forward_layer(layer, activations, slopes, numbers, weight, zeros):
    """The same for a block of one row."""
    L = lanes_of(activations)
    z, *operands, fan_out = _operands(layer, activations, numbers, zeros, L)
    row_product(z, *operands, fan_out)
    activate_row(z, at(slopes, get(layer, SLOPES) * L), weight, fan_out, get(layer, ACTIVATION))


@outlined
def backward_layer(layer, numbers, activations, slopes, delta, below, zeros, packed, width):
    """delta of the layer below, to `below`, from this layer's."""
    fan_in, A = get(layer, FAN_IN), at(activations, get(layer, INPUT) * width)
    W = at(numbers, get(layer, WEIGHT))
    backward_product(below, W, delta, zeros, packed, fan_in, get(layer, FAN_OUT), width)
    activation_delta(below, A, at(slopes, get(layer, SLOPES_BELOW) * width), fan_in, width, get(layer, BELOW))


@outlined
def row_backward_layer(layer, numbers, activations, slopes, delta, below):
    """The same for a block of one row."""
    L, fan_in = lanes_of(activations), get(layer, FAN_IN)
    row_delta(below, at(numbers, get(layer, WEIGHT)), delta, fan_in, get(layer, FAN_OUT))
    a, slopes_below = at(activations, get(layer, INPUT) * L), at(slopes, get(layer, SLOPES_BELOW) * L)
    row_activation_delta(below, a, slopes_below, fan_in, get(layer, BELOW))
