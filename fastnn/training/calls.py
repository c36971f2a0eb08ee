"""The calls of a back end by a session: one for all members where it trains groups, else one for each member.

All that distinguishes a training alone from several side by side lies here: the arrays of one go to `train_steps`
without the axis of members.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.state import EpochRules, GroupState, Steps, StepState, Task, member_steps
from fastnn.training.options import TrainOptions


class Calls:
    """What a session asks of its back end.

    Parameters
    ----------
    members : sequence of TrainOptions
    state : GroupState
        The arrays that steps change.
    """

    threads = 1
    """Threads that share the members of a call."""

    def __init__(self, members: Sequence[TrainOptions], state: GroupState) -> None:
        self.backend = members[0].backend
        self.state = state
        self.tasks: list[Task] = []
        self.which: list[int] = []
        """The index of each member's task."""
        places: dict[tuple[int, float, int], int] = {}
        for own in members:
            place = places.setdefault((id(own.optimizer), own.alpha, id(own.data)), len(places))
            if place == len(self.tasks):
                task = Task(own.network, own.optimizer, own.data, own.alpha, own.value_alpha, own.threads)
                self.tasks.append(task)
            self.which.append(place)
        self.is_group = len(members) > 1
        self._one: StepState | None = None
        if not self.is_group:
            self._one = self._state_of(0)
        self._steps: Steps | None = None
        self._of_one: Steps | None = None

    def _state_of(self, k: int) -> StepState:
        state = self.state
        return StepState(state.storage[k], state.n_params, int(state.t[k]), state.beta_products[k])

    def task(self, k: int) -> Task:
        """Return the task of member k."""
        return self.tasks[self.which[k]]

    def train(self, steps: Steps, n_steps: list[int], rules: EpochRules | None) -> list[int]:
        """Do `n_steps` of each member's steps; return how many were good."""
        if self._one is None:
            which = np.array(self.which, np.int64)
            n_each = np.array(n_steps, np.int64)
            good = self.backend.train_group(self.tasks, which, self.state, steps, n_each, rules, self.threads)
            return list(good.tolist())
        if self._steps is not steps:  # the same object for the same steps, which the kernel need not look at again
            self._steps = steps
            self._of_one = member_steps(steps, 0, n_steps[0])
        if rules is None:
            return [int(self.backend.train_steps(self.tasks[0], self._one, self._of_one))]
        return [int(self.backend.train_steps(self.tasks[0], self._one, self._of_one, rules))]

    def repeat(self, k: int, steps: Steps, n: int) -> int:
        """Do the first n steps of member k again, whose arrays were restored; return how many were good."""
        state = self._state_of(k) if self._one is None else self._one
        again = member_steps(steps, k, n)
        again = again._replace(loss=np.empty(n))
        return int(self.backend.train_steps(self.task(k), state, again))

    def count(self, t: int) -> None:
        """Say how many steps were done in all, after some were undone."""
        if self._one is not None:
            self._one.t = t

    @property
    def threads_used(self) -> int:
        """The most threads that were there to share a step."""
        return 1 if self._one is None else self._one.threads
