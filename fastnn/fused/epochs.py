"""The entry point end_epoch: what is decided at the end of an epoch, which `train_steps` calls by its address.

Ordinary Numba code that knows no network: losses and outputs come from the machine code of the other entry points, so
that they have the bits that these give alone. `fastnn.reference.EpochEnd` is its twin.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.calls import caller
from fastnn.compiler.jit import entry, inlined
from fastnn.compiler.memory_ops import get, offset, put, unpack
from fastnn.fused.layout import MODE, N_LOSS, N_PREDICT, SAME_ROWS, EpochCodes, EpochNumbers
from fastnn.state import BEST, EACH, LIMIT, N_RULE, RULE_BEST, STALE, STRICT, TOL

call_loss, call_predict = caller(N_LOSS), caller(N_PREDICT)


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


@entry
def end_epoch(
    m: int,
    ended: NDArray[np.int64],
    rules: NDArray[np.float64],
    losses: NDArray[np.float64],
    measured: NDArray[np.float64],
    labels: NDArray[np.int64],
    outputs: NDArray,
    best_params: NDArray,
    storage: NDArray,
    loss_arguments: NDArray[np.int64],
    predict_arguments: NDArray[np.int64],
    codes: EpochCodes,
    numbers: EpochNumbers,
) -> int:
    """Score the epoch that member `m` has ended, keep the parameters if they are the best; return 1 if its rule fires.

    The arrays are those of `EpochRules`, with a row for each member; `loss_arguments` and `predict_arguments` have the
    words of the calls that score, whose results go to `losses` and `outputs`.
    """
    ended, rules, losses, measured = unpack(ended), unpack(rules), unpack(losses), unpack(measured)
    labels, outputs, best_params, storage = unpack(labels), unpack(outputs), unpack(best_params), unpack(storage)
    loss_arguments, predict_arguments = unpack(loss_arguments), unpack(predict_arguments)
    codes, numbers = unpack(codes), unpack(numbers)
    epoch, rule = get(ended, 2 * m), offset(rules, m * N_RULE)
    at = m * numbers.n_epochs + epoch
    call_loss(codes.loss, offset(losses, at), offset(loss_arguments, m * N_LOSS))
    put(loss_arguments, m * N_LOSS + MODE, SAME_ROWS)  # from now on, which are gathered already
    score = get(losses, at)
    if numbers.scored > 0:
        call_predict(codes.predict, offset(ended, 2 * m + 1), offset(predict_arguments, m * N_PREDICT))
        own = offset(labels, m * numbers.n_labels)
        right = count_right(outputs, own, numbers.n_rows, numbers.n_outputs, numbers.exclusive)
        put(measured, at, right / numbers.n_rows)
        score = -get(measured, at)
    if numbers.n_kept > 0 and math.isfinite(score) and score < get(rule, BEST):
        put(rule, BEST, score)
        params, best = offset(storage, m * numbers.size), offset(best_params, m * numbers.n_kept)
        for k in range(numbers.n_kept):
            put(best, k, get(params, k))
    fired = fires(rule, score)
    put(ended, 2 * m, epoch + 1)
    put(ended, 2 * m + 1, fired)
    return fired
