"""
Decision boundaries while a network learns
==========================================

Three spirals cannot be told apart by straight lines. A callback takes a snapshot of the
network every few epochs, and the snapshots make a film: first the plane is cut like a
cake, then the cuts begin to turn.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.colors import to_rgb

from fastnn import Adam, Network, every, train

# %%
# Three spirals of 150 points each
# --------------------------------
random_state = np.random.RandomState(0)
labels = np.repeat(np.arange(3), 150)
radius = np.tile(np.linspace(0.08, 1, 150), 3)
angle = 6 * radius + labels * 2 * np.pi / 3 + random_state.normal(0, 0.1, 450)
X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

# %%
# Train, and take snapshots
# -------------------------
# `every(4, ...)` calls its function after each fourth epoch. `progress.result()` is the
# training as it stands, a result that predicts; here it predicts the probabilities of
# the three labels on a grid of 160 by 160 points.

SIZE = 160
axis = np.linspace(-1.25, 1.25, SIZE)
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
snapshots = []


def snapshot(progress):
    probabilities = progress.result().predict(grid).reshape(SIZE, SIZE, 3)
    snapshots.append((progress.epoch, progress.loss, probabilities))


network = Network((2, 24, 24, 3), activation="tanh", output="softmax")
result = train(
    network,
    X,
    labels,
    optimizer=Adam(0.01),
    epochs=148,
    batch_size=32,
    seed=1,
    callbacks=[every(4, snapshot)],
)
right = result.predict(X).argmax(axis=1) == labels
print(
    f"{right.mean():.1%} of the points are on their side after {result.n_epochs} epochs"
)

# %%
# Six moments
# -----------
# A pixel is the mixture of the three colors by their probabilities: pale where the
# network is not sure.

COLORS = np.array([to_rgb(f"C{i}") for i in range(3)])


def mixture(probabilities):
    return 1 - 0.6 * (1 - probabilities @ COLORS) * probabilities.max(
        axis=-1, keepdims=True
    )


def draw(axes, epoch, probabilities, size):
    image = axes.imshow(
        mixture(probabilities),
        extent=(-1.25, 1.25) * 2,
        origin="lower",
        interpolation="bilinear",
    )
    axes.scatter(*X.T, c=0.7 * COLORS[labels], s=size, linewidths=0)
    axes.set_title(f"epoch {epoch}")
    axes.set_axis_off()
    return image


figure, panels = plt.subplots(2, 3, figsize=(9, 6.4))
for axes, (epoch, _, probabilities) in zip(
    panels.flat, [snapshots[i] for i in (0, 2, 5, 9, 15, 36)], strict=True
):
    draw(axes, epoch, probabilities, size=6)
figure.suptitle("What the network takes for which spiral")
plt.show()

# %%
# The film
# --------

figure, axes = plt.subplots(figsize=(5, 5.2))
image = draw(axes, 0, snapshots[0][2], size=12)


def show(frame):
    epoch, loss, probabilities = snapshots[
        min(frame, len(snapshots) - 1)
    ]  # the last one stays for a while
    image.set_data(mixture(probabilities))
    axes.set_title(f"epoch {epoch}, loss {loss:.3f}")


# sphinx_gallery_thumbnail_number = 2
film = FuncAnimation(figure, show, frames=len(snapshots) + 6, interval=130)
plt.show()
