"""Many networks beside the peers: the same work, tables and picture."""

import json
import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
joblib = pytest.importorskip("joblib")

from benchmarks.peers import __main__ as script  # noqa: E402
from benchmarks.peers.many import by_fastnn, by_sklearn, by_train, chart, measure, tables  # noqa: E402
from benchmarks.peers.many.jobs import KINDS, NETWORKS, Job  # noqa: E402
from benchmarks.peers.many.measure import JAX, LOOP, PEERS, TORCH, US, US_1, USUAL  # noqa: E402
from fastnn.testing.correctness import check_same_answer  # noqa: E402

PAGE = "benchmarks/README.md"


def test_mixed_members_have_as_many_iterations_on_average():
    epochs = Job("10-64-32-1", 101, 800, True).epochs
    assert np.mean(epochs) == pytest.approx(100, rel=0.01)
    assert (min(epochs), max(epochs)) == (10, 190)
    assert set(Job("10-64-32-1", 3, 800, False).epochs) == {100}


def peers():
    """The modules, with a mark for those of packages that may be missing."""
    yield from (by_fastnn, by_train, by_sklearn)
    for package, module in (("jax", "by_jax"), ("torch", "by_torch")):
        try:
            __import__(package)
        except ImportError:
            yield pytest.param(None, marks=pytest.mark.skip(reason=f"{package} is not installed"), id=module)
        else:
            yield __import__(f"benchmarks.peers.many.{module}", fromlist=["Trainer"])


@pytest.mark.parametrize("mixed", [False, True], ids=KINDS)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("peer", [*peers()], ids=lambda peer: peer and peer.__name__.split(".")[-1])
def test_peers_train_the_same_members(peer, name, mixed):
    job = Job(name, 3, 24, mixed)
    trainer = peer.Trainer(job)
    with joblib.parallel_config("sequential"):
        found, drawn = trainer.train_from(job.params), trainer.train()
    assert drawn.shape == found.shape
    assert len({tuple(row) for row in drawn}) == 3  # each draws its own weights
    if not trainer.own_rules:
        check_same_answer(name, found.astype(job.workload.X.dtype), job.expected())


def lanes(ours, theirs, first_call=2.0):
    return {
        US: {"seconds": [ours] * 2, "first_call": ours},
        US_1: {"seconds": [1.8 * ours] * 2, "first_call": ours},
        JAX: {"seconds": [theirs], "first_call": first_call},
    }


def content(theirs):
    """A measurement in which JAX takes so many times as long."""
    counts = {str(m): lanes(1e-4 * m, 1e-4 * m * theirs) for m in (1, 64, 1024)}
    jobs = {f"{USUAL}, {kind}": counts for kind in KINDS}
    about = {"date": "2026-11-26", "cpu": "a CPU", "cores": 2, "load": 0.5, "versions": {"jax": "1"}}
    return {"about": about, "networks": {"seed": jobs, "2-8-1": jobs}}


def test_what_is_measured(monkeypatch):
    """By the peers that are always here; one that gives another answer is named and left out."""
    few = {US_1: PEERS[US_1], LOOP: PEERS[LOOP], "Nobody": ("many.by_nobody", {})}
    monkeypatch.setattr(measure, "PEERS", few)
    measurement = script.Measurement(script.TINY, lambda _: None)
    many = measure.measure(measurement)
    assert "by_nobody" in measurement.found["skipped"]["Nobody"]
    assert measurement.found["failed"] == {}
    for counts in many["networks"]["seed"].values():
        assert counts.keys() == {"1", "4"}
        assert all(set(found) == {US_1, LOOP} for found in counts.values())


def test_a_wrong_answer_is_not_timed():
    class Wrong:
        title = TORCH

        def ask(self, request, **arguments):
            raise measure.PeerError(f"{self.title}: {request}: another answer")

    measurement = script.Measurement(script.TINY, lambda _: None)
    job = {"name": "seed", "iterations": 10, "mixed": False}
    assert measure._members(measurement, [Wrong()], job) == {"1": {}, "4": {}}
    assert "another answer" in measurement.found["failed"][f"many, seed, {TORCH}"]


@pytest.mark.parametrize(("points", "seconds"), [([], 0), ([(1, 1.0), (8, 8.0)], 80), ([(1, 1.0), (8, 1.0)], 1.58)])
def test_a_run_is_predicted_from_the_last_ones(points, seconds):
    assert measure._predicted(points, 80) == pytest.approx(seconds, rel=0.01)


@pytest.mark.parametrize(("theirs", "met"), [(4, [True, True, True]), (1.7, [False, True, False])])
def test_aims(theirs, met):
    *aims, least = tables.aims(content(theirs))
    assert [aim.met for aim in aims] == met
    assert least.found.median == pytest.approx(2 / (1e-4 * 1024))  # of all the least
    assert all(aim.found is None for aim in tables.aims({}))


def test_the_picture_has_a_panel_a_network():
    panels = [axes for axes in chart.members_by_time(content(3)).axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == [tables.describe(name) for name in ("seed", "2-8-1")]
    assert all(axes.get_xscale() == axes.get_yscale() == "log" for axes in panels)
    assert {len(axes.lines) for axes in panels} == {3 * len(KINDS)}


def test_tables_go_between_the_markers(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / PAGE).write_text("<!-- peers: begin -->\n<!-- peers: end -->\n")
    about = {"date": "", "cpu": "", "cores": 2, "load": None, "versions": {}, "compiler": None, "blas": []}
    source = tmp_path / "found.json"
    source.write_text(json.dumps({"about": about, "skipped": {}, "failed": {}, "many": content(3)}))
    script.main(["--from", str(source), "--folder", str(tmp_path)])
    assert (tmp_path / "docs/images/many.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / PAGE).read_text()
    assert page.count("1,000, mixed, 64 |") == page.count("1,000, mixed, 1,024 |") == 2
    assert "| 3.00 (3.00–3.00) |" in page
    assert "a CPU, 2 cores (jax 1). Load before: 0.5." in page
