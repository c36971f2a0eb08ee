"""Bad arrays are refused with the same words by both back ends, by `train`, `predict` and `loss_and_gradient`."""

import itertools

import numpy as np
import pytest
from good_input import (
    NETWORK,
    PARAMS,
    WEIGHT,
    N,
    X,
    Y,
    assert_refused,
    labels_network,
    refusal,
    with_value,
)

from fastnn import ACTIVATIONS, Network, Stop, loss_and_gradient, predict, train


class Loader:
    """Something to iterate over, with a length, as PyTorch's DataLoader is."""

    def __iter__(self):
        return iter([X])

    def __len__(self):
        return 1


RAGGED = [[1.0, 2.0, 3.0], [4.0]]
REFUSED = {
    # shapes
    "columns of X": ({"X": X[:, :2]}, ValueError, "X has 2 columns, the network has 3 inputs"),
    "columns of Y": ({"Y": X}, ValueError, "Y has 3 columns, the network has 2 outputs"),
    "rows of Y": ({"Y": Y[:7]}, ValueError, "X has 12 rows, Y has 7"),
    "X of one dimension": ({"X": X[0]}, ValueError, "not 1 (shape (3,)): X[None] is one row"),
    "X of one dimension that is no row": (
        {"X": X.ravel()},
        ValueError,
        "X must have 2 dimensions, not 1 (shape (36,)): here it is (n, 3)",
    ),
    "a vector for one input": ({"network": Network((1, 2)), "X": X[:, 0]}, ValueError, "X[:, None] is one column"),
    "columns for one input": ({"network": Network((1, 2))}, ValueError, "X has 3 columns, the network has 1 input"),
    "X of three dimensions": ({"X": X[None]}, ValueError, "X must have 2 dimensions, not 3 (shape (1, 12, 3))"),
    "a number for X": ({"X": 3.0}, ValueError, "X must have 2 dimensions, not 0"),
    "Y of one dimension for two outputs": ({"Y": Y[:, 0]}, ValueError, "Y must have 2 dimensions, not 1"),
    "length of weights": ({"sample_weight": WEIGHT[:5]}, ValueError, "sample_weight has 5 numbers, X has 12 rows"),
    "weights of two dimensions": (
        {"sample_weight": WEIGHT[:, None]},
        ValueError,
        "sample_weight must have 1 dimension, not 2",
    ),
    "length of params": ({"params": PARAMS[:-1]}, ValueError, "params has 25 numbers, the network has 26 parameters"),
    "ragged": ({"X": RAGGED, "Y": Y[:2]}, ValueError, "X is not a table of numbers"),
    # empty
    "no rows": ({"X": X[:0], "Y": Y[:0]}, ValueError, "X has no rows"),
    "an empty list": ({"X": [], "Y": []}, ValueError, "X must have 2 dimensions"),
    "no columns": ({"X": X[:, :0]}, ValueError, "X has 0 columns, the network has 3 inputs"),
    # not finite
    "NaN in X": ({"X": with_value(X, (7, 1), np.nan)}, ValueError, "X must be finite; X[7, 1] is nan"),
    "infinity in X": ({"X": with_value(X, (0, 2), -np.inf)}, ValueError, "X must be finite; X[0, 2] is -inf"),
    "the first of two": ({"X": with_value(X, ([9, 4], [0, 1]), np.nan)}, ValueError, "X[4, 1] is nan"),
    "infinities of both signs": ({"X": with_value(X, [3, 5], [[np.inf], [-np.inf]])}, ValueError, "X[3, 0] is inf"),
    "NaN in Y": ({"Y": with_value(Y, (11, 0), np.nan)}, ValueError, "Y must be finite; Y[11, 0] is nan"),
    "NaN in weights": (
        {"sample_weight": with_value(WEIGHT, 3, np.nan)},
        ValueError,
        "sample_weight must be finite; sample_weight[3] is nan",
    ),
    "NaN in weights, even so": (
        {"sample_weight": with_value(WEIGHT, 3, np.nan), "assume_finite": True},
        ValueError,
        "sample_weight[3] is nan",
    ),
    "NaN in params": ({"params": with_value(PARAMS, 2, np.nan)}, ValueError, "params must be finite; params[2] is nan"),
    "too large for float32": (
        {"X": X.astype(np.float32), "Y": with_value(Y, (1, 1), 1e39)},
        ValueError,
        "Y[1, 1] is inf",
    ),
    "negative weights": ({"sample_weight": with_value(WEIGHT, 4, -1)}, ValueError, "sample_weight[4] is -1"),
    "a weight whose reciprocal overflows": (
        {"sample_weight": with_value(WEIGHT, 4, 1e-310)},
        ValueError,
        "sample_weight must be 0 or at least 2.22507e-308",
    ),
    "a weight whose reciprocal overflows in float32": (
        {"X": X.astype(np.float32), "params": PARAMS.astype(np.float32), "sample_weight": np.full(N, 1e-40)},
        ValueError,
        "at least 1.17549e-38, the smallest number that float32 holds with all digits; sample_weight[0] is 1e-40",
    ),
    "a weight that float32 rounds to 0": (
        {"X": X.astype(np.float32), "params": PARAMS.astype(np.float32), "sample_weight": with_value(WEIGHT, 4, 1e-60)},
        ValueError,
        "sample_weight[4] is 1e-60: multiply all weights",
    ),
    "weights all 0": ({"sample_weight": np.zeros(N)}, ValueError, "must not be 0 for all rows"),
    # dtypes
    "objects": ({"X": X.astype(object)}, TypeError, "X must hold real numbers, not objects (dtype object)"),
    "None": ({"X": None}, TypeError, "X must be an array of numbers, not None"),
    "a number among objects": (
        {"X": with_value(X.astype(object), (4, 2), "?")},
        TypeError,
        "X must hold real numbers, not objects (dtype object); X[4, 2] is '?'",
    ),
    "flags as objects": ({"X": (X > 0).astype(object)}, TypeError, "all of them are numbers: use X.astype(float)"),
    "numbers as objects": ({"X": X.astype(object)}, TypeError, "all of them are numbers: use X.astype(float)"),
    "a generator": ({"X": (row for row in X)}, TypeError, "not an iterable (generator): collect what it yields, such"),
    "a loader": ({"X": Loader()}, TypeError, "X must be an array of numbers, not an iterable (Loader): collect"),
    "complex": ({"Y": Y + 0j}, TypeError, "Y must hold real numbers, not complex numbers (dtype complex128)"),
    "text": ({"X": X.astype(str)}, TypeError, "X must hold real numbers, not text"),
    "dates": ({"X": X.astype("M8[s]")}, TypeError, "X must hold real numbers"),
    "complex weights": ({"sample_weight": WEIGHT + 0j}, TypeError, "sample_weight must hold real numbers"),
    "complex params": ({"params": PARAMS + 0j}, TypeError, "params must hold real numbers"),
    # targets
    "a label too large": (
        {"network": labels_network(), "Y": with_value(np.arange(N) % 2, 5, 2)},
        ValueError,
        "labels must be from 0 to 1, the network has 2 outputs; Y[5] is 2",
    ),
    "a negative label": (
        {"network": labels_network(), "Y": with_value(np.arange(N) % 2, 6, -1)},
        ValueError,
        "Y[6] is -1",
    ),
    "labels that are no integers": (
        {"network": labels_network(), "Y": with_value(np.ones(N), 3, 0.5)},
        ValueError,
        "Y must be integer labels (12,) or rows of probabilities (12, 2) for this loss, cross_entropy; Y has dtype "
        "float64, and Y[3] is 0.5",
    ),
    "labels with a gap": (
        {"network": labels_network(), "Y": with_value(np.ones(N), 3, np.nan)},
        ValueError,
        "Y[3] is nan",
    ),
    "an infinite label": (
        {"network": labels_network(), "Y": with_value(np.ones(N), 3, np.inf)},
        ValueError,
        "labels must be from 0 to 1, the network has 2 outputs; Y[3] is inf",
    ),
    "labels in a column": (
        {"network": labels_network(), "Y": np.arange(N)[:, None] % 2},
        ValueError,
        "Y has 1 column, the network has 2 outputs: integer labels go in as Y.ravel()",
    ),
    "labels for several sigmoid outputs": (
        {"network": labels_network("log_loss", "sigmoid"), "Y": np.arange(N) % 2},
        ValueError,
        "not 1 (shape (12,)): labels go with output='softmax', loss='cross_entropy', or as one-hot rows (12, 2)",
    ),
    "labels for a softmax of another loss": (
        {"network": labels_network("squared_error"), "Y": np.arange(N) % 2},
        ValueError,
        "labels go with output='softmax', loss='cross_entropy'",
    ),
    "labels of text": (
        {"network": labels_network(), "Y": np.array(["yes", "no"] * 6)},
        TypeError,
        "not text (dtype <U3); labels go in as integers: np.unique(Y, return_inverse=True)[1] has them",
    ),
    "too few labels": ({"network": labels_network(), "Y": np.arange(5) % 2}, ValueError, "Y has 5 labels"),
    "rows that sum to 2": (
        {"network": labels_network(), "Y": np.ones((N, 2))},
        ValueError,
        "rows of probabilities that sum to 1, or integer labels; row 0 of Y sums to 2",
    ),
    "a probability above 1": (
        {"network": labels_network("log_loss", "sigmoid"), "Y": with_value(np.ones((N, 2)), (3, 1), 1.5)},
        ValueError,
        "loss 'log_loss' takes numbers from 0 to 1; Y[3, 1] is 1.5",
    ),
    "a negative count": (
        {"network": labels_network("poisson", "exp"), "Y": with_value(np.ones((N, 2)), (3, 1), -1)},
        ValueError,
        "loss 'poisson' takes numbers that are not negative; Y[3, 1] is -1",
    ),
    "labels 1 and 2 for sigmoid": (
        {"network": Network((3, 1), output="sigmoid"), "Y": np.arange(N) % 2 + 1},
        ValueError,
        "output 'sigmoid' gives numbers that are at least 0 and at most 1; Y[1, 0] is 2.0: labels go in as 0 and 1; "
        "for other numbers scale Y, or take another output, such as 'identity'",
    ),
    "targets of 100 for tanh": (
        {"network": Network((3, 1), output="tanh"), "Y": np.linspace(-1, 100.5, N)},
        ValueError,
        "output 'tanh' gives numbers that are at least -1 and at most 1; Y[1, 0] is 8.22",
    ),
    "negative targets for softplus": (
        {"network": Network((3, 1), output="softplus", loss="huber"), "Y": with_value(np.ones(N), 4, -2)},
        ValueError,
        "output 'softplus' gives numbers that are at least 0; Y[4, 0] is -2.0: scale Y, or take another output, such",
    ),
}
"""The arguments that differ from good ones, the exception, and a part of its text."""


