"""The plan of a training: all its arguments, checked, by name.

`train` makes one plan, `train_many` one for each member. A training does not change its plan.
"""

import enum
import math
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fastnn import kit
from fastnn.backends import check_supported, complete, get_backend
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
from fastnn.state import Data
from fastnn.training.generator import Seed
from fastnn.training.inputs import (
    check_data,
    check_dtype,
    check_network,
    check_optimizer,
    check_params,
    warn_of_scale,
)
from fastnn.training.rows import Rows, choose_rows, rows_a_step
from fastnn.training.state import TrainingState
from fastnn.training.stopping import Stop

NO_RULES = Stop()
"""The stop rules of a training that runs to its last epoch."""


class Plan(NamedTuple):
    """The checked arguments of a training; plans share equal parts as one object."""

    network: Network
    backend: Any
    """A back end with all parts, see `fastnn.backends.complete`."""
    optimizer: Optimizer
    batch_size: int | None
    """Rows a step; None: all rows."""
    shuffle: bool
    alpha: float
    stop: Stop
    n_epochs: int
    new_rows: bool
    assume_finite: bool
    threads: int | None
    data: Data
    rows: Rows | None = None
    """The rows to train on; None for all."""
    validation_rows: Rows | None = None
    """The rows to validate on; None for those of the stop rules."""
    feature_names: Names | None = None
    """The names of the columns of X, where it is a data frame with names."""
    seed: Seed = None
    params: Array | None = None
    state: Any = None
    """The state to resume, instead of seed and parameters: a `TrainingState`, or a row of results."""
    value_alpha: float | None = None
    """`value_alpha` of `fastnn.backends.Task`."""
    number: int = 0
    """The member's number."""

    @property
    def n_rows(self) -> int:
        """The number of rows to train on, before the validation split."""
        return len(self.data.X if self.rows is None else self.rows)

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
        return len(part[0]) if isinstance(part, (tuple, list)) else self.n_split

    @property
    def rows_a_step(self) -> int:
        """The rows of each batch except the last of an epoch."""
        return rows_a_step(self.batch_size, self.n_rows)

    @property
    def n_vectors(self) -> int:
        """The number of parameter vectors of a training: state, snapshot, gradient, best parameters, matrix rows."""
        vectors = 2 * (1 + self.optimizer.n_slots) + 2
        if n_matrices := self.optimizer.n_matrices:  # and the Jacobian of a block of rows
            vectors += n_matrices * self.network.n_params + ROW_BLOCK
        return vectors


def make_plan(
    once: Callable[..., Any] = operator.call,
    *,
    arrays: Sequence[Any],
    seed: Any,
    params: Any,
    resume: Any,
    stop: Any,
    dtype: Any,
    **settings: Any,
) -> Plan:
    """Check the arguments of `train`, with the `settings` of `check_settings`; a seed is checked at its first use.

    `arrays` are X, Y, sample_weight, rows and validation_rows. `once` calls a function with arguments; it may return
    what an earlier call with the same ones returned.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit.
    """
    X, Y, sample_weight, rows, validation_rows = arrays
    once(check_resume, resume, settings["new_rows"], seed, params)
    stop = NO_RULES if stop is None else stop
    if not isinstance(stop, Stop):
        raise TypeError(f"stop must be a fastnn Stop, not {shown(stop)}")
    checked = check_settings(settings, resume, sample_weight is not None or stop.has_weights)
    network, optimizer = checked["network"], checked["optimizer"]
    dtype = resume.storage.dtype if dtype is None and resume is not None else dtype
    dtype = None if dtype is None else check_dtype(dtype)
    data = once(check_data, network, X, Y, sample_weight, checked["assume_finite"], dtype)
    if isinstance(optimizer, Method):
        once(warn_of_scale, optimizer.name, data)
    rows, validation_rows = once(choose_rows, rows, validation_rows, data, stop)
    feature_names = column_names(X) or (None if resume is None else resume.feature_names)
    params = None if params is None else once(check_params, network, params, data.X.dtype)
    chosen = {"rows": rows, "validation_rows": validation_rows, "feature_names": feature_names}
    plan = Plan(**checked, **chosen, stop=stop, data=data, seed=seed, params=params, state=resume)
    return with_last_step(plan) if callable(optimizer.learning_rate) else plan


def with_last_step(plan: Plan) -> Plan:
    """Return a plan whose schedule, if it was made without steps, ends with the last step of the training."""
    rate: Any = plan.optimizer.learning_rate
    if not lacks_steps(rate):
        return plan
    n, done = plan.n_rows - plan.n_split, 0
    if isinstance(plan.state, TrainingState):
        n = n if plan.new_rows or plan.state.index is None else len(plan.state.index)
        done = plan.state.t - (0 if plan.new_rows else plan.state.batch)
    steps = done + plan.n_epochs * ceil_div(n, rows_a_step(plan.batch_size, n)) if plan.n_epochs and n else 0
    return plan._replace(optimizer=with_rate(plan.optimizer, ending_after(rate, steps)))


