"""The loop of a training: calls of its session, and what looks on between two of them, callbacks and Ctrl-C."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from fastnn.checking.arguments import check_flag
from fastnn.training.callbacks import Callback, Progress, ProgressBar, epochs_of, lines, sorted_callbacks
from fastnn.training.epochs import LOSS, RATE, ROW_LOSS, SCORE
from fastnn.training.exceptions import StopRequest, attach_result
from fastnn.training.session import Session


def run(session: Session, watch: Watch, request: StopRequest) -> None:
    """Train until all members have ended, or somebody asks to."""
    while session.is_running() and not request.requested:
        n_ended = session.advance(watch.epochs_until_look(session))
        watch.look(session, n_ended)
    if request.requested:
        session.interrupt(request.reason)


class Watch:
    """The callbacks of a training, its progress bar among them."""

    bar: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    periods: Collection[int] = ()
    """The periods of callbacks, in epochs."""

    def __init__(
        self,
        callbacks: Iterable[Callback] = (),
        progress: bool = False,
        verbose: bool | int = False,
        n_epochs: int = 0,
    ) -> None:
        self.observers, self.controllers = sorted_callbacks(callbacks)
        self.verbose = verbose
        if verbose is not False:
            self.controllers += lines(verbose, n_epochs)
        if self.controllers:
            self.periods = epochs_of(self.controllers)
        if progress is not False and check_flag("progress", progress):
            self.bar = bar = ProgressBar()
            self.observers.append(bar)

    def epochs_until_look(self, session: Session) -> int | None:
        """Return after how many epochs a callback wants to be called; None if none does."""
        if not self.periods:
            return None
        if 1 in self.periods:
            return 1
        now = session.n_before[0] + session.n_epochs(0)
        return min([period - now % period for period in self.periods])

    def look(self, session: Session, n_ended: int) -> None:
        """Call the callbacks after a call that ended `n_ended` epochs; each may end the training."""
        if not (self.observers or self.controllers):
            return
        progress = progress_of(session)
        answers: list[object] = []
        try:
            for observe in self.observers:
                observe(progress)
            if n_ended:
                answers = [control(progress) for control in self.controllers]  # all, whatever one says
            if self.verbose is True:
                self.periods = epochs_of(self.controllers)
        except Exception as error:
            attach_result(error, session.result(0, goes_on=True))
            raise
        if any(is_true(answer) for answer in answers):
            session.end_all("callback")


def is_true(answer: object) -> bool:
    """Return whether a callback has answered True."""
    return answer is True or (isinstance(answer, np.bool_) and bool(answer))


def progress_of(session: Session) -> Progress:
    """Return the argument of callbacks."""
    log = session.log
    loss = log[LOSS].last
    row_loss = log[ROW_LOSS].last
    validation_loss = math.nan
    score = loss
    if session.evaluations:
        evaluation = session.evaluations[0]
        if evaluation.validation is not None:
            validation_loss = row_loss
        if evaluation.has_score:
            score = log[SCORE].last
        elif evaluation.has_loss:
            score = row_loss
    epoch = session.n_epochs(0)
    return Progress(
        epoch=epoch,
        n_epochs=session.members[0].n_epochs,
        part=session.batch / session.per_epoch,
        step=session.first_t[0] + session.n_steps(0),
        loss=loss,
        validation_loss=validation_loss,
        seconds=time.perf_counter() - session.started,
        epoch_in_all=session.n_before[0] + epoch,
        score=score,
        learning_rate=log[RATE].last,
        _result=session.result_at,
        _epochs_after=session.epochs_after,
    )
