"""Ctrl-C during training: the handler sets a flag, which is read between two chunks."""

from __future__ import annotations

import math
import signal
import time

# In C: those of the module `signal` call them, and then take ten times as long to make enums of what they return.
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from types import FrameType
from typing import Any, Protocol

from fastnn.training.stopping import StopReason

AGAIN = 2.0
"""Seconds after a call that Ctrl-C ended without an exception, within which the next Ctrl-C raises, in any call."""


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


class Interrupt:
    """Python's handler of SIGINT while a training runs::

        interrupt = Interrupt()
        try:
            interrupt.begin()
            while not interrupt.requested:
                ...
        finally:
            interrupt.over = True  # here, for an exception may arrive before the first line of `end`
            interrupt.end()

    The first SIGINT sets `requested`. One more raises KeyboardInterrupt at once, in the same call or, less than `AGAIN`
    seconds after it, in a later one: so Ctrl-C also stops a loop of trainings. A handler of the user's own is called
    each time as well; what it raises ends the training.

    It acts in the main thread only (Python delivers signals nowhere else), and only if the handler of SIGINT is a
    Python function; SIGINT stays as it is if it is ignored, or left to the system or other code. `end` restores the old
    handler. If the exception of another signal prevents that, the next SIGINT restores it, and is passed on to it.

    Parameters
    ----------
    swallows : bool
        Whether the call returns after the first SIGINT, so that nothing else sees it. If not, a SIGINT soon after an
        earlier call counts as the first one.

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
        Whether this process waits for trainings in other processes: KeyboardInterrupt then ends the wait, at the first
        SIGINT too.
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
