"""The stochastic solvers: fastnn's chunks of steps, with scikit-learn's rules between epochs.

Where nothing has to be checked between two epochs, `Run.chunk` does many of them in one call of the back end;
early stopping, validation data and callbacks make chunks of one epoch.
"""

from __future__ import annotations

import time
from array import array
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastnn.estimators.adapter import Adapter
from fastnn.estimators.constraints import threads_of
from fastnn.estimators.record import FitRecord
from fastnn.estimators.scoring import LOSS, HeldOut, Scorer
from fastnn.estimators.sklearn_warnings import INTERRUPTED, warn
from fastnn.memory import Array, ceil_div
from fastnn.network import Network
from fastnn.state import Data, GroupState
from fastnn.training.epochs import Decisions
from fastnn.training.interrupts import Interrupt
from fastnn.training.loop import Group
from fastnn.training.plan import NO_RULES, Plan
from fastnn.training.rows import RowOrder, check_full_batch
from fastnn.training.stopping import Patience


class FitInputs(NamedTuple):
    """Everything that a fit needs: network, back end, data and initial parameters."""

    network: Network
    backend: Adapter
    data: Data
    rows: NDArray[np.int64]  # those of `data` to train on
    params: Array
    held_out: HeldOut | None
    """The rows that early stopping scores."""
    validation: HeldOut | None
    """The rows whose loss is `validation_loss_curve_`."""
    incremental: bool
    first_pass: bool
    loss_is_nan: bool
    """Whether scikit-learn's loss is NaN in every epoch: Poisson with negative targets."""
    on_epoch: Any
    """Called after each epoch with the parameters, for scikit-learn's callbacks; returns True to stop. Or None."""


def fit_in_epochs(mlp: Any, inputs: FitInputs) -> tuple[Array, dict[str, Any]]:
    """Train by a stochastic solver; return the parameters (n_params,), and the fitted attributes of the fit."""
    return Epochs(mlp, inputs).run()


