"""The beginning of a training: what is drawn from its seed, or taken over from a state, and its
validation data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import RandomState

from fastnn import kit
from fastnn.checking.arguments import cut, errors_of, shown
from fastnn.checking.values import check_column_names, column_names
from fastnn.memory import ROW_BLOCK, Array, read_only
from fastnn.network import Network, nguyen_widrow, params_of
from fastnn.optimizers import Method
from fastnn.state import Data
from fastnn.training.generator import Generators, Seed, check_orders
from fastnn.training.inputs import FEW_ROWS, check_data, check_memory, check_method
from fastnn.training.options import TrainOptions
from fastnn.training.results import Row
from fastnn.training.rows import NO_WEIGHT, digest, rows_a_step, rows_at, rows_of
from fastnn.training.state import (
    WRONG_ROW_ORDER,
    TrainingState,
    holds_each_row_once,
    network_counters,
)

CopyRows = Callable[[Data, Array], Data]

Start = Seed | TrainingState | Row
"""Where a member begins: at a seed, at a state, or where the member of a row of results has
ended."""


def check_fits_machine(options: TrainOptions) -> None:
    """Raise MemoryError if a training does not fit the machine, and ValueError if its method does
    not fit the network.

    `options` are those of any of the members of a session.
    """
    dtype = options.data.X.dtype
    rows = rows_a_step(options.batch_size, options.n_rows)
    if isinstance(options.optimizer, Method):
        check_method(options.optimizer, options.network, dtype)
    block = ROW_BLOCK
    threads = options.threads
    if options.optimizer.sequential:
        block = rows
        threads = 1
    check_memory(options.network, options.n_vectors, rows, dtype, options.backend, block, threads)


# ------------------------------------------------------------------------------ drawn from the seed


def weights_of(drawn: dict[int, Array], members: Any, params: Array) -> None:
    """Make first weights of the numbers that some members have drawn, and write them to `params`
    (m, n_params).

    It takes for all of them as long as for one.
    """
    if not drawn:
        return
    network: Network = members[0].network
    chosen = list(drawn)
    if spreads(members[0]):
        ranges: dict[tuple[int, int], tuple[Array, Array]] = {}
        for k in chosen:
            key = id(members[k].data), id(members[k].rows)
            if key not in ranges:
                ranges[key] = ranges_of(members[k])
            nguyen_widrow(network, drawn[k], params[k], *ranges[key])
    elif len(chosen) == len(params):
        params_of(network, np.array([*drawn.values()]), params)
    else:
        made = np.empty((len(chosen), network.n_params), params.dtype)
        params[chosen] = params_of(network, np.array([*drawn.values()]), made)


def spreads(options: TrainOptions) -> bool:
    """Return whether the initial weights are Nguyen and Widrow's: by name, or by default of a
    method.
    """
    init = options.network.init
    return init == "nguyen_widrow" or (init is None and isinstance(options.optimizer, Method))


def ranges_of(options: TrainOptions) -> tuple[Array, Array]:
    """Return the minimum and maximum of each input (n_inputs,), over the training rows of positive
    weight.
    """
    data = options.data if options.rows is None else rows_of(options.data, options.rows)
    X = data.X[data.sample_weight > 0].astype(np.float64)
    return X.min(axis=0), X.max(axis=0)


def split_rows(
    options: TrainOptions, random_state: RandomState
) -> tuple[Array | None, Array | None]:
    """Draw the validation split, if the stop rules split off a part.

    Return the training rows, None for all in order, and the validation rows, None if none are split
    off.
    """
    part = options.stop.validation
    if not isinstance(part, (int, float)):
        return None, None
    n = options.n_rows
    n_validation = options.n_split
    if n_validation >= n:
        raise ValueError(
            f"validation={part:g} of {n} rows is {n_validation} rows for validation and none "
            f"to "
            f"train on"
        )
    order = np.asarray(random_state.permutation(n))
    check_orders(random_state, order[None], np.arange(n))
    return order[n_validation:].copy(), order[:n_validation]


def rows_in_order(n: int) -> Array:
    """Return the numbers of `n` rows, read-only."""
    return (_few_rows if n <= FEW_ROWS else _rows)(n)


def _rows(n: int) -> Array:
    return read_only(np.arange(n))


_few_rows = kit.remembered(_rows)


# -------------------------------------------------------------------------- taken over from a state


def resumed(
    options: TrainOptions, given: TrainingState, k: int, generators: Generators
) -> TrainingState:
    """Return a copy of the state that member k resumes, and let its generator go on from there.

    Network, data, rows and batches must fit the state.

    With `new_rows`, what belongs to the old rows is dropped: their order, the begun epoch, and
    scores, except those of separate validation data.
    """
    _check_fits(options, given)
    state = given.copy()
    assert state.index is not None
    assert state.random_state is not None
    if not options.new_rows:
        _check_rows(options, state, state.index)
    if options.feature_names is not None:
        check_column_names(options.feature_names, state.feature_names)
    generators.set(k, state.random_state)
    if options.new_rows:
        state.index, state.validation_rows = split_rows(options, generators.take(k))
        generators.put(k)
        state.batch = 0
        gone = {"loss_sum", "row_sum"}
        if not isinstance(options.stop.validation, (tuple, list)):
            gone |= {"best_score", "best_on", "rule_on", "rule_best", "rule_stale"}
            state.best_params = None
        state.counters = {name: n for name, n in state.counters.items() if name not in gone}
    _check_begun_epoch(options, state)
    return state


def _check_fits(options: TrainOptions, resume: TrainingState) -> None:
    """Raise ValueError, with both values, if the state belongs to another training."""
    counters = resume.counters
    network = options.network
    optimizer = options.optimizer
    has: list[tuple[str, Any, Any]] = [
        *(
            (name, counters.get(name, value), value)
            for name, value in network_counters(network).items()
        ),
        ("number of parameters", resume.n_params, network.n_params),
        ("optimizer", resume.optimizer, optimizer.name),
        ("number of optimizer vectors", len(resume.vectors) - 1, optimizer.n_slots),
        ("dtype", resume.storage.dtype, options.data.X.dtype),
    ]
    for what, of_state, of_call in has:
        if of_state != of_call:
            was = _listed(of_state)
            now = _listed(of_call)
            raise ValueError(
                f"resume does not fit: the {what} of its state is {was}, that of this training "
                f"{now}"
            )


def _listed(value: Any) -> str:
    """Return a list as "(3, 4, 2)", and a list of one item as that item."""
    several = isinstance(value, list) and len(value) != 1
    return cut(
        f"({', '.join(map(str, value))})"
        if several
        else value[0]
        if isinstance(value, list)
        else value
    )


def _check_rows(options: TrainOptions, resume: TrainingState, index: Array) -> None:
    """Raise ValueError if the state was trained on other rows, as far as it records them."""
    if resume.counters.get("rows") != (None if options.rows is None else digest(options.rows)):
        fault = "resume does not fit: its state was trained on other rows of X"
        raise ValueError(
            f"{fault}; give the same rows= or validation_rows= as then, or say new_rows=True"
        )
    n = options.n_rows
    split = resume.validation_rows
    n_split = 0 if split is None else len(split)
    if len(index) + n_split != n:
        fault = (
            f"resume does not fit: its state was trained on {len(index) + n_split} rows, X has {n}"
        )
        raise ValueError(f"{fault}; for other rows say new_rows=True")
    if not holds_each_row_once(index, split):
        raise ValueError(f"resume is damaged: {WRONG_ROW_ORDER}")
    if options.n_split not in (0, n_split):
        raise ValueError(
            f"resume does not fit: its state keeps {n_split} rows for validation, "
            f"validation={options.stop.validation:g} of {n} rows is {options.n_split}; the split "
            f"is made once, when "
            "training begins"
        )


def _check_begun_epoch(options: TrainOptions, state: TrainingState) -> None:
    """Raise ValueError if a state is within an epoch of batches of another size."""
    if not state.batch:
        return
    assert state.index is not None
    n = len(state.index)
    size = rows_a_step(options.batch_size, n)
    was = rows_a_step(state.counters.get("batch_size", options.batch_size), n)
    if was != size:
        fault = f"resume does not fit: its state is within an epoch of batches of {was} rows"
        raise ValueError(f"{fault}, batch_size is {size} now; it may change between epochs only")
    per_epoch = -(-n // size)
    if not 0 <= state.batch < per_epoch:
        done = f"{shown(state.batch)} batches of an epoch of {per_epoch}"
        raise ValueError(f"resume is damaged: {done} are done")


# ------------------------------------------------------------------------------ the validation data


def validation_data(
    options: TrainOptions, index: Array, split: Array | None, copy: CopyRows
) -> Data | None:
    """Return the validation data: a copy of the rows that were split off, of the chosen ones, or
    the given arrays.

    `index` are the training rows, `split` those that were split off.
    """
    data = options.data
    rows = options.rows
    given = options.stop.validation
    if split is not None and not data.sample_weight[rows_at(rows, index)].any():
        raise ValueError(NO_WEIGHT)
    if options.validation_rows is not None:
        given = copy(data, options.validation_rows)
    if given is None:
        return None
    if isinstance(given, (int, float)):
        assert split is not None
        part = rows_of(data, rows_at(rows, split))
        if not part.sample_weight.any():
            raise ValueError("sample_weight is 0 for all rows that were split off for validation")
        return part
    with errors_of("validation"):
        check_column_names(column_names(given[0]), options.feature_names)
        X, Y, weight = (*given, None)[:3]
        return check_data(options.network, X, Y, weight, options.assume_finite, data.X.dtype)
