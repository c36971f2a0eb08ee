"""Compare ensembles with their members on scikit-learn's tables; report how often intervals hold the truth.

python -m benchmarks.ensembles
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier, MLPEnsembleClassifier, MLPEnsembleRegressor, MLPRegressor

N_MEMBERS = 10
REPEATS = 5
SAMPLINGS = ("seeds", "bootstrap", "folds")
EARLY = {"max_iter": 300, "early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 20}
CLASSIFIER = MLPClassifier((32,), learning_rate_init=0.01, **EARLY)
REGRESSOR = MLPRegressor(hidden_layer_sizes=(32,), learning_rate_init=0.01, **EARLY)


def friedman(return_X_y: bool) -> Any:
    """Return Friedman's first table (Annals of Statistics 19, 1991), with noise."""
    return make_friedman1(n_samples=600, noise=1.0, random_state=0)


TABLES = {
    "iris": (load_iris, CLASSIFIER),
    "wine": (load_wine, CLASSIFIER),
    "breast cancer": (load_breast_cancer, CLASSIFIER),
    "digits": (load_digits, CLASSIFIER),
    "diabetes": (load_diabetes, REGRESSOR),
    "friedman": (friedman, REGRESSOR),
}


def split(X: Any, y: Any, seed: int) -> list[Any]:
    """Return rows to fit, to validate and to test on, scaled by the first."""
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=seed)
    X, X_val, y, y_val = train_test_split(X, y, test_size=0.2, random_state=seed)
    scaler = StandardScaler().fit(X)
    return [scaler.transform(X), scaler.transform(X_val), scaler.transform(X_test), y, y_val, y_test]


def scores(name: str, sampling: str) -> np.ndarray:
    """Return test scores of the mean member, the best on validation, the ensemble, and the coverage (repeats, 4)."""
    load, model = TABLES[name]
    found = []
    for seed in range(REPEATS):
        X, X_val, X_test, y, y_val, y_test = split(*load(return_X_y=True), seed)
        if isinstance(model, MLPRegressor):
            mean, deviation = y.mean(), y.std()
            y, y_val, y_test = ((part - mean) / deviation for part in (y, y_val, y_test))
        regression = isinstance(model, MLPRegressor)
        kind, score = (MLPEnsembleRegressor, r2_score) if regression else (MLPEnsembleClassifier, accuracy_score)
        ensemble = kind(model, N_MEMBERS, sampling=sampling, random_state=seed).fit(X, y)
        members = [score(y_test, member.predict(X_test)) for member in ensemble.estimators_]
        best = np.argmax([score(y_val, member.predict(X_val)) for member in ensemble.estimators_])
        coverage = np.nan
        if regression:
            # The members' spread, and the noise that is left on rows that were not fitted to.
            residual = np.sqrt(np.mean((y_val - ensemble.predict(X_val)) ** 2))
            predicted, spread = ensemble.predict(X_test, return_std=True)
            inside = np.abs(y_test - predicted) <= 1.96 * np.sqrt(spread**2 + residual**2)
            coverage = inside.mean()
        found.append([np.mean(members), members[best], score(y_test, ensemble.predict(X_test)), coverage])
    return np.array(found)


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"| table | sampling | mean member | best on validation | ensemble of {N_MEMBERS} | 95 % intervals hold |")
    print("|---|---|---|---|---|---|")
    means = []
    for name in TABLES:
        for sampling in SAMPLINGS:
            member, best, ensemble, coverage = scores(name, sampling).mean(axis=0)
            means.append([member, best, ensemble])
            held = "" if np.isnan(coverage) else f"{100 * coverage:.0f} %"
            print(f"| {name} | {sampling} | {member:.3f} | {best:.3f} | {ensemble:.3f} | {held} |")
    member, best, ensemble = np.mean(means, axis=0)
    print(f"| mean | | {member:.3f} | {best:.3f} | {ensemble:.3f} | |")


if __name__ == "__main__":
    main()
