"""Measure the fastnn that this interpreter imports, of any version: JSON on stdout.

    python -P benchmarks/probe.py gate|instructions|check|times

`gate` is for the performance gate, `instructions` for `benchmarks.instructions`, `check` and `times` for
`benchmarks.real_work`. Work and stopwatch are those of this tree, so that all versions do the same; only what
fastnn has always had is used.
"""

import functools
import hashlib
import importlib.util
import inspect
import json
import os
import pathlib
import statistics
import sys
import time

import numpy as np

os.environ["FASTNN_NUM_THREADS"] = "1"  # for a version that shares steps among threads
modules_before = set(sys.modules)
import fastnn  # noqa: E402

PACKAGES = {name.partition(".")[0] for name in set(sys.modules) - modules_before} - sys.stdlib_module_names - {"fastnn"}
sys.path.append(str(pathlib.Path(__file__).parents[1] / "fastnn" / "measuring"))
import work  # noqa: E402
from timing import in_turn, repeated, sampled, seconds_of  # noqa: E402

# ------------------------------------------------------------------------------------------------------------- the gate

SMALL, LARGE, OF_SKLEARN = ("seed", "tab"), ("mnist", "big"), ("iris", "digits", "online")
SAMPLED = (0.01, 5, time.process_time)  # seconds of a sample, samples, to which other processes do not add
ROWS = 1024
COUNTED, COUNTED_STEPS = ("seed", *OF_SKLEARN), 2_048
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
    network = fastnn.Network((64, 64, 10), activation="relu", output="softmax", loss="cross_entropy")
    random_state = np.random.RandomState(0)
    X, params = random_state.random_sample((32, 64)).astype("f4"), network.init_params(random_state, np.dtype("f4"))
    options = {"optimizer": fastnn.Adam(), "epochs": 1, "batch_size": 32, "seed": 0, "params": params}
    return {
        "predict one row": repeated(lambda: fastnn.predict(network, params, X[:1])),
        ONE_STEP: repeated(lambda: fastnn.train(network, X, np.eye(10, dtype="f4")[[3] * 32], **options)),
    }


def timed(names, rows=None):
    """Check work, then take samples of the seconds that an iteration, epoch, call or fit takes: processor time."""
    loaded = {name: work.load(name, rows=rows) for name in names}
    for one in loaded.values():
        work.check(one, "numba")
    runs = {name: lambda n, one=one: one.run(n, "numba") for name, one in loaded.items()}
    found = sampled(runs, *SAMPLED, most={name: one.most for name, one in loaded.items()})
    return loaded, {name: [s / loaded[name].units for s in seconds] for name, seconds in found.items()}


def gate():
    """All that the gate compares: seconds, memory and counts."""
    import resource

    first_training = seconds_of(lambda: work.load("seed").run(1, "numba"), time.process_time)
    loaded, samples = timed(SMALL, ROWS)
    samples |= sampled(small_calls(), *SAMPLED)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    has_sklearn = importlib.util.find_spec("sklearn")
    more, found = timed((*LARGE, *(OF_SKLEARN if has_sklearn else ())), ROWS)
    samples |= found | timed([n for n in work.SMALL_NAMES if has_sklearn or n.startswith("seed")])[1]

    counts = {"packages imported by `import fastnn`, besides NumPy": len(PACKAGES)}
    for name, one in (loaded | more).items():
        if name in COUNTED:
            epochs = COUNTED_STEPS // one.units
            n_calls = min(calls_of(functools.partial(one.run, epochs, "numba")) for _ in range(3))
            counts[f"Python calls a step, {name}"] = n_calls // (epochs * one.units)  # some a chunk, none a step
    counts["imports of Numba by a warm process"] = int("numba" in sys.modules)  # it is there to compile
    starts = {"first training": [first_training], ONE_STEP: samples.pop(ONE_STEP)}
    return {
        "format": 1,
        "fastnn": fastnn.__file__,
        "trainings": [{"workload": name, "seconds": seconds} for name, seconds in samples.items()],
        "starts": [{"what": what, "seconds": seconds} for what, seconds in starts.items()],
        "memory": [{"what": "most memory of the process", "bytes": [peak]}],
        "counts": counts,
    }


# -------------------------------------------------------------------------------------------------------- instructions

EPOCHS = {"seed": 50_000, "iris": 1_000, "digits": 10, "online": 3, "tab": 2}
CLIPPED, SCALED = {"clip_norm": 1.0}, {"rates": (0.5, 0.5)}
WITH_OPTIONS = {  # sequential=True, as seed has it, goes without clip_norm
    "seed, rates": SCALED,
    "iris, clip_norm": CLIPPED,
    "iris, rates": SCALED,
    "digits, clip_norm": CLIPPED,
    "digits, rates": SCALED,
}
"""{a workload with options by which steps take another way: these}"""
PREDICTIONS = 500
mark = os.getppid  # a function of the C library that nobody else calls: callgrind begins a new count at each call


