"""What a panel computes in its padding shows in no bit."""

import numpy as np
import pytest
from padded import assert_single_rows_are_panels

from fastnn import Network, loss_and_gradient, testing
from fastnn.losses import HIDDEN


def test_a_single_row_has_the_bits_of_a_panel(dtype):
    """With other vectors: in test_same_bits.py."""
    assert_single_rows_are_panels(dtype, 300)


@pytest.mark.nojit
@pytest.mark.parametrize("activation", HIDDEN)
def test_huge_biases_do_not_show_in_padding(activation, dtype):
    """In padding z is the bias, which overflows when squared; in each row that counts it cancels."""
    network = Network((1, 3, 2), activation)
    params = np.linspace(-1, 1, network.n_params, dtype=dtype)
    huge = np.sqrt(np.finfo(dtype).max) * 4
    (W, _), (b, _) = network.weights(params), network.biases(params)
    W[0, 1], b[1] = -huge, huge
    X, Y, weight = np.ones((5, 1), dtype), np.full((5, 2), 0.5, dtype), np.array([1, 1, 0, 1, 1], dtype)
    X[2] = 7
    expected = loss_and_gradient(network, params, X, Y, sample_weight=weight, backend="numpy")
    assert np.isfinite(expected[1]).all()
    testing.assert_gradients_match(network, params, X, Y, sample_weight=weight, backend="numba")
