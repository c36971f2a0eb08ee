"""
Learning curves: do more data help?
===================================

A network is trained on 20, 40, ... of the handwritten digits, twenty times each, on
other rows each time. Where the two curves of a learning curve have met, more data no
longer help; here they have not. 240 trainings are one call of `train_many`: `rows` says
which rows are a member's own, and nothing is copied.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import Adam, Network, train_many, workloads

digits = workloads.load("digits")
sizes = np.geomspace(20, len(digits.X), 12).astype(int)
repetitions = 20

random_state = np.random.RandomState(0)
rows = [
    random_state.permutation(len(digits.X))[:size]
    for size in sizes
    for _ in range(repetitions)
]

# %%
# Train
# -----
# All members take as many steps, so that small samples are not trained less: epochs are
# a list too.

network = Network((64, 32, 10), activation="relu", output="softmax")
batch = 20
epochs = [max(1, 2000 // -(-len(some) // batch)) for some in rows]
many = train_many(
    network,
    digits.X,
    digits.Y,
    rows=rows,
    seed=range(len(rows)),
    optimizer=Adam(0.003),
    alpha=0.01,
    batch_size=batch,
    epochs=epochs,
)

# %%
# Score
# -----


def accuracy(result, X, Y):
    return (result.predict(X).argmax(axis=1) == Y.argmax(axis=1)).mean()


seen = np.array(
    [
        accuracy(result, digits.X[some], digits.Y[some])
        for result, some in zip(many, rows, strict=True)
    ]
)
new = np.array([accuracy(result, digits.X_test, digits.Y_test) for result in many])

figure, axes = plt.subplots(figsize=(8, 5))
for values, label, color in (
    (seen, "digits that were trained on", "C1"),
    (new, "other digits", "C0"),
):
    values = 100 * values.reshape(len(sizes), repetitions)
    low, middle, high = np.percentile(values, (5, 50, 95), axis=1)
    axes.fill_between(sizes, low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(
        sizes,
        middle,
        "o-",
        color=color,
        label=f"{label}: median and 90 % of {repetitions} samples",
    )
axes.set_xscale("log")
axes.set_xticks(
    [20, 50, 100, 200, 500, 1000], ["20", "50", "100", "200", "500", "1,000"]
)
axes.minorticks_off()
axes.set_ylim(None, 101)
axes.set_xlabel("digits to train on")
axes.set_ylabel("accuracy in %")
axes.set_title("Each doubling of the data takes away a third of the errors")
axes.legend(loc="lower right")
plt.show()

errors = 100 - 100 * np.median(new.reshape(len(sizes), repetitions), axis=1)
for size, error in zip(sizes, errors, strict=True):
    print(f"{size:5,} digits: {error:4.1f} % wrong")
