"""The base of the ensembles: the rows of their members, and fits on all cores or on the workers of an engine."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fastnn.checking.arguments import shown
from fastnn.cores import available_cores
from fastnn.estimators.base import BaseMLP
from fastnn.estimators.sklearn_callbacks import Warned, kept_warnings, warn_of_members
from fastnn.estimators.validation import short_errors, validated
from fastnn.many.driver import chosen_engine
from fastnn.memory import Array
from fastnn.training.interrupts import Flag, heeding

SAMPLINGS = ("seeds", "bootstrap", "folds")


class BaseEnsemble(MetaEstimatorMixin, BaseEstimator, ABC):
    """The base of both ensembles: how the rows of each member are drawn, and how members are fitted."""

    _kind: ClassVar[type[BaseMLP]]
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": "no_validation",
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "sampling": [StrOptions(set(SAMPLINGS))],
        "oob_score": ["boolean"],
        "n_jobs": [Interval(Integral, 1, None, closed="left"), Options(Integral, {-1}), None],
        "random_state": ["random_state"],
    }

    estimators_: list[Any]
    rows_: list[Array]

    @short_errors()
    def _validate_params(self) -> None:
        super()._validate_params()

    @abstractmethod
    def _score_oob(self, X: Any, y: Array) -> None:
        """Set the attributes of the out-of-bag score."""

    def _fit(self, X: Any, y: Array, sample_weight: Any, labels: Array | None) -> Any:
        """Fit the members; where one of them fails, or at Ctrl-C, the ensemble stays as it was."""
        model = self._kind() if self.estimator is None else self.estimator
        if not isinstance(model, self._kind):
            kind = self._kind.__name__
            raise TypeError(
                f"estimator must be an {kind} of fastnn, such as {kind}(), not {shown(model)}; what comes before it, "
                "such as a scaler, goes into a Pipeline with the ensemble"
            )
        if self.oob_score and self.sampling == "seeds":
            raise ValueError("with sampling='seeds' each member sees all rows, so that there is no out-of-bag score")
        if sample_weight is not None:
            with short_errors():
                sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        random_state = check_random_state(self.random_state)
        seeds = random_state.randint(np.iinfo(np.int32).max, size=self.n_members)
        rows = self._rows(X.shape[0], labels, random_state)
        flag = Flag()
        models = [clone(model).set_params(random_state=int(seed)) for seed in seeds]
        calls = [(own, X, y, sample_weight, some, flag) for own, some in zip(models, rows, strict=True)]
        try:
            fitted = self._fitted(calls)
        except BaseException:
            flag.requested = True  # threads go on else; an engine's workers do not, and have flags of their own
            raise
        members, warned = zip(*fitted, strict=True)
        warn_of_members(warned)
        self.estimators_, self.rows_ = list(members), rows
        if self.oob_score:
            self._score_oob(X, y)
        return self

    def _fitted(self, calls: list[Any]) -> list[tuple[Any, Warned]]:
        """Call `fit_member` with all these arguments, on all cores that the process may use or on an engine."""
        n_jobs = None if self.n_jobs == -1 else self.n_jobs
        engine = chosen_engine(n_jobs)
        if engine is not None:
            return engine.call(fit_member, calls, [self.estimator])
        n_threads = available_cores().number if n_jobs is None else int(n_jobs)
        return list(Parallel(n_jobs=n_threads, prefer="threads")(itertools.starmap(delayed(fit_member), calls)))

    def _rows(self, n: int, labels: Array | None, random_state: np.random.RandomState) -> list[Array]:
        """Return the rows that each member is fitted on; some may be there several times."""
        if self.sampling == "seeds":
            return [np.arange(n)] * self.n_members
        if self.sampling == "bootstrap":
            return [random_state.randint(n, size=n) for _ in range(self.n_members)]
        if not 2 <= self.n_members <= n:
            raise ValueError(f"sampling='folds' takes from 2 to n_samples = {n} members, not {self.n_members}")
        splitter = KFold if labels is None else StratifiedKFold
        folds = splitter(self.n_members, shuffle=True, random_state=random_state)
        return [train for train, _ in folds.split(np.zeros(n), labels)]

    def _out_of_bag(self, X: Any) -> list[tuple[Any, Array]]:
        """Return each member with the rows that it has not seen."""
        seen = [np.bincount(rows, minlength=X.shape[0]) > 0 for rows in self.rows_]
        return [(member, np.flatnonzero(~own)) for member, own in zip(self.estimators_, seen, strict=True)]

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        return validated(self, X, dtype=(np.float64, np.float32), reset=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def fit_member(
    model: Any, X: Any, y: Array, sample_weight: Array | None, rows: Array, flag: Flag
) -> tuple[Any, Warned]:
    """Fit a member on its rows, in any thread or process, unless the flag is raised; return its warnings."""
    weight = () if sample_weight is None else (sample_weight[rows],)
    whole = len(rows) == X.shape[0] and (rows[:-1] < rows[1:]).all()
    with heeding(flag), kept_warnings() as warned:
        model.fit(X if whole else X[rows], y if whole else y[rows], *weight)
    if model.stop_reason_ == "interrupted":  # by Ctrl-C, which a single fit would only warn of
        raise KeyboardInterrupt
    return model, warned
