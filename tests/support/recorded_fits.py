"""Fits whose decisions, curves and weights were recorded once: ``--write`` writes those that are missing.

They go through what happens between two epochs: scores, best weights, patience, rates, calls of `partial_fit` and
`warm_start`, callbacks, text. Initial weights are small whole numbers over a power of two and data are scaled by powers
of two, so that the same bits come out on every machine.
"""

import argparse
import contextlib
import hashlib
import io
import itertools
import json
import pathlib
import sys
import warnings

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent
RECORDS = FOLDER / "data" / "recorded_fits.json"
if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parents[1]))  # this source tree, installed or not

from sklearn.datasets import load_diabetes, load_iris  # noqa: E402

import fastnn  # noqa: E402

_X, _Y = load_iris(return_X_y=True)
_X = (_X - 4) / 2
_FLOWERS = np.array(["setosa", "versicolor", "virginica"])
_D, _P = load_diabetes(return_X_y=True)
_D, _P = _D[:200] * 16, (_P[:200] - 128) / 64

DATA = {
    "iris": (_X, _Y),
    "single": (_X.astype(np.float32), _Y),
    "text": (_X, _FLOWERS[_Y]),
    "objects": (_X, _FLOWERS.astype(object)[_Y]),
    "two": (_X, _Y == 1),
    "signs": (_X, np.where(_Y == 2, 1.0, -1.0)),
    "several": (_X, np.c_[_Y > 0, _Y == 1, _Y < 2].astype(int)),
    "one": (_X, np.full(150, 7)),
    "number": (_D, _P),
    "numbers": (_D, np.c_[_P, -_P, 0.5 * _P]),
    "counts": (_D, np.round(abs(_P) * 4)),
}

STOP = {"early_stopping": True, "n_iter_no_change": 4, "learning_rate_init": 0.0078125}
SGD = {"solver": "sgd", "learning_rate_init": 0.125}