def check_settings(settings: dict[str, Any], resume: TrainingState | None, is_weighted: bool) -> dict[str, Any]:
    """Check the arguments that are neither rows, nor stop rules, nor an initial state; return fields of a `Plan`.

    The kit holds the last ones and their fields, because a loop of small trainings passes the same immutable objects
    repeatedly. It holds nothing that may change or refer to the caller's data: lists of rates, functions, states.

    Parameters
    ----------
    settings : dict
        network, backend, epochs, new_rows, assume_finite, threads, and the options of `choose_options`.
    resume : TrainingState, optional
    is_weighted : bool
        Whether there are weights of rows.

    Raises
    ------
    TypeError, ValueError
        For invalid settings, and for a training that the back end does not support.
    """
    backend = get_backend(settings["backend"])
    now = (id(backend), is_weighted, *settings, *map(id, settings.values()))
    if resume is None and LAST and (last := LAST[-1])[0] == now:  # read once: another thread may put its own there
        checked: dict[str, Any] = last[1]
        return checked
    options = dict(settings)
    network, named, threads = options.pop("network"), options.pop("backend"), options.pop("threads")
    n_epochs, new_rows, assume_finite = (options.pop(name) for name in ("epochs", "new_rows", "assume_finite"))
    check_network(network)
    chosen = choose_options(**options, resume=resume)
    checked = {
        "network": network,
        "backend": complete(backend),
        **chosen._asdict(),
        "n_epochs": check_integer("epochs", n_epochs, low=0),
        "new_rows": new_rows,
        "assume_finite": check_flag("assume_finite", assume_finite),
        "threads": None if threads is None else check_integer("threads", threads, low=1),
    }
    check_supported(backend, network, chosen.optimizer, alpha=chosen.alpha, sample_weight=is_weighted)
    is_fixed = isinstance(named, str) and isinstance(options["rates"], (NotGiven, type(None)))
    if resume is None and is_fixed and not callable(chosen.optimizer.learning_rate):
        LAST[:] = [(now, checked, backend, settings)]  # which stay, so that no other objects get their ids
    return checked


LAST = kit.shelf()
"""The last arguments of `check_settings` and their fields: repeated calls skip the checks."""


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`, the default of arguments for which None has another meaning."""

    NOT_GIVEN = enum.auto()

    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN: Any = NotGiven.NOT_GIVEN

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
    """Choose the options of a training from the given ones, the state and defaults; batch size None means all rows.

    An optimizer without `clip_norm` and `rates` keeps those of the one `before` it, which `to_dict` described.

    Raises
    ------
    TypeError, ValueError
        For an option of the wrong type or outside its range, or that is neither given nor in the state.
    """
    kept: Mapping[str, Any] = DEFAULTS
    if resume is not None:
        kept = resume.counters
        before = kept.get("optimizer")
        given = NOT_GIVEN if optimizer is None else optimizer, batch_size, shuffle, alpha
        asked = zip(DEFAULTS, given, strict=True)
        lacking = [name for name, value in asked if value is NOT_GIVEN and name not in kept]
        if lacking:
            fault = f"resume: its state does not say {' and '.join(lacking)}, which version 0.1 of fastnn did not keep"
            raise ValueError(f"{fault}: give {', '.join(f'{name}=' for name in lacking)} as it was trained with")
    if optimizer is None:
        optimizer = kept["optimizer"] if resume is None else _optimizer_of(kept["optimizer"])
    check_optimizer(optimizer)
    given_now = {"clip_norm": clip_norm, "rates": rates}
    own = {name: n for name, n in (before or {}).items() if name in given_now and getattr(optimizer, name) is None}
    own |= {name: value for name, value in given_now.items() if value is not NOT_GIVEN}
    if own:
        optimizer = with_options(optimizer, **own)
    if batch_size is NOT_GIVEN:
        batch_size = None if optimizer.full_batch else kept["batch_size"]
    if batch_size is not None:
        batch_size = check_integer("batch_size", batch_size, low=1)
    shuffle = check_flag("shuffle", kept["shuffle"] if shuffle is NOT_GIVEN else shuffle)
    alpha = check_number("alpha", kept["alpha"] if alpha is NOT_GIVEN else alpha, low=0)
    if alpha and isinstance(optimizer, BayesianRegularization):
        raise ValueError(f"{optimizer.name} finds the strength of its penalty by itself: leave alpha={alpha:g} out")
    return Options(optimizer, batch_size, shuffle, alpha)


def _optimizer_of(values: dict[str, Any]) -> Optimizer:
    try:
        return Optimizer.from_dict(values)
    except LookupError:
        raise ValueError(
            f"resume: the learning rate of its state is a function ({cut(values['learning_rate'])}), which a state "
            f"does not keep: give optimizer={cut(values['name'])}(learning_rate=...) again"
        ) from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"resume: its optimizer cannot be made again ({cut(error)}): give optimizer=") from None


def check_resume(resume: Any, new_rows: bool, seed: Any, params: Any) -> None:
    """Raise TypeError or ValueError unless `resume` is None or an intact state, and the other options fit it."""
    if resume is None:
        if new_rows is not False and check_flag("new_rows", new_rows):
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
    with errors_of("resume does not fit"):
        resume.check()
