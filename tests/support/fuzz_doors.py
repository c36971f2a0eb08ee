"""The fuzzer's doors beside single objects: many networks, populations, threads, exports, sparse
matrices."""

import contextlib
import dataclasses
import os
import pickle
import runpy
import tempfile

import fuzz_oracle as oracle
import numpy as np
import scipy.sparse
from fuzz_objects import LABELS, NETWORK, N, X, Y, fitted, other_network, result_of, weights_of
from fuzz_oracle import (
    FINE,
    UNKNOWN,
    Wrong,
    agree,
    attempt,
    done,
    is_there,
    judge,
    quietly,
    same_bits,
    twin_of,
    unjudged,
)

import fastnn
from fastnn import Network, Population, Stop, train, train_many
from fastnn.files.export import FORMATS

OWN = {
    "seed": lambda draw, i: draw.of([i, i + 7, 2**32 - 1 - i]),
    "epochs": lambda draw, i: draw.integer(4),
    "learning_rate": lambda draw, i: draw.of([0.1, 0.01, 1e-3, 0.0]),
    "alpha": lambda draw, i: draw.of([0.0, 0.1]),
    "batch_size": lambda draw, i: draw.of([None, 5, N, 1]),
    "shuffle": lambda draw, i: draw.chance(0.5),
    "networks": lambda draw, i: draw.of([NETWORK, Network((4, 2)), Network((4, 3, 2), "tanh")]),
    "sample_weight": lambda draw, i: np.arange(1.0, N + 1),
    "rows": lambda draw, i: np.arange(i % 3, N),
    "Y": lambda draw, i: Y * (i + 1),
}
"""{an argument of train_many: the value of member i}."""

SEVERAL = (list, tuple, range, memoryview, np.ndarray)


def many(draw):
    """Many trainings in one call, some of whose arguments are for each member: they have the bits
    of `train`."""
    m = 1 + draw.integer(4)
    names = sorted({draw.of(sorted(OWN)) for _ in range(3)} | {"seed"})
    own = {name: [OWN[name](draw, i) for i in range(m)] for name in names}
    shared = {
        "networks": NETWORK,
        "Y": Y,
        "epochs": 2,
        "optimizer": draw.of([fastnn.Adam(0.01), fastnn.SGD(0.1)]),
    }
    shared |= {
        "X": X.astype(draw.of([np.float64, np.float32])),
        "backend": draw.of(["numba", "numba", "numpy"]),
    }
    if draw.chance(0.3):
        shared["stop"] = draw.of(
            [Stop(patience=1), Stop(validation=0.3, restore_best=True), Stop(tol=1e9, patience=0)]
        )
    shared = {name: value for name, value in shared.items() if name not in own}
    draw.spoil(shared, [0, 0, 1])
    if draw.chance(0.3):
        name = draw.of(sorted(own))
        i = draw.integer(m)
        own[name][i] = draw.other(name, own[name][i])
    given = {**shared, **own, "n_jobs": draw.of([1, 1, 2, None])}
    for name in own:
        if name in ("seed", "epochs", "learning_rate", "alpha") and draw.chance(0.2):
            shape = draw.of([tuple, np.array, lambda values: values + values[:1]])
            given[name] = quietly(lambda shape=shape, name=name: shape(own[name]))[0]
            # NumPy makes True a 1, and so on
            own[name] = own[name] if given[name] is None else list(given[name])
    shared_lists = [
        name for name in shared if name not in ("X", "Y") and isinstance(shared[name], SEVERAL)
    ]
    # an array for each member
    has_own = any(getattr(shared.get(name), "ndim", 0) == 3 for name in ("X", "Y"))
    # no array can hold the values of its members
    lacks_own = any(given[name] is None for name in own)
    arrays = [own[name] for name in ("rows", "sample_weight", "Y") if name in own]
    are_one = any(
        not any(part is None or getattr(part, "ndim", 0) for part in parts) for parts in arrays
    )
    by_luck = given["seed"] is None or any(seed is None for seed in own["seed"])  # of the system
    if shared_lists or has_own or lacks_own or are_one or by_luck:
        return unjudged(lambda: train_many(**given))  # which members have which value?
    for i, member in enumerate(done(lambda: train_many(**given))):
        values = {**shared, **{name: values[i] for name, values in own.items()}}
        values["network"] = values.pop("networks")
        rate = values.pop("learning_rate", None)
        if rate is not None:
            values["optimizer"] = dataclasses.replace(values["optimizer"], learning_rate=rate)
        same_bits(
            lambda member=member: arrays_of(member),
            lambda values=values: arrays_of(trained(values)),
        )
    return FINE


