"""fastnn and its peers with equal threads: each on one core, and each on all of them."""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING

from fastnn.measuring import machine

if TYPE_CHECKING:
    from benchmarks.peers.lanes import Lane
    from benchmarks.peers.measure import Measurement

ALL = "fastnn, all cores"
"""A thread a core, or one where that is faster, as was tried before; `train` finds it out by itself, in time."""
ONE_CORE = {
    "NumPy loop, 1 core": "by_numpy",
    "PyTorch, 1 core": "by_torch",
    "JAX, 1 core": "by_jax",
}
ONE_THREAD = {"PEER_THREADS": "1"}


def all_cores(measurement: Measurement) -> Lane | None:
    """Return a lane of fastnn that may use all cores."""
    return measurement.start(ALL, "by_fastnn", extra={"PEER_THREADS": "all"})


def measure(measurement: Measurement, everyone: tuple[str, ...]) -> dict:
    """Return where and when, and by workload and title, seconds an iteration; `everyone` are lanes on all cores."""
    started = [measurement.start(title, module, True, ONE_THREAD) for title, module in ONE_CORE.items()]
    own = [lane for lane in (all_cores(measurement), *started) if lane]
    lanes = [*own, *(measurement.lanes[title] for title in everyone if title in measurement.lanes)]
    versions = machine.versions()
    for lane in lanes:
        versions |= lane.ask("about")["versions"]
    about = {
        "date": datetime.date.today().isoformat(),
        "cpu": machine.cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: version for name, version in versions.items() if version != "not installed"},
    }
    workloads = {name: measurement.workload(name, lanes) for name in measurement.plan.workloads}
    for lane in own:
        lane.close()
    return {"about": about, "workloads": workloads}
