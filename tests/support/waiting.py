"""Handlers of signals for a time: a caller's own of Ctrl-C, and a limit for what might wait for ever."""

import contextlib
import signal


@contextlib.contextmanager
def handled_by(handler):
    """Have Ctrl-C handled by this in the body, at the end of which it must be the handler still."""
    old = signal.signal(signal.SIGINT, handler)
    try:
        yield
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, old)


@contextlib.contextmanager
def no_endless_wait(seconds=60):
    """Raise AssertionError in the body where it has not ended after so long, many times what it takes."""

    def fail(*_):
        raise AssertionError(f"still waiting after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
