"""The entry points that train a network and compute its losses, gradients, outputs and derivatives.

They run a batch block by block: gather, forward, loss and output delta, backward. `NumpyBackend` in
`fastnn/reference.py` has their twins, and `layout.py` draws panels. This file is ordinary Numba
code, in which `if` and `range` are what they look like; the functions of the other files that it
calls are traced, see `tracing.py`.
"""

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.calls import caller, unpack
from fastnn.compiler.memory_ops import get, lanes_of, offset, put, store, zero
from fastnn.compiler.tracing import entry, inlined
from fastnn.fused import blocks, formulas, layout, propagation
from fastnn.fused.custom import Source
from fastnn.fused.epoch_ends import (  # noqa: F401  entry points of this module, too
    end_epoch,
    fires_at_end,
    first_end,
    shuffle_rows,
)
from fastnn.fused.evaluate import evaluate_objects, evaluate_table_objects
from fastnn.fused.formulas import custom_panel  # noqa: F401  for kernels in plain Python
from fastnn.fused.in_lanes import most_numbers, train_in_lanes  # noqa: F401
from fastnn.fused.layout import (
    ALPHA,
    SCALE,
    EpochEnds,
    Model,
    Prediction,
    Rows,
    Scratch,
    TableWeights,
    UpdateSpec,
    Weights,
)
from fastnn.fused.levenberg_marquardt import levenberg_marquardt  # noqa: F401
from fastnn.fused.together import train_together  # noqa: F401
from fastnn.fused.updates import finish_gradients

Ints = NDArray[np.int64]


@partial(entry, **layout.TRAINING, ends=EpochEnds)
def train_steps(vectors, beta_products, n_steps, scratch, model, spec, data, steps, ends):
    """Train: change `vectors` (1 + n_slots, spec.stride), `beta_products` (2,) and `steps.loss`;
    return the good steps.

    `data` and `steps` are the back ends' Data and Steps, X and Y as one-dimensional arrays in C
    order. A step whose loss or parameters are not finite ends the call, as does an epoch whose end
    asks for it; a batch whose weights sum to 0 changes nothing.
    """
    vectors = unpack(vectors)
    beta_products = unpack(beta_products)
    scratch = unpack(scratch)
    model = unpack(model)
    spec = unpack(spec)
    data = unpack(data)
    steps = unpack(steps)
    ends = unpack(ends)
    # the step whose only block is still in the panels
    gathered = -1
    width = 0
    block_weight = 0.0
    end = first_end(ends)
    for s in range(n_steps):
        first = get(steps.start, s)
        stop = get(steps.stop, s)
        divisor = 0.0
        sum_of_losses = blocks.penalty(scratch, model, vectors, spec.penalty)
        learning = False
        store(scratch.nan_flag, 0, zero(vectors))
        begin = first
        while begin < stop:  # a range with this step would divide
            n = min(model.block, stop - begin)
            # A full batch that is one block is gathered once: consecutive steps see the same
            # rows.
            if (
                gathered < 0
                or first != get(steps.start, gathered)
                or stop != get(steps.stop, gathered)
            ):
                width, block_weight = blocks.gather_block(
                    scratch, model, data, offset(steps.rows, begin), n
                )
                gathered = s if n == stop - first else -1
            divisor += block_weight
            # Only the last block updates, when the gradient of the whole batch and its divisor
            # are known.
            learning = begin + n == stop and divisor > 0
            if learning:
                divisor = divisor if model.mean else 1.0
                blocks.set_step_constants(
                    scratch, spec, beta_products, get(steps.learning_rate, s), divisor
                )
            sum_of_losses += blocks.block_loss(scratch, model, data, vectors, width, n)
            # Then a single row's gradient is used as it is made; a product with 1 would cost
            # time, though no bit.
            is_final = (
                get(scratch.update_constants, ALPHA) == 0
                and get(scratch.update_constants, SCALE) == 1
            )
            is_first = begin == first
            propagation.backward(
                scratch, model, spec, data, vectors, width, n, is_first, learning, is_final
            )
            begin += n
        if not blocks.note_loss(scratch, steps, s, sum_of_losses, divisor, learning):
            return s  # the driver restores the state before this step and says what happened
        if s + 1 == end:
            if fires_at_end(ends):
                return end
            end += ends.per_epoch
    return n_steps


