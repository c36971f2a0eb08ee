"""The loop of trainings: chunks of steps on a back end, and measurements and decisions between two of them.

A group is several trainings of one shape, which do their steps side by side: each array has a row for each member.
`train` is a group of one, and so is a member that needs decisions by Python at the ends of epochs.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import original
from fastnn.checking.arguments import shown
from fastnn.memory import Array
from fastnn.optimizers import Method, Optimizer
from fastnn.state import Data, EpochRules, GroupState, Steps, StepState, Task
from fastnn.training.callbacks import Progress
from fastnn.training.epochs import CHUNK_SECONDS, Decisions, EpochLog, EpochLoss, Pace, learning_rates, together
from fastnn.training.exceptions import attach_result
from fastnn.training.plan import Plan
from fastnn.training.results import PLAIN, Decided, Kind, Results, TrainingResult
from fastnn.training.rows import RowOrder, RowOrders, Rows, digest, first_steps
from fastnn.training.state import TrainingState
from fastnn.training.stopping import StopReason


class Group:
    """A group of running trainings of one shape.

    Parameters
    ----------
    plans : sequence of Plan
    state : StepState or GroupState
        The state of one training, or arrays with a row for each member; changed in place.
    order : RowOrder or RowOrders
        The rows of the steps.
    started : float
        The time of the call.
    before : sequence of int, optional
        The epochs of each of several members before this call.
    """

    n_done = 0
    """Epochs that ended in this call, for members with at least this many."""
    stop_reason: StopReason = "running"
    divergence = ""
    over = False
    snapshot: StepState | None = None
    """The state of a group of one at the beginning of the last chunk."""
    decides = False
    """Whether the back end decides at the ends of epochs, within a call."""
    fired = False
    """Whether a rule has fired there during the last call."""
    threads = 1
    """Threads that share the members of a call."""

    def __init__(
        self,
        plans: Sequence[Plan],
        state: TrainingState | GroupState,
        order: RowOrder | RowOrders,
        started: float,
        before: Sequence[int] = (),
    ) -> None:
        self.plan = plan = plans[0]
        self.plans, self.order, self.started = plans, order, started
        self.state: Any = state
        self.backend = plan.backend
        self.is_one = isinstance(state, TrainingState)
        if isinstance(state, TrainingState):
            task = Task(plan.network, plan.optimizer, plan.data, plan.alpha, plan.value_alpha, plan.threads)
            self.tasks, self.which, self.n_epochs = [task], FIRST, plan.n_epochs
            self.before: Sequence[int] = [state.counters.get("epoch", 0)]
        else:
            self.tasks, self.which = tasks_of(plans)
            self.n_epochs, self.before = max(plan.n_epochs for plan in plans), before
        self.decisions: Decisions | None = None
        """The decisions at the ends of epochs, for a group of one."""
        self.log = EpochLog()
        self.pace = Pace(state.n_params, order.batch_size)
        self.epoch_loss = EpochLoss(plan.data, plan.network.reduction, order.steps_per_epoch)
        self.lost: list[int] = []
        """Members of several that diverged: they must train alone."""
        self.member_decisions: list[Decisions] = []
        """The decisions for each of several members, if any."""
        self.splits: list[Rows | None] = []
        """The validation rows split off, for each of several members."""
        self.seeds: list[Any] = []
        """The seeds of several members, those drawn from the system included."""
        self.ends: list[tuple[int, StopReason]] = []
        """The epochs that each of several members has done, and the reason for its end."""

    def chunk(self, periods: Collection[int] = ()) -> int:
        """Do a chunk of steps, at most to the next epoch whose number (of all epochs) is a multiple of a period.

        Returns
        -------
        int
            How many epochs ended.
        """
        began, order, tasks, state, decisions = time.perf_counter(), self.order, self.tasks, self.state, self.decisions
        n_epochs = self.n_epochs - self.n_done
        for period in periods:
            n_epochs = min(n_epochs, period - (self.before[0] + self.n_done) % period)
        in_call = self.decides and n_epochs > 1
        scores = decisions is not None and decisions.each_epoch and not in_call
        n_steps = order.steps_until(min(n_epochs, 1) if scores else n_epochs)
        if self.is_one:
            n_steps = min(self.pace.n_steps, n_steps)
            steps = order.draw(n_steps, self._rates(n_steps))
            self._save()
            rules = None
            if in_call and decisions is not None:
                rules = decisions.rules(steps, order.batch, order.steps_per_epoch, self.epoch_loss)
            of_rules = () if rules is None else (rules,)
            n_good = int(self.backend.train_steps(tasks[0], state, steps, *of_rules))
            if rules is not None and decisions is not None:
                self.fired = decisions.take(rules)
            losses, n_done = self._counted(steps, n_good)
        else:
            n_done, wanted = n_steps, np.array([order.steps_until(plan.n_epochs) for plan in self.plans], np.int64)
            steps = order.draw(n_steps, self._rates_of_several(n_steps))
            each = [own.rules(steps, 0, order.steps_per_epoch, self.epoch_loss) for own in self.member_decisions]
            rules = together(each)
            good = self.backend.train_group(tasks, self.which, state, steps, wanted, rules, self.threads)
            losses, _ = self.epoch_loss.add(steps, n_steps, 0)
            if rules is not None or isinstance(self.plan.optimizer, Method):
                self._end_members(rules, good, wanted)
            self.lost = np.flatnonzero(good != wanted).tolist()
        if n_ended := losses.shape[-1]:
            first = order.steps_until(1) - 1
            self.log.add(losses, steps.learning_rate[..., first : n_done : order.steps_per_epoch])
            self.n_done += n_ended
        order.commit(n_done)
        seconds = time.perf_counter() - began
        if n_steps == self.pace.n_steps or seconds > CHUNK_SECONDS:  # else it was shorter because an epoch ended
            self.pace.measured(int(np.count_nonzero(steps.loss)), seconds)
        if n_ended and scores:
            self._score()
        return n_ended

    def _end_members(self, rules: EpochRules | None, good: NDArray[np.int64], wanted: NDArray[np.int64]) -> None:
        """End those of several members whose rules have fired or whose methods have ended.

        Each has done `good` (m,) steps; the number of `wanted` steps (m,) is updated.
        """
        for k, plan in enumerate(self.plans):
            own = self.member_decisions[k] if rules is not None else None
            n_done, reason = plan.n_epochs, self._ended(self.state.storage[k]) if good[k] < wanted[k] else None
            if rules is not None and own is not None and own.take(rules, k) and (fired := own.stall()):
                reason = fired
            if reason:
                n_done = int(good[k]) // self.order.steps_per_epoch
                wanted[k] = good[k]
            self.ends.append((n_done, reason or "epochs"))

    def _ended(self, vectors: Array) -> StopReason | None:
        """Return the reason why the method has ended the training, from the vectors of its state, or None."""
        optimizer = self.plan.optimizer
        return cast("StopReason | None", optimizer.ended(vectors) or None) if isinstance(optimizer, Method) else None

    def _save(self) -> None:
        """Save the state of a group of one before a chunk of steps."""
        if self.snapshot is not None:
            self.snapshot.restore(self.state)
            return
        state = self.state
        self.snapshot = StepState(state.storage.copy(), state.n_params, state.t, state.beta_products.copy())

    def _counted(self, steps: Steps, n_good: int) -> tuple[Array, int]:
        """Return the losses of epochs (any,), and the number of good steps.

        A bad step is undone by repeating the steps before it, because a step draws nothing at random.
        """
        state, n_steps = self.state, len(steps.loss)
        losses, self.epoch_loss.partial = self.epoch_loss.add(steps, n_good, self.order.batch)
        if self.fired:  # within the call, which ended there
            self.fired = False
            self._stall()
        elif n_good < n_steps and (reason := self._ended(state.vectors)):
            n_steps = n_good
            self.end(reason)
        elif n_good < n_steps:
            self.end("diverged")
            self.divergence = self._describe_divergence(float(steps.learning_rate[n_good]), n_good)
            assert self.snapshot is not None
            state.restore(self.snapshot)
            again = first_steps(steps, n_good)
            if n_good and self.backend.train_steps(self.tasks[0], state, again) != n_good:
                raise RuntimeError(
                    f"back end {shown(self.backend.name)} did not repeat its own steps, from the same state"
                )
        return losses, n_good

    @property
    def n_epochs_in_all(self) -> int:
        """Epochs that ended, earlier calls included, of a group of one."""
        return self.before[0] + self.n_done

    def go_on(self, optimizer: Optimizer) -> None:
        """Continue with another optimizer after a stop, and count epochs without improvement from 0 again."""
        self.stop_reason = "running"
        self.tasks[0] = replace(self.tasks[0], optimizer=optimizer)
        if self.decisions is not None and self.decisions.rule is not None:
            self.decisions.rule.stale = 0

    def force_step(self, step: Callable[[Task, StepState, Data, float], float]) -> Array:
        """Do one step whose loss and parameters may be infinite or NaN; return the losses of the epochs that ended.

        Parameters
        ----------
        step : callable
            Takes the task, the state, the step's rows and its learning rate; returns the loss.
        """
        self.stop_reason = "running"
        steps = self.order.draw(1, self._rates(1))
        rows = steps.rows[steps.start[0] : steps.stop[0]]
        batch = Data(*(array[rows] for array in self.tasks[0].data))
        steps.loss[0] = step(self.tasks[0], self.state, batch, float(steps.learning_rate[0]))
        losses, self.epoch_loss.partial = self.epoch_loss.add(steps, 1, self.order.batch)
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
        if self.decisions is not None and self.decisions.rule is not None:
            self.decisions.rule.fires(float(losses[0]))

    def _score(self) -> None:
        """Score the epoch that has ended, and apply the stop rule."""
        assert self.decisions is not None
        if self.decisions.fires(self.log.last[0], self.state.params, lambda: self.result("running")):
            self._stall()

    def _stall(self) -> None:
        """Stop, or reduce the learning rate, after a rule has fired."""
        assert self.decisions is not None
        if reason := self.decisions.stall():
            self.end(reason)

    def _rates(self, n_steps: int) -> NDArray[np.float64] | float:
        """Return the learning rates (n_steps,) of the next steps, or one rate for all, for a group of one."""
        rate: Any = self.tasks[0].optimizer.learning_rate
        if callable(rate):
            try:
                rate = learning_rates(rate, self.state.t, n_steps)
            except Exception as error:  # of a function of the caller's own, before any of these steps
                attach_result(error, self.result("running"))
                raise
        return rate if self.decisions is None else self.decisions.reduction.of(rate)

    def _rates_of_several(self, n_steps: int) -> NDArray[np.float64]:
        """Return the learning rates (m, n_steps) of the steps, or (1, n_steps) if equal for all members."""
        kinds = [(plan.optimizer.learning_rate, t) for plan, t in zip(self.plans, self.state.t.tolist(), strict=True)]
        if all(kind == kinds[0] for kind in kinds):
            kinds = kinds[:1]
        if all(isinstance(rate, float) for rate, _ in kinds):
            return np.repeat(np.array([[rate] for rate, _ in kinds], np.float64), n_steps, axis=1)
        return np.array([learning_rates(rate, t, n_steps) for rate, t in kinds])

    def goes_on(self) -> bool:
        """Return whether to do another chunk; end if all epochs are done or, after the first, the time is over."""
        if self.stop_reason == "running":
            limit = self.plan.stop.max_seconds
            if self.n_done >= self.n_epochs:
                self.stop_reason = "epochs"
            elif limit is not None and self.snapshot is not None and time.perf_counter() - self.started >= limit:
                self.stop_reason = "time"
        return self.stop_reason == "running"

    def interrupt(self, reason: StopReason) -> None:
        """End on request; this reason replaces any other except divergence."""
        if self.stop_reason != "diverged":
            self.stop_reason = reason

    def end(self, reason: StopReason) -> None:
        """Stop after this chunk for this reason, unless there is one already."""
        if self.stop_reason == "running":
            self.stop_reason = reason

    def progress(self) -> Progress:
        """Return the argument of callbacks."""
        step, (loss, rate) = self.state.t, self.log.last
        scores = None if self.decisions is None else self.decisions.scores
        validation_losses, measured = (scores.validation_losses, scores.measured) if scores is not None else ((), ())
        now = {
            "epoch": self.n_done,
            "n_epochs": self.n_epochs,
            "part": self.order.batch / self.order.steps_per_epoch,
            "step": step,
            "loss": loss,
            "validation_loss": validation_losses[-1] if validation_losses else math.nan,
            "seconds": time.perf_counter() - self.started,
            "epoch_in_all": self.n_epochs_in_all,
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
        return self.result("running")

    def _epochs_after(self, n: int) -> list[tuple[float, ...]]:
        """Return the numbers of the epochs after the first n, in the order of `History.to_dict`."""
        scores = None if self.decisions is None else self.decisions.scores
        validation, measured = ((), ()) if scores is None else (scores.validation_losses[n:], scores.measured[n:])
        losses, rates = self.log.after(n)
        return [
            *zip(losses, validation or [math.nan] * len(losses), rates, measured or validation or losses, strict=True)
        ]

    def result(self, reason: StopReason) -> TrainingResult:
        """Return the present result of a group of one; a copy while the training continues."""
        return self.results(reason).result(0)

    def results(self, reason: StopReason) -> Results:
        """Return the present results; copies while the trainings continue, else with the arrays of this group."""
        plan, order, state, goes_on = self.plan, self.order, self.state, reason == "running"
        storage, beta_products = state.storage, state.beta_products
        if goes_on:
            storage, beta_products = storage.copy(), beta_products.copy()
        decided, n_epochs, digests = {}, [self.n_done], [None if plan.rows is None else digest(plan.rows)]
        if self.is_one:
            storage, beta_products, steps = storage[None], beta_products[None], [state.t]
            own = self._decided(reason)
            decided = {} if own is PLAIN else {0: own}
        else:
            n_epochs = [n for n, _ in self.ends] or [min(self.n_done, own.n_epochs) for own in self.plans]
            steps = [t + n * order.steps_per_epoch for t, n in zip(state.t.tolist(), n_epochs, strict=True)]
            known = {id(own.rows): digest(own.rows) for own in self.plans if own.rows is not None}
            digests = [known.get(id(own.rows)) for own in self.plans]
            decided = {k: Decided(reason) for k, (_, reason) in enumerate(self.ends) if reason != "epochs"}
            for k, decisions in enumerate(self.member_decisions):
                decided[k] = decisions.decided(Decided(self.ends[k][1], validation_rows=self.splits[k]))
        return Results(
            Kind(plan.network, original(plan.backend), plan.batch_size, plan.shuffle, plan.feature_names),
            [(task.optimizer, task.alpha) for task in self.tasks],
            self.which,
            storage,
            beta_products,
            n_epochs,
            list(map(operator.add, self.before, n_epochs)),
            steps,
            *self.log.arrays(goes_on),
            (time.perf_counter() - self.started) / len(self.plans),
            digests,
            order.places(n_epochs),
            decided,
        )

    def _decided(self, reason: StopReason) -> Decided:
        """Return the additional parts of the result of a group of one."""
        order, rules, partial, threads = self.order, self.decisions, self.epoch_loss.partial, self.state.threads
        validation_rows = self.state.validation_rows
        if rules is None and reason == "epochs" and not order.batch and threads == 1 and validation_rows is None:
            return PLAIN
        own = Decided(reason, validation_rows=validation_rows, batch=order.batch, partial=partial, threads=threads)
        return own if rules is None else rules.decided(own)

    def give_back(self) -> None:
        """Return to the kit what this finished group has taken from it."""
        self.over = True
        self.order.give_back(self.plan.seed)

    def _describe_divergence(self, learning_rate: float, n_good: int) -> str:
        epoch, batch = divmod(self.order.batch + n_good, self.order.steps_per_epoch)
        epoch += self.n_epochs_in_all
        assert self.snapshot is not None
        return (
            f"training diverged at step {self.snapshot.t + n_good} (epoch {epoch}, batch {batch}, all counted from 0): "
            f"the loss or a parameter is not finite. Try a smaller learning rate (here it was {learning_rate:g}) or "
            "inputs and targets of the size of 1; `.result` of this error is the training up to the step before."
        )


FIRST = np.zeros(1, np.int64)
"""The task index of a group of one."""


def tasks_of(plans: Sequence[Plan]) -> tuple[list[Task], NDArray[np.int64]]:
    """Return a task for each different optimizer, penalty and data, and the task index (m,) of each member."""
    places: dict[tuple[int, float, int], int] = {}
    tasks, which = list[Task](), list[int]()
    for plan in plans:
        place = places.setdefault((id(plan.optimizer), plan.alpha, id(plan.data)), len(places))
        if place == len(tasks):
            tasks.append(Task(plan.network, plan.optimizer, plan.data, plan.alpha))
        which.append(place)
    return tasks, np.array(which, np.int64)
