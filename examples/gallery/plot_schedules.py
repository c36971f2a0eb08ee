"""
Learning-rate schedules, side by side
=====================================

A learning rate may change with the step. Six schedules have the same largest rate and
the same number of steps; each trains twenty networks on noisy data. All 120 are one
call of `train_many`.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import (
    SGD,
    Network,
    Stop,
    constant,
    cosine,
    exponential,
    one_cycle,
    step_decay,
    train_many,
    warm_up,
)

# %%
# Noisy data, six schedules
# -------------------------
# A schedule is a function of the step, so it can be drawn by calling it. A function of
# your own does as well.

random_state = np.random.RandomState(0)
X = random_state.uniform(-1, 1, (2500, 3))
truth = np.sin(3 * X[:, :1]) * X[:, 1:2] + X[:, 2:] ** 2
Y = truth + random_state.normal(0, 0.5, truth.shape)
new = slice(1500, None)

epochs = 40
batch_size = 10
seeds = 20
steps = epochs * 1500 // batch_size
largest = 0.05
schedules = {
    "constant": constant(largest),
    "step_decay": step_decay(largest, every=steps // 4, factor=0.3),
    "exponential": exponential(largest, decay=0.01 ** (1 / steps)),
    "cosine": cosine(largest, steps),
    "warm_up": warm_up(largest, steps // 3),
    "one_cycle": one_cycle(largest, steps, rise=0.3),
}

# %%
# A hundred and twenty networks
# -----------------------------
# The validation data are other points, without noise: their loss says how near a
# network comes to the truth.

many = train_many(
    Network((3, 24, 1), activation="tanh"),
    X[:1500],
    Y[:1500],
    optimizer=SGD(momentum=0.8),
    learning_rate=[schedule for schedule in schedules.values() for _ in range(seeds)],
    seed=list(range(seeds)) * len(schedules),
    epochs=epochs,
    batch_size=batch_size,
    stop=Stop(validation=(X[new], truth[new])),
)
error = np.sqrt(2 * many.history.validation_loss).reshape(len(schedules), seeds, epochs)

# %%
# Rates above, errors below
# -------------------------
figure, panels = plt.subplots(
    2, 6, figsize=(12, 5), sharex="row", sharey="row", height_ratios=(1, 2)
)
every_step = np.arange(0, steps, 20)
every_epoch = np.arange(1, epochs + 1)
middle = np.median(error, axis=1)
for i, ((top, bottom), (name, schedule)) in enumerate(
    zip(panels.T, schedules.items(), strict=True)
):
    rates = [schedule(step) for step in every_step]
    top.fill_between(every_step, rates, color="C0", alpha=0.3, linewidth=0)
    top.plot(every_step, rates, color="C0")
    top.set_title(name)
    for others in middle:
        bottom.plot(every_epoch, others, color="#cccccc", linewidth=1)
    bottom.fill_between(
        every_epoch,
        error[i].min(axis=0),
        error[i].max(axis=0),
        color="C1",
        alpha=0.25,
        linewidth=0,
    )
    bottom.plot(every_epoch, middle[i], color="C1")
    top.set_xticks([0, 5000])
    top.set_xlabel("step")
    bottom.set_xlabel("epoch")
panels[1, 0].set_yscale("log")
panels[1, 0].set_yticks([0.1, 0.2, 0.5], ["0.1", "0.2", "0.5"])
panels[1, 0].minorticks_off()
panels[0, 0].set_ylabel("learning rate")
panels[1, 0].set_ylabel("distance to the truth (r.m.s.)")
plt.show()

for name, values in zip(schedules, error[:, :, -1], strict=True):
    print(
        f"{name:12} distance in the end: {np.median(values):.4f}, "
        f"at most {values.max():.4f}"
    )

# %%
# The bands are the twenty seeds, the gray lines the other schedules. A constant rate
# never comes to rest: each batch pushes the weights about by its noise. Rates that end
# near zero average the noise out.
