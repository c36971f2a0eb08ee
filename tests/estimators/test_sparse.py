"""Sparse matrices and memory maps: what a back end gets of them, one row or many; wrong indices are
refused."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from bits import assert_same_bits
from numpy.random import RandomState
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from small_estimators import SMALL, X_IRIS, Y_IRIS
from small_training import Recorder

import fastnn.sparse
from fastnn import MLPClassifier, MLPRegressor

DIGITS, DIGIT = (
    part[:300] / most for part, most in zip(load_digits(return_X_y=True), (16, 1), strict=True)
)
TWO = np.c_[Y_IRIS, -Y_IRIS].astype(float)
FOUR = {"batch_size": 50, "max_iter": 4}
STOPPING = {"early_stopping": True, "batch_size": 30}
CASES = {  # a kind, rows, targets, parameters, whether every third row is validated on
    **{
        s: (MLPClassifier, DIGITS, DIGIT, {"solver": s, **FOUR}, False)
        for s in ("adam", "sgd", "lbfgs")
    },
    "several outputs, early stopping": (MLPRegressor, X_IRIS, TWO, STOPPING, False),
    "validation rows": (MLPRegressor, X_IRIS, TWO[:, 0], {}, True),
    "validation rows, several outputs": (MLPRegressor, X_IRIS, TWO, {}, True),
}


@pytest.fixture(params=["as the rule says", "in CSR form"])
def layout(request, monkeypatch):
    """Have rows laid out as usual, or all of them in CSR form."""
    if request.param == "in CSR form":
        monkeypatch.setattr(fastnn.sparse, "MOST_SHARE", 1.0)
        monkeypatch.setattr(fastnn.sparse, "FEWEST_COLUMNS", 1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "container", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, scipy.sparse.csr_array]
)
def test_sparse_rows_give_the_bits_of_dense_ones(layout, case, container):
    kind, X, y, parameters, validated = CASES[case]

    def fitted(rows):
        given = {"X_val": rows[::3], "y_val": y[::3]} if validated else {}
        return kind(**SMALL | parameters).fit(rows, y, **given)

    sparse = fitted(container(X))
    dense = fitted(X)
    for mine, its in zip(
        sparse.coefs_ + sparse.intercepts_, dense.coefs_ + dense.intercepts_, strict=True
    ):
        assert_same_bits(mine, its)
    outputs = [
        mlp.predict_proba if kind is MLPClassifier else mlp.predict for mlp in (sparse, dense)
    ]
    assert_same_bits(outputs[0](container(X)), outputs[1](X))
    assert len(getattr(sparse, "validation_loss_curve_", [])) == validated * SMALL["max_iter"]
    for curve in ("loss_", "loss_curve_", "validation_loss_curve_"):
        assert getattr(sparse, curve, []) == getattr(dense, curve, [])


def test_a_memory_map_is_not_copied(tmp_path):
    np.save(tmp_path / "X.npy", X_IRIS)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    recorder = Recorder()
    MLPClassifier(**SMALL, backend=recorder).fit(X, Y_IRIS)
    assert np.shares_memory(recorder.data.X, X)


X = RandomState(0).standard_normal((30, 4))
Y = X[:, 0]
LABELS = (Y > 0).astype(int)
ROWS_THAT_DECREASE = [0, 0, 0, 2, *[0] * 27]  # in a matrix whose last number says that it is empty
# of a width that does not divide that of the matrix: scipy's own check passes them
NARROW = np.ones((30, 2, 3))
SPOILED = [  # format, attribute, place in it (or the whole of it), value, words of the message
    ("csr", "indices", 17, 4, "indices must be < 4"),
    ("csr", "indices", 17, -1, "indices must be >= 0"),
    ("csr", "indptr", slice(None), ROWS_THAT_DECREASE, "indptr must be a non-decreasing sequence"),
    ("csr", "indptr", 0, 1, "index pointer should start with 0"),
    ("csr", "indices", None, np.zeros(X.size), "indices must be integers, not float64"),
    ("csc", "indices", 17, 30, "indices must be < 30"),
    ("bsr", "indices", 7, 4, "column index|indices must be <"),
    ("bsr", "data", None, NARROW, "blocks of .* do not fill the shape"),
    ("coo", "col", 17, 4, "axis 1 index 4 exceeds|column index exceeds"),
    ("coo", "row", 17, -1, "negative axis 0|negative row"),
    ("lil", "rows", 5, [0, 4, 2, 3], "indices must be < 4"),
    ("lil", "rows", 5, [0, 10**30, 2, 3], "too large to convert|too big to convert"),
    ("lil", "rows", 5, [0, 0.5, 2, 3], "numbers of rows and columns must be int"),
    ("lil", "rows", 29, [0, 1], "rows and data differ in length"),
    (
        "dia",
        "offsets",
        None,
        np.arange(32),
        r"number of diagonals \(33\) does not match the number of offsets \(32\)",
    ),
    ("dia", "offsets", None, np.arange(33) + 0.5, "offsets must be integers, not float64"),
    ("dok", "_dict", (0.5, 1), 2.0, "numbers of rows and columns must be int"),
    ("dok", "_dict", (40, 1), 2.0, "axis 0 index 40 exceeds|row index exceeds"),
]
TOO_LARGE, TOO_SMALL, OF_COLUMNS, OF_PLACES = (SPOILED[i] for i in (0, 1, 5, 8))


def matrix(spoiled, kind="matrix", rows=X):
    form, part, place, value, words = spoiled
    made = getattr(scipy.sparse, f"{form}_{kind}")(rows)
    assert made.nnz == rows.size
    if place is None:
        setattr(made, part, value)
    else:
        getattr(made, part)[place] = value
    return made, rf"is a damaged sparse {kind} \({form}\): .*({words})"


@pytest.fixture(scope="module")
def fitted():
    return [MLPRegressor(**SMALL).fit(X, Y), MLPClassifier(**SMALL).fit(X, LABELS)]


DOORS = {
    "fit": lambda mlp, bad: mlp.fit(bad, LABELS),
    "partial_fit": lambda mlp, bad: mlp.partial_fit(bad, LABELS),
    "predict_proba": lambda mlp, bad: mlp.predict_proba(bad),
    "decision_function": lambda mlp, bad: mlp.set_params(
        expose_decision_function=True
    ).decision_function(bad),
    "X_val": lambda mlp, bad: mlp.fit(X, LABELS, X_val=bad, y_val=LABELS),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_wrong_indices(fitted, door):
    for spoiled in TOO_LARGE, TOO_SMALL, OF_PLACES:
        bad, words = matrix(spoiled)
        with pytest.raises(ValueError, match="X " + words):
            DOORS[door](fitted[1], bad)


@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("spoiled", SPOILED, ids=[f"{i} {row[0]}" for i, row in enumerate(SPOILED)])
def test_every_format_with_wrong_indices_is_refused(fitted, spoiled, kind):
    bad, words = matrix(spoiled, kind)
    with pytest.raises(ValueError, match=f"^X {words}"):
        fitted[0].predict(bad)


@pytest.mark.parametrize("spoiled", [TOO_LARGE, OF_PLACES, OF_COLUMNS], ids=["csr", "coo", "csc"])
def test_targets_with_wrong_indices_are_refused(spoiled):
    targets = (np.abs(X) > 0.5).astype(int)
    mlp = MLPClassifier(**SMALL, class_weight=[{0: 1, 1: 2}] * 4).fit(
        X, scipy.sparse.csr_matrix(targets)
    )
    bad, words = matrix(spoiled, rows=targets + 1)
    for fit in mlp.fit, mlp.partial_fit, MLPClassifier(**SMALL).fit:
        with pytest.raises(ValueError, match="y " + words):
            fit(X, bad)
    with pytest.raises(ValueError, match="the y of validation data " + words):
        mlp.fit(X, targets, validation_data=(X, bad))


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
def test_right_ones_give_the_same_bits_and_stay_as_they_are(fitted, form):
    rows = np.where(np.abs(X) > 0.5, X, 0)
    sparse = getattr(scipy.sparse, f"{form}_matrix")(rows)
    before = pickle.dumps(sparse)
    for mlp in fitted:
        assert np.array_equal(mlp.predict(sparse), mlp.predict(rows))
    assert pickle.dumps(sparse) == before


_R = RandomState(0)
ROWS = _R.standard_normal((60, 10))
Z = np.tanh(ROWS @ _R.standard_normal((10, 3))) + 0.3 * _R.standard_normal((60, 3))
FEW = {"max_iter": 5, "random_state": 0}
ACTIVATIONS = ("relu", "tanh", "logistic", "identity", ("selu", "gelu"))
TARGETS = {
    "binary": Z[:, 0] > 0,
    "multiclass": Z.argmax(axis=1),
    "multilabel": Z > 0,
    "number": Z[:, 0],
    "numbers": Z,
}


def assert_rows_alike(predict, X):
    """Assert that each of some rows gets the same bits alone, dense or sparse, as among the
    others."""
    X = X[:13]
    expected = predict(X)
    for rows in (X, scipy.sparse.csr_matrix(X)):
        alone = np.concatenate([predict(rows[i : i + 1]) for i in range(X.shape[0])])
        assert_array_equal(alone, expected, strict=True)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("target", TARGETS)
def test_one_row_has_the_bits_of_many_rows(target, activation, dtype):
    own = ROWS.astype(dtype)
    y = TARGETS[target]
    options = {"hidden_layer_sizes": (16, 5), "activation": activation, **FEW}
    if target in ("number", "numbers"):
        assert_rows_alike(MLPRegressor(**options).fit(own, y).predict, own)
    else:
        mlp = MLPClassifier(**options, expose_decision_function=True).fit(own, y)
        assert_rows_alike(mlp.predict_proba, own)
        assert_rows_alike(mlp.decision_function, own)


def test_one_row_of_another_dtype_has_the_bits_of_many_rows(dtype):
    mlp = MLPRegressor(hidden_layer_sizes=(16,), loss="poisson", **FEW).fit(
        ROWS.astype(dtype), Z[:, 0] ** 2
    )
    assert_rows_alike(mlp.predict, ROWS.astype(np.float32 if dtype is np.float64 else np.float64))
