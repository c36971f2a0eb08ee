"""What `Backend` does for its subclasses, what it asks them, and which of their methods
`train_many` calls."""

import functools

import numpy as np
import pytest
from bits import assert_same_params

from fastnn import SGD, Network, Stop, train, train_many
from fastnn.backends import Backend, Wrapper, get_backend
from fastnn.fused.backend import NumbaBackend
from fastnn.reference import NumpyBackend
from fastnn.state import Data, Task


class Choosy(NumpyBackend):
    """Declines the penalty, row weights and momentum; remembers what it was asked."""

    name = "choosy"

    def __init__(self):
        self.asked = []

    def supports(self, network, optimizer, alpha=0.0, sample_weight=False):
        self.asked.append((alpha, sample_weight))
        return not alpha and not sample_weight and getattr(optimizer, "momentum", 0) == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"alpha": 0.5}, "cannot train this network with SGD and alpha=0.5: give alpha=0"),
        ({"sample_weight": [1.0, 2.0]}, "with SGD and sample_weight: leave the weights out"),
        (
            {"stop": Stop(validation=(np.ones((1, 3)), [[1.0]], [2.0]))},
            "with SGD and sample_weight",
        ),
        ({"optimizer": SGD(momentum=0.9), "alpha": 0.5}, "cannot train this network with SGD$"),
    ],
)
def test_supports_is_asked_about_the_options_of_the_training(given, words):
    options = {"optimizer": SGD(), "epochs": 1, "backend": Choosy()} | given
    with pytest.raises(ValueError, match=words):
        train(Network((3, 1)), np.ones((2, 3)), [[1.0], [0.0]], **options)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, r"with SGD and alpha=0\.0001: give alpha=0"),
        ({"alpha": 0, "momentum": 0.9}, "cannot train this network with SGD$"),
        ({"alpha": 0, "solver": "adam", "sample_weight": [1.0, 2.0, 3.0]}, "leave the weights out"),
    ],
)
def test_the_estimators_ask_too(given, words):
    models = pytest.importorskip("fastnn.estimators")
    options = {
        "solver": "sgd",
        "momentum": 0.0,
        "max_iter": 2,
        "tol": 0.0,
        "random_state": 0,
    } | given
    weight = options.pop("sample_weight", None)
    model = models.MLPRegressor(**options, backend=Choosy())
    X = np.arange(6.0).reshape(3, 2)
    y = [0.0, 1.0, 0.5]
    if weight:
        with pytest.warns(UserWarning, match="Maximum iterations"):
            model.fit(X, y)
    with pytest.raises(ValueError, match=words):
        model.fit(X, y, sample_weight=weight)


def test_loss_of_a_task_is_that_of_loss_and_gradient(backend, dtype):
    """The gradient comes where it is asked for, from a `loss` that a back end overrides, and from
    the default."""
    network = Network((3, 4, 2), "tanh")
    r = np.random.RandomState(0)
    X, Y, params = (
        r.standard_normal(shape).astype(dtype) for shape in ((7, 3), (7, 2), network.n_params)
    )
    back_end = get_backend(backend)
    data = Data(X, Y, np.ones(7, dtype))
    loss, gradient = back_end.loss_and_gradient(network, params, data, 0.25)
    written = np.empty_like(params)
    task = Task(network, SGD(), data, 0.25)
    for method in (
        back_end.loss,
        Wrapper(back_end).loss,
        functools.partial(Backend.loss, back_end),
    ):
        written.fill(np.nan)
        assert method(task, params) == method(task, params, written) == loss
        np.testing.assert_array_equal(written, gradient)


def counting(name):
    def counted(self, *given):
        self.n_calls += 1
        return getattr(NumbaBackend, name)(self, *given)

    return type(name, (NumbaBackend,), {"n_calls": 0, name: counted})


Stepping = counting("train_steps")
Grouping = counting("train")
Both = type("Both", (NumbaBackend,), vars(Stepping) | {"train": Grouping.train})
Higher = type("Higher", (Both,), {"train_steps": Stepping.train_steps})
Mixed = type("Mixed", (Stepping, Grouping), {})


def Instance():
    """The kernel itself, with a `train_steps` that was set on this object."""
    backend = NumbaBackend()
    backend.n_calls = 0
    backend.train_steps = functools.partial(Stepping.train_steps, backend)
    return backend


@pytest.mark.parametrize(
    ("kind", "n_calls"),
    [(Instance, 8), (Stepping, 8), (Grouping, 1), (Both, 1), (Higher, 16), (Mixed, 16)],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_a_class_on_top_of_the_kernel_is_called_for_each_member_unless_it_trains_groups(
    kind, n_calls
):
    """Its `train_steps` is not left out in `train_many`; the results are the kernel's, with a stop
    rule and without."""
    r = np.random.RandomState(0)
    backend = kind()
    options = {
        "X": r.standard_normal((10, 3)),
        "Y": r.standard_normal((10, 1)),
        "epochs": 2,
        "seed": range(8),
    }
    options |= {"networks": Network((3, 2, 1)), "n_jobs": 1}
    assert_same_params(train_many(**options, backend=backend), train_many(**options))
    assert backend.n_calls == n_calls
    options["stop"] = Stop(validation=0.3, patience=1)
    assert_same_params(train_many(**options, backend=backend), train_many(**options))
    assert backend.n_calls > n_calls


def test_a_wrapper_does_what_the_back_end_below_does(dtype):
    """All but train groups and decide within calls, by which it would not be asked."""
    kernel = get_backend("numba")
    network = Network((3, 4, 2), "tanh")
    r = np.random.RandomState(0)
    X, params = (r.standard_normal(shape).astype(dtype) for shape in ((7, 3), network.n_params))
    wrapper = Wrapper(kernel)
    data = Data(X, X[:, :2].copy(), np.ones(7, dtype))
    assert (wrapper.name, wrapper.takes_options, wrapper.whole_batches) == ("numba", True, False)
    assert not wrapper.trains_groups
    assert not wrapper.decides(Task(network, SGD(), data), 7, None)
    for method, given in (
        ("predict", (network, params, X)),
        ("loss_and_gradient", (network, params, data, 0.1)),
        ("input_jacobian", (network, params, X)),
        ("supports", (network, SGD())),
    ):
        below, above = (getattr(backend, method)(*given) for backend in (kernel, wrapper))
        np.testing.assert_equal(above, below)


def test_derivatives_by_inputs_are_numpys_by_default():
    class Plain(Wrapper):
        """A back end without `input_jacobian`."""

        def __init__(self, backend):
            super().__init__(backend)
            self.input_jacobian = None

    network = Network((2, 3, 1), "tanh")
    X = np.arange(4.0).reshape(2, 2)
    plain = Plain(get_backend("numba"))
    result = train(network, X, X[:, 0], epochs=1, seed=0, backend=plain)
    expected = get_backend("numpy").input_jacobian(network, result.params, X)
    np.testing.assert_array_equal(result.jacobian(X), expected)
