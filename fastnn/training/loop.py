"""The loop of trainings: chunks of steps on a back end, and measurements and decisions between two of them.

A group is several trainings of one shape, which do their steps side by side: each array has a row for each member.
`train` is a group of one, and so is a member that needs decisions by Python at the ends of epochs.
"""

import math
import operator
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import original
from fastnn.checking.arguments import shown
from fastnn.memory import Array
from fastnn.optimizers import Method
from fastnn.state import Data, EpochRules, Steps, StepState, Task
from fastnn.training.callbacks import Progress
from fastnn.training.epochs import (
    CHUNK_SECONDS,
    Decisions,
    EpochLog,
    EpochLoss,
    Pace,
    learning_rates,
    rules_of,
)
from fastnn.training.exceptions import attach_result
from fastnn.training.plan import Plan
from fastnn.training.results import Decided, Kind, Results, TrainingResult
from fastnn.training.rows import digest
from fastnn.training.stopping import ENDS, StopReason


class Group:
    """A group of running trainings of one shape: one, or several, all of whose draws are done.

    Parameters
    ----------
    plans : sequence of Plan
    state : StepState or GroupState
        The state of one training, or arrays with a row for each member; changed in place.
    order : RowOrder or RowOrders
        The rows of the steps.
    started : float
        The time of the call.
    """

    n_done = 0
    """Epochs that ended in this call, for members with at least this many."""
    divergence = ""
    over = False
    snapshot: StepState | None = None
    """The state of a group of one at the beginning of the last chunk."""
    in_calls = False
    """Whether the back end decides at the ends of epochs, within a call."""
    threads = 1
    """Threads that share the members of a call."""

    def __init__(self, plans: Sequence[Plan], state: Any, order: Any, started: float) -> None:
        self.plan = plan = plans[0]
        self.plans, self.state, self.order, self.started = plans, state, order, started
        self.backend, self.is_one, m = plan.backend, len(plans) == 1, len(plans)
        self.n_before = int(order.before[0])
        """Epochs that the first member did in earlier calls."""
        self.pace = Pace(state.n_params, order.batch_size)
        if self.is_one:  # the same as below, in a third of the time
            self.tasks, self.which, self.n_epochs = [task_of(plan)], FIRST, plan.n_epochs
        else:
            self.tasks, self.which = tasks_of(plans)
            self.n_epochs = max(own.n_epochs for own in plans)
            self.pace.n_steps = order.steps_until(self.n_epochs)
        self.reasons: list[StopReason] = ["running"] * m
        """Why the training of each member ended."""
        self.cut: dict[int, int] = {}
        """The epochs of each of several members whose training ended early."""
        self.decisions: list[Decisions] = []
        """The decisions at the ends of epochs for each member, if any."""
        self.log = EpochLog()
        self.epoch_loss = EpochLoss(plan.data, plan.network.reduction, order.steps_per_epoch)

    @property
    def stop_reason(self) -> StopReason:
        """Why a group of one ended."""
        return self.reasons[0]

    def decide(self, decisions: list[Decisions], *, trusted: bool = False) -> None:
        """Make these decisions for each member at the ends of epochs, within the calls of the back end if it can.

        `trusted`: as for `Decisions.prepare_calls`.
        """
        batch_size, per_epoch = self.order.batch_size, self.order.steps_per_epoch
        self.decisions = decisions
        self.in_calls = all(own.prepare_calls(self.tasks[0], batch_size, trusted=trusted) for own in decisions)
        if self.in_calls and self.is_one and (scored := decisions[0].scored) is not None:
            self.pace = Pace(self.state.n_params, batch_size, len(scored.data.X) // per_epoch)

    def chunk(self, periods: Collection[int] = ()) -> int:
        """Do a chunk of steps, at most to the next epoch whose number (of all epochs) is a multiple of a period.

        Several members do all their steps in one chunk.

        Returns
        -------
        int
            How many epochs ended.
        """
        began, order, tasks, state, decisions = time.perf_counter(), self.order, self.tasks, self.state, self.decisions
        n_left = self.n_epochs - self.n_done
        for period in periods:
            n_left = min(n_left, period - (self.n_before + self.n_done) % period)
        in_call = self.in_calls and (n_left > 1 or not self.is_one)
        scores = bool(decisions) and decisions[0].each_epoch and not in_call
        n_steps = min(self.pace.n_steps, order.steps_until(min(n_left, 1) if scores else n_left))
        steps, rules = order.draw(n_steps, self._rates(n_steps)), None
        if in_call:
            rules = rules_of(decisions, steps, order.batch, order.steps_per_epoch, self.epoch_loss)
        if self.is_one:
            self._save()
            call = self.backend.train_steps  # of which not all take rules
            n_good = call(tasks[0], state, steps) if rules is None else call(tasks[0], state, steps, rules)
            wanted, good = [n_steps], [int(n_good)]
        else:
            wanted = [order.steps_until(plan.n_epochs) for plan in self.plans]
            n_each = np.array(wanted, np.int64)
            good = self.backend.train_group(tasks, self.which, state, steps, n_each, rules, self.threads).tolist()
        n_counted = good[0] if self.is_one else n_steps
        losses = self.epoch_loss.add(steps, n_counted, order.batch)
        if n_ended := losses.shape[-1]:
            ends = slice(order.steps_until(1) - 1, n_counted, order.steps_per_epoch)
            self.log.add(losses, steps.learning_rate[ends] if self.is_one else steps.learning_rate[:, ends])
            self.n_done += n_ended
        order.commit(n_counted)
        seconds = time.perf_counter() - began
        if n_steps == self.pace.n_steps or seconds > CHUNK_SECONDS:  # else it was shorter because an epoch ended
            self.pace.measured(int(np.count_nonzero(steps.loss)), seconds)
        if rules is not None or good != wanted:
            for k, (n_good, n_wanted) in enumerate(zip(good, wanted, strict=True)):
                self._record(k, n_good, n_good < n_wanted, rules, steps)
        if n_ended and scores and decisions[0].fires(self.log.last[0], state.params, self.so_far):
            self._stall(0)
        return n_ended

    def _record(self, k: int, n_good: int, is_short: bool, rules: EpochRules | None, steps: Steps) -> None:
        """Record what a call decided for member k, or why it ended after `n_good` steps, where that is too few."""
        if rules is not None and self.decisions[k].take(rules, k):
            self._stall(k)
        elif is_short and isinstance(optimizer := self.plan.optimizer, Method):
            reason = optimizer.ended(self.state.storage if self.is_one else self.state.storage[k])
            self._end(k, cast(StopReason, reason or "diverged"))
        elif is_short:
            self._end(k, "diverged")
        if self.reasons[k] not in ("running", "diverged"):
            self.cut[k] = n_good // self.order.steps_per_epoch
        if self.reasons[k] == "diverged" and self.is_one:
            self._undo(steps, n_good)
            if self.decisions and self.decisions[0].diverged():
                self.reasons = ["running"]
                self._stall(0)

    def _save(self) -> None:
        """Save the state of a group of one before a chunk of steps."""
        if self.snapshot is not None:
            self.snapshot.restore(self.state)
            return
        state = self.state
        self.snapshot = StepState(state.storage.copy(), state.n_params, state.t, state.beta_products.copy())

    def _undo(self, steps: Steps, n_good: int) -> None:
        """Undo the bad step of a group of one, by repeating the steps before it, because a step draws nothing."""
        assert self.snapshot is not None
        self.divergence = (
            f"training diverged at step {self.snapshot.t + n_good} (epoch {self.n_before + self.n_done}, batch "
            f"{self.order.batch}, all counted from 0): the loss or a parameter is not finite. Try a smaller learning "
            f"rate (here it was {steps.learning_rate[n_good]:g}) or inputs and targets of the size of 1; `.result` of "
            "this error is the training up to the step before."
        )
        self.state.restore(self.snapshot)
        again = Steps._make([steps.rows, *(array[:n_good] for array in steps[1:])])
        if n_good and self.backend.train_steps(self.tasks[0], self.state, again) != n_good:
            raise RuntimeError(f"back end {shown(self.backend.name)} did not repeat its own steps, from the same state")

    def force_step(self, step: Callable[[Task, StepState, Data, float], float]) -> Array:
        """Do one step whose loss and parameters may be infinite or NaN; return the losses of the epochs that ended.

        Parameters
        ----------
        step : callable
            Takes the task, the state, the step's rows and its learning rate; returns the loss.
        """
        steps = self.order.draw(1, self._rates(1))
        rows = steps.rows[steps.start[0] : steps.stop[0]]
        batch = Data(*(array[rows] for array in self.tasks[0].data))
        steps.loss[0] = step(self.tasks[0], self.state, batch, float(steps.learning_rate[0]))
        losses = self.epoch_loss.add(steps, 1, self.order.batch)
        self.order.commit(1)
        if len(losses):
            self._count(losses)
        return losses

    def lose_epoch(self) -> Array:
        """Count an epoch after divergence, which learns nothing; return its losses (NaN,)."""
        losses = np.array([math.nan])
        self._count(losses)
        return losses

    def _count(self, losses: Array) -> None:
        self.log.add(losses, np.full(len(losses), math.nan))
        self.n_done += len(losses)
        for own in self.decisions:
            if own.rule is not None:
                own.rule.fires(float(losses[0]))

    def _stall(self, k: int) -> None:
        """End member k, or reduce its learning rate, after its rule has fired."""
        if reason := self.decisions[k].stall():
            self._end(k, reason)

    def _rates(self, n_steps: int) -> NDArray[np.float64] | float:
        """Return the learning rates (n_steps,) of the next steps, or one for all; (m, n_steps) where members differ."""
        rate, t = self.tasks[0].optimizer.learning_rate, self.state.t
        if not self.is_one:
            kinds = [(own.optimizer.learning_rate, t) for own, t in zip(self.plans, t.tolist(), strict=True)]
            if any(kind != kinds[0] for kind in kinds):
                if all(isinstance(rate, float) for rate, _ in kinds):
                    return np.repeat(np.array([[rate] for rate, _ in kinds], np.float64), n_steps, axis=1)
                return np.array([learning_rates(rate, t, n_steps) for rate, t in kinds])
            rate, t = kinds[0]
        if callable(rate):
            try:
                rates: Any = learning_rates(rate, t, n_steps)
            except Exception as error:  # of a function of the caller's own, before any of these steps
                attach_result(error, self.so_far())
                raise
        else:
            rates = rate
        return self.decisions[0].reduction.of(rates) if self.decisions else rates

    def goes_on(self) -> bool:
        """Return whether to do another chunk; end if all epochs are done or, after the first, the time is over."""
        if self.n_done >= self.n_epochs:
            self.end("epochs")
        elif (
            (limit := self.plan.stop.max_seconds) is not None
            and self.snapshot is not None
            and time.perf_counter() - self.started >= limit
        ):
            self.end("time")
        return "running" in self.reasons

    def interrupt(self, reason: StopReason) -> None:
        """End on request; a training that a stop rule or divergence has ended just before keeps its reason."""
        self.reasons = [own if own in ENDS else reason for own in self.reasons]

    def end(self, reason: StopReason) -> None:
        """Stop after this chunk for this reason, unless there is one already."""
        for k, own in enumerate(self.reasons):
            if own == "running":
                self.reasons[k] = reason

    def _end(self, k: int, reason: StopReason) -> None:
        if self.reasons[k] == "running":
            self.reasons[k] = reason

    def progress(self) -> Progress:
        """Return the argument of callbacks."""
        step, (loss, rate) = self.state.t, self.log.last
        scores = self.decisions[0] if self.decisions else None
        validation_losses, measured = (scores.validation_losses, scores.measured) if scores is not None else ((), ())
        now = {
            "epoch": self.n_done,
            "n_epochs": self.n_epochs,
            "part": self.order.batch / self.order.steps_per_epoch,
            "step": step,
            "loss": loss,
            "validation_loss": validation_losses[-1] if validation_losses else math.nan,
            "seconds": time.perf_counter() - self.started,
            "epoch_in_all": self.n_before + self.n_done,
            "score": (measured or validation_losses or [loss])[-1],
            "learning_rate": rate,
            "_result": self._result_at,
            "_epochs_after": self._epochs_after,
        }
        progress = Progress.__new__(Progress)  # `__init__` of a frozen class would take three times as long
        object.__setattr__(progress, "__dict__", now)
        return progress

    def _result_at(self, step: int) -> TrainingResult:
        if self.over or self.state.t != step:
            raise RuntimeError("the training has gone on: Progress.result() is for use within the callback")
        return self.so_far()

    def _epochs_after(self, n: int) -> list[tuple[float, ...]]:
        """Return the numbers of the epochs after the first n, in the order of `History.to_dict`."""
        own = self.decisions[0] if self.decisions else None
        validation, measured = ((), ()) if own is None else (own.validation_losses[n:], own.measured[n:])
        losses, rates = self.log.after(n)
        scores = measured or validation or losses
        return [*zip(losses, validation or [math.nan] * len(losses), rates, scores, strict=True)]

    def so_far(self) -> TrainingResult:
        """Return the present result of a group of one, a copy while the training continues."""
        return self.results(goes_on=True).result(0)

    def results(self, goes_on: bool = False) -> Results:
        """Return the present results; copies while the trainings continue, else with the arrays of this group."""
        plan, plans, order, state = self.plan, self.plans, self.order, self.state
        storage, beta_products = state.storage, state.beta_products
        if goes_on:
            storage, beta_products = storage.copy(), beta_products.copy()
        if self.is_one:
            storage, beta_products, n_epochs, steps = storage[None], beta_products[None], [self.n_done], [state.t]
        else:
            n_epochs = [self.cut.get(k, own.n_epochs) for k, own in enumerate(plans)]
            steps = [t + n * order.steps_per_epoch for t, n in zip(state.t.tolist(), n_epochs, strict=True)]
        is_plain = not (self.decisions or order.batch or state.threads > 1 or order.splits[0] is not None)
        digests: list[int | None] = [None] * len(plans)
        known: dict[int, int] = {}
        decided: dict[int, Decided] = {}
        for k, reason in enumerate(self.reasons):
            if (rows := plans[k].rows) is not None:  # of members that share them, once
                digests[k] = known[id(rows)] = known.get(id(rows)) or digest(rows)
            if reason != "epochs" or not is_plain:
                decided[k] = self._additions(k, reason)
        kind = Kind(plan.network, original(plan.backend), plan.batch_size, plan.shuffle, plan.feature_names)
        optimizers, epochs = [*map(OPTIMIZER_AND_ALPHA, self.tasks)], [*map(operator.add, order.before, n_epochs)]
        log, places = self.log.arrays(goes_on), order.places(n_epochs)
        seconds = (time.perf_counter() - self.started) / len(plans)
        of_steps = storage, beta_products, n_epochs, epochs, steps
        return Results(kind, optimizers, self.which, *of_steps, *log, seconds, digests, places, decided)

    def _additions(self, k: int, reason: StopReason) -> Decided:
        """Return the additional part of member k's result."""
        partial, batch, threads = self.epoch_loss.partial, self.order.batch, self.state.threads
        own = Decided(reason, validation_rows=self.order.splits[k], batch=batch, partial=partial, threads=threads)
        return self.decisions[k].decided(own) if self.decisions else own

    def give_back(self) -> None:
        """Return to the kit what this finished group has taken from it."""
        self.over = True
        self.order.give_back(self.plan.seed)


OPTIMIZER_AND_ALPHA = operator.attrgetter("optimizer", "alpha")


FIRST = np.zeros(1, np.int64)
"""The task index of a group of one."""


def task_of(plan: Plan) -> Task:
    """Return the task of a training."""
    return Task(plan.network, plan.optimizer, plan.data, plan.alpha, plan.value_alpha, plan.threads)


def tasks_of(plans: Sequence[Plan]) -> tuple[list[Task], NDArray[np.int64]]:
    """Return a task for each different optimizer, penalty and data, and the task index (m,) of each member."""
    places: dict[tuple[int, float, int], int] = {}
    tasks, which = list[Task](), list[int]()
    for plan in plans:
        place = places.setdefault((id(plan.optimizer), plan.alpha, id(plan.data)), len(places))
        if place == len(tasks):
            tasks.append(task_of(plan))
        which.append(place)
    return tasks, np.array(which, np.int64)