FITS = {
    "plain": ("iris", ["fit"], {}),
    "tolerance": ("iris", ["fit"], {"tol": 0.01, "n_iter_no_change": 2}),
    "sgd": ("two", ["fit"], {**SGD, "batch_size": 32}),
    "adaptive": ("iris", ["fit"], {**SGD, "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1}),
    "adaptive, scored": ("iris", ["fit"], {**SGD, **STOP, "learning_rate": "adaptive", "tol": 0.05, "batch_size": 50}),
    "adaptive to the end": (
        "two",
        ["fit"],
        {**SGD, "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1, "learning_rate_init": 0.001},
    ),
    "early stopping": ("iris", ["fit"], STOP),
    "early stopping, batches": ("iris", ["fit"], {**STOP, "batch_size": 32, "tol": 0.0}),
    "early stopping, weights": ("iris", ["fit weighted"], {**STOP, "batch_size": 50}),
    "early stopping, class weights": ("two", ["fit"], {**STOP, "class_weight": "balanced"}),
    "early stopping, two": ("two", ["fit"], STOP),
    "early stopping, signs": ("signs", ["fit"], {**STOP, "shuffle": False}),
    "early stopping, several": ("several", ["fit"], STOP),
    "early stopping, one": ("one", ["fit"], STOP),
    "early stopping, text": ("text", ["fit"], STOP),
    "early stopping, single": ("single", ["fit"], STOP),
    "early stopping, stratified": ("iris", ["fit"], {**STOP, "fix_defects": True}),
    "early stopping, own generator": ("iris", ["fit", "fit"], {**STOP, "own generator": True}),
    "early stopping, number": ("number", ["fit"], {**STOP, "batch_size": 64}),
    "early stopping, numbers": ("numbers", ["fit weighted"], STOP),
    "early stopping, counts": ("counts", ["fit"], {**STOP, "loss": "poisson"}),
    "early stopping, warm": ("iris", ["fit", "fit", "fit"], {**STOP, "warm_start": True, "max_iter": 5}),
    "verbose": ("iris", ["fit"], {**STOP, "verbose": True}),
    "verbose, plain": ("number", ["fit"], {"verbose": True, "max_iter": 7, "tol": 0.5, "n_iter_no_change": 1}),
    "validation": ("iris", ["fit validated"], {"batch_size": 32}),
    "validation, early stopping": ("iris", ["fit validated"], STOP),
    "validation, numbers": ("numbers", ["fit validated"], {}),
    "validation, warm": ("number", ["fit validated", "fit", "fit validated"], {"warm_start": True, "max_iter": 3}),
    "callbacks": ("iris", ["fit"], {"callbacks": True, "batch_size": 50}),
    "callbacks, early stopping": ("two", ["fit"], {**STOP, "callbacks": True}),
    "warm start": ("iris", ["fit", "fit", "fit"], {"warm_start": True, "max_iter": 4}),
    "warm start, objects": ("objects", ["fit", "fit"], {"warm_start": True, "max_iter": 4}),
    "warm start, two": ("two", ["fit", "fit"], {**SGD, "warm_start": True, "max_iter": 4}),
    "partial": ("iris", ["partial_fit"] * 5, {}),
    "partial, batches": ("iris", ["partial_fit"] * 3, {"batch_size": 40}),
    "partial, own generator": ("iris", ["partial_fit"] * 3, {"own generator": True}),
    "partial, two": ("two", ["partial_fit"] * 3, SGD),
    "partial, text": ("text", ["partial_fit weighted"] * 3, {}),
    "partial, objects": ("objects", ["partial_fit"] * 3, {}),
    "partial, several": ("several", ["partial_fit"] * 3, {}),
    "partial, number": ("number", ["partial_fit"] * 3, {**SGD, "momentum": 0}),
    "partial, after fit": ("single", ["fit", "partial_fit", "partial_fit"], {"max_iter": 3}),
    "partial, rprop": ("iris", ["partial_fit"] * 3, {"solver": "rprop"}),
}
"""By name: the data, what is called, and the parameters."""


def fitted(name):
    """The estimator after all calls, what they printed, and the losses that a callback saw."""
    data, calls, options = FITS[name]
    X, y = DATA[data]
    kind = fastnn.MLPRegressor if data in ("number", "numbers", "counts") else fastnn.MLPClassifier
    options = {"max_iter": 25, "random_state": 3, **options}
    seen = [] if options.pop("callbacks", False) else None
    if options.pop("own generator", False):
        options["random_state"] = np.random.RandomState(3)
    n_outputs = {"two": 1, "signs": 1, "one": 1, "number": 1, "counts": 1}.get(data, 3)
    sizes = (X.shape[1], 9, 5, n_outputs)
    rng = np.random.RandomState(7)
    W = [rng.randint(-64, 65, shape) / 128 for shape in itertools.pairwise(sizes)]
    b = [rng.randint(-64, 65, n) / 256 for n in sizes[1:]]
    mlp = kind(hidden_layer_sizes=sizes[1:-1], coefs_init=W, intercepts_init=b, **options)
    if seen is not None:
        mlp.set_callbacks(Watching(seen))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in calls:
            method, *how = call.split()
            given = {}
            if "weighted" in how:
                given["sample_weight"] = (1 + np.arange(len(X)) % 4) / 2
            if "validated" in how:
                given["validation_data"] = X[::3], y[::3]
            if method == "partial_fit" and kind is fastnn.MLPClassifier:
                given["classes"] = np.arange(y.shape[1]) if data == "several" else np.unique(y)
            getattr(mlp, method)(X, y, **given)
    return mlp, printed.getvalue(), seen


class Watching:
    """A callback of scikit-learn's that notes the loss after each epoch."""

    def __init__(self, seen):
        self.seen = seen

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **kwargs):
        pass

    def on_fit_task_end(self, estimator, context, **kwargs):
        self.seen.append(estimator.loss_curve_[-1])


def record(name):
    """Decisions as they are, floats exactly, and hashes of arrays and texts."""
    mlp, printed, seen = fitted(name)
    X = DATA[FITS[name][0]][0]
    facts = ("n_iter_", "t_", "stop_reason_", "_no_improvement_count", "best_loss_", "best_validation_score_", "loss_")
    arrays = {
        "loss_curve_": mlp.loss_curve_,
        "validation_loss_curve_": getattr(mlp, "validation_loss_curve_", []),
        "weights": np.concatenate([array.ravel() for array in mlp.coefs_ + mlp.intercepts_]),
        "optimizer": np.concatenate([[mlp._optimizer.learning_rate], mlp._optimizer._slots.ravel()]),
        "prediction": mlp.predict(X).astype(str) if hasattr(mlp, "classes_") else mlp.predict(X),
    }
    result = {fact: getattr(mlp, fact) for fact in facts}
    result |= {"validation_scores_": mlp.validation_scores_, "draw": int(mlp._random_state.randint(1 << 30))}
    result |= {key: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() for key, value in arrays.items()}
    result["printed"] = hashlib.sha256(printed.encode()).hexdigest()
    if seen is not None:
        result["seen"] = seen
    return json.loads(json.dumps(result, default=float))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    records = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
    missing = {name: record(name) for name in FITS if name not in records}
    if parser.parse_args().write:
        RECORDS.write_text(json.dumps(records | missing, indent=1) + "\n")
    print(f"{len(missing)} fits are not recorded: {', '.join(missing)}")  # noqa: T201


if __name__ == "__main__":
    main()
