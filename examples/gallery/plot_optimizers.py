"""
Five optimizers on their way down
=================================

A network of one neuron has two parameters, a weight and a bias, so its loss is a
landscape that can be drawn. Five optimizers begin at the same point of it and take as
many steps.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import RPROP, SGD, Adam, Network, RMSprop, loss_and_gradient, train

# %%
# One neuron, forty rows
# ----------------------
# The inputs lie around 1, not around 0: so a change of the weight can nearly be undone
# by one of the bias, and the landscape has a long valley.

random_state = np.random.RandomState(0)
X = random_state.normal(1, 0.8, (40, 1))
Y = np.tanh(1.5 * X - 1.2 + random_state.normal(0, 0.2, X.shape))
network = Network((1, 1), output="tanh")

weights = np.linspace(-1.6, 3.2, 121)
biases = np.linspace(-3, 2.2, 121)
landscape = np.array(
    [[loss_and_gradient(network, [w, b], X, Y)[0] for w in weights] for b in biases]
)

# %%
# Five ways
# ---------
# A callback notes the parameters after each step.

optimizers = {
    "SGD(0.3)": SGD(0.3),
    "SGD(0.05), momentum 0.9": SGD(0.05, momentum=0.9),
    "RMSprop(0.1)": RMSprop(0.1),
    "Adam(0.2)": Adam(0.2),
    "RPROP(0.1)": RPROP(0.1),
}
start = np.array([-0.9, 0.4])
ways = {}
losses = {}
for name, optimizer in optimizers.items():
    way = [start]
    result = train(
        network,
        X,
        Y,
        optimizer=optimizer,
        epochs=80,
        batch_size=None,
        params=start,
        callbacks=[lambda progress, way=way: way.append(progress.result().params)],
    )
    ways[name] = np.array(way)
    losses[name] = result.history.loss

# %%
# The landscape
# -------------
best = min(landscape.min(), *(values.min() for values in losses.values()))
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.2), width_ratios=(6, 5))
height = np.clip(landscape - best, 0.002, 3)
left.contourf(
    weights, biases, height, np.geomspace(0.002, 3, 20), norm="log", cmap="Greys"
)
for i, (name, way) in enumerate(ways.items()):
    left.plot(*way.T, "o-", color=f"C{i}", markersize=2.5, linewidth=1.5)
    right.plot(losses[name] - best, color=f"C{i}", label=name)
left.plot(*start, "o", color="black", markersize=8)
left.set_xlim(weights[0], weights[-1])
left.set_ylim(biases[0], biases[-1])
left.grid(visible=False)
left.set_xlabel("weight")
left.set_ylabel("bias")
left.set_title("80 steps from the same start")
right.set_yscale("log")
right.set_ylim(1e-7, None)
right.set_xlabel("step")
right.set_ylabel("loss above the lowest")
right.set_title("How fast")
right.legend()
plt.show()
