"""The rows of a training: which are chosen, and their order, from which steps take batches."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kit
from fastnn.checking.values import real_array
from fastnn.memory import ceil_div, read_only
from fastnn.state import Data, Steps
from fastnn.training.generator import (
    GENERATORS,
    Place,
    Seed,
    Seeded,
    ShuffleRows,
    bookmark,
    shuffle_rows,
)
from fastnn.training.stopping import Stop

Rows = NDArray[np.int64]

NO_WEIGHT = "sample_weight is 0 for all rows that are left to train on"


def choose_rows(rows: Any, validation_rows: Any, data: Data, stop: Stop) -> tuple[Rows | None, Rows | None]:
    """Return the rows to train on (None: all of them, in order) and those to validate on (None: the stop rules' data).

    Parameters
    ----------
    rows, validation_rows : array-like of int, optional
        Numbers of rows of the data, from 0. If only `validation_rows` are given, all other rows are trained on.

    Raises
    ------
    TypeError, ValueError
        For values that are not numbers of rows, for rows on both sides, and for two kinds of validation data.
    """
    n = len(data.X)
    train_on = None if rows is None else _checked("rows", rows, n)
    if train_on is not None and not data.sample_weight[train_on].any():
        raise ValueError(NO_WEIGHT)
    if validation_rows is None:
        return train_on, None
    validate_on = _checked("validation_rows", validation_rows, n)
    if stop.validation is not None:
        raise ValueError("validation_rows and Stop(validation=...) are both given: leave one of them out")
    held_out = np.zeros(n, bool)
    held_out[validate_on] = True
    if train_on is None:
        train_on = np.flatnonzero(~held_out).astype(np.int64, copy=False)
        if not train_on.size:
            raise ValueError(f"validation_rows are all {n} rows of X: none is left to train on")
        if not data.sample_weight[train_on].any():
            raise ValueError(NO_WEIGHT)
    elif (both := train_on[held_out[train_on]]).size:
        raise ValueError(
            f"row {both[0]} is in rows and in validation_rows, as are {len(np.unique(both))} in all: a score of rows "
            "that are trained on says little of others; where it is wanted, say Stop(validation=(X[v], Y[v]))"
        )
    return train_on, validate_on


def _checked(name: str, rows: Any, n: int) -> Rows:
    """Return numbers of rows as a new array."""
    array = real_array(name, rows)
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, not {array.ndim} (shape {array.shape}): the numbers of rows")
    if not array.size:
        raise ValueError(f"{name} is empty: give the numbers of rows, or leave it out")
    if array.dtype.kind not in "iu":
        hint = f": say {name}=np.flatnonzero(mask)" if array.dtype.kind == "b" else ""
        raise TypeError(f"{name} must hold integers, the numbers of rows, not {array.dtype}{hint}")
    outside = (array < 0) | (array >= n)
    if outside.any():
        i = int(outside.argmax())
        hint = "; negative numbers do not count from the end" if array[i] < 0 else ""
        raise ValueError(f"{name}[{i}] is {array[i]}, the rows of X are 0 to {n - 1}{hint}")
    return np.array(array, np.int64)


def rows_at(rows: Rows | None, positions: Rows) -> Rows:
    """Return the rows of X at these positions among the rows to train on."""
    return positions if rows is None else rows.take(positions)


def rows_of(data: Data, rows: Rows) -> Data:
    """Return a read-only copy of these rows of the data."""
    return Data(*(read_only(array[rows]) for array in data))


def digest(rows: Rows) -> int:
    """Return a number that identifies the rows of a training, for its state."""
    return zlib.crc32(rows.data)


STEPS = kit.shelf()


class Order:
    """The order of the rows of trainings of one shape, in batches: what the loop asks for and counts.

    `draw(n_steps, learning_rate)` returns the next steps, `commit(n_steps)` tells how many of them were done,
    `places(n_epochs)` gives the position of each generator after these epochs, with the order of the rows there, and
    `give_back(seed)` returns to the kit what a finished training has taken from it.
    """

    before: Any = (0,)
    """The epochs of each training before this call."""
    splits: Any = (None,)
    """The rows of each that were split off for validation."""
    batch = 0
    """Steps done in the current epoch."""

    def _divide(self, n_rows: int, batch_size: int | None, shuffle: bool) -> None:
        """Divide the rows into batches; full ones are never shuffled."""
        self.n_rows, self.batch_size = n_rows, n_rows if batch_size is None else min(batch_size, n_rows)
        self.steps_per_epoch = -(-n_rows // self.batch_size)
        self.shuffle = shuffle and self.steps_per_epoch > 1

    def steps_until(self, n_epochs: int) -> int:
        """Count the steps until `n_epochs` epochs have ended, the current one included."""
        return n_epochs * self.steps_per_epoch - self.batch

    def commit(self, n_steps: int) -> None:
        """Count the steps as done."""

    def give_back(self, seed: Seed) -> None:
        """Return what was taken; `seed` may be a generator of the caller's, who keeps it."""


class RowOrder(Order):
    """The order of the rows of one training.

    Parameters
    ----------
    index : (n,) int64
        The rows to train on, in the order of the current epoch (`batch` > 0) or of the last one. Never changed. With
        `rows`, their positions in it.
    batch_size : int or None
        Rows of a step; the last batch of an epoch may be shorter. None, or more than there are, stands for all.
    shuffle : bool
        Whether an epoch begins with a shuffle.
    random_state : RandomState
        The generator; its `shuffle` is called once an epoch.
    batch : int
        Steps done in the current epoch.
    compiled : callable, optional
        The `shuffle_rows` of a back end.
    rows : (any,) int64, optional
        The chosen rows of the data, some of them repeated.
    """

    seeded: Seeded | None = None
    """How to repeat the draws of the generator so far, if possible; None after rows are shuffled."""
    _undo: Callable[[], None] | None = None  # of the shuffles of the last draw
    # Reused if equal: new memory costs as much as a small step, and a back end need not look at
    # the same arrays twice. The last draw's steps, and where they began.
    _steps: Steps | None = None
    _place = (0, 0)

    def __init__(
        self,
        index: Rows,
        batch_size: int | None,
        shuffle: bool,
        random_state: np.random.RandomState,
        batch: int = 0,
        compiled: ShuffleRows | None = None,
        rows: Rows | None = None,
    ) -> None:
        self._divide(len(index), batch_size, shuffle)
        self.index, self.random_state, self.batch, self.compiled, self.rows = index, random_state, batch, compiled, rows
        self._drawn = (0, index)  # steps of the last draw, and the order of the rows at its end

    def draw(self, n_steps: int, learning_rate: NDArray[np.float64] | float) -> Steps:
        """Return the next steps, with these rates, or one for all; `commit` tells how many of them were done.

        The next draw reuses the arrays of rates and losses, and all arrays if it has the same rows.
        """
        last, place = self._steps, (self.batch, n_steps)
        if self.shuffle or last is None or place != self._place:
            order = self._orders(n_steps)
            self._drawn = n_steps, order if len(order) == self.n_rows else order[-self.n_rows :]
            if last is None or place != self._place:
                find = batches_again if n_steps <= MOST_IN_KIT else batches
                last = steps_again(*find(self.n_rows, self.batch_size, self.shuffle, self.batch, n_steps))
            rows = order if self.rows is None else rows_at(self.rows, order)
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
        """Count the first `n_steps` steps of the last draw as done, and undo shuffles that only later steps needed."""
        n_drawn, index = self._drawn
        if n_steps < n_drawn:
            if self._undo is not None:
                self._undo()
            index = self._orders(n_steps)[-self.n_rows :]
        self.index = index.copy() if index.base is not None and index.base.size > index.size else index
        self.batch = (self.batch + n_steps) % self.steps_per_epoch

    def places(self, n_epochs: list[int]) -> list[Place]:
        """Return the position of the generator, with the order of the rows."""
        if self.seeded is not None:
            return [self.seeded]
        return [(self.random_state.get_state(legacy=False), self.index)]

    def give_back(self, seed: Seed) -> None:
        """Return the generator and the steps of this finished training to the pool."""
        if self.random_state is not seed:
            GENERATORS.put(self.random_state)
        steps = self._steps
        if steps is not None and steps.rows.size <= MOST_IN_KIT and steps.loss.size <= MOST_IN_KIT:
            STEPS.put(steps)

    def _orders(self, n_steps: int) -> NDArray[np.int64]:
        """Return the rows of the epochs of the next steps, one after another; the current epoch keeps its order."""
        self._undo = None
        if not self.shuffle:
            return self.index
        begun, n_epochs = int(self.batch > 0), -(-(self.batch + n_steps) // self.steps_per_epoch)
        if n_epochs <= begun:
            return self.index
        self._undo = bookmark(self.random_state)
        orders = np.empty((n_epochs, self.n_rows), np.int64)
        orders[:begun] = self.index
        shuffle_rows(self.random_state, orders[begun:], self.index, self.compiled)
        return orders.reshape(-1)


def batches(n_rows: int, batch_size: int, shuffle: bool, begun: int, n_steps: int) -> tuple[Rows, Rows]:
    """Return the starts and stops of the batches of steps in the rows of their epochs; `begun` of the first are done.

    All epochs use the same rows, or, with `shuffle`, their rows lie one after the other.
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


MOST_IN_KIT = 1024
"""Up to this many steps and rows, arrays stay in memory for the next training."""


@kit.remembered
def batches_again(*numbers: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the result of `batches`, read-only, shared by equal small trainings."""
    start, stop = batches(*numbers)
    return read_only(start), read_only(stop)


def steps_again(start: NDArray[np.int64], stop: NDArray[np.int64]) -> Steps:
    """Return steps with these batches, from the last finished training if it had the same."""
    steps: Steps | None = STEPS.take()
    if steps is None or steps.start is not start:
        steps = Steps(np.empty(0, np.int64), start, stop, np.empty(len(start)), np.empty(len(start)))
    return steps


def check_full_batch(name: str, batch_size: int | None, n_rows: int) -> None:
    """Raise ValueError if an optimizer (a solver) that takes full batches only gets smaller ones."""
    if rows_a_step(batch_size, n_rows) < n_rows:
        raise ValueError(f"{name} takes full batches only, here of {n_rows} rows: leave out batch_size={batch_size}")


def rows_a_step(batch_size: int | None, n_rows: int) -> int:
    """Return the rows of each batch except the last of an epoch; None, or more than there are, stands for all."""
    return n_rows if batch_size is None else min(batch_size, n_rows)
