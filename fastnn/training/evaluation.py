"""The evaluation of a member's epochs: which rows are scored after each of them, and by what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.arguments import class_of, cut
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.state import Data, Task
from fastnn.training.epochs import FIRST_CHUNK_WORK, may_draw_ahead
from fastnn.training.exceptions import MonitorError
from fastnn.training.options import TrainOptions
from fastnn.training.rows import rows_of
from fastnn.training.stopping import name_of, scorer

CopyRows = Callable[[Data, Array], Data]


class Evaluation:
    """The scores of epochs by `Stop.monitor`.

    Parameters
    ----------
    options : TrainOptions
        Its stop rules define the score. Its rows are copied if their outputs are scored.
    task : Task
        The training.
    validation : Data, optional
        The validation rows.
    split : ndarray, optional
        The numbers of those of them that were split off.
    copy : callable
        Copies rows: `rows_of`, or what copies the same rows for several members once.

    Attributes
    ----------
    scored : Task or None
        The rows that are scored after each epoch; None where the loss of the steps is the score.
    by_steps : bool
        Whether the rule goes by the training losses of the steps.
    labels : ndarray or None
        The labels of the scored rows, if the back end counts the right ones.
    """

    def __init__(
        self,
        options: TrainOptions,
        task: Task,
        validation: Data | None,
        split: Array | None,
        copy: CopyRows = rows_of,
    ) -> None:
        stop = options.stop
        self.monitor = stop.monitor
        self.keeps_best = stop.restore_best
        self.backend = options.backend
        self.task = task
        self.validation = validation
        self.labels: NDArray[np.int64] | None = None
        self.by_steps = validation is None and stop.monitor == "loss"
        self.scored: Task | None = None
        if validation is not None:
            self.scored = Task(task.network, task.optimizer, validation, threads=task.threads)
        elif not self.by_steps or stop.restore_best:
            self.scored = task
            if options.rows is not None:
                self.scored = dataclasses.replace(task, data=copy(task.data, options.rows))
        if stop.monitor != "loss":
            assert self.scored is not None
            used = rows_with_weight(self.scored.data, split if validation is None else None)
            self.inputs = used.X
            self._score = scorer(stop.monitor, task.network, used.Y, used.sample_weight)

    def fits_kernel(self, rows_a_step: int) -> bool:
        """Return whether the back end can score epochs within a call; then the labels are there, if
        it needs them.
        """
        if self.monitor != "loss" and (self.monitor != "accuracy" or self.validation is None):
            return False
        if not may_draw_ahead(self.task.optimizer.learning_rate):
            return False
        if not self.backend.decides(self.task, rows_a_step, self.scored):
            return False
        if self.scored is None:
            return True
        data = self.scored.data
        if len(data.X) * self.task.network.n_params > FIRST_CHUNK_WORK:
            return False  # some ms: after each, somebody may want to stop
        if self.monitor == "accuracy":
            self.labels = labels_of(self.task.network, data)
            return self.labels is not None
        return True

    @property
    def has_loss(self) -> bool:
        """Whether the loss of the scored rows is taken."""
        return self.scored is not None and (self.validation is not None or self.monitor == "loss")

    @property
    def has_score(self) -> bool:
        """Whether there is a score other than the loss."""
        return self.monitor != "loss"

    def loss(self, params: Array) -> float:
        """Return the loss of the scored rows."""
        return float(self.backend.loss(self.scored, params))

    def score(self, params: Array, epoch: int, loss: float) -> float:
        """Return the monitor's score of the rows, after this epoch of the call, whose `loss` of the
        rows is known.

        Raises
        ------
        MonitorError
            If a monitor of the caller fails; the session adds its result.
        """
        outputs = self.backend.predict(self.task.network, params, self.inputs, self.task.threads)
        try:
            return self._score(outputs)
        except Exception as error:
            failed = (
                f"the monitor {cut(name_of(self.monitor))} failed after epoch {epoch} of this call"
            )
            there = "`.result` of this error is the training up to there"
            text = f"{failed}: {class_of(error)}: {cut(error)}; {there}"
            raise MonitorError(text, None) from error


def labels_of(network: Network, data: Data) -> NDArray[np.int64] | None:
    """Return the labels of rows as the back end takes them; None if rows have weights, which it
    does not count.
    """
    if not (data.sample_weight == 1).all():
        return None
    labels = data.Y.argmax(axis=1) if network.loss_name == "cross_entropy" else data.Y > 0.5
    return np.ascontiguousarray(labels, np.int64)


def rows_with_weight(data: Data, left_out: Array | None) -> Data:
    """Return the rows of nonzero weight, without those that are left out."""
    used = data.sample_weight > 0
    if left_out is not None:
        used[left_out] = False
    return data if used.all() else Data(*(array[used] for array in data))
