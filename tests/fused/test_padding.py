"""What a panel computes in its padding shows in no bit."""

import numpy as np
import pytest
from padded import assert_single_rows_are_panels
from survival import python
from test_same_bits import MACHINES, lacking

from fastnn import Network, loss_and_gradient, testing
from fastnn.losses import HIDDEN


def test_a_single_row_has_the_bits_of_a_panel(dtype):
    assert_single_rows_are_panels(dtype, 300)


IN_FLOAT32 = """
import numpy as np, padded
padded.assert_single_rows_are_panels(np.float32, 300)
print("the same bits")
"""


@pytest.mark.parametrize("machine", ["haswell"])
def test_a_single_row_has_the_bits_of_a_panel_with_other_vectors(machine):
    if missing := lacking(MACHINES[machine]):
        pytest.skip(f"this machine cannot run code for {machine}: it has no {', '.join(missing)}")
    assert python(IN_FLOAT32, **MACHINES[machine].environment) == ["the same bits"]


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
