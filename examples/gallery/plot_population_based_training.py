"""
A search that changes its mind: population-based training
=========================================================

Twenty networks are trained side by side with twenty learning rates. After every second
epoch the worst five are replaced by copies of the best five, and go on with rates near
theirs: so the learning rate is searched while the networks learn, and may change on the
way. (Jaderberg et al., Population based training of neural networks, 2017.)
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import SGD, Network, Population, workloads

# %%
# The search
# ----------
# A `Population` trains its members in parts, and no epoch twice. `replace` lets a
# member go on as a copy of another one, the optimizer's state and the place in the row
# order included.

digits = workloads.load("digits")
rates = np.logspace(-4, 0.3, 20)
population = Population(
    Network((64, 32, 10), activation="relu", output="softmax"),
    digits.X,
    digits.Y,
    validation_rows=np.arange(0, len(digits.X), 4),
    optimizer=SGD(momentum=0.9),
    learning_rate=rates,
    batch_size=32,
    seed=range(20),
)
random_state = np.random.RandomState(0)
rounds = 15
n_replaced = 5
rate_of = []
loss_of = []
jumps = []
for t in range(rounds):
    population.advance(2)
    scores = population.scores()
    rate_of.append(rates.copy())
    loss_of.append([scores[member] for member in population.members])
    ranking = population.ranking()
    for worse in ranking[-n_replaced:] if t < rounds - 1 else ():
        better = ranking[random_state.randint(n_replaced)]
        jumps.append((t, worse, better))
        rates[worse] = rates[better] * random_state.choice([0.6, 1 / 0.6])
        population.replace(worse, by=better, learning_rate=float(rates[worse]))
rate_of = np.array(rate_of)
loss_of = np.array(loss_of)
print(
    f"{population.epochs_trained} epochs; best validation "
    f"loss {np.nanmin(loss_of[-1]):.3f}"
)

# %%
# Twenty lives
# ------------
# A dot is a member at the end of a round, and its color is the loss of the validation
# rows. Thin lines lead from the member that was copied to the one that it replaced.

epochs = 2 * np.arange(1, rounds + 1)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), width_ratios=(5, 3))
for t, worse, better in jumps:
    left.plot(
        epochs[t : t + 2],
        [rate_of[t, better], rate_of[t + 1, worse]],
        color="C1",
        linewidth=0.8,
    )
for member in range(20):
    replaced = {t for t, worse, _ in jumps if worse == member}
    for t in set(range(rounds - 1)) - replaced:
        left.plot(
            epochs[t : t + 2], rate_of[t : t + 2, member], color="#cccccc", linewidth=1
        )
shades = {
    "c": np.clip(loss_of.ravel(), 0.04, 2.5),
    "cmap": "viridis_r",
    "norm": "log",
    "edgecolors": "#888888",
}
dots = left.scatter(
    np.repeat(epochs, 20), rate_of.ravel(), s=30, linewidths=0.6, **shades
)
left.set_yscale("log")
left.set_xlabel("epoch")
left.set_ylabel("learning rate")
left.set_title("The rates that survive")
figure.colorbar(
    dots,
    ax=left,
    label="validation loss",
    ticks=[0.05, 0.1, 0.2, 0.5, 1, 2],
    format="%g",
).ax.minorticks_off()

right.plot(epochs, np.nanmin(loss_of, axis=1), "o-", color="C2", label="best member")
right.plot(epochs, np.nanmedian(loss_of, axis=1), "o-", color="C0", label="median")
right.set_yscale("log")
right.set_yticks([0.05, 0.1, 0.2, 0.5, 1, 2], ["0.05", "0.1", "0.2", "0.5", "1", "2"])
right.minorticks_off()
right.set_xlabel("epoch")
right.set_ylabel("validation loss")
right.set_title("The population follows its best")
right.legend()
plt.show()
