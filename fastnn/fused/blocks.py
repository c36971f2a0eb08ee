"""The parts of the entry points besides the passes: rows are gathered, update constants set, losses
summed.

Ordinary Numba code, like the entry points themselves, see `kernels.py`.
"""

import math

from fastnn.compiler.lanes import horizontal_sum
from fastnn.compiler.memory_ops import get, lanes_of, load, offset, prefetch, put, store, zero
from fastnn.compiler.tracing import inlined
from fastnn.compiler.vectors import like, sqrt
from fastnn.fused import layout, propagation
from fastnn.fused.gather import clear, copy
from fastnn.fused.layout import (
    DECAY,
    RATE,
    SAME_ROWS,
    SCALE,
    UPDATE_CODES,
    WITH_GRADIENT,
)
from fastnn.fused.updates import square_weights

ADAM = UPDATE_CODES["Adam"]
ADAMW = UPDATE_CODES["AdamW"]

padded = inlined(layout.padded)
is_sparse = inlined(propagation.is_sparse)


@inlined
def gather_row(scratch, model, data, row):
    """Gather a single row's inputs and targets, zeros if its weight is 0; write the weight to every
    lane, return it.
    """
    n_inputs = model.n_inputs
    n_outputs = model.n_outputs
    w = get(data.sample_weight, row)
    store(scratch.weight, 0, like(zero(data.X), w))
    if w > 0:  # what a row of weight 0 holds must not show in any bit, not even as NaN
        copy(scratch.activations, offset(data.X, row * n_inputs), n_inputs)
        copy(scratch.targets, offset(data.Y, row * n_outputs), n_outputs)
    else:
        clear(scratch.activations, n_inputs)
        clear(scratch.targets, n_outputs)
    return float(w)


@inlined
def look_up(scratch, model, data, rows, n, first, stop):
    """Write the offsets in X and Y of a block's `n` rows, and their weights; return the sum of the
    weights.

    Those of the columns from `first` to `stop`: of all `n`, if these are from 0 to the block's
    width.
    """
    step = inputs_step(model)
    # Padding takes the last row's offset, which can be read, and weight 0, so nothing of it is
    # used.
    sum_of_weights = 0.0  # added in ascending order, in float64
    for b in range(first, stop):
        row = get(rows, min(b, n - 1))
        put(scratch.rows_of_X, b, row * step)
        put(scratch.rows_of_Y, b, row * model.n_outputs)
        w = get(data.sample_weight, row) if b < n else get(scratch.zeros, 0)
        put(scratch.weight, b, w)
        sum_of_weights += float(w)
    return sum_of_weights


@inlined
def inputs_step(model):
    """Return by which number of rows to look up a row of X: 1 if it is in CSR form."""
    return 1 if is_sparse(model) else model.n_inputs


@inlined
def find_entries(scratch, X, indices, starts, first, stop):
    """Write where the entries of rows begin and end, whose numbers were looked up: for the columns
    from `first` to `stop`. A row of weight 0 has none. They are fetched, for they lie anywhere.
    """
    for b in range(first, stop):
        row = get(scratch.rows_of_X, b)
        begin = get(starts, row)
        end = get(starts, row + 1) if get(scratch.weight, b) > 0 else begin
        put(scratch.rows_of_X, b, begin)
        put(scratch.row_ends, b, end)
        for k in range(begin, end, lanes_of(X)):
            prefetch(X, k)
            prefetch(indices, k)


@inlined
def sum_weights(data, rows, n):
    """Return the sum of the weights of a block's `n` rows, as `look_up` adds them."""
    sum_of_weights = 0.0
    for b in range(n):
        sum_of_weights += float(get(data.sample_weight, get(rows, b)))
    return sum_of_weights


@inlined
def gather_block(scratch, model, data, rows, n, as_panel=False):
    """Gather a block of `n` rows, with `as_panel` a single one as a panel; return its width and the
    sum of weights.
    """
    width = padded(n, lanes_of(data.X))
    if n == 1 and model.single_row_path == 1 and not as_panel:
        return width, gather_row(scratch, model, data, get(rows, 0))
    # First the rows' offsets and weights, then their numbers, a vector of rows at a time.
    sum_of_weights = look_up(scratch, model, data, rows, n, 0, width)
    # a small layer's gradient may be made within its update, which reads these
    if width == lanes_of(data.X):
        propagation.add_rows_of_ones(scratch, model, width)
    gather_inputs(scratch, model, data.X, data.indices, data.starts, width)
    propagation.gather_Y(scratch, model, data.Y, width)
    return width, sum_of_weights


@inlined
def gather_inputs(scratch, model, X, indices, starts, width):
    """Gather the inputs of the rows that were looked up; of rows in CSR form, find the entries."""
    if is_sparse(model):
        find_entries(scratch, X, indices, starts, 0, width)
    else:
        propagation.gather_X(scratch, model, X, width)


@inlined
def copy_row(scratch, model, X, row):
    """Gather the inputs of a single row, of weight 1."""
    store(scratch.weight, 0, like(zero(X), 1.0))
    copy(scratch.activations, offset(X, row * model.n_inputs), model.n_inputs)


