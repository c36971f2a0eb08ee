"""What the estimators say: hints for another library's names, and warnings at the user's line."""

import inspect
import linecache
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.metrics import f1_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import Elu, FitWarning, Huber, LogLoss, MLPClassifier, MLPRegressor, cosine

X = np.random.RandomState(0).standard_normal((30, 3))
Y = X[:, 0] > 0

C = [MLPClassifier]
R = [MLPRegressor]
BOTH = C + R
NAME_ONLY = (
    r"loss must be a name or a function here, not \w+\(\w+=0\.\d\): "
    r"values are for fastnn\.Network and train$"
)
STOPPING = {"early_stopping": True}
LM = {"solver": "lm", "activation": "tanh"}
VALUES = [  # kinds, their parameters, words of the ValueError
    (C, {"activation": "sigmoid"}, r"\(did you mean 'logistic'\?\)"),
    (
        BOTH,
        {"activation": "ReLU", "learning_rate": 0.01},
        r"The 'activation' parameter .* \(did you mean 'relu'\?\)$",
    ),
    (
        C,
        {"activation": ("tanh", "sigmoid"), "hidden_layer_sizes": (2, 2)},
        r"\(did you mean 'logistic'\?\)",
    ),
    (C, {"activation": ("tanh",), "hidden_layer_sizes": (5, 4)}, "2 hidden layers"),
    (BOTH, {"activation": Huber(0.1)}, "unknown activation 'huber'; one of identity, logistic"),
    (
        BOTH,
        {"activation": ["tanh", Huber(0.1)]},
        r"unknown activation\[1\] 'huber'; one of identity, logistic",
    ),
    (C, {"solver": "Adam"}, r"\(did you mean 'adam'\?\)"),
    (C, {"solver": np.zeros(2)}, r"The 'solver' parameter .* Got array\(\[0., 0.\]\) instead\.$"),
    (C, {"loss": LogLoss(0.1)}, NAME_ONLY),
    (R, {"loss": Huber(0.1)}, NAME_ONLY),
    (R, {"loss": "pinball"}, r"\(did you mean 'quantile'\?\)"),
    (R, {"loss": (4,)}, r"did you mean hidden_layer_sizes=\(4,\)\?"),
    (R, {"loss": "quantile"}, 'loss="quantile" needs quantile='),
    (R, {"loss": "quantile", "quantile": 1.5}, "'quantile' parameter"),
    (
        R,
        {"loss": "huber", "quantile": 0.9},
        "quantile=0.9 is for loss=.quantile., not loss='huber'",
    ),
    (BOTH, {"activation": "Relu"}, r"of LeakyRelu or another activation, .* mean 'relu'\?\)$"),
    (R, {"learning_rate": "inverse_scaling", "solver": "sgd"}, r"\(did you mean 'invscaling'\?\)"),
    (
        C,
        {"learning_rate": "fast"},
        "'learning_rate' parameter .* must be a str among .* or a callable",
    ),
    (
        BOTH,
        {"learning_rate": 0.1},
        r"Got 0.1 instead. \(learning_rate is .* did you mean learning_rate_init=0\.1\?\)$",
    ),
    (C, {"solver": "rprop", "batch_size": 10}, "full batches"),
    (BOTH, {"hidden_layer_sizes": [0] * 10**5}, "hidden_layer_sizes must be > 0, got "),
    (C, {"alpha": -1}, r"The 'alpha' parameter .* Got -1 instead\.$"),
    (C, {"coefs_init": [np.zeros((3, 2))]}, "coefs_init"),
    (C, {"n_threads": 0}, "The 'n_threads' parameter of MLPClassifier must be an int in the range"),
    (
        C,
        {"scoring": "auc", **STOPPING},
        r"scorer's name, .* Got 'auc' instead. \(did you mean 'roc_auc'\?\)",
    ),
    (
        C,
        {"scoring": 3, **STOPPING},
        "The 'scoring' parameter .* an instance of 'str', a callable or None. Got 3 inst",
    ),
    (C, {"scoring": f1_score, **STOPPING}, "metric function"),
    (C, {"scoring": lambda *given: np.nan, **STOPPING}, "returned NaN for the 3 validation rows"),
    (C, {"solver": "lm"}, "'lm' and 'br' minimize the squared error, for MLPRegressor; 'lbfgs'"),
    (
        R,
        LM | {"loss": "huber"},
        "solver='lm' minimizes the squared error, not loss='huber': take 'lbfgs'",
    ),
    (
        R,
        LM | {"hidden_layer_sizes": (500,)},
        "takes up to 2,000 parameters, this network has 2,501: make hidden_lay",
    ),
    (R, LM | {"solver": "br", **STOPPING}, "solver='br' needs no rows to validate"),
    (
        R,
        LM | {"scoring": "neg_mean_absolute_error", **STOPPING},
        r"stops early by scoring=None, which is R\^2",
    ),
    (
        R,
        LM | {"clip_norm": 1.0},
        "solver='lm' does not use clip_norm=1.0: leave it out, or take 'adam' or 'sgd'",
    ),
    (R, LM | {"batch_size": 10}, "solver='lm' does not use batch_size=10: leave it out"),
    (R, LM | {"learning_rate": cosine(0.01)}, "solver='lm' does not use learning_rate=cosine"),
    (R, LM | {"n_restarts": 0}, "n_restarts.* must be an int in the range"),
    (
        R,
        {"solver": "lbfgs", "clip_norm": 1.0},
        "solver='lbfgs' does not use clip_norm=.*: leave it out",
    ),
]
TYPES = [
    (BOTH, {"activation": Elu}, r"activation must be made of Elu: say Elu\(\)$"),
    (
        BOTH,
        {"hidden_layer_sizes": ["relu"]},
        r"hidden_layer_sizes\[0\] must be an integer, not 'relu' of type str",
    ),
    (
        BOTH,
        {"hidden_layer_sizes": (3, 4.0)},
        r"hidden_layer_sizes\[1\] must be an integer, not 4.0 of type float",
    ),
    (BOTH, {"activation": ["tanh", Elu]}, r"activation\[1\] must be made of Elu: say Elu\(\)"),
    (C, {"scoring": lambda *given: "high", **STOPPING}, "must return a number, not 'high'"),
    (C, {"scoring": lambda *given: True, **STOPPING}, "must return a number, not True"),
]
REFUSED = [(ValueError, kind, *case) for kinds, *case in VALUES for kind in kinds]
REFUSED += [(TypeError, kind, *case) for kinds, *case in TYPES for kind in kinds]


