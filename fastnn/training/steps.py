"""The steps of a training: chosen rows, batches, learning rates, and how many steps a call does."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kit
from fastnn.checking.arguments import LearningRate, check_number, class_of, cut
from fastnn.memory import Array, ceil_div, read_only
from fastnn.schedules import SCHEDULES, Schedule
from fastnn.state import Data, Steps
from fastnn.training.generator import Generators
from fastnn.training.inputs import FEW_ROWS, Rows, rows_a_step
from fastnn.training.options import TrainOptions
from fastnn.training.state import TrainingStates

# -------------------------------------------------------------------------------------------- rows


def rows_at(rows: Rows | None, positions: Rows) -> Rows:
    """Return the rows of X at these positions among the rows to train on."""
    return positions if rows is None else rows.take(positions)


def rows_of(data: Data, rows: Rows) -> Data:
    """Return a read-only copy of these rows of the data."""
    X, Y, weight = (array[rows] for array in data)
    X = read_only(X) if isinstance(X, np.ndarray) else X
    return Data(X, read_only(Y), read_only(weight))


def digest(rows: Rows) -> int:
    """Return a number that identifies the rows of a training, for its state."""
    return zlib.crc32(rows.data)


def batches(
    n_rows: int, batch_size: int, shuffle: bool, begun: int, n_steps: int
) -> tuple[Rows, Rows]:
    """Return the starts and stops of the batches of steps in the rows of their epochs; `begun` of
    the first are done.

    All epochs use the same rows, or, with `shuffle`, their rows lie one after the other.
    """
    if batch_size == n_rows and not shuffle:  # the same as below, in a tenth of the time
        start = np.zeros(n_steps, np.int64)
        stop = np.empty(n_steps, np.int64)
        stop.fill(n_rows)
        return start, stop
    epoch, batch = np.divmod(np.arange(begun, begun + n_steps), ceil_div(n_rows, batch_size))
    start = batch * batch_size
    stop = np.minimum(start + batch_size, n_rows)
    if shuffle:
        start += epoch * n_rows
        stop += epoch * n_rows
    return start, stop


def check_full_batch(name: str, batch_size: int | None, n_rows: int) -> None:
    """Raise ValueError if an optimizer (a solver) that takes full batches only gets smaller
    ones.
    """
    if rows_a_step(batch_size, n_rows) < n_rows:
        raise ValueError(
            f"{name} takes full batches only, here of {n_rows} rows: leave out "
            f"batch_size={batch_size}"
        )


def rows_in_order(n: int) -> Array:
    """Return the numbers of `n` rows, read-only."""
    return _few_rows(n) if n <= FEW_ROWS else _rows(n)


def _rows(n: int) -> Array:
    return read_only(np.arange(n))


_few_rows = kit.remembered(_rows)


# --------------------------------------------------------------------------- the next steps


class Draws:
    """What a session draws for its next steps: rows and learning rates of each of its m members.

    Parameters
    ----------
    members : sequence of TrainOptions
    states : TrainingStates
        Where the members are. Their `order` is written.
    generators : Generators
        They shuffle the rows.

    Attributes
    ----------
    n_rows : int
        The rows of an epoch.
    batch_size : int
        The rows of each step, except the last of an epoch.
    per_epoch : int
        The steps of an epoch.
    learning_rates : list of float or callable
        The learning rate of each member, before `ReduceRate`.
    """

    def __init__(
        self, members: Sequence[TrainOptions], states: TrainingStates, generators: Generators
    ) -> None:
        first = members[0]
        self.states = states
        self.generators = generators
        self.n_rows = n_rows = states.order.shape[1]
        self.batch_size = rows_a_step(first.batch_size, n_rows)
        self.per_epoch = ceil_div(n_rows, self.batch_size)
        if first.optimizer.full_batch:
            check_full_batch(first.optimizer.name, first.batch_size, n_rows)
        self.shuffle = first.shuffle and self.per_epoch > 1
        """Full batches are never shuffled."""
        self.rows = [options.rows for options in members]
        """The rows of X of each member, in order; None for all."""
        self.rows_are_shared = len(set(map(id, self.rows))) == 1
        self.learning_rates = [options.optimizer.learning_rate for options in members]
        self.learning_rates_change = any(map(callable, self.learning_rates))
        """Whether the rates of the next steps may be others than those of the last ones."""
        self.steps: Steps | None = None
        """The last steps."""
        self._place = 0, 0
        """Where these began in their epoch, and how many they were."""
        self._of_epoch: NDArray[np.int64] | None = None
        """The rows of the last steps, if these are of one epoch."""

    def next_learning_rates(self, wanted: list[int]) -> NDArray[np.float64]:
        """Return the learning rates (m, n_steps) of the next steps, of each member so many as are
        `wanted`; (1, n_steps) if they are the same for all.
        """
        n_steps = max(wanted)
        last = self.steps
        if last is not None and not self.learning_rates_change and len(last.start) == n_steps:
            return last.learning_rate
        states = self.states
        kinds = list(
            zip(self.learning_rates, states.t, states.rate_factor, states.rate_least, strict=True)
        )
        if len(kinds) > 1:
            needed = [kind for kind, n in zip(kinds, wanted, strict=True) if n]
            if needed.count(needed[0]) == len(needed):
                kinds = needed[:1]
        rates = [
            reduced(learning_rates(rate, t, n_steps), factor, least)
            for rate, t, factor, least in kinds
        ]
        return rates[0][None] if len(rates) == 1 else np.array(rates)

    def next_steps(
        self, wanted: list[int], batch: int, learning_rates: NDArray[np.float64]
    ) -> Steps:
        """Return the next steps, of each member so many as are `wanted`, after `batch` steps of the
        epoch that has begun, with room for the losses.

        The next call uses the arrays of rates and losses again, and all arrays if the steps take
        the same rows.
        """
        n_steps = learning_rates.shape[1]
        last = self.steps
        if last is None or self._place != (batch, n_steps):
            rows = self._rows(wanted, batch)
            start, stop = batches(self.n_rows, self.batch_size, self.shuffle, batch, n_steps)
            loss = np.zeros((len(wanted), n_steps))
            self.steps = last = Steps(rows, start, stop, learning_rates, loss)
            self._place = batch, n_steps
            return last
        if last.learning_rate is not learning_rates:
            last.learning_rate[...] = learning_rates
        if self.shuffle:
            self.steps = last = last._replace(rows=self._rows(wanted, batch))
        last.loss.fill(0)
        return last

    def set_rate(self, k: int, rate: LearningRate) -> None:
        """Let member k go on with another learning rate."""
        self.learning_rates[k] = rate
        self._let_rates_change()

    def reduce_rate(self, k: int, factor: float) -> None:
        """Multiply the learning rate of member k by a factor."""
        self.states.rate_factor[k] *= factor
        self._let_rates_change()

    def _let_rates_change(self) -> None:
        """Let the rates of the next steps be others, in arrays of their own: a repetition may need
        the last ones.
        """
        self.learning_rates_change = True
        self.steps = None

    def _rows(self, wanted: list[int], batch: int) -> NDArray[np.int64]:
        """Return the rows of X (m, any) of the epochs of the next steps; (1, any) if they are the
        same for all.

        Steps that go on in an epoch take its rows as they are: to put them together once per call
        would take longer than the steps, of many rows.
        """
        if batch and self._of_epoch is not None and batch + max(wanted) <= self.per_epoch:
            return self._of_epoch
        orders = self._orders(wanted, batch)
        positions = orders.reshape(len(orders), -1)
        if self.rows_are_shared:
            made = rows_at(self.rows[0], positions)
        else:
            n = len(positions)
            made = np.array(
                [rows_at(rows, positions[k if n > 1 else 0]) for k, rows in enumerate(self.rows)]
            )
        self._of_epoch = made if orders.shape[1] == 1 else None
        return made

    def _orders(self, wanted: list[int], batch: int) -> Array:
        """Return the orders of the rows (m, n_epochs, n_rows) of the epochs of the next steps;
        (1, 1, n_rows) if they are in order.
        """
        order = self._order()
        if not self.shuffle:
            return order[:, None]
        n_begun = ceil_div(batch, self.per_epoch)
        n_epochs = ceil_div(batch + max(wanted), self.per_epoch)
        self._drawn = orders = np.zeros((len(wanted), n_epochs, self.n_rows), np.int64)
        if n_begun:
            orders[:, 0] = order
        self.generators.save()
        for k, n_steps in enumerate(wanted):
            n = ceil_div(batch + n_steps, self.per_epoch)
            if n > n_begun:
                self.generators.shuffle(k, orders[k, n_begun:n], order[k if len(order) > 1 else 0])
        return orders

    def _order(self) -> NDArray[np.int64]:
        """Return the last orders of the rows (m, n_rows); (1, n_rows) if they are the same."""
        order = self.states.order
        return order if len(order) else rows_in_order(self.n_rows)[None]

    def keep_orders(self, wanted: list[int], good: list[int], batch: int) -> None:
        """Keep the order of the rows of the last epoch that each member has begun by its good
        steps, and rewind what was drawn after.
        """
        if batch and batch + max(wanted) <= self.per_epoch:  # none has begun
            return
        m = len(wanted)
        order = self._order()
        if len(order) < m or not order.flags.writeable:
            order = np.repeat(order, m // len(order), axis=0)
        n_before = ceil_div(batch, self.per_epoch)
        for k in range(m):
            n_begun = ceil_div(batch + good[k], self.per_epoch)
            if n_begun < ceil_div(batch + wanted[k], self.per_epoch):
                self.generators.rewind(k)
                again = np.empty((n_begun - n_before, self.n_rows), np.int64)
                self.generators.shuffle(k, again, order[k])
            if n_begun > 0:
                order[k] = self._drawn[k, n_begun - 1]
        self.states.order = order


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
        # Of a step, with its share of the rows that an epoch scores.
        work = n_params * (batch_size + n_scored)
        self.n_steps = max(1, min(self._most, FIRST_CHUNK_STEPS, FIRST_CHUNK_WORK // work))

    def measured(self, n_steps: int, seconds: float) -> None:
        """Record the time of a chunk with `n_steps` steps that were not skipped; 0 steps do not
        change the length.
        """
        if n_steps:
            fit = int(n_steps * CHUNK_SECONDS / max(seconds, 1e-9))
            self.n_steps = max(1, min(self._most, fit))


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
        rates.fill(rate)  # `np.full` takes three times as long
        return rates
    if isinstance(rate, Schedule) and type(rate) in SCHEDULES.values():  # others may know no block
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
