"""Intervals and probabilities of tables' estimators, on rows outside of `fit`: ``python -m
benchmarks.calibration``.

``intervals``: coverage and width of intervals that are to cover nine rows of ten, of both presets
and of two models of LightGBM, of the quantiles 0.05 and 0.95; means of 20 splits.
``probabilities``: the log loss and the expected calibration error of the tables of classes, in 15
equal bins; means of three splits. The floor is the error that such probabilities would show if each
were right, because bins of few rows are never even: `DRAWS` draws of the classes. ``few``:
`oob_score_` and coverage of tables of few rows, noise and signal, means of `FEW_TABLES` drawn
tables. The truth of an `oob_score_` is the score, on fresh rows, of as many members as a row left
out has: one.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd

from benchmarks.readme import print_parts
from benchmarks.tables.data import CLASSES, NUMBERS, TABLES
from benchmarks.tables.measure import losses
from benchmarks.tables.methods import lightgbm_model
from fastnn import TabularClassifier, TabularRegressor
from fastnn.measuring.timing import markdown
from fastnn.tabular.members import mean_outputs

SPLITS = 20
NAMES = ("laser", "wankara", "airfoil", "winequality_white")
BINS = 15
DRAWS = 50
QUANTILES = (0.05, 0.95)
PRESETS = ("fast", "good")
FEW_TABLES = 400
FEW_ROWS = (12, 20, 40, 60, 100, 300)
FRESH_ROWS = 2_000


def uneven(k: int) -> tuple[list, np.ndarray]:
    """2,000 rows to fit and 5,000 to test, whose noise grows from 0.1 to 1 with a column, and the
    noise of these.
    """
    n = 2_000
    random = np.random.default_rng(k)
    X = random.uniform(-2, 2, (n + 5_000, 5))
    noise = 0.1 + 0.9 * (X[:, 3] + 2) / 4
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + noise * random.normal(size=len(X))
    frame = pd.DataFrame(X).rename(columns=str)
    return [frame[:n], frame[n:], y[:n], y[n:]], noise[n:]


def interval(
    method: str, k: int, X: pd.DataFrame, y: np.ndarray, X_test: pd.DataFrame
) -> tuple[np.ndarray, ...]:
    """The low and the high ends (n,) of a method's intervals."""
    if method in PRESETS:
        return tuple(
            TabularRegressor(method, random_state=k, n_jobs=1)
            .fit(X, y)
            .predict_interval(X_test, 0.9)
            .T
        )
    models = [lightgbm_model(NUMBERS, k, objective="quantile", alpha=alpha) for alpha in QUANTILES]
    return tuple(model.fit(X, y).predict(X_test) for model in models)


def intervals() -> str:
    """Coverages and widths, and for the drawn rows the coverage of each third of the noise."""
    methods = (*PRESETS, "LightGBM")
    rows = []
    for name in (*NAMES, "drawn rows"):
        found = np.full((SPLITS, len(methods), 5), np.nan)
        for k in range(SPLITS):
            (X, X_test, y, y_test), noise = (
                uneven(k) if name not in TABLES else (TABLES[name].split(k), None)
            )
            for i, method in enumerate(methods):
                low, high = interval(method, k, X, y, X_test)
                covers = (low <= y_test) & (y_test <= high)
                found[k, i, :2] = covers.mean(), (high - low).mean() / y_test.std()
                if noise is not None:
                    found[k, i, 2:] = [
                        covers[third].mean() for third in np.array_split(np.argsort(noise), 3)
                    ]
        means = found.mean(axis=0)
        rows.append(
            [
                name,
                *(
                    f"{value:.{2 + (j == 0)}f}"
                    for cells in means
                    for j, value in enumerate(cells[:2])
                ),
            ]
        )
        if name not in TABLES:
            for j, third in enumerate(("little", "middling", "much")):
                rows.append(
                    [
                        f"of {third} noise",
                        *(c for cells in means for c in (f"{cells[2 + j]:.3f}", "")),
                    ]
                )
    return markdown(
        ["table", *(head for name in methods for head in (f"coverage, {name}", "width"))], rows
    )


def calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """The expected calibration error of probabilities (n, k) for classes (n,), numbers."""
    sure = p.max(axis=1)
    right = p.argmax(axis=1) == y
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = [place == i for i in range(BINS)]
    return sum(
        abs(right[here].mean() - sure[here].mean()) * here.mean() for here in bins if here.any()
    )


def floor_of(p: np.ndarray) -> float:
    """The calibration error of these probabilities if they were right."""
    random = np.random.RandomState(0)
    drawn = [(p.cumsum(axis=1) > random.rand(len(p), 1)).argmax(axis=1) for _ in range(DRAWS)]
    return float(np.mean([calibration_error(p, y) for y in drawn]))


