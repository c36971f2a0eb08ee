"""
The landscape of a thousand networks
====================================

Which learning rate goes with which batch size? A grid of 40 rates and 25 batch sizes is
a thousand trainings, which `train_many` does in one call, on all cores. The answer is a
valley with a cliff on its right.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from fastnn import SGD, Network, train_many, workloads

# %%
# A thousand trainings
# --------------------
# Each has 500 of the handwritten digits, ten epochs, and the same initial weights. An
# argument is one value for all members, or a list with one for each. A rate that is too
# large ends its own training, and no other.

digits = workloads.load("digits")
network = Network((64, 16, 10), activation="tanh", output="softmax")
rates = np.logspace(-3, 0.8, 40)
batch_sizes = np.unique(np.geomspace(1, 500, 28).round().astype(int))
rate, batch_size = np.meshgrid(rates, batch_sizes)

begin = time.perf_counter()
many = train_many(
    network,
    digits.X[:500],
    digits.Y[:500],
    optimizer=SGD(),
    learning_rate=rate.ravel(),
    batch_size=batch_size.ravel(),
    epochs=10,
    seed=0,
)
print(
    f"{len(many):,} networks in {time.perf_counter() - begin:.1f} s; "
    f"{(many.stop_reason == 'diverged').sum()} diverged"
)

# %%
# The landscape
# -------------
# The color is the cross-entropy on digits that were not trained on.

outputs = many.predict(digits.X_test)
right = (outputs * digits.Y_test).sum(
    axis=2
)  # the probability of the right label, for each network and digit
loss = -np.log(np.maximum(right, 1e-12)).mean(axis=1).reshape(rate.shape)
best = np.unravel_index(loss.argmin(), loss.shape)

figure, axes = plt.subplots(figsize=(9, 5.6))
mesh = axes.pcolormesh(
    rates, batch_sizes, loss, norm=LogNorm(0.2, 5), cmap="viridis_r", shading="gouraud"
)
lines = axes.contour(
    rates, batch_sizes, loss, [0.3, 0.5, 1, 2], colors="#f8f8f8", linewidths=0.8
)
axes.clabel(lines, fmt="%g", fontsize=9)
axes.plot(
    rates[best[1]],
    batch_sizes[best[0]],
    "*",
    color="#f8f8f8",
    markersize=16,
    mec="black",
    clip_on=False,
)
axes.set_xscale("log")
axes.set_yscale("log")
axes.set_xlabel("learning rate")
axes.set_ylabel("rows a step")
axes.set_title("Ten times the rows want ten times the learning rate, up to a cliff")
axes.grid(visible=False)
bar = figure.colorbar(
    mesh,
    label="cross-entropy on other digits",
    ticks=[0.2, 0.5, 1, 2, 5],
    format="%g",
    extend="both",
)
bar.ax.minorticks_off()
plt.show()

# %%
# On the left the lines run along the diagonal: a mean over ten times the rows is a
# tenth as many steps in ten epochs, so each has to be ten times as long. On the right
# steps are too long for any batch. The star is the best of the thousand.
