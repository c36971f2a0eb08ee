"""The data of the driver's tests, and `train` on them."""

import numpy as np
import pytest
from small_training import NETWORK, N

from fastnn import Adam, train


@pytest.fixture(scope="module")
def data():
    random_state = np.random.RandomState(0)
    X = random_state.randn(N, 3)
    a, b, c = X.T
    return X, np.stack([np.sin(a), b * c], axis=1)


@pytest.fixture
def go(data, backend):
    """`train` on the data with some options; 5 steps an epoch, the last of 3 rows."""
    defaults = {"optimizer": Adam(0.01), "epochs": 6, "batch_size": 5, "backend": backend}

    def run(X=data[0], Y=data[1], network=NETWORK, **options):
        seed = None if "resume" in options else 3
        return train(network, X, Y, **defaults | {"seed": seed} | options)

    return run
