"""Arguments that are right, of which a test changes one, and what is said of the changed ones."""

import numpy as np
import pytest
from numpy.random import RandomState

from fastnn import Network, loss_and_gradient, predict, train

NETWORK = Network((3, 4, 2), "tanh")
N = 12
X = RandomState(0).standard_normal((N, 3))
Y = np.sin(X[:, :2])
WEIGHT = np.linspace(1, 2, N)
PARAMS = NETWORK.init_params(RandomState(1))
RESULT = train(NETWORK, X, Y, epochs=1, seed=0, backend="numpy")


def with_value(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def labels_network(loss="cross_entropy", output="softmax"):
    return Network((3, 2), output=output, loss=loss)


def refusal(function, *args, **options):
    """The exception of a call, as its type and text."""
    with pytest.raises((ValueError, TypeError, MemoryError)) as caught:
        function(*args, **options)
    return caught.type, str(caught.value)


def assert_refused(case, function):
    """Assert that both back ends refuse changed arguments, with this exception and text."""
    changed, kind, text = case
    given = {
        train: {"network": NETWORK, "X": X, "Y": Y, "epochs": 1, "seed": 0},
        predict: {"network": NETWORK, "params": PARAMS, "X": X},
        loss_and_gradient: {"network": NETWORK, "params": PARAMS, "X": X, "Y": Y},
    }[function]
    refusals = [refusal(function, **given | changed, backend=name) for name in ("numpy", "numba")]
    assert refusals[0] == refusals[1]
    assert refusals[0][0] is kind
    assert text in refusals[0][1]
    assert len(refusals[0][1]) < 400, "it is short, however large the arguments are"
    assert "assume_finite" in changed or "assume_finite" not in refusals[0][1]
