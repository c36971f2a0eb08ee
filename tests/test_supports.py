"""What a back end supports: the driver and the estimators ask it with the options of the training."""

import numpy as np
import pytest

from fastnn import SGD, Network, Stop, train
from fastnn.reference import NumpyBackend


class Choosy(NumpyBackend):
    """Has no more than the interface. Declines the penalty, row weights and momentum; remembers what it was asked."""

    name = "choosy"

    def __init__(self):
        self.asked = []

    def supports(self, network, optimizer, *, alpha=0.0, sample_weight=False):
        self.asked.append((alpha, sample_weight))
        return not alpha and not sample_weight and getattr(optimizer, "momentum", 0) == 0

    def train_steps(self, task, state, steps):
        return super().train_steps(task, state, steps)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"alpha": 0.5}, "cannot train this network with SGD and alpha=0.5: give alpha=0"),
        ({"sample_weight": [1.0, 2.0]}, "with SGD and sample_weight: leave the weights out"),
        ({"stop": Stop(validation=(np.ones((1, 3)), [[1.0]], [2.0]))}, "with SGD and sample_weight"),
        ({"optimizer": SGD(momentum=0.9), "alpha": 0.5}, "cannot train this network with SGD$"),
    ],
)
def test_supports_is_asked_about_the_options_of_the_training(given, words):
    options = {"optimizer": SGD(), "epochs": 1, "backend": Choosy()} | given
    with pytest.raises(ValueError, match=words):
        train(Network((3, 1)), np.ones((2, 3)), [[1.0], [0.0]], **options)


def test_supports_is_not_asked_about_options_that_it_does_not_take():
    class Old(NumpyBackend):
        def supports(self, network, optimizer):
            return True

    class Half(NumpyBackend):
        def supports(self, network, optimizer, alpha=0.0):
            return alpha < 1

    class Anything(Choosy):
        def supports(self, network, optimizer, **options):
            return super().supports(network, optimizer, **options)

    given = {"optimizer": SGD(), "epochs": 1, "alpha": 0.5, "sample_weight": [1.0, 2.0]}
    problem = Network((3, 1)), np.ones((2, 3)), [[1.0], [0.0]]
    assert train(*problem, **given, backend=Old()).n_epochs == 1
    assert train(*problem, **given, backend=Half()).n_epochs == 1
    with pytest.raises(ValueError, match=r"alpha=0\.5"):
        train(*problem, **given, backend=(backend := Anything()))
    assert backend.asked[0] == (0.5, True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, r"with SGD and alpha=0\.0001: give alpha=0"),
        ({"alpha": 0, "momentum": 0.9}, "cannot train this network with SGD$"),
        ({"alpha": 0, "solver": "adam"}, None),
    ],
)
def test_the_estimators_ask_too(given, words):
    models = pytest.importorskip("fastnn.estimators")
    options = {"solver": "sgd", "momentum": 0.0, "max_iter": 2, "tol": 0.0, "random_state": 0} | given
    model = models.MLPRegressor(**options, backend=Choosy())
    X, y = np.arange(6.0).reshape(3, 2), [0.0, 1.0, 0.5]
    if words is not None:
        with pytest.raises(ValueError, match=words):
            model.fit(X, y)
        return
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(X, y)
    with pytest.raises(ValueError, match="leave the weights out"):
        model.fit(X, y, sample_weight=[1.0, 2.0, 3.0])


def test_the_estimators_train_several_outputs_on_a_back_end_of_ones_own():
    """Without the penalty, which asks for more than the interface has: see the xfail in test_estimators.py."""
    models = pytest.importorskip("fastnn.estimators")
    options = {"alpha": 0.0, "solver": "adam", "max_iter": 30, "tol": 0.0, "random_state": 0}
    X = np.random.RandomState(0).randn(40, 2)
    fitted = []
    for backend in (Choosy(), "numpy"):
        with pytest.warns(UserWarning, match="Maximum iterations"):
            fitted.append(models.MLPRegressor(**options, backend=backend).fit(X, np.c_[X.sum(1), X.prod(1)]))
    mine, numpy_ = fitted
    assert mine.loss_curve_ == numpy_.loss_curve_
    for a, b in zip(mine.coefs_, numpy_.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
