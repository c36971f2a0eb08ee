"""The tutorial's training loop in bare NumPy, with which the project began: the baseline of "times
NumPy".

The module needs NumPy only and knows nothing of the rest of the package. Its data, its network and
its three oddities (one scalar bias a layer; a bias gradient multiplied by the bias itself; layer 1
trained through the already updated layer 2) are explained in ``docs/tutorials/seed.md``.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# All eight rows of three bits; the target is the third bit. The first six rows train, the last two
# test.
X: Array = np.array(
    [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1]], dtype=np.float64
)
Y: Array = np.array([[0], [1], [0], [1], [0], [1]], dtype=np.float64)
X_TEST: Array = np.array([[1, 1, 0], [1, 1, 1]], dtype=np.float64)
Y_TEST: Array = np.array([[0], [1]], dtype=np.float64)

N_HIDDEN = 5
N_ITERATIONS = 100
INITIAL_BIAS = 1.0


class Weights(NamedTuple):
    """The trained parameters: two matrices and two numbers."""

    w1: Array  # (3, 5)
    w2: Array  # (5, 1)
    b1: float
    b2: float


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), elementwise."""
    return 1.0 / (1.0 + np.exp(-z))


def initial_weights(seed: int) -> Weights:
    """Draw w1 and then w2 from the standard normal distribution of ``RandomState(seed)``; both
    biases are 1.
    """
    random_state = np.random.RandomState(seed)
    w1 = random_state.randn(X.shape[1], N_HIDDEN)
    w2 = random_state.randn(N_HIDDEN, Y.shape[1])
    return Weights(w1, w2, INITIAL_BIAS, INITIAL_BIAS)


def train(weights: Weights, n_iterations: int = N_ITERATIONS) -> tuple[Weights, Array]:
    """Train from some weights, which stay, on the six rows, all of them in every iteration, with
    learning rate 1.

    Return the trained weights, and the error of each iteration (n_iterations,), taken before its
    update.
    """
    w1 = weights.w1.copy()
    w2 = weights.w2.copy()
    b1 = weights.b1
    b2 = weights.b2
    errors = np.empty(n_iterations)
    for i in range(n_iterations):
        a1 = sigmoid(X @ w1 + b1)  # (6, 5)
        a2 = sigmoid(a1 @ w2 + b2)  # (6, 1)
        errors[i] = np.sum((Y - a2) ** 2 / 2)

        d2 = (a2 - Y) * a2 * (1 - a2)  # (6, 1)
        dw2 = a1.T @ d2
        db2 = np.sum(d2 * b2)
        w2 -= dw2  # layer 2 is updated first ...
        b2 -= db2

        d1 = (d2 @ w2.T) * a1 * (1 - a1)  # (6, 5), ... and layer 1 sees the new w2
        dw1 = X.T @ d1
        db1 = np.sum(d1 * b1)
        w1 -= dw1
        b1 -= db1
    return Weights(w1, w2, float(b1), float(b2)), errors


def predict(weights: Weights, rows: Array) -> Array:
    """Return the outputs, shape (n, 1), for inputs of shape (n, 3)."""
    return sigmoid(sigmoid(rows @ weights.w1 + weights.b1) @ weights.w2 + weights.b2)


def flat(weights: Weights) -> Array:
    """Return all 22 numbers as ``Network`` lays them out: w1, b1, w2, b2."""
    return np.concatenate([weights.w1.ravel(), [weights.b1], weights.w2.ravel(), [weights.b2]])
