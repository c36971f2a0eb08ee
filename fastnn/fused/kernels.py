"""The entry points train_steps, train_members, loss_and_gradient, predict. `layout.py` draws panels, names buffers.

Each runs a batch block by block: gather, forward, loss and output delta, backward. `NumpyBackend` in
`fastnn/reference.py` has their twins. This file is ordinary Numba code, in which `if` and `range` are what they look
like; the functions of the other files that it calls are traced, see `tracing.py`.
"""

import inspect
import math

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.calls import caller
from fastnn.compiler.jit import entry, inlined
from fastnn.compiler.lanes import horizontal_sum
from fastnn.compiler.memory_ops import get, lanes_of, load, offset, put, store, unpack, zero
from fastnn.compiler.vectors import like
from fastnn.fused import layout, propagation
from fastnn.fused.evaluate import evaluate as evaluate
from fastnn.fused.gather import clear, copy, gather_panel
from fastnn.fused.layout import (
    ALPHA,
    DECAY,
    LAYER_FIELDS,
    N_CONSTANTS,
    RATE,
    SCALE,
    UPDATE_CODES,
    Model,
    Scratch,
    UpdateSpec,
)
from fastnn.fused.row_orders import shuffle_rows as shuffle_rows
from fastnn.fused.updates import finish_gradients, square_weights
from fastnn.state import Data, Steps

FAN_IN = LAYER_FIELDS["fan_in"]
ADAM, ADAMW = UPDATE_CODES["Adam"], UPDATE_CODES["AdamW"]

padded = inlined(layout.padded)


@inlined
def gather_row(scratch, data, row, n_inputs, n_outputs):
    """Gather a single row's inputs and targets, zeros if its weight is 0, and its weight in every lane; return it."""
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
def gather_block(scratch, model, data, rows, n):
    """Gather a block of `n` rows; return its width and the sum of its weights."""
    n_inputs, n_outputs = get(model.layers, FAN_IN), model.n_outputs
    width = padded(n, lanes_of(data.X))
    if n == 1 and model.single_row_path == 1:
        return width, gather_row(scratch, data, get(rows, 0), n_inputs, n_outputs)
    # First where the rows lie and what they weigh, then their numbers, a vector of rows at a time.
    # Padding takes the last row's offset, which can be read, and weight 0, so nothing of it is used.
    sum_of_weights = 0.0  # added in ascending order, in float64
    for b in range(width):
        row = get(rows, min(b, n - 1))
        put(scratch.rows_of_X, b, row * n_inputs)
        put(scratch.rows_of_Y, b, row * n_outputs)
        w = get(data.sample_weight, row) if b < n else get(scratch.zeros, 0)
        put(scratch.weight, b, w)
        sum_of_weights += float(w)
    if width == lanes_of(data.X):  # a small layer's gradient may be made within its update, which reads these
        propagation.add_rows_of_ones(scratch, model, width)
    gather_panel(scratch.activations, data.X, scratch.rows_of_X, scratch.weight, n_inputs, width)
    gather_panel(scratch.targets, data.Y, scratch.rows_of_Y, scratch.weight, n_outputs, width)
    return width, sum_of_weights


@inlined
def gather_inputs(scratch, X, begin, n, n_inputs, width):
    """Gather the inputs of `n` rows from row `begin` on, all of weight 1."""
    for b in range(width):
        put(scratch.rows_of_X, b, (begin + min(b, n - 1)) * n_inputs)
        put(scratch.weight, b, 1 if b < n or n == 1 else 0)
    if n > 1:
        gather_panel(scratch.activations, X, scratch.rows_of_X, scratch.weight, n_inputs, width)
    else:
        copy(scratch.activations, offset(X, begin * n_inputs), n_inputs)


@inlined
def set_constants(constants, spec, beta_products, learning_rate, divisor):
    """Write what this step's update multiplies with, formed in float64 and rounded once to the working dtype."""
    # beta ** t as running products, in the training state: pow() differs between C libraries.
    put(beta_products, 0, get(beta_products, 0) * spec.beta_1)
    put(beta_products, 1, get(beta_products, 1) * spec.beta_2)
    rate = learning_rate
    # Adam's corrections of both moments are one factor, epsilon outside of it, as in scikit-learn.
    if spec.code == ADAM or spec.code == ADAMW:
        rate = learning_rate * math.sqrt(1 - get(beta_products, 1)) / (1 - get(beta_products, 0))
    put(constants, RATE, rate)
    put(constants, DECAY, learning_rate * spec.weight_decay)
    put(constants, SCALE, 1 / divisor)


@inlined
def penalty(scratch, model, params, alpha):
    """Return ``alpha / 2`` times the sum of the squared weights."""
    if alpha == 0:
        return 0.0
    # Layer by layer onto one vector, lane by lane: the order of the sum is that of the parameters.
    store(scratch.squares, 0, zero(params))
    square_weights(scratch, model, params)
    return alpha / 2 * float(horizontal_sum(load(scratch.squares, 0)))


