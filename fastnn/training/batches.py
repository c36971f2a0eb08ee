"""The order of the rows: which of them each step trains on.

    epoch              0                     1                     2
    step         0   1   2   3         4   5   6   7         8   9  10  11        steps_per_epoch = 4
    chunk       |------------------------------| |--------- ...                   begins and ends anywhere

Nothing here depends on where chunks begin and end: each epoch has its one shuffle.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.memory import ceil_div
from fastnn.network import Network
from fastnn.state import Steps
from fastnn.training.generator import Seeded, ShuffleRows, bookmark, shuffle_rows
from fastnn.training.state import Counters
from fastnn.training.subsets import digest, rows_at


class RowPlan:
    """The order of the rows.

    Parameters
    ----------
    index : (n,) int64
        The rows to train on, in the order of the current epoch (`batch` > 0) or of the last one. Never changed. Where
        `rows` are given, their positions there.
    batch_size : int or None
        Rows a step; the last batch of an epoch may be shorter. None, or more than there are: all of them.
    shuffle : bool
        Whether an epoch begins with a shuffle. Full batches are never shuffled.
    random_state : RandomState
        The generator that shuffles: one call of its `shuffle` an epoch.
    batch : int
        Steps done in the current epoch.
    compiled : callable, optional
        A back end's `shuffle_rows`, to shuffle by.
    rows : (any,) int64, optional
        The rows of the data that are chosen to train on; some may be there several times.
    """

    seeded: Seeded | None = None
    """The way in which the generator came to its state, if it can be repeated; none where rows are shuffled."""
    _undo: Callable[[], None] | None = None  # of the shuffles of the last draw
    # Used again where they do not differ: fresh memory costs as much as a small step, and no back end need look at
    # the same arrays twice. The last draw's steps, and where they began.
    _steps: Steps | None = None
    _place = (0, 0)

    def __init__(
        self,
        index: NDArray[np.int64],
        batch_size: int | None,
        shuffle: bool,
        random_state: np.random.RandomState,
        batch: int = 0,
        compiled: ShuffleRows | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.index = index
        self.n_rows = len(index)
        self.batch_size = rows_a_step(batch_size, self.n_rows)
        self.steps_per_epoch = ceil_div(self.n_rows, self.batch_size)
        self.shuffle = shuffle and self.steps_per_epoch > 1
        self.random_state = random_state
        self.batch = batch
        self.compiled = compiled
        self.rows = rows
        self.asked: Counters = {"batch_size": batch_size, "shuffle": shuffle}
        """The options as given, which the state keeps for a resumed training on other rows."""
        if rows is not None:
            self.asked["rows"] = digest(rows)
        self._drawn = (0, index)  # steps of the last draw, and the order of the rows at its end

    def steps_until(self, n_epochs: int) -> int:
        """Count the steps until `n_epochs` epochs have ended, the current one included."""
        return n_epochs * self.steps_per_epoch - self.batch

    def draw(self, n_steps: int, learning_rate: NDArray[np.float64] | float) -> Steps:
        """Return the next steps, with these rates, or one for all; `commit` says how many of them were done.

        Arrays are used again by the next draw: those of rates and losses, and all of them where it has the same rows.
        """
        last, place = self._steps, (self.batch, n_steps)
        if self.shuffle or last is None or place != self._place:
            order = self._orders(n_steps)
            self._drawn = n_steps, order if len(order) == self.n_rows else order[-self.n_rows :]
            if last is None or place != self._place:
                find = batches_again if n_steps <= AGAIN else batches
                last = steps_again(*find(self.n_rows, self.batch_size, self.shuffle, self.batch, n_steps))
            rows = rows_at(self.rows, order)
            if rows is not last.rows:
                last = Steps(rows, *last[1:])
            self._steps, self._place = last, place
        last.loss.fill(0)
        if isinstance(learning_rate, float):
            last.learning_rate.fill(learning_rate)  # in half the time
        else:
            last.learning_rate[:] = learning_rate
        return last

    def commit(self, n_steps: int) -> None:
        """Count the first `n_steps` steps of the last draw as done; shuffles that only later ones needed are undone."""
        n_drawn, index = self._drawn
        if n_steps < n_drawn:
            if self._undo is not None:
                self._undo()
            index = self._orders(n_steps)[-self.n_rows :]
        self.index = index.copy() if index.base is not None and index.base.size > index.size else index
        self.batch = (self.batch + n_steps) % self.steps_per_epoch

    def generator_state(self, network: Network) -> Callable[[], dict[str, Any]]:
        """Return a function that returns the state of the generator as it stands now."""
        if self.seeded is not None:
            return functools.partial(self.seeded.state, network)
        state = self.random_state.get_state(legacy=False)
        return lambda: state

    def give_back(self) -> None:
        """Let another training use the steps of this one, which is over."""
        steps = self._steps
        if steps is not None and steps.rows.size <= AGAIN and steps.loss.size <= AGAIN and len(_spare) < 8:
            _spare.append(steps)

    def _orders(self, n_steps: int) -> NDArray[np.int64]:
        """Return the rows of the next steps' epochs, one after another; an epoch that has begun keeps its order."""
        self._undo = None
        if not self.shuffle:
            return self.index
        begun, n_epochs = int(self.batch > 0), ceil_div(self.batch + n_steps, self.steps_per_epoch)
        if n_epochs <= begun:
            return self.index
        self._undo = bookmark(self.random_state)
        orders = np.empty((n_epochs, self.n_rows), np.int64)
        orders[:begun] = self.index
        shuffle_rows(self.random_state, orders[begun:], self.index, self.compiled)
        return orders.reshape(-1)


