"""The entry point train_in_lanes: `train_steps` for as many networks of one shape as a vector has
lanes, one in each.

A number of the kernel is a vector here, see `vectors.Many`, and the functions of `propagation.py`
are traced for such numbers once more: the same orders of sums, the same bits. Sizes, batches and
the kind of optimizer are common; each network has its own parameters, constants, learning rates,
order of rows and loss.

Ordinary Numba code, see `kernels.py`. Buffers are there twice: lane by lane as plain numbers, and
with "wide" before their names as numbers of many.
"""

import math

from fastnn.compiler.calls import as_many, unpack
from fastnn.compiler.lanes import horizontal_sum
from fastnn.compiler.memory_ops import get, lanes_of, load, offset, put, store, zero
from fastnn.compiler.tracing import cpu_has, entry, inlined
from fastnn.compiler.vectors import in_double, where_gt
from fastnn.fused import propagation
from fastnn.fused.blocks import set_step_constants
from fastnn.fused.epoch_ends import count_right, decide
from fastnn.fused.gather import gather_each
from fastnn.fused.layout import (
    LAYER_FIELDS,
    N_CONSTANTS,
    Epochs,
    LaneNumbers,
    Members,
    Model,
    Scratch,
    UpdateSpec,
)
from fastnn.fused.updates import square_weights
from fastnn.state import Data, Steps

N_FIELDS = len(LAYER_FIELDS)
OUTPUT = LAYER_FIELDS["output"]
MOST_DOUBLE, MOST_SINGLE = (300, 400) if cpu_has("avx2") or cpu_has("neon") else (0, -1)
"""The most numbers of a network for which lanes pay, in float64 and in float32; more do not fit the
first cache. Of 168 networks with 180 to 750 numbers, the gain fell to 1 near these, by the code for
AVX-512 and for AVX2; by the former, some with 400 to 600 took 1.15 times as long as one by one.
Arm's vectors take the numbers of AVX2, unmeasured, and SSE code has no lanes."""


@inlined
def gather_blocks(workspace, X, Y, firsts, rows, n):
    """Gather a block of `n` rows of each network, the next ones of `rows` from its own of `firsts`
    (N,) on.
    """
    scratch, wide_scratch, model = workspace
    N = lanes_of(X)
    for b in range(n):
        put(wide_scratch.weight, b, 1.0)
        for j in range(N):
            row = get(rows, b + get(firsts, j))
            put(scratch.rows_of_X, b * N + j, row * model.n_inputs)
            put(scratch.rows_of_Y, b * N + j, row * model.n_outputs)
    if n <= N:  # a small layer's gradient may be made within its update, which reads these
        propagation.add_rows_of_ones(wide_scratch, model, n)
    gather_each(scratch.activations, X, scratch.rows_of_X, model.n_inputs, n)
    gather_each(scratch.targets, Y, scratch.rows_of_Y, model.n_outputs, n)


@inlined
def to_lane(numbers_of_many, j, N, numbers, n):
    """Copy `n` numbers of a member to lane j."""
    for k in range(n):
        put(numbers_of_many, k * N + j, get(numbers, k))


@inlined
def from_lane(numbers_of_many, j, N, numbers, n):
    """Copy `n` numbers of lane j to its member."""
    for k in range(n):
        put(numbers, k, get(numbers_of_many, k * N + j))


@inlined
def take_in(scratch, lanes, members, group, n_params, N):
    """Copy the states and constants of the members `group` (N,) to the lanes."""
    for j in range(N):
        m = get(group, j)
        put(lanes.penalty, j, get(members.penalty, m))
        put(lanes.first_row, j, m * members.row_step)
        put(lanes.first_rate, j, m * members.rate_step)
        put(lanes.first_scored, j, m * members.scored_step)
        constants = offset(members.constants, m * N_CONSTANTS)
        to_lane(scratch.update_constants, j, N, constants, N_CONSTANTS)
        to_lane(lanes.beta_products, j, N, offset(members.beta_products, 2 * m), 2)
        for v in range(members.n_vectors):
            vector = offset(members.storage, (m * members.n_vectors + v) * members.stride)
            to_lane(offset(lanes.vectors, v * n_params * N), j, N, vector, n_params)


@inlined
def runs(members, m, s):
    """Return whether step `s` is one of member m's: it has neither diverged, nor has its rule
    fired.
    """
    return get(members.good, m) == get(members.n_steps, m) and s < get(members.n_steps, m)


