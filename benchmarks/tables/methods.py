"""The methods: the presets of fastnn, and others by their defaults. Each on one thread.

A method fits a table, and returns the function that predicts: probabilities of the classes 0, 1,
... in the order of their numbers, or numbers. Its preparation of the table is a part of both. A
library is imported when it first fits.
"""

import functools
import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.tables.data import CLASSES, NUMBERS

Predict = Callable[[Any], np.ndarray]


def made(name: str, kind: str, *arguments: Any, **options: Any) -> Any:
    """Return an estimator by its class, such as "xgboost.XGB", to which its kind is added."""
    module, _, begin = name.rpartition(".")
    return getattr(importlib.import_module(module), begin + ENDS[kind])(*arguments, **options)


ENDS = {CLASSES: "Classifier", NUMBERS: "Regressor"}
HIST = "sklearn.ensemble.HistGradientBoosting"
ON_ONE_THREAD: dict[str, dict[str, Any]] = {
    "lightgbm.LGBM": {"n_jobs": 1, "verbose": -1},
    "xgboost.XGB": {"n_jobs": 1, "enable_categorical": True},
    HIST: {"categorical_features": "from_dtype"},
}
"""{class of an estimator that takes gaps and words as they are: its options}"""


def predictor(model: Any, kind: str, **options: Any) -> Predict:
    return functools.partial(model.predict_proba if kind == CLASSES else model.predict, **options)


def by_preset(
    kind: str, X: Any, y: Any, seed: int, preset: str, n_jobs: int = 1, **options: Any
) -> Predict:
    model = made("fastnn.Tabular", kind, preset, n_jobs=n_jobs, random_state=seed, **options)
    return predictor(model.fit(X, y), kind)


def by_trees(kind: str, X: Any, y: Any, seed: int, name: str) -> Predict:
    return predictor(trees(name, kind, seed).fit(X, y), kind)


def trees(name: str, kind: str, seed: int, **settings: Any) -> Any:
    return made(name, kind, random_state=seed, **ON_ONE_THREAD[name] | settings)


lightgbm_model = functools.partial(trees, "lightgbm.LGBM")


def by_mlp(kind: str, X: Any, y: Any, seed: int) -> Predict:
    """scikit-learn's network: numbers filled by their means and standardized, words one-hot,
    targets as they are.
    """
    numbers, words = (make_column_selector(dtype_include=dtype) for dtype in ("number", "category"))
    fill = make_pipeline(SimpleImputer(), StandardScaler())
    encode = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((fill, numbers), (encode, words), sparse_threshold=0)
    network = made("sklearn.neural_network.MLP", kind, random_state=seed)
    return predictor(make_pipeline(columns, network).fit(X, y), kind)


CATBOOST_SECONDS = 10.0
"""Of the processor, after which CatBoost adds no more trees: its usual thousand take minutes on
some tables.
"""


class Limit:
    """CatBoost's callback that ends a fit after so many seconds of the processor."""

    def __init__(self, seconds: float) -> None:
        self._end = time.process_time() + seconds
        self.is_over = False

    def after_iteration(self, _: Any) -> bool:
        """Return whether a fit goes on."""
        self.is_over = time.process_time() > self._end
        return not self.is_over


def by_catboost(kind: str, X: Any, y: Any, seed: int) -> Predict:
    """CatBoost, which is cut off after `CATBOOST_SECONDS`: the function that predicts then has
    `is_cut_off`.
    """
    quiet = {"verbose": False, "allow_writing_files": False}
    limit = Limit(CATBOOST_SECONDS)
    words = list(X.select_dtypes("category"))

    def named(X: Any) -> Any:
        """Return the table with a word in place of each gap, of which CatBoost takes none."""
        texts = {word: X[word].astype(object).where(X[word].notna(), "missing") for word in words}
        return X.assign(**texts)

    model = made(
        "catboost.CatBoost", kind, thread_count=1, cat_features=words, random_seed=seed, **quiet
    )
    of_named = predictor(model.fit(named(X), y, callbacks=[limit]), kind, thread_count=1)

    def predict(X: Any) -> np.ndarray:
        return of_named(named(X))

    predict.is_cut_off = limit.is_over  # type: ignore[attr-defined]
    return predict


def by_realmlp(kind: str, X: Any, y: Any, seed: int) -> Predict:
    """RealMLP-TD-S, which takes no gaps: they are filled by the columns' means."""
    means = X.select_dtypes("number").mean()
    model = made(
        "pytabkit.RealMLP_TD_S_", kind, device="cpu", n_threads=1, random_state=seed, verbosity=0
    )
    predict = predictor(model.fit(X.fillna(means), y), kind)
    return lambda X: predict(X.fillna(means))


class Method(NamedTuple):
    title: str
    package: str  # the name to import
    fit: Callable[..., Predict]  # of the kind, the columns, the classes or numbers, and a seed


BEST = "best"
OURS = ("fast", "good", BEST)
FLOOR = "floor"
"""The preparation and one epoch: the seconds that no schedule of `fast` can fall below."""
METHODS = {
    **{
        name: Method(f"`{name}`", "fastnn", functools.partial(by_preset, preset=name))
        for name in OURS
    },
    FLOOR: Method(
        "`fast`, of one epoch", "fastnn", functools.partial(by_preset, preset="fast", epochs=1)
    ),
    "mlp": Method("scikit-learn's MLP", "sklearn", by_mlp),
    "hist": Method("HistGradientBoosting", "sklearn", functools.partial(by_trees, name=HIST)),
    "lightgbm": Method("LightGBM", "lightgbm", functools.partial(by_trees, name="lightgbm.LGBM")),
    "xgboost": Method("XGBoost", "xgboost", functools.partial(by_trees, name="xgboost.XGB")),
    "catboost": Method("CatBoost", "catboost", by_catboost),
    "realmlp": Method("RealMLP-TD-S", "pytabkit", by_realmlp),
}
BASELINE = "lightgbm"  # What others are compared with


def missing(name: str) -> str:
    package = METHODS[name].package
    return "" if importlib.util.find_spec(package) else f"{package} is not installed"


@functools.cache
def warm_up(name: str) -> None:
    """Fit a tiny table of each kind, so that later fits import, compile and load nothing."""
    import pandas as pd

    X = pd.DataFrame({"number": np.arange(60.0) % 7, "word": pd.Categorical(["a", "b", "c"] * 20)})
    X.loc[X.index % 11 == 0, "number"] = np.nan
    for kind, y in ((CLASSES, np.arange(60) % 2), (NUMBERS, np.arange(60.0))):
        METHODS[name].fit(kind, X, y, 0)(X)
