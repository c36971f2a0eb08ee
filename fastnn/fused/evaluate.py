"""The outputs of one row, for code that calls these functions by their addresses, see
`function.py`.

A single row goes through the layers as in `propagation.forward`, but through buffers on the stack,
two in turn where no derivatives are wanted, and by the weights of an immutable block, so that any
number of threads may call it.
`kernels.evaluate` has all three compiled, when one is first used; `kernels.evaluate_table` has
those of an ensemble with the preparation of a table's numbers.
"""

from typing import Any, NamedTuple

import numpy as np

from fastnn.compiler.calls import unpack
from fastnn.compiler.control import choose, each, pick
from fastnn.compiler.lanes import each_vector, horizontal_sum
from fastnn.compiler.memory_ops import get, lanes_of, load, offset, put, splat, stack, store, zero
from fastnn.compiler.tracing import exported
from fastnn.compiler.vectors import (
    absolute,
    at_least,
    at_most,
    like,
    maximum,
    minimum,
    sqrt,
    where_gt,
)
from fastnn.fused.dense import (
    each_layer,
    each_layer_back,
    layer_at,
    output_layer,
    row_backward_layer,
    row_forward_layer,
    row_layer_delta,
)
from fastnn.fused.gather import clear, copy
from fastnn.memory import ceil_div


class _Buffers(NamedTuple):
    """The buffers of `layout.Scratch` that `row_forward_layer` takes."""

    activations: Any
    slopes: Any
    weight: Any
    zeros: Any


@exported
def evaluate_row(x, out, network):
    """Write the outputs of a row x (n_inputs,), and behind them their derivatives (n_outputs,
    n_inputs), if they are wanted: ``void (const T *x, T *out, const void *network)``.
    """
    network = unpack(network)
    params = network.params

    def alone():
        copy(out, _outputs(_room(network), x, network, params), network.n_outputs)

    def with_derivatives():
        buffers = _room(network)._replace(slopes=stack(params, network.n_scratch))
        sizes = output_layer(network).fan_out, layer_at(network, 0).fan_in
        copy(out, _outputs(buffers, x, network, params), sizes[0])
        deltas = [stack(params, network.n_delta) for _ in range(2)]
        write_jacobian(offset(out, sizes[0]), network, sizes, buffers, params, *deltas)

    choose(network.n_delta > 0, with_derivatives, alone)


def write_jacobian(jacobian, network, sizes, buffers, params, first, second):
    """Write the derivatives (n_outputs, n_inputs) of a row's outputs, as `propagation.input_slopes`
    does; activations and slopes of all layers are there, `first` and `second` have room for the
    largest one.
    """
    n_outputs, n_inputs = sizes
    last = output_layer(network)
    for o in each(n_outputs):
        clear(first, n_outputs)
        put(first, o, 1.0)
        row_layer_delta(last, buffers, first, last.activation)
        deltas = [first, second]
        for _, layer in each_layer_back(network, deltas):
            delta, below = deltas
            row_backward_layer(layer, buffers, params, delta, below)
            deltas[:] = below, delta
        copy(offset(jacobian, o * n_inputs), deltas[0], n_inputs)


def _room(network):
    """Return the buffers on the stack."""
    # Nothing that outlives the call: any number of threads may be here, and none allocates.
    like_params = network.params
    L = lanes_of(like_params)
    activations = stack(like_params, network.n_scratch)
    zeros = stack(like_params, L)
    ones = stack(like_params, L)
    store(zeros, 0, zero(like_params))
    store(ones, 0, like(zero(like_params), 1.0))
    # The slopes, of which nothing is used here, may lie where the activations are: these are
    # written after them.
    return _Buffers(activations, activations, ones, zeros)


def _outputs(buffers, x, network, params):
    """Return a pointer to the outputs (n_outputs,), in these buffers, of a row x by these
    parameters.
    """
    copy(buffers.activations, x, layer_at(network, 0).fan_in)  # to where whole vectors may be read
    for _, layer in each_layer(network):
        row_forward_layer(layer, buffers, params)
    return offset(buffers.activations, network.output * lanes_of(params))


@exported
def evaluate_arrays(x, n_inputs, out, n_outputs, network):
    """Write the outputs as `evaluate_row` does, or NaN to all of `out` where one of the lengths is
    another.
    """
    _checked(evaluate_row, x, n_inputs, out, n_outputs, network)


def _checked(evaluate, x, n_inputs, out, n_outputs, network):
    sizes = unpack(network)

    # Numba's code calls a function by its address without a way to raise: NaN is what can be seen
    def refuse():
        for o in each(n_outputs):
            put(out, o, np.nan)

    right = (n_inputs == sizes.n_inputs) & (n_outputs == sizes.n_outputs)
    choose(right, lambda: evaluate(x, out, network), refuse)


@exported
def evaluate_objects(x, out, network):
    """Write the outputs as `evaluate_row` does, of arrays as Python hands them over, which are of
    the right lengths.
    """
    sizes = unpack(network)
    evaluate_arrays(unpack(x), sizes.n_inputs, unpack(out), sizes.n_outputs, network)


# ---------------------------------------------------------------------------------- rows of a table


