"""Any good input works and is never written; bad input is refused in the same words by both back
ends, at once."""

import math
import re
import tempfile
import tracemalloc

import numpy as np
import pytest
from bits import all_bits, assert_same_params, history_bits
from good_input import (
    NETWORK,
    PARAMS,
    RESULT,
    WEIGHT,
    N,
    X,
    Y,
    assert_refused,
    labels_network,
    refusal,
    with_value,
)
from small_training import Recorder

from fastnn import ACTIVATIONS, SGD, Adam, Network, Stop, loss_and_gradient, predict, train
from fastnn.optimizers import OPTIMIZERS, RPROP, AdamW
from fastnn.training import inputs


def mapped(array):
    with tempfile.TemporaryFile() as file:
        file.write(array.tobytes())
        return np.memmap(file, array.dtype, "r", shape=array.shape)


LAYOUTS = {
    "read-only": lambda array: np.broadcast_to(array, array.shape),
    "Fortran order": np.asfortranarray,
    "strided": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "backwards": lambda array: np.flip(np.flip(array).copy()),
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder("S")),
    "unaligned": lambda array: np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1).reshape(
        array.shape
    ),
    "memory map": mapped,
    "subclass": lambda array: array.view(type("Mine", (np.ndarray,), {})),
}
NUMBERS = [np.int16, np.uint8, np.uint64, bool, np.float16, np.longdouble]


def as_kind(array, kind):
    """The array as a list, or in another dtype."""
    return array.tolist() if kind is list else array.astype(kind)


def compute(X, Y, weight, params, backend):
    """The bits of what all functions make of these arrays, which none of them writes."""
    before = all_bits(X, Y, weight, params)
    options = {"sample_weight": weight, "backend": backend}
    found = predict(NETWORK, params, X, backend=backend)
    loss, gradient = loss_and_gradient(NETWORK, params, X, Y, **options)
    stop = Stop(validation=(X, Y, weight))
    options |= {"seed": 0, "epochs": 3, "batch_size": 5, "stop": stop}
    result = train(NETWORK, X, Y, params=params, **options)
    assert all_bits(X, Y, weight, params) == before
    outputs = result.predict(X)
    return all_bits(found, loss, gradient, result.state.vectors, outputs), history_bits(result)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_as_good(layout, backend, dtype):
    arrays = [array.astype(dtype) for array in (X, Y, WEIGHT, PARAMS)]
    assert compute(*map(LAYOUTS[layout], arrays), backend) == compute(*arrays, backend)


@pytest.mark.parametrize("kind", [*NUMBERS, list], ids=lambda kind: kind.__name__)
def test_any_real_number_is_as_good(kind, backend):
    arrays = [np.round(3 * abs(array)) for array in (X, Y, WEIGHT, PARAMS)]
    given = [as_kind(array, kind) for array in arrays]
    floats = [np.asarray(array, float) for array in given]
    assert compute(*given, backend) == compute(*floats, backend)


@pytest.mark.parametrize("kind", [*NUMBERS, np.float64, np.float32], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "said", [np.float32, "float64", np.dtype("float32")], ids=["float32", "float64", "a dtype"]
)
def test_dtype_says_what_is_computed_in(kind, said, backend):
    arrays = [np.round(3 * abs(array)).astype(kind) for array in (X, Y, WEIGHT)]

    def go(x, y, weight, dtype=None):
        stop = Stop(validation=(x[:5], y[:5], weight[:5]))
        options = {"optimizer": SGD(), "seed": 0, "epochs": 3, "batch_size": 5, "dtype": dtype}
        return train(NETWORK, x, y, sample_weight=weight, stop=stop, backend=backend, **options)

    result = go(*arrays, dtype=said)
    expected = go(*(array.astype(said) for array in arrays))
    assert result.params.dtype == said
    assert_same_params(result, expected)
    assert history_bits(result) == history_bits(expected)


def test_a_memory_map_of_bytes_becomes_float32_and_nothing_else(tmp_path):
    """Less than one number of 8 bytes for each byte of X: no float64 copy is made on the way."""
    many = np.random.RandomState(0).randint(0, 256, (20_000, 50)).astype(np.uint8)
    np.save(tmp_path / "X.npy", many)
    Y = many[:, 0] > 99
    network = Network((50, 2, 1))
    # whatever is imported or compiled once
    train(network, many[:9], Y[:9], epochs=1, dtype="float32")
    for dtype, least in (("float32", 4), ("float64", 8)):
        tracemalloc.start()
        train(
            network,
            np.load(tmp_path / "X.npy", mmap_mode="r"),
            Y,
            epochs=1,
            batch_size=100,
            dtype=dtype,
        )
        size = tracemalloc.get_traced_memory()[1] / many.size
        tracemalloc.stop()
        assert least < size < least + 2, dtype


