"""The stochastic solvers: a session with scikit-learn's rules, and what a next fit takes over."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn.checking.arguments import LearningRate
from fastnn.estimators.adapter import Adapter
from fastnn.estimators.scoring import LOSS, HeldOut, Scorer
from fastnn.estimators.validation import INTERRUPTED, attribute, threads_of, warn
from fastnn.memory import Array, Floats, Integers, ceil_div
from fastnn.network import Network
from fastnn.optimizers import OPTIMIZERS, Adam, Optimizer
from fastnn.schedules import Schedule, ending_after
from fastnn.state import BEST, RULE_BEST, STALE, Data, StepState, Task
from fastnn.training.evaluation import Evaluation
from fastnn.training.exceptions import Interrupt, interruptible
from fastnn.training.inputs import FEWEST_EPOCHS, check_in_float32, worse_than_mean
from fastnn.training.options import NO_RULES, TrainOptions
from fastnn.training.session import Session
from fastnn.training.steps import check_full_batch
from fastnn.training.stopping import LESS_STRICT, NAN_FAILS, Rule, Stop, StopReason


@dataclass
class FitRecord:
    """Fitted attributes before the fit ends, with the names on the estimator but for the last
    underscore.
    """

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
        by = getattr(mlp, "_scored_by", None)
        now = mlp.scoring
        # else of another kind
        same_score = by is now or (isinstance(by, str) and isinstance(now, str) and by == now)

        def before(name: str, kind: type | UnionType, default: Any = None) -> Any:
            is_score = name in ("validation_scores_", "best_validation_score_")
            return (
                default
                if first_pass or (is_score and not same_score)
                else attribute(mlp, name, kind, default)
            )

        record = cls(
            before("t_", Integral, 0),
            # appended to: copies in each call would take ever longer
            before("loss_curve_", list, []),
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
        private = {
            "_no_improvement_count": values.pop("no_improvement_count"),
            "_scored_by": values.pop("scoring"),
        }
        if self.validation_loss_curve is None:
            del values["validation_loss_curve"]
        if not self.loss_curve:
            del values["loss"]  # no epoch has ended
        return {f"{name}_": value for name, value in values.items()} | private


SMALLEST_RATE = 1e-6
"""An adaptive learning rate that is no larger than this ends the training."""


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """scikit-learn's "invscaling": constant within an epoch, ``base / (t + 1) ** power_t`` with t
    in samples.

    `learning_rate` is that of the first epoch, `t` the number of samples seen before it.
    """

    may_draw_ahead: ClassVar[bool] = True

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

    def rates(self, steps: Integers) -> Floats:
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
        self.schedule = (
            mlp.learning_rate if mlp.solver == "sgd" or callable(mlp.learning_rate) else "constant"
        )
        self.power_t = float(mlp.power_t)
        moments = {"beta_1": mlp.beta_1, "beta_2": mlp.beta_2, "epsilon": mlp.epsilon}
        sgd = {"momentum": mlp.momentum, "nesterov": bool(mlp.nesterovs_momentum)}
        options = {"sgd": sgd, "rmsprop": {"epsilon": mlp.epsilon}, "rprop": {}}.get(
            mlp.solver, moments
        )
        kind = {name.lower(): kind for name, kind in OPTIMIZERS.items()}[mlp.solver]
        self.optimizer: Optimizer = kind(rate, clip_norm=mlp.clip_norm, **options)
        self.base = self.learning_rate = rate
        self.t = 0
        self._slots: Array | None = None
        self._beta_products = np.ones(2)
        self._network: Network | None = None

    def begin(self, session: Session) -> None:
        """Let a session go on with the last training's vectors."""
        network = session.network
        states = session.states
        # that of a schedule is the absolute step
        states.t[0] = self.t if callable(self.schedule) else 0
        if self._slots is not None:
            if self._slots.shape[1] != network.n_params:
                what = (
                    f"{network.n_params} numbers, but the optimizer has moments of "
                    f"{self._slots.shape[1]}"
                )
                raise ValueError(f"coefs_ and intercepts_ hold {what}: fit begins with new ones")
            session.is_new = False
            states.storage[0, 1:, : network.n_params] = self._slots
            states.beta_products[0] = self._beta_products
        self._network = network

    def end(self, state: StepState) -> None:
        """Keep the vectors and counts of a training that ended."""
        self._slots = state.vectors[1:]
        self._beta_products = state.beta_products
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
            rate: LearningRate = ending_after(
                self.schedule, n_epochs and self.t + n_epochs * steps_per_epoch
            )
            return rate
        if self.schedule == "invscaling":
            return InverseScaling(
                self.learning_rate, self.base, self.power_t, t, n_rows, steps_per_epoch
            )
        return self.base if isinstance(self.optimizer, Adam) else self.learning_rate

    def lower_rate(self) -> tuple[bool, str]:
        """Lower an adaptive rate after epochs without improvement; return whether training ends
        instead, and a text for it.
        """
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
        """SGD's momentum, or Adam's first moments, `ms`: those of the weights, then those of the
        biases.
        """
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
    rows: Integers  # those of `data` to train on
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
    """Called after each epoch with the parameters, for scikit-learn's callbacks; returns True to
    stop. Or None."""


