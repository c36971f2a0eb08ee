"""Handlers of signals for a time: a caller's own of Ctrl-C, and limits for what might wait for
ever, or takes long."""

import contextlib
import gc
import signal
import timeit

import numpy as np


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
def no_endless_wait(seconds=600):
    """Raise AssertionError in the body where it has not ended after so long, many times what it
    takes."""

    def fail(*_):
        raise AssertionError(f"still waiting after {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Late(Exception):
    """The exception of a time-out."""


def times_out(call, enough, then=lambda: None):
    """Call until there are enough calls, most of which a time-out ends in any line, and do
    something after each."""

    def late(signum, frame):
        raise Late

    random_state = np.random.RandomState(0)
    took = min(timeit.repeat(call, number=1, repeat=9))
    n = n_late = 0
    old = signal.signal(signal.SIGALRM, late)
    # a collection calls functions of other packages, in which the exception would get lost
    gc.disable()
    try:
        while not enough(n, n_late):
            n += 1
            try:
                signal.setitimer(signal.ITIMER_REAL, random_state.uniform(1e-6, 2 * took))
                call()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Late:
                n_late += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            then()
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, old)
    return n_late