@inlined
def step_with_options(scratch, model, spec, data, vectors, width, n_rows):
    """Step by the gradient of a batch; of a sequential optimizer by the batch, one block that is in
    the panels.
    """
    if spec.sequential:
        propagation.backward_in_turn(scratch, model, spec, data, vectors, width, n_rows)
    else:
        is_clipped = spec.clip_norm < math.inf
        if is_clipped:
            finish_gradients(scratch, model, vectors)
            blocks.clip(scratch, model.n_params, spec.clip_norm)
        propagation.scaled_step(scratch, spec, vectors, 0, model.n_params, is_clipped)


@partial(entry, **layout.TRAINING, ends=EpochEnds)
def train_with_options(vectors, beta_products, n_steps, scratch, model, spec, data, steps, ends):
    """Train like `train_steps`, with gradients that are clipped and rates by layer:
    ``spec.clip_norm``, ``.factors``.

    The gradient of the whole batch is made as `loss_and_gradient` does it, and updates all
    parameters in one go; of a sequential optimizer, layer by layer.
    """
    vectors = unpack(vectors)
    beta_products = unpack(beta_products)
    scratch = unpack(scratch)
    model = unpack(model)
    spec = unpack(spec)
    data = unpack(data)
    steps = unpack(steps)
    ends = unpack(ends)
    end = first_end(ends)
    for s in range(n_steps):
        first = get(steps.start, s)
        n_rows = get(steps.stop, s) - get(steps.start, s)
        rows = offset(steps.rows, first)
        mode = 0 if spec.sequential else layout.WITH_GRADIENT
        store(scratch.nan_flag, 0, zero(vectors))
        sum_of_losses, divisor, width = blocks.do_blocks(
            scratch, model, spec, data, rows, n_rows, vectors, mode
        )
        learning = divisor > 0
        if learning:
            divisor = divisor if model.mean else 1.0
            blocks.set_step_constants(
                scratch, spec, beta_products, get(steps.learning_rate, s), divisor
            )
            step_with_options(scratch, model, spec, data, vectors, width, n_rows)
        if not blocks.note_loss(scratch, steps, s, sum_of_losses, divisor, learning):
            return s
        if s + 1 == end:
            if fires_at_end(ends):
                return end
            end += ends.per_epoch
    return n_steps


@entry
def custom(z: NDArray, block: Ints, n: int, source: Source) -> None:
    """Compile the code of a formula, which kernels call by a block, see `custom.py`."""
    z = unpack(z)
    block = unpack(block)
    source = unpack(source)
    formulas.custom_code(z, block, n, source)


call_train_steps = caller(layout.Training)


@entry
def train_members(
    good: Ints, n_members: int, code: int, arguments: Ints, constants: NDArray, scratch: Scratch
) -> None:
    """Call `train_steps` for each of several trainings; write their good steps to `good`
    (n_members,).

    `code` is the address of its machine code, the same as for a single training. A row of
    `arguments` (n_members, N_TRAINING) is the `Training` of a member. A row of `constants`
    (n_members, N_CONSTANTS) goes to `scratch.update_constants` before.
    """
    good = unpack(good)
    arguments = unpack(arguments)
    constants = unpack(constants)
    scratch = unpack(scratch)
    for m in range(n_members):
        # A single training finds the constants of its formulas in the workspace, which the members
        # share.
        for k in range(layout.N_CONSTANTS):
            put(scratch.update_constants, k, get(constants, m * layout.N_CONSTANTS + k))
        call_train_steps(code, offset(good, m), offset(arguments, m * layout.N_TRAINING))