class FitEvaluation:
    """The scores of a fit's epochs that need Python: a loss to record, R2, or a scorer of the
    user's.

    It takes the place of `fastnn.training.evaluation.Evaluation`.
    """

    scored = None
    monitor = "scoring"

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.has_loss = fit.inputs.validation is not None
        self.has_score = self.keeps_best = fit.is_scored
        self.by_steps = not fit.is_scored
        scoring = fit.mlp.scoring
        rows = fit.inputs.held_out
        self.scorer: HeldOut | Scorer | None = rows
        if rows is not None and scoring not in (None, LOSS):
            self.scorer = Scorer(fit.mlp, scoring, rows)

    def fits_kernel(self, rows_a_step: int) -> bool:
        """Return that Python scores."""
        return False

    def loss(self, params: Array) -> float:
        """Return the loss of the caller's validation rows."""
        return cast(HeldOut, self.fit.inputs.validation).loss(params)

    def score(self, params: Array, epoch: int, loss: float) -> float:
        """Return the score of the rows held out; `loss` is that of the caller's validation rows,
        NaN without any.
        """
        mlp = self.fit.mlp
        rows = cast(HeldOut, self.fit.inputs.held_out)
        if mlp.scoring == LOSS:
            score = score_of_loss(loss if self.has_loss else rows.loss(params))
        else:
            score = cast(Any, self.scorer).score(params)
        if mlp.verbose:
            self.fit.lines.append(f"Validation score: {score:f}")
        return score


def score_of_loss(loss: float) -> float:
    """Return the score of a loss: a greater one is better, and NaN is the worst."""
    return -np.inf if np.isnan(loss) else -loss


