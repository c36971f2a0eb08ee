"""Bad input is refused with the same words by both back ends; any good input works, and is never written."""

import itertools
import math
import re
import tracemalloc

import numpy as np
import pytest
from bits import all_bits

import fastnn
from fastnn import SGD, Adam, Network, Stop, loss_and_gradient, predict, train
from fastnn.checking.aliases import ALIASES
from fastnn.network import ACTIVATIONS, INITS, LOSSES, REDUCTIONS
from fastnn.optimizers import OPTIMIZERS, RPROP, AdamW

NETWORK = Network((3, 4, 2), "tanh")
N = 12
X = np.random.RandomState(0).standard_normal((N, 3))
Y = np.sin(X[:, :2])
WEIGHT = np.linspace(1, 2, N)
PARAMS = NETWORK.init_params(np.random.RandomState(1))
RESULT = train(NETWORK, X, Y, epochs=1, seed=0, backend="numpy")


def with_value(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def labels_network(loss="cross_entropy", output="softmax"):
    return Network((3, 2), output=output, loss=loss)


# ------------------------------------------------------------------------------------------------- what train refuses
# the arguments that differ from good ones, the exception, and a part of its text


class Loader:
    """As PyTorch's DataLoader: something to iterate over, with a length."""

    def __iter__(self):
        return iter([X])

    def __len__(self):
        return 1


RAGGED = [[1.0, 2.0, 3.0], [4.0]]
BIG = Network((10**6, 10**6, 1))
TRAIN = {
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
    # options
    "a dtype that is not computed in": ({"dtype": "float16"}, ValueError, "'float32' or 'float64', not 'float16'"),
    "a dtype that there is not": ({"dtype": "single precision"}, ValueError, "dtype must be 'float32' or 'float64'"),
    "something else for a dtype": (
        {"dtype": X},
        ValueError,
        "dtype must be 'float32' or 'float64', not ndarray of shape",
    ),
    "too large for the dtype, and a gap after it": (
        {"dtype": "float32", "X": with_value(X, ([2, 3], [1, 0]), [1e39, np.nan])},
        ValueError,
        "X[2, 1] is inf in float32, which cannot hold 1e+39",
    ),
    "too large for the dtype": (
        {"dtype": "float32", "X": with_value(X, (2, 1), -1e39)},
        ValueError,
        "X must be finite; X[2, 1] is -inf in float32, which cannot hold -1e+39",
    ),
    "no batch": ({"batch_size": 0}, ValueError, "batch_size must be at least 1, not 0"),
    "a negative batch": ({"batch_size": -3}, ValueError, "batch_size must be at least 1, not -3"),
    "half a batch": ({"batch_size": 2.5}, TypeError, "batch_size must be an integer, not 2.5"),
    "negative epochs": ({"epochs": -1}, ValueError, "epochs must be at least 0"),
    "negative alpha": ({"alpha": -0.1}, ValueError, "alpha must be at least 0, not -0.1"),
    "alpha that is not finite": ({"alpha": math.nan}, ValueError, "alpha must be finite, not nan"),
    "a rate that becomes negative": (
        {"optimizer": SGD(lambda step: 1 - step), "epochs": 5},
        ValueError,
        "learning_rate(2) must be at least 0, not -1",
    ),
    "a rate that is no number": ({"optimizer": SGD(lambda step: "x")}, TypeError, "learning_rate(0) must be a number"),
    "RPROP in batches": ({"optimizer": RPROP(), "batch_size": 4}, ValueError, "RPROP takes full batches only"),
    "a name for an optimizer": (
        {"optimizer": "adam"},
        TypeError,
        "optimizer must be a fastnn Optimizer, not 'adam': say Adam()",
    ),
    "a class for an optimizer": ({"optimizer": AdamW}, TypeError, "AdamW'>: say AdamW()"),
    "another name for an optimizer": (
        {"optimizer": "lion"},
        TypeError,
        f"not 'lion': one of {', '.join(f'{name}()' for name in OPTIMIZERS)}",
    ),
    "patience for a stop rule": ({"stop": 3}, TypeError, "stop must be a fastnn Stop, not 3"),
    "sizes for a network": (
        {"network": (3, 4, 2)},
        TypeError,
        "network must be a fastnn Network, not (3, 4, 2): say Network((3, 4, 2))",
    ),
    "a result for a network": (
        {"network": RESULT},
        TypeError,
        "say result.network, or result.resume(X, Y, epochs=...) to go on",
    ),
    "a result for params": ({"params": RESULT}, TypeError, "say result.params"),
    "a file for a state": (
        {"resume": "x.npz", "seed": None},
        TypeError,
        "resume must be the state of a training result, not str; say resume=fastnn.load('x.npz').state",
    ),
    "no callbacks": ({"callbacks": None}, TypeError, "callbacks must be a list of functions, not None"),
    "a callback of nothing": (
        {"callbacks": [lambda: None]},
        TypeError,
        "callbacks must be functions of one argument, the progress; <function",
    ),
    "a callback of two": ({"callbacks": [lambda epoch, loss: None]}, TypeError, "missing a required argument: 'loss'"),
    "X for a network": (
        {"network": X, "X": Y, "Y": NETWORK},
        TypeError,
        "network must be a fastnn Network, not ndarray of shape (12, 3): the network comes first",
    ),
    "layers for params": (
        {"params": [PARAMS[:12].reshape(3, 4), PARAMS[12:16], PARAMS[16:24].reshape(4, 2), PARAMS[24:]]},
        ValueError,
        "params must be one vector of 26 numbers, not a list of arrays: network.pack(weights, biases) makes one",
    ),
    "weights and biases for params": (
        {"params": (NETWORK.weights(PARAMS), NETWORK.biases(PARAMS))},
        ValueError,
        "not a tuple of arrays: network.pack(weights, biases)",
    ),
    "a network that exhausts memory": (
        {"network": BIG, "optimizer": Adam(), "X": np.broadcast_to(0.0, (1, 10**6)), "Y": np.ones((1, 1))},
        MemoryError,
        "has 1,000,002,000,001 parameters; with",
    ),
}


def refusal(function, *args, **options):
    """The exception of a call, as its type and text."""
    with pytest.raises((ValueError, TypeError, MemoryError)) as caught:
        function(*args, **options)
    return caught.type, str(caught.value)


@pytest.mark.parametrize("case", TRAIN)
def test_train_refuses(case):
    changed, kind, text = TRAIN[case]
    options = {"network": NETWORK, "X": X, "Y": Y, "epochs": 1, "seed": 0} | changed
    refusals = [refusal(train, **options, backend=name) for name in ("numpy", "numba")]
    assert refusals[0] == refusals[1]
    assert refusals[0][0] is kind
    assert text in refusals[0][1]


OF_PREDICT = [case for case, (changed, *_) in TRAIN.items() if changed.keys() in ({"X"}, {"params"})]
OF_LOSS = [
    case
    for case, (changed, *_) in TRAIN.items()
    if changed.keys() <= {"X", "Y", "params", "sample_weight", "alpha", "assume_finite"}
    and case != "too large for float32"  # here the dtype is that of params
]


@pytest.mark.parametrize(
    ("function", "case"), [*itertools.product([predict], OF_PREDICT), *itertools.product([loss_and_gradient], OF_LOSS)]
)
def test_predict_and_loss_and_gradient_refuse(function, case):
    changed, kind, text = TRAIN[case]
    options = {"network": NETWORK, "params": PARAMS, "X": X} | ({"Y": Y} if function is loss_and_gradient else {})
    refusals = [refusal(function, **options | changed, backend=name) for name in ("numpy", "numba")]
    assert refusals[0] == refusals[1]
    assert refusals[0][0] is kind
    assert text in refusals[0][1]


@pytest.mark.parametrize("case", TRAIN)
def test_what_train_refuses_is_said_in_a_few_lines(case):
    changed, *_ = TRAIN[case]
    text = refusal(train, **{"network": NETWORK, "X": X, "Y": Y, "seed": 0} | changed)[1]
    assert len(text) < 400
    assert "assume_finite" not in text


@pytest.mark.parametrize("function", [train, predict, loss_and_gradient])
def test_sparse_input_is_refused_with_the_way_out(function, backend):
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(X)
    options = {"params": PARAMS, "X": sparse, "backend": backend} | ({} if function is predict else {"Y": Y})
    options |= {"epochs": 1} if function is train else {}
    assert refusal(function, NETWORK, **options) == (
        TypeError,
        "X is sparse; fastnn's core takes dense arrays: use X.toarray()",
    )


# --------------------------------------------------------------------------------------------- what is refused earlier

LEGAL_LOSSES = ", ".join(LOSSES)
MADE = {
    "an unknown activation": (
        lambda: Network((3, 4, 2), "rleu"),
        ValueError,
        "unknown activation 'rleu' (did you mean 'relu'?); one of identity, sigmoid, tanh, relu,",
    ),
    "an unknown activation in a list": (lambda: Network((3, 4, 4, 2), ("tanh", "x")), ValueError, "activation[1] 'x'"),
    "capitals": (lambda: Network((3, 4, 2), "ReLU"), ValueError, "did you mean 'relu'?"),
    "an unknown output": (lambda: Network((3, 2), output="softmaxx"), ValueError, "did you mean 'softmax'?"),
    "an unknown loss": (
        lambda: Network((3, 2), loss="quality"),
        ValueError,
        f"unknown loss 'quality'; one of {LEGAL_LOSSES}",
    ),
    "an output for a hidden activation": (
        lambda: Network((3, 4, 2), "softmax"),
        ValueError,
        "unknown activation 'softmax' (for the last layer only, by output=); one of",
    ),
    "another library's name": (
        lambda: Network((3, 2), loss="mse"),
        ValueError,
        f"unknown loss 'mse' (did you mean 'squared_error'?); one of {LEGAL_LOSSES}",
    ),
    "another library's name in a list": (
        lambda: Network((3, 4, 4, 2), ("tanh", "logistic")),
        ValueError,
        "activation[1] 'logistic' (did you mean 'sigmoid'?)",
    ),
    "an array for a name": (
        lambda: Network((3, 4, 2), output=X),
        TypeError,
        "not ndarray of shape (12, 3) of type ndarray",
    ),
    "a softmax of one": (
        lambda: Network((3, 4, 1), "relu", "softmax"),
        ValueError,
        "output 'softmax' of one neuron is always 1: take output='sigmoid' with loss='log_loss'",
    ),
    "weights of too few layers": (
        lambda: NETWORK.pack(NETWORK.weights(PARAMS)[:1], NETWORK.biases(PARAMS)),
        ValueError,
        "weights must have one array for each of the 2 layers, not 1",
    ),
    "weights of another shape": (
        lambda: NETWORK.pack([X, X], NETWORK.biases(PARAMS)),
        ValueError,
        "weights[0] must have the shape (3, 4), not (12, 3)",
    ),
    "weights of outputs and inputs": (
        lambda: NETWORK.pack([W.T for W in NETWORK.weights(PARAMS)], NETWORK.biases(PARAMS)),
        ValueError,
        "weights[0] must have the shape (3, 4), not (4, 3); weights[0].T has it",
    ),
    "biases of text": (
        lambda: NETWORK.pack(NETWORK.weights(PARAMS), [["a"] * 4, ["b"] * 2]),
        TypeError,
        "biases[0] must hold real numbers, not <U1",
    ),
    "an unknown bias": (lambda: Network((3, 2), bias="vectors"), ValueError, "unknown bias 'vectors' (did you mean"),
    "an unknown bias gradient": (lambda: Network((3, 2), bias_gradient="x"), ValueError, "exact, times_bias"),
    "an unknown reduction": (lambda: Network((3, 2), reduction="average"), ValueError, "mean'?); one of mean, sum"),
    "an unknown init": (lambda: Network((3, 2), init="xavier"), ValueError, "glorot_uniform, glorot_normal, he, norm"),
    "a bias that is no number": (lambda: Network((3, 2), bias_init="zero"), TypeError, 'or "same"'),
    "a bias that is not finite": (lambda: Network((3, 2), bias_init=math.inf), ValueError, "bias_init must be finite"),
    "softmax inside": (lambda: Network((3, 4, 2), "softmax"), ValueError, "unknown activation 'softmax'"),
    "a number for a name": (lambda: Network((3, 4, 2), 3), TypeError, "activation must be one of"),
    "names for other layers": (lambda: Network((3, 4, 2), ("relu", "tanh")), ValueError, "2 names for 1 hidden"),
    "an illegal pair": (
        lambda: Network((3, 2), output="identity", loss="log_loss"),
        ValueError,
        "loss 'log_loss' does not go with output 'identity'; it goes with sigmoid",
    ),
    "a layer of no neurons": (lambda: Network((3, 0, 2)), ValueError, "sizes[1] must be at least 1, not 0"),
    "half a neuron": (lambda: Network((3, 1.5, 2)), TypeError, "sizes[1] must be an integer"),
    "inputs alone": (lambda: Network((3,)), ValueError, "sizes needs at least the inputs and the outputs"),
    "one number for sizes": (lambda: Network(3), TypeError, "sizes must be a sequence of integers"),
    "text for sizes": (lambda: Network("345"), TypeError, "sizes must be a sequence of integers"),
    **{
        f"a negative rate of {name}": (
            lambda kind=kind: kind(-0.1),
            ValueError,
            "learning_rate must be at least 0, not -0.1",
        )
        for name, kind in OPTIMIZERS.items()
    },
    "a rate that is not finite": (lambda: SGD(math.inf), ValueError, "learning_rate must be finite, not inf"),
    "a rate that is no number": (lambda: Adam("fast"), TypeError, "learning_rate must be a number or a function"),
    "a momentum above 1": (lambda: SGD(momentum=1.5), ValueError, "momentum must be at least 0 and at most 1"),
    "a beta of 1": (lambda: Adam(beta_2=1.0), ValueError, "beta_2 must be at least 0 and less than 1, not 1"),
    "an epsilon of 0": (lambda: Adam(epsilon=0), ValueError, "epsilon must be greater than 0, not 0"),
    "a negative decay": (lambda: AdamW(weight_decay=-1), ValueError, "weight_decay must be at least 0"),
    "a word for a flag": (lambda: SGD(nesterov="yes"), TypeError, "nesterov must be True or False"),
    "a schedule of no steps": (lambda: fastnn.cosine(0.1, 0), ValueError, "steps must be at least 1"),
    "a negative schedule": (lambda: fastnn.step_decay(-0.1, 5), ValueError, "learning_rate must be at least 0"),
    "a factor of 0": (lambda: fastnn.step_decay(0.1, 5, 0), ValueError, "factor must be greater than 0"),
    "an unknown back end": (
        lambda: fastnn.get_backend("nunba"),
        ValueError,
        "unknown backend 'nunba' (did you mean 'numba'?); one of numpy, numba",
    ),
    "something else for a back end": (lambda: fastnn.get_backend(3), TypeError, "3 is no back end: it lacks name, s"),
    "negative patience": (lambda: Stop(patience=-1), ValueError, "patience must be at least"),
}


HINTS = {
    "mse": "squared_error",
    "MSELoss": "squared_error",
    "mean_squared_error": "squared_error",
    "MAE": "absolute_error",
    "L1Loss": "absolute_error",
    "SmoothL1Loss": "huber",
    "huber_loss": "huber",
    "binary_crossentropy": "log_loss",
    "BCELoss": "log_loss",
    "BCEWithLogitsLoss": "log_loss",
    "logloss": "log_loss",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "CrossEntropyLoss": "cross_entropy",
    "nll_loss": "cross_entropy",
    "PoissonNLLLoss": "poisson",
}


@pytest.mark.parametrize("name", HINTS)
def test_another_librarys_loss_gets_the_name_here(name):
    assert f"unknown loss {name!r} (did you mean {HINTS[name]!r}?)" in refusal(lambda: Network((3, 2), loss=name))[1]


def test_aliases_are_of_names_that_there_are():
    known = {*ACTIVATIONS, *LOSSES, *INITS, *REDUCTIONS, "logistic"}
    assert set(ALIASES.values()) <= known
    assert set(ALIASES) & known == {"sigmoid", "logistic"}  # the core has one, the estimators the other


@pytest.mark.parametrize("case", MADE)
def test_making_refuses(case):
    make, kind, text = MADE[case]
    found, message = refusal(make)
    assert found is kind
    assert text in message


def test_nothing_is_allocated_before_memory_is_refused(monkeypatch):
    def never(*args):
        raise AssertionError("allocated")

    monkeypatch.setattr("fastnn.state.aligned_zeros", never)
    with pytest.raises(AssertionError, match="allocated"):
        train(NETWORK, X, Y, epochs=1)
    changed, kind, text = TRAIN["a network that exhausts memory"]
    with pytest.raises(kind, match=text):
        train(**changed, epochs=1)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_refused(tmp_path, content):
    file = tmp_path / "model.npz"
    file.write_bytes(content)
    with pytest.raises(fastnn.ModelFileError, match=re.escape(str(file))):
        fastnn.load(file)


def test_a_foreign_file_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", X=X)
    with pytest.raises(fastnn.ModelFileError, match="not a fastnn file"):
        fastnn.load(tmp_path / "other.npz")


# ------------------------------------------------------------------------------------------------------ what just works


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array):
    wide = np.full([2 * n for n in array.shape], 99, array.dtype)
    every_second = (slice(None, None, 2),) * array.ndim
    wide[every_second] = array
    return wide[every_second]


