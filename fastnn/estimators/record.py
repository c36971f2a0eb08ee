"""The record of a fit: the measurements of each epoch, which become fitted attributes of the estimator."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from types import UnionType
from typing import Any

import numpy as np

from fastnn.estimators.attributes import attribute


@dataclass
class FitRecord:
    """Fitted attributes before the fit ends, with the names on the estimator but for the last underscore."""

    t: int
    """Samples seen, earlier calls included."""
    loss_curve: list[float]
    no_improvement_count: int
    best_loss: float | None
    validation_scores: list[float] | None
    best_validation_score: float | None
    validation_loss_curve: list[float] | None
    scoring: Any = None
    """The `scoring` of the scores."""
    n_iter: int = 0
    loss: float = np.nan
    stop_reason: str = ""
    """Why training ended; "" while it goes on."""

    @classmethod
    def begin(cls, mlp: Any, first_pass: bool, validated: bool) -> FitRecord:
        """Continue the record of an estimator's earlier fits, or begin a new one.

        Parameters
        ----------
        mlp : BaseMLP
        first_pass : bool
            Whether the weights are new; then the record begins anew.
        validated : bool
            Whether there is a loss of validation data to record.
        """
        by, now = getattr(mlp, "_scored_by", None), mlp.scoring
        same_score = by is now or (isinstance(by, str) and isinstance(now, str) and by == now)  # else of another kind

        def before(name: str, kind: type | UnionType, default: Any = None) -> Any:
            is_score = name in ("validation_scores_", "best_validation_score_")
            return default if first_pass or (is_score and not same_score) else attribute(mlp, name, kind, default)

        curve = before("validation_loss_curve_", list | None)
        record = cls(
            t=before("t_", Integral, 0),
            loss_curve=before("loss_curve_", list, []),  # appended to: copies in each call would take ever longer
            no_improvement_count=before("_no_improvement_count", Integral, 0),
            best_loss=before("best_loss_", Real | None),
            validation_scores=before("validation_scores_", list | None),
            best_validation_score=before("best_validation_score_", Real | None),
            validation_loss_curve=list(curve or ()) if validated else curve,
            scoring=mlp.scoring,
        )
        if mlp.early_stopping:
            record.best_loss = None
            record.validation_scores = list(record.validation_scores or ())
            if record.best_validation_score is None:
                record.best_validation_score = -np.inf
        elif record.best_loss is None:
            record.best_loss = np.inf
        return record

    def attributes(self) -> dict[str, Any]:
        """Return the fitted attributes by their names on the estimator."""
        values = dict(vars(self))
        private = {"_no_improvement_count": values.pop("no_improvement_count"), "_scored_by": values.pop("scoring")}
        if self.validation_loss_curve is None:
            del values["validation_loss_curve"]
        if not self.loss_curve:
            del values["loss"]  # no epoch has ended
        return {f"{name}_": value for name, value in values.items()} | private
