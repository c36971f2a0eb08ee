"""The log of a session: losses of epochs, by those of their steps, learning rates and scores."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastnn.memory import Array
from fastnn.state import Data, Steps

NO_FACTORS = np.zeros(0)
"""The factors for a rule that does not use the losses of steps."""


NO_SUMS = np.zeros(2)


class Log:
    """The numbers of the epochs of m members.

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

    Attributes
    ----------
    loss, learning_rate : Column
        The training losses, and the learning rates of last steps.
    last_loss : float
        The last training loss of the first member; NaN before the first.
    row_loss : Column
        The losses of the rows that are scored.
    score : Column
        The scores of a monitor.
    """

    def __init__(self, sums: Array, data: Data, reduction: str, per_epoch: int) -> None:
        self.loss = Column()
        self.last_loss = math.nan
        self.learning_rate = Column()
        self.row_loss = Column()
        self.score = Column()
        self.sums = sums
        self.is_mean = reduction == "mean" and per_epoch > 1
        self.per_epoch = per_epoch
        has_no_weight = per_epoch > 1 and not data.sample_weight.all()
        self._has_weight = data.sample_weight > 0 if has_no_weight else None
        self._factors = NO_FACTORS
        self._factors_of: tuple[Array | None, Array | None] = None, None
        """The rows of the steps of the last factors."""

    def factors(self, steps: Steps) -> NDArray[np.float64]:
        """Return the factor (n_steps,) of each step's loss: its rows, or 1 for a sum; 0 for a
        skipped step.
        """
        rows, start = self._factors_of
        if rows is not steps.rows or start is not steps.start:
            self._factors = self._factors_anew(steps)
            self._factors_of = steps.rows, steps.start
        return self._factors

    def _factors_anew(self, steps: Steps) -> NDArray[np.float64]:
        if not self.is_mean:
            return np.ones(len(steps.start))
        rows = (steps.stop - steps.start).astype(np.float64)
        if self._has_weight is not None:
            n_before = np.concatenate([[0], np.cumsum(self._has_weight[steps.rows[0]])])
            rows[n_before[steps.stop] == n_before[steps.start]] = 0
        return rows

    def add(self, steps: Steps, good: list[int], batch: int) -> int:
        """Add the good steps of each member, after `batch` steps of the epoch that has begun;
        return how many epochs ended within those of the member that did most.
        """
        n = max(good)
        n_ended = (batch + n) // self.per_epoch
        losses = steps.loss[:, :n]
        if self.per_epoch > 1:
            # Losses near the largest number are on the way to divergence.
            with np.errstate(over="ignore", invalid="ignore"):
                losses = self._losses(losses, self.factors(steps)[:n], good, batch)
        if n_ended:
            last = slice(self.per_epoch - batch - 1, n, self.per_epoch)
            self.loss.add(losses)
            self.last_loss = float(losses[0, -1])
            self.learning_rate.add(steps.learning_rate[:, last])
        return n_ended

    def _losses(
        self, losses: Array, factors: Array, good: list[int], batch: int
    ) -> NDArray[np.float64]:
        """Return the losses (m, n_epochs) of epochs that end, of those (m, n) of steps; sum those
        of epochs that have begun.
        """
        weighted = losses * factors
        before = self.sums.copy()
        ended, self.sums[:, 0] = self._sums(weighted, batch, before[:, 0])
        first = good.index(losses.shape[1])  # the others may have ended before this epoch
        rows_before = before[first : first + 1, 1]
        ended_rows, self.sums[:, 1] = self._sums(factors[None], batch, rows_before)
        for k, n in enumerate(good):
            if n == 0:
                self.sums[k] = before[k]
            elif n < losses.shape[1]:  # this member has done no more
                n_begun = (batch + n) % self.per_epoch
                begun = slice(max(n - n_begun, 0), n)
                carried = before[k] if n_begun > n else NO_SUMS
                self.sums[k, 0] = sum_from(carried[0], weighted[k, begun])
                self.sums[k, 1] = sum_from(carried[1], factors[begun])
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


def sum_from(carried: float, values: Array) -> float:
    """Return what was carried and values (n,), added one by one."""
    return float(np.add.accumulate(np.append(carried, values))[-1]) if values.size else 0.0


NO_NUMBERS = np.zeros((1, 0))


class Column:
    """Numbers (m, n) of m members' epochs, which grow; (1, n) if they are the same for all."""

    def __init__(self) -> None:
        self._n = 0
        self._numbers = NO_NUMBERS

    def add(self, numbers: Array) -> None:
        """Append the numbers (m, n) of n epochs."""
        m, n = numbers.shape
        end = self._n + n
        if end > self._numbers.shape[1] or m > len(self._numbers):
            room = 2 * end if self._n else end
            larger = np.empty((max(m, len(self._numbers)), room))
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