def unaligned(array):
    return np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)


LAYOUTS = {
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "strided": strided,
    "backwards": lambda array: np.flip(np.flip(array).copy()),
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder("S")),
    "unaligned": unaligned,
    "subclass": lambda array: array.view(type("Mine", (np.ndarray,), {})),
}
NUMBERS = {
    "integers": np.int16,
    "unsigned": np.uint8,
    "large": np.uint64,
    "boolean": bool,
    "half": np.float16,
    "long": np.longdouble,
}


def compute(X, Y, weight, params, backend):
    """The bits of what all functions make of these arrays, which none of them writes."""
    before = all_bits(X, Y, weight, params)
    options = {"sample_weight": weight, "backend": backend}
    found = [predict(NETWORK, params, X, backend=backend), *loss_and_gradient(NETWORK, params, X, Y, **options)]
    options |= {"seed": 0, "epochs": 3, "batch_size": 5, "optimizer": Adam(), "stop": Stop(validation=(X, Y, weight))}
    result = train(NETWORK, X, Y, params=params, **options)
    found += [result.state.vectors, result.history.loss, result.history.validation_loss, result.predict(X)]
    assert all_bits(X, Y, weight, params) == before
    return all_bits(*found)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_as_good(layout, backend, dtype):
    arrays = [array.astype(dtype) for array in (X, Y, WEIGHT, PARAMS)]
    assert compute(*map(LAYOUTS[layout], arrays), backend) == compute(*arrays, backend)


