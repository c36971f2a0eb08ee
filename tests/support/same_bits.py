"""Train stored trainings in this process and print SHA-256 of the results as JSON; ``--write``
renews hashes.json.

The hashes must be the same on every machine, so nothing but the kernel may stand between the stored
numbers and them: start parameters and data are small integers (data/start.npz), row orders are
`RandomState.shuffle`, learning rates are constant. It runs in a process of its own: the instruction
set, for one, is fixed when Numba is imported.
"""

import argparse
import functools
import hashlib
import json
import pathlib
import re
import sys
import time
from typing import NamedTuple

import numpy as np
from machine_code import compiled_code

FOLDER = pathlib.Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parents[1]))  # this source tree, installed or not

from fastnn.backends import get_backend  # noqa: E402
from fastnn.losses import HIDDEN, LOSSES  # noqa: E402
from fastnn.many import train_many  # noqa: E402
from fastnn.measuring import tutorial  # noqa: E402
from fastnn.network import Network  # noqa: E402
from fastnn.optimizers import (  # noqa: E402
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    BayesianRegularization,
    LevenbergMarquardt,
    Optimizer,
)
from fastnn.state import Data, Steps, StepState, Task  # noqa: E402
from fastnn.testing.cases import VARIANTS  # noqa: E402
from fastnn.training.generator import shuffle_rows  # noqa: E402
from fastnn.training.steps import batches  # noqa: E402

HASHES = FOLDER / "hashes.json"
FEW = 2  # steps where a step takes seconds: without compilation, or where fma is a call


class Run(NamedTuple):
    """A training from the stored numbers, of so many steps: whole epochs."""

    data: str  # seed, iris, digits, wide or drawn
    network: Network
    optimizer: Optimizer
    n_steps: int
    scale: float  # of the stored parameters, a power of two
    batch_size: int | None = None
    n_rows: int | None = None
    alpha: float = 0.0
    threads: int = 1
    dtype: str = "float64"


def _drawn(network, optimizer, n_steps, batch_size=16, n_rows=37, **options):
    """A run on the drawn rows."""
    return Run("drawn", network, optimizer, n_steps, 0.5, batch_size, n_rows, **options)


def _methods():
    """Iterate over a run of each method of second order."""
    for method in (LevenbergMarquardt, BayesianRegularization):
        alpha = 0.125 if method is LevenbergMarquardt else 0.0
        for adapt, output, n_rows in (("gain", "identity", None), ("tenfold", "softmax", 37)):
            network = Network((6, 5, 3), ("tanh",), output, "squared_error")
            run = _drawn(network, method(adapt=adapt), 9, None, n_rows, alpha=alpha)
            yield f"{method.__name__} {adapt}", run


TUTORIAL = {"bias": "scalar", "bias_gradient": "times_bias", "reduction": "sum"}
CLASSES = {"output": "softmax", "loss": "cross_entropy"}
DIGITS = Network((64, 64, 10), "relu", **CLASSES)
DATA = {
    "seed": Run(
        "seed",
        Network((3, 5, 1), "sigmoid", "sigmoid", **TUTORIAL),
        SGD(1.0, sequential=True),
        200,
        1.0,
    ),
    "iris": Run("iris", Network((4, 16, 3), "tanh", **CLASSES), SGD(0.5), 100, 0.5),
    "digits": Run("digits", DIGITS, Adam(0.003), 30, 0.25, batch_size=32),
    "online": Run("digits", DIGITS, SGD(0.01, 0.5), 300, 0.25, batch_size=1),
    "wide": Run(
        "wide", Network((640, 7, 10), "leaky_relu", **CLASSES), Adam(0.003), 12, 0.0625, 10
    ),
}
"""Runs on the stored data."""

_DEEP = [
    "identity",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "softplus",
    "silu",
    "gelu",
]
"""The hidden layers of one deep network. Later activations have runs of their own: its hashes must
not change."""


