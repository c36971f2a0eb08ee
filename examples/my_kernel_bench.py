"""A kernel of one's own, measured for `fastnn gate`: prints JSON in the format of `fastnn bench
--json -`.

    fastnn gate --base "python before/my_kernel_bench.py" --head "python my_kernel_bench.py"

docs/howto/performance-tracking.md says what the numbers mean and how to run this in continuous
integration.
"""

import functools
import sys

import numba
import numpy as np

from fastnn.gate import measure

SIZES = (64, 512)


@numba.njit(cache=True)
def nearest(points, queries):
    """The kernel: for each query (m, d) the number of the nearest of the points (n, d)."""
    found = np.empty(len(queries), np.int64)
    for q in range(len(queries)):
        best = np.inf
        for p in range(len(points)):
            distance = 0.0
            for k in range(points.shape[1]):
                distance += (points[p, k] - queries[q, k]) ** 2
            if distance < best:
                best = distance
                found[q] = p
    return found


def check(points, queries):
    """A wrong answer is not timed."""
    expected = ((points[None] - queries[:, None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest(points, queries), expected)


def main():
    """Check, measure, print."""
    random = np.random.RandomState(0)
    functions = {}
    for size in SIZES:
        data = random.random_sample((size, 3)), random.random_sample((50, 3))
        check(*data)
        functions[f"nearest of {size}"] = functools.partial(nearest, *data)
    compiled = numba.extending.is_jitted(nearest)
    counts = {
        "kernels that run as plain Python": 0 if compiled else 1,
        "kernels compiled in a warm process": sum(nearest.stats.cache_misses.values())
        if compiled
        else 0,
    }
    sys.stdout.write(measure(functions, counts=counts))


if __name__ == "__main__":
    main()
