"""What the estimators say: hints for another library's names, and warnings at the user's line."""

import inspect
import linecache
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import Elu, FitWarning, Huber, LogLoss, MLPClassifier, MLPRegressor

X = np.random.RandomState(0).standard_normal((30, 3))
Y = X[:, 0] > 0


@pytest.mark.parametrize(
    ("kind", "parameters", "hint"),
    [
        (MLPClassifier, {"activation": "sigmoid"}, "logistic"),
        (MLPClassifier, {"activation": "ReLU"}, "relu"),
        (MLPClassifier, {"activation": ("tanh", "sigmoid"), "hidden_layer_sizes": (2, 2)}, "logistic"),
        (MLPClassifier, {"solver": "Adam"}, "adam"),
        (MLPClassifier, {"solver": "l-bfgs"}, "lbfgs"),
        (MLPClassifier, {"loss": "binary_crossentropy"}, "log_loss"),
        (MLPRegressor, {"loss": "mse"}, "squared_error"),
        (MLPRegressor, {"loss": "pinball"}, "quantile"),
        (MLPRegressor, {"loss": "l1_loss"}, "absolute_error"),
        (MLPRegressor, {"learning_rate": "inverse_scaling", "solver": "sgd"}, "invscaling"),
    ],
)
def test_another_librarys_name(kind, parameters, hint):
    with pytest.raises(ValueError, match=rf"\(did you mean '{hint}'\?\)"):
        kind(**parameters).fit(X, Y)


@pytest.mark.parametrize(("kind", "value"), [(MLPRegressor, Huber(0.1)), (MLPClassifier, LogLoss(0.1))], ids=str)
def test_a_loss_with_a_parameter_is_told_where_it_goes(kind, value):
    text = r"loss must be a name here, not \w+\(\w+=0\.\d\): values are for fastnn\.Network and train$"
    with pytest.raises(ValueError, match=text):
        kind(loss=value).fit(X, Y)


@pytest.mark.parametrize(
    ("activation", "text"),
    [
        (Huber(0.1), "unknown activation 'huber'; one of identity, logistic"),
        (["tanh", Huber(0.1)], r"unknown activation\[1\] 'huber'; one of identity, logistic"),
        (["tanh", Elu], r"activation\[1\] must be made of Elu: say Elu\(\)"),
        (Elu, "The 'activation' parameter"),
    ],
    ids=str,
)
def test_an_activation_that_is_none_is_refused(activation, text):
    for kind in (MLPClassifier, MLPRegressor):
        with pytest.raises((ValueError, TypeError), match=text):
            kind(activation=activation).fit(X, Y)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_number_as_learning_rate_is_told_where_it_goes(kind):
    hint = r"Got 0\.01 instead\. \(learning_rate is the schedule; did you mean learning_rate_init=0\.01\?\)$"
    with pytest.raises(ValueError, match=hint):
        kind(learning_rate=0.01).fit(X, Y)
    with pytest.raises(ValueError, match=r"The 'activation' parameter .* \(did you mean 'relu'\?\)$"):
        kind(activation="ReLU", learning_rate=0.01).fit(X, Y)


def test_a_number_gets_no_hint():
    with pytest.raises(ValueError, match="alpha") as caught:
        MLPClassifier(alpha=-1).fit(X, Y)
    assert "did you mean" not in str(caught.value)


def test_a_solver_that_is_no_word():
    with pytest.raises(ValueError, match=r"The 'solver' parameter .* Got array\(\[0., 0.\]\) instead\.$"):
        MLPClassifier(solver=np.zeros(2)).fit(X, Y)


def test_a_table_that_lies_on_its_side():
    """One sample is a table too; one of a single input does not lie."""
    for rows, warns in (np.zeros((1, 5)), True), (np.zeros((1, 1)), False), (np.zeros((5, 1)), False):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            MLPRegressor(max_iter=1).fit(rows, np.zeros(len(rows)))
        found = [str(warning.message) for warning in caught if warning.category is FitWarning]
        assert [text.startswith("X is one row of 5 columns") for text in found] == [True] * warns


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_keyword_that_fit_does_not_have(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__}.fit has no argument 'eval_set': say X_val=..., y_val="):
        kind().fit(X, Y, eval_set=[(X, Y)])


