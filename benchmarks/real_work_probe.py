"""Check or time real work by the fastnn that this interpreter imports, of any version: JSON on stdout.

Run by ``benchmarks.real_work``, with "check" or "time". The work itself is that of ``fastnn/measuring/real_work.py`` in
this tree, run by its path.
"""

import hashlib
import json
import pathlib
import runpy
import statistics
import sys
import time

import numpy as np
import sklearn.neural_network as theirs

import fastnn

ROOT = pathlib.Path(__file__).parents[1]
SAME_ANSWER = 1e-8  # as in fastnn/testing/correctness.py: tested
FEW, MANY = 1_000, 10_000  # epochs
SAMPLES, SAMPLE_SECONDS = 300, 0.2

real_work = runpy.run_path(str(ROOT / "fastnn" / "measuring" / "real_work.py"), run_name="real_work")
load, load_fit = real_work["load"], real_work["load_fit"]
check_fits = runpy.run_path(str(ROOT / "benchmarks" / "estimators.py"))["check"]


def seconds(function, *arguments):
    """Wall time of a call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def again(measure):
    """Median of a measurement that is taken again and again for a while, at least once."""
    samples, stop = [measure()], time.perf_counter() + SAMPLE_SECONDS
    while len(samples) < SAMPLES and time.perf_counter() < stop:
        samples.append(measure())
    return statistics.median(samples)


def ratio(one, other):
    """The time of one function as a multiple of another's; they take turns."""
    return again(lambda: seconds(one) / seconds(other))


def epoch(name, backend="numba"):
    """Seconds of an epoch: the slope between few and many."""
    run = load(name).run
    return again(lambda: (seconds(run, MANY, backend) - seconds(run, FEW, backend)) / (MANY - FEW))


def longer(name, backend="numba"):
    """By how many seconds an epoch is longer than that of the plain training."""
    return epoch(name, backend) - epoch("seed, plain", backend)


def call(name):
    """Seconds of a call."""
    run = load(name).run
    return again(lambda: seconds(run, 1, "numba"))


def thousand(name):
    """Seconds of a thousand members."""
    run = load(name).run
    return again(lambda: seconds(run, 1_000, "numba"))


def kernel(name):
    """Seconds of a hundred epochs of a long training, where next to nothing else runs."""
    return 100 * epoch(name)


def times_plain(name):
    """How many times as long as the plain training a usual one takes."""
    work, plain = load(name), load("iris b32, plain")
    return ratio(lambda: work.run(work.usual, "numba"), lambda: plain.run(work.usual, "numba"))


def times_as_fast(name):
    """How many times as fast as scikit-learn's classifier fastnn's is."""
    fit, n = load_fit(name), load(name).usual
    return ratio(lambda: fit.run(theirs.MLPClassifier, n), lambda: fit.run(fastnn.MLPClassifier, n))


LINES = {
    "seed network, full batch: an epoch with `Stop(validation=(X, Y))` of 2 rows takes longer by": (
        *(longer, "seed, validation"),
    ),
    "the same on the NumPy back end": (longer, "seed, validation", "numpy"),
    "an epoch with `Stop(restore_best=True)` takes longer by": (longer, "seed, restore_best"),
    "an epoch with an empty callback takes longer by": (longer, "seed, callback"),
    "one call of `train`, seed network, 100 iterations": (call, "seed, one call"),
    "of which the kernel": (kernel, "seed, plain"),
    "1,000 seeds of it, by `train_many`; in version 0.1 by a loop over `train`": (thousand, "seed, many"),
    "iris 4-16-3, batches of 32, 50 epochs with validation, times the plain training": (
        *(times_plain, "iris b32, validation"),
    ),
    "the same with an empty callback, times the plain training": (times_plain, "iris b32, callback"),
    **{
        f"`MLPClassifier`, {name}, times as fast as scikit-learn's": (times_as_fast, name)
        for name in real_work["FIT_NAMES"]
    },
}
"""{line of the table: what takes its value, in seconds or as a ratio; of which work}"""


def check():
    """Hash every answer, after it was compared with those of the NumPy back end and of scikit-learn."""
    hashes = {}
    for name in real_work["ALL_NAMES"]:
        work = load(name)
        found, expected = (work.run(work.usual, backend) for backend in ("numba", "numpy"))
        distance = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        if not distance <= SAME_ANSWER:
            sys.exit(f"{name}: relative distance {distance:.1e} to the NumPy back end; nothing was timed")
        if name in real_work["FIT_NAMES"]:
            fit = load_fit(name)
            check_fits(*(fit.run(module.MLPClassifier, work.usual) for module in (fastnn, theirs)), fit.X)
        hashes[name] = hashlib.sha256(found.tobytes()).hexdigest()
    return hashes


def times():
    """The value of each line, after each kind of work was done once."""
    for name in real_work["ALL_NAMES"]:
        load(name).run(1, "numba")
    return {line: function(*arguments) for line, (function, *arguments) in LINES.items()}


def main():
    print(json.dumps(check() if sys.argv[1] == "check" else times()))


if __name__ == "__main__":
    main()
