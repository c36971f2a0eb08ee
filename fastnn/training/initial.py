"""The beginning of a training: what is drawn from its seed, or taken over from a state, and its
validation data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.random import RandomState

from fastnn.checking.arguments import cut, errors_of, shown
from fastnn.checking.values import check_column_names, column_names
from fastnn.memory import ROW_BLOCK, Array, aligned_zeros, padded_size
from fastnn.network import Network, draw, holds_back, nguyen_widrow, params_of
from fastnn.optimizers import Method
from fastnn.sparse import SparseRows
from fastnn.state import BEST, LIMIT, RULE_BEST, STALE, Data
from fastnn.training.generator import Generators, Seed, check_orders
from fastnn.training.inputs import (
    NO_WEIGHT,
    check_data,
    check_memory,
    check_method,
    rows_a_step,
)
from fastnn.training.options import TrainOptions
from fastnn.training.results import Row, arrays_of, by_store
from fastnn.training.state import (
    WRONG_ROW_ORDER,
    TrainingState,
    TrainingStates,
    holds_each_row_once,
    network_counters,
    states_of,
)
from fastnn.training.steps import digest, rows_at, rows_in_order, rows_of
from fastnn.training.stopping import no_rules, score_name

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
    sizes = options.network, options.n_vectors, rows, dtype, options.backend, block, threads
    check_memory(*sizes, sparse=isinstance(options.data.X, SparseRows))


# ------------------------------------------------------------------------------------ all members


def begin(
    members: Sequence[TrainOptions], kinds: Sequence[TrainOptions], starts: Sequence[Start]
) -> tuple[TrainingStates, Generators]:
    """Return where members begin, and their generators: weights and validation rows are drawn from
    seeds; states, and rows of results, are taken over.

    `kinds` are the different ones of the members' options.
    """
    first = members[0]
    keeps_words = _keeps_words(kinds, starts)
    generators = Generators(len(members), keeps_words, first.backend.shuffle_rows)
    states = _blank(members, kinds, generators)
    orders: dict[int, Array] = {}
    drawn: dict[int, Array] = {}
    resumed_rows: dict[int, Row] = {}
    for k, options in enumerate(members):
        start = starts[k]
        if isinstance(start, Row):
            resumed_rows[k] = start
        elif isinstance(start, TrainingState):
            before = resumed(options, start, k, generators)
            _go_on(states, members, [k], before, [0], orders)
        else:
            _draw(options, start, k, states, generators, drawn, orders)
    for results, chosen in by_store(resumed_rows) if resumed_rows else ():
        places = [resumed_rows[k].place for k in chosen]
        _go_on(states, members, chosen, results, places, orders)
        for k, place in zip(chosen, places, strict=True):
            generators.seeds[k] = results.seeds[place]
            if keeps_words:
                generators.set(k, results.random_state(place))
    weights_of(drawn, members, states.storage[:, 0, : states.n_params])
    in_order = rows_in_order(first.n_rows)
    if orders:
        states.order = np.array([orders.get(k, in_order) for k in range(len(members))])
    return states, generators


def _keeps_words(kinds: Sequence[TrainOptions], starts: Sequence[Start]) -> bool:
    """Return whether generators go on from where they are; if not, their draws can be repeated from
    their seeds.
    """
    first = kinds[0]
    if first.shuffle and first.has_batches:
        return True
    for options in kinds:
        if options.n_split:
            return True
    for start in starts:
        if isinstance(start, TrainingState):
            return True
        if isinstance(start, Row) and not arrays_of(start).draws_again(start.place):
            return True
    return False


def _blank(
    members: Sequence[TrainOptions], kinds: Sequence[TrainOptions], generators: Generators
) -> TrainingStates:
    """Return the states of trainings that begin, without weights; the rules of their options."""
    first = members[0]
    m = len(members)
    n_params = first.network.n_params
    dtype = first.data.X.dtype
    beta_products = np.empty((m, 2))
    beta_products.fill(1)
    states = TrainingStates(
        aligned_zeros((m, 1 + first.optimizer.n_slots, padded_size(n_params, dtype)), dtype),
        n_params,
        [0] * m,
        beta_products,
        epochs=[0] * m,
        batches=[0] * m,
        sums=np.zeros((m, 2)),
        rules=no_rules(m),
        rule_on=[None] * m,
        best_params=np.zeros((m, 0), dtype),
        best_on=[None] * m,
        rate_factor=[1.0] * m,
        rate_least=[0.0] * m,
        order=np.empty((0, first.n_rows), np.int64),
        splits=[None] * m,
        seeds=generators.seeds,
        words=generators.words,
        held=generators.held,
        owners={},
    )
    for options in kinds:
        if options.rule is not None or options.stop.restore_best:
            _take_rules(states, members, kinds)
            break
    return states


def _take_rules(
    states: TrainingStates, members: Sequence[TrainOptions], kinds: Sequence[TrainOptions]
) -> None:
    """Write the rules of the members' options, and the names of their scores."""
    names = {id(options): options.score_name for options in kinds}
    rows = {id(options): options.rule.row() for options in kinds if options.rule is not None}
    if any(options.stop.restore_best for options in kinds):
        states.keep_best_params()
    for k, options in enumerate(members):
        if options.rule is not None:
            states.rules[k] = rows[id(options)]
            states.rule_on[k] = names[id(options)]
        if options.stop.reduce is not None:
            states.rate_least[k] = options.stop.reduce.least
        if options.stop.restore_best:
            states.best_on[k] = names[id(options)]


