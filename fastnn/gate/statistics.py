"""The statistics of the gate: ratios of pairs, the bootstrap interval of their median, and a verdict.

The two runs of a pair are neighbors in time, so what slows the machine for longer than a pair cancels in the ratio;
the order within the pairs alternates (base head, head base), so that a drift cancels too. A disturbance
of a single run makes an outlier, which does not move the median while outliers are the minority.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Level of the interval: about how often it contains the true ratio."""
RESAMPLES = 1_000
SEED = 0
"""The same samples always give the same verdict."""

Pair = tuple[float, float]
Verdict = Literal["slower", "undecided", "no slower", "faster"]


class Interval(NamedTuple):
    """A ratio, head / base, and its interval of confidence."""

    low: float
    middle: float
    high: float


def interval(pairs: Sequence[Pair]) -> Interval:
    """Return the median ratio of the pairs (base, head), and its bootstrap interval.

    The pairs are drawn again, with replacement, `RESAMPLES` times; the interval holds `CONFIDENCE` of the medians.
    """
    base, head = np.array(pairs, np.float64).T
    ratios = np.log(head / base)
    medians = np.median(ratios[_drawn(len(ratios))], axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.exp(np.quantile(medians, [tail, 1 - tail]))
    return Interval(float(low), float(np.exp(np.median(ratios))), float(high))


@functools.cache
def _drawn(n: int) -> NDArray[np.int64]:
    """Return the pairs, of n, that each resample draws (RESAMPLES, n)."""
    return np.random.RandomState(SEED).randint(n, size=(RESAMPLES, n))


def judge(ratio: Interval, threshold: float) -> Verdict:
    """Say on which side of the threshold, such as 1.05, the whole interval lies.

    Returns
    -------
    str
        "slower" where it lies above; "undecided" where the threshold is within; otherwise "no slower", and "faster"
        where it lies as far below 1 as the threshold above.
    """
    if ratio.low > threshold:
        return "slower"
    if ratio.high > threshold:
        return "undecided"
    return "faster" if ratio.high < 1 / threshold else "no slower"
