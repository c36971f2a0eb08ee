"""Numbers that threads change at once: no change is lost."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import config, njit

from fastnn.compiler.shared_numbers import added, observed, swapped

pytestmark = pytest.mark.nojit
N = 1000 if config.DISABLE_JIT else 1_000_000


@njit(nogil=True)
def count(a, n):
    """Count n times to ``a[0]``, by additions, and to ``a[16]``, by exchanges; return how many of these failed."""
    n_failed = 0
    for _ in range(n):
        added(a, 0, 1)
        old = observed(a, 16)
        while not swapped(a, 16, old, old + 1):
            n_failed += 1
            old = observed(a, 16)
    return n_failed


def test_all_of_them_count():
    a = np.zeros(32, np.int64)
    count(a, 0)  # compiles it
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(count, [a] * 3, [N] * 3))
    assert (a[0], a[16]) == (3 * N, 3 * N)


def test_an_exchange_tells_what_it_has_found():
    a = np.zeros(1, np.int64)
    answers = [bool(swapped(a, 0, old, new)) for old, new in ((1, 2), (0, 3), (0, 4), (3, 5))]
    assert (answers, a[0]) == ([False, True, False, True], 5)
    assert (added(a, 0, -2), a[0]) == (5, 3)
