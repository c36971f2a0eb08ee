"""Threads that share each step of a training, against one thread: ``python -m benchmarks.threads``.

Before anything is timed, threads are compared with one thread, to the bit. Samples of some 25 ms
are taken in turn; a ratio is that of samples side by side, in the tables stand the median and the
quartiles. The samples are kept in benchmarks/results/threads.json.
"""

import concurrent.futures
import contextlib
import datetime
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from benchmarks import drawing
from benchmarks.readme import found_in, parser
from fastnn import (
    SGD,
    Network,
    get_backend,
    loss_and_gradient,
    plotting,
    train,
    train_many,
    workloads,
)
from fastnn.measuring.timing import in_process, in_turn, markdown, quartiles, seconds_of
from fastnn.state import Data, Steps, StepState, Task

RESULTS = pathlib.Path("benchmarks/results/threads.json")
PICTURE = pathlib.Path("docs/images/threads.png")
PARTS = ["quiet", "loaded", "short", "first"]
# of a row of a table, and samples at most
SECONDS = 6.0
ROUNDS = 1000
SAMPLE = 0.025  # seconds
# rows of a batch, if others
TRAININGS = {"mnist": None, "big": None, "tab": None, "digits": 256, "iris": None}
OTHERS = {
    "predict": "predict 10,000 rows, 784-128-10",
    "validation": "loss of 10,000 validation rows, 784-128-10",
    "lbfgs": "gradient of L-BFGS, 8192 rows, 32-128-128-1",
    "call": "`loss_and_gradient`, the same rows",
}
WANTED = {"mnist": 1.6, "big": 1.6, "tab": 1.35, "digits": 1.2, "predict": 1.7, "lbfgs": 1.5}
BACKEND: Any = get_backend("numba")


class Way(NamedTuple):
    """Work by so many threads. Steps are undone, else `digits` learns until its deltas are
    denormal, which is slow.
    """

    run: Callable[[int], object]  # does so many steps, or calls
    bits: Callable[[], bytes]  # those of the answer
    restore: Callable[[], object] = lambda: None


