"""The first state of a training: drawn from a seed, or a copy of the state that is resumed."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from fastnn.backends import Backend
from fastnn.checking.arguments import check_flag, class_of, cut, shown
from fastnn.checking.values import check_column_names, column_names
from fastnn.layers import draw, params_of
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.state import Data, make_storage
from fastnn.training.batches import RowPlan, check_full_batch, rows_a_step
from fastnn.training.generator import Seed, Seeded, check_orders, make_random_state, new_random_state
from fastnn.training.inputs import FEW_ROWS, check_data, check_inputs, check_params
from fastnn.training.options import network_counters
from fastnn.training.state import WRONG_ROW_ORDER, Counters, TrainingState, holds_each_row_once
from fastnn.training.stopping import Stop
from fastnn.training.subsets import Rows, digest, rows_at, rows_of

FEW_DRAWS = 1024
"""Parameters so few that to draw them again takes no longer than to copy a generator."""


def fresh(
    network: Network, optimizer: Optimizer, dtype: np.dtype[Any], n: int, params: Any, seed: Seed, stop: Stop
) -> tuple[TrainingState, np.random.RandomState, Seeded | None]:
    """Draw the weights and the validation split of `n` rows; return the first state, the generator, and its `Seeded`.

    That is None where to draw the same again is not possible, or would take longer than to copy the generator.
    """
    random_state = make_random_state(seed)
    storage = make_storage(network.n_params, optimizer.n_slots, dtype)
    state = TrainingState(storage, network.n_params, optimizer=optimizer.name)
    if params is None:
        params_of(network, draw(network, random_state), state.params)
    else:
        state.params[...] = check_params(network, params, dtype)
    state.index, state.validation_rows = _split(n, random_state, stop)
    if isinstance(seed, (int, np.integer)) and state.validation_rows is None and network.n_params <= FEW_DRAWS:
        return state, random_state, Seeded(int(seed), params is None, n)
    return state, random_state, None


def _split(n: int, random_state: np.random.RandomState, stop: Stop) -> tuple[Array, Array | None]:
    """Return the rows to train on, in order, and those drawn for validation, if the stop rules ask for a part."""
    if not isinstance(stop.validation, (int, float)):
        return (all_rows_again if n <= FEW_ROWS else all_rows)(n), None
    n_validation = math.ceil(stop.validation * n)
    if n_validation >= n:
        raise ValueError(
            f"validation={stop.validation:g} of {n} rows is {n_validation} rows for validation and none to train on"
        )
    order = np.asarray(random_state.permutation(n))
    check_orders(random_state, order[None], np.arange(n))
    return order[n_validation:].copy(), order[:n_validation]


def all_rows(n: int) -> Rows:
    """Return the numbers of `n` rows, read-only."""
    rows = np.arange(n)
    rows.flags.writeable = False
    return rows


all_rows_again = functools.lru_cache(maxsize=32)(all_rows)
"""The same of few rows, made once for small trainings on as many."""


def check_resume(resume: Any, new_rows: bool, seed: Any, params: Any) -> None:
    """Raise TypeError or ValueError unless `resume` is None or an undamaged state, and the other options suit it."""
    if resume is None:
        if check_flag("new_rows", new_rows):
            raise ValueError("new_rows=True is for a training that goes on: give it the state of a result as resume=")
        return
    if seed is not None or params is not None:
        raise ValueError("resume brings its own generator and parameters: give it without seed and params")
    check_flag("new_rows", new_rows)
    if not isinstance(resume, TrainingState):
        hint = "; pass its .state" if isinstance(getattr(resume, "state", None), TrainingState) else ""
        if isinstance(resume, Sequence) and len(resume) and hasattr(resume[0], "state"):
            hint = "; pass the state of one of its members, such as resume=many[0].state"
        if isinstance(resume, (str, os.PathLike)):
            hint = f"; say resume=fastnn.load({shown(str(resume))}).state"
        raise TypeError(f"resume must be the state of a training result, not {class_of(resume)}{hint}")
    if resume.index is None or resume.random_state is None:
        raise ValueError(
            "resume must be the state of a training; this one has no row order and no generator, as after "
            "save(path, state=False): train(..., params=result.params) begins a new training at its parameters"
        )
    try:
        resume.check()
    except ValueError as error:
        raise ValueError(f"resume does not fit: {error}") from None


def resumed(
    network: Network,
    optimizer: Optimizer,
    dtype: np.dtype[Any],
    n: int,
    resume: TrainingState,
    new_rows: bool,
    stop: Stop,
    rows: Rows | None,
) -> tuple[TrainingState, np.random.RandomState]:
    """Return a copy of the state to go on from, and its generator; network, data and rows must fit it.

    With `new_rows`, what the state says of its own rows is left out: their order, the epoch that has begun, and scores,
    unless they are of validation data of their own.
    """
    assert resume.index is not None
    assert resume.random_state is not None
    _check_fits(network, optimizer, dtype, resume)
    if not new_rows:
        _check_rows(resume, resume.index, rows, n, stop)
    random_state, state = new_random_state(), resume.copy()
    random_state.set_state(resume.random_state)
    if new_rows:
        state.index, state.validation_rows = _split(n, random_state, stop)
        state.batch = 0
        gone = {"loss_sum", "row_sum"}
        if not isinstance(stop.validation, (tuple, list)):
            gone |= {"best_score", "best_on", "rule_on", "rule_best", "rule_stale"}
            state.best_params = None
        state.counters = cast(Counters, {name: n for name, n in state.counters.items() if name not in gone})
    return state, random_state


def validation_data(
    network: Network, data: Data, rows: Rows | None, state: TrainingState, stop: Stop, assume_finite: bool
) -> Data | None:
    """Return the data to validate on: a copy of the rows that were split off, or the arrays that were given."""
    index, split = state.index, state.validation_rows
    assert index is not None
    if not (rows is None and split is None) and not data.sample_weight[rows_at(rows, index)].any():
        raise ValueError("sample_weight is 0 for all rows that are left to train on")
    if stop.validation is None:
        return None
    if isinstance(stop.validation, (int, float)):
        assert split is not None
        part = rows_of(data, rows_at(rows, split))
    else:
        try:
            check_column_names(column_names(stop.validation[0]), state.feature_names)
            X = check_inputs(network, stop.validation[0], data.X.dtype, assume_finite)
            Y, weight = (*stop.validation[1:], None)[:2]
            part = check_data(network, X, Y, weight, assume_finite)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation: {error}") from None
    if not part.sample_weight.any():
        raise ValueError("sample_weight is 0 for all rows that were split off for validation")
    return part


def row_plan(
    backend: Backend,
    optimizer: Optimizer,
    state: TrainingState,
    random_state: np.random.RandomState,
    batch_size: int | None,
    shuffle: bool,
    rows: Rows | None,
) -> RowPlan:
    """Return the order of the rows from this state on; ValueError for a batch size that does not go with it."""
    assert state.index is not None
    compiled = getattr(backend, "shuffle_rows", None)
    plan = RowPlan(state.index, batch_size, shuffle, random_state, state.batch, compiled, rows)
    if state.batch:
        was = rows_a_step(state.counters.get("batch_size", batch_size), plan.n_rows)
        if was != plan.batch_size:
            raise ValueError(
                f"resume does not fit: its state is within an epoch of batches of {was} rows, "
                f"batch_size is {plan.batch_size} now; it may change between epochs only"
            )
        if not 0 <= state.batch < plan.steps_per_epoch:
            raise ValueError(
                f"resume is damaged: {shown(state.batch)} batches of an epoch of {plan.steps_per_epoch} are done"
            )
    if optimizer.full_batch:
        check_full_batch(optimizer.name, batch_size, plan.n_rows)
    return plan


def _check_fits(network: Network, optimizer: Optimizer, dtype: np.dtype[Any], resume: TrainingState) -> None:
    """Raise ValueError, naming both sides, where the state belongs to another training."""
    counters = resume.counters
    has: list[tuple[str, Any, Any]] = [
        *((name, counters.get(name, value), value) for name, value in network_counters(network).items()),
        ("number of parameters", resume.n_params, network.n_params),
        ("optimizer", resume.optimizer, optimizer.name),
        ("number of optimizer vectors", len(resume.vectors) - 1, optimizer.n_slots),
        ("dtype", resume.storage.dtype, dtype),
    ]
    for what, of_state, of_call in has:
        if of_state != of_call:
            was, now = _listed(of_state), _listed(of_call)
            raise ValueError(f"resume does not fit: the {what} of its state is {was}, that of this training {now}")


def _listed(value: Any) -> str:
    """Return a list as "(3, 4, 2)", the only one of a list as itself."""
    several = isinstance(value, list) and len(value) != 1
    return cut(f"({', '.join(map(str, value))})" if several else value[0] if isinstance(value, list) else value)


def _check_rows(resume: TrainingState, index: Rows, rows: Rows | None, n: int, stop: Stop) -> None:
    """Raise ValueError where the state was trained on other rows, as far as it knows them."""
    if resume.counters.get("rows") != (None if rows is None else digest(rows)):
        raise ValueError(
            "resume does not fit: its state was trained on other rows of X; give the same rows= or validation_rows= as "
            "then, or say new_rows=True"
        )
    validation_rows = resume.validation_rows
    n_split = 0 if validation_rows is None else len(validation_rows)
    if len(index) + n_split != n:
        raise ValueError(
            f"resume does not fit: its state was trained on {len(index) + n_split} rows, X has {n}; for other rows "
            "say new_rows=True"
        )
    if not holds_each_row_once(index, validation_rows):
        raise ValueError(f"resume is damaged: {WRONG_ROW_ORDER}")
    if isinstance(stop.validation, (int, float)) and math.ceil(stop.validation * n) != n_split:
        raise ValueError(
            f"resume does not fit: its state keeps {n_split} rows for validation, validation={stop.validation:g} "
            f"of {n} rows is {math.ceil(stop.validation * n)}; the split is made once, when training begins"
        )