def batches(
    n_rows: int, batch_size: int, shuffle: bool, begun: int, n_steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the starts and stops of steps' batches in the rows of their epochs, of which the first has `begun` steps.

    The epochs' rows are the same ones, or, with `shuffle`, lie one after the other.
    """
    if batch_size == n_rows and not shuffle:  # the same as below, in a tenth of the time
        start, stop = np.zeros(n_steps, np.int64), np.empty(n_steps, np.int64)
        stop.fill(n_rows)
        return start, stop
    epoch, batch = np.divmod(np.arange(begun, begun + n_steps), ceil_div(n_rows, batch_size))
    start = batch * batch_size
    stop = np.minimum(start + batch_size, n_rows)
    if shuffle:
        start += epoch * n_rows
        stop += epoch * n_rows
    return start, stop


AGAIN = 1024
"""Steps and rows so few that they stay in memory for the next training."""

_spare: list[Steps] = []
"""Steps that no training uses now: to make their arrays, and to check them, takes a tenth of a small training."""


@functools.lru_cache(maxsize=32)
def batches_again(*numbers: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the result of `batches`, read-only, made once for small trainings that are alike."""
    found = batches(*numbers)
    for array in found:
        array.flags.writeable = False
    return found


def steps_again(start: NDArray[np.int64], stop: NDArray[np.int64]) -> Steps:
    """Return steps with these batches: those of the last training that is over, if these are the same."""
    try:
        steps = _spare.pop()
    except IndexError:
        steps = None
    if steps is None or steps.start is not start:
        steps = Steps(np.empty(0, np.int64), start, stop, np.empty(len(start)), np.empty(len(start)))
    return steps


def check_full_batch(name: str, batch_size: int | None, n_rows: int) -> None:
    """Raise ValueError where an optimizer (a solver) that takes full batches only is given smaller ones."""
    if rows_a_step(batch_size, n_rows) < n_rows:
        raise ValueError(
            f"{name} takes full batches only: leave out batch_size={batch_size}, there are {n_rows} rows to train on"
        )


def rows_a_step(batch_size: int | None, n_rows: int) -> int:
    """Return the rows of each batch but an epoch's last one; None, or more than there are, stands for all rows."""
    return n_rows if batch_size is None else min(batch_size, n_rows)


def first_steps(steps: Steps, n: int) -> Steps:
    """Return the first `n` steps, as views."""
    return Steps(steps.rows, steps.start[:n], steps.stop[:n], steps.learning_rate[:n], steps.loss[:n])
