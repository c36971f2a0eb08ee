"""MLPClassifier and MLPRegressor, scikit-learn's estimators on fastnn's back ends."""

from fastnn.checking.hints import missing_package

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise missing_package("scikit-learn", "the estimators need") from error

from fastnn.estimators.classifier import MLPClassifier
from fastnn.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
