"""Objects of every public kind, found by the package's own list of names, and whether two of them are the same."""

import inspect
import math
import os

import numpy as np

import fastnn
from fastnn import SGD, Network, Stop, errors, optimizers, train, train_many, workloads
from fastnn.state import Data, Steps, Task
from fastnn.testing.cases import VARIANTS
from fastnn.training import exceptions as with_results

X = np.linspace(-1, 1, 12).reshape(6, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def values():
    """The objects of the public names, but for modules."""
    found = (getattr(fastnn, name) for name in dir(fastnn))
    return [value for value in found if getattr(value, "__module__", "").startswith("fastnn.")]


def exceptions():
    """The classes of fastnn's exceptions and warnings."""
    here = (item for module in (errors, with_results) for item in vars(module).items())
    kinds = {kind for name, kind in here if inspect.isclass(kind) and not name.startswith("_")}
    return sorted((kind for kind in kinds if issubclass(kind, BaseException)), key=lambda kind: kind.__name__)


def classes():
    """The public classes of which there are objects."""
    return {kind for kind in values() if inspect.isclass(kind) and kind is not fastnn.Backend} | set(exceptions())


def objects():
    """An object of each public class, and some that belong to them."""
    seen = []
    options = {"optimizer": SGD(0.1, momentum=0.5), "epochs": 3, "batch_size": 2, "seed": 0}
    options["stop"] = Stop(validation=0.4, tol=0.0, restore_best=True)
    look = [lambda progress: seen.extend([progress, progress.result()])]
    result = train(Network((2, 3, 1), "tanh"), X, X[:, :1], backend="numpy", callbacks=look, **options)
    many = train_many(Network((2, 3, 1), "tanh"), X, X[:, :1], seed=range(3), epochs=2, callbacks=[seen.append])
    population = fastnn.Population(Network((2, 3, 1), "tanh"), X, X[:, :1], seed=range(3))
    population.advance({0: 2, 1: 1})
    found = fastnn.search({"alpha": [0.0, 0.1]}, X, X[:, :1], network=result.network, budget=3, epochs=1, seed=0)
    return [
        *(result, found, population, many, many.history, seen.pop(), *seen[:2], fastnn.CsvLogger(os.devnull)),
        *(
            result.network,
            result.state,
            result.history,
            options["stop"],
            fastnn.ReduceRate(0.5),
            fastnn.every(5, print),
        ),
        *(kind() for kind in optimizers.BUILT_IN.values()),
        *(fastnn.constant(0.1), fastnn.step_decay(0.1, every=5), fastnn.exponential(0.1)),
        *(fastnn.cosine(0.1, steps=50), fastnn.warm_up(0.1, steps=50), fastnn.one_cycle(0.1, steps=50)),
        *estimators(),
        *(workloads.load("seed"), fastnn.get_backend("numpy"), fastnn.get_backend("numba", specialize=True)),
        fastnn.get_backend("numba"),
        *(getattr(fastnn, name) for name in ("ACTIVATIONS", "LOSSES", "OPTIMIZERS")),
        Task(result.network, SGD(0.1), Data(X, X, np.ones(6))),
        Data(X, X, np.ones(6)),
        Steps(LABELS, LABELS, LABELS, np.ones(6), np.ones(6)),
        *VARIANTS,
        *(exception(kind, result) for kind in exceptions()),
    ]


def estimators():
    """Fitted ones, where scikit-learn is installed."""
    kinds = [getattr(fastnn, name) for name in ("MLPClassifier", "MLPRegressor") if name in dir(fastnn)]
    small = {"hidden_layer_sizes": 3, "tol": 1.0}  # quick where kernels run as plain Python, too
    fitted = [kind(**small, random_state=0).fit(X, LABELS) for kind in kinds]
    tables = [getattr(fastnn, name) for name in ("TabularClassifier", "TabularRegressor") if name in dir(fastnn)]
    of_tables = [kind("fast", epochs=1, n_jobs=1, random_state=0).fit(X, LABELS) for kind in tables]
    preparations = [model.preparation_ for model in of_tables]
    return [*fitted, *of_tables, *preparations]


def exception(kind, result):
    """An exception as fastnn raises it, with a note as Python allows."""
    error = kind("what went wrong", *([result] if issubclass(kind, with_results._WithResult) else []))
    error.add_note("in a sweep")
    return error


OBJECTS = objects()


def echo(thing):
    """The same thing, from another process."""
    return thing


def throw(error):
    """Raise an error in another process."""
    raise error


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


LOCAL = {"_result", "_epochs_after", "kept", "_parts"}
"""What a process, or a training under way, has for itself: of `Progress`, the Numba back end and `TrainingResult`."""
