"""The warnings of scikit-learn's MLP: with its texts, under its module's name, at the line that called `fit`.

Users silence them with filters such as ``filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")``.
"""

from __future__ import annotations

from sklearn.exceptions import DataConversionWarning

from fastnn import errors
from fastnn.memory import Array

_MODULE = "sklearn.neural_network._multilayer_perceptron"
INTERRUPTED = "Training interrupted by user."


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn like scikit-learn's module, at the user's line: not at one of a Pipeline, of a search or of joblib."""
    errors.warn(category(text), ("fastnn", "sklearn", "joblib"), _MODULE)


def raveled(y: Array) -> Array:
    """Return a column (n, 1) as a vector (n,), with scikit-learn's warning; anything else as it is."""
    if y.ndim != 2 or y.shape[1] != 1:
        return y
    text = "A column-vector y was passed when a 1d array was expected. Please change the shape of y to (n_samples, ), "
    warn(f"{text}for example using ravel().", DataConversionWarning)
    return y.ravel()
