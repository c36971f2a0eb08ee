"""Threads that share each step of a training, against one thread: ``python -m benchmarks.threads``.

Before anything is timed, threads are compared with one thread, to the bit. Samples of some 25 ms are taken in turn; a
ratio is that of samples side by side, in the tables stand the median and the quartiles. On Linux, samples of the first
table in which a thread has waited for a CPU, or the machine below a virtual one has taken a CPU away, are left out. The
samples are kept in benchmarks/results/threads.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks import drawing
from fastnn import SGD, Network, get_backend, loss_and_gradient, plotting, train, train_many, workloads
from fastnn.cores import VARIABLE
from fastnn.measuring.timing import markdown, quartiles
from fastnn.state import Data, Steps, StepState, Task

RESULTS = pathlib.Path(__file__).parent / "results" / "threads.json"
PICTURE = pathlib.Path(__file__).parents[1] / "docs" / "images" / "threads.png"
SECONDS = 6.0  # of a row of a table
SAMPLE = 0.025  # seconds
WAITING = 0.02  # part of a sample in which there may be no CPU for a thread
TRAININGS = {"mnist": None, "big": None, "tab": None, "digits": 256, "iris": None}  # rows of a batch, if others
OTHERS = {
    "predict": "predict 10,000 rows, 784-128-10",
    "validation": "loss of 10,000 validation rows, 784-128-10",
    "lbfgs": "gradient of L-BFGS, 8192 rows, 32-128-128-1",
    "call": "`loss_and_gradient`, the same rows",
}
WANTED = {"mnist": 1.6, "big": 1.6, "tab": 1.35, "digits": 1.2, "predict": 1.7, "lbfgs": 1.5}
BACKEND: Any = get_backend("numba")

Run = Callable[[int], object]
"""Does so many steps, or calls."""


def training(name: str, threads: int | None) -> tuple[Run, StepState]:
    """Return a training of a workload, and its state."""
    workload = workloads.load(name)
    n, dtype = len(workload.X), workload.dtype
    size = TRAININGS[name] or workload.batch_size or n
    data = Data(workload.X, workload.Y, np.ones(n, dtype))
    task = Task(workload.network, workload.optimizer, data, workload.alpha, threads=threads)
    random_state = np.random.RandomState(0)
    params = random_state.standard_normal(workload.network.n_params) / 20
    state = StepState.create(params.astype(dtype), workload.optimizer.n_slots)

    def run(n_steps: int) -> None:
        n_epochs, begins = -(-n_steps // (n // size)), np.arange(n // size) * size
        rows = np.concatenate([random_state.permutation(n) for _ in range(n_epochs)])
        start = (np.arange(n_epochs)[:, None] * n + begins).ravel()[:n_steps]
        steps = Steps(rows, start, start + size, np.full(n_steps, 1e-4), np.zeros(n_steps))
        if BACKEND.train_steps(task, state, steps) != n_steps:
            raise RuntimeError(f"{name} diverged")

    return run, state


def gradient(threads: int | None) -> tuple[Run, np.ndarray]:
    """Return what takes the gradients of L-BFGS, on 8192 rows, and the last of them."""
    random_state, network = np.random.RandomState(0), Network((32, 128, 128, 1), "relu")
    X, Y = random_state.standard_normal((8192, 32)), random_state.standard_normal((8192, 1))
    task = Task(network, SGD(), Data(X, Y, np.ones(8192)), 1e-4, threads=threads)
    params = random_state.standard_normal(network.n_params) / 10
    found = np.empty_like(params)
    return lambda n: [BACKEND.loss(task, params, found) for _ in range(n)], found


def validation(threads: int | None) -> tuple[Run, np.ndarray]:
    """Return what takes the loss of 10,000 validation rows, and the last one."""
    random_state, network = np.random.RandomState(0), Network((784, 128, 10), "relu")
    arrays = (random_state.standard_normal((10_000, n)) for n in (784, 10))
    data = Data(*(array.astype(np.float32) for array in arrays), np.ones(10_000, np.float32))
    task = Task(network, SGD(), data, threads=threads)
    params = (random_state.standard_normal(network.n_params) / 20).astype(np.float32)
    found = np.empty(1)

    def run(n: int) -> None:
        for _ in range(n):
            found[0] = BACKEND.loss(task, params)

    return run, found


def call(threads: int | None) -> tuple[Run, np.ndarray]:
    """Return what calls `loss_and_gradient` on 8192 rows, and the last gradient."""
    random_state, network = np.random.RandomState(0), Network((32, 128, 128, 1), "relu")
    X, Y = random_state.standard_normal((8192, 32)), random_state.standard_normal((8192, 1))
    params = random_state.standard_normal(network.n_params) / 10
    found = np.empty_like(params)

    def run(n: int) -> None:
        for _ in range(n):
            found[...] = loss_and_gradient(network, params, X, Y, alpha=1e-4, threads=threads)[1]

    return run, found


def prediction(threads: int | None) -> tuple[Run, np.ndarray]:
    """Return what predicts 10,000 rows, and the first outputs."""
    random_state, network = np.random.RandomState(0), Network((784, 128, 10), "relu")
    X = random_state.standard_normal((10_000, 784)).astype(np.float32)
    params = (random_state.standard_normal(network.n_params) / 20).astype(np.float32)
    outputs = np.empty(10, np.float32)

    def run(n: int) -> None:
        os.environ[VARIABLE] = str(threads or os.cpu_count())
        for _ in range(n):
            outputs[...] = BACKEND.predict(network, params, X)[-1]
        os.environ.pop(VARIABLE, None)

    return run, outputs


def made(name: str, threads: int | None) -> tuple[Run, Any]:
    """Return work by its name, and what its answer is in."""
    if name in TRAININGS:
        return training(name, threads)
    return {"predict": prediction, "validation": validation, "lbfgs": gradient, "call": call}[name](threads)


def bits(answer: Any) -> bytes:
    return bytes(answer.storage.tobytes() if isinstance(answer, StepState) else answer.tobytes())


def waited() -> float:
    """Return the seconds that the threads of this process have waited for a CPU; 0 where the system does not say."""
    nanoseconds = 0
    for file in pathlib.Path("/proc/self/task").glob("*/schedstat"):
        try:
            nanoseconds += int(file.read_text().split()[1])
        except OSError:  # the thread has ended
            continue
    return nanoseconds / 1e9


def taken_away() -> float:
    """Return the seconds that a virtual machine's CPUs have served others: the eighth number of the first line."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


