"""
Intervals that follow the noise: TabularRegressor
=================================================

Some measurements scatter more than others. Two small networks learn how large the
errors are of rows that the members of the ensemble have not seen, and an interval is as
wide as such errors are there.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import TabularRegressor

# %%
# Noise that grows
# ----------------

rs = np.random.RandomState(0)
x = rs.uniform(0, 10, 1500)
y = np.sin(x) + (0.05 + 0.06 * x) * rs.normal(size=x.size)
model = TabularRegressor("fast", random_state=0).fit(x[:, None], y)

# %%
# Nine in ten
# -----------
line = np.linspace(0, 10, 400)
low, high = model.predict_interval(line[:, None], coverage=0.9).T

figure, axes = plt.subplots(figsize=(9, 5))
axes.plot(x, y, "o", color="C1", markersize=2.5, alpha=0.6, label="data")
axes.fill_between(
    line, low, high, color="C0", alpha=0.25, linewidth=0, label="90 % intervals"
)
axes.plot(line, model.predict(line[:, None]), color="C0", label="prediction")
axes.set_xlabel("x")
axes.set_ylabel("y")
axes.set_title("Wide where the data scatter")
axes.legend(loc="upper left")
plt.show()

new = rs.uniform(0, 10, 4000)
truth = np.sin(new) + (0.05 + 0.06 * new) * rs.normal(size=new.size)
low, high = model.predict_interval(new[:, None]).T
within = (low < truth) & (truth < high)
for part in (new < 3, (new >= 3) & (new < 7), new >= 7):
    print(
        f"x from {new[part].min():.0f} to {new[part].max():.0f}: "
        f"{within[part].mean():.0%} within"
    )
