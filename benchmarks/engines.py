"""Time many trainings on engines, fit a model of what members and workers cost, test it, and say
what it predicts.

python -m benchmarks.engines [threads] [loky] [dask] [ray]

Each of these parts takes about a minute; without a name all are measured.
"""

import contextlib
import importlib.util
import math
import pickle
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import joblib
import joblib._parallel_backends
import numpy as np

from fastnn import SGD, ManyResult, train_many, workloads
from fastnn.many import engine as engines
from fastnn.measuring.timing import markdown

SEED = workloads.load("seed")
ITERATIONS = 3000
FEW = 400
SOME = 1000
MANY = 2000
MOST = 3000
"""Members of the trainings that the model is fitted to, FEW and MANY, and of those that it is
tested by."""
REPEATS = 5
CORES = 2  # Of this machine: the calling process and the workers share them
WORKERS = (10, 100, 1000)
NETWORKS = 1_000_000
NEEDS = {"threads": "fastnn", "loky": "joblib", "dask": "distributed", "ray": "ray"}
Times = namedtuple("Times", "wall own before")
"""Seconds of a call, of a processor in this process, and from the call to the first task."""
Found = dict[tuple[int, int], Times]  # The times of {(members, workers)}


def trained(n: int, n_jobs: int | None = None) -> ManyResult:
    given = {"optimizer": SGD(1.0), "epochs": ITERATIONS, "batch_size": None, "n_jobs": n_jobs}
    return train_many(SEED.network, SEED.X, SEED.Y, seed=range(n), **given)


@contextlib.contextmanager
def packings() -> Iterator[list[tuple[float, Any]]]:
    """Note, for the time of a ``with``, when tasks are packed, and the tasks."""
    noted: list[tuple[float, Any]] = []
    pack = engines.packed

    def packed(units: Any) -> Any:
        noted.append((time.perf_counter(), pack(units)))
        return noted[-1][1]

    with mock.patch.object(engines, "packed", packed):
        yield noted


def seconds(n: int, n_jobs: int | None = None, repeats: int = REPEATS) -> Times:
    """The least times of training `n` members: what another process takes away is no cost of an
    engine's.
    """
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        own = time.process_time()
        with packings() as tasks:
            trained(n, n_jobs)
        ended = time.perf_counter()
        used = time.process_time() - own
        times.append((ended - began, used, (tasks[0][0] if tasks else ended) - began))
    return Times(*map(min, zip(*times, strict=True)))


@contextlib.contextmanager
def workers(name: str, n: int) -> Iterator[None]:
    """Let an engine train on one worker or two; they have begun, and have their kernels."""
    # joblib never uses a single worker: it trains in the calling process then. So it is told that
    # there are two.
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {}
        if name == "dask":
            from dask.distributed import Client, LocalCluster

            local = stack.enter_context(
                LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
            )
            options["workers"] = list(stack.enter_context(Client(local)).ncores())[:n]
        elif name == "ray":
            import ray
            from ray.util.joblib import register_ray

            register_ray()
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
            stack.callback(ray.shutdown)
        else:
            options["n_jobs"] = 2
            executor = joblib._parallel_backends.get_memmapping_executor
            stack.callback(
                lambda: joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
            )
            makes = (lambda _, **others: executor(1, **others)) if n == 1 else executor
            stack.enter_context(
                mock.patch.object(joblib._parallel_backends, "get_memmapping_executor", makes)
            )
        stack.enter_context(joblib.parallel_config(name, **options))
        trained(4 * n)
        trained(FEW)
        yield


def sent(n: int = 2000) -> tuple[float, float]:
    """The bytes of a member on the way to a worker, and back."""
    with packings() as noted, joblib.parallel_config("loky", n_jobs=2):
        trained(n)
    there = sum(len(pickle.dumps(plan)) for _, (plan, _) in noted)
    answers = [engines.train_packed([0], plan, *arrays) for _, (plan, arrays) in noted]
    return there / n, sum(len(pickle.dumps(answer)) for answer in answers) / n


