"""Losses and activations by functions of the user's: what they are made of, their derivatives, and
that they go wherever registered ones go; see test_losses.py too, for all that have values."""

import math
from itertools import pairwise

import numpy as np
import pytest
from bits import assert_same_params, bits
from drawn_formulas import draw_formula
from scipy.special import expit

from fastnn import (
    Adam,
    CustomActivation,
    CustomLoss,
    LevenbergMarquardt,
    MLPRegressor,
    Network,
    get_backend,
    loss_and_gradient,
    predict,
    testing,
    train,
)
from fastnn.formulas import MOST_NODES, checked_formula, evaluate, statements, text
from fastnn.fused import custom
from fastnn.recording import Recorder, recorded
from fastnn.testing.cases import draw_training
from fastnn.testing.tolerances import (
    COMPLEX_STEP_RTOL,
    EXTRAPOLATED_RTOL,
    GRADIENT_FACTOR,
    assert_within,
)


def cost(a, y):
    return np.where(y > a, 3.0 * (y - a), a - y)


def swish(z):
    return z / (1 + np.exp(-z))


def softsign(z):
    return z / (1 + abs(z))


NETWORKS = [
    Network((3, 6, 2), swish, loss=cost),
    Network((3, 6, 4, 2), (softsign, "tanh"), lambda z: np.log1p(z * z), "huber"),
    Network((3, 4, 3), softsign, "softmax", lambda a, y: (a - y) ** 2 * (1 + 3 * y)),
    Network((3, 5, 1), swish, "exp", CustomLoss(lambda a, y: a - y * np.log(a), low=0)),
]


def test_conditions_made_of_shared_conditions_are_looked_at_once(monkeypatch):
    """Each is made of the two before: one by one there would be 2 to the 30th."""
    n_done = 0
    do = Recorder.do

    def counted(recorder, *operands):
        nonlocal n_done
        n_done += 1
        return do(recorder, *operands)

    def act(z):
        first = z > 0.5
        second = z > 0.25
        for k in range(30):
            first, second = np.where(z > k, first, second), np.where(z > -k, second, first)
        return np.where(first, z, 0.5 * z)

    monkeypatch.setattr(Recorder, "do", counted)
    CustomActivation(act)
    assert n_done < 2000


# -------------------------------------------------------------------------------------- derivatives

EVERY = [pytest.param(first, marks=[pytest.mark.slow] * (first > 0)) for first in range(10)]


def extrapolated(function, a, y, step=1 / 64, n_levels=5):
    """Central differences, extrapolated to a step of 0 by Richardson's rule."""
    a, y = a.astype(np.longdouble), y.astype(np.longdouble)
    steps = [step / 2**k for k in range(n_levels)]
    found = [(function(a + h, y) - function(a - h, y)) / (2 * h) for h in steps]
    for level in range(1, n_levels):
        weight = 4**level
        found = [(weight * fine - rough) / (weight - 1) for rough, fine in pairwise(found)]
    return found[0]


def derivatives(function, a, y, backend):
    """By the gradient of a network of one input, which is 1, whose weights are its outputs."""
    network = Network((1, len(a)), loss=CustomLoss(function), bias="none", reduction="sum")
    options = {"backend": backend, "assume_finite": True}
    return loss_and_gradient(network, a.copy(), np.ones((1, 1), a.dtype), y[None], **options)[1]


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("first", EVERY)
def test_derivatives_of_drawn_formulas(first, backend):
    for seed in range(first, 200, 10):
        drawn = draw_formula(seed)
        function = drawn.function
        a = drawn.a
        y = drawn.y
        value, slope = evaluate(drawn.formula, a=a, y=y)
        size = 1 + abs(value) + abs(slope)
        if drawn.takes_complex:
            right = function(a + 1e-100j, y).imag / 1e-100
            bound = COMPLEX_STEP_RTOL * size
        else:
            right = extrapolated(function, a, y)
            bound = EXTRAPOLATED_RTOL * size
        found = derivatives(function, a, y, backend)
        assert_within(found, right, bound, f"{seed}: {text(drawn.formula)}")
        a = a.astype(np.float32)
        y = y.astype(np.float32)
        right = derivatives(function, a.astype(np.float64), y.astype(np.float64), backend)
        bound = GRADIENT_FACTOR * np.finfo(np.float32).eps * size
        assert_within(derivatives(function, a, y, backend), right, bound, f"{seed} in float32")


