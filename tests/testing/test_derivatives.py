"""check_gradient on any back end: central differences of its own loss, where complex steps cannot
be taken."""

import numpy as np
import pytest

from fastnn import Network, testing
from fastnn.losses import HIDDEN
from fastnn.network import BIASES, REDUCTIONS
from fastnn.reference import NumpyBackend
from fastnn.testing.cases import PAIRS, draw


class Real(NumpyBackend):
    """The reference without complex numbers; `loss` and `gradient` change its answers."""

    name = "real"
    accepts_complex = False

    def __init__(self, loss=lambda loss: loss, gradient=lambda gradient: gradient):
        self.change_loss = loss
        self.change_gradient = gradient

    def loss_and_gradient(self, network, params, data, alpha, threads=None):
        assert params.dtype.kind == "f"
        loss, gradient = super().loss_and_gradient(network, params, data, alpha)
        return self.change_loss(loss), self.change_gradient(gradient)


@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_the_kernel_s_gradient_is_the_derivative_of_its_own_loss(loss, output, dtype):
    first = PAIRS.index((loss, output))
    for k in range(first, first + 3):  # over all pairs, each activation many times
        sizes = (3, *((4,), (5, 2), (3, 3, 4))[k % 3], 2 + k % 2)
        others = (BIASES[k % 3], REDUCTIONS[k % 2])
        network = Network(
            sizes, HIDDEN[3 * k % len(HIDDEN)], output, loss, bias=others[0], reduction=others[1]
        )
        problem = draw(network, 7, dtype, seed=k)
        options = {"sample_weight": problem.sample_weight, "alpha": 0.3, "backend": "numba"}
        assert 0 < testing.check_gradient(network, *problem[:3], **options) <= 1


NETWORK = Network((3, 4, 2), "tanh")


def check(backend, dtype=np.float64, **options):
    return testing.check_gradient(NETWORK, *draw(NETWORK, 7, dtype)[:3], backend=backend, **options)


WRONG = {
    "too long": (lambda gradient: gradient * 1.1, "W of layer 1"),
    "the other way": (lambda gradient: -gradient, "W of layer 1"),
    "no bias of the output": (lambda gradient: gradient * (np.arange(26) < 24), "b of layer 1"),
    "one weight": (lambda gradient: gradient + 0.5 * (np.arange(26) == 3), "W of layer 0"),
    "no bias below": (
        lambda gradient: gradient * ((np.arange(26) < 12) | (np.arange(26) >= 16)),
        "b of layer 0",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_gradient_is_found_where_it_is(case, dtype):
    assert check(Real(), dtype) < 0.1
    change, where = WRONG[case]
    match = f"gradient of real by {where}, along a random direction: .* where the loss of real has"
    with pytest.raises(AssertionError, match=match):
        check(Real(gradient=lambda gradient: change(gradient).astype(dtype)), dtype)


@pytest.mark.parametrize(("size", "loss"), [(1e-4, None), (1e-10, "numpy")])
def test_a_gradient_wrong_by_a_ten_thousandth_is_found(size, loss):
    """An error of a ten-billionth is found by a complex step, in float64."""
    with pytest.raises(AssertionError):
        check(Real(gradient=lambda gradient: gradient * (1 + size)), loss=loss)


def test_its_own_loss_is_what_counts():
    """Twice the loss has twice the gradient; whether that is the right loss is another question."""
    twice = Real(lambda loss: 2 * loss, lambda gradient: 2 * gradient)
    check(twice)
    with pytest.raises(
        AssertionError, match=r"by W of layer 1 \[.*\] is .* on real and .* on the complex step"
    ):
        check(twice, loss="numpy")


def test_rows_that_cross_a_kink_on_the_way_are_left_out():
    network = Network((3, 5, 2), bias="none")
    problem = draw(network, 9)
    params = problem.params.copy()
    X = problem.X
    W = network.weights(params)[0]
    W[0] = -(X[2, 1:] @ W[1:]) / X[2, 0] + 1e-7  # near enough for a step of 6e-6
    assert testing.away_from_kinks(network, params, X, problem.Y).all()
    testing.check_gradient(network, params, X, problem.Y, backend=Real())
    with pytest.raises(ValueError, match="each row lies so near a kink that a step crosses it"):
        testing.check_gradient(network, params, X[2:3], problem.Y[2:3], backend=Real())


def test_a_back_end_of_float32_is_told_from_a_wrong_one():
    rounded = Real(gradient=lambda gradient: gradient.astype(np.float32))
    with pytest.raises(
        ValueError, match="real computes float32 from float64: give parameters of float32"
    ):
        check(rounded)
    check(rounded, np.float32)
