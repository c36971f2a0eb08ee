"""Work is counted, not timed: calls of functions, as many on any machine, beside any process."""

import contextlib
import sys


class Count:
    """How many calls there were."""

    n = 0


@contextlib.contextmanager
def counted_calls():
    """Count the calls of the body, of Python's functions and of built-in ones, in a `Count`."""
    count = Count()

    def add(frame, event, argument):
        if event in ("call", "c_call"):
            count.n += 1

    before = sys.getprofile()
    sys.setprofile(add)
    try:
        yield count
    finally:
        sys.setprofile(before)
