"""Export of the estimators of tables to other programs: preparation, members, and predictions from
their mean.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from fastnn.backends import get_backend
from fastnn.files.export import FORMATS as OF_NETWORKS
from fastnn.files.export import ExportFormat, Model, export
from fastnn.memory import Array, Flags
from fastnn.network import Network
from fastnn.state import TableRow
from fastnn.tabular.calibration import Unsmoothing
from fastnn.tabular.columns import LARGEST
from fastnn.tabular.imputation import Imputation
from fastnn.tabular.levels import check_levels, check_no_words
from fastnn.tabular.preparation import LARGEST_SCALED, LIMIT, Levels, TablePreparation

FORMATS = {
    key: ExportFormat(OF_NETWORKS[key].suffix, f"fastnn.tabular.to_{key}")
    for key in ("numpy", "c", "onnx")
}


class TableModel(NamedTuple):
    """The contents of an export."""

    preparation: TablePreparation
    network: Network
    params: Array  # (n_members, n_params) float32
    unsmoothing: Unsmoothing | None  # of a classifier
    classes: Array | None  # (n_outputs,)
    # (4, n_outputs) of a regressor: means, deviations, least and largest ones
    scaling: Array | None
    one_target: bool
    estimates: bool  # whether gaps are estimated in columns, too, that had none in `fit`

    @property
    def summary(self) -> str:
        """The ensemble in words."""
        networks = f"{len(self.params)} networks {self.members[0].summary}"
        return f"An ensemble of {networks}, of the columns of a table"

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

    @property
    def refuses_gaps(self) -> Flags:
        """The columns of numbers (n_numbers,) where a gap has no prediction."""
        return ~self.preparation.has_gaps_ & (not self.estimates)

    @property
    def imputation(self) -> Imputation:
        """The estimates of gaps; those of no columns where no gap has a prediction."""
        imputation = self.preparation.imputation_
        if self.refuses_gaps.all():
            return Imputation(
                imputation.means[:0], imputation.sources[:0], imputation.matrix[:0], np.zeros(0)
            )
        return imputation

    @property
    def constants(self) -> dict[str, Array]:
        """The arrays that a program needs: of the preparation, of all members, and of the
        targets.
        """
        p = self.preparation
        network = self.network
        arrays = {"centers": p.centers_, "factors": p.factors_, **self.imputation._asdict()}
        arrays |= {f"ramp_{name}": array for name, array in p.ramps_._asdict().items()}
        for k in range(network.n_layers):
            for name, of_layers in (("W", network.weights), ("b", network.biases)):
                arrays[f"{name}{k}"] = np.array([of_layers(params)[k] for params in self.params])
        if self.scaling is not None:
            names = ("averages", "deviations", "least", "largest")
            arrays |= zip(names, self.scaling, strict=True)
        return arrays

    def function(self) -> Any:
        """Return the compiled function of one row; raise ValueError for a table with words."""
        p = self.preparation
        n = self.network.n_outputs
        way = "takes these as the numbers of their levels, or make numbers of them before fit"
        check_no_words(p, f"a row of function() holds numbers: export to C, which {way}")
        if self.scaling is not None:
            targets = self.scaling[[1, 0, 2, 3]]
        else:
            assert self.unsmoothing is not None
            targets = np.repeat(
                [[1.0], [-self.unsmoothing.offset], [self.unsmoothing.least], [np.inf]], n, axis=1
            )
        imputation = self.imputation
        square = np.zeros((len(p.means_), len(p.means_)))
        square[imputation.sources] = imputation.matrix
        row = TableRow(
            n_columns=p.n_features_in_,
            places=np.array(p.number_columns_, np.int64),
            flags=np.flatnonzero(p.has_gaps_),
            preparation=np.array(
                [p.centers_, p.factors_, p.means_, np.where(self.refuses_gaps, np.inf, 0.0)]
            ),
            imputation=square,
            steps=imputation.steps,
            ramped=p.ramps_.columns,
            ramps=np.array(p.ramps_[1:]),
            limit=LIMIT,
            bound=LARGEST_SCALED,
            largest=LARGEST,
            targets=targets,
            adds_up=self.scaling is None,
        )
        return cast(Any, get_backend("numba")).table_function(self.network, self.params, row)


class Exporting:
    """The methods `export` and `function`."""

    def export(
        self, path: str | os.PathLike[str], format: str | None = None, *, estimates: bool = False
    ) -> list[Path]:
        """Write the fitted estimator for programs without fastnn: preparation, members and their
        mean.

        Parameters
        ----------
        path : str or path
            An existing file is replaced.
        format : {"numpy", "c", "onnx"}, optional
            Otherwise the path's suffix says which: .py, .c or .onnx. In C a level is its number,
            and a gap NaN; else levels are texts. See docs/howto/tables-export.md.
        estimates : bool, default=False
            Whether gaps are estimated in every column of numbers, as in `predict`. Otherwise the
            predictions of a row are NaN (an error in Python) where a number is missing in a column
            that had no gap in `fit`.

        Returns
        -------
        list of pathlib.Path
            The files that were written, all of them or none.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ValueError, TypeError
            For an unknown format, for what the format cannot hold, and for levels that are neither
            numbers nor texts.
        OSError
            When a file cannot be written.

        Examples
        --------
        >>> from fastnn import TabularClassifier
        >>> model = TabularClassifier("fast", random_state=0).fit(
        ...     [["red"], ["blue"]] * 20, [1, 0] * 20
        ... )
        >>> [path.name for path in model.export("colors.c")]
        ['colors.c', 'colors.h']
        """
        check_is_fitted(self)
        return export(model_of(self, estimates), path, format, FORMATS)

    def function(self, *, estimates: bool = False) -> Any:
        """Create a function of one row of numbers, ``f(x, out)``, for your own compiled code.

        It takes a row as `fit` took them, and writes what `predict` returns for it, of a classifier
        `predict_proba`, to the same bits. Numba's code calls it as it is, C and SciPy by
        `f.c_function` and `f.c_network`. It allocates nothing, holds no lock, may be called by
        several threads, and keeps a copy of what was fitted.

        Parameters
        ----------
        estimates : bool, default=False
            As for `export`.

        Returns
        -------
        callable
            ``f(x, out)`` with x (f.n_inputs,), the columns in the order of `fit`, NaN for gaps, and
            out (f.n_outputs,), numbers or probabilities: arrays of float64 in C order. For
            infinity, and for numbers that `predict` refuses as too large, `out` is NaN. Numba's
            code gets NaN for a wrong length, too; C must keep to the lengths.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ValueError
            For a table with words, and for networks whose activations would not fit on a thread's
            stack.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import TabularRegressor
        >>> X = np.random.RandomState(0).uniform(size=(100, 2))
        >>> model = TabularRegressor("fast", random_state=0).fit(X, X[:, 0] - X[:, 1])
        >>> f, out = model.function(), np.empty(1)
        >>> f(X[0], out)
        >>> bool(out[0] == model.predict(X[:1])[0])
        True
        """
        check_is_fitted(self)
        return model_of(self, estimates).function()


def model_of(estimator: Any, estimates: bool = False) -> TableModel:
    """Return the contents of an export of a fitted estimator; TypeError for levels that no format
    can hold.
    """
    check_levels(estimator.preparation_, "exported")
    members = estimator.estimators_
    classifies = is_classifier(estimator)
    return TableModel(
        preparation=estimator.preparation_,
        network=members[0].network,
        params=np.array([member.params for member in members]),
        unsmoothing=estimator._unsmoothing if classifies else None,
        classes=estimator.classes_ if classifies else None,
        scaling=None if classifies else estimator._scaling,
        one_target=not classifies and estimator._one_target,
        estimates=estimates,
    )
