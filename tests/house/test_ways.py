"""The way of a call through the house: how many files and frames it enters, and how many lie above the machine code."""

import gc
import importlib
import operator
import pathlib
import re
import sys
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import Adam, MLPClassifier, MLPRegressor, Network, Stop, train, train_many
from fastnn.compiler.loader import IN_PYTHON
from fastnn.training import generator

PACKAGE = pathlib.Path(fastnn.__file__).parent
NETWORK, OPTIMIZER = Network((3, 5, 1)), Adam()

WHY = {
    "checking/hints.py": "names the keyword that is meant",
    "training/__init__.py": "the loop of a training",
    "training/plan.py": "the arguments, checked, by their names",
    "backends.py": "the back end of a name",
    "kit.py": "what the last training has left",
    "training/inputs.py": "the arrays and the memory, checked",
    "checking/values.py": "numbers of data frames and other arrays",
    "training/rows.py": "the rows of each step",
    "training/callbacks.py": "who watches",
    "training/initial.py": "the first state",
    "training/generator.py": "the seed",
    "state.py": "what a back end is given",
    "memory.py": "aligned arrays",
    "network.py": "weights are drawn",
    "training/loop.py": "a chunk of steps",
    "training/epochs.py": "the losses of epochs",
    "fused/backend.py": "one call of a kernel",
    "fused/guard.py": "arrays, checked before their addresses go to a kernel",
    "fused/preparation.py": "buffers and packed arguments",
    "compiler/program.py": "how arguments are packed",
    "compiler/loader.py": "how a kernel is called",
    "training/exceptions.py": "Ctrl-C",
    "training/results.py": "the result that is returned",
}
"""{file that `train` enters: why}."""


def data():
    """Other arrays each time, of the same shape."""
    random_state = np.random.RandomState()
    return random_state.rand(100, 3), random_state.rand(100, 1)


def call_train(seed):
    X, Y = data()
    return lambda: train(NETWORK, X, Y, optimizer=OPTIMIZER, epochs=2, batch_size=16, seed=seed)


def call_train_many(seed):
    X, Y = data()
    seeds = range(seed, seed + 3)
    return lambda: train_many(NETWORK, X, Y, optimizer=OPTIMIZER, epochs=2, batch_size=16, seed=seeds, n_jobs=1)


def call_fit(seed):
    X, Y = data()
    return lambda: MLPRegressor(max_iter=9, tol=9.0, n_iter_no_change=1, random_state=seed).fit(X, Y[:, 0])


def frames_of(call):
    """The frames of the package that a call enters: (file, function, number of those above it)."""
    frames, above = [], 0

    def watch(frame, event, _):
        nonlocal above
        path = frame.f_code.co_filename
        if not path.startswith(str(PACKAGE)):
            return
        if event == "call":
            frames.append((pathlib.Path(path).relative_to(PACKAGE).as_posix(), frame.f_code.co_qualname, above))
            above += 1
        elif event == "return":
            above -= 1

    gc.collect()
    gc.disable()  # what other tests have left enters frames of the package when it is freed
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
        gc.enable()
    return frames


BOUNDS = {  # files, frames, frames above the machine code
    "train": (call_train, 24, 120, 5),
    "train_many": (call_train_many, 28, None, 6),
    "fit": (call_fit, 28, None, 8),
}
LAST = ("call_again", "train_group")
"""The last frames above the machine code."""


@pytest.mark.skipif(IN_PYTHON, reason="kernels enter the files that they are written in")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="comprehensions are no frames from Python 3.12 on")
@pytest.mark.parametrize("n_shuffled", [0, 10**9], ids=["shuffled by NumPy", "shuffled in compiled code"])
@pytest.mark.parametrize("name", BOUNDS)
def test_a_second_call_enters_few_files_and_frames(name, n_shuffled, monkeypatch):
    monkeypatch.setattr(generator, "_n_shuffled", [n_shuffled])  # of other tests in this process
    make, most_files, most_frames, chain = BOUNDS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(2):
            make(seed)()
        frames = frames_of(make(5))
    files = {file for file, _, _ in frames}
    assert len(files) <= most_files, sorted(files)
    assert most_frames is None or len(frames) <= most_frames, frames
    above = [above for _, function, above in frames if function.rpartition(".")[2] in LAST]
    assert above[0] + 1 <= chain  # the first call of a kernel trains; those of an estimator that follow predict


@pytest.mark.skipif(IN_PYTHON, reason="kernels enter the files that they are written in")
def test_each_file_that_train_enters_has_its_reason(monkeypatch):
    monkeypatch.setattr(generator, "_n_shuffled", [10**9])
    for seed in range(2):
        call_train(seed)()
    files = {file for file, _, _ in frames_of(call_train(5))}
    assert files <= WHY.keys()


PAGE = pathlib.Path(__file__).parents[2] / "docs/explanation/training.md"
NAMED = re.compile(r"`([\w.]+)`(?:,\s+`([\w.]+)`)?(?:\s+and\s+`([\w.]+)`)?\s+\(`([\w/]+\.py)`\)")
COMPILED = {f"fused/{name}.py" for name in ("kernels", "blocks", "propagation", "together", "epochs", "in_lanes")}
STOP = Stop(validation=0.2, patience=2)


def way_of_train(seed):
    X, Y = data()
    options = {
        "epochs": 4,
        "batch_size": 16,
        "optimizer": Adam(),
    }  # another one: the last options are not checked again
    return lambda: train(NETWORK, X, Y, **options, seed=seed, stop=STOP)


def way_of_train_many(seed):
    """Nine members in a block, and one whose learning rate is a function."""
    X, Y = data()
    options = {"epochs": 4, "batch_size": 16, "learning_rate": [0.01] * 9 + [lambda step: 0.01], "n_jobs": 1}
    return lambda: train_many(NETWORK, X, Y, seed=seed, **options)


def way_of_fit(seed):
    X, Y = data()
    return lambda: MLPClassifier(max_iter=9, tol=9.0, n_iter_no_change=1, random_state=seed).fit(X, Y[:, 0] > 0.5)


@pytest.mark.skipif(IN_PYTHON, reason="members are called in another way")
@pytest.mark.parametrize("way", [way_of_train, way_of_train_many, way_of_fit], ids=lambda way: way.__name__)
def test_a_call_goes_the_way_that_the_page_tells(way):
    """It enters the functions that the page names with their files, in this order; compiled ones are there."""
    page = PAGE.read_text("utf-8").partition("## The way of a call\n")[2]
    (listed,) = re.findall(rf"^### {way.__name__.removeprefix('way_of_')}$(.*?)(?=^##|\Z)", page, re.M | re.S)
    told = [(file, name) for *names, file in NAMED.findall(listed) for name in names if name]
    assert len(told) == len(set(told)) > 8
    for file, name in told:
        module = "fastnn." + file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        assert operator.attrgetter(name)(importlib.import_module(module)), name
    way(0)()
    entered = [(file, name.removesuffix(".__init__")) for file, name, _ in frames_of(way(1))]
    told = [pair for pair in told if pair[0] not in COMPILED]
    assert [pair for pair in told if pair not in entered] == []
    assert told == sorted(told, key=entered.index)
