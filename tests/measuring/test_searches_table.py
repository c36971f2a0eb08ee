"""The table of searches: a winner that is not what it is alone, or no good classifier, is told."""

import pathlib
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

from benchmarks import searches  # noqa: E402


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_winners_are_compared_with_what_they_are_alone():
    found = {name: search() for name, search in list(searches.SEARCHES.items())[1:]}
    found = {"not run": found["`HalvingGridSearchCV`, fastnn's `MLPClassifier`"], **found}
    assert set(searches.wrong(found)) <= {"not run"}  # the settings of ours, fitted by scikit-learn's
    halved = found["successive halving of a `Population`"]
    wrong = halved.winner.params.copy()
    wrong[3] = np.nextafter(wrong[3], 1)
    object.__setattr__(halved.winner, "params", wrong)
    found["Hyperband"] = found["Hyperband"]._replace(score=0.5)
    assert {"successive halving of a `Population`", "Hyperband"} <= set(searches.wrong(found))
