"""The units of many trainings, what a thread or a worker does at a time: a block of short ones, or a single one."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.many.block import Block, blocks_of
from fastnn.many.member_results import MemberResult, Unbegun
from fastnn.many.members import Member, begin
from fastnn.many.stack import Stacked
from fastnn.training import advance, end
from fastnn.training.exceptions import MonitorError
from fastnn.training.interrupts import StopRequest
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import StopReason


class Unit(NamedTuple):
    """The members of a block, or a single member."""

    members: Sequence[Member]
    is_block: bool
    work: int
    """About how many operations it takes."""


NOTHING_TO_WAIT_FOR = contextlib.nullcontext()
"""In place of the lock by which threads take turns to draw, where there is one thread."""


def units_of(members: list[Member], n_jobs: int) -> tuple[list[Unit], int]:
    """Return the units of some members, and the number of threads, of `n_jobs`, that pay.

    For one thread they are in the order of their first members; for several ones the longest come first, so that the
    threads end at about one time.
    """
    blocks, alone, n_threads = blocks_of(members, n_jobs)
    units = [Unit(block, True, work) for block, work in blocks]
    units += [Unit([member], False, work) for member, work in alone]
    n_threads = min(n_threads, len(units))
    units.sort(key=lambda unit: (-unit.work if n_threads > 1 else 0, unit.members[0].number))
    return units, n_threads


def train_unit(
    unit: Unit, flag: StopRequest, drawing: contextlib.AbstractContextManager[Any] = NOTHING_TO_WAIT_FOR
) -> dict[int, MemberResult]:
    """Train the members of a unit; return {number: result}. When the flag is raised, none of them begins."""
    if flag.requested:
        return {member.number: _unbegun(member, flag.reason) for member in unit.members}
    if not unit.is_block:
        return {member.number: train_alone(member, flag) for member in unit.members}
    through, stack = Block(list(unit.members)).train(drawing)
    # What diverged is trained anew, by the driver that finds its last good step.
    return {
        member.number: Stacked(stack, k) if came_through else train_alone(member, flag)
        for k, (member, came_through) in enumerate(zip(unit.members, through.tolist(), strict=True))
    }


class Ended(NamedTuple):
    """A flag that is raised."""

    reason: StopReason
    requested: bool = True


def _unbegun(member: Member, reason: StopReason) -> MemberResult:
    if isinstance(member.seed, np.random.RandomState):  # its owner sees what was drawn, as after `train`
        return train_alone(member, Ended(reason))
    settings, begin = member.settings, functools.partial(train_alone, member, Ended(reason))
    return Unbegun(settings.network, settings.backend, settings.stop.monitor, reason, begin)


def train_alone(member: Member, flag: StopRequest) -> TrainingResult:
    """Train a member as `train` does; divergence and the flag end it, and are no errors.

    An error of a function of the caller's own gets the member's number as its `member`, and it is in the text.
    """
    try:
        run, random_state = begin(member, member.seed)
        advance(run, flag, [], [])
    except Exception as error:
        with contextlib.suppress(AttributeError, TypeError):  # a class of its own may refuse other attributes
            if isinstance(error, MonitorError):
                error.args = (f"member {member.number}: {error}",)
            else:
                error.add_note(f"fastnn: this was member {member.number}")
            error.member = member.number  # type: ignore[attr-defined]
        raise
    return end(run, random_state, member.seed)