class Model(NamedTuple):
    """Seconds of a call, and of a member: before the first task, in a worker, and in the calling
    process meanwhile.
    """

    call: float
    before: float
    there: float
    meanwhile: float

    def seconds(self, n: int, n_workers: int, cores: float = math.inf) -> float:
        """Return the time of `n` members: whoever has most to do, or the cores where workers and
        caller share them.
        """
        at_once = max(self.there / n_workers, self.meanwhile, (self.there + self.meanwhile) / cores)
        return self.call + n * (self.before + at_once)

    def limit(self, n_workers: int) -> str:
        return "workers" if self.there / n_workers > self.before + self.meanwhile else "caller"


def fitted(found: Found) -> Model:
    """The model by the times of {(members, workers)}, of FEW and MANY members on all numbers of
    workers.
    """
    _, own, before = (np.array(found[MANY, 2]) - found[FEW, 2]) / (MANY - FEW)
    before = max(before, 0.0)
    meanwhile = max(own - before, 0.0)
    known = {(n, w): times.wall for (n, w), times in found.items() if n in (FEW, MANY)}
    left = [
        wall - n * (before + (w == CORES) * meanwhile / CORES) for (n, w), wall in known.items()
    ]
    call, there = np.linalg.lstsq(
        np.array([(1.0, n / w) for n, w in known]), np.array(left), rcond=None
    )[0]
    return Model(float(call), before, float(there), meanwhile)


def measured(name: str) -> Found:
    found: Found = {}
    # Ray has as many workers as joblib asks for, and starts them for each call, in seconds.
    every = {2: (FEW, SOME, MANY, MOST), 1: (FEW, SOME, MANY)}, REPEATS
    plan, repeats = ({2: (FEW, MANY, MOST)}, 2) if name == "ray" else every
    for n_workers, sizes in plan.items():
        with workers(name, n_workers):
            found |= {(n, n_workers): seconds(n, repeats=repeats) for n in sizes}
    return found


def threads_alone() -> Found:
    """The times without an engine."""
    jobs = ((MANY, 1), (FEW, 2), (SOME, 2), (MANY, 2), (MOST, 2))
    return {(n, w): seconds(n, w) for n, w in jobs}


def main(names: list[str]) -> None:
    found: dict[str, Found] = {}
    for name in names or NEEDS:
        if importlib.util.find_spec(NEEDS[name]) is None:
            print(f"{name} is left out: {NEEDS[name]} is not installed", file=sys.stderr)
        else:
            found[name] = threads_alone() if name == "threads" else measured(name)
    threads = found.pop("threads", {})
    models = {label: fitted(times) for label, times in found.items()}
    print(times_table(threads, found, models))
    there, back = sent()
    print(f"\nA member is {there:.0f} bytes on the way to a worker and {back:,.0f} back.\n")
    print(models_table(models))


def times_table(threads: Found, found: dict[str, Found], models: dict[str, Model]) -> str:
    rows = [
        ["threads", f"{w}", f"{n:,}", f"{times.wall:.2f}", "", "", ""]
        for (n, w), times in threads.items()
    ]
    for label, all_times in found.items():
        for (n, w), times in all_times.items():
            told = models[label].seconds(n, w, CORES)
            if n in (FEW, MANY):
                by_model = "fitted"
            else:
                by_model = f"{told:.2f} ({100 * (told / times.wall - 1):+.0f} %)"
            alone = threads[n, w].wall if (n, w) in threads else 0.0
            if alone:
                beside = [f"{1e6 * (times.wall - alone) / n:.0f}", f"{alone / times.wall:.2f}"]
            else:
                beside = ["", ""]
            rows.append([label, f"{w}", f"{n:,}", f"{times.wall:.2f}", by_model, *beside])
    heads = ["engine", "workers", "members", "seconds", "by the model"]
    return markdown([*heads, "more than threads, us per member", "of threads' speed"], rows)


def models_table(models: dict[str, Model]) -> str:
    rows = []
    for label, model in models.items():
        costs = [f"{1e6 * cost:.0f}" for cost in (model.before, model.there, model.meanwhile)]
        predicted = [f"{model.seconds(NETWORKS, w):.0f} ({model.limit(w)})" for w in WORKERS]
        rows.append([label, f"{model.call:.2f}", *costs, *predicted])
    heads = ["engine", "a call, s", "before, us", "there, us", "meanwhile, us"]
    return markdown([*heads, *(f"{w:,} workers, s" for w in WORKERS)], rows)


if __name__ == "__main__":
    main(sys.argv[1:])
