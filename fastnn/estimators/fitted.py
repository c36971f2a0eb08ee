"""Fitted weights: kept in one vector, looked at as scikit-learn's lists of arrays, and what they say of new rows."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn.backends import get_backend
from fastnn.estimators.adapter import Adapter, contiguous
from fastnn.estimators.single import one_row
from fastnn.estimators.tables import network_of
from fastnn.network import Network

Array = NDArray[Any]


class Fitted:
    """The part of an estimator that holds weights and predicts."""

    coefs_: list[Array]
    intercepts_: list[Array]
    n_features_in_: int
    n_outputs_: int
    out_activation_: str
    activation: Any
    backend: Any

    def _activation(self) -> str | tuple[str, ...]:
        return self.activation if isinstance(self.activation, str) else tuple(self.activation)

    def _put(self, network: Network, params: Array) -> None:
        """Make `coefs_` and `intercepts_` views of `params`."""
        self.coefs_, self.intercepts_ = network.weights(params), network.biases(params)
        self._flat = params, (*self.coefs_, *self.intercepts_)

    def _packed(self) -> Array:
        """All parameters in one vector, layer by layer; whoever has put another array into `coefs_` finds it here."""
        params, views = getattr(self, "_flat", (None, ()))
        now = (*self.coefs_, *self.intercepts_)
        if params is not None and len(now) == len(views) and all(a is b for a, b in zip(now, views, strict=True)):
            return params
        pairs = zip(self.coefs_, self.intercepts_, strict=True)
        packed = np.concatenate([np.ravel(part) for pair in pairs for part in pair])
        return packed if packed.dtype == np.float32 else packed.astype(np.float64, copy=False)

    def _sizes(self) -> tuple[int, ...]:
        return (self.coefs_[0].shape[0], *(W.shape[1] for W in self.coefs_))

    def __getstate__(self) -> Any:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        state.pop("_flat", None)
        return state

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        if hasattr(self, "coefs_") and hasattr(self, "out_activation_") and hasattr(self, "n_outputs_"):
            with contextlib.suppress(TypeError, ValueError):  # edited by hand: predict will say what is wrong
                network = network_of(self._sizes(), self._activation(), self.out_activation_, "squared_error")
                self._put(network, self._packed())

    def _outputs(self, X: Any, output: str | None = None) -> Array:
        """The network's outputs (n, n_outputs), of another output activation where asked for."""
        output = self.out_activation_ if output is None else output
        if self._is_plain(X):
            if len(X) == 1 and math.isfinite(X.sum()):
                outputs = one_row(X, self.coefs_, self.intercepts_, self.activation, output)
                if outputs is not None:
                    return outputs
            elif not np.isfinite(X).all():
                X = validate_data(self, X, reset=False)  # raises what is to be raised
        else:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        params = self._packed()
        single = np.result_type(X.dtype, params.dtype) == np.float32
        params = params.astype(np.float32 if single else np.float64, copy=False)
        network = network_of(self._sizes(), self._activation(), output, "squared_error")
        return Adapter(get_backend(self.backend)).predict(network, params, contiguous(X, params.dtype))

    def _is_plain(self, X: Any) -> bool:
        """Whether X needs no validation but for its values: the fitted dtype and width, rows in C order, no names."""
        return (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype == self.coefs_[0].dtype
            and X.shape[1] == self.n_features_in_
            and X.shape[0] > 0
            and X.flags.c_contiguous
            and not hasattr(self, "feature_names_in_")
        )

    def _check_fitted(self) -> None:
        if "coefs_" not in self.__dict__:
            check_is_fitted(self)
