"""The function of one row of numbers: the bits of predict, from Python, from Numba's compiled code and from C."""

import ctypes

import numba
import numpy as np
import pytest
from bits import bits
from small_tables import SHORT, mixed

from fastnn import Network, TablePreparation, TabularClassifier, TabularRegressor, predict
from fastnn.compiler.loader import IN_PYTHON
from fastnn.tabular.export import TableModel
from fastnn.tabular.left_out import Unsmoothing

compiled = pytest.mark.skipif(IN_PYTHON, reason="no machine code")


def drawn(n_columns, gaps, n=60, seed=0):
    """A table of numbers, one column of them constant, and targets."""
    rs = np.random.RandomState(seed)
    X = rs.normal(scale=10.0 ** rs.randint(-3, 4, n_columns), size=(n, n_columns))
    X[:, n_columns // 2] = X[:, 0] if n_columns == 1 else 1.0
    y = X[:, 0] / X[:, 0].std() + rs.rand(n)
    X[rs.rand(*X.shape) < gaps] = np.nan
    return X, y


def rows(X, seed=1):
    """Rows with other gaps, in columns too that had none, and with numbers that are far off."""
    rs = np.random.RandomState(seed)
    X = np.concatenate([X, rs.choice([1e-300, -1e149, 0.0, -0.0, 3.0], X.shape)])
    X[rs.rand(*X.shape) < 0.2] = np.nan
    return X


SIZES = pytest.mark.parametrize(("n_columns", "gaps"), [(1, 0), (3, 0), (8, 0.2), (9, 0.02), (21, 0.3)])


def untrained(X, n_members=3, seed=0):
    """Ensembles as they are exported: of one target, of two, of two classes and of three."""
    preparation, rs = TablePreparation().fit(X), np.random.RandomState(seed)
    n_inputs = preparation.transform(X[:1]).shape[1]
    for n_outputs, output in ((1, "identity"), (2, "identity"), (2, "softmax"), (3, "softmax")):
        network = Network((n_inputs, 7, 7, n_outputs), "gelu", output)
        params = rs.normal(scale=0.5, size=(n_members, network.n_params)).astype(np.float32)
        if output == "softmax":
            classes = np.arange(n_outputs)
            yield TableModel(preparation, network, params, Unsmoothing(0.05, 1e-3), classes, None, False)
        else:
            scaling = np.repeat([[3.0], [100.0], [-50.0], [60.0]], n_outputs, axis=1)
            yield TableModel(preparation, network, params, None, None, scaling, n_outputs == 1)


def predicted(model, X):
    """What predict does of such an ensemble."""
    inputs, total = model.preparation.transform(X), 0.0
    for params in model.params:
        total = total + predict(model.network, params, inputs, assume_finite=True).astype(np.float64)
    mean = total / len(model.params)
    if model.unsmoothing is not None:
        return model.unsmoothing.probabilities(mean)
    average, deviation, low, high = model.scaling
    return np.clip(mean * deviation + average, low, high)


@numba.njit
def each_row(f, X, out):
    for i in range(len(X)):
        f(X[i], out[i])


def evaluated(f, X):
    """The outputs for each row."""
    out = np.full((len(X), f.n_outputs), 7.0)
    for x, to in zip(X, out, strict=True):
        f(x, to)
    return out


@pytest.mark.nojit
@SIZES
def test_rows_have_the_bits_of_predict(n_columns, gaps):
    X, _ = drawn(n_columns, gaps)
    new = rows(X)[:: 40 if IN_PYTHON else 1]
    for model in untrained(X):
        f, right = model.function(), predicted(model, new)
        assert (f.n_inputs, f.n_outputs, f.dtype) == (n_columns, right.shape[1], np.float64)
        assert bits(evaluated(f, new)) == bits(right), model.network
        if not IN_PYTHON:
            out = np.zeros_like(right)
            each_row(f, new, out)
            assert bits(out) == bits(right), model.network


def test_estimators_give_it():
    X, y = drawn(8, 0.2)
    new = rows(X)
    regressor = TabularRegressor("fast", **SHORT).fit(X, y)
    assert bits(evaluated(regressor.function(), new)[:, 0]) == bits(regressor.predict(new))
    classifier = TabularClassifier("fast", **SHORT).fit(X, y > 1)
    assert bits(evaluated(classifier.function(), new)) == bits(classifier.predict_proba(new))


@compiled
def test_c_calls_it():
    X, _ = drawn(5, 0.1)
    model = next(untrained(X))
    f, out = model.function(), np.zeros(len(X))
    pointer = ctypes.POINTER(ctypes.c_double)
    for i, x in enumerate(X):
        f.c_function(*(a.ctypes.data_as(pointer) for a in (x, out[i:])), f.c_network)
    assert bits(out) == bits(predicted(model, X)[:, 0])


@pytest.mark.nojit
def test_a_table_of_constants_alone():
    for model in untrained(X := np.ones((4, 2))):
        assert bits(evaluated(model.function(), X)) == bits(predicted(model, X))


@pytest.mark.nojit
@pytest.mark.parametrize("number", [np.inf, -np.inf, 1e151, -1e300])
def test_a_row_that_predict_refuses_gives_nan(number):
    X, _ = drawn(3, 0)
    x = X[:1].copy()
    x[0, 2] = number
    for model in untrained(X):
        with pytest.raises(ValueError, match="say NaN where a number is unknown"):
            predicted(model, x)
        assert np.isnan(evaluated(model.function(), x)).all()


def test_a_table_with_words_is_refused():
    frame, labels, _ = mixed()
    model = TabularClassifier("fast", **SHORT).fit(frame, labels)
    text = "^column 'color' holds words, booleans or categories, .* numbers: export to C, which takes these"
    with pytest.raises(ValueError, match=text):
        model.function()


@compiled
@pytest.mark.parametrize(("n", "n_out"), [(2, 2), (4, 2), (3, 1), (3, 3)])
def test_a_wrong_length_in_compiled_code_gives_nan_and_touches_nothing_else(n, n_out):
    _, model, *_ = untrained(drawn(3, 0)[0])
    f, memory = model.function(), np.zeros(n_out + 8)
    each_row(f, np.ones((1, n)), memory[4 : 4 + n_out].reshape(1, -1))
    assert np.isnan(memory[4 : 4 + n_out]).all()
    assert not memory[:4].any()
    assert not memory[4 + n_out :].any()


@pytest.mark.nojit
def test_it_keeps_its_own_weights():
    model = next(untrained(X := drawn(3, 0)[0][:2]))
    right, f = predicted(model, X), model.function()
    model.params[:] = np.nan
    model.preparation.centers_[:] = np.nan
    assert bits(evaluated(f, X)) == bits(right)


@pytest.mark.nojit
def test_the_stack_is_not_overrun():
    X = np.random.RandomState(0).rand(20, 2)
    preparation, network = TablePreparation().fit(X), Network((2, 9000, 9000, 1), "gelu")
    params = np.broadcast_to(np.float32(0), (1, network.n_params))
    model = TableModel(preparation, network, params, None, None, np.zeros((4, 1)), True)
    with pytest.raises(ValueError, match=r"would take [\d,]+ bytes of the stack, more than 65,536: use predict"):
        model.function()
