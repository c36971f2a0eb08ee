"""The estimators of tables in files: saved and loaded without pickle.

The file is an archive as of `fastnn.files.archive`:

    header            uint8: JSON of the format, versions, network, the estimator's kind, parameters
                      and scores
    columns           uint8: JSON of the columns' names, the places of those of numbers, places and
                      levels of words, whether words were missing, the cells that estimates are made
                      from, and the columns of the matrix that ramps are made of
    numbers           (6, n_numbers): centers, factors, means, 1 where there were gaps, and least
                      and largest numbers
    imputation        (n_sources + 1, n_cells): of estimates, coefficients, see
                      `fastnn.tabular.imputation`, and means
    imputation_steps  (n_steps,)
    gap_patterns      (n_patterns, n_columns) uint8: columns of numbers, then of words, 1 where
                      there were gaps
    ramps             (3, n_ramps): lows, widths and heights
    params            (n_members, n_params) float32
    losses            (2, n_members, n_epochs): training and validation losses, NaN behind a
                      member's end
    out_of_bag        (n_samples, n_outputs): outputs by the members that left a row out, NaN where
                      none did
    truth             (n_samples,) or (n_samples, n_outputs): numbers of the labels, or standardized
                      targets, of fit
    classes           a classifier's labels: numbers, or JSON as uint8
    targets           (4, n_outputs), of a regressor: means, deviations, least and largest ones
    residual_params   (2 or 0, n_params) float32, of a regressor: networks of the residuals'
                      sizes
    residual_scores   (m, n_outputs): its residuals over the sizes that these expect, ascending
    residual_mean     (n_outputs,): the mean size
    donors            (n, n_inputs - n_ramps) float32: rows of the matrix of fit

Format 1, of version 0.3, has numbers (4, n_numbers), without the least and largest ones, an
imputation (n_numbers, n_numbers), and nothing else of gaps, and no ramps.
"""

import dataclasses
import functools
import os
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.utils.validation import check_is_fitted

from fastnn.errors import ModelFileError
from fastnn.files import archive
from fastnn.files.archive import Arrays, Header
from fastnn.files.description import (
    labels_array,
    labels_of,
    network_of,
    shared_header,
    without_state,
)
from fastnn.files.export import check_not_exported
from fastnn.files.model import TABLE, TABLE_1
from fastnn.many.results import ManyHistory
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.tabular.calibration import (
    LARGEST_OFFSET,
    N_NETWORKS,
    Residuals,
    Unsmoothing,
    network_of_sizes,
)
from fastnn.tabular.imputation import MOST_STEPS, Imputation
from fastnn.tabular.levels import are_plain, check_levels
from fastnn.tabular.preparation import Levels, TablePreparation
from fastnn.tabular.ramps import Ramps
from fastnn.training.history import History

_NUMBERS_OR_NONE = ("random_state", "cv")
"""Parameters that may be objects: a file has None in place of these."""

_MOST_COLUMNS = 1_000_000
"""Most columns of a table in a file, whose exports say something of each."""

_SCORES = ("best_validation_score_", "oob_score_", "fit_seconds_")


