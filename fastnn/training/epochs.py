"""The numbers of epochs: learning rates of steps, losses of epochs, the log of a session, and the
length of chunks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kit
from fastnn.checking.arguments import LearningRate, check_number, class_of, cut
from fastnn.memory import Array
from fastnn.schedules import SCHEDULES, Schedule
from fastnn.state import Data, Steps

CHUNK_SECONDS = 0.05
"""Seconds that a chunk should take: Ctrl-C, progress and time limits wait for its end."""
MAX_CHUNK_STEPS = 65_536
MAX_CHUNK_ROWS = 1 << 22
"""The limit of row numbers in a chunk: 32 MB."""
FIRST_CHUNK_STEPS = 1_024
FIRST_CHUNK_WORK = 1 << 22
"""The limit of the first chunk, before any measurement, in rows times parameters."""


class Pace:
    """The length of the next chunk, about `CHUNK_SECONDS`, judged by the last one only: compiling
    spoils one chunk.
    """

    def __init__(self, n_params: int, batch_size: int, n_scored: int = 0) -> None:
        self._most = max(1, min(MAX_CHUNK_STEPS, MAX_CHUNK_ROWS // batch_size))
        # of a step, with its share of the rows that an epoch scores
        work = n_params * (batch_size + n_scored)
        self.n_steps = max(1, min(self._most, FIRST_CHUNK_STEPS, FIRST_CHUNK_WORK // work))

    def measured(self, n_steps: int, seconds: float) -> None:
        """Record the time of a chunk with `n_steps` steps that were not skipped; 0 steps do not
        change the length.
        """
        if n_steps:
            self.n_steps = max(
                1, min(self._most, int(n_steps * CHUNK_SECONDS / max(seconds, 1e-9)))
            )


RATE_BLOCK = 256
"""Steps whose rates a built-in schedule computes at once, if at most a quarter of them are
requested."""


def learning_rates(rate: LearningRate, first: int, n: int) -> NDArray[np.float64]:
    """Return the rates (n,) of the steps ``first ... first + n - 1``.

    Raises
    ------
    ValueError
        If a function of the step returns a negative number or one that is not finite, or `rates` of
        a schedule does not return one real number for each step.
    """
    if not callable(rate):
        rates = np.empty(n)
        # `np.full` takes three times as long for the first chunk of a small training
        rates.fill(rate)
        return rates
    # one's own may know no others
    if isinstance(rate, Schedule) and type(rate) in SCHEDULES.values():
        block, at = divmod(first, RATE_BLOCK)
        if 4 * n <= RATE_BLOCK and at + n <= RATE_BLOCK:
            return _rates_of_block(rate, block)[at : at + n].copy()
    if isinstance(rate, Schedule):
        rates = np.asarray(rate.rates(np.arange(first, first + n)))
        if rates.shape != (n,) or rates.dtype.kind not in "fiu":
            fault = f"{class_of(rate)}.rates must return {n} real numbers, one for each step"
            raise ValueError(
                f"{fault}, not an array of {cut(rates.dtype)} with shape {rates.shape}"
            )
        return np.require(rates, np.float64, ["C", "A"])
    values = (
        check_number(f"learning_rate({step})", rate(step), low=0)
        for step in range(first, first + n)
    )
    return np.fromiter(values, np.float64, n)


@kit.remembered
def _rates_of_block(rate: Schedule, block: int) -> NDArray[np.float64]:
    """Return the rates (RATE_BLOCK,) of a block of steps; one step alone would take as long as many
    small epochs.
    """
    return rate.rates(np.arange(block * RATE_BLOCK, (block + 1) * RATE_BLOCK))


def may_draw_ahead(rate: Any) -> bool:
    """Return whether the rates of many epochs may be asked for at once: a function of the caller
    may raise.
    """
    return (
        not callable(rate)
        or type(rate) in SCHEDULES.values()
        or getattr(rate, "may_draw_ahead", False)
    )


def reduced(rates: Array, factor: float, least: float) -> Array:
    """Return rates (n,) after `ReduceRate`: ``max(f r, min(r, least))``."""
    return rates if factor == 1 else np.maximum(rates * factor, np.minimum(rates, least))


NO_FACTORS = np.zeros(0)
"""The factors for a rule that does not use the losses of steps."""


class EpochLosses:
    """The losses of epochs from the losses of steps, for m members.

    For ``reduction="mean"`` an epoch's loss is ``sum(L_s rows_s) / sum(rows_s)`` over its steps,
    for "sum" the plain sum; steps that were skipped do not count. Sums run in the order of the
    steps, whatever the chunks.

    Parameters
    ----------
    sums : ndarray (m, 2)
        Over the steps of the epoch that has begun: the losses, times rows for "mean", and the rows.
        They are written.
    data : Data
    reduction : {"mean", "sum"}
    per_epoch : int
        The steps of an epoch.
    """

    def __init__(self, sums: Array, data: Data, reduction: str, per_epoch: int) -> None:
        self.is_mean = reduction == "mean" and per_epoch > 1
        self.per_epoch = per_epoch
        self.sums = sums
        has_no_weight = per_epoch > 1 and not data.sample_weight.all()
        self._has_weight = data.sample_weight > 0 if has_no_weight else None
        self._factors = NO_FACTORS
        self._factors_of: Array | None = None
        """The rows of the steps of the last factors."""

    def factors(self, steps: Steps) -> NDArray[np.float64]:
        """Return the factor (n_steps,) of each step's loss: its rows, or 1 for a sum; 0 for a
        skipped step.
        """
        if self._factors_of is not steps.rows or len(self._factors) != len(steps.start):
            self._factors = self._factors_anew(steps)
            self._factors_of = steps.rows
        return self._factors

    def _factors_anew(self, steps: Steps) -> NDArray[np.float64]:
        if not self.is_mean:
            return np.ones(len(steps.start))
        rows = (steps.stop - steps.start).astype(np.float64)
        if self._has_weight is not None:
            n_before = np.concatenate([[0], np.cumsum(self._has_weight[steps.rows[0]])])
            rows[n_before[steps.stop] == n_before[steps.start]] = 0
        return rows

    def add(self, steps: Steps, n: int, batch: int) -> NDArray[np.float64]:
        """Add the first n steps, after `batch` steps of the epoch that has begun.

        Return the losses (m, n_epochs) of the epochs that end within them.
        """
        losses = steps.loss[:, :n]
        if self.per_epoch == 1:
            return losses
        factors = self.factors(steps)[:n]
        # losses near the largest number, on the way to divergence
        with np.errstate(over="ignore", invalid="ignore"):
            ended, self.sums[:, 0] = self._sums(losses * factors, batch, self.sums[:, 0])
            ended_rows, self.sums[:, 1] = self._sums(factors[None], batch, self.sums[:1, 1])
            return ended / ended_rows if self.is_mean else ended

    def _sums(self, values: Array, batch: int, carried: Array) -> tuple[Array, Array]:
        """Return the sums (m, n_epochs) of epochs that end, and those (m,) of the one that has
        begun.
        """
        if batch == 0:
            whole = values.shape[1] // self.per_epoch * self.per_epoch
            by_epoch = values[:, :whole].reshape(len(values), -1, self.per_epoch)
            return np.add.accumulate(by_epoch, axis=2)[:, :, -1], last_sum(values[:, whole:])
        left = self.per_epoch - batch
        first = np.concatenate([carried[:, None], values[:, :left]], axis=1)
        if values.shape[1] < left:
            return np.zeros((len(values), 0)), last_sum(first)
        others, rest = self._sums(values[:, left:], 0, carried)
        return np.concatenate([last_sum(first)[:, None], others], axis=1), rest


def last_sum(values: Array) -> Array:
    """Return the sums (m,) of values (m, n), strictly from left to right; 0 if there are none."""
    if values.shape[1] == 0:
        return np.zeros(len(values))
    sums: Array = np.add.accumulate(values, axis=1)[:, -1]
    return sums


LOSS, RATE, ROW_LOSS, SCORE = range(4)
"""The columns of a session's log: training losses, learning rates of last steps, losses of the
scored rows, scores of the monitor."""


NO_NUMBERS = np.zeros((1, 0))


class Column:
    """Numbers (m, n) of the epochs of m members, which grow; (1, n) if they are the same for
    all.
    """

    def __init__(self) -> None:
        self._n = 0
        self._numbers = NO_NUMBERS

    def add(self, numbers: Array) -> None:
        """Append the numbers (m, n) of n epochs."""
        end = self._n + numbers.shape[1]
        if self._n == 0:
            self._numbers = numbers.copy()
        else:
            if end > self._numbers.shape[1]:
                larger = np.empty((len(self._numbers), 2 * end))
                larger[:, : self._n] = self.numbers
                self._numbers = larger
            self._numbers[:, self._n : end] = numbers
        self._n = end

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The numbers (m, n) so far, a view."""
        return self._numbers[:, : self._n]

    @property
    def last(self) -> float:
        """The number of the last epoch of the first member; NaN before the first."""
        return float(self._numbers[0, self._n - 1]) if self._n else math.nan
