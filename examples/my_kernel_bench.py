"""A kernel of one's own, measured for `fastnn gate`: prints JSON in the format of `fastnn bench --json -`.

    fastnn gate --base "python before/my_kernel_bench.py" --head "python my_kernel_bench.py"

docs/performance-tracking.md says what the numbers mean and how to run this in continuous integration.
"""

import json
import sys
import time

import numba
import numpy as np

SIZES = (64, 512)
SAMPLES = 5
SAMPLE_SECONDS = 0.02
# Of processor time other programs take none; Windows counts it in steps of 16 ms, which is too coarse.
clock = time.perf_counter if sys.platform == "win32" else time.process_time


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
                best, found[q] = distance, p
    return found


def check(points, queries):
    """A wrong answer is not timed."""
    expected = ((points[None] - queries[:, None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest(points, queries), expected)


def sample(points, queries, n):
    """Seconds a call."""
    start = clock()
    for _ in range(n):
        nearest(points, queries)
    return (clock() - start) / n


def main():
    """Check, measure, print."""
    random = np.random.RandomState(0)
    trainings = []
    for size in SIZES:
        data = random.random_sample((size, 3)), random.random_sample((50, 3))
        check(*data)
        n = max(1, round(SAMPLE_SECONDS / sample(*data, 3)))
        trainings.append({"workload": f"nearest of {size}", "seconds": [sample(*data, n) for _ in range(SAMPLES)]})
    compiled = numba.extending.is_jitted(nearest)
    counts = {
        "kernels that run as plain Python": 0 if compiled else 1,
        "kernels compiled in a warm process": sum(nearest.stats.cache_misses.values()) if compiled else 0,
    }
    sys.stdout.write(json.dumps({"format": 1, "trainings": trainings, "counts": counts}))


if __name__ == "__main__":
    main()
