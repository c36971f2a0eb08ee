"""The comparison with the peers: that it is fair, names what is missing, and writes what it
measured."""

import contextlib
import dataclasses
import importlib
import json
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from survival import python

from benchmarks.peers import __main__ as script
from benchmarks.peers import by_fastnn, by_numpy, by_sklearn, charts, lanes, limits, tables
from benchmarks.peers import measure as m
from benchmarks.peers import workloads as peer_workloads
from benchmarks.peers.workloads import KINDS, NETWORKS, Job, describe_many
from benchmarks.readme import ROOT
from fastnn import workloads
from fastnn.cli.correctness import DifferentAnswerError, check_same_answer

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
    assert (
        peer_workloads.flat(workload.layers).astype(workload.X.dtype).tobytes()
        == workload.params.tobytes()
    )


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


def test_mixed_members_have_as_many_iterations_on_average():
    epochs = Job("10-64-32-1", 101, 800, True).epochs
    assert np.mean(epochs) == pytest.approx(100, rel=0.01)
    assert (min(epochs), max(epochs)) == (10, 190)
    assert set(Job("10-64-32-1", 3, 800, False).epochs) == {100}


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


@pytest.mark.parametrize(
    ("measured", "error"),
    [
        (
            lambda trainer: trainer.validation.append(trainer.validation.pop() * 1.1),
            DifferentAnswerError,
        ),
        (lambda trainer: vars(trainer).pop("validation"), NotImplementedError),
    ],
    ids=["wrong", "missing"],  # that of right ones is a part of what is measured below
)
def test_a_validation_that_is_wrong_or_missing_is_noticed(measured, error, monkeypatch):
    class Trainer(by_numpy.Trainer):
        def train(self, epochs):
            params = super().train(epochs)
            measured(self)
            return params

    monkeypatch.setattr(by_numpy, "Trainer", Trainer)
    with pytest.raises(error):
        lanes.Worker("by_numpy").prepare("seed, validation")


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
    np.testing.assert_allclose(weights, peer_workloads.load("seed").expected(100).params, rtol=1e-9)


@pytest.mark.skipif(not C_COMPILER, reason="no C compiler")
def test_the_limits_are_measured_in_turn(monkeypatch):
    """Whether the peak is one is asked where figures are published: by `tables.check_peaks`."""
    monkeypatch.setattr(limits, "SECONDS", 0.01)
    monkeypatch.setattr(limits, "ROUNDS", 2)
    monkeypatch.setattr(limits, "WIDTHS", (128,))
    lane = type(
        "Lane", (), {"ask": lambda self, request, **arguments: by_fastnn.products(**arguments)}
    )()
    found = limits.fractions(lane, "native")
    products = found["products"]["128"]
    assert len(found["peak"]) == len(found["clock"]) == len(products) == 2
    assert min(found["peak"] + found["clock"]) > 0
    assert {kind for kinds in products for kind in kinds} == {"forward", "forward and back"}


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


def test_a_peer_that_is_not_here_is_named_with_the_reason():
    said = []
    measurement = m.Measurement(TINY, said.append)
    peers = {"Nobody": lanes.Peer("by_nobody"), "Old": lanes.Peer("by_numpy", packages="no/folder")}
    with measurement.started(peers) as started:
        assert started == {}
    assert len(said) == 2
    assert "by_nobody" in measurement.results["skipped"]["Nobody"]
    assert "no folder no/folder" in measurement.results["skipped"]["Old"]


def test_a_lane_has_its_own_packages_first_and_lives_on_after_an_error(tmp_path):
    tmp_path.joinpath("threadpoolctl.py").write_text(
        "raise ImportError('the one of this folder')\n"
    )
    with contextlib.closing(
        lanes.Lane("Own", lanes.Peer("by_numpy", packages=str(tmp_path)))
    ) as lane:
        assert lane.about["blas"] == []
        with pytest.raises(lanes.PeerError, match="Own: ValueError"):
            lane.ask("prepare", workload="digit")
        lane.ask("prepare", workload="seed")
        assert lane.ask("time", what="seed") > 0
    assert str(tmp_path) not in sys.path


