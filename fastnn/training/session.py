"""A session: m >= 1 trainings of one shape, side by side, a row of each array for each of them.

`advance` does the next steps of all members: draw their rows and rates, call the back end once,
account for what was done. What needs Python (a monitor, callbacks, Ctrl-C, the time limit) comes
between two calls, and only a session of a single member waits for it: several are scored and
stopped within their call.

If a step was bad, the session goes back to the state before the call and repeats the steps before
it. That is exact, because a step draws nothing at random.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Calls
from fastnn.checking.arguments import LearningRate, shown
from fastnn.memory import Array, aligned_zeros, padded_size
from fastnn.network import NORMAL, draw
from fastnn.optimizers import Method
from fastnn.state import BEST, LIMIT, RULE_BEST, STALE, Data, EpochRules, GroupState, Steps, Task
from fastnn.training.epochs import (
    CHUNK_SECONDS,
    LOSS,
    NO_FACTORS,
    RATE,
    ROW_LOSS,
    SCORE,
    Column,
    EpochLosses,
    Pace,
    learning_rates,
    reduced,
)
from fastnn.training.evaluation import Evaluation
from fastnn.training.exceptions import MonitorError, attach_result
from fastnn.training.generator import Generators, Seed
from fastnn.training.initial import (
    Start,
    check_fits_machine,
    resumed,
    rows_in_order,
    split_rows,
    validation_data,
    weights_of,
)
from fastnn.training.inputs import check_memory
from fastnn.training.options import TrainOptions
from fastnn.training.results import (
    Facts,
    Results,
    Row,
    TrainingResult,
    arrays_of,
    by_store,
    facts_of,
)
from fastnn.training.rows import batches, check_full_batch, rows_a_step, rows_at, rows_of
from fastnn.training.state import TrainingState
from fastnn.training.stopping import ENDS, StopReason, fires, is_over, no_rules


class Session:
    """Running trainings of one shape: the same network, kind of optimizer, number of rows and batch
    size.

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
    storage : ndarray (m, 1 + n_slots, padded)
        The parameters, and the optimizer's vectors.
    beta_products : ndarray (m, 2)
    rules : ndarray (m, N_RULE)
        The rule, the best scores and the count of failed epochs of each member, see
        `fastnn.training.stopping`.
    best_params : ndarray (m, n_params) or (m, 0)
        The parameters of the best epochs, if they are kept.
    order : ndarray (m, n_rows) or (1, n_rows)
        The rows to train on, in the order of the last epoch that has begun.
    log : list of Column
        Of the epochs, by `LOSS`, `RATE`, `ROW_LOSS` and `SCORE`.
    running : list of int
        The members that have not ended: all of them have done as many steps of this call, `done`.
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
    divergence = ""
    """What the error of a divergence says."""

    def __init__(
        self, members: Sequence[TrainOptions], starts: Sequence[Start], started: float | None = None
    ) -> None:
        self.started = time.perf_counter() if started is None else started
        first = members[0]
        m = len(members)
        check_fits_machine(first)
        self.members = members
        self.network = network = first.network
        self.backend = first.backend
        self.reasons: list[StopReason] = ["running"] * m
        self.running = list(range(m))
        self.done = 0
        self.done_at_end = [0] * m
        """Steps of this call, of each member that has ended."""
        self._make_arrays(first, m)
        self._read_options()
        self._begin_members(starts)
        self._divide_epochs()
        self.losses = EpochLosses(self.sums, first.data, network.reduction, self.per_epoch)
        self.log = [Column(), Column(), Column(), Column()]
        state = GroupState(
            self.storage, network.n_params, np.array(self.first_t), self.beta_products
        )
        self.calls = Calls(self.backend, self._tasks(), state)
        self.evaluations: list[Evaluation] = []
        self.is_judged = False
        self.in_calls = False
        """Whether the back end decides at the ends of epochs, within a call."""
        if self.needs_evaluation:
            self._make_evaluations()
        self.pace = self._make_pace()
        self._place = 0, 0
        """Where the last steps began in their epoch, and how many they were."""
        self._steps: Steps | None = None
        self._saved: tuple[Array, Array] | None = None

    # -------------------------------------------------------------------------------- the beginning

    def _make_arrays(self, first: TrainOptions, m: int) -> None:
        """Make what steps change, and what is taken over from earlier calls: as for trainings that
        begin.
        """
        dtype = first.data.X.dtype
        shape = m, 1 + first.optimizer.n_slots, padded_size(self.network.n_params, dtype)
        self.storage = aligned_zeros(shape, dtype)
        self.beta_products = np.empty((m, 2))
        self.beta_products.fill(1)
        self.sums = np.zeros((m, 2))
        """Of the losses and the rows of the epoch that has begun, see `EpochLosses`."""
        self.first_t = [0] * m
        """Steps of earlier calls."""
        self.n_before = [0] * m
        """Epochs of earlier calls."""
        self.first_batch = 0
        """Steps of the first epoch that were done before."""
        self.splits: list[Array | None] = [None] * m
        """The rows that were split off for validation."""

    def _read_options(self) -> None:
        """Make the rules and the learning rates of the members' options; find what any of them asks
        for.
        """
        m = len(self.members)
        self.rules = no_rules(m)
        self.rates: list[LearningRate] = []
        self.rates_change = False
        """Whether the rates of the next steps may be others than those of the last ones."""
        self.rate_factor = [1.0] * m
        """What each rate was multiplied by, since scores stalled."""
        self.rate_least = [0.0] * m
        self.best_on: list[str | None] = [None] * m
        """The name of each best score."""
        self.needs_evaluation = False
        self.keeps_words = False
        """Whether generators go on from where they are, or draw again from their seeds."""
        n_kept = 0
        for k, own in enumerate(self.members):
            stop = own.stop
            rate = own.optimizer.learning_rate
            self.rates.append(rate)
            if callable(rate):
                self.rates_change = True
            if own.is_judged:
                self.needs_evaluation = True
            if own.n_split:
                self.keeps_words = True
            if own.rule is not None:
                self.rules[k] = own.rule.row()
            if stop.reduce is not None:
                self.rate_least[k] = stop.reduce.least
            if stop.restore_best:
                self.best_on[k] = own.score_name
                n_kept = self.network.n_params
        self.best_params = np.zeros((m, n_kept), self.storage.dtype)

    def _begin_members(self, starts: Sequence[Start]) -> None:
        """Draw the first weights and validation rows, or take over the states that are resumed."""
        members = self.members
        first = members[0]
        n_rows = first.n_rows
        keeps_words = self.keeps_words or (
            first.shuffle and rows_a_step(first.batch_size, n_rows) < n_rows
        )
        for start in starts:
            if isinstance(start, TrainingState) or (
                isinstance(start, Row) and not arrays_of(start).draws_again(start.place)
            ):
                keeps_words = True
        self.generators = Generators(len(members), keeps_words, self.backend.shuffle_rows)
        orders: dict[int, Array] = {}
        drawn: dict[int, Array] = {}
        rows: dict[int, Row] = {}
        for k, own in enumerate(members):
            start = starts[k]
            if isinstance(start, Row):
                rows[k] = start
            elif isinstance(start, TrainingState):
                self._take_over(k, own, resumed(own, start, k, self.generators), orders)
            else:
                self._begin(k, own, start, drawn, orders)
        if rows:
            self._go_on(rows, orders)
        weights_of(drawn, members, self.storage[:, 0, : self.network.n_params])
        self.is_in_order = not orders
        """Whether all members take all rows, in order."""
        in_order = rows_in_order(n_rows)
        if orders:
            self.order = np.array([orders.get(k, in_order) for k in range(len(members))])
        else:
            self.order = in_order[None]

    def _begin(
        self,
        k: int,
        own: TrainOptions,
        seed: Seed,
        drawn: dict[int, Array],
        orders: dict[int, Array],
    ) -> None:
        """Begin member k; add its draws, and its rows unless they are all, in order."""
        random_state = self.generators.seed(k, seed)
        if own.params is None:
            drawn[k] = draw(self.network, random_state)
            if self.network.init in NORMAL:
                self.generators.hold(k)
        else:
            self.params(k)[...] = own.params
        order, self.splits[k] = split_rows(own, random_state)
        if order is not None:
            orders[k] = order
        self.generators.put(k)

    def _take_over(
        self, k: int, own: TrainOptions, state: TrainingState, orders: dict[int, Array]
    ) -> None:
        """Let member k go on from a state; add its rows."""
        counters = state.counters
        if state.index is not None:
            orders[k] = state.index
        self.sums[k] = counters.get("loss_sum", 0.0), counters.get("row_sum", 0.0)
        self.storage[k, :, : self.network.n_params] = state.vectors
        self.beta_products[k] = state.beta_products
        self.first_t[k] = state.t
        self.first_batch = state.batch
        self.n_before[k] = counters.get("epoch", 0)
        self.splits[k] = state.validation_rows
        self.rate_factor[k] = counters.get("rate_factor", 1.0)
        if own.stop.reduce is None:
            self.rate_least[k] = counters.get("rate_least", 0.0)
        self._take_over_scores(k, own, state)

    def _take_over_scores(self, k: int, own: TrainOptions, state: TrainingState) -> None:
        """Let the best score and the count of a state go on, as far as they are of the same
        kind.
        """
        counters = state.counters
        row = self.rules[k]
        name = own.score_name
        if row[LIMIT] and counters.get("rule_on") == name:
            row[RULE_BEST] = number(counters.get("rule_best"))
            row[STALE] = counters["rule_stale"]
        best_on = counters.get("best_on")
        if own.stop.restore_best:
            if best_on != name and (best_on or own.stop.monitor != "loss"):
                return  # another score
        else:
            self.best_on[k] = best_on
        row[BEST] = number(counters.get("best_score"))
        if state.best_params is not None:
            self._keep_best_params()
            self.best_params[k] = state.best_params

    def _keep_best_params(self) -> None:
        """Make room for the parameters of best epochs: a state may have some that no rule asks
        for.
        """
        if not self.best_params.shape[1]:
            self.best_params = np.zeros(
                (len(self.members), self.network.n_params), self.storage.dtype
            )

    def _go_on(self, rows: dict[int, Row], orders: dict[int, Array]) -> None:
        """Let members go on where those of rows of results have ended; add the orders of their
        rows.
        """
        for results, members in by_store(rows):
            places = [rows[k].place for k in members]
            self.storage[members] = results.storage[places]
            self.beta_products[members] = results.beta_products[places]
            self.sums[members] = results.sums[places]
            for number in RULE_BEST, STALE, BEST:
                self.rules[members, number] = results.rules[places, number]
            if results.best_params.shape[1]:
                self._keep_best_params()
                self.best_params[members] = results.best_params[places]
            for k, place in zip(members, places, strict=True):
                self.first_t[k] = results.steps[place]
                self.first_batch = results.batches[place]
                self.n_before[k] = results.epochs[place]
                self.splits[k] = results.splits[place]
                self.rate_factor[k] = results.rate_factor[place]
                self.rate_least[k] = results.rate_least[place]
                self.best_on[k] = results.best_on[place]
                self.generators.seeds[k] = results.seeds[place]
                if len(self.generators.words):
                    self.generators.set(k, results.random_state(place))
                if len(results.order):
                    orders[k] = results.order_of(place)

    def _divide_epochs(self) -> None:
        """Divide the rows into batches; full ones are never shuffled."""
        first = self.members[0]
        self.n_rows = n_rows = self.order.shape[1]
        self.batch_size = n_rows if first.batch_size is None else min(first.batch_size, n_rows)
        self.per_epoch = -(-n_rows // self.batch_size)
        """Steps of an epoch."""
        self.all_steps = [own.n_epochs * self.per_epoch - self.first_batch for own in self.members]
        """The steps of this call after which the epochs of each member are all done."""
        self.last_step = max(self.all_steps)
        """The same of the last running member."""
        if first.optimizer.full_batch:
            check_full_batch(first.optimizer.name, first.batch_size, n_rows)
        self.shuffle = first.shuffle and self.per_epoch > 1
        self.same_rows = not self.shuffle and len(self.order) == 1
        """Whether all members take the same rows in the same order."""
        if len(self.members) > 1:
            self.same_rows = self.same_rows and all(own.rows is first.rows for own in self.members)

    def _tasks(self) -> list[Task]:
        """Return a task for each member; those that are alike are one object."""
        known: dict[tuple[int, float, int], Task] = {}
        tasks = []
        for own in self.members:
            key = id(own.optimizer), own.alpha, id(own.data)
            if key not in known:
                known[key] = Task(
                    own.network, own.optimizer, own.data, own.alpha, own.value_alpha, own.threads
                )
            tasks.append(known[key])
        return tasks

    def _make_evaluations(self) -> None:
        """Make what scores the epochs; what members share is checked, and their rows are copied,
        once.
        """
        copies: dict[tuple[int, int], Data] = {}
        known: dict[tuple[int, ...], Data | None] = {}

        def copy(data: Data, rows: Array) -> Data:
            key = id(data), id(rows)
            if key not in copies:
                copies[key] = rows_of(data, rows)
            return copies[key]

        for k, own in enumerate(self.members):
            split = self.splits[k]
            key = id(own.stop), id(own.data), id(own.validation_rows)
            if split is not None or key not in known:  # each member has split off rows of its own
                known[key] = validation_data(own, self.order_of(k), split, copy)
            evaluate = own.evaluate or Evaluation
            self.evaluations.append(evaluate(own, self.calls.tasks[k], known[key], split, copy))
        first = self.evaluations[0]
        self.is_judged = bool(self.rules[:, LIMIT].any()) or first.has_loss or first.has_score
        if not self.is_judged:
            return
        self.in_calls = all(own.fits_kernel(self.batch_size) for own in self.evaluations)
        if first.scored is not None:
            own = self.members[0]
            n_scored = len(first.scored.data.X)
            check_memory(self.network, own.n_vectors, n_scored, own.data.X.dtype, self.backend)

    def _make_pace(self) -> Pace:
        """Make what says how many steps a call does; several members do all of theirs in one."""
        n_scored = 0
        if self.in_calls and self.evaluations[0].scored is not None:
            n_scored = len(self.evaluations[0].scored.data.X) // self.per_epoch
        pace = Pace(self.network.n_params, self.batch_size, n_scored)
        if self.calls.is_group:
            pace.n_steps = max(self.all_steps)
        return pace

    # --------------------------------------------------------------------------------------- a call

    def advance(self, most_epochs: int | None = None) -> int:
        """Do the next steps of all members, of at most so many epochs; return how many epochs
        ended.
        """
        began = time.perf_counter()
        batch = self.batch
        n_epochs = self.epochs_left()
        if most_epochs is not None and most_epochs < n_epochs:
            n_epochs = most_epochs
        decides_inside = self.in_calls and (n_epochs > 1 or self.calls.is_group)
        decides_here = self.is_judged and not decides_inside
        if decides_here:
            n_epochs = min(n_epochs, 1)
        n_steps = min(self.pace.n_steps, n_epochs * self.per_epoch - batch)
        steps = self.draw(n_steps)
        inside = self._rules_inside(steps, batch) if decides_inside else None
        wanted = self._steps_wanted(n_steps)
        self._save()
        good = self.calls.train(steps, wanted, inside)
        n_ended = self._account(steps, wanted, good, inside, batch)
        seconds = time.perf_counter() - began
        if (
            n_steps == self.pace.n_steps or seconds > CHUNK_SECONDS
        ):  # else it was shorter because an epoch ended
            self.pace.measured(int(np.count_nonzero(steps.loss)), seconds)
        if decides_here and n_ended:
            self._judge_epoch()
        return n_ended

    def epochs_left(self) -> int:
        """Return the epochs until the last running member is through."""
        return -(-(self.last_step - self.done) // self.per_epoch)

    @property
    def batch(self) -> int:
        """Steps of the epoch that the running members have begun."""
        return (self.first_batch + self.done) % self.per_epoch

    def n_steps(self, k: int) -> int:
        """Return the steps of this call that member k has done."""
        return self.done if self.reasons[k] == "running" else self.done_at_end[k]

    def n_epochs(self, k: int) -> int:
        """Return the epochs of this call that member k has ended."""
        return (self.first_batch + self.n_steps(k)) // self.per_epoch

    def order_of(self, k: int) -> Array:
        """Return the rows of member k, in the order of the last epoch that has begun."""
        return self.order[k if len(self.order) > 1 else 0]

    def _steps_wanted(self, n_steps: int) -> list[int]:
        """Return the steps that each member does in a call of `n_steps`."""
        wanted = [0] * len(self.members)
        for k in self.running:
            left = self.all_steps[k] - self.done
            wanted[k] = n_steps if n_steps < left else left
        return wanted

    def draw(self, n_steps: int) -> Steps:
        """Return the next steps: rows and rates of each member, and room for the losses.

        The next draw uses the arrays of rates and losses again, and all arrays if it takes the same
        rows.
        """
        batch = self.batch
        last = self._steps
        if last is None or self._place != (batch, n_steps):
            rates = self._rates(n_steps)
            rows = self._rows_of_epochs(n_steps, batch)
            start, stop = batches(self.n_rows, self.batch_size, self.shuffle, batch, n_steps)
            self._steps = last = Steps(
                rows, start, stop, rates, np.zeros((len(self.members), n_steps))
            )
            self._place = batch, n_steps
            return last
        if self.rates_change:
            last.learning_rate[...] = self._rates(n_steps)
        if self.shuffle:
            self._steps = last = last._replace(rows=self._rows_of_epochs(n_steps, batch))
        last.loss.fill(0)
        return last

    def _rows_of_epochs(self, n_steps: int, batch: int) -> NDArray[np.int64]:
        """Return the rows of X (m, any) of the epochs of the next steps; (1, any) if they are the
        same for all.
        """
        orders = self._orders(n_steps, batch)
        members = self.members
        if self.same_rows:
            return rows_at(members[0].rows, orders[0].reshape(1, -1))
        flat = orders.reshape(len(orders), -1)
        if members[0].rows is None and all(own.rows is None for own in members):
            return flat
        return np.array(
            [rows_at(own.rows, flat[k if len(flat) > 1 else 0]) for k, own in enumerate(members)]
        )

    def _orders(self, n_steps: int, batch: int) -> Array:
        """Return the orders of the rows (m, n_epochs, n_rows) of the epochs of the next steps."""
        if not self.shuffle:
            self._drawn = self.order[:, None]
            return self._drawn
        begun = 1 if batch > 0 else 0
        n_epochs = -(-(batch + n_steps) // self.per_epoch)
        self._drawn = orders = np.zeros((len(self.members), n_epochs, self.n_rows), np.int64)
        if begun:
            orders[:, 0] = self.order
        self.generators.save()
        for k in self.running:
            last = -(-(self.all_steps[k] - self.done + batch) // self.per_epoch)
            if last > begun:
                self.generators.shuffle(k, orders[k, begun:last], self.order_of(k))
        return orders

    def _rates(self, n_steps: int) -> NDArray[np.float64]:
        """Return the learning rates (m, n_steps) of the next steps; (1, n_steps) if they are the
        same for all.
        """
        kinds = [*zip(self.rates, self.first_t, self.rate_factor, self.rate_least, strict=True)]
        if len(kinds) > 1 and all(kind == kinds[0] for kind in kinds[1:]):
            kinds = kinds[:1]
        try:
            rates = [learning_rates(rate, t + self.done, n_steps) for rate, t, _, _ in kinds]
        except Exception as error:  # of a function of the caller's own, before any of these steps
            attach_result(error, self.result(0, goes_on=True))
            raise
        each = zip(rates, kinds, strict=True)
        rates = [reduced(own, factor, least) for own, (_, _, factor, least) in each]
        return rates[0][None] if len(rates) == 1 else np.array(rates)

    def set_rate(self, k: int, rate: LearningRate) -> None:
        """Let member k go on with another learning rate."""
        self.rates[k] = rate
        self.rates_change = True

    def _rules_inside(self, steps: Steps, batch: int) -> EpochRules:
        """Return what the back end needs to decide at the ends of epochs: it writes the rules and
        the best weights.
        """
        m = len(self.members)
        first = self.evaluations[0]
        scored = [own.scored for own in self.evaluations if own.scored is not None]
        labels = [own.labels for own in self.evaluations if own.labels is not None]
        n_epochs = (batch + len(steps.start)) // self.per_epoch
        by_steps = first.by_steps and bool(self.rules[:, LIMIT].any())
        return EpochRules(
            first=batch,
            per_epoch=self.per_epoch,
            scored=scored,
            labels=np.array(labels) if labels else None,
            factors=self.losses.factors(steps) if by_steps else NO_FACTORS,
            mean=by_steps and self.losses.is_mean,
            divisor=1,
            rules=self.rules,
            losses=np.zeros((m, n_epochs if scored else 0)),
            measured=np.zeros((m, n_epochs if labels else 0)),
            best_params=self.best_params if first.keeps_best else self.best_params[:, :0],
            sums=self.sums.copy(),
            ended=np.zeros((m, 2), np.int64),
        )

    def _save(self) -> None:
        """Save what steps change, so that a bad step can be undone."""
        if self._saved is None:
            self._saved = self.storage.copy(), self.beta_products.copy()
            return
        storage, beta_products = self._saved
        storage[...] = self.storage
        beta_products[...] = self.beta_products

    # ------------------------------------------------------------------------------- after the call

    def _account(
        self,
        steps: Steps,
        wanted: list[int],
        good: list[int],
        inside: EpochRules | None,
        batch: int,
    ) -> int:
        """Count the good steps, log the epochs that ended, and end members; return how many epochs
        ended.
        """
        n_counted = max(good)
        losses = self.losses.add(steps, n_counted, batch)
        n_ended = losses.shape[1]
        if n_ended:
            self.log[LOSS].add(losses)
            self.log[RATE].add(
                steps.learning_rate[:, self.per_epoch - batch - 1 : n_counted : self.per_epoch]
            )
            if inside is not None:
                self._log_scores(inside, n_ended)
        if self.shuffle:
            self._keep_orders(batch, wanted, good)
        if self.calls.is_group:
            self.sums[:] = 0  # several end at ends of epochs, one by one, unless they diverge
        before = self.done
        self.done += n_counted
        for k in [*self.running]:
            self.done_at_end[k] = before + good[k]
            if inside is not None and inside.ended[k, 1]:
                self._stall(k)
            elif good[k] < wanted[k]:
                self._end_early(k, steps, good[k])
            elif good[k] < n_counted:
                self.end(k, "epochs")
        return n_ended

    def _log_scores(self, inside: EpochRules, n: int) -> None:
        """Log the scores of n epochs that were taken within a call."""
        if inside.losses.size:
            self.log[ROW_LOSS].add(inside.losses[:, :n])
        if inside.measured.size:
            self.log[SCORE].add(inside.measured[:, :n])

    def _keep_orders(self, batch: int, wanted: list[int], good: list[int]) -> None:
        """Keep the order of the rows of the last epoch that each member has begun, and rewind what
        was drawn after.
        """
        m = len(self.members)
        order = self.order
        if len(order) < m or not order.flags.writeable:
            order = np.repeat(order, m // len(order), axis=0)
        n_before = 1 if batch > 0 else 0
        for k in self.running:
            n_begun = -(-(batch + good[k]) // self.per_epoch)
            n_drawn = -(-(batch + wanted[k]) // self.per_epoch)
            if n_begun < n_drawn:
                self.generators.rewind(k)
                again = np.empty((max(n_begun - n_before, 0), self.n_rows), np.int64)
                self.generators.shuffle(k, again, order[k])
            if n_begun > 0:
                order[k] = self._drawn[k, n_begun - 1]
        self.order = order
        self.is_in_order = False

    def _end_early(self, k: int, steps: Steps, n_good: int) -> None:
        """End member k, which did fewer steps than it should: its method is through, or it
        diverged.
        """
        optimizer = self.members[k].optimizer
        reason = optimizer.ended(self.storage[k]) if isinstance(optimizer, Method) else ""
        if not reason:
            self._undo(k, steps, n_good)
        self.end(k, cast(StopReason, reason or "diverged"))

    def _undo(self, k: int, steps: Steps, n_good: int) -> None:
        """Undo member k's bad step, by repeating the steps before it: a step draws nothing at
        random.
        """
        assert self._saved is not None
        storage, beta_products = self._saved
        self.storage[k] = storage[k]
        self.beta_products[k] = beta_products[k]
        done = self.done_at_end[k]
        epoch, batch = divmod(self.first_batch + done, self.per_epoch)
        step = self.first_t[k] + done
        if self.calls.is_group:  # the sums so far are those of members that did other steps
            self._sum_begun_epoch(k, steps, n_good, batch)
        rate = steps.learning_rate[k if len(steps.learning_rate) > 1 else 0, n_good]
        self.divergence = (
            f"training diverged at step {step} (epoch {self.n_before[k] + epoch}, batch {batch}, "
            "all counted from 0): the loss or a parameter is not finite. Try a smaller learning "
            f"rate (here it was {rate:g}) or inputs and targets of the size of 1; `.result` of "
            "this error is the training up to the step before."
        )
        self.calls.count(step - n_good)
        if n_good and self.calls.repeat(k, steps, n_good) != n_good:
            raise RuntimeError(
                f"back end {shown(self.backend.name)} did not repeat its own steps, "
                "from the same state"
            )

    def _sum_begun_epoch(self, k: int, steps: Steps, n_good: int, batch: int) -> None:
        """Sum the losses of the steps of the epoch that member k has begun but not ended."""
        if batch and self.per_epoch > 1:
            own = slice(n_good - batch, n_good)
            factors = self.losses.factors(steps)[own]
            self.sums[k, 0] = np.add.accumulate(np.append(0.0, steps.loss[k, own] * factors))[-1]
            self.sums[k, 1] = factors.sum()

    def _judge_epoch(self) -> None:
        """Score the epoch that the only member has ended, keep the best weights, and count it for
        the rule.
        """
        evaluation = self.evaluations[0]
        loss = score = self.log[LOSS].last
        if evaluation.has_loss or evaluation.has_score:
            score = self._score(evaluation)
        if fires(self.rules[0], loss if evaluation.by_steps else score):
            self._stall(0)

    def _score(self, evaluation: Evaluation) -> float:
        """Return the score of the epoch, lower is better; keep the weights if they are the best."""
        params = self.params(0)
        score = math.nan
        if evaluation.has_loss:
            score = evaluation.loss(params)
            self.log[ROW_LOSS].add(np.array([[score]]))
        if evaluation.has_score:
            self.log[SCORE].add(
                np.array([[math.nan]])
            )  # whatever comes next: an epoch that has ended has a score
            try:
                measured = evaluation.score(params, self.n_epochs(0), score)
            except MonitorError as error:
                error.result = self.result(0, goes_on=True)
                raise
            self.log[SCORE].numbers[0, -1] = measured
            score = -measured
        if evaluation.keeps_best and math.isfinite(score) and score < self.rules[0, BEST]:
            self.rules[0, BEST] = score
            self.best_params[0] = params
        return score

    def _stall(self, k: int) -> None:
        """Let the rule of member k, which has fired, have its effect."""
        on_stall = self.members[k].on_stall
        reason = self.stall(k) if on_stall is None else on_stall(self, k)
        if reason:
            self.end(k, reason)

    def stall(self, k: int) -> StopReason | None:
        """Lower the learning rate of member k, whose rule has fired, or return why its training
        ends.
        """
        if is_over(self.rules[k]):
            return "tolerance" if self.evaluations[k].validation is None else "validation"
        reduce = self.members[k].stop.reduce
        if reduce is not None:
            self.rate_factor[k] *= reduce.factor
            self.rates_change = True
        return None

    # -------------------------------------------------------------------------------------- the end

    def is_running(self) -> bool:
        """Return whether there is more to do. Members end if their epochs are done or, after a
        call, their time.
        """
        if self.running and self.done >= self.last_step:
            self.end_all("epochs")
        limit = self.members[0].stop.max_seconds
        if (
            limit is not None
            and self._saved is not None
            and time.perf_counter() - self.started >= limit
        ):
            self.end_all("time")
        return bool(self.running)

    def end(self, k: int, reason: StopReason) -> None:
        """End member k, unless it has ended."""
        if self.reasons[k] == "running":
            self.running.remove(k)
            self.reasons[k] = reason
            self.last_step = max([self.all_steps[other] for other in self.running], default=0)

    def end_all(self, reason: StopReason) -> None:
        """End all members that run."""
        for k in self.running:
            self.done_at_end[k] = self.done
            self.reasons[k] = reason
        self.running = []

    def interrupt(self, reason: StopReason) -> None:
        """End all members on request; what a stop rule or divergence has ended just before keeps
        its reason.
        """
        self.end_all(reason)
        self.reasons = [own if own in ENDS else reason for own in self.reasons]

    def params(self, k: int) -> Array:
        """Return the present parameters (n_params,) of member k, a view."""
        return self.storage[k, 0, : self.network.n_params]

    def results(self, goes_on: bool = False) -> Results:
        """Return the results of all members: copies while they go on, else with the arrays of this
        session.
        """
        generators = self.generators
        loss, learning_rate, row_loss, score = (column.numbers for column in self.log)
        arrays = {
            "storage": self.storage,
            "beta_products": self.beta_products,
            "sums": self.sums,
            "loss": loss,
            "learning_rate": learning_rate,
            "row_loss": row_loss,
            "score": score,
            "rules": self.rules,
            "best_params": self.best_params,
            "order": self.order[:0] if self.is_in_order else self.order,
            "words": generators.words,
        }
        if goes_on:
            arrays = {name: array.copy() for name, array in arrays.items()}
        facts, which = self._facts()
        n_steps = [self.n_steps(k) for k in range(len(which))]
        first_batch = self.first_batch
        per_epoch = self.per_epoch
        n_epochs = [(first_batch + n) // per_epoch for n in n_steps]
        return Results(
            **arrays,
            network_of_all=self.network,
            backend_of_all=self.backend,
            facts=facts,
            which=which,
            reasons=[*self.reasons],
            ended=n_epochs,
            epochs=[*map(operator.add, self.n_before, n_epochs)],
            steps=[*map(operator.add, self.first_t, n_steps)],
            batches=[(first_batch + n) % per_epoch for n in n_steps],
            best_on=self.best_on,
            rate_factor=[*self.rate_factor],
            rate_least=self.rate_least,
            splits=self.splits,
            seeds=[
                None if k in generators.owned else seed for k, seed in enumerate(generators.seeds)
            ],
            held=generators.held,
            owners={k: owner.get_state(legacy=False) for k, owner in generators.owned.items()},
            seconds=(time.perf_counter() - self.started) / len(which),
            threads=self.calls.threads_used,
        )

    def _facts(self) -> tuple[list[Facts], list[int]]:
        """Return the different facts of members, and the index of each member's."""
        facts: list[Facts] = []
        which: list[int] = []
        places: dict[int, int] = {}
        for own in self.members:
            place = places.setdefault(id(own), len(facts))
            if place == len(facts):
                facts.append(facts_of(own))
            which.append(place)
        return facts, which

    def result(self, k: int, goes_on: bool = False) -> TrainingResult:
        """Return the result of member k."""
        return self.results(goes_on).result(k)

    def result_at(self, step: int) -> TrainingResult:
        """Return the result of the only member at this step, for a callback that is being
        called.
        """
        if self.is_closed or self.first_t[0] + self.n_steps(0) != step:
            raise RuntimeError(
                "the training has gone on: Progress.result() is for use within the callback"
            )
        return self.result(0, goes_on=True)

    def epochs_after(self, n: int) -> list[tuple[float, ...]]:
        """Return the numbers of the epochs after the first n, in the order of `History.to_dict`."""
        _, *columns = self.result(0).history.to_dict().values()
        return list(zip(*(column[n:].tolist() for column in columns), strict=True))

    def close(self) -> None:
        """Give back what the next session can use; results need it no more."""
        self.is_closed = True
        self.generators.close()


def number(value: Any) -> float:
    """Return infinity for None, which stands for "no score yet" in a state: JSON lacks infinity."""
    return math.inf if value is None else value
