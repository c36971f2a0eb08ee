"""
How sure is a regression? The band of an ensemble
=================================================

One network gives one curve, also where there were no data. Thirty networks that differ
by their seeds and by the rows that they have seen agree where there are data, and
spread where there are none. scikit-learn's `BaggingRegressor` fits them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import BaggingRegressor

from fastnn import MLPRegressor

# %%
# Data with a gap
# ---------------


def truth(x):
    return np.sin(2 * x) + 0.3 * x


random_state = np.random.RandomState(0)
x = np.concatenate(
    [random_state.uniform(-4, -1.2, 70), random_state.uniform(0.9, 3.5, 60)]
)
y = truth(x) + random_state.normal(0, 0.15, x.size)

# %%
# Thirty networks
# ---------------
# Each member has as many rows as there are, drawn with replacement; the rows that a
# member has not seen score it (`oob_score_`).

member = MLPRegressor(
    hidden_layer_sizes=(40, 40),
    activation="tanh",
    learning_rate_init=0.01,
    max_iter=3000,
    n_iter_no_change=50,
)
ensemble = BaggingRegressor(member, n_estimators=30, oob_score=True, random_state=0)
ensemble.fit(x[:, None], y)
print(f"R² on rows that a member has not seen: {ensemble.oob_score_:.3f}")

# %%
# The band
# --------
line = np.linspace(-5, 5, 400)
members = [one.predict(line[:, None]) for one in ensemble.estimators_]
mean = np.mean(members, axis=0)
deviation = np.std(members, axis=0)

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(9, 6.4), height_ratios=(3, 1), sharex=True
)
for width in (2, 1):
    top.fill_between(
        line,
        mean - width * deviation,
        mean + width * deviation,
        color="C0",
        alpha=0.2,
        linewidth=0,
    )
top.plot(line, truth(line), color="C6", linestyle="--", label="the truth")
top.plot(
    line,
    mean,
    color="C0",
    label="mean of 30 networks, with 1 and 2 standard deviations",
)
top.plot(x, y, "o", color="C1", markersize=4, label="data")
top.set_ylim(-3.4, 4.4)
top.set_ylabel("y")
top.set_title("The networks agree where there are data")
top.legend(loc="upper left", ncols=3)
bottom.fill_between(line, deviation, color="C0", alpha=0.35, linewidth=0)
bottom.plot(x, np.zeros_like(x), "|", color="C1", markersize=9)
bottom.set_ylim(bottom=0)
bottom.set_xlim(-5, 5)
bottom.set_xlabel("x")
bottom.set_ylabel("deviation")
plt.show()

# %%
# A band of an ensemble is not a confidence interval: it says how much the answer
# depends on chance, in the seed and in the rows. It grows where there are no data,
# which is what one wants to be warned of.
