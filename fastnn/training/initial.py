"""The beginning of a training: its first state, drawn from a seed, or a copy of a resumed state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fastnn import kit
from fastnn.checking.arguments import cut, errors_of, shown
from fastnn.checking.values import check_column_names, column_names
from fastnn.memory import ROW_BLOCK, Array, aligned_zeros, padded_size, read_only
from fastnn.network import draw, nguyen_widrow, params_of
from fastnn.optimizers import Method
from fastnn.state import Data, GroupState, Steps
from fastnn.training import generator
from fastnn.training import rows as row_orders
from fastnn.training.epochs import Decisions
from fastnn.training.generator import (
    Place,
    Seeded,
    check_orders,
    make_random_state,
    put,
    system_words,
)
from fastnn.training.inputs import FEW_ROWS, check_data, check_memory, check_method
from fastnn.training.loop import Group
from fastnn.training.plan import Plan
from fastnn.training.results import Row, take_over
from fastnn.training.rows import Order, RowOrder, batches, digest, rows_a_step, rows_at, rows_of
from fastnn.training.state import (
    WRONG_ROW_ORDER,
    Counters,
    TrainingState,
    holds_each_row_once,
    network_counters,
)
from fastnn.training.stopping import Stop

FEW_DRAWS = 1024
"""Parameters so few that to draw them again takes no longer than to copy a generator."""


def fresh(plan: Plan) -> tuple[TrainingState, RandomState, Seeded | None]:
    """Draw the weights and the validation split; return the first state, the generator, and its `Seeded`.

    The last is None if the draws cannot be repeated, or if repeating takes longer than copying the generator.
    """
    network, seed, dtype = plan.network, plan.seed, plan.data.X.dtype
    random_state = make_random_state(seed)
    storage = aligned_zeros((1 + plan.optimizer.n_slots, padded_size(network.n_params, dtype)), dtype)
    state = TrainingState(storage, network.n_params, optimizer=type(plan.optimizer).__name__)
    params = storage[0, : network.n_params]
    if plan.params is None:
        numbers = draw(network, random_state)
        if spreads(plan):
            nguyen_widrow(network, numbers, params, *ranges_of(plan))
        else:
            params_of(network, numbers, params)
    else:
        params[...] = plan.params
    state.index, state.validation_rows = _split(plan, random_state)
    if isinstance(seed, (int, np.integer)) and state.validation_rows is None and network.n_params <= FEW_DRAWS:
        return state, random_state, Seeded(int(seed), plan.params is None, len(state.index))
    return state, random_state, None


def spreads(plan: Plan) -> bool:
    """Return whether the initial weights are Nguyen and Widrow's: by name, or by default of a method."""
    init = plan.network.init
    return init == "nguyen_widrow" or (init is None and isinstance(plan.optimizer, Method))


def ranges_of(plan: Plan) -> tuple[Array, Array]:
    """Return the minimum and maximum of each input (n_inputs,), over the training rows of positive weight."""
    data = plan.data if plan.rows is None else rows_of(plan.data, plan.rows)
    X = data.X[data.sample_weight > 0].astype(np.float64)
    return X.min(axis=0), X.max(axis=0)


def _split(plan: Plan, random_state: RandomState) -> tuple[Array, Array | None]:
    """Return the training rows, in order, and the drawn validation rows, if the stop rules split off a part."""
    n, part = plan.n_rows, plan.stop.validation
    if not isinstance(part, (int, float)):
        return (all_rows_again if n <= FEW_ROWS else all_rows)(n), None
    n_validation = plan.n_split
    if n_validation >= n:
        raise ValueError(f"validation={part:g} of {n} rows is {n_validation} rows for validation and none to train on")
    order = np.asarray(random_state.permutation(n))
    check_orders(random_state, order[None], np.arange(n))
    return order[n_validation:].copy(), order[:n_validation]


def all_rows(n: int) -> Array:
    """Return the numbers of `n` rows, read-only."""
    return read_only(np.arange(n))


all_rows_again = kit.remembered(all_rows)


def resumed(plan: Plan) -> tuple[TrainingState, RandomState, None]:
    """Return a copy of the state to resume, which may be a row of results, and its generator.

    Network, data and rows must fit it.

    With `new_rows`, drop what belongs to the old rows: their order, the begun epoch, and scores, except those of
    separate validation data.
    """
    resume: Any = plan.state.result().state if isinstance(plan.state, Row) else plan.state
    stop = plan.stop
    _check_fits(plan, resume)
    if not plan.new_rows:
        _check_rows(plan, resume, resume.index)
    random_state, state = generator.new_random_state(), resume.copy()
    random_state.set_state(resume.random_state)
    if plan.new_rows:
        state.index, state.validation_rows = _split(plan, random_state)
        state.batch = 0
        gone = {"loss_sum", "row_sum"}
        if not isinstance(stop.validation, (tuple, list)):
            gone |= {"best_score", "best_on", "rule_on", "rule_best", "rule_stale"}
            state.best_params = None
        state.counters = {name: n for name, n in state.counters.items() if name not in gone}
    return state, random_state, None