def probabilities() -> str:
    """Log loss beside LightGBM's, calibration error and its floor, of each table and in the
    mean.
    """
    names = [name for name, table in TABLES.items() if table.kind == CLASSES]
    found = np.empty(
        (len(names), 3, 3, 3)
    )  # tables, splits, methods; log loss, calibration error, floor
    for i, name in enumerate(names):
        for k in range(3):
            X, X_test, y, y_test = TABLES[name].split(k)
            classes, number = np.unique(y, return_inverse=True)
            truth = np.array(
                [
                    np.flatnonzero(classes == label)[0] if label in classes else -1
                    for label in y_test
                ]
            )
            makes = [TabularClassifier(preset, random_state=k, n_jobs=1) for preset in PRESETS]
            for j, model in enumerate([*makes, lightgbm_model(CLASSES, k)]):
                p = np.asarray(model.fit(X, number).predict_proba(X_test), float)
                found[i, k, j] = (
                    losses(p, y_test, classes)["log_loss"],
                    calibration_error(p, truth),
                    floor_of(p),
                )
    means = found.mean(axis=1)
    better = [
        f"{(means[:, j, 0] <= means[:, 2, 0]).sum()} of {len(names)} at most LightGBM's"
        for j in range(2)
    ]
    lost = [[f"{loss:.4f}" for loss in of[:, 0]] for of in means] + [[*better, ""]]
    errors = [
        [f"{error:.4f} ({floor:.4f})" for _, error, floor in of[:2]]
        for of in (*means, means.mean(axis=0))
    ]
    rows = [[name, *a, *b] for name, a, b in zip([*names, "all"], lost, errors, strict=True)]
    heads = [f"log loss, {name}" for name in (*PRESETS, "LightGBM")]
    return markdown(
        ["table", *heads, *(f"calibration error, {name} (floor)" for name in PRESETS)], rows
    )


def few_rows(n: int, k: int, has_signal: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit, `n` of them, and fresh ones: five numbers, two of which tell of the target, or
    none.
    """
    random = np.random.RandomState(k)
    X = random.randn(n + FRESH_ROWS, 5)
    signal = 2 * X[:, 0] + np.sin(2 * X[:, 1]) if has_signal else 0.0
    return X, signal + random.randn(len(X))


def coverage(model: TabularRegressor, X: np.ndarray, y: np.ndarray, probability: float) -> float:
    """The coverage of intervals; NaN where the model refuses."""
    try:
        low, high = model.predict_interval(X, probability).T
    except ValueError:
        return np.nan
    return float(((low <= y) & (y <= high)).mean())


def judged(preset: str, kind: str, n: int, k: int, has_signal: bool) -> list[float]:
    """`oob_score_`, its truth, the ensemble's score, and the coverage of intervals of 0.8 and
    0.9.
    """
    X, y = few_rows(n, k, has_signal)
    X_fresh = X[n:]
    y_fresh = y[n:]
    X = X[:n]
    y = y[:n]
    if kind == CLASSES:
        model = TabularClassifier(preset, random_state=k, n_jobs=1).fit(X, y > 0)
        y_fresh = y_fresh > 0
    else:
        model = TabularRegressor(preset, random_state=k, n_jobs=1).fit(X, y)
    inputs = model._inputs(X_fresh)
    scores = []
    for members in [[member] for member in model.estimators_] + [model.estimators_]:
        outputs = mean_outputs(members, inputs)
        if kind == CLASSES:
            scores.append(float((model.classes_[outputs.argmax(axis=1)] == y_fresh).mean()))
        else:
            predicted = model._shaped(model._unscaled(outputs))
            residual = ((predicted - y_fresh) ** 2).mean()
            scores.append(float(1 - residual / y_fresh.var()))
    if kind == CLASSES:
        covered = [np.nan, np.nan]
    else:
        covered = [coverage(model, X_fresh, y_fresh, p) for p in (0.8, 0.9)]
    return [model.oob_score_, np.mean(scores[:-1]), scores[-1], *covered]


def few() -> str:
    """Left-out scores beside their truth and the ensemble's score, and coverages, for each size of
    a table.
    """
    rows = []
    for preset in PRESETS:
        for kind, score in ((NUMBERS, "R2"), (CLASSES, "accuracy")):
            for has_signal in (False, True):
                for n in FEW_ROWS:
                    means = np.mean(
                        [judged(preset, kind, n, k, has_signal) for k in range(FEW_TABLES)], axis=0
                    )
                    name = f"{preset}, {score}, {'signal' if has_signal else 'noise'}"
                    rows.append(
                        [name, str(n), *("" if np.isnan(mean) else f"{mean:.3f}" for mean in means)]
                    )
    heads = [
        "preset, score, table",
        "rows",
        "`oob_score_`",
        "its truth",
        "ensemble",
        "coverage of 0.8",
        "of 0.9",
    ]
    return markdown(heads, rows)


if __name__ == "__main__":
    print_parts(__doc__, intervals=intervals, probabilities=probabilities, few=few)