@pytest.mark.parametrize("case", REFUSED)
def test_train_refuses_data(case):
    assert_refused(REFUSED[case], train)


OF_PREDICT = [case for case, (changed, *_) in REFUSED.items() if changed.keys() in ({"X"}, {"params"})]
OF_LOSS = [
    case
    for case, (changed, *_) in REFUSED.items()
    if changed.keys() <= {"X", "Y", "params", "sample_weight", "alpha", "assume_finite"}
    and case != "too large for float32"  # here the dtype is that of params
]


@pytest.mark.parametrize(
    ("function", "case"), [*itertools.product([predict], OF_PREDICT), *itertools.product([loss_and_gradient], OF_LOSS)]
)
def test_predict_and_loss_and_gradient_refuse(function, case):
    assert_refused(REFUSED[case], function)


@pytest.mark.parametrize("output", ACTIVATIONS)
def test_each_output_takes_what_it_gives_but_for_rounding(output, backend):
    """Targets at its bounds, as scaling leaves them; not those beyond, also where they are validated on."""
    bounds = {-1: ACTIVATIONS[output].low, 1: ACTIVATIONS[output].high}
    low, high = (bound if np.isfinite(bound) else sign * 1e6 for sign, bound in bounds.items())
    network, X = Network((1, 2), output=output, loss="squared_error"), [[0.0], [1.0]]
    options = {"epochs": 1, "seed": 0, "backend": backend}
    right = np.array([[low, high], [low - 1e-6, high + 1e-6]])
    train(network, X, right, **options)
    for sign in (sign for sign, bound in bounds.items() if np.isfinite(bound)):
        wrong = np.where(right == bounds[sign], right + 0.1 * sign, right)
        with pytest.raises(ValueError, match=f"^output '{output}' gives numbers that are at "):
            train(network, X, wrong, **options)
        with pytest.raises(ValueError, match=f"^validation: output '{output}' gives"):
            train(network, X, right, stop=Stop(validation=(X, wrong)), **options)


@pytest.mark.parametrize("function", [train, predict, loss_and_gradient])
def test_sparse_input_is_refused_with_the_way_out(function, backend):
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(X)
    options = {"params": PARAMS, "X": sparse, "backend": backend} | ({} if function is predict else {"Y": Y})
    options |= {"epochs": 1} if function is train else {}
    assert refusal(function, NETWORK, **options) == (
        TypeError,
        "X is sparse; fastnn's core takes dense arrays: use X.toarray()",
    )
