"""Searches for settings of a digit classifier, by a Population and by scikit-learn: ``python -m
benchmarks.searches``.

All look for the learning rate and the penalty of a 64-32-10 network, in batches of 32, by its
accuracy on the same fifth of the rows. `HalvingGridSearchCV` searches the 27 settings that
successive halving does, with as many epochs a candidate in each round, which it trains anew. One
thread serves each. Searches take turns; seconds are medians of the rounds. Before anything is
timed, the winners are compared: those of `fastnn.search` with `train` alone, to the bit, the score
of a Population that replaces members is taken again, and those of scikit-learn's search with a fit
of their own.
"""

import pathlib
import sys
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))

import sklearn.neural_network as theirs
from population_based_training import digits, population_based_training
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV
from threadpoolctl import threadpool_limits

import fastnn
from fastnn.measuring.timing import interleaved, markdown

ROUNDS = 5
RATES = np.logspace(-4, -1, 9)
ALPHAS = [1e-5, 1e-3, 1e-1]
# epochs, which grow by the factor
LEAST = 2
MOST = 54
FACTOR = 3
DATA = fastnn.workloads.load("digits")
HELD_OUT = np.arange(0, len(DATA.X), 5)
ROWS = np.setdiff1d(np.arange(len(DATA.X)), HELD_OUT)
LABELS = DATA.Y.argmax(axis=1)


class Found(NamedTuple):
    epochs_trained: int
    score: float
    winner: Any  # a TrainingResult, or the settings of an estimator
    alone: Callable[[], float]
    """The score of the winner when it is trained alone, NaN where that gives other weights; or
    taken again."""


def search(space: dict[str, Any], **options: Any) -> Found:
    network = fastnn.Network((64, 32, 10), "relu", output="softmax")
    fixed: dict[str, Any] = {
        "validation_rows": HELD_OUT,
        "stop": fastnn.Stop(monitor="accuracy"),
        "batch_size": 32,
    }
    data = (DATA.X, DATA.Y)
    threads = {"seed": 0, "n_jobs": 1}
    found = fastnn.search(space, *data, network=network, **fixed, **threads, **options)

    def alone() -> float:
        best = found.best
        settings = found.best.state.counters
        own = {
            "optimizer": fastnn.Adam(settings["optimizer"]["learning_rate"]),
            "alpha": settings["alpha"],
            "seed": 0,
        }
        result = fastnn.train(network, *data, **fixed, **own, epochs=best.n_epochs)
        same = np.array_equal(result.params, best.params)
        if same and np.array_equal(result.history.score, best.history.score):
            return found.score
        return np.nan

    return Found(found.epochs_trained, found.score, found.best, alone)


GRID = {"learning_rate": RATES, "alpha": ALPHAS}
DRAWN = {
    "learning_rate": lambda r: 10 ** r.uniform(-4, -1),
    "alpha": lambda r: 10 ** r.uniform(-5, -1),
}


def by_population() -> Found:
    rates = np.logspace(-4, -1, 12)
    population = digits(rates, 1e-4, n_jobs=1)
    best = population_based_training(
        population, dict(enumerate(rates)), 8, 3, np.random.RandomState(0)
    )
    winner = population[best]

    def alone() -> float:
        return float((winner.predict(DATA.X[HELD_OUT]).argmax(axis=1) == LABELS[HELD_OUT]).mean())

    return Found(population.epochs_trained, population.scores()[best], winner, alone)


def estimator(module: Any, **settings: Any) -> Any:
    return module.MLPClassifier(
        (32,), batch_size=32, n_iter_no_change=10**6, random_state=0, **settings
    )


def by_grid(module: Any) -> Found:
    grid = {"learning_rate_init": RATES, "alpha": ALPHAS}
    rungs = {"min_resources": LEAST, "max_resources": MOST, "factor": FACTOR}
    options: dict[str, Any] = {"resource": "max_iter", "cv": [(ROWS, HELD_OUT)], "refit": False}
    search = HalvingGridSearchCV(estimator(module), grid, **rungs, **options).fit(DATA.X, LABELS)
    epochs_trained = sum(
        n * r for n, r in zip(search.n_candidates_, search.n_resources_, strict=True)
    )

    def alone() -> float:
        fitted = estimator(module, **search.best_params_).fit(DATA.X[ROWS], LABELS[ROWS])
        return fitted.score(DATA.X[HELD_OUT], LABELS[HELD_OUT])

    return Found(epochs_trained, search.best_score_, search.best_params_, alone)


SEARCHES: dict[str, Callable[[], Found]] = {
    "`HalvingGridSearchCV`, scikit-learn's `MLPClassifier`": lambda: by_grid(theirs),
    "`HalvingGridSearchCV`, fastnn's `MLPClassifier`": lambda: by_grid(fastnn),
    "`fastnn.search`, successive halving": lambda: search(GRID, budget=162, epochs=MOST),
    "`fastnn.search`, Hyperband": lambda: search(DRAWN, budget=357, epochs=27, method="hyperband"),
    "population-based training": by_population,
}


def wrong(found: dict[str, Found]) -> list[str]:
    """The searches whose winner is not what it is when it is trained alone, or is no good
    classifier.
    """
    return [name for name, one in found.items() if one.score < 0.95 or one.alone() != one.score]


def main() -> int:
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        found = {name: search() for name, search in SEARCHES.items()}
        if names := wrong(found):
            print(f"Other answers than alone, so nothing was timed: {'; '.join(names)}")
            return 1
        timings = interleaved(SEARCHES, rounds=ROUNDS)
    rows = [
        [name, str(n), f"{median(timings[name]):.3g}", f"{score:.4f}"]
        for name, (n, score, *_) in found.items()
    ]
    print(markdown(["search", "epochs trained", "seconds", "best accuracy"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