def validation_data(plan: Plan, state: TrainingState) -> Data | None:
    """Return the validation data: a copy of the rows that were split off, or the given arrays."""
    data, rows, stop = plan.data, plan.rows, plan.stop
    index, split = state.index, state.validation_rows
    assert index is not None
    if split is not None and not data.sample_weight[rows_at(rows, index)].any():
        raise ValueError(row_orders.NO_WEIGHT)
    if stop.validation is None:
        return None
    if isinstance(stop.validation, (int, float)):
        assert split is not None
        part = rows_of(data, rows_at(rows, split))
        if not part.sample_weight.any():
            raise ValueError("sample_weight is 0 for all rows that were split off for validation")
    else:
        with errors_of("validation"):
            check_column_names(column_names(stop.validation[0]), state.feature_names)
            X, Y, weight = (*stop.validation, None)[:3]
            part = check_data(plan.network, X, Y, weight, plan.assume_finite, data.X.dtype)
    return part


def _check_fits(plan: Plan, resume: TrainingState) -> None:
    """Raise ValueError, with both values, if the state belongs to another training."""
    counters, network, optimizer = resume.counters, plan.network, plan.optimizer
    has: list[tuple[str, Any, Any]] = [
        *((name, counters.get(name, value), value) for name, value in network_counters(network).items()),
        ("number of parameters", resume.n_params, network.n_params),
        ("optimizer", resume.optimizer, optimizer.name),
        ("number of optimizer vectors", len(resume.vectors) - 1, optimizer.n_slots),
        ("dtype", resume.storage.dtype, plan.data.X.dtype),
    ]
    for what, of_state, of_call in has:
        if of_state != of_call:
            was, now = _listed(of_state), _listed(of_call)
            raise ValueError(f"resume does not fit: the {what} of its state is {was}, that of this training {now}")


def _listed(value: Any) -> str:
    """Return a list as "(3, 4, 2)", and a list of one item as that item."""
    several = isinstance(value, list) and len(value) != 1
    return cut(f"({', '.join(map(str, value))})" if several else value[0] if isinstance(value, list) else value)


def _check_rows(plan: Plan, resume: TrainingState, index: Array) -> None:
    """Raise ValueError if the state was trained on other rows, as far as it records them."""
    if resume.counters.get("rows") != (None if plan.rows is None else digest(plan.rows)):
        fault = "resume does not fit: its state was trained on other rows of X"
        raise ValueError(f"{fault}; give the same rows= or validation_rows= as then, or say new_rows=True")
    n, split = plan.n_rows, resume.validation_rows
    n_split = 0 if split is None else len(split)
    if len(index) + n_split != n:
        fault = f"resume does not fit: its state was trained on {len(index) + n_split} rows, X has {n}"
        raise ValueError(f"{fault}; for other rows say new_rows=True")
    if not holds_each_row_once(index, split):
        raise ValueError(f"resume is damaged: {WRONG_ROW_ORDER}")
    if plan.n_split not in (0, n_split):
        raise ValueError(
            f"resume does not fit: its state keeps {n_split} rows for validation, "
            f"validation={plan.stop.validation:g} of {n} rows is {plan.n_split}; the split is made once, when training "
            "begins"
        )


def begin(plans: Sequence[Plan], started: float) -> Group:
    """Return trainings that are ready to begin: one, or several of one shape, between epochs, with all draws done.

    `started` is the time.

    Raises
    ------
    ValueError, TypeError
        For a seed, parameters, a state or rows that do not fit.
    MemoryError
        For a training that would not fit the machine.
    """
    plan = plans[0]
    dtype, backend, rows_at_once = plan.data.X.dtype, plan.backend, rows_a_step(plan.batch_size, plan.n_rows)
    if isinstance(plan.optimizer, Method):
        check_method(plan.optimizer, plan.network, dtype)
    block, threads = (rows_at_once, 1) if plan.optimizer.sequential else (ROW_BLOCK, plan.threads)
    check_memory(plan.network, plan.n_vectors, rows_at_once, dtype, backend, block, threads)
    state, order = begin_one(plan) if len(plans) == 1 else begin_several(plans)
    group = Group(plans, state, order, started)
    counters: Counters = state.counters if isinstance(state, TrainingState) else {}
    if counters:
        group.epoch_loss.partial = counters.get("loss_sum", 0.0), counters.get("row_sum", 0.0)
    if counters or plan.stop.decides or plan.validation_rows is not None:
        group.decide(decisions_of(group))
        if (scored := group.decisions[0].scored) is not None:
            check_memory(plan.network, plan.n_vectors, len(scored.data.X), dtype, backend)
    return group


