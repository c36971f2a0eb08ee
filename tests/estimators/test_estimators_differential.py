"""The same seed gives the same result as scikit-learn: random settings, both libraries held against each other."""

import hypothesis
import numpy as np
import pytest
from estimator_cases import TOLERANCE, cases, compare


@hypothesis.settings(max_examples=75)
@hypothesis.given(cases())
def test_same_seed_same_result(case):
    compare(case)


@hypothesis.settings(max_examples=25)
@hypothesis.given(cases())
def test_same_result_with_the_reference(case):
    compare(case, backend="numpy")


@pytest.mark.slow
def test_many_settings(capsys):
    deviations, tried = [], 0

    @hypothesis.settings(max_examples=2000, phases=[hypothesis.Phase.generate])
    @hypothesis.given(cases())
    def try_one(case):
        nonlocal tried
        tried += 1
        apart = compare(case)
        if apart is not None:
            deviations.append(apart)

    try_one()
    with capsys.disabled():
        worst, usual = np.max(deviations), np.median(deviations)
        above = sum(apart >= TOLERANCE for apart in deviations)
        print(f"\n{tried} settings, {len(deviations)} models: weights apart by {usual:.1e}, at most {worst:.1e};")  # noqa: T201
        print(f"{above} above {TOLERANCE:.0e}, where scikit-learn does not reproduce itself to it either")  # noqa: T201
