"""Bad arrays are refused with the same words by both back ends, by `train`, `predict` and `loss_and_gradient`."""

import numpy as np
import pytest
from good_input import NETWORK, PARAMS, WEIGHT, N, X, Y, assert_refused, labels_network, refusal, with_value

from fastnn import ACTIVATIONS, Network, Stop, loss_and_gradient, predict, train


class Loader:
    """Something to iterate over, with a length, as PyTorch's DataLoader is."""

    def __iter__(self):
        return iter([X])

    def __len__(self):
        return 1


RAGGED = [[1.0, 2.0, 3.0], [4.0]]
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
    ({"X": RAGGED, "Y": Y[:2]}, "X is not a table of numbers"),
    ({"X": X[:0], "Y": Y[:0]}, "X has no rows"),
    ({"X": [], "Y": []}, "X must have 2 dimensions"),
    ({"X": X[:, :0]}, "X has 0 columns, the network has 3 inputs"),
    ({"X": with_value(X, (7, 1), np.nan)}, "X must be finite; X[7, 1] is nan"),
    ({"X": with_value(X, (0, 2), -np.inf)}, "X must be finite; X[0, 2] is -inf"),
    ({"X": with_value(X, ([9, 4], [0, 1]), np.nan)}, "X[4, 1] is nan"),
    ({"X": with_value(X, [3, 5], [[np.inf], [-np.inf]])}, "X[3, 0] is inf"),
    ({"Y": with_value(Y, (11, 0), np.nan)}, "Y must be finite; Y[11, 0] is nan"),
    ({"sample_weight": with_value(WEIGHT, 3, np.nan)}, "sample_weight must be finite; sample_weight[3] is nan"),
    ({"sample_weight": with_value(WEIGHT, 3, np.nan), "assume_finite": True}, "sample_weight[3] is nan"),
    ({"params": with_value(PARAMS, 2, np.nan)}, "params must be finite; params[2] is nan"),
    ({"X": X.astype(np.float32), "Y": with_value(Y, (1, 1), 1e39)}, TOO_LARGE),
    ({"sample_weight": with_value(WEIGHT, 4, -1)}, "sample_weight[4] is -1"),
    ({"sample_weight": with_value(WEIGHT, 4, 1e-310)}, "sample_weight must be 0 or at least 2.22507e-308"),
    (
        {"X": X.astype(np.float32), "params": PARAMS.astype(np.float32), "sample_weight": np.full(N, 1e-40)},
        "at least 1.17549e-38, the smallest number that float32 holds with all digits; sample_weight[0] is 1e-40",
    ),
    (
        {"X": X.astype(np.float32), "params": PARAMS.astype(np.float32), "sample_weight": with_value(WEIGHT, 4, 1e-60)},
        "sample_weight[4] is 1e-60: multiply all weights",
    ),
    ({"sample_weight": np.zeros(N)}, "must not be 0 for all rows"),
    (
        {"network": labels_network(), "Y": with_value(np.arange(N) % 2, 5, 2)},
        "labels must be from 0 to 1, the network has 2 outputs; Y[5] is 2",
    ),
    ({"network": labels_network(), "Y": with_value(np.arange(N) % 2, 6, -1)}, "Y[6] is -1"),
    (
        {"network": labels_network(), "Y": with_value(np.ones(N), 3, 0.5)},
        (
            "Y must be integer labels (12,) or rows of probabilities (12, 2) for this loss, cross_entropy; Y has dtype "
            "float64, and Y[3] is 0.5"
        ),
    ),
    ({"network": labels_network(), "Y": with_value(np.ones(N), 3, np.nan)}, "Y[3] is nan"),
    (
        {"network": labels_network(), "Y": with_value(np.ones(N), 3, np.inf)},
        "labels must be from 0 to 1, the network has 2 outputs; Y[3] is inf",
    ),
    (
        {"network": labels_network(), "Y": np.arange(N)[:, None] % 2},
        "Y has 1 column, the network has 2 outputs: integer labels go in as Y.ravel()",
    ),
    (
        {"network": labels_network("log_loss", "sigmoid"), "Y": np.arange(N) % 2},
        "not 1 (shape (12,)): labels go with output='softmax', loss='cross_entropy', or as one-hot rows (12, 2)",
    ),
    (
        {"network": labels_network("squared_error"), "Y": np.arange(N) % 2},
        "labels go with output='softmax', loss='cross_entropy'",
    ),
    ({"network": labels_network(), "Y": np.arange(5) % 2}, "Y has 5 labels"),
    (
        {"network": labels_network(), "Y": np.ones((N, 2))},
        "rows of probabilities that sum to 1, or integer labels; row 0 of Y sums to 2",
    ),
    (
        {"network": labels_network("log_loss", "sigmoid"), "Y": with_value(np.ones((N, 2)), (3, 1), 1.5)},
        "loss 'log_loss' takes numbers from 0 to 1; Y[3, 1] is 1.5",
    ),
    (
        {"network": labels_network("poisson", "exp"), "Y": with_value(np.ones((N, 2)), (3, 1), -1)},
        "loss 'poisson' takes numbers that are not negative; Y[3, 1] is -1",
    ),
    (
        {"network": Network((3, 1), output="sigmoid"), "Y": np.arange(N) % 2 + 1},
        (
            "output 'sigmoid' gives numbers that are at least 0 and at most 1; Y[1, 0] is 2.0: labels go in as 0 and "
            "1; for other numbers scale Y, or take another output, such as 'identity'"
        ),
    ),
    (
        {"network": Network((3, 1), output="tanh"), "Y": np.linspace(-1, 100.5, N)},
        "output 'tanh' gives numbers that are at least -1 and at most 1; Y[1, 0] is 8.22",
    ),
    (
        {"network": Network((3, 1), output="softplus", loss="huber"), "Y": with_value(np.ones(N), 4, -2)},
        "output 'softplus' gives numbers that are at least 0; Y[4, 0] is -2.0: scale Y, or take another output, such",
    ),
]
OF_TYPES = [
    ({"X": X.astype(object)}, "X must hold real numbers, not objects (dtype object)"),
    ({"X": None}, "X must be an array of numbers, not None"),
    (
        {"X": with_value(X.astype(object), (4, 2), "?")},
        "X must hold real numbers, not objects (dtype object); X[4, 2] is '?'",
    ),
    ({"X": (X > 0).astype(object)}, "all of them are numbers: use X.astype(float)"),
    ({"X": X.astype(object)}, "all of them are numbers: use X.astype(float)"),
    ({"X": (row for row in X)}, "not an iterable (generator): collect what it yields, such"),
    ({"X": Loader()}, "X must be an array of numbers, not an iterable (Loader): collect"),
    ({"Y": Y + 0j}, "Y must hold real numbers, not complex numbers (dtype complex128)"),
    ({"X": X.astype(str)}, "X must hold real numbers, not text"),
    ({"X": X.astype("M8[s]")}, "X must hold real numbers"),
    ({"sample_weight": WEIGHT + 0j}, "sample_weight must hold real numbers"),
    ({"params": PARAMS + 0j}, "params must hold real numbers"),
    (
        {"network": labels_network(), "Y": np.array(["yes", "no"] * 6)},
        "not text (dtype <U3); labels go in as integers: np.unique(Y, return_inverse=True)[1] has them",
    ),
]
REFUSED = [(changed, ValueError, text) for changed, text in OF_VALUES]
REFUSED += [(changed, TypeError, text) for changed, text in OF_TYPES]
"""The arguments that differ from good ones, the exception, and a part of its text."""
OF_LOSS = {"X", "Y", "params", "sample_weight", "alpha", "assume_finite"}


@pytest.mark.parametrize(
    ("function", "changed", "kind", "text"),
    [(train, *case) for case in REFUSED]
    + [(predict, *case) for case in REFUSED if case[0].keys() in ({"X"}, {"params"})]
    + [(loss_and_gradient, *case) for case in REFUSED if case[0].keys() <= OF_LOSS and case[-1] != TOO_LARGE],
)
def test_bad_data_are_refused(function, changed, kind, text):
    assert_refused((changed, kind, text), function)


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