@entry
def loss_and_gradient(
    params: NDArray,
    n_rows: int,
    mode: int,
    scratch: Scratch,
    model: Model,
    spec: UpdateSpec,
    data: Rows,
    rows: Ints,
) -> float:
    """Return the loss of all rows as one batch; write its gradient, if wanted, to
    `scratch.gradient` (n_params,).

    `mode` is `layout.WITH_GRADIENT` or `layout.SAME_ROWS`, both or none.
    """
    params = unpack(params)
    scratch = unpack(scratch)
    model = unpack(model)
    spec = unpack(spec)
    data = unpack(data)
    rows = unpack(rows)
    # The user's array ends with its last number; behind that of the workspace there is room for a
    # whole vector.
    propagation.copy_params(scratch, model, params, 0)
    params = scratch.params
    sum_of_losses, divisor, _ = blocks.do_blocks(
        scratch, model, spec, data, rows, n_rows, params, mode
    )
    divisor = divisor if model.mean else 1.0
    if mode & layout.WITH_GRADIENT:
        put(scratch.update_constants, SCALE, 1 / divisor)
        finish_gradients(scratch, model, params)
    return sum_of_losses / divisor


@entry
def predict(out: NDArray, params: NDArray, n_rows: int, X: NDArray, by: Prediction) -> None:
    """Write the outputs of all rows to `out` (n_rows * n_outputs,), a block at a time."""
    out = unpack(out)
    params = unpack(params)
    X = unpack(X)
    by = unpack(by)
    scratch = unpack(by.scratch)
    model = unpack(by.model)
    # all would take longer than a row's prediction
    propagation.copy_params(scratch, model, params, model.tail)
    for begin in range(0, n_rows, model.block):
        n = min(model.block, n_rows - begin)
        width = blocks.padded(n, lanes_of(out))
        if n == 1 and model.single_row_path == 1:
            blocks.copy_row(scratch, model, X, begin)
        else:
            blocks.look_up_some(scratch, model, begin, n, width)
            blocks.gather_inputs(scratch, model, X, by.indices, by.starts, width)
        propagation.forward_rows(scratch, model, X, by.indices, params, scratch.params, width, n)
        propagation.scatter_outputs(offset(out, begin * model.n_outputs), scratch, model, width, n)


@entry
def input_jacobian(
    out: NDArray, params: NDArray, n_rows: int, scratch: Scratch, model: Model, X: NDArray
) -> None:
    """Write the derivatives of all outputs by the inputs to `out` (n_outputs * n_rows * n_inputs,),
    by blocks.
    """
    out = unpack(out)
    params = unpack(params)
    scratch = unpack(scratch)
    model = unpack(model)
    X = unpack(X)
    propagation.copy_params(scratch, model, params, 0)
    params = scratch.params
    for begin in range(0, n_rows, model.block):
        n = min(model.block, n_rows - begin)
        width = blocks.padded(n, lanes_of(out))
        blocks.look_up_some(scratch, model, begin, n, width)
        # a single row is a panel here, too
        propagation.gather_X(scratch, model, X, width)
        propagation.forward(scratch, model, params, params, width, max(n, 2))
        for o in range(model.n_outputs):
            place = offset(out, (o * n_rows + begin) * model.n_inputs)
            propagation.input_slopes(place, scratch, model, params, o, n, width)


@entry
def evaluate(x: NDArray, out: NDArray, network: Weights) -> None:
    """Write the outputs of a row x (n_inputs,) to `out` (n_outputs,), as code calls it that has its
    address.
    """
    evaluate_objects(x, out, network)


@entry
def evaluate_table(x: NDArray[np.float64], out: NDArray[np.float64], table: TableWeights) -> None:
    """Write the outputs of a table's row x (n_inputs,) to `out` (n_outputs,), as `evaluate` does
    those of a network.
    """
    evaluate_table_objects(x, out, table)
