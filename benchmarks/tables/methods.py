"""The methods: the presets of fastnn, and others by their defaults. Each on one thread.

A method fits a table, and returns the function that predicts: probabilities of the classes 0, 1, ... in the order of
their numbers, or numbers. Its preparation of the table is a part of both. A library is imported when it first fits.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.tables.data import CLASSES, NUMBERS

Predict = Callable[[Any], np.ndarray]


def predictor(model: Any, kind: str, **options: Any) -> Predict:
    """Return the function of a fitted estimator that predicts."""
    return functools.partial(model.predict_proba if kind == CLASSES else model.predict, **options)


def by_preset(kind: str, X: Any, y: Any, seed: int, preset: str, n_jobs: int = 1) -> Predict:
    from fastnn import TabularClassifier, TabularRegressor

    estimator = TabularClassifier if kind == CLASSES else TabularRegressor
    return predictor(estimator(preset, n_jobs=n_jobs, random_state=seed).fit(X, y), kind)


def by_mlp(kind: str, X: Any, y: Any, seed: int) -> Predict:
    """scikit-learn's network: numbers filled by their means and standardized, words one-hot, targets as they are."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number")),
            ("words", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
        ],
        sparse_threshold=0,
    )
    network = (MLPClassifier if kind == CLASSES else MLPRegressor)(random_state=seed)
    return predictor(make_pipeline(columns, network).fit(X, y), kind)


def by_hist(kind: str, X: Any, y: Any, seed: int) -> Predict:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    estimator = HistGradientBoostingClassifier if kind == CLASSES else HistGradientBoostingRegressor
    return predictor(estimator(categorical_features="from_dtype", random_state=seed).fit(X, y), kind)


def by_lightgbm(kind: str, X: Any, y: Any, seed: int, **settings: Any) -> Predict:
    return predictor(lightgbm_model(kind, seed, **settings).fit(X, y), kind)


def lightgbm_model(kind: str, seed: int, **settings: Any) -> Any:
    """An estimator of LightGBM that is not fitted."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    estimator = LGBMClassifier if kind == CLASSES else LGBMRegressor
    return estimator(n_jobs=1, verbose=-1, random_state=seed, **settings)


def by_xgboost(kind: str, X: Any, y: Any, seed: int) -> Predict:
    from xgboost import XGBClassifier, XGBRegressor

    estimator = XGBClassifier if kind == CLASSES else XGBRegressor
    return predictor(estimator(n_jobs=1, enable_categorical=True, random_state=seed).fit(X, y), kind)


def by_catboost(kind: str, X: Any, y: Any, seed: int) -> Predict:
    from catboost import CatBoostClassifier, CatBoostRegressor

    words = list(X.select_dtypes("category"))
    quiet = {"verbose": False, "allow_writing_files": False}
    estimator = CatBoostClassifier if kind == CLASSES else CatBoostRegressor
    model = estimator(thread_count=1, cat_features=words, random_seed=seed, **quiet).fit(X, y)
    return predictor(model, kind, thread_count=1)


def by_realmlp(kind: str, X: Any, y: Any, seed: int) -> Predict:
    """RealMLP-TD-S, which takes no gaps: they are filled by the columns' means."""
    from pytabkit import RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor

    means = X.select_dtypes("number").mean()
    estimator = RealMLP_TD_S_Classifier if kind == CLASSES else RealMLP_TD_S_Regressor
    model = estimator(device="cpu", n_threads=1, random_state=seed, verbosity=0).fit(X.fillna(means), y)
    predict = predictor(model, kind)
    return lambda X: predict(X.fillna(means))


N_SETTINGS, MOST_TREES, PATIENCE = 10, 2000, 50


def lightgbm_settings() -> list[dict[str, Any]]:
    """Return the settings that are tried on every table: the defaults, and drawn ones."""
    r = np.random.default_rng(0)
    drawn = [
        {
            "learning_rate": float(np.exp(r.uniform(np.log(0.01), np.log(0.2)))),
            "num_leaves": int(r.integers(7, 128)),
            "min_child_samples": int(r.integers(2, 61)),
            "colsample_bytree": float(r.uniform(0.5, 1)),
            "subsample": float(r.uniform(0.5, 1)),
            "subsample_freq": 1,
            "reg_lambda": float(np.exp(r.uniform(np.log(1e-3), np.log(10)))),
        }
        for _ in range(N_SETTINGS - 1)
    ]
    return [{}, *drawn]


def by_tuned_lightgbm(kind: str, X: Any, y: Any, seed: int) -> Predict:
    """LightGBM with the best of ten settings, by a fifth of the rows that also ends it; then fitted to all rows."""
    from lightgbm import early_stopping

    X_fit, X_val, y_fit, y_val = train_test_split(X, y, test_size=0.2, random_state=seed)
    known = np.isin(y_val, y_fit) if kind == CLASSES else np.ones(len(y_val), bool)
    found = []
    for settings in lightgbm_settings():
        model = lightgbm_model(kind, seed, n_estimators=MOST_TREES, **settings)
        validation = {"eval_X": X_val[known], "eval_y": y_val[known]}
        model.fit(X_fit, y_fit, **validation, callbacks=[early_stopping(PATIENCE, verbose=False)])
        (loss,) = model.best_score_["valid_0"].values()
        found.append((loss, settings | {"n_estimators": model.best_iteration_}))
    _, best = min(found, key=lambda pair: pair[0])
    return by_lightgbm(kind, X, y, seed, **best)


class Method(NamedTuple):
    """A method by its name in tables."""

    title: str
    package: str  # the name to import
    fit: Callable[..., Predict]  # of the kind, the columns, the classes or numbers, and a seed
    is_slow: bool = False  # whether it is measured only when it is asked for


METHODS = {
    "fast": Method("`fast`", "fastnn", functools.partial(by_preset, preset="fast")),
    "good": Method("`good`", "fastnn", functools.partial(by_preset, preset="good")),
    "best": Method("`best`", "fastnn", functools.partial(by_preset, preset="best")),
    "mlp": Method("scikit-learn's MLP", "sklearn", by_mlp),
    "hist": Method("HistGradientBoosting", "sklearn", by_hist),
    "lightgbm": Method("LightGBM", "lightgbm", by_lightgbm),
    "xgboost": Method("XGBoost", "xgboost", by_xgboost),
    "catboost": Method("CatBoost", "catboost", by_catboost),
    "tuned": Method("LightGBM, tuned", "lightgbm", by_tuned_lightgbm, is_slow=True),
    "realmlp": Method("RealMLP-TD-S", "pytabkit", by_realmlp, is_slow=True),
}
OURS = ("fast", "good", "best")
BASELINE = "lightgbm"
"""What others are compared with."""


def missing(name: str) -> str:
    """Return why a method cannot be measured here, or ""."""
    package = METHODS[name].package
    return "" if importlib.util.find_spec(package) else f"{package} is not installed"


@functools.cache
def warm_up(name: str) -> None:
    """Fit a tiny table of each kind, so that what is imported, compiled or loaded once is."""
    import pandas as pd

    X = pd.DataFrame({"number": np.arange(60.0) % 7, "word": pd.Categorical(["a", "b", "c"] * 20)})
    X.loc[X.index % 11 == 0, "number"] = np.nan
    for kind, y in ((CLASSES, np.arange(60) % 2), (NUMBERS, np.arange(60.0))):
        METHODS[name].fit(kind, X, y, 0)(X)