def test_flags_of_numpy_are_as_good(backend):
    def go(true, false):
        options = {"shuffle": false, "assume_finite": true, "stop": Stop(restore_best=true)}
        return train(NETWORK, X, Y, seed=0, epochs=2, batch_size=5, backend=backend, **options)

    assert_same_params(go(np.True_, np.False_), go(True, False))


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
def test_one_output_may_be_a_vector(shape, backend):
    def go(Y):
        return all_bits(*loss_and_gradient(Network((3, 1)), np.ones(4), X, Y, backend=backend))

    assert go(Y[:, 0].reshape(shape)) == go(Y[:, :1])


@pytest.mark.parametrize("kind", [np.int64, np.uint8, bool, list, np.float64, np.float16])
def test_labels_are_as_good_as_their_one_hot_rows(kind, backend):
    labels = np.arange(N) % 2
    options = {"optimizer": SGD(), "epochs": 1, "seed": 0, "backend": backend}
    of_labels = train(labels_network(), X, as_kind(labels, kind), **options)
    assert_same_params(of_labels, train(labels_network(), X, np.eye(2)[labels], **options))


def test_plain_arrays_are_not_copied():
    recorder = Recorder()
    train(NETWORK, X, Y, sample_weight=WEIGHT, epochs=1, backend=recorder)
    for given, got in zip((X, Y, WEIGHT), recorder.data, strict=True):
        assert np.shares_memory(given, got)
        assert (given.flags.writeable, got.flags.writeable) == (True, False)


