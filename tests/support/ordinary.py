"""Narrow back ends: what a first kernel of one's own is, broken ones of that kind, and parts of the
reference."""

import numpy as np

from fastnn.backends import Backend
from fastnn.reference import NumpyBackend


class Ordinary(Backend):
    """One tanh layer, squared error, mean, plain gradient descent; it says so, and shares no line
    with the reference.

    Each argument of the constructor breaks it.
    """

    name = "ordinary"

    def __init__(self, slope=lambda h: 1 - h * h, divisor=lambda n: n, bias=1.0, sign=1.0):
        self.slope = slope
        self.divisor = divisor
        self.bias = bias
        self.sign = sign

    def supports(self, network, optimizer, alpha=0.0, sample_weight=False):
        known = (network.activation, network.output, network.loss) == (
            "tanh",
            "identity",
            "squared_error",
        )
        options = (network.bias, network.bias_gradient, network.reduction) == (
            "vector",
            "exact",
            "mean",
        )
        plain = optimizer.name == "SGD" and not optimizer.momentum and not optimizer.sequential
        return (
            known
            and options
            and plain
            and len(network.sizes) == 3
            and not alpha
            and not sample_weight
        )

    def predict(self, network, params, X, threads=None):
        (W1, W2), (b1, b2) = network.weights(params), network.biases(params)
        return np.tanh(X @ W1 + b1) @ W2 + b2

    def loss_and_gradient(self, network, params, data, alpha, threads=None):
        (W1, W2), (b1, b2) = network.weights(params), network.biases(params)
        h = np.tanh(data.X @ W1 + b1)
        difference = h @ W2 + b2 - data.Y
        delta = difference / self.divisor(len(data.X))
        below = delta @ W2.T * self.slope(h)
        parts = [data.X.T @ below, self.bias * below.sum(0), h.T @ delta, self.bias * delta.sum(0)]
        gradient = np.concatenate([part.ravel() for part in parts]).astype(params.dtype)
        return float((difference**2).sum() / (2 * len(data.X))), gradient

    def train_steps(self, task, state, steps):
        for s in range(len(steps.loss)):
            rows = steps.rows[steps.start[s] : steps.stop[s]]
            batch = type(task.data)(*(array[rows] for array in task.data))
            with np.errstate(all="ignore"):
                steps.loss[s], gradient = self.loss_and_gradient(
                    task.network, state.params, batch, task.alpha
                )
                state.params[...] -= self.sign * (
                    gradient * state.params.dtype.type(steps.learning_rate[s])
                )
            state.t += 1
            if not (np.isfinite(steps.loss[s]) and np.isfinite(state.params).all()):
                return s
        return len(steps.loss)


class ByStep(Ordinary):
    """Its steps are broken, its gradient is not."""

    def __init__(self, **broken):
        super().__init__()
        self.steps = Ordinary(**broken)

    def train_steps(self, *arguments):
        return self.steps.train_steps(*arguments)


_ALL = "gradient update training"
BROKEN = {
    "the slope of tanh is 1 - h": (lambda: Ordinary(slope=lambda h: 1 - h), _ALL),
    "no gradient by the bias": (lambda: Ordinary(bias=0.0), _ALL),
    "a mean over n - 1 rows": (lambda: Ordinary(divisor=lambda n: max(1, n - 1)), _ALL),
    "a sum in place of the mean": (lambda: Ordinary(divisor=lambda n: 1), _ALL),
    "steps uphill": (lambda: Ordinary(sign=-1.0), "update training"),
    "steps divided by the rows of a full batch": (
        lambda: ByStep(divisor=lambda n: 8),
        "update training",
    ),
}
"""How to make a broken one, and the kinds of checks that must say so by their own name; the other
kinds must pass."""


def only(**wanted):
    """The reference, which supports what these fields of the network or the optimizer say."""

    class Only(NumpyBackend):
        name = "only"

        def supports(self, network, optimizer, alpha=0.0, sample_weight=False):
            return all(  # asked some 100,000 times: no dictionary of all values
                (
                    _VALUES[name](network, optimizer, alpha)
                    if name in _VALUES
                    else getattr(network, name)
                )
                == value
                for name, value in wanted.items()
            )

    return Only()


_VALUES = {
    "sizes": lambda network, optimizer, alpha: len(network.sizes),
    "outputs": lambda network, optimizer, alpha: network.n_outputs,
    "by": lambda network, optimizer, alpha: optimizer.name,
    "alpha": lambda network, optimizer, alpha: alpha,
    "constant": lambda network, optimizer, alpha: not callable(optimizer.learning_rate),
}
"""What `only` can be asked for, besides attributes of the network."""
