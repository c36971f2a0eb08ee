"""Blocks of members: short trainings that one call of compiled code does one after the other.

A block serves trainings between whose steps nothing has to be decided: all steps are known before the first. What else
a training may be asked for, `fastnn.training` does. Both give the same bits, for the steps are the same.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.layers import draw, params_of
from fastnn.many.members import Member
from fastnn.many.stack import Kept, Stack, start_of
from fastnn.memory import Array, aligned_zeros, ceil_div, padded_size
from fastnn.schedules import SCHEDULES
from fastnn.state import Steps, Task
from fastnn.training.batches import batches, rows_a_step
from fastnn.training.epoch_losses import losses_of_epochs
from fastnn.training.generator import Seeded, give_back, new_random_state, shuffle_rows, system_words
from fastnn.training.rates import learning_rates
from fastnn.training.state import TrainingState
from fastnn.training.subsets import digest, rows_at

MOST_WORK = 1 << 24
"""The work of a block, which is also that of the longest training in one: some 10 ms."""

STEP_WORK = 300
"""What a step costs besides its rows times parameters."""

MEMBER_WORK = 20_000
"""What a member costs besides its steps, some 10 us: much of it is to seed the generator and to draw."""

LEAST_WORK = 6_000_000
"""The work of a block for which to wake another thread pays: some 2 ms."""


def epoch_work(member: Member) -> int:
    """Return roughly the number of operations of an epoch."""
    settings, n = member.settings, member.n_rows
    rows = rows_a_step(settings.batch_size, n)
    return ceil_div(n, rows) * (rows * max(settings.network.n_params, 16) + STEP_WORK)


def block_key(member: Member) -> Hashable | None:
    """Return the key of a member, equal for those that one block can train; None where no block can.

    How long it takes is not looked at.
    """
    settings, data = member.settings, member.data
    optimizer, stop = settings.optimizer, settings.stop
    n, rate = member.n_rows, optimizer.learning_rate
    has_batches = rows_a_step(settings.batch_size, n) < n
    if (
        not hasattr(settings.backend, "train_members")
        or not _begins_plainly(member)
        or member.rows[1] is not None
        or stop.decides
        or not (isinstance(rate, float) or type(rate) in SCHEDULES.values())  # a function of the caller's may raise
        or (has_batches and not data.sample_weight.all())
    ):
        return None
    network, backend = settings.network, settings.backend
    kind = type(optimizer), optimizer.n_slots, optimizer.sequential
    return (
        id(network),
        id(backend),
        data.X.dtype,
        *kind,
        n,
        settings.batch_size,
        settings.shuffle,
        settings.feature_names,
    )


def _begins_plainly(member: Member) -> bool:
    """Return whether a member begins with a seed, or between two epochs without a score or a reduced rate."""
    state = member.state
    if not isinstance(state, TrainingState):
        return not isinstance(member.seed, np.random.RandomState)  # the caller's own, who sees what was drawn
    counters = state.counters
    scored = counters.get("best_score") is not None or "best_on" in counters or state.best_params is not None
    is_split = state.validation_rows is not None
    return not (member.settings.new_rows or state.batch or scored or "rate_factor" in counters or is_split)


class Block:
    """The trainings of some members that have a `block_key` in common: their arrays, stacked."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members
        self.starts = [None if member.state is None else start_of(member.state) for member in members]
        first = members[0]
        self.settings = settings = first.settings
        network, dtype = settings.network, first.data.X.dtype
        self.n = first.n_rows
        self.batch_size = rows_a_step(settings.batch_size, self.n)
        self.steps_per_epoch = ceil_div(self.n, self.batch_size)
        self.shuffle = settings.shuffle and self.steps_per_epoch > 1
        self.n_epochs = np.array([member.n_epochs for member in members], np.int64)
        m, slots = len(members), settings.optimizer.n_slots
        self.storage = aligned_zeros((m, 1 + slots, padded_size(network.n_params, dtype)), dtype)
        self.beta_products = np.ones((m, 2))
        self.drawn: dict[int, Array] = {}
        self.generators: list[Kept] = []
        self.tasks: list[Task] = []
        self.which = np.zeros(m, np.int64)

    def train(self, drawing: contextlib.AbstractContextManager[Any]) -> tuple[NDArray[np.bool_], Stack]:
        """Train the members; return which of them did not diverge (m,), and the stack of these.

        `drawing` is entered to draw at random, by one thread at a time: NumPy lets others run within each draw, so that
        two threads that draw take turns at every draw, which takes three times as long.
        """
        began = time.perf_counter()
        network, m, per_epoch = self.settings.network, len(self.members), self.steps_per_epoch
        most = int(self.n_epochs.max())
        n_steps = most * per_epoch
        orders = np.empty((m if self.shuffle else 0, most, self.n), np.int64)
        generator = new_random_state()
        with drawing:
            for k, member in enumerate(self.members):
                self._begin(k, member, generator)
                if self.shuffle:
                    self._shuffle(k, generator, orders[k, : self.n_epochs[k]])
        give_back(generator, None)
        self._make_weights()
        self._choose_tasks()
        start, stop = batches(self.n, self.batch_size, self.shuffle, 0, n_steps)
        steps = Steps(self._rows(orders), start, stop, self._learning_rates(n_steps), np.zeros((m, n_steps)))
        wanted = self.n_epochs * per_epoch
        backend: Any = self.settings.backend
        good = backend.train_members(self.tasks, self.which, self.storage, self.beta_products, steps, wanted)
        losses = losses_of_epochs(steps.loss, (stop - start)[:per_epoch].astype(np.float64), network.reduction)
        rates = steps.learning_rate[:, per_epoch - 1 :: per_epoch].copy()
        return good == wanted, self._stack(losses, rates, (time.perf_counter() - began) / m)

    def _begin(self, k: int, member: Member, generator: np.random.RandomState) -> None:
        """Set member k's first state, or draw the numbers of its weights; keep its generator."""
        network, start = self.settings.network, self.starts[k]
        if start is not None:
            self.storage[k, :, : network.n_params] = start.vectors
            self.beta_products[k] = start.beta_products
            if not self.shuffle:
                self.generators.append(start.generator)
            elif isinstance(start.generator, Seeded):
                start.generator.put(generator, network)
            else:
                generator.set_state(start.generator[0])
            return
        seed: Any = system_words() if member.seed is None else member.seed
        generator.seed(seed)
        drew = member.params is None
        if drew:
            self.drawn[k] = draw(network, generator)
        else:
            self.storage[k, 0, : network.n_params] = member.params
        if not self.shuffle:
            self.generators.append(Seeded(seed, drew, self.n))

    def _shuffle(self, k: int, generator: np.random.RandomState, orders: NDArray[np.int64]) -> None:
        """Write the order of the rows of each epoch (n_epochs, n), positions in member k's rows."""
        start, compiled = self.starts[k], getattr(self.settings.backend, "shuffle_rows", None)
        index = np.arange(self.n) if start is None or isinstance(start.generator, Seeded) else start.generator[1]
        shuffle_rows(generator, orders, index, compiled)
        self.generators.append((generator.get_state(legacy=False), orders[-1].copy()))

    def _make_weights(self) -> None:
        """Make the weights of the numbers that were drawn, for all members at once: it takes as long as for one."""
        network = self.settings.network
        if self.drawn:
            params = np.empty((len(self.drawn), network.n_params), self.storage.dtype)
            params_of(network, np.array([*self.drawn.values()]), params)
            self.storage[[*self.drawn], 0, : network.n_params] = params
            self.drawn.clear()

    def _choose_tasks(self) -> None:
        """Make a task for each optimizer, penalty and data that there are."""
        places: dict[Hashable, int] = {}
        which = []
        for member in self.members:
            settings = member.settings
            place = places.setdefault((id(settings.optimizer), settings.alpha, id(member.data)), len(places))
            if place == len(self.tasks):
                self.tasks.append(Task(settings.network, settings.optimizer, member.data, settings.alpha))
            which.append(place)
        self.which[:] = which

    def _rows(self, orders: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of the steps (m, any), or (1, any) where they are the same for all members."""
        chosen = [member.rows[0] for member in self.members]
        if self.shuffle:
            flat = orders.reshape(len(chosen), -1)
            for row, order, n_epochs in zip(chosen, flat, self.n_epochs, strict=True):
                order[n_epochs * self.n :] = 0  # of epochs that the member does not have
                if row is not None:
                    order[...] = rows_at(row, order)
            return flat
        if any(rows is not chosen[0] for rows in chosen):
            return np.array([rows_at(rows, np.arange(self.n)) for rows in chosen])
        return rows_at(chosen[0], np.arange(self.n))[None]

    def _learning_rates(self, n_steps: int) -> NDArray[np.float64]:
        """Return the learning rates of the steps (m, n_steps), or (1, n_steps) where they are the same for all."""
        rates = (member.settings.optimizer.learning_rate for member in self.members)
        kinds = [(rate, start.steps if start else 0) for rate, start in zip(rates, self.starts, strict=True)]
        if all(kind == kinds[0] for kind in kinds):
            kinds = kinds[:1]
        if all(isinstance(rate, float) for rate, _ in kinds):
            return np.repeat(np.array([[rate] for rate, _ in kinds], np.float64), n_steps, axis=1)
        return np.array([learning_rates(rate, t, n_steps) for rate, t in kinds])

    def _stack(self, losses: NDArray[np.float64], rates: NDArray[np.float64], seconds: float) -> Stack:
        """Return the results of the trainings, stacked, without their data."""
        settings, members, counts = self.settings, self.members, self.n_epochs.tolist()
        chosen = {id(rows): digest(rows) for member in members if (rows := member.rows[0]) is not None}
        before = [(start.epochs, start.steps) if start else (0, 0) for start in self.starts]
        return Stack(
            settings.network,
            settings.backend,
            settings.batch_size,
            settings.shuffle,
            [(task.optimizer, task.alpha) for task in self.tasks],
            self.which,
            self.storage,
            self.beta_products,
            self.n_epochs,
            [epochs + n for (epochs, _), n in zip(before, counts, strict=True)],
            [steps + n * self.steps_per_epoch for (_, steps), n in zip(before, counts, strict=True)],
            losses,
            rates,
            seconds,
            [chosen.get(id(member.rows[0])) for member in members],
            self.generators,
            settings.feature_names,
        )


class Blocks(NamedTuple):
    """The division of members: those that are trained together, those alone, and the number of threads."""

    together: list[tuple[list[Member], int]]
    """The members of each block, and their work."""
    alone: list[tuple[Member, int]]
    n_threads: int


def blocks_of(members: list[Member], n_jobs: int) -> Blocks:
    """Return the division of some members, for as many threads of `n_jobs` as pay."""
    groups: dict[Hashable, list[tuple[Member, int]]] = {}
    alone: list[tuple[Member, int]] = []
    found: dict[Hashable, tuple[Hashable | None, int]] = {}
    left = 0
    for member in members:
        kind = id(member.settings), id(member.data), id(member.rows), _begins_plainly(member)
        if kind not in found:
            found[kind] = block_key(member), epoch_work(member)
        key, an_epoch = found[kind]
        own = member.n_epochs * an_epoch + MEMBER_WORK
        if key is None or not member.n_epochs or own > MOST_WORK:
            alone.append((member, own))
        else:
            groups.setdefault(key, []).append((member, own))
            left += own
    # One thread at a time does what MEMBER_WORK stands for: more threads than this would wait for their turn.
    pay = min(n_jobs, left // (MEMBER_WORK * max(len(members) - len(alone), 1)))
    rounds, blocks = _Rounds(pay), list[tuple[list[Member], int]]()
    for group in groups.values():
        group.sort(key=lambda pair: -pair[0].n_epochs)
        most = -1
        for member, own in group:
            if most < 0 or blocks[-1][1] + own // 2 > most:
                most = rounds.next_size(left)
                blocks.append(([], 0))
            together, amount = blocks[-1]
            together.append(member)
            blocks[-1] = together, amount + own
            left -= own
    return Blocks(blocks, alone, min(n_jobs, pay + len(alone)))


class _Rounds:
    """The sizes of blocks: in each round the threads have a block each, together half of the work that is left.

    So all threads are at work to the end (the factoring of Hummel, Schonberg and Flynn, CACM 35 (8), 1992). In the last
    round they have all that is left, for a block below `LEAST_WORK` does not pay.
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._n_blocks = 0  # that the round under way still has
        self._end = 0  # how much work is left at its end

    def next_size(self, left: int) -> int:
        """Return the work of the next block, of the work that is left."""
        if self.n_threads <= 1:
            return MOST_WORK
        if not self._n_blocks:
            is_last = left < 2 * self.n_threads * LEAST_WORK
            self._n_blocks = max(1, min(self.n_threads, left // LEAST_WORK)) if is_last else self.n_threads
            self._end = 0 if is_last else left // 2
        size = min(MOST_WORK, ceil_div(left - self._end, self._n_blocks))
        self._n_blocks -= 1
        return size
