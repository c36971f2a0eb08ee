"""What the fuzzer's cases are held to: clear errors, and a few lines of NumPy, or the reference
back end."""

import copy
import functools
import importlib
import itertools
import numbers
import re

import numpy as np
from fuzz_values import right_array, same

from fastnn import FastnnError, Network

FINE = "fine"
REFUSED = "refused"
DIVERGED = "diverged"
UNKNOWN = "unknown"
"""What a case comes to that is as it should be; the last is an answer that nothing here knows
better."""

DOCUMENTED = (ValueError, TypeError, MemoryError, FastnnError, OSError)

MOST_CHARACTERS = 1000
"""Of an error's text."""

OF_PYTHON = re.compile(
    r"(member \d+: )?('[\w.]+' object|unsupported operand|Exceeds the limit|'\S+' not supported "
    r"between"
    r"|The truth value of an array|object of type '\w+' has no len|unhashable type|Python int too "
    r"large|int too large"
    r"|index \S+ is out of bounds|\S+\(\) (takes|got|missing)|operands could not be "
    r"broadcast|only integer scalar)"
)
"""The first words of Python's and NumPy's own errors, which name no argument."""


class Failure(Exception):
    """What a case comes to otherwise, if it does not end the process or goes on for ever."""

    def __init__(self, text):
        super().__init__(f"{type(self).__name__}: {text:.300}")


class Unclear(Failure):
    """An error that does not say what is wrong."""


class RefusedWrongly(Failure):
    """An error where a number is due."""


class Wrong(Failure):
    """Another number, or one where an error is due."""


class Refused(Exception):
    """Ends a case: what may be refused was, clearly."""


def quietly(call):
    """The value that a call returned, and the exception that it raised: one of them is None."""
    try:
        return call(), None
    except Exception as error:
        return None, error


def attempt(call, also=()):
    """The same of a call of fastnn, whose errors must be clear: documented, short, and of its own
    words."""
    value, error = quietly(call)
    if error is not None and not is_clear(error, also):
        raise Unclear(
            f"{type(error).__name__} of {len(str(error)):,} characters: {error!s}"
        ) from error
    return value, error


def done(call, may_be_refused=True):
    """The value of such a call. Where it is refused, the case ends."""
    value, error = attempt(call)
    if error is not None:
        raise Refused if may_be_refused else RefusedWrongly(f"{error!r}")
    return value


def unjudged(call, also=()):
    """What a case comes to by a call whose value nothing here knows better."""
    return REFUSED if attempt(call, also)[1] else UNKNOWN


def is_clear(error, also=()):
    """Whether an error says what is wrong, as far as its words tell."""
    # a name may be as long as it was given
    named = isinstance(error, OSError) and error.filename is not None
    text = error.strerror if named else str(error)
    if hasattr(error, "result") and not isinstance(error, FastnnError):
        return True  # of a function of the caller's own, such as a learning rate
    if isinstance(error, AttributeError) and text.endswith("has no attribute 'partial_fit'"):
        return True  # as scikit-learn has it for a solver without epochs
    return (
        isinstance(error, (*DOCUMENTED, *also))
        and len(text) <= MOST_CHARACTERS
        and not OF_PYTHON.match(text)
    )


@functools.cache
def is_there(package):
    """Whether a package that some formats need is installed."""
    return quietly(lambda: importlib.import_module(package))[1] is None


def twin_of(value):
    """A deep copy; None where a part of it cannot be copied."""
    return quietly(lambda: copy.deepcopy(value))[0]


def judge(call, expected, tolerance=1e-6):
    """Hold a call to what is expected: an array, or None where an error is due."""
    value, error = attempt(call)
    if expected is None and error is None:
        raise Wrong(f"number where an error is due: {np.ravel(value)[:3]}")
    if expected is not None and error is not None:
        raise RefusedWrongly(f"{error!r}")
    if expected is not None and not same(value, expected, tolerance):
        raise Wrong(f"{np.ravel(value)[:3]}, not {np.ravel(expected)[:3]}")
    return FINE if error is None else REFUSED