class Saving:
    """The methods `save` and `load`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to one .npz file, without pickle; `load` reads it.

        Kept are the preparation, the members' networks, the parameters, the losses, the scores and
        the outputs for rows left out. A `random_state` or a `cv` that is an object is None
        afterwards.

        Parameters
        ----------
        path : str or path
            Taken as it is: no ".npz" is added. An existing file is replaced, when the new one is
            complete.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ValueError, TypeError
            For labels or parameters that are not numbers or texts or are illegal, and for a suffix
            such as ".onnx".
        OSError
            When the file cannot be written.

        Examples
        --------
        >>> from fastnn import TabularClassifier
        >>> model = TabularClassifier("fast", random_state=0).fit(
        ...     [["red"], ["blue"]] * 20, [1, 0] * 20
        ... )
        >>> model.save("colors.npz")
        >>> TabularClassifier.load("colors.npz").predict([["blue"], ["red"]])
        array([0, 1])
        """
        check_is_fitted(self)
        check_not_exported(path, "estimator.export({})")
        archive.write_archive(
            path, TABLE, *_content(self), functools.partial(_estimator, type(self))
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator that `save` wrote. Nothing in the file is executed.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        TabularClassifier or TabularRegressor
            It predicts the same to the bit.

        Raises
        ------
        OSError
            When there is no such file or it cannot be read.
        ModelFileError
            When it is not such a file, holds the other estimator, is damaged, or was written by a
            later version of fastnn. A ValueError too.

        Examples
        --------
        >>> from fastnn import TabularRegressor
        >>> model = TabularRegressor("fast", random_state=0).fit(
        ...     [["red"], ["blue"]] * 20, [1.0, 0.0] * 20
        ... )
        >>> model.save("colors.npz")
        >>> bool(
        ...     (
        ...         TabularRegressor.load("colors.npz").predict([["red"]])
        ...         == model.predict([["red"]])
        ...     ).all()
        ... )
        True
        """
        return archive.read_archive(
            path, dict.fromkeys((TABLE, TABLE_1), functools.partial(_estimator, cls))
        )


# --------------------------------------------------------------------------------------------- save


def _content(model: Any) -> tuple[Header, Arrays]:
    """Return header and arrays of an estimator's file."""
    parameters = model.get_params(deep=False)
    for name in _NUMBERS_OR_NONE:
        if not isinstance(parameters[name], (int, np.integer)):
            parameters[name] = None
    network = model.estimators_[0].network
    p = model.preparation_
    history = model.history_
    header = {
        **shared_header(network, model.estimators_[0].params, "numba"),
        "kind": "classifier" if is_classifier(model) else "regressor",
        "parameters": {name: archive.plain(name, value) for name, value in parameters.items()},
        "scores": {name: float(getattr(model, name)) for name in _SCORES},
    }
    check_levels(p, "saved")
    columns = {
        "n": p.n_features_in_,
        "names": list(getattr(p, "feature_names_in_", ())),
        "numbers": p.number_columns_,
        "words": list(map(list, p.levels_)),
        "word_gaps": p.has_word_gaps_.tolist(),
        "sources": p.imputation_.sources.tolist(),
        "ramps": p.ramps_.columns.tolist(),
    }
    arrays = {
        "columns": archive.json_array(columns),
        "numbers": np.array(
            [p.centers_, p.factors_, p.means_, p.has_gaps_, p.lows_, p.highs_], np.float64
        ),
        "imputation": np.vstack([p.imputation_.matrix, p.imputation_.means]),
        "imputation_steps": p.imputation_.steps,
        "gap_patterns": p.gap_patterns_.astype(np.uint8),
        "ramps": np.array(p.ramps_[1:]),
        "params": np.array([member.params for member in model.estimators_]),
        "losses": np.array([history.loss, history.validation_loss]),
        "out_of_bag": model._out_of_bag,
        "truth": model._truth,
    }
    if is_classifier(model):
        header |= {"labels": model.classes_.dtype.kind, "unsmoothing": list(model._unsmoothing)}
        return header, arrays | {"classes": labels_array(model.classes_)}
    header["one_target"] = model._one_target
    residuals = model._residuals
    return header, arrays | {
        "targets": model._scaling,
        "residual_params": np.array([member.params for member in residuals.members], np.float32),
        "residual_scores": residuals.scores,
        "residual_mean": residuals.mean,
        "donors": model._donors,
    }


# --------------------------------------------------------------------------------------------- load


def _estimator(cls: Any, header: Header, arrays: Arrays) -> Any:
    """Build an estimator of a file's header and arrays; any error means that the file is
    damaged.
    """
    kind = "classifier" if issubclass(cls, ClassifierMixin) else "regressor"
    if header["kind"] != kind:
        raise ModelFileError(f"it holds a {header['kind']!s:.50} of tables, not a {kind}")
    model = cls(**{name: archive.value_of(value) for name, value in header["parameters"].items()})
    model._validate_params()
    n_members, n_params = arrays["params"].shape
    network = network_of(header["network"], n_params)
    n_epochs = arrays["losses"].shape[-1]
    n_rows = len(arrays["out_of_bag"])
    of_numbers = np.float32, (n_rows, network.n_outputs)
    shapes = {
        "params": (np.float32, (max(n_members, 1), network.n_params)),
        "losses": (np.float64, (2, n_members, n_epochs)),
        "out_of_bag": (np.float64, (n_rows, network.n_outputs)),
        "truth": (np.int64, (n_rows,)) if kind == "classifier" else of_numbers,
        "targets": (np.float64, (4, network.n_outputs)),
    }
    archive.check_arrays(arrays, shapes)
    if not np.isfinite(arrays["params"]).all():
        raise ModelFileError("damaged: params must be finite")
    model._set_preparation(_preparation(arrays, network, model.max_categories))
    model.estimators_ = [
        without_state(network, params.copy(), "numba") for params in arrays["params"]
    ]
    histories = []
    for loss, validation_loss in zip(*arrays["losses"], strict=True):
        n = np.count_nonzero(~np.isnan(loss))
        histories.append(History(loss[:n], validation_loss[:n], seconds=np.nan))
    model.history_ = ManyHistory(histories)
    for name in _SCORES:
        setattr(model, name, float(header["scores"][name]))
    if kind == "classifier":
        _set_classes(model, header, arrays, network)
    else:
        _set_numbers(model, header, arrays, network)
    right = model._network(network.n_inputs, network.sizes[1:-1], network.n_outputs)
    same_loss = network.loss_name == right.loss_name  # smoothing may differ
    if not same_loss or dataclasses.replace(network, loss=right.loss) != right:
        raise ModelFileError("damaged: its network is not that of such an estimator")
    model._set_out_of_bag(arrays["out_of_bag"])
    model._truth = arrays["truth"]
    return model


def _set_classes(model: Any, header: Header, arrays: Arrays, network: Network) -> None:
    """Set what a classifier alone has."""
    model.classes_ = labels_of(arrays["classes"], header["labels"], network.n_outputs)
    n_labels = len(model.classes_)
    if n_labels != network.n_outputs:
        raise ModelFileError(f"damaged: {n_labels} labels of {network.n_outputs} outputs")
    model._unsmoothing = _unsmoothing(header["unsmoothing"], network.n_outputs)


def _set_numbers(model: Any, header: Header, arrays: Arrays, network: Network) -> None:
    """Set what a regressor alone has."""
    model._one_target = bool(header["one_target"])
    model._scaling = arrays["targets"]
    fits = network.n_outputs == 1 or not model._one_target
    if not fits or not np.isfinite(model._scaling).all():
        raise ModelFileError("damaged: its targets are not those of its network")
    model._residuals = _residuals(arrays, network)
    n_plain = network.n_inputs - len(model.preparation_.ramps_.columns)
    model._donors = arrays.get("donors", np.zeros((0, n_plain), np.float32))
    archive.check_arrays(arrays, {"donors": (np.float32, (len(model._donors), n_plain))})
    if not np.isfinite(model._donors).all():
        raise ModelFileError("damaged: donors must be finite")


def _unsmoothing(plain: list[float], n_classes: int) -> Unsmoothing:
    offset, least = map(float, plain)
    if not 0 <= offset <= LARGEST_OFFSET / n_classes or not 0 < least <= 1:
        raise ModelFileError("damaged: its unsmoothing is none of probabilities")
    return Unsmoothing(offset, least)


def _residuals(arrays: Arrays, network: Network) -> Residuals:
    """Build the residuals; raise ModelFileError where they are not those of the network."""
    size_network = network_of_sizes(network)
    params = arrays["residual_params"]
    scores = arrays["residual_scores"]
    mean = arrays["residual_mean"]
    shapes = {
        "residual_params": (
            np.float32,
            (N_NETWORKS, size_network.n_params) if len(scores) else (0,),
        ),
        "residual_scores": (np.float64, (len(scores), network.n_outputs)),
        "residual_mean": (np.float64, (network.n_outputs,)),
    }
    archive.check_arrays(arrays, shapes)
    are_sizes = (np.diff(scores, axis=0) >= 0).all() and (scores >= 0).all() and (mean >= 0).all()
    if not (are_sizes and np.isfinite(params).all()):
        raise ModelFileError("damaged: its residuals are no sizes in ascending order")
    members = [without_state(size_network, row.copy(), "numba") for row in params]
    return Residuals(members, mean, scores)


def _preparation(arrays: Arrays, network: Network, max_categories: int) -> TablePreparation:
    """Build the preparation of a file; raise ModelFileError where its columns are not those of the
    network.
    """
    text = archive.text_of(arrays["columns"], "table of columns")
    columns = archive.table_of(text, sum(array.nbytes for array in arrays.values()))
    preparation = TablePreparation(max_categories)
    n = columns["n"]
    names = columns["names"]
    places = columns["numbers"]
    levels = [_levels(*values) for values in columns["words"]]
    preparation.n_features_in_ = n
    preparation.number_columns_ = places
    preparation.levels_ = levels
    k = len(places)
    gaps = _set_columns_of_numbers(preparation, arrays)
    n_cells = k + sum(one.width for one in levels)
    preparation.imputation_ = imputation = _imputation(arrays, columns, preparation.means_, n_cells)
    preparation.has_word_gaps_ = np.array(columns.get("word_gaps", [True] * len(levels)), bool)
    patterns = arrays.get("gap_patterns", np.zeros((0, k + len(levels)), np.uint8))
    preparation.gap_patterns_ = patterns == 1
    preparation.ramps_ = ramps = _ramps(arrays, columns)
    if names:
        preparation.feature_names_in_ = np.array(names, object)
    used = [*places, *(one.column for one in levels)]
    has_columns = type(n) is int and 0 < n <= _MOST_COLUMNS
    width = n_cells + int(gaps.sum()) + len(ramps.columns)
    legal = {
        "places": has_columns and _are_places(used, n) and len(set(used)) == len(used),
        "names": _are_names(names, n),
        "levels": all(map(are_plain, levels)),
        "numbers": _are_finite([arrays["numbers"][:4], *imputation]),
        "ranges": (preparation.lows_ <= preparation.highs_).all(),
        "gaps": np.isin(gaps, (0, 1)).all() and preparation.has_word_gaps_.shape == (len(levels),),
        "ramps": _are_ramps(ramps, k),
        "patterns": patterns.shape[1:] == (k + len(levels),),
        "inputs": max(width, 1) == network.n_inputs,
    }
    for what, fits in legal.items():
        if not fits:
            raise ModelFileError(f"damaged: the {what} of its columns are not those of its network")
    return preparation


def _set_columns_of_numbers(preparation: TablePreparation, arrays: Arrays) -> Array:
    """Set what is known of columns of numbers, of a file of fastnn 0.3 no range; return where gaps
    were, as numbers.
    """
    k = len(preparation.number_columns_)
    is_of_0_3 = "imputation_steps" not in arrays
    archive.check_arrays(arrays, {"numbers": (np.float64, (4 if is_of_0_3 else 6, k))})
    preparation.centers_, preparation.factors_, preparation.means_, gaps = arrays["numbers"][:4]
    preparation.has_gaps_ = gaps == 1
    unknown = [np.full(k, -np.inf), np.full(k, np.inf)]
    preparation.lows_, preparation.highs_ = unknown if is_of_0_3 else arrays["numbers"][4:]
    return gaps


def _levels(column: int, texts: Any, has_rest: Any, is_one: Any) -> Levels:
    return Levels(column, list(texts), bool(has_rest), bool(is_one))


def _are_names(names: Any, n_columns: int) -> bool:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return False
    return len(names) in (0, n_columns) and len(set(names)) == len(names)


def _are_places(values: list[Any], n: int) -> bool:
    return all(type(j) is int and 0 <= j < n for j in values)


def _are_finite(arrays: Iterable[Array]) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays)


