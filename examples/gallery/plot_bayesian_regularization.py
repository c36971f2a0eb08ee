"""
A penalty that finds itself
===========================

Bayesian regularization (MATLAB's `trainbr`) trains by Levenberg-Marquardt and finds the
strength of its penalty on the way. The number of parameters that the data determine,
gamma, comes with it: a network may be too wide without harm.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import (
    BayesianRegularization,
    LevenbergMarquardt,
    Network,
    train,
    train_many,
)

# %%
# A triangle of a hundred noisy points
# ------------------------------------
# Foresee and Hagan's example, 1-2-1, beside 1-20-1 with the penalty and without.
X = np.linspace(-1, 1, 100)[:, None]
triangle = 4 * abs((X / 2 + 0.75) % 1 - 0.5) - 1
Y = triangle + 0.1 * np.random.RandomState(0).standard_normal(X.shape)

options = {"epochs": 1000, "seed": 0}
small = train(
    Network((1, 2, 1), "tanh"), X, Y, optimizer=BayesianRegularization(), **options
)
wide = train(
    Network((1, 20, 1), "tanh"), X, Y, optimizer=BayesianRegularization(), **options
)
by_heart = train(
    Network((1, 20, 1), "tanh"), X, Y, optimizer=LevenbergMarquardt(), **options
)
for name, result in (("1-2-1", small), ("1-20-1", wide)):
    noise = np.sqrt(2 * result.history.loss[-1])
    print(
        f"{name}: {result.stop_reason} after {result.n_epochs} "
        f"epochs, {result.gamma:.1f} of "
        f"{result.network.n_params} parameters, noise of {noise:.3f}"
    )

fine = np.linspace(-1, 1, 1000)[:, None]
figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True)
for ax, curves in zip(
    axes,
    (
        [("1-2-1, 7 parameters", small, "C0")],
        [("1-20-1 with it", wide, "C0"), ("1-20-1 without", by_heart, "C1")],
    ),
    strict=True,
):
    ax.plot(X, Y, ".", color="C6", markersize=5)
    ax.plot(X, triangle, color="black", linewidth=0.8, label="without noise")
    for label, result, color in curves[::-1]:
        ax.plot(
            fine,
            result.predict(fine),
            color=color,
            linewidth=2 if color == "C0" else 1.2,
            label=label,
        )
    ax.set_xlabel("x")
    ax.set_xticks([-1, -0.5, 0, 0.5, 1])
    ax.legend(loc="upper right", fontsize=9)
axes[0].set_ylabel("y")
axes[0].set_title("Bayesian regularization, 1-2-1")
axes[1].set_title("Twenty neurons")
axes[0].set_ylim(-1.5, 1.9)
plt.show()

# %%
# Gamma over the width
# --------------------
# Parameters grow with the width, gamma does not: what the hundred points determine is
# there from five neurons on. Ten starts each; the error is that beside the triangle
# without noise.
widths = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30]
rows = []
for width in widths:
    network = Network((1, width, 1), "tanh")
    many = train_many(
        network, X, Y, optimizer=BayesianRegularization(), epochs=1000, seed=range(10)
    )
    plain = train_many(
        network, X, Y, optimizer=LevenbergMarquardt(), epochs=1000, seed=range(10)
    )
    errors = [
        np.sqrt(
            ((each.predict(fine) - np.interp(fine, X[:, 0], triangle[:, 0])) ** 2).mean(
                axis=(1, 2)
            )
        )
        for each in (many, plain)
    ]
    rows.append(
        (
            network.n_params,
            np.median([one.gamma for one in many]),
            *map(np.median, errors),
        )
    )
n_params, gamma, error, plain_error = np.array(rows).T

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6))
left.plot(widths, n_params, "o-", color="gray", label="parameters")
left.plot(widths, gamma, "o-", color="C0", label="gamma: those that the data determine")
left.set_xlabel("hidden neurons")
left.set_title("How many parameters")
left.set_ylim(0, 115)
left.legend(loc="upper left")
right.plot(widths, plain_error, "o-", color="C1", label="Levenberg-Marquardt")
right.plot(widths, error, "o-", color="C0", label="Bayesian regularization")
right.set_xlabel("hidden neurons")
right.set_ylabel("error beside the triangle")
right.set_yscale("log")
right.set_title("How far from the truth")
right.legend()
plt.show()

print(
    f"gamma at {widths[-1]} neurons: {gamma[-1]:.1f} of {n_params[-1]:.0f} parameters"
)