class Fit:
    """One fit by a stochastic solver, or one call of `partial_fit`: options, a session, and the
    record of its epochs.

    `mlp` is written to for its callbacks only.
    """

    def __init__(self, mlp: Any, inputs: FitInputs) -> None:
        self.mlp = mlp
        self.inputs = inputs
        self.is_scored = inputs.held_out is not None
        """Whether early stopping goes by rows held out."""
        if inputs.held_out is not None:
            inputs.held_out.check_weights()
        self.record = record = FitRecord.begin(
            mlp, inputs.first_pass, inputs.validation is not None
        )
        best = record.best_loss
        if self.is_scored:
            best = -cast(float, record.best_validation_score)
        self.best_before = best
        """The lowest loss of the fits before, or the best score, of which lower is better."""
        n = len(inputs.rows)
        self.batch_size = _batch_size(mlp, n)
        n_steps = ceil_div(n, self.batch_size)
        n_epochs = 0 if inputs.incremental else mlp.max_iter
        self.rate = mlp._optimizer.rate(record.t, n, n_steps, n_epochs)
        self.lines: list[str] = []
        """What is to be printed of the last epoch, behind its loss."""

    def begin(self) -> Session:
        """Return the session of this fit, which goes on from the optimizer and the scores of the
        fit before.
        """
        session = Session([self.options()], [self.mlp._random_state])
        self.mlp._optimizer.begin(session)
        row = session.states.rules[0]
        row[RULE_BEST] = self.best_before
        row[STALE] = self.record.no_improvement_count
        if self.is_scored:
            row[BEST] = self.best_before
        return session

    def options(self) -> TrainOptions:
        """Return the options of this fit."""
        mlp = self.mlp
        inputs = self.inputs
        if inputs.data.X.dtype.itemsize < 8:
            check_in_float32(inputs.network)
        stop, evaluate = self._scoring()
        return TrainOptions(
            network=inputs.network,
            backend=inputs.backend,
            optimizer=mlp._optimizer.with_rate(self.rate),
            batch_size=self.batch_size,
            shuffle=mlp.shuffle,
            alpha=float(mlp.alpha),
            stop=stop,
            n_epochs=1 if inputs.incremental else mlp.max_iter,
            data=inputs.data,
            rows=None if len(inputs.rows) == len(inputs.data.Y) else inputs.rows,
            params=inputs.params,
            assume_finite=True,
            threads=threads_of(mlp),
            value_alpha=inputs.backend.value_alpha(inputs.network, float(mlp.alpha)),
            rule=self._rule(),
            evaluate=evaluate,
            on_stall=self.on_stall,
        )

    def _rule(self) -> Rule | None:
        """Return scikit-learn's rule: an epoch fails if it is not better by `tol`, and NaN never
        fails.
        """
        if self.inputs.loss_is_nan and not self.is_scored:
            return None
        strict = NAN_FAILS if self.is_scored and self.mlp.scoring == LOSS else LESS_STRICT
        return Rule(self.mlp.tol, self.mlp.n_iter_no_change + 1, strict=strict)

    def _scoring(self) -> tuple[Stop, Any]:
        """Return the stop rules, and what makes the evaluation of epochs, if they are scored."""
        rows = self.inputs.held_out
        limit = NO_RULES if self.mlp.max_time is None else Stop(max_seconds=self.mlp.max_time)
        if rows is None and self.inputs.validation is None:
            return limit, None
        in_python = FitEvaluation(self)
        monitor = self._monitor(rows)
        if rows is None or monitor is None:
            return dataclasses.replace(limit, restore_best=self.is_scored), lambda *_: in_python
        validation = rows.data(self.inputs.params.dtype)

        def evaluate(options: TrainOptions, task: Task, *_: Any) -> Any:
            evaluation = Evaluation(options, task, validation, None)
            return evaluation if evaluation.fits_kernel(self.batch_size) else in_python

        return dataclasses.replace(limit, restore_best=True, monitor=monitor), evaluate

    def _monitor(self, rows: HeldOut | None) -> str | None:
        """Return the monitor of `train` that scores the rows held out as the estimator does; None
        where Python scores each epoch, since somebody watches it or the score is another one, and
        where there are no such rows.
        """
        mlp = self.mlp
        inputs = self.inputs
        is_watched = inputs.validation is not None or inputs.on_epoch is not None or mlp.verbose
        if rows is None or is_watched:
            return None
        if mlp.scoring == LOSS:
            return "loss"
        counts = mlp.scoring is None and rows.labels in ("one", "many")
        return "accuracy" if counts and rows.sample_weight is None else None

    def run(self) -> tuple[Array, dict[str, Any]]:
        """Train to the end; return the parameters (n_params,), and the fitted attributes of the
        fit.
        """
        record = self.record
        interrupt = Interrupt()
        # of no attribute: its options know this fit, and in a cycle the data would stay
        with self.begin() as session:
            try:
                interruptible(interrupt, lambda: self._advance(session, interrupt))
            except KeyboardInterrupt:  # of a callback, perhaps
                if interrupt.again:
                    raise
                interrupt.requested = True
            if interrupt.requested:
                record.stop_reason = "interrupted"
                warn(INTERRUPTED)
            else:
                record.stop_reason = session.reasons[0]
                self._warn()
            self._keep_optimizer(session)
        params = self._params(session)
        attributes = record.attributes()
        if self.is_scored:
            network = self.inputs.network
            attributes |= {
                "_best_coefs": network.weights(params),
                "_best_intercepts": network.biases(params),
            }
        return params, attributes

    def _advance(self, session: Session, interrupt: Interrupt) -> None:
        """Train until the session has ended, or somebody asks to; record the epochs after each
        call.
        """
        session.is_watched = self.inputs.on_epoch is not None
        each = 1 if session.is_watched or self.mlp.verbose else None
        while not interrupt.requested:
            session.end_due()
            if not session.running:
                return
            n_ended = session.advance(each)
            if n_ended:
                self._record(session, n_ended)

    def _warn(self) -> None:
        """Warn of a fit that has not converged."""
        record = self.record
        if record.stop_reason == "epochs" and not self.inputs.incremental:
            what = (
                f"Maximum iterations ({self.mlp.max_iter}) reached and the optimization hasn't "
                f"converged yet."
            )
            if fault := self._worse_than_mean():
                way = "TransformedTargetRegressor(..., transformer=StandardScaler()) scales them"
                what += f" {fault[0].upper()}{fault[1:]}: {way}"
            warn(f"Stochastic Optimizer: {what}", ConvergenceWarning)
        if record.stop_reason == "diverged" and (record.n_iter or self.is_scored):
            what = (
                f"Training diverged in iteration {record.n_iter + 1}, and ends with the last "
                f"finite weights"
            )
            warn(
                f"Stochastic Optimizer: {what}: scale X, or lower learning_rate_init.",
                ConvergenceWarning,
            )

    def _worse_than_mean(self) -> str:
        """Return how the last loss compares with that of the mean of y, if that is no worse."""
        if self.record.n_iter < FEWEST_EPOCHS:
            return ""
        inputs = self.inputs
        return worse_than_mean(inputs.network, inputs.data, inputs.rows, self.record.loss)

    def _record(self, session: Session, n: int) -> None:
        """Record the last n epochs."""
        mlp = self.mlp
        record = self.record
        log = session.log
        losses = log.loss.numbers[0, -n:]
        if self.inputs.loss_is_nan:
            losses = np.full(n, np.nan)
        record.loss_curve += losses.tolist()
        record.loss = record.loss_curve[-1]
        record.n_iter += n
        record.t += n * session.draws.n_rows
        if self.inputs.validation is not None and record.validation_loss_curve is not None:
            record.validation_loss_curve += log.row_loss.numbers[0, -n:].tolist()
        self._record_scores(session, n)
        if mlp._optimizer.schedule == "invscaling":
            mlp._optimizer.learning_rate = self.rate.of_epoch(record.n_iter)
        if mlp.verbose:
            for line in [f"Iteration {record.n_iter}, loss = {record.loss:.8f}", *self.lines]:
                print(line)  # noqa: T201
            self.lines.clear()
        if self.inputs.on_epoch is not None:
            reason = session.reasons[0]
            record.stop_reason = "" if reason == "running" else reason
            vars(mlp).update(record.attributes())  # callbacks look at the estimator
            if self.inputs.on_epoch(session.params(0)):
                session.end_all("callback")

    def _record_scores(self, session: Session, n: int) -> None:
        """Record the scores of the last n epochs, the best one, and the count of those that
        failed.
        """
        record = self.record
        row = session.states.rules[0]
        record.no_improvement_count = int(row[STALE])
        if self.is_scored:
            assert record.validation_scores is not None
            if session.log.score.numbers.size:
                record.validation_scores += session.log.score.numbers[0, -n:].tolist()
            else:
                record.validation_scores += [
                    *map(score_of_loss, session.log.row_loss.numbers[0, -n:].tolist())
                ]
            record.best_validation_score = -float(row[BEST])
        elif not self.inputs.loss_is_nan:
            record.best_loss = float(row[RULE_BEST])

    def on_stall(self, session: Session, k: int) -> StopReason | None:
        """Lower an adaptive rate, or return why the fit ends."""
        mlp = self.mlp
        ended, words = mlp._optimizer.lower_rate()
        if mlp.verbose:
            what = "Validation score" if self.is_scored else "Training loss"
            epochs = f"for {mlp.n_iter_no_change:d} consecutive epochs."
            self.lines.append(f"{what} did not improve more than tol={mlp.tol:f} {epochs}{words}")
        if ended:
            return "validation" if self.is_scored else "tolerance"
        session.draws.set_rate(k, mlp._optimizer.learning_rate)
        session.states.rules[k, STALE] = 0
        return None

    def _keep_optimizer(self, session: Session) -> None:
        """Keep what the optimizer goes on from in a next call, and let a shared generator see full
        batches shuffled.
        """
        mlp = self.mlp
        mlp._optimizer.end(session.states.member(0))
        if (
            session.draws.per_epoch == 1
            and mlp.shuffle
            and not isinstance(mlp.random_state, (int, np.integer))
        ):
            for _ in range(self.record.n_iter):
                mlp._random_state.shuffle(np.arange(session.draws.n_rows))

    def _params(self, session: Session) -> Array:
        """Return the parameters of the fit: those of the best epoch with early stopping."""
        inputs = self.inputs
        if not self.is_scored:
            return session.params(0)
        if session.states.rules[0, BEST] < self.best_before:
            return session.states.best_params[0]
        return inputs.params if inputs.first_pass or self.mlp.fix_defects else session.params(0)


def _batch_size(mlp: Any, n_rows: int) -> int:
    if mlp.solver == "rprop":
        check_full_batch(
            "solver='rprop'", None if mlp.batch_size == "auto" else mlp.batch_size, n_rows
        )
        return n_rows
    if mlp.batch_size == "auto":
        return min(200, n_rows)
    if mlp.batch_size > n_rows:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return min(mlp.batch_size, n_rows)
