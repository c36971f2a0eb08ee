"""The solvers that learn in epochs: the core's chunks of steps, with scikit-learn's rules between them.

Where nothing has to be looked at between two epochs, `Run.chunk` does many of them in one call of the back end;
early stopping, validation data and callbacks make chunks of one epoch.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastnn.estimators.adapter import Adapter
from fastnn.estimators.notices import INTERRUPTED, warn
from fastnn.estimators.scoring import HeldOut
from fastnn.interrupts import Interrupt
from fastnn.network import Network
from fastnn.plan import RowPlan
from fastnn.run import Run
from fastnn.state import Data
from fastnn.stopping import Patience

Array = NDArray[Any]


class FitInputs(NamedTuple):
    """What an estimator has to learn."""

    network: Network
    backend: Adapter
    data: Data
    rows: NDArray[np.int64]  # those of `data` to train on
    params: Array
    held_out: HeldOut | None
    """What early stopping looks at."""
    validation: HeldOut | None
    """What `validation_loss_curve_` is of."""
    incremental: bool
    first_pass: bool
    hopeless_loss: bool
    """The loss is not a number in every epoch, whatever is learnt: Poisson with negative targets."""
    on_epoch: Any
    """Called after each epoch with the parameters, for scikit-learn's callbacks; returns True to stop. Or None."""


def fit_in_epochs(mlp: Any, inputs: FitInputs) -> Array:
    """Train `mlp`, setting its attributes as scikit-learn's does; the parameters (n_params,)."""
    return Epochs(mlp, inputs).run()


