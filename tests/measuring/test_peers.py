"""The comparison with the peers: that it is fair, names what is missing, and writes what it measured."""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from benchmarks.peers import __main__ as script  # noqa: E402
from benchmarks.peers import (  # noqa: E402
    aims,
    by_fastnn,
    by_numpy,
    by_sklearn,
    charts,
    hardware,
    lanes,
    tables,
    threads,
    worker,
)
from benchmarks.peers import workloads as peer_workloads  # noqa: E402
from benchmarks.peers.measure import ONE_CORE, OWN, PEERS, TINY, US, VALIDATED_WORKLOADS  # noqa: E402
from benchmarks.peers.processes import SCRIPTS  # noqa: E402
from fastnn import workloads  # noqa: E402
from fastnn.testing.correctness import DifferentAnswerError, check_same_answer  # noqa: E402

# ------------------------------------------------------------------------------------------------------------ workloads


LOOP_ON_ONE = "NumPy loop, 1 core"
VALIDATED = [f"{name}{peer_workloads.VALIDATION}" for name in VALIDATED_WORKLOADS]


@pytest.mark.parametrize("name", [*workloads.names(), *VALIDATED, "8 wide, batch 4"])
def test_a_workload_is_all_full_batches_in_order(name):
    workload = peer_workloads.load(name)
    assert len(workload.X) == len(workload.Y) == workload.batches * workload.batch
    assert peer_workloads.flat(workload.layers).astype(workload.X.dtype).tobytes() == workload.params.tobytes()


