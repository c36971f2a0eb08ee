"""Without scikit-learn there are no estimators of tables; most tests try both."""

import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn")


@pytest.fixture(params=["classifier", "regressor"])
def kind(request):
    return request.param
