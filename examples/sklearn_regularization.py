"""How `alpha` smooths the border between two classes; the one fastnn line is the import of the
estimator.

Run it with a file name to save the picture: ``python examples/sklearn_regularization.py
alpha.png``.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_circles, make_moons
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier

ALPHAS = (1e-4, 1e-2, 1, 30)


def main(path=None):
    """Draw one row for each data set, one column for each alpha."""
    data = {
        "moons": make_moons(200, noise=0.3, random_state=0),
        "circles": make_circles(200, noise=0.2, factor=0.5, random_state=1),
    }
    figure, axes = plt.subplots(
        len(data), len(ALPHAS), figsize=(3 * len(ALPHAS), 3 * len(data)), squeeze=False
    )
    for (name, (X, y)), row in zip(data.items(), axes, strict=True):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0)
        edges = np.linspace(X.min(axis=0) - 0.5, X.max(axis=0) + 0.5, 120)
        grid = np.stack(np.meshgrid(*edges.T), axis=-1)
        for alpha, axis in zip(ALPHAS, row, strict=True):
            mlp = MLPClassifier(
                (50, 50), solver="lbfgs", alpha=alpha, max_iter=2000, random_state=0
            )
            model = make_pipeline(StandardScaler(), mlp).fit(X_train, y_train)
            p = model.predict_proba(grid.reshape(-1, 2))[:, 1].reshape(grid.shape[:2])
            axis.contourf(
                grid[..., 0], grid[..., 1], p, levels=np.linspace(0, 1, 21), cmap="RdBu", alpha=0.8
            )
            axis.scatter(*X_train.T, c=y_train, cmap="RdBu", edgecolors="black", s=15)
            axis.set_title(f"{name}, alpha {alpha:g}: {model.score(X_test, y_test):.2f}")
            axis.set_axis_off()
    figure.tight_layout()
    if path is None:
        plt.show()
    else:
        figure.savefig(path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
