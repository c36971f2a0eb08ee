"""A block's way through the network: forward from layer to layer, its loss, and back with gradients
and updates.

Whether the block is a panel or a single row is decided once in each function here; two straight
passes follow from it: as a panel of one column, which would leave 7 or 15 lanes idle, a row takes
twice as long. `forward`, `output_delta` and `backward` in `fastnn/reference.py` are their twins:

    a = f(a_below @ W + b)            delta_below = (delta @ W.T) * f'(z_below)
    dW = a_below.T @ delta            db = sum(delta)

All of it is traced as a whole, so that in a specialized kernel the arrays of `Model` and the
numbers of `UpdateSpec` are constants; and Numba has no types to find in it, which took a quarter of
the time to compile.
"""

from functools import partial

from fastnn.compiler.control import choose, constant_at_most, each, not_, pick, when
from fastnn.compiler.lanes import each_vector, narrow_width
from fastnn.compiler.memory_ops import (
    get,
    has_many,
    lanes_of,
    offset,
    prefetch,
    row_lanes_of,
    store,
    zero,
)
from fastnn.compiler.tracing import traced
from fastnn.compiler.vectors import like
from fastnn.fused import dense, formulas, sparse
from fastnn.fused.dense import each_layer, each_layer_back, layer_at, output_layer
from fastnn.fused.gather import clear, copy, gather_panel, scatter_panel
from fastnn.fused.layout import LOSS_ALONE
from fastnn.fused.matmul import Strided, outer_product, transpose_delta, weight_gradient
from fastnn.fused.updates import (
    add,
    finish_gradients,
    row_update,
    scaled_update,
    small_layer_update,
    state_of,
    update,
)

# what `share_parameters` does with the gradient of the whole batch
UPDATE = 1
FINISH = 2
# weights up to which a layer's are fetched before they are used; the cache holds no more
FETCHED = 200_000


def panel_width(model, width, lanes):
    """Return `width`, in a specialized kernel for blocks of one vector as a constant: no loop over
    columns is left.
    """
    return lanes if constant_at_most(model.block, lanes) else width


def is_single_row(model, n, a):
    """Return whether a block of n rows is stored as a single row; in a specialized kernel, this is
    a constant.
    """
    if has_many(a):  # a panel of one column has no padding there
        return 0
    return model.single_row_path & (constant_at_most(model.block, 1) | (n <= 1))


def is_sparse(model):
    """Return whether the inputs are rows in CSR form."""
    return model.n_layers > model.n_panel_layers


@traced
def gather_X(scratch, model, X, width):
    """Gather the panel of inputs of the rows that were looked up."""
    panel = scratch.activations
    gather_panel(panel, X, scratch.rows_of_X, scratch.weight, model.n_inputs, width)


@traced
def gather_Y(scratch, model, Y, width):
    """Gather the panel of targets of the rows that were looked up."""
    panel = scratch.targets
    gather_panel(panel, Y, scratch.rows_of_Y, scratch.weight, model.n_outputs, width)


def of_panels(model):
    """Return the network of the layers that read panels."""
    return model._replace(layers=model.panel_layers, n_layers=model.n_panel_layers)


@traced
def copy_params(scratch, model, params, start):
    """Copy the parameters (n_params,) from number `start` on to `scratch.params`, from which whole
    vectors may be read.
    """
    copy(offset(scratch.params, start), offset(params, start), model.n_params - start)


@traced
def add_rows_of_ones(scratch, model, width):
    """Write a row of ones behind each layer's inputs, of a narrow panel, so that a small layer's
    biases are weights. Rows in CSR form are no panel.
    """
    A = scratch.activations
    width = narrow_width(A, width)
    for _, layer in each_layer(of_panels(model)):
        for b in each_vector(A, width):
            store(A, (layer.input + layer.fan_in) * width + b, like(zero(A), 1.0))


@traced
def forward(scratch, model, params, padded_params, width, n):
    """Compute each layer's activations from those of the layer below, from panel to panel of
    `scratch.activations`.

    The last parameters end in the middle of a vector. A training state has padding behind them, a
    user's array none: the layers that would be read beyond its end, from `model.tail` on, are read
    from `padded_params`.
    """
    width = panel_width(model, width, lanes_of(params))
    arrays = scratch, params, padded_params
    row = partial(_compute_layers, model, arrays, dense.row_forward_layer)
    panels = partial(_compute_layers, of_panels(model), arrays, dense.forward_layer, width)
    choose(is_single_row(model, n, params), row, panels)


