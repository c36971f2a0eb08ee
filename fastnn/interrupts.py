"""Ctrl-C while compiled code runs: a flag that is read between two chunks of training."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """While this context lasts, the first SIGINT sets `requested`, a second one raises KeyboardInterrupt.

    Only in the main thread (Python delivers signals nowhere else), and not where SIGINT is ignored or was set up by
    something other than Python: there the context does nothing. The old handler is back afterwards, whatever happens.
    """

    def __init__(self) -> None:
        self.requested = False
        self._old: Any = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            old = signal.getsignal(signal.SIGINT)
            if old is not None and old != signal.SIG_IGN:
                try:
                    signal.signal(signal.SIGINT, self._handle)
                except ValueError:  # a sub-interpreter has no signals
                    return self
                self._old = old
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