def trained(values):
    """A training on its own, which ends where it diverges, as a member does."""
    stop = dataclasses.replace(values.pop("stop", None) or Stop(), on_divergence="stop")
    return train(**values, stop=stop)


def arrays_of(result):
    """What a training came to."""
    return [result.params, result.history.loss, result.history.measured, result.state.vectors]


class Program:
    """A population, and trainings that go on by themselves: {member: options, the last result, all
    losses}."""

    def __init__(self, draw):
        options = {"optimizer": fastnn.Adam(0.01), "batch_size": draw.of([5, None])}
        backend = {"backend": draw.of(["numba", "numba", "numpy"])}
        self.draw = draw
        self.population = Population(NETWORK, X, Y, seed=range(3), **options, **backend)
        begun = [train(NETWORK, X, Y, epochs=0, seed=i, **options, **backend) for i in range(3)]
        self.twins = {i: (options, result, np.zeros(0)) for i, result in enumerate(begun)}

    def advance(self, epochs):
        wanted = None
        if isinstance(epochs, dict) and all(
            type(i) in (int, np.int64) and i in self.twins for i in epochs
        ):
            wanted = epochs
        elif type(epochs) in (int, np.int64) and 0 <= epochs < 9:
            wanted = dict.fromkeys(self.twins, int(epochs))
        _, error = attempt(lambda: self.population.advance(epochs), also=(KeyError,))
        if (error is None) != (wanted is not None) and self.twins:
            raise Wrong(f"advance({epochs!r:.50}): {error!r}")
        for i, n in (wanted or {}).items():
            options, result, losses = self.twins[i]
            result = result.resume(X, Y, epochs=n, **options)
            self.twins[i] = options, result, np.append(losses, result.history.loss)
        return error

    def drop(self, members):
        _, error = attempt(lambda: self.population.drop(members), also=(KeyError,))
        if error is None:
            gone = members if isinstance(members, (list, dict)) else [members]
            self.twins = {i: twin for i, twin in self.twins.items() if i not in gone}
        return error

    def replace(self, member):
        by = self.draw.of([None, *self.twins])
        changed = {"optimizer": fastnn.Adam(self.draw.of([0.1, 0.5]))} if by is None else {}
        _, error = attempt(
            lambda: self.population.replace(member, by=by, **changed), also=(KeyError,)
        )
        if error is None:
            options, result, losses = self.twins[int(member) if by is None else by]
            self.twins[int(member)] = options | changed, result, losses
        return error

    def copy(self, _):
        self.population = pickle.loads(pickle.dumps(self.population))

    def look(self, member):
        population = self.population
        looks = (
            population.scores,
            population.ranking,
            population.best,
            population.results,
            lambda: population[member],
        )
        return attempt(self.draw.of(looks), also=(KeyError,))[1]


def population(draw):
    """A program of calls of a population: its members have the bits of trainings that go on by
    themselves."""
    program = Program(draw)
    n_refused = 0
    for _ in range(2 + draw.integer(5)):
        name = draw.of(
            ["advance", "advance", "advance", "drop", "replace", "replace", "look", "copy"]
        )
        member = draw.integer(3)
        if draw.chance(0.2):
            member = draw.of(
                [
                    -1,
                    3,
                    True,
                    None,
                    "a",
                    0.5,
                    [],
                    [member],
                    {member: 1},
                    -(10**400),
                    np.int64(member),
                ]
            )
        if name == "advance" and draw.chance(0.3) and not isinstance(member, (list, dict)):
            member = {member: 2}
        n_refused += getattr(program, name)(member) is not None
        if program.population.members != sorted(program.twins):
            raise Wrong(
                f"members {program.population.members}, not {sorted(program.twins)}, after {name}"
            )
    for i, (_, result, losses) in program.twins.items():
        found = program.population[i]
        right = (result.params, result.state.vectors, losses)
        ours = found.params, found.state.vectors, found.history.loss
        same_bits(lambda ours=ours: ours, lambda right=right: right)
    return oracle.REFUSED if n_refused > 1 else FINE


WIDE = Network((9, 40, 3), "tanh", "softmax")
WIDE_X = np.random.RandomState(2).standard_normal((300, 9))