def test_lanes_begin_without_what_tunes_a_library(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    assert "OPENBLAS_CORETYPE" not in lanes.environment()
    assert lanes.environment({"OPENBLAS_CORETYPE": "Haswell"})["OPENBLAS_CORETYPE"] == "Haswell"


class LaneHere(lanes.Lane):
    """A peer in a thread of this process, which has imported what it needs."""

    def __init__(self, title, peer):
        self.title = title
        self._module = peer.module
        self._pool = ThreadPoolExecutor(1)
        self.about = self.ask("about")


def start(title, peer):
    """A lane: in a process of its own where it is told to differ from others."""
    return lanes.Lane(title, peer) if peer != lanes.Peer(peer.module) else LaneHere(title, peer)


LOOP_ON_ONE = f"{m.LOOP}, 1 core"


@pytest.fixture(scope="module")
def found():
    """A measurement of nearly everything, by the peers that nobody has to install, and shorter than
    tiny."""
    few = {title: m.PEERS[title] for title in (m.US, m.LOOP, m.SKLEARN)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(m, "Lane", start)
        patch.setattr(m, "PEERS", few)
        patch.setattr(m, "ONE_CORE", {LOOP_ON_ONE: m.ONE_CORE[LOOP_ON_ONE]})
        patch.setattr(
            m,
            "WAYS",
            {m.MANY_1: m.WAYS[m.MANY_1], m.MANY_LOOP: m.WAYS[m.MANY_LOOP], m.VMAP: m.WAYS[m.VMAP]},
        )
        patch.setattr(m, "AVX2_PEERS", (m.US, m.LOOP))
        patch.setattr(limits, "has_avx2", lambda: True)
        patch.setattr(limits, "avx2_environment", dict)  # as the processor is
        for name, less in (
            ("SECONDS", 0.001),
            ("ROUNDS", 1),
            ("WIDTHS", (64,)),
            ("cold", lambda *_: [1.0]),
        ):
            patch.setattr(limits, name, less)
        patch.setattr(limits, "SCRIPTS", dict.fromkeys(few, "pass") | {m.US: limits.SCRIPTS[m.US]})
        sections = ("training", "validated", "prediction", "processes", "hardware")
        found = m.Measurement(TINY, lambda _: None).sections(sections)
        seed = dataclasses.replace(TINY, workloads=("seed",))  # which takes no imports
        theirs = m.Measurement(seed, lambda _: None).sections(["own_kernels", "threads", "many"])
    theirs["failed"] |= found["failed"]
    return found | {name: theirs[name] for name in ("own kernels", "threads", "many", "failed")}


def test_everything_is_measured(found):
    three = {m.US, m.LOOP, m.SKLEARN}
    assert {name: set(lanes) for name, lanes in found["training"].items()} == dict.fromkeys(
        TINY.workloads, three
    )
    assert all(
        len(lane["seconds"]) == TINY.rounds
        for by in found["training"].values()
        for lane in by.values()
    )
    assert {name: set(lanes) for name, lanes in found["validated"].items()} == dict.fromkeys(
        VALIDATED, three
    )
    assert {name: set(lanes) for name, lanes in found["avx2"].items()} == {"digits": {m.US, m.LOOP}}
    assert set(found["prediction"]) == {"1", "10000"}
    assert found["processes"][m.US]["seconds"][0] > 0
    assert set(found["own kernels"]["seed"]) == {m.OWN, m.US, m.LOOP}
    assert set(found["threads"]["workloads"]["seed"]) == {m.ALL, LOOP_ON_ONE, *three}
    assert by_fastnn.THREADS == (1,)  # of the other lanes
    for counts in found["many"]["networks"]["seed"].values():
        assert {n: set(lanes) for n, lanes in counts.items()} == {
            n: {m.MANY_1, m.MANY_LOOP} for n in ("1", "4")
        }
    assert found["failed"] == {}


def test_a_wrong_answer_is_not_timed():
    class Wrong:
        def ask(self, request, **arguments):
            raise lanes.PeerError(f"{request}: another answer")

    measurement = m.Measurement(TINY, lambda _: None)
    job = {"name": "seed", "iterations": 10, "mixed": False}
    assert measurement.members({m.TORCH_VMAP: Wrong()}, job) == {"1": {}, "4": {}}
    assert "another answer" in measurement.results["failed"][f"many, seed, {m.TORCH_VMAP}"]


@pytest.mark.parametrize(
    ("points", "seconds"), [([], 0), ([(1, 1.0), (8, 8.0)], 80), ([(1, 1.0), (8, 1.0)], 1.58)]
)
def test_a_run_is_predicted_from_the_last_ones(points, seconds):
    assert m.predicted(points, 80) == pytest.approx(seconds, rel=0.01)


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


def test_tables_say_what_was_not_measured(found):
    assert all(make(found) for of, make in tables.PAGE.values() if found.get(of))
    lines = {(aim.what, aim.against): aim for aim in tables.aims(found)}
    assert lines["seed", "C by hand"].measured is None
    assert lines["seed", m.LOOP].measured is not None
    assert "| seed | C by hand | 1.3 |  | not measured |" in tables.aims_table(found)


def test_the_compilation_of_own_kernels_is_counted():
    """Spread over the iterations that the tables tell of; how soon it is repaid goes by the time
    that is saved."""
    lanes = {
        m.OWN: {"seconds": [1.5e-6], "first_call": 50.0},
        m.US: {"seconds": [2.5e-6]},
        m.C: {"seconds": [4e-6]},
    }
    found = {"own kernels": {"seed": lanes}}
    ours = {aim.against: aim for aim in tables.aims(found) if aim.what == "seed, own kernel"}
    assert (ours[m.C].measured.middle, ours[m.C].met) == (pytest.approx(4 / (1.5 + 50 / 100)), True)
    assert tables.own(found).endswith("| 50.0 s | after 50 million iterations |")


def test_the_charts_are_logarithmic_and_have_a_panel_each(kept):
    panels = [axes for axes in charts.side_by_side(kept).axes if axes.axison]
    # the fastest first, whichever it was
    for axes, peers in zip(panels, kept["training"].values(), strict=True):
        assert axes.get_xscale() == "log"
        drawn = [label.get_text().removesuffix("*") for label in axes.get_yticklabels()]
        assert drawn == sorted(
            peers.keys() & m.PEERS.keys(), key=lambda title: np.median(peers[title]["seconds"])
        )
    for ours in (m.US, m.ALL):
        (axes,) = charts.crossover(kept, ours).axes
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert any(np.all(np.asarray(line.get_ydata()) == 1) for line in axes.lines)
    panels = [axes for axes in charts.members_by_time(kept["many"]).axes if axes.axison]
    names = [
        name for name in kept["many"]["networks"] if not name.endswith(peer_workloads.VALIDATION)
    ]
    assert [axes.get_title(loc="left") for axes in panels] == [
        describe_many(name) for name in names
    ]
