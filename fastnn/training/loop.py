"""The loop of a training: chunks of steps on a back end, and what is measured and decided between two of them."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Collection

import numpy as np

from fastnn.backends import Backend
from fastnn.checking.arguments import shown
from fastnn.memory import Array
from fastnn.optimizers import Optimizer
from fastnn.state import Data, StepState, Task
from fastnn.training.batches import RowPlan, first_steps
from fastnn.training.callbacks import Progress
from fastnn.training.epoch_losses import EpochLog, EpochLoss
from fastnn.training.exceptions import attach_result
from fastnn.training.history import History
from fastnn.training.monitors import name_of
from fastnn.training.options import training_counters
from fastnn.training.pace import Pace
from fastnn.training.rates import Reduction, learning_rates
from fastnn.training.results import TrainingResult
from fastnn.training.scores import Scores, finite, number
from fastnn.training.state import Counters, TrainingState
from fastnn.training.stopping import Patience, Stop, StopReason


class Run:
    """A training under way: its measurements and decisions between two chunks of steps."""

    epochs_before = n_done = 0
    """Epochs that ended in the runs that this one goes on from, and in this call."""
    stop_reason: StopReason = "running"
    divergence = ""
    over = False
    reduction = Reduction()
    epochs_ahead = math.inf
    """Epochs of the next chunk at most: twice those of the last one, from where a rule fired within a chunk."""
    snapshot: StepState | None = None
    """The state when the last chunk began."""

    def __init__(
        self,
        task: Task,
        backend: Backend,
        state: TrainingState,
        plan: RowPlan,
        n_epochs: int,
        *,
        rule: Patience | None = None,
        stop: Stop | None = None,
        validation: Data | None = None,
        started: float,
    ) -> None:
        self.task, self.backend, self.plan = task, backend, plan
        self.n_epochs, self.started, self.rule = n_epochs, started, rule
        self.stop = stop = Stop() if stop is None else stop
        self.scores = Scores(task, backend, stop, validation, state, plan.rows)
        self.validation_rows, self.feature_names = state.validation_rows, state.feature_names
        self.epochs = EpochLog()
        self.state: StepState = state
        """Only what a back end changes is kept up to date; `result` adds the rest."""
        self.pace = Pace(state.n_params, plan.batch_size)
        self.epoch_loss = EpochLoss(task.data, task.network.reduction, plan.steps_per_epoch)
        if state.counters:
            self._take_over(state.counters)
        if stop.reduce is not None:
            self.reduction = self.reduction._replace(least=stop.reduce.least)

    def _take_over(self, counters: Counters) -> None:
        """Take over the counts of the training that this one goes on from."""
        self.epochs_before = counters.get("epoch", 0)
        if self.rule is not None and counters.get("rule_on") == self.stop.score_name:
            self.rule.best, self.rule.stale = number(counters.get("rule_best")), counters["rule_stale"]
        self.reduction = Reduction(counters.get("rate_factor", 1.0), counters.get("rate_least", 0.0))
        self.epoch_loss.partial = (counters.get("loss_sum", 0.0), counters.get("row_sum", 0.0))

    def chunk(self, n_epochs: int) -> int:
        """Do a chunk of steps, at most until `n_epochs` epochs have ended; return how many epochs ended."""
        before, plan, state = time.perf_counter(), self.plan, self.state
        n_steps = min(self.pace.n_steps, plan.steps_until(int(min(n_epochs, self.epochs_ahead))))
        steps = plan.draw(n_steps, self._rates(n_steps))
        if self.snapshot is None:
            self.snapshot = StepState(state.storage.copy(), state.n_params, state.t, state.beta_products.copy())
        else:
            self.snapshot.restore(state)
        n_good = self.backend.train_steps(self.task, state, steps)

        losses, partial = self.epoch_loss.add(steps, n_good, plan.batch)
        fired = self.rule.count(losses) if self.rule is not None and self.scores.of_losses else None
        n_wanted = n_good
        self.epochs_ahead *= 2
        if fired is not None:
            losses, partial, n_wanted = losses[:fired], (0.0, 0.0), plan.steps_until(fired)
            self.epochs_ahead = 2.0 * fired
            self._stall()
        elif n_good < n_steps:
            self.end("diverged")
            self.divergence = self._describe_divergence(float(steps.learning_rate[n_good]), n_good)
        if n_wanted < n_steps:
            state.restore(self.snapshot)
            again = first_steps(steps, n_wanted)
            if n_wanted and self.backend.train_steps(self.task, state, again) != n_wanted:
                raise RuntimeError(
                    f"back end {shown(self.backend.name)} did not repeat its own steps, from the same state"
                )
        n_ended = len(losses)
        if n_ended:
            self.epochs.add(losses, steps.learning_rate[plan.steps_until(1) - 1 : n_wanted : plan.steps_per_epoch])
            self.n_done += n_ended
        plan.commit(n_wanted)
        self.epoch_loss.partial = partial
        if self.pace.is_representative(n_steps, seconds := time.perf_counter() - before):
            self.pace.measured(int(np.count_nonzero(steps.loss)), seconds)
        return n_ended

    def epochs_until(self, periods: Collection[int]) -> int:
        """Return the epochs to go until one whose number, of all, is a multiple of a period, or until the last one."""
        epoch, n = self.epochs_before + self.n_done, self.n_epochs - self.n_done
        for period in periods:
            n = min(n, period - epoch % period)
        return n

    @property
    def n_epochs_in_all(self) -> int:
        """Epochs that ended, earlier runs included."""
        return self.epochs_before + self.n_done

    def go_on(self, optimizer: Optimizer) -> None:
        """Go on with another optimizer after a reason to stop, and count epochs without improvement from 0 again."""
        self.stop_reason = "running"
        self.task = dataclasses.replace(self.task, optimizer=optimizer)
        if self.rule is not None:
            self.rule.stale = 0

    def force_step(self, step: Callable[[Task, StepState, Data, float], float]) -> Array:
        """Do one step whose loss and parameters need not be finite; return the losses of the epochs that ended.

        Parameters
        ----------
        step : callable
            Takes the task, the state, the step's rows and its learning rate; returns the loss.
        """
        self.stop_reason = "running"
        steps = self.plan.draw(1, self._rates(1))
        rows = steps.rows[steps.start[0] : steps.stop[0]]
        batch = Data(*(array[rows] for array in self.task.data))
        steps.loss[0] = step(self.task, self.state, batch, float(steps.learning_rate[0]))
        losses, self.epoch_loss.partial = self.epoch_loss.add(steps, 1, self.plan.batch)
        self.plan.commit(1)
        if len(losses):
            self._count(losses)
        return losses

    def lose_epoch(self) -> Array:
        """Count an epoch after divergence, in which nothing can be learned; return its losses (NaN,)."""
        losses = np.array([math.nan])
        self._count(losses)
        return losses

    def _count(self, losses: Array) -> None:
        self.epochs.add(losses, np.full(len(losses), math.nan))
        self.n_done += len(losses)
        if self.rule is not None:
            self.rule.count(losses)

    def score(self) -> None:
        """Take the score of the epoch that has ended, and ask the stop rule about it."""
        score = self.scores.take(self.state.params, lambda: self.result("running"))
        if self.rule is not None and not self.scores.of_losses and self.rule.fires(score):
            self._stall()

    def _stall(self) -> None:
        """Stop or reduce the learning rate, as the rule says that has fired."""
        assert self.rule is not None
        if self.rule.is_over:
            self.end("tolerance" if self.scores.validation is None else "validation")
        elif self.stop.reduce is not None:
            self.reduction = self.reduction._replace(factor=self.reduction.factor * self.stop.reduce.factor)

    def _rates(self, n_steps: int) -> Array | float:
        """Return the learning rates of the next steps, or the one of all."""
        rate = self.task.optimizer.learning_rate
        if not callable(rate):
            return self.reduction.of(rate)
        try:
            rates = learning_rates(rate, self.state.t, n_steps)
        except Exception as error:  # of a function of the caller's own, before any of these steps
            attach_result(error, self.result("running"))
            raise
        return self.reduction.of(rates)

    def check_end(self) -> None:
        """End when all epochs are done or the time is over, unless there is a reason to stop already."""
        limit = self.stop.max_seconds
        if self.n_done >= self.n_epochs:
            self.end("epochs")
        elif limit is not None and time.perf_counter() - self.started >= limit:
            self.end("time")

    def end(self, reason: StopReason) -> None:
        """Stop after this chunk for this reason, unless there is one already."""
        if self.stop_reason == "running":
            self.stop_reason = reason

    def progress(self) -> Progress:
        """Return the argument of callbacks."""
        step, (loss, rate) = self.state.t, self.epochs.last
        validation_losses, measured = self.scores.validation_losses, self.scores.measured
        now = {
            "epoch": self.n_done,
            "n_epochs": self.n_epochs,
            "part": self.plan.batch / self.plan.steps_per_epoch,
            "step": step,
            "loss": loss,
            "validation_loss": validation_losses[-1] if validation_losses else math.nan,
            "seconds": time.perf_counter() - self.started,
            "epoch_in_all": self.epochs_before + self.n_done,
            "score": (measured or validation_losses or [loss])[-1],
            "learning_rate": rate,
            "_result": self._result_at,
        }
        progress = Progress.__new__(Progress)  # `__init__` of a frozen class would take three times as long
        object.__setattr__(progress, "__dict__", now)
        return progress

    def _result_at(self, step: int) -> TrainingResult:
        if self.over or self.state.t != step:
            raise RuntimeError("the training has gone on: Progress.result() is for use within the callback")
        return self.result("running")

    def result(self, reason: StopReason) -> TrainingResult:
        """Return the training as it stands: a copy while it goes on, else with the arrays of this run."""
        goes_on, best = reason == "running", self.scores.best_params
        steps = StepState.copy(self.state) if goes_on else self.state
        params = (best if self.stop.restore_best and best is not None else steps.params).copy()
        params.setflags(write=False)
        parts = {"state": self._state_maker(steps), "history": self._history_maker(goes_on)}
        return TrainingResult._in_parts(parts, self.task.network, params, reason, self.backend, self.state.threads)

    def _state_maker(self, steps: StepState) -> Callable[[], TrainingState]:
        """Return a function that makes the state of a result. It refers to no data: a result keeps none in memory."""
        task, plan, rule = self.task, self.plan, self.rule
        validation_rows, feature_names = self.validation_rows, self.feature_names
        network, optimizer, alpha = task.network, task.optimizer, task.alpha
        asked, epoch, partial, batch = plan.asked, self.n_epochs_in_all, self.epoch_loss.partial, plan.batch
        random_state, index = plan.generator_state(network), plan.index
        told, best = self.scores.counters(), self.scores.best_params
        if self.reduction.factor < 1:
            told |= {"rate_factor": self.reduction.factor, "rate_least": self.reduction.least}
        if rule is not None:
            told |= {"rule_on": self.stop.score_name, "rule_best": finite(rule.best), "rule_stale": rule.stale}

        def make() -> TrainingState:
            return TrainingState(
                steps.storage,
                steps.n_params,
                steps.t,
                steps.beta_products,
                optimizer=optimizer.name,
                random_state=random_state(),
                index=index.copy(),
                validation_rows=validation_rows,
                batch=batch,
                counters=training_counters(network, optimizer, alpha, asked, epoch, partial) | told,
                best_params=best,
                feature_names=feature_names,
            )

        return make

    def _history_maker(self, goes_on: bool) -> Callable[[], History]:
        """Return a function that makes the history of a result."""
        scores, epochs, monitor = self.scores, self.epochs, self.stop.monitor
        losses, rates, seconds = epochs.losses, epochs.rates, time.perf_counter() - self.started
        validation_losses, measured = scores.validation_losses, scores.measured
        if goes_on:
            losses, rates, validation_losses, measured = losses[:], rates[:], validation_losses[:], measured[:]

        def make() -> History:
            columns = losses, validation_losses, rates, measured
            loss, validation_loss, rate, score = (np.ndarray(len(c), np.float64, c) for c in columns)  # no copies
            return History(loss, validation_loss, seconds, rate, score, name_of(monitor))

        return make

    def _describe_divergence(self, learning_rate: float, n_good: int) -> str:
        epoch, batch = divmod(self.plan.batch + n_good, self.plan.steps_per_epoch)
        epoch += self.n_epochs_in_all
        assert self.snapshot is not None
        return (
            f"training diverged at step {self.snapshot.t + n_good} (epoch {epoch}, batch {batch}, all counted from 0): "
            f"the loss or a parameter is not finite. Try a smaller learning rate (here it was {learning_rate:g}) or "
            "inputs and targets of the size of 1; `.result` of this error is the training up to the step before."
        )
