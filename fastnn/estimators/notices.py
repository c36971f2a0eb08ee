"""Warnings that scikit-learn's MLP gives: with its texts, and under its module's name.

Users silence them with filters such as ``filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")``.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

_MODULE = "sklearn.neural_network._multilayer_perceptron"
INTERRUPTED = "Training interrupted by user."

_seen: dict[Any, Any] = {}


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn as scikit-learn's module would."""
    warnings.warn_explicit(
        text, category, filename=__file__, lineno=sys._getframe().f_lineno, module=_MODULE, registry=_seen
    )
