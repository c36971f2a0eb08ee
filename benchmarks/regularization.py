"""Bayesian regularization beside other ways to a network that generalizes: ``python -m benchmarks.regularization``.

Ten splits of each data set; R2 of test rows, means over the splits; processor time of a fit, medians.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import (
    BayesianRegularization,
    LevenbergMarquardt,
    MLPRegressor,
    Network,
    Stop,
    TabularRegressor,
    train,
    train_many,
)

SPLITS = 10
ALPHAS = (0.1, 1, 3, 10, 30, 100)
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""X, y to train on, and to test."""


def diabetes(k: int) -> Split:
    """442 rows of 10 columns, of which a quarter tests."""
    X, Xt, y, yt = train_test_split(*load_diabetes(return_X_y=True), test_size=0.25, random_state=k)
    return X, y, Xt, yt


def friedman(k: int) -> Split:
    """200 rows of 10 columns with noise of variance 1; 2,000 rows without noise test."""
    return *make_friedman1(200, noise=1.0, random_state=k), *make_friedman1(2_000, noise=0.0, random_state=500 + k)


def scaled(split: Split) -> Iterator[np.ndarray]:
    """The split, with all columns from -1 to 1 where it trains."""
    X, y, Xt, yt = split
    for A, of in ((X, X), (y[:, None], y[:, None]), (Xt, X), (yt[:, None], y[:, None])):
        low, high = of.min(axis=0), of.max(axis=0)
        yield 2 * (A - low) / (high - low) - 1


def tenfold(k: int, split: Split, width: int) -> dict[str, float]:
    """R2 by one start and by the mean of several: of Bayesian regularization, and stopped early."""
    X, Y, Xt, Yt = scaled(split)
    network = Network((X.shape[1], width, 1), "tanh")
    seeds, stop = range(10 * k, 10 * k + 10), Stop(validation=0.15, patience=6, restore_best=True)
    many = train_many(network, X, Y, optimizer=BayesianRegularization(), epochs=1_000, seed=seeds[:5], n_jobs=1)
    start = train(network, X, Y, optimizer=BayesianRegularization(), epochs=0, seed=seeds[0]).params
    method = LevenbergMarquardt()
    early = train(network, X, Y, optimizer=method, epochs=1_000, seed=seeds[0], params=start, stop=stop)
    several = train_many(network, X, Y, optimizer=method, epochs=1_000, seed=seeds, stop=stop, n_jobs=1)

    def score(outputs: np.ndarray) -> float:
        return float(r2_score(Yt, outputs))

    return {
        "BR": score(many[0].predict(Xt)),
        "LM": score(early.predict(Xt)),
        "mean of 5 BR": score(many.predict(Xt).mean(axis=0)),
        "mean of 10 LM": score(several.predict(Xt).mean(axis=0)),
        "gamma": float(many[0].gamma),
        "epochs": float(many[0].n_epochs),
    }


def scores() -> None:
    """R2 beside one training that was stopped early, from the same start."""
    for name, get, widths in (("diabetes", diabetes, (3, 10)), ("friedman1", friedman, (5, 10, 20))):
        for width in widths:
            rows = [tenfold(k, get(k), width) for k in range(SPLITS)]
            found = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
            texts = ", ".join(f"{key} {value:.3f}" for key, value in found.items())
            print(f"scores: {name}, width {width}: {texts}; BR less LM {found['BR'] - found['LM']:.3f}", flush=True)


def standardized(mlp: Any) -> Any:
    """An estimator on standardized inputs and targets."""
    return TransformedTargetRegressor(make_pipeline(StandardScaler(), mlp), transformer=StandardScaler())


def searched(k: int, width: int) -> Any:
    """L-BFGS, with an alpha of six by five folds."""
    options: dict[str, Any] = {"activation": "tanh", "solver": "lbfgs", "max_iter": 500, "n_threads": 1}
    mlp = MLPRegressor(hidden_layer_sizes=(width,), random_state=k, **options)
    return standardized(GridSearchCV(mlp, {"alpha": list(ALPHAS)}, cv=5))


