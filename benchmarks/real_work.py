"""Real work, which is not training undisturbed, and `fit` beside scikit-learn's: ``python -m
benchmarks.real_work``.

``usual``: validation, callbacks, early stopping, short calls; each round measures all, the table
has the medians of the rounds and their quartiles. ``fits``: `fit` and `predict_proba` take turns
with scikit-learn's on the same data to the same epoch. ``sparse``: the same on sparse rows, in
processor seconds of one thread, with the most memory of a fit. ``words``: `fast` on tables with
columns of many words, beside itself on dense rows and a floor. Answers are compared before a table
is printed: of the back ends, and of the estimators and scikit-learn's.
"""

import dataclasses
import functools
import math
import os
import statistics
import time
import tracemalloc
from unittest import mock

import numpy as np
import scipy.sparse
import sklearn.neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from threadpoolctl import threadpool_limits

import fastnn
from benchmarks.readme import print_parts
from benchmarks.tables import unseen
from benchmarks.tables.data import CLASSES
from benchmarks.texts import times_text
from fastnn.cli.correctness import check_work
from fastnn.many import train_many
from fastnn.measuring import work
from fastnn.measuring.timing import (
    in_turn,
    interleaved,
    markdown,
    quartiles,
    ratio,
    repeated,
    seconds_of,
    with_unit,
)
from fastnn.sparse import SparseRows
from fastnn.tabular import members, preparation

ROUNDS = 5
# epochs
FEW = 1_000
MANY = 10_000
REPEATS = 300
REPEAT_SECONDS = 0.2
FIT_ROUNDS = 7
PREDICTIONS = 2000
SPARSE_ROUNDS = 5
WORD_ROUNDS = 3
WORD_TABLES = "countries", "hotel_rates", "late_flights", "bird_strikes"
SPARSE_CASES = [  # rows, columns, entries of a row, neurons, solver, epochs
    (3_000, 20_000, 60, 100, "adam", 3),
    (3_000, 20_000, 60, 100, "sgd", 3),
    (10_000, 50_000, 80, 100, "adam", 1),
    (10_000, 50_000, 80, 100, "sgd", 1),
    (3_000, 2_000, 40, 32, "adam", 30),
    (3_000, 2_000, 40, 32, "sgd", 30),
]


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
    one, plain = (
        functools.partial(w.run, w.usual, "numba")
        for w in map(work.load, (name, "iris b32, plain"))
    )
    return again(lambda: seconds_of(one) / seconds_of(plain))


def times_as_fast(name):
    """How many times as fast as scikit-learn's classifier fastnn's is."""
    fit = work.load_fit(name)
    n = work.load(name).usual
    one, other = (lambda m=m: fit.run(m.MLPClassifier, n) for m in (theirs, fastnn))
    return again(lambda: seconds_of(one) / seconds_of(other))


EPOCH = (
    "seed network, full batch: an epoch with `Stop(validation=(X, Y))` of 2 rows takes longer by"
)
EPOCHS = "iris 4-16-3, batches of 32, 50 epochs with validation, times the plain training"
LINES = {
    EPOCH: (longer, "seed, validation"),
    "the same on the NumPy back end": (longer, "seed, validation", "numpy"),
    "an epoch with `Stop(restore_best=True)` takes longer by": (longer, "seed, restore_best"),
    "an epoch with an empty callback takes longer by": (longer, "seed, callback"),
    "one call of `train`, seed network, 100 iterations": (done, "seed, one call"),
    "of which the kernel": (epoch, "seed, plain", "numba", 100),
    "1,000 seeds of it, by `train_many`; in version 0.1 by a loop over `train`": (
        done,
        "seed, many",
        1_000,
    ),
    EPOCHS: (times_plain, "iris b32, validation"),
    "the same with an empty callback, times the plain training": (
        times_plain,
        "iris b32, callback",
    ),
    **{
        f"`MLPClassifier`, {name}, times as fast as scikit-learn's": (times_as_fast, name)
        for name in work.FIT_NAMES
    },
}
"""{line of the table: what takes its value, in seconds or as a ratio; of which work}"""


