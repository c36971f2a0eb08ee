"""Scores by the names of scikit-learn's scorers, such as "roc_auc", of targets and outputs."""

import contextlib
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

from fastnn.checking.arguments import cut
from fastnn.memory import Array


class Regressor:
    """What a scorer takes for a fitted regressor, whose inputs are the outputs (n, n_outputs) of a
    network.
    """

    def __sklearn_tags__(self) -> Tags:
        return Tags("regressor", TargetTags(required=True), regressor_tags=RegressorTags())

    def predict(self, outputs: Array) -> Array:
        """Return the outputs, of one output as (n,)."""
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs


class Classifier:
    """The same of a classifier, whose outputs are probabilities: of classes, or of yes in each
    column.

    Parameters
    ----------
    n_outputs : int
    exclusive : bool
        Whether a row has one label.
    """

    def __init__(self, n_outputs: int, exclusive: bool) -> None:
        self.exclusive = exclusive
        self.classes_ = (
            np.arange(max(n_outputs, 2)) if exclusive or n_outputs == 1 else np.eye(n_outputs)
        )

    def __sklearn_tags__(self) -> Tags:
        return Tags("classifier", TargetTags(required=True), classifier_tags=ClassifierTags())

    def predict(self, outputs: Array) -> Array:
        """Return the labels (n,), or (n, n_outputs) where a row may have several."""
        if self.exclusive:
            return outputs.argmax(axis=1)
        labels: Array = (outputs > 0.5).astype(np.int64)
        return labels[:, 0] if labels.shape[1] == 1 else labels

    def predict_proba(self, outputs: Array) -> Array:
        """Return the probabilities (n, n_classes), or (n, n_outputs) where a row may have several
        labels.
        """
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs


def _works(name: str, model: Regressor | Classifier, y: Array) -> bool:
    """Return whether a scorer gives a number for outputs that are these targets."""
    if isinstance(model, Classifier) and model.exclusive:
        outputs = np.eye(len(model.classes_))[y]
    else:
        outputs = y.reshape(len(y), -1)
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        return not np.isnan(get_scorer(name)(model, outputs, y))
    return False


def named(
    name: str, Y: Array, weight: Array | None, *, labels: bool, exclusive: bool
) -> Callable[[Array], float]:
    """Return the function from outputs to the score of this name, of rows with these targets and
    weights.

    Parameters
    ----------
    name : str
        One of scikit-learn's scorers.
    Y : (n, n_outputs)
        Targets; labels as zeros and ones.
    weight : (n,), optional
    labels, exclusive : bool
        Whether the targets are labels, and whether a row has one.

    Raises
    ------
    ValueError
        If the scorer does not give a number for outputs that are right: it does not suit these
        targets.
    """
    model = Classifier(Y.shape[1], exclusive) if labels else Regressor()
    scorer = get_scorer(name)
    y = model.predict(Y)
    options = {} if weight is None else {"sample_weight": weight}

    def score(outputs: Array) -> float:
        return float(scorer(model, outputs, y, **options))

    try:
        value = score(
            Y if labels else np.broadcast_to(np.average(Y, axis=0, weights=weight), Y.shape)
        )
    except Exception as error:
        if not labels and not _works(name, model, np.array([0.3, 0.7])):
            raise ValueError(
                f"monitor={name!r} needs labels, by the loss cross_entropy or log_loss; this "
                "network's targets are numbers: take monitor='r2', another scorer of regressions, "
                "or a function of (Y, outputs)"
            ) from error
        others = [
            other
            for other in get_scorer_names()
            if other.startswith(f"{name}_") and _works(other, model, y)
        ]
        hint = f"; {', '.join(others)} would suit" if others else ""
        n = len(model.classes_) if isinstance(model, Classifier) else 0
        kind = "numbers"
        if labels:
            kind = f"labels of {n} classes" if y.ndim == 1 else f"{n} labels a row"
        raise ValueError(
            f"monitor={name!r} does not suit these {len(Y)} rows of {kind}: {cut(error)}{hint}"
        ) from error
    if np.isnan(value):
        raise ValueError(
            f"monitor={name!r} is not defined for these {len(Y)} rows: they may be of one class"
        )
    return score
