"""Work by name: workloads, which train undisturbed, and real work: validation, callbacks, small
calls, fits.

It keeps to the names of fastnn that 0.1 had too: benchmarks also use this file beside the fastnn of
another commit, so that all versions do the same work.

>>> from fastnn.measuring import work
>>> validated = work.load("seed, validation")
>>> validated.run(5, "numpy").shape  # 22 parameters, and two losses of each of 5 epochs
(32,)
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

import fastnn

Vector = NDArray[Any]

# The largest distance of two trainings of the same thing, relative to what was trained, that is the
# same answer: it is meant to catch a wrong kernel before it is timed; the tests hold the back ends
# to far less.
SAME_ANSWER = {"float64": 1e-8, "float32": 1e-2}


class Work(NamedTuple):
    """Work of which n epochs, calls or fits can be done in a run."""

    name: str
    dtype: str
    unit: str  # The unit that is counted: "iteration", "epoch", "call", "member" or "fit"
    usual: int  # The n of a usual run
    # The largest n: in a long training in batches the gradients vanish, which is other work
    most: int
    run: Callable[[int, str], Vector]
    """``run(n, backend)`` returns what was learned and measured, parameters, losses and scores, in
    one vector."""
    answer: Callable[[str], Vector]
    """``answer(backend)`` returns such a vector of a short run, by which back ends are compared."""
    units: int = 1  # The number of units in one n: the steps of an epoch
    threads: int = 1  # The threads that share each step, on the back end "numba"
    workload: Any = None  # The workload, if it is one


def load(
    name: str,
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    rows: int | None = None,
    **options: Any,
) -> Work:
    """Return the work of a name in a precision: without one a workload in its own, real work in
    float64.

    A workload may be trained on its first `rows` only, with `threads` that share each step, and
    with other options of `fastnn.train`. Real work has too little for threads, and takes what
    `train` does. It is an ImportError where scikit-learn is needed and not installed.
    """
    if name in fastnn.workloads.names():
        return _workload(name, dtype, threads, rows, options)
    return _MAKERS[name](name, np.dtype(dtype or np.float64))


def check(work: Work, backend: str) -> None:
    """Raise an AssertionError unless a back end has the reference's answer; it has compiled what is
    needed then.
    """
    agree(f"{work.name}, {backend}", work.answer(backend), work.answer("numpy"))


def agree(what: str, actual: Vector, expected: Vector) -> None:
    """Raise an AssertionError unless two answers are the same: by the norm of their difference, for
    actual's dtype.
    """
    distance = float(
        np.linalg.norm(np.asarray(actual, np.float64) - expected) / np.linalg.norm(expected)
    )
    limit = SAME_ANSWER[actual.dtype.name]
    if not distance <= limit:
        raise AssertionError(
            f"{what}: relative distance {distance:.1e} is above {limit:.0e}; nothing was timed"
        )


def _workload(
    name: str, dtype: DTypeLike | None, threads: int | None, rows: int | None, options: Any
) -> Work:
    workload = fastnn.workloads.load(name, dtype)
    X = workload.X[:rows]
    Y = workload.Y[:rows]
    batch = workload.batch_size or len(workload.X)
    options = (
        workload.train_options | {"seed": 0} | ({"threads": threads} if threads else {}) | options
    )

    def run(n: int, backend: str, rows: int | None = None) -> Vector:
        return fastnn.train(
            workload.network, X[:rows], Y[:rows], **options | {"epochs": n, "backend": backend}
        ).params

    # the change of the parameters by some steps, which tells more than these
    def answer(backend: str) -> Vector:
        return run(2, backend, min(3 * batch, 512)) - workload.network.init_params(
            np.random.RandomState(0), X.dtype
        )

    return Work(
        name=name,
        dtype=workload.dtype.name,
        unit="iteration",
        usual=workload.epochs,
        most=10**7 if workload.batch_size is None else workload.epochs,
        run=run,
        answer=answer,
        units=-(-len(X) // min(batch, len(X))),
        threads=threads or 1,
        workload=workload,
    )


def _real(
    name: str,
    dtype: np.dtype[Any],
    unit: str,
    usual: int,
    most: int,
    run: Callable[[int, str], Vector],
) -> Work:
    return Work(name, dtype.name, unit, usual, most, run, functools.partial(run, usual))


PLAIN = "plain"

_EACH_EPOCH: dict[str, Callable[[Vector, Vector], dict[str, Any]]] = {
    PLAIN: lambda X, Y: {},
    "validation": lambda X, Y: {"stop": fastnn.Stop(validation=(X[::3], Y[::3]))},
    "restore_best": lambda X, Y: {"stop": fastnn.Stop(restore_best=True)},
    "callback": lambda X, Y: {"callbacks": [lambda progress: None]},
}
"""{what there is after each epoch: options of `fastnn.train`}; every third row validates, and is
trained on too"""
_TRAININGS: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "seed": ("seed", 500, 10**7, {}),
    "iris b32": ("iris", 50, 500, {"batch_size": 32, "shuffle": True}),
}
"""{name: workload, usual and most epochs, other options of `fastnn.train`}"""


def _training(name: str, dtype: np.dtype[Any]) -> Work:
    data, how = name.split(", ")
    workload_name, usual, most, options = _TRAININGS[data]
    workload = fastnn.workloads.load(workload_name, dtype)
    rows = (workload.network, workload.X, workload.Y)
    each_epoch = _EACH_EPOCH[how](workload.X, workload.Y)
    options = workload.train_options | options | each_epoch | {"seed": 0}

    def run(n: int, backend: str) -> Vector:
        result = fastnn.train(*rows, **options | {"epochs": n}, backend=backend)
        return np.concatenate(
            [result.params, result.history.loss, result.history.validation_loss]
        ).astype(dtype)

    return _real(name, dtype, "epoch", usual, most, run)


def _one_call(name: str, dtype: np.dtype[Any]) -> Work:
    training = _training(f"seed, {PLAIN}", dtype)
    epochs = fastnn.workloads.load("seed").epochs

    def run(n: int, backend: str) -> Vector:
        return [training.run(epochs, backend) for _ in range(n)][-1]

    return _real(name, dtype, "call", 20, 10**5, run)


def _many(name: str, dtype: np.dtype[Any]) -> Work:
    workload = fastnn.workloads.load("seed", dtype)
    data = (workload.network, workload.X, workload.Y)
    options = workload.train_options

    def run(n: int, backend: str) -> Vector:
        if hasattr(fastnn, "train_many"):
            many = fastnn.train_many(*data, **options, seed=range(n), backend=backend)
            return np.concatenate([np.ravel(many.params), many.history.loss[:, -1]]).astype(dtype)
        # version 0.1
        results = [fastnn.train(*data, **options, seed=i, backend=backend) for i in range(n)]
        losses = [result.history.loss[-1:] for result in results]
        return np.concatenate([*(result.params for result in results), *losses]).astype(dtype)

    return _real(name, dtype, "member", 100, 10**5, run)


class Fit(NamedTuple):
    """The data and options of a fit of a classifier with scikit-learn's interface."""

    X: Vector
    y: Vector
    parameters: dict[str, Any]
    partial: bool  # Whether n fits are n calls of ``partial_fit`` on one model

    def run(self, classifier: Callable[..., Any], n: int) -> Any:
        """Return the last of n fitted models."""
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            model = classifier(random_state=0, **self.parameters)
            for i in range(n):
                if self.partial:
                    model.partial_fit(
                        self.X, self.y, **({} if i else {"classes": np.unique(self.y)})
                    )
                else:
                    model = classifier(random_state=0, **self.parameters).fit(self.X, self.y)
        return model


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
    return Fit(
        preprocessing.scale(X).astype(dtype), y, parameters | _HOW.get(how, {}), how == PARTIAL
    )


def _fitting(name: str, dtype: np.dtype[Any]) -> Work:
    fit = load_fit(name, dtype)

    def run(n: int, backend: str) -> Vector:
        model = fit.run(functools.partial(fastnn.MLPClassifier, backend=backend), n)
        scores = getattr(model, "validation_scores_", None) or []
        parts = [*model.coefs_, *model.intercepts_, model.loss_curve_, scores]
        return np.concatenate([np.ravel(part) for part in parts]).astype(dtype)

    if fit.partial:
        return _real(name, dtype, "call", 50, 500, run)
    return _real(name, dtype, "fit", 1, 100, run)


_MAKERS: dict[str, Callable[[str, np.dtype[Any]], Work]] = {
    **{f"{data}, {how}": _training for data in _TRAININGS for how in _EACH_EPOCH},
    "seed, one call": _one_call,
    "seed, many": _many,
    **dict.fromkeys(FIT_NAMES, _fitting),
}
ALL_NAMES = tuple(_MAKERS)
NAMES = tuple(name for name in ALL_NAMES if PLAIN not in name)
"""Those of real work; the others are there to compare with."""
# Those that take milliseconds
SMALL_NAMES = tuple(name for name in NAMES if name.startswith(("seed", "iris")))
