"""The options of a training: all its arguments, checked once, by name.

`train` makes one of them, `train_many` one for members that differ in their seeds alone, an
estimator one for each fit. A session reads them and never changes them.
"""

from __future__ import annotations

import enum
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fastnn.backends import Backend, check_supported, get_backend
from fastnn.checking import hints
from fastnn.checking.arguments import (
    check_flag,
    check_integer,
    check_number,
    class_of,
    cut,
    errors_of,
    shown,
)
from fastnn.checking.values import Names, column_names
from fastnn.memory import ROW_BLOCK, Array, ceil_div
from fastnn.network import Network
from fastnn.optimizers import (
    Adam,
    BayesianRegularization,
    Method,
    Optimizer,
    with_options,
    with_rate,
)
from fastnn.schedules import ending_after, lacks_steps
from fastnn.sparse import SparseRows, is_sparse
from fastnn.state import Data
from fastnn.training.inputs import (
    Rows,
    check_data,
    check_dtype,
    check_in_float32,
    check_network,
    check_optimizer,
    check_params,
    choose_rows,
    laid_out,
    rows_a_step,
    warn_of_scale,
)
from fastnn.training.state import TrainingState
from fastnn.training.stopping import Rule, Stop, StopReason, score_name


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`, the default of arguments for which None has another meaning."""

    NOT_GIVEN = enum.auto()

    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN: Any = NotGiven.NOT_GIVEN

NO_RULES = Stop()
"""The stop rules of a training that runs to its last epoch."""


class TrainOptions(NamedTuple):
    """What one training does, with what, and until when. Where it begins, at a seed or a state, is
    no option: members that differ in that alone share one object.
    """

    network: Network
    backend: Any
    optimizer: Optimizer
    batch_size: int | None
    """Rows of a step; None: all rows."""
    shuffle: bool
    alpha: float
    stop: Stop
    n_epochs: int
    data: Data
    rows: Rows | None = None
    """The rows to train on; None for all."""
    validation_rows: Rows | None = None
    """The rows to validate on; None for those of the stop rules."""
    feature_names: Names | None = None
    """The names of the columns of X, where it is a data frame with names."""
    params: Array | None = None
    """The first parameters, in place of drawn ones."""
    resumes: bool = False
    """Whether it goes on from a state, in place of drawn parameters."""
    new_rows: bool = False
    assume_finite: bool = False
    threads: int | None = 1
    value_alpha: float | None = None
    """`value_alpha` of `fastnn.backends.Task`."""
    rule: Rule | None = None
    """The rule at the ends of epochs: that of `stop`, or of an estimator."""
    evaluate: Callable[..., Any] | None = None
    """Makes what scores epochs, in place of `fastnn.training.evaluation.Evaluation`."""
    on_stall: Callable[[Any, int], StopReason | None] | None = None
    """Is called with the session and the member when the rule has fired, in place of
    `Session.stall`: lowers the rate, or returns why the training ends."""

    @property
    def n_rows(self) -> int:
        """The number of rows to train on, before the validation split."""
        return len(self.data.Y if self.rows is None else self.rows)

    @property
    def n_split(self) -> int:
        """The number of rows that the stop rules split off for validation."""
        part = self.stop.validation
        return math.ceil(part * self.n_rows) if isinstance(part, (int, float)) else 0

    @property
    def n_validated(self) -> int:
        """The number of rows to validate on."""
        if self.validation_rows is not None:
            return len(self.validation_rows)
        part = self.stop.validation
        if not isinstance(part, (tuple, list)):
            return self.n_split
        return int(part[0].shape[0]) if is_sparse(part[0]) else len(part[0])

    @property
    def has_batches(self) -> bool:
        """Whether the steps of an epoch are several."""
        return self.batch_size is not None and self.batch_size < self.n_rows

    @property
    def rows_a_step(self) -> int:
        """The rows of each batch except the last of an epoch."""
        return rows_a_step(self.batch_size, self.n_rows)

    @property
    def score_name(self) -> str:
        """The name of the score in states, see `fastnn.training.stopping.score_name`."""
        is_validated = self.validation_rows is not None or self.stop.validation is not None
        return score_name(self.stop.monitor, validated=is_validated)

    @property
    def is_judged(self) -> bool:
        """Whether something is decided before the last epoch, or was in an earlier call."""
        has_rules = self.stop.has_rules or self.rule is not None or self.evaluate is not None
        return has_rules or self.validation_rows is not None or self.resumes

    @property
    def n_vectors(self) -> int:
        """The number of parameter vectors of a training: state, snapshot, gradient, best
        parameters, matrix rows.
        """
        vectors = 2 * (1 + self.optimizer.n_slots) + 2
        if n_matrices := self.optimizer.n_matrices:  # and the Jacobian of a block of rows
            vectors += n_matrices * self.network.n_params + ROW_BLOCK
        return vectors


def check_options(
    network: Network,
    X: Any,
    Y: Any,
    *,
    epochs: int,
    sample_weight: Any = None,
    rows: Any = None,
    validation_rows: Any = None,
    optimizer: Optimizer | None = None,
    batch_size: Any = NOT_GIVEN,
    shuffle: Any = NOT_GIVEN,
    seed: Any = None,
    alpha: Any = NOT_GIVEN,
    clip_norm: Any = NOT_GIVEN,
    rates: Any = NOT_GIVEN,
    params: Any = None,
    resume: TrainingState | None = None,
    new_rows: bool = False,
    stop: Stop | None = None,
    backend: str | Backend = "numba",
    dtype: Any = None,
    assume_finite: bool = False,
    threads: int | None = None,
    data: Data | None = None,
) -> TrainOptions:
    """Check the arguments of `train`; the seed itself is checked where it is first used.

    One function, however long: each argument is named once in the signature and once where it is
    checked.

    `data` are X, Y and sample_weight as they were checked before, if they were.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit, and for a training that the back end does not support.
    """
    check_resume(resume, new_rows, seed, params)
    stop = NO_RULES if stop is None else stop
    if not isinstance(stop, Stop):
        raise TypeError(f"stop must be a fastnn Stop, not {shown(stop)}")
    backend = get_backend(backend)
    check_network(network)
    chosen = choose_options(optimizer, batch_size, shuffle, alpha, clip_norm, rates, resume)
    n_epochs = check_integer("epochs", epochs, low=0)
    assume_finite = check_flag("assume_finite", assume_finite)
    threads = None if threads is None else check_integer("threads", threads, low=1)
    is_weighted = sample_weight is not None or stop.has_weights
    check_supported(
        backend, network, chosen.optimizer, alpha=chosen.alpha, sample_weight=is_weighted
    )
    was_checked = data is not None
    if data is None:
        of_state = None if resume is None else resume.storage.dtype
        dtype = of_state if dtype is None else check_dtype(dtype)
        data = check_data(network, X, Y, sample_weight, assume_finite, dtype, stays_sparse=True)
    if isinstance(data.X, SparseRows):
        data = data._replace(X=laid_out(data.X, backend, network, chosen.optimizer))
    if data.X.dtype.itemsize < 8:
        check_in_float32(network)
    train_on, validate_on = choose_rows(rows, validation_rows, data, stop)
    if not was_checked and isinstance(chosen.optimizer, Method):
        warn_of_scale(chosen.optimizer.name, data, train_on)
    options = TrainOptions(
        network=network,
        backend=backend,
        optimizer=chosen.optimizer,
        batch_size=chosen.batch_size,
        shuffle=chosen.shuffle,
        alpha=chosen.alpha,
        stop=stop,
        n_epochs=n_epochs,
        data=data,
        rows=train_on,
        validation_rows=validate_on,
        feature_names=column_names(X) or (None if resume is None else resume.feature_names),
        params=None if params is None else check_params(network, params, data.X.dtype),
        resumes=resume is not None,
        new_rows=new_rows,
        assume_finite=assume_finite,
        threads=threads,
        rule=stop.rule(),
    )
    return with_last_step(options, resume) if callable(chosen.optimizer.learning_rate) else options


def with_last_step(options: TrainOptions, state: TrainingState | None) -> TrainOptions:
    """Return options whose schedule, if made without steps, ends with the last step; `state` is
    resumed, if any.
    """
    rate: Any = options.optimizer.learning_rate
    if not lacks_steps(rate):
        return options
    n = options.n_rows - options.n_split
    done = 0
    if state is not None:
        done = state.t if options.new_rows else state.t - state.batch
        if state.index is not None and not options.new_rows:
            n = len(state.index)
    steps = (
        done + options.n_epochs * ceil_div(n, rows_a_step(options.batch_size, n))
        if options.n_epochs and n
        else 0
    )
    optimizer = with_rate(options.optimizer, ending_after(rate, steps))
    return options._replace(optimizer=optimizer)


DEFAULTS: dict[str, Any] = {"optimizer": Adam(), **hints.DEFAULTS}


class Options(NamedTuple):
    """The options that a resumed training keeps, unless others are passed."""

    optimizer: Optimizer
    batch_size: int | None
    """Rows a step; None: all rows."""
    shuffle: bool
    alpha: float


def choose_options(
    optimizer: Optimizer | None = None,
    batch_size: int | None = NOT_GIVEN,
    shuffle: bool = NOT_GIVEN,
    alpha: float = NOT_GIVEN,
    clip_norm: float | None = NOT_GIVEN,
    rates: Any = NOT_GIVEN,
    resume: TrainingState | None = None,
    before: Mapping[str, Any] | None = None,
) -> Options:
    """Choose the options of a training from the given ones, the state and defaults; batch size None
    means all rows.

    An optimizer without `clip_norm` and `rates` keeps those of the one `before` it, which `to_dict`
    described.

    Raises
    ------
    TypeError, ValueError
        For an option of the wrong type or outside its range, or that is neither given nor in the
        state.
    """
    defaults: Mapping[str, Any] = DEFAULTS
    if resume is not None:
        defaults = resume.counters
        before = defaults.get("optimizer")
        passed = NOT_GIVEN if optimizer is None else optimizer, batch_size, shuffle, alpha
        _check_known(dict(zip(DEFAULTS, passed, strict=True)), defaults)
    if optimizer is None:
        default = defaults["optimizer"]
        optimizer = default if resume is None else _optimizer_of(default)
    check_optimizer(optimizer)
    options = {}
    for name, value in (("clip_norm", clip_norm), ("rates", rates)):
        if value is not NOT_GIVEN:
            options[name] = value
        elif before is not None and name in before and getattr(optimizer, name) is None:
            options[name] = before[name]
    if options:
        optimizer = with_options(optimizer, **options)
    if batch_size is NOT_GIVEN:
        batch_size = None if optimizer.full_batch else defaults["batch_size"]
    if batch_size is not None:
        batch_size = check_integer("batch_size", batch_size, low=1)
    shuffle = check_flag("shuffle", defaults["shuffle"] if shuffle is NOT_GIVEN else shuffle)
    alpha = check_number("alpha", defaults["alpha"] if alpha is NOT_GIVEN else alpha, low=0)
    if alpha and isinstance(optimizer, BayesianRegularization):
        raise ValueError(
            f"{optimizer.name} finds the strength of its penalty by itself: "
            f"leave alpha={alpha:g} out"
        )
    return Options(optimizer, batch_size, shuffle, alpha)


def _check_known(passed: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
    """Raise ValueError for options that are neither given nor in the counters of a state."""
    names = [name for name, value in passed.items() if value is NOT_GIVEN]
    lacking = [name for name in names if name not in counters]
    if lacking:
        raise ValueError(
            f"resume: its state does not say {' and '.join(lacking)}, which version 0.1 of fastnn "
            f"did not keep: give {', '.join(f'{name}=' for name in lacking)} as it was trained with"
        )


def _optimizer_of(values: dict[str, Any]) -> Optimizer:
    try:
        return Optimizer.from_dict(values)
    except LookupError:
        raise ValueError(
            "resume: the learning rate of its state is a function "
            f"({cut(values['learning_rate'])}), which a state "
            f"does not keep: give optimizer={cut(values['name'])}(learning_rate=...) again"
        ) from None
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"resume: its optimizer cannot be made again ({cut(error)}): give optimizer="
        ) from None


def check_resume(resume: Any, new_rows: bool, seed: Any, params: Any) -> None:
    """Raise TypeError or ValueError unless `resume` is None or an intact state, and the other
    options fit it.
    """
    if resume is None:
        if new_rows is not False and check_flag("new_rows", new_rows):
            raise ValueError(
                "new_rows=True is for a training that goes on: "
                "give it the state of a result as resume="
            )
        return
    if seed is not None or params is not None:
        raise ValueError(
            "resume brings its own generator and parameters: give it without seed and params"
        )
    check_flag("new_rows", new_rows)
    if not isinstance(resume, TrainingState):
        hint = (
            "; pass its .state" if isinstance(getattr(resume, "state", None), TrainingState) else ""
        )
        if isinstance(resume, Sequence) and len(resume) and hasattr(resume[0], "state"):
            hint = "; pass the state of one of its members, such as resume=many[0].state"
        if isinstance(resume, (str, os.PathLike)):
            hint = f"; say resume=fastnn.load({shown(str(resume))}).state"
        raise TypeError(
            f"resume must be the state of a training result, not {class_of(resume)}{hint}"
        )
    if resume.index is None or resume.random_state is None:
        raise ValueError(
            "resume must be the state of a training; this one has no row order and no generator, "
            "as after save(path, state=False): train(..., params=result.params) begins a new "
            "training at its parameters"
        )
    with errors_of("resume does not fit"):
        resume.check()
