"""
It learns, so it must be right? A bug found and read
====================================================

Somebody has written a kernel of their own: a function for the loss and its gradient. It
trains, and its loss falls. `fastnn.testing` compares it with the reference all the
same, and says what is wrong.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import Network, loss_and_gradient, testing
from fastnn.backends import Data
from fastnn.reference import NumpyBackend

network = Network((4, 6, 2), activation="tanh")

# %%
# Three kernels
# -------------
# The first one is right. In the second one somebody has forgotten a square: the
# derivative of tanh is 1 - h². The third one keeps the hidden layer in single
# precision.


def kernel(slope=lambda h: 1 - h**2, hidden=np.tanh):
    def function(params, X, Y):
        (W1, W2), (b1, b2) = network.weights(params), network.biases(params)
        h = hidden(X @ W1 + b1)
        delta2 = (h @ W2 + b2 - Y) / len(X)
        delta1 = delta2 @ W2.T * slope(h)
        gradient = [X.T @ delta1, delta1.sum(axis=0), h.T @ delta2, delta2.sum(axis=0)]
        return len(X) / 2 * (delta2**2).sum(), np.concatenate(
            [part.ravel() for part in gradient]
        )

    return function


kernels = {
    "right": kernel(),
    "a square forgotten": kernel(slope=lambda h: 1 - h),
    "single precision": kernel(
        hidden=lambda z: np.tanh(z.astype(np.float32)).astype(z.dtype)
    ),
}

# %%
# All three learn
# ---------------
# Gradient descent on the same data from the same start.

random_state = np.random.RandomState(0)
X = random_state.normal(0, 1, (200, 4))
Y = np.column_stack([np.sin(X[:, 0]) + X[:, 1], X[:, 2] * X[:, 3]])
start = network.init_params(np.random.RandomState(1), np.float64)
losses = {}
for name, function in kernels.items():
    params = start.copy()
    losses[name] = []
    for _ in range(300):
        loss, gradient = function(params, X, Y)
        params -= 0.1 * gradient
        losses[name].append(loss)

# %%
# What the comparison says
# ------------------------
# A back end of a few lines, the reference with the kernel in place of its gradient, is
# compared with the reference on the same parameters and rows.


class Mine(NumpyBackend):
    name = "mine"

    def __init__(self, function):
        self.function = function

    def loss_and_gradient(self, network, params, data, alpha, threads=None):
        return self.function(params, data.X, data.Y)


def verdict(function):
    """Return what the comparison says of a kernel."""
    try:
        part = testing.assert_gradients_match(
            network, start, X, Y, backend=Mine(function)
        )
    except AssertionError as error:
        return str(error)
    return f"at most {part:.2f} of what rounding may cause"


print(verdict(kernels["right"]))

# %%
# Of the forgotten square it names the layer and the number that is off the most. Layer
# 0 is wrong and nothing is said of layer 1, so the outputs and their delta are right,
# and the bug is on the way from layer 1 to layer 0:

print(verdict(kernels["a square forgotten"]))

# %%
# The other one has a right formula: its numbers agree to seven digits, where sixteen
# are asked for. The difference is in the loss already, so the bug is in the forward
# pass:

print(verdict(kernels["single precision"]))

# %%
# Seen together
# -------------
# On the left the loss of all three falls, and two of the lines are one; who sees the
# third alone blames the learning rate. On the right each dot is a number of the
# gradient at the start, and its distance to the reference in units of what rounding may
# cause. Above 1 it is no rounding.

rows = Data(X, Y, np.ones(len(X)))
unit = (
    testing.GRADIENT_FACTOR * testing.longest_sum(network, len(X)) * np.finfo(float).eps
)
allowed = unit * testing.gradient_scale(network, start, rows)
_, expected = loss_and_gradient(network, start, X, Y, backend="numpy")

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), width_ratios=(2, 3))
styles = ("C0", "o", "-"), ("C1", "^", "--"), ("C2", "s", ":")
for (name, function), (color, marker, line) in zip(
    kernels.items(), styles, strict=True
):
    left.plot(losses[name], line, color=color, label=name)
    distance = np.abs(function(start, X, Y)[1] - expected) / allowed
    right.plot(
        np.maximum(distance, 1e-4), marker, color=color, markersize=5, label=name
    )
left.set_yscale("log")
left.set_yticks([0.3, 0.5, 1], ["0.3", "0.5", "1"])
left.minorticks_off()
left.set_xlabel("step")
left.set_ylabel("loss")
left.set_title("All three learn")
left.legend()
right.axhline(1, color="C6", linestyle="--")
right.set_yscale("log")
right.set_ylim(3e-5, 1e18)
right.set_yticks(10.0 ** np.arange(-4, 15, 3))
edges = [
    0,
    *(part.stop for layer in network.layers for part in (layer.weight, layer.bias)),
]
for low, high, name in zip(
    edges[:-1],
    edges[1:],
    ("weights 0", "biases 0", "weights 1", "biases 1"),
    strict=True,
):
    right.axvline(high - 0.5, color="#cccccc", linewidth=1)
    right.text(
        (low + high - 1) / 2,
        0.97,
        name.replace(" ", "\n"),
        ha="center",
        va="top",
        transform=right.get_xaxis_transform(),
    )
right.set_xlim(-1, edges[-1] + 0.5)
right.grid(visible=False, axis="x")
right.set_xlabel("number of the gradient")
right.set_ylabel("distance / what rounding may cause")
right.set_title("One of them is right")
plt.show()