PARTS = NETWORK.weights(PARAMS), NETWORK.biases(PARAMS)
CLASSES = np.arange(N) % 2
ONES = np.ones((N, 2))
SINGLE = {"X": X.astype(np.float32), "params": PARAMS.astype(np.float32)}
LABELS = {"network": labels_network()}
SIGMOID = {"network": labels_network("log_loss", "sigmoid")}
FLOAT32 = {"dtype": "float32"}
POISSON = {"network": labels_network("poisson", "exp")}
SOFTPLUS = {"network": Network((3, 1), output="softplus")}
BEYOND = {"network": Network((3, 1), output="sigmoid"), "Y": CLASSES + 1}
TOO_LARGE = "Y[1, 1] is inf"  # but not in `loss_and_gradient`, which has the dtype of params
OF_VALUES = [
    ({"X": X[:, :2]}, "X has 2 columns, the network has 3 inputs"),
    ({"Y": X}, "Y has 3 columns, the network has 2 outputs"),
    ({"Y": Y[:7]}, "X has 12 rows, Y has 7"),
    ({"X": X[0]}, "not 1 (shape (3,)): X[None] is one row"),
    ({"X": X.ravel()}, "X must have 2 dimensions, not 1 (shape (36,)): here it is (n, 3)"),
    ({"network": Network((1, 2)), "X": X[:, 0]}, "X[:, None] is one column"),
    ({"network": Network((1, 2))}, "X has 3 columns, the network has 1 input"),
    ({"X": X[None]}, "X must have 2 dimensions, not 3 (shape (1, 12, 3))"),
    ({"X": 3.0}, "X must have 2 dimensions, not 0"),
    ({"Y": Y[:, 0]}, "Y must have 2 dimensions, not 1"),
    ({"sample_weight": WEIGHT[:5]}, "sample_weight has 5 numbers, X has 12 rows"),
    ({"sample_weight": WEIGHT[:, None]}, "sample_weight must have 1 dimension, not 2"),
    ({"params": PARAMS[:-1]}, "params has 25 numbers, the network has 26 parameters"),
    ({"X": [[1.0, 2.0, 3.0], [4.0]], "Y": Y[:2]}, "X is not a table of numbers"),
    ({"X": X[:0], "Y": Y[:0]}, "X has no rows"),
    ({"X": with_value(X, (0, 2), -np.inf)}, "X must be finite; X[0, 2] is -inf"),
    ({"X": with_value(X, (7, 1), np.nan)}, "X must be finite; X[7, 1] is nan"),
    ({"X": with_value(X, ([9, 4], [0, 1]), np.nan)}, "X[4, 1] is nan"),
    ({"X": with_value(X, [3, 5], [[np.inf], [-np.inf]])}, "X[3, 0] is inf"),
    ({"Y": with_value(Y, (11, 0), np.nan)}, "Y must be finite; Y[11, 0] is nan"),
    (
        {"sample_weight": with_value(WEIGHT, 3, np.nan)},
        "sample_weight must be finite; sample_weight[3] is nan",
    ),
    (
        {"sample_weight": with_value(WEIGHT, 3, np.nan), "assume_finite": True},
        "sample_weight[3] is nan",
    ),
    ({"params": with_value(PARAMS, 2, np.nan)}, "params must be finite; params[2] is nan"),
    ({"X": X.astype(np.float32), "Y": with_value(Y, (1, 1), 1e39)}, TOO_LARGE),
    ({"sample_weight": with_value(WEIGHT, 4, -1)}, "sample_weight[4] is -1"),
    (
        {"sample_weight": with_value(WEIGHT, 4, 1e-310)},
        "sample_weight must be 0 or at least 2.22507e-308",
    ),
    (
        SINGLE | {"sample_weight": np.full(N, 1e-40)},
        "1.17549e-38, the smallest number that float32 holds with",
    ),
    (
        SINGLE | {"sample_weight": with_value(WEIGHT, 4, 1e-60)},
        "sample_weight[4] is 1e-60: multiply all weights",
    ),
    ({"sample_weight": np.zeros(N)}, "must not be 0 for all rows"),
    (
        LABELS | {"Y": with_value(CLASSES, 5, 2)},
        "labels must be from 0 to 1, the network has 2 outputs; Y[5] is 2",
    ),
    (LABELS | {"Y": with_value(CLASSES, 6, -1)}, "Y[6] is -1"),
    (
        LABELS | {"Y": np.full(N, 0.5)},
        "Y must be integer labels (12,) or rows of probabilities (12, 2) for this loss,",
    ),
    (
        LABELS | {"Y": with_value(np.ones(N), 3, 0.5)},
        "loss, cross_entropy; Y has dtype float64, and Y[3] is 0.5",
    ),
    (LABELS | {"Y": with_value(np.ones(N), 3, np.nan)}, "Y[3] is nan"),
    (
        LABELS | {"Y": with_value(np.ones(N), 3, np.inf)},
        "must be from 0 to 1, the network has 2 outputs; Y[3] is inf",
    ),
    (
        LABELS | {"Y": CLASSES[:, None]},
        "Y has 1 column, the network has 2 outputs: integer labels go in as Y.ravel()",
    ),
    (
        SIGMOID | {"Y": CLASSES},
        "labels go with output='softmax', loss='cross_entropy', or as one-hot rows (12, 2)",
    ),
    (LABELS | {"Y": np.arange(5) % 2}, "Y has 5 labels"),
    (
        LABELS | {"Y": ONES},
        "rows of probabilities that sum to 1, or integer labels; row 0 of Y sums to 2",
    ),
    (
        SIGMOID | {"Y": with_value(ONES, (3, 1), 1.5)},
        "loss 'log_loss' takes numbers from 0 to 1; Y[3, 1] is 1.5",
    ),
    (
        POISSON | {"Y": with_value(ONES, (3, 1), -1)},
        "'poisson' takes numbers that are not negative; Y[3, 1] is -1",
    ),
    (BEYOND, "output 'sigmoid' gives numbers that are at least 0 and at most 1; Y[1, 0] is 2"),
    (
        BEYOND,
        (
            "labels go in as 0 and 1; for other numbers scale Y, or take another output, such as "
            "'identity'"
        ),
    ),
    (
        SOFTPLUS | {"Y": with_value(np.ones(N), 4, -2)},
        "0; Y[4, 0] is -2.0: scale Y, or take another output, such",
    ),
    ({"dtype": "float16"}, "'float32' or 'float64', not 'float16'"),
    ({"dtype": X}, "dtype must be 'float32' or 'float64', not ndarray of shape"),
    (
        FLOAT32 | {"X": with_value(X, [2, 3], [[-1e39], [np.nan]])},
        "X[2, 0] is -inf in float32, which cannot hold -1",
    ),
    ({"sample_weight": np.full(N, 1e308)}, "the sum of sample_weight is infinite in float64: div"),
    ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
    ({"epochs": -1}, "epochs must be at least 0"),
    ({"alpha": -0.1}, "alpha must be at least 0, not -0.1"),
    ({"alpha": math.nan}, "alpha must be finite, not nan"),
    (
        {"optimizer": SGD(lambda step: 1 - step), "epochs": 5},
        "learning_rate(2) must be at least 0, not -1",
    ),
    (
        {"optimizer": SGD(lambda step: 0.1 if step < 5 else math.nan), "epochs": 9},
        "learning_rate(5) must be",
    ),
    ({"optimizer": RPROP(), "batch_size": 4}, "RPROP takes full batches only"),
    ({"threads": 0}, "threads must be at least 1, not 0"),
    ({"seed": -1}, "seed must be from 0"),
    ({"seed": 2**32}, "seed must be from 0"),
    ({"seed": np.random.RandomState(np.random.PCG64(1))}, "not with PCG64"),
    (
        {"params": [*PARTS[0], *PARTS[1]]},
        "params must be one vector of 26 numbers, not a list of arrays:",
    ),
    ({"params": PARTS}, "not a tuple of arrays: network.pack(weights, biases) makes one"),
    ({"rows": 3}, "rows must have 1 dimension, not 0 (shape ()): the numbers of rows"),
    ({"rows": []}, "rows is empty: give the numbers of rows, or leave it out"),
    ({"rows": [0, 11, 12]}, "rows[2] is 12, the rows of X are 0 to 11"),
    ({"rows": np.array([2**63], np.uint64)}, "rows[0] is 9223372036854775808, the"),
    (
        {"rows": [3, -1]},
        "rows[1] is -1, the rows of X are 0 to 11; negative numbers do not count from the end",
    ),
    ({"validation_rows": [12]}, "validation_rows[0] is 12, the"),
    (
        {"rows": [4, 5, 5, 7], "validation_rows": [7, 5, 1]},
        "row 5 is in rows and in validation_rows, as are 2 in all",
    ),
    ({"validation_rows": range(12)}, "validation_rows are all 12 rows of X: none is left to"),
    (
        {"validation_rows": [1], "stop": Stop(validation=0.1)},
        "Stop(validation=...) are both given: leave one of them",
    ),
    (
        {"rows": [0, 2], "sample_weight": CLASSES},
        "sample_weight is 0 for all rows that are left to train on",
    ),
    ({"rows": [0, 2], "sample_weight": [1, 1]}, "has 2 numbers, X has 12 rows"),
    ({"stop": Stop(validation=0.99), "X": X[:2], "Y": Y[:2]}, "none to train on"),
    ({"stop": Stop(validation=(X[:, :2], Y))}, "validation: X has 2 columns"),
    ({"stop": Stop(validation=(X, Y * math.nan))}, "validation: Y must be finite"),
]
OBJECTS = X.astype(object)
OF_TYPES = [
    (
        {"X": OBJECTS},
        "numbers, not objects (dtype object); all of them are numbers: use X.astype(float)",
    ),
    ({"X": (X > 0).astype(object)}, "all of them are numbers: use X.astype(float)"),
    (
        {"X": with_value(OBJECTS, (4, 2), "?")},
        "not objects (dtype object); X[4, 2] is '?': encode it as numbers",
    ),
    (
        {"Y": np.full(12, "b", object)},
        "Y[0] is 'b'; labels go in as integers: np.unique(Y, return_inverse=True)",
    ),
    ({"X": np.full((12, 3), "b")}, "not text (dtype <U1): encode it as numbers"),
    ({"X": None}, "X must be an array of numbers, not None"),
    ({"X": (row for row in X)}, "not an iterable (generator): collect what it yields, such"),
    ({"X": {0: X}.values()}, "not an iterable (dict_values): collect"),
    ({"Y": Y + 0j}, "Y must hold real numbers, not complex numbers (dtype complex128)"),
    ({"X": X.astype(str)}, "X must hold real numbers, not text"),
    ({"X": X.astype("M8[s]")}, "X must hold real numbers"),
    ({"params": PARAMS + 0j}, "params must hold real numbers"),
    (
        LABELS | {"Y": ["yes", "no"] * 6},
        "not text (dtype <U3); labels go in as integers: np.unique(Y, return_inverse=",
    ),
    ({"threads": True}, "threads must be an integer, not True"),
    ({"threads": "all"}, "threads must be an integer, not 'all'"),
    ({"batch_size": 2.5}, "batch_size must be an integer, not 2.5"),
    ({"optimizer": SGD(lambda step: "x")}, "learning_rate(0) must be a number"),
    ({"optimizer": 0}, "optimizer must be a fastnn Optimizer, not 0"),
    ({"optimizer": "adam"}, "optimizer must be a fastnn Optimizer, not 'adam': say Adam()"),
    ({"optimizer": AdamW}, "AdamW'>: say AdamW()"),
    ({"optimizer": "lion"}, f"not 'lion': one of {', '.join(f'{name}()' for name in OPTIMIZERS)}"),
    ({"stop": 3}, "stop must be a fastnn Stop, not 3"),
    (
        {"network": (3, 4, 2)},
        "network must be a fastnn Network, not (3, 4, 2): say Network((3, 4, 2))",
    ),
    ({"network": RESULT}, "say result.network, or result.resume(X, Y, epochs=...) to go on"),
    ({"params": RESULT}, "say result.params"),
    ({"resume": RESULT, "seed": None}, "pass its .state"),
    (
        {"resume": "x.npz", "seed": None},
        "state of a training result, not str; say resume=fastnn.load('x.npz').state",
    ),
    ({"epochs": 1.0}, "epochs must be an integer"),
    ({"shuffle": "no"}, "shuffle must be True or False"),
    ({"assume_finite": 1}, "assume_finite must be True or False"),
    ({"new_rows": 1}, "new_rows must be True or False, not 1"),
    ({"alpha": None}, "alpha must be a number"),
    ({"verbose": "yes"}, "verbose must be an integer, not 'yes'"),
    ({"seed": True}, "seed must be None, an integer"),
    ({"seed": np.random.default_rng(0)}, "not Generator"),
    ({"callbacks": print}, "put this one into a list"),
    ({"callbacks": [print, 3]}, "3 cannot"),
    ({"callbacks": np.zeros(3)}, "np.float64(0.0) cannot"),
    ({"callbacks": None}, "callbacks must be a list of functions, not None"),
    ({"progress": 2}, "progress must be True or False, not 2"),
    (
        {"callbacks": [lambda: None]},
        "callbacks must be functions of one argument, the progress; <function",
    ),
    ({"callbacks": [lambda epoch, loss: None]}, "missing a required argument: 'loss'"),
    (
        {"network": X, "X": Y, "Y": NETWORK},
        "a fastnn Network, not ndarray of shape (12, 3): the network comes first",
    ),
    (
        {"rows": X[:, 0] > 0},
        "rows must hold integers, the numbers of rows, not bool: say rows=np.flatnonzero(mask)",
    ),
    ({"rows": [0.5, 1]}, "rows must hold integers, the numbers of rows, not float64"),
    ({"rows": ["a"]}, "rows must hold real numbers, not text"),
    ({"rows": slice(3)}, "rows must be an array of numbers, not slice(None, 3, None)"),
]
BIG = Network((10**6, 10**6, 1))
EXHAUSTING = {
    "network": BIG,
    "optimizer": Adam(),
    "X": np.broadcast_to(0.0, (1, 10**6)),
    "Y": np.ones((1, 1)),
}
REFUSED = [(changed, ValueError, text) for changed, text in OF_VALUES]
REFUSED += [(changed, TypeError, text) for changed, text in OF_TYPES]
REFUSED += [(EXHAUSTING, MemoryError, "has 1,000,002,000,001 parameters; with")]
"""The arguments that differ from good ones, the exception, and a part of its text."""
OF_PREDICT = {"X", "params", "threads"}
OF_LOSS = {"X", "Y", "params", "sample_weight", "alpha", "assume_finite"}