def timed(run: Run, n: int) -> tuple[float, float]:
    """Return the seconds that it takes, and how many of them there was no CPU for its threads."""
    before, began = waited() + taken_away(), time.perf_counter()
    run(n)
    seconds = time.perf_counter() - began
    return seconds, waited() + taken_away() - before


def at_once(runs: list[Run], n: int) -> None:
    """Do independent work, each in a thread of its own."""
    others = [threading.Thread(target=run, args=(n,)) for run in runs[1:]]
    for other in others:
        other.start()
    runs[0](n)
    for other in others:
        other.join()


def speed_ups(name: str, seconds: float, quiet: bool = True) -> dict[str, list[float]]:
    """Return the samples: microseconds with one thread, and what two threads, and those chosen, gain over it."""
    ways: dict[str, tuple[Run, Any]] = {way: made(name, n) for way, n in (("1", 1), ("2", 2), ("None", None))}
    for run, _ in ways.values():
        run(3)
    if len({bits(answer) for _, answer in ways.values()}) > 1:
        raise RuntimeError(f"{name}: threads show in the bits")
    (first, state), (second, other) = (made(name, 1) for _ in range(2))
    pair = [first, second]
    begins = [(x, x.copy()) for x in (state, other, *(x for _, x in ways.values())) if isinstance(x, StepState)]
    one = min(timed(ways["1"][0], 3)[0] for _ in range(5)) / 3
    n = max(2, round(SAMPLE / one))
    ways["None"][0](round(0.5 / one))  # its first trials are over
    found: dict[str, list[float]] = {"one thread": [], "2": [], "None": [], "independent": []}
    stop, tries = time.perf_counter() + seconds, 0
    while time.perf_counter() < stop or (quiet and len(found["2"]) < 3 and tries < 1000):
        tries += 1
        for answer, begin in begins:  # else `digits` learns until its deltas are too small for a processor's fast ways
            answer.restore(begin)
        taken = {way: timed(run, n) for way, (run, _) in ways.items()}
        taken["independent"] = timed(lambda n: at_once(pair, n), n)
        if quiet and any(lost > WAITING * passed for passed, lost in taken.values()):
            continue
        found["one thread"].append(taken["1"][0] / n * 1e6)
        for way in ("2", "None"):
            found[way].append(taken["1"][0] / taken[way][0])
        found["independent"].append(2 * taken["1"][0] / taken["independent"][0])
    return found