@inlined
def give_back(lanes, members, m, j, n_params, N):
    """Copy the state of lane `j` to its member `m`, after a step that was good."""
    from_lane(lanes.beta_products, j, N, offset(members.beta_products, 2 * m), 2)
    for v in range(members.n_vectors):
        vector = offset(members.storage, (m * members.n_vectors + v) * members.stride)
        from_lane(offset(lanes.vectors, v * n_params * N), j, N, vector, n_params)


@inlined
def penalties(wide_scratch, wide_lanes, model, largest):
    """Return each network's penalty, in float64, as `blocks.penalty` does one; the `largest`
    strength may be 0.
    """
    nothing = zero(wide_lanes.penalty)
    if largest == 0:
        return nothing
    square_weights(wide_scratch, model, wide_lanes.vectors)
    strength = get(wide_lanes.penalty, 0)
    return where_gt(
        strength, nothing, strength / 2 * in_double(get(wide_scratch.squares, 0)), nothing
    )


@inlined
def note_losses(scratch, lanes, steps, members, group, s, N):
    """Write the losses of step s, and the step as its number of good ones for each member that
    diverges in it.
    """
    for j in range(N):
        m = get(group, j)
        if runs(members, m, s):
            put(steps.loss, m * members.most + s, get(lanes.loss, j))
    losses = load(scratch.sum_of_l, 0)
    if horizontal_sum(losses - losses + load(scratch.nan_flag, 0)) != 0:  # one is NaN
        for j in range(N):
            is_good = math.isfinite(get(scratch.sum_of_l, j)) and get(scratch.nan_flag, j) == 0
            if not is_good and runs(members, get(group, j), s):
                put(members.good, get(group, j), s)


@inlined
def take_step(workspace, spec, data, steps, lanes, wide_lanes, s, gathered):
    """Do step `s` of all networks, and write its losses; return the step whose rows are in the
    panels, or -1.
    """
    _, wide_scratch, model = workspace
    first = get(steps.start, s)
    stop = get(steps.stop, s)
    divisor = float(stop - first) if model.mean else 1.0
    N = lanes_of(data.X)
    gather_each(
        lanes.rate, offset(steps.learning_rate, s), lanes.first_rate, 1, N // lanes_of(lanes.rate)
    )
    sums_of_losses = penalties(wide_scratch, wide_lanes, model, spec.penalty)
    store(wide_scratch.nan_flag, 0, zero(wide_scratch.nan_flag))
    begin = first
    while begin < stop:
        n = min(model.block, stop - begin)
        if gathered < 0 or first != get(steps.start, gathered) or stop != get(steps.stop, gathered):
            gather_blocks(workspace, data.X, data.Y, lanes.first_row, offset(steps.rows, begin), n)
            gathered = s if n == stop - first else -1
        learning = begin + n == stop
        if learning:
            rate = get(wide_lanes.rate, 0)
            products = wide_lanes.beta_products
            set_step_constants(wide_scratch, spec, products, rate, divisor)
        propagation.forward(wide_scratch, model, wide_lanes.vectors, wide_lanes.vectors, n, n)
        propagation.output_delta(wide_scratch, model, n, n)
        sums_of_losses = sums_of_losses + in_double(get(wide_scratch.sum_of_l, 0))
        propagation.backward(
            wide_scratch,
            model,
            spec,
            data,
            wide_lanes.vectors,
            n,
            n,
            begin == first,
            learning,
            False,
        )
        begin += n
    put(wide_lanes.loss, 0, sums_of_losses / divisor)
    put(wide_scratch.sum_of_l, 0, sums_of_losses)
    return gathered


