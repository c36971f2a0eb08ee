"""Steps on full batches, and arrays between guard zones, which show a write beyond them."""

import numpy as np

from fastnn.state import Steps

GUARD = 4096
PATTERN = 0xA5


class Guards(list):
    """The zones of bytes before and behind arrays."""

    def between(self, array):
        """A copy of an array, aligned to 64 bytes, between two zones."""
        size = array.nbytes
        raw = np.full(size + 2 * GUARD + 64, PATTERN, np.uint8)
        first = GUARD + -(raw.ctypes.data + GUARD) % 64
        inside = raw[first : first + size].view(array.dtype).reshape(array.shape)
        inside[...] = array
        self += raw[:first], raw[first + size :]
        return inside

    def intact(self):
        """Whether nobody wrote into them."""
        return all((zone == PATTERN).all() for zone in self)


def full_batches(n, n_steps=1, rate=1.0):
    """Steps on all of n rows, in their order."""
    start = np.zeros(n_steps, int)
    return Steps(np.arange(n), start, start + n, np.full(n_steps, rate), np.zeros(n_steps))