def _compute_layers(model, arrays, compute, *width):
    """Compute the layers, each with its parameters: a pointer is picked, so that there is one loop
    over the layers and not two.
    """
    scratch, params, padded_params = arrays
    for _, layer in each_layer(model):
        compute(layer, scratch, pick(model.tail > layer.weight, params, padded_params), *width)


@traced
def forward_rows(scratch, model, X, indices, params, padded_params, width, n):
    """Do `forward`, of rows of X that may be in CSR form."""

    def of_entries():
        first_params = pick(model.tail > 0, params, padded_params)
        layer = layer_at(model, 0)
        sparse.forward_layer(layer, scratch, X, indices, first_params, width)

    when(is_sparse(model), of_entries)
    forward(scratch, model, params, padded_params, width, n)


def _output_code(model, layer):
    """Return the code of the activation whose derivative turns what the loss writes into delta.

    The loss writes dL/da. Where output and loss are matched, it writes a - y, which is delta: the
    code of the identity.
    """
    return pick(model.matched, formulas.IDENTITY, layer.activation)


@traced
def output_delta(scratch, model, width, n):
    """Write the loss of the block to `scratch.sum_of_l`, and delta of the output layer to
    `scratch.delta`.
    """
    layer = output_layer(model)
    D = scratch.delta
    width = panel_width(model, width, lanes_of(D))
    A = offset(scratch.activations, layer.output * width)
    n_outputs = model.n_outputs
    code = _output_code(model, layer)

    def panel():
        if has_many(A):  # their sum is traced for each lane: the formulas are kept out of it
            formulas.output_terms(model.loss, model.loss_formula, scratch, A, n_outputs, width)
            formulas.sum_terms(scratch, n_outputs, width)
        else:
            formulas.output_loss(model.loss, model.loss_formula, scratch, A, n_outputs, width)
        dense.layer_delta(layer, scratch, D, width, code)

    def row():
        formulas.row_loss(model.loss, model.loss_formula, scratch, A, n_outputs)
        dense.row_layer_delta(layer, scratch, D, code)

    choose(is_single_row(model, n, A), row, panel)


@traced
def backward(scratch, model, spec, data, vectors, width, n, first_block, updating, is_final):
    """Go from the output to the input: each layer's gradient, its update after the last block, and
    delta below it.

    vectors (1 + n_slots, spec.stride) is the training state. The gradient of the first block is
    written to `scratch.gradient`, that of another one is added. `is_final`: the gradient needs no
    penalty and no division.
    """
    finish_layer = partial(_finish_layer, spec, updating)
    use = first_block, updating, is_final
    _go_back(scratch, model, spec, data, vectors, width, n, use, finish_layer)


def _go_back(scratch, model, spec, data, vectors, width, n, use, finish_layer):
    """Do `backward` on a block of n rows, a single row or a panel. `use` is what its gradient is
    for: (first_block, updating, is_final).
    """
    state = state_of(scratch, spec, vectors)
    width = panel_width(model, width, lanes_of(vectors))
    data = None if has_many(vectors) else data  # many networks have no rows in CSR form
    row = partial(_row_backward, scratch, model, spec, state, use, finish_layer)
    panel = partial(_panel_backward, scratch, model, spec, state, width, use, finish_layer, data)
    choose(is_single_row(model, n, vectors), row, panel)


@traced
def backward_in_turn(scratch, model, spec, data, vectors, width, n):
    """Go from the output to the input by a batch of one block, and step on each layer before delta
    goes below it.

    The steps are those of `scaled_step`, with the options in `spec`.
    """

    def finish_layer(layer, _, has_layer_below, carry):
        scaled_step(scratch, spec, vectors, layer.weight, layer.end, 0)
        when(has_layer_below, carry)

    _go_back(scratch, model, spec, data, vectors, width, n, (1, 0, 0), finish_layer)


def _from_output(model, n, deltas):
    """Iterate over the last `n` layers from the output on: (record, its delta, delta below it,
    whether a layer is below it). The two `deltas` change places from layer to layer.
    """
    for k in each(n, deltas):
        l = model.n_layers - 1 - k
        delta, below = deltas
        yield layer_at(model, l), delta, below, l > 0
        deltas[:] = below, delta


def _finish_layer(spec, updating, layer, update_layer, has_layer_below, carry):
    """Update a layer and carry delta below it: in this order if `sequential`, else delta takes the
    old weights.
    """
    when(updating & spec.sequential, update_layer)
    when(has_layer_below, carry)
    when(updating & not_(spec.sequential), update_layer)


