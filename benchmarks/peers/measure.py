"""The measurement, section by section, into one dictionary that goes into a JSON file."""

import contextlib
import functools
import itertools
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.peers import limits
from benchmarks.peers.lanes import Lane, Peer, PeerError, environment
from benchmarks.peers.workloads import KINDS, NETWORKS, PUBLISHED, VALIDATED, VALIDATION, load
from fastnn import workloads
from fastnn.measuring import machine
from fastnn.measuring.timing import in_turn, seconds_of

US = "fastnn"
OWN = "fastnn, own kernel"
ALL = "fastnn, all cores"
LOOP = "NumPy loop"
SKLEARN = "scikit-learn"
JAX = "JAX"
JAX_OLD = "JAX 0.4.31"
TORCH = "PyTorch"
TORCH_1 = "PyTorch, 1 thread"
COMPILED = "PyTorch, compiled"
C = "C by hand"
ONE_THREAD = {"PEER_THREADS": "1"}
PEERS = {
    US: Peer("by_fastnn"),
    LOOP: Peer("by_numpy"),
    SKLEARN: Peer("by_sklearn"),
    TORCH_1: Peer("by_torch", variables=ONE_THREAD),
    TORCH: Peer("by_torch"),
    COMPILED: Peer("by_torch", variables=ONE_THREAD | {"PEER_COMPILE": "1"}),
    JAX: Peer("by_jax"),
    JAX_OLD: Peer("by_jax", packages=".benchmarks/jax-0.4.31"),
    C: Peer("by_c"),
}
_ONE = {"one_core": True, "variables": ONE_THREAD}
ONE_CORE = {f"{title}, 1 core": PEERS[title]._replace(**_ONE) for title in (LOOP, TORCH, JAX)}
ON_ALL = {ALL: Peer("by_fastnn", variables={"PEER_THREADS": "all"})}
ALL_CORES = (US, LOOP, SKLEARN, TORCH, JAX)
VALIDATED_WORKLOADS = ("seed", "digits")  # which hold rows out
# whose batches fit a vector
OWN_WORKLOADS = ("seed", "online")
OWN_PEERS = (US, LOOP, JAX, C)
PREDICTORS = LEARNERS = (US, SKLEARN, TORCH_1, TORCH, JAX)
AVX2_WORKLOADS = ("digits", "tab", "mnist")
AVX2_PEERS = (US, LOOP, JAX)
ROWS = {1: 200, 10_000: 2}  # predictions in one sample

MANY = "train_many"
MANY_1 = "train_many, 1 thread"
MANY_LOOP = "loop over train"
VMAP = "JAX vmap"
VMAP_OLD = "JAX 0.4.31 vmap"
JOBLIB = "joblib, scikit-learn"
TORCH_VMAP = "PyTorch vmap, 1 thread"
TORCH_BMM = "PyTorch bmm, 1 thread"
_ALL = {"way": "Members"}
WAYS = {  # {a way to train many networks: the peer, and what its process is told}
    MANY: (US, _ALL),
    MANY_1: (US, _ALL | {"n_jobs": 1}),
    MANY_LOOP: (US, {"way": "Loop"}),
    VMAP: (JAX, _ALL),
    VMAP_OLD: (JAX_OLD, _ALL),
    TORCH_VMAP: (TORCH_1, _ALL),
    TORCH_BMM: (TORCH_1, {"way": "Batched"}),
    JOBLIB: (SKLEARN, _ALL),
}
# Those that validate in a loop in Python, as the training of one shows
LOOPING = (TORCH_VMAP, TORCH_BMM, JOBLIB)
# Iterations of a member: those that the aims are about, and those of the tutorial
USUAL, SHORT = (1000, 100)
JOBS = (USUAL, KINDS[0]), (USUAL, KINDS[1]), (SHORT, KINDS[0])


