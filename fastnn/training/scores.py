"""The scores of a training's epochs, each taken at the end of its epoch, and the parameters of the best one."""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections.abc import Callable

from fastnn.backends import Backend
from fastnn.checking.arguments import class_of, cut
from fastnn.memory import Array
from fastnn.state import Data, Task
from fastnn.training.exceptions import MonitorError
from fastnn.training.monitors import name_of, scorer
from fastnn.training.optional_parts import call_with_threads, loss_of
from fastnn.training.results import TrainingResult
from fastnn.training.state import Counters, TrainingState
from fastnn.training.stopping import Stop
from fastnn.training.subsets import Rows, rows_of


class Scores:
    """The scores of epochs by `Stop.monitor`, and the best of them; less is better, but in what the history shows.

    Parameters
    ----------
    task : Task
        The training.
    backend : Backend
    stop : Stop
        Says what the score is.
    validation : Data, optional
        The rows that are not trained on.
    state : TrainingState
        Brings the best score of an earlier training, which counts if it is one of the same kind.
    rows : (any,) int64, optional
        The rows that were chosen to train on. They are copied where their outputs are scored.
    """

    best = math.inf
    best_on: str | None = None
    """The name of the score: `Stop.score_name`."""

    def __init__(
        self,
        task: Task,
        backend: Backend,
        stop: Stop,
        validation: Data | None,
        state: TrainingState,
        rows: Rows | None = None,
    ) -> None:
        self.task, self.backend, self.stop = task, backend, stop
        self.validation = None
        if validation is not None:
            self.validation = Task(task.network, task.optimizer, validation, threads=task.threads)
        self.validation_losses = array("d")
        self.measured = array("d")
        """The scores, where they are not the validation losses: of the monitor, or the loss of all rows."""
        self.of_losses = validation is None and stop.monitor == "loss"
        """Whether the stop rule goes by the training losses of the steps."""
        self.each_epoch = not self.of_losses or stop.restore_best
        """Whether anything is taken at the end of an epoch."""
        if rows is not None and validation is None and self.each_epoch:
            self.task = dataclasses.replace(task, data=rows_of(task.data, rows))
        if stop.monitor != "loss":
            used = _used(self.task.data, state) if validation is None else _used(validation)
            self.inputs, self._score = used.X, scorer(stop.monitor, task.network, used.Y, used.sample_weight)

        self.best_params = state.best_params
        if state.counters:
            self.best, self.best_on = number(state.counters.get("best_score")), state.counters.get("best_on")
        if stop.restore_best:
            if self.best_on != stop.score_name and (self.best_on or stop.monitor != "loss"):
                self.best, self.best_params = math.inf, None
            self.best_on = stop.score_name

    def take(self, params: Array, so_far: Callable[[], TrainingResult]) -> float:
        """Return the score of the epoch that has ended, and keep the parameters (n_params,) if it is the best one.

        Raises
        ------
        MonitorError
            With the result `so_far`, when a monitor of the caller's own fails.
        """
        score = math.nan
        if self.validation is not None:
            score = loss_of(self.backend, self.validation, params)
            self.validation_losses.append(score)
        if self.stop.monitor != "loss":
            self.measured.append(math.nan)  # whatever comes next: an epoch that has ended has a score
            self.measured[-1] = self._monitored(params, so_far)
            score = -self.measured[-1]
        elif self.validation is None:
            score = loss_of(self.backend, self.task, params)
            self.measured.append(score)
        if self.stop.restore_best and math.isfinite(score) and score < self.best:
            self.best, self.best_params = score, params.copy()
        return score

    def _monitored(self, params: Array, so_far: Callable[[], TrainingResult]) -> float:
        arguments = self.task.network, params, self.inputs
        outputs = call_with_threads(self.backend.predict, self.task.threads, *arguments)
        try:
            return self._score(outputs)
        except Exception as error:
            raise MonitorError(
                f"the monitor {cut(name_of(self.stop.monitor))} failed after epoch {len(self.measured)} of this call: "
                f"{class_of(error)}: {cut(error)}; `.result` of this error is the training up to there",
                so_far(),
            ) from error

    def counters(self) -> Counters:
        """Return the counters of the best score."""
        best: Counters = {"best_score": finite(self.best)}
        return best if self.best_on is None else best | {"best_on": self.best_on}


def _used(rows: Data, state: TrainingState | None = None) -> Data:
    """Return the rows whose weight is not 0, of a state those that it trains on."""
    used = rows.sample_weight > 0
    if state is not None and state.validation_rows is not None:
        used[state.validation_rows] = False
    return rows if used.all() else Data(*(array[used] for array in rows))


def finite(value: float) -> float | None:
    """Return None in place of infinity ("no score yet"), which JSON does not have."""
    return value if math.isfinite(value) else None


def number(value: float | None) -> float:
    """Return infinity in place of None."""
    return math.inf if value is None else value