@pytest.mark.parametrize(("error", "kind", "parameters", "text"), REFUSED)
def test_parameters_are_refused_with_what_would_be_right(error, kind, parameters, text):
    with pytest.raises(error, match=text) as caught:
        kind(**parameters).fit(X, Y)
    assert len(str(caught.value)) < 500


def test_a_table_that_lies_on_its_side():
    """One sample is a table too; one of a single input does not lie."""
    with pytest.warns(FitWarning, match="^X is one row of 5 columns"):
        MLPRegressor(max_iter=1).fit(np.zeros((1, 5)), [0.0])
    for shape in ((1, 1), (5, 1)):
        MLPRegressor(max_iter=1).fit(np.zeros(shape), np.zeros(shape[0]))  # without this warning


N = 12
FIRST = "the first at X[1, 1], in its column 'b': fill such"
WRONG = [
    (
        list("MF") * 6,
        None,
        ValueError,
        "X must hold real numbers; its column 'b' holds text ('M' in row 0): encode it",
    ),
    (list("MF") * 6, "category", ValueError, "its column 'b' holds text ('M' in row 0)"),
    (np.arange(N).astype("M8[D]"), None, TypeError, "its column 'b' holds dates"),
    ([1, np.nan] * 6, None, ValueError, f"Input X contains NaN, {FIRST}"),
    ([1, np.inf] * 6, None, ValueError, f"Input X contains infinity, {FIRST}"),
    ([1, None] * 6, None, ValueError, f"Input X contains NaN, {FIRST}"),
]


@pytest.mark.parametrize(("values", "dtype", "error", "text"), WRONG)
def test_what_is_no_number_is_named_with_its_column(kind, values, dtype, error, text):
    pandas = pytest.importorskip("pandas")
    good = pandas.DataFrame({"a": np.arange(float(N)), "b": 1.0})
    frame = good.assign(b=pandas.Series(values, dtype=dtype))
    labels = np.arange(N) % 2
    mlp = kind(hidden_layer_sizes=(2,), max_iter=2).fit(good, labels)
    remedy = "in a Pipeline, OneHotEncoder encodes words and SimpleImputer fills gaps"
    for call in (mlp.predict, lambda frame: mlp.fit(frame, labels)):
        with pytest.raises(error) as caught:
            call(frame)
        assert text in str(caught.value)
        assert remedy in str(caught.value)


def test_text_in_an_array_is_named_with_its_place():
    with pytest.raises(ValueError, match=r"X must hold real numbers, .*; X\[0, 1\] is 'M'"):
        MLPClassifier().fit(np.array([[1, "M"], [2, "F"]], object), [0, 1])


def test_a_weight_for_all_rows_is_finite(kind):
    with pytest.raises(ValueError, match="Input sample_weight contains NaN"):
        kind(max_iter=2).fit(X, Y, np.nan)


def to_a_column(mlp):
    return mlp.fit(X, Y[:, None])  # the user's line


FITS = [
    lambda mlp: mlp.fit(X, Y),  # the user's line
    lambda mlp: make_pipeline(StandardScaler(), mlp).fit(X, Y),  # the user's line
    lambda mlp: cross_val_score(mlp, X, Y, cv=2),  # the user's line
    to_a_column,
]


MLPS = (
    MLPClassifier((2,)),
    MLPClassifier((2,), solver="lbfgs"),
    MLPRegressor(hidden_layer_sizes=(2,)),
)


