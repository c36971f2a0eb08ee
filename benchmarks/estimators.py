"""How much sooner `fit` and `predict_proba` are done than scikit-learn's: ``python -m benchmarks.estimators``.

Both take turns on the same data with the same settings to the same epoch, and their answers are compared.
"""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import sklearn.neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

import fastnn
from fastnn.measuring.timing import interleaved, markdown, quartiles, ratio, repeated
from fastnn.measuring.work import agree_fits

ROUNDS, PREDICTIONS = 7, 2000


def fits():
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


def row(name: str, calls: dict[str, Callable[[], object]], n: int = 1) -> list[str]:
    """The medians of the times and of their ratios, of scikit-learn and of ours, of which a call does n."""
    theirs, ours = interleaved(calls, dict.fromkeys(calls, n), ROUNDS).values()
    medians = (f"{quartiles(seconds).middle * 1e3:.3g} ms" for seconds in (theirs, ours))
    return [name, *medians, f"{ratio(theirs, ours).middle:.1f}"]


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows, models = [], []
    for name, X, y, parameters in fits():
        pair = [module.MLPClassifier(**parameters, random_state=0) for module in (theirs, fastnn)]
        rows.append(row(name, {type(model).__module__: partial(model.fit, X, y) for model in pair}))
        agree_fits(*reversed(pair))
        models = models or [*pair, X[:1].copy()]
    *pair, x = models
    by = {type(model).__module__: partial(model.predict_proba, x) for model in pair}
    np.testing.assert_allclose(*(predict() for predict in by.values()), rtol=1e-9)
    calls = {name: partial(repeated(predict), PREDICTIONS) for name, predict in by.items()}
    rows.append(row("iris, predict_proba of one row", calls, PREDICTIONS))
    print(markdown(["workload", "scikit-learn", "fastnn", "times faster"], rows))


if __name__ == "__main__":
    main()
