"""The estimators of tables shown: a card in a notebook, and a picture of losses and of the rows left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastnn import plotting
from fastnn.checking import display
from fastnn.files.figures import empty_figure
from fastnn.many.results import ManyHistory
from fastnn.memory import Array
from fastnn.tabular.preparation import TablePreparation
from fastnn.training.results import TrainingResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS = 20
"""Columns in a card."""


class Shown:
    """The method `plot`, and the card."""

    estimators_: list[TrainingResult]
    preparation_: TablePreparation
    history_: ManyHistory
    oob_score_: float
    fit_seconds_: float
    _out_of_bag: Array
    _truth: Array

    def _draw_left_out(self, axes: Axes) -> None:
        raise NotImplementedError

    def plot(self) -> Figure:
        """Draw the members' losses and, where rows were left out, how right predictions of them are, by matplotlib.

        Of numbers these are the true ones against the predicted ones; of classes, how often the predicted class was
        right against its probability.

        Returns
        -------
        matplotlib.figure.Figure
            16 by 7 inches; `fastnn.plotting.save` writes it.

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        ImportError
            Where matplotlib is not installed.

        Examples
        --------
        >>> from fastnn import TabularClassifier
        >>> model = TabularClassifier("fast", random_state=0).fit([["red"], ["blue"]] * 20, [1, 0] * 20)
        >>> [axes.get_title() for axes in model.plot().axes]
        ['Losses of the members', 'Rows left out, accuracy 1.000']
        """
        check_is_fitted(self)
        figure, axes = empty_figure("", "", "")
        has_rows = not np.isnan(self._out_of_bag[:, 0]).all()
        figure.set_size_inches(16 if has_rows else 8, 7)
        axes.remove()
        panels = figure.subplots(1, 1 + has_rows, squeeze=False)[0]
        plotting.member_curves(self.history_, axes=panels[0])
        if has_rows:
            self._draw_left_out(panels[1])
        return figure

    def _html_repr(self) -> str:
        """Return what a notebook shows: scikit-learn's diagram and, of a fitted estimator, a card."""
        diagram: str = super()._html_repr()  # type: ignore[misc]
        return (
            diagram + display.card(self, self._facts(), self.history_._chart())
            if hasattr(self, "history_")
            else diagram
        )

    def _facts(self) -> dict[str, object]:
        network, preparation = self.estimators_[0].network, self.preparation_
        names = getattr(preparation, "feature_names_in_", [f"column {j}" for j in range(preparation.n_features_in_)])
        facts: dict[str, object] = {
            "networks": f"{len(self.estimators_)} of {display.sizes_text(network.sizes)}",
            "rows": f"{len(self._truth):,}, {int((~np.isnan(self._out_of_bag[:, 0])).sum()):,} of them left out",
            "score, rows left out": f"{self.oob_score_:.4g}",
            "seconds": f"{self.fit_seconds_:.3g}",
        }
        for j, name in enumerate(names[:MOST_COLUMNS]):
            facts[f"{name}"] = how_read(preparation, j)
        if len(names) > MOST_COLUMNS:
            facts["..."] = f"and {len(names) - MOST_COLUMNS} other columns"
        return facts


def how_read(preparation: TablePreparation, j: int) -> str:
    """Return in words how the column j of a table was read."""
    if j in preparation.number_columns_:
        gaps = ", with gaps" if preparation.has_gaps_[preparation.number_columns_.index(j)] else ""
        return f"number{gaps}"
    for levels in preparation.levels_:
        if levels.column == j:
            return f"{len(levels.levels)} levels{', the rest is one' if levels.has_rest else ''}"
    return "always the same, left out"
