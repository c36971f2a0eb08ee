"""The way of a call through the house: how many files and frames it enters, and how many lie above
the machine code."""

import gc
import importlib
import operator
import pathlib
import re
import sys
import warnings

import numpy as np
import pytest
from pages import text

import fastnn
from fastnn import Adam, MLPClassifier, MLPRegressor, Network, Stop, train, train_many
from fastnn.compiler.loader import IN_PYTHON
from fastnn.training import generator

PACKAGE = pathlib.Path(fastnn.__file__).parent
NETWORK = Network((3, 5, 1))
OPTIMIZER = Adam()


def data():
    """Other arrays each time, of the same shape."""
    random_state = np.random.RandomState()
    return random_state.rand(100, 3), random_state.rand(100, 1)


def frames_of(call, *arguments):
    """The frames of the package that a call enters: (file, function, number of those above it)."""
    frames = []
    above = 0

    def watch(frame, event, _):
        nonlocal above
        path = frame.f_code.co_filename
        if not path.startswith(str(PACKAGE)):
            return
        if event == "call":
            frames.append(
                (
                    pathlib.Path(path).relative_to(PACKAGE).as_posix(),
                    frame.f_code.co_qualname,
                    above,
                )
            )
            above += 1
        elif event == "return":
            above -= 1

    gc.collect()
    gc.disable()  # what other tests have left enters frames of the package when it is freed
    sys.setprofile(watch)
    try:
        call(*arguments)
    finally:
        sys.setprofile(None)
        gc.enable()
    return frames


OPTIONS = {"optimizer": OPTIMIZER, "epochs": 2, "batch_size": 16}
SHORT = {"max_iter": 9, "tol": 9.0, "n_iter_no_change": 1}
BOUNDS = {  # files, frames, frames above the machine code
    "train": (lambda X, Y, i: train(NETWORK, X, Y, **OPTIONS, seed=i), 24, 204, 9),
    "train_many": (
        lambda X, Y, i: train_many(NETWORK, X, Y, **OPTIONS, seed=range(i, i + 3), n_jobs=1),
        30,
        None,
        10,
    ),
    "fit": (lambda X, Y, i: MLPRegressor(**SHORT, random_state=i).fit(X, Y[:, 0]), 33, None, 12),
}
LAST = ("call_again", "_train_several")
"""The last frames above the machine code."""


@pytest.mark.skipif(IN_PYTHON, reason="kernels enter the files that they are written in")
@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="comprehensions are no frames from Python 3.12 on"
)
@pytest.mark.parametrize(
    "n_shuffled", [0, 10**9], ids=["shuffled by NumPy", "shuffled in compiled code"]
)
@pytest.mark.parametrize("name", BOUNDS)
def test_a_second_call_enters_few_files_and_frames(name, n_shuffled, monkeypatch):
    monkeypatch.setattr(generator, "_n_shuffled", [n_shuffled])  # of other tests in this process
    call, most_files, most_frames, chain = BOUNDS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(2):
            call(*data(), seed)
        frames = frames_of(call, *data(), 5)
    files = {file for file, _, _ in frames}
    assert len(files) <= most_files, sorted(files)
    assert most_frames is None or len(frames) <= most_frames, frames
    above = [above for _, function, above in frames if function.rpartition(".")[2] in LAST]
    # the first call of a kernel trains; those of an estimator that follow predict
    assert above[0] + 1 <= chain


PAGE = "docs/explanation/training.md"
NAMED = re.compile(r"`([\w.]+)`(?:,\s+`([\w.]+)`)?(?:\s+and\s+`([\w.]+)`)?\s+\(`([\w/]+\.py)`\)")
COMPILED = {
    f"fused/{name}.py"
    for name in ("kernels", "blocks", "propagation", "together", "epoch_ends", "in_lanes")
}
BATCHES = {"epochs": 4, "batch_size": 16}
# nine in a block, and one alone
STOP, RATES = (Stop(validation=0.2, patience=2), [0.01] * 9 + [lambda step: 0.01])
WAYS = {  # with another optimizer each time: the last options are not checked again
    "train": lambda X, Y, i: train(NETWORK, X, Y, **BATCHES, optimizer=Adam(), seed=i, stop=STOP),
    "train_many": lambda X, Y, i: train_many(
        NETWORK, X, Y, **BATCHES, seed=i, learning_rate=RATES, n_jobs=1
    ),
    "fit": lambda X, Y, i: MLPClassifier(**SHORT, random_state=i).fit(X, Y[:, 0] > 0.5),
}


@pytest.mark.skipif(IN_PYTHON, reason="members are called in another way")
@pytest.mark.parametrize("way", WAYS)
def test_a_call_goes_the_way_that_the_page_tells(way):
    """It enters the functions that the page names with their files, in this order; compiled ones
    are there."""
    page = text(PAGE).partition("## The way of a call\n")[2]
    (listed,) = re.findall(rf"^### {way}$(.*?)(?=^##|\Z)", page, re.M | re.S)
    told = [(file, name) for *names, file in NAMED.findall(listed) for name in names if name]
    assert len(told) == len(set(told)) > 8
    for file, name in told:
        module = "fastnn." + file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        assert operator.attrgetter(name)(importlib.import_module(module)), name
    WAYS[way](*data(), 0)
    entered = [
        (file, name.removesuffix(".__init__")) for file, name, _ in frames_of(WAYS[way], *data(), 1)
    ]
    told = [pair for pair in told if pair[0] not in COMPILED]
    assert [pair for pair in told if pair not in entered] == []
    assert told == sorted(told, key=entered.index)
