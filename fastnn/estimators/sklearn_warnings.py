"""The warnings of scikit-learn's MLP: with its texts, under its module's name, at the line that called `fit`.

Users silence them with filters such as ``filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")``.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Sequence

from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from fastnn import errors
from fastnn.memory import Array

_MODULE = "sklearn.neural_network._multilayer_perceptron"
INTERRUPTED = "Training interrupted by user."

Warned = list[tuple[type[Warning], str]]
"""The categories and texts of warnings, in their order."""

_kept: contextvars.ContextVar[Warned | None] = contextvars.ContextVar("kept warnings", default=None)


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn like scikit-learn's module, at the user's line: not at one of a Pipeline, of a search or of joblib."""
    kept = _kept.get()
    if kept is None:
        errors.warn(category(text), ("fastnn", "sklearn", "joblib"), _MODULE)
    else:
        kept.append((category, text))


@contextlib.contextmanager
def kept_warnings() -> Iterator[Warned]:
    """Keep the warnings of this thread for the time of a ``with``, instead of giving them."""
    kept: Warned = []
    token = _kept.set(kept)
    try:
        yield kept
    finally:
        _kept.reset(token)


def warn_of_members(warned: Sequence[Warned]) -> None:
    """Warn once of each category that members of an ensemble kept: the first one's text, and how many had one."""
    texts: dict[type[Warning], list[str]] = {}
    for kept in warned:
        for category, text in dict(kept).items():
            texts.setdefault(category, []).append(text)
    for category, found in texts.items():
        what = "did not converge" if category is ConvergenceWarning else "gave this warning"
        warn(f"{found[0]}\n{len(found)} of {len(warned)} members {what}.", category)


def raveled(y: Array) -> Array:
    """Return a column (n, 1) as a vector (n,), with scikit-learn's warning; anything else as it is."""
    if y.ndim != 2 or y.shape[1] != 1:
        return y
    text = "A column-vector y was passed when a 1d array was expected. Please change the shape of y to (n_samples, ), "
    warn(f"{text}for example using ravel().", DataConversionWarning)
    return y.ravel()
