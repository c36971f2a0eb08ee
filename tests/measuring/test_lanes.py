"""The processes of the peers, seen from the one that times them."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from benchmarks.peers import lanes, tables  # noqa: E402
from benchmarks.peers.measure import TINY, Measurement  # noqa: E402


@pytest.fixture(scope="module")
def lane():
    lane = lanes.Lane("NumPy loop", "by_numpy")
    yield lane
    lane.close()


def test_a_lane_trains_and_is_timed(lane):
    answer = lane.ask("prepare", workload="seed")
    assert answer["own_rules"] is False
    assert 0 < lane.ask("time", epochs=1) < 60


def test_a_lane_that_cannot_says_so(lane):
    with pytest.raises(lanes.PeerError, match="NumPy loop: ValueError"):
        lane.ask("prepare", workload="digit")
    assert lane.ask("release") is None  # and lives on


def test_a_peer_that_is_not_here_is_missing(monkeypatch):
    with pytest.raises(lanes.MissingError, match="by_nobody"):
        lanes.Lane("Nobody", "by_nobody")
    measurement = Measurement(TINY, said := [].append)
    assert measurement.start("Nobody", "by_nobody") is None
    assert "by_nobody" in measurement.found["skipped"]["Nobody"]
    assert "by_nobody" in tables.skipped(measurement.found)
    assert said


def test_lanes_begin_without_what_tunes_a_library(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    assert "OPENBLAS_CORETYPE" not in lanes.environment()
    assert lanes.environment({"OPENBLAS_CORETYPE": "Haswell"})["OPENBLAS_CORETYPE"] == "Haswell"


def test_lanes_are_asked_in_turn_and_each_begins_a_round():
    """For whoever comes after a pause is slower."""
    asked = []
    both = [type("Lane", (), {"title": title})() for title in "ab"]
    samples = lanes.in_turn(both, lambda lane: asked.append(lane.title) or len(asked), 2)
    assert asked == ["a", "b", "b", "a"]
    assert samples == {"a": [1, 4], "b": [2, 3]}
    assert len(lanes.in_turn(both, lambda lane: 0.0, 9, most_seconds=-1)["a"]) == 3


def test_a_round_waits_for_a_quiet_moment_while_there_is_patience(monkeypatch):
    states = [True, True, False, True]
    monkeypatch.setattr(lanes.Quiet, "_busy", lambda self: states.pop(0))
    quiet = lanes.Quiet()
    quiet.patience = 60.0
    quiet.wait()
    assert (quiet.rounds, quiet.busy, len(states)) == (1, 0, 1)
    assert 59 < quiet.patience < 60
    quiet.patience = 0.0
    quiet.wait()
    assert (quiet.rounds, quiet.busy) == (2, 1)
