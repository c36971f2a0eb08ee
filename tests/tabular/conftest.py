"""Without scikit-learn there are no estimators of tables."""

import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn")
