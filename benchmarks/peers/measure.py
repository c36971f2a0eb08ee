"""What is measured, section by section; the result is one dictionary that goes into a JSON file."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers import hardware, processes, threads
from benchmarks.peers.lanes import Lane, MissingError, PeerError, UnsupportedError, environment, in_turn
from benchmarks.peers.many import measure as many
from benchmarks.peers.many.jobs import NETWORKS
from benchmarks.peers.workloads import VALIDATION, load
from fastnn import workloads
from fastnn.measuring import machine

US, OWN = "fastnn", "fastnn, own kernel"
LOOP, SKLEARN, TORCH_1, TORCH, JAX, FANN, C = (
    "NumPy loop",
    "scikit-learn",
    "PyTorch, 1 thread",
    "PyTorch",
    "JAX",
    "FANN",
    "C by hand",
)
PEERS = {
    US: "by_fastnn",
    LOOP: "by_numpy",
    SKLEARN: "by_sklearn",
    TORCH_1: "by_torch",
    TORCH: "by_torch",
    JAX: "by_jax",
    FANN: "by_fann",
    C: "by_c",
}
ONE_CORE = {"JAX, 1 core": "by_jax", "PyTorch, 1 core": "by_torch"}
ALL_CORES = (US, LOOP, SKLEARN, TORCH, JAX)
VALIDATED_WORKLOADS = ("seed", "digits")  # which hold rows out
OWN_WORKLOADS = ("seed", "online")  # whose batches fit a vector
OWN_PEERS = (US, LOOP, JAX, C)
PREDICTORS = (US, SKLEARN, TORCH_1, TORCH, JAX)
LEARNERS = PREDICTORS
AVX2_WORKLOADS = ("digits", "tab", "mnist")
AVX2_LANES = {US: "by_fastnn", LOOP: "by_numpy", JAX: "by_jax"}
ROWS = {1: 200, 10_000: 2}  # predictions in one sample


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    workloads: tuple[str, ...] = workloads.names()
    rounds: int = 7
    sample_seconds: float = 0.08
    most_seconds: float = 12.0  # of one workload's rounds
    processes: int = 5
    seeds: int = 5
    widths: tuple[int, ...] = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
    batches: tuple[int, ...] = (1, 8, 32, 128, 1024)
    grid_rounds: int = 7
    grid_seconds: float = 0.03
    many_networks: tuple[str, ...] = NETWORKS
    members: tuple[int, ...] = (1, 8, 64, 1024, 10_000)
    many_rounds: int = 5
    many_seconds: float = 2.0  # of a peer's rounds, after which it has no more
    many_most_seconds: float = 10.0  # of a run; a peer that would take longer is left out
    many_shorter: int = 1  # what iterations are divided by


FULL = Plan()
TINY = Plan(("seed", "digits"), 2, 0.002, 1.0, 1, 1, (4, 8), (1, 8), 1, 0.001, ("seed",), (1, 4), 2, 0.1, 1.0, 50)


class Measurement:
    """The peers that are here, and what has been found so far."""

    def __init__(self, plan: Plan, say: Callable[[str], object] = print) -> None:
        self.plan, self.say = plan, say
        self.found: dict = {"skipped": {}, "failed": {}}
        self.lanes: dict[str, Lane] = {}

    def __enter__(self) -> Measurement:
        for title, module in PEERS.items():
            extra = {"PEER_THREADS": "1"} if title == TORCH_1 else {}
            if lane := self.start(title, module, extra=extra):
                self.lanes[title] = lane
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self.lanes.values():
            lane.close()

    def start(self, title: str, module: str, one_core: bool = False, extra: dict | None = None) -> Lane | None:
        """A lane; None where the peer is missing, whose name and reason are then kept."""
        try:
            return Lane(title, module, one_core, extra)
        except MissingError as missing:
            self.found["skipped"][title] = str(missing)
            self.say(f"skipped: {title}: {missing}")
            return None

    def about(self) -> None:
        """Where, when and with what."""
        versions, blas = machine.versions(), set()
        for lane in self.lanes.values():
            answer = lane.ask("about")
            versions |= answer["versions"]
            blas.update(answer["blas"])
        self.found["about"] = {
            "date": datetime.date.today().isoformat(),
            "cpu": machine.cpu_model(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "versions": {name: version for name, version in versions.items() if version != "not installed"},
            "compiler": hardware.compiler_version(),
            "blas": sorted(blas),
        }
        if (self.found["about"]["load"] or 0) > 0.5:
            self.say(f"this machine is busy (load {self.found['about']['load']}): wait, or take the spread seriously")

    def training(self) -> None:
        """Seconds an iteration of each workload, by each peer."""
        self.found["training"] = {}
        for name in self.plan.workloads:
            lanes = list(self.lanes.values())
            extra: list[Lane] = []
            if name == "big":
                started = [self.start(title, module, True, {"PEER_THREADS": "1"}) for title, module in ONE_CORE.items()]
                extra = [lane for lane in started if lane]
            self.found["training"][name] = self.workload(name, lanes + extra)
            for lane in extra:
                lane.close()

    def validated(self) -> None:
        """Seconds an iteration where held-out rows are validated after every epoch."""
        lanes = list(self.lanes.values())
        names = [f"{name}{VALIDATION}" for name in VALIDATED_WORKLOADS if name in self.plan.workloads]
        self.found["validated"] = {name: self.workload(name, lanes) for name in names}
        self.found["validated about"] = self.found["about"]

    def own_kernels(self) -> None:
        """Seconds an iteration by a kernel compiled for the network; its first call compiles it, with nothing kept."""
        with tempfile.TemporaryDirectory() as cache:
            own = self.start(OWN, "by_fastnn", extra={"PEER_SPECIALIZE": "1", "FASTNN_CACHE_DIR": cache})
            lanes = [own, *(self.lanes[title] for title in OWN_PEERS if title in self.lanes)]
            names = [name for name in OWN_WORKLOADS if name in self.plan.workloads]
            self.found["own kernels"] = {name: self.workload(name, [lane for lane in lanes if lane]) for name in names}
            if own:
                own.close()

    def workload(self, name: str, lanes: list[Lane], grid: bool = False) -> dict:
        """By title: seconds an iteration, sample by sample; seconds of the first call; whether by its own rules."""
        plan, ready, facts = self.plan, {}, {}
        target = plan.grid_seconds if grid else plan.sample_seconds
        for lane in lanes:
            try:
                facts[lane.title] = lane.ask("prepare", workload=name)
                ready[lane] = self.epochs(lane, name, target)
            except UnsupportedError:
                continue
            except PeerError as error:
                self.found["failed"][f"{name}, {lane.title}"] = str(error)
                self.say(f"failed: {name}: {error}")
        rounds = plan.grid_rounds if grid else plan.rounds
        samples = in_turn(ready, lambda lane: lane.ask("time", epochs=ready[lane]["epochs"]), rounds, plan.most_seconds)
        result = {}
        for lane, size in ready.items():
            seconds = [s / size["iterations"] for s in samples[lane.title]]
            result[lane.title] = facts[lane.title] | {"seconds": seconds, "iterations": size["iterations"]}
            lane.ask("release")
        if not grid:
            self.say(f"{name}: " + ", ".join(f"{t} {min(r['seconds']) * 1e6:.3g} us" for t, r in result.items()))
        return result

    def epochs(self, lane: Lane, name: str, target: float) -> dict[str, int]:
        """How many epochs make a sample of about the wanted length; that many have then run once."""
        workload, epochs = load(name), 1
        while True:
            lane.ask("time", epochs=epochs)  # JAX compiles for each number of epochs
            taken = lane.ask("time", epochs=epochs)
            if epochs >= workload.most_epochs or taken > target / 4:
                break
            epochs = min(workload.most_epochs, epochs * max(4, min(64, int(target / taken / 2))))
        wanted = min(workload.most_epochs, max(1, round(epochs * target / taken)))
        if wanted != epochs and not 0.5 < wanted / epochs < 2:
            epochs = wanted
            lane.ask("time", epochs=epochs)
        return {"epochs": epochs, "iterations": epochs * workload.batches}

    def prediction(self) -> None:
        """Seconds a call of 1 and of 10,000 rows."""
        self.found["prediction"] = {}
        lanes = [self.lanes[title] for title in PREDICTORS if title in self.lanes]
        for rows, calls in ROWS.items():
            for lane in lanes:
                lane.ask("prepare_predict", rows=rows)
                lane.ask("time_predict", calls=calls)
            ask = lambda lane, calls=calls: lane.ask("time_predict", calls=calls) / calls  # noqa: E731
            self.found["prediction"][str(rows)] = in_turn(lanes, ask, 3 * self.plan.rounds)
        self.say("prediction: done")

    def accuracy(self) -> None:
        """Seconds to the target on held-out digits, seed by seed."""
        lanes = [self.lanes[title] for title in LEARNERS if title in self.lanes]
        found: dict = {lane.title: {"seconds": [], "epochs": []} for lane in lanes}
        for lane in lanes:
            lane.ask("learn", seed=0)
        for seed in range(self.plan.seeds):
            for lane in lanes:
                try:
                    answer = lane.ask("learn", seed=seed)
                except PeerError as error:
                    self.found["failed"][f"accuracy, {lane.title}, seed {seed}"] = str(error)
                    continue
                for name, value in answer.items():
                    found[lane.title][name].append(value)
        self.found["accuracy"] = found
        self.say("accuracy: done")

    def processes(self) -> None:
        """Whole processes: the seed's 100 iterations; the first training with an empty cache."""
        available = [title for title in (US, LOOP, SKLEARN, TORCH, JAX) if title in self.lanes]
        self.found["processes"] = processes.whole(available, self.plan.processes, environment())
        self.found["cold"] = processes.cold(max(1, self.plan.processes // 2), environment())
        self.say("processes: done")

    def hardware(self) -> None:
        """Fractions of what the core can do, and the comparison on AVX2."""
        self.found["hardware"] = {"native": hardware.fractions(self.lanes[US], "native")}
        if not hardware.has_avx2():
            return
        variables = hardware.avx2_environment()
        lanes = [self.start(title, module, False, variables) for title, module in AVX2_LANES.items()]
        started = [lane for lane in lanes if lane]
        names = [name for name in AVX2_WORKLOADS if name in self.plan.workloads]
        self.found["avx2"] = {name: self.workload(name, started) for name in names}
        self.found["avx2 blas"] = started[1].ask("about")["blas"]
        self.found["hardware"]["AVX2"] = hardware.fractions(started[0], "AVX2")
        for lane in started:
            lane.close()
        self.say("hardware: done")

    def crossover(self) -> None:
        """Seconds a step over layer width and batch, by fastnn and by the peers that may be better there."""
        lanes = [self.lanes[title] for title in (US, TORCH, JAX) if title in self.lanes]
        if shared := threads.all_cores(self):
            lanes.append(shared)
        self.found["crossover"] = {}
        self.found["crossover about"] = self.found["about"]
        for width in self.plan.widths:
            for batch in self.plan.batches:
                name = f"{width} wide, batch {batch}"
                found = self.workload(name, lanes, grid=True)
                self.found["crossover"][name] = {title: result["seconds"] for title, result in found.items()}
            self.say(f"crossover: {width} wide")
        if shared:
            shared.close()

    def threads(self) -> None:
        """Seconds an iteration of each workload on one core, and on all."""
        self.found["threads"] = threads.measure(self, ALL_CORES)

    def many(self) -> None:
        """Seconds of many networks at once."""
        self.found["many"] = many.measure(self)


SECTIONS = (
    *(
        "training",
        "validated",
        "own_kernels",
        "prediction",
        "accuracy",
        "processes",
        "hardware",
        "crossover",
        "threads",
        "many",
    ),
)