def instructions():
    """Run each case N times and then 2N times, so that one-time costs cancel in the difference; return each N."""
    driver = next(filter(None, map(_module, ("training.epochs", "training.pace", "plan"))))
    driver.CHUNK_SECONDS = 1e9  # or the clock would say how often the driver is called
    has = inspect.signature(fastnn.train).parameters.keys()
    cases = {}
    for case, options in ({name: {} for name in EPOCHS} | WITH_OPTIONS).items():
        name = case.partition(", ")[0]
        if name in EPOCHS and name in fastnn.workloads.names() and options.keys() <= has:
            n = EPOCHS[name]
            cases[case] = n * work.load(name).units, functools.partial(_epochs, fastnn.workloads.load(name), n, options)
    X, options = fastnn.workloads.load("digits").X[:1], {"optimizer": fastnn.Adam(), "epochs": 1, "seed": 0}
    result = fastnn.train(
        fastnn.Network((64, 64, 10), "relu", "softmax", "cross_entropy"), X, np.eye(10)[:1], **options
    )
    cases["predict 1 row"] = PREDICTIONS, lambda times: [result.predict(X) for _ in range(times * PREDICTIONS)]
    for _, run in cases.values():
        run(1)
        mark()
        run(1)
        mark()
        run(2)
        mark()
    return {name: n for name, (n, _) in cases.items()}


def _epochs(workload, epochs, options, times):
    options = workload.train_options | options | {"epochs": times * epochs, "seed": 0}
    fastnn.train(workload.network, workload.X, workload.Y, **options)


def _module(name):
    """The module of the driver, which other versions called otherwise; None where there is none."""
    try:
        return importlib.import_module(f"fastnn.{name}")
    except ImportError:
        return None


# ----------------------------------------------------------------------------------------------------------- real work

FEW, MANY = 1_000, 10_000  # epochs
REPEATS, REPEAT_SECONDS = 300, 0.2


def again(measure):
    """Median of a measurement that is taken again and again for a while, at least three times."""
    return statistics.median(in_turn({"": measure}, REPEATS, REPEAT_SECONDS)[""])


def done(name, n=1, backend="numba"):
    """Seconds of doing work n times."""
    run = work.load(name).run
    return again(lambda: seconds_of(lambda: run(n, backend)))


def epoch(name, backend="numba"):
    """Seconds of an epoch: the slope between few and many."""
    run = work.load(name).run
    many, few = (functools.partial(run, n, backend) for n in (MANY, FEW))
    return again(lambda: (seconds_of(many) - seconds_of(few)) / (MANY - FEW))


def longer(name, backend="numba"):
    """By how many seconds an epoch is longer than that of the plain training."""
    return epoch(name, backend) - epoch("seed, plain", backend)


def kernel(name):
    """Seconds of a hundred epochs of a long training, where next to nothing else runs."""
    return 100 * epoch(name)


def times_plain(name):
    """How many times as long as the plain training a usual one takes; they take turns."""
    one, plain = (functools.partial(w.run, w.usual, "numba") for w in map(work.load, (name, "iris b32, plain")))
    return again(lambda: seconds_of(one) / seconds_of(plain))


def times_as_fast(name):
    """How many times as fast as scikit-learn's classifier fastnn's is."""
    import sklearn.neural_network as theirs

    fit, n = work.load_fit(name), work.load(name).usual
    one, other = (lambda m=m: fit.run(m.MLPClassifier, n) for m in (theirs, fastnn))
    return again(lambda: seconds_of(one) / seconds_of(other))


LINES = {
    "seed network, full batch: an epoch with `Stop(validation=(X, Y))` of 2 rows takes longer by": (
        *(longer, "seed, validation"),
    ),
    "the same on the NumPy back end": (longer, "seed, validation", "numpy"),
    "an epoch with `Stop(restore_best=True)` takes longer by": (longer, "seed, restore_best"),
    "an epoch with an empty callback takes longer by": (longer, "seed, callback"),
    "one call of `train`, seed network, 100 iterations": (done, "seed, one call"),
    "of which the kernel": (kernel, "seed, plain"),
    "1,000 seeds of it, by `train_many`; in version 0.1 by a loop over `train`": (done, "seed, many", 1_000),
    "iris 4-16-3, batches of 32, 50 epochs with validation, times the plain training": (
        *(times_plain, "iris b32, validation"),
    ),
    "the same with an empty callback, times the plain training": (times_plain, "iris b32, callback"),
    **{f"`MLPClassifier`, {name}, times as fast as scikit-learn's": (times_as_fast, name) for name in work.FIT_NAMES},
}
"""{line of the table: what takes its value, in seconds or as a ratio; of which work}"""


def check():
    """Hash every answer, after it was compared with those of the NumPy back end and of scikit-learn."""
    import sklearn.neural_network as theirs

    hashes = {}
    for name in work.ALL_NAMES:
        one = work.load(name)
        found = one.answer("numba")
        work.agree(name, found, one.answer("numpy"))
        if name in work.FIT_NAMES:
            fit = work.load_fit(name)
            work.agree_fits(*(fit.run(module.MLPClassifier, one.usual) for module in (fastnn, theirs)))
        hashes[name] = hashlib.sha256(found.tobytes()).hexdigest()
    return hashes


def times():
    """The value of each line, after each kind of work was done once."""
    for name in work.ALL_NAMES:
        work.load(name).run(1, "numba")
    return {line: function(*arguments) for line, (function, *arguments) in LINES.items()}


if __name__ == "__main__":
    print(json.dumps({"gate": gate, "instructions": instructions, "check": check, "times": times}[sys.argv[1]]()))