def _draw(
    options: TrainOptions,
    seed: Seed,
    k: int,
    states: TrainingStates,
    generators: Generators,
    drawn: dict[int, Array],
    orders: dict[int, Array],
) -> None:
    """Begin member k; add what it draws for its weights, and its rows unless they are all, in
    order.
    """
    random_state = generators.seed(k, seed)
    if options.params is None:
        drawn[k] = draw(options.network, random_state)
        if holds_back(options.network):
            generators.hold(k)
    else:
        states.storage[k, 0, : states.n_params] = options.params
    order, states.splits[k] = split_rows(options, random_state)
    if order is not None:
        orders[k] = order
    generators.put(k)


def _go_on(
    states: TrainingStates,
    members: Sequence[TrainOptions],
    chosen: list[int],
    before: TrainingStates,
    places: list[int],
    orders: dict[int, Array],
) -> None:
    """Let the `chosen` members go on where those at some places of other states are; add the orders
    of their rows.
    """
    n = states.n_params
    states.storage[chosen, :, :n] = before.storage[places, :, :n]
    states.beta_products[chosen] = before.beta_products[places]
    states.sums[chosen] = before.sums[places]
    if before.best_params.shape[1]:
        states.keep_best_params()
        states.best_params[chosen] = before.best_params[places]
    for k, place in zip(chosen, places, strict=True):
        states.t[k] = before.t[place]
        states.epochs[k] = before.epochs[place]
        states.batches[k] = before.batches[place]
        states.splits[k] = before.splits[place]
        states.rate_factor[k] = before.rate_factor[place]
        if members[k].stop.reduce is None:
            states.rate_least[k] = before.rate_least[place]
        if len(before.order):
            orders[k] = before.order_of(place)
        _go_on_scoring(states, k, before, place)


OF_LOSS = score_name("loss", validated=False), score_name("loss", validated=True)
"""The names of scores that are losses: those of version 0.1, which did not name them."""


def _go_on_scoring(states: TrainingStates, k: int, before: TrainingStates, place: int) -> None:
    """Let member k's rule go on with its best score and its failed epochs, and its best parameters
    with their score, where these scores are of the same kind as before.
    """
    row = states.rules[k]
    last = before.rules[place]
    if row[LIMIT] and states.rule_on[k] == before.rule_on[place]:
        row[RULE_BEST] = last[RULE_BEST]
        row[STALE] = last[STALE]
    if states.best_on[k] is None:  # no best parameters are asked for: a later call may do so
        states.best_on[k] = before.best_on[place]
        row[BEST] = last[BEST]
    elif states.best_on[k] == before.best_on[place] or (
        states.best_on[k] in OF_LOSS and before.best_on[place] is None
    ):
        row[BEST] = last[BEST]


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
            f"validation={part:g} of {n} rows is {n_validation} rows for validation and none to "
            "train on"
        )
    order = np.asarray(random_state.permutation(n))
    check_orders(random_state, order[None], rows_in_order(n))
    return order[n_validation:].copy(), order[:n_validation]


# -------------------------------------------------------------------------- taken over from a state