N = 12
FIRST = "the first at X[1, 1], in its column 'b': fill such"
WRONG = [
    (list("MF") * 6, ValueError, "X must hold real numbers; its column 'b' holds text ('M' in row 0): encode it"),
    (np.arange(N).astype("M8[D]"), TypeError, "its column 'b' holds dates"),
    ([1, np.nan] * 6, ValueError, f"Input X contains NaN, {FIRST}"),
    ([1, np.inf] * 6, ValueError, f"Input X contains infinity, {FIRST}"),
    ([1, None] * 6, ValueError, f"Input X contains NaN, {FIRST}"),
]
FITTED = [MLPClassifier((2,), max_iter=2), MLPRegressor(hidden_layer_sizes=(2,), max_iter=2)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", FITTED, ids=lambda estimator: type(estimator).__name__)
@pytest.mark.parametrize(("values", "error", "text"), WRONG)
def test_what_is_no_number_is_named_with_its_column(estimator, values, error, text):
    pandas = pytest.importorskip("pandas")
    good = pandas.DataFrame({"a": np.arange(float(N)), "b": 1.0})
    frame, labels = good.assign(b=values), np.arange(N) % 2
    estimator = clone(estimator)
    for call in (lambda: estimator.fit(frame, labels), lambda: estimator.fit(good, labels).predict(frame)):
        with pytest.raises(error) as caught:
            call()
        assert text in str(caught.value)
        assert "in a Pipeline, OneHotEncoder encodes words and SimpleImputer fills gaps" in str(caught.value)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_categories_of_text_are_named_too():
    pandas = pytest.importorskip("pandas")
    good = pandas.DataFrame({"a": np.arange(float(N)), "b": 1.0})
    mlp = MLPClassifier((2,), max_iter=2).fit(good, np.arange(N) % 2)
    with pytest.raises(ValueError, match=r"its column 'b' holds text \('M' in row 0\)"):
        mlp.predict(good.assign(b=pandas.Categorical(list("MF") * 6)))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (np.array([[1, "M"], [2, "F"]], object), r"X must hold real numbers, .*; X\[0, 1\] is 'M'"),
        ([[0.0, np.nan], [1.0, 2.0]], r"Input X contains NaN\.\nMLPClassifier does not accept"),
        (np.array([[0, 1], [1, 1j]]), "Complex data not supported"),
        (np.zeros(2), "Expected 2D array, got 1D array instead"),
    ],
)
def test_tables_without_names_of_columns(table, text):
    with pytest.raises(ValueError, match=text):
        MLPClassifier().fit(table, [0, 1])


def fit_alone(mlp):
    mlp.fit(X, Y)  # the user's line


def fit_in_a_pipeline(mlp):
    make_pipeline(StandardScaler(), mlp).fit(X, Y)  # the user's line


def fit_by_cross_validation(mlp):
    cross_val_score(mlp, X, Y, cv=2)  # the user's line


@pytest.mark.parametrize("fit", [fit_alone, fit_in_a_pipeline, fit_by_cross_validation])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_warning_points_at_the_users_line(fit, solver):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(MLPClassifier((2,), solver=solver, max_iter=2, random_state=0))
    assert caught
    for warning in caught:
        assert warning.category is ConvergenceWarning
        assert warning.filename == inspect.getsourcefile(fit)
        assert "# the user's line" in linecache.getline(warning.filename, warning.lineno)


def test_filters_see_scikit_learns_module():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        MLPClassifier((2,), max_iter=2).fit(X, Y)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_column_of_targets_warns_at_the_users_line(kind):
    def fit(mlp):
        mlp.fit(X, Y[:, None])  # the user's line

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(kind(hidden_layer_sizes=(2,), max_iter=2, random_state=0))
    (warning,) = (one for one in caught if one.category is DataConversionWarning)
    assert "# the user's line" in linecache.getline(warning.filename, warning.lineno)
    assert "A column-vector y was passed" in str(warning.message)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_validation_rows_of_another_width_are_named(kind):
    with pytest.raises(ValueError, match=r"X_val, the validation rows: X has 1 features?, but"):
        kind(hidden_layer_sizes=(2,), max_iter=2).fit(X, Y, X_val=X[:, :1], y_val=Y)
