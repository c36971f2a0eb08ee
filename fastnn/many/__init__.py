"""train_many(): many networks in one call, each with the bits of a training of its own."""

from __future__ import annotations

from typing import Any

from numpy.typing import DTypeLike

from fastnn.backends import Backend
from fastnn.checking.hints import explains_keywords
from fastnn.many.driver import Callbacks, ManyProgress, checked, tell_interrupted
from fastnn.many.results import ManyHistory, ManyResult
from fastnn.optimizers import BayesianRegularization
from fastnn.training import Stop
from fastnn.training.options import NOT_GIVEN
from fastnn.training.results import warn_of_fit

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
    clip_norm: Any = NOT_GIVEN,
    rates: Any = NOT_GIVEN,
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

    Each member has the bits that `fastnn.train` gives with its arguments, for any number of
    threads.

    Parameters
    ----------
    networks : Network, or a sequence of them
        The network of all members, or one for each.
    X : array-like, data frame or sparse matrix (n, n_inputs), or (m, n, n_inputs)
        The inputs. Like each argument below down to `stop`, this is one value for all members, or a
        list, tuple, range or array of numbers with one for each. To give each member an array, pass
        a list of arrays, or an array with one more dimension. Nested lists of numbers are data for
        all members.
    Y : array-like (n, n_outputs), or (m, n, n_outputs)
        The targets; an array of two dimensions is for all members.
    n : int, optional
        The number of members, if there is no list: ``train_many(network, X, Y, n=100, epochs=10)``
        draws 100 seeds.
    sample_weight, rows, validation_rows : array-like (n,), (n_rows,), (n_validation,), optional
        One for all members, or one for each.
        The weights of the rows, and the numbers of those to train and to validate on, as for
        `fastnn.train`.
    optimizer : Optimizer, or one for each, optional
        Default: ``Adam()``.
    learning_rate : float, schedule, or one for each, optional
        Replaces that of the optimizer.
    epochs : int, or one for each
        Epochs to complete in this call.
    batch_size, shuffle : int or None, and bool, or one for each, optional
        Rows of a step, and whether each epoch has a new order, as for `fastnn.train`.
    seed : int, RandomState, None, or a sequence with one for each
        None draws other numbers at each call. Members must not share a RandomState.
    alpha : float, or one for each, optional
        Strength of the L2 penalty.
    clip_norm : float, or one for each, optional
        The most that the length of a step's gradient may be.
    rates : sequence of float or (float, float), optional
        Factors of the learning rate for each layer, as for `fastnn.train`; the same for all
        members.
    params : array-like (n_params,), or (m, n_params), optional
        Initial parameters.
    resume : TrainingState, or one for each, optional
        The states to resume, such as ``[result.state for result in many]``.
    new_rows : bool
        Whether X and Y are other rows than those of `resume`; one value for all.
    stop : Stop, or one for each, optional
        When to stop early or to reduce the learning rate, by which score, and what to keep.
        ``Stop(max_seconds=...)`` is a limit for each member, from its own beginning.
    callbacks : iterable of callables
        Each is called with a `ManyProgress` between blocks of members, in the calling thread; True
        ends all trainings, with the stop reason "callback". Monitors and learning rates that are
        functions are called in the threads.
    backend : {"numba", "numpy"}, name or Backend
        The back end of all members.
    dtype : {"float32", "float64"}, optional
        The dtype to compute in; one for all.
    assume_finite : bool
        Skip the search of X and Y for NaN and infinity; one for all.
    n_jobs : int, optional
        Threads that train members, short trainings in blocks that they share. None, or -1 as in
        scikit-learn, is all cores that the process may use; within
        ``joblib.parallel_config("loky")``, "dask" or "ray", all workers of that engine, see
        docs/howto/engines.md.
    progress : bool
        Whether to show a progress bar (needs the package rich).

    Returns
    -------
    ManyResult
        A sequence of `TrainingResult`. A member that diverges ends, with that `stop_reason` and
        whatever its ``Stop(on_divergence=...)``, and the others continue. After Ctrl-C, members in
        training are "interrupted", and those that had not begun have 0 epochs.

    Raises
    ------
    ValueError, TypeError
        As in `fastnn.train`, with the number of the member, and for lists of unequal lengths;
        before any training.
    MemoryError
        If the results would not fit the machine.
    MonitorError, or an error in your callback or learning rate
        It ends all trainings. Its `result` is the `ManyResult` so far, which you can resume, and
        its `member` the number of the member whose function raised it.
    EngineError
        If the workers of an engine cannot train, or the engine fails several times.
    TrainingInterrupted
        On Ctrl-C, if a member has ``Stop(on_interrupt="raise")``; its `result` is the `ManyResult`
        so far.

    Examples
    --------
    A hundred seeds, and the best of them:

    >>> import numpy as np
    >>> from fastnn import Adam, Network, train_many
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> many = train_many(
    ...     Network((1, 8, 1), "tanh"), X, X**2, seed=range(100), optimizer=Adam(0.1), epochs=50
    ... )
    >>> len(many), many.params.shape, many.history.loss.shape
    (100, (100, 25), (100, 50))
    >>> bool(many[many.best()].history.loss[-1] == many.history.loss[:, -1].min())
    True

    A learning rate for each member:

    >>> rates = train_many(
    ...     Network((1, 8, 1)), X, X**2, learning_rate=[0.1, 0.01, 0.001], seed=0, epochs=5
    ... )
    >>> rates.predict(X).shape
    (3, 20, 1)
    """
    caller, members = checked(**locals())
    result, interrupted = caller.train(members)
    if interrupted:
        tell_interrupted(members, result, result, "what train_many returns")
    if any(isinstance(member.options.optimizer, BayesianRegularization) for member in members):
        warn_of_fit(result)
    return result
