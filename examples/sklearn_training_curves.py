"""Loss curves of the solvers and learning rates on digits; the one fastnn line is the import of the
estimator.

Run it with a file name to save the picture: ``python examples/sklearn_training_curves.py
curves.png``.
"""

import sys
import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from fastnn import MLPClassifier

SETTINGS = {
    "constant": {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.1, "nesterovs_momentum": False},
    "Nesterov's momentum": {"solver": "sgd", "learning_rate_init": 0.1},
    "inverse scaling": {
        "solver": "sgd",
        "learning_rate": "invscaling",
        "learning_rate_init": 0.1,
        "momentum": 0,
    },
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1},
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
}


def main(path=None):
    """Draw one curve for each setting."""
    # some do not converge: that is what the picture shows
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = load_digits(return_X_y=True)
    figure, axis = plt.subplots(figsize=(8, 5))
    for name, setting in SETTINGS.items():
        mlp = MLPClassifier(max_iter=40, random_state=0, **setting).fit(X / 16, y)
        axis.semilogy(mlp.loss_curve_, label=f"{name}: {mlp.score(X / 16, y):.3f}")
    axis.set(xlabel="epoch", ylabel="loss")
    axis.legend(loc="center right", title="accuracy on the training rows")
    figure.tight_layout()
    if path is None:
        plt.show()
    else:
        figure.savefig(path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
