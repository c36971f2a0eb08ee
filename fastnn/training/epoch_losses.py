"""The losses of epochs, from those of steps: summed in the order of the steps, wherever chunks begin and end."""

from __future__ import annotations

import math
from array import array

import numpy as np
from numpy.typing import NDArray

from fastnn.state import Data, Steps

NOTHING = (0.0, 0.0)
"""The sums of an epoch that has not begun."""


class EpochLoss:
    """The losses of epochs from the losses of steps.

    For ``reduction="mean"`` an epoch's loss is ``sum(L_s rows_s) / sum(rows_s)`` over its steps, for "sum" the plain
    sum; steps that were skipped do not count. Sums run in the order of the steps, whatever the chunks.
    """

    partial = NOTHING
    """(sum of losses, times rows for "mean"; sum of rows) over the steps of the epoch under way."""
    _whole: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    """The last result of `_rows_of_epoch`."""

    def __init__(self, data: Data, reduction: str, steps_per_epoch: int) -> None:
        self._mean = reduction == "mean"
        self._steps_per_epoch = steps_per_epoch
        self._counted = None if steps_per_epoch == 1 or data.sample_weight.all() else data.sample_weight > 0

    def add(self, steps: Steps, n_steps: int, batch: int) -> tuple[NDArray[np.float64], tuple[float, float]]:
        """Return the losses of the epochs that end within the first `n_steps` steps, and `partial` after them.

        `batch` is the number of steps that the current epoch had before.
        """
        losses = steps.loss if n_steps == len(steps.loss) else steps.loss[:n_steps]
        if self._steps_per_epoch == 1:
            return losses, NOTHING
        with np.errstate(over="ignore"):  # losses near the largest number, on the way to divergence
            if batch == 0 and n_steps == self._steps_per_epoch:  # a whole epoch: the same sums, of which none is cut
                rows, row_sums = self._rows_of_epoch(steps)
                loss_sums, partial = _sum(losses * rows), NOTHING
            else:
                rows = self._rows(steps, n_steps)
                loss_sums, loss_rest = _sums(losses * rows, batch, self._steps_per_epoch, self.partial[0])
                row_sums, row_rest = _sums(rows, batch, self._steps_per_epoch, self.partial[1])
                partial = loss_rest, row_rest
            return (loss_sums / row_sums if self._mean else loss_sums), partial

    def _rows_of_epoch(self, steps: Steps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return `_rows` of the steps of a whole epoch, and their sum (1,): those of the last one if all rows count."""
        if self._whole is None or self._counted is not None:
            rows = self._rows(steps, self._steps_per_epoch)
            self._whole = rows, _sum(rows)
        return self._whole

    def _rows(self, steps: Steps, n_steps: int) -> NDArray[np.float64]:
        """Return the factor of each step's loss: its rows, or 1 for a sum; 0 where the step was skipped."""
        if not self._mean:
            return np.ones(n_steps)
        start, stop = steps.start[:n_steps], steps.stop[:n_steps]
        rows = (stop - start).astype(np.float64)
        if self._counted is not None:
            n_before = np.concatenate([[0], np.cumsum(self._counted[steps.rows])])
            rows[n_before[stop] == n_before[start]] = 0
        return rows


def losses_of_epochs(loss: NDArray[np.float64], rows: NDArray[np.float64], reduction: str) -> NDArray[np.float64]:
    """Return the losses (..., n_epochs) of whole epochs from those of their steps (..., n_epochs * steps_per_epoch).

    `rows` (steps_per_epoch,) are the rows of an epoch's steps, none of which is skipped: the sums are `EpochLoss`'s.
    """
    if len(rows) == 1:
        return loss
    weight = rows if reduction == "mean" else np.ones(len(rows))
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.cumsum(loss.reshape(*loss.shape[:-1], -1, len(rows)) * weight, axis=-1)[..., -1]
        return sums / np.cumsum(weight)[-1] if reduction == "mean" else sums


class EpochLog:
    """The loss and the learning rate of each epoch that ended."""

    def __init__(self) -> None:
        self.losses, self.rates = array("d"), array("d")

    def add(self, losses: NDArray[np.float64], rates: NDArray[np.float64]) -> None:
        """Append epochs: losses (n,), and the rates (n,) of their last steps."""
        self.losses.frombytes(losses.tobytes())
        self.rates.frombytes(rates.tobytes())

    @property
    def last(self) -> tuple[float, float]:
        """The last epoch's loss and learning rate; NaN before there is one."""
        return (self.losses[-1], self.rates[-1]) if self.losses else (math.nan, math.nan)


def _sums(values: NDArray[np.float64], batch: int, per_epoch: int, carry: float) -> tuple[NDArray[np.float64], float]:
    """Sum each epoch's values, strictly from left to right; also return the sum of the epoch that has not ended."""
    left = per_epoch - batch if batch else 0  # steps that the epoch under way still needs
    if len(values) < left:
        return np.zeros(0), _running(carry, values)
    whole, rest = np.split(values[left:], [(len(values) - left) // per_epoch * per_epoch])
    sums = np.cumsum(whole.reshape(-1, per_epoch), axis=1)[:, -1]
    if left:
        sums = np.concatenate([[_running(carry, values[:left])], sums])
    return sums, _running(0.0, rest)


def _sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum (1,), strictly from left to right."""
    return np.add.accumulate(values)[-1:]


def _running(carry: float, values: NDArray[np.float64]) -> float:
    return float(np.cumsum(np.concatenate([[carry], values]))[-1])
