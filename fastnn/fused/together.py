"""The entry point train_together: `train_steps` for threads that share each step. It is compiled when first used.

A step on a block has two phases, and each thread does its part of both: its columns of the batch, forward and back, and
its parameters, their gradient and update. After each phase the threads wait for one another. Every number is computed
by one thread, in the order of `train_steps`: the number of threads shows in no bit.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.memory_ops import (
    announce,
    get,
    horizontal_sum,
    lanes_of,
    load,
    observed,
    offset,
    put,
    relax,
    sleep,
    store,
    unpack,
    zero,
)
from fastnn.compiler.tracing import entry, inlined
from fastnn.fused import propagation
from fastnn.fused.blocks import FAN_IN, look_up, padded, penalty, set_step_constants
from fastnn.fused.layout import Model, Scratch, UpdateSpec
from fastnn.fused.team import AWAY, LINE, Share
from fastnn.state import Data, Steps

PATIENCE = 500  # naps for a thread that has not come yet: some 50 ms


@inlined
def wait_for(share, t, count, patience):
    """Wait until thread `t` has come to meeting number `count`, for at most `patience` naps; -1: however long."""
    looks = naps = 0
    while observed(share.numbers, t * LINE) < count and naps != patience:
        if looks < share.spins:
            looks += 1
            relax(share.numbers)
        else:
            naps += 1
            sleep(share.sleeper)


@inlined
def meet(share, count, good):
    """Come to meeting number `count`, wait for all other threads there, and return whether all of them are good."""
    for t in range(share.first, share.stop):
        # In this order: whoever sees that this thread has come reads what it wrote before.
        put(share.numbers, (share.n + t) * LINE, good)
        announce(share.numbers, t * LINE, count)
    for t in range(share.n):
        if t < share.first or t >= share.stop:
            wait_for(share, t, count, -1)
    all_good = 1
    for t in range(share.n):
        all_good &= get(share.numbers, (share.n + t) * LINE)
    return all_good


@inlined
def all_have_come(share):
    """Return whether all threads have come to the first meeting, for which the first of them decides for all."""
    # It waits for the others a while; then those that have come are sent away, and late ones find the answer.
    if share.first == 0:
        answer = 1
        for t in range(share.stop, share.n):
            wait_for(share, t, 1, PATIENCE)
            answer = answer if observed(share.numbers, t * LINE) == 1 else AWAY
        announce(share.numbers, 0, answer)
    else:
        announce(share.numbers, share.first * LINE, 1)
        wait_for(share, 0, 1, -1)
    return observed(share.numbers, 0) < AWAY


@inlined
def divide_columns(share, width, lanes):
    """Write the first column of each thread to `share.first_column`, and behind them the last one's end.

    The columns of a thread are whole vectors, so that no two threads write to one.
    """
    for t in range(share.n + 1):
        put(share.first_column, t, width // lanes * t // share.n * lanes)


@inlined
def is_good(scratch, share):
    """Return 1 if the parameters that this thread has updated are finite, and of the first thread the loss, else 0."""
    finite = horizontal_sum(load(scratch.nan_flag, 0)) == 0
    return 1 if finite and (share.first > 0 or math.isfinite(get(scratch.sum_of_l, 0))) else 0


@entry
def train_together(
    vectors: NDArray,
    beta_products: NDArray[np.float64],
    n_steps: int,
    scratch: Scratch,
    model: Model,
    spec: UpdateSpec,
    data: Data,
    steps: Steps,
    share: Share,
) -> int:
    """Train like `train_steps`, as one thread of a team; return the good steps, or -1 where not all have come.

    Each thread has `beta_products` of its own, and buffers, see `team.make_scratches`.
    """
    vectors, beta_products, scratch, model = unpack(vectors), unpack(beta_products), unpack(scratch), unpack(model)
    spec, data, steps, share = unpack(spec), unpack(data), unpack(steps), unpack(share)
    if not all_have_come(share):
        return -1  # nothing was written, so the caller can do the steps alone
    L, n_inputs, met, good = lanes_of(data.X), get(model.layers, FAN_IN), 1, 1
    gathered, width, block_weight = -1, 0, 0.0
    for s in range(n_steps):
        first, stop = get(steps.start, s), get(steps.stop, s)
        divisor, sum_of_losses, learning = 0.0, 0.0, False
        if share.first == 0:  # the loss has one writer; all threads add up the divisor, each for itself
            put(steps.loss, s, 0.0)
            sum_of_losses = penalty(scratch, model, vectors, spec.penalty)
        store(scratch.nan_flag, 0, zero(vectors))
        begin = first
        while begin < stop:
            n = min(model.block, stop - begin)
            gathering = gathered < 0 or first != get(steps.start, gathered) or stop != get(steps.stop, gathered)
            if gathering:
                width = padded(n, L)
                divide_columns(share, width, L)
                # of all rows, for the sum of their weights; gathered are those of a thread's own columns
                block_weight = look_up(scratch, data, offset(steps.rows, begin), n, width, n_inputs, model.n_outputs)
                gathered = s if n == stop - first else -1
            divisor += block_weight
            learning = begin + n == stop and divisor > 0  # only the last block updates
            if learning:
                divisor = divisor if model.mean else 1.0
                set_step_constants(scratch.update_constants, spec, beta_products, get(steps.learning_rate, s), divisor)
            for t in range(share.first, share.stop):
                column = get(share.first_column, t)
                n_columns = get(share.first_column, t + 1) - column
                if n_columns > 0:
                    propagation.share_columns(scratch, model, spec, data, vectors, column, n_columns, gathering)
            meet(share, met + 1, 1)  # the second phase reads the panels of all threads, and updates their weights
            if share.first == 0:
                propagation.share_loss(scratch, model, share)
                sum_of_losses += float(get(scratch.sum_of_l, 0))
            for t in range(share.first, share.stop):
                propagation.share_parameters(scratch, model, spec, vectors, share, t, width, begin == first, learning)
            begin += n
            if begin == stop and share.first == 0:
                sum_of_losses = sum_of_losses if learning else 0.0
                put(steps.loss, s, sum_of_losses / divisor if learning else 0.0)
                put(scratch.sum_of_l, 0, sum_of_losses)
            met += 2
            good = meet(share, met, is_good(scratch, share))  # the next block overwrites panels
        if not good:
            return s
    return n_steps
