"""The comparison with the peers: that it is fair, names what is missing, and writes what it
measured."""

import contextlib
import importlib
import json
import re
import shutil

import joblib
import pytest
from bits import assert_same_bits
from numpy.testing import assert_allclose
from survival import python

from benchmarks.peers import __main__ as script
from benchmarks.peers import by_fastnn, by_sklearn, lanes, tables
from benchmarks.peers import measure as m
from benchmarks.peers import workloads as peer_workloads
from benchmarks.peers.workloads import KINDS, NETWORKS, Job
from benchmarks.readme import ROOT
from fastnn import workloads
from fastnn.cli.correctness import check_same_answer

TINY = m.Plan(
    ("seed", "digits"),
    2,
    0.002,
    1.0,
    1,
    1,
    (4, 8),
    (1, 8),
    1,
    0.001,
    ("seed",),
    (1, 4),
    2,
    0.1,
    1.0,
    50,
)
VALIDATED = [f"{name}{peer_workloads.VALIDATION}" for name in m.VALIDATED_WORKLOADS]
C_COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("name", [*workloads.names(), *VALIDATED, "8 wide, batch 4"])
def test_a_workload_is_all_full_batches_in_order(name):
    workload = peer_workloads.load(name)
    assert len(workload.X) == len(workload.Y) == workload.batches * workload.batch
    assert_same_bits(peer_workloads.flat(workload.layers).astype(workload.X.dtype), workload.params)


@pytest.mark.parametrize(
    "name", ["seed", "iris", "digits", "online", *VALIDATED, "8 wide, batch 4"]
)
@pytest.mark.parametrize("peer", ["by_numpy", "by_sklearn", "by_fastnn"])
def test_peers_do_the_same_work(name, peer, monkeypatch):
    """From the same weights to the same weights, or to a smaller error; the crossover's, which are
    many, here alone."""
    monkeypatch.setattr(lanes, "GRID", re.compile("none"))
    own_rules = lanes.Worker(peer).prepare(name)["own_rules"]
    assert own_rules == (peer == "by_sklearn" and name.startswith("seed"))


def ways():
    """The classes that train many networks, with a mark for those of packages that may be
    missing."""
    yield from (by_fastnn.Members, by_fastnn.Loop, by_sklearn.Members)
    for package, name in (("jax", "Members"), ("torch", "Members"), ("torch", "Batched")):
        try:
            yield getattr(importlib.import_module(f"benchmarks.peers.by_{package}"), name)
        except ImportError:
            reason = f"{package} is not installed"
            yield pytest.param(None, marks=pytest.mark.skip(reason=reason), id=f"{package}.{name}")


@pytest.mark.parametrize("mixed", [False, True], ids=KINDS)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    "way", [*ways()], ids=lambda way: way and f"{way.__module__.split('.')[-1]}.{way.__name__}"
)
def test_peers_train_the_same_members(way, name, mixed):
    job = Job(name, 3, 24, mixed)
    trainer = way(job)
    with joblib.parallel_config("sequential"):
        found = trainer.train_from(job.params)
        drawn = trainer.train()
    assert drawn.shape == found.shape
    assert len({tuple(row) for row in drawn}) == 3  # each draws its own weights
    if not getattr(trainer, "own_rules", False):
        check_same_answer(name, found.astype(job.workload.X.dtype), job.trained(backend="numpy"))


BY_C = (
    "from benchmarks.peers import by_c, workloads; "
    "print(by_c.Trainer(workloads.load('seed')).train(100).tolist())"
)


@pytest.mark.skipif(not C_COMPILER, reason="no C compiler")
def test_c_does_the_same_work():
    """In a process of its own: the library, made with -ffast-math, makes its process flush to
    zero."""
    with contextlib.closing(lanes.Lane(m.C, m.PEERS[m.C])) as lane:
        assert lane.ask("prepare", workload="seed")["own_rules"] is False
        with pytest.raises(NotImplementedError):
            lane.ask("prepare", workload="tab")
    weights = json.loads(python(BY_C, PYTHONPATH=str(ROOT))[0])
    assert_allclose(weights, peer_workloads.load("seed").expected(100).params, rtol=1e-9)


HARDWARE = {
    "peak": [90.0, 100.0],
    "clock": [3.0, 2.9],
    "products": {"64": [{"forward": 70.0}, {"forward": 109.0}]},
}


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({}, None),
        ({"clock": [0.4, 0.3]}, "the clock is 0.4 GHz"),
        ({"peak": [385.0]}, "the peak of 385 GF/s is more than 128 operations a cycle"),
        ({"peak": [99.0]}, "products of 64 columns do 109 GF/s, more than the peak of 99 GF/s"),
    ],
)
def test_no_figures_are_published_of_a_peak_that_is_none(changed, error):
    results = {"hardware": {"native": HARDWARE | changed, "AVX2": None}}
    with (
        contextlib.nullcontext()
        if error is None
        else pytest.raises(ValueError, match=re.escape(error))
    ):
        tables.check_peaks(results)


def test_a_wrong_answer_is_not_timed():
    class Wrong:
        def ask(self, request, **arguments):
            raise lanes.PeerError(f"{request}: another answer")

    measurement = m.Measurement(TINY, lambda _: None)
    job = {"name": "seed", "iterations": 10, "mixed": False}
    assert measurement.members({m.TORCH_VMAP: Wrong()}, job) == {"1": {}, "4": {}}
    assert "another answer" in measurement.results["failed"][f"many, seed, {m.TORCH_VMAP}"]


@pytest.fixture(scope="module")
def kept():
    """The published measurement."""
    return json.loads((ROOT / script.RESULTS).read_text("utf-8"))


def test_the_pages_have_the_figures_of_the_results(kept, tmp_path):
    """Each table, of all that was measured, and each picture: whoever changes what they print sees
    it here."""
    names = {"README.md": ["peers"], "docs/explanation/when-not.md": ["crossover"]}
    names["benchmarks/README.md"] = [f"peers {name}" for name in tables.PAGE]
    for page, markers in names.items():
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text(
            "".join(f"<!-- {name}: begin -->\n<!-- {name}: end -->\n" for name in markers)
        )
    (tmp_path / "docs" / "images").mkdir()
    script.main(["--from", str(ROOT / script.RESULTS), "--folder", str(tmp_path)])
    for page, markers in names.items():
        published, made = ((folder / page).read_text("utf-8") for folder in (ROOT, tmp_path))
        for name in markers:
            begin = f"<!-- {name}: begin -->"
            end = f"<!-- {name}: end -->"
            assert (
                made.partition(begin)[2].partition(end)[0]
                == published.partition(begin)[2].partition(end)[0]
            )
    for name in ("peers", "crossover", "crossover_all_cores", "many"):
        assert (tmp_path / "docs/images" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