class Epochs:
    """A training under way."""

    def __init__(self, mlp: Any, inputs: FitInputs) -> None:
        self.mlp, self.inputs = mlp, inputs
        self.scored = inputs.held_out is not None
        self.by_epoch = self.scored or inputs.validation is not None or inputs.on_epoch is not None
        self.n_epochs = 1 if inputs.incremental else mlp.max_iter
        self.best_params = inputs.params.copy() if inputs.first_pass or mlp.fix_defects else None
        self.over = ""  # why training ended
        self.dead = False  # parameters are not finite: nothing more can be learnt

        n = len(inputs.rows)
        self.plan = RowPlan(inputs.rows, _batch_size(mlp, n), mlp.shuffle, mlp._random_state)
        state = mlp._optimizer.begin(inputs.network, inputs.params)
        self.rate = mlp._optimizer.rate(mlp.t_, n, self.plan.steps_per_epoch)
        optimizer = mlp._optimizer.with_rate(self.rate)
        task = inputs.backend.task(inputs.network, optimizer, inputs.data, float(mlp.alpha))
        self.started = time.perf_counter()
        self.core = Run(task, inputs.backend, state, self.plan, self.n_epochs, started=self.started)
        if not self.scored and not inputs.hopeless_loss:
            self.core.rule = Patience(mlp.tol, mlp.n_iter_no_change + 1, strict=False)
            self.core.rule.best, self.core.rule.stale = mlp.best_loss_, mlp._no_improvement_count

    def run(self) -> Array:
        """Train to the end."""
        mlp = self.mlp
        mlp.n_iter_ = 0
        interrupt = Interrupt()
        try:
            interrupt.begin()
            while not self.over and not interrupt.requested:
                self._chunk()
        except KeyboardInterrupt:  # of a callback, perhaps
            if interrupt.again:
                raise
            interrupt.requested = True
        finally:
            interrupt.over = True
            interrupt.end()
        if interrupt.requested:
            self.over = "interrupted"
            warn(INTERRUPTED)
        mlp.stop_reason_ = self.over
        mlp._optimizer.end(self.core.state)
        if self.plan.steps_per_epoch == 1 and mlp.shuffle and not isinstance(mlp.random_state, (int, np.integer)):
            for _ in range(mlp.n_iter_):  # the core does not shuffle full batches; who shares the generator sees it
                mlp._random_state.shuffle(np.arange(self.plan.n_rows))
        params = self.core.state.params
        if self.scored and self.best_params is not None:
            params = self.best_params
        if self.scored:
            network = self.inputs.network
            mlp._best_coefs, mlp._best_intercepts = network.weights(params), network.biases(params)
        return params

    def _chunk(self) -> None:
        """Some steps, and what has to be said and decided about the epochs that ended."""
        mlp, core = self.mlp, self.core
        n_ended = core.chunk(1 if self.by_epoch else self.n_epochs - core.n_done)
        self._epochs_ended(core.losses.values[core.losses.n - n_ended :])
        if core.stop_reason == "diverged":
            core.stop_reason = "running"
            self._diverged()
        if not self.over and mlp.max_time is not None and time.perf_counter() - self.started >= mlp.max_time:
            self.over = "time"

    def _epochs_ended(self, losses: Array) -> None:
        """Epochs with these losses ended; only after the last one there may be something to decide."""
        mlp, core = self.mlp, self.core
        if not len(losses):
            return
        if self.inputs.hopeless_loss:
            losses = np.full(len(losses), np.nan)
        values = losses.tolist()
        mlp.loss_curve_ += values
        mlp.loss_ = values[-1]
        if mlp.verbose and not self.scored:
            for i, value in enumerate(values, mlp.n_iter_ + 1):
                _say(f"Iteration {i}, loss = {value:.8f}")
        mlp.n_iter_ += len(values)
        mlp.t_ += len(values) * self.plan.n_rows
        if self.inputs.validation is not None:
            loss = self.inputs.validation.loss(self.inputs.backend, self.inputs.network, core.state.params)
            mlp.validation_loss_curve_.append(loss)
        if self.scored:
            if mlp.verbose:
                _say(f"Iteration {mlp.n_iter_}, loss = {values[-1]:.8f}")
            self._score()
        elif core.rule is None:
            mlp._no_improvement_count = 0
        else:
            mlp._no_improvement_count = core.rule.stale
            mlp.best_loss_ = core.rule.best
        if mlp._optimizer.schedule == "invscaling":
            mlp._optimizer.learning_rate = self.rate.of_epoch(mlp.n_iter_)
        if mlp._no_improvement_count > mlp.n_iter_no_change:
            self._patience_is_over()
        if self.inputs.on_epoch is not None and self.inputs.on_epoch(core.state.params) and not self.over:
            self.over = "callback"
        if not self.over and mlp.n_iter_ >= self.n_epochs:
            self.over = "epochs"
            if not self.inputs.incremental:
                warn(
                    f"Stochastic Optimizer: Maximum iterations ({mlp.max_iter}) "
                    "reached and the optimization hasn't converged yet.",
                    ConvergenceWarning,
                )

    def _score(self) -> None:
        mlp, held_out = self.mlp, self.inputs.held_out
        assert held_out is not None
        if self.dead:
            outputs = np.full(held_out.Y.shape, np.nan)
        else:
            outputs = held_out.outputs(self.inputs.backend, self.inputs.network, self.core.state.params)
        score = held_out.score(outputs)
        mlp.validation_scores_.append(score)
        if mlp.verbose:
            _say(f"Validation score: {score:f}")
        failed = score < mlp.best_validation_score_ + mlp.tol
        mlp._no_improvement_count = mlp._no_improvement_count + 1 if failed else 0
        if score > mlp.best_validation_score_:
            mlp.best_validation_score_ = score
            self.best_params = self.core.state.params.copy()

    def _patience_is_over(self) -> None:
        mlp, core = self.mlp, self.core
        what = "Validation score" if self.scored else "Training loss"
        ended, words = mlp._optimizer.patience_is_over()
        if mlp.verbose:
            epochs = f"for {mlp.n_iter_no_change:d} consecutive epochs."
            _say(f"{what} did not improve more than tol={mlp.tol:f} {epochs}{words}")
        if ended:
            self.over = "validation" if self.scored else "tolerance"
            return
        core.stop_reason = "running"
        optimizer = mlp._optimizer.with_rate(mlp._optimizer.learning_rate)
        core.task = dataclasses.replace(core.task, optimizer=optimizer)
        mlp._no_improvement_count = 0
        if core.rule is not None:
            core.rule.stale = 0

    def _diverged(self) -> None:
        """The next step gives a loss or a parameter that is not finite. scikit-learn does it and goes on."""
        mlp, core = self.mlp, self.core
        if mlp.fix_defects:
            self.over = "diverged"
            return
        rate = core.task.optimizer.learning_rate
        rates = np.array([rate(core.state.t) if callable(rate) else rate], np.float64)
        steps = self.plan.draw(rates)
        rows = steps.rows[steps.start[0] : steps.stop[0]]
        batch = Data(*(array[rows] for array in self.inputs.data))
        steps.loss[0] = self.inputs.backend.one_step(core.task, core.state, batch, float(rates[0]))
        losses, core.epoch_loss.partial = core.epoch_loss.add(steps, 1, self.plan.batch)
        self.plan.commit(1)
        core.losses.add(losses)
        core.n_done += len(losses)
        self.dead = not np.isfinite(core.state.params).all()
        self._count_one_by_one(losses)
        while self.dead and not self.over:
            core.n_done += 1
            self._count_one_by_one(np.array([np.nan]))

    def _count_one_by_one(self, losses: Array) -> None:
        if len(losses) and self.core.rule is not None:
            self.core.rule.count(losses)
        self._epochs_ended(losses)


def _batch_size(mlp: Any, n_rows: int) -> int:
    if mlp.solver == "rprop":
        if mlp.batch_size != "auto" and mlp.batch_size < n_rows:
            raise ValueError(f"solver='rprop' takes full batches only: leave out batch_size={mlp.batch_size}")
        return n_rows
    if mlp.batch_size == "auto":
        return min(200, n_rows)
    if mlp.batch_size > n_rows:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return min(mlp.batch_size, n_rows)


def _say(text: str) -> None:
    print(text)  # noqa: T201