def _layers():
    """Iterate over runs of networks of several layers, and of each later activation."""
    network = Network((6, 9, 7, 3), ("gelu", "elu"), **TUTORIAL)
    optimizer = Adam(0.003, sequential=True)
    yield "online scalar", _drawn(network, optimizer, 74, batch_size=1, alpha=0.125)
    # blocks of 256 + 14 rows, and a short batch
    options = {"batch_size": 270, "alpha": 0.125, "n_rows": None}
    sizes = (6, *(5 + 3 * i % 7 for i in range(len(_DEEP))), 3)
    network = Network(sizes, tuple(_DEEP), "softmax", "squared_error")
    yield "deep", _drawn(network, SGD(0.125, 0.5), 20, **options)
    network = Network((6, 20, 16, 3), ("silu", "tanh"), **CLASSES)
    # which divide the layers between them
    for name, threads in (("one thread", 1), ("three threads", 3)):
        yield name, _drawn(network, Adam(0.003), 20, **options, threads=threads)
    for activation in HIDDEN:
        if activation not in _DEEP:
            network = Network((6, 9, 3), activation, "softmax", "squared_error")
            yield f"hidden {activation}", _drawn(network, SGD(0.125), 9)


def _optimizers():
    """Iterate over a run of each optimizer, and of each option that is code of its own."""
    network = Network((6, 9, 7, 3), ("tanh", "gelu"), "sigmoid", "log_loss")
    options = {
        "momentum": SGD(momentum=0.9),
        "nesterov": SGD(momentum=0.9, nesterov=True),
        "sequential": Adam(sequential=True),
        "options": AdamW(clip_norm=0.25, rates=(0, (0.5, 1), (2, 0))),
    }
    for name, optimizer in ({name: kind() for name, kind in OPTIMIZERS.items()} | options).items():
        size = None if optimizer.full_batch else 16
        yield name, _drawn(network, optimizer, 21, size, alpha=0.125)


def _losses():
    """Iterate over a run of each value of activations and losses, and of each loss with outputs."""
    for value in VARIANTS:
        line = LOSSES.get(value.name)
        if line:
            network = Network((6, 9, 3), "tanh", line.outputs[0], value)
        else:
            network = Network((6, 9, 3), value)
        yield f"{value}", _drawn(network, SGD(0.125), 9)
    for loss, line in LOSSES.items():
        for output in line.outputs if loss == "squared_error" else line.outputs[:2]:
            network = Network((6, 9, 3), "silu", output, loss)
            yield f"{loss} {output}", _drawn(network, SGD(0.125), 9)


_OF_EACH_DTYPE = DATA | dict([*_layers(), *_optimizers(), *_losses()])
RUNS = {f"{name} float64": run for name, run in _methods()}
for _dtype in ("float64", "float32"):
    RUNS |= {f"{n} {_dtype}": run._replace(dtype=_dtype) for n, run in _OF_EACH_DTYPE.items()}


