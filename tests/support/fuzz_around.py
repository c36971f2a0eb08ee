"""The fuzzer's doors around a training: searches, scores, logs, second order and options, values,
derivatives."""

import contextlib
import dataclasses
import functools
import inspect
import math
import os
import pathlib
import tempfile

import fuzz_oracle as oracle
import numpy as np
from fuzz_doors import NAMES, arrays_of, trained
from fuzz_objects import LABELS, NETWORK, OPTIONS, N, X, Y, fitted, result_of
from fuzz_oracle import (
    FINE,
    REFUSED,
    UNKNOWN,
    Wrong,
    attempt,
    done,
    judge,
    quietly,
    same_bits,
    twin_of,
    unjudged,
)
from fuzz_values import LONG, right_array, same
from sklearn.metrics import get_scorer, get_scorer_names

import fastnn
from fastnn import Network, Stop, search, train, train_many
from fastnn.losses import ACTIVATIONS as ALL_ACTIVATIONS
from fastnn.losses import LOSSES
from fastnn.network import BIASES, INITS, REDUCTIONS
from fastnn.optimizers import Optimizer
from fastnn.schedules import Schedule

RANGES = {
    "hidden_layer_sizes": [3, (2, 2), ()],
    "activation": ["relu", "tanh"],
    "bias": ["scalar", "vector"],
    "optimizer": [fastnn.Adam(0.02), fastnn.SGD(0.01, momentum=0.9)],
    "learning_rate": [0.1, 0.01, 1e-3],
    "batch_size": [5, None, N],
    "alpha": [0.0, 0.1, 0.5],
    "shuffle": [True, False],
    "clip_norm": [1.0, 0.1],
    "seed": [1, 2, 3],
}


def drawing(values):
    """A function that draws a value of the space."""
    return lambda random: values[random.randint(len(values))]


def searched(draw):
    """A search: each trial has the score of `train` with its settings, and the best one its
    bits."""
    names = sorted({draw.of(sorted(RANGES)) for _ in range(draw.of([1, 2, 3]))})
    space = {name: list(RANGES[name]) for name in names}
    given = {
        "X": X.astype(draw.of([np.float64, np.float32])),
        "Y": Y,
        "network": NETWORK,
        "seed": draw.integer(9),
    }
    given |= {
        "budget": draw.of([20, 40]),
        "epochs": draw.of([1, 3]),
        "factor": draw.of([2, 3]),
        "n_jobs": 1,
    }
    given |= {
        "method": draw.of(["halving", "hyperband"]),
        "stop": draw.of([None, Stop(monitor="r2")]),
    }
    spoils = draw.spoil(given, [0, 0, 1])
    if draw.chance(0.3):
        spoils = values = space[draw.of(names)]
        values[draw.integer(len(values))] = draw.like(values[0])
    forms = [(list, drawing), (tuple, drawing), (drawing, drawing)]
    space = {name: draw.of(draw.of(forms))(values) for name, values in space.items()}
    if spoils and draw.chance(0.1):
        space = draw.like(list(space.items()))
    if type(given["seed"]) not in (int, np.int64) or twin_of(given) is None:
        return unjudged(lambda: search(space, **given))
    found = done(lambda: search(space, **given), may_be_refused=spoils)
    n_epochs = sum(trial["n_epochs"] for trial in found.trials)
    if not n_epochs == found.epochs_trained <= given["budget"]:
        raise Wrong(
            f"{found.epochs_trained} epochs, of all trials {n_epochs}, of {given['budget']}"
        )
    if any(trial.get("seed", 0) is None for trial in found.trials):
        return UNKNOWN  # drawn by the system
    for trial in found.trials:
        score = quietly(lambda trial=trial: alone(given, trial).history.score[-1])[0]
        if score != trial["score"] and trial["stop_reason"] != "diverged":
            raise Wrong(f"score {trial['score']} of {trial}, alone {score}")
    best = {**found.settings, "n_epochs": found.best.n_epochs}
    return same_bits(lambda: arrays_of(found.best), lambda: arrays_of(alone(given, best)))


