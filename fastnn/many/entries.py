"""What there is of each member: its result, or what it can be made of when it is asked for; and its score."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.backends import Backend
from fastnn.many.stack import Stacked
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.monitors import Monitor, name_of
from fastnn.training.results import History, TrainingResult
from fastnn.training.stopping import StopReason


class Unbegun:
    """The result of a member that had not begun when all were to end; `begin` makes it when it is first asked for."""

    n_epochs = 0

    def __init__(
        self,
        network: Network,
        backend: Backend,
        monitor: Monitor,
        stop_reason: StopReason,
        begin: Callable[[], TrainingResult],
    ) -> None:
        self.network, self.backend, self.stop_reason = network, backend, stop_reason
        self._monitor, self._begin = monitor, begin

    @functools.cached_property
    def _begun(self) -> TrainingResult:
        """The same one each time, for it may have drawn a seed."""
        return self._begin()

    @property
    def params(self) -> Array:
        """(n_params,): the first parameters."""
        return self._begun.params

    @property
    def history(self) -> History:
        """Nothing."""
        return History(np.zeros(0), np.zeros(0), 0.0, monitor=name_of(self._monitor))

    def result(self) -> TrainingResult:
        """The whole result."""
        return self._begun

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.result(),)  # which has no data


def _itself(result: TrainingResult) -> TrainingResult:
    return result


Entry = TrainingResult | Stacked | Unbegun


def result_of(entry: Entry) -> TrainingResult:
    """Return the whole result of a member."""
    return entry if isinstance(entry, TrainingResult) else entry.result()


def sign_of(monitors: set[str]) -> int:
    """Return 1 for scores of which the lowest is the best, -1 for others; ValueError where they cannot be compared."""
    if len(monitors) > 1:
        raise ValueError(f"the members were scored differently, by {', '.join(sorted(monitors))}: compare them by hand")
    return 1 if monitors == {"loss"} else -1


def score_of(entry: Entry) -> float:
    """Return the score of the parameters that a member has."""
    scores = entry.history.score
    if not len(scores):
        return np.nan
    if isinstance(entry, TrainingResult) and entry.state.best_params is not None:
        best = entry.state.counters.get("best_score")
        if best is not None and np.array_equal(entry.params, entry.state.best_params):
            return best if entry.history.monitor == "loss" else -best
    return float(scores[-1])
