"""The stochastic solvers: chunks of steps with scikit-learn's rules between epochs, and what a next fit takes over."""

from __future__ import annotations

import dataclasses
import math
import time
import weakref
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fastnn.checking.arguments import LearningRate
from fastnn.estimators.adapter import Adapter
from fastnn.estimators.scoring import LOSS, HeldOut, Scorer
from fastnn.estimators.validation import INTERRUPTED, attribute, threads_of, warn
from fastnn.memory import Array, ceil_div
from fastnn.network import Network
from fastnn.optimizers import OPTIMIZERS, Adam, Optimizer
from fastnn.schedules import Schedule, ending_after
from fastnn.state import Data, EpochRules, StepState
from fastnn.training.epochs import Decisions
from fastnn.training.exceptions import Interrupt
from fastnn.training.loop import Group
from fastnn.training.plan import NO_RULES, Plan
from fastnn.training.results import TrainingResult
from fastnn.training.rows import RowOrder, check_full_batch
from fastnn.training.state import TrainingState
from fastnn.training.stopping import Patience, Stop


@dataclass
class FitRecord:
    """Fitted attributes before the fit ends, with the names on the estimator but for the last underscore."""

    t: int
    """Samples seen, earlier calls included."""
    loss_curve: list[float]
    no_improvement_count: int
    best_loss: float | None
    best_validation_score: float | None
    validation_scores: list[float] | None
    validation_loss_curve: list[float] | None
    scoring: Any = None
    """The `scoring` of the scores."""
    n_iter: int = 0
    loss: float = np.nan
    stop_reason: str = ""
    """Why training ended; "" while it goes on."""

    @classmethod
    def begin(cls, mlp: Any, first_pass: bool, validated: bool) -> FitRecord:
        """Continue the record of an estimator's earlier fits, or begin a new one.

        Parameters
        ----------
        mlp : BaseMLP
        first_pass : bool
            Whether the weights are new; then the record begins anew.
        validated : bool
            Whether there is a loss of validation data to record.
        """
        by, now = getattr(mlp, "_scored_by", None), mlp.scoring
        same_score = by is now or (isinstance(by, str) and isinstance(now, str) and by == now)  # else of another kind

        def before(name: str, kind: type | UnionType, default: Any = None) -> Any:
            is_score = name in ("validation_scores_", "best_validation_score_")
            return default if first_pass or (is_score and not same_score) else attribute(mlp, name, kind, default)

        record = cls(
            before("t_", Integral, 0),
            before("loss_curve_", list, []),  # appended to: copies in each call would take ever longer
            before("_no_improvement_count", Integral, 0),
            before("best_loss_", Real | None),
            before("best_validation_score_", Real | None),
            before("validation_scores_", list | None),
            before("validation_loss_curve_", list | None),
            mlp.scoring,
        )
        if validated:
            record.validation_loss_curve = list(record.validation_loss_curve or ())
        if mlp.early_stopping:
            record.best_loss = None
            record.validation_scores = list(record.validation_scores or ())
            if record.best_validation_score is None:
                record.best_validation_score = -np.inf
        elif record.best_loss is None:
            record.best_loss = np.inf
        return record

    def attributes(self) -> dict[str, Any]:
        """Return the fitted attributes by their names on the estimator."""
        values = dict(vars(self))
        private = {"_no_improvement_count": values.pop("no_improvement_count"), "_scored_by": values.pop("scoring")}
        if self.validation_loss_curve is None:
            del values["validation_loss_curve"]
        if not self.loss_curve:
            del values["loss"]  # no epoch has ended
        return {f"{name}_": value for name, value in values.items()} | private