def alone(given, trial):
    """The training of a trial by itself."""
    own = {name: trial[name] for name in ("activation", "bias") if name in trial}
    if "hidden_layer_sizes" in trial:
        own["sizes"] = (4, *np.atleast_1d(np.array(trial["hidden_layer_sizes"], int)).tolist(), 2)
    options = {
        name: trial[name]
        for name in ("batch_size", "alpha", "shuffle", "clip_norm")
        if name in trial
    }
    optimizer = trial.get("optimizer") or fastnn.Adam()
    if trial.get("learning_rate") is not None:
        optimizer = dataclasses.replace(optimizer, learning_rate=trial["learning_rate"])
    random = np.random.RandomState(given["seed"])
    n_rows = len(given["X"])
    held_out = np.sort(random.permutation(n_rows)[: math.ceil(0.2 * n_rows)])
    values = {
        "network": dataclasses.replace(given["network"], **own),
        "X": given["X"],
        "Y": given["Y"],
        **options,
    }
    values |= {
        "optimizer": optimizer,
        "epochs": trial["n_epochs"],
        "seed": trial.get("seed", given["seed"]),
    }
    return trained({**values, "validation_rows": held_out, "stop": given["stop"]})


TARGETS = {
    "numbers": (NETWORK, Y),
    "one number": (Network((4, 3, 1), "tanh"), Y[:, 0]),
    "classes": (Network((4, 5, 3), output="softmax"), LABELS),
    "two classes": (Network((4, 2), output="softmax"), LABELS % 2),
    "yes or no": (Network((4, 3, 1), output="sigmoid", loss="log_loss"), LABELS % 2),
    "several labels": (
        Network((4, 3, 2), output="sigmoid", loss="log_loss"),
        np.c_[LABELS % 2, LABELS > 0] * 1,
    ),
}
"""{what a network's targets are: the network, and the targets}."""


@functools.cache
def many_of(kind):
    """Three small networks for these targets, trained once."""
    network, targets = TARGETS[kind]
    return train_many(network, X, targets, seed=range(3), epochs=2)


def scored(draw):
    """The score of rows is that of scikit-learn's function; of many networks, and of a monitor,
    that of one."""
    kind = draw.of(sorted(TARGETS))
    given = {
        "X": X,
        "Y": TARGETS[kind][1],
        "sample_weight": draw.of([None, 1.0 * (LABELS > 0), np.arange(1.0, N + 1)]),
    }
    draw.spoil(given, [0, 0, 0, 1, 2])
    monitor = draw.of([None, "accuracy", "r2", "auc", draw.like("r2"), *get_scorer_names()])
    monitor = None if callable(monitor) else monitor  # whose errors are its own
    many = many_of(kind)
    twin = twin_of(given)
    way = draw.of(["sklearn", "sklearn", "many", "monitor"])
    if twin is None:
        return unjudged(lambda: many[0].score(**given, monitor=monitor))
    if way == "many":
        right = lambda: [np.array([it.score(**twin, monitor=monitor) for it in many])]  # noqa: E731
        return same_bits(lambda: [many.score(**given, monitor=monitor)], right)
    if way == "monitor" and isinstance(monitor, str) and monitor != "loss":
        network = TARGETS[kind][0]
        stop = quietly(lambda: Stop(monitor=monitor))[0]
        result, error = attempt(
            lambda: train(network, **given, seed=0, epochs=1, stop=stop, dtype="float64")
        )
        if error is not None or stop is None:
            return REFUSED
        return judge(
            lambda: result.score(**twin, monitor=monitor), result.history.score[-1:].sum(), 1e-12
        )
    it = many[draw.integer(3)]
    value, error = attempt(lambda: it.score(**given, monitor=monitor))
    usual = "r2" if "number" in kind else "accuracy"
    name = (
        usual
        if monitor is None
        else "roc_auc"
        if isinstance(monitor, str) and monitor == "auc"
        else monitor
    )
    expected, _ = quietly(lambda: of_sklearn(name, kind, twin, it.predict(twin["X"])))
    if (value is None) != (expected is None) or (error is None and not same(value, expected, 1e-6)):
        raise Wrong(f"{name} of {kind}: {value} {error!r:.200}, scikit-learn says {expected}")
    return FINE if error is None else REFUSED


