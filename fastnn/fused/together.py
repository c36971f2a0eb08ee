"""The entry point train_together: `train_steps` for threads that share each step. It is compiled
when first used.

A step on a block has two phases: the columns of the batch, forward and back; the parameters, their
gradient and update. With options, whose update needs the gradient of all parameters, that is a
third phase of the last block. Each phase is cut into units, which threads claim: their own ones
first, then those that others have not begun. A thread that does not run claims none, and nobody
waits for it. Every number is computed in one unit, in the order of `train_steps`: neither the
number of threads nor who does what shows in any bit.

Only who has claimed a unit reads the caller's arrays or writes to any but its own: when all units
are done, the caller goes on, and a late thread finds that there is nothing left.
"""

import math
from functools import partial

from fastnn.compiler.calls import unpack
from fastnn.compiler.memory_ops import get, lanes_of, offset, put, store, zero
from fastnn.compiler.shared_numbers import WAIT, WAKE, added, futex, nap, observed, relax, swapped
from fastnn.compiler.tracing import entry, inlined
from fastnn.fused import propagation
from fastnn.fused.blocks import (
    clip,
    find_entries,
    is_sparse,
    look_up,
    padded,
    penalty,
    set_step_constants,
    stayed_finite,
    sum_weights,
)
from fastnn.fused.layout import TRAINING
from fastnn.fused.team import AWAY, BAD, DONE, LINE, PARTS, SLEEPERS, TIME, Share


@inlined
def claim(share, before, n):
    """Return a unit of a phase that has `n` for each thread, or -1 where all are claimed.

    Each thread had `before` units in the phases before; it has claimed as many, so who comes late
    claims nothing.
    """
    for k in range(share.n):
        t = share.t + k if share.t + k < share.n else share.t + k - share.n
        claimed = observed(share.numbers, t * LINE)
        while claimed < before + n:
            if swapped(share.numbers, t * LINE, claimed, claimed + 1):
                return t * n + claimed - before
            claimed = observed(share.numbers, t * LINE)
    return -1


@inlined
def finish(share, n, goal):
    """Add `n` units to those that are done; who reaches the goal wakes those that wait for it."""
    numbers = share.numbers
    place = share.n * LINE
    if (
        n > 0
        and added(numbers, place + DONE, n) + n == goal
        and observed(numbers, place + SLEEPERS) > 0
    ):
        futex(share.sleeper, share.futex, numbers, place + DONE, WAKE, share.n, place + TIME)


@inlined
def wait(share, goal):
    """Wait until so many units are done; return how many are: AWAY or more when the first thread is
    through.
    """
    numbers = share.numbers
    place = share.n * LINE
    ticks = 0
    done = observed(numbers, place + DONE)
    while done < goal:
        if ticks < share.ticks:
            ticks += relax(numbers)
        elif share.futex == 0:
            nap(share.sleeper)
        # in this order: who sees no sleeper has changed the number before it is looked at once more
        else:
            added(numbers, place + SLEEPERS, 1)
            futex(share.sleeper, share.futex, numbers, place + DONE, WAIT, done, place + TIME)
            added(numbers, place + SLEEPERS, -1)
        done = observed(numbers, place + DONE)
    return done


@inlined
def send_away(share):
    """Leave nothing to claim: whoever is late goes away."""
    for t in range(share.n):
        added(share.numbers, t * LINE, AWAY)
    added(share.numbers, share.n * LINE + DONE, AWAY)


