"""
How much luck is in a seed?
===========================

A thousand networks have the same data and the same settings; only the seed differs.
What a single training reports, "91 % accuracy" say, is a draw from the distribution
that is drawn here. `train_many` trains them in a second or two.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from fastnn import Adam, Network, train_many

# %%
# Two moons, a thousand seeds
# ---------------------------
X, y = make_moons(80, noise=0.3, random_state=0)
X_test, y_test = make_moons(5000, noise=0.3, random_state=1)
network = Network((2, 24, 1), activation="tanh", output="sigmoid", loss="log_loss")

begin = time.perf_counter()
many = train_many(
    network,
    X,
    y[:, None],
    seed=range(1000),
    optimizer=Adam(0.03),
    epochs=300,
    batch_size=20,
)
print(
    f"{len(many):,} networks of {network.n_params} parameters "
    f"in {time.perf_counter() - begin:.1f} s"
)

# %%
# A distribution, and forty boundaries
# ------------------------------------
accuracy = 100 * ((many.predict(X_test)[:, :, 0] > 0.5) == y_test).mean(axis=1)
together = 100 * ((many.predict(X_test, spread=True)[0][:, 0] > 0.5) == y_test).mean()

x1, x2 = np.meshgrid(np.linspace(-1.9, 2.9, 160), np.linspace(-1.5, 2, 160))
grid = np.column_stack([x1.ravel(), x2.ravel()])
mean, _ = many.predict(grid, spread=True)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), width_ratios=(4, 5))
left.hist(accuracy, bins=40, color="C0", alpha=0.8)
left.axvline(together, color="C1")
left.text(
    together,
    1,
    " all 1,000 together ",
    color="C1",
    ha="right",
    va="top",
    transform=left.get_xaxis_transform(),
)
left.set_xlabel("accuracy on 5,000 other points in %")
left.set_ylabel("networks")
left.set_title("A thousand seeds")
for outputs in many[:40].predict(grid)[:, :, 0]:
    right.contour(
        x1, x2, outputs.reshape(x1.shape), [0.5], colors="C6", linewidths=0.6, alpha=0.6
    )
right.contour(x1, x2, mean.reshape(x1.shape), [0.5], colors="C1", linewidths=2.5)
for label, color, marker in ((0, "C0", "o"), (1, "C2", "^")):
    right.plot(*X[y == label].T, marker, color=color, markersize=5)
right.set_title("The boundaries of forty of them, and of all together")
right.set_xlabel("$x_1$")
right.set_ylabel("$x_2$")
plt.show()

low, middle, high = np.percentile(accuracy, (2.5, 50, 97.5))
print(
    f"median {middle:.1f} %; 95 of 100 seeds are between {low:.1f} % "
    f"and {high:.1f} %; together {together:.1f} %"
)
