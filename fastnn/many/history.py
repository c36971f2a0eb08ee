"""The histories of many trainings, stacked."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastnn.checking import display
from fastnn.memory import Array
from fastnn.training import chart
from fastnn.training.history import History


def picture(histories: Sequence[History], best: History | None, name_of_best: str) -> str:
    """Return a picture of the losses of some members, those of the best one in another color."""
    validated = bool(histories) and all(len(history.validation_loss) for history in histories)
    name, attribute = ("validation loss", "validation_loss") if validated else ("loss", "loss")
    blue, orange = chart.COLORS
    curves = [chart.Curve(getattr(history, attribute), name, blue, 0.35) for history in histories]
    if best is not None:
        curves.append(chart.Curve(getattr(best, attribute), f"{name_of_best}, the best", orange))
    return chart.chart([curve for curve in curves if len(curve.values)])


class ManyHistory:
    """The histories of many trainings, stacked: a row for each member, NaN behind its end.

    Parameters
    ----------
    histories : sequence of History
        Those of the members.

    Examples
    --------
    >>> from fastnn import Network, train_many
    >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(3), epochs=[2, 4, 3])
    >>> many.history.loss.shape
    (3, 4)
    >>> many.history.loss[0, 2:]
    array([nan, nan])
    """

    def __init__(self, histories: Sequence[History]) -> None:
        self._histories = histories

    def __repr__(self) -> str:
        return display.line(self, self._facts())

    def _repr_html_(self) -> str:
        return display.card(
            self, self._facts(), picture([self._histories[i] for i in chart.some_of(len(self._histories))], None, "")
        )

    def _facts(self) -> dict[str, object]:
        return {"members": len(self._histories), "most epochs": self.loss.shape[1]}

    @functools.cached_property
    def loss(self) -> NDArray[np.float64]:
        """The training losses (m, most epochs), see `History.loss`."""
        return self._stacked("loss")

    @functools.cached_property
    def validation_loss(self) -> NDArray[np.float64]:
        """The validation losses (m, most epochs)."""
        return self._stacked("validation_loss")

    @functools.cached_property
    def score(self) -> NDArray[np.float64]:
        """The scores (m, most epochs) by which best epochs are chosen, see `History.score`."""
        return self._stacked("score")

    @functools.cached_property
    def learning_rate(self) -> NDArray[np.float64]:
        """The learning rate (m, most epochs) of each epoch's last step."""
        return self._stacked("learning_rate")

    @property
    def seconds(self) -> NDArray[np.float64]:
        """The time (m,) of each training; of short ones, which are trained in blocks, a share of the block's time."""
        return np.array([history.seconds for history in self._histories])

    @property
    def best_epoch(self) -> NDArray[np.int64]:
        """The epoch (m,) with the best score, from 1; 0 where there is none."""
        return np.array([history.best_epoch for history in self._histories], np.int64)

    def to_dict(self) -> dict[str, Array]:
        """Return columns, a row for each epoch of each member, such as ``pandas.DataFrame`` takes.

        Returns
        -------
        dict of str to ndarray (epochs of all members,)
            "member", and the columns of `History.to_dict`.

        Examples
        --------
        >>> from fastnn import Network, train_many
        >>> many = train_many(Network((1, 1)), [[0.0], [1.0]], [0.0, 1.0], seed=range(2), epochs=[1, 2])
        >>> many.history.to_dict()["member"]
        array([0, 1, 1])
        """
        tables = [history.to_dict() for history in self._histories]
        member = np.repeat(np.arange(len(tables)), [len(table["epoch"]) for table in tables])
        names = tables[0] if tables else ()
        return {"member": member, **{name: np.concatenate([table[name] for table in tables]) for name in names}}

    def _stacked(self, name: str) -> NDArray[np.float64]:
        rows = [getattr(history, name) for history in self._histories]
        stacked = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
        for place, row in zip(stacked, rows, strict=True):
            place[: len(row)] = row
        return stacked
