"""The rule at the ends of epochs: a row of numbers for each member, which Python and the kernel read and write.

A score is compared with the best one so far; in here, lower is better. `fires` of `fastnn/fused/epochs.py` does the
same as that of this file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.state import BEST, EACH, LIMIT, N_RULE, RULE_BEST, STALE, STRICT, TOL

NEVER = 2**53
"""More epochs than a training has, as a float64 too."""

LESS_STRICT, STRICTLY, NAN_FAILS = 0, 1, 2
"""When an epoch fails to improve: if its score is above ``best - tol``, as in scikit-learn, where NaN never is; if it
is not below that, or not finite; or if it is above that, or not finite."""


NO_RULE = np.zeros((1, N_RULE))
NO_RULE[0, [RULE_BEST, BEST]] = math.inf


@dataclass(frozen=True)
class Rule:
    """After how many epochs in a row without improvement something happens.

    Parameters
    ----------
    tol : float
        The amount by which a score must be lower than the best one.
    limit : float
        The rule fires after this number of failed epochs in a row, and the training ends.
    each : int
        The rule also fires after each such number of failed epochs in a row; 0 for never.
    strict : int
        `STRICTLY`, `LESS_STRICT` or `NAN_FAILS`.
    """

    tol: float = 0.0
    limit: float = math.inf
    each: int = 0
    strict: int = STRICTLY

    def row(self) -> NDArray[np.float64]:
        """Return the numbers (N_RULE,) of a training that begins."""
        row = no_rules(1)[0]
        row[TOL] = self.tol
        row[LIMIT] = self.limit if self.limit < NEVER else math.inf
        row[EACH] = min(self.each, NEVER)
        row[STRICT] = self.strict
        return row


def no_rules(m: int) -> NDArray[np.float64]:
    """Return the rows (m, N_RULE) of members without a rule: the limit is 0, and there is no score yet."""
    return np.repeat(NO_RULE, m, axis=0)


def fires(row: NDArray[np.float64], score: float) -> bool:
    """Count an epoch with this score in the row of a member; return whether its rule fires."""
    numbers: list[Any] = row.tolist()  # Python computes with its own floats in a tenth of the time
    limit = numbers[LIMIT]
    if limit == 0:
        return False
    strict = numbers[STRICT]
    if strict != LESS_STRICT and not math.isfinite(score):
        score = math.inf
    best = numbers[RULE_BEST]
    target = best - numbers[TOL]
    failed = score >= target if strict == STRICTLY else score > target
    stale = numbers[STALE] + 1 if failed else 0.0
    row[STALE] = stale
    if score < best:
        row[RULE_BEST] = score
    each = numbers[EACH]
    return stale >= limit or bool(each and stale and stale % each == 0)


def is_over(row: NDArray[np.float64]) -> bool:
    """Return whether the rule of this row, which has fired, ends the training."""
    return bool(row[STALE] >= row[LIMIT])
