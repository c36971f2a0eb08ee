"""A dense layer: its record, and its way forward and back, on a panel and on a single row.

The functions of a whole layer are outlined: LLVM optimizes each by itself before it puts it into
the loop over the layers. `forward` and `backward` in `fastnn/reference.py` are their twins.
"""

from functools import partial
from typing import Any, NamedTuple

from fastnn.compiler.control import choose, each, pick, sweep, when
from fastnn.compiler.lanes import (
    add_padding,
    each_lane,
    each_vector,
    has_padding,
    last_vector,
    store_horizontal_sums,
)
from fastnn.compiler.memory_ops import get, lanes_of, load, offset, put, splat, store, zero
from fastnn.compiler.tracing import outlined, traced
from fastnn.compiler.vectors import blend_prefix, like
from fastnn.fused.formulas import (
    activate,
    activation_delta,
    row_activate,
    row_activation_delta,
)
from fastnn.fused.layout import LAYER_FIELDS
from fastnn.fused.matmul import Strided, backward_product, forward_product, row_delta, row_product

BIAS_TILES = (4, 1)  # neurons whose deltas are added up together


class LayerRecord(NamedTuple):
    """A pointer to a record; ``layer.fan_in`` reads the field `fan_in` of it, see
    `layout.describe`.
    """

    pointer: Any

    def __getattr__(self, field):
        # a load where it is written; in a specialized kernel the records are constants, and so is
        # the field
        return get(self.pointer, LAYER_FIELDS[field])

    def at(self, field):
        """Return a pointer to the field, for those who may not need it."""
        return offset(self.pointer, LAYER_FIELDS[field])


def layer_at(model, l):
    """Return the record of layer `l`."""
    return LayerRecord(offset(model.layers, l * len(LAYER_FIELDS)))


def output_layer(model):
    """Return the record of the last layer."""
    return layer_at(model, model.n_layers - 1)


def each_layer(model):
    """Iterate over the layers from the input to the output: (number, record)."""
    for l in each(model.n_layers):
        yield l, layer_at(model, l)


def each_layer_back(model, *kept):
    """Iterate over the layers from the output to the input: (number, record), as `each` does."""
    for k in each(model.n_layers, *kept):
        l = model.n_layers - 1 - k
        yield l, layer_at(model, l)


def panels_at(scratch, row, width):
    """Return pointers to the panels of activations and of slopes that begin at a row of the
    buffers.
    """
    return offset(scratch.activations, row * width), offset(scratch.slopes, row * width)


def _operands(layer, scratch, params, width):
    """Return the operands of a layer's product: Z, W, A, biases, fan_in, fan_out. A layer without
    biases adds zeros.
    """
    Z = offset(scratch.activations, layer.output * width)
    A = offset(scratch.activations, layer.input * width)
    W = offset(params, layer.weight)
    return Z, W, A, bias_of(layer, scratch, params), layer.fan_in, layer.fan_out


def bias_of(layer, scratch, params):
    """Return a layer's biases, `Strided`; zeros of a layer without any."""
    # zeros is one vector, but bias_step is 0 then, so nothing beyond it is read
    bias = pick(layer.n_bias > 0, offset(params, layer.bias), scratch.zeros)
    return Strided(bias, layer.bias_step)


@outlined
def forward_layer(layer, scratch, params, width):
    """Compute a layer's panel of activations from that of its inputs: ``a = f(W.T @ a_below +
    b)``.
    """
    Z, *operands, fan_out = _operands(layer, scratch, params, width)
    forward_product(Z, *operands, fan_out, width, scratch.packed)
    activate_layer(layer, scratch, Z, width)


def activate_layer(layer, scratch, Z, width):
    """Apply a layer's activation to its panel Z (fan_out, width)."""
    slopes = offset(scratch.slopes, layer.output * width)
    number = layer.at("number")
    activate(Z, slopes, scratch.weight, number, layer.fan_out, width, layer.activation)


@outlined
def row_forward_layer(layer, scratch, params):
    """Compute a layer's activations for a single row, like `forward_layer`."""
    # the buffer's rows are a vector apart, of which a single row uses what it needs
    L = lanes_of(params)
    z, *operands, fan_out = _operands(layer, scratch, params, L)
    row_product(z, *operands, fan_out)
    slopes = offset(scratch.slopes, layer.output * L)
    number = layer.at("number")
    row_activate(z, slopes, scratch.weight, number, fan_out, layer.activation)


@outlined
def backward_layer(layer, scratch, params, delta, below, width):
    """Compute ``below = (W @ delta) * f'(z_below)``, delta of the layer below, (fan_in, width) of
    (fan_out, width).
    """
    W = offset(params, layer.weight)
    fan_in = layer.fan_in
    backward_product(below, W, delta, scratch.zeros, scratch.packed, fan_in, layer.fan_out, width)
    A, slopes = panels_at(scratch, layer.input, width)
    number = layer.at("number_below")
    activation_delta(
        below, A, slopes, scratch.weight, number, fan_in, width, layer.activation_below
    )


