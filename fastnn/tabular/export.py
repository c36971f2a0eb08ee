"""Export of the estimators of tables: preparation, members and what is made of their mean, for other programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from fastnn.files.export import Format, Model, export
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular.left_out import Unsmoothing
from fastnn.tabular.preparation import Levels, TablePreparation

FORMATS: dict[str, Format] = {
    "numpy": Format(".py", "fastnn.tabular.to_numpy"),
    "c": Format(".c", "fastnn.tabular.to_c"),
    "onnx": Format(".onnx", "fastnn.tabular.to_onnx"),
}


class TableModel(NamedTuple):
    """The contents of an export."""

    preparation: TablePreparation
    network: Network
    params: Array  # (n_members, n_params) float32
    unsmoothing: Unsmoothing | None  # of a classifier
    classes: Array | None  # (n_outputs,)
    scaling: Array | None  # (4, n_outputs) of a regressor: means, deviations, least and largest ones
    one_target: bool

    @property
    def summary(self) -> str:
        """Return in words what it is."""
        return f"An ensemble of {len(self.params)} networks {self.members[0].summary}, of the columns of a table"

    @property
    def members(self) -> list[Model]:
        """The members, as exports of networks take them."""
        return [Model(self.network, params) for params in self.params]

    @property
    def names(self) -> list[str] | None:
        """The names of the table's columns, if it has names."""
        names = getattr(self.preparation, "feature_names_in_", None)
        return None if names is None else names.tolist()

    @property
    def levels(self) -> dict[int, Levels]:
        """The columns of words by their places."""
        return {levels.column: levels for levels in self.preparation.levels_}


class Exporting:
    """The method `export`."""

    def export(self, path: str | os.PathLike[str], format: str | None = None) -> list[Path]:
        """Write the fitted estimator for programs without fastnn: preparation, members and their mean.

        Parameters
        ----------
        path : str or path
            An existing file is replaced.
        format : {"numpy", "c", "onnx"}, optional
            Otherwise the path's suffix says which: .py, .c or .onnx. In C a level is its number, and a gap NaN; else
            levels are texts. See docs/howto/tables-export.md.

        Returns
        -------
        list of pathlib.Path
            The files that were written, all of them or none.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ValueError
            For an unknown format, and for what the format cannot hold.
        OSError
            When a file cannot be written.

        Examples
        --------
        >>> from fastnn import TabularClassifier
        >>> model = TabularClassifier("fast", random_state=0).fit([["red"], ["blue"]] * 20, [1, 0] * 20)
        >>> [path.name for path in model.export("colors.c")]
        ['colors.c', 'colors.h']
        """
        check_is_fitted(self)
        return export(model_of(self), path, format, FORMATS)


def model_of(estimator: Any) -> TableModel:
    """Return what an export of a fitted estimator holds."""
    members = estimator.estimators_
    parts = estimator.preparation_, members[0].network, np.array([member.params for member in members])
    if is_classifier(estimator):
        return TableModel(*parts, estimator._unsmoothing, estimator.classes_, None, False)
    return TableModel(*parts, None, None, estimator._scaling, estimator._one_target)