@inlined
def look_up_some(scratch, model, begin, n, width):
    """Write the offsets of `n` rows of X from row `begin` on, and their weights: all are 1."""
    step = inputs_step(model)
    for b in range(width):
        put(scratch.rows_of_X, b, (begin + min(b, n - 1)) * step)
        put(scratch.weight, b, 1 if b < n else 0)


@inlined
def block_loss(scratch, model, data, params, width, n):
    """Go forward through a block that was gathered, up to delta of the output; return its loss."""
    propagation.forward_rows(scratch, model, data.X, data.indices, params, params, width, n)
    propagation.output_delta(scratch, model, width, n)
    return float(get(scratch.sum_of_l, 0))  # in Python, a float32 would make the sum one


@inlined
def do_blocks(scratch, model, spec, data, rows, n_rows, params, mode):
    """Return the loss of `n_rows` rows, not divided, the sum of their weights, and the width of the
    last block.

    Write the gradient, if wanted, to `scratch.gradient`, summed block by block, in order; it is not
    finished. `mode` is that of `kernels.loss_and_gradient`.
    """
    sum_of_weights = 0.0
    sum_of_losses = penalty(scratch, model, params, spec.penalty)
    width = 0
    for begin in range(0, n_rows, model.block):
        n = min(model.block, n_rows - begin)
        if mode & SAME_ROWS and n == n_rows:  # the last call has gathered them in this workspace
            width = padded(n, lanes_of(data.X))
            block_weight = 0.0
            for b in range(n):
                block_weight += float(get(scratch.weight, b))
        else:
            width, block_weight = gather_block(scratch, model, data, offset(rows, begin), n)
        sum_of_weights += block_weight
        sum_of_losses += block_loss(scratch, model, data, params, width, n)
        if mode & WITH_GRADIENT:
            propagation.backward(
                scratch, model, spec, data, params, width, n, begin == 0, False, False
            )
    return sum_of_losses, sum_of_weights, width


@inlined
def stayed_finite(scratch):
    """Return whether no update has set `scratch.nan_flag`."""
    return horizontal_sum(load(scratch.nan_flag, 0)) == 0


@inlined
def note_loss(scratch, steps, s, sum_of_losses, divisor, learning):
    """Write the loss of step `s`; return whether it and the parameters are finite.

    A batch whose weights sum to 0 is skipped, without `learning`: no division by 0, no update, a
    loss of 0.
    """
    sum_of_losses = sum_of_losses if learning else 0.0
    put(steps.loss, s, sum_of_losses / divisor if learning else 0.0)
    # in the working dtype it overflows where the reference's does
    put(scratch.sum_of_l, 0, sum_of_losses)
    return math.isfinite(get(scratch.sum_of_l, 0)) and stayed_finite(scratch)


@inlined
def set_step_constants(scratch, spec, beta_products, learning_rate, divisor):
    """Write the update constants that are a step's own, formed in float64 and rounded once to the
    working dtype.

    Those that are the same in all steps `layout.set_task_constants` has written.
    """
    # beta ** t as running products, in the training state: pow() differs between C libraries.
    put(beta_products, 0, get(beta_products, 0) * spec.beta_1)
    put(beta_products, 1, get(beta_products, 1) * spec.beta_2)
    rate = learning_rate
    # Adam's corrections of both moments are one factor, epsilon outside of it, as in scikit-learn.
    if spec.code == ADAM or spec.code == ADAMW:
        rate = learning_rate * sqrt(1 - get(beta_products, 1)) / (1 - get(beta_products, 0))
    put(scratch.update_constants, RATE, rate)
    put(scratch.update_constants, DECAY, learning_rate * spec.weight_decay)
    put(scratch.update_constants, SCALE, 1 / divisor)


@inlined
def square_at(a, i):
    """Return the square of a number of array a, in float64."""
    x = float(get(a, i))
    return x * x


@inlined
def clip(scratch, n_params, clip_norm):
    """Write to SCALE the factor that shortens the finished gradient (n_params,) to `clip_norm`; 1
    if it is shorter.
    """
    gradient = scratch.gradient
    end = n_params // 4 * 4
    # four sums in float64: the additions of one wait for each other
    s = 0.0
    t = 0.0
    u = 0.0
    v = 0.0
    for i in range(0, end, 4):
        s += square_at(gradient, i)
        t += square_at(gradient, i + 1)
        u += square_at(gradient, i + 2)
        v += square_at(gradient, i + 3)
    for i in range(end, n_params):
        s += square_at(gradient, i)
    length = sqrt((s + t) + (u + v))
    factor = clip_norm / length if clip_norm < length < math.inf else 1.0
    put(scratch.update_constants, SCALE, factor)


@inlined
def penalty(scratch, model, params, strength):
    """Return ``strength / 2`` times the sum of the squared weights."""
    if strength == 0:
        return 0.0
    square_weights(scratch, model, params)
    return strength / 2 * float(get(scratch.squares, 0))
