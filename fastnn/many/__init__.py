"""train_many(): many networks in one call, each with the bits of a training of its own."""

from __future__ import annotations

from typing import Any

from numpy.typing import DTypeLike

from fastnn.backends import Backend
from fastnn.checking.keywords import explains_keywords
from fastnn.many.arguments import arguments_of, spread
from fastnn.many.call import Callbacks, Caller, tell_interrupted
from fastnn.many.driver import ManyProgress
from fastnn.many.history import ManyHistory
from fastnn.many.members import check_members
from fastnn.many.results import ManyResult
from fastnn.training import Stop
from fastnn.training.options import NOT_GIVEN

__all__ = ["ManyHistory", "ManyProgress", "ManyResult", "train_many"]


@explains_keywords
def train_many(
    networks: Any,
    X: Any,
    Y: Any,
    *,
    n: int | None = None,
    sample_weight: Any = None,
    rows: Any = None,
    validation_rows: Any = None,
    optimizer: Any = None,
    learning_rate: Any = None,
    epochs: Any,
    batch_size: Any = NOT_GIVEN,
    shuffle: Any = NOT_GIVEN,
    seed: Any = None,
    alpha: Any = NOT_GIVEN,
    params: Any = None,
    resume: Any = None,
    new_rows: bool = False,
    stop: Stop | list[Stop] | None = None,
    callbacks: Callbacks = (),
    backend: str | Backend = "numba",
    dtype: DTypeLike | None = None,
    assume_finite: bool = False,
    n_jobs: int | None = None,
    progress: bool = False,
) -> ManyResult:
    """Train many networks.

    Each member has the same bits as `fastnn.train` alone gives it with its arguments, whatever the number of threads.

    Parameters
    ----------
    networks, X, Y, ...
        The arguments of `fastnn.train`: one value for all members, or a list, tuple, range or array of numbers with one
        for each. Arrays for each are a list of arrays, or an array with one dimension more: X (m, n, n_inputs), Y (m,
        n, n_outputs), params (m, n_params), sample_weight (m, n). Nested lists of numbers are data for all members, as
        is a Y of two dimensions. `new_rows`, `backend`, `dtype` and `assume_finite` are one for all.
    n : int, optional
        The number of members, where there is no list: ``train_many(network, X, Y, n=100, epochs=10)`` draws 100 seeds.
    learning_rate : float, schedule, or one for each, optional
        In place of the optimizer's.
    callbacks : iterable of callables
        Each is called with a `ManyProgress` between blocks of members, in the calling thread; True ends all, with the
        stop reason "callback". (Monitors and learning rates that are functions of your own are called in the threads.)
    n_jobs : int, optional
        Members that are trained at once, each by a thread of its own. None, or -1 as for scikit-learn: all cores that
        the process may use; within ``joblib.parallel_config("loky")``, "dask" or "ray" all workers of that engine, see
        docs/howto/engines.md.
    progress : bool
        Whether to show a progress bar (needs the package rich).

    Returns
    -------
    ManyResult
        A sequence of `TrainingResult`. A member that diverges ends, and the others go on: `stop_reason` says so,
        whatever its ``Stop(on_divergence=...)``. After Ctrl-C members under way are "interrupted", and those that had
        not begun have 0 epochs.

    Raises
    ------
    ValueError, TypeError
        For what `fastnn.train` refuses, with the number of the member, and for lists of unequal lengths; before
        anything is trained.
    MemoryError
        When the results would not fit the machine.
    MonitorError, or what a callback or a learning rate of your own raises
        It ends all trainings. Its `result` is the `ManyResult` up to there, which can be resumed, and `member` the
        number of the member whose function raised it.
    EngineError
        When the workers of an engine cannot train, or the engine fails several times.
    TrainingInterrupted
        On Ctrl-C, where a member has ``Stop(on_interrupt="raise")``: its `result` is the `ManyResult` so far.

    Examples
    --------
    A hundred seeds, and the best of them:

    >>> import numpy as np
    >>> from fastnn import Adam, Network, train_many
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> many = train_many(Network((1, 8, 1), "tanh"), X, X**2, seed=range(100), optimizer=Adam(0.1), epochs=50)
    >>> len(many), many.params.shape, many.history.loss.shape
    (100, (100, 25), (100, 50))
    >>> bool(many[many.best()].history.loss[-1] == many.history.loss[:, -1].min())
    True

    A learning rate for each member:

    >>> rates = train_many(Network((1, 8, 1)), X, X**2, learning_rate=[0.1, 0.01, 0.001], seed=0, epochs=5)
    >>> rates.predict(X).shape
    (3, 20, 1)
    """
    given = arguments_of(locals())
    caller = Caller(n_jobs, callbacks, progress)
    members = check_members(spread(given, n))
    result, interrupted = caller.train(members)
    if interrupted:
        tell_interrupted(members, result, result, "what train_many returns")
    return result