@entry
def train_steps(
    vectors: NDArray,
    beta_products: NDArray[np.float64],
    n_steps: int,
    scratch: Scratch,
    model: Model,
    spec: UpdateSpec,
    data: Data,
    steps: Steps,
) -> int:
    """Train: change `vectors` (1 + n_slots, spec.stride), `beta_products` (2,) and `steps.loss`; return the good steps.

    `data` and `steps` are the back ends' Data and Steps, X and Y as one-dimensional arrays in C order. A step whose
    loss or parameters are not finite ends the call; a batch whose weights sum to 0 changes nothing.
    """
    vectors, beta_products, scratch, model = unpack(vectors), unpack(beta_products), unpack(scratch), unpack(model)
    spec, data, steps = unpack(spec), unpack(data), unpack(steps)
    gathered, width, block_weight = -1, 0, 0.0  # the step whose only block is still in the panels
    for s in range(n_steps):
        first, stop = get(steps.start, s), get(steps.stop, s)
        divisor, sum_of_losses, learning = 0.0, penalty(scratch, model, vectors, spec.alpha), False
        store(scratch.nan_flag, 0, zero(vectors))
        begin = first
        while begin < stop:  # a range with this step would divide
            n = min(model.block, stop - begin)
            # A full batch that is one block is gathered once: consecutive steps see the same rows.
            if gathered < 0 or first != get(steps.start, gathered) or stop != get(steps.stop, gathered):
                width, block_weight = gather_block(scratch, model, data, offset(steps.rows, begin), n)
                gathered = s if n == stop - first else -1
            divisor += block_weight
            # Only the last block updates, when the gradient of the whole batch and its divisor are known.
            learning = begin + n == stop and divisor > 0
            if learning:
                divisor = divisor if model.mean else 1.0
                set_constants(scratch.update_constants, spec, beta_products, get(steps.learning_rate, s), divisor)
            propagation.forward(scratch, model, vectors, vectors, width, n)
            propagation.output_delta(scratch, model, width, n)
            sum_of_losses += float(get(scratch.sum_of_l, 0))  # in Python, a float32 would make the sum of blocks one
            # Then a single row's gradient is used as it is made; a product with 1 would cost time, though no bit.
            is_final = get(scratch.update_constants, ALPHA) == 0 and get(scratch.update_constants, SCALE) == 1
            propagation.backward(scratch, model, spec, vectors, width, n, begin == first, learning, is_final)
            begin += n
        # A batch whose weights sum to 0 is skipped: no division by 0, no update, a loss of 0.
        sum_of_losses = sum_of_losses if learning else 0.0
        put(steps.loss, s, sum_of_losses / divisor if learning else 0.0)
        put(scratch.sum_of_l, 0, sum_of_losses)  # in the working dtype it overflows where the reference's does
        if not (math.isfinite(get(scratch.sum_of_l, 0)) and horizontal_sum(load(scratch.nan_flag, 0)) == 0):
            return s  # the driver restores the state before this step and says what happened
    return n_steps


N_ARGUMENTS = len(inspect.signature(train_steps).parameters)
call_train_steps = caller(N_ARGUMENTS)


@entry
def train_members(
    good: NDArray[np.int64],
    n_members: int,
    code: int,
    arguments: NDArray[np.int64],
    constants: NDArray,
    scratch: Scratch,
) -> None:
    """Call `train_steps` for each of several trainings; write their good steps to `good` (n_members,).

    `code` is the address of its machine code, and a row of `arguments` (n_members, N_ARGUMENTS) what it is called with:
    it is the same code as that of a single training. A row of `constants` (n_members, N_CONSTANTS) goes to
    `scratch.update_constants` before.
    """
    good, arguments, constants, scratch = unpack(good), unpack(arguments), unpack(constants), unpack(scratch)
    for m in range(n_members):
        for k in range(N_CONSTANTS):
            put(scratch.update_constants, k, get(constants, m * N_CONSTANTS + k))
        call_train_steps(code, offset(good, m), offset(arguments, m * N_ARGUMENTS))


@entry
def loss_and_gradient(
    params: NDArray,
    n_rows: int,
    with_gradient: int,
    scratch: Scratch,
    model: Model,
    spec: UpdateSpec,
    data: Data,
    rows: NDArray[np.int64],
) -> float:
    """Return the loss of all rows as one batch; write its gradient, if wanted, to `scratch.gradient` (n_params,)."""
    scratch, model, spec, data, rows = unpack(scratch), unpack(model), unpack(spec), unpack(data), unpack(rows)
    propagation.copy_params(scratch, model, unpack(params), 0)
    params = scratch.params
    divisor, sum_of_losses = 0.0, penalty(scratch, model, params, spec.alpha)
    for begin in range(0, n_rows, model.block):  # the gradient is summed block by block, in order
        n = min(model.block, n_rows - begin)
        width, block_weight = gather_block(scratch, model, data, offset(rows, begin), n)
        divisor += block_weight
        propagation.forward(scratch, model, params, params, width, n)
        propagation.output_delta(scratch, model, width, n)
        sum_of_losses += float(get(scratch.sum_of_l, 0))
        if with_gradient:
            propagation.backward(scratch, model, spec, params, width, n, begin == 0, False, False)
    divisor = divisor if model.mean else 1.0
    if with_gradient:
        put(scratch.update_constants, SCALE, 1 / divisor)
        finish_gradients(scratch, model, params)
    return sum_of_losses / divisor


@entry
def predict(out: NDArray, params: NDArray, n_rows: int, scratch: Scratch, model: Model, X: NDArray) -> None:
    """Write the outputs of all rows to `out` (n_rows * n_outputs,), a block at a time."""
    out, params, scratch, model, X = unpack(out), unpack(params), unpack(scratch), unpack(model), unpack(X)
    propagation.copy_params(scratch, model, params, model.tail_layer)  # all would take longer than a row's prediction
    n_inputs = get(model.layers, FAN_IN)
    for begin in range(0, n_rows, model.block):
        n = min(model.block, n_rows - begin)
        width = padded(n, lanes_of(out))
        gather_inputs(scratch, X, begin, n, n_inputs, width)
        propagation.forward(scratch, model, params, scratch.params, width, n)
        propagation.scatter_outputs(offset(out, begin * model.n_outputs), scratch, model, width, n)
