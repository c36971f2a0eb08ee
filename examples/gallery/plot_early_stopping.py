"""
Early stopping: the best epoch is not the last
==============================================

A network that is large for its data first learns what the data say, then their noise.
Rows that are not trained on show when that begins. `Stop(restore_best=True)` gives back
the parameters of the best epoch.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import Adam, Network, Stop, plotting, predict, train

# %%
# Sixty noisy points, a network of 4,353 parameters
# -------------------------------------------------
random_state = np.random.RandomState(3)
x = np.sort(random_state.uniform(-3, 3, 60))[:, None]


def truth(x):
    return np.sin(1.6 * x) * np.exp(-0.1 * x**2)


y = truth(x) + random_state.normal(0, 0.3, x.shape)
for_validation = np.arange(60) % 3 == 1

# %%
# Train until the validation loss has not improved for 6,000 epochs
# -----------------------------------------------------------------
# So much patience is not needed to find the best epoch; here it shows what would come
# after it.

network = Network((1, 64, 64, 1), activation="tanh")
result = train(
    network,
    x,
    y,
    rows=np.flatnonzero(~for_validation),
    validation_rows=np.flatnonzero(for_validation),
    optimizer=Adam(0.001),
    batch_size=None,
    epochs=20_000,
    seed=0,
    stop=Stop(patience=6000, restore_best=True),
)
result

# %%
# Two losses, two curves
# ----------------------
# The result has both: `params` are those of the best epoch, and the `state`, to go on
# from, is that of the last one.

best = result.history.best_epoch
last = result.n_epochs
line = np.linspace(-3.2, 3.2, 400)[:, None]

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8))
plotting.loss_curves(result, "The training loss falls and falls", axes=left)
left.axvline(best, color="C2")
left.text(
    best,
    0.98,
    f" best epoch: {best}",
    color="C2",
    va="top",
    transform=left.get_xaxis_transform(),
)
left.set_xscale("log")
left.set_xlim(1, last)
right.plot(line, truth(line), color="C6", linestyle="--", label="the truth")
right.plot(
    line,
    predict(network, result.state.params, line),
    color="C1",
    label=f"after the last epoch, {last:,}",
)
right.plot(
    line, result.predict(line), color="C2", linewidth=3, label=f"after the best, {best}"
)
right.plot(x[~for_validation], y[~for_validation], "o", color="C0", label="trained on")
right.plot(
    x[for_validation],
    y[for_validation],
    "o",
    color="C0",
    markerfacecolor="none",
    label="for validation",
)
right.set_xlabel("x")
right.set_ylabel("y")
right.set_ylim(-2.6, 1.8)
right.set_title("The last epoch has learned the noise")
right.legend(fontsize=9, ncols=2, loc="lower right")
plt.show()