@exported
def evaluate_table_row(x, out, table):
    """Write the outputs of a table's row: ``void (const double *x, double *out, const void
    *table)``.

    Operations are those of `TablePreparation`, of the members' mean and of what is made of it, in
    their order.
    """
    table = unpack(table)
    inputs, width, refused = _prepared(x, out, table)
    buffers = _room(table)
    n_targets = _whole(out, table.n_outputs)
    total = stack(out, n_targets)
    clear(total, n_targets)
    for m in each(table.n_members):
        outputs = _outputs(buffers, inputs, table, offset(table.params, m * table.stride))
        for o in each(table.n_outputs):
            put(total, o, get(total, o) + get(outputs, o))
    targets = offset(table.numbers, (table.n_numbers + 4) * width)
    for v in each_vector(out, n_targets):
        scale, shift, low, high = (load(targets, k * n_targets + v) for k in range(4))
        y = maximum(load(total, v) / table.divisor * scale + shift, low)
        store(total, v, minimum(y, high))
    add_up = [get(total, 0)]
    for o in each(table.n_outputs - 1, add_up):
        add_up[0] = add_up[0] + get(total, o + 1)
    # NaN of a row that predict refuses: code that calls this cannot be told otherwise.
    divisor = pick(table.adds_up, add_up[0], 1.0) + refused
    for o in each(table.n_outputs):
        put(out, o, get(total, o) / divisor)


def _prepared(x, out, table):
    """Return what the networks take of a row x, the numbers of its columns of numbers in whole
    vectors, and a refusal.

    That is NaN where a number is too large, or a gap is refused, else 0.
    """
    k = table.n_numbers
    width = _whole(out, k)
    numbers, gaps, guess, rest = (stack(out, width) for _ in range(4))
    clear(numbers, width)
    for i in each(k):
        put(numbers, i, get(x, get(table.places, i)))
    centers, factors, means, refusals, imputation = (
        offset(table.numbers, k * width) for k in range(5)
    )
    steps = offset(table.numbers, (k + 4) * width + 4 * _whole(out, table.n_outputs))
    parts = numbers, gaps, rest
    largest = _scale(table, parts, (centers, factors, means, refusals), width)
    _impute(table, guess, rest, numbers, imputation, steps, width)
    n_plain = k + table.n_flags
    inputs = stack(table.params, n_plain + table.n_ramps + 1)
    put(inputs, 0, 0.0)  # of a table of constants the only one
    for i in each_vector(numbers, width):
        number = load(numbers, i)
        store(numbers, i, _where_known(number, number, load(rest, i) + load(means, i)))
    for i in each(k):
        put(inputs, i, get(numbers, i))
    for i in each(table.n_flags):
        put(inputs, k + i, get(gaps, get(table.places, k + i)))
    _add_ramps(inputs, n_plain, offset(steps, table.n_rounds), table)
    too_large = where_gt(largest, like(largest, table.largest), like(largest, np.nan), zero(out))
    return inputs, width, horizontal_sum(too_large)


def _scale(table, parts, preparation, width):
    """Scale numbers to ``s / sqrt(1 + (s / limit)^2)``, s the centered ones within the bound; write
    1 to the gaps, and the scaled numbers without their means to the rest.

    Return the largest number of each lane, before it is scaled; for a gap, what `refusals` holds.
    """
    numbers, gaps, rest = parts
    centers, factors, means, refusals = preparation
    nothing = zero(numbers)
    largest = [nothing]
    for i in each_vector(numbers, width, largest):
        number = load(numbers, i)
        largest[0] = maximum(_where_known(number, absolute(number), load(refusals, i)), largest[0])
        s = (number - load(centers, i)) * load(factors, i)
        s = at_least(at_most(s, table.bound), -table.bound)
        part = s / table.limit
        s = s / sqrt(part * part + 1.0)
        store(numbers, i, s)
        store(gaps, i, _where_known(s, nothing, like(s, 1.0)))
        store(rest, i, _where_known(s, s - load(means, i), nothing))
    return largest[0]


def _impute(table, guess, rest, numbers, imputation, steps, width):
    """Move what stands for gaps in `rest` towards what the other numbers say, in rounds."""
    for r in each(table.n_rounds):
        step = splat(steps, r)
        clear(guess, width)
        for i in each(table.n_numbers):
            known = splat(rest, i)
            for j in each_vector(numbers, width):
                store(guess, j, load(guess, j) + known * load(imputation, i * width + j))
        for j in each_vector(numbers, width):
            last = load(rest, j)
            moved = step * load(guess, j) + (1.0 - step) * last
            store(rest, j, _where_known(load(numbers, j), last, moved))


def _add_ramps(inputs, n_plain, ramps, table):
    """Write the ramps of the first inputs behind the `n_plain` first ones, each in the lanes of a
    vector.
    """
    n = table.n_ramps
    lows, widths, heights = (offset(ramps, part * n) for part in range(3))
    one = stack(ramps, lanes_of(ramps))
    for i in each(n):
        put(one, 0, get(inputs, get(table.places, n_plain + i)))
        place = (splat(one, 0) - splat(lows, i)) / splat(widths, i)
        place = at_least(at_most(place, 1.0), 0.0)
        store(one, 0, splat(heights, i) * (place - 0.5))
        put(inputs, n_plain + i, get(one, 0))


def _whole(a, n):
    """Return n rounded up to whole vectors of array a."""
    L = lanes_of(a)
    return ceil_div(n, L) * L


def _where_known(number, yes, no):
    """Return ``yes`` in the lanes where numbers are not NaN, else `no`."""
    return where_gt(absolute(number), like(number, -1.0), yes, no)


@exported
def evaluate_table_arrays(x, n_inputs, out, n_outputs, table):
    """Write the outputs as `evaluate_table_row` does, or NaN to all of `out` where one of the
    lengths is another.
    """
    _checked(evaluate_table_row, x, n_inputs, out, n_outputs, table)


@exported
def evaluate_table_objects(x, out, table):
    """Write the outputs as `evaluate_table_row` does, of arrays as Python hands them over, of the
    right lengths.
    """
    sizes = unpack(table)
    evaluate_table_arrays(unpack(x), sizes.n_inputs, unpack(out), sizes.n_outputs, table)