def agree_fits(mine, other):
    """Raise an AssertionError unless two fitted estimators, ours and scikit-learn's, did the same
    work.
    """
    if mine.n_iter_ != other.n_iter_:
        raise AssertionError(f"{mine.n_iter_} epochs against {other.n_iter_}")
    if mine.coefs_[0].dtype == np.float64 and mine.solver != "lbfgs":
        for a, b in zip(mine.coefs_, other.coefs_, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(mine.loss_, other.loss_, rtol=0.05, atol=1e-4)


def check():
    """Compare every answer with that of the NumPy back end, and fits with scikit-learn's."""
    for name in work.ALL_NAMES:
        check_work(one := work.load(name), "numba")
        if name in work.FIT_NAMES:
            fit = work.load_fit(name)
            agree_fits(*(fit.run(module.MLPClassifier, one.usual) for module in (fastnn, theirs)))


def measure():
    return {line: function(*arguments) for line, (function, *arguments) in LINES.items()}


def table(rounds):
    by_line = {line: [found[line] for found in rounds] for line in LINES}
    rows = [
        [line, str(quartiles(s)) if "times" in line else times_text(s)]
        for line, s in by_line.items()
    ]
    return markdown(["real work", "fastnn"], rows)


def usual():
    os.environ["FASTNN_NUM_THREADS"] = "1"
    check()
    return table([measure() for _ in range(ROUNDS)])


def fit_data():
    """Title, data and parameters of each fit."""
    yield "iris 150x4, (16,), defaults", *load_iris(return_X_y=True), {"hidden_layer_sizes": (16,)}
    X, y = load_digits(return_X_y=True)
    digits = {"hidden_layer_sizes": (64,), "batch_size": 32, "max_iter": 30}
    for dtype in ("float64", "float32"):
        yield f"digits 1797x64, (64,), batch 32, {dtype}", (X / 16).astype(dtype), y, digits
    X, y = load_breast_cancer(return_X_y=True)
    yield (
        "breast cancer 569x30, (100,), lbfgs",
        (X - X.mean(axis=0)) / X.std(axis=0),
        y,
        {"solver": "lbfgs"},
    )
    X = np.random.RandomState(0).standard_normal((8192, 32))
    y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)  # takes more than a linear model
    large = {"hidden_layer_sizes": (128, 128), "batch_size": 128, "max_iter": 5}
    for dtype in ("float64", "float32"):
        yield f"table 8192x32, (128, 128), batch 128, {dtype}", X.astype(dtype), y, large


def fits():
    def row(name, calls, n=1):
        """Medians of the times, of scikit-learn and of ours, of which a call does n, and of their
        ratios.
        """
        both = interleaved(
            dict(zip("12", calls, strict=True)), dict.fromkeys("12", n), FIT_ROUNDS
        ).values()
        return [
            name,
            *(f"{quartiles(s).middle * 1e3:.3g} ms" for s in both),
            f"{ratio(*both).middle:.1f}",
        ]

    rows = []
    pairs = []
    for name, X, y, parameters in fit_data():
        pair = [module.MLPClassifier(**parameters, random_state=0) for module in (theirs, fastnn)]
        rows.append(row(name, [functools.partial(model.fit, X, y) for model in pair]))
        agree_fits(*reversed(pair))
        pairs.append((pair, X[:1].copy()))
    pair, x = pairs[0]
    predicts = [functools.partial(model.predict_proba, x) for model in pair]
    np.testing.assert_allclose(*(predict() for predict in predicts), rtol=1e-9)
    calls = [functools.partial(repeated(predict), PREDICTIONS) for predict in predicts]
    rows.append(row("iris, predict_proba of one row", calls, PREDICTIONS))
    return markdown(["workload", "scikit-learn", "fastnn", "times faster"], rows)


def sparse_rows(n, n_columns, n_entries):
    """Draw rows with so many entries each, and labels that they tell."""
    draw = np.random.RandomState(0)
    places = [np.sort(draw.choice(n_columns, n_entries, replace=False)) for _ in range(n)]
    starts = np.arange(0, n * n_entries + 1, n_entries)
    numbers = draw.random_sample(n * n_entries) + 0.1
    X = scipy.sparse.csr_matrix((numbers, np.concatenate(places), starts), (n, n_columns))
    signs = np.where(draw.random_sample(n_columns) < 0.5, -1, 1)
    return X, (X @ signs > 0).astype(int)