def _panel_backward(scratch, model, spec, state, width, use, finish_layer, data):
    """Do `backward` on panels of `width` columns; with `data`, its rows may be in CSR form."""
    first_block, updating, _ = use
    terms = scratch, model, spec, state, width, first_block, updating
    make_gradient = _maker_of_gradients(*terms)
    deltas = [scratch.delta, scratch.delta_below]
    for layer, delta, below, has_layer_below in _from_output(model, model.n_panel_layers, deltas):
        update_layer = make_gradient(layer, delta)
        carry = partial(dense.backward_layer, layer, scratch, state.vectors, delta, below, width)
        finish_layer(layer, update_layer, has_layer_below, carry)

    def of_entries():
        layer = layer_at(model, 0)
        sparse.delta_by_row(layer, scratch, deltas[0], width)
        panels = [(None, deltas[0], None, width, 0)]
        update_layer = _first_gradient(*terms, data, layer, lambda *kept: panels)
        finish_layer(layer, update_layer, 0, None)

    when(0 if data is None else is_sparse(model), of_entries)


def _first_gradient(scratch, model, spec, state, width, first_block, updating, data, layer, panels):
    """Make the gradient of the first layer, or of a part of it, of rows in CSR form; return a
    function that updates it, as far as it is not.

    The gradient of W is used as it is made, if it is that of the whole batch.
    """
    gradient = pick(first_block, scratch.gradient, scratch.block_gradient)
    in_update = updating & first_block
    sparse.weight_gradient(
        layer,
        scratch,
        data.X,
        data.indices,
        spec.code,
        state,
        spec.n_vectors,
        width,
        in_update,
        first_block,
    )
    dense.bias_gradient(layer, gradient, state.vectors, panels, width, model.times_bias)
    biases = layer.bias, layer.bias + layer.n_bias
    when(not_(first_block), lambda: add(scratch.gradient, *biases, gradient))
    first = pick(in_update, layer.bias, layer.weight)
    return partial(update, spec.code, state, scratch.gradient, first, layer.bias, layer.end)


def _maker_of_gradients(scratch, model, spec, state, width, first_block, updating):
    """Return a function ``(layer, delta)`` that makes a layer's gradient on panels and returns one
    that updates it.

    A small layer's gradient is made within its update, if nothing has to be added to it.
    """
    params = state.vectors
    gradient = pick(first_block, scratch.gradient, scratch.block_gradient)
    # The gradient of several blocks has to be added up, so it must be in memory; and so where
    # nothing is updated.
    fits_vector = updating & first_block & (width <= row_lanes_of(params))

    def of_layer(layer, delta, panels=None):
        A = offset(scratch.activations, layer.input * width)
        in_update = fits_vector & (layer.gather_indices >= 0)
        # a bias that all neurons share has the sum of their deltas, as one more row of the panel
        add_sum = partial(dense.add_sum_of_rows, delta, layer.fan_out, narrow_width(delta, width))
        when(in_update & (layer.n_bias < layer.fan_out), add_sum)

        def make_gradient():
            if panels is None:  # of one thread
                transpose_delta(layer, scratch.transposed, delta, width)
            parts = panels or (lambda *kept: [(A, delta, scratch.transposed, width, 0)])
            weight_gradient(layer, scratch, offset(gradient, layer.weight), parts, width)
            dense.bias_gradient(layer, gradient, params, parts, width, model.times_bias)

        def update_small():
            indices = offset(model.gather_indices, layer.gather_indices)
            stop = layer.bias + layer.n_bias
            rest = model.times_bias, layer.weight, layer.bias, stop
            small_layer_update(spec.code, state, Strided(A, width), delta, indices, *rest)

        def update_any():
            update(spec.code, state, scratch.gradient, layer.weight, layer.bias, layer.end)

        # which way the gradient is made depends on shapes alone, never on the CPU: it may show in
        # the bits
        when(not_(in_update), make_gradient)
        numbers = layer.weight, layer.bias + layer.n_bias
        when(not_(first_block), lambda: add(scratch.gradient, *numbers, gradient))
        return partial(choose, in_update, update_small, update_any)

    return of_layer


