"""Exceptions and a warning with the result of the training that they ended."""

from __future__ import annotations

import contextlib
from typing import Any

from fastnn.errors import FastnnError
from fastnn.training.results import TrainingResult


class _WithResult(BaseException):
    """The base of exceptions with the result of the training that they ended; copies and pickles keep it."""

    def __init__(self, message: str, result: Any) -> None:  # a TrainingResult, or of `train_many` a ManyResult
        super().__init__(message)
        self.result: TrainingResult = result

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.result), vars(self)


class DivergenceError(_WithResult, FastnnError, ArithmeticError):
    """A training step gave a loss or a parameter that is not finite.

    Attributes
    ----------
    result : TrainingResult
        The training up to the last good step. Its parameters are finite, but may be large: train again with a smaller
        learning rate rather than resume it.

    Examples
    --------
    >>> from fastnn import SGD, DivergenceError, Network, train
    >>> try:
    ...     train(Network((1, 1)), [[1.0], [2.0]], [1.0, 2.0], optimizer=SGD(100.0), epochs=999, seed=0)
    ... except DivergenceError as error:
    ...     print(error.result.stop_reason)
    diverged
    """


class MonitorError(_WithResult, FastnnError, RuntimeError):
    """The function of ``Stop(monitor=...)`` raised an error, the cause of this one, or did not return a number.

    Attributes
    ----------
    result : TrainingResult
        The training up to the end of that epoch, whose score is NaN; you can resume it.

    Examples
    --------
    >>> from fastnn import MonitorError, Network, Stop, train
    >>> def monitor(Y, outputs):
    ...     return 1 / 0
    >>> try:
    ...     train(Network((1, 1)), [[1.0], [2.0]], [1.0, 2.0], epochs=9, seed=0, stop=Stop(monitor=monitor))
    ... except MonitorError as error:
    ...     print(error.result.n_epochs, type(error.__cause__).__name__)
    1 ZeroDivisionError
    """


class TrainingInterrupted(_WithResult, KeyboardInterrupt):
    """Ctrl-C ended a training with ``Stop(on_interrupt="raise")``.

    Attributes
    ----------
    result : TrainingResult, or of `train_many` a ManyResult
        The training so far; ``train(..., resume=error.result.state)`` continues it.

    Examples
    --------
    >>> import signal
    >>> from fastnn import Network, Stop, TrainingInterrupted, train
    >>> def press_ctrl_c(progress):
    ...     signal.raise_signal(signal.SIGINT)
    >>> options = {"stop": Stop(on_interrupt="raise"), "callbacks": [press_ctrl_c]}
    >>> try:
    ...     train(Network((1, 1)), [[1.0], [2.0]], [1.0, 2.0], epochs=9, seed=0, **options)
    ... except TrainingInterrupted as error:
    ...     print(error.result.n_epochs)
    1
    """


class InterruptWarning(_WithResult, UserWarning):
    """Ctrl-C ended a training early, and `train` returned the result so far.

    Attributes
    ----------
    result : TrainingResult, or of `train_many` a ManyResult
        The same result, in case this warning becomes an error.

    Examples
    --------
    >>> import signal, warnings
    >>> from fastnn import InterruptWarning, Network, train
    >>> def press_ctrl_c(progress):
    ...     signal.raise_signal(signal.SIGINT)
    >>> with warnings.catch_warnings(category=InterruptWarning, action="ignore"):
    ...     result = train(Network((1, 1)), [[1.0], [2.0]], [1.0, 2.0], epochs=9, seed=0, callbacks=[press_ctrl_c])
    >>> result.stop_reason, result.n_epochs
    ('interrupted', 1)
    """


def attach_result(error: Exception, result: Any) -> None:
    """Attach the result of the training, as `result`, to an error in the caller's code, such as a callback."""
    if not hasattr(error, "result"):
        with contextlib.suppress(AttributeError, TypeError):  # a class of its own may refuse other attributes
            error.result = result  # type: ignore[attr-defined]
            error.add_note("fastnn: `.result` of this error is the training up to there")