def begin_one(plan: Plan) -> tuple[TrainingState, RowOrder]:
    """Draw the first state of a training, or take over that which it resumes; return it with the order of the rows."""
    state, random_state, seeded = fresh(plan) if plan.state is None else resumed(plan)
    if plan.feature_names is not None:
        check_column_names(plan.feature_names, state.feature_names)
        state.feature_names = state.feature_names or plan.feature_names
    assert state.index is not None
    compiled = plan.backend.shuffle_rows
    order = RowOrder(state.index, plan.batch_size, plan.shuffle, random_state, state.batch, compiled, plan.rows)
    if state.batch:
        was = rows_a_step(state.counters.get("batch_size", plan.batch_size), order.n_rows)
        if was != order.batch_size:
            fault = f"resume does not fit: its state is within an epoch of batches of {was} rows"
            raise ValueError(f"{fault}, batch_size is {order.batch_size} now; it may change between epochs only")
        if not 0 <= state.batch < order.steps_per_epoch:
            done = f"{shown(state.batch)} batches of an epoch of {order.steps_per_epoch}"
            raise ValueError(f"resume is damaged: {done} are done")
    if plan.optimizer.full_batch:
        row_orders.check_full_batch(plan.optimizer.name, plan.batch_size, order.n_rows)
    order.seeded = None if order.shuffle else seeded
    order.before, order.splits = [state.counters.get("epoch", 0)], [state.validation_rows]
    return state, order


def begin_several(plans: Sequence[Plan]) -> tuple[GroupState, RowOrders]:
    """Draw the first states of several trainings, or take over those which they resume, and all orders of the rows."""
    m, network, dtype = len(plans), plans[0].network, plans[0].data.X.dtype
    storage = aligned_zeros((m, 1 + plans[0].optimizer.n_slots, padded_size(network.n_params, dtype)), dtype)
    state = GroupState(storage, network.n_params, np.zeros(m, np.int64), np.ones((m, 2)))
    return state, RowOrders(plans, state)