def _row_backward(scratch, model, spec, state, use, finish_layer):
    """Do `backward` on a single row. The gradient of whole vectors of weights is made within their
    update.
    """
    first_block, updating, is_final = use
    params = state.vectors
    gradient = pick(first_block, scratch.gradient, scratch.block_gradient)
    L = lanes_of(params)
    only_block = updating & first_block
    deltas = [scratch.delta, scratch.delta_below]
    for layer, delta, below, has_layer_below in _from_output(model, model.n_layers, deltas):
        a = offset(scratch.activations, layer.input * L)
        fan_in = layer.fan_in
        fan_out = layer.fan_out
        # no vector holds numbers of two rows of W
        in_update = only_block & (fan_out // L * L >= fan_out)
        dense.row_bias_gradient(layer, gradient, params, delta, model.times_bias)
        dW = offset(gradient, layer.weight)
        when(not_(in_update), lambda: outer_product(dW, a, delta, layer.inside, fan_in, fan_out))
        numbers = layer.weight, layer.bias + layer.n_bias
        when(not_(first_block), lambda: add(scratch.gradient, *numbers, gradient))

        def update_layer():
            weights = layer.weight, fan_in, fan_out
            when(in_update, lambda: row_update(spec.code, state, a, delta, *weights, is_final))
            # the part of the layer that is still to be updated
            rest = pick(in_update, layer.bias, layer.weight)
            update(spec.code, state, scratch.gradient, rest, layer.bias, layer.end)

        carry = partial(dense.row_backward_layer, layer, scratch, params, delta, below)
        finish_layer(layer, update_layer, has_layer_below, carry)


# A step that threads share has two phases, each divided so that every number is made by one thread,
# in the order above: the columns of the batch, forward and back, and the parameters, their gradient
# and update. The columns of a thread are panels of its own, one behind the other in the buffers: in
# lines of memory between which others' lie, processors fetch what others write to. Forward, all
# columns of tab took 30 us by one thread, half of them 33 by each of two; one behind the other, 20.


def _n_rows(model):
    """Return the number of rows of all layers' panels together, which is what a column takes in the
    buffers.
    """
    return output_layer(model).output + model.n_outputs


def _columns(share, *kept):
    """Iterate over the columns of the threads: (the first of them, how many)."""
    for t in each(share.n, *kept):
        first = get(share.first_column, t)
        yield first, get(share.first_column, t + 1) - first


def _fetch_weights(layer, params):
    """Fetch a layer's weights to this thread's cache, in order: other threads have updated some of
    them.
    """
    n = layer.fan_in * layer.fan_out
    for i in each_vector(params, pick(n > FETCHED, 0, n)):
        prefetch(params, layer.weight + i)


@traced
def share_columns(scratch, model, spec, data, params, first, width, gathering):
    """Do some columns of a block: gather them, go forward, and carry delta back through all layers,
    by old weights.

    They are `width` columns, from the column `first` on. The terms of the loss and the deltas of
    all layers stay in `scratch.delta_below` and `scratch.delta`.
    """
    # This thread's panels begin where those of `first` columns end, whose size is so many numbers
    # per column.
    rows = dict.fromkeys(("activations", "slopes", "delta", "transposed"), _n_rows(model))
    rows |= dict.fromkeys(("targets", "delta_below"), model.n_outputs)
    rows |= dict.fromkeys(("weight", "rows_of_X", "rows_of_Y", "row_ends"), 1)
    rows["by_row"] = sparse.row_step(layer_at(model, 0), params)
    scratch = scratch._replace(
        **{name: offset(getattr(scratch, name), first * n) for name, n in rows.items()}
    )

    def gather():
        # for small layers, whose gradient is made within the update if the batch fits a vector,
        # which is one thread's
        when(first + width <= lanes_of(params), lambda: add_rows_of_ones(scratch, model, width))
        when(not_(is_sparse(model)), lambda: gather_X(scratch, model, data.X, width))
        gather_Y(scratch, model, data.Y, width)

    when(gathering, gather)
    for _, layer in each_layer(model):
        _fetch_weights(layer, params)
        places = data.X, data.indices, params, width
        of_entries = partial(sparse.forward_layer, layer, scratch, *places)
        of_numbers = partial(dense.forward_layer, layer, scratch, params, width)
        choose(layer.strip > 0, of_entries, of_numbers)
    layer = output_layer(model)
    A, D = (offset(x, layer.output * width) for x in (scratch.activations, scratch.delta))
    formulas.output_terms(
        model.loss, model.loss_formula, scratch._replace(delta=D), A, model.n_outputs, width
    )

    def backward():
        dense.layer_delta(layer, scratch, D, width, _output_code(model, layer))
        _carry_back(scratch, model, params, width)

    when(has_gradient(spec), backward)


def _carry_back(scratch, model, params, width):
    """Carry delta from the output back through all layers. The second phase needs all of them, so
    they lie as the activations do, and do not change places.
    """
    for l, layer in each_layer_back(model):
        delta = offset(scratch.delta, layer.output * width)
        below = offset(scratch.delta, layer.input * width)
        by_row = partial(sparse.delta_by_row, layer, scratch, delta, width)
        T = offset(scratch.transposed, layer.output * width)
        choose(layer.strip > 0, by_row, partial(transpose_delta, layer, T, delta, width))
        when(l > 0, partial(dense.backward_layer, layer, scratch, params, delta, below, width))


def has_gradient(spec):
    """Return whether the gradient is wanted, and not the loss alone."""
    return spec.code > LOSS_ALONE


@traced
def share_loss(scratch, model, share):
    """Write a block's loss to `scratch.sum_of_l`."""
    formulas.sum_terms(
        scratch, model.n_outputs, get(share.first_column, share.n), partial(_columns, share)
    )


@traced
def share_parameters(scratch, model, spec, data, vectors, share, t, width, first_block, then):
    """Make the gradient of the parameters of unit `t` from all columns of a block; `then` UPDATE
    them or FINISH it.
    """
    updating = then == UPDATE
    first = get(share.first_part, t)
    stop = get(share.first_part, t + 1)
    rows = _n_rows(model)
    # Parts of layers have records like layers, see `team.divide`, so a thread's part of the network
    # is a network here.
    n_parts = pick(has_gradient(spec), stop - first, 0)
    model = model._replace(
        layers=layer_at(model._replace(layers=share.parts), first).pointer, n_layers=n_parts
    )
    state = state_of(scratch, spec, vectors)
    terms = scratch, model, spec, state, width, first_block, updating
    make_gradient = _maker_of_gradients(*terms)
    for _, layer in each_layer_back(model):

        def panels(*kept, layer=layer):
            for begin, columns in _columns(share, *kept):
                A = offset(scratch.activations, begin * rows + layer.input * columns)
                D, T = (
                    offset(x, begin * rows + layer.output * columns)
                    for x in (scratch.delta, scratch.transposed)
                )
                yield A, D, T, columns, begin > 0

        def of_numbers(layer=layer, panels=panels):
            delta = offset(scratch.delta, layer.output * width)
            when(updating, make_gradient(layer, delta, panels))

        def of_entries(layer=layer, panels=panels):
            when(updating, _first_gradient(*terms, data, layer, panels))

        choose(layer.strip > 0, of_entries, of_numbers)
    when(then == FINISH, lambda: finish_gradients(scratch, model, vectors))


@traced
def share_scaled_step(scratch, model, spec, vectors, share, t, is_finished):
    """Step on the parameters of unit `t` by their gradient, which is made, with the options in
    `spec`.
    """
    first = get(share.first_part, t)
    for k in each(get(share.first_part, t + 1) - first):
        part = layer_at(model._replace(layers=share.parts), first + k)
        scaled_step(scratch, spec, vectors, part.weight, part.end, is_finished)


@traced
def input_slopes(out, scratch, model, params, o, n, width):
    """Write the derivatives of output `o` by the inputs to `out` (n, n_inputs), after `forward` on
    a panel.
    """
    layer = output_layer(model)
    D = scratch.delta
    clear(D, model.n_outputs * width)
    copy(offset(D, o * width), scratch.weight, width)
    dense.layer_delta(layer, scratch, D, width, layer.activation)
    # below the first layer are the inputs
    deltas = [scratch.delta, scratch.delta_below]
    for layer_k, delta, below, _ in _from_output(model, model.n_layers, deltas):
        dense.backward_layer(layer_k, scratch, params, delta, below, width)
    # the last `below`
    slopes = pick(model.n_layers // 2 * 2 == model.n_layers, D, scratch.delta_below)
    scatter_panel(out, slopes, n, model.n_inputs, width)


@traced
def scaled_step(scratch, spec, vectors, start, end, is_finished):
    """Step on the parameters from `start` to `end` by `scratch.gradient`, finished or not:
    `updates.scaled_update`.
    """
    state = state_of(scratch, spec, vectors)
    scaled_update(
        spec.code, state, scratch.gradient, spec.factors, spec.is_weight, start, end, is_finished
    )


@traced
def scatter_outputs(out, scratch, model, width, n):
    """Write the outputs of a block of n rows to `out` (n, n_outputs), the user's; a single row is
    copied as it lies.
    """
    n_outputs = model.n_outputs
    A = offset(scratch.activations, output_layer(model).output * width)
    row = partial(copy, out, A, n_outputs)
    panel = partial(scatter_panel, out, A, n, n_outputs, width)
    choose(is_single_row(model, n, out), row, panel)