def bayesian(k: int, width: int, n_restarts: int = 5) -> Any:
    """`MLPRegressor(solver="br")`."""
    options: dict[str, Any] = {"activation": "tanh", "solver": "br", "max_iter": 1_000, "n_threads": 1}
    return MLPRegressor(hidden_layer_sizes=(width,), random_state=k, n_restarts=n_restarts, **options)


def seconds() -> None:
    """R2 and processor time beside L-BFGS with a cross-validated alpha."""
    for name, get, widths in (("diabetes", diabetes, (3, 10)), ("friedman1", friedman, (5, 10))):
        ways: dict[str, Callable[[int], Any]] = {"ridge": lambda k: standardized(RidgeCV(np.logspace(-3, 3, 13)))}
        for width in widths:
            ways[f"br, width {width}"] = lambda k, w=width: bayesian(k, w)
            ways[f"br, width {width}, one start"] = lambda k, w=width: bayesian(k, w, 1)
            ways[f"L-BFGS by cross-validation, width {width}"] = lambda k, w=width: searched(k, w)
        for way, make in ways.items():
            taken, found = [], []
            for k in range(SPLITS):
                X, y, Xt, yt = get(k)
                begin = time.process_time()
                model = make(k).fit(X, y)
                taken.append(time.process_time() - begin)
                found.append(r2_score(yt, model.predict(Xt)))
            print(f"seconds: {name}: {way}: R2 {np.mean(found):.3f}, {np.median(taken):.3f} s", flush=True)


def friedman_of(n: int, noise: float) -> Callable[[int], Split]:
    """So many rows with noise of this standard deviation; the targets' own is 5."""

    def get(k: int) -> Split:
        return *make_friedman1(n, noise=noise, random_state=k), *make_friedman1(2_000, noise=0.0, random_state=500 + k)

    return get


def choice() -> None:
    """Which way for so many rows and so much noise: R2 of rows without noise, and processor time; five splits."""

    def small(k: int, solver: str, **options: Any) -> Any:
        options = {"hidden_layer_sizes": (10,), "activation": "tanh", "max_iter": 1_000, "n_threads": 1} | options
        return MLPRegressor(solver=solver, random_state=k, **options)

    ways: dict[str, Callable[[int], Any]] = {
        "lm": lambda k: small(k, "lm", early_stopping=True, validation_fraction=0.15),
        "br": lambda k: small(k, "br"),
        "lbfgs": lambda k: standardized(small(k, "lbfgs", alpha=1.0)),
        "adam": lambda k: standardized(
            small(k, "adam", hidden_layer_sizes=(100,), early_stopping=True, learning_rate_init=0.003)
        ),
        "TabularRegressor": lambda k: TabularRegressor(random_state=k, n_jobs=1),
    }
    for n in (100, 400, 1_600):
        for noise in (0.0, 1.0, 3.0):
            cells = []
            for way, make in ways.items():
                taken, found = [], []
                for k in range(5):
                    X, y, Xt, yt = friedman_of(n, noise)(k)
                    begin = time.process_time()
                    model = make(k).fit(X, y)
                    taken.append(time.process_time() - begin)
                    found.append(r2_score(yt, model.predict(Xt)))
                cells.append(f"{way} {np.mean(found):.3f} ({np.median(taken):.2f} s)")
            print(f"choice: {n} rows, noise {noise:g}: {', '.join(cells)}", flush=True)


def main() -> None:
    """Measure what is asked for, or all."""
    parts = {"scores": scores, "seconds": seconds, "choice": choice}
    if unknown := set(sys.argv[1:]) - parts.keys():
        sys.exit(f"there is no {', '.join(sorted(unknown))}: {', '.join(parts)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sys.argv[1:] or parts:
            parts[name]()


if __name__ == "__main__":
    main()