SMALLEST_RATE = 1e-6
"""An adaptive learning rate that is no larger than this ends the training."""


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """scikit-learn's "invscaling": constant within an epoch, ``base / (t + 1) ** power_t`` with t in samples.

    `learning_rate` is that of the first epoch, `t` the number of samples seen before it.
    """

    base: float
    power_t: float
    t: int
    n_rows: int
    steps_per_epoch: int

    def of_epoch(self, epoch: int) -> float:
        """Return the rate of an epoch, counted from 0 in this call."""
        if epoch == 0:
            return self.learning_rate
        return self.base / (self.t + epoch * self.n_rows + 1) ** self.power_t

    def rates(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (n,) of the steps (n,), which ascend."""
        epochs, which = np.unique(steps // self.steps_per_epoch, return_inverse=True)
        return np.array([self.of_epoch(epoch) for epoch in epochs.tolist()])[which]


class Solver:
    """The counterpart of scikit-learn's `_optimizer`; it keeps the settings that it was made with.

    Attributes
    ----------
    optimizer : Optimizer
        Its learning rate is the initial one.
    schedule : {"constant", "invscaling", "adaptive"}
    learning_rate : float
        The rate now.
    t : int
        Steps done.
    """

    def __init__(self, mlp: Any) -> None:
        rate = float(mlp.learning_rate_init)
        self.schedule = mlp.learning_rate if mlp.solver == "sgd" or callable(mlp.learning_rate) else "constant"
        self.power_t = float(mlp.power_t)
        moments = {"beta_1": mlp.beta_1, "beta_2": mlp.beta_2, "epsilon": mlp.epsilon}
        sgd = {"momentum": mlp.momentum, "nesterov": bool(mlp.nesterovs_momentum)}
        own = {"sgd": sgd, "rmsprop": {"epsilon": mlp.epsilon}, "rprop": {}}.get(mlp.solver, moments)
        kind = {name.lower(): kind for name, kind in OPTIMIZERS.items()}[mlp.solver]
        self.optimizer: Optimizer = kind(rate, clip_norm=mlp.clip_norm, **own)
        self.base = self.learning_rate = rate
        self.t = 0
        self._slots: Array | None = None
        self._beta_products = np.ones(2)
        self._network: Network | None = None

    def begin(self, network: Network, params: Array) -> TrainingState:
        """Return the state of a training that begins at `params` and goes on with the last one's vectors."""
        state = TrainingState.create(params, self.optimizer.n_slots)
        state.optimizer = self.optimizer.name
        state.t = self.t if callable(self.schedule) else 0  # that of a schedule is the absolute step
        if self._slots is not None:
            if self._slots.shape[1] != network.n_params:
                what = f"{network.n_params} numbers, but the optimizer has moments of {self._slots.shape[1]}"
                raise ValueError(f"coefs_ and intercepts_ hold {what}: fit begins with new ones")
            state.vectors[1:] = self._slots
            state.beta_products = self._beta_products.copy()
        self._network = network
        return state

    def end(self, state: StepState) -> None:
        """Keep the vectors and counts of a training that ended."""
        self._slots, self._beta_products = state.vectors[1:], state.beta_products
        self.t = state.t if callable(self.schedule) else self.t + state.t
        if isinstance(self.optimizer, Adam):
            first, second = (1 - state.beta_products).tolist()
            if first > 0:
                self.learning_rate = self.base * math.sqrt(second) / first

    def rate(self, t: int, n_rows: int, steps_per_epoch: int, n_epochs: int = 0) -> LearningRate:
        """Return the learning rate of a training that begins when `t` samples have been seen.

        A schedule without steps ends after `n_epochs`; without these it has no end.
        """
        if callable(self.schedule):
            rate: LearningRate = ending_after(self.schedule, n_epochs and self.t + n_epochs * steps_per_epoch)
            return rate
        if self.schedule == "invscaling":
            return InverseScaling(self.learning_rate, self.base, self.power_t, t, n_rows, steps_per_epoch)
        return self.base if isinstance(self.optimizer, Adam) else self.learning_rate

    def patience_is_over(self) -> tuple[bool, str]:
        """Lower an adaptive rate after epochs without improvement; return whether training ends, and a text for it."""
        if self.schedule != "adaptive":
            return True, " Stopping."
        if self.learning_rate <= SMALLEST_RATE:
            return True, " Learning rate too small. Stopping."
        self.learning_rate /= 5.0
        return False, f" Setting learning rate to {self.learning_rate:f}"

    def with_rate(self, rate: LearningRate) -> Optimizer:
        """Return fastnn's optimizer with this learning rate."""
        if rate == self.optimizer.learning_rate:
            return self.optimizer
        return dataclasses.replace(self.optimizer, learning_rate=rate)

    def _slot(self, row: int) -> list[Array]:
        if self._slots is None or self._network is None or row >= len(self._slots):
            return []
        return self._network.weights(self._slots[row]) + self._network.biases(self._slots[row])

    @property
    def velocities(self) -> list[Array]:
        """SGD's momentum, or Adam's first moments, `ms`: those of the weights, then those of the biases."""
        return self._slot(0)

    ms = velocities

    @property
    def vs(self) -> list[Array]:
        """Adam's second moments: those of the weights, then those of the biases."""
        return self._slot(1)


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


class Hooks(Decisions):
    """What the loop of trainings asks at the ends of epochs, and after a step that diverged: the rules of a fit."""

    each_epoch = True

    def __init__(self, fit: Epochs, plan: Plan, validation: Data | None, state: TrainingState) -> None:
        super().__init__(plan, fit.core.tasks[0], validation, state)
        self.fit: Epochs = weakref.proxy(fit)  # in a cycle, the data would stay until Python looks for garbage

    def take(self, rules: EpochRules, k: int = 0) -> bool:
        """Record the epochs of a call of the back end; return whether the fit stops or changes its rate."""
        fired, n = super().take(rules, k), int(rules.ended[k, 0])
        if n:
            self.fit.epochs_ended(self.fit.core.log.losses[-n:])
        return fired or bool(self.fit.record.stop_reason)

    def fires(self, loss: float, params: Array, so_far: Callable[[], TrainingResult]) -> bool:
        """Record the epoch that has ended; return whether the fit stops."""
        super().fires(loss, params, so_far)
        self.fit.epochs_ended(self.fit.core.log.losses[-1:])
        return bool(self.fit.record.stop_reason)

    def stall(self) -> Any:
        """Return why the fit stops; None if it goes on."""
        return self.fit.record.stop_reason or None

    def diverged(self) -> bool:
        """Return whether the fit went on, with the step that diverged."""
        return self.fit.diverged()


class Epochs:
    """scikit-learn's rules, applied to the epochs of one fit; `mlp` is written to for its callbacks only."""

    def __init__(self, mlp: Any, inputs: FitInputs) -> None:
        self.mlp, self.inputs = mlp, inputs
        self.scored = inputs.held_out is not None
        self.n_epochs = 1 if inputs.incremental else mlp.max_iter
        self.best_params = inputs.params.copy() if inputs.first_pass or mlp.fix_defects else None
        self.record = FitRecord.begin(mlp, inputs.first_pass, inputs.validation is not None)
        self.scorer: Scorer | None = None
        if inputs.held_out is not None:
            inputs.held_out.check_weights()
            if mlp.scoring not in (None, LOSS):
                self.scorer = Scorer(mlp, mlp.scoring, inputs.held_out)

        n, network = len(inputs.rows), inputs.network
        state, batch_size = mlp._optimizer.begin(network, inputs.params), _batch_size(mlp, n)
        n_epochs = 0 if inputs.incremental else self.n_epochs
        self.rate = mlp._optimizer.rate(self.record.t, n, ceil_div(n, batch_size), n_epochs)
        plan = Plan(
            network=network,
            backend=inputs.backend,
            optimizer=mlp._optimizer.with_rate(self.rate),
            batch_size=batch_size,
            shuffle=mlp.shuffle,
            alpha=float(mlp.alpha),
            stop=NO_RULES if mlp.max_time is None else Stop(max_seconds=mlp.max_time),
            n_epochs=self.n_epochs,
            new_rows=False,
            assume_finite=True,
            threads=threads_of(mlp),
            data=inputs.data,
            value_alpha=inputs.backend.value_alpha(network, float(mlp.alpha)),
        )
        compiled, nan_fails = inputs.backend.shuffle_rows, self.scored and mlp.scoring == LOSS
        self.order = RowOrder(inputs.rows, batch_size, mlp.shuffle, mlp._random_state, compiled=compiled)
        self.core = Group([plan], state, self.order, time.perf_counter())
        self.hooks = Hooks(self, plan, None, state)
        self.patience = Patience(mlp.tol, mlp.n_iter_no_change + 1, strict=False, nan_fails=nan_fails)
        """The count of epochs whose score, or else whose training loss, did not improve."""
        best = self.record.best_loss
        self.patience.best = -cast(float, self.record.best_validation_score) if best is None else best
        self.patience.stale = self.record.no_improvement_count
        if not self.scored and not inputs.loss_is_nan:
            self.hooks.rule = self.patience
        self.in_call = self._score_in_calls(plan, state)
        """Whether calls of the back end score the rows held out, and count the epochs."""
        if not self.in_call and (inputs.validation or inputs.on_epoch or not self.hooks.rule):
            self.core.decisions = [self.hooks]
        elif not self.in_call:
            self.core.decide([self.hooks], trusted=True)

    def _score_in_calls(self, plan: Plan, state: TrainingState) -> bool:
        """Let calls of the back end score the rows held out, if they can: by the loss, or the rows that are right."""
        mlp, inputs, rows = self.mlp, self.inputs, self.inputs.held_out
        if rows is None or inputs.validation is not None or inputs.on_epoch is not None or mlp.verbose:
            return False
        counts = mlp.scoring is None and rows.labels in ("one", "many") and rows.sample_weight is None
        if not counts and mlp.scoring != LOSS:
            return False
        stop = Stop(restore_best=True, monitor="accuracy" if counts else "loss")
        hooks = Hooks(self, plan._replace(stop=stop), rows.data(state.params.dtype), state)
        hooks.rule = self.patience
        hooks.best, hooks.best_params = self.patience.best, self.best_params
        self.core.decide([hooks], trusted=True)
        return self.core.in_calls

    def run(self) -> tuple[Array, dict[str, Any]]:
        """Train to the end; return the parameters (n_params,), and the fitted attributes of the fit."""
        mlp, record = self.mlp, self.record
        interrupt = Interrupt()
        try:
            interrupt.begin()
            while self.core.goes_on() and not interrupt.requested:
                self.core.chunk()
        except KeyboardInterrupt:  # of a callback, perhaps
            if interrupt.again:
                raise
            interrupt.requested = True
        finally:
            interrupt.over = True
            interrupt.end()
        record.stop_reason = record.stop_reason or self.core.stop_reason
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

    def epochs_ended(self, losses: Array | array[float], learned: bool = True) -> None:
        """Record epochs with these losses, and decide whether to go on; a rule can fire after the last of them only.

        `learned`: whether the parameters are finite.
        """
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
        if self.in_call:
            self._take_scores(len(losses))
        elif self.inputs.held_out is not None:
            self._count_score(self._score(self.inputs.held_out, learned, validation_loss))
        elif self.hooks.rule is None:
            self.patience.stale = 0
        else:
            record.best_loss = self.patience.best
        record.no_improvement_count = self.patience.stale
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
                what = f"Maximum iterations ({mlp.max_iter}) reached and the optimization hasn't converged yet."
                warn(f"Stochastic Optimizer: {what}", ConvergenceWarning)

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
            return held_out.score(self.inputs.backend, network, params, self.core.tasks[0].threads, learned)
        if not learned:
            return -np.inf
        if self.scorer is not None:
            return self.scorer.score(network, params)
        loss = self._loss_of(held_out) if validation_loss is None else validation_loss
        return -np.inf if np.isnan(loss) else -loss

    def _take_scores(self, n: int) -> None:
        """Record the scores of the last `n` epochs, which the back end has taken."""
        record, scores = self.record, self.core.decisions[0]
        assert record.validation_scores is not None
        losses = scores.validation_losses[-n:]
        record.validation_scores += scores.measured[-n:] or [-np.inf if loss != loss else -loss for loss in losses]
        record.best_validation_score = -scores.best
        self.best_params = scores.best_params

    def _count_score(self, score: float) -> None:
        """Record a score; keep the parameters if it is the best, else count an epoch without improvement."""
        record, best = self.record, self.patience.best
        assert record.validation_scores is not None
        record.validation_scores.append(score)
        if self.mlp.verbose:
            _say(f"Validation score: {score:f}")
        self.patience.fires(-score)
        if -score < best:
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
        optimizer = mlp._optimizer.with_rate(mlp._optimizer.learning_rate)
        self.core.tasks[0] = dataclasses.replace(self.core.tasks[0], optimizer=optimizer)
        record.no_improvement_count = self.patience.stale = 0

    def diverged(self) -> bool:
        """Do the step that gives a loss or a parameter that is not finite, and go on, as scikit-learn does."""
        if self.mlp.fix_defects:
            return False
        if self.in_call:  # from here on, epoch by epoch
            self.core.decisions, self.core.in_calls, self.in_call = [self.hooks], False, False
        losses = self.core.force_step(self.inputs.backend.one_step)
        learned = bool(np.isfinite(self.core.state.params).all())
        self.epochs_ended(losses, learned)
        while not learned and not self.record.stop_reason:
            self.epochs_ended(self.core.lose_epoch(), learned)
        return True


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