def threads(draw):
    """Calls that threads share: they have the bits of those of one."""
    dtype = draw.of([np.float64, np.float32])
    n = draw.of([300, 64, 100, 1])
    k = draw.of([2, 3, 4])
    given = {
        "X": WIDE_X[:n].astype(dtype),
        "Y": np.arange(n) % 3,
        "sample_weight": np.arange(1.0, n + 1),
    }
    given["params"] = WIDE.init_params(np.random.RandomState(draw.integer(9)), dtype)
    draw.spoil(given)
    if draw.chance(0.15):
        k = draw.of([0, -1, 10**400, 2.0, "2", None, True, np.int64(2), [2]])
    method = draw.of(["train", "predict", "loss_and_gradient"])
    twin = twin_of(given)

    def call(given, k):
        X, Y, weight, params = (given[name] for name in ("X", "Y", "sample_weight", "params"))
        if method == "predict":
            return [fastnn.predict(WIDE, params, X, threads=k)]
        if method == "loss_and_gradient":
            return [*fastnn.loss_and_gradient(WIDE, params, X, Y, sample_weight=weight, threads=k)]
        options = {
            "optimizer": fastnn.Adam(0.01),
            "epochs": 2,
            "batch_size": draw_size,
            "seed": 0,
            "threads": k,
        }
        return arrays_of(train(WIDE, X, Y, sample_weight=weight, params=params, **options))

    draw_size = draw.of([None, 64, 150])
    if twin is None or not (
        k is None or (isinstance(k, (int, np.integer)) and not isinstance(k, bool) and 0 < k < 9)
    ):
        return unjudged(lambda: call(given, k))
    return same_bits(lambda: call(given, k), lambda: call(twin, 1))


def can_write(format):
    """Whether the package that a format needs, if it needs one, is installed."""
    return format in ("numpy", "c") or is_there(format)


NAMES = ["net"] * 4 + [
    "my-net",
    "4th",
    "math",
    "while",
    "größe",
    "a b",
    "x" * 300,
    "..",
    ".",
    "",
    "a\0b",
    "*/",
]


def exported(draw):
    """A result or an estimator in a file of each format, which is that of a plain copy of its
    weights, and labels."""
    dtype = draw.of([np.float64, np.float32])
    network = NETWORK
    it = result_of(dtype)
    if draw.chance(0.4):
        hidden = draw.of(["gelu", "selu", "tanh"])
        output = draw.of(["identity", "exp", "softmax", "sigmoid"])
        network = Network((4, 3, 2), hidden, output)
        it = dataclasses.replace(
            it, network=network, params=network.init_params(np.random.RandomState(1), dtype)
        )
    if draw.chance(0.25):
        name = draw.of(["params", "network"])
        it = dataclasses.replace(
            it, **{name: draw.like(it.params) if name == "params" else other_network(draw)}
        )
    labels = None
    if draw.chance(0.3):
        labels = draw.of(
            [
                np.array(["a", "b", "*/ c"]),
                np.array([0.5, 2.0, 3.0]),
                np.array([True, False]),
                LABELS[:3],
            ]
        )
        labels = draw.like(labels) if draw.chance(0.4) else labels
        it = fitted("classifier", dtype)
        it.classes_ = labels
    format = draw.of(["save", "npz", *filter(can_write, FORMATS), "function", "pickle"])
    name = draw.of(NAMES)
    legacy = {"legacy": "1.13"} if draw.chance(0.3) else {}
    with tempfile.TemporaryDirectory() as folder, np.printoptions(**legacy):
        return written(it, format, os.path.join(folder, name), labels)


def written(it, format, path, labels):
    """Write a model in a format, and hold the file to it."""
    if format == "function":
        f = done(getattr(it, "function", lambda: it.to_result().function()))
        rows = np.ones((2, f.n_inputs), f.dtype)
        f(rows[0], out := np.zeros(f.n_outputs, f.dtype))
        return same_bits(
            lambda: [out], lambda: [(it if labels is None else it.to_result()).predict(rows)[0]]
        )
    if format == "pickle":
        # a part of it, that is
        is_foreign = isinstance(quietly(lambda: pickle.dumps(it))[1], pickle.PicklingError)
        if is_foreign or twin_of(it) is None or quietly(lambda: parts_of(it))[1] is not None:
            return UNKNOWN
        return same_bits(lambda: parts_of(pickle.loads(pickle.dumps(it))), lambda: parts_of(it))
    if format in ("save", "npz"):
        done(lambda: it.save(path + ".npz"))
        load = fastnn.load if labels is None else type(it).load
        return same_bits(lambda: parts_of(load(path + ".npz")), lambda: parts_of(it))
    files = done(lambda: it.export(path + FORMATS[format].suffix, format))
    plain = it
    if labels is None:  # a list of numbers, and integers, are as good as float64
        kind = (
            np.float32
            if np.result_type(getattr(it.params, "dtype", float)) == np.float32
            else np.float64
        )
        plain = dataclasses.replace(it, params=np.array(it.params, kind))
    os.mkdir(os.path.join(os.path.dirname(path), "plain"))
    with np.printoptions(legacy=False):
        right = plain.export(os.path.join(os.path.dirname(path), "plain", files[0].name), format)
    for one, other in zip(files, right, strict=True):
        if one.read_bytes() != other.read_bytes():
            raise Wrong(f"{one.name} is not that of plain weights")
    if format == "numpy" and labels is not None:
        ours = runpy.run_path(str(files[0]))["predict"](X)
        right = it.predict(X)
        if ours.tolist() != right.tolist():
            raise Wrong(f"labels {ours[:3]}, not {right[:3]}")
    return FINE