@pytest.mark.parametrize("kind", NUMBERS.values(), ids=NUMBERS)
def test_any_real_number_is_as_good(kind, backend):
    arrays = [np.round(3 * abs(array)).astype(kind) for array in (X, Y, WEIGHT, PARAMS)]
    assert compute(*arrays, backend) == compute(*(array.astype(float) for array in arrays), backend)


@pytest.mark.parametrize("kind", [*NUMBERS.values(), np.float64, np.float32], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("said", [np.float32, "float64", np.dtype("float32")], ids=["float32", "float64", "a dtype"])
def test_dtype_says_what_is_computed_in(kind, said, backend):
    arrays = [np.round(3 * abs(array)).astype(kind) for array in (X, Y, WEIGHT)]
    validation = tuple(array[:5] for array in arrays)
    options = {"optimizer": SGD(), "seed": 0, "epochs": 3, "batch_size": 5, "backend": backend}
    found = []
    for (x, y, weight), held_out, dtype in [
        (arrays, validation, said),
        ([a.astype(said) for a in arrays], tuple(a.astype(said) for a in validation), None),
    ]:
        stop = Stop(validation=held_out)
        result = train(NETWORK, x, y, sample_weight=weight, stop=stop, dtype=dtype, **options)
        found.append([result.params, result.history.loss, result.history.validation_loss])
    assert found[0][0].dtype == said
    assert all_bits(*found[0]) == all_bits(*found[1])


def test_a_memory_map_of_bytes_becomes_float32_and_nothing_else(tmp_path):
    """Less than one number of 8 bytes for each byte of X: no float64 copy is made on the way."""
    many = np.random.RandomState(0).randint(0, 256, (20_000, 50)).astype(np.uint8)
    np.save(tmp_path / "X.npy", many)
    Y = many[:, 0] > 99
    network = Network((50, 2, 1))
    train(network, many[:9], Y[:9], epochs=1, dtype="float32")  # whatever is imported or compiled once
    sizes = {}
    for dtype in ("float32", "float64"):
        tracemalloc.start()
        train(network, np.load(tmp_path / "X.npy", mmap_mode="r"), Y, epochs=1, batch_size=100, dtype=dtype)
        sizes[dtype] = tracemalloc.get_traced_memory()[1] / many.size
        tracemalloc.stop()
    assert 4 < sizes["float32"] < 6
    assert 8 < sizes["float64"] < 10


def test_lists_are_as_good(backend):
    lists = [array.tolist() for array in (X, Y, WEIGHT, PARAMS)]
    assert compute(*lists, backend) == compute(X, Y, WEIGHT, PARAMS, backend)


def test_memory_maps_are_as_good(tmp_path, backend):
    maps = []
    for k, array in enumerate((X, Y, WEIGHT, PARAMS)):
        np.save(tmp_path / f"{k}.npy", array)
        maps.append(np.load(tmp_path / f"{k}.npy", mmap_mode="r"))
    assert compute(*maps, backend) == compute(X, Y, WEIGHT, PARAMS, backend)


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
def test_one_output_may_be_a_vector(shape, backend):
    network = Network((3, 1))
    found = loss_and_gradient(network, np.ones(4), X, Y[:, 0].reshape(shape), backend=backend)
    assert all_bits(*found) == all_bits(*loss_and_gradient(network, np.ones(4), X, Y[:, :1], backend=backend))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, bool, list, np.float64, np.float16])
def test_labels_are_as_good_as_their_one_hot_rows(kind, backend):
    labels = np.arange(N) % 2
    Y = labels.tolist() if kind is list else labels.astype(kind)
    found = [
        train(labels_network(), X, y, optimizer=SGD(), epochs=1, seed=0, backend=backend).params
        for y in (Y, np.eye(2)[labels])
    ]
    assert all_bits(found[0]) == all_bits(found[1])


def test_plain_arrays_are_not_copied():
    """What the driver hands over is a view, read-only, of the caller's array."""
    seen = []

    class Spy(type(fastnn.get_backend("numpy"))):
        def train_steps(self, task, state, steps):
            seen.append(task.data)
            return super().train_steps(task, state, steps)

    train(NETWORK, X, Y, sample_weight=WEIGHT, epochs=1, backend=Spy())
    for given, got in zip((X, Y, WEIGHT), seen[0], strict=True):
        assert np.shares_memory(given, got)
        assert not got.flags.writeable
    assert X.flags.writeable
