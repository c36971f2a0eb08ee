"""Seconds of each number of members by each peer, the drawing of weights counted; answers are checked first."""

from __future__ import annotations

import datetime
import math
import os
from typing import TYPE_CHECKING

from benchmarks.peers.lanes import Lane, PeerError, quiet, rotated
from benchmarks.peers.many.jobs import KINDS, VALIDATED
from fastnn.measuring import machine

if TYPE_CHECKING:
    from benchmarks.peers.measure import Measurement

US, US_1, LOOP = "train_many", "train_many, 1 thread", "loop over train"
JAX, TORCH, SKLEARN = "JAX vmap", "PyTorch vmap, 1 thread", "joblib, scikit-learn"
PEERS: dict[str, tuple[str, dict[str, str]]] = {
    US: ("many.by_fastnn", {}),
    US_1: ("many.by_fastnn", {"PEER_THREADS": "1"}),
    LOOP: ("many.by_train", {}),
    JAX: ("many.by_jax", {}),
    TORCH: ("many.by_torch", {"OMP_NUM_THREADS": "1"}),
    SKLEARN: ("many.by_sklearn", {}),
}
USUAL, SHORT = 1000, 100
"""Iterations of a member: those that the aims are about, and those of the tutorial."""
LOOPING = (TORCH, SKLEARN)
"""Peers that validate in a loop in Python, as the training of one shows."""
JOBS = (USUAL, KINDS[0]), (USUAL, KINDS[1]), (SHORT, KINDS[0])


def measure(measurement: Measurement) -> dict:
    """By network, by iterations and kind, by number of members, by title: seconds, and those of the first call."""
    plan, found = measurement.plan, {}
    started = [measurement.start(title, module, extra=extra) for title, (module, extra) in PEERS.items()]
    lanes = [lane for lane in started if lane]
    versions = machine.versions()
    for lane in lanes:
        versions |= lane.ask("about")["versions"]
    about: dict = {"date": datetime.date.today().isoformat(), "cpu": machine.cpu_model(), "cores": os.cpu_count()}
    about["load"] = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    about["versions"] = {name: version for name, version in versions.items() if version != "not installed"}
    for name in plan.many_networks:
        found[name] = {}
        for iterations, kind in JOBS[: 1 if name == VALIDATED else None]:
            job = {"name": name, "iterations": iterations // plan.many_shorter, "mixed": kind == "mixed"}
            able = [lane for lane in lanes if name != VALIDATED or lane.title not in LOOPING]
            found[name][f"{iterations}, {kind}"] = _members(measurement, able, job)
            measurement.say(f"many: {name}, {iterations} iterations, {kind}: done")
    for lane in lanes:
        lane.close()
    return {"about": about, "networks": found}


def _members(measurement: Measurement, lanes: list[Lane], job: dict) -> dict:
    """All numbers of members of a job; a peer whose runs become too long takes no more."""
    plan, found = measurement.plan, {}
    points: dict[str, list[tuple[int, float]]] = {}
    for lane in lanes:
        try:
            lane.ask("check_many", name=job["name"], mixed=job["mixed"])
            points[lane.title] = []
        except PeerError as error:
            measurement.found["failed"][f"many, {job['name']}, {lane.title}"] = str(error)
            measurement.say(f"failed: many, {job['name']}: {error}")
    for members in plan.members:
        there = [lane for lane in lanes if lane.title in points]
        ready = [lane for lane in there if _predicted(points[lane.title], members) <= plan.many_most_seconds]
        first = {lane.title: lane.ask("prepare_many", **job, members=members) for lane in ready}
        samples: dict[str, list[float]] = {lane.title: [] for lane in ready}
        for done in range(plan.many_rounds):
            quiet.wait()
            for lane in rotated(ready, done):
                if sum(samples[lane.title]) <= plan.many_seconds:
                    samples[lane.title].append(lane.ask("time_many"))
        for title, seconds in samples.items():
            points[title].append((members, min(seconds)))
        found[str(members)] = {t: {"seconds": seconds, "first_call": first[t]} for t, seconds in samples.items()}
        measurement.say(f"  {members}: " + ", ".join(f"{t} {min(s) * 1e3:.3g} ms" for t, s in samples.items()))
    return found


def _predicted(points: list[tuple[int, float]], members: int) -> float:
    """The seconds of so many members, as they grew from the last number to the one before; at most as their number."""
    if not points:
        return 0.0
    (fewer, least), (last, seconds) = points[-2:] if len(points) > 1 else (points[0], points[0])
    growth = math.log(seconds / least) / math.log(last / fewer) if last > fewer else 0.5
    return seconds * (members / last) ** min(1, max(0.2, growth))