def beside(name: str, n_busy: int, seconds: float) -> dict[str, list[float]]:
    """Return the samples beside so many processes that compute."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
    try:
        return speed_ups(name, seconds, quiet=False)
    finally:
        for process in busy:
            process.kill()
            process.wait()


SHORT = {
    "`train`, `tab`": (2, 7, 22),
    "`train`, `mnist`": (1, 3, 9),
    "`train_many`, 256 of `seed`": (20, 100, 300, 3000),
}
"""Numbers of epochs: trainings of some 10, 30, 100 ms, and members of a few."""


def short_work(name: str, n_epochs: int) -> Callable[[int], Any]:
    """Return what does work of `SHORT` with so many threads, and returns the parameters."""
    workload = workloads.load(name.rstrip("`").rpartition("`")[2])
    options: dict[str, Any] = {"optimizer": workload.optimizer, "epochs": n_epochs, "batch_size": workload.batch_size}
    if "many" in name:
        seeds = range(256)
        return lambda n: train_many(workload.network, workload.X, workload.Y, seed=seeds, n_jobs=n, **options).params
    rows = slice(40 * (workload.batch_size or 1)) if "mnist" in name else slice(None)
    X, Y = workload.X[rows], workload.Y[rows]
    return lambda n: train(workload.network, X, Y, seed=0, threads=n, **options).params


def short(name: str, n_epochs: int, seconds: float) -> dict[str, list[float]]:
    """Return the samples of short work: milliseconds with one thread, what two gain, and their processor time."""
    work = short_work(name, n_epochs)
    if any((work(2) != work(1)).any() for _ in range(2)):
        raise RuntimeError(f"{name}: threads show in the bits")
    found: dict[str, list[float]] = {"one thread": [], "2": [], "processor": []}
    stop = time.perf_counter() + seconds
    while not found["2"] or time.perf_counter() < stop:
        taken = []
        for n in 1, 2:
            began = time.perf_counter(), time.process_time()
            work(n)
            taken.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        (one, own), (two, of_both) = taken
        for way, x in zip(found, (one * 1e3, one / two, of_both / own), strict=True):
            found[way].append(x)
    return found


# -------------------------------------------------------------------------------------------------------- the profile

PARTS = ("columns", "waiting", "parameters", "waiting again")


def profile(name: str, n_steps: int) -> list[list[float]]:
    """Return for each of two threads the microseconds of a step's `PARTS`: a kernel of its own reads the clock."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.threads", "--child", name, str(n_steps)]
        environment = os.environ | {"FASTNN_CACHE_DIR": folder}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


