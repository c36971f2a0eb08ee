"""Tables to learn from are taken and refused as scikit-learn takes and refuses them, plain ones without its help."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn")

import sklearn
import sklearn.neural_network as theirs
from sklearn.utils.validation import validate_data

import fastnn
from fastnn.estimators import tables

X = np.random.RandomState(0).standard_normal((12, 3))
Y = np.arange(12) % 2
PARAMETERS = {"hidden_layer_sizes": (2,), "random_state": 0, "max_iter": 2}
KINDS = ["MLPClassifier", "MLPRegressor"]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def with_number(array, number):
    array = array.astype(float)
    array.flat[4] = number
    return array


@pytest.fixture
def refuse_help(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("scikit-learn was asked")

    monkeypatch.setattr(tables, "validate_data", refuse)


@pytest.mark.usefixtures("refuse_help")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("y_type", [np.int64, bool, np.uint8, np.float32])
def test_plain_arrays_are_taken_as_they_are(kind, dtype, y_type):
    mlp = getattr(fastnn, kind)(**PARAMETERS, warm_start=True)
    mlp.fit(X.astype(dtype), Y.astype(y_type)).fit(X.astype(dtype), Y.astype(y_type))
    assert (mlp.n_features_in_, mlp.coefs_[0].dtype) == (3, dtype)
    mlp.set_params(warm_start=False).fit(X[:, :2].astype(dtype).copy(), Y.astype(y_type))
    assert mlp.n_features_in_ == 2


REFUSED = {
    "NaN": (with_number(X, np.nan), Y),
    "infinity": (with_number(X, np.inf).astype(np.float32), Y),
    "NaN in y": (X, with_number(Y, np.nan)),
    "y too long": (X, np.r_[Y, 0]),
    "no y": (X, None),
    "no rows": (X[:0], Y[:0]),
    "no columns": (X[:, :0], Y),
    "one row as a vector": (X[0], Y[:3]),
    "three dimensions": (X[:, None], Y),
    "complex": (X * 1j, Y),
    "complex y": (X, Y * 1j),
    "text": (X.astype(str).astype(object) + "?", Y),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_scikit_learn_refuses_is_refused_in_its_words(kind, name):
    errors = []
    for module in (fastnn, theirs):
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(module, kind)(**PARAMETERS).fit(*REFUSED[name])
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


TAKEN = {
    "numbers whose squares overflow": (X * 1e200, Y),
    "Fortran's order": (np.asfortranarray(X), Y),
    "every second row": (np.repeat(X, 2, axis=0)[::2], Y),
    "another byte order": (X.astype(">f8"), Y),
    "half precision": (X.astype(np.float16), Y),
    "integers": ((10 * X).astype(int), Y),
    "a subclass": (np.ma.masked_array(X), Y),
    "lists": (X.tolist(), Y.tolist()),
    "objects": (X.astype(object), Y.astype(object)),
    "a column of y": (X, Y[:, None]),
    "not to be written": (np.frombuffer(X.tobytes()).reshape(12, 3), Y),
}


@pytest.mark.parametrize("y_numeric", [False, True])
@pytest.mark.parametrize("name", TAKEN)
def test_what_scikit_learn_takes_is_taken(name, y_numeric):
    mine, other = fastnn.MLPClassifier(), theirs.MLPClassifier()
    found = tables.validated(mine, *TAKEN[name], reset=True, y_numeric=y_numeric)
    options = {"accept_sparse": ["csr", "csc"], "multi_output": True, "y_numeric": y_numeric}
    expected = validate_data(other, *TAKEN[name], dtype=(np.float64, np.float32), **options)
    for array, right in zip(found, expected, strict=True):
        assert (type(array), array.dtype, array.flags.c_contiguous) == (
            type(right),
            right.dtype,
            right.flags.c_contiguous,
        )
        np.testing.assert_array_equal(array, right)
    assert mine.n_features_in_ == other.n_features_in_ == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_goes_on_refuses_other_columns(kind):
    text = "X has 2 features, but MLP.* is expecting 3 features as input"
    for mlp in (getattr(fastnn, kind)(**PARAMETERS, warm_start=True), getattr(fastnn, kind)(**PARAMETERS)):
        mlp.fit(X, Y)
        with pytest.raises(ValueError, match=text):
            (mlp.fit if mlp.warm_start else mlp.partial_fit)(X[:, :2].copy(), Y)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_columns_are_forgotten_where_there_are_none_and_missed_where_a_fit_goes_on(kind):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    mlp = getattr(fastnn, kind)(**PARAMETERS).fit(frame, Y)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but MLP"):
        mlp.partial_fit(X, Y)
    mlp.fit(X, Y)
    assert not hasattr(mlp, "feature_names_in_")


def test_whoever_takes_numbers_for_finite_may():
    with sklearn.config_context(assume_finite=True):
        rows, _ = tables.validated(fastnn.MLPClassifier(), with_number(X, np.nan), Y, reset=True)
    assert np.isnan(rows).sum() == 1
