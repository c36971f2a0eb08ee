"""What the first layer looks for in images of digits; the one fastnn line is the import of the
estimator.

Run it with a file name to save the picture: ``python examples/sklearn_digit_filters.py
filters.png``.
"""

import sys

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastnn import MLPClassifier


def main(path=None):
    """Draw the weights of 16 hidden neurons as images of 8 by 8 pixels."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    mlp = MLPClassifier(
        (40,),
        solver="sgd",
        learning_rate_init=0.1,
        alpha=1e-2,
        max_iter=150,
        random_state=1,
        tol=1e-3,
    )
    mlp.fit(X_train, y_train)
    largest = abs(mlp.coefs_[0]).max() / 2
    figure, axes = plt.subplots(4, 4, figsize=(6, 6.5))
    for weights, axis in zip(mlp.coefs_[0].T, axes.flat, strict=False):
        axis.imshow(weights.reshape(8, 8), cmap="gray", vmin=-largest, vmax=largest)
        axis.set_axis_off()
    figure.suptitle(f"accuracy on other rows: {mlp.score(X_test, y_test):.3f}")
    figure.tight_layout()
    if path is None:
        plt.show()
    else:
        figure.savefig(path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
