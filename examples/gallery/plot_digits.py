"""
Handwritten digits: what a network looks for, and what it confuses
==================================================================

The 1,797 digits that ship with scikit-learn have 8 by 8 pixels, so each neuron of the
first layer has an image of 64 weights. `fastnn.MLPClassifier` takes the place of
scikit-learn's.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

from fastnn import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.4, stratify=y, random_state=0
)
classifier = MLPClassifier(
    (48,), learning_rate_init=0.005, alpha=0.3, max_iter=500, random_state=0
)
classifier.fit(X_train, y_train)
print(f"{classifier.score(X_test, y_test):.1%} of {len(y_test)} other digits are right")

# %%
# What the first layer looks for
# ------------------------------
# Ink where a filter is red moves its neuron up, ink where it is blue moves it down. The
# neurons are in the order of the size of their weights. Many look for a stroke in one
# place and for none beside it. The penalty `alpha` takes back weights that are not
# needed: those of corners where no ink ever is, and all those of the last neurons.

filters = classifier.coefs_[0].T
filters = filters[np.argsort(-np.linalg.norm(filters, axis=1))]
largest = np.abs(filters).max()

figure, panels = plt.subplots(4, 12, figsize=(10, 3.7))
for axes, weights in zip(panels.flat, filters, strict=True):
    image = axes.imshow(
        weights.reshape(8, 8), cmap="RdBu_r", vmin=-largest, vmax=largest
    )
    axes.set_axis_off()
figure.colorbar(image, ax=panels, label="weight", shrink=0.9, aspect=30, pad=0.02)
figure.suptitle("The 48 filters of the first layer")
plt.show()

# %%
# What is confused with what
# --------------------------
# The diagonal is taken out of the colors, so that what is wrong can be seen.

predicted = classifier.predict(X_test)
wrong = np.flatnonzero(predicted != y_test)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 5), width_ratios=(5, 4))
display = ConfusionMatrixDisplay.from_predictions(
    y_test, predicted, ax=left, colorbar=False, cmap="Oranges"
)
display.im_.set_clim(0, 6)
left.grid(visible=False)
left.set_title(f"{len(wrong)} of {len(y_test)} digits are taken for another")
left.set_xlabel("taken for")
left.set_ylabel("written")
for text in display.text_.flat:
    text.set_visible(text.get_text() != "0")
    text.set_color("black")
for digit in range(10):
    left.add_patch(
        plt.Rectangle(
            (digit - 0.5, digit - 0.5), 1, 1, facecolor="#dce9f5", edgecolor="none"
        )
    )

right.set_axis_off()
right.set_title("Those of which it was most sure")
sure = classifier.predict_proba(X_test[wrong]).max(axis=1)
for place, row in enumerate(wrong[np.argsort(-sure)[:9]]):
    inset = right.inset_axes((place % 3 * 0.34, 0.7 - place // 3 * 0.345, 0.3, 0.25))
    inset.imshow(X_test[row].reshape(8, 8), cmap="gray_r")
    inset.set_title(
        f"{y_test[row]} taken for {predicted[row]}", fontsize=10, pad=3, loc="center"
    )
    inset.set_axis_off()
plt.show()