@inlined
def divide_columns(share, width, lanes):
    """Write the first column of each unit to `share.first_column`, and behind them the last one's
    end.

    The columns of a unit are whole vectors, so that no two threads write to one.
    """
    for t in range(share.n + 1):
        put(share.first_column, t, width // lanes * t // share.n * lanes)


@inlined
def do_columns(unit, vectors, beta_products, scratch, model, spec, data, steps, share):
    """Do a unit of columns; the first one also has what is the same for the step: weights,
    constants, the penalty.
    """
    u, s, begin, end, is_new = unit
    rows = offset(steps.rows, begin)
    n = end - begin
    if u == 0:
        if is_new:
            put(share.weights, 1, sum_weights(data, rows, n))
        if begin == get(steps.start, s):
            put(steps.loss, s, penalty(scratch, model, vectors, spec.penalty))
            put(share.weights, 0, 0.0)
        divisor = get(share.weights, 0) + get(share.weights, 1)
        put(share.weights, 0, divisor)
        if end == get(steps.stop, s) and divisor > 0:
            divisor = divisor if model.mean else 1.0
            set_step_constants(scratch, spec, beta_products, get(steps.learning_rate, s), divisor)
    first = get(share.first_column, u)
    stop = get(share.first_column, u + 1)
    if first < stop:
        if is_new:
            look_up(scratch, model, data, rows, n, first, stop)
            if is_sparse(model):
                find_entries(scratch, data.X, data.indices, data.starts, first, stop)
        propagation.share_columns(scratch, model, spec, data, vectors, first, stop - first, is_new)


@inlined
def do_parameters(unit, vectors, scratch, model, spec, data, steps, share):
    """Do a unit of parameters, the first one the loss too; tell all threads of a step that is not
    finite.
    """
    u, s, begin, end, _ = unit
    first = get(steps.start, s)
    stop = get(steps.stop, s)
    width = padded(end - begin, lanes_of(vectors))
    divisor = get(share.weights, 0)
    learning = end == stop and divisor > 0  # only the last block updates
    then = 0
    if learning and spec.code >= 0 and spec.clip_norm == 0:
        then = propagation.UPDATE
    # the gradient itself is wanted, or its length
    elif learning and (spec.code < 0 or 0 < spec.clip_norm < math.inf):
        then = propagation.FINISH
    store(scratch.nan_flag, 0, zero(vectors))
    propagation.share_parameters(
        scratch, model, spec, data, vectors, share, u, width, begin == first, then
    )
    is_good = stayed_finite(scratch)
    if u == 0:
        propagation.share_loss(scratch, model, share)
        sum_of_losses = get(steps.loss, s) + float(get(scratch.sum_of_l, 0))
        if end == stop:
            sum_of_losses = sum_of_losses if learning else 0.0
            put(scratch.sum_of_l, 0, sum_of_losses)
            is_good = is_good and math.isfinite(get(scratch.sum_of_l, 0))
            sum_of_losses /= divisor if model.mean and learning else 1.0
        put(steps.loss, s, sum_of_losses)
    if not is_good:
        put(share.numbers, share.n * LINE + BAD, s + 1)


@inlined
def do_options(unit, vectors, scratch, model, spec, share, is_first):
    """Update a unit of parameters with the options in `spec`; tell all threads of a step that is
    not finite.
    """
    u, s, _, _, _ = unit
    if get(share.weights, 0) > 0:
        is_clipped = spec.clip_norm < math.inf
        # each thread finds the length: waiting for the one that does would take as long
        if is_clipped and is_first:
            clip(scratch, model.n_params, spec.clip_norm)
        store(scratch.nan_flag, 0, zero(vectors))
        propagation.share_scaled_step(scratch, model, spec, vectors, share, u, is_clipped)
        if not stayed_finite(scratch):
            put(share.numbers, share.n * LINE + BAD, s + 1)


@inlined
def do_unit(phase, unit, vectors, beta_products, scratch, model, spec, of_steps, is_first):
    """Do a unit of a phase, 0 to 2; `is_first`: this thread's first one in it."""
    data, steps, share = of_steps
    if phase == 0:
        do_columns(unit, vectors, beta_products, scratch, model, spec, data, steps, share)
    elif phase == 1:
        do_parameters(unit, vectors, scratch, model, spec, data, steps, share)
    else:
        do_options(unit, vectors, scratch, model, spec, share, is_first)


@partial(entry, **TRAINING, share=Share)
def train_together(vectors, beta_products, n_steps, scratch, model, spec, data, steps, share):
    """Train like `train_steps`, as one thread of a team; return the good steps, to the first
    thread.

    Each thread has buffers of its own, see `team.make_scratches`.
    """
    vectors = unpack(vectors)
    beta_products = unpack(beta_products)
    scratch = unpack(scratch)
    model = unpack(model)
    spec = unpack(spec)
    data = unpack(data)
    steps = unpack(steps)
    share = unpack(share)
    of_steps = data, steps, share
    if share.t == 0:
        finish(share, 1, 0)
    done = wait(share, 0)
    before = 0
    s = 0
    is_good = True
    # the block in the panels
    gathered = -1
    gathered_end = -1
    while s < n_steps and is_good and done < AWAY:
        begin = get(steps.start, s)
        stop = get(steps.stop, s)
        while begin < stop and done < AWAY:
            end = min(begin + model.block, stop)
            is_new = begin != gathered or end != gathered_end
            if is_new:
                divide_columns(share, padded(end - begin, lanes_of(vectors)), lanes_of(vectors))
            for phase in range(3 if spec.clip_norm > 0 and end == stop else 2):
                n_units = 0
                n = PARTS if phase > 0 else 1
                u = claim(share, before, n)
                while u >= 0:
                    unit = u, s, begin, end, is_new
                    do_unit(
                        phase,
                        unit,
                        vectors,
                        beta_products,
                        scratch,
                        model,
                        spec,
                        of_steps,
                        n_units == 0,
                    )
                    n_units += 1
                    u = claim(share, before, n)
                before += n
                finish(share, n_units, share.n * before)
                # A phase reads what all units of the one before have written, and writes what these
                # have read.
                done = wait(share, share.n * before)
            is_good = observed(share.numbers, share.n * LINE + BAD) != s + 1
            gathered = begin
            gathered_end = end
            begin = end
        s += is_good
    if share.t == 0:
        send_away(share)
    return s