@pytest.mark.parametrize(
    ("function", "changed", "kind", "text"),
    [(train, *case) for case in REFUSED]
    + [(predict, *case) for case in REFUSED if case[0].keys() <= OF_PREDICT and len(case[0]) == 1]
    + [
        (loss_and_gradient, *case)
        for case in REFUSED
        if case[0].keys() <= OF_LOSS | OF_PREDICT and case[-1] != TOO_LARGE
    ],
)
def test_bad_arguments_are_refused(function, changed, kind, text):
    assert_refused((changed, kind, text), function)


@pytest.mark.parametrize("output", ACTIVATIONS)
def test_each_output_takes_what_it_gives_but_for_rounding(output, backend):
    """Targets at its bounds, as scaling leaves them; not those beyond, also where they are
    validated on."""
    line = ACTIVATIONS[output]
    low, high = np.clip([line.low, line.high], -1e6, 1e6)
    network = Network((1, 2), output=output, loss="squared_error")
    X = [[0.0], [1.0]]
    options = {"epochs": 1, "seed": 0, "backend": backend}
    right = np.array([[low, high], [low - 1e-6, high + 1e-6]])
    train(network, X, right, **options)
    for bound, column, beyond in ((line.low, 0, low - 0.1), (line.high, 1, high + 0.1)):
        if np.isfinite(bound):
            wrong = with_value(right, (0, column), beyond)
            with pytest.raises(ValueError, match=f"^output '{output}' gives numbers that are at "):
                train(network, X, wrong, **options)
            with pytest.raises(ValueError, match=f"^validation: output '{output}' gives"):
                train(network, X, right, stop=Stop(validation=(X, wrong)), **options)


