"""Time many trainings on engines, fit a model of what members and workers cost, and say what it predicts.

python -m benchmarks.engines [loky] [dask]
"""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import sys
import time
from collections.abc import Iterator

import joblib
import numpy as np

from fastnn import SGD, ManyResult, train_many, workloads
from fastnn.many import engine as engines

SEED = workloads.load("seed")
ITERATIONS = 3000
FEW, SOME, MANY = 500, 1500, 3000
"""Members of the trainings that the model is fitted to, FEW and MANY, and of the one that it is tested by."""
REPEATS = 3
WORKERS = (10, 100, 1000)
NETWORKS = 1_000_000
NEEDS = {"loky": "joblib", "dask": "distributed"}


def trained(n: int, n_jobs: int | None = None) -> ManyResult:
    """Train `n` of the tutorial's networks."""
    given = {"optimizer": SGD(1.0), "epochs": ITERATIONS, "batch_size": None, "n_jobs": n_jobs}
    return train_many(SEED.network, SEED.X, SEED.Y, seed=range(n), **given)


def seconds(n: int, n_jobs: int | None = None) -> float:
    """Return the median time of training `n` members."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        trained(n, n_jobs)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


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


def sent() -> tuple[float, float]:
    """Return the bytes of a member on the way to a worker and back, by pickle."""
    import pickle

    n, plans = 200, []
    pack = engines.packed
    engines.packed = lambda units: plans.append(pack(units)) or plans[-1]  # type: ignore[func-returns-value]
    with joblib.parallel_config("loky", n_jobs=2):
        trained(n)
    engines.packed = pack
    there = sum(len(pickle.dumps(plan)) for plan, _ in plans)
    back = sum(len(pickle.dumps(engines.train_plan([0], *plan_and_arrays(plan)))) for plan in plans)
    return there / n, back / n


def plan_and_arrays(packed: tuple[engines.Plan, list[np.ndarray]]) -> tuple[object, ...]:
    """Return the arguments of a task."""
    plan, arrays = packed
    return plan, *arrays


def main(names: list[str]) -> None:
    """Print the tables."""
    alone, threads = seconds(MANY, 1), seconds(MANY, 2)
    rows = [("one thread", 1, MANY, alone), ("threads", 2, MANY, threads)]
    models = {}
    for name in names or NEEDS:
        if importlib.util.find_spec(NEEDS[name]) is None:
            print(f"{name} is left out: {NEEDS[name]} is not installed", file=sys.stderr)
            continue
        found: dict[tuple[int, int], float] = {}
        for n_workers in (1, 2):
            with workers(name, n_workers):
                sizes = (FEW, MANY) if n_workers == 1 else (FEW, SOME, MANY)
                found |= {(n, n_workers): seconds(n) for n in sizes}
        rows += [(name, w, n, found[n, w]) for n, w in found]
        # T(n, w) = call + n (task / w + here): `here` is what the calling process does for each member.
        slope = {w: (found[MANY, w] - found[FEW, w]) / (MANY - FEW) for w in (1, 2)}
        task, here = 2 * (slope[1] - slope[2]), 2 * slope[2] - slope[1]
        call = found[MANY, 2] - MANY * slope[2]
        models[name] = call, task, here, call + SOME * slope[2], found[SOME, 2]
    print("| engine | workers | members | seconds | us a member | of two threads' speed |")
    print("|---|---|---|---|---|---|")
    for name, w, n, took in rows:
        print(f"| {name} | {w} | {n:,} | {took:.2f} | {1e6 * took / n:.0f} | {threads / MANY * n / took:.2f} |")
    there, back = sent()
    print(f"\nA member is {there:.0f} bytes on the way to a worker and {back:.0f} back; data travel once a worker.\n")
    columns = " | ".join(f"{w:,} workers, s" for w in WORKERS)
    print(f"| engine | a call, s | a member there, us | here, us | third point: model, s | measured, s | {columns} |")
    print("|---|---|---|---|---|---|" + "---|" * len(WORKERS))
    for name, (call, task, here, expected, measured) in models.items():
        predicted = " | ".join(f"{call + NETWORKS * (task / w + max(here, 0)):.0f}" for w in WORKERS)
        figures = f"{call:.2f} | {1e6 * task:.0f} | {1e6 * here:.0f} | {expected:.2f} | {measured:.2f}"
        print(f"| {name} | {figures} | {predicted} |")


if __name__ == "__main__":
    main(sys.argv[1:])