def training(name: str, threads: int | None) -> Way:
    workload = workloads.load(name)
    n = len(workload.X)
    dtype = workload.dtype
    size = TRAININGS[name] or workload.batch_size or n
    data = Data(workload.X, workload.Y, np.ones(n, dtype))
    task = Task(workload.network, workload.optimizer, data, workload.alpha, threads=threads)
    random_state = np.random.RandomState(0)
    params = random_state.standard_normal(workload.network.n_params) / 20
    state = StepState.create(params.astype(dtype), workload.optimizer.n_slots)
    begin = state.copy()

    def run(n_steps: int) -> None:
        n_epochs = -(-n_steps // (n // size))
        begins = np.arange(n // size) * size
        rows = np.concatenate([random_state.permutation(n) for _ in range(n_epochs)])
        start = (np.arange(n_epochs)[:, None] * n + begins).ravel()[:n_steps]
        steps = Steps(rows, start, start + size, np.full(n_steps, 1e-4), np.zeros(n_steps))
        if BACKEND.train_steps(task, state, steps) != n_steps:
            raise RuntimeError(f"{name} diverged")

    return Way(run, lambda: state.storage.tobytes(), lambda: state.restore(begin))


def calls(name: str, threads: int | None) -> Way:
    is_table = name in ("lbfgs", "call")
    sizes, n, dtype, scale = (
        ((32, 128, 128, 1), 8192, "f8", 10) if is_table else ((784, 128, 10), 10_000, "f4", 20)
    )
    random_state = np.random.RandomState(0)
    network = Network(sizes, "relu")
    X, Y = (random_state.standard_normal((n, k)).astype(dtype) for k in (sizes[0], sizes[-1]))
    params = (random_state.standard_normal(network.n_params) / scale).astype(dtype)
    task = Task(
        network, SGD(), Data(X, Y, np.ones(n, dtype)), 1e-4 * (name == "lbfgs"), threads=threads
    )
    gradient = np.zeros_like(params)
    call: Callable[[], Any] = {
        "predict": lambda: BACKEND.predict(network, params, X, threads)[-1],
        "validation": lambda: BACKEND.loss(task, params),
        "lbfgs": lambda: BACKEND.loss(task, params, gradient),
        "call": lambda: loss_and_gradient(network, params, X, Y, alpha=1e-4, threads=threads)[1],
    }[name]
    answers: list[Any] = [None, gradient]

    def run(times: int) -> None:
        for _ in range(times):
            answers[0] = call()

    return Way(run, lambda: b"".join(np.asarray(answer).tobytes() for answer in answers))


def way_of(name: str, threads: int | None) -> Way:
    return (training if name in TRAININGS else calls)(name, threads)


def timed(n: int, *ways: Way) -> float:
    """Return the seconds that n steps or calls take, in each way at once: independent ones in
    threads of their own.
    """
    for way in ways:
        way.restore()

    def at_once() -> None:
        with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
            list(pool.map(lambda way: way.run(n), ways))

    return seconds_of(at_once if len(ways) > 1 else partial(ways[0].run, n))


def speed_ups(name: str, seconds: float) -> dict[str, list[float]]:
    """Return the samples: microseconds with one thread, and what two threads, and those chosen,
    gain over it.
    """
    ways = {way: way_of(name, n) for way, n in (("1", 1), ("2", 2), ("None", None))}
    for way in ways.values():
        way.run(3)
    if len({way.bits() for way in ways.values()}) > 1:
        raise RuntimeError(f"{name}: threads show in the bits")
    one = min(timed(3, ways["1"]) for _ in range(5)) / 3
    n = max(2, round(SAMPLE / one))
    ways["None"].run(round(0.5 / one))  # its first trials are over
    asks = {title: partial(timed, n, way) for title, way in ways.items()}
    asks["independent"] = partial(timed, n, *(way_of(name, 1) for _ in range(2)))
    one, two, chosen, pair = map(np.array, in_turn(asks, ROUNDS, seconds).values())
    columns = {
        "one thread": 1e6 * one / n,
        "2": one / two,
        "None": one / chosen,
        "independent": 2 * one / pair,
    }
    return {title: column.tolist() for title, column in columns.items()}


def beside(name: str, n_busy: int, seconds: float) -> dict[str, list[float]]:
    with contextlib.ExitStack() as stack:
        for _ in range(n_busy):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)  # before it is waited for
        return speed_ups(name, seconds)


# Numbers of epochs: trainings of some 10, 30, 100 ms, and members of a few.
SHORT = {"`train`, `tab`": (2, 7, 22), "`train`, `mnist`": (1, 3, 9)}
SHORT["`train_many`, 256 of `seed`"] = (20, 100, 300, 3000)


def short_work(name: str, n_epochs: int) -> Callable[[int], Any]:
    """Return a function of the number of threads that does work of `SHORT` and returns the
    parameters.
    """
    workload = workloads.load(name.rstrip("`").rpartition("`")[2])
    options: dict[str, Any] = {
        "optimizer": workload.optimizer,
        "epochs": n_epochs,
        "batch_size": workload.batch_size,
    }
    rows = slice(40 * (workload.batch_size or 1)) if "mnist" in name else slice(None)
    data = workload.network, workload.X[rows], workload.Y[rows]
    if "many" in name:
        return lambda n: train_many(*data, seed=range(256), n_jobs=n, **options).params
    return lambda n: train(*data, seed=0, threads=n, **options).params


def short(name: str, n_epochs: int, seconds: float) -> dict[str, list[float]]:
    """Return the samples of short work: milliseconds with one thread, what two gain, and their
    processor time.
    """
    work = short_work(name, n_epochs)
    if any((work(2) != work(1)).any() for _ in range(2)):
        raise RuntimeError(f"{name}: threads show in the bits")

    def by_both_clocks(n: int) -> tuple[float, float]:
        wall: list[float] = []
        processor = seconds_of(lambda: wall.append(seconds_of(lambda: work(n))), time.process_time)
        return wall[0], processor

    taken = in_turn({n: partial(by_both_clocks, n) for n in (1, 2)}, ROUNDS, seconds).values()
    (one, own), (two, of_both) = (np.array(samples).T for samples in taken)
    return {
        "one thread": (1e3 * one).tolist(),
        "2": (one / two).tolist(),
        "processor": (of_both / own).tolist(),
    }


def label(name: str) -> str:
    size = TRAININGS.get(name)
    return OTHERS.get(name, f"`{name}`") + (f", batches of {size}" if size else "")


def tables(found: dict[str, Any]) -> str:
    quiet = []
    short_rows = []
    for name, samples in found["quiet"].items():
        two, chosen, independent = (
            str(quartiles(samples[way])) for way in ("2", "None", "independent")
        )
        one = f"{median(samples['one thread']):,.0f}"
        quiet.append([label(name), one, two, str(WANTED.get(name, "")), chosen, independent])
    loaded = [
        [label(name), *(str(quartiles(of["None"])) for of in by)]
        for name, by in found["loaded"].items()
    ]
    for name, by_epochs in found["short"].items():
        for n, samples in by_epochs.items():
            others = (str(quartiles(samples[what])) for what in ("2", "processor"))
            short_rows.append([name, n, f"{median(samples['one thread']):,.1f}", *others])
    first = [
        [kernels, *(f"{x:.2f}" for x in seconds)] for kernels, seconds in found["first"].items()
    ]
    ways = [f"`threads={n}`" for n in (1, 2, None)]
    every = (
        (["work", "one thread, us", "2 threads", "wanted", "`threads=None`", "two at once"], quiet),
        (["`threads=None` beside busy processes", "0", "1", "2"], loaded),
        (["short work", "epochs", "one thread, ms", "2 threads", "processor time"], short_rows),
        (["the first training of a process, seconds", *ways], first),
    )
    return "\n\n".join(markdown(*table) for table in every)


WAYS = {"2": ("threads=2", "#9ecae1"), "None": ("threads=None", drawing.BLUE)}
"""{the way in the samples: its label and its color}"""
LEAST = {0: 0.97, 1: 0.87}  # What `threads=None` may come down to beside so many busy processes


def chart(loaded: dict[str, list[dict[str, list[float]]]]) -> Figure:
    """Draw the gains over one thread, a panel for each number of busy processes, a group of bars
    for each work.
    """
    note = "Threads that share each step, on two CPUs"
    titles = ("alone", "beside one busy process", "beside two")
    figure, panels = drawing.panels(3, (12, 4.6), note, columns=3, sharey=True)
    labels = [label(name).replace("`", "").replace(", ", "\n") for name in loaded]
    for n_busy, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        for k, (way, (text, color)) in enumerate(WAYS.items()):
            low, middle, high = np.array(
                [quartiles(by_load[n_busy][way]) for by_load in loaded.values()]
            ).T
            places = np.arange(len(loaded)) + 0.4 * (k - 0.5)
            errors = {"yerr": [middle - low, high - middle], "ecolor": "0.4", "capsize": 3}
            bars = axes.bar(places, middle, 0.38, color=color, label=text, **errors)
            axes.bar_label(bars, [f"{x:.2f}" for x in middle], padding=5, fontsize=8)
        axes.axhline(1, color="0.3", linewidth=1)
        if n_busy in LEAST:
            axes.axhline(LEAST[n_busy], color=drawing.ORANGE, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_xticks(range(len(loaded)), labels, fontsize=9)
        drawing.style(axes, title, grid="y")
    panels[0].set_ylabel("times as fast as one thread")
    panels[0].legend(frameon=False, fontsize=10, loc="upper right")
    return figure


FIRST = """
import time
import numpy as np
from fastnn import Adam, Network, train
X, began = np.random.RandomState(0).standard_normal((512, 784)).astype(np.float32), time.perf_counter()
options = {{"optimizer": Adam(), "epochs": 200, "batch_size": 128, "seed": 0, "threads": {threads}}}
train(Network((784, 128, 10)), X, X[:, :10], **options)
print(time.perf_counter() - began)
"""  # noqa: E501


def first_trainings() -> dict[str, list[float]]:
    """Return the seconds of 800 steps like those of `mnist` in a new process, by where its kernels
    come from.
    """
    found: dict[str, list[float]] = {"compiled by it": [], "from the disk cache": []}
    for threads in (1, 2, None):
        with tempfile.TemporaryDirectory() as folder:
            for samples, repeats in zip(found.values(), (1, 5), strict=True):
                run = partial(in_process, environment={"FASTNN_CACHE_DIR": folder})
                samples.append(
                    median(float(run(FIRST.format(threads=threads)).output) for _ in range(repeats))
                )
                # What a training that has not asked for threads compiles ahead, it need not have
                # used.
                run(FIRST.format(threads=2))
    return found


def measure(parts: list[str], seconds: float) -> dict[str, Any]:
    measured: dict[str, Callable[[], dict[str, Any]]] = {
        "quiet": lambda: {name: speed_ups(name, seconds) for name in [*TRAININGS, *OTHERS]},
        "loaded": lambda: {
            name: [beside(name, n, seconds / 2) for n in range(3)] for name in TRAININGS
        },
        "short": lambda: {
            name: {str(n): short(name, n, seconds / 2) for n in ns} for name, ns in SHORT.items()
        },
        "first": first_trainings,
    }
    return {part: measured[part]() for part in parts} | {"date": str(datetime.date.today())}


def main(arguments: list[str] | None = None) -> None:
    options_of = parser("threads", __doc__, RESULTS, PARTS)
    options_of.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"of a row of a table ({SECONDS:g})"
    )
    options = options_of.parse_args(arguments)
    found = found_in(options, lambda: measure(options.only or PARTS, options.seconds))
    if not options.no_write:
        plotting.save(chart(found["loaded"]), options.folder / PICTURE)
    print(tables(found))


if __name__ == "__main__":
    main()
