"""Units of work: blocks of short trainings for one call of compiled code, and single trainings.

A block is a group of several members, which threads share. All random draws are done before the first step, and the
decisions at the ends of epochs within the call. Members that need Python in between are groups of one, with the same
bits.
"""

import contextlib
import functools
import time
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import RandomState

from fastnn.cores import share
from fastnn.many.results import Unbegun
from fastnn.memory import ceil_div
from fastnn.schedules import SCHEDULES
from fastnn.training.exceptions import Flag, MonitorError, StopRequest
from fastnn.training.initial import begin
from fastnn.training.plan import Plan
from fastnn.training.results import PLAIN, Row, arrays_of
from fastnn.training.stopping import StopReason

MOST_WORK = 1 << 24
"""The work of a block for each thread, and of the longest training in one: about 10 ms."""

STEP_WORK = 300
"""The work of a step besides its rows times parameters."""

LANES_GAIN = 3
"""How many times less a step takes of members side by side."""

MEMBER_WORK = 20_000
"""The work of a member besides its steps, about 10 us, mostly to seed the generator and to draw."""

LEAST_WORK = 600_000
"""The least work of steps for which it is worth to wake another thread: about 0.3 ms."""


def epoch_work(plan: Plan) -> int:
    """Return roughly the number of operations of an epoch."""
    rows, n_params = plan.rows_a_step, max(plan.network.n_params, 16)
    if plan.optimizer.n_matrices:  # the products of all pairs of parameters
        rows = (rows + n_params) * ceil_div(n_params, 8)
    n_scored = plan.n_validated or (plan.n_rows if plan.stop.restore_best else 0)
    return ceil_div(plan.n_rows, rows) * (rows * n_params + STEP_WORK) + n_scored * n_params + STEP_WORK


def block_key(plan: Plan) -> Hashable | None:
    """Return the key of a member, equal for members that one block can train; None if no block can.

    The duration does not matter here.
    """
    optimizer, stop, n = plan.optimizer, plan.stop, plan.n_rows
    rate, has_batches = optimizer.learning_rate, plan.rows_a_step < n
    if (
        not plan.backend.trains_groups
        or not _begins_plainly(plan)
        or not _ends_plainly(plan)
        or not (isinstance(rate, float) or type(rate) in SCHEDULES.values())  # a function of the caller's may raise
        or ((has_batches or plan.n_split) and not plan.data.sample_weight.all())
    ):
        return None
    of_optimizer = type(optimizer), optimizer.n_slots, optimizer.sequential, optimizer.has_options
    kind = of_optimizer, plan.batch_size, plan.shuffle, plan.feature_names
    validated: Hashable = None
    if stop.decides or plan.validation_rows is not None:
        is_given = plan.validation_rows is not None or stop.validation is not None
        validated = is_given, plan.n_split, plan.n_validated, stop.restore_best, stop.monitor
    return id(plan.network), id(plan.backend), plan.data.X.dtype, n, validated, *kind


def at_a_time(plan: Plan, n_members: int) -> int:
    """Return how many of these equal members the back end trains side by side; a few train one by one."""
    if not plan.backend.trains_groups or n_members < 4:
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
        return not isinstance(plan.seed, RandomState)  # the caller's own, who sees what was drawn
    if isinstance(state, Row):
        state = arrays_of(state).decided.get(state.place, PLAIN)
    counters = state.counters
    scored = counters.get("best_score") is not None or "best_on" in counters or state.best_params is not None
    is_split = state.validation_rows is not None
    return not (plan.new_rows or state.batch or scored or "rate_factor" in counters or is_split)


class Unit(NamedTuple):
    """The plans of a group: the work of a thread or a worker at a time."""

    plans: Sequence[Plan]
    work: int
    """The approximate number of operations."""

    def threads(self, most: int) -> int:
        """Return how many of `most` threads are worth it: drawing, and what else a member needs, one does alone."""
        return max(1, min(most, (self.work - MEMBER_WORK * len(self.plans)) // LEAST_WORK))


def units_of(plans: list[Plan], n_threads: int) -> list[Unit]:
    """Return the units of some members, in the order of their first ones; `n_threads` share each block."""
    groups: dict[tuple[Hashable, int], list[tuple[Plan, int]]] = {}
    units: list[Unit] = []
    found: dict[Hashable, tuple[Hashable | None, int, int]] = {}
    for plan in plans:
        parts = plan.network, plan.optimizer, plan.stop, plan.data, plan.rows
        kind = *map(id, parts), plan.batch_size, plan.shuffle, _begins_plainly(plan), plan.state is None
        known = found.get(kind)
        if known is None:
            known = found[kind] = block_key(plan), epoch_work(plan), at_a_time(plan, len(plans))
        key, an_epoch, side_by_side = known
        own = plan.n_epochs * an_epoch // (LANES_GAIN if side_by_side > 1 else 1)
        if key is None or not plan.n_epochs or own > MOST_WORK:
            units.append(Unit([plan], own + MEMBER_WORK))
        else:
            groups.setdefault((key, side_by_side), []).append((plan, own))
    for (_, side_by_side), group in groups.items():
        group.sort(key=lambda pair: -pair[0].n_epochs)
        block, work = list[Plan](), 0
        for k, (plan, own) in enumerate(group):
            if block and k % side_by_side == 0 and work + own // 2 > MOST_WORK * n_threads:
                units.append(Unit(block, work))
                block, work = [], 0
            block.append(plan)
            work += own + MEMBER_WORK
        units.append(Unit(block, work))
    units.sort(key=lambda unit: unit.plans[0].number)
    return units


def train_unit(unit: Unit, flag: StopRequest, n_threads: int = 1) -> dict[int, Row]:
    """Train the members of a unit; return {number: result}. After the flag is raised, none of them begins.

    Up to `n_threads` threads share a block.
    """
    if flag.requested:
        return {plan.number: _unbegun(plan, flag.reason) for plan in unit.plans}
    rows: dict[int, Row] = {}
    alone = unit.plans
    group = begin(unit.plans, time.perf_counter()) if len(unit.plans) > 1 else None
    if group is not None and (group.in_calls or not group.decisions):  # else the back end cannot make the decisions
        group.threads = unit.threads(n_threads)
        group.chunk()
        group.end("epochs")
        results = group.results()
        rows = {plan.number: Row(results, k) for k, plan in enumerate(unit.plans)}
        # What diverged is trained anew, alone, so that its last good step is found; words of the system draw the same.
        each = zip(unit.plans, group.order.seeds, group.reasons, strict=True)
        again = [(plan, seed) for plan, seed, reason in each if reason == "diverged"]
        alone = [p._replace(seed=RandomState(seed) if isinstance(seed, np.ndarray) else seed) for p, seed in again]

    def train_one(plan: Plan) -> None:
        rows[plan.number] = train_alone(plan, flag)

    if alone:
        share(train_one, alone, n_threads)
    return rows


def _unbegun(plan: Plan, reason: StopReason) -> Row:
    begin = functools.partial(train_alone, plan, Flag(True, reason))
    # The owner of a RandomState sees what was drawn, as after `train`.
    return begin() if isinstance(plan.seed, RandomState) else Row(Unbegun(plan, reason, begin), 0)


def train_alone(plan: Plan, flag: StopRequest) -> Row:
    """Train a member as `train` does; divergence and the flag end it without an error.

    An error in a function of the caller gets the number of the member as its `member`, and in its text.
    """
    try:
        group = begin([plan], time.perf_counter())
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
    results = group.results()
    group.give_back()
    return Row(results, 0)
