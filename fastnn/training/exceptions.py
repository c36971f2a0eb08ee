"""The early ends of a training: exceptions and a warning with its result, and Ctrl-C, which sets a
flag.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time

# In C: those of the module `signal` call them, and then take ten times as long to make enums of
# what they return.
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, Protocol, TypeVar

from fastnn.errors import FastnnError
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import StopReason


class _WithResult(BaseException):
    """The base of exceptions with the result of the training that they ended; copies and pickles
    keep it.
    """

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result: TrainingResult = result

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.result), vars(self)


class DivergenceError(_WithResult, FastnnError, ArithmeticError):
    """A training step gave a loss or a parameter that is not finite.

    Attributes
    ----------
    result : TrainingResult
        The training up to the last good step. Its parameters are finite, but may be large: train
        again with a smaller learning rate rather than resume it.

    Examples
    --------
    >>> from fastnn import SGD, DivergenceError, Network, train
    >>> try:
    ...     train(
    ...         Network((1, 1)),
    ...         [[1.0], [2.0]],
    ...         [1.0, 2.0],
    ...         optimizer=SGD(100.0),
    ...         epochs=999,
    ...         seed=0,
    ...     )
    ... except DivergenceError as error:
    ...     print(error.result.stop_reason)
    diverged
    """


class MonitorError(_WithResult, FastnnError, RuntimeError):
    """The function of ``Stop(monitor=...)`` raised an error, the cause of this one, or did not
    return a number.

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
    ...     train(
    ...         Network((1, 1)),
    ...         [[1.0], [2.0]],
    ...         [1.0, 2.0],
    ...         epochs=9,
    ...         seed=0,
    ...         stop=Stop(monitor=monitor),
    ...     )
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
    ...     result = train(
    ...         Network((1, 1)),
    ...         [[1.0], [2.0]],
    ...         [1.0, 2.0],
    ...         epochs=9,
    ...         seed=0,
    ...         callbacks=[press_ctrl_c],
    ...     )
    >>> result.stop_reason, result.n_epochs
    ('interrupted', 1)
    """


NOTE = "fastnn: `.result` of this error is the training up to there"


def attach_result(error: Exception, result: Any) -> None:
    """Attach the result of the training, as `result`, to an error in the caller's code, such as a
    callback.

    It replaces that of an earlier training or of one within, but no `result` of the error's own
    class.
    """
    is_marked = NOTE in getattr(error, "__notes__", ())
    if is_marked or not hasattr(error, "result"):
        # a class of its own may refuse other attributes
        with contextlib.suppress(AttributeError, TypeError):
            error.result = result  # type: ignore[attr-defined]
            if not is_marked:
                error.add_note(NOTE)


# ------------------------------------------------------------------------------------------- Ctrl-C


AGAIN = 2.0
"""Seconds after a call that Ctrl-C ended without an exception, within which the next Ctrl-C raises,
in any call."""


_last_swallowed = -math.inf
"""`time.monotonic` at the end of the last such call."""


class StopRequest(Protocol):
    """The interface of objects that may end a training, such as an `Interrupt`."""

    @property
    def requested(self) -> bool:
        """Whether to end."""

    @property
    def reason(self) -> StopReason:
        """The stop reason of the training."""


class Flag(NamedTuple):
    """A request that does not change: in a worker, whose engine ends its process, none."""

    requested: bool = False
    reason: StopReason = "interrupted"


T = TypeVar("T")


def interruptible(interrupt: Interrupt, work: Callable[[], T]) -> T:
    """Return ``work()``, during which Ctrl-C only asks the training to end.

    This is no context manager: an exception may arrive in `begin` itself, and then SIGINT has to be
    given back all the same.
    """
    try:
        interrupt.begin()
        return work()
    finally:
        interrupt.over = True  # here, for an exception may arrive before the first line of `end`
        interrupt.end()


class Interrupt:
    """Python's handler of SIGINT while a training runs, in `interruptible`.

    The first SIGINT sets `requested`. One more raises KeyboardInterrupt at once, in the same call
    or, less than `AGAIN` seconds after it, in a later one: so Ctrl-C also stops a loop of
    trainings. A handler of the user's own is called each time as well; what it raises ends the
    training.

    It acts in the main thread only (Python delivers signals nowhere else), and only if the handler
    of SIGINT is a Python function; SIGINT stays as it is if it is ignored, or left to the system or
    other code. `end` restores the old handler. If the exception of another signal prevents that,
    the next SIGINT restores it, and is passed on to it.

    Parameters
    ----------
    swallows : bool
        Whether the call returns after the first SIGINT, so that nothing else sees it. If not, a
        SIGINT soon after an earlier call counts as the first one.

    Attributes
    ----------
    requested : bool
        Whether the training is to end.
    reason : str
        The stop reason of the trainings that it ends.
    again : bool
        Whether KeyboardInterrupt was raised, at the second SIGINT.
    over : bool
        Whether the training has ended.
    waits : bool
        Whether this process waits for trainings in other processes: KeyboardInterrupt then ends the
        wait, at the first SIGINT too.
    """

    reason: StopReason = "interrupted"

    def __init__(self, swallows: bool = True) -> None:
        self.swallows = swallows
        self.requested = self.again = self.over = self.waits = False
        self._old: Any = None

    def begin(self) -> None:
        """Take over SIGINT."""
        old = getsignal(signal.SIGINT)
        while isinstance(left := getattr(old, "__self__", None), Interrupt) and left.over:
            old = left._old
        if callable(old):
            self._old = old  # first, for an exception may arrive as soon as the handler is there
            try:
                set_handler(signal.SIGINT, self._handle)
            except ValueError:  # another thread than the main one, or a sub-interpreter
                self._old = None

    def end(self) -> None:
        """Give SIGINT back."""
        global _last_swallowed
        if self._old is not None:
            set_handler(signal.SIGINT, self._old)
        if self.requested and self.swallows and not self.again:
            _last_swallowed = time.monotonic()

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.over:
            if getsignal(signum) == self._handle:
                set_handler(signum, self._old)
            self._old(signum, frame)
            return
        again = self.requested or (self.swallows and time.monotonic() - _last_swallowed < AGAIN)
        self.requested = True
        if self._old is not signal.default_int_handler:
            self._old(signum, frame)
        self.again = again
        if again or self.waits:
            raise KeyboardInterrupt
