"""MLPClassifier and MLPRegressor: scikit-learn's estimators by the same name, on fastnn's back ends."""

from __future__ import annotations

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("MLPClassifier and MLPRegressor need scikit-learn: pip install 'fastnn[sklearn]'") from error

from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
