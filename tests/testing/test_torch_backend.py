"""The example of a back end of one's own, on PyTorch: it passes what it supports, and declines the rest."""

import pathlib

import pytest

from fastnn.testing import check_backend, conformance_checks

pytest.importorskip("torch")


def test_it_passes_what_it_supports(monkeypatch):
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "examples")
    from torch_backend import ACTIVATIONS, LOSSES, TorchBackend

    report = check_backend(TorchBackend())
    passed = [outcome.check for outcome in report.outcomes if outcome.verdict == "passed"]
    updates = [check for check in passed if check.kind == "update" and check.optimizer]
    assert {check.optimizer.split()[0] for check in updates} == {"SGD", "Adam"}
    gradients = [check for check in conformance_checks() if check.kind == "gradient" and check.loss in LOSSES]
    known = {check.name for check in gradients if {check.activation, check.output} <= set(ACTIVATIONS)}
    assert set() < known <= {check.name for check in passed}
    declined = {outcome.check.what for outcome in report.outcomes if outcome.verdict == "skipped"}
    assert any("sequential" in what for what in declined)
    assert any("RPROP" in what for what in declined)
