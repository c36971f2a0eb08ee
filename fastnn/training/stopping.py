"""The stop rules: options, reasons and monitors, and the rule as numbers that Python and the kernel
read and write.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastnn.cached import cached_property
from fastnn.checking import arguments
from fastnn.checking.arguments import CheckedFields, cut, optional, shown
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.state import BEST, EACH, LIMIT, N_RULE, RULE_BEST, STALE, STRICT, TOL

Monitor = str | Callable[[Array, Array], float]
"""The name of a score, or a function of targets and outputs (n, n_outputs) that returns a
number."""

Score = Callable[[Array], float]
"""A function of outputs (n, n_outputs), with the targets built in."""

MONITORS = ("loss", "accuracy", "r2")
"""The names that need no scikit-learn."""

LABELED = ("cross_entropy", "log_loss")
"""The losses whose targets are labels."""


def check_monitor(name: str, monitor: Any) -> Monitor:
    """Return `monitor` if it is the name of a score, with "roc_auc" for "auc", or can be called
    with two arguments.
    """
    if isinstance(monitor, str):
        monitor = "roc_auc" if monitor == "auc" else monitor
        if monitor in MONITORS or monitor in (names := _scorer_names()):
            return monitor
        further = (
            "of sklearn.metrics.get_scorer_names()"
            if names
            else "of scikit-learn's, once it is installed"
        )
        hint = arguments.did_you_mean(monitor, MONITORS) or arguments.did_you_mean(monitor, names)
        raise ValueError(
            f"unknown {name} {shown(monitor)}{hint}; one of {', '.join(MONITORS)}, or {further}"
        )
    if not callable(monitor):
        raise TypeError(
            f"{name} must be {', '.join(MONITORS)} or a function of (Y, outputs), not "
            f"{shown(monitor)}"
        )
    if error := arguments.misfit(monitor, "Y", "outputs"):
        raise TypeError(
            f"{name} must be a function of (Y, outputs); {shown(monitor)}: {cut(error)}"
        )
    return monitor


def _scorer_names() -> tuple[str, ...]:
    """Return the names of scikit-learn's scorers, where it is installed."""
    try:
        from sklearn.metrics import get_scorer_names
    except ImportError:
        return ()
    return tuple(get_scorer_names())


def name_of(monitor: Monitor) -> str:
    """Return the name of a monitor in states and histories: "module.name" for a function."""
    if isinstance(monitor, str):
        return monitor
    kind = monitor if hasattr(monitor, "__qualname__") else type(monitor)
    return f"{kind.__module__}.{kind.__qualname__}"


def scorer(monitor: Monitor, network: Network, Y: Array, weight: Array) -> Score:
    """Return the function from outputs to the score of rows with these targets and (positive)
    weights.

    Raises
    ------
    ValueError
        If the score does not suit this network or this number of rows.
    """
    if callable(monitor):
        return lambda outputs: _number(monitor(Y, outputs))
    if monitor == "r2" and len(Y) < 2:
        raise ValueError("monitor='r2' needs at least 2 rows to score: one has no variance")
    labels = network.loss_name in LABELED
    exclusive = network.loss_name == "cross_entropy"
    if monitor == "accuracy" and not labels:
        raise ValueError(
            "monitor='accuracy' needs labels, by the loss cross_entropy or log_loss; this "
            f"network's is {network.loss!r}: take monitor='r2', or a function of (Y, outputs)"
        )
    weights = None if (weight == 1).all() else weight
    if monitor not in MONITORS:
        from fastnn.training.scorers import named

        return named(monitor, Y, weights, labels=labels, exclusive=exclusive)
    return r2(Y, weights) if monitor == "r2" else accuracy(Y, weights, exclusive=exclusive)


def _number(value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"it must return a number, not {shown(value)}")
    return float(value)


def accuracy(Y: Array, weight: Array | None, *, exclusive: bool) -> Score:
    """Return the function that gives the accuracy ``sum w_i [row i is right] / sum w_i``.

    It equals scikit-learn's `accuracy_score`. With exclusive labels, a row is right if its largest
    output (the first of equal ones) has the index of its largest target. Otherwise it is right if
    exactly the outputs whose targets are above 1/2 are above 1/2.

    Parameters
    ----------
    Y : (n, n_outputs)
        Labels, one-hot where they are exclusive.
    weight : (n,), optional
    exclusive : bool
        Whether a row has one label.
    """
    labels: Any = Y.argmax(axis=1) if exclusive else Y > 0.5
    total = None if weight is None else weight.sum(dtype=np.float64)

    def score(outputs: Array) -> float:
        if exclusive:
            right = outputs.argmax(axis=1) == labels
        else:
            right = (outputs > 0.5) == labels
            right = right.all(axis=1) if right.shape[1] > 1 else right[:, 0]
        if weight is None:
            return float(np.count_nonzero(right)) / len(right)
        return float(np.multiply(right, weight, dtype=np.float64).sum() / total)

    return score


