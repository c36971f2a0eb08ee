"""The state of a training: the state of its steps, and what else resuming needs; and of several."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastnn.checking import display
from fastnn.checking.arguments import shown
from fastnn.checking.values import Names
from fastnn.losses import plain
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.state import BEST, RULE_BEST, STALE, StepState, StepStates
from fastnn.training.stopping import no_rules

Counters = dict[str, Any]
"""The progress and the options of a training, in types of JSON: `COUNTERS` has their names; files
of 0.1 lack some."""


@dataclass(repr=False)
class TrainingState(StepState):
    """Everything that resuming a training needs: ``train(..., resume=result.state)``.

    Attributes
    ----------
    params : ndarray (n_params,)
        The parameters after the last step, a view of `vectors`.
    vectors : ndarray (1 + n_slots, n_params)
        The parameters, and the optimizer's vectors; a view of `storage`.
    t : int
        Steps done, skipped ones included.
    storage : ndarray (1 + n_slots, padded)
        The memory of `vectors`; each row is aligned for the kernel's vectors.
    n_params : int
        The length of the parameter vector.
    beta_products : ndarray (2,)
        The running products of Adam's decay rates.
    optimizer : str
        Name of the optimizer's class.
    random_state : dict or None
        The state of the generator after the last draw.
    index : ndarray (n_train,) or None
        The order of the rows in this epoch, int64.
    validation_rows : ndarray (n_validation,) or None
        The rows that were split off for validation, int64.
    batch : int
        Steps done in the epoch that has begun.
    counters : dict
        Counts of epochs and stop rules, and the options, which resuming keeps unless you give
        others.
    best_params : ndarray (n_params,) or None
        The parameters of the best epoch so far, if the stop rules need them.
    feature_names : tuple of str or None
        The names of the columns of X, if it was a data frame with names.

    Examples
    --------
    >>> from fastnn import Network, train
    >>> X, y = [[0.0], [1.0]], [0.0, 1.0]
    >>> state = train(Network((1, 1)), X, y, epochs=3, seed=0).state
    >>> state
    <TrainingState: optimizer Adam, parameters 2 float64, steps 3>
    >>> train(Network((1, 1)), X, y, epochs=2, resume=state).state.t
    5
    """

    optimizer: str = ""
    """Name of the optimizer's class, to refuse another one on resuming."""
    random_state: dict[str, Any] | None = None
    """``RandomState.get_state(legacy=False)`` after the last draw."""
    index: NDArray[np.int64] | None = None
    """The order (n_train,) of the rows in this epoch, all shuffles composed; positions in
    ``train(rows=...)``."""
    validation_rows: NDArray[np.int64] | None = None
    """Rows that were split off for validation, counted like those of `index`."""
    batch: int = 0
    """Steps done in the epoch that has begun."""
    counters: Counters = dataclasses.field(default_factory=Counters)
    """Counts of epochs and stop rules, and the options, which resuming keeps unless others are
    given."""
    best_params: Array | None = None
    """The parameters (n_params,) of the best epoch so far, if the stop rules need them."""
    feature_names: Names | None = None
    """The names of the columns of X, if it was a data frame with names."""

    def __repr__(self) -> str:
        facts: dict[str, object] = {"optimizer": self.optimizer or "none"}
        facts |= {"parameters": f"{self.n_params:,} {self.storage.dtype}", "steps": self.t}
        return display.line(
            self, facts | {"of which in a new epoch": self.batch} if self.batch else facts
        )

    def check(self) -> None:
        """Raise ValueError for values that no training produces, and that a back end or the
        generator would not check.

        Raises
        ------
        ValueError
            Names the first field with a wrong value.

        Examples
        --------
        >>> from fastnn import Network, train
        >>> train(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=3).state.check()
        """
        for name, fits in _FIELDS.items():
            if not fits(self, getattr(self, name)):
                raise ValueError(
                    f"the state is damaged: no training leaves this {name}: "
                    f"{shown(getattr(self, name))}"
                )


WRONG_ROW_ORDER = "its row order is not a permutation of the rows"
"""The error if `holds_each_row_once` is False."""


def holds_each_row_once(index: Array, validation_rows: Array | None) -> bool:
    """Return whether training and validation rows together are a permutation of 0, 1, ... n - 1."""
    rows = index if validation_rows is None else np.concatenate([index, validation_rows])
    n = rows.size
    if not n or rows.dtype != np.int64 or rows.min() < 0 or rows.max() >= n:
        return False
    return bool((np.bincount(rows, minlength=n) == 1).all())


def _is_array(value: Any, types: tuple[Any, ...], ndim: int) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.type in types
        and value.dtype.isnative
        and value.ndim == ndim
    )


def is_count(value: Any, low: int = 0) -> bool:
    """Return whether this is a Python integer of at least `low`; an integer of NumPy would
    overflow.
    """
    return type(value) is int and value >= low