def agree(call, given, tolerance=1e-3):
    """Hold the two back ends to one another: numbers of both, or errors of both, the other one's of
    a twin of these."""
    twin = twin_of(given)
    if twin is None:
        return unjudged(lambda: call(given, "numba"))
    (a, e), (b, f) = (attempt(lambda: call(given, "numba")), attempt(lambda: call(twin, "numpy")))
    if (e is None) != (f is None):
        if any(word in f"{e}{f}" for word in ("finite", "diverged", "overflow")):
            return DIVERGED
        raise Wrong(
            f"back ends differ: numba {np.ravel(a)[:3]} {e!r:.100}, numpy {np.ravel(b)[:3]} "
            f"{f!r:.100}"
        )
    if e is None and not same(a, b, tolerance):
        raise Wrong(f"{np.ravel(a)[:3]}, the reference has {np.ravel(b)[:3]}")
    return FINE if e is None else REFUSED


def same_bits(call, right):
    """Hold a call to the bits of another one, both of arrays; where this one is refused, so must
    the other be."""
    (a, e), (b, f) = attempt(call), attempt(right)
    if e is not None or f is not None:
        if f is None:
            raise RefusedWrongly(f"{e!r}")
        if e is None:
            raise Wrong(f"number where an error is due: {str(a)[:50]}, for {f!r:.200}")
        return REFUSED
    for one, other in zip(a, b, strict=True):
        one, other = (np.asarray(x) for x in (one, other))
        if one.dtype != other.dtype or one.shape != other.shape or not _are_same(one, other):
            raise Wrong(f"{np.ravel(one)[:3]}, not {np.ravel(other)[:3]} to the bit")
    return FINE


def _are_same(one, other):
    """Whether arrays of one shape have the same bits, or equal objects; any NaN is as good as
    another."""
    if one.dtype.hasobject:
        return all(
            a == b or (a != a and b != b) for a, b in zip(one.ravel(), other.ravel(), strict=True)
        )
    if one.dtype.kind == "f":
        one, other = (np.where(np.isnan(x), np.nan, x) for x in (one, other))
    return one.tobytes() == other.tobytes()


def dense(matrix):
    """The numbers of a sparse matrix by its attributes, in plain Python; None where they make
    none."""
    return quietly(lambda: _dense(matrix))[0]


def _dense(matrix):
    n_rows, n_columns = matrix.shape
    made = np.zeros((n_rows, n_columns))
    for i, j, number in ENTRIES[matrix.format](matrix):
        assert i >= 0 <= j
        made[i, j] += number
    return made


def _integers(values):
    array = np.asarray(values)
    assert array.ndim == 1
    assert array.dtype.kind == "i" or (not array.size and isinstance(values, list))
    return array.tolist()


def _of_coo(matrix):
    places = _integers(matrix.row), _integers(matrix.col)
    return zip(*places, matrix.data.tolist(), strict=True)


def _of_dok(matrix):
    return ((*_integers(key), number) for key, number in matrix._dict.items())


def _of_lil(matrix):
    assert len(matrix.rows) == len(matrix.data) == matrix.shape[0]
    for i, (columns, entries) in enumerate(zip(matrix.rows, matrix.data, strict=True)):
        for j, number in zip(_integers(columns), entries, strict=True):
            yield i, j, number


def _of_dia(matrix):
    """Of each diagonal, the part that is within."""
    n_rows, n_columns = matrix.shape
    offsets = _integers(matrix.offsets)
    assert all(isinstance(part, np.ndarray) for part in (matrix.data, matrix.offsets))
    assert (matrix.data.ndim, len(matrix.data)) == (2, len(set(offsets)))
    for offset, diagonal in zip(offsets, matrix.data, strict=True):
        for j, number in enumerate(diagonal.tolist()):
            if 0 <= j - offset < n_rows and j < n_columns:
                yield j - offset, j, number


