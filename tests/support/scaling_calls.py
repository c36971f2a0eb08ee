"""Count the calls of the fused kernel's functions, run as plain Python, and print them as JSON: by
axis, by size.

Each vector that is computed is a call, so the counts grow as the kernel's work does, the same on
every machine. The last axis is that of a back end whose work grows with one power of the width too
many.
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from benchmarks.scaling import OPTIMIZER, NoiseWorkload  # noqa: E402
from fastnn import train  # noqa: E402
from fastnn.backends import get_backend  # noqa: E402

KERNEL = tuple(str(ROOT / "fastnn" / room) for room in ("fused", "compiler"))
SIZES = {
    "width": {w: NoiseWorkload(width=w, batch=16, rows=16) for w in (32, 64, 128)},
    "depth": {d: NoiseWorkload(width=16, depth=d, batch=16, rows=16) for d in (2, 4, 8)},
    "batch": {b: NoiseWorkload(width=16, batch=b, rows=b) for b in (32, 64, 128)},
    "rows": {n: NoiseWorkload(width=16, batch=16, rows=n) for n in (16, 32, 64)},
}


def calls(workload, backend="numba"):
    """Calls of the kernel's functions in a step, those of the vectors that it is built of
    included."""
    n = 0

    def count(frame, event, _):
        nonlocal n
        n += event == "call" and frame.f_code.co_filename.startswith(KERNEL)

    network, X, Y = workload.arguments()
    sys.setprofile(count)
    try:
        train(
            network,
            X,
            Y,
            optimizer=OPTIMIZER,
            epochs=1,
            batch_size=workload.batch,
            seed=0,
            backend=backend,
        )
    finally:
        sys.setprofile(None)
    return n / workload.steps


class Worse(type(get_backend())):
    """Does each step once for every sixteen units of the first layer."""

    def train_steps(self, task, state, steps):
        for _ in range(task.network.n_inputs // 16):
            good = super().train_steps(task, state.copy(), steps)
        return good


if __name__ == "__main__":
    found = {
        axis: {size: calls(workload) for size, workload in sizes.items()}
        for axis, sizes in SIZES.items()
    }
    few = (16, 32, 64)
    found["width, injected"] = {
        w: calls(NoiseWorkload(width=w, batch=16, rows=16), Worse()) for w in few
    }
    sys.stdout.write(json.dumps(found))
