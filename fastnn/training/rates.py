"""The learning rates of a training's steps: computed a chunk at a time, checked, and reduced."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.arguments import check_number, class_of, cut
from fastnn.checking.learning_rates import LearningRate
from fastnn.schedules import SCHEDULES, Schedule

RATE_BLOCK = 256
"""Steps whose rates a built-in schedule computes at once, where at most a quarter of them are asked for."""


class Reduction(NamedTuple):
    """The reduction of learning rates so far: a rate r becomes ``max(factor r, min(r, least))``."""

    factor: float = 1.0
    least: float = 0.0

    def of(self, rates: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
        """Return the reduced rates (n,), or the reduced rate."""
        return rates if self.factor == 1 else np.maximum(rates * self.factor, np.minimum(rates, self.least))


def learning_rates(rate: LearningRate, first: int, n: int) -> NDArray[np.float64]:
    """Return the rates (n,) of the steps ``first ... first + n - 1``.

    Raises
    ------
    ValueError
        When a function of the step returns a negative number or one that is not finite, or a schedule's `rates`
        something else than one real number for each step.
    """
    if not callable(rate):
        rates = np.empty(n)
        rates.fill(rate)  # `np.full` takes three times as long for the first chunk of a small training
        return rates
    if isinstance(rate, Schedule) and type(rate) in SCHEDULES.values():  # one's own may know no others
        block, at = divmod(first, RATE_BLOCK)
        if 4 * n <= RATE_BLOCK and at + n <= RATE_BLOCK:
            return _rates_of_block(rate, block)[at : at + n].copy()
    if isinstance(rate, Schedule):
        rates = np.asarray(rate.rates(np.arange(first, first + n)))
        if rates.shape != (n,) or rates.dtype.kind not in "fiu":
            raise ValueError(
                f"{class_of(rate)}.rates must return {n} real numbers, one for each step, not an array of "
                f"{cut(rates.dtype)} with shape {rates.shape}"
            )
        return np.require(rates, np.float64, ["C", "A"])
    values = (check_number(f"learning_rate({step})", rate(step), low=0) for step in range(first, first + n))
    return np.fromiter(values, np.float64, n)


@functools.lru_cache(maxsize=16)
def _rates_of_block(rate: Schedule, block: int) -> NDArray[np.float64]:
    """Return the rates (RATE_BLOCK,) of a block of steps; those of one step would take as long as many small epochs."""
    return rate.rates(np.arange(block * RATE_BLOCK, (block + 1) * RATE_BLOCK))
