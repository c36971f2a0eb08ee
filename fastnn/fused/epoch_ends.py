"""The entry points shuffle_rows, the order of rows of an epoch, and end_epoch, what is decided at
its end.

Ordinary Numba code that knows no network. `train_steps` calls `end_epoch` by its address; losses
and outputs come from the machine code of the other entry points, so that they have the bits that
these give alone. `Evaluation` and `count_epoch` of `training` do the same in Python.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.calls import caller, unpack
from fastnn.compiler.memory_ops import get, offset, put
from fastnn.compiler.tracing import entry, inlined
from fastnn.fused.layout import (
    MODE,
    N_LOSS,
    N_PREDICT,
    SAME_ROWS,
    EndCall,
    Epochs,
    LossCall,
    PredictCall,
)
from fastnn.state import BEST, EACH, LIMIT, N_RULE, RULE_BEST, STALE, STRICT, TOL

call_loss = caller(LossCall)
call_predict = caller(PredictCall)
call_end_epoch = caller(EndCall)


@inlined
def first_end(ends):
    """Return the number of steps with which the first epoch of a call ends; 0: none does."""
    return ends.per_epoch - ends.first if ends.per_epoch > 0 else 0


@inlined
def fires_at_end(ends):
    """Call `end_epoch` by its address; return whether the rule fires."""
    call_end_epoch(ends.code, ends.fired, ends.call)
    return get(ends.fired, 0) == 1


@inlined
def count_right(outputs, labels, n_rows, n_outputs, exclusive, of_row, of_output):
    """Count the rows whose outputs are on the labels' side, as scikit-learn's accuracy does.

    From a row's outputs to the next one's are `of_row` numbers, from an output to the next one
    `of_output`.

    Where labels are exclusive, `labels` (n_rows,) are their numbers, and the first of the largest
    outputs counts; a NaN is larger than all. Else `labels` (n_rows, n_outputs) are 1 where an
    output should be above 1/2, and all of a row have to be right.
    """
    n_right = 0
    for i in range(n_rows):
        row = offset(outputs, i * of_row)
        is_right = True
        if exclusive == 1:
            largest = 0
            for o in range(1, n_outputs):
                a = get(row, o * of_output)
                b = get(row, largest * of_output)
                if b == b and (a > b or a != a):
                    largest = o
            is_right = largest == get(labels, i)
        else:
            for o in range(n_outputs):
                is_right = is_right and (get(row, o * of_output) > 0.5) == (
                    get(labels, i * n_outputs + o) == 1
                )
        n_right += 1 if is_right else 0
    return n_right


@inlined
def count_epoch(rule, score):
    """Count an epoch with this score; return 1 if the rule fires, else 0, as `count_epoch` of
    `training` does.
    """
    if get(rule, LIMIT) == 0:  # there is none
        return 0
    strict = get(rule, STRICT)
    best = get(rule, RULE_BEST)
    each = int(get(rule, EACH))
    loss = math.inf if strict > 0 and not math.isfinite(score) else score
    target = best - get(rule, TOL)
    failed = loss >= target if strict == 1 else loss > target
    stale = get(rule, STALE) + 1 if failed else 0.0
    put(rule, STALE, stale)
    if loss < best:
        put(rule, RULE_BEST, loss)
    return (
        1 if stale >= get(rule, LIMIT) or (each > 0 and stale > 0 and int(stale) % each == 0) else 0
    )


@inlined
def loss_of_epoch(epochs, m, epoch):
    """Return the loss of member `m`'s epoch from those of its steps, as `Log` of `training`
    does.
    """
    losses = offset(epochs.of_steps, m * epochs.n_steps)
    end = (epoch + 1) * epochs.per_epoch - epochs.first
    total = 0.0
    divisor = 0.0
    if epoch == 0:
        total = get(epochs.sums, 2 * m)
        divisor = get(epochs.sums, 2 * m + 1)
    for s in range(max(end - epochs.per_epoch, 0), end):
        total += get(losses, s) / epochs.divisor * get(epochs.factors, s)
        divisor += get(epochs.factors, s)
    return total / divisor if epochs.mean == 1 else total


@inlined
def decide(epochs, m, loss, right, params, step):
    """End an epoch of member `m` by its score: keep the parameters if they are the best; return 1
    if its rule fires.

    That is the `loss` of the rows that are scored, or how many are `right`. From each of its
    `params` to the next one are `step` numbers.
    """
    epoch = get(epochs.ended, 2 * m)
    rule = offset(epochs.rules, m * N_RULE)
    score = 0.0
    at = m * epochs.n_epochs + epoch
    if epochs.n_rows > 0:
        score = loss
        put(epochs.losses, at, loss)
    if epochs.scored > 0:
        score = -(right / epochs.n_rows)
        put(epochs.measured, at, -score)
    if epochs.n_kept > 0 and math.isfinite(score) and score < get(rule, BEST):
        put(rule, BEST, score)
        best = offset(epochs.best_params, m * epochs.n_kept)
        for k in range(epochs.n_kept):
            put(best, k, get(params, k * step))
    fired = count_epoch(rule, loss_of_epoch(epochs, m, epoch) if epochs.n_factors > 0 else score)
    put(epochs.ended, 2 * m, epoch + 1)
    put(epochs.ended, 2 * m + 1, fired)
    return fired


@entry
def end_epoch(m: int, epochs: Epochs) -> int:
    """Score the epoch that member `m` has ended, keep the parameters if they are the best; return 1
    if its rule fires.

    The calls that score write their results to `losses` and `outputs`.
    """
    epochs = unpack(epochs)
    loss = 0.0
    right = 0
    if epochs.n_rows > 0:
        at = m * epochs.n_epochs + get(epochs.ended, 2 * m)
        call_loss(epochs.loss_code, offset(epochs.losses, at), offset(epochs.loss, m * N_LOSS))
        put(epochs.loss, m * N_LOSS + MODE, SAME_ROWS)  # from now on they may be gathered already
        loss = get(epochs.losses, at)
    if epochs.scored > 0:
        call_predict(
            epochs.predict_code,
            offset(epochs.ended, 2 * m + 1),
            offset(epochs.predict, m * N_PREDICT),
        )
        labels = offset(epochs.labels, m * epochs.n_labels)
        n = epochs.n_outputs
        right = count_right(epochs.outputs, labels, epochs.n_rows, n, epochs.exclusive, n, 1)
    return decide(epochs, m, loss, right, offset(epochs.storage, m * epochs.size), 1)


@inlined
def renew(words):
    """Renew MT19937's 624 words (625,): word k from the words k, k + 1 and k + 397, counted modulo
    624.
    """
    # In two parts, each of which takes its third word from the other one: no index is divided.
    first = 0
    step = 397
    for stop in (227, 624):
        for k in range(first, stop):
            bits = (get(words, k) & 0x80000000) | (get(words, k + 1) & 0x7FFFFFFF)
            put(words, k, get(words, k + step) ^ (bits >> 1) ^ ((bits & 1) * 0x9908B0DF))
        first = 227
        step = -227
        put(words, 624, get(words, 0))  # what follows the last word


@entry
def shuffle_rows(
    words: NDArray[np.uint32],
    orders: NDArray[np.int64],
    order: NDArray[np.int64],
    n_rows: int,
    n_orders: int,
) -> None:
    """Write `orders` (n_orders, n_rows): `order` (n_rows,) shuffled once, twice, and so on, by
    `words` (625,).

    These are the orders of NumPy's `RandomState.shuffle`. The words are those of MT19937 (Matsumoto
    and Nishimura, 1998), then the position of the next one; both go on. From the last row on, each
    row is exchanged with one of those before it or with itself. NumPy draws the number of that row,
    below 2**32, as the lowest bits of a word, as many as are needed, and rejects numbers that are
    too large. Here a rejected draw exchanges the row with itself in place of a jump, which a
    processor would have to guess: it takes a third of the time.
    """
    words = unpack(words)
    orders = unpack(orders)
    order = unpack(order)
    position = get(words, 624)
    for e in range(n_orders):
        rows = offset(orders, e * n_rows)
        for k in range(n_rows):
            put(rows, k, get(order, k))
        last = n_rows - 1
        mask = 0
        while mask < last:  # as many bits as `last` has
            mask = 2 * mask + 1
        while last > 0:
            if position == 624:
                renew(words)
                position = 0
            y = get(words, position)
            position += 1
            # MT19937's tempering, by which a word becomes a random number
            y ^= y >> 11
            y ^= (y << 7) & 0x9D2C5680
            y ^= (y << 15) & 0xEFC60000
            drawn = (y ^ (y >> 18)) & mask
            taken = drawn <= last
            other = drawn if taken else last  # a selection, no jump
            row = get(rows, last)
            put(rows, last, get(rows, other))
            put(rows, other, row)
            last -= taken  # stays where the draw was rejected
            mask = mask >> 1 if last <= mask >> 1 else mask
        order = rows
    put(words, 624, position)
