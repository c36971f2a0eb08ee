"""Callbacks: functions that watch a training; `every` calls one each so many epochs."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastnn.checking.arguments import check_integer, shown
from fastnn.checking.keywords import explains_keywords
from fastnn.training.results import Callback, Progress


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
    >>> from fastnn import Network, train
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
    """Return after each how many epochs some callbacks are to be called; {1} if one of them is so after each epoch."""
    found = {c.k if isinstance(c, every) else 1 for c in callbacks}
    return {1} if 1 in found else found


def sorted_callbacks(callbacks: Any) -> tuple[list[Callback], list[Callback]]:
    """Sort callbacks into those that observe chunks, and those that may stop after an epoch."""
    if callable(callbacks):
        raise TypeError("callbacks must be a list of functions; put this one into a list")
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a list of functions, not {shown(callbacks)}")
    callbacks = list(callbacks)
    for callback in callbacks:
        check_callback(callback)
    observers = [c for c in callbacks if getattr(c, "per_chunk", False)]
    return observers, [c for c in callbacks if not getattr(c, "per_chunk", False)]


def check_callback(callback: Any) -> None:
    """Raise TypeError unless `callback` can be called with one argument, the progress."""
    if not callable(callback):
        raise TypeError(f"callbacks must be functions of the progress; {shown(callback)} cannot be called")
    try:
        inspect.signature(callback).bind("progress")
    except TypeError as error:
        raise TypeError(
            f"callbacks must be functions of one argument, the progress; {shown(callback)}: {error}"
        ) from None
    except ValueError:  # a function of an extension module need not have a signature
        pass
