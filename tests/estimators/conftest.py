"""The tests of estimators need scikit-learn; their fits are short, or diverge, and say so."""

import importlib.util
import pathlib

import pytest

import fastnn

collect_ignore_glob = [] if importlib.util.find_spec("sklearn") else ["*"]
UNCONVERGED = "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:overflow:RuntimeWarning"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == pathlib.Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings(*UNCONVERGED))


@pytest.fixture(params=["MLPClassifier", "MLPRegressor"])
def kind(request):
    """A class of estimators."""
    return getattr(fastnn, request.param)
