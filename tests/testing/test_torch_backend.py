"""The example of a back end of one's own, on PyTorch: it passes what it supports, and declines the rest."""

import pathlib

import pytest

from fastnn import RPROP, SGD, Adam, Network, train
from fastnn.testing import check_backend, conformance_checks

pytest.importorskip("torch")

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "torch_backend.py"


@pytest.fixture
def backend(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    import torch_backend

    return torch_backend.TorchBackend()


def test_it_passes_what_it_supports(backend):
    report = check_backend(backend)
    passed = [outcome.check for outcome in report.outcomes if outcome.verdict == "passed"]
    updates = [check for check in passed if check.kind == "update" and check.optimizer]
    assert {check.optimizer.split()[0] for check in updates} == {"SGD", "Adam"}
    from torch_backend import ACTIVATIONS, LOSSES

    gradients = [check for check in conformance_checks() if check.kind == "gradient" and check.loss in LOSSES]
    known = {check.name for check in gradients if {check.activation, check.output} <= set(ACTIVATIONS)}
    assert set() < known <= {check.name for check in passed}
    declined = {outcome.check.what for outcome in report.outcomes if outcome.verdict == "skipped"}
    assert any("sequential" in what for what in declined)
    assert any("RPROP" in what for what in declined)


def test_it_trains(backend):
    network = Network((3, 5, 2), "gelu")
    X = [[0.0, 1.0, 0.5], [1.0, 0.0, -0.5], [0.3, 0.2, 0.1]]
    Y = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    runs = [train(network, X, Y, optimizer=Adam(0.1), epochs=50, seed=0, backend=one) for one in ("numpy", backend)]
    assert runs[1].history.loss[-1] < runs[1].history.loss[0] / 10
    assert runs[1].history.loss[-1] == pytest.approx(runs[0].history.loss[-1])


def test_it_declines_what_it_does_not_do(backend):
    network = Network((3, 5, 2))
    assert not backend.supports(network, SGD(sequential=True))
    with pytest.raises(ValueError, match="cannot train this network with RPROP"):
        train(network, [[0.0, 1.0, 2.0]], [[0.0, 1.0]], optimizer=RPROP(), epochs=1, backend=backend)
