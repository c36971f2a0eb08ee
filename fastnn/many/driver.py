"""The driver of many trainings: blocks and single members on threads, Ctrl-C, callbacks.

Threads, order and grouping change no bit: each member is trained as if it were alone.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fastnn.many.block import Block, blocks_of
from fastnn.many.members import Member
from fastnn.many.results import Entry, ManyResult, Stacked, Unbegun, result_of
from fastnn.training import Flag, advance, end
from fastnn.training.begin import start
from fastnn.training.interrupts import Interrupt
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import StopReason

POLL_SECONDS = 0.05
"""How long the calling thread waits for the next block, at most, before it looks for Ctrl-C."""


@dataclass(frozen=True, eq=False)
class ManyProgress:
    """The progress of `train_many`: the argument of its callbacks, which are called after each block of members.

    A callback that returns True ends the trainings, as Ctrl-C would, with the stop reason "callback".

    Attributes
    ----------
    n_members : int
    n_ended : int
        Members whose trainings have ended.
    seconds : float
        Wall time since the call.
    ended : list of int
        The members that ended since the last call.
    """

    n_members: int
    n_ended: int
    seconds: float
    ended: list[int]
    _entries: list[Entry | None] = field(repr=False)

    def result(self, i: int) -> TrainingResult:
        """The result of a member that has ended.

        Raises
        ------
        ValueError
            For a member that is not through.
        """
        entry = self._entries[i]
        if entry is None:
            raise ValueError(f"member {i} has not ended yet")
        return result_of(entry)


class _Asked:
    """What ends all trainings: a flag that Ctrl-C, a callback or an error raises."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt
        self._reason: StopReason | None = None

    @property
    def requested(self) -> bool:
        return self._reason is not None or self._interrupt.requested

    @property
    def reason(self) -> StopReason:
        return self._reason or self._interrupt.reason

    def end(self, reason: StopReason) -> None:
        self._reason = self._reason or reason


class Unit(NamedTuple):
    """What a thread does at a time: the members of a block, or a single one."""

    members: Sequence[Member]
    is_block: bool


def train_unit(unit: Unit, flag: Flag) -> dict[int, Entry]:
    """Train the members of a unit; return {number: result}. When the flag is raised, none of them begins."""
    if flag.requested:
        return {member.number: _unbegun(member, flag.reason) for member in unit.members}
    if not unit.is_block:
        return {member.number: train_alone(member, flag) for member in unit.members}
    through, stack = Block(list(unit.members)).train()
    # What diverged is trained anew, by the driver that finds its last good step.
    return {
        member.number: Stacked(stack, k) if came_through else train_alone(member, flag)
        for k, (member, came_through) in enumerate(zip(unit.members, through.tolist(), strict=True))
    }


class _Ended(NamedTuple):
    """A flag that is raised."""

    reason: StopReason
    requested: bool = True


def _unbegun(member: Member, reason: StopReason) -> Entry:
    if isinstance(member.seed, np.random.RandomState):  # its owner sees what was drawn, as after `train`
        return train_alone(member, _Ended(reason))
    return Unbegun(member.settings, reason, functools.partial(train_alone, member, _Ended(reason)))


def train_alone(member: Member, flag: Flag) -> TrainingResult:
    """Train a member as `train` does; divergence and the flag end it, and are no errors."""
    settings, data, rows = member.settings, member.data, member.rows
    run, random_state = start(settings, data, rows, member.seed, member.params, time.perf_counter())
    try:
        advance(run, flag, [], [])
    except Exception as error:
        error.add_note(f"fastnn: this was member {member.number}")
        raise
    return end(run, random_state, member.seed)


class Driver:
    """The trainings of some members, on `n_jobs` threads."""

    def __init__(self, members: list[Member], n_jobs: int, callbacks: Sequence[Callable[[ManyProgress], Any]]) -> None:
        blocks, alone = blocks_of(members, n_jobs)
        units = [Unit(block, True) for block in blocks] + [Unit([member], False) for member in alone]
        self.units = sorted(units, key=lambda unit: unit.members[0].number)
        self.n_jobs = min(n_jobs, len(self.units))
        self.callbacks = callbacks
        self.places = {member.number: place for place, member in enumerate(members)}
        self.entries: list[Entry | None] = [None] * len(members)
        self.n_ended = 0
        self.began = time.perf_counter()

    def train(self, interrupt: Interrupt) -> ManyResult:
        """Train all members, or end early where Ctrl-C or a callback asks for it; raise what a training raises."""
        flag = _Asked(interrupt)
        (self._on_threads if self.n_jobs > 1 else self._here)(flag)
        return ManyResult([entry for entry in self.entries if entry is not None])

    def _here(self, flag: _Asked) -> None:
        for unit in self.units:
            self._take(train_unit(unit, flag), flag)

    def _on_threads(self, flag: _Asked) -> None:
        """Let threads take the units in turn; results, callbacks and Ctrl-C are this thread's."""
        waiting: queue.SimpleQueue[Unit] = queue.SimpleQueue()
        through: queue.SimpleQueue[dict[int, Entry] | BaseException] = queue.SimpleQueue()
        for unit in self.units:
            waiting.put(unit)

        def work() -> None:
            while True:
                try:
                    unit = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    through.put(train_unit(unit, flag))
                except BaseException as error:
                    through.put(error)

        threads = [threading.Thread(target=work, name=f"fastnn many {k}", daemon=True) for k in range(self.n_jobs)]
        left = len(self.units)
        try:
            for thread in threads:
                thread.start()
            while left:
                try:
                    found = through.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                left -= 1
                if isinstance(found, BaseException):
                    raise found
                self._take(found, flag)
        except BaseException:
            flag.end("interrupted")
            while True:  # whoever is at work ends at its next chunk; nobody begins another unit
                try:
                    waiting.get_nowait()
                except queue.Empty:
                    break
            raise
        finally:
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def _take(self, found: dict[int, Entry], flag: _Asked) -> None:
        """Keep the results of a unit, and tell callbacks of them."""
        for number, entry in found.items():
            self.entries[self.places[number]] = entry
        self.n_ended += len(found)
        if not self.callbacks or flag.requested:
            return
        seconds = time.perf_counter() - self.began
        progress = ManyProgress(len(self.entries), self.n_ended, seconds, sorted(found), self.entries)
        for answer in [callback(progress) for callback in self.callbacks]:
            if answer is True or (isinstance(answer, np.bool_) and answer):
                flag.end("callback")
