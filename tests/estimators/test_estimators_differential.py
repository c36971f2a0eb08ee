"""The same seed gives the same result as scikit-learn, in settings drawn at random, and as in recorded fits."""

import json

import hypothesis
import pytest
from estimator_cases import cases, compare
from recorded_fits import FITS, RECORDS, record

DRAWN = [(75, {}), (25, {"backend": "numpy"}), pytest.param(2000, {}, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("n", "more"), DRAWN, ids=str)
def test_same_seed_same_result(n, more):
    @hypothesis.settings(max_examples=n)
    @hypothesis.given(cases())
    def compare_both(case):
        compare(case, **more)

    compare_both()


RECORDED = json.loads(RECORDS.read_text())


@pytest.mark.parametrize("name", FITS)
def test_a_fit_ends_as_it_did(name):
    if FITS[name][2].get("callbacks"):
        pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    assert record(name) == RECORDED[name]