def parts_of(it):
    """The weights and biases of a result or an estimator, layer by layer."""
    own = hasattr(it, "coefs_")
    parts = (
        (it.coefs_, it.intercepts_)
        if own
        else (it.network.weights(it.params), it.network.biases(it.params))
    )
    return [part for pair in zip(*parts, strict=True) for part in pair]


PARTS = {
    **dict.fromkeys(("csr", "csc", "bsr"), ("data", "indices", "indptr", "_shape")),
    "coo": ("data", "row", "col", "_shape"),
    "dia": ("data", "offsets", "_shape"),
    "lil": ("rows", "data", "_shape"),
    "dok": ("_dict", "_shape"),
}


def sparse(draw):
    """A sparse X, or y, some of whose parts were changed: it gives the outputs of its numbers, or
    is refused."""
    kind = draw.of(["regressor", "classifier"])
    dtype = draw.of([np.float64, np.float32])
    mlp = fitted(kind, dtype)
    form = draw.of(sorted(PARTS))
    rows = np.where(np.abs(X) > draw.of([0.0, 0.5, 9.0]), X, 0).astype(dtype)
    matrix = getattr(scipy.sparse, f"{form}_{draw.of(['matrix', 'array'])}")(rows)
    for _ in range(draw.of([0, 1, 1, 2])):
        spoil(draw, matrix, draw.of(PARTS[form]))
    if quietly(lambda: matrix.dtype in (np.float64, np.float32))[0] is not True:
        return unjudged(lambda: mlp.predict(matrix))  # scipy converts few other dtypes
    if draw.chance(0.3):
        mlp.set_params(warm_start=True, n_threads=1)
        method = draw.of(["fit", "partial_fit", "validation_data"])
        target = Y if kind == "regressor" else LABELS
        found = oracle.dense(matrix)

        def weights(mlp, backend):
            rows = matrix if backend == "numba" else found.astype(dtype)
            if method == "validation_data":
                return weights_of(mlp.fit(X, target, validation_data=(rows, target)))
            return weights_of(getattr(mlp, method)(rows, target))

        return judge(lambda: weights(mlp, "numba"), None) if found is None else agree(weights, mlp)
    found = oracle.dense(matrix)
    due = None if found is None else oracle.outputs_due(mlp, found)
    attempt(lambda: mlp.predict(matrix))
    return judge(
        lambda: (mlp.predict if kind == "regressor" else mlp.predict_proba)(matrix), due, 1e-3
    )


def spoil(draw, matrix, part):
    """Change a part of a sparse matrix, past what scipy's own attributes check."""
    value = getattr(matrix, part)
    if part == "_shape":
        value = draw.of([(N, 4), (N, 3), (N + 1, 4), (N, 40), (10**6, 4), (0, 4), (N, 0), (N,)])
    elif part == "_dict":
        value = {**value, draw.of([(0, 0), (N, 0), (0, 4), (-1, 0), (10**9, 1)]): 1.0}
    elif matrix.format == "lil":
        value = value.copy()
        i = draw.integer(len(value))
        value[i] = draw.of(
            [[0], [4], [-1], [10**9], [0.5], [0, 1, 2], [], [10**30], list(range(10**5))]
        )
    elif draw.chance(0.7) and getattr(value, "size", 0) and value.dtype.kind == "i":
        value = value.copy()
        with contextlib.suppress(ValueError):  # an int8 holds few numbers
            value.flat[draw.integer(value.size)] = draw.of(PLACES)
    else:
        value = draw.like(value)
    with contextlib.suppress(Exception):  # scipy refuses some parts itself
        setattr(matrix, part, value)


PLACES = [-1, 0, 1, 3, 4, 5, 11, 12, 13, 47, 48, 49, 10**6, -(10**6), 2**31 - 1]
"""Numbers for indices of matrices (N, 4)."""

DOORS = [many] * 4 + [population] * 3 + [threads] * 3 + [exported] * 4 + [sparse] * 4
