"""The fuzzer's doors around a training: values, settings, functions of one row, any other call."""

import functools
import inspect

import numpy as np
from fuzz_objects import LABELS, NETWORK, N, X, Y, fitted, once, result_of
from fuzz_oracle import (
    FINE,
    UNKNOWN,
    Wrong,
    attempt,
    done,
    judge,
    same_bits,
    unjudged,
)
from fuzz_values import LONG

import fastnn
from fastnn import Network, Stop, train, train_many
from fastnn.losses import ACTIVATIONS as ALL_ACTIVATIONS
from fastnn.losses import LOSSES
from fastnn.network import BIASES, INITS, REDUCTIONS
from fastnn.optimizers import Optimizer
from fastnn.schedules import Schedule

OF_STEPS = {"learning_rate": 0.1, "steps": 5}
VALUES = fastnn.LeakyRelu, fastnn.Elu, fastnn.Huber, fastnn.CrossEntropy, fastnn.LogLoss
MADE = {
    Network: {"sizes": (3, 2)},
    Network.from_dict: {"values": Network((3, 4, 2)).to_dict()},
    Stop: {},
    fastnn.ReduceRate: {},
    fastnn.every: {"k": 2, "callback": print},
    fastnn.get_backend: {"backend": "numpy"},
    fastnn.constant: {"learning_rate": 0.1},
    fastnn.exponential: {"learning_rate": 0.1},
    fastnn.step_decay: {"learning_rate": 0.1, "every": 2},
    **dict.fromkeys((fastnn.cosine, fastnn.warm_up, fastnn.one_cycle), OF_STEPS),
    **{kind: {} for kind in fastnn.OPTIMIZERS.values()},
    **{kind: {} for kind in VALUES},
    fastnn.Pinball: {"quantiles": (0.1, 0.9)},
}
"""{what makes an object: arguments that it needs}."""
WORDS = [
    *ALL_ACTIVATIONS,
    *LOSSES,
    *BIASES,
    *INITS,
    *REDUCTIONS,
    "exact",
    "times_bias",
    "numba",
    "r2",
    "raise",
    "SUM",
]


def made(draw):
    """Something made of settings that may be anything: refused clearly, or what its own description
    makes again."""
    make, needs = draw.of(list(MADE.items()))
    given = dict(needs)
    names = sorted(inspect.signature(make).parameters)
    changed = sorted({draw.of(names) for _ in range(draw.of([0, 1, 1, 2, 3]))})
    for name in changed:
        near = draw.like(given.get(name, 1))
        given[name] = draw.of([draw.of(WORDS), near, draw.like((3, 2)), draw.integer(20) / 10])
    if make == Network.from_dict and not changed:
        changed = ["values"]
        given["values"] = {
            **given["values"],
            draw.of(list(given["values"])): draw.of([draw.of(WORDS), draw.like(0.5)]),
        }
    it = done(lambda: make(**given), may_be_refused=changed)
    if isinstance(it, Schedule):
        rates, error = attempt(lambda: it.rates(np.array([5])))  # without steps it has none
        return judge(lambda: it(5), None if error else rates[0])
    if isinstance(it, (Network, Optimizer)) and not callable(getattr(it, "learning_rate", 0)):
        again, error = attempt(
            lambda: (Network if isinstance(it, Network) else Optimizer).from_dict(it.to_dict())
        )
        if again != it:
            raise Wrong(f"{it!r:.100} is made again as {again!r:.100}, {error!r:.100}")
    return FINE


MLP = fastnn.MLPClassifier
PARAMS = np.zeros(NETWORK.n_params)


@functools.cache
def classes():
    """Three small networks for three classes, trained once."""
    return train_many(Network((4, 5, 3), output="softmax"), X, LABELS, seed=range(3), epochs=2)


@once
def population():
    """Three networks, of which none is trained."""
    return fastnn.Population(NETWORK, X, Y, seed=range(3), n_jobs=1)


