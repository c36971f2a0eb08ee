"""What the conformance suite compares with is computed once: the reference's trainings, for all
back ends."""

import pickle

import pytest

from fastnn.testing import trainings

_known = {}


@pytest.fixture(autouse=True)
def _reference_trained_once(monkeypatch, right=trainings.growth_bound):
    def growth_bound(*given, **options):
        try:
            key = pickle.dumps((given, options))
        # a learning rate that is a function of the test
        except (pickle.PicklingError, AttributeError):
            return right(*given, **options)
        return _known[key] if key in _known else _known.setdefault(key, right(*given, **options))

    monkeypatch.setattr(trainings, "growth_bound", growth_bound)
