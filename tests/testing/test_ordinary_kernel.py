"""The conformance suite proves something about an ordinary kernel of somebody else's, or says that
it does not."""

import pathlib
from collections import Counter

import pytest
from ordinary import BROKEN, Ordinary, only

from fastnn.testing import check_backend, conformance_checks

DTYPES = ("float32", "float64")
NUMERIC = ("gradient", "update", "training")


def passed_by_kind(report):
    return Counter(outcome.check.kind for outcome in report.outcomes if outcome.verdict == "passed")


NARROW = [
    {"sizes": 2, "loss": "log_loss"},
    {"sizes": 4, "activation": "silu", "bias": "none", "reduction": "sum"},
    {"outputs": 1, "loss": "absolute_error", "by": "RPROP"},
    {"loss": "poisson", "activation": "elu", "by": "Adam", "constant": True},
    {"bias": "scalar", "output": "softmax", "loss": "huber", "alpha": 0.0},
]
CASES = [*((None, dtype) for dtype in DTYPES), *((wanted, "float64") for wanted in NARROW)]


@pytest.mark.parametrize(("wanted", "dtype"), CASES, ids=str)
def test_each_kind_of_check_runs_on_an_ordinary_kernel(wanted, dtype):
    """And on a back end that supports little."""
    report = check_backend(only(**wanted) if wanted else Ordinary(), dtypes=[dtype])
    counts = passed_by_kind(report)
    assert all(counts[kind] >= 3 for kind in NUMERIC), counts
    assert (
        f"passed: {counts['property']} property, {counts['gradient']} gradient" in report.summary()
    )


IN_ONE = [(bug, [DTYPES[i % 2]]) for i, bug in enumerate(BROKEN)]
IN_BOTH = [pytest.param(bug, DTYPES, marks=pytest.mark.slow) for bug in BROKEN]


@pytest.mark.parametrize(("bug", "dtypes"), [*IN_ONE, *IN_BOTH], ids=str)
def test_a_broken_ordinary_kernel_fails_by_the_name_of_its_kind(bug, dtypes):
    make, kinds = BROKEN[bug]
    report = check_backend(make(), dtypes=dtypes, raises=False)
    failed = {outcome.check.kind for outcome in report.failed}
    assert failed - {"property"} == set(kinds.split())
    assert all("\nin Network((" in o.message for o in report.failed if o.check.kind in kinds)
    assert set(passed_by_kind(report)) >= set(NUMERIC) - failed
    for kind in kinds.split():
        assert f"\n{kind}: " in report.summary()


def test_a_back_end_need_not_be_hashable():
    class Unhashable(Ordinary):
        __hash__ = None

    assert check_backend(Unhashable(), dtypes=["float64"]).count("passed") == 30


def test_the_back_end_of_the_example_passes_what_it_supports(monkeypatch):
    """One on PyTorch, which declines the rest."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "examples")
    from torch_backend import ACTIVATIONS, LOSSES, TorchBackend

    report = check_backend(TorchBackend())
    passed = [outcome.check for outcome in report.outcomes if outcome.verdict == "passed"]
    updates = [check for check in passed if check.kind == "update" and check.optimizer]
    assert {check.optimizer.split()[0] for check in updates} == {"SGD", "Adam"}
    gradients = [
        check for check in conformance_checks() if check.kind == "gradient" and check.loss in LOSSES
    ]
    known = {
        check.name for check in gradients if {check.activation, check.output} <= set(ACTIVATIONS)
    }
    assert set() < known <= {check.name for check in passed}
    declined = " ".join(
        outcome.check.what for outcome in report.outcomes if outcome.verdict == "skipped"
    )
    assert "sequential" in declined
    assert "RPROP" in declined
