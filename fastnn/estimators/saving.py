"""The estimators in files: exported for other programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.estimators.constraints import network_of
from fastnn.files.export import Model, export


class Saving:
    """The method `export`."""

    def export(self, path: str | os.PathLike[str], format: str | None = None) -> list[Path]:
        """Write the fitted network for programs without fastnn.

        Parameters
        ----------
        path : str or path
            An existing file is replaced.
        format : str, optional
            One of `fastnn.files.export.FORMATS`; otherwise the path's suffix says which. See docs/export.md.

        Returns
        -------
        list of pathlib.Path
            The files that were written, all of them or none.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ValueError, TypeError
            For an unknown format, and for what the format cannot hold.
        OSError
            When a file cannot be written.
        """
        return export(model_of(self), path, format)


def model_of(mlp: Any) -> Model:
    """Return the network of a fitted estimator, with a classifier's labels."""
    mlp._check_fitted()
    weights = mlp._weights_now()
    if not np.isfinite(weights.params).all():
        raise ValueError("coefs_ and intercepts_ must be finite")
    network = network_of(weights.sizes, mlp._activation(), mlp.out_activation_, "squared_error")
    if not hasattr(mlp, "classes_"):
        return Model(network, weights.params, "numbers")
    if mlp._label_binarizer.y_type_.startswith("multilabel"):
        return Model(network, weights.params, "multilabel")
    return Model(network, weights.params, "labels", mlp.classes_)
