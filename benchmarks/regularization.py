"""Bayesian regularization beside other ways to a network that generalizes: ``python -m
benchmarks.regularization``.

Ten splits of each data set; R2 of test rows, means over the splits; processor time of a fit,
medians.
"""

import itertools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import fastnn
from benchmarks.readme import print_parts
from fastnn import (
    BayesianRegularization,
    LevenbergMarquardt,
    MLPRegressor,
    Network,
    Stop,
    train,
    train_many,
)
from fastnn.measuring.timing import markdown, seconds_of

SPLITS = 10
ALPHAS = {"alpha": [0.1, 1, 3, 10, 30, 100]}
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # X, y to train on, and to test


def diabetes(k: int) -> Split:
    """442 rows of 10 columns, of which a quarter tests."""
    X, Xt, y, yt = train_test_split(*load_diabetes(return_X_y=True), test_size=0.25, random_state=k)
    return X, y, Xt, yt


def friedman_of(n: int, noise: float) -> Callable[[int], Split]:
    """Rows of 10 columns with noise of this standard deviation, where that of the truth is 5; 2,000
    without to test.
    """

    def get(k: int) -> Split:
        return *make_friedman1(n, noise=noise, random_state=k), *make_friedman1(
            2_000, noise=0.0, random_state=500 + k
        )

    return get


def scaled(split: Split) -> tuple[np.ndarray, ...]:
    """The split, with all columns from -1 to 1 where it trains."""
    X, y, Xt, yt = (np.atleast_2d(A.T).T for A in split)
    of_X, of_y = (MinMaxScaler((-1, 1)).fit(A) for A in (X, y))
    return of_X.transform(X), of_y.transform(y), of_X.transform(Xt), of_y.transform(yt)


def starts(split: Split, k: int, width: int) -> tuple[float, ...]:
    """R2 by one start of each method, by means of several, and gamma: the columns of `scores`."""
    X, Y, Xt, Yt = scaled(split)
    network = Network((X.shape[1], width, 1), "tanh")
    seeds = range(10 * k, 10 * k + 10)
    stop = Stop(validation=0.15, patience=6, restore_best=True)
    of_method: dict[str, Any] = {"epochs": 1_000, "n_jobs": 1}
    many = train_many(
        network, X, Y, optimizer=BayesianRegularization(), seed=seeds[:5], **of_method
    )
    whole = train_many(
        network, X, Y, optimizer=BayesianRegularization(first_steps=0), seed=seeds[:1], **of_method
    )
    start = train(network, X, Y, optimizer=BayesianRegularization(), epochs=0, seed=seeds[0]).params
    method = LevenbergMarquardt()
    early = train(
        network, X, Y, optimizer=method, epochs=1_000, seed=seeds[0], params=start, stop=stop
    )
    several = train_many(network, X, Y, optimizer=method, seed=seeds, stop=stop, **of_method)
    means = (many.predict(Xt).mean(axis=0), several.predict(Xt).mean(axis=0))
    outputs = (many[0].predict(Xt), whole[0].predict(Xt), early.predict(Xt), *means)
    return *(float(r2_score(Yt, output)) for output in outputs), float(many[0].gamma)


def scores() -> str:
    """R2 beside one training that was stopped early, from the same start."""
    rows = []
    for name, get, widths in (
        ("diabetes", diabetes, (3, 10)),
        ("friedman1", friedman_of(200, 1.0), (5, 10, 20)),
    ):
        for width in widths:
            *found, gamma = np.mean([starts(get(k), k, width) for k in range(SPLITS)], axis=0)
            n_params = Network((10, width, 1)).n_params
            rows.append([f"{name}, width {width}", *marked(found), f"{gamma:.1f} of {n_params}"])
    heads = [
        "",
        "br, one start",
        "the same, `first_steps=0`",
        "lm, stopped early",
        "br, mean of 5",
        "lm, mean of 10",
    ]
    return markdown([*heads, "gamma, of parameters"], rows)


def marked(scores: Sequence[float], seconds: Sequence[float] | None = None) -> list[str]:
    """Cells of R2, of which the best are bold, with seconds where there are some."""
    texts = [f"{score:.3f}" for score in scores]
    texts = [f"**{text}**" if text == f"{max(scores):.3f}" else text for text in texts]
    if seconds is None:
        return texts
    return [f"{text} ({s:.2g} s)" for text, s in zip(texts, seconds, strict=True)]


def fits(makes: Sequence[Callable[[int], Any]], get: Callable[[int], Split], n: int) -> list[str]:
    """Cells of mean R2 and median processor time of fits, in turn, to n splits."""
    found = np.empty((n, len(makes), 2))
    for k in range(n):
        X, y, Xt, yt = get(k)
        for i, make in enumerate(makes):
            model = make(k)
            seconds = seconds_of(lambda model=model, X=X, y=y: model.fit(X, y), time.process_time)
            found[k, i] = r2_score(yt, model.predict(Xt)), seconds
    return marked(found[:, :, 0].mean(axis=0), np.median(found[:, :, 1], axis=0))


def standardized(mlp: Any) -> Any:
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), mlp), transformer=StandardScaler()
    )


def small(k: int, solver: str, width: int = 10, **options: Any) -> Any:
    options = {"activation": "tanh", "max_iter": 1_000, "n_threads": 1} | options
    return MLPRegressor(hidden_layer_sizes=(width,), solver=solver, random_state=k, **options)


def seconds() -> str:
    """R2 and processor time beside L-BFGS with an alpha of six by five folds."""
    rows = []
    for name, get, widths in (
        ("diabetes", diabetes, (3, 10)),
        ("friedman1", friedman_of(200, 1.0), (5, 10)),
    ):
        for width in widths:
            makes: list[Callable[[int], Any]] = [
                lambda k, w=width: small(k, "br", w),
                lambda k, w=width: standardized(
                    GridSearchCV(small(k, "lbfgs", w, max_iter=500), ALPHAS, cv=5)
                ),
                lambda k: standardized(RidgeCV(np.logspace(-3, 3, 13))),
            ]
            rows.append([f"{name}, width {width}", *fits(makes, get, SPLITS)])
    return markdown(["", "br", "L-BFGS, cross-validated", "ridge"], rows)


def choice() -> str:
    """Which way for so many rows and so much noise: R2 of rows without noise, and processor time;
    five splits.
    """
    ways: dict[str, Callable[[int], Any]] = {
        "lm": lambda k: small(k, "lm", early_stopping=True, validation_fraction=0.15),
        "br": lambda k: small(k, "br"),
        "lbfgs": lambda k: standardized(small(k, "lbfgs", alpha=1.0)),
        "adam": lambda k: standardized(
            small(k, "adam", 100, early_stopping=True, learning_rate_init=0.003)
        ),
        "TabularRegressor": lambda k: fastnn.TabularRegressor(random_state=k, n_jobs=1),
    }
    sizes = itertools.product((100, 400, 1_600), (0.0, 1.0, 3.0))
    rows = [
        [f"{n:,}", f"{noise:g}", *fits([*ways.values()], friedman_of(n, noise), 5)]
        for n, noise in sizes
    ]
    return markdown(["rows", "noise", *ways], rows)


if __name__ == "__main__":
    print_parts(__doc__, choice=choice, seconds=seconds, scores=scores)