def _are_ramps(ramps: Ramps, n_columns: int) -> bool:
    are_places = _are_places(ramps.columns.tolist(), n_columns)
    return are_places and _are_finite(ramps[1:]) and bool((ramps.widths > 0).all())


def _ramps(arrays: Arrays, columns: Header) -> Ramps:
    """Build the ramps of a file, of fastnn 0.3 none."""
    places = columns.get("ramps", [])
    if not all(type(j) is int for j in places):
        raise ModelFileError("damaged: the ramps of its columns are not those of its network")
    of_ramps = arrays.get("ramps", np.zeros((3, 0)))
    archive.check_arrays(arrays | {"ramps": of_ramps}, {"ramps": (np.float64, (3, len(places)))})
    return Ramps(np.array(places, np.int64), *of_ramps)


def _imputation(arrays: Arrays, columns: Header, means: Array, n_cells: int) -> Imputation:
    """Build the imputation of a file; raise ModelFileError where it is not one of so many cells."""
    k = len(means)
    if "imputation_steps" not in arrays:
        archive.check_arrays(arrays, {"imputation": (np.float64, (k, k))})
        return Imputation.of_jacobi(means, arrays["imputation"])
    sources = columns["sources"]
    steps = arrays["imputation_steps"]
    shapes = {
        "imputation": (np.float64, (len(sources) + 1, n_cells)),
        "imputation_steps": (np.float64, (len(steps),)),
    }
    archive.check_arrays(arrays, shapes)
    if not _are_places(sources, n_cells) or not 0 < len(steps) <= MOST_STEPS:
        raise ModelFileError("damaged: its estimates of gaps are not those of its columns")
    imputation = arrays["imputation"]
    return Imputation(imputation[-1], np.array(sources, np.int64), imputation[:-1], steps)