def test_nothing_is_allocated_before_memory_is_refused(monkeypatch):
    monkeypatch.setattr(
        "fastnn.training.initial.aligned_zeros", lambda *given: pytest.fail("allocated")
    )
    with pytest.raises(pytest.fail.Exception, match="allocated"):
        train(NETWORK, X, Y, epochs=1)
    with pytest.raises(MemoryError, match="has 1,000,002,000,001 parameters; with"):
        train(**EXHAUSTING, epochs=1)


@pytest.mark.skipif(
    np.finfo(np.longdouble).max == np.finfo(np.float64).max, reason="it holds no more than float64"
)
def test_a_number_beyond_float64_is_named():
    """It is written in its own dtype: as a float of Python it would be inf, "which cannot hold
    inf"."""
    huge = with_value(X.astype(np.longdouble), (0, 0), np.longdouble("1e400"))
    with pytest.raises(
        ValueError, match=r"X\[0, 0\] is inf in float64, which cannot hold 1e\+400$"
    ):
        train(NETWORK, huge, Y, epochs=1)


@pytest.mark.parametrize(
    "wrong", [{"callbacks": [3]}, {"callbacks": 3}, {"verbose": -1}, {"verbose": "no"}], ids=str
)
def test_what_is_refused_draws_nothing_from_the_generator_of_the_caller(wrong):
    generator = np.random.RandomState(0)
    refusal(train, NETWORK, X, Y, epochs=1, seed=generator, **wrong)
    assert generator.rand() == np.random.RandomState(0).rand()