def of_sklearn(name, kind, given, outputs):
    """A score by scikit-learn's own function; an error where targets do not fit, or it is not
    defined."""
    targets = TARGETS[kind][1]
    weight = given["sample_weight"]
    y = right_array(given["Y"], (1, 2))
    y = y[:, 0] if kind in ("one number", "yes or no") and y.shape[1:] == (1,) else y
    weight = np.ones(len(y)) if weight is None else right_array(weight, (1,))
    assert (y.shape, weight.shape) == ((len(given["X"]), *targets.shape[1:]), (len(y),))
    assert np.isfinite(y).all()
    if "number" not in kind:
        assert np.isin(y, range(3 if kind == "classes" else 2)).all()
        y = y.astype(int)
    assert np.isfinite(1 / weight[weight > 0]).all()
    assert (weight >= 0).all()
    assert 0 < weight.sum() < np.inf
    outputs = outputs[weight > 0]
    y = y[weight > 0]
    weight = weight[weight > 0]
    assert "deviance" not in str(name) or (y > 0).all()  # else it is not defined for right answers
    if name == "r2" and "number" not in kind:  # of each output by itself
        y = np.eye(outputs.shape[1])[y] if "classes" in kind else y
        return get_scorer(name)._score_func(y, outputs, sample_weight=weight)
    scorer = get_scorer(name)
    answers = (
        outputs
        if "number" in kind
        else outputs.argmax(1)
        if "classes" in kind
        else (outputs > 0.5) * 1
    )
    if scorer._response_method != "predict":
        assert "number" not in kind
        answers = outputs if kind != "yes or no" else np.c_[1 - outputs, outputs]
        if np.ptp(y) < 2 and answers.shape[1] == 2 and kind != "several labels":
            answers = answers[:, 1]
    answers = answers[:, 0] if answers.shape[1:] == (1,) else answers
    options = {} if (weight == 1).all() else {"sample_weight": weight}
    value = scorer._sign * scorer._score_func(y, answers, **scorer._kwargs, **options)
    assert not np.isnan(value)
    return float(value)


ROWS = [b"", b"1,0.5,0.5,0.1,0.5\n2,1", b"1,2\nnan,0\n", b"\n\n", b"7\n", b"-1\n"]
BEFORE = [None, b"", b"epoch,", b"a,b\n1,2\n", b"\xff\xfe", b"x" * 3000]
BEFORE += [fastnn.CsvLogger.HEADER + rows for rows in ROWS]
"""What may be in a file before."""


def logged(draw):
    """A log holds the rows of the history, whatever was in the file, or is refused and leaves that
    as it was."""
    before = draw.of(BEFORE)
    stop = draw.of([None, Stop(monitor="r2"), Stop(restore_best=True), Stop(validation=0.3)])
    options = {**OPTIONS, "epochs": draw.integer(4), "stop": stop}
    # some names are relative
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        path = os.path.join(folder, draw.of(["log.csv"] * 4 + NAMES))
        if before is not None:
            quietly(lambda: append(path, before))
        log, error = attempt(
            lambda: fastnn.CsvLogger(draw.like("log") if draw.chance(0.05) else path)
        )
        if error is not None:
            if before is not None and quietly(lambda: pathlib.Path(path).read_bytes() != before)[0]:
                raise Wrong(f"the file was {before[:50]}")
            return REFUSED
        results = [train(NETWORK, X, Y, seed=0, callbacks=[log], **options)]
        if results[0].n_epochs and draw.chance(0.5):
            quietly(
                lambda: append(
                    path, draw.of([b"", b"9,1,1,1,1\n", b"1", b"nan,0\n", b"\n", b"\xff\n"])
                )
            )
            again, error = attempt(lambda: fastnn.CsvLogger(path))
            options = {"callbacks": [log if error else draw.of([log, again])], "stop": stop}
            goes_on = lambda: results[0].resume(X, Y, epochs=draw.integer(3), **options)  # noqa: E731
            results.append(done(goes_on, may_be_refused=False))
        if log.path != path:
            return UNKNOWN
        if not results[-1].n_epochs:  # which replaced nothing
            return FINE
        rows = [line.split(b",") for line in pathlib.Path(path).read_bytes().splitlines()]
        right = [row for it in results for row in zip(*it.history.to_dict().values(), strict=True)]
        right = [[epoch, *row[1:]] for epoch, row in enumerate(right, 1)]
        found, _ = quietly(lambda: np.array(rows[1:]).astype(float))
        if not np.array_equal(found, np.array(right), equal_nan=True):
            raise Wrong(f"{rows}, not {right}")
    return FINE


