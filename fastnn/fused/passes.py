"""A block's way through the network: forward from layer to layer, its loss, and back with gradients and updates.

Traced as a whole, so that a kernel compiled for one network knows what stands in the tables of `Model` and `Rule`.
"""

from __future__ import annotations

from fastnn.fused.control import at_most, choose, each, not_, pick, when
from fastnn.fused.dense import backward_layer, forward_layer, row_backward_layer, row_forward_layer
from fastnn.fused.layer_table import line_of
from fastnn.fused.layers import activation_delta, bias_gradient
from fastnn.fused.losses import output_loss, row_loss
from fastnn.fused.lowering import traced
from fastnn.fused.narrow import add_row_of_ones, add_sum_of_rows
from fastnn.fused.places import at, lanes_of
from fastnn.fused.rows import outer_product, row_activation_delta, row_bias_gradient
from fastnn.fused.tiles import weight_gradient
from fastnn.fused.updates import add, add_squares, finish_gradient, narrow_update, row_update, update


def block_width(model, width, lanes):
    """`width`, and a known one where each block is one vector."""
    return lanes if at_most(model.block, lanes) else width


def is_alone(model, n):
    """Whether a block of n rows has its numbers side by side, as in `rows.py`."""
    return model.alone & (at_most(model.block, 1) | (n <= 1))


def each_layer(model):
    """The lines of the layers, from the input to the output."""
    for l in each(model.n_layers):
        yield line_of(model, l)


@traced
def add_rows_of_ones(scratch, model, width):
    """Behind the inputs of each layer, a row of ones: what the gradients of biases are summed with, if width is L."""
    for layer in each_layer(model):
        add_row_of_ones(at(scratch.activations, layer.input * width), layer.fan_in)


@traced
def forward(scratch, model, params, tail, width, n):
    """Each layer's activations from those of the layer below, from panel to panel of `scratch.activations`.

    `tail` takes the place of `params` where whole vectors of these may end beyond them. A block of one row has its
    activations side by side.
    """
    width, alone = block_width(model, width, lanes_of(params)), is_alone(model, n)

    for l in each(model.n_layers):
        layer = line_of(model, l)
        numbers = pick(model.tail > l, params, tail)
        operands = layer.line, scratch.activations, scratch.slopes, numbers, scratch.weight, scratch.zeros
        choose(
            alone,
            lambda: row_forward_layer(*operands),
            lambda: forward_layer(*operands, scratch.packed, width),
        )


@traced
def output_delta(scratch, model, width, n):
    """The loss of the block, lane by lane, to `scratch.sum_of_l`, and delta of the output layer to `scratch.delta`."""
    layer = line_of(model, model.n_layers - 1)
    width = block_width(model, width, lanes_of(scratch.delta))
    A, slopes = at(scratch.activations, layer.output * width), at(scratch.slopes, layer.slopes * width)
    D, n_outputs, code = scratch.delta, model.n_outputs, layer.activation
    loss = model.loss, scratch.sum_of_l, D, A, scratch.targets, scratch.weight, n_outputs

    def of_panel():
        output_loss(*loss, width)
        when(not_(model.matched), lambda: activation_delta(D, A, slopes, n_outputs, width, code))

    def of_row():
        row_loss(*loss, scratch.delta_below)
        when(not_(model.matched), lambda: row_activation_delta(D, A, slopes, n_outputs, code))

    choose(is_alone(model, n), of_row, of_panel)


@traced
def backward(scratch, model, rule, vectors, width, n, first_block, updating, bare):
    """From the output to the input: each layer's gradient, its update after the last block, and delta below it.

    The gradient of the first block is written to `scratch.gradient`, that of another one added. With ``sequential``
    the layer is updated before delta is carried below it, otherwise after: delta takes the weights as they are.
    """
    gradient = pick(first_block, scratch.gradient, scratch.block_gradient)
    L, only_block, alone = lanes_of(vectors), updating & first_block, is_alone(model, n)
    width = block_width(model, width, L)

    deltas = [scratch.delta, scratch.delta_below]
    for k in each(model.n_layers, deltas):
        (delta, below), layer = deltas, line_of(model, model.n_layers - 1 - k)
        A, fan_out = at(scratch.activations, layer.input * width), layer.fan_out
        # Where it can, the update makes the gradient of the weights on its way.
        small = only_block & not_(alone) & (width <= L) & (layer.pairs >= 0)
        whole = only_block & alone & (fan_out // L * L >= fan_out)
        when(small & (layer.n_bias < fan_out), lambda: add_sum_of_rows(delta, fan_out))
        when(not_(small), lambda: _gradient(scratch, model, vectors, layer, gradient, A, delta, width, alone, whole))
        low, end = layer.weight, layer.bias + layer.n_bias
        when(not_(first_block), lambda: add(scratch.gradient, gradient, low, end))

        def renew():
            _update_layer(scratch, model, rule, vectors, layer, A, delta, small, whole, bare)

        def carry():
            operands = layer.line, vectors, scratch.activations, scratch.slopes, delta, below
            choose(
                alone,
                lambda: row_backward_layer(*operands),
                lambda: backward_layer(*operands, scratch.zeros, scratch.packed, width),
            )

        when(updating & rule.sequential, renew)
        when(model.n_layers - 1 > k, carry)
        when(updating & not_(rule.sequential), renew)
        deltas[:] = below, delta


def _gradient(scratch, model, vectors, layer, gradient, A, delta, width, alone, whole):
    """A layer's gradient to `gradient`; of its biases alone if `whole`, then the update of one row makes the rest."""
    fan_in, fan_out, n_bias = layer.fan_in, layer.fan_out, layer.n_bias
    b, dW, db = at(vectors, layer.bias), at(gradient, layer.weight), at(gradient, layer.bias)

    def of_panel():
        weight_gradient(dW, A, delta, scratch.turned, scratch.zeros, scratch.packed, fan_in, fan_out, width)
        bias_gradient(db, delta, b, n_bias, fan_out, width, model.times_bias)

    def of_row():
        row_bias_gradient(db, delta, b, fan_out, n_bias, model.times_bias)
        when(not_(whole), lambda: outer_product(dW, A, delta, layer.inside, fan_in, fan_out))

    choose(alone, of_row, of_panel)


def _update_layer(scratch, model, rule, vectors, layer, A, delta, small, whole, bare):
    """A layer's update, by its gradient in `scratch.gradient` or by one that is made of A and delta on the way."""
    low, middle, end = layer.weight, layer.bias, layer.end
    told, rest = (rule.code, vectors, rule.stride), (scratch.rates, scratch.check)

    def of_pairs():
        pairs, high = at(model.pairs, layer.pairs), middle + layer.n_bias
        narrow_update(*told, A, delta, pairs, model.times_bias, *rest, low, middle, high)

    def of_row():
        row_update(*told, A, delta, *rest, low, layer.fan_in, layer.fan_out, bare)
        return [middle]

    def of_gradient():
        (start,) = choose(whole, of_row, lambda: [low])
        update(*told, scratch.gradient, *rest, start, middle, end)

    choose(small, of_pairs, of_gradient)


@traced
def square_weights(scratch, model, params):
    """The squares of all weights, added to the vector `scratch.squares` lane by lane."""
    for layer in each_layer(model):
        add_squares(scratch.squares, params, layer.weight, layer.bias)


@traced
def finish_gradients(scratch, model, params):
    """Of each layer, `finish_gradient`."""
    for layer in each_layer(model):
        low, middle = layer.weight, layer.bias
        finish_gradient(scratch.gradient, params, scratch.rates, low, middle, middle + layer.n_bias)
