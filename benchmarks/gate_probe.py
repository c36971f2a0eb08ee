"""Measure the fastnn that this interpreter imports, for the performance gate: JSON on stdout, in some seconds.

    python benchmarks/gate_probe.py | head

The networks are those of `fastnn.workloads`, but stand here: of two versions of fastnn both must train the same. Real
work is that of ``fastnn/measuring/real_work.py`` in this tree, run by its path; what needs scikit-learn is left out
where that is missing. Only what fastnn has always had is used, so that old commits can be measured.
"""

import functools
import importlib.util
import json
import os
import pathlib
import resource
import runpy
import sys
import time
from typing import NamedTuple

import numpy as np

os.environ["FASTNN_NUM_THREADS"] = "1"  # for a version that shares steps among threads: the gate is of one thread
modules_before = set(sys.modules)
import fastnn  # noqa: E402

packages = {name.partition(".")[0] for name in set(sys.modules) - modules_before} - sys.stdlib_module_names - {"fastnn"}

SAMPLES = 5
SAMPLE_SECONDS = 0.01
ONE_STEP = "train one step"
COUNTED = ("seed", "iris", "digits", "online")
COUNTED_STEPS = 2_048
SAME_ANSWER = {"float64": 1e-8, "float32": 1e-2}  # as in fastnn/testing/correctness.py: tested


class NoiseWorkload(NamedTuple):
    """A network, its optimizer, and the shape of the noise that it is trained on."""

    network: fastnn.Network
    optimizer: object
    dtype: str
    n_rows: int
    batch_size: int | None


def classifier(sizes, activation="relu"):
    return fastnn.Network(sizes, activation=activation, output="softmax", loss="cross_entropy")


def regressor(*sizes):
    return fastnn.Network(sizes, activation="relu", output="identity", loss="squared_error")


tutorial = {"bias": "scalar", "bias_gradient": "times_bias", "reduction": "sum", "init": "normal", "bias_init": 1.0}
adam = fastnn.Adam(learning_rate=0.001)
WORKLOADS = {
    "seed": NoiseWorkload(
        fastnn.Network((3, 5, 1), activation="sigmoid", output="sigmoid", loss="squared_error", **tutorial),
        fastnn.SGD(learning_rate=1.0, sequential=True),
        *("float64", 6, None),
    ),
    "iris": NoiseWorkload(classifier((4, 16, 3), "tanh"), fastnn.SGD(learning_rate=0.5), "float64", 150, None),
    "digits": NoiseWorkload(classifier((64, 64, 10)), fastnn.Adam(learning_rate=0.003), "float32", 1024, 32),
    "online": NoiseWorkload(classifier((64, 64, 10)), fastnn.SGD(learning_rate=0.01), "float32", 1024, 1),
    "tab": NoiseWorkload(regressor(32, 128, 128, 1), adam, "float32", 1024, 128),
    "mnist": NoiseWorkload(regressor(784, 128, 10), adam, "float32", 768, 128),
    "big": NoiseWorkload(regressor(512, 1024, 1024, 10), adam, "float32", 768, 64),
}


