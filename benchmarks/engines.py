"""Time many trainings on engines, fit a model of what members and workers cost, and say what it predicts.

python -m benchmarks.engines [loky] [dask]
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import pickle
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import joblib

from fastnn import SGD, ManyResult, train_many, workloads
from fastnn.many import engine as engines
from fastnn.many import shared_files

SEED = workloads.load("seed")
ITERATIONS = 3000
FEW, SOME, MANY = 500, 1500, 3000
"""Members of the trainings that the model is fitted to, FEW and MANY, and of the one that it is tested by."""
REPEATS = 7
MEMORY = shared_files.MEMORY
CORES = 2
"""Of this machine: the calling process and the workers share them."""
WORKERS = (10, 100, 1000)
NETWORKS = 1_000_000
NEEDS = {"loky": "joblib", "dask": "distributed"}


def trained(n: int, n_jobs: int | None = None) -> ManyResult:
    """Train `n` of the tutorial's networks."""
    given = {"optimizer": SGD(1.0), "epochs": ITERATIONS, "batch_size": None, "n_jobs": n_jobs}
    return train_many(SEED.network, SEED.X, SEED.Y, seed=range(n), **given)


def seconds(n: int, n_jobs: int | None = None) -> tuple[float, float]:
    """Return the least time of training `n` members, and that of a processor which this process spends."""
    times = []
    for _ in range(REPEATS):
        began, own = time.perf_counter(), time.process_time()
        trained(n, n_jobs)
        times.append((time.perf_counter() - began, time.process_time() - own))
    wall, own_times = zip(*times, strict=True)
    return min(wall), min(own_times)  # what another process takes away is no cost of an engine's


@contextlib.contextmanager
def workers(name: str, n: int) -> Iterator[None]:
    """Let an engine of so many workers train; all of them have begun, and have their kernels."""
    with contextlib.ExitStack() as stack:
        if name == "dask":
            from dask.distributed import Client, LocalCluster

            local = stack.enter_context(LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address=None))
            stack.enter_context(Client(local))
        else:
            stack.callback(lambda: joblib.externals.loky.get_reusable_executor().shutdown(wait=True))
        stack.enter_context(joblib.parallel_config(name, **({} if name == "dask" else {"n_jobs": n})))
        trained(4 * n)
        trained(FEW)
        yield


def sent() -> tuple[float, float, float]:
    """Return the bytes of a member on the way to a worker, and back from another machine and on this one."""
    n, plans = 2000, []
    pack = engines.packed
    engines.packed = lambda units: plans.append(pack(units)) or plans[-1]  # type: ignore[func-returns-value]
    with joblib.parallel_config("loky", n_jobs=2):
        trained(n)
    engines.packed = pack
    there = sum(len(pickle.dumps(plan)) for plan, _ in plans)
    with shared_files.folder_for_workers() as folder:
        tasks = [[(plan._replace(folder=place), *arrays) for plan, arrays in plans] for place in (None, folder)]
        back = [sum(len(pickle.dumps(engines.train_plan([0], *task))) for task in same) for same in tasks]
    return there / n, back[0] / n, back[1] / n


class Model(NamedTuple):
    """Seconds of a call, of a worker for each member, and of the calling process for each member."""

    call: float
    there: float
    here: float

    def seconds(self, n: int, n_workers: int, cores: float = math.inf) -> float:
        """Return the time of `n` members: whoever has most to do, or the cores where workers and caller share them."""
        return self.call + n * max(self.there / n_workers, self.here, (self.there + self.here) / cores)


def fitted(found: dict[tuple[int, int], tuple[float, float]]) -> Model:
    """Return the model by the times (wall, own) of {(members, workers)}: FEW and MANY members on two workers."""
    (few, few_own), (many, many_own) = found[FEW, 2], found[MANY, 2]
    slope, here = (many - few) / (MANY - FEW), (many_own - few_own) / (MANY - FEW)
    return Model(many - MANY * slope, CORES * slope - here, here)


def main(names: list[str]) -> None:
    """Print the tables."""
    alone, threads = seconds(MANY, 1)[0], seconds(MANY, 2)[0]
    rows = [("one thread", 1, MANY, alone, ""), ("threads", 2, MANY, threads, "")]
    models = {}
    for name in names or NEEDS:
        if importlib.util.find_spec(NEEDS[name]) is None:
            print(f"{name} is left out: {NEEDS[name]} is not installed", file=sys.stderr)
            continue
        for label, memory in ((name, MEMORY), (f"{name}, messages", MEMORY / "missing")):
            shared_files.MEMORY = memory
            found: dict[tuple[int, int], tuple[float, float]] = {}
            for n_workers in (2,) if name == "loky" else (2, 1):  # joblib does not start one worker of loky
                with workers(name, n_workers):
                    found |= {(n, n_workers): seconds(n) for n in ((FEW, SOME, MANY) if n_workers == 2 else (MANY,))}
            models[label] = model = fitted(found)
            for (n, w), (wall, _) in found.items():
                is_fitted = w == 2 and n != SOME
                rows.append((label, w, n, wall, "fitted" if is_fitted else f"{model.seconds(n, w, CORES):.2f}"))
    shared_files.MEMORY = MEMORY
    print("| engine | workers | members | seconds | by the model | us a member | of two threads' speed |")
    print("|---|---|---|---|---|---|---|")
    for label, w, n, took, told in rows:
        speed = threads / MANY * n / took
        print(f"| {label} | {w} | {n:,} | {took:.2f} | {told} | {1e6 * took / n:.0f} | {speed:.2f} |")
    there, back, by_file = sent()
    print(
        f"\nA member is {there:.0f} bytes on the way to a worker and {back:,.0f} back, of which {by_file:.0f} are in "
        "the message where both are on\none machine; data travel once a worker.\n"
    )
    columns = " | ".join(f"{w:,} workers, s" for w in WORKERS)
    print(f"| engine | a call, s | a member there, us | here, us | {columns} |")
    print("|---|---|---|---|" + "---|" * len(WORKERS))
    for label, model in models.items():
        predicted = " | ".join(f"{model.seconds(NETWORKS, w):.0f}" for w in WORKERS)
        print(f"| {label} | {model.call:.2f} | {1e6 * model.there:.0f} | {1e6 * model.here:.0f} | {predicted} |")


if __name__ == "__main__":
    main(sys.argv[1:])
