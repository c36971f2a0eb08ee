"""A session: m >= 1 trainings of one shape, side by side, a row of each array for each of them.

`advance` does the next steps of all members: draw them (`steps.py`), call the back end once, log
the epochs that ended (`log.py`), judge them (`evaluation.py`), and end members. What needs Python
(a monitor, callbacks, Ctrl-C, the time limit) comes between two calls.

If a step was bad, its member goes back to the last saved state and repeats the steps between. That
is exact, because a step draws nothing at random.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.arguments import shown
from fastnn.memory import Array
from fastnn.optimizers import Method
from fastnn.state import Steps, Task, member_steps
from fastnn.training.evaluation import Judge
from fastnn.training.exceptions import MonitorError, attach_result
from fastnn.training.initial import Start, begin, check_fits_machine
from fastnn.training.log import Log
from fastnn.training.options import TrainOptions
from fastnn.training.results import Results, Row, TrainingResult, facts_of
from fastnn.training.state import TrainingState
from fastnn.training.steps import CHUNK_SECONDS, Draws, Pace
from fastnn.training.stopping import StopReason, is_over

MOST_REPEATED = 512
"""Steps since the last saved state from which on a new one is saved, which takes about as long as
one of them."""


class Session:
    """Running trainings of one shape: the same network, kind of optimizer, number of rows and batch
    size. Used in a ``with``, at whose end the next session can use what this one has used.

    Parameters
    ----------
    members : sequence of TrainOptions
        Those of each member; members that differ in their starts alone share one object.
    starts : sequence of int, RandomState, None, TrainingState or Row
        Where each member begins.
    started : float, optional
        The `time.perf_counter` of the call.

    Attributes
    ----------
    states : TrainingStates
        Where the members are.
    draws : Draws
        The rows and the learning rates of the next steps.
    log : Log
        The losses and scores of the epochs of this call.
    judge : Judge or None
        What scores epochs and decides at their ends.
    running : list of int
        The members that have not ended: all of them have done as many steps of this call, `done`.
    n_epochs : list of int
        The epochs of this call that each member has ended.
    reasons : list of str
        Why each member ended.

    Raises
    ------
    ValueError, TypeError
        For a seed, parameters, a state or rows that do not fit.
    MemoryError
        For a training that would not fit the machine.
    """

    is_closed = False
    is_watched = False
    """Whether code of the caller runs between calls, which may change arrays of its own. A
    repetition then begins at the last call."""
    divergence = ""
    """What the error of a divergence says."""

    def __init__(
        self, members: Sequence[TrainOptions], starts: Sequence[Start], started: float | None = None
    ) -> None:
        # One function, however long: each attribute is named here once.
        self.started = time.perf_counter() if started is None else started
        first = members[0]
        check_fits_machine(first)
        self.members = members
        self.network = first.network
        self.backend = first.backend
        firsts, self.kind_of = numbered(map(id, members))
        self.kinds = kinds = [members[k] for k in firsts]
        """The different options of members: those that differ in their starts alone share them."""
        self.states, self.generators = begin(members, kinds, starts)
        self.draws = draws = Draws(members, self.states, self.generators)
        self.batch = self.states.batches[0]
        """How many steps of the epoch under way the running members have done."""
        self.done = 0
        self.all_steps = [options.n_epochs * draws.per_epoch - self.batch for options in members]
        """How many steps of this session end all epochs of each member."""
        self.running = list(range(len(members)))
        self.n_epochs = [0] * len(members)
        self.reasons: list[StopReason] = ["running"] * len(members)
        self.tasks, self.which = _tasks_of(kinds, self.kind_of)
        """The different tasks, and the index (m,) of that of each member."""
        self.judge = self._judge_of()
        n_scored = self.judge.n_scored // draws.per_epoch if self.judge else 0
        self.log = Log(self.states.sums, first.data, self.network.reduction, draws.per_epoch)
        self.pace = Pace(self.network.n_params, draws.batch_size, n_scored)
        self.is_new = not any(isinstance(start, (TrainingState, Row)) for start in starts)
        """Whether all members begin with vectors of the optimizer that are zeros."""
        self._saved: tuple[Array, Array] | None = None
        """What was saved last: vectors, and the products of Adam's decay rates; None before the
        first call."""
        self._since: list[Steps] = []
        """The steps of each call since then, which a repetition needs."""
        self._n_rows_since = 0
        """How many row numbers these hold."""
        self._n_steps_since = 0
        """How many steps these are."""

    def _judge_of(self) -> Judge | None:
        """Return what judges epochs, if the options of any member ask for that."""
        if not any(options.is_judged for options in self.kinds):
            return None
        tasks = [self.tasks[k] for k in self.which]
        judge = Judge(self.members, tasks, self.states, self.draws.batch_size)
        return judge if judge.is_needed else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.is_closed = True
        self.generators.close()

    # ------------------------------------------------------------------------------------ advancing

    def advance(self, most_epochs: int | None = None, threads: int | None = None) -> int:
        """Do the next steps of all members by one call of the back end.

        Parameters
        ----------
        most_epochs : int, optional
            The most epochs to do.
        threads : int, optional
            All steps that are left are done, by so many threads that share the members. By default
            a call takes about as long as `Pace` says.

        Returns
        -------
        int
            How many epochs ended.
        """
        began = time.perf_counter()
        batch = self.batch
        judge = self.judge
        n_steps, is_judged_within = self._plan(most_epochs, threads)
        wanted = [0] * len(self.members)
        for k in self.running:
            wanted[k] = min(n_steps, self.all_steps[k] - self.done)
        steps = self._draw(wanted, batch)
        rules = None
        if judge is not None and is_judged_within:
            rules = judge.rules(steps, batch, self.log)
        self._save(steps)
        good = self.backend.train(
            self.tasks, self.which, self.states, steps, wanted, rules, threads or 1
        )
        n_ended = self._account(steps, wanted, good, batch)
        fired: set[int] = set()
        if judge is not None and rules is not None:
            fired = judge.take(rules, n_ended, self.log)
        elif judge is not None and n_ended:
            fired = self._judge(good, wanted)
        self._end_members(steps, wanted, good, fired)
        seconds = time.perf_counter() - began
        if n_steps == self.pace.n_steps or seconds > CHUNK_SECONDS:  # no epoch's end cut it short
            self.pace.measured(int(np.count_nonzero(steps.loss)), seconds)
        return n_ended

    def _plan(self, most_epochs: int | None, threads: int | None) -> tuple[int, bool]:
        """Return the steps of the next call, and whether its epochs are judged within it.

        A single epoch of a single member is not: it is scored faster here than a call for it is
        prepared.
        """
        judge = self.judge
        per_epoch = self.draws.per_epoch
        n_steps = max([self.all_steps[k] for k in self.running]) - self.done
        if most_epochs is not None:
            n_steps = min(n_steps, most_epochs * per_epoch - self.batch)
        is_judged_within = False
        if judge is not None:
            is_single = self.batch + n_steps <= per_epoch and len(self.running) == 1
            is_judged_within = judge.works_in_calls and not is_single
            if not is_judged_within:
                n_steps = min(n_steps, per_epoch - self.batch)
        if threads is None and self.pace.n_steps < n_steps:
            n_steps = self.pace.n_steps
        return n_steps, is_judged_within

    def _draw(self, wanted: list[int], batch: int) -> Steps:
        """Return the next steps."""
        try:
            learning_rates = self.draws.next_learning_rates(wanted)
        except Exception as error:  # of a function of the caller's own, before any of these steps
            attach_result(error, self.result(0, goes_on=True))
            raise
        return self.draws.next_steps(wanted, batch, learning_rates)

    def _save(self, steps: Steps) -> None:
        """Save what the next steps change, so that a bad one can be undone: the steps since the
        last time, or the state, if those would be more numbers or take long to repeat.
        """
        states = self.states
        if self._saved is None:
            self._saved = self._first_vectors(), states.beta_products.copy()
        elif (
            self.is_watched
            or self._n_rows_since >= states.storage.size
            or self._n_steps_since >= MOST_REPEATED
        ):
            self._saved = None  # its memory is free for the next one
            vectors = states.storage[:, :, : states.n_params].copy()
            self._saved = vectors, states.beta_products.copy()
            self._since.clear()
            self._n_rows_since = 0
            self._n_steps_since = 0
        if self.draws.learning_rates_change and not self.is_watched:
            # the next call writes to the same rates
            steps = steps._replace(learning_rate=steps.learning_rate.copy())
        self._since.append(steps)
        self._n_rows_since += steps.rows.size
        self._n_steps_since += len(steps.start)

    def _first_vectors(self) -> Array:
        """Return the vectors (m, any, n_params) that members begin with, without those that are all
        zeros: a copy, unless the caller has given them.
        """
        vectors = self.states.storage[:, :, : self.states.n_params]
        params = self.members[0].params
        if not self.is_new:
            return vectors.copy()
        if params is None or self.is_watched or len(self.members) > 1:
            return vectors[:, :1].copy()
        return params[None, None]

    def _account(self, steps: Steps, wanted: list[int], good: list[int], batch: int) -> int:
        """Count the good steps, log the epochs that ended, and keep the orders of their rows;
        return how many epochs ended.
        """
        states = self.states
        per_epoch = self.draws.per_epoch
        for k in self.running:
            n_ended, states.batches[k] = divmod(batch + good[k], per_epoch)
            states.t[k] += good[k]
            states.epochs[k] += n_ended
            self.n_epochs[k] += n_ended
        most = max(good)
        self.done += most
        self.batch = (batch + most) % per_epoch
        if self.draws.shuffle:
            self.draws.keep_orders(wanted, good, batch)
        return self.log.add(steps, good, batch)

    def _judge(self, good: list[int], wanted: list[int]) -> set[int]:
        """Score the epoch that has ended; return the members whose rules fire."""
        assert self.judge is not None
        ended = [k for k in self.running if good[k] == wanted[k]]
        try:
            return self.judge.judge(ended, self.log, self.n_epochs[0])
        except MonitorError as error:
            error.result = self.result(0, goes_on=True)
            raise

    # -------------------------------------------------------------------------------- who ends, why

    def _end_members(
        self, steps: Steps, wanted: list[int], good: list[int], fired: set[int]
    ) -> None:
        """End the members whose rules have fired and say so, and those that can do no further step:
        their methods are through, or they diverge.
        """
        for k in [*self.running]:
            if k in fired:
                on_stall = self.members[k].on_stall
                reason = self.stall(k) if on_stall is None else on_stall(self, k)
                if reason is not None:
                    self.end(k, reason)
            elif good[k] < wanted[k]:
                optimizer = self.members[k].optimizer
                of_method = ""
                if isinstance(optimizer, Method):
                    of_method = optimizer.ended(self.states.storage[k])
                if not of_method:
                    self._undo(k, steps, good[k])
                self.end(k, cast(StopReason, of_method or "diverged"))

    def stall(self, k: int) -> StopReason | None:
        """Lower the learning rate of member k, whose rule has fired, or return why its training
        ends.
        """
        assert self.judge is not None
        if is_over(self.states.rules[k]):
            validation = self.judge.evaluations[k].validation
            return "tolerance" if validation is None else "validation"
        reduce = self.members[k].stop.reduce
        if reduce is not None:
            self.draws.reduce_rate(k, reduce.factor)
        return None

    def _undo(self, k: int, steps: Steps, n_good: int) -> None:
        """Undo member k's bad step, by repeating the steps before it: a step draws nothing at
        random.
        """
        assert self._saved is not None
        vectors, beta_products = self._saved
        states = self.states
        states.storage[k] = 0
        states.storage[k, : len(vectors[k]), : states.n_params] = vectors[k]
        states.beta_products[k] = beta_products[k]
        rate = steps.learning_rate[k if len(steps.learning_rate) > 1 else 0, n_good]
        self.divergence = (
            f"training diverged at step {states.t[k]} (epoch {states.epochs[k]}, batch "
            f"{states.batches[k]}, all counted from 0): the loss or a parameter is not finite. Try "
            f"a smaller learning rate (here it was {rate:g}) or inputs and targets of the size of "
            "1; `.result` of this error is the training up to the step before."
        )
        numbers = [len(before.start) for before in self._since[:-1]] + [n_good]
        first = states.t[k] - sum(numbers)
        task = self.tasks[self.which[k]]
        for before, n in zip(self._since, numbers, strict=True):
            state = states.member(k)
            state.t = first
            again = member_steps(before, k, n)
            again = again._replace(loss=np.empty(n))
            if n and self.backend.train_steps(task, state, again) != n:
                raise RuntimeError(
                    f"back end {shown(self.backend.name)} did not repeat its own steps, "
                    "from the same state"
                )
            first += n

    def end_due(self) -> None:
        """End the members whose epochs are done, and after a call those whose time is over."""
        limit = self.members[0].stop.max_seconds
        seconds = time.perf_counter() - self.started
        is_late = limit is not None and self.done > 0 and seconds >= limit
        for k in [*self.running]:
            if self.all_steps[k] <= self.done:
                self.end(k, "epochs")
            elif is_late:
                self.end(k, "time")

    def end(self, k: int, reason: StopReason) -> None:
        """End member k, for this reason."""
        self.running.remove(k)
        self.reasons[k] = reason

    def end_all(self, reason: StopReason) -> None:
        """End all members that run."""
        for k in [*self.running]:
            self.end(k, reason)

    # -------------------------------------------------------------------------------------- results

    def params(self, k: int) -> Array:
        """Return the present parameters (n_params,) of member k, a view."""
        return self.states.storage[k, 0, : self.network.n_params]

    def results(self, goes_on: bool = False) -> Results:
        """Return the results of all members: copies while they go on, else with the arrays of this
        session.
        """
        states = self.states
        for k, owner in self.generators.owned.items():
            states.owners[k] = owner.get_state(legacy=False)
        log = self.log
        loss = log.loss.numbers
        rate = log.learning_rate.numbers
        row_loss = log.row_loss.numbers
        score = log.score.numbers
        if goes_on:
            states = states.copy()
            loss, rate, row_loss, score = (a.copy() for a in (loss, rate, row_loss, score))
        results = Results.__new__(Results)  # the `__init__` of a dataclass takes longer
        vars(results).update(
            vars(states),
            loss=loss,
            learning_rate=rate,
            row_loss=row_loss,
            score=score,
            network_of_all=self.network,
            backend_of_all=self.backend,
            facts=[facts_of(options) for options in self.kinds],
            which=self.kind_of,
            reasons=[*self.reasons],
            ended=[*self.n_epochs],
            seconds=(time.perf_counter() - self.started) / len(self.members),
        )
        return results

    def result(self, k: int, goes_on: bool = False) -> TrainingResult:
        """Return the result of member k."""
        return self.results(goes_on).result(k)

    def result_at(self, step: int) -> TrainingResult:
        """Return the result of the only member at this step, for a callback that is being
        called.
        """
        if self.is_closed or self.states.t[0] != step:
            raise RuntimeError(
                "the training has gone on: Progress.result() is for use within the callback"
            )
        return self.result(0, goes_on=True)

    def epochs_after(self, n: int) -> list[tuple[float, ...]]:
        """Return the numbers of the epochs after the first n, in the order of `History.to_dict`."""
        _, *columns = self.result(0).history.to_dict().values()
        return list(zip(*(column[n:].tolist() for column in columns), strict=True))


def _tasks_of(
    kinds: Sequence[TrainOptions], kind_of: list[int]
) -> tuple[list[Task], NDArray[np.int64]]:
    """Return the different tasks of these options, and the index (m,) of that of each member, whose
    options are those of the kind `kind_of`.
    """
    firsts, which = numbered(
        [(id(options.optimizer), options.alpha, id(options.data)) for options in kinds]
    )
    tasks = []
    for k in firsts:
        options = kinds[k]
        task = Task(
            options.network,
            options.optimizer,
            options.data,
            options.alpha,
            options.value_alpha,
            options.threads,
        )
        tasks.append(task)
    return tasks, np.array(which)[kind_of]


def numbered(keys: Iterable[Hashable]) -> tuple[list[int], list[int]]:
    """Return the places of the different keys, each where it is first, and the number of each
    key among these.
    """
    numbers: dict[Hashable, int] = {}
    firsts: list[int] = []
    which: list[int] = []
    for place, key in enumerate(keys):
        number = numbers.setdefault(key, len(firsts))
        if number == len(firsts):
            firsts.append(place)
        which.append(number)
    return firsts, which
