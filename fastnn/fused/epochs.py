"""The entry point end_epoch: what is decided at the end of an epoch, which `train_steps` calls by its address.

Ordinary Numba code that knows no network: losses and outputs come from the machine code of the other entry points, so
that they have the bits that these give alone. `Scores` and `Patience` of `training` do the same in Python.
"""

import math

from fastnn.compiler.memory_ops import caller, get, offset, put, unpack
from fastnn.compiler.tracing import entry, inlined
from fastnn.fused.layout import MODE, N_END, N_LOSS, N_PREDICT, EpochArrays, EpochCodes, EpochNumbers
from fastnn.state import BEST, EACH, LIMIT, N_RULE, RULE_BEST, STALE, STRICT, TOL

call_loss, call_predict, call_end_epoch = caller(N_LOSS), caller(N_PREDICT), caller(N_END)


@inlined
def count_right(outputs, labels, n_rows, n_outputs, exclusive):
    """Count the rows whose outputs are on the labels' side, as scikit-learn's accuracy does.

    Where labels are exclusive, `labels` (n_rows,) are their numbers, and the first of the largest outputs counts; a
    NaN is larger than all. Else `labels` (n_rows, n_outputs) are 1 where an output should be above 1/2, and all of a
    row have to be right.
    """
    n_right = 0
    for i in range(n_rows):
        row, is_right = offset(outputs, i * n_outputs), True
        if exclusive == 1:
            largest = 0
            for o in range(1, n_outputs):
                a, b = get(row, o), get(row, largest)
                if b == b and (a > b or a != a):
                    largest = o
            is_right = largest == get(labels, i)
        else:
            for o in range(n_outputs):
                is_right = is_right and (get(row, o) > 0.5) == (get(labels, i * n_outputs + o) == 1)
        n_right += 1 if is_right else 0
    return n_right


@inlined
def fires(rule, score):
    """Take in the score of an epoch, and return 1 if the rule fires, else 0, as `Patience.fires` of `training` does."""
    if get(rule, LIMIT) == 0:  # there is none
        return 0
    strict, best, each = get(rule, STRICT), get(rule, RULE_BEST), int(get(rule, EACH))
    loss = math.inf if strict > 0 and not math.isfinite(score) else score
    target = best - get(rule, TOL)
    failed = loss >= target if strict == 1 else loss > target
    stale = get(rule, STALE) + 1 if failed else 0.0
    put(rule, STALE, stale)
    if loss < best:
        put(rule, RULE_BEST, loss)
    return 1 if stale >= get(rule, LIMIT) or (each > 0 and stale > 0 and int(stale) % each == 0) else 0


@inlined
def loss_of_epoch(arrays, numbers, m, epoch):
    """Return the loss of member `m`'s epoch from those of its steps, as `EpochLoss` of `training` does."""
    losses, end = offset(arrays.of_steps, m * numbers.n_steps), (epoch + 1) * numbers.per_epoch - numbers.first
    total, divisor = 0.0, 0.0
    if epoch == 0:
        total, divisor = get(arrays.sums, 2 * m), get(arrays.sums, 2 * m + 1)
    for s in range(max(end - numbers.per_epoch, 0), end):
        total += get(losses, s) / numbers.divisor * get(arrays.factors, s)
        divisor += get(arrays.factors, s)
    return total / divisor if numbers.mean == 1 else total


@entry
def end_epoch(m: int, arrays: EpochArrays, codes: EpochCodes, numbers: EpochNumbers) -> int:
    """Score the epoch that member `m` has ended, keep the parameters if they are the best; return 1 if its rule fires.

    The calls that score write their results to `losses` and `outputs`.
    """
    arrays, codes, numbers = unpack(arrays), unpack(codes), unpack(numbers)
    epoch, rule = get(arrays.ended, 2 * m), offset(arrays.rules, m * N_RULE)
    at, score = m * numbers.n_epochs + epoch, 0.0
    if numbers.n_rows > 0:
        call_loss(codes.loss, offset(arrays.losses, at), offset(arrays.loss, m * N_LOSS))
        put(arrays.loss, m * N_LOSS + MODE, numbers.mode)  # from now on they may be gathered already
        score = get(arrays.losses, at)
    if numbers.scored > 0:
        call_predict(codes.predict, offset(arrays.ended, 2 * m + 1), offset(arrays.predict, m * N_PREDICT))
        own = offset(arrays.labels, m * numbers.n_labels)
        right = count_right(arrays.outputs, own, numbers.n_rows, numbers.n_outputs, numbers.exclusive)
        put(arrays.measured, at, right / numbers.n_rows)
        score = -get(arrays.measured, at)
    if numbers.n_kept > 0 and math.isfinite(score) and score < get(rule, BEST):
        put(rule, BEST, score)
        params, best = offset(arrays.storage, m * numbers.size), offset(arrays.best_params, m * numbers.n_kept)
        for k in range(numbers.n_kept):
            put(best, k, get(params, k))
    fired = fires(rule, loss_of_epoch(arrays, numbers, m, epoch) if numbers.n_factors > 0 else score)
    put(arrays.ended, 2 * m, epoch + 1)
    put(arrays.ended, 2 * m + 1, fired)
    return fired
