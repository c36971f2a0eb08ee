"""TabularClassifier and TabularRegressor, estimators that learn well from tables as they are."""

from fastnn.checking.hints import missing_package

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise missing_package("scikit-learn", "the estimators of tables need") from error

from fastnn.tabular.classifier import TabularClassifier
from fastnn.tabular.preparation import TablePreparation
from fastnn.tabular.regressor import TabularRegressor

__all__ = ["TablePreparation", "TabularClassifier", "TabularRegressor"]