@inlined
def score(workspace, wide_lanes, members, lanes, group, epochs, penalty, is_gathered):
    """Write the loss of each network's scored rows to `lanes.loss`, as `loss_and_gradient` returns
    it. To call that for one network after the other took 2.6 times as long as training without
    validation; this takes 1.5.

    Where labels are scored, write how many are right to `lanes.right`.
    """
    scratch, wide_scratch, model = workspace
    n_rows = epochs.n_rows
    n_outputs = epochs.n_outputs
    N = lanes_of(members.scored_X)
    output = get(model.layers, (model.n_layers - 1) * N_FIELDS + OUTPUT)
    sums_of_losses = penalties(wide_scratch, wide_lanes, model, penalty)
    for begin in range(0, n_rows, members.scored_block):
        n = min(members.scored_block, n_rows - begin)
        if not (is_gathered and n == n_rows):
            rows = offset(lanes.scored_rows, begin)
            gather_blocks(
                workspace, members.scored_X, members.scored_Y, lanes.first_scored, rows, n
            )
        propagation.forward(wide_scratch, model, wide_lanes.vectors, wide_lanes.vectors, n, n)
        for j in range(N if epochs.scored > 0 else 0):
            of_outputs = offset(scratch.activations, output * n * N + j)
            labels = offset(
                epochs.labels, get(group, j) * epochs.n_labels + begin * (epochs.n_labels // n_rows)
            )
            right = count_right(of_outputs, labels, n, n_outputs, epochs.exclusive, N, n * N)
            put(lanes.right, j, right + (get(lanes.right, j) if begin > 0 else 0))
        propagation.output_delta(wide_scratch, model, n, n)
        sums_of_losses = sums_of_losses + in_double(get(wide_scratch.sum_of_l, 0))
    put(wide_lanes.loss, 0, sums_of_losses / (float(n_rows) if model.mean else 1.0))


@inlined
def end_epochs(lanes, members, group, epochs, s, n_params, N):
    """Decide for each member that has ended an epoch with step `s`; return how many go on.

    Those whose rules fire are given their states.
    """
    n_left = 0
    for j in range(N):
        m = get(group, j)
        # the last one may be there several times
        if runs(members, m, s) and (j == 0 or m != get(group, j - 1)):
            fired = decide(
                epochs, m, get(lanes.loss, j), get(lanes.right, j), offset(lanes.vectors, j), N
            )
            if fired == 1:
                give_back(lanes, members, m, j, n_params, N)
                put(members.good, m, s + 1)
        n_left += runs(members, m, s + 1)
    return n_left


@entry
def most_numbers(n_lanes: int) -> int:
    """Return the most numbers of a network for which lanes pay by this code, see
    `side_by_side.numbers_of`.
    """
    return MOST_DOUBLE if n_lanes == 8 else MOST_SINGLE


@entry
def train_in_lanes(
    scratch: Scratch,
    model: Model,
    spec: UpdateSpec,
    data: Data,
    steps: Steps,
    members: Members,
    lanes: LaneNumbers,
    scoring: Scratch,
    epochs: Epochs,
) -> None:
    """Train members of a group, N at a time: change their states and losses, and write
    `members.good`.

    `spec.penalty` is not 0 if one of theirs is not; all row weights are 1, and no batch is empty. A
    member whose loss or parameters are not finite keeps a state that it had, and the others go on;
    so they do when a member's rule fires. At the ends of epochs the scored rows of all networks are
    scored at once, in buffers of their own, `scoring`.
    """
    scratch = unpack(scratch)
    model = unpack(model)
    spec = unpack(spec)
    data = unpack(data)
    steps = unpack(steps)
    members = unpack(members)
    lanes = unpack(lanes)
    scoring = unpack(scoring)
    epochs = unpack(epochs)
    wide_scratch = as_many(scratch)
    wide_lanes = as_many(lanes)
    wide_scoring = as_many(scoring)
    training = (scratch, wide_scratch, model)
    scored = (scoring, wide_scoring, model)
    N = lanes_of(data.X)
    n_params = spec.stride
    for g in range(members.n_groups):
        group = offset(members.order, g * N)
        running = N
        gathered = -1
        next_end = members.first + epochs.per_epoch
        is_scored = False
        take_in(scratch, lanes, members, group, n_params, N)
        # the first has the most
        for s in range(members.first, min(members.stop, get(members.n_steps, get(group, 0)))):
            gathered = take_step(training, spec, data, steps, lanes, wide_lanes, s, gathered)
            note_losses(scratch, lanes, steps, members, group, s, N)
            is_last = s + 1 == members.stop
            while running > 0 and get(members.n_steps, get(group, running - 1)) == s + 1:
                running = running - 1
                is_last = True
            for j in range(N if is_last else 0):
                if runs(members, get(group, j), s):
                    give_back(lanes, members, get(group, j), j, n_params, N)
            if s + 1 == next_end:
                if epochs.n_rows > 0:
                    penalty = spec.penalty if members.penalizes else 0.0
                    score(scored, wide_lanes, members, lanes, group, epochs, penalty, is_scored)
                next_end = next_end + epochs.per_epoch
                is_scored = True
                if end_epochs(lanes, members, group, epochs, s, n_params, N) == 0:
                    break