def r2(Y: Array, weight: Array | None) -> Score:
    """Return the function that gives R2, the mean over outputs of ``1 - sum w (y - a)^2 / sum w (y
    - mean y)^2``.

    It equals scikit-learn's `r2_score`, with the weighted mean of y. An output scores 1 if both
    sums are 0, and 0 if only the second one is.

    Parameters
    ----------
    Y : (n, n_outputs)
    weight : (n,), optional
    """

    def squares(center: Array) -> list[float]:
        """Return the weighted sum of squares of each output."""
        with np.errstate(over="ignore"):  # infinity is a score that never improves
            square = (Y - center) ** 2
            total = (square if weight is None else weight[:, None] * square).sum(
                axis=0, dtype=np.float64
            )
        return total.tolist()

    spread = squares(np.average(Y, axis=0, weights=weight))

    def score(outputs: Array) -> float:
        both = zip(squares(outputs), spread, strict=True)
        scores = [1 - rest / of if of else float(rest == 0) for rest, of in both]
        return float(np.add.reduce(scores)) / len(scores)

    return score


End = Literal[
    "tolerance",
    "validation",
    "time",
    "diverged",
    "goal",
    "gradient",
    "damping",
    "converged",
    "collapsed",
]
"""The stop reasons of trainings that would not go on in another call."""

StopReason = Literal["epochs", "callback", "interrupted", End, "running"]
"""The reason why a training ended; "running" in a result that a callback took before the end."""

STOP_REASONS: tuple[StopReason, ...] = get_args(StopReason)
ENDS: tuple[StopReason, ...] = get_args(End)


@dataclass(frozen=True)
class ReduceRate(CheckedFields):
    """A learning rate that falls when the score stalls: ``Stop(reduce=ReduceRate(0.5,
    patience=5))``.

    After each `patience` epochs in a row without improvement, as `Stop` counts them, the rate is
    multiplied by `factor`. The rate of a step is ``max(f r, min(r, least))``, where r is that of
    the optimizer, a number or a schedule, and f the product of the factors. The state keeps f, so a
    resumed training continues with it under any stop rules. (For RPROP the rate is that of the
    first step.)

    Parameters
    ----------
    factor : float
        Greater than 0 and less than 1.
    patience : int
        Epochs without improvement after which the rate falls; 0 acts as 1.
    least : float
        The lowest rate.

    Raises
    ------
    TypeError, ValueError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import SGD, Network, ReduceRate, Stop, train
    >>> stop = Stop(patience=3, reduce=ReduceRate(0.5, patience=1))
    >>> result = train(
    ...     Network((1, 1)),
    ...     [[0.0]],
    ...     [[1.0]],
    ...     optimizer=SGD(0.0),
    ...     epochs=9,
    ...     backend="numpy",
    ...     stop=stop,
    ... )
    >>> (
    ...     result.n_epochs,
    ...     result.state.counters["rate_factor"],
    ... )  # the first epoch improves, the next two reduce
    (4, 0.25)
    """

    factor: float = field(default=0.1, metadata=arguments.PART_WITHIN)
    patience: int = field(default=10, metadata=arguments.COUNT_FROM_ZERO)
    least: float = field(default=0.0, metadata=arguments.NOT_NEGATIVE)


def _check_validation(name: str, value: Any) -> Any:
    """Return what `Stop` takes for validation data, or a part of the rows."""
    if isinstance(value, (tuple, list)):
        if len(value) not in (2, 3):
            raise ValueError(
                f"{name} must be (X, Y) or (X, Y, sample_weight), not {len(value)} things"
            )
        return value
    if isinstance(value, int) and value > 1:
        fault = (
            f"{name} is the part of the rows that is held out, greater than 0 and less than "
            f"1, not {shown(value)}"
        )
        raise ValueError(
            f"{fault}: for so many rows say {shown(value)} / len(X), or train(validation_rows=...)"
        )
    hint = "between 0 and 1, (X, Y) or (X, Y, sample_weight)"
    return arguments.check_number(
        name, value, low=0, high=1, low_open=True, high_open=True, hint=hint
    )


def _check_reduce(name: str, value: Any) -> ReduceRate:
    if not isinstance(value, ReduceRate):
        raise TypeError(f"{name} must be a ReduceRate, such as ReduceRate(0.5), not {shown(value)}")
    return value