@pytest.mark.parametrize("stop", [Stop(validation=0.99), Stop(restore_best=True)])
def test_activations_that_do_not_fit_are_refused_before_anything_is_allocated(
    monkeypatch, backend, stop
):
    """The parameters would fit. NumPy needs memory for each row that it looks at, the kernel for
    those of a block."""
    monkeypatch.setattr(inputs, "memory", lambda: 10_000_000)

    def calls(width, n, **options):
        network = Network((1, width, 1))
        X = np.ones((n, 1))
        params = np.zeros(3 * width + 1)
        return [
            lambda: train(network, X, X, optimizer=SGD(), epochs=1, **options, backend=backend),
            lambda: predict(network, params, X, backend=backend),
            lambda: loss_and_gradient(network, params, X, X, backend=backend),
        ]

    for call in calls(2000, 300, batch_size=None):
        n_rows = {"numba": "256", "numpy": "300"}[backend]
        with pytest.raises(MemoryError, match=f"{n_rows} rows at a time it takes"):
            call()
    by_row, *_ = calls(2000, 300, batch_size=1)
    by_row()
    for call in calls(500, 2000, batch_size=None) + calls(500, 2000, batch_size=1, stop=stop):
        if backend == "numba":
            call()
        else:
            with pytest.raises(MemoryError, match=r"(2,000|1,980) rows at a time it takes"):
                call()


def test_numpy_is_refused_what_it_would_hold(monkeypatch):
    network = Network((20, 200, 50, 5), "tanh")
    X = np.ones((10_000, 20))
    params = np.zeros(network.n_params)
    tracemalloc.start()
    predict(network, params, X, backend="numpy")
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    monkeypatch.setattr(inputs, "memory", lambda: 0)
    with pytest.raises(MemoryError) as error:
        predict(network, params, X, backend="numpy")
    asked = int(re.search(r"it takes ([0-9,]+) bytes", str(error.value))[1].replace(",", ""))
    assert 0.9 * held < asked < 1.1 * held