class Epochs:
    """scikit-learn's rules, applied to the epochs of one fit; `mlp` is written to for its callbacks only."""

    def __init__(self, mlp: Any, inputs: FitInputs) -> None:
        self.mlp, self.inputs = mlp, inputs
        self.scored = inputs.held_out is not None
        self.by_epoch = self.scored or inputs.validation is not None or inputs.on_epoch is not None
        self.n_epochs = 1 if inputs.incremental else mlp.max_iter
        self.best_params = inputs.params.copy() if inputs.first_pass or mlp.fix_defects else None
        self.record = FitRecord.begin(mlp, inputs.first_pass, inputs.validation is not None)
        self.scorer: Scorer | None = None
        if inputs.held_out is not None:
            inputs.held_out.check_weights()
            if mlp.scoring not in (None, LOSS):
                self.scorer = Scorer(mlp, mlp.scoring, inputs.held_out)

        n, network = len(inputs.rows), inputs.network
        state = mlp._optimizer.begin(network, inputs.params)
        batch_size = _batch_size(mlp, n)
        self.rate = mlp._optimizer.rate(self.record.t, n, ceil_div(n, batch_size))
        plan = Plan(
            network,
            inputs.backend,
            mlp._optimizer.with_rate(self.rate),
            batch_size,
            mlp.shuffle,
            float(mlp.alpha),
            NO_RULES,
            self.n_epochs,
            new_rows=False,
            assume_finite=True,
            threads=threads_of(mlp),
            data=inputs.data,
            value_alpha=inputs.backend.value_alpha(network, float(mlp.alpha)),
        )
        compiled = inputs.backend.backend.shuffle_rows
        self.order = RowOrder(inputs.rows, batch_size, mlp.shuffle, mlp._random_state, compiled=compiled)
        states = GroupState(state.storage[None], state.n_params, np.array([state.t]), state.beta_products[None])
        self.started = time.perf_counter()
        self.core = Group([plan], states, self.order, before=[0], started=self.started)
        self.rule: Patience | None = None
        if self.record.best_loss is not None and not inputs.loss_is_nan:  # it is None where scores decide
            self.rule = Patience(mlp.tol, mlp.n_iter_no_change + 1, strict=False)
            self.rule.best, self.rule.stale = self.record.best_loss, self.record.no_improvement_count
            self.core.decisions = Decisions(plan, self.core.tasks[0], None, state)
            self.core.decisions.rule = self.rule

    def run(self) -> tuple[Array, dict[str, Any]]:
        """Train to the end."""
        mlp, record = self.mlp, self.record
        interrupt = Interrupt()
        try:
            interrupt.begin()
            while not record.stop_reason and not interrupt.requested:
                self._chunk()
        except KeyboardInterrupt:  # of a callback, perhaps
            if interrupt.again:
                raise
            interrupt.signalled = True
        finally:
            interrupt.over = True
            interrupt.end()
        if interrupt.requested:
            record.stop_reason = "interrupted"
            warn(INTERRUPTED)
        mlp._optimizer.end(self.core.state)
        if self.order.steps_per_epoch == 1 and mlp.shuffle and not isinstance(mlp.random_state, (int, np.integer)):
            for _ in range(record.n_iter):  # the core does not shuffle full batches; who shares the generator sees it
                mlp._random_state.shuffle(np.arange(self.order.n_rows))
        params, attributes = self.core.state.params, record.attributes()
        if self.scored:
            params = params if self.best_params is None else self.best_params
            network = self.inputs.network
            attributes |= {"_best_coefs": network.weights(params), "_best_intercepts": network.biases(params)}
        self.order.give_back(mlp._random_state)
        return params, attributes

    def _chunk(self) -> None:
        """Do a chunk of steps; record the epochs that ended, and decide whether to go on."""
        mlp, core = self.mlp, self.core
        n_ended = core.chunk(1 if self.by_epoch else self.n_epochs - core.n_done)
        self._epochs_ended(core.log.losses[core.n_done - n_ended :])
        if core.stop_reason == "diverged":
            self._diverged()
        late = mlp.max_time is not None and time.perf_counter() - self.started >= mlp.max_time
        if late and not self.record.stop_reason:
            self.record.stop_reason = "time"

    def _epochs_ended(self, losses: Array | array[float], learned: bool = True) -> None:
        """Record epochs with these losses; a rule can fire after the last of them only."""
        mlp, core, record = self.mlp, self.core, self.record
        if not len(losses):
            return
        if self.inputs.loss_is_nan:
            losses = np.full(len(losses), np.nan)
        self._append(losses.tolist())
        validation_loss = None
        if self.inputs.validation is not None and record.validation_loss_curve is not None:
            validation_loss = self._loss_of(self.inputs.validation)
            record.validation_loss_curve.append(validation_loss)
        if self.inputs.held_out is not None:
            self._count_score(self._score(self.inputs.held_out, learned, validation_loss))
        elif self.rule is None:
            record.no_improvement_count = 0
        else:
            record.no_improvement_count, record.best_loss = self.rule.stale, self.rule.best
        if mlp._optimizer.schedule == "invscaling":
            mlp._optimizer.learning_rate = self.rate.of_epoch(record.n_iter)
        if record.no_improvement_count > mlp.n_iter_no_change:
            self._patience_is_over()
        if self.inputs.on_epoch is not None:
            vars(mlp).update(record.attributes())  # callbacks look at the estimator
            if self.inputs.on_epoch(core.state.params) and not record.stop_reason:
                record.stop_reason = "callback"
        if not record.stop_reason and record.n_iter >= self.n_epochs:
            record.stop_reason = "epochs"
            if not self.inputs.incremental:
                warn(
                    f"Stochastic Optimizer: Maximum iterations ({mlp.max_iter}) "
                    "reached and the optimization hasn't converged yet.",
                    ConvergenceWarning,
                )

    def _append(self, losses: list[float]) -> None:
        record = self.record
        if self.mlp.verbose:
            for i, value in enumerate(losses, record.n_iter + 1):
                _say(f"Iteration {i}, loss = {value:.8f}")
        record.loss_curve += losses
        record.loss = losses[-1]
        record.n_iter += len(losses)
        record.t += len(losses) * self.order.n_rows

    def _loss_of(self, rows: HeldOut) -> float:
        return rows.loss(self.inputs.backend, self.inputs.network, self.core.state.params, self.core.tasks[0].threads)

    def _score(self, held_out: HeldOut, learned: bool, validation_loss: float | None) -> float:
        """Score the rows held out; parameters that are not finite (`learned` is False) have no score to speak of.

        `validation_loss` is the loss of these rows, where it is known: of rows that the caller gave.
        """
        network, params = self.inputs.network, self.core.state.params
        if self.mlp.scoring is None:
            arguments = self.inputs.backend, network, params, self.core.tasks[0].threads
            return held_out.score(*arguments) if learned else held_out.score_of_nothing()
        if not learned:
            return -np.inf
        if self.scorer is not None:
            return self.scorer.score(network, params)
        loss = self._loss_of(held_out) if validation_loss is None else validation_loss
        return -np.inf if np.isnan(loss) else -loss

    def _count_score(self, score: float) -> None:
        """Record a score; keep the parameters if it is the best, else count an epoch without improvement."""
        mlp, record, best = self.mlp, self.record, self.record.best_validation_score
        assert best is not None
        assert record.validation_scores is not None
        record.validation_scores.append(score)
        if mlp.verbose:
            _say(f"Validation score: {score:f}")
        record.no_improvement_count = record.no_improvement_count + 1 if score < best + mlp.tol else 0
        if score > best:
            record.best_validation_score = score
            self.best_params = self.core.state.params.copy()

    def _patience_is_over(self) -> None:
        mlp, record = self.mlp, self.record
        what = "Validation score" if self.scored else "Training loss"
        ended, words = mlp._optimizer.patience_is_over()
        if mlp.verbose:
            epochs = f"for {mlp.n_iter_no_change:d} consecutive epochs."
            _say(f"{what} did not improve more than tol={mlp.tol:f} {epochs}{words}")
        if ended:
            record.stop_reason = "validation" if self.scored else "tolerance"
            return
        self.core.go_on(mlp._optimizer.with_rate(mlp._optimizer.learning_rate))
        record.no_improvement_count = 0

    def _diverged(self) -> None:
        """Do the step that gives a loss or a parameter that is not finite, and go on, as scikit-learn does."""
        if self.mlp.fix_defects:
            self.record.stop_reason = "diverged"
            return
        losses = self.core.force_step(self.inputs.backend.one_step)
        learned = bool(np.isfinite(self.core.state.params).all())
        self._epochs_ended(losses, learned)
        while not learned and not self.record.stop_reason:
            self._epochs_ended(self.core.lose_epoch(), learned)


def _batch_size(mlp: Any, n_rows: int) -> int:
    if mlp.solver == "rprop":
        check_full_batch("solver='rprop'", None if mlp.batch_size == "auto" else mlp.batch_size, n_rows)
        return n_rows
    if mlp.batch_size == "auto":
        return min(200, n_rows)
    if mlp.batch_size > n_rows:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return min(mlp.batch_size, n_rows)


def _say(text: str) -> None:
    print(text)  # noqa: T201
