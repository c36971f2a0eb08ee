"""
One network, two back ends
==========================

The network of the tutorial has three inputs, five hidden neurons and one output, and
learns to repeat the third of three bits. fastnn trains it twice: by the NumPy
reference, which a person can read in one sitting, and by the fused kernel, which runs
all hundred iterations in one call of compiled code. Both must give the same curve.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnn import plotting, train, workloads

seed = workloads.load("seed")
print(seed.network)
print(np.hstack([seed.X, seed.Y]).astype(int))

# %%
# Train it on both
# ----------------
# The same seed draws the same initial weights on every back end.

results = {
    backend: train(
        seed.network, seed.X, seed.Y, **seed.train_options, seed=0, backend=backend
    )
    for backend in ("numpy", "numba")
}
for backend, result in results.items():
    print(f"{backend}: error {result.history.loss[-1]:.13f} in the last iteration")

# %%
# The curve, and how far the two are apart
# ----------------------------------------
# The kernel has its own exponential function and adds in another order, so the errors
# differ in their last digits: a double has about 16. The bars show the difference as a
# part of the error itself.

errors = {
    f"{backend} back end": result.history.loss for backend, result in results.items()
}
reference, kernel = errors.values()
apart = np.abs(kernel - reference) / reference

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), width_ratios=(3, 2))
plotting.error_curve(errors, "The error falls, twice along the same curve", axes=left)
right.bar(np.arange(len(apart)), apart / np.finfo(float).eps, width=1, color="C1")
right.set_title("How far apart they are")
right.set_xlabel("iteration")
right.set_ylabel("relative difference in units of $2^{-52}$")
plt.show()

# %%
# Does it know the bits?
# ----------------------
# Two of the eight rows were never trained on.

for row, output in zip(
    seed.X_test.astype(int), results["numba"].predict(seed.X_test)[:, 0], strict=True
):
    print(f"{row} -> {output:.3f}, right is {row[2]}")