def test_rows_near_a_kink_of_a_formula_are_known():
    """That of a hinge is where a y is 1, for all y."""
    network = Network((1, 1), loss=lambda a, y: np.maximum(0, 1 - a * y), bias="none")
    X, Y = np.array([[0.5], [0.5 + 1e-16], [0.5 + 1e-3]]), np.full((3, 1), 2.0)
    Y[0] = 2 + 1e-15
    away = testing.away_from_kinks(network, np.ones(1), X, Y)
    assert away.tolist() == [False, False, True]
    with pytest.raises(ValueError, match="near a kink"):
        testing.check_gradient(network, np.ones(1), X, Y)


def test_kinks_of_a_choice_by_a_choice_are_those_of_the_inner_one():
    def loss(a, y):
        return np.where(np.where(a > 0, 2.0, 0.0) > y, 2 * a, a)

    network = Network((1, 1), loss=loss, bias="none")
    X = np.array([[0.0], [0.5], [-0.5]])
    away = testing.away_from_kinks(network, np.ones(1), X, np.full((3, 1), 0.5))
    assert away.tolist() == [False, True, True]


AS_PEOPLE_WRITE_THEM = {
    "swish": swish,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "log cosh": lambda z: np.log(np.cosh(z)),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "logaddexp": lambda z: np.logaddexp(z, 1),
}


@pytest.mark.parametrize("name", AS_PEOPLE_WRITE_THEM)
def test_far_from_zero_no_derivative_is_nan(name, backend, dtype):
    """Of what would overflow."""
    output = AS_PEOPLE_WRITE_THEM[name]
    network = Network((1, 1), output=output, bias="none", reduction="sum")
    params = np.ones(1, dtype)
    X = np.array([[-1e4, -800, -100, 100, 800, 1e4]], dtype).T
    assert np.isfinite(predict(network, params, X, backend=backend)).all()
    for x in X:
        _, gradient = loss_and_gradient(network, params, x[None], [[0.5]], backend=backend)
        assert np.isfinite(gradient).all(), x


# ---------------------------------------------------------------------------------------- the words


def raises_if(a, y):
    if y > a:
        return y - a
    return a - y


class DeviceError(ValueError):
    """One that is made otherwise than ValueError is."""

    def __init__(self, code, text):
        super().__init__(text)


def raises_an_error_of_its_own(a, y):
    raise DeviceError(3, "the device has no answer")


