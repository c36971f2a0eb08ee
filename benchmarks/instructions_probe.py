"""The counted program: each case runs N iterations and then 2N, so that one-time costs cancel in the difference.

Run by ``benchmarks.instructions`` in a process of its own, on the fastnn that ``PYTHONPATH`` names; prints how many
iterations N is, as JSON. It keeps to what old commits know too.
"""

import json
import os

from fastnn import train, workloads

try:
    from fastnn.training import epochs as pace
except ImportError:  # an older version, which this is compared with
    try:
        from fastnn.training import pace
    except ImportError:  # version 0.1
        from fastnn import plan as pace

EPOCHS = {"seed": 50_000, "iris": 1_000, "digits": 10, "online": 3, "tab": 2}
PREDICTIONS = 500

os.environ["FASTNN_NUM_THREADS"] = "1"  # for a version that shares steps among threads, which callgrind counts apart
mark = os.getppid  # a function of the C library that nobody else calls: callgrind begins a new count at each call


def cases():
    """Name, iterations and what runs so many times as many, one case after the other."""
    for name, epochs in EPOCHS.items():
        if name in workloads.names():
            workload = workloads.load(name)
            yield name, epochs * workload.steps_per_epoch, trainer(workload, epochs)
    workload = workloads.load("digits")
    options = workload.train_options | {"epochs": 1}
    result = train(workload.network, workload.X, workload.Y, **options, seed=0)
    yield (
        "predict 1 row",
        PREDICTIONS,
        lambda times: [result.predict(workload.X[:1]) for _ in range(times * PREDICTIONS)],
    )


def trainer(workload, epochs):
    """A training, with its driver, of `times` times as many epochs."""

    def run(times):
        options = workload.train_options | {"epochs": times * epochs, "seed": 0}
        train(workload.network, workload.X, workload.Y, **options)

    return run


def main():
    pace.CHUNK_SECONDS = 1e9  # or the clock would say how often the driver is called
    iterations = {}
    for name, n, run in cases():
        run(1)
        mark()
        run(1)
        mark()
        run(2)
        mark()
        iterations[name] = n
    print(json.dumps(iterations))


if __name__ == "__main__":
    main()
