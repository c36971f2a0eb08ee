"""Real work by name: validation and callbacks after each epoch, small calls, fits; in names of fastnn that 0.1 had too.

A workload of `fastnn.measuring.workloads` trains undisturbed; here is what people do besides. Benchmarks also run this
file by its path, with the fastnn of another commit, so that all versions do the same work.

>>> from fastnn.measuring import real_work
>>> work = real_work.load("seed, validation")
>>> work.run(5, "numpy").shape  # 22 parameters, and two losses of each of 5 epochs
(32,)
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

import fastnn


class RealWork(NamedTuple):
    """The work that is done n times in a run."""

    unit: str
    """The unit of n: "epoch", "call", "member" or "fit"."""
    usual: int
    """The n of a usual run, which takes some milliseconds."""
    most: int
    """The largest n: of a long training in batches the gradients vanish, which is other work."""
    run: Callable[[int, str], NDArray[Any]]
    """``run(n, backend)`` returns what was learned and measured, parameters, losses and scores, in one vector."""


class Fit(NamedTuple):
    """The data and options of a fit of a classifier with scikit-learn's interface."""

    X: NDArray[Any]
    y: NDArray[Any]
    parameters: dict[str, Any]
    partial: bool
    """Whether n fits are n calls of ``partial_fit`` on one model."""

    def run(self, classifier: Callable[..., Any], n: int) -> Any:
        """Return the last of n fitted models."""
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            model = classifier(random_state=0, **self.parameters)
            if self.partial:
                model.partial_fit(self.X, self.y, classes=np.unique(self.y))
                for _ in range(n - 1):
                    model.partial_fit(self.X, self.y)
            else:
                for _ in range(n):
                    model = classifier(random_state=0, **self.parameters).fit(self.X, self.y)
        return model


PLAIN = "plain"


def load(name: str, dtype: DTypeLike | None = None) -> RealWork:
    """Return the work of a name in a precision, which is float64 if not given.

    Raises
    ------
    ImportError
        If it needs scikit-learn, as all but the seed's does, and it is not installed.
    """
    return _MAKERS[name](name, np.dtype(dtype or np.float64))


# ------------------------------------------------------------------------------------------------------------ trainings

_EACH_EPOCH: dict[str, Callable[[NDArray[Any], NDArray[Any]], dict[str, Any]]] = {
    PLAIN: lambda X, Y: {},
    "validation": lambda X, Y: {"stop": fastnn.Stop(validation=(X[::3], Y[::3]))},
    "restore_best": lambda X, Y: {"stop": fastnn.Stop(restore_best=True)},
    "callback": lambda X, Y: {"callbacks": [lambda progress: None]},
}
"""{what there is after each epoch: options of `fastnn.train`}; every third row validates, and is trained on too"""
_TRAININGS: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "seed": ("seed", 500, 10**7, {}),
    "iris b32": ("iris", 50, 500, {"batch_size": 32, "shuffle": True}),
}
"""{name: workload, usual and most epochs, other options of `fastnn.train`}"""


def _training(name: str, dtype: np.dtype[Any]) -> RealWork:
    data, how = name.split(", ")
    workload_name, usual, most, options = _TRAININGS[data]
    workload = fastnn.workloads.load(workload_name, dtype)
    network, X, Y = workload.network, workload.X, workload.Y
    options = workload.train_options | options | _EACH_EPOCH[how](X, Y) | {"seed": 0}

    def run(n: int, backend: str) -> NDArray[Any]:
        result = fastnn.train(network, X, Y, **options | {"epochs": n}, backend=backend)
        return np.concatenate([result.params, result.history.loss, result.history.validation_loss]).astype(dtype)

    return RealWork("epoch", usual, most, run)


def _one_call(name: str, dtype: np.dtype[Any]) -> RealWork:
    training, epochs = _training(f"seed, {PLAIN}", dtype), fastnn.workloads.load("seed").epochs
    return RealWork("call", 20, 10**5, lambda n, backend: [training.run(epochs, backend) for _ in range(n)][-1])


def _many(name: str, dtype: np.dtype[Any]) -> RealWork:
    workload = fastnn.workloads.load("seed", dtype)
    data, options = (workload.network, workload.X, workload.Y), workload.train_options

    def run(n: int, backend: str) -> NDArray[Any]:
        if hasattr(fastnn, "train_many"):
            many = fastnn.train_many(*data, **options, seed=range(n), backend=backend)
            return np.concatenate([np.ravel(many.params), many.history.loss[:, -1]]).astype(dtype)
        results = [fastnn.train(*data, **options, seed=i, backend=backend) for i in range(n)]  # version 0.1
        losses = [result.history.loss[-1:] for result in results]
        return np.concatenate([*(result.params for result in results), *losses]).astype(dtype)

    return RealWork("member", 100, 10**5, run)


# ----------------------------------------------------------------------------------------------------------------- fits

_FITS: dict[str, tuple[str, dict[str, Any]]] = {
    "iris": ("load_iris", {"hidden_layer_sizes": (16,)}),
    "breast cancer": ("load_breast_cancer", {}),
    "digits b32": ("load_digits", {"hidden_layer_sizes": (64,), "batch_size": 32, "max_iter": 30}),
}
"""{name: scikit-learn's data, which are scaled; parameters of the classifier}"""
_HOW: dict[str, dict[str, Any]] = {f"{PLAIN} fit": {}, "early stopping": {"early_stopping": True}}
PARTIAL = "partial_fit"
FIT_NAMES = (*(f"{data}, {how}" for how in _HOW for data in _FITS), f"iris, {PARTIAL}")


def load_fit(name: str, dtype: DTypeLike = np.float64) -> Fit:
    """Return the fit of a name of work, such as "iris, plain fit", for any classifier."""
    from sklearn import datasets, preprocessing

    data, how = name.split(", ")
    loader, parameters = _FITS[data]
    X, y = getattr(datasets, loader)(return_X_y=True)
    return Fit(preprocessing.scale(X).astype(dtype), y, parameters | _HOW.get(how, {}), how == PARTIAL)


def _fitting(name: str, dtype: np.dtype[Any]) -> RealWork:
    fit = load_fit(name, dtype)

    def run(n: int, backend: str) -> NDArray[Any]:
        model = fit.run(functools.partial(fastnn.MLPClassifier, backend=backend), n)
        scores = getattr(model, "validation_scores_", None) or []
        parts = [*model.coefs_, *model.intercepts_, model.loss_curve_, scores]
        return np.concatenate([np.ravel(part) for part in parts]).astype(dtype)

    return RealWork("call", 50, 500, run) if fit.partial else RealWork("fit", 1, 100, run)


_MAKERS: dict[str, Callable[[str, np.dtype[Any]], RealWork]] = {
    **{f"{data}, {how}": _training for data in _TRAININGS for how in _EACH_EPOCH},
    "seed, one call": _one_call,
    "seed, many": _many,
    **dict.fromkeys(FIT_NAMES, _fitting),
}
ALL_NAMES = tuple(_MAKERS)
NAMES = tuple(name for name in ALL_NAMES if PLAIN not in name)
"""Those of real work; the others are there to compare with."""
SMALL_NAMES = tuple(name for name in NAMES if name.startswith(("seed", "iris")))
"""Those that take milliseconds."""