REFUSED = {
    "if": (raises_if, "it runs once.*np.where"),
    "max": (lambda a, y: max(a - y, 0), "np.maximum in place of `max`"),
    "and": (lambda a, y: np.where((a > 0) and (y > 0), a, y), "& in place of `and`"),
    "precedence": (lambda a, y: np.where(a > 0 & y > 0, a, y), "comparisons in parentheses"),
    "math": (lambda a, y: math.exp(a - y), "write np.exp in place of math.exp"),
    "mean": (lambda a, y: np.mean((a - y) ** 2), "the mean over the rows is taken already"),
    "mean as method": (lambda a, y: ((a - y) ** 2).mean(), "the mean over the rows"),
    "norm": (lambda a, y: np.linalg.norm(a - y), "np.linalg.norm.* its sum over the outputs"),
    "sum": (lambda a, y: sum((a - y) ** 2), "one number"),
    "reduction": (lambda a, y: np.add.reduce(a - y), "np.add.reduce cannot be recorded"),
    "sine": (lambda a, y: np.sin(a - y), "np.sin cannot be recorded: a formula is made of"),
    "index": (lambda a, y: a[0] - y, "without length, index or loop"),
    "dtype": (lambda a, y: a.astype(float) - y, "has no 'astype'"),
    "array": (lambda a, y: (a - y) * np.array([1.0, 2.0]), r"single ones.* of shape \(2,\)"),
    "exponent": (lambda a, y: abs(a - y) ** 1.3, r"write np.exp\(p \* np.log\(x\)\)"),
    "NaN": (lambda a, y: (a - y) * np.nan, "a number in it is nan"),
    "option": (lambda a, y: np.exp(a - y, dtype=np.float32), "exp takes no dtype here"),
    "condition": (lambda a, y: np.where([True], a, y), "numbers beside the arguments"),
    "nothing": (lambda a, y: None, "it returns None, and must return a value"),
    "two": (lambda a, y: (a - y, a), "must return a value of its arguments"),
    "constant": (lambda a, y: 3.0, "it returns 3.0"),
    "no output": (lambda a, y: y * y, "derivative by a is 0 everywhere"),
    "nothing of it": (lambda a, y: 0 * a + y * y, "derivative by a is 0 everywhere"),
    "no difference": (lambda a, y: np.where(a > y, a - a, 0 * a), "by a is 0 everywhere"),
    "arity": (lambda a: a, "a function of a and y: too many"),
    "logarithm": (lambda a, y: a - y * np.log(a), "value is nan at a = -10.*low=, high="),
    "root": (lambda a, y: np.sqrt(abs(a - y)), "derivative is nan at a = -10, y = -10"),
    "quotient": (lambda a, y: ((a - y) / y) ** 2, "value is inf at a = -10, y = 0"),
    "overflow": (lambda a, y: 10**400 * (a - y), "too large to convert to float"),
    "error of its own": (raises_an_error_of_its_own, "the device has no answer"),
    "size": (lambda a, y: sum(np.exp(a * k) for k in range(100)) - y, "more than 250 operations"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_formula_can_have_is_refused_by_its_line(name):
    function, words = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        Network((3, 1), loss=function)
    assert str(caught.value).startswith("the loss")
    if function is raises_if:
        line = raises_if.__code__.co_firstlineno + 1
        assert f"line {line} of test_custom.py" in str(caught.value)


def test_other_errors_of_a_function_are_its_own():
    with pytest.raises(ZeroDivisionError):
        Network((3, 1), loss=lambda a, y: a - y / (1 - 1) + 1 / 0)
    with pytest.raises(NameError):
        Network((3, 1), loss=lambda a, y: a - no_such_name)  # noqa: F821


def test_a_value_of_another_call_is_refused():
    kept = []

    def loss(a, y):
        kept.append(a)
        return (kept[0] - y) ** 2

    assert Network((3, 1), loss=loss)
    with pytest.raises(TypeError, match="a value of another call"):
        Network((3, 1), loss=loss)


def test_kinds_that_are_mixed_up_are_told_apart():
    with pytest.raises(TypeError, match="loss must be a CustomLoss, not CustomActivation"):
        Network((3, 1), loss=CustomActivation(swish))
    with pytest.raises(TypeError, match=r"say CustomLoss\(function\)"):
        Network((3, 1), loss=CustomLoss)
    with pytest.raises(TypeError, match="a function of z"):
        Network((3, 5, 1), cost)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda y_true, y_pred: (y_pred - y_true) ** 2, id="of scikit-learn"),
        pytest.param(lambda target, x: (target - x) ** 2, id="target first"),
        pytest.param(lambda x, output: (output - x) ** 2, id="output second"),
    ],
)
def test_a_loss_with_its_target_first_is_refused(function):
    """It would be learned the wrong way around."""
    with pytest.raises(TypeError, match="output comes first, so write"):
        Network((1, 1), loss=function)


def test_a_loss_without_bounds_takes_any_number():
    """The header of exported C, which learns, says so."""
    assert CustomLoss(cost).line.targets == "any number"
    assert CustomLoss(cost, low=0).line.targets == "numbers that are at least 0"


def test_targets_beyond_the_bounds_of_a_loss_are_refused():
    network = NETWORKS[3]
    with pytest.raises(ValueError, match=r"takes numbers that are at least 0; Y\[1, 0\] is -1"):
        train(network, np.zeros((2, 3)), [[1.0], [-1.0]], epochs=1)


