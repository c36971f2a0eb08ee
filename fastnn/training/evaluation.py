"""What is decided at the ends of epochs: which rows are scored, the best parameters, and whether
rules fire.

A back end decides within its calls where it can, by the same rows of numbers; else Python does,
here, and each epoch is a call.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.arguments import class_of, cut
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.sparse import SparseRows
from fastnn.state import BEST, LIMIT, Data, EpochRules, Steps, Task
from fastnn.training.exceptions import MonitorError
from fastnn.training.initial import split_parts, validation_data
from fastnn.training.inputs import check_memory
from fastnn.training.log import NO_FACTORS, Log
from fastnn.training.options import TrainOptions
from fastnn.training.state import TrainingStates
from fastnn.training.steps import FIRST_CHUNK_WORK, may_draw_ahead, rows_of
from fastnn.training.stopping import count_epoch, name_of, scorer

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
        """Return whether the back end can score epochs within a call."""
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
        # the back end counts the rows that are right, whatever they weigh
        return self.monitor == "loss" or bool((data.sample_weight == 1).all())

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


def labels_of(network: Network, data: Data) -> NDArray[np.int64]:
    """Return the labels of rows as the back end takes them."""
    labels = data.Y.argmax(axis=1) if network.loss_name == "cross_entropy" else data.Y > 0.5
    return np.ascontiguousarray(labels, np.int64)


def rows_with_weight(data: Data, left_out: Array | None) -> Data:
    """Return the rows of nonzero weight, without those that are left out."""
    used = data.sample_weight > 0
    if left_out is not None:
        used[left_out] = False
    return data if used.all() else Data(*(array[used] for array in data))


class Judge:
    """What judges the epochs of a session's m members.

    Parameters
    ----------
    members : sequence of TrainOptions
    tasks : list of Task
        That of each member.
    states : TrainingStates
        Where the members are. The rules and the best parameters are written.
    batch_size : int
        The rows of a step.

    Attributes
    ----------
    evaluations : list of Evaluation
        What scores the epochs of each member.
    is_needed : bool
        Whether there is anything to score or to decide.
    works_in_calls : bool
        Whether the back end can do it within its calls.
    labels : ndarray or None
        The labels of each member's scored rows, if the back end counts the right ones.
    """

    def __init__(
        self,
        members: Sequence[TrainOptions],
        tasks: Sequence[Task],
        states: TrainingStates,
        batch_size: int,
    ) -> None:
        self.states = states
        self.evaluations = evaluations_of(members, tasks, states)
        first = self.evaluations[0]
        self.has_rules = bool(states.rules[:, LIMIT].any())
        self.is_needed = self.has_rules or first.has_loss or first.has_score
        self.works_in_calls = self.is_needed and fit_kernel(self.evaluations, batch_size)
        self.scored = [one.scored for one in self.evaluations if one.scored is not None]
        """The rows of each member that are scored; none if that is the loss of the steps."""
        self.n_scored = 0
        """The rows that are scored after each epoch, within calls."""
        self.labels: NDArray[np.int64] | None = None
        if self.is_needed and self.scored:
            options = members[0]
            n = len(self.scored[0].data.X)
            X = options.data.X
            sparse = isinstance(X, SparseRows)
            sizes = options.network, options.n_vectors, n, X.dtype
            check_memory(*sizes, options.backend, sparse=sparse)
            if self.works_in_calls:
                self.n_scored = n
        if self.works_in_calls and first.has_score:
            network = members[0].network
            self.labels = np.array([labels_of(network, task.data) for task in self.scored])

    def rules(self, steps: Steps, batch: int, log: Log) -> EpochRules:
        """Return what the back end needs to judge within a call of these steps, after `batch` steps
        of the epoch that has begun: it writes the rules and the best parameters.
        """
        states = self.states
        m = len(self.evaluations)
        first = self.evaluations[0]
        n_epochs = (batch + len(steps.start)) // log.per_epoch
        by_steps = first.by_steps and self.has_rules
        return EpochRules(
            first=batch,
            per_epoch=log.per_epoch,
            scored=self.scored,
            labels=self.labels,
            factors=log.factors(steps) if by_steps else NO_FACTORS,
            mean=by_steps and log.is_mean,
            divisor=1,
            rules=states.rules,
            losses=np.zeros((m, n_epochs if self.scored else 0)),
            measured=np.zeros((m, 0 if self.labels is None else n_epochs)),
            best_params=states.best_params if first.keeps_best else states.best_params[:, :0],
            sums=states.sums.copy(),
            ended=np.zeros((m, 2), np.int64),
        )

    def take(self, rules: EpochRules, n: int, log: Log) -> set[int]:
        """Log the scores of n epochs that were taken within a call; return the members whose rules
        fired.
        """
        if n and rules.losses.size:
            log.row_loss.add(rules.losses[:, :n])
        if n and rules.measured.size:
            log.score.add(rules.measured[:, :n])
        return set(np.flatnonzero(rules.ended[:, 1]).tolist())

    def judge(self, members: Sequence[int], log: Log, epoch: int) -> set[int]:
        """Score the epoch that these members have ended, this one of the call; keep the best
        parameters, and return the members whose rules fire.

        Raises
        ------
        MonitorError
            If a monitor of the caller fails.
        """
        first = self.evaluations[0]
        nothing = np.full((len(self.evaluations), 1), math.nan)
        if first.has_loss:
            log.row_loss.add(nothing)
        if first.has_score:
            log.score.add(nothing)  # whatever comes next: an epoch that has ended has a score
        fired = set()
        for k in members:
            evaluation = self.evaluations[k]
            loss = score = float(log.loss.numbers[k, -1])
            params = self.states.storage[k, 0, : self.states.n_params]
            if first.has_loss:
                score = log.row_loss.numbers[k, -1] = evaluation.loss(params)
            if first.has_score:
                row_loss = score if first.has_loss else math.nan
                measured = evaluation.score(params, epoch, row_loss)
                log.score.numbers[k, -1] = measured
                score = -measured
            if first.keeps_best:
                self._keep(k, score, params)
            if count_epoch(self.states.rules[k], loss if first.by_steps else score):
                fired.add(k)
        return fired

    def _keep(self, k: int, score: float, params: Array) -> None:
        """Keep the parameters of member k if their score is the best one."""
        if math.isfinite(score) and score < self.states.rules[k, BEST]:
            self.states.rules[k, BEST] = score
            self.states.best_params[k] = params


def fit_kernel(evaluations: Sequence[Evaluation], batch_size: int) -> bool:
    """Return whether a back end can score epochs by all of these within its calls."""
    asked: set[tuple[Task, int]] = set()
    for evaluation in evaluations:
        if evaluation.monitor == "loss":  # by others the weights of rows count too
            scored = evaluation.scored
            kind = evaluation.task, 0 if scored is None else len(scored.data.X)
            if kind in asked:
                continue
            asked.add(kind)
        if not evaluation.fits_kernel(batch_size):
            return False
    return True


def evaluations_of(
    members: Sequence[TrainOptions], tasks: Sequence[Task], states: TrainingStates
) -> list[Evaluation]:
    """Return what scores the epochs of each member; what members share is checked, and their rows
    are copied, once.
    """
    copies: dict[tuple[int, int], Data] = {}
    parts = split_parts(members, states)
    shared: dict[tuple[int, ...], Data | None] = {}
    evaluations = []

    def copy(data: Data, rows: Array) -> Data:
        key = id(data), id(rows)
        if key not in copies:
            copies[key] = rows_of(data, rows)
        return copies[key]

    for k, options in enumerate(members):
        split = states.splits[k]
        if k in parts:
            validation: Data | None = parts[k]
        elif split is not None:
            validation = validation_data(options, states.order_of(k), copy)
        else:
            key = id(options.stop), id(options.data), id(options.validation_rows)
            if key not in shared:
                shared[key] = validation_data(options, None, copy)
            validation = shared[key]
        evaluate = options.evaluate or Evaluation
        evaluations.append(evaluate(options, tasks[k], validation, split, copy))
    return evaluations
