"""Objects of every public kind, whether two of them are the same, and what a pool's workers do with
them."""

import inspect
import math
import os

import numpy as np

import fastnn
from fastnn import SGD, Network, Stop, optimizers, train, train_many, workloads
from fastnn.state import Data, Steps, Task
from fastnn.testing.cases import CUSTOM, VARIANTS
from fastnn.training.exceptions import _WithResult

X = np.linspace(-1, 1, 12).reshape(6, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])

VALUES = [
    v
    for name in dir(fastnn)
    if getattr(v := getattr(fastnn, name), "__module__", "").startswith("fastnn.")
]
"""The objects of the public names, but for modules."""
CLASSES = [kind for kind in VALUES if inspect.isclass(kind) and kind is not fastnn.Backend]
"""The public classes of which there are objects."""


def objects():
    """An object of each public class, and some that belong to them."""
    seen = []
    network = Network((2, 3, 1), "tanh")
    data = Data(X, X, np.ones(6))
    options = {"optimizer": SGD(0.1, momentum=0.5), "epochs": 3, "batch_size": 2, "seed": 0}
    options["stop"] = Stop(validation=0.4, tol=0.0, restore_best=True)
    look = [lambda progress: seen.extend([progress, progress.result()])]
    result = train(network, X, X[:, :1], backend="numpy", callbacks=look, **options)
    many = train_many(network, X, X[:, :1], seed=range(3), epochs=2, callbacks=[seen.append])
    population = fastnn.Population(network, X, X[:, :1], seed=range(3))
    population.advance({0: 2, 1: 1})
    return [
        fastnn.search(
            {"alpha": [0.0, 0.1]}, X, X[:, :1], network=network, budget=3, epochs=1, seed=0
        ),
        result,
        population,
        many,
        many.history,
        seen.pop(),
        *seen[:2],
        fastnn.CsvLogger(os.devnull),
        network,
        result.state,
        result.history,
        options["stop"],
        fastnn.ReduceRate(0.5),
        fastnn.every(5, print),
        *(kind() for kind in optimizers.BUILT_IN.values()),
        fastnn.constant(0.1),
        fastnn.step_decay(0.1, every=5),
        fastnn.exponential(0.1),
        fastnn.cosine(0.1, steps=50),
        fastnn.warm_up(0.1, steps=50),
        fastnn.one_cycle(0.1, steps=50),
        workloads.load("seed"),
        fastnn.get_backend("numpy"),
        fastnn.get_backend("numba", specialize=True),
        fastnn.get_backend("numba"),
        fastnn.ACTIVATIONS,
        fastnn.LOSSES,
        fastnn.OPTIMIZERS,
        *VARIANTS,
        *CUSTOM,
        Task(network, SGD(0.1), data),
        data,
        Steps(LABELS, LABELS, LABELS, np.ones(6), np.ones(6)),
        *(exception(kind, result) for kind in CLASSES if issubclass(kind, BaseException)),
        *(estimators() if "MLPClassifier" in dir(fastnn) else []),
    ]


def estimators():
    """Fitted ones, quick where kernels run as plain Python, too."""
    mlps = (fastnn.MLPClassifier, fastnn.MLPRegressor)
    tabular = (fastnn.TabularClassifier, fastnn.TabularRegressor)
    fitted = [kind(hidden_layer_sizes=3, tol=1.0, random_state=0) for kind in mlps]
    fitted += [kind("fast", epochs=1, n_jobs=1, random_state=0) for kind in tabular]
    return [
        *(model.fit(X, LABELS) for model in fitted),
        *(model.preparation_ for model in fitted[2:]),
    ]


def exception(kind, result):
    """An exception as fastnn raises it, with a note as Python allows."""
    error = kind("what went wrong", *([result] if issubclass(kind, _WithResult) else []))
    error.add_note("in a sweep")
    return error


OBJECTS = objects()


def echo(thing):
    return thing


def throw(error):
    raise error


def diverge(seed):
    """A training whose learning rate is one at which it diverges, where its seed is 2."""
    rate = SGD(1e3 if seed == 2 else 0.01)
    return train(
        Network((2, 4, 1)), X, X[:, :1], optimizer=rate, epochs=20, seed=seed, backend="numpy"
    )


def same(a, b):
    """Whether two objects are of one kind and hold the same, to the bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, BaseException):
        return same(a.args, b.args) and same(vars(a), vars(b))
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, np.random.RandomState):
        return same(a.get_state(legacy=False), b.get_state(legacy=False))
    if hasattr(a, "__dict__") and not inspect.isroutine(a) and not inspect.isclass(a):
        names = {**vars(a), **vars(b)}.keys() - LOCAL
        return all(same(getattr(a, name, None), getattr(b, name, None)) for name in names)
    return bool(a == b)


LOCAL = {"_result", "_epochs_after", "kept", "_row"}
"""What a process, or a training under way, has for itself: of `Progress`, the Numba back end and
`TrainingResult`."""