CALLS = [
    (NETWORK.pack, {"weights": NETWORK.weights(PARAMS), "biases": NETWORK.biases(PARAMS)}),
    (NETWORK.init_params, {"random_state": None}),
    (train, {"network": Network((4, 3), output="softmax"), "X": X, "Y": LABELS, "epochs": 1}),
    (
        fastnn.Population,
        {"networks": NETWORK, "X": X, "Y": Y, "seed": range(2), "optimizer": None, "n_jobs": 1},
    ),
    (fastnn.load, {"path": "nothing.npz"}),
    (fastnn.from_torch, {"module": None}),
    (fastnn.from_keras, {"model": None}),
    (lambda **options: fastnn.get_backend("numba", **options), {"specialize": False}),
    (fastnn.workloads.load, {"name": "seed"}),
    (lambda name: getattr(fastnn, name), {"name": "train"}),
    (lambda name: getattr(NETWORK, name), {"name": "sizes"}),
    (lambda name: train(NETWORK, X, Y, epochs=1, **{str(name): 1}), {"name": "seed"}),
    (lambda name: Stop(**{str(name): 1}), {"name": "patience"}),
    (
        lambda rate: train(NETWORK, X, Y, epochs=1, optimizer=fastnn.SGD(lambda t: rate)),
        {"rate": 0.1},
    ),
    (
        lambda score: train(NETWORK, X, Y, epochs=1, stop=Stop(monitor=lambda *a: score)),
        {"score": 1.0},
    ),
    (lambda **o: classes().predict(**o), {"X": X}),
    (
        lambda **o: classes()[0].score(**o),
        {"X": X, "Y": LABELS, "sample_weight": np.ones(N), "monitor": "accuracy"},
    ),
    (
        lambda **o: fastnn.search(**o, budget=4, n_jobs=1),
        {"space": {"alpha": [0.0, 0.1]}, "X": X, "Y": Y, "network": NETWORK, "seed": 1}
        | {"epochs": 1, "method": "halving", "factor": 2, "stop": None},
    ),
    (lambda **o: population().advance(**o), {"epochs": {0: 1, 1: 2}}),
    (
        lambda **o: train_many(NETWORK, X, epochs=1, n_jobs=1, **o),
        {
            "Y": [Y, Y + 1],
            "seed": [1, 2],
            "learning_rate": [0.1, 0.01],
            "alpha": [0.0, 0.1],
            "batch_size": [5, None],
            "rows": [np.arange(N), np.arange(3)],
            "sample_weight": [None, np.arange(1.0, N + 1)],
            "params": [PARAMS, None],
            "shuffle": [True, False],
            "stop": [None, Stop(patience=1)],
            "backend": "numba",
        },
    ),
    (lambda **o: population().drop(**o), {"members": [0]}),
    (lambda **o: population().replace(**o), {"member": 0, "by": 1}),
    (lambda **o: train(NETWORK, X, Y, epochs=1, **o), {"threads": 1}),
    (lambda **o: fastnn.predict(NETWORK, PARAMS, X, **o), {"threads": 1}),
    (
        lambda **o: fitted("classifier", np.float64).fit(X, LABELS, **o),
        {"sample_weight": np.ones(N), "X_val": X},
    ),
    (lambda **o: fitted("regressor", np.float64).fit(X, Y, **o), {"validation_data": (X, Y)}),
    (
        lambda **o: MLP((2,), max_iter=1).partial_fit(X, LABELS, classes=[0, 1, 2], **o),
        {"sample_weight": None},
    ),
    (lambda **o: MLP.from_result(classes()[0], **o), {"classes": [0, 1, 2], "alpha": 0.1}),
    *((kind.from_sklearn, {"estimator": None}) for kind in (MLP, fastnn.MLPRegressor)),
    *((kind.load, {"path": "nothing"}) for kind in (MLP, fastnn.MLPRegressor)),
]
"""Other calls, with arguments that are right."""


def called(draw):
    """Any other call, of which an argument may be anything: whatever it refuses, it says
    clearly."""
    call, given = draw.of(CALLS)
    name = draw.of(sorted(given))
    value = draw.of([draw.of(LONG), draw.like(given[name])])
    if name == "epochs" and isinstance(value, int):
        return UNKNOWN
    return unjudged(lambda: call(**{**given, name: value}), also=(AttributeError, KeyError))


@functools.cache
def function_of(dtype):
    return result_of(dtype).function()


def row(draw):
    """A function of one row, called with arrays that nobody has checked: it has the bits of
    `predict`."""
    dtype = draw.of([np.float64, np.float32])
    f = function_of(dtype)
    given = {"x": X[draw.integer(N)].astype(dtype), "out": np.zeros(2, dtype)}
    draw.spoil(given, [0, 1, 1, 2])
    if draw.chance(0.1) and isinstance(given["out"], np.ndarray):
        given["out"].flags.writeable = False
    x = given["x"]
    out = given["out"]
    if not (is_plain(x, dtype, (4,)) and is_plain(out, dtype, (2,)) and out.flags.writeable):
        return judge(lambda: [f(x, out)], None)
    done(lambda: f(x, out), may_be_refused=False)
    if not np.isfinite(x).all():
        return UNKNOWN
    return same_bits(lambda: [out], lambda: [result_of(dtype).predict(x[None])[0]])


def is_plain(array, dtype, shape):
    """Whether an array of this shape and dtype lies as C has it, in the order of bytes of this
    machine."""
    return (
        isinstance(array, np.ndarray)
        and (array.dtype, array.shape) == (dtype, shape)
        and array.flags.carray
    )


DOORS = [row] * 4 + [made] * 5 + [called] * 9