class RowOrders(Order):
    """The random draws of several trainings: first states, validation splits, and the rows of all steps.

    Parameters
    ----------
    plans : sequence of Plan
    state : GroupState
        The first states are written to it.
    """

    def __init__(self, plans: Sequence[Plan], state: GroupState) -> None:
        self.plans, self.state = plans, state
        self._divide(plans[0].n_rows - plans[0].n_split, plans[0].batch_size, plans[0].shuffle)
        self.before, self.seeds = [0] * len(plans), list[Any]()
        """The seeds have those drawn from the system."""
        self.indices, self.splits = list[Array | None](), list[Array | None]()
        """The rows to train on, where a part was split off."""
        self._places = list[Place]()
        most = max(plan.n_epochs for plan in plans)
        self._orders = np.empty((len(plans) if self.shuffle else 0, most, self.n_rows), np.int64)
        numbers, network = dict[int, Array](), plans[0].network
        with generator.borrowed() as random_state:
            for k, plan in enumerate(plans):
                self._draw(k, plan, random_state, numbers)
        ranges: dict[tuple[int, int], tuple[Array, Array]] = {}
        for k in [k for k in numbers if spreads(plans[k])]:
            key = id(plans[k].data), id(plans[k].rows)
            ranges[key] = found = ranges.get(key) or ranges_of(plans[k])
            nguyen_widrow(network, numbers.pop(k), state.storage[k, 0, : network.n_params], *found)
        if numbers:  # the weights of all members at once: it takes as long as for one
            params = np.empty((len(numbers), network.n_params), state.storage.dtype)
            params_of(network, np.array([*numbers.values()]), params)
            state.storage[[*numbers], 0, : network.n_params] = params

    def _draw(self, k: int, plan: Plan, random_state: RandomState, numbers: dict[int, Array]) -> None:
        """Set the first state of member k, or draw its weights; then draw the split and the orders of rows."""
        state, index, split = self.state, None, None
        place: Place
        seed: Any = system_words() if plan.seed is None and plan.state is None else plan.seed
        if plan.state is not None:
            self.before[k], place = take_over(plan.state, state, k)
            index = None if isinstance(place, Seeded) else place[1]
            if self.shuffle:
                put(random_state, place, plan.network)
        else:
            random_state.seed(seed)
            place = Seeded(seed, plan.params is None, self.n_rows)
            if plan.params is None:
                numbers[k] = draw(plan.network, random_state)
            else:
                state.storage[k, 0, : state.n_params] = plan.params
            if plan.n_split:
                index, split = _split(plan, random_state)
                place = random_state.get_state(legacy=False), index
        if self.shuffle:
            place = self._shuffled(random_state, self._orders[k, : plan.n_epochs], index)
        self._places.append(place)
        self.seeds.append(seed)
        self.indices.append(index)
        self.splits.append(split)

    def _shuffled(self, random_state: RandomState, orders: Array, index: Array | None) -> Place:
        """Write the order of the rows of each epoch (n_epochs, n); return the generator's position after them."""
        index = np.arange(self.n_rows) if index is None else index
        generator.shuffle_rows(random_state, orders, index, self.plans[0].backend.shuffle_rows)
        return random_state.get_state(legacy=False), orders[-1].copy()

    def first_state(self, k: int) -> TrainingState:
        """Return member k's state, a view, before its first step."""
        plan, index, of_all = self.plans[k], self.indices[k], self.state
        state = TrainingState(of_all.storage[k], of_all.n_params, feature_names=plan.feature_names)
        state.index, state.validation_rows = all_rows(plan.n_rows) if index is None else index, self.splits[k]
        return state

    def draw(self, n_steps: int, learning_rate: Any) -> Steps:
        """Return all steps, with these rates (m, n_steps), or (n_steps,) or one rate for all."""
        start, stop = batches(self.n_rows, self.batch_size, self.shuffle, 0, n_steps)
        rates = learning_rate if np.ndim(learning_rate) == 2 else np.full((1, n_steps), learning_rate)
        return Steps(self._rows(), start, stop, rates, np.zeros((len(self.plans), n_steps)))

    def _rows(self) -> NDArray[np.int64]:
        """Return the rows of the steps (m, any), or (1, any) if they are the same for all members."""
        if self.shuffle:
            flat = self._orders.reshape(len(self.plans), -1)
            for plan, order in zip(self.plans, flat, strict=True):
                order[plan.n_epochs * self.n_rows :] = 0  # of epochs that the member does not have
                if plan.rows is not None:
                    order[...] = rows_at(plan.rows, order)
            return flat
        in_order, rows = np.arange(self.n_rows), self.plans[0].rows
        if any(index is not None for index in self.indices) or any(plan.rows is not rows for plan in self.plans):
            each = zip(self.plans, self.indices, strict=True)
            return np.array([rows_at(plan.rows, in_order if index is None else index) for plan, index in each])
        return rows_at(rows, in_order)[None]

    def places(self, n_epochs: list[int]) -> list[Place]:
        """Return the positions of the generators after these epochs of each member, with the orders of the rows."""
        if not self.shuffle:
            return self._places
        return [
            place if n == plan.n_epochs else self._place_at(k, n)
            for k, (plan, place, n) in enumerate(zip(self.plans, self._places, n_epochs, strict=True))
        ]

    def _place_at(self, k: int, n_epochs: int) -> Place:
        """Return the generator's position of member k after this number of epochs, before its last one."""
        plan = self.plans[k]
        with generator.borrowed() as random_state:
            put(random_state, Seeded(self.seeds[k], plan.params is None, self.n_rows), plan.network)
            index, _ = _split(plan, random_state)
            return self._shuffled(random_state, np.empty((n_epochs, self.n_rows), np.int64), index)


def decisions_of(group: Group) -> list[Decisions]:
    """Return the decisions of each member; what members share is checked, and their rows are copied, once."""
    copies: dict[tuple[int, int], Data] = {}
    known: dict[tuple[int, ...], tuple[Stop, Data | None]] = {}

    def copy(data: Data, rows: Array) -> Data:
        key = id(data), id(rows)
        if key not in copies:
            copies[key] = rows_of(data, rows)
        return copies[key]

    decisions = []
    for k, plan in enumerate(group.plans):
        state: TrainingState = group.state if group.is_one else group.order.first_state(k)
        key = id(plan.stop), id(plan.data), id(plan.validation_rows)
        if state.validation_rows is not None or key not in known:  # each member has split off rows of its own
            if plan.validation_rows is not None:
                chosen = copy(plan.data, plan.validation_rows)
                plan = plan._replace(stop=replace(plan.stop, validation=chosen))
            known[key] = plan.stop, validation_data(plan, state)
        stop, validation = known[key]
        own = plan if plan.stop is stop else plan._replace(stop=stop)
        decisions.append(Decisions(own, group.tasks[group.which[k]], validation, state, copy))
    return decisions
