"""What the fuzzer's cases are held to: a few lines of NumPy, or the reference back end."""

import copy
import itertools

import numpy as np
from fuzz_values import right_array, same

from fastnn import Network

FINE = "fine"


class Failure(Exception):
    """The findings of a case."""


def attempt(call):
    """The value that a call returned, and the exception that it raised: one of them is None."""
    try:
        return call(), None
    except Exception as error:
        return None, error


def twin_of(value):
    """A deep copy; None where a part of it cannot be copied."""
    return attempt(lambda: copy.deepcopy(value))[0]


def judge(call, expected, tolerance=1e-6):
    """Hold a call to what is expected: an array, or None where an error is due."""
    value, error = attempt(call)
    if expected is None and error is None:
        raise Failure(f"number where an error is due: {np.ravel(value)[:3]}")
    if expected is not None and error is not None:
        raise Failure(f"error where a number is due: {error!r:.200}")
    if expected is not None and not same(value, expected, tolerance):
        raise Failure(f"wrong number: {np.ravel(value)[:3]}, not {np.ravel(expected)[:3]}")
    return FINE if error is None else "refused"


def agree(of_numba, of_numpy, twin, tolerance=1e-3):
    """Hold the two back ends to one another: numbers of both, or errors of both, the other one's of a twin."""
    if twin is None:
        return "refused" if attempt(of_numba)[1] else "unknown"
    (a, e), (b, f) = attempt(of_numba), attempt(of_numpy)
    if (e is None) != (f is None):
        if any(word in f"{e}{f}" for word in ("finite", "diverged", "overflow")):
            return "diverged"
        raise Failure(f"back ends differ: numba {np.ravel(a)[:3]} {e!r:.200}, numpy {np.ravel(b)[:3]} {f!r:.200}")
    if e is None and not same(a, b, tolerance):
        raise Failure(f"wrong number: {np.ravel(a)[:3]}, the reference has {np.ravel(b)[:3]}")
    return FINE if e is None else "refused"


# ------------------------------------------------------------------------------------------------------- what is right


HIDDEN = ("identity", "relu", "tanh", "logistic")
VALUES = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "exp": np.exp,
    "softmax": lambda z: (
        np.exp(z - z.max(1, keepdims=True)) / np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)
    ),
}


def forward(coefs, intercepts, X, hidden="relu", output="identity"):
    """The outputs of a network in NumPy."""
    a = np.asarray(X, np.float64)
    with np.errstate(all="ignore"):
        for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
            a = VALUES[hidden if i + 1 < len(coefs) else output](a @ W + b)
    return a


def weights_due(mlp):
    """The weights that stand in an estimator's attributes, if they make a network."""
    if not all(isinstance(parts, (list, tuple)) for parts in (mlp.coefs_, mlp.intercepts_)):
        return None
    W, b = [right_array(w, (2,)) for w in mlp.coefs_], [right_array(v, (0, 1)) for v in mlp.intercepts_]
    if not W or len(W) != len(b) or any(part is None for part in (*W, *b)) or any(0 in w.shape for w in W):
        return None
    fit = all(v.shape in ((w.shape[1],), (1,), ()) for w, v in zip(W, b, strict=True))
    fit = fit and all(v.shape[1] == w.shape[0] for v, w in itertools.pairwise(W))
    return (W, b) if fit else None


def outputs_due(mlp, rows):
    """The outputs that an estimator owes by what stands in its attributes now; None for an error."""
    hidden, output, weights, rows = mlp.activation, mlp.out_activation_, weights_due(mlp), right_array(rows, (2,))
    if not (isinstance(hidden, str) and hidden in HIDDEN and isinstance(output, str) and output in VALUES):
        return None
    if weights is None or rows is None or not len(rows) or not np.isfinite(rows).all():
        return None
    n_inputs, n_outputs = weights[0][0].shape[0], weights[0][-1].shape[1]
    if rows.shape[1] != n_inputs or not equal(n_inputs, mlp.n_features_in_) or not equal(n_outputs, mlp.n_outputs_):
        return None
    return forward(*weights, rows, hidden, output)


def equal(n, value):
    """Whether a value plainly is this number."""
    return attempt(lambda: bool(n == value))[0] is True


def network_outputs(network, params, rows):
    """The outputs of a network by its parameters, in NumPy; None for an error."""
    params, rows = right_array(params, (1,)), right_array(rows, (2,))
    if params is None or rows is None or not isinstance(network, Network) or params.size != network.n_params:
        return None
    if rows.shape[1] != network.sizes[0] or not len(rows) or not all(np.isfinite(a).all() for a in (params, rows)):
        return None
    return forward(network.weights(params), network.biases(params), rows, network.activation, network.output)
