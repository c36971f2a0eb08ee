"""Small tables with words, gaps and numbers, and short forms of the estimators of tables."""

import numpy as np
import pandas as pd
import pytest

import fastnn

ignores_new_gaps = pytest.mark.filterwarnings("ignore:X has gaps in columns that had no gap in fit")
ignores_new_words = pytest.mark.filterwarnings("ignore:X has words that fit did not see")
ignores_far = pytest.mark.filterwarnings("ignore:X has numbers far from those of fit")

SHORT = {"epochs": 4, "n_jobs": 1, "random_state": 0}  # with which a fit takes some 10 ms


def mixed(n=60, seed=0):
    """A frame of all kinds of columns, labels and numbers of its rows."""
    rs = np.random.RandomState(seed)
    frame = pd.DataFrame(
        {
            "size": rs.randn(n),
            "count": rs.randint(0, 9, n),
            "color": rs.choice(["red", "blue", "green"], n),
            "grade": pd.Categorical(rs.choice([1, 2, 3], n)),
            "new": rs.rand(n) < 0.5,
            "age": pd.array(rs.randint(0, 90, n), dtype="Int64"),
            "always": 1.0,
        }
    )
    y = frame["size"] * (frame["color"] == "red") + 0.1 * frame["count"]
    frame.loc[rs.rand(n) < 0.2, "size"] = np.nan
    frame.loc[rs.rand(n) < 0.2, "color"] = None
    frame.loc[rs.rand(n) < 0.2, "age"] = pd.NA
    return frame, np.where(y > 0.4, "high", "low"), y.to_numpy()


FRAME, LABELS, NUMBERS = mixed()
TARGETS = {"classifier": LABELS, "regressor": NUMBERS}


def unfitted(kind, **options):
    """A classifier or a regressor whose fit is short."""
    kinds = {"classifier": fastnn.TabularClassifier, "regressor": fastnn.TabularRegressor}
    return kinds[kind](**{"preset": "fast"} | SHORT | options)


def fit(kind, X=FRAME, y=None, **options):
    """The same, fitted to a table and targets, those of `mixed` if none are given."""
    return unfitted(kind, **options).fit(X, TARGETS[kind] if y is None else y)


def outputs(model, X=FRAME):
    """Probabilities or numbers."""
    return model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)