@dataclass(frozen=True)
class Plan:
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
    many_seconds: float = 2.0  # of a way's rounds, after which it has no more
    many_most_seconds: float = 10.0  # of a run; a way that would take longer is left out
    many_shorter: int = 1  # what iterations are divided by


FULL = Plan()


class Measurement:
    def __init__(self, plan: Plan = FULL, say: Callable[[str], object] = print) -> None:
        self.plan = plan
        self.say = say
        self.results: dict = {"skipped": {}, "failed": {}}
        self.lanes: dict[str, Lane] = {}

    def sections(self, names: Iterable[str]) -> dict:
        with self.started(PEERS) as self.lanes:
            self.results["about"] = self.about(self.lanes.values()) | {
                "compiler": limits.compiler_version()
            }
            for name in names:
                seconds = seconds_of(getattr(self, name))
                self.say(f"[{name}: {seconds:.0f} s]")
        return self.results

    @contextlib.contextmanager
    def started(self, peers: Mapping[str, Peer]) -> Iterator[dict[str, Lane]]:
        """Lanes for a while; of a peer that is missing, its name and the reason are kept."""
        with contextlib.ExitStack() as stack:
            lanes: dict[str, Lane] = {}
            for title, peer in peers.items():
                try:
                    lanes[title] = stack.enter_context(contextlib.closing(Lane(title, peer)))
                except ImportError as missing:
                    self.results["skipped"][title] = str(missing)
                    self.say(f"skipped: {title}: {missing}")
            yield lanes

    def those(self, titles: Iterable[str]) -> list[Lane]:
        return [self.lanes[title] for title in titles if title in self.lanes]

    def failed(self, what: str, error: PeerError) -> None:
        self.results["failed"][what] = str(error)
        self.say(f"failed: {what}: {error}")

    def about(self, lanes: Iterable[Lane]) -> dict:
        found = machine.circumstances()
        blas = set()
        for lane in lanes:
            # the first one's, of two of a package
            found["versions"] = lane.about["versions"] | found["versions"]
            blas.update(lane.about["blas"])
        found["versions"] = {
            name: version
            for name, version in found["versions"].items()
            if version != "not installed"
        }
        return found | {"blas": sorted(blas)}

    def workloads(
        self, names: Iterable[str], titles: Iterable[str] = PEERS, own: Mapping[str, Peer] = {}
    ) -> dict:
        """Workloads by some peers, and by others that run for that alone."""
        with self.started(own) as others:
            return self.by([*others.values(), *self.those(titles)], names)

    def by(self, lanes: list[Lane], names: Iterable[str]) -> dict:
        return {
            name: self.workload(name, lanes)
            for name in names
            if name.split(",")[0] in self.plan.workloads
        }

    def workload(self, name: str, lanes: list[Lane], grid: bool = False) -> dict:
        """By title: seconds an iteration, sample by sample; seconds of the first call; whether by
        its own rules.
        """
        plan = self.plan
        facts = {}
        epochs = {}
        rounds, target = (
            (plan.grid_rounds, plan.grid_seconds) if grid else (plan.rounds, plan.sample_seconds)
        )
        for lane in lanes:
            try:
                facts[lane.title] = lane.ask("prepare", workload=name)
                epochs[lane] = self.epochs(lane, name, target)
            except NotImplementedError:
                continue
            except PeerError as error:
                self.failed(f"{name}, {lane.title}", error)
        asks = {
            lane: functools.partial(lane.ask, "time", what=name, n=n) for lane, n in epochs.items()
        }
        for lane, samples in in_turn(asks, rounds, plan.most_seconds).items():
            iterations = epochs[lane] * load(name).batches
            facts[lane.title] |= {
                "seconds": [s / iterations for s in samples],
                "iterations": iterations,
            }
            lane.ask("release")
        result = {lane.title: facts[lane.title] for lane in asks}
        if not grid:
            self.say(
                f"{name}: "
                + ", ".join(f"{t} {min(r['seconds']) * 1e6:.3g} us" for t, r in result.items())
            )
        return result

    @staticmethod
    def epochs(lane: Lane, name: str, target: float) -> int:
        """How many epochs make a sample of about the wanted length; that many have then run
        once.
        """
        epochs = 1
        while True:
            lane.ask("time", what=name, n=epochs)  # JAX compiles for each number of epochs
            wanted = max(1, round(epochs * target / lane.ask("time", what=name, n=epochs)))
            wanted = min(load(name).most_epochs, wanted)
            if wanted < 2 * epochs:
                return epochs
            epochs = min(wanted, 64 * epochs)

    def training(self) -> None:
        """Seconds an iteration of each workload, by each peer; of the largest, on one core too."""
        *smaller, large = workloads.names()
        self.results["training"] = self.workloads(smaller)
        if large in self.plan.workloads:
            on_one = {title: peer for title, peer in ONE_CORE.items() if not title.startswith(LOOP)}
            self.results["training"] |= self.workloads([large], own=on_one)

    def validated(self) -> None:
        """Seconds an iteration where held-out rows are validated after every epoch."""
        self.results["validated"] = self.workloads(
            f"{name}{VALIDATION}" for name in VALIDATED_WORKLOADS
        )
        self.results["validated about"] = self.results["about"]

    def own_kernels(self) -> None:
        """Seconds an iteration by a kernel compiled for the network; its first call compiles it,
        with nothing kept.
        """
        with tempfile.TemporaryDirectory() as cache:
            own = Peer("by_fastnn", variables={"PEER_SPECIALIZE": "1", "FASTNN_CACHE_DIR": cache})
            self.results["own kernels"] = self.workloads(OWN_WORKLOADS, OWN_PEERS, {OWN: own})

    def prediction(self) -> None:
        found = self.results["prediction"] = {}
        for rows, calls in ROWS.items():
            asks = {}
            for lane in self.those(PREDICTORS):
                lane.ask("prepare_predict", rows=rows)
                asks[lane.title] = functools.partial(lane.ask, "time", what="predict", n=calls)
                asks[lane.title]()
            samples = in_turn(asks, 3 * self.plan.rounds)
            found[str(rows)] = {
                title: [s / calls for s in seconds] for title, seconds in samples.items()
            }

    def accuracy(self) -> None:
        """Seconds to the target on held-out digits, seed by seed."""
        found = self.results["accuracy"] = {
            lane.title: {"seconds": [], "epochs": []} for lane in self.those(LEARNERS)
        }
        for seed, title in itertools.product(range(self.plan.seeds), found):
            try:
                for what, value in self.lanes[title].ask("learn", seed=seed).items():
                    found[title][what].append(value)
            except PeerError as error:
                self.failed(f"accuracy, {title}, seed {seed}", error)

    def processes(self) -> None:
        """Whole processes: the seed's 100 iterations; the first training with an empty cache."""
        available = [lane.title for lane in self.those(ALL_CORES)]
        self.results["processes"] = limits.whole(available, self.plan.processes, environment())
        self.results["cold"] = limits.cold(max(1, self.plan.processes // 2), environment())

    def hardware(self) -> None:
        """Fractions of what the core can do, and the comparison on AVX2."""
        self.results["hardware"] = {"native": limits.fractions(self.lanes[US], "native")}
        if not limits.has_avx2():
            return
        variables = limits.avx2_environment()
        with self.started(
            {title: PEERS[title]._replace(variables=variables) for title in AVX2_PEERS}
        ) as lanes:
            self.results["avx2"] = self.by(list(lanes.values()), AVX2_WORKLOADS)
            self.results["hardware"]["AVX2"] = limits.fractions(lanes[US], "AVX2")

    def crossover(self) -> None:
        """Seconds a step over layer width and batch, by fastnn and by the peers that may be better
        there.
        """
        found = self.results["crossover"] = {}
        self.results["crossover about"] = self.results["about"]
        with self.started(ON_ALL) as shared:
            lanes = [*self.those((US, TORCH, JAX, JAX_OLD)), *shared.values()]
            for width, batch in itertools.product(self.plan.widths, self.plan.batches):
                by_title = self.workload(name := f"{width} wide, batch {batch}", lanes, grid=True)
                found[name] = {title: result["seconds"] for title, result in by_title.items()}
                self.say(f"crossover: {name}")

    def threads(self) -> None:
        """Seconds an iteration of each workload on one core and on all, by fastnn on one where that
        is faster.
        """
        found = self.workloads(workloads.names(), (*ALL_CORES, JAX_OLD), ON_ALL | ONE_CORE)
        self.results["threads"] = {"about": self.about(self.lanes.values()), "workloads": found}

    def published(self) -> None:
        """Seconds an epoch of a workload of which another library published its own, on one core
        and on all.
        """
        with self.started(ON_ALL | ONE_CORE) as others:
            lanes = [*others.values(), *self.those(ALL_CORES)]
            found = self.workload(PUBLISHED, lanes)
            self.results["published"] = {"about": self.about(lanes), "lanes": found}

    def many(self) -> None:
        """Seconds of many networks: by network, iterations and kind, number of members, and
        title.
        """
        found: dict = {}
        peers = {title: self.lanes[peer] for title, (peer, _) in WAYS.items() if peer in self.lanes}
        for name in self.plan.many_networks:
            ways = [title for title in peers if name != VALIDATED or title not in LOOPING]
            for iterations, kind in JOBS[: 1 if name == VALIDATED else None]:
                job = {
                    "name": name,
                    "iterations": iterations // self.plan.many_shorter,
                    "mixed": kind == "mixed",
                }
                members = self.members({title: peers[title] for title in ways}, job)
                found.setdefault(name, {})[f"{iterations}, {kind}"] = members
                self.say(f"many: {name}, {iterations} iterations, {kind}: done")
        self.results["many"] = {
            "about": self.about(dict.fromkeys(peers.values())),
            "networks": found,
        }

    def members(self, lanes: dict[str, Lane], job: dict) -> dict:
        """All numbers of members of a job; a way whose runs become too long takes no more."""
        plan = self.plan
        found = {}
        points = {}
        for title, lane in lanes.items():
            try:
                lane.ask("check_many", **WAYS[title][1], name=job["name"], mixed=job["mixed"])
                points[title] = []
            except PeerError as error:
                self.failed(f"many, {job['name']}, {title}", error)
        for members in plan.members:
            ready = [
                title
                for title in points
                if predicted(points[title], members) <= plan.many_most_seconds
            ]
            options = {
                title: {"title": title, **WAYS[title][1], **job, "members": members}
                for title in ready
            }
            first = {title: lanes[title].ask("prepare_many", **options[title]) for title in ready}
            asks = {
                title: functools.partial(lanes[title].ask, "time", what=title) for title in ready
            }
            samples = in_turn(asks, plan.many_rounds, most=plan.many_seconds)
            for title, seconds in samples.items():
                points[title].append((members, min(seconds)))
            found[str(members)] = {
                t: {"seconds": seconds, "first_call": first[t]} for t, seconds in samples.items()
            }
            self.say(
                f"  {members}: "
                + ", ".join(f"{t} {min(s) * 1e3:.3g} ms" for t, s in samples.items())
            )
        return found


def predicted(points: list[tuple[int, float]], members: int) -> float:
    """The seconds of so many members, as they grew from the last number to the one before; at most
    as their number.
    """
    if not points:
        return 0.0
    (fewer, least), (last, seconds) = points[-2:] if len(points) > 1 else (points[0], points[0])
    growth = math.log(seconds / least) / math.log(last / fewer) if last > fewer else 0.5
    return seconds * (members / last) ** min(1, max(0.2, growth))


SECTIONS = (
    "training",
    "validated",
    "own_kernels",
    "prediction",
    "accuracy",
    "processes",
    "hardware",
)
SECTIONS += ("crossover", "threads", "published", "many")
