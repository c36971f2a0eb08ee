"""How much sooner `fit` and `predict_proba` are done than scikit-learn's: ``python benchmarks/estimators.py``.

Both libraries take turns on the same data with the same settings to the same epoch; each line is the median of the
rounds' ratios. Before a ratio counts, the answers are compared: that both trained for as many epochs and to the same
weights (float32 and lbfgs: to about the same loss). The first `fit`, which may compile, is not counted.
"""

import argparse
import statistics
import time
import warnings

import numpy as np
import sklearn.neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

import fastnn


def table_data(n=8192, n_inputs=32):
    """A table with a class that takes more than a linear model."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((n, n_inputs))
    return X, (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)


def workloads():
    """Name, X, y, parameters of each line."""
    X, y = load_iris(return_X_y=True)
    yield "iris 150x4, (16,), defaults", X, y, {"hidden_layer_sizes": (16,)}
    X, y = load_digits(return_X_y=True)
    digits = {"hidden_layer_sizes": (64,), "batch_size": 32, "max_iter": 30}
    yield "digits 1797x64, (64,), batch 32, float64", X / 16, y, digits
    yield "digits 1797x64, (64,), batch 32, float32", (X / 16).astype(np.float32), y, digits
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    yield "breast cancer 569x30, (100,), lbfgs", X, y, {"solver": "lbfgs"}
    X, y = table_data()
    table = {"hidden_layer_sizes": (128, 128), "batch_size": 128, "max_iter": 5}
    yield "table 8192x32, (128, 128), batch 128, float64", X, y, table
    yield "table 8192x32, (128, 128), batch 128, float32", X.astype(np.float32), y, table


def check(mine, reference, X):
    """Raise where the two did not do the same work."""
    if mine.n_iter_ != reference.n_iter_:
        raise AssertionError(f"{mine.n_iter_} epochs against {reference.n_iter_}")
    if X.dtype == np.float64 and mine.solver != "lbfgs":
        for a, b in zip(mine.coefs_, reference.coefs_, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(mine.loss_, reference.loss_, rtol=0.05, atol=1e-4)


def seconds(function, repeats=1):
    """Wall time of a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def line(name, pairs):
    """Print the medians of the times and of their ratios."""
    mine, reference = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"| {name} | {reference * 1e3:.3g} ms | {mine * 1e3:.3g} ms | {ratio:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| workload | scikit-learn | fastnn | times faster |\n|---|---|---|---|")
    row = None
    for name, X, y, parameters in workloads():
        mine, reference = (module.MLPClassifier(**parameters, random_state=0) for module in (fastnn, theirs))
        mine.fit(X, y)
        pairs = [(seconds(lambda: mine.fit(X, y)), seconds(lambda: reference.fit(X, y))) for _ in range(rounds)]  # noqa: B023
        check(mine, reference, X)
        line(name, pairs)
        row = row or (mine, reference, X[:1].copy())
    mine, reference, x = row
    np.testing.assert_allclose(mine.predict_proba(x), reference.predict_proba(x), rtol=1e-9)
    n = 2000
    pairs = [
        (seconds(lambda: mine.predict_proba(x), n), seconds(lambda: reference.predict_proba(x), n))
        for _ in range(rounds)
    ]
    line("iris, predict_proba of one row", pairs)


if __name__ == "__main__":
    main()
