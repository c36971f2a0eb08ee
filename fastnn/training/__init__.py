"""train(), the one driver of all back ends, and predict() and loss_and_gradient(), one call of one.

`options.py` checks the arguments, `session.py` trains by calls of a back end, for which
`initial.py` makes the first state, and `results.py` has the results. `run` is the loop: callbacks
and Ctrl-C come between two calls.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn.backends import Backend, get_backend
from fastnn.checking.arguments import check_flag, check_integer, check_number
from fastnn.checking.hints import explains_keywords
from fastnn.errors import ScaleWarning, warn
from fastnn.memory import ROW_BLOCK, Array
from fastnn.network import Network
from fastnn.optimizers import BUILT_IN, BayesianRegularization, Optimizer
from fastnn.sparse import SparseRows
from fastnn.training.callbacks import (
    Callback,
    Progress,
    ProgressBar,
    epochs_of,
    lines,
    says_yes,
    sorted_callbacks,
)
from fastnn.training.exceptions import (
    AGAIN,
    DivergenceError,
    Interrupt,
    InterruptWarning,
    StopRequest,
    TrainingInterrupted,
    attach_result,
    interruptible,
)
from fastnn.training.generator import Seed
from fastnn.training.history import History
from fastnn.training.inputs import (
    FEWEST_EPOCHS,
    LARGE_LOSS,
    check_data,
    check_inputs,
    check_memory,
    check_network,
    check_params,
    laid_out,
    worse_than_mean,
)
from fastnn.training.options import NOT_GIVEN, TrainOptions, check_options
from fastnn.training.results import TrainingResult, warn_of_fit
from fastnn.training.session import Session
from fastnn.training.state import TrainingState
from fastnn.training.stopping import Stop, StopReason

__all__ = ["Callback", "History", "Progress", "Stop", "StopReason", "TrainingResult"]
__all__ += ["loss_and_gradient", "predict", "train"]


@explains_keywords
def train(
    network: Network,
    X: Any,
    Y: Any,
    *,
    sample_weight: Any = None,
    rows: Any = None,
    validation_rows: Any = None,
    optimizer: Optimizer | None = None,
    epochs: int,
    batch_size: int | None = NOT_GIVEN,
    shuffle: bool = NOT_GIVEN,
    seed: Seed = None,
    alpha: float = NOT_GIVEN,
    clip_norm: float | None = NOT_GIVEN,
    rates: Any = NOT_GIVEN,
    params: Any = None,
    resume: TrainingState | None = None,
    new_rows: bool = False,
    stop: Stop | None = None,
    callbacks: Iterable[Callback] = (),
    backend: str | Backend = "numba",
    dtype: DTypeLike | None = None,
    assume_finite: bool = False,
    progress: bool = False,
    verbose: bool | int = False,
    threads: int | None = None,
) -> TrainingResult:
    """Train a network.

    The same seed gives the same initial weights, row order and validation split on every back end
    and machine: one ``RandomState(seed)`` draws the weights (unless `params` are given), then the
    validation split, then one shuffle an epoch. Your arrays are never written.

    Parameters
    ----------
    network : Network
        Sizes, activations and loss.
    X : array-like, data frame or sparse matrix (n, n_inputs)
        The inputs, numbers. float32 is trained in float32, everything else in float64, unless
        `dtype` is given. Copied only if its dtype, byte order or memory layout requires it. The
        result keeps the names of a frame's columns as `feature_names`, and later refuses frames
        with other names or another order.
    Y : array-like (n, n_outputs)
        The targets. Also (n,) for one output, and labels (n,) from 0, whole numbers of any dtype,
        for the loss cross_entropy. Targets outside the range of the output, such as 2 for sigmoid,
        are refused.
    sample_weight : array-like (n,), optional
        The weights of the rows, by default all 1. Neither negative nor too small for the dtype of
        X. A batch is skipped if its weights are all 0.
    rows : array-like of int (n_rows,), optional
        The numbers of the rows to train on, such as a fold or a bootstrap sample; rows may be
        repeated. X, Y and sample_weight are those of all rows, and are not copied (except by a stop
        rule that scores the training rows). The result has the same bits as that of ``X[rows]``,
        ``Y[rows]`` and ``sample_weight[rows]``. ``Stop(validation=0.1)`` splits off a part by
        position, so a repeated row may be on both sides.
    validation_rows : array-like of int (n_validation,), optional
        The numbers of the rows to validate on, which are copied, instead of
        ``Stop(validation=...)``. Without `rows`, all other rows are trained on; with `rows`, no row
        may be on both sides. Draw them with any generator, such as
        ``np.random.RandomState(0).permutation(len(X))[:100]``; `seed` does not matter here. In
        contrast, ``Stop(validation=0.1)`` draws its rows from ``RandomState(seed)``, after the
        weights; ``result.state.validation_rows`` has their numbers.
    optimizer : Optimizer, optional
        One of %(optimizers)s. Its learning rate is a number or a function of the absolute step,
        0-based. Default: ``Adam()``, or on resuming that of the state.
    epochs : int
        Epochs to complete in this call. A resumed training that was interrupted within an epoch
        completes that epoch first, and counts it. So ``train(n)`` equals a run that was interrupted
        after k whole epochs (``n_epochs == k``) and resumed with ``epochs=n - k``.
    batch_size : int or None, optional
        Rows of a step; the last batch of an epoch may be shorter. None, or a number above that of
        the training rows, takes all of them. Default: 200, or all rows for an optimizer that takes
        full batches only (RPROP); on resuming that of the state.
    shuffle : bool, optional
        Whether each epoch begins with a new order of the rows; full batches are never shuffled.
        Default: True, or on resuming that of the state.
    seed : None, int or RandomState
        None draws other numbers at each call. A RandomState is used itself, and continues from its
        present state.
    alpha : float, optional
        Strength of the L2 penalty on the weights (not the biases). Default: 0, or on resuming that
        of the state.
    clip_norm : float or None, optional
        The largest norm of a step's gradient, which is that of all parameters and includes the
        penalty: a longer gradient is scaled down to it. None: no limit. The default is None, or on
        resuming the limit of the state.
    rates : sequence of float or (float, float), optional
        Factors of the learning rate, one for each layer, or one for its weights and one for its
        biases: ``(0, 0, 1)`` trains the last of three layers. A layer with 0 keeps its bits, but
        counts for `clip_norm`. None: 1 for all. The default is None, or on resuming the rates of
        the state.
    params : array-like (n_params,), optional
        Initial parameters, copied, instead of drawn ones.
    resume : TrainingState, optional
        The `state` of an earlier result, to resume; it is copied. It has its own generator, row
        order and parameters, so do not give `seed` and `params`. It also has optimizer, batch size,
        shuffle, alpha and dtype, which you may replace: the batch size between epochs only, the
        optimizer by one of the same class only; `clip_norm` and `rates` stay unless the new one has
        its own, or you give them. Give a learning rate that is a function of your own again; a
        reduced rate stays reduced. The rows to train on (the state knows their number, and whether
        `rows` are the same) and the network (sizes, activations, loss, reduction, biases) must be
        the same. Stop rules and callbacks are not kept; without them, training runs to the last
        epoch. Rows that were split off for validation stay untrained. `TrainingResult.resume` needs
        the data only, and `rows` or `validation_rows` if they were given.
    new_rows : bool
        Whether X and Y, of any length, are other rows than those of `resume`, such as the next
        chunk of a stream. Parameters, the state of the optimizer, steps and generator continue. A
        new epoch begins, with X in its order and a new validation split; the rest of an interrupted
        epoch is dropped. Stop rules begin again, unless ``Stop(validation=(X, Y))`` gives them data
        whose scores can be compared.
    stop : Stop, optional
        When to stop early or to reduce the learning rate, by which score, and what to keep.
    callbacks : iterable of callables
        Each is called with a `Progress` after each epoch (with `fastnn.every`, after each k
        epochs), and stops the training by returning True. With an attribute ``per_chunk = True`` it
        only observes, after each chunk. If it raises an error, the training ends, and the error
        gets an attribute `result`: the training up to there. An error that has a `result` keeps it,
        such as the `DivergenceError` of a training that the callback runs. A KeyboardInterrupt or
        SystemExit gets none.
    backend : {"numba", "numpy"}, name or Backend
        The fused kernel, the reference, or a back end of your own.
    dtype : {"float32", "float64"}, optional
        The dtype to compute in. X, Y and weights of another dtype (uint8, float16, ...) are
        converted directly, without an array of a third dtype: 100 MB of uint8, in memory or in a
        memory map, take 400 MB in float32.
    assume_finite : bool
        Skip the search of X and Y for NaN and infinity.
    progress : bool
        Whether to show a progress bar (needs the package rich).
    verbose : bool or int
        Whether to print lines with losses, learning rate and seconds, after 1, 2, 5, 10, ... epochs
        and at last twenty times in all of them, or one each so many epochs; and the result in the
        end.
    threads : int, optional
        Threads that share each step, and validation rows, on the back end "numba"; they do not
        change a bit. By default, steps longer than about 30 us use as many threads as there is work
        for, up to the cores that the process may use (`fastnn info`); outside Python's main thread,
        and in the workers of joblib, Dask and Ray, one thread. A number is used as given, but at
        most one thread for every 16 rows (float64; 32 in float32) of a batch, and one for a
        sequential optimizer. A thread whose core is taken by another program does no work
        meanwhile.

    Returns
    -------
    TrainingResult
        After Ctrl-C, what was trained so far, with an `InterruptWarning` and stop reason
        "interrupted", or that of a stop rule that ends the training in the same epoch. A second
        Ctrl-C within two seconds raises KeyboardInterrupt at once, also in a later call of fastnn,
        so that you can stop a loop of trainings. A SIGINT handler of your own is called too (in the
        main thread only, because Python delivers signals nowhere else).

    Raises
    ------
    ValueError, TypeError
        For invalid input; the text says what would be right.
    MemoryError
        Before any allocation, if the parameters, the state of the optimizer and the activations (of
        a block of rows of a batch; on "numpy", of whole batches and of all validation data) do not
        fit the machine.
    MonitorError
        If a function ``Stop(monitor=...)`` raises an error or does not return a number.
    DivergenceError
        If a step gives a loss or a parameter that is not finite, unless
        ``Stop(on_divergence="stop")``.
    TrainingInterrupted
        On Ctrl-C, with ``Stop(on_interrupt="raise")``: a KeyboardInterrupt whose `result` is what
        was trained so far.

    Examples
    --------
    Cross-validate in five folds, without a copy of the training rows:

    >>> import numpy as np
    >>> from fastnn import Adam, Network, train
    >>> X, network, scores = np.linspace(-1, 1, 100)[:, None], Network((1, 8, 1), "tanh"), []
    >>> for fold in np.array_split(np.random.RandomState(0).permutation(100), 5):
    ...     result = train(
    ...         network, X, X**2, validation_rows=fold, optimizer=Adam(0.1), epochs=100, seed=0
    ...     )
    ...     scores.append(result.history.validation_loss[-1])
    >>> len(scores), bool(np.mean(scores) < 0.01)
    (5, True)
    """
    started = time.perf_counter()
    options = check_options(
        network,
        X,
        Y,
        epochs=epochs,
        sample_weight=sample_weight,
        rows=rows,
        validation_rows=validation_rows,
        optimizer=optimizer,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        alpha=alpha,
        clip_norm=clip_norm,
        rates=rates,
        params=params,
        resume=resume,
        new_rows=new_rows,
        stop=stop,
        backend=backend,
        dtype=dtype,
        assume_finite=assume_finite,
        threads=threads,
    )
    watch = Watch(callbacks, progress, verbose, options.n_epochs)
    interrupt = Interrupt(swallows=options.stop.on_interrupt == "return")
    with Session([options], [seed if resume is None else resume], started) as session:
        with watch.bar:
            interruptible(interrupt, lambda: run(session, watch, interrupt))
        result = session.result(0)
    tell(session, result, interrupt)
    if isinstance(options.optimizer, BayesianRegularization):
        warn_of_fit([result])
    if verbose:
        print(result)  # noqa: T201
    return result


class Watch:
    """The callbacks of a training, its progress bar among them."""

    bar: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    periods: Collection[int] = ()
    """The periods of callbacks, in epochs."""

    def __init__(
        self,
        callbacks: Iterable[Callback] = (),
        progress: bool = False,
        verbose: bool | int = False,
        n_epochs: int = 0,
    ) -> None:
        self.observers: list[Callback] = []
        self.controllers: list[Callback] = []
        if not isinstance(callbacks, tuple) or callbacks:  # an array compares by its numbers
            self.observers, self.controllers = sorted_callbacks(callbacks)
        self.verbose = verbose
        if verbose is not False:
            self.controllers += lines(verbose, n_epochs)
        if self.controllers:
            self.periods = epochs_of(self.controllers)
        if progress is not False and check_flag("progress", progress):
            self.bar = bar = ProgressBar()
            self.observers.append(bar)

    def epochs_until_look(self, session: Session) -> int | None:
        """Return after how many epochs a callback wants to be called; None if none does."""
        if not self.periods:
            return None
        if 1 in self.periods:
            return 1
        now = session.states.epochs[0]
        return min([period - now % period for period in self.periods])

    def look(self, session: Session, n_ended: int) -> bool:
        """Call the callbacks after a call that ended `n_ended` epochs; return whether one of them
        asks to end the training.
        """
        if not (self.observers or self.controllers):
            return False
        progress = progress_of(session)
        answers: list[object] = []
        try:
            for observe in self.observers:
                observe(progress)
            if n_ended:
                # all, whatever one says
                answers = [control(progress) for control in self.controllers]
            if self.verbose is True:
                self.periods = epochs_of(self.controllers)
        except Exception as error:
            attach_result(error, session.result(0, goes_on=True))
            raise
        return says_yes(answers)


def run(session: Session, watch: Watch, request: StopRequest) -> None:
    """Train until all members have ended, or somebody asks to."""
    session.is_watched = bool(watch.observers or watch.controllers)
    while not request.requested:
        session.end_due()
        if not session.running:
            return
        n_ended = session.advance(watch.epochs_until_look(session))
        if watch.look(session, n_ended) and not request.requested:
            session.end_all("callback")
    session.end_all(request.reason)


def progress_of(session: Session) -> Progress:
    """Return the argument of callbacks."""
    log = session.log
    loss = log.last_loss
    score = loss
    validation_loss = math.nan
    if session.judge is not None:
        evaluation = session.judge.evaluations[0]
        row_loss = log.row_loss.last
        if evaluation.validation is not None:
            validation_loss = row_loss
        if evaluation.has_score:
            score = log.score.last
        elif evaluation.has_loss:
            score = row_loss
    states = session.states
    progress = Progress.__new__(Progress)  # the `__init__` of a frozen dataclass takes longer
    vars(progress).update(
        epoch=session.n_epochs[0],
        n_epochs=session.members[0].n_epochs,
        part=session.batch / session.draws.per_epoch,
        step=states.t[0],
        loss=loss,
        validation_loss=validation_loss,
        seconds=time.perf_counter() - session.started,
        epoch_in_all=states.epochs[0],
        score=score,
        learning_rate=log.learning_rate.last,
        _result=session.result_at,
        _epochs_after=session.epochs_after,
    )
    return progress


def tell(session: Session, result: TrainingResult, interrupt: Interrupt) -> None:
    """Raise or warn if a training ended early, as its stop rules say.

    Raises
    ------
    TrainingInterrupted, DivergenceError
        With the result.
    """
    stop = session.members[0].stop
    if interrupt.requested:
        how_far = (
            f"training was interrupted after {result.n_epochs} epochs of this call, "
            f"{result.state.t} steps in all"
        )
        if stop.on_interrupt == "raise":
            raise TrainingInterrupted(
                f"{how_far}; `.result` of this error is the training up to there", result
            )
    if result.stop_reason == "diverged" and stop.on_divergence == "raise":
        raise DivergenceError(session.divergence, result)
    if interrupt.requested:
        again = f"Ctrl-C again within {AGAIN:g} seconds raises KeyboardInterrupt"
        warn(InterruptWarning(f"{how_far}, which is what train returns; {again}", result))
    if session.log.last_loss > LARGE_LOSS:
        warn_of_mean(session.members[0], result)
    if stop.monitor != "loss" and result.n_epochs:
        warn_of_no_score(result.history)


def warn_of_no_score(history: History) -> None:
    """Warn of a monitor that gave no epoch a number, so that none was the best."""
    if not np.isfinite(history.score).any():
        fault = f"{history.scored_by} was {history.score[-1]:g} in the last epoch"
        warn(UserWarning(f"no epoch had a score, so none was the best: {fault}"))


def warn_of_mean(options: TrainOptions, result: TrainingResult) -> None:
    """Warn of a whole training that ended with outputs no better than the mean of Y."""
    is_part = options.resumes or result.stop_reason in ("callback", "interrupted", "diverged")
    if is_part or result.n_epochs < FEWEST_EPOCHS:
        return
    loss = float(result.history.loss[-1])
    if fault := worse_than_mean(options.network, options.data, options.rows, loss):
        way = "scale Y to about -1 to 1, such as by sklearn.preprocessing.StandardScaler"
        warn(ScaleWarning(f"{fault}: {way}, and scale predictions back"))


train.__doc__ = (train.__doc__ or "") % {"optimizers": ", ".join(BUILT_IN)}


def predict(
    network: Network,
    params: Any,
    X: Any,
    *,
    backend: str | Backend = "numba",
    assume_finite: bool = False,
    threads: int | None = None,
) -> Array:
    """Compute the network's outputs.

    Parameters
    ----------
    network : Network
        Sizes and activations.
    params : array-like (n_params,)
        Its dtype is the one to compute in: float32, or float64 for everything else.
    X : array-like, data frame or sparse matrix (n, n_inputs)
        Copied only if its dtype, byte order or memory layout requires it. One row x is ``x[None]``.
        The columns of a frame go by position; `TrainingResult.predict` compares their names.
    backend : {"numba", "numpy"}, name or Backend
        What computes.
    assume_finite : bool
        Skip the search of X for NaN and infinity.
    threads : int, optional
        How many threads share the rows, on the back end "numba", in blocks of 256; it shows in no
        bit of the result. Where it is not given, predictions that take longer than some 5 ms are
        shared by as many as there are cores that the process may use (`fastnn info`); in other
        threads than Python's main one they are not shared.

    Returns
    -------
    ndarray (n, n_outputs)
        In the dtype of `params`. It is (n, 1) for one output too: compare ``predict(...)[:, 0]``
        with targets (n,), because NumPy subtracts (n,) from (n, 1) as a table (n, n).

    Raises
    ------
    ValueError, TypeError
        For input that does not fit; the text says what would.
    MemoryError
        Before anything is allocated, when the activations (of a block of rows at a time, all rows
        on "numpy") would not fit the machine.

    Examples
    --------
    >>> from fastnn import Network, predict
    >>> predict(Network((2, 1)), [1.0, 2.0, 0.5], [[1.0, 0.0], [0.0, 1.0]])  # W, and then b
    array([[1.5],
           [2.5]])
    """
    check_network(network)
    params = check_params(network, params)
    assume_finite = check_flag("assume_finite", assume_finite)
    backend = get_backend(backend)
    X = check_inputs(network, X, params.dtype, assume_finite, backend)
    threads = None if threads is None else check_integer("threads", threads, low=1)
    # of each thread
    sparse = isinstance(X, SparseRows)
    block = ROW_BLOCK * (threads or 1)
    check_memory(network, 1, len(X), params.dtype, backend, block, sparse=sparse)
    return backend.predict(network, params, X, threads)


def loss_and_gradient(
    network: Network,
    params: Any,
    X: Any,
    Y: Any,
    *,
    sample_weight: Any = None,
    alpha: float = 0.0,
    backend: str | Backend = "numba",
    assume_finite: bool = False,
    threads: int | None = None,
) -> tuple[float, Array]:
    """Compute the loss of all rows as one batch, and its gradient by the parameters.

    ``L = (1/s) [ sum_i w_i l_i + (alpha/2) sum W^2 ]``, s the sum of the weights for
    ``reduction="mean"``, 1 for "sum".

    Parameters
    ----------
    network : Network
        Sizes, activations, loss and reduction.
    params : array-like (n_params,)
        Its dtype is the one computed in: float32, or float64 for everything else.
    X : array-like, data frame or sparse matrix (n, n_inputs)
        The inputs.
    Y : array-like (n, n_outputs)
        The targets. Also (n,) for one output, and labels (n,) from 0, whole numbers of any dtype,
        for cross_entropy.
    sample_weight : array-like (n,), optional
        The weights of the rows, not negative; all 1 where it is not given.
    alpha : float
        Strength of the L2 penalty on the weights (not the biases).
    backend : {"numba", "numpy"}, name or Backend
        What computes.
    assume_finite : bool
        Skip the search of X and Y for NaN and infinity.
    threads : int, optional
        How many threads share each block of rows, on the back end "numba"; it shows in no bit of
        the result. Where it is not given, what takes longer than some 30 us is shared by as many as
        there are cores, and work for them: `train` says more.

    Returns
    -------
    loss : float
        The loss L.
    gradient : ndarray (n_params,)
        In the dtype of `params`. With ``bias_gradient="times_bias"`` it is the tutorial's, not the
        loss' derivative.

    Raises
    ------
    ValueError, TypeError
        For input that does not fit; the text says what would.
    MemoryError
        Before anything is allocated, when the activations (of a block of rows at a time, all rows
        on "numpy") would not fit the machine.

    Examples
    --------
    >>> from fastnn import Network, loss_and_gradient
    >>> loss, gradient = loss_and_gradient(Network((1, 1)), [1.0, 0.0], [[1.0], [2.0]], [0.0, 2.0])
    >>> loss  # half the mean of 1 and 0
    0.25
    >>> gradient
    array([0.5, 0.5])
    """
    check_network(network)
    params = check_params(network, params)
    assume_finite = check_flag("assume_finite", assume_finite)
    backend = get_backend(backend)
    dtype = params.dtype
    data = check_data(network, X, Y, sample_weight, assume_finite, dtype, stays_sparse=True)
    if isinstance(data.X, SparseRows):
        data = data._replace(X=laid_out(data.X, backend))
    threads = None if threads is None else check_integer("threads", threads, low=1)
    sparse = isinstance(data.X, SparseRows)
    check_memory(network, 3, len(data.X), dtype, backend, threads=threads, sparse=sparse)
    alpha = check_number("alpha", alpha, low=0)
    return backend.loss_and_gradient(network, params, data, alpha, threads)
