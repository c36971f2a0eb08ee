"""scikit-learn's warnings and callbacks, as its own estimators give them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import DataConversionWarning

from fastnn import errors
from fastnn.estimators.fitted import Weights
from fastnn.memory import Array
from fastnn.network import Network

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


try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """An empty base class, since this scikit-learn has no callbacks."""


__all__ = ["CallbackSupportMixin", "epoch_callback"]


def epoch_callback(mlp: Any, X: Any, Y: Array, sample_weight: Array | None, network: Network) -> Any:
    """Return the function to call after each epoch with the parameters, and with None at the end.

    It returns whether a callback wants to stop. None is returned in its place if there are no callbacks.
    """
    if not getattr(mlp, "_skl_callbacks", None):
        return None
    y = mlp._decode(Y)
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    root = mlp._init_callback_context(max_subtasks=mlp.max_iter)
    root.call_on_fit_task_begin(estimator=mlp, X=X, y=y, metadata=metadata)
    epochs = {"now": root.subcontext(task_name="epoch")}
    epochs["now"].call_on_fit_task_begin(estimator=mlp, X=X, y=y, metadata=metadata)
    n_epochs = 0

    def fitted(params: Array) -> dict[str, Any]:
        params = np.array(params)
        coefs, intercepts = network.weights(params), network.biases(params)
        flat = Weights(network.sizes, params, coefs, intercepts)
        return {"coefs_": list(coefs), "intercepts_": list(intercepts), "_flat": flat}

    def on_epoch(params: Array | None) -> bool:
        nonlocal n_epochs
        if params is None:
            final = {"coefs_": mlp.coefs_, "intercepts_": mlp.intercepts_}
            root.call_on_fit_task_end(
                estimator=mlp, X=X, y=y, metadata=metadata, reconstruction_attributes=lambda: final
            )
            return False
        stop = epochs["now"].call_on_fit_task_end(
            estimator=mlp, X=X, y=y, metadata=metadata, reconstruction_attributes=lambda: fitted(params)
        )
        n_epochs += 1
        if n_epochs < mlp.max_iter and not stop:
            epochs["now"] = root.subcontext(task_name="epoch")
            epochs["now"].call_on_fit_task_begin(estimator=mlp, X=X, y=y, metadata=metadata)
        return bool(stop)

    return on_epoch
