"""A call that trains members: the driver, with Ctrl-C and a progress bar around it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastnn.checking.arguments import check_flag, check_integer
from fastnn.errors import warn
from fastnn.many.driver import Driver, ManyProgress
from fastnn.many.members import Member
from fastnn.many.results import ManyResult
from fastnn.training.callbacks import every, sorted_callbacks
from fastnn.training.exceptions import InterruptWarning, TrainingInterrupted
from fastnn.training.interrupts import AGAIN, Interrupt

Callbacks = Iterable[Callable[[ManyProgress], Any]]


class Caller:
    """The settings of calls of the driver: the number of threads, callbacks, and whether there is a progress bar."""

    def __init__(self, n_jobs: int | None, callbacks: Callbacks, progress: bool) -> None:
        self.n_jobs = None if n_jobs in (None, -1) else check_integer("n_jobs", n_jobs, low=1)
        self.callbacks: Any = list(callbacks) if isinstance(callbacks, Iterable) else callbacks
        sorted_callbacks(self.callbacks)
        if any(isinstance(callback, every) for callback in self.callbacks):
            raise TypeError(
                "every(k, ...) counts a training's epochs; these callbacks are called after each block of members"
            )
        self.progress = check_flag("progress", progress)

    _is_training = False

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_is_training": False}  # a callback may copy what is trained

    def check_idle(self) -> None:
        """Raise RuntimeError while members are trained: a callback may look at them, but not change them."""
        if self._is_training:
            raise RuntimeError(
                "the population is being advanced: a callback, or another thread, may not advance it, nor drop or "
                "replace members, before that is through"
            )

    def train(self, members: list[Member]) -> tuple[ManyResult, bool]:
        """Train checked members; return the results, and whether Ctrl-C ended them."""
        self._is_training = True
        try:
            return self._train(members)
        finally:
            self._is_training = False

    def _train(self, members: list[Member]) -> tuple[ManyResult, bool]:
        interrupt, callbacks = Interrupt(swallows=not _raises(members)), list(self.callbacks)
        with _bar(callbacks) if self.progress else contextlib.nullcontext():
            driver = Driver(members, self.n_jobs, callbacks)
            try:
                interrupt.begin()
                result = driver.train(interrupt)
            finally:
                interrupt.over = True
                interrupt.end()
        return result, interrupt.requested


def tell_interrupted(members: Sequence[Member], trained: ManyResult, result: ManyResult, kept: str) -> None:
    """Warn that Ctrl-C ended a call, or raise where a member's stop rules say so; `result` is what that carries.

    `kept` says where the trainings are, such as "what train_many returns".
    """
    ended = sum(reason != "interrupted" for reason in trained.stop_reason)
    how_far = f"training was interrupted when {ended} of {len(members)} members were through"
    if _raises(members):
        raise TrainingInterrupted(f"{how_far}; `.result` of this error is what was trained up to there", result)
    again = f"Ctrl-C again within {AGAIN:g} seconds raises KeyboardInterrupt"
    warn(InterruptWarning(f"{how_far}, which is {kept}; {again}", result))


def _raises(members: Sequence[Member]) -> bool:
    return any(member.settings.stop.on_interrupt == "raise" for member in members)


def _bar(callbacks: list[Any]) -> contextlib.AbstractContextManager[Any]:
    from fastnn.many.progress import MembersBar

    bar = MembersBar()
    callbacks.append(bar)
    return bar