@pytest.mark.parametrize(
    "fit", FITS, ids=["alone", "in a pipeline", "by cross-validation", "to a column"]
)
@pytest.mark.parametrize("mlp", MLPS, ids=str)
def test_a_warning_points_at_the_users_line(fit, mlp):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(clone(mlp).set_params(max_iter=2, random_state=0))
    texts = {warning.category: str(warning.message) for warning in caught}
    if fit is to_a_column:
        assert "A column-vector y was passed" in texts.pop(DataConversionWarning)
    assert texts.keys() == {ConvergenceWarning}
    for warning in caught:
        assert warning.filename == inspect.getsourcefile(fit)
        assert "# the user's line" in linecache.getline(warning.filename, warning.lineno)


def test_filters_see_scikit_learns_module():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        MLPClassifier((2,), max_iter=2).fit(X, Y)


def test_an_unconverged_fit_says_that_targets_are_not_scaled():
    """No warning besides scikit-learn's, and none of targets of the size of 1."""
    far = " The loss, .* is no better than .*, that of always predicting the mean of Y, whose "
    far += r"numbers reach 5\d\d: TransformedTargetRegressor\(..., transformer=StandardScaler"
    with pytest.warns(ConvergenceWarning, match=f"hasn't converged yet.{far}"):
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=0).fit(
            X, 500 + 10 * X[:, 0]
        )
    for max_iter, y in ((20, X[:, 0]), (9, 500 + 10 * X[:, 0])):
        mlp = MLPRegressor(hidden_layer_sizes=(8,), max_iter=max_iter, random_state=0)
        with pytest.warns(ConvergenceWarning, match="hasn't converged yet.$"):
            mlp.fit(X, y)


MASKED = np.ma.masked_array(X, mask=X > 2)
PLAIN = {"max_iter": 2, "tol": 1e9, "n_iter_no_change": 1}


def test_masked_values_are_refused_as_by_train(kind):
    """scikit-learn's check drops a mask, and takes what is under it."""
    masked_y = np.ma.masked_array(Y, mask=X[:, 0] > 1)
    message = "^{} has masked values: fill them in or leave their rows out$"
    with pytest.raises(ValueError, match=message.format("X")):
        kind(**PLAIN).fit(MASKED, Y)
    with pytest.raises(ValueError, match=message.format("y")):
        kind(**PLAIN).fit(X, masked_y)
    with pytest.raises(ValueError, match=message.format("sample_weight")):
        kind(**PLAIN).fit(X, Y, sample_weight=np.ma.masked_array(np.ones(30), masked_y.mask))
    with pytest.raises(ValueError, match="X has masked values"):
        kind(**PLAIN, early_stopping=True).fit(X, Y, X_val=MASKED, y_val=Y)
    mlp = kind(**PLAIN).fit(np.ma.masked_array(X), Y)
    with pytest.raises(ValueError, match=message.format("X")):
        mlp.predict(MASKED)


def test_sparse_targets_are_refused_unless_they_are_labels_of_several_columns():
    dense = r"^y is sparse, and has to be dense: use y.toarray\(\)$"
    for kind, columns in ((MLPClassifier, [Y]), (MLPRegressor, [Y]), (MLPRegressor, [Y, ~Y])):
        with pytest.raises(TypeError, match=dense):
            kind(**PLAIN).fit(X, csr_array(np.column_stack(columns).astype(float)))
    labels = np.column_stack([Y, ~Y]).astype(int)
    of_sparse, of_dense = (MLPClassifier(**PLAIN, random_state=0) for _ in range(2))
    of_sparse.fit(X, csr_array(labels))
    of_dense.fit(X, labels)
    assert of_sparse.predict_proba(X).tolist() == of_dense.predict_proba(X).tolist()


def test_a_score_by_labels_of_another_kind_is_a_short_error():
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.8 counts them as wrong")
    mlp = MLPClassifier(**PLAIN).fit(X, Y.astype(int))
    with pytest.raises(ValueError, match="Mix of label input types") as caught:
        mlp.score(X, np.where(Y, "x" * 3000, "y"))
    assert len(str(caught.value)) < 1000


GAP = np.array([None, *X[1:, 0]], object)


LABELS = np.where(Y, "yes", "no")


GAPS = [
    (MLPRegressor, GAP),
    (MLPRegressor, GAP[:, None]),
    (MLPRegressor, np.column_stack([X[:, 0], GAP])),
    (MLPRegressor, [None, True, False] + [True] * 27),
    (MLPClassifier, [None, *LABELS[1:]]),
    (MLPClassifier, np.array([np.nan, *LABELS[1:]], object)),
]


@pytest.mark.parametrize(("kind", "y"), GAPS)
def test_missing_targets_are_named_with_their_row(kind, y):
    mlp = kind(max_iter=2)
    text = r" is missing \(NaN\) in 1 row, such as row 0: leave them out$"
    classes = [LABELS] * (kind is MLPClassifier)
    with pytest.raises(ValueError, match=f"^y{text}"):
        mlp.partial_fit(X, y, *classes)
    with pytest.raises(ValueError, match=f"^y{text}"):
        mlp.fit(X, y)
    with pytest.raises(ValueError, match=f"^the y of validation data{text}"):
        mlp.fit(X, Y, X_val=X, y_val=y)