def test_functions_are_tried_in_float32_before_they_are_trained_in_it():
    """There 1e-50 and 1e-60 are 0, and guard nothing."""
    rows = np.linspace(-1, 1, 12).reshape(6, 2).astype(np.float32)
    cases = {
        "the activation: its value is -inf at z = -0.9": Network(
            (2, 3, 1), lambda z: np.log(np.maximum(z, 1e-50))
        ),
        "the activation: its value is nan at z = 0": Network(
            (2, 3, 1), lambda z: z / np.sqrt(z * z + 1e-60)
        ),
        "the loss: its value is -inf at a = -0.9, y = -0.9": Network(
            (2, 1), loss=lambda a, y: np.log((a - y) ** 2 + 1e-60)
        ),
    }
    for fault, network in cases.items():
        with pytest.raises(ValueError, match=f"^{fault} in float32, .* or train in float64"):
            train(network, rows, rows[:, :1], epochs=1, seed=0)
        train(network, rows.astype(float), rows[:, :1], epochs=1, seed=0)
    loss = list(cases.values())[-1].loss
    with pytest.raises(ValueError, match="in float32"):
        MLPRegressor(loss=loss, max_iter=1).fit(rows, rows[:, 0])


def test_numbers_from_outside_are_read_once():
    factor = [3.0]

    def loss(a, y):
        return factor[0] * (a - y) ** 2

    network = Network((3, 1), loss=loss)
    factor[0] = 5.0
    assert network.loss == CustomLoss(lambda a, y: 3.0 * (a - y) ** 2)


@pytest.mark.parametrize("seed", range(12))
def test_a_formula_s_text_is_a_program_with_its_bits(seed):
    drawn = draw_formula(seed)
    value = drawn.formula._replace(results=drawn.formula.results[:1])
    lines, result = statements(value)
    names = {"np": np, "a": drawn.a, "y": drawn.y}
    exec("\n".join(lines), names)
    found = eval(result, names)
    np.testing.assert_allclose(found, evaluate(value, a=drawn.a, y=drawn.y)[0], rtol=1e-13)


# ------------------------------------------------------------------------- like registered ones


@pytest.mark.parametrize(
    "function",
    [
        lambda z: np.clip(z, 0.0, 3.0) + z,
        lambda z: np.clip(z, 0.0, a_max=3.0) + z,
        lambda z: np.clip(z, max=3.0, min=0.0) + z,
        lambda z: np.minimum(np.clip(z, a_min=0.0, a_max=None), 3.0) + z,
        lambda z: np.minimum(np.maximum(z, 0.0), 3.0) + z,
    ],
    ids=["by place", "mixed", "by name", "one bound", "functions"],
)
def test_bounds_of_clip_are_taken_by_their_names(function):
    z = np.linspace(-2, 5, 8)
    network = Network((1, 1, 1), CustomActivation(function), bias="none")
    outputs = predict(network, np.ones(2), z[:, None], backend="numpy")
    np.testing.assert_array_equal(outputs[:, 0], np.clip(z, 0.0, 3.0) + z)


def test_two_functions_of_one_formula_are_equal():
    assert CustomActivation(swish) == CustomActivation(lambda x: x * expit(x))
    assert CustomLoss(cost) != CustomLoss(cost, low=0)
    assert str(CustomLoss(cost)) == "CustomLoss(np.where(y > a, (y - a) * 3.0, a - y))"


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_trainings_of_both_back_ends_agree(network, dtype):
    _, X, Y, _ = draw_training(network, 30, dtype)
    options = {"optimizer": Adam(0.01), "epochs": 3, "batch_size": 8, "seed": 0}
    one = train(network, X, Y, backend="numpy", **options)
    other = train(network, X, Y, backend="numba", **options)
    np.testing.assert_allclose(one.params, other.params, atol=100 * np.finfo(dtype).eps)
    np.testing.assert_allclose(one.jacobian(X[:3]), other.jacobian(X[:3]), rtol=0.01)


def test_a_row_s_function_has_the_bits_of_predict(dtype):
    network = NETWORKS[1]
    problem = draw_training(network, 5, dtype)
    result = train(network, problem.X, problem.Y, epochs=1, seed=0)
    out = np.zeros(2, dtype)
    result.function()(problem.X[0].copy(), out)
    assert bits(out) == bits(result.predict(problem.X[:1])[0])


