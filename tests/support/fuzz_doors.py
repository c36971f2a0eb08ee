"""The fuzzer's doors beside single objects: many networks, and sparse matrices."""

import contextlib
import dataclasses

import fuzz_oracle as oracle
import numpy as np
import scipy.sparse
from fuzz_objects import LABELS, NETWORK, N, X, Y, fitted, weights_of
from fuzz_oracle import (
    FINE,
    agree,
    attempt,
    done,
    is_there,
    judge,
    quietly,
    same_bits,
    unjudged,
)

import fastnn
from fastnn import Network, Stop, train, train_many

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


def can_write(format):
    """Whether the package that a format needs, if it needs one, is installed."""
    return format in ("numpy", "c") or is_there(format)


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

DOORS = [many] * 4 + [sparse] * 4
