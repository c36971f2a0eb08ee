"""A limit for what might wait for ever, such as for the other end of a pipe: it fails then."""

import contextlib
import signal


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
