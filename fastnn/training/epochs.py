"""Measurements and settings of epochs: learning rates, losses, scores, decisions, and the length of chunks."""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import kit
from fastnn.checking.arguments import LearningRate, check_number, class_of, cut
from fastnn.memory import Array
from fastnn.schedules import SCHEDULES, Schedule
from fastnn.state import BEST, N_RULE, RULE_BEST, STALE, Data, EpochRules, Steps, Task
from fastnn.training.exceptions import MonitorError
from fastnn.training.plan import Plan
from fastnn.training.results import Decided, TrainingResult
from fastnn.training.rows import rows_of
from fastnn.training.state import Counters, TrainingState
from fastnn.training.stopping import StopReason, name_of, scorer

CHUNK_SECONDS = 0.05
"""Seconds that a chunk should take: Ctrl-C, progress and time limits wait for its end."""
MAX_CHUNK_STEPS = 65_536
MAX_CHUNK_ROWS = 1 << 22
"""The limit of row numbers in a chunk: 32 MB."""
FIRST_CHUNK_STEPS = 1_024
FIRST_CHUNK_WORK = 1 << 22
"""The limit of the first chunk, before any measurement, in rows times parameters."""


class Pace:
    """The length of the next chunk, about `CHUNK_SECONDS`, judged by the last one only: compiling spoils one chunk."""

    def __init__(self, n_params: int, batch_size: int, n_scored: int = 0) -> None:
        self._most = max(1, min(MAX_CHUNK_STEPS, MAX_CHUNK_ROWS // batch_size))
        work = n_params * (batch_size + n_scored)  # of a step, with its share of the rows that an epoch scores
        self.n_steps = max(1, min(self._most, FIRST_CHUNK_STEPS, FIRST_CHUNK_WORK // work))

    def measured(self, n_steps: int, seconds: float) -> None:
        """Record the time of a chunk with `n_steps` steps that were not skipped; 0 steps do not change the length."""
        if n_steps:
            self.n_steps = max(1, min(self._most, int(n_steps * CHUNK_SECONDS / max(seconds, 1e-9))))


RATE_BLOCK = 256
"""Steps whose rates a built-in schedule computes at once, if at most a quarter of them are requested."""


class Reduction(NamedTuple):
    """The reduction of learning rates so far: a rate r becomes ``max(factor r, min(r, least))``."""

    factor: float = 1.0
    least: float = 0.0

    def of(self, rates: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
        """Return the reduced rates (n,), or the reduced rate."""
        return rates if self.factor == 1 else np.maximum(rates * self.factor, np.minimum(rates, self.least))


def learning_rates(rate: LearningRate, first: int, n: int) -> NDArray[np.float64]:
    """Return the rates (n,) of the steps ``first ... first + n - 1``.

    Raises
    ------
    ValueError
        If a function of the step returns a negative number or one that is not finite, or `rates` of a schedule does not
        return one real number for each step.
    """
    if not callable(rate):
        rates = np.empty(n)
        rates.fill(rate)  # `np.full` takes three times as long for the first chunk of a small training
        return rates
    if isinstance(rate, Schedule) and type(rate) in SCHEDULES.values():  # one's own may know no others
        block, at = divmod(first, RATE_BLOCK)
        if 4 * n <= RATE_BLOCK and at + n <= RATE_BLOCK:
            return _rates_of_block(rate, block)[at : at + n].copy()
    if isinstance(rate, Schedule):
        rates = np.asarray(rate.rates(np.arange(first, first + n)))
        if rates.shape != (n,) or rates.dtype.kind not in "fiu":
            fault = f"{class_of(rate)}.rates must return {n} real numbers, one for each step"
            raise ValueError(f"{fault}, not an array of {cut(rates.dtype)} with shape {rates.shape}")
        return np.require(rates, np.float64, ["C", "A"])
    values = (check_number(f"learning_rate({step})", rate(step), low=0) for step in range(first, first + n))
    return np.fromiter(values, np.float64, n)


@kit.remembered
def _rates_of_block(rate: Schedule, block: int) -> NDArray[np.float64]:
    """Return the rates (RATE_BLOCK,) of a block of steps; one step alone would take as long as many small epochs."""
    return rate.rates(np.arange(block * RATE_BLOCK, (block + 1) * RATE_BLOCK))


NOTHING = (0.0, 0.0)
"""The sums of an epoch that has not begun."""


class EpochLoss:
    """The losses of epochs from the losses of steps.

    For ``reduction="mean"`` an epoch's loss is ``sum(L_s rows_s) / sum(rows_s)`` over its steps, for "sum" the plain
    sum; steps that were skipped do not count. Sums run in the order of the steps, whatever the chunks.
    """

    partial = NOTHING
    """(sum of losses, times rows for "mean"; sum of rows) over the steps of the current epoch."""
    _whole: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    """`_rows` of whole epochs, and their sums: those of the last ones, if all rows count."""

    def __init__(self, data: Data, reduction: str, steps_per_epoch: int) -> None:
        self._mean = reduction == "mean"
        self._steps_per_epoch = steps_per_epoch
        self._counted = None if steps_per_epoch == 1 or data.sample_weight.all() else data.sample_weight > 0

    def add(self, steps: Steps, n_steps: int, batch: int) -> NDArray[np.float64]:
        """Add the first `n_steps` steps; return the losses (..., n) of the epochs that end within them.

        `batch` is the number of steps that the current epoch had before. Losses of several members (m, any) begin and
        end with epochs.
        """
        losses = steps.loss if n_steps == steps.loss.shape[-1] else steps.loss[:n_steps]
        if self._steps_per_epoch == 1:
            self.partial = NOTHING
            return losses
        with np.errstate(over="ignore", invalid="ignore"):  # losses near the largest number, on the way to divergence
            if batch == 0 and n_steps % self._steps_per_epoch == 0:  # whole epochs: the same sums, of which none is cut
                if self._whole is None or self._counted is not None or len(self._whole[0]) != n_steps:
                    rows = self._rows(steps, n_steps)
                    self._whole = rows, _sum(rows, self._steps_per_epoch)
                rows, row_sums = self._whole
                loss_sums, self.partial = _sum(losses * rows, self._steps_per_epoch), NOTHING
            else:
                rows = self._rows(steps, n_steps)
                loss_sums, loss_rest = _sums(losses * rows, batch, self._steps_per_epoch, self.partial[0])
                row_sums, row_rest = _sums(rows, batch, self._steps_per_epoch, self.partial[1])
                self.partial = loss_rest, row_rest
            return loss_sums / row_sums if self._mean else loss_sums

    def factors(self, steps: Steps) -> tuple[NDArray[np.float64], bool]:
        """Return the factors (n_steps,) of step losses in epoch losses, and whether the latter are means."""
        if self._steps_per_epoch == 1:
            return np.ones(len(steps.start)), False
        return self._rows(steps, len(steps.start)), self._mean

    def _rows(self, steps: Steps, n_steps: int) -> NDArray[np.float64]:
        """Return the factor of each step's loss: its rows, or 1 for a sum; 0 for a skipped step."""
        if not self._mean:
            return np.ones(n_steps)
        start, stop = steps.start[:n_steps], steps.stop[:n_steps]
        rows = (stop - start).astype(np.float64)
        if self._counted is not None:
            n_before = np.concatenate([[0], np.cumsum(self._counted[steps.rows])])
            rows[n_before[stop] == n_before[start]] = 0
        return rows


class EpochLog:
    """The loss and the learning rate of each epoch that ended."""

    def __init__(self) -> None:
        self.losses, self._rates = array("d"), array("d")
        self._of_several: tuple[Array, Array] | None = None

    def add(self, losses: NDArray[np.float64], rates: NDArray[np.float64]) -> None:
        """Append epochs: losses (n,), and the rates (n,) of their last steps; or all (m, n) of several members."""
        if losses.ndim > 1:
            self._of_several = losses, rates.copy()
            return
        self.losses.frombytes(losses.tobytes())
        self._rates.frombytes(rates.tobytes())

    @property
    def last(self) -> tuple[float, float]:
        """The loss and the learning rate of the last epoch; NaN before the first."""
        return (self.losses[-1], self._rates[-1]) if self.losses else (math.nan, math.nan)

    def after(self, n: int) -> tuple[array[float], array[float]]:
        """Return the losses and the rates of the epochs of a single training after the first n."""
        return self.losses[n:], self._rates[n:]

    def arrays(self, goes_on: bool) -> tuple[Array, Array]:
        """Return the losses (m, n) of the epochs so far, and the rates (m, n), or (1, n) if equal for all."""
        if self._of_several is not None:
            return self._of_several
        losses, rates = (self.losses[:], self._rates[:]) if goes_on else (self.losses, self._rates)
        shape = 1, len(losses)
        return np.ndarray(shape, np.float64, losses), np.ndarray(shape, np.float64, rates)  # no copies


def _sums(values: NDArray[np.float64], batch: int, per_epoch: int, carry: float) -> tuple[NDArray[np.float64], float]:
    """Sum each epoch's values, strictly from left to right; also return the sum of the epoch that has not ended."""
    left = per_epoch - batch if batch else 0  # steps that the epoch under way still needs
    if len(values) < left:
        return np.zeros(0), _running(carry, values)
    whole, rest = np.split(values[left:], [(len(values) - left) // per_epoch * per_epoch])
    sums = _sum(whole, per_epoch)
    if left:
        sums = np.concatenate([[_running(carry, values[:left])], sums])
    return sums, _running(0.0, rest)


def _sum(values: NDArray[np.float64], per_epoch: int) -> NDArray[np.float64]:
    """Return the sums (..., n_epochs) of the values (..., n_epochs * per_epoch), strictly from left to right."""
    if values.ndim == 1 and len(values) == per_epoch:  # in a third of the time
        return np.add.accumulate(values)[-1:]
    return np.cumsum(values.reshape(*values.shape[:-1], -1, per_epoch), axis=-1)[..., -1]


def _running(carry: float, values: NDArray[np.float64]) -> float:
    return float(np.cumsum(np.concatenate([[carry], values]))[-1])


CopyRows = Callable[[Data, Array], Data]


class Decisions:
    """The scores of epochs by `Stop.monitor`, the best of them, and when to stop or to reduce the learning rate.

    Internally lower is better; the history shows the sign that users expect.

    Parameters
    ----------
    plan : Plan
        Its stop rules define the score. Its rows are copied if their outputs are scored.
    task : Task
        The training.
    validation : Data, optional
        The validation rows.
    state : TrainingState
        Has the best score of an earlier training, which counts if it is of the same kind.
    copy : callable
        Copies the rows: `rows_of`, or what copies the same rows for several members once.
    """

    labels: NDArray[np.int64] | None = None
    """The labels of the scored rows, if the back end counts the right ones."""

    def __init__(
        self, plan: Plan, task: Task, validation: Data | None, state: TrainingState, copy: CopyRows = rows_of
    ) -> None:
        self.task, self.backend, self.stop, self.rule = task, plan.backend, plan.stop, plan.stop.rule()
        self.validation = validation
        self.validation_losses, self.measured = array("d"), array("d")
        """`measured` are the scores, unless they are the validation losses: of the monitor, or the loss of all rows."""
        self.of_rows = self.measured if validation is None else self.validation_losses
        """The losses of the scored rows."""
        stop, counters = self.stop, state.counters
        self.of_losses = validation is None and stop.monitor == "loss"
        """Whether the stop rule uses the training losses of the steps."""
        self.scored: Task | None = None
        """The rows to score at the end of an epoch, if any."""
        if validation is not None:
            self.scored = Task(task.network, task.optimizer, validation, threads=task.threads)
        elif not self.of_losses or stop.restore_best:
            rows = plan.rows
            self.scored = task if rows is None else dataclasses.replace(task, data=copy(task.data, rows))
        if stop.monitor != "loss":
            assert self.scored is not None
            used = _used(self.scored.data, state if validation is None else None)
            self.inputs, self._score = used.X, scorer(stop.monitor, task.network, used.Y, used.sample_weight)
        self.best, self.best_on = number(counters.get("best_score")), counters.get("best_on")
        """The best score, and its name: `Stop.score_name`."""
        self.best_params = state.best_params
        if stop.restore_best:
            if self.best_on != stop.score_name and (self.best_on or stop.monitor != "loss"):
                self.best, self.best_params = math.inf, None
            self.best_on = stop.score_name
        if self.rule is not None and counters.get("rule_on") == stop.score_name:
            self.rule.best, self.rule.stale = number(counters.get("rule_best")), counters["rule_stale"]
        least = counters.get("rate_least", 0.0) if stop.reduce is None else stop.reduce.least
        self.reduction = Reduction(counters.get("rate_factor", 1.0), least)

    def prepare_calls(self, task: Task, rows_a_step: int, *, trusted: bool = False) -> bool:
        """Prepare calls of the back end that do several epochs and decide at their ends; return whether it can.

        Steps are not done in advance if the learning rate is a function of the caller, which may raise, unless it is
        `trusted`.
        """
        scored, rate = self.scored, task.optimizer.learning_rate
        if not self.each_epoch or (self.stop.monitor != "loss" and self.validation is None):
            return False
        if callable(rate) and not trusted and type(rate) not in SCHEDULES.values():
            return False
        if not self.backend.decides(task, rows_a_step, scored):
            return False
        if scored is None:
            return True
        if len(scored.data.X) * task.network.n_params > FIRST_CHUNK_WORK:
            return False  # some ms: after each, somebody may want to stop
        if self.stop.monitor == "accuracy" and (scored.data.sample_weight == 1).all():
            exclusive, Y = task.network.loss_name == "cross_entropy", scored.data.Y
            self.labels = np.ascontiguousarray(Y.argmax(axis=1) if exclusive else Y > 0.5, np.int64)[None]
        return self.stop.monitor == "loss" or self.labels is not None

    @property
    def each_epoch(self) -> bool:
        """Whether epochs end with a score or a decision."""
        return self.rule is not None or self.scored is not None

    def write(self, rules: NDArray[np.float64], best_params: Array) -> None:
        """Write the rule and the best score to the row `rules` (N_RULE,), and its parameters (n_params,), if kept."""
        rule = self.rule
        if rule is not None:
            strict = (1 if rule.strict else 2) if rule.nan_fails else 0
            rules[:BEST] = rule.tol, rule.limit, rule.also_each, strict, rule.best, rule.stale
        rules[BEST] = self.best
        if self.best_params is not None and best_params.size:
            best_params[...] = self.best_params

    def take(self, rules: EpochRules, k: int = 0) -> bool:
        """Record the decisions of a call of the back end for member k; return whether the rule has fired."""
        rule, (n, fired), row = self.rule, rules.ended[k].tolist(), rules.rules[k]
        if rules.scored:
            self.of_rows.frombytes(rules.losses[k, :n].tobytes())
        if self.labels is not None:
            self.measured.frombytes(rules.measured[k, :n].tobytes())
        if rules.best_params.size and row[BEST] < self.best:
            self.best, self.best_params = float(row[BEST]), rules.best_params[k]
        if rule is not None:
            rule.best, rule.stale = float(row[RULE_BEST]), int(row[STALE])
        return bool(fired)

    def fires(self, loss: float, params: Array, so_far: Callable[[], TrainingResult]) -> bool:
        """Score the epoch that has ended, given its training loss; return whether the rule fires."""
        score = loss if self.scored is None else self._scored_after(params, so_far)
        return self.rule is not None and self.rule.fires(loss if self.of_losses else score)

    def _scored_after(self, params: Array, so_far: Callable[[], TrainingResult]) -> float:
        """Return the score of the epoch that has ended; keep the parameters (n_params,) if it is the best one.

        Raises
        ------
        MonitorError
            With the result `so_far`, if a monitor of the caller fails.
        """
        if self.validation is not None or self.stop.monitor == "loss":
            score = self.backend.loss(self.scored, params)
            self.of_rows.append(score)
        if self.stop.monitor != "loss":
            self.measured.append(math.nan)  # whatever comes next: an epoch that has ended has a score
            self.measured[-1] = self._monitored(params, so_far)
            score = -self.measured[-1]
        if self.stop.restore_best and math.isfinite(score) and score < self.best:
            self.best, self.best_params = score, params.copy()
        return score

    def _monitored(self, params: Array, so_far: Callable[[], TrainingResult]) -> float:
        outputs = self.backend.predict(self.task.network, params, self.inputs, self.task.threads)
        try:
            return self._score(outputs)
        except Exception as error:
            raise MonitorError(
                f"the monitor {cut(name_of(self.stop.monitor))} failed after epoch {len(self.measured)} of this call: "
                f"{class_of(error)}: {cut(error)}; `.result` of this error is the training up to there",
                so_far(),
            ) from error

    def stall(self) -> StopReason | None:
        """Return the stop reason after the rule has fired, or reduce the learning rate."""
        assert self.rule is not None
        if self.rule.is_over:
            return "tolerance" if self.validation is None else "validation"
        if self.stop.reduce is not None:
            self.reduction = self.reduction._replace(factor=self.reduction.factor * self.stop.reduce.factor)
        return None

    def diverged(self) -> bool:
        """Return whether training goes on after a step that diverged and was undone."""
        return False

    def decided(self, own: Decided) -> Decided:
        """Return the part of a result with the scores so far, and the counts that resuming needs."""
        rule = self.rule
        counters: Counters = {"best_score": finite(self.best)}
        if self.best_on is not None:
            counters["best_on"] = self.best_on
        if self.reduction.factor < 1:
            counters |= {"rate_factor": self.reduction.factor, "rate_least": self.reduction.least}
        if rule is not None:
            counters |= {"rule_on": self.stop.score_name, "rule_best": finite(rule.best), "rule_stale": rule.stale}
        best = self.best_params
        return own._replace(
            params=best.copy() if self.stop.restore_best and best is not None else None,
            validation_loss=np.array(self.validation_losses),
            measured=np.array(self.measured),
            monitor=name_of(self.stop.monitor),
            counters=counters,
            best_params=best,
        )


def rules_of(decisions: list[Decisions], steps: Steps, first: int, per_epoch: int, epoch_loss: EpochLoss) -> EpochRules:
    """Return the rules for a call of the back end that does `steps`, with epochs of `per_epoch` steps.

    `decisions` are those of its members, by scores of one kind; `first` steps of the current epoch are done before.
    """
    m, first_one = len(decisions), decisions[0]
    scored = [own.scored for own in decisions if own.scored is not None]
    labels = [own.labels for own in decisions if own.labels is not None]
    n_epochs, n_kept = (first + len(steps.start)) // per_epoch, first_one.task.network.n_params
    by_steps = first_one.of_losses and any(own.rule is not None for own in decisions)
    factors, mean = epoch_loss.factors(steps) if by_steps else (NO_FACTORS, False)
    losses, measured = np.zeros((m, n_epochs if scored else 0)), np.zeros((m, n_epochs if labels else 0))
    best = np.zeros((m, n_kept if first_one.stop.restore_best else 0), first_one.task.data.X.dtype)
    rules = EpochRules(
        first=first,
        per_epoch=per_epoch,
        scored=scored,
        labels=np.concatenate(labels) if labels else None,
        factors=factors,
        mean=mean,
        divisor=1,
        rules=np.zeros((m, N_RULE)),
        losses=losses,
        measured=measured,
        best_params=best,
        sums=np.array([epoch_loss.partial] * m),
        ended=np.zeros((m, 2), np.int64),
    )
    for own, row, best_params in zip(decisions, rules.rules, rules.best_params, strict=True):
        own.write(row, best_params)
    return rules


NO_FACTORS = np.zeros(0)
"""The factors for a rule that does not use the losses of steps."""


def _used(rows: Data, state: TrainingState | None = None) -> Data:
    """Return the rows of nonzero weight; for a state, its training rows."""
    used = rows.sample_weight > 0
    if state is not None and state.validation_rows is not None:
        used[state.validation_rows] = False
    return rows if used.all() else Data(*(array[used] for array in rows))


def finite(value: float) -> float | None:
    """Return None for infinity ("no score yet"), which JSON lacks."""
    return value if math.isfinite(value) else None


def number(value: float | None) -> float:
    """Return infinity for None."""
    return math.inf if value is None else value
