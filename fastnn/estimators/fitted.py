"""Fitted weights: one vector, its views as scikit-learn's lists of arrays, and predictions by
it.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastnn.backends import get_backend
from fastnn.checking.arguments import shown
from fastnn.checking.values import real_array
from fastnn.estimators.adapter import contiguous
from fastnn.estimators.validation import (
    Activations,
    attribute,
    check_activation,
    network_of,
    validated,
)
from fastnn.losses import Value
from fastnn.memory import READABLE, Array
from fastnn.network import Network
from fastnn.training.inputs import FEW


class Weights(NamedTuple):
    """A network's weights as one vector, and as scikit-learn's lists of arrays."""

    sizes: tuple[int, ...]
    params: Array  # (n_params,)
    coefs: list[Array]
    """W (fan_in, fan_out) of each layer; views of `params`, like the next."""
    intercepts: list[Array]
    """b (fan_out,) of each layer."""

    @classmethod
    def of(cls, network: Network, params: Array) -> Weights:
        """Return the weights that are views of a network's parameters (n_params,)."""
        return cls(network.sizes, params, network.weights(params), network.biases(params))


def weights_of(coefs: Any, intercepts: Any) -> Weights:
    """Copy lists of weights into one vector; an intercept of one number is that of all neurons of
    its layer.

    Raises
    ------
    ValueError, TypeError
        For arrays of shapes that make no network, and for what is not real numbers.
    """
    for name, arrays in (("coefs_", coefs), ("intercepts_", intercepts)):
        if not isinstance(arrays, (list, tuple)):
            raise TypeError(
                f"{name} must be a list of arrays, one for each layer, not {shown(arrays)}"
            )
    if not 0 < len(coefs) == len(intercepts):
        raise ValueError(
            f"coefs_ has {len(coefs)} arrays, intercepts_ {len(intercepts)}: each layer has one of "
            "both"
        )
    W = [real_array(f"coefs_[{i}]", value) for i, value in enumerate(coefs)]
    b = [real_array(f"intercepts_[{i}]", value) for i, value in enumerate(intercepts)]
    _check_shapes(W, b)
    sizes = (len(W[0]), *(w.shape[1] for w in W))
    network = network_of(sizes, "identity", "identity", "squared_error")
    b = [np.broadcast_to(one, w.shape[1]) for one, w in zip(b, W, strict=True)]
    return Weights.of(network, network.pack(W, b))


def _check_shapes(W: list[Array], b: list[Array]) -> None:
    """Raise ValueError for arrays of layers that do not fit one another."""
    for i in range(len(W)):
        if W[i].ndim != 2:
            raise ValueError(
                f"coefs_[{i}] must have 2 dimensions, not {W[i].ndim} (shape {W[i].shape})"
            )
        if i and len(W[i]) != W[i - 1].shape[1]:
            raise ValueError(
                f"coefs_[{i}] has {len(W[i])} rows, but coefs_[{i - 1}] has {W[i - 1].shape[1]} "
                "columns"
            )
        if b[i].shape not in (right := W[i].shape[1:], (1,), ()):
            why = f"for coefs_[{i}] has so many columns"
            raise ValueError(
                f"intercepts_[{i}] must have the shape {right}, {why}, not {b[i].shape}"
            )


class Fitted:
    """The part of an estimator that holds weights and predicts."""

    coefs_: list[Array]
    intercepts_: list[Array]
    n_features_in_: int
    n_outputs_: int
    out_activation_: str
    activation: Any
    backend: Any

    def _activation(self) -> Activations:
        kinds: Any = str | Value | Callable | list | tuple
        activation: Any = attribute(self, "activation", kinds)
        if isinstance(activation, str):
            return activation
        if not isinstance(activation, (list, tuple)):
            return check_activation("activation", activation)
        return tuple(check_activation(f"activation[{i}]", one) for i, one in enumerate(activation))

    def _put(self, weights: Weights) -> None:
        """Make `coefs_` and `intercepts_` views of one vector."""
        self.coefs_ = list(weights.coefs)
        self.intercepts_ = list(weights.intercepts)
        self._flat = weights

    def _with(self, network: Network, params: Array) -> Any:
        """Return a copy of the estimator with other weights (n_params,) that predicts from arrays
        without names.
        """
        params = np.array(params)
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        vars(twin).pop("feature_names_in_", None)
        twin._put(Weights.of(network, params))
        return twin

    def _weights_now(self) -> Weights:
        """Return the fitted weights; check all of them if an array in `coefs_` or `intercepts_` was
        replaced.
        """
        flat = self.__dict__.get("_flat")
        if (
            type(flat) is Weights
            and _are(self.coefs_, flat.coefs)
            and _are(self.intercepts_, flat.intercepts)
        ):
            return flat
        return weights_of(self.coefs_, self.intercepts_)

    def __getstate__(self) -> Any:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        state.pop("_flat", None)
        return state

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)  # type: ignore[misc]
        if hasattr(self, "coefs_") and hasattr(self, "intercepts_"):
            # edited by hand: predict will say what is wrong
            with contextlib.suppress(TypeError, ValueError):
                self._put(weights_of(self.coefs_, self.intercepts_))

    def _outputs(self, X: Any, output: str | None = None) -> Array:
        """Compute the network's outputs (n, n_outputs), of another output activation where asked
        for.
        """
        output = attribute(self, "out_activation_", str) if output is None else output
        weights = self._weights_now()
        if weights.sizes[-1] != attribute(self, "n_outputs_", Integral):
            raise ValueError(
                f"n_outputs_ is {shown(self.n_outputs_)}, but coefs_[-1] has {weights.sizes[-1]} "
                "columns"
            )
        params = weights.params
        backend = get_backend(self.backend)
        if self._is_plain(X, weights):
            # A sum is finite only if all its terms are. Of a few numbers, such as one row's,
            # Python's is the quickest.
            quick = X.size <= FEW and math.isfinite(sum(X.ravel().tolist()))
            if not quick and not np.isfinite(X).all():
                X = validated(self, X, reset=False)  # raises what is to be raised
        else:
            X = validated(self, X, reset=False)
            if X.shape[1] != weights.sizes[0]:
                raise ValueError(
                    f"X has {X.shape[1]} features, but coefs_[0] has {weights.sizes[0]} rows"
                )
            single = np.result_type(X.dtype, params.dtype) == np.float32
            params = params.astype(np.float32 if single else np.float64, copy=False)
            X = contiguous(X, params.dtype, backend)
        network = network_of(weights.sizes, self._activation(), output, "squared_error")
        # an estimator pickled by version 0.1 has none
        threads: Any = getattr(self, "n_threads", None)
        # set since the fit, which would say what is wrong
        if not isinstance(threads, Integral) or int(threads) < 1:
            threads = None
        return backend.predict(network, params, X, threads=threads)

    def _is_plain(self, X: Any, weights: Weights) -> bool:
        """Return whether only the values of X need validation: dtype and width of the weights, C
        order, no names.
        """
        if type(X) is not np.ndarray or X.dtype != weights.params.dtype:
            return False
        if X.ndim != 2 or not len(X) or X.flags.num & READABLE != READABLE:
            return False
        n = self.n_features_in_
        fits = type(n) is int and X.shape[1] == weights.sizes[0] == n
        return fits and not hasattr(self, "feature_names_in_")

    def _check_fitted(self) -> None:
        if "coefs_" not in self.__dict__:
            check_is_fitted(self)


def _are(arrays: Any, views: list[Array]) -> bool:
    """Return whether a list holds these very arrays."""
    return (
        type(arrays) is list and len(arrays) == len(views) and all(map(operator.is_, arrays, views))
    )