def resumed(
    options: TrainOptions, state: TrainingState, k: int, generators: Generators
) -> TrainingStates:
    """Return the state that member k resumes, as the only row of states; let the member's generator
    go on from there.

    Network, data, rows and batches must fit the state. With `new_rows`, what belongs to the old
    rows is dropped: their order, the begun epoch, and scores, except those of separate validation
    data.
    """
    assert state.random_state is not None
    assert state.index is not None
    _check_fits(options, state)
    if not options.new_rows:
        _check_rows(options, state, state.index)
    if options.feature_names is not None:
        check_column_names(options.feature_names, state.feature_names)
    generators.set(k, state.random_state)
    before = states_of(state)
    if not options.new_rows:
        _check_begun_epoch(options, state)
        return before
    order, split = split_rows(options, generators.take(k))
    generators.put(k)
    before.order = np.empty((0, options.n_rows), np.int64) if order is None else order[None]
    before.splits = [split]
    before.batches = [0]
    before.sums = np.zeros((1, 2))
    if not isinstance(options.stop.validation, (tuple, list)):
        before.rules = no_rules(1)
        before.rule_on = before.best_on = [None]
        before.best_params = before.best_params[:, :0]
    return before


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
    for fact, of_state, of_call in has:
        if of_state != of_call:
            was = _listed(of_state)
            now = _listed(of_call)
            raise ValueError(
                f"resume does not fit: the {fact} of its state is {was}, that of this training "
                f"{now}"
            )


def _listed(value: Any) -> str:
    """Return a list as "(3, 4, 2)", and a list of one item as that item."""
    if not isinstance(value, list):
        return cut(value)
    return cut(value[0] if len(value) == 1 else f"({', '.join(map(str, value))})")


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
            "is made once, when training begins"
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


def validation_data(options: TrainOptions, index: Array | None, copy: CopyRows) -> Data | None:
    """Return the validation data of a member that has split off none now: a copy of the chosen
    rows, or the given arrays.

    `index` are the training rows, if earlier calls have split off others.
    """
    if index is not None:
        _check_weight(options, index, NO_WEIGHT)
    if options.validation_rows is not None:
        return copy(options.data, options.validation_rows)
    arrays = options.stop.validation
    if arrays is None:
        return None
    assert isinstance(arrays, (tuple, list))
    with errors_of("validation"):
        check_column_names(column_names(arrays[0]), options.feature_names)
        weight = arrays[2] if len(arrays) > 2 else None
        of_training = options.data.X
        return check_data(
            options.network,
            arrays[0],
            arrays[1],
            weight,
            options.assume_finite,
            of_training.dtype,
            stays_sparse=isinstance(of_training, SparseRows),
        )


def split_parts(members: Sequence[TrainOptions], states: TrainingStates) -> dict[int, Data]:
    """Return copies of the rows that members have split off for validation, by their numbers: of
    the same data they are copied at once.
    """
    alike: dict[tuple[int, int, int], list[int]] = {}
    for k, options in enumerate(members):
        split = states.splits[k]
        if split is not None and isinstance(options.stop.validation, (int, float)):
            key = id(options.data), id(options.rows), len(split)
            alike.setdefault(key, []).append(k)
    parts: dict[int, Data] = {}
    for chosen in alike.values():
        first = members[chosen[0]]
        splits = np.array([states.splits[k] for k in chosen])
        if not first.data.sample_weight.all():
            for k, split in zip(chosen, splits, strict=True):
                _check_weight(first, states.order_of(k), NO_WEIGHT)
                _check_weight(first, split, NO_WEIGHT_SPLIT)
        if isinstance(first.data.X, SparseRows):
            for k, split in zip(chosen, splits, strict=True):
                parts[k] = rows_of(first.data, rows_at(first.rows, split))
            continue
        stacked = rows_of(first.data, rows_at(first.rows, splits))
        for k, part in zip(chosen, zip(*stacked, strict=True), strict=True):
            parts[k] = Data(*part)
    return parts


NO_WEIGHT_SPLIT = "sample_weight is 0 for all rows that were split off for validation"


def _check_weight(options: TrainOptions, positions: Array, fault: str) -> None:
    """Raise ValueError unless one of the rows at these positions has weight."""
    if not options.data.sample_weight[rows_at(options.rows, positions)].any():
        raise ValueError(fault)
