"""Fits that scikit-learn does not know, recorded once: decisions, curves and weights. Run, this file adds new ones.

Initial weights are small whole numbers over a power of two and data are scaled by powers of two, so that the same bits
come out on every machine. What scikit-learn does too, `test_same_as_scikit_learn.py` compares with it.
"""

import hashlib
import itertools
import json
import pathlib
import warnings
from types import SimpleNamespace

import numpy as np
from sklearn.datasets import load_diabetes, load_iris

import fastnn

RECORDS = pathlib.Path(__file__).resolve().parent / "data" / "recorded_fits.json"

_X, _Y = load_iris(return_X_y=True)
_X = (_X - 4) / 2
_D, _P = load_diabetes(return_X_y=True)
_D, _P = _D[:200] * 16, (_P[:200] - 128) / 64
DATA = {
    "iris": (_X, _Y),
    "single": (_X.astype(np.float32), _Y),
    "two": (_X, _Y == 1),
    "number": (_D, _P),
    "numbers": (_D, np.c_[_P, -_P, 0.5 * _P]),
}
STOP = {"early_stopping": True, "n_iter_no_change": 4, "learning_rate_init": 0.0078125}
FITS = {
    "early stopping, class weights": ("two", ["fit"], {**STOP, "class_weight": "balanced"}),
    "early stopping, stratified": ("iris", ["fit"], {**STOP, "fix_defects": True}),
    "validation": ("iris", ["fit validated"], {"batch_size": 32}),
    "validation, early stopping": ("iris", ["fit validated"], STOP),
    "validation, numbers": ("numbers", ["fit validated"], {}),
    "validation, warm": ("number", ["fit validated", "fit", "fit validated"], {"warm_start": True, "max_iter": 3}),
    "callbacks": ("iris", ["fit"], {"callbacks": True, "batch_size": 50}),
    "callbacks, early stopping": ("two", ["fit"], {**STOP, "callbacks": True}),
    "partial, after fit": ("single", ["fit", "partial_fit", "partial_fit"], {"max_iter": 3}),
    "partial, rprop": ("iris", ["partial_fit"] * 3, {"solver": "rprop"}),
}
"""By name: the data, what is called, and the parameters."""


def fitted(name):
    """The estimator after all calls, and the losses that a callback saw."""
    data, calls, options = FITS[name]
    X, y = DATA[data]
    kind = fastnn.MLPRegressor if data in ("number", "numbers") else fastnn.MLPClassifier
    options = {"max_iter": 25, "random_state": 3, **options}
    seen = [] if options.pop("callbacks", False) else None
    sizes = (X.shape[1], 9, 5, 1 if data in ("two", "number") else 3)
    rng = np.random.RandomState(7)
    W = [rng.randint(-64, 65, shape) / 128 for shape in itertools.pairwise(sizes)]
    b = [rng.randint(-64, 65, n) / 256 for n in sizes[1:]]
    mlp = kind(hidden_layer_sizes=sizes[1:-1], coefs_init=W, intercepts_init=b, **options)
    if seen is not None:
        idle = dict.fromkeys(("setup", "teardown", "on_fit_task_begin"), lambda *arguments, **options: None)
        note = {"on_fit_task_end": lambda estimator, context, **others: seen.append(estimator.loss_curve_[-1])}
        mlp.set_callbacks(SimpleNamespace(**idle, **note))
    with warnings.catch_warnings(action="ignore"):
        for call in calls:
            method, validated, _ = call.partition(" validated")
            given = {"validation_data": (X[::3], y[::3])} if validated else {}
            given |= {"classes": np.unique(y)} if method == "partial_fit" else {}
            getattr(mlp, method)(X, y, **given)
    return mlp, seen


def record(name):
    """Decisions as they are, floats exactly, and hashes of arrays."""
    mlp, seen = fitted(name)
    X = DATA[FITS[name][0]][0]
    facts = ("n_iter_", "t_", "stop_reason_", "_no_improvement_count", "best_loss_", "best_validation_score_", "loss_")
    arrays = {
        "loss_curve_": mlp.loss_curve_,
        "validation_loss_curve_": getattr(mlp, "validation_loss_curve_", []),
        "weights": np.concatenate([array.ravel() for array in mlp.coefs_ + mlp.intercepts_]),
        "optimizer": np.concatenate([[mlp._optimizer.learning_rate], mlp._optimizer._slots.ravel()]),
        "prediction": mlp.predict(X).astype(str) if hasattr(mlp, "classes_") else mlp.predict(X),
    }
    result = {fact: getattr(mlp, fact) for fact in (*facts, "validation_scores_")}
    result["draw"] = int(mlp._random_state.randint(1 << 30))
    result |= {key: hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() for key, value in arrays.items()}
    result |= {} if seen is None else {"seen": seen}
    return json.loads(json.dumps(result, default=float))


if __name__ == "__main__":
    records = json.loads(RECORDS.read_text())
    records |= {name: record(name) for name in FITS if name not in records}
    RECORDS.write_text(json.dumps(records, indent=1) + "\n")