def _is_finite(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and math.isfinite(value)


def _is_generator(state: Any) -> bool:
    """Return whether this is a state of MT19937; NumPy does not check that its position is within
    the key.
    """
    kind = state.get("bit_generator") if isinstance(state, dict) else None
    inner = state.get("state") if isinstance(kind, str) and kind == "MT19937" else None
    if (
        not isinstance(inner, dict)
        or not _is_array(inner.get("key"), (np.uint32,), 1)
        or inner["key"].size != 624
    ):
        return False
    has = {**state, "pos": inner.get("pos")}
    return all(fits(has.get(name)) for name, fits in GENERATOR.items())


def is_text(value: Any) -> bool:
    """Return whether this is a string."""
    return isinstance(value, str)


def _is_function(value: Any) -> bool:
    """Return whether this looks like the description of an activation or a loss: a name, or one
    with parameters.
    """
    return is_text(value) or (isinstance(value, dict) and is_text(value.get("name")))


def _is_optimizer(values: Any) -> bool:
    """Return whether `values` look like `Optimizer.to_dict`; `from_dict` checks them."""
    return isinstance(values, dict) and is_text(values.get("name")) and "learning_rate" in values


def _are_counters(counters: Any) -> bool:
    if "rule_on" in counters and not {"rule_best", "rule_stale"} <= counters.keys():
        return False
    return all(fits(counters[name]) for name, fits in COUNTERS.items() if name in counters)


def _are_names(names: Any, counters: Counters) -> bool:
    if not isinstance(names, tuple) or not all(map(is_text, names)):
        return False
    return len(names) == counters.get("sizes", [len(names)])[0]


def _is_float(value: Any) -> bool:
    return isinstance(value, (float, np.floating))


def _is_score(value: Any) -> bool:
    return value is None or _is_finite(value)


def _is_positive(value: Any) -> bool:
    return _is_finite(value) and value >= 0


COUNTS: dict[str, Callable[[Any], bool]] = {
    "t": lambda t: is_count(t) and t < 2**62,
    "batch": is_count,
}
"""The check of each field of a `TrainingState` that is a number."""

GENERATOR: dict[str, Callable[[Any], bool]] = {
    "pos": lambda place: is_count(place) and place <= 624,
    "has_gauss": lambda value: is_count(value) and value <= 1,
    "gauss": _is_float,
}
"""The check of each number of a generator's state."""

COUNTERS: dict[str, Callable[[Any], bool]] = {
    "epoch": is_count,  # epochs that ended
    # Of the steps in the current epoch: the sum of the losses, times their rows for
    # `reduction="mean"`; infinite on the way to divergence. And their rows.
    "loss_sum": _is_float,
    "row_sum": _is_positive,
    # The score of `TrainingState.best_params`, None before there is one, and its name:
    # `TrainOptions.score_name`; in files of version 0.1 always the loss. Lower is better: scores
    # other than the loss are negated, here and in `rule_best`.
    "best_score": _is_score,
    "best_on": is_text,
    # The name of the score that the stop rule compares, its best one, and the epochs since then;
    # absent without a rule.
    "rule_on": is_text,
    "rule_best": _is_score,
    "rule_stale": is_count,
    # By `ReduceRate`: the factor of the learning rate so far, and the lowest rate.
    "rate_factor": lambda value: _is_positive(value) and value <= 1,
    "rate_least": _is_positive,
    "optimizer": _is_optimizer,  # `Optimizer.to_dict`
    "batch_size": lambda value: value is None or is_count(value, 1),
    "shuffle": lambda value: isinstance(value, bool),
    "rows": is_count,  # the `digest` of the chosen rows; absent if all rows are trained on
    "alpha": _is_positive,
    # Of the network:
    "sizes": lambda value: isinstance(value, list) and all(is_count(n, 1) for n in value),
    "activation": lambda value: isinstance(value, list) and all(map(_is_function, value)),
    **dict.fromkeys(("output", "loss"), _is_function),
    **dict.fromkeys(("bias", "bias_gradient", "reduction"), is_text),
}
"""The check of each entry of `Counters`."""

_FIELDS: dict[str, Callable[[TrainingState, Any], bool]] = {
    "storage": lambda state, a: _is_array(a, (np.float32, np.float64), 2) and len(a) > 0,
    "n_params": lambda state, n: is_count(n, 1) and n <= state.storage.shape[1],
    "t": lambda state, t: COUNTS["t"](t),
    "beta_products": lambda state, a: (
        _is_array(a, (np.float64,), 1) and a.shape == (2,) and ((a >= 0) & (a <= 1)).all()
    ),
    "optimizer": lambda state, name: isinstance(name, str),
    "random_state": lambda state, value: value is None or _is_generator(value),
    "index": lambda state, a: a is None or _is_array(a, (np.int64,), 1),
    "validation_rows": lambda state, a: a is None or _is_array(a, (np.int64,), 1),
    "batch": lambda state, n: COUNTS["batch"](n),
    "counters": lambda state, value: isinstance(value, dict) and _are_counters(value),
    "best_params": lambda state, a: (
        a is None or (_is_array(a, (state.storage.dtype.type,), 1) and a.size == state.n_params)
    ),
    "feature_names": lambda state, names: names is None or _are_names(names, state.counters),
}
"""The check of each field; a later one may rely on those before it."""


def network_counters(network: Network) -> Counters:
    """Describe a network in types of JSON, as states store it: everything except how its weights
    were drawn.
    """
    return {
        "sizes": list(network.sizes),
        "activation": plain(network.activations[:-1]),
        "output": plain(network.output),
        "loss": plain(network.loss),
        "bias": network.bias,
        "bias_gradient": network.bias_gradient,
        "reduction": network.reduction,
    }


# ------------------------------------------------------------------- the states of several members


@dataclass(eq=False, repr=False, kw_only=True)
class TrainingStates(StepStates):
    """Everything that m trainings of one shape go on from: a row of each array, an item of each
    list, for each of them.

    A session begins with them and changes them, and its `Results` have them. A `TrainingState` is
    one of their rows, made on request.
    """

    epochs: list[int]
    """Epochs that ended, in all."""
    batches: list[int]
    """Steps done in the epoch that has begun."""
    sums: NDArray[np.float64]
    """(m, 2): of the losses and the rows of these steps, see `fastnn.training.log.Log`."""
    rules: NDArray[np.float64]
    """(m, N_RULE): rules, best scores, failed epochs, see `fastnn.training.stopping`."""
    rule_on: list[str | None]
    """The names of the scores that the rules compare; None without a rule."""
    best_params: Array
    """(m, n_params), or (m, 0): the parameters of the best epochs, if they are kept."""
    best_on: list[str | None]
    """The names of the scores of the best epochs."""
    rate_factor: list[float]
    """By what each learning rate was multiplied, since scores stalled."""
    rate_least: list[float]
    order: NDArray[np.int64]
    """(m, n_rows), or (1, n_rows) if it is the same for all: the rows in the order of the last
    epoch that has begun; (0, n_rows) if it is 0, 1, ..."""
    splits: list[Array | None]
    """The rows that were split off for validation."""
    seeds: list[Any]
    """By which the generators are made anew, where there are no words."""
    words: NDArray[np.uint32]
    """(m, 625) or (0, 625): of the generators."""
    held: list[tuple[int, float]]
    """What the generators hold back."""
    owners: dict[int, dict[str, Any]]
    """The states of the callers' own generators, by their members."""

    def copy(self) -> Self:
        """Return a copy, which does not change with these."""
        twin = copy.copy(self)
        vars(twin).update({name: copy.copy(value) for name, value in vars(self).items()})
        return twin

    def order_of(self, k: int) -> NDArray[np.int64]:
        """Return the order of member k's rows, a copy."""
        n, n_rows = self.order.shape
        return self.order[k if n > 1 else 0].copy() if n else np.arange(n_rows)

    def draws_again(self, k: int) -> bool:
        """Return whether the state of member k's generator follows from its seed."""
        return k not in self.owners and not len(self.words)

    def is_plain(self, k: int) -> bool:
        """Return whether member k is between two epochs, without a split, scores or a reduced
        rate.
        """
        is_scored = self.best_on[k] is not None or self.rules[k, BEST] < math.inf
        is_reduced = self.rate_factor[k] < 1
        has_more = is_scored or is_reduced or self.splits[k] is not None
        return not (self.batches[k] or has_more or self.best_params.shape[1])

    def keep_best_params(self) -> None:
        """Make room for the parameters of best epochs."""
        if not self.best_params.shape[1]:
            shape = len(self.t), self.n_params
            self.best_params = np.zeros(shape, self.storage.dtype)


def states_of(state: TrainingState) -> TrainingStates:
    """Return a state as the only row of states, without its generator."""
    counters = state.counters
    rules = no_rules(1)
    rules[0, RULE_BEST] = _score_of(counters.get("rule_best"))
    rules[0, STALE] = counters.get("rule_stale", 0)
    rules[0, BEST] = _score_of(counters.get("best_score"))
    best = state.best_params
    assert state.index is not None
    return TrainingStates(
        state.storage[None],
        state.n_params,
        [state.t],
        state.beta_products[None],
        epochs=[counters.get("epoch", 0)],
        batches=[state.batch],
        sums=np.array([[counters.get("loss_sum", 0.0), counters.get("row_sum", 0.0)]]),
        rules=rules,
        rule_on=[counters.get("rule_on")],
        best_params=state.storage[:1, :0] if best is None else best[None],
        best_on=[counters.get("best_on")],
        rate_factor=[counters.get("rate_factor", 1.0)],
        rate_least=[counters.get("rate_least", 0.0)],
        order=state.index[None],
        splits=[copy.copy(state.validation_rows)],
        seeds=[None],
        words=np.empty((0, 625), np.uint32),
        held=[(0, 0.0)],
        owners={},
    )


def _score_of(value: float | None) -> float:
    """Return infinity for None, which stands for "no score yet" in a state: JSON lacks infinity."""
    return math.inf if value is None else value
