"""The predictions of many networks: the outputs of each, stacked, or their mean and standard deviation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.checking.values import check_column_names, column_names
from fastnn.many.member_results import MemberResult
from fastnn.memory import Array
from fastnn.training.inputs import check_inputs
from fastnn.training.results import TrainingResult


def outputs_of(member_results: Sequence[MemberResult], X: Any, assume_finite: bool) -> Iterator[Array]:
    """Iterate over the members' outputs (n, n_outputs); X is checked once for those that take it alike."""
    checked: dict[tuple[int, Any], Array] = {}
    names = column_names(X)
    for member_result in member_results:
        if names is not None:
            check_column_names(names, member_result.feature_names)
        kind = member_result.network.n_inputs, member_result.params.dtype
        if kind not in checked:
            checked[kind] = check_inputs(member_result.network, X, member_result.params.dtype, assume_finite)
        if isinstance(member_result, TrainingResult):
            yield member_result.predict(checked[kind], assume_finite=True)
        else:
            yield member_result.backend.predict(member_result.network, member_result.params, checked[kind])


def stacked(outputs: Iterator[Array], m: int, dtype: np.dtype[Any]) -> Array:
    """Return the outputs of m members in one array (m, n, n_outputs), of which no second copy is held."""
    first = next(outputs)
    array = np.empty((m, *first.shape), dtype)
    for place, output in zip(array, itertools.chain([first], outputs), strict=True):
        place[...] = output
    return array


def mean_and_deviation(outputs: Iterable[Array]) -> tuple[Array, Array]:
    """Return mean and standard deviation of the members' outputs, one by one (Welford, Technometrics 4, 1962)."""
    mean = squares = np.zeros(())
    k = 0
    for k, output in enumerate(outputs, 1):
        change = output.astype(np.float64) - mean
        mean = mean + change / k
        squares = squares + change * (output - mean)
    return mean, np.sqrt(squares / k)