@pytest.mark.parametrize("name", ["seed", "iris", "digits", "online", *VALIDATED, "8 wide, batch 4"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("peer", [by_numpy, by_sklearn, by_fastnn], ids=lambda peer: peer.__name__.split(".")[-1])
def test_peers_do_the_same_work(name, peer):
    """From the same weights to the same weights, in all that do not have their own rules."""
    workload = peer_workloads.load(name)
    trainer = peer.Trainer(workload)
    found = trainer.train(2)
    if trainer.own_rules:
        trainer.train(50)
        assert trainer.losses[-1] < trainer.losses[0]
    else:
        expected, dtype = workload.expected(2), workload.X.dtype
        check_same_answer(name, found.astype(dtype), expected.params)
        if workload.held_out:
            check_same_answer(name, np.array(trainer.validation, dtype), expected.history.validation_loss)


@pytest.mark.parametrize(
    ("measured", "error"),
    [
        (lambda trainer: None, None),
        (lambda trainer: trainer.validation.append(trainer.validation.pop() * 1.1), DifferentAnswerError),
        (lambda trainer: vars(trainer).pop("validation"), NotImplementedError),
    ],
    ids=["right", "wrong", "missing"],
)
def test_a_validation_that_is_wrong_or_missing_is_noticed(measured, error, monkeypatch):
    class Trainer(by_numpy.Trainer):
        def train(self, epochs):
            params = super().train(epochs)
            measured(self)
            return params

    monkeypatch.setattr(by_numpy, "Trainer", Trainer)
    with pytest.raises(error) if error else contextlib.nullcontext():
        worker.Worker("by_numpy").prepare("seed, validation")


C_CHECK = """
import numpy as np
from benchmarks.peers import by_c
from benchmarks.peers import workloads as peer_workloads
workload = peer_workloads.load("seed")
np.testing.assert_allclose(by_c.Trainer(workload).train(100), workload.expected(100).params, rtol=1e-9)
try:
    by_c.Trainer(peer_workloads.load("tab"))
except NotImplementedError:
    print("right")
"""


@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler")
def test_c_has_the_tutorials_numbers():
    """A process of its own loads the library: made with -ffast-math, it makes that process flush to zero."""
    done = subprocess.run([sys.executable, "-c", C_CHECK], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.stdout == "right\n", done.stderr


@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler")
def test_the_peak_is_one(monkeypatch):
    """More than any product reaches, and no more than four multiply-adds of 64 bytes a cycle."""
    monkeypatch.setattr(hardware, "SECONDS", 0.01)
    monkeypatch.setattr(hardware, "ROUNDS", 2)
    lane = type("Lane", (), {"ask": lambda self, request, **arguments: by_fastnn.products(**arguments)})()
    found = hardware.fractions(lane, "native")
    assert 0.5 < max(found["clock"]) < 10
    assert max(found["peak"]) < 4 * 32 * max(found["clock"])
    assert aims.rate(found["products"]["128"], lambda products: max(products.values())) < 1.1 * max(found["peak"])


# ------------------------------------------------------------------------------------------------------------- results


class LaneHere(lanes.Lane):
    """A peer in this process, which has imported what it needs; the tests of lanes are of those in their own."""

    def __init__(self, title, module):
        self.title, self.worker = title, worker.Worker(module)

    def ask(self, request, **arguments):
        try:
            with warnings.catch_warnings(action="ignore"):
                return getattr(self.worker, request)(**arguments)
        except NotImplementedError as error:
            raise lanes.UnsupportedError from error
        except Exception as error:
            raise lanes.PeerError(f"{self.title}: {error}") from error

    def close(self):
        pass


def start(title, module, one_core, extra):
    """A lane: in a process of its own where it is told to differ from others."""
    return lanes.Lane(title, module, one_core, extra) if one_core or extra else LaneHere(title, module)


def measured(*sections):
    """Sections of a tiny measurement."""
    return script.measure(sections, True, lambda _: None)


@pytest.fixture(scope="module")
def found():
    """A measurement of nearly everything, by the peers that nobody has to install, and shorter than tiny."""
    few = {title: PEERS[title] for title in (US, "NumPy loop", "scikit-learn")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.peers.measure.Lane", start)
        patch.setattr("benchmarks.peers.measure.PEERS", few)
        patch.setattr(threads, "ONE_CORE", {LOOP_ON_ONE: threads.ONE_CORE[LOOP_ON_ONE]})
        patch.setattr(hardware, "has_avx2", lambda: False)
        patch.setattr(hardware, "SECONDS", 0.001)
        patch.setattr(hardware, "ROUNDS", 1)
        patch.setattr(hardware, "WIDTHS", (64,))
        patch.setattr("benchmarks.peers.processes.cold", lambda *_: [1.0])
        patch.setattr("benchmarks.peers.processes.SCRIPTS", dict.fromkeys(few, "pass") | {US: SCRIPTS[US]})
        found = measured("training", "validated", "prediction", "processes", "hardware")
        patch.setattr(script, "TINY", dataclasses.replace(TINY, workloads=("seed",)))  # which takes no imports
        theirs = measured("own_kernels", "threads")
    theirs["failed"] |= found["failed"]
    return found | {name: theirs[name] for name in ("own kernels", "threads", "failed")}


def test_everything_is_measured(found):
    assert set(found["training"]) == set(TINY.workloads)
    for name in TINY.workloads:
        assert set(found["training"][name]) == {US, "NumPy loop", "scikit-learn"}
        assert all(len(lane["seconds"]) == TINY.rounds for lane in found["training"][name].values())
    assert set(found["validated"]) == set(VALIDATED)
    for by_title in found["validated"].values():
        assert set(by_title) == {US, "NumPy loop", "scikit-learn"}
    assert set(found["prediction"]) == {"1", "10000"}
    assert found["processes"][US]["seconds"][0] > 0
    assert set(found["own kernels"]["seed"]) == {OWN, US, "NumPy loop"}
    assert found["failed"] == {}


def test_threads_are_measured(found):
    """Lanes on one core, one of fastnn that takes what pays, and those that are there anyway."""
    assert set(found["threads"]["workloads"]["seed"]) == {threads.ALL, LOOP_ON_ONE, US, "NumPy loop", "scikit-learn"}
    assert by_fastnn.THREADS == (1,)  # of the other lanes


def crossing(widths, batches):
    """Points at which fastnn is twice as fast, down to half as fast."""
    points = [(width, batch) for width in widths for batch in batches]
    share = np.geomspace(2, 0.5, len(points))
    return {
        f"{width} wide, batch {batch}": {US: [1.0], "JAX": [float(share[i])], "PyTorch": [2.0 + i % 2]}
        for i, (width, batch) in enumerate(points)
    }


def test_tables_and_pictures_go_between_the_markers(found, tmp_path):
    content = found | {
        "crossover": crossing((4, 64, 2048), (1, 1024)),
        "accuracy": {US: {"seconds": [1], "epochs": [2]}},
    }
    (tmp_path / "benchmarks").mkdir()
    for page in ("README.md", "benchmarks/README.md"):
        (tmp_path / page).write_text("before\n<!-- peers: begin -->\nold\n<!-- peers: end -->\nafter\n")
    source = tmp_path / "found.json"
    source.write_text(json.dumps(content))
    script.main(["--from", str(source), "--folder", str(tmp_path)])
    for name in ("peers.png", "crossover.png"):
        assert (tmp_path / "docs/images" / name).read_bytes().startswith(b"\x89PNG")
    for page in ("README.md", "benchmarks/README.md"):
        text = (tmp_path / page).read_text()
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert "old" not in text.split()
        for words in (found["about"]["cpu"], found["about"]["date"], "× scikit-learn"):
            assert words in text
    for words in ("float32; 449 rows validated |", "(../docs/images/peers.png)", "FMA peak"):
        assert words in text


def test_a_page_without_its_place_is_an_error():
    with pytest.raises(ValueError, match="0 places"):
        script.replace("nothing", "peers", "")


def test_ratios_are_by_rounds():
    """Whatever slowed a round slowed both."""
    assert aims.ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == aims.Ratio(2, 2, 2)
    assert str(aims.Ratio(1.234, 12.34, 1234)) == "12.3 (1.23–1,234)"


def test_aims_name_the_best_peer_and_what_was_not_measured(found):
    lines = {(aim.what, aim.against): aim for aim in aims.aims(found)}
    assert lines["seed", "C by hand"].found is None
    assert lines["seed", "NumPy loop"].found is not None
    fast = {"training": {"seed": {US: {"seconds": [1.0]}, "C by hand": {"seconds": [1.4]}}}}
    (c,) = (aim for aim in aims.aims(fast) if (aim.what, aim.against) == ("seed", "C by hand"))
    assert (c.found.median, c.met) == (1.4, True)
    big = {"training": {"big": {US: {"seconds": [1.0]}, **{title: {"seconds": [3.0]} for title in ONE_CORE}}}}
    assert any(
        aim.what == "big" and aim.against.startswith("best of JAX, 1 core") and aim.met for aim in aims.aims(big)
    )


def test_the_compilation_of_own_kernels_is_counted():
    """Spread over the iterations that the tables tell of; how soon it is repaid goes by the time that is saved."""
    lanes = {
        OWN: {"seconds": [1.5e-6], "first_call": 50.0},
        US: {"seconds": [2.5e-6]},
        "C by hand": {"seconds": [4e-6]},
    }
    found = {"own kernels": {"seed": lanes}, "training": {"seed": {US: {"seconds": [2.5e-6]}}}}
    ours = {aim.against: aim for aim in aims.aims(found) if aim.what == "seed, own kernel"}
    assert ours["C by hand"].found.median == pytest.approx(4 / (1.5 + 50 / 100))
    assert ours["C by hand"].met
    assert ours["JAX"].found is None
    line = tables.own(found).splitlines()[2]
    assert "500,000" in line
    assert "| 1.25 (1.25–1.25) |" in line
    assert line.endswith("| 50.0 s | after 50 million iterations |")


def test_crossover_is_drawn_with_its_line_at_one(found):
    figure = charts.crossover(found | {"crossover": crossing((4, 64, 2048), (1, 1024))})
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert any(np.all(np.asarray(line.get_ydata()) == 1) for line in axes.lines)


def test_one_panel_a_workload_on_a_logarithmic_axis(found):
    panels = [axes for axes in charts.side_by_side(found).axes if axes.axison]
    assert len(panels) == len(TINY.workloads)
    assert all(axes.get_xscale() == "log" for axes in panels)
    for axes, peers in zip(panels, found["training"].values(), strict=True):  # the fastest first, whichever it was
        drawn = [label.get_text().removesuffix("*") for label in axes.get_yticklabels()]
        assert drawn == sorted(peers, key=lambda title: np.median(peers[title]["seconds"]))
