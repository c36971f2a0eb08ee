"""The changes of the presets that `trial` judged: one is in fastnn since, one is only here.

- squash: a number s becomes ``s / (1 + (s / 3)^2)^(1/4)``, which grows with the root of s where the
  preset's ``s / (1 + (s / 3)^2)^(1/2)`` stays below 3. It takes sqrt alone, so its bits are the
  same on all machines. It was not accepted.
- steps: half of the members take, beside the matrix, ramps of the columns of numbers
  (`fastnn.tabular.ramps`). The preset without them is "base".
- both: both.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.tables.methods import made
from fastnn import TabularClassifier, TabularRegressor
from fastnn.memory import Array
from fastnn.tabular import base
from fastnn.tabular.preparation import LARGEST_SCALED, LIMIT, TablePreparation

VARIANTS = ("base", "squash", "steps", "both")


class RootPreparation(TablePreparation):
    """The preparation with the other squash."""

    def _scaled(self, numbers: Array, columns: int | slice = slice(None)) -> Array:
        scaled = (numbers - self.centers_[columns]) * self.factors_[columns]
        np.clip(scaled, -LARGEST_SCALED, LARGEST_SCALED, out=scaled)
        return scaled / np.sqrt(np.sqrt(1 + (scaled / LIMIT) ** 2))


@contextlib.contextmanager
def changed(variant: str) -> Iterator[None]:
    """Make fits those of a variant."""
    with contextlib.ExitStack() as stack:
        if variant in ("squash", "both"):
            stack.enter_context(mock.patch.object(base, "TablePreparation", RootPreparation))
        if variant in ("base", "squash"):
            for estimator in (TabularClassifier, TabularRegressor):
                stack.enter_context(mock.patch.object(estimator, "_bins", None))
        yield


def fitted(variant: str, preset: str, kind: str, X: Any, y: Array, seed: int) -> Any:
    """Return an estimator of a preset, changed by a variant."""
    with changed(variant):
        model = made("fastnn.Tabular", kind, preset, n_jobs=1, random_state=seed)
        return model.fit(X, y)
