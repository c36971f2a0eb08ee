"""How much sooner `fit` and `predict_proba` are done than scikit-learn's: ``python -m benchmarks.estimators``.

Both libraries take turns on the same data with the same settings to the same epoch; each line is the median of the
rounds' ratios. Before a ratio counts, the answers are compared: that both trained for as many epochs and to the same
weights (float32 and lbfgs: to about the same loss). The first `fit`, which may compile, is not counted.
"""

import sys
import warnings

import numpy as np
import sklearn.neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

import fastnn
from fastnn.measuring.tables import markdown
from fastnn.measuring.timing import Timing, interleaved, ratios, repeated
from fastnn.measuring.work import agree_fits

ROUNDS, PREDICTIONS = 7, 2000


def fits():
    """Name, X, y, parameters of each line."""
    X, y = load_iris(return_X_y=True)
    yield "iris 150x4, (16,), defaults", X, y, {"hidden_layer_sizes": (16,)}
    X, y = load_digits(return_X_y=True)
    digits = {"hidden_layer_sizes": (64,), "batch_size": 32, "max_iter": 30}
    yield "digits 1797x64, (64,), batch 32, float64", X / 16, y, digits
    yield "digits 1797x64, (64,), batch 32, float32", (X / 16).astype(np.float32), y, digits
    X, y = load_breast_cancer(return_X_y=True)
    yield "breast cancer 569x30, (100,), lbfgs", (X - X.mean(axis=0)) / X.std(axis=0), y, {"solver": "lbfgs"}
    X = np.random.RandomState(0).standard_normal((8192, 32))
    y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)  # takes more than a linear model
    table = {"hidden_layer_sizes": (128, 128), "batch_size": 128, "max_iter": 5}
    yield "table 8192x32, (128, 128), batch 128, float64", X, y, table
    yield "table 8192x32, (128, 128), batch 128, float32", X.astype(np.float32), y, table


def row(name: str, reference: Timing, mine: Timing) -> list[str]:
    """The medians of the times and of their ratios."""
    medians = (f"{timing.median * 1e3:.3g} ms" for timing in (reference, mine))
    return [name, *medians, f"{ratios(reference, mine).median:.1f}"]


def main() -> int:
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows, models = [], []
    for name, X, y, parameters in fits():
        pair = [module.MLPClassifier(**parameters, random_state=0) for module in (theirs, fastnn)]
        calls = {module: lambda model=model: model.fit(X, y) for module, model in zip("ab", pair, strict=True)}  # noqa: B023
        timings = interleaved(calls, {"a": 1, "b": 1}, ROUNDS)
        agree_fits(pair[1], pair[0])
        rows.append(row(name, *timings.values()))
        models = models or [*pair, X[:1].copy()]
    reference, mine, x = models
    np.testing.assert_allclose(mine.predict_proba(x), reference.predict_proba(x), rtol=1e-9)
    calls = {
        str(i): lambda model=model: repeated(lambda: model.predict_proba(x))(PREDICTIONS)
        for i, model in enumerate((reference, mine))
    }
    timings = interleaved(calls, dict.fromkeys(calls, PREDICTIONS), ROUNDS)
    rows.append(row("iris, predict_proba of one row", *timings.values()))
    print(markdown(["workload", "scikit-learn", "fastnn", "times faster"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
