"""Units of work: blocks of short trainings for one call of compiled code, and single trainings.

A block is a group of several members. All random draws are done before the first step, and the decisions at the ends of
epochs within the call. Members that need Python in between are groups of one, with the same bits.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.backends import Completed, original
from fastnn.many.members import begin_alone
from fastnn.many.store import MemberResult, Unbegun
from fastnn.memory import ceil_div
from fastnn.schedules import SCHEDULES
from fastnn.training.exceptions import MonitorError
from fastnn.training.initial import begin_group, n_split
from fastnn.training.interrupts import StopRequest
from fastnn.training.plan import Plan
from fastnn.training.stopping import StopReason
from fastnn.training.store import PLAIN, Row

MOST_WORK = 1 << 24
"""The work of a block, and of the longest training in one: about 10 ms."""

STEP_WORK = 300
"""The work of a step besides its rows times parameters."""

MEMBER_WORK = 20_000
"""The work of a member besides its steps, about 10 us, mostly to seed the generator and to draw."""

LEAST_WORK = 6_000_000
"""The least work of a block for which it is worth to wake another thread: about 2 ms."""


def epoch_work(plan: Plan) -> int:
    """Return roughly the number of operations of an epoch."""
    rows, n_params = plan.rows_a_step, max(plan.network.n_params, 16)
    if plan.optimizer.n_matrices:  # the products of all pairs of parameters
        rows = (rows + n_params) * ceil_div(n_params, 8)
    n_scored = 0 if not plan.stop.restore_best else plan.n_rows
    if plan.validation_rows is not None:
        n_scored = len(plan.validation_rows)
    elif isinstance(plan.stop.validation, (tuple, list)):
        n_scored = len(plan.stop.validation[0])
    elif plan.stop.validation is not None:
        n_scored = n_split(plan)
    return ceil_div(plan.n_rows, rows) * (rows * n_params + STEP_WORK) + n_scored * n_params + STEP_WORK


def block_key(plan: Plan) -> Hashable | None:
    """Return the key of a member, equal for members that one block can train; None if no block can.

    The duration does not matter here.
    """
    optimizer, stop, n = plan.optimizer, plan.stop, plan.n_rows
    rate, has_batches = optimizer.learning_rate, plan.rows_a_step < n
    if (
        isinstance(plan.backend, Completed)
        or not _begins_plainly(plan)
        or not _ends_plainly(plan)
        or not (isinstance(rate, float) or type(rate) in SCHEDULES.values())  # a function of the caller's may raise
        or (has_batches and not plan.data.sample_weight.all())
    ):
        return None
    of_optimizer = type(optimizer), optimizer.n_slots, optimizer.sequential, optimizer.has_options
    kind = of_optimizer, plan.batch_size, plan.shuffle, plan.feature_names
    validated: Hashable = None
    if stop.decides or plan.validation_rows is not None:
        part = stop.validation if isinstance(stop.validation, float) else None
        size = len(stop.validation[0]) if isinstance(stop.validation, (tuple, list)) else None
        n_chosen = None if plan.validation_rows is None else len(plan.validation_rows)
        validated = part, size, n_chosen, stop.restore_best, stop.monitor
    return id(plan.network), id(plan.backend), plan.data.X.dtype, n, validated, *kind


def at_a_time(plan: Plan, n_members: int) -> int:
    """Return how many of these equal members the back end trains side by side; a few train one by one."""
    if isinstance(plan.backend, Completed) or n_members < 4:
        return 1
    return int(plan.backend.at_a_time(plan.network, plan.data.X.dtype, plan.rows_a_step))


def _ends_plainly(plan: Plan) -> bool:
    """Return whether compiled code can make all decisions for a member, if there are any."""
    stop = plan.stop
    if not stop.decides and plan.validation_rows is None:
        return True
    plain = stop.max_seconds is None and stop.reduce is None and stop.monitor in ("loss", "accuracy")
    return plain and plan.state is None and not plan.new_rows


def _begins_plainly(plan: Plan) -> bool:
    """Return whether a member begins from a seed, or between two epochs without a score or a reduced rate."""
    state = plan.state
    if state is None:
        return not isinstance(plan.seed, np.random.RandomState)  # the caller's own, who sees what was drawn
    if isinstance(state, Row):
        state = state.results.decided.get(state.place, PLAIN)
    counters = state.counters
    scored = counters.get("best_score") is not None or "best_on" in counters or state.best_params is not None
    is_split = state.validation_rows is not None
    return not (plan.new_rows or state.batch or scored or "rate_factor" in counters or is_split)


class Blocks(NamedTuple):
    """The division of members into blocks and single ones, and the number of threads."""

    together: list[tuple[list[Plan], int]]
    """The members of each block, and their work."""
    alone: list[tuple[Plan, int]]
    n_threads: int


def blocks_of(plans: list[Plan], n_jobs: int) -> Blocks:
    """Return the division of some members, for as many threads of `n_jobs` as are worth it."""
    groups: dict[tuple[Hashable, int], list[tuple[Plan, int]]] = {}
    alone: list[tuple[Plan, int]] = []
    found: dict[Hashable, tuple[Hashable | None, int, int]] = {}
    left = 0
    for plan in plans:
        parts = plan.network, plan.optimizer, plan.stop, plan.data, plan.rows
        kind = *map(id, parts), plan.batch_size, plan.shuffle, _begins_plainly(plan), plan.state is None
        known = found.get(kind)
        if known is None:
            known = found[kind] = block_key(plan), epoch_work(plan), at_a_time(plan, len(plans))
        key, an_epoch, side_by_side = known
        own = plan.n_epochs * an_epoch + MEMBER_WORK
        if key is None or not plan.n_epochs or own > MOST_WORK:
            alone.append((plan, own))
        else:
            groups.setdefault((key, side_by_side), []).append((plan, own))
            left += own
    # One thread at a time does what MEMBER_WORK stands for: more threads than this would wait for their turn.
    pay = min(n_jobs, left // (MEMBER_WORK * max(len(plans) - len(alone), 1)))
    rounds, blocks = _Rounds(pay), list[tuple[list[Plan], int]]()
    for (_, side_by_side), group in groups.items():
        group.sort(key=lambda pair: -pair[0].n_epochs)
        most = -1
        for k, (plan, own) in enumerate(group):
            if most < 0 or (blocks[-1][1] + own // 2 > most and k % side_by_side == 0):
                most = rounds.next_size(left)
                blocks.append(([], 0))
            together, amount = blocks[-1]
            together.append(plan)
            blocks[-1] = together, amount + own
            left -= own
    return Blocks(blocks, alone, min(n_jobs, pay + len(alone)))


class _Rounds:
    """The sizes of blocks: each round has a block for each thread, together half of the remaining work.

    So all threads work to the end (factoring: Hummel, Schonberg and Flynn, CACM 35 (8), 1992). The last round takes all
    remaining work, because a block below `LEAST_WORK` is not worth it.
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self._n_blocks = 0  # that the round under way still has
        self._end = 0  # how much work is left at its end

    def next_size(self, left: int) -> int:
        """Return the work of the next block, given the remaining work."""
        if self.n_threads <= 1:
            return MOST_WORK
        if not self._n_blocks:
            is_last = left < 2 * self.n_threads * LEAST_WORK
            self._n_blocks = max(1, min(self.n_threads, left // LEAST_WORK)) if is_last else self.n_threads
            self._end = 0 if is_last else left // 2
        size = min(MOST_WORK, ceil_div(left - self._end, self._n_blocks))
        self._n_blocks -= 1
        return size


class Unit(NamedTuple):
    """The plans of a group: the work of a thread or a worker at a time."""

    plans: Sequence[Plan]
    work: int
    """The approximate number of operations."""


NOTHING_TO_WAIT_FOR = contextlib.nullcontext()
"""For a single thread, instead of the lock under which threads draw."""


def units_of(plans: list[Plan], n_jobs: int) -> tuple[list[Unit], int]:
    """Return the units of some members, and the number of threads, at most `n_jobs`, that is worth it.

    For one thread, units are in the order of their first members. For several threads the longest come first, so that
    all threads end at about the same time.
    """
    blocks, alone, n_threads = blocks_of(plans, n_jobs)
    units = [Unit(block, work) for block, work in blocks] + [Unit([plan], work) for plan, work in alone]
    n_threads = min(n_threads, len(units))
    units.sort(key=lambda unit: (-unit.work if n_threads > 1 else 0, unit.plans[0].number))
    return units, n_threads


def train_unit(
    unit: Unit, flag: StopRequest, drawing: contextlib.AbstractContextManager[Any] = NOTHING_TO_WAIT_FOR
) -> dict[int, MemberResult]:
    """Train the members of a unit; return {number: result}. After the flag is raised, none of them begins."""
    if flag.requested:
        return {plan.number: _unbegun(plan, flag.reason) for plan in unit.plans}
    if len(unit.plans) == 1:
        return {plan.number: train_alone(plan, flag) for plan in unit.plans}
    group = begin_group(unit.plans, time.perf_counter(), drawing)
    if group is None:
        return {plan.number: train_alone(plan, flag) for plan in unit.plans}
    group.chunk()
    results, lost = group.results("epochs"), {*group.lost}
    # What diverged is trained anew, alone, so that its last good step is found.
    return {
        plan.number: train_alone(plan._replace(seed=_again(group.seeds[k])), flag) if k in lost else Row(results, k)
        for k, plan in enumerate(unit.plans)
    }


def _again(seed: Any) -> Any:
    """Return a seed that repeats the draws: a new generator if the seed was words of the system."""
    return np.random.RandomState(seed) if isinstance(seed, np.ndarray) else seed


class Ended(NamedTuple):
    """A flag that is raised always."""

    reason: StopReason
    requested: bool = True


def _unbegun(plan: Plan, reason: StopReason) -> MemberResult:
    if isinstance(plan.seed, np.random.RandomState):  # its owner sees what was drawn, as after `train`
        return train_alone(plan, Ended(reason))
    begin = functools.partial(train_alone, plan, Ended(reason))
    return Unbegun(plan.network, original(plan.backend), plan.stop.monitor, reason, begin)


def train_alone(plan: Plan, flag: StopRequest) -> Row:
    """Train a member as `train` does; divergence and the flag end it without an error.

    An error in a function of the caller gets the number of the member as its `member`, and in its text.
    """
    try:
        group = begin_alone(plan)
        while group.goes_on() and not flag.requested:
            group.chunk()
    except Exception as error:
        with contextlib.suppress(AttributeError, TypeError):  # a class of its own may refuse other attributes
            if isinstance(error, MonitorError):
                error.args = (f"member {plan.number}: {error}",)
            else:
                error.add_note(f"fastnn: this was member {plan.number}")
            error.member = plan.number  # type: ignore[attr-defined]
        raise
    if flag.requested:
        group.interrupt(flag.reason)
    results = group.results(group.stop_reason)
    group.give_back()
    return Row(results, 0)
