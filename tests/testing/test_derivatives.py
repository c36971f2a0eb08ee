"""check_gradient on any back end: central differences of its own loss, where complex steps cannot be taken."""

import numpy as np
import pytest

from fastnn import Network, testing
from fastnn.losses import HIDDEN
from fastnn.network import BIASES, REDUCTIONS
from fastnn.reference import NumpyBackend
from fastnn.testing.cases import PAIRS, draw


class Real(NumpyBackend):
    """The reference without complex numbers; `loss` and `gradient` change what it says."""

    name = "real"
    accepts_complex = False

    def __init__(self, loss=lambda loss: loss, gradient=lambda gradient: gradient):
        self.loss, self.gradient = loss, gradient

    def loss_and_gradient(self, network, params, data, alpha):
        assert params.dtype.kind == "f"
        loss, gradient = super().loss_and_gradient(network, params, data, alpha)
        return self.loss(loss), self.gradient(gradient)


@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_the_kernel_s_gradient_is_the_derivative_of_its_own_loss(loss, output, dtype):
    first = PAIRS.index((loss, output))
    for k in range(first, first + 3):  # over all pairs, each activation many times
        network = Network(
            (3, *((4,), (5, 2), (3, 3, 4))[k % 3], 2 + k % 2),
            HIDDEN[3 * k % len(HIDDEN)],
            output,
            loss,
            bias=BIASES[k % 3],
            reduction=REDUCTIONS[k % 2],
        )
        problem = draw(network, 7, dtype, seed=k)
        options = {"sample_weight": problem.sample_weight, "alpha": 0.3, "backend": "numba"}
        assert 0 < testing.check_gradient(network, *problem[:3], **options) <= 1


WRONG = {
    "too long": (lambda gradient: gradient * 1.1, "W of layer 1"),
    "the other way": (lambda gradient: -gradient, "W of layer 1"),
    "no bias of the output": (lambda gradient: gradient * (np.arange(26) < 24), "b of layer 1"),
    "one weight": (lambda gradient: gradient + 0.5 * (np.arange(26) == 3), "W of layer 0"),
    "no bias below": (lambda gradient: gradient * ((np.arange(26) < 12) | (np.arange(26) >= 16)), "b of layer 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_gradient_is_found_where_it_is(case, dtype):
    network = Network((3, 4, 2), "tanh")
    problem = draw(network, 7, dtype)
    assert testing.check_gradient(network, *problem[:3], backend=Real()) < 0.1
    change, where = WRONG[case]
    wrong = Real(gradient=lambda gradient: change(gradient).astype(dtype))
    match = f"gradient of real by {where}, along a random direction: .* where the loss of real has"
    with pytest.raises(AssertionError, match=match):
        testing.check_gradient(network, *problem[:3], backend=wrong)


def test_a_gradient_wrong_by_a_ten_thousandth_is_found():
    """An error of a ten-billionth is found by a complex step, in float64."""
    network = Network((3, 4, 2), "tanh")
    problem = draw(network, 7)
    for size, loss in ((1e-4, None), (1e-10, "numpy")):
        wrong = Real(gradient=lambda gradient, size=size: gradient * (1 + size))
        with pytest.raises(AssertionError):
            testing.check_gradient(network, *problem[:3], backend=wrong, loss=loss)


def test_its_own_loss_is_what_counts():
    """Twice the loss has twice the gradient; whether that is the right loss is another question."""
    network = Network((3, 4, 2), "tanh")
    problem = draw(network, 7)
    twice = Real(lambda loss: 2 * loss, lambda gradient: 2 * gradient)
    testing.check_gradient(network, *problem[:3], backend=twice)
    with pytest.raises(
        AssertionError, match=r"gradient by W of layer 1 \[.*\] is .* on real and .* on the complex step"
    ):
        testing.check_gradient(network, *problem[:3], backend=twice, loss="numpy")


def test_rows_that_cross_a_kink_on_the_way_are_left_out():
    network = Network((3, 5, 2), bias="none")
    problem = draw(network, 9)
    params, X = problem.params.copy(), problem.X
    W = network.weights(params)[0]
    W[0] = -(X[2, 1:] @ W[1:]) / X[2, 0] + 1e-7  # near enough for a step of 6e-6
    assert testing.away_from_kinks(network, params, X, problem.Y).all()
    testing.check_gradient(network, params, X, problem.Y, backend=Real())
    with pytest.raises(ValueError, match="each row lies so near a kink that a step crosses it"):
        testing.check_gradient(network, params, X[2:3], problem.Y[2:3], backend=Real())


def test_a_back_end_of_float32_is_told_from_a_wrong_one():
    def rounded(gradient):
        return gradient.astype(np.float32)

    network = Network((3, 4, 2), "tanh")
    problem = draw(network, 7)
    with pytest.raises(ValueError, match="real computes float32 from float64: give parameters of float32"):
        testing.check_gradient(network, *problem[:3], backend=Real(gradient=rounded))
    params, X, Y = (array.astype(np.float32) for array in problem[:3])
    testing.check_gradient(network, params, X, Y, backend=Real(gradient=rounded))