class Training:
    """One workload with its data and initial weights."""

    def __init__(self, workload):
        self.workload = workload
        random_state = np.random.RandomState(0)
        n_inputs, n_outputs = workload.network.sizes[0], workload.network.sizes[-1]
        self.X = random_state.random_sample((workload.n_rows, n_inputs)).astype(workload.dtype)
        self.Y = np.eye(n_outputs, dtype=workload.dtype)[random_state.randint(n_outputs, size=workload.n_rows)]
        self.params = workload.network.init_params(random_state, np.dtype(workload.dtype))
        self.steps_per_epoch = -(-workload.n_rows // (workload.batch_size or workload.n_rows))

    def __call__(self, epochs, backend="numba", n_rows=None):
        return fastnn.train(
            self.workload.network,
            self.X[:n_rows],
            self.Y[:n_rows],
            optimizer=self.workload.optimizer,
            epochs=epochs,
            batch_size=self.workload.batch_size,
            seed=0,
            params=self.params,
            backend=backend,
        )

    def check(self, name):
        """End unless the first steps of the fused kernel are those of the reference."""
        n_rows = 3 * self.workload.batch_size if self.workload.batch_size else None
        check(name, *(self(1, backend, n_rows).params - self.params for backend in ("numba", "numpy")))


def check(name, found, expected):
    """End unless the back ends have the same answer: a wrong one is not timed."""
    distance = np.linalg.norm(found.astype(np.float64) - expected) / np.linalg.norm(expected)
    if not distance <= SAME_ANSWER[found.dtype.name]:
        sys.exit(f"{name}: the back ends differ by {distance:.1e} of the answer; nothing was timed")


def real_work():
    """By name: what does real work n times, checked."""
    path = pathlib.Path(__file__).parents[1] / "fastnn" / "measuring" / "real_work.py"
    module = runpy.run_path(str(path), run_name="real_work")
    names = [name for name in module["SMALL_NAMES"] if importlib.util.find_spec("sklearn") or name.startswith("seed")]
    works = {name: module["load"](name) for name in names}
    for name, work in works.items():
        check(name, *(work.run(work.usual, backend) for backend in ("numba", "numpy")))
    return {name: functools.partial(work.run, backend="numba") for name, work in works.items()}


def seconds(function):
    """Processor time of a call, in seconds: other processes do not add to it."""
    start = time.process_time()
    function()
    return time.process_time() - start


def repetitions(function):
    """How many of a function's iterations take about SAMPLE_SECONDS, once it is warm."""
    function(1)
    n = 1
    while (taken := seconds(functools.partial(function, n))) < SAMPLE_SECONDS / 4:
        n *= 4
    return max(1, round(n * SAMPLE_SECONDS / taken))


def calls_of(function):
    """How many functions Python calls, ours and C's, while it runs."""
    n_calls = 0

    def count(frame, event, argument):
        nonlocal n_calls
        n_calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return n_calls


def sampled(work):
    """Samples of the seconds that an iteration takes; work is {name: (what does n times so many, iterations)}."""
    n_times = {name: repetitions(function) for name, (function, _) in work.items()}
    samples = {name: [] for name in work}
    for _ in range(SAMPLES):  # in turn, so that a slow moment hits all of them
        for name, (function, n_iterations) in work.items():
            taken = seconds(functools.partial(function, n_times[name]))
            samples[name].append(taken / (n_times[name] * n_iterations))
    return samples


def main():
    start = time.process_time()
    Training(WORKLOADS["seed"])(1)
    first_training = [time.process_time() - start]

    trainings = {name: Training(workload) for name, workload in WORKLOADS.items()}
    counts = {"packages imported by `import fastnn`, besides NumPy": len(packages)}
    for name, training in trainings.items():
        training.check(name)
    for name in COUNTED:
        training = trainings[name]
        epochs = COUNTED_STEPS // training.steps_per_epoch
        n_calls = min(calls_of(functools.partial(training, epochs)) for _ in range(3))  # some a chunk, none a step
        counts[f"Python calls a step, {name}"] = n_calls // (epochs * training.steps_per_epoch)

    digits, online = trainings["digits"], trainings["online"]
    network, params, row = online.workload.network, online.params, online.X[:1]
    work = {f"{name}, {t.workload.dtype}": (t, t.steps_per_epoch) for name, t in trainings.items()}
    work["predict one row"] = (lambda n: [fastnn.predict(network, params, row) for _ in range(n)], 1)
    work[ONE_STEP] = (lambda n: [digits(1, n_rows=32) for _ in range(n)], 1)
    samples = sampled(work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    samples |= sampled({name: (function, 1) for name, function in real_work().items()})  # imports scikit-learn

    counts["imports of Numba by a warm process"] = int("numba" in sys.modules)  # it is there to compile
    one_step = samples.pop(ONE_STEP)  # mostly the costs of starting
    report = {
        "format": 1,
        "fastnn": fastnn.__file__,
        "trainings": [{"workload": name, "seconds": found} for name, found in samples.items()],
        "starts": [
            {"what": "first training", "seconds": first_training},
            {"what": ONE_STEP, "seconds": one_step},
        ],
        "memory": [{"what": "most memory of the process", "bytes": [peak]}],
        "counts": counts,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
