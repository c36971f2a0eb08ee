"""Fits end as they did when they were recorded, to the bit: decisions, curves, weights, text, the generator."""

import json

import pytest
from recorded_fits import FITS, RECORDS, record

RECORDED = json.loads(RECORDS.read_text())


@pytest.mark.parametrize("name", FITS)
def test_a_fit_ends_as_it_did(name):
    if FITS[name][2].get("callbacks"):
        pytest.importorskip("sklearn.callback", reason="needs scikit-learn 1.9")
    assert record(name) == RECORDED[name]
