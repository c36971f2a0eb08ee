"""Measure the fastnn that this interpreter imports, of any version: JSON on stdout.

    python -P benchmarks/probe.py gate|instructions

`gate` is for the performance gate, `instructions` for `benchmarks.instructions`. Work and stopwatch
are those of this tree, so that all versions do the same; only what fastnn has always had is used.
"""

import functools
import importlib.util
import inspect
import json
import os
import pathlib
import sys
import time

import numpy as np

os.environ["FASTNN_NUM_THREADS"] = "1"  # for a version that shares steps among threads
modules_before = set(sys.modules)
import fastnn  # noqa: E402

PACKAGES = (
    {name.partition(".")[0] for name in set(sys.modules) - modules_before}
    - sys.stdlib_module_names
    - {"fastnn"}
)
sys.path.append(str(pathlib.Path(__file__).parents[1] / "fastnn" / "measuring"))
import work  # noqa: E402
from timing import repeated, sampled, seconds_of  # noqa: E402

SMALL = ("seed", "tab")
LARGE = ("mnist", "big")
OF_SKLEARN = ("iris", "digits", "online")
# seconds of a sample, samples, to which other processes do not add
SAMPLED = (0.01, 5, time.process_time)
ROWS = 1024
COUNTED = ("seed", *OF_SKLEARN)
COUNTED_STEPS = 2_048
ONE_STEP = "train one step"


def calls_of(function):
    """How many functions Python calls, ours and C's, while it runs."""
    n_calls = 0

    def count(frame, event, argument):
        nonlocal n_calls
        n_calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return n_calls


def small_calls():
    """A prediction of one row and a training of one step, mostly the costs of starting."""
    network = fastnn.Network(
        (64, 64, 10), activation="relu", output="softmax", loss="cross_entropy"
    )
    random_state = np.random.RandomState(0)
    X = random_state.random_sample((32, 64)).astype("f4")
    params = network.init_params(random_state, np.dtype("f4"))
    options = {
        "optimizer": fastnn.Adam(),
        "epochs": 1,
        "batch_size": 32,
        "seed": 0,
        "params": params,
    }
    return {
        "predict one row": repeated(lambda: fastnn.predict(network, params, X[:1])),
        ONE_STEP: repeated(
            lambda: fastnn.train(network, X, np.eye(10, dtype="f4")[[3] * 32], **options)
        ),
    }


def timed(names, rows=None):
    """Check work, then take samples of the seconds that an iteration, epoch, call or fit takes:
    processor time.
    """
    loaded = {name: work.load(name, rows=rows) for name in names}
    for one in loaded.values():
        work.check(one, "numba")
    runs = {name: lambda n, one=one: one.run(n, "numba") for name, one in loaded.items()}
    found = sampled(runs, *SAMPLED, most={name: one.most for name, one in loaded.items()})
    return loaded, {
        name: [s / loaded[name].units for s in seconds] for name, seconds in found.items()
    }


def gate():
    import resource

    first_training = seconds_of(lambda: work.load("seed").run(1, "numba"), time.process_time)
    loaded, samples = timed(SMALL, ROWS)
    samples |= sampled(small_calls(), *SAMPLED)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    has_sklearn = importlib.util.find_spec("sklearn")
    more, found = timed((*LARGE, *(OF_SKLEARN if has_sklearn else ())), ROWS)
    samples |= (
        found | timed([n for n in work.SMALL_NAMES if has_sklearn or n.startswith("seed")])[1]
    )

    counts = {"packages imported by `import fastnn`, besides NumPy": len(PACKAGES)}
    for name, one in (loaded | more).items():
        if name in COUNTED:
            epochs = COUNTED_STEPS // one.units
            n_calls = min(calls_of(functools.partial(one.run, epochs, "numba")) for _ in range(3))
            # some a chunk, none a step
            counts[f"Python calls a step, {name}"] = n_calls // (epochs * one.units)
    # it is there to compile
    counts["imports of Numba by a warm process"] = int("numba" in sys.modules)
    starts = {"first training": [first_training], ONE_STEP: samples.pop(ONE_STEP)}
    return {
        "format": 1,
        "fastnn": fastnn.__file__,
        "trainings": [{"workload": name, "seconds": seconds} for name, seconds in samples.items()],
        "starts": [{"what": what, "seconds": seconds} for what, seconds in starts.items()],
        "memory": [{"what": "most memory of the process", "bytes": [peak]}],
        "counts": counts,
    }


EPOCHS = {"seed": 50_000, "iris": 1_000, "digits": 10, "online": 3, "tab": 2}
CLIPPED = {"clip_norm": 1.0}
SCALED = {"rates": (0.5, 0.5)}
# Workloads with options by which steps take another way; sequential=True, as seed has it, goes
# without clip_norm.
WITH_OPTIONS = {"seed, rates": SCALED, "iris, clip_norm": CLIPPED, "iris, rates": SCALED}
WITH_OPTIONS |= {"digits, clip_norm": CLIPPED, "digits, rates": SCALED}
PREDICTIONS = 500
# a function of the C library that nobody else calls: callgrind begins a new count at each call
mark = os.getppid


def instructions():
    """Run each case N times and then 2N times, so that one-time costs cancel in the difference;
    return each N.
    """
    driver = next(filter(None, map(_module, ("training.epochs", "training.pace", "plan"))))
    driver.CHUNK_SECONDS = 1e9  # or the clock would say how often the driver is called
    has = inspect.signature(fastnn.train).parameters.keys()
    cases = {}
    for case, options in ({name: {} for name in EPOCHS} | WITH_OPTIONS).items():
        name = case.partition(", ")[0]
        if name in EPOCHS and name in fastnn.workloads.names() and options.keys() <= has:
            one = work.load(name, **options)
            n = EPOCHS[name]
            cases[case] = n * one.units, lambda times, one=one, n=n: one.run(times * n, "numba")
    X = fastnn.workloads.load("digits").X[:1]
    options = {"optimizer": fastnn.Adam(), "epochs": 1, "seed": 0}
    network = fastnn.Network((64, 64, 10), "relu", "softmax", "cross_entropy")
    result = fastnn.train(network, X, np.eye(10)[:1], **options)
    cases["predict 1 row"] = (
        PREDICTIONS,
        lambda times: repeated(lambda: result.predict(X))(times * PREDICTIONS),
    )
    for _, run in cases.values():
        for times in (1, 1, 2):
            run(times)
            mark()
    return {name: n for name, (n, _) in cases.items()}


def _module(name):
    """The module of the driver, which other versions called otherwise; None where there is none."""
    try:
        return importlib.import_module(f"fastnn.{name}")
    except ImportError:
        return None


if __name__ == "__main__":
    print(json.dumps({"gate": gate, "instructions": instructions}[sys.argv[1]]()))
