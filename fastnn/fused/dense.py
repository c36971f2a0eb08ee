"""A layer's way forward and back, on panels or on one row: what `layers`, `tiles` and `rows` have, put together.

Each function finds in the layer's line of `Model.layers` what it needs, and is outlined: LLVM optimises it by itself
before it puts it into the loop over the layers.
"""

from __future__ import annotations

from fastnn.fused.control import pick
from fastnn.fused.layer_table import Line
from fastnn.fused.layers import activate, activation_delta
from fastnn.fused.lowering import outlined
from fastnn.fused.places import at, lanes_of
from fastnn.fused.rows import activate_row, row_activation_delta, row_delta, row_product
from fastnn.fused.tiles import backward_product, forward_product


def _operands(layer, activations, numbers, zeros, width):
    """Z, W, A, the biases and the step from one to the next, fan_in, fan_out: what a product takes."""
    Z, A = at(activations, layer.output * width), at(activations, layer.input * width)
    bias = pick(layer.n_bias > 0, at(numbers, layer.bias), zeros)
    return Z, at(numbers, layer.weight), A, bias, layer.bias_step, layer.fan_in, layer.fan_out


@outlined
def forward_layer(line, activations, slopes, numbers, weight, zeros, packed, width):
    """The layer's activations, from those below it in the panels `activations`; `numbers` are the parameters."""
    layer = Line(line)
    Z, *operands, fan_out = _operands(layer, activations, numbers, zeros, width)
    forward_product(Z, *operands, fan_out, width, packed)
    activate(Z, at(slopes, layer.slopes * width), weight, fan_out, width, layer.activation)


@outlined
def row_forward_layer(line, activations, slopes, numbers, weight, zeros):
    """The same for a block of one row."""
    layer = Line(line)
    L = lanes_of(activations)
    z, *operands, fan_out = _operands(layer, activations, numbers, zeros, L)
    row_product(z, *operands, fan_out)
    activate_row(z, at(slopes, layer.slopes * L), weight, fan_out, layer.activation)


@outlined
def backward_layer(line, numbers, activations, slopes, delta, below, zeros, packed, width):
    """delta of the layer below, to `below`, from this layer's."""
    layer = Line(line)
    fan_in, A = layer.fan_in, at(activations, layer.input * width)
    W = at(numbers, layer.weight)
    backward_product(below, W, delta, zeros, packed, fan_in, layer.fan_out, width)
    activation_delta(below, A, at(slopes, layer.slopes_below * width), fan_in, width, layer.below)


@outlined
def row_backward_layer(line, numbers, activations, slopes, delta, below):
    """The same for a block of one row."""
    layer = Line(line)
    L, fan_in = lanes_of(activations), layer.fan_in
    row_delta(below, at(numbers, layer.weight), delta, fan_in, layer.fan_out)
    a, slopes_below = at(activations, layer.input * L), at(slopes, layer.slopes_below * L)
    row_activation_delta(below, a, slopes_below, fan_in, layer.below)