@dataclass(frozen=True)
class Stop(CheckedFields):
    """Rules for when training stops, when its learning rate falls, and which parameters it returns.

    Parameters
    ----------
    tol : float, optional
        An epoch improves if its score is better than the best so far by more than `tol`; NaN and
        infinity never improve. The score is that of the validation data, if there are any (stop
        reason "validation"), else of the training rows ("tolerance"). Default: 0.
    patience : int, optional
        Training stops after this number of epochs in a row without improvement; 0 acts as 1.
        Default: 10 if `tol` is given without `reduce`, else no limit.
    validation : float or tuple, optional
        Data that are not trained on. Their loss, without the penalty of `alpha`, is computed after
        every epoch. A number between 0 and 1 is a fraction of the rows, rounded up, drawn from the
        seed's generator after the weights; these rows are copied. A tuple ``(X, Y)`` or ``(X, Y,
        sample_weight)`` is the data.
    restore_best : bool
        Whether the result has the parameters after the (first) epoch with the best score. Without
        validation data, the score is the loss over all rows, penalty included, computed again after
        each epoch. The *state* of the result is always the last one, so that a resumed training
        continues from there.
    max_seconds : float, optional
        Wall time in seconds after which training stops, within an epoch if necessary, to about 0.05
        s. It counts from the call of `train`, so it includes compilation. In `train_many` and
        `Population` it is a limit for each member, from its own beginning, in all its parts
        together; in `search` for the whole search.
    on_divergence : {"raise", "stop"}
        The action after a step with a loss or a parameter that is not finite: raise
        `DivergenceError`, or return. In both cases the result ends with the last good step.
    on_interrupt : {"return", "raise"}
        The action after Ctrl-C: return what was trained so far, with an `InterruptWarning`, or
        raise `TrainingInterrupted`, a KeyboardInterrupt with that as its `result`.
    monitor : {"loss", "accuracy", "r2"}, name of a scorer of scikit-learn, or callable
        The score of an epoch. A lower "loss" is better; without validation data it is the training
        loss, `History.loss`. For all others, which are computed from the outputs after each epoch,
        a greater value is better. "accuracy", for labels, is the weighted share of rows whose
        largest output is that of the label, or for log_loss of rows whose outputs are all on the
        label's side of 1/2. "r2" is the mean over the outputs of ``1 - sum w (y - a)^2 / sum w (y -
        mean y)^2``, like scikit-learn's `r2_score`. Where scikit-learn is installed, any name of
        `sklearn.metrics.get_scorer_names`, such as "roc_auc" (or "auc") or
        "neg_mean_absolute_error", is that score; of labels, outputs are the probabilities. A
        function gets the targets and the outputs (n, n_outputs) of the rows of nonzero weight and
        returns a number; an error in it ends the training with a `MonitorError`.
    reduce : ReduceRate, optional
        Reduce the learning rate if the score stalls. Both patiences count the same epochs without
        improvement, and a reduction does not restart the count: ``Stop(patience=15,
        reduce=ReduceRate(0.5, patience=5))`` halves the rate after 5 and after 10 of them and stops
        after 15.

    Raises
    ------
    TypeError, ValueError
        For a value of the wrong type or outside its range.

    Notes
    -----
    A resumed training continues from the best score and the count of its state, if the monitor (for
    a function, its name) and the kind of data are the same as before. Otherwise both begin again.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Adam, Network, Stop, train
    >>> X = np.random.RandomState(0).randn(200, 3)
    >>> stop = Stop(validation=0.25, patience=10, restore_best=True)
    >>> result = train(
    ...     Network((3, 16, 1)), X, X[:, 0], optimizer=Adam(0.1), epochs=1000, seed=0, stop=stop
    ... )
    >>> result.stop_reason, result.n_epochs == result.history.best_epoch + 10
    ('validation', True)
    """

    tol: float | None = field(default=None, metadata=optional(arguments.NOT_NEGATIVE))
    patience: int | None = field(default=None, metadata=optional(arguments.COUNT_FROM_ZERO))
    validation: float | tuple[Any, ...] | None = field(
        default=None, metadata=optional({"check": _check_validation})
    )
    restore_best: bool = field(default=False, metadata=arguments.FLAG)
    max_seconds: float | None = field(default=None, metadata=optional(arguments.POSITIVE))
    on_divergence: Literal["raise", "stop"] = field(
        default="raise", metadata=arguments.choice("raise", "stop")
    )
    on_interrupt: Literal["return", "raise"] = field(
        default="return", metadata=arguments.choice("return", "raise")
    )
    monitor: Monitor = field(default="loss", metadata={"check": check_monitor})
    reduce: ReduceRate | None = field(default=None, metadata=optional({"check": _check_reduce}))

    @cached_property
    def has_rules(self) -> bool:
        """Whether there is a score or a decision before the last epoch, besides divergence and
        Ctrl-C.
        """
        options = self.tol, self.patience, self.validation, self.max_seconds, self.reduce
        return (
            self.restore_best
            or self.monitor != "loss"
            or any(option is not None for option in options)
        )

    def __repr__(self) -> str:
        """Show the given rules, and arrays by their shapes."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        changed = {
            f.name: shown(values[f.name])
            for f in dataclasses.fields(self)
            if values[f.name] is not f.default
        }
        if isinstance(self.validation, (tuple, list)):
            changed["validation"] = f"({', '.join(map(shown, self.validation))})"
        if callable(self.monitor):
            changed["monitor"] = name_of(self.monitor)
        return f"Stop({', '.join(f'{name}={value}' for name, value in changed.items())})"

    @cached_property
    def has_weights(self) -> bool:
        """Whether the validation data have weights."""
        data = self.validation
        return isinstance(data, (tuple, list)) and any(weight is not None for weight in data[2:])

    def rule(self) -> Rule | None:
        """Return the rule at the ends of epochs.

        Returns
        -------
        Rule or None
            That of `tol`, `patience` and `reduce`; None if none is given.

        Examples
        --------
        >>> from fastnn import Stop
        >>> Stop(patience=3).rule().limit
        3
        """
        if self.tol is None and self.patience is None and self.reduce is None:
            return None
        patience = 10 if self.reduce is None else math.inf
        limit = patience if self.patience is None else max(self.patience, 1)
        return Rule(
            self.tol or 0.0, limit, 0 if self.reduce is None else max(self.reduce.patience, 1)
        )


def score_name(monitor: Monitor, *, validated: bool) -> str:
    """Return the name of a score in states: the monitor, and whether of validation data."""
    name = name_of(monitor)
    if not validated:
        return name
    return "validation" if name == "loss" else f"validation {name}"


# ---------------------------------------------------------------------- the rule in rows of numbers
# A score is compared with the best one so far; here, lower is better. `count_epoch` of
# `fastnn/fused/epoch_ends.py` does the same as that below.


NEVER = 2**53
"""More epochs than a training has, as a float64 too."""

LESS_STRICT = 0
"""An epoch fails to improve if its score is above ``best - tol``, as in scikit-learn. NaN never
is."""
STRICTLY = 1
"""An epoch fails to improve unless its score is below ``best - tol`` and finite."""
NAN_FAILS = 2
"""An epoch fails to improve if its score is above ``best - tol`` or not finite."""


NO_RULE = np.zeros((1, N_RULE))
NO_RULE[0, [RULE_BEST, BEST]] = math.inf


@dataclass(frozen=True)
class Rule:
    """After how many epochs in a row without improvement something happens.

    Parameters
    ----------
    tol : float
        The amount by which a score must be lower than the best one.
    limit : float
        The rule fires after this number of failed epochs in a row, and the training ends.
    each : int
        The rule also fires after each such number of failed epochs in a row; 0 for never.
    strict : int
        `STRICTLY`, `LESS_STRICT` or `NAN_FAILS`.
    """

    tol: float = 0.0
    limit: float = math.inf
    each: int = 0
    strict: int = STRICTLY

    def row(self) -> NDArray[np.float64]:
        """Return the numbers (N_RULE,) of a training that begins."""
        row = no_rules(1)[0]
        row[TOL] = self.tol
        row[LIMIT] = self.limit if self.limit < NEVER else math.inf
        row[EACH] = min(self.each, NEVER)
        row[STRICT] = self.strict
        return row


def no_rules(m: int) -> NDArray[np.float64]:
    """Return the rows (m, N_RULE) of members without a rule: the limit is 0, and there is no score
    yet.
    """
    rows = np.empty((m, N_RULE))
    rows[:] = NO_RULE
    return rows


def count_epoch(row: NDArray[np.float64], score: float) -> bool:
    """Count an epoch with this score in the row of a member; return whether its rule fires."""
    numbers: list[Any] = row.tolist()  # Python computes with its own floats in a tenth of the time
    limit = numbers[LIMIT]
    if limit == 0:
        return False
    strict = numbers[STRICT]
    if strict != LESS_STRICT and not math.isfinite(score):
        score = math.inf
    best = numbers[RULE_BEST]
    target = best - numbers[TOL]
    failed = score >= target if strict == STRICTLY else score > target
    stale = numbers[STALE] + 1 if failed else 0.0
    row[STALE] = stale
    if score < best:
        row[RULE_BEST] = score
    each = numbers[EACH]
    return stale >= limit or bool(each and stale and stale % each == 0)


def is_over(row: NDArray[np.float64]) -> bool:
    """Return whether the rule of this row, which has fired, ends the training."""
    return bool(row[STALE] >= row[LIMIT])
