"""The beginning of a training: its settings are checked, then a run is made of them, the data and a seed."""

from __future__ import annotations

import dataclasses
import operator
from typing import Any, NamedTuple

import numpy as np

from fastnn.backends import Backend, get_backend
from fastnn.checking.arguments import check_flag, check_integer, shown
from fastnn.checking.values import Names, check_column_names
from fastnn.memory import ROW_BLOCK
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.state import Data, Task
from fastnn.training.batches import rows_a_step
from fastnn.training.capacity import check_memory
from fastnn.training.generator import Seed
from fastnn.training.initial import fresh, resumed, row_plan, validation_data
from fastnn.training.inputs import check_dtype, check_network
from fastnn.training.loop import Run
from fastnn.training.optional_parts import check_supported
from fastnn.training.options import choose_options
from fastnn.training.state import TrainingState
from fastnn.training.stopping import Stop
from fastnn.training.subsets import Rows, rows_of

NO_RULES = Stop()
"""The stop rules of a training that goes on to its last epoch."""


class Settings(NamedTuple):
    """Checked settings of a training: all but its data, its seed and its first parameters."""

    network: Network
    backend: Backend
    optimizer: Optimizer
    batch_size: int | None  # None: all rows
    shuffle: bool
    alpha: float
    n_epochs: int
    stop: Stop
    resume: TrainingState | None
    new_rows: bool
    assume_finite: bool
    threads: int | None
    feature_names: Names | None = None
    """The names of the columns of X, where it is a data frame with names."""

    @property
    def n_vectors(self) -> int:
        """Vectors of parameters that a run holds: state, snapshot, gradient, best parameters."""
        return 2 * (1 + self.optimizer.n_slots) + 2


def check_settings(
    network: Any,
    backend: Any,
    epochs: Any,
    stop: Any,
    options: tuple[Any, Any, Any, Any],
    resume: TrainingState | None,
    new_rows: bool,
    assume_finite: Any,
    *,
    weighted: bool,
    threads: Any = 1,
) -> Settings:
    """Check the arguments of `train`; `options` are those of `choose_options`, `weighted`: whether rows have weights.

    Raises
    ------
    TypeError, ValueError
        For what is no setting, and for a training that the back end does not support.
    """
    is_named, backend = isinstance(backend, str), get_backend(backend)
    given = network, backend, epochs, stop, *options, new_rows, assume_finite, weighted, threads
    before, settings = _last[0]
    if resume is None and all(map(operator.is_, given, before)):
        return settings
    stop = NO_RULES if stop is None else stop
    check_network(network)
    if not isinstance(stop, Stop):
        raise TypeError(f"stop must be a fastnn Stop, not {shown(stop)}")
    chosen = optimizer, _, _, alpha = choose_options(*options, resume)
    n_epochs, assume_finite = check_integer("epochs", epochs, low=0), check_flag("assume_finite", assume_finite)
    weighted = weighted or stop.has_weights
    check_supported(backend, network, optimizer, alpha=alpha, sample_weight=weighted)
    threads = None if threads is None else check_integer("threads", threads, low=1)
    settings = Settings(network, backend, *chosen, n_epochs, stop, resume, new_rows, assume_finite, threads)
    if is_named and stop is NO_RULES and resume is None and not callable(optimizer.learning_rate):
        _last[0] = given, settings
    return settings


_last: list[tuple[tuple[Any, ...], Any]] = [((object(),), None)]
"""What was given last, and the settings that it is: a loop of small trainings gives the same objects, none of which can
change, again and again. Nothing is kept that may hold the caller's data: functions, validation data, states."""


def working_dtype(dtype: Any, resume: TrainingState | None) -> np.dtype[Any] | None:
    """Return the dtype to compute in: that asked for, else that of the state to go on from, else None, that of X."""
    return resume.storage.dtype if resume is not None and dtype is None else check_dtype(dtype)


def start(
    settings: Settings,
    data: Data,
    rows: tuple[Rows | None, Rows | None],
    seed: Seed,
    params: Any,
    started: float,
) -> tuple[Run, np.random.RandomState]:
    """Return a run that can begin, and its generator; `rows` are those of `choose_rows`, `started` is the time."""
    network, backend, optimizer, batch_size, shuffle, alpha, n_epochs, stop, resume, new_rows, *_ = settings
    chosen, held_out = rows
    n, dtype = len(data.X if chosen is None else chosen), data.X.dtype
    rows_at_once = rows_a_step(batch_size, n)
    block = rows_at_once if optimizer.sequential else ROW_BLOCK
    check_memory(network, settings.n_vectors, rows_at_once, dtype, backend, block, settings.threads)
    if resume is None:
        state, random_state, seeded = fresh(network, optimizer, dtype, n, params, seed, stop)
    else:
        state, random_state = resumed(network, optimizer, dtype, n, resume, new_rows, stop, chosen)
        seeded = None
    check_column_names(settings.feature_names, state.feature_names)
    state.feature_names = state.feature_names or settings.feature_names
    if held_out is not None:
        stop = dataclasses.replace(stop, validation=rows_of(data, held_out))
    validation = validation_data(network, data, chosen, state, stop, settings.assume_finite)
    task = Task(network, optimizer, data, alpha, threads=settings.threads)
    plan = row_plan(backend, optimizer, state, random_state, batch_size, shuffle, chosen)
    plan.seeded = None if plan.shuffle else seeded
    run = Run(task, backend, state, plan, n_epochs, rule=stop.rule(), stop=stop, validation=validation, started=started)
    if run.scores.each_epoch:
        check_memory(network, settings.n_vectors, n if validation is None else len(validation.X), dtype, backend)
    return run, random_state
