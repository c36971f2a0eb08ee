"""A sparse matrix with indices that are not its own is refused, at every door and in every format of scipy's."""

import warnings

import numpy as np
import pytest
import scipy.sparse

from fastnn import MLPClassifier, MLPRegressor

X = np.random.RandomState(0).standard_normal((30, 4))
Y = X[:, 0]
LABELS = (Y > 0).astype(int)
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def compressed(name, place, value):
    def spoil(matrix):
        getattr(matrix, name)[place] = value

    return spoil


def decreasing(matrix):
    """A row that would end before it begins, in a matrix whose last number says that it is empty."""
    matrix.indptr[:] = 0
    matrix.indptr[3] = 2


def coordinate(name, value):
    def spoil(matrix):
        getattr(matrix, name)[17] = value

    return spoil


def of_list(value):
    def spoil(matrix):
        matrix.rows[5][1] = value

    return spoil


def longer_list(matrix):
    matrix.rows[29] = [0, 1]


def fewer_offsets(matrix):
    matrix.offsets = matrix.offsets[:-1]


def float_offsets(matrix):
    matrix.offsets = matrix.offsets + 0.5


def of_dictionary(matrix):
    matrix._dict[(40, 1)] = 2.0


def narrower_blocks(matrix):
    """Of a width that does not divide that of the matrix: scipy's own check passes them."""
    matrix.data = np.ones((len(matrix.data), matrix.blocksize[0], 3))


def fractions(matrix):
    matrix.indices = np.where(np.arange(matrix.indices.size) == 7, np.nan, matrix.indices)


SPOILED = {
    "csr too large": ("csr", compressed("indices", 17, 4), "indices must be < 4"),
    "csr negative": ("csr", compressed("indices", 17, -1), "indices must be >= 0"),
    "csr far below": ("csr", compressed("indices", 17, -5), "indices must be >= 0"),
    "csr rows": ("csr", compressed("indptr", 4, 3), "indptr must be a non-decreasing sequence"),
    "csr empty": ("csr", decreasing, "indptr must be a non-decreasing sequence"),
    "csr first": ("csr", compressed("indptr", 0, 1), "index pointer should start with 0"),
    "csr no integers": ("csr", fractions, "indices must be integers, not float64"),
    "csc too large": ("csc", compressed("indices", 17, 30), "indices must be < 30"),
    "csc negative": ("csc", compressed("indices", 45, -1), "indices must be >= 0"),
    "bsr too large": ("bsr", compressed("indices", 7, 4), "column index|indices must be <"),
    "bsr negative": ("bsr", compressed("indices", 7, -1), "column index|indices must be >= 0"),
    "bsr blocks": ("bsr", narrower_blocks, "blocks of .* do not fill the shape"),
    "coo row": ("coo", coordinate("row", 30), "axis 0 index 30 exceeds|row index exceeds"),
    "coo column": ("coo", coordinate("col", 4), "axis 1 index 4 exceeds|column index exceeds"),
    "coo negative": ("coo", coordinate("row", -1), "negative axis 0|negative row"),
    "lil too large": ("lil", of_list(4), "indices must be < 4"),
    "lil negative": ("lil", of_list(-1), "indices must be >= 0"),
    "lil too large for a number": ("lil", of_list(10**30), "too large to convert|too big to convert"),
    "lil lengths": ("lil", longer_list, "rows and data differ in length"),
    "dia offsets": ("dia", fewer_offsets, r"number of diagonals \(33\) does not match the number of offsets \(32\)"),
    "dia no integers": ("dia", float_offsets, "offsets must be integers, not float64"),
    "dok": ("dok", of_dictionary, "axis 0 index 40 exceeds|row index exceeds"),
}


def matrix(name, kind="matrix", rows=X):
    form, spoil, words = SPOILED[name]
    made = getattr(scipy.sparse, f"{form}_{kind}")(rows)
    assert made.nnz == rows.size
    spoil(made)
    return made, rf"is a damaged sparse {kind} \({form}\): .*({words})"


@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [MLPRegressor(**SMALL).fit(X, Y), MLPClassifier(**SMALL).fit(X, LABELS)]


DOORS = {
    "fit": lambda mlp, bad, y: mlp.fit(bad, y),
    "partial_fit": lambda mlp, bad, y: mlp.partial_fit(bad, y),
    "predict": lambda mlp, bad, y: mlp.predict(bad),
    "predict_proba": lambda mlp, bad, y: mlp.predict_proba(bad),
    "predict_log_proba": lambda mlp, bad, y: mlp.predict_log_proba(bad),
    "decision_function": lambda mlp, bad, y: mlp.set_params(expose_decision_function=True).decision_function(bad),
    "score": lambda mlp, bad, y: mlp.score(bad, y),
    "validation_data": lambda mlp, bad, y: mlp.fit(X, y, validation_data=(bad, y)),
    "X_val": lambda mlp, bad, y: mlp.fit(X, y, X_val=bad, y_val=y),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("i", range(2), ids=["regressor", "classifier"])
def test_every_door_refuses_wrong_indices(fitted, i, door):
    mlp = fitted[i]
    if i == 0 and door.startswith(("predict_", "decision")):
        pytest.skip("there is no such method")
    for name in "csr too large", "csr far below", "coo row":
        bad, words = matrix(name)
        with pytest.raises(ValueError, match="X " + words):
            DOORS[door](mlp, bad, LABELS)


@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("name", SPOILED)
def test_every_format_with_wrong_indices_is_refused(fitted, name, kind):
    bad, words = matrix(name, kind)
    with pytest.raises(ValueError, match=f"^X {words}"):
        fitted[0].predict(bad)


@pytest.mark.parametrize("name", ["csr too large", "coo row", "csc negative"])
def test_targets_with_wrong_indices_are_refused(name):
    targets = (np.abs(X) > 0.5).astype(int)
    mlp = MLPClassifier(**SMALL, class_weight=[{0: 1, 1: 2}] * 4).fit(X, scipy.sparse.csr_matrix(targets))
    bad, words = matrix(name, rows=targets + 1)
    for fit in mlp.fit, mlp.partial_fit, MLPClassifier(**SMALL).fit:
        with pytest.raises(ValueError, match="y " + words):
            fit(X, bad)
    with pytest.raises(ValueError, match="the y of validation data " + words):
        mlp.fit(X, targets, validation_data=(X, bad))


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
def test_right_ones_give_the_same_bits_and_stay_as_they_are(fitted, form):
    rows = np.where(np.abs(X) > 0.5, X, 0)
    sparse = getattr(scipy.sparse, f"{form}_matrix")(rows)
    before = {name: np.array(part) for name, part in vars(sparse).items() if isinstance(part, np.ndarray)}
    for mlp in fitted:
        assert np.array_equal(mlp.predict(sparse), mlp.predict(rows))
    for name, part in before.items():
        assert np.array_equal(part, getattr(sparse, name))
