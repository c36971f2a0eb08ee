"""The baseline of "times NumPy": the tutorial's own bare loop, alone.

    python benchmarks/tutorial.py [SEED]

trains as the tutorial does, prints the error of every tenth iteration, the outputs for the two test rows and the
iterations a second. The loop itself is ``fastnn/measuring/tutorial.py``, for ``fastnn demo`` times it too.
"""

import statistics
import sys
import time

from fastnn.measuring.tutorial import N_ITERATIONS, X_TEST, Y_TEST, initial_weights, predict, train

TIMED_ITERATIONS = 2_000
ROUNDS = 7


def main(seed: int = 0) -> None:
    weights, errors = train(initial_weights(seed))
    for i in [*range(0, N_ITERATIONS, 10), N_ITERATIONS - 1]:
        print(f"iteration {i:3d}  error {errors[i]:.10f}")
    for row, target, output in zip(X_TEST, Y_TEST, predict(weights, X_TEST), strict=True):
        print(f"{row} -> {output[0]:.10f}, target {target[0]:.0f}")
    seconds = []
    for _ in range(ROUNDS):  # warm by now
        start = time.perf_counter()
        train(initial_weights(seed), TIMED_ITERATIONS)
        seconds.append(time.perf_counter() - start)
    print(f"{TIMED_ITERATIONS / statistics.median(seconds):,.0f} iterations a second, median of {ROUNDS}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