def _of_csr(matrix):
    """Of each block of a row of blocks, each number; in other formats a block has one number."""
    parts = (matrix.data, matrix.indices, matrix.indptr)
    assert all(isinstance(part, np.ndarray) for part in parts)
    assert matrix.data.ndim == (3 if matrix.format == "bsr" else 1)
    height, width = matrix.data.shape[1:] or (1, 1)
    n, m = matrix.shape[::-1] if matrix.format == "csc" else matrix.shape
    assert n % height == m % width == 0
    ends = _integers(matrix.indptr)
    indices = _integers(matrix.indices)
    assert (len(ends), ends[0]) == (n // height + 1, 0)
    assert len(indices) == len(matrix.data) >= ends[-1]
    for i, (first, stop) in enumerate(itertools.pairwise(ends)):
        assert first <= stop
        for k in range(first, stop):
            for (row, column), number in np.ndenumerate(matrix.data[k].reshape(height, width)):
                yield i * height + row, indices[k] * width + column, number


def _of_csc(matrix):
    return ((i, j, number) for j, i, number in _of_csr(matrix))


ENTRIES = {"coo": _of_coo, "dok": _of_dok, "lil": _of_lil, "dia": _of_dia}
ENTRIES |= {"csr": _of_csr, "bsr": _of_csr, "csc": _of_csc}
"""{a format: a function that gives the entries (row, column, number) of a matrix}"""


HIDDEN = ("identity", "relu", "tanh", "logistic")
VALUES = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "exp": np.exp,
    "softmax": lambda z: (e := np.exp(z - z.max(1, keepdims=True))) / e.sum(1, keepdims=True),
}


def forward(coefs, intercepts, X, hidden="relu", output="identity"):
    """The outputs of a network in NumPy; infinite where they are not tame."""
    a = np.asarray(X, np.float64)
    is_tame = True
    with np.errstate(all="ignore"):
        for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
            z = a @ W + b
            is_tame = is_tame and bool((abs(z) < 1e15).all())  # else float32 may overflow
            a = VALUES[hidden if i + 1 < len(coefs) else output](z)
    return a if is_tame else np.full_like(a, np.inf)


def weights_due(mlp):
    """The weights that stand in an estimator's attributes, if they make a network."""
    if not all(isinstance(parts, (list, tuple)) for parts in (mlp.coefs_, mlp.intercepts_)):
        return None
    W = [right_array(w, (2,)) for w in mlp.coefs_]
    b = [right_array(v, (0, 1)) for v in mlp.intercepts_]
    if (
        not W
        or len(W) != len(b)
        or any(part is None for part in (*W, *b))
        or any(0 in w.shape for w in W)
    ):
        return None
    fit = all(v.shape in ((w.shape[1],), (1,), ()) for w, v in zip(W, b, strict=True))
    fit = fit and all(v.shape[1] == w.shape[0] for v, w in itertools.pairwise(W))
    return (W, b) if fit else None


def outputs_due(mlp, rows):
    """The outputs that an estimator owes by what stands in its attributes now; None for an
    error."""
    hidden = mlp.activation
    output = mlp.out_activation_
    weights = weights_due(mlp)
    rows = finite(rows, 2)
    if not (
        isinstance(hidden, str)
        and hidden in HIDDEN
        and isinstance(output, str)
        and output in VALUES
    ):
        return None
    if weights is None or rows is None or not len(rows):
        return None
    sizes = [weights[0][0].shape[0], weights[0][-1].shape[1]]
    told = [mlp.n_features_in_, mlp.n_outputs_]
    fit = (
        all(isinstance(n, numbers.Integral) for n in told)
        and told == sizes
        and rows.shape[1] == sizes[0]
    )
    return forward(*weights, rows, hidden, output) if fit else None


def finite(value, n_dimensions):
    """The finite numbers that a value stands for; None where there are others."""
    array = right_array(value, (n_dimensions,))
    return None if array is None or not np.isfinite(array).all() else array


def network_outputs(network, params, rows):
    """The outputs of a network by its parameters, in NumPy; None for an error."""
    params = finite(params, 1)
    rows = finite(rows, 2)
    if (
        params is None
        or rows is None
        or not isinstance(network, Network)
        or params.size != network.n_params
    ):
        return None
    if rows.shape[1] != network.sizes[0] or not len(rows):
        return None
    return forward(
        network.weights(params), network.biases(params), rows, network.activation, network.output
    )