def append(path, content):
    with open(path, "ab") as file:
        file.write(content)


FORMULAS = [
    (fastnn.LeakyRelu, "slope", 0.1),
    (fastnn.Elu, "alpha", 0.5),
    (fastnn.Huber, "delta", 0.3),
    (fastnn.Pinball, "quantiles", (0.1, 0.9)),
    (fastnn.CrossEntropy, "label_smoothing", 0.1),
    (fastnn.LogLoss, "label_smoothing", 0.2),
]
ACTIVATIONS = fastnn.LeakyRelu, fastnn.Elu


def values(draw):
    """Networks whose activations and losses are values: both back ends have the same loss and
    gradient."""
    dtype, (kind, name, usual) = draw.of([np.float64, np.float32]), draw.of(FORMULAS)
    value = draw.of([usual, usual, 0.25, draw.like(usual), draw.like(0.7)])
    right = "activation" if kind in ACTIVATIONS else "loss"
    where = draw.of(["activation", "loss"]) if draw.chance(0.1) else right
    output = {fastnn.CrossEntropy: "softmax", fastnn.LogLoss: "sigmoid"}.get(kind, "identity")
    make = lambda: Network((4, 6, 2), output=output, **{where: kind(**{name: value})})  # noqa: E731
    network = done(make, may_be_refused=value is not usual or where != right)
    targets = {"softmax": LABELS % 2, "sigmoid": np.c_[LABELS % 2, LABELS > 0] * 1.0}.get(output, Y)
    given = {
        "network": network,
        "params": result_of(dtype).params,
        "X": X.astype(dtype),
        "assume_finite": False,
    }
    asks_outputs = draw.chance(0.3)
    if not asks_outputs:
        given |= {"Y": targets, "sample_weight": np.ones(N), "alpha": 0.1}
    draw.spoil(given)

    def numbers(given, backend):
        if asks_outputs:
            return fastnn.predict(**given, backend=backend)
        return fastnn.loss_and_gradient(**given, backend=backend)[1]

    return oracle.agree(numbers, given)


OF_STEPS = {"learning_rate": 0.1, "steps": 5}
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
        given[name] = draw.of(
            [
                draw.of(WORDS),
                draw.like(given.get(name, 1)),
                draw.like((3, 2)),
                draw.integer(20) / 10,
            ]
        )
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
    (lambda **o: many_of("classes").predict(**o), {"X": X}),
    (
        lambda **o: fitted("classifier", np.float64).fit(X, LABELS, **o),
        {"sample_weight": np.ones(N), "X_val": X},
    ),
    (lambda **o: fitted("regressor", np.float64).fit(X, Y, **o), {"validation_data": (X, Y)}),
    (
        lambda **o: MLP((2,), max_iter=1).partial_fit(X, LABELS, classes=[0, 1, 2], **o),
        {"sample_weight": None},
    ),
    (lambda **o: MLP.from_result(many_of("classes")[0], **o), {"classes": [0, 1, 2], "alpha": 0.1}),
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
    return unjudged(lambda: call(**{**given, name: value}), also=(AttributeError,))


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


DOORS = [searched, scored, logged, row] * 3 + [values, made, called] * 4
