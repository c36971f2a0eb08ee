"""What it takes to validate, call back, stop early and train a little at a time: ``python -m benchmarks.real_work``.

Before anything is timed, the answers of the back ends are compared, and the estimators' with scikit-learn's. Each round
measures all; the table has the medians of the rounds, and their quartiles.
"""

import functools
import os
import statistics

import sklearn.neural_network as theirs

import fastnn
from fastnn.measuring import work
from fastnn.measuring.timing import in_turn, markdown, quartiles, seconds, seconds_of
from fastnn.testing.correctness import check_work

ROUNDS = 5
FEW, MANY = 1_000, 10_000  # epochs
REPEATS, REPEAT_SECONDS = 300, 0.2


def again(measure):
    """Median of a measurement that is taken again and again for a while, at least three times."""
    return statistics.median(in_turn({"": measure}, REPEATS, REPEAT_SECONDS)[""])


def done(name, n=1):
    run = work.load(name).run
    return again(lambda: seconds_of(lambda: run(n, "numba")))


def epoch(name, backend="numba", times=1):
    """Seconds of so many epochs of a long training: the slope between few and many."""
    run = work.load(name).run
    many, few = (functools.partial(run, n, backend) for n in (MANY, FEW))
    return times * again(lambda: (seconds_of(many) - seconds_of(few)) / (MANY - FEW))


def longer(name, backend="numba"):
    """By how many seconds an epoch is longer than that of the plain training."""
    return epoch(name, backend) - epoch("seed, plain", backend)


def times_plain(name):
    """How many times as long as the plain training a usual one takes; they take turns."""
    one, plain = (functools.partial(w.run, w.usual, "numba") for w in map(work.load, (name, "iris b32, plain")))
    return again(lambda: seconds_of(one) / seconds_of(plain))


def times_as_fast(name):
    """How many times as fast as scikit-learn's classifier fastnn's is."""
    fit, n = work.load_fit(name), work.load(name).usual
    one, other = (lambda m=m: fit.run(m.MLPClassifier, n) for m in (theirs, fastnn))
    return again(lambda: seconds_of(one) / seconds_of(other))


EPOCH = "seed network, full batch: an epoch with `Stop(validation=(X, Y))` of 2 rows takes longer by"
EPOCHS = "iris 4-16-3, batches of 32, 50 epochs with validation, times the plain training"
LINES = {
    EPOCH: (longer, "seed, validation"),
    "the same on the NumPy back end": (longer, "seed, validation", "numpy"),
    "an epoch with `Stop(restore_best=True)` takes longer by": (longer, "seed, restore_best"),
    "an epoch with an empty callback takes longer by": (longer, "seed, callback"),
    "one call of `train`, seed network, 100 iterations": (done, "seed, one call"),
    "of which the kernel": (epoch, "seed, plain", "numba", 100),
    "1,000 seeds of it, by `train_many`; in version 0.1 by a loop over `train`": (done, "seed, many", 1_000),
    EPOCHS: (times_plain, "iris b32, validation"),
    "the same with an empty callback, times the plain training": (times_plain, "iris b32, callback"),
    **{f"`MLPClassifier`, {name}, times as fast as scikit-learn's": (times_as_fast, name) for name in work.FIT_NAMES},
}
"""{line of the table: what takes its value, in seconds or as a ratio; of which work}"""


def check():
    """Compare every answer with that of the NumPy back end, and fits with scikit-learn's."""
    for name in work.ALL_NAMES:
        check_work(one := work.load(name), "numba")
        if name in work.FIT_NAMES:
            fit = work.load_fit(name)
            work.agree_fits(*(fit.run(module.MLPClassifier, one.usual) for module in (fastnn, theirs)))


def measure():
    return {line: function(*arguments) for line, (function, *arguments) in LINES.items()}


def table(rounds):
    by_line = {line: [found[line] for found in rounds] for line in LINES}
    rows = [[line, str(quartiles(s)) if "times" in line else seconds(s)] for line, s in by_line.items()]
    return markdown(["real work", "fastnn"], rows)


if __name__ == "__main__":
    os.environ["FASTNN_NUM_THREADS"] = "1"
    check()
    print(table([measure() for _ in range(ROUNDS)]))
