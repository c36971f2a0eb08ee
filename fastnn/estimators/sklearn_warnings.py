"""The warnings of scikit-learn's MLP: with its texts, under its module's name, at the line that called `fit`.

Users silence them with filters such as ``filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")``.
"""

from __future__ import annotations

from fastnn import errors

_MODULE = "sklearn.neural_network._multilayer_perceptron"
INTERRUPTED = "Training interrupted by user."


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn like scikit-learn's module, at the user's line: not at one of a Pipeline, of a search or of joblib."""
    errors.warn(category(text), ("fastnn", "sklearn", "joblib"), _MODULE)