@functools.cache
def _stored():
    with np.load(FOLDER / "data" / "start.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def start_of(run):
    """Its parameters, X, Y and row weights, in float64: all of them exact in float32 too."""
    stored = _stored()
    n = slice(run.n_rows)
    params = stored["params"][: run.network.n_params] * (run.scale / 2.0**15)
    if run.data == "seed":
        X, Y = (np.array(a, np.float64) for a in (tutorial.X, tutorial.Y))
        weight = np.ones(len(X))
    elif run.data == "drawn":
        y = stored["drawn_y"][n] / 2.0**14
        X = stored["drawn_X"][n] / 2.0**15
        weight = stored["drawn_weight"][n] / 4.0
        # probabilities, and legal for every loss
        Y = np.stack([y, 1 - y, np.zeros_like(y)], axis=1)
    else:
        name = "digits" if run.data == "wide" else run.data  # wide: ten digits side by side
        X = stored[f"{name}_X"].reshape(-1, run.network.n_inputs) / 16.0
        Y = np.eye(run.network.n_outputs)[stored[f"{name}_y"][: len(X)]]
        weight = np.ones(len(X))
    return params, X, Y, weight


def digest(*arrays):
    """SHA-256 of the bytes of arrays."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(np.ascontiguousarray(array, np.dtype(array.dtype).newbyteorder("<")).tobytes())
    return sha.hexdigest()


def hashes_of(state, losses):
    """The hash of all that the optimizer holds, and that of the steps' losses."""
    return {"state": digest(state.vectors, state.beta_products), "loss": digest(losses)}


def steps_of(run, n_rows, n_steps):
    """The steps of whole epochs, each of which shuffles the rows unless a batch has all of them."""
    size = min(run.batch_size or n_rows, n_rows)
    order = np.arange(n_rows)
    n_epochs = -(-n_steps // -(-n_rows // size))
    rows = order
    shuffle = size < n_rows
    if shuffle:
        rows = np.empty((n_epochs, n_rows), np.int64)
        shuffle_rows(np.random.RandomState(0), rows, order)
    places = batches(n_rows, size, shuffle, 0, n_steps)
    return Steps(
        rows.reshape(-1), *places, np.full(n_steps, run.optimizer.learning_rate), np.zeros(n_steps)
    )


def train(run, n_steps=None, chunk=None, backend="numba"):
    """Do the first `n_steps` steps of a run, all by default, `chunk` of them a call: (state,
    losses)."""
    n_steps = run.n_steps if n_steps is None else min(n_steps, run.n_steps)
    params, *rows = (a.astype(run.dtype) for a in start_of(run))
    for array in rows:
        array.flags.writeable = False
    task = Task(run.network, run.optimizer, Data(*rows), run.alpha, threads=run.threads)
    backend = get_backend(backend)
    state = StepState.create(params, run.optimizer.n_slots)
    steps = steps_of(run, len(task.data.X), n_steps)
    for first in range(0, n_steps, chunk or n_steps):
        part = slice(first, first + (chunk or n_steps))
        some = Steps(steps.rows, *(a[part] for a in steps[1:]))
        good = backend.train_steps(task, state, some)
        assert good == len(some.loss), f"{run} diverges at step {first + good}"
    assert not np.array_equal(state.params, params), f"{run} learns nothing"
    return state, steps.loss


def hashes_of_members(names=tuple(RUNS), few=False):
    """{name of a run: the hash of its state}, as a member of train_many; of runs whose steps are
    whole epochs."""
    members = {}
    for name in names:
        run = RUNS[name]
        params, X, Y, weight = (a.astype(run.dtype) for a in start_of(run))
        n_steps = FEW if few else run.n_steps
        per_epoch = -(-len(X) // min(run.batch_size or len(X), len(X)))
        if n_steps % per_epoch == 0:
            common = {"networks": run.network, "optimizer": run.optimizer, "params": params}
            common |= {"X": X, "Y": Y, "sample_weight": weight}
            common |= {"batch_size": run.batch_size, "epochs": n_steps // per_epoch}
            other = 0.0 if isinstance(run.optimizer, BayesianRegularization) else 0.25
            members[name] = common | {"alpha": run.alpha, "seed": 0}
            # a second one, to share the block with
            members[name, "beside"] = common | {"alpha": other, "seed": 1}
    if not members:
        return {}
    keys = next(iter(members.values()))
    results = train_many(
        **{key: [member[key] for member in members.values()] for key in keys}, n_jobs=2
    )
    found = {
        name: hashes_of(result.state, np.zeros(0))
        for name, result in zip(members, results, strict=True)
    }
    return {name: found[name]["state"] for name in found if name in RUNS}


def hashes(names=tuple(RUNS), n_steps=None, chunk=None):
    """{name of a run: its hashes}"""
    return {name: hashes_of(*train(RUNS[name], n_steps, chunk)) for name in names}


def expected(few=False):
    """The hashes that every machine must give: {name of a run: hashes}, after all steps or after
    the first ones."""
    return json.loads(HASHES.read_text("utf-8"))["first steps" if few else "all steps"]


def differences(found, right):
    """The runs and the parts of them that are not as they should be; "missing" where there is no
    hash to compare to."""
    wrong = {name: parts for name, parts in found.items() if parts != right.get(name)}
    return {
        name: [part for part in parts if parts[part] != right[name].get(part)]
        if name in right
        else ["missing"]
        for name, parts in wrong.items()
    }


def other_members(found, few=False):
    """The runs that have other bits as members of train_many: {name: "as a member"}."""
    right = expected(few)
    return {name: ["as a member"] for name, state in found.items() if state != right[name]["state"]}


def report(names, few, members=""):
    """Hashes, seconds to compile, and what was compiled."""
    from fastnn.compiler.loader import IN_PYTHON, WHEEL, origins

    seconds = {}
    for dtype in dict.fromkeys(RUNS[name].dtype for name in names):
        start = time.perf_counter()
        train(RUNS[f"seed {dtype}"], 1)
        seconds[dtype] = round(time.perf_counter() - start, 2)
    of_members = hashes_of_members([name for name in names if re.search(members, name)], few)
    found = {"first steps": hashes(names, FEW), "members": of_members}
    if not few:
        found["all steps"] = hashes(names)
    places = sorted(set(origins.values()))
    code = {} if IN_PYTHON or places == [WHEEL] else compiled_code(seconds)
    return {**found, "seconds to compile": seconds, "code": code, "kernels": places}


def write(again):
    """Renew hashes.json from this machine, where the kernel's bits have changed on purpose."""
    from fastnn.compiler.program import KERNEL_REVISION

    changelog = FOLDER.parents[1].joinpath("CHANGELOG.md").read_text("utf-8")
    if not re.search(rf"\bKERNEL_REVISION {KERNEL_REVISION}\b", changelog):
        sys.exit(
            f"CHANGELOG.md has no line on KERNEL_REVISION {KERNEL_REVISION}: say there what changed"
        )
    found = {"revision": KERNEL_REVISION, "first steps": hashes(n_steps=FEW), "all steps": hashes()}
    old = json.loads(HASHES.read_text("utf-8")) if HASHES.exists() else {}
    parts = ("first steps", "all steps")
    same = {
        part: {k: v for k, v in found[part].items() if k in old.get(part, {})} for part in parts
    }
    changed = sorted({k for part in parts for k in differences(same[part], old.get(part, {}))})
    if changed and old["revision"] == KERNEL_REVISION and not again:
        sys.exit(
            f"{len(changed)} hashes differ from those of revision {KERNEL_REVISION}: "
            f"{', '.join(changed)}. If the bits are to change, raise KERNEL_REVISION in "
            "compiler/program.py and give it a line in CHANGELOG.md; --again writes them under the "
            "old number, which is right only for a revision that no release has."
        )
    HASHES.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    n_runs = len(found["all steps"])
    sys.stdout.write(
        f"{HASHES.name}: revision {KERNEL_REVISION}, {n_runs} runs, {len(changed)} of them "
        f"changed\n"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="REGEX", help="names of runs")
    parser.add_argument(
        "--members",
        default="",
        metavar="REGEX",
        help="those of them that are members of train_many",
    )
    parser.add_argument("--few", action="store_true", help=f"the first {FEW} steps only")
    parser.add_argument(
        "--compare", action="store_true", help="compare with hashes.json; 1 where they differ"
    )
    parser.add_argument("--write", action="store_true", help="renew hashes.json")
    parser.add_argument("--again", action="store_true", help="with --write: keep the revision")
    options = parser.parse_args()
    if options.write:
        return write(options.again)
    found = report(
        [name for name in RUNS if re.search(options.only, name)], options.few, options.members
    )
    sys.stdout.write(json.dumps(found) + "\n")
    if options.compare:
        wrong = differences(found["first steps"], expected(few=True))
        wrong |= {} if options.few else differences(found["all steps"], expected())
        wrong |= other_members(found["members"], options.few)
        if wrong:
            sys.exit(f"other bits than in {HASHES.name}: {wrong}")
    return None


if __name__ == "__main__":
    main()