def test_a_specialized_back_end_has_the_same_bits():
    problem = draw_training(NETWORKS[0], 30)
    options = {"epochs": 3, "batch_size": 8, "seed": 0}
    special = get_backend("numba", specialize=True)
    one = train(NETWORKS[0], problem.X, problem.Y, **options, backend=special)
    assert_same_params(one, train(NETWORKS[0], problem.X, problem.Y, **options))


def test_levenberg_marquardt_takes_activations():
    problem = draw_training(Network((3, 5, 1)), 50)
    options = {"optimizer": LevenbergMarquardt(), "epochs": 5, "seed": 0}
    own = train(Network((3, 5, 1), np.tanh), problem.X, problem.Y, **options)
    registered = train(Network((3, 5, 1), "tanh"), problem.X, problem.Y, **options)
    np.testing.assert_allclose(own.history.loss, registered.history.loss, rtol=1e-6)


# ------------------------------------------------------------------------------------------ files

INPUT = ["input", "a"]
HOSTILE = {
    "no list": "a - y",
    "empty": [],
    "too long": [INPUT] + [["add", k, k] for k in range(MOST_NODES)],
    "unknown operation": [INPUT, ["system", 0]],
    "unknown input": [["input", "x"]],
    "no operands": [INPUT, ["add"]],
    "too many operands": [INPUT, ["exp", 0, 0]],
    "a later operand": [INPUT, ["exp", 1]],
    "a negative place": [INPUT, ["exp", -1]],
    "a place that is a text": [INPUT, ["exp", "0"]],
    "a place that is true": [INPUT, INPUT, ["exp", True]],
    "NaN": [INPUT, ["number", math.nan], ["mul", 0, 1]],
    "infinity": [INPUT, ["number", math.inf], ["mul", 0, 1]],
    "an integer": [INPUT, ["number", 3], ["mul", 0, 1]],
    "a text": [INPUT, ["number", "3.0"], ["mul", 0, 1]],
    "a dictionary": [INPUT, {"exp": 0}],
    "nested": [INPUT, [["exp"], 0]],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_formula_of_a_file_that_is_none_is_refused(name):
    described = NETWORKS[0].to_dict()
    described["loss"] = {"name": "custom_loss", "formula": HOSTILE[name]}
    with pytest.raises(ValueError, match="the loss is no formula of a and y"):
        Network.from_dict(described)


def test_a_formula_that_doubles_itself_is_shown_in_some_words():
    """Written out it would have 2**240 operations; its values are not finite."""
    nodes = [INPUT] + [["add", k, k] for k in range(240)]
    assert len(text(checked_formula("it", nodes, ("a", "y")))) < 1000
    nodes[1:] = [["tanh", 0], *(["mul", k, k] for k in range(1, 240))]
    assert len(repr(CustomLoss(nodes))) < 1000


@pytest.mark.parametrize(
    "part", [{"low": "no"}, {"high": math.nan}, {"depth": 3}, {"formula": None}]
)
def test_other_parts_of_a_described_loss_are_checked(part):
    described = NETWORKS[0].to_dict()
    described["loss"] |= part
    with pytest.raises((TypeError, ValueError)):
        Network.from_dict(described)


def test_a_function_is_no_formula_of_another_one():
    with pytest.raises(TypeError, match="it must be a function of z: 3 is none"):
        recorded("it", 3, ("z",))


def test_without_numba_an_error_says_what_is_needed(monkeypatch):
    def load_kernel(*arguments):
        raise ImportError("compiling a kernel needs numba", name="numba")

    monkeypatch.setattr(custom, "load_kernel", load_kernel)
    monkeypatch.setattr(custom, "IN_PYTHON", False)
    network = Network((2, 1), loss=lambda a, y: (a - y) ** 2 * 1.7320508)
    with pytest.raises(ImportError, match=r"by a function is compiled, once .* needs numba, which"):
        train(network, np.zeros((2, 2)), np.zeros(2), epochs=1)
    assert train(network, np.zeros((2, 2)), np.zeros(2), epochs=1, backend="numpy").n_epochs == 1
