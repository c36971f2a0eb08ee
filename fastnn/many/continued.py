"""A member's training that is continued part by part, as in a population: its last part, and the history of all."""

from __future__ import annotations

import copy
import dataclasses
import math
from array import array
from collections.abc import Collection
from typing import Any

import numpy as np

from fastnn.many.member_results import MemberResult, Scored, Stored, Unbegun, score_of
from fastnn.many.members import Member
from fastnn.many.stack import Stacked
from fastnn.many.units import Ended, train_alone
from fastnn.training.history import History
from fastnn.training.monitors import name_of
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import StopReason

COLUMNS = ("loss", "validation_loss", "learning_rate", "measured")
"""The arrays of a `History`: each has a number for each epoch, or none at all."""

ENDS: tuple[StopReason, ...] = ("tolerance", "validation", "time", "diverged")
"""The reasons after which a training does not go on of itself."""


class Continued:
    """A member's training, continued part by part. The parts are trained elsewhere and added here."""

    def __init__(self, member: Member) -> None:
        self.member = member
        """The member as it was asked for: seed and parameters are for the first part, later ones go on from `last`."""
        self.last: TrainingResult | Stacked | None = None
        """The result of the last part."""
        self.stop_reason: StopReason = "epochs"
        self.n_epochs = 0
        self.seconds = 0.0
        self._columns = {name: array("d") for name in COLUMNS}

    def part(self, n_epochs: int) -> Member:
        """Return the next part, to be trained."""
        number, settings, _, data, rows, seed, params, state = self.member
        if (limit := settings.stop.max_seconds) is not None:
            left = max(limit - self.seconds, 1e-9)
            settings = settings._replace(stop=dataclasses.replace(settings.stop, max_seconds=left))
        if self.last is not None:
            state = self.last if isinstance(self.last, Stacked) else self.last.state
        return Member(number, settings, n_epochs, data, rows, seed, params, state)

    def add(self, part: MemberResult) -> None:
        """Add a part that was trained."""
        if isinstance(part, Unbegun):
            self.stop_reason = part.stop_reason
            return
        assert not isinstance(part, Stored)  # which comes from a file, not from a training
        found: Any = part.stack.numbers(part.place) if isinstance(part, Stacked) else vars(part.history)
        for name, column in self._columns.items():
            del column[self.n_epochs :]  # of a part that was not added to its end, because of an exception
            if len(values := found.get(name, ())):
                column.frombytes(values.tobytes())
        if self.last is None:
            settings = self.member.settings
            if settings.new_rows:
                settings = settings._replace(new_rows=False)
            self.member = self.member._replace(settings=settings, seed=None, params=None, state=None)
        self.seconds += part.stack.seconds if isinstance(part, Stacked) else part.history.seconds
        limit = self.member.settings.stop.max_seconds
        in_time = limit is None or self.seconds < limit or part.stop_reason != "epochs"
        reason: StopReason = part.stop_reason if in_time else "time"
        self.last, self.stop_reason, self.n_epochs = part, reason, self.n_epochs + part.n_epochs

    def begin(self) -> TrainingResult | Stacked:
        """Return the result of the last part; of a training that has not begun, one that has only drawn its weights."""
        if self.last is None:
            self.add(train_alone(self.part(0), Ended(self.stop_reason)))
        assert self.last is not None
        return self.last

    def result(self) -> TrainingResult:
        """Return the result of all parts, as of one training."""
        last = self.begin()
        whole = last.result() if isinstance(last, Stacked) else last
        state = whole.state if isinstance(last, Stacked) else last.state.copy()
        return TrainingResult(whole.network, whole.params, state, self.history(), self.stop_reason, whole.backend)

    def history(self) -> History:
        """Return the history of all parts, as of one training."""
        loss, validation_loss, learning_rate, measured = (
            np.array(column[: self.n_epochs]) for column in self._columns.values()
        )
        return History(loss, validation_loss, self.seconds, learning_rate, measured, self.monitor)

    @property
    def monitor(self) -> str:
        """The name of the score."""
        return name_of(self.member.settings.stop.monitor)

    @property
    def scored(self) -> Scored | None:
        """The kind of the member's scores; None before its first epoch."""
        return (self.monitor, bool(self._columns["validation_loss"])) if self.n_epochs else None

    def score(self) -> float:
        """Return the score of the parameters, NaN before the first epoch."""
        if isinstance(self.last, TrainingResult):
            return score_of(self.result())
        return self._columns["loss"][self.n_epochs - 1] if self.n_epochs else math.nan

    @property
    def is_over(self) -> bool:
        """Whether a stop rule or divergence has ended the training."""
        return self.stop_reason in ENDS

    def copy(self, member: Member) -> Continued:
        """Return a copy that goes on from here as another member."""
        twin = copy.copy(self)
        twin.member = member
        twin._columns = {name: column[:] for name, column in self._columns.items()}
        return twin


def free(trainings: Collection[Continued]) -> None:
    """Free the rows of stacks that no training goes on from, and histories that the trainings have."""
    found: dict[int, list[tuple[Continued, int]]] = {}
    for training in trainings:
        if isinstance(training.last, Stacked):
            found.setdefault(id(training.last.stack), []).append((training, training.last.place))
    for users in found.values():
        last: Any = users[0][0].last
        places = [place for _, place in users]
        if len(set(places)) < len(last.stack.steps):
            states, places = last.stack.states(places), list(range(len(places)))
        elif last.stack.losses.size:
            states = last.stack.without_histories()
        else:
            continue
        for place, (training, _) in zip(places, users, strict=True):
            training.last = Stacked(states, place)