def child(name: str, n_steps: int) -> None:
    """Print the profile of steps by two threads."""
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils

    from fastnn.compiler.memory_ops import get, put
    from fastnn.compiler.tracing import inlined, primitive
    from fastnn.fused import team, together

    def clock_ir(a: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [])
        return a.builder.call(cgutils.get_or_insert_function(a.builder.module, kind, "llvm.readcyclecounter"), [])

    @primitive(lambda a: types.int64, clock_ir)
    def clock(a: Any) -> int:
        return 0

    wait, line, zeros, kept = together.wait, team.LINE, team.aligned_zeros, []

    @inlined
    def timed_wait(share, goal):
        here, came = (share.n + 4 + share.t) * line, clock(share.numbers)
        part = here + 1 + (0 if goal // share.n % (1 + team.PARTS) == 1 else 2)
        done = wait(share, goal)
        left = clock(share.numbers)
        if goal > 0:  # what was before the first thread began is not known
            put(share.numbers, part, get(share.numbers, part) + came - get(share.numbers, here))
            put(share.numbers, part + 1, get(share.numbers, part + 1) + left - came)
        put(share.numbers, here, left)
        return done

    def more_zeros(n: int, dtype: Any) -> np.ndarray:
        if dtype is not np.int64:  # buffers of the steps
            return zeros(n, dtype)
        kept.append(zeros(2 * n, dtype))  # what threads claim: behind it they write down the times
        return kept[-1]

    together.wait, team.aligned_zeros = timed_wait, more_zeros
    run, _ = training(name, 2)
    run(2)
    rounds = []
    for _ in range(15):
        began = time.perf_counter()
        run(n_steps)
        rounds.append((time.perf_counter() - began, kept[-1].reshape(-1, line)[6:8, 1:5].tolist()))
    seconds, ticks = min(rounds)
    scale = seconds * 1e6 / n_steps / sum(ticks[0])
    print(json.dumps([[x * scale for x in row] for row in ticks]))


# ---------------------------------------------------------------------------------------------------------- the tables


def cell(samples: list[float]) -> str:
    return str(quartiles(samples)) if samples else "never quiet"


def label(name: str) -> str:
    size = TRAININGS.get(name)
    return OTHERS.get(name, f"`{name}`") + (f", batches of {size}" if size else "")


def tables(found: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    quiet = []
    for name, samples in found["quiet"].items():
        one = statistics.median(samples["one thread"]) if samples["one thread"] else float("nan")
        two, chosen, independent = (cell(samples[way]) for way in ("2", "None", "independent"))
        quiet.append([label(name), f"{one:,.0f}", two, str(WANTED.get(name, "")), chosen, independent])
    loaded = [
        [label(name), *(cell(samples["None"]) for samples in by_load)] for name, by_load in found["loaded"].items()
    ]
    parts = [
        [label(name) if t == 0 else "", str(t), *(f"{x:,.1f}" for x in row)]
        for name, rows in found["profile"].items()
        for t, row in enumerate(rows)
    ]
    first = [[kernels, *(f"{x:.2f}" for x in seconds)] for kernels, seconds in found.get("first", {}).items()]
    ways = [f"`threads={n}`" for n in (1, 2, None)]
    brief = [
        [name, n, f"{statistics.median(samples['one thread']):,.1f}", cell(samples["2"]), cell(samples["processor"])]
        for name, by_epochs in found.get("short", {}).items()
        for n, samples in by_epochs.items()
    ]
    heads = ["short work", "epochs", "one thread, ms", "2 threads", "processor time"]
    return "\n\n".join(
        [
            markdown(["work", "one thread, us", "2 threads", "wanted", "`threads=None`", "two at once"], quiet),
            markdown(["`threads=None` beside busy processes", "0", "1", "2"], loaded),
            markdown(["a step, us", "thread", *PARTS], parts),
            *([markdown(heads, brief)] if brief else []),
            *([markdown(["the first training of a process, seconds", *ways], first)] if first else []),
        ]
    )


WAYS = {"2": ("threads=2", "#9ecae1"), "None": ("threads=None", drawing.BLUE)}
"""{the way in the samples: its label and its color}"""
LEAST = {0: 0.97, 1: 0.87}
"""What `threads=None` may come down to beside so many busy processes."""


def chart(loaded: dict[str, list[dict[str, list[float]]]], labels: dict[str, str]) -> Figure:
    """Draw the gains over one thread, a panel for each number of busy processes, a group of bars for each work."""
    note = "Threads that share each step, on two CPUs"
    figure, panels = drawing.panels(3, (12, 4.6), note, columns=3, sharey=True)
    for n_busy, (axes, title) in enumerate(
        zip(panels, ("alone", "beside one busy process", "beside two"), strict=True)
    ):
        for k, (way, (text, color)) in enumerate(WAYS.items()):
            found = np.array([quartiles(by_load[n_busy][way]) for by_load in loaded.values()])
            low, middle, high = found.T
            places = np.arange(len(loaded)) + 0.4 * (k - 0.5)
            errors = {"yerr": [middle - low, high - middle], "ecolor": "0.4", "capsize": 3}
            bars = axes.bar(places, middle, 0.38, color=color, label=text, **errors)
            axes.bar_label(bars, [f"{x:.2f}" for x in middle], padding=5, fontsize=8)
        axes.axhline(1, color="0.3", linewidth=1)
        if n_busy in LEAST:
            axes.axhline(LEAST[n_busy], color=drawing.ORANGE, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_xticks(range(len(loaded)), [labels[name].replace(", ", "\n") for name in loaded], fontsize=9)
        drawing.style(axes, title, grid="y")
    panels[0].set_ylabel("times as fast as one thread")
    panels[0].legend(frameon=False, fontsize=10, loc="upper right")
    return figure


FIRST = """
import sys, time
import numpy as np
from fastnn import Adam, Network, train
X, began = np.random.RandomState(0).standard_normal((512, 784)).astype(np.float32), time.perf_counter()
threads = int(sys.argv[1]) or None
train(Network((784, 128, 10)), X, X[:, :10], optimizer=Adam(), epochs=200, batch_size=128, seed=0, threads=threads)
print(time.perf_counter() - began)
"""


def first_trainings() -> dict[str, list[float]]:
    """Return the seconds of 800 steps like those of `mnist` in a new process, by where its kernels come from."""
    found: dict[str, list[float]] = {}
    for threads in (1, 2, 0):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"FASTNN_CACHE_DIR": folder}
            command = [sys.executable, "-c", FIRST]
            for kernels in ("compiled by it", "from the disk cache"):
                rounds = []
                for _ in range(1 if kernels == "compiled by it" else 5):
                    done = [*command, str(threads)]
                    rounds.append(float(subprocess.run(done, check=True, capture_output=True, env=environment).stdout))
                found.setdefault(kernels, []).append(statistics.median(rounds))
                # What a training that has not asked for threads compiles ahead, it need not have used.
                subprocess.run([*command, "2"], check=True, capture_output=True, env=environment)
    return found


def measured(part: str, seconds: float) -> dict[str, Any]:
    """Return the samples of a part of the results."""
    if part == "quiet":
        return {name: speed_ups(name, seconds) for name in [*TRAININGS, *OTHERS]}
    if part == "loaded":
        return {name: [beside(name, n, seconds / 2) for n in range(3)] for name in TRAININGS}
    if part == "short":
        return {name: {str(n): short(name, n, seconds / 2) for n in numbers} for name, numbers in SHORT.items()}
    if part == "first":
        return first_trainings()
    shared = [name for name in TRAININGS if name != "iris"]
    return {name: profile(name, max(4, 20 if name == "big" else 200)) for name in shared}


def main(arguments: list[str] | None = None) -> int:
    """Measure, keep the samples and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of a row of a table ({SECONDS:g})")
    parts = ["quiet", "loaded", "short", "profile", "first"]
    parser.add_argument("--only", nargs="*", choices=parts, default=parts, help="parts to measure; the others are kept")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options.child[0], int(options.child[1]))
        return 0
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    found |= {part: measured(part, options.seconds) for part in options.only}
    if options.only:
        found["date"] = str(datetime.date.today())
        RESULTS.write_text(json.dumps(found) + "\n", encoding="utf-8")
    plotting.save(chart(found["loaded"], {name: label(name).replace("`", "") for name in TRAININGS}), PICTURE)
    print(tables(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
