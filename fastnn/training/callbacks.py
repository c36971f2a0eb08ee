"""Callbacks: functions of a Progress that watch a training; `every` calls one each so many epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from fastnn.checking.arguments import check_integer, cut, shown
from fastnn.checking.keywords import explains_keywords
from fastnn.training.results import TrainingResult


@dataclass(frozen=True, eq=False)
class Progress:
    """The progress of a training: the argument of its callbacks.

    A callback is a function of one argument. It is called after each epoch, and training stops when it returns True.
    A callback with an attribute ``per_chunk = True`` is called after each chunk of steps instead, some 20 times a
    second; it only observes (what it returns is ignored), and unlike the first kind it costs no speed.

    Attributes
    ----------
    epoch : int
        Epochs that ended in this call of `train`.
    n_epochs : int
        Epochs asked for.
    part : float
        How much of the next epoch is done, at least 0 and less than 1.
    step : int
        Steps done in all, earlier runs and skipped batches included: `state.t`.
    loss : float
        The last epoch's training loss; NaN before the first has ended.
    validation_loss : float
        The validation data's loss after the last epoch; NaN where there are none.
    seconds : float
        Wall time since `train` was called.
    epoch_in_all : int
        Epochs that ended in all, earlier runs included.
    score : float
        The last epoch's score, by which the best epoch is chosen: see `History.score`. NaN before the first has ended.
    learning_rate : float
        That of the last step; NaN before the first.

    Examples
    --------
    >>> from fastnn import Network, train
    >>> def look(progress):
    ...     print(f"epoch {progress.epoch} of {progress.n_epochs}, step {progress.step}")
    ...     return progress.epoch == 2  # True stops the training
    >>> result = train(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=9, batch_size=1, callbacks=[look])
    epoch 1 of 9, step 2
    epoch 2 of 9, step 4
    >>> result.stop_reason
    'callback'
    """

    epoch: int
    n_epochs: int
    part: float
    step: int
    loss: float
    validation_loss: float
    seconds: float
    epoch_in_all: int
    score: float
    learning_rate: float
    _result: Callable[[int], TrainingResult] = field(repr=False)

    def result(self) -> TrainingResult:
        """Copy the training as it stands, to be looked at, saved (a checkpoint) or resumed later.

        Returns
        -------
        TrainingResult
            With the stop reason "running".

        Raises
        ------
        RuntimeError
            When the training has gone on since the callback was called, and for a copy of this object: copies and
            pickles hold the numbers only.

        Examples
        --------
        >>> from fastnn import Network, every, train
        >>> save = every(2, lambda progress: progress.result().save(f"epoch-{progress.epoch}.npz"))
        >>> result = train(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], epochs=4, seed=0, callbacks=[save])
        >>> import fastnn
        >>> fastnn.load("epoch-2.npz").n_epochs
        2
        """
        return self._result(self.step)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_result": _not_here}


def _not_here(step: int) -> NoReturn:
    raise RuntimeError("this Progress is a copy, which has no training: call result() of the one the callback got")


Callback = Callable[[Progress], object]
"""A function of one argument, a `Progress`."""


@explains_keywords
@dataclass(frozen=True)
class every:
    """A callback that calls another one after each `k` epochs, and stops the training where that returns True.

    Epochs are counted over all of the training, resumed or not: after ``train`` for 7 epochs, ``every(5, ...)`` is
    called in the third epoch of the resumed one. The epochs between cost no more than those without a callback.

    Parameters
    ----------
    k : int
        At least 1.
    callback : callable
        A function of the `Progress`.

    Raises
    ------
    TypeError, ValueError
        When `k` is no integer or below 1, or `callback` is no function of one argument.

    Examples
    --------
    >>> from fastnn import Network, every, train
    >>> seen = []
    >>> look = every(2, lambda progress: seen.append(progress.epoch))
    >>> result = train(Network((1, 1)), [[1.0]], [[2.0]], epochs=5, backend="numpy", callbacks=[look])
    >>> seen
    [2, 4]
    """

    k: int
    callback: Callback

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", check_integer("k", self.k, low=1))
        check_callback(self.callback)

    def __call__(self, progress: Progress) -> object:
        """Call the callback if a multiple of `k` epochs have ended."""
        return self.callback(progress) if progress.epoch_in_all % self.k == 0 else None


def periods(callbacks: Iterable[Callback]) -> set[int]:
    """Return the periods in epochs of some callbacks; {1} if one of them is called after each epoch."""
    found = {c.k if isinstance(c, every) else 1 for c in callbacks}
    return {1} if 1 in found else found


def sorted_callbacks(callbacks: Any) -> tuple[list[Callback], list[Callback]]:
    """Sort callbacks into those that observe chunks, and those that may stop after an epoch."""
    if callable(callbacks):
        raise TypeError("callbacks must be a list of functions; put this one into a list")
    observers: list[Callback] = []
    controllers: list[Callback] = []
    if type(callbacks) is tuple and not callbacks:  # none, in half a microsecond less
        return observers, controllers
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a list of functions, not {shown(callbacks)}")
    for callback in callbacks:
        check_callback(callback)
        (observers if getattr(callback, "per_chunk", False) else controllers).append(callback)
    return observers, controllers


def check_callback(callback: Any) -> None:
    """Raise TypeError unless `callback` can be called with one argument, the progress."""
    if not callable(callback):
        raise TypeError(f"callbacks must be functions of the progress; {shown(callback)} cannot be called")
    try:
        inspect.signature(callback).bind("progress")
    except TypeError as error:
        raise TypeError(
            f"callbacks must be functions of one argument, the progress; {shown(callback)}: {cut(error)}"
        ) from None
    except ValueError:  # a function of an extension module need not have a signature
        pass