@outlined
def row_backward_layer(layer, scratch, params, delta, below):
    """Compute delta of the layer below for a single row, like `backward_layer`."""
    fan_in = layer.fan_in
    row_delta(below, offset(params, layer.weight), delta, fan_in, layer.fan_out)
    a, slopes = panels_at(scratch, layer.input, lanes_of(params))  # a vector apart, as above
    number = layer.at("number_below")
    row_activation_delta(below, a, slopes, scratch.weight, number, fan_in, layer.activation_below)


def layer_delta(layer, scratch, D, width, code):
    """Overwrite dL/da of a layer's outputs, D (fan_out, width), by delta, with the activation of
    this code.
    """
    A, slopes = panels_at(scratch, layer.output, width)
    number = layer.at("number")
    activation_delta(D, A, slopes, scratch.weight, number, layer.fan_out, width, code)


def row_layer_delta(layer, scratch, d, code):
    """Overwrite dL/da of a layer's outputs for a single row, like `layer_delta`."""
    a, slopes = panels_at(scratch, layer.output, lanes_of(d))
    number = layer.at("number")
    row_activation_delta(d, a, slopes, scratch.weight, number, layer.fan_out, code)


@traced
def bias_gradient(layer, gradient, params, panels, width, times_bias):
    """Compute ``db[o] = sum_b D[o, b]``, or one sum over all of D (fan_out, width), row by row, for
    a scalar bias.

    db (n_bias,) is the layer's part of `gradient`, `panels` has D, see `matmul.weight_gradient`.
    The tutorial's rule multiplies db by the bias itself.
    """
    n_bias = layer.n_bias
    fan_out = layer.fan_out
    db = offset(gradient, layer.bias)
    b = offset(params, layer.bias)
    n_rows = pick(n_bias == fan_out, 1, fan_out)  # of D that go into a sum
    # several sums at a time: the additions of one wait for each other
    for o, tile in sweep(n_bias, BIAS_TILES):
        acc = [like(zero(gradient), -0.0)] * tile  # whatever is added first, its bits stay
        for columns in each_lane(gradient, width, acc):
            _add_deltas(acc, panels, columns, o, n_rows)
        store_horizontal_sums([offset(db, o)], acc)
    add_padding(db, n_bias, has_padding(db, width))

    def scale():
        for o in each(n_bias):
            put(db, o, get(db, o) * get(b, o))

    when(times_bias, scale)


def _add_deltas(acc, panels, columns, o, n_rows):
    """Add `n_rows` rows of D to each of the sums `acc`, from row o + j on to the j-th one."""
    for r in each(n_rows, acc):
        for _, D, _, n, _ in panels(acc):
            rows = [offset(D, (o + j + r) * n) for j in range(len(acc))]
            for k in columns(n, acc):
                acc[:] = [s + load(row, k) for s, row in zip(acc, rows, strict=True)]


def _sum(n, read):
    """Return ``read(0) + ... + read(n - 1)``, added in this order, as in `bias_gradient`."""
    rest = n - 1
    s = [read(0)]
    for k in each(rest, s):
        s[0] = s[0] + read(k + 1)
    return s[0]


def add_sum_of_rows(D, fan_out, width):
    """Write the delta of a bias that all neurons share as row `fan_out` of the panel D (fan_out +
    1, width).
    """
    for b in each_vector(D, width):
        store(D, fan_out * width + b, _sum(fan_out, lambda o: load(D, o * width + b)))


@traced
def row_bias_gradient(layer, gradient, params, d, times_bias):
    """Compute ``db[o] = d[o]``, or their sum for a scalar bias: `bias_gradient` for a single row d
    (fan_out,).
    """
    n_bias = layer.n_bias
    fan_out = layer.fan_out
    db = offset(gradient, layer.bias)
    b = offset(params, layer.bias)

    def vector_at(i):
        return row_bias_gradient_at(i, n_bias == fan_out, fan_out, d, b, times_bias)

    for i in each_vector(d, n_bias):
        store(db, i, vector_at(i))
    # Behind the biases lies the gradient of the next layer, made before: it is kept by blending.
    for i in last_vector(d, n_bias):
        store(db, i, blend_prefix(n_bias - i, vector_at(i), load(db, i)))


def row_bias_gradient_at(i, is_own, fan_out, d, b, times_bias):
    """Return the vector of the gradient of biases b that begins at bias i, each neuron's own or one
    for all.
    """
    s = choose(is_own, lambda: load(d, i), lambda: _sum(fan_out, partial(splat, d)))
    s = s + 0.0  # what the padding of a panel adds: it makes 0.0 of -0.0
    return choose(times_bias, lambda: s * load(b, i), lambda: s)