def most_memory(function):
    """Most bytes of Python's and NumPy's memory during a call."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def sparse():
    """`fit` on sparse rows beside scikit-learn's, in batches of 200 rows, on one thread."""
    os.environ["FASTNN_NUM_THREADS"] = "1"
    rows = []
    for *shape, width, solver, epochs in SPARSE_CASES:
        X, y = sparse_rows(*shape)
        options = {"solver": solver, "max_iter": epochs, "batch_size": 200, "random_state": 0}
        pair = [module.MLPClassifier((width,), **options) for module in (theirs, fastnn)]
        fit = dict(zip("12", [functools.partial(model.fit, X, y) for model in pair], strict=True))
        with threadpool_limits(1):  # of the BLAS that scikit-learn calls
            found = interleaved(fit, rounds=SPARSE_ROUNDS, clock=time.process_time).values()
        agree_fits(*reversed(pair))
        title = "{:,} x {:,}, {} entries a row".format(*shape)
        seconds = [with_unit(quartiles(s).middle) for s in found]
        memory = [with_unit(most_memory(function), "memory") for function in fit.values()]
        times = f"{ratio(*found).middle:.1f}"
        rows.append([f"{title}, ({width},), {solver}", *seconds, times, *memory])
    heads = ["rows", "scikit-learn", "fastnn", "times faster", "its memory", "our memory"]
    return markdown(heads, rows, right="12345")


def on_dense_rows(fit):
    """Fit on rows that are never in CSR form."""
    with mock.patch.object(preparation, "may_pay", return_value=False):
        return fit()


def calls_of_training(fit):
    """Fit, and return the arguments of the calls by which members are trained."""
    calls = []

    def watched(network, X, Y, **options):
        calls.append((network, X, Y, options))
        return train_many(network, X, Y, **options)

    with mock.patch.object(members, "train_many", watched):
        fit()
    return calls


def floor_of(calls):
    """Return a function that trains as many members as long, on as many dense inputs as a row has
    entries, and updates all other parameters as often.
    """
    plain = []
    updates = []
    for network, X, Y, options in calls:
        n_entries = round(np.count_nonzero(X[:1000].toarray()) / 1000)
        narrow = dataclasses.replace(network, sizes=(n_entries, *network.sizes[1:]))
        inputs = np.random.RandomState(0).standard_normal((len(Y), n_entries)).astype(np.float32)
        some = options | {"params": [narrow.init_params(0)] * len(options["params"])}
        plain.append(functools.partial(train_many, narrow, inputs, Y, **some))
        n_rows = len(options["rows"][0])
        n_steps = sum(options["epochs"]) * math.ceil(n_rows / options["batch_size"])
        wide = fastnn.Network((network.n_inputs - n_entries, network.sizes[1]))
        row = SparseRows(*np.zeros((2, 1), np.float32).astype(int), np.array([0, 1]), wide.sizes[0])
        one = row.astype(np.float32), np.zeros((1, wide.sizes[1]), np.float32)
        steps = {"optimizer": options["optimizer"], "epochs": n_steps, "threads": 1, "seed": 0}
        updates.append(functools.partial(fastnn.train, wide, *one, **steps))

    def floor():
        for function in plain + updates:
            function()

    return floor


def words():
    """`fast` on tables with columns of 50 to 200 words, beside dense rows and the floor."""
    os.environ["FASTNN_NUM_THREADS"] = "1"
    tables = {table.name: table for table in unseen.TABLES + unseen.NEWCOMERS}
    rows = []
    for name in WORD_TABLES:
        X, _, y, _ = tables[name].split(0)
        kind = fastnn.TabularRegressor
        if tables[name].kind == CLASSES:
            kind = fastnn.TabularClassifier

        def fit(kind=kind, X=X, y=y, **options):
            return kind("fast", n_jobs=1, random_state=0, **options).fit(X, y)

        calls = calls_of_training(fit)
        ways = {
            "fit": fit,
            "dense": functools.partial(on_dense_rows, fit),
            "floor": floor_of(calls),
        }
        timed = {way: functools.partial(seconds_of, ways[way], time.process_time) for way in ways}
        found = in_turn(timed, WORD_ROUNDS)
        one_epoch = functools.partial(fit, epochs=1)  # it has the memory of all of them
        both = one_epoch, functools.partial(on_dense_rows, one_epoch)
        np.testing.assert_array_equal(*(one().estimators_[0].params for one in both))
        memory = [with_unit(most_memory(one), "memory") for one in both]
        seconds = [with_unit(quartiles(found[way]).middle) for way in ways]
        times = [f"{ratio(found['fit'], found[way]).middle:.2f}" for way in ("dense", "floor")]
        rows.append([name, *seconds, *times, *memory])
    heads = ["table", "`fast`", "on dense rows", "floor", "times dense"]
    return markdown([*heads, "times floor", "memory", "on dense rows"], rows, right="1234567")


if __name__ == "__main__":
    print_parts(__doc__, fits=fits, sparse=sparse, usual=usual, words=words)
