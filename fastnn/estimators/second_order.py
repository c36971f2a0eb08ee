"""The solvers "lm" and "br": the best of several starts, with inputs and targets scaled to [-1, 1]
while they train.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn.checking.arguments import shown
from fastnn.estimators.adapter import contiguous
from fastnn.estimators.epochs import FitInputs, FitRecord
from fastnn.estimators.scoring import LOSS
from fastnn.estimators.validation import INTERRUPTED, threads_of, warn
from fastnn.many.driver import checked
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import AT_ALPHA, AT_BETA, BayesianRegularization, LevenbergMarquardt
from fastnn.reference import normal_equations, take
from fastnn.sparse import SparseRows
from fastnn.state import Data
from fastnn.training.inputs import dense
from fastnn.training.options import NOT_GIVEN
from fastnn.training.results import TrainingResult, by_heart, is_constant, warn_by_heart
from fastnn.training.stopping import Stop

DOUBLE = np.dtype(np.float64)
METHODS: dict[str, LevenbergMarquardt] = {
    "lm": LevenbergMarquardt(),
    "br": BayesianRegularization(),
}


class Scale(NamedTuple):
    """The ranges of columns, of which [-1, 1] is made; 0 of what does not change."""

    center: Array  # (n,)
    half: Array  # (n,): half the width, or 0

    @classmethod
    def of(cls, A: Array) -> Scale:
        """Return the scale of the columns of A (any, n)."""
        low = A.min(axis=0) / 2
        high = A.max(axis=0) / 2
        half = high - low
        return cls(low + high, np.where(half > np.finfo(np.float64).tiny * 1e3, half, 0))

    def to(self, A: Array) -> Array:
        """Return A (any, n), scaled."""
        return (A - self.center) * self.slope

    @property
    def slope(self) -> Array:
        """By what a centered column is multiplied."""
        return np.divide(1, self.half, out=np.zeros_like(self.half), where=self.half > 0)


def fold(network: Network, params: Array, x: Scale, y: Scale) -> Array:
    """Return the parameters (n_params,) that take raw inputs and give raw outputs, of those on
    scaled ones.
    """
    params = params.copy()
    W = network.weights(params)
    b = network.biases(params)
    W[0] *= x.slope[:, None]
    b[0] -= x.center @ W[0]
    W[-1] *= y.half
    b[-1] *= y.half
    b[-1] += y.center
    return params


def unfold(network: Network, params: Array, x: Scale, y: Scale) -> Array:
    """Return what `fold` makes `params` of."""
    params = params.astype(np.float64)
    W = network.weights(params)
    b = network.biases(params)
    b[-1] -= y.center
    b[-1] *= y.slope
    W[-1] *= y.slope
    b[0] += x.center @ W[0]
    W[0] *= x.half[:, None]
    return params


def check_solver(mlp: Any, network: Network) -> None:
    """Raise ValueError where a method does not do what the estimator is asked for."""
    solver = f"solver={mlp.solver!r}"
    method = METHODS[mlp.solver]
    if mlp.loss != "squared_error":
        raise ValueError(
            f"{solver} minimizes the squared error, not loss={mlp.loss!r}: take 'lbfgs', 'adam' or "
            "'sgd'"
        )
    if network.n_params > method.most_params:
        what = (
            f"takes up to {method.most_params:,} parameters, this network has {network.n_params:,}"
        )
        raise ValueError(
            f"{solver} {what}: make hidden_layer_sizes smaller, or take 'lbfgs' or 'adam'"
        )
    if mlp.early_stopping and mlp.solver == "br":
        raise ValueError(
            f"{solver} needs no rows to validate, it finds its penalty by all rows: "
            f"early_stopping=False"
        )
    if mlp.early_stopping and mlp.scoring not in (None, LOSS):
        raise ValueError(f"{solver} stops early by scoring=None, which is R^2, or 'loss'")


def fit_second_order(mlp: Any, inputs: FitInputs) -> tuple[Array, dict[str, Any]]:
    """Train from several starts; return the parameters (n_params,) of the best, and the fitted
    attributes of the fit.

    That is the one with the lowest final loss, the greatest evidence, or the best score of
    validation rows. Weights that are given, by a fit before or as initial ones, are the only start.

    One function, however long: the scales of its beginning are those of its end.
    """
    network = inputs.network
    check_solver(mlp, network)
    X, Y, weight = (_dense(array[inputs.rows]) for array in inputs.data)
    used = weight > 0
    if not used.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    x = Scale.of(X[used])
    y = Scale.of(Y[used])
    is_begun = (
        not inputs.first_pass or mlp.coefs_init is not None or mlp.intercepts_init is not None
    )
    n = 1 if is_begun else int(mlp.n_restarts)
    data = Data(x.to(X), y.to(Y), weight)
    # `train_many` would warn
    caller, members = checked(
        n_jobs=threads_of(mlp),
        networks=Network(network.sizes, network.activations[:-1], "identity"),
        X=data.X,
        Y=data.Y,
        sample_weight=weight,
        optimizer=_methods(mlp.solver, n, is_begun),
        epochs=int(mlp.max_iter),
        alpha=NOT_GIVEN if mlp.solver == "br" else float(mlp.alpha),
        seed=[None] if is_begun else mlp._random_state.randint(2**31 - 1, size=n).tolist(),
        params=unfold(network, inputs.params, x, y) if is_begun else None,
        stop=_stop_of(mlp, inputs, x, y, n),
        backend=inputs.backend.backend,
        assume_finite=True,
    )
    results, interrupted = caller.train(members)
    if interrupted:
        warn(INTERRUPTED)
    best = _best_of(list(results), data, verbose=mlp.verbose)
    params = fold(network, best.params.astype(np.float64), x, y).astype(inputs.params.dtype)
    if inputs.on_epoch is not None:
        inputs.on_epoch(params)
    _warn(mlp, best)
    return params, _attributes(mlp, inputs, best)


def _stop_of(mlp: Any, inputs: FitInputs, x: Scale, y: Scale, n: int) -> Stop | None:
    """Return the stop rules of each of n starts, with validation rows scaled."""
    held_out = inputs.held_out if mlp.early_stopping else inputs.validation
    stop: dict[str, Any] = {} if mlp.max_time is None else {"max_seconds": mlp.max_time / n}
    if held_out is not None:
        rows = [_dense(array) for array in held_out.data(DOUBLE)]
        stop["validation"] = x.to(rows[0]), y.to(rows[1]), rows[2]
    if mlp.early_stopping and held_out is not None:
        held_out.check_weights()
        patience = mlp.max_iter if np.isinf(mlp.n_iter_no_change) else mlp.n_iter_no_change
        stop["patience"] = int(patience)
        stop["restore_best"] = True
        stop["monitor"] = "r2" if mlp.scoring is None else "loss"
    return Stop(**stop) if stop else None


def _best_of(fits: list[TrainingResult], data: Data, verbose: bool) -> TrainingResult:
    """Return the result of the best start; print what became of each if asked to."""
    values = [_objective(one, data) for one in fits]
    best = fits[min(range(len(fits)), key=values.__getitem__)]
    if verbose:
        for k, (one, (_, value)) in enumerate(zip(fits, values, strict=True), 1):
            kept = ", kept" if one is best else ""
            print(f"Start {k}: {one.n_epochs} iterations, objective = {value:.8f}{kept}")  # noqa: T201
    return best


def _methods(solver: str, n: int, is_begun: bool) -> Any:
    """Return the method of each of n starts: half of those of "br" skip the first steps of a small
    penalty.
    """
    if solver == "lm":
        return METHODS[solver]
    whole = BayesianRegularization(first_steps=0)
    methods = [whole if k % 2 or is_begun else METHODS[solver] for k in range(n)]
    return methods if n > 1 else methods[0]


def _objective(result: TrainingResult, data: Data) -> tuple[bool, float]:
    """Return what is least for the best start: for "br" one that fits other rows too, and has the
    greatest evidence.
    """
    history = result.history
    gamma = result.gamma
    if len(history.measured):
        value = -float(np.max(history.measured))
    elif result.state.best_params is not None:
        value = float(history.validation_loss.min(initial=np.inf))
    elif not len(history.loss):
        value = 0.0 if result.stop_reason == "goal" else np.inf
    else:
        value = float(history.loss[-1]) if gamma is None else _minus_evidence(result, data)
    return result.stop_reason == "collapsed" or by_heart(result), value


def _minus_evidence(result: TrainingResult, data: Data) -> float:
    """Return minus the logarithm of the targets' probability, by MacKay, but for what all starts
    have in common.
    """
    network = result.network
    p = result.params
    batch = take(result.network, data, slice(None))
    alpha, beta = result.state.vectors[[AT_ALPHA, AT_BETA], 0]
    squares = float(
        (batch.weight * (result.predict(batch.X, backend="numpy") - batch.Y) ** 2).sum()
    )
    n = network.n_params
    n_errors = batch.weight.sum() * network.n_outputs
    curvature = 2 * beta * normal_equations(network, p, batch, 0.0)[0] + 2 * alpha * np.eye(n)
    volume = np.linalg.slogdet(curvature)[1] - n * np.log(2 * alpha) - n_errors * np.log(beta)
    return float(beta * squares + alpha * p @ p + volume / 2)


def _warn(mlp: Any, best: TrainingResult) -> None:
    warn_by_heart([best])
    # no error, for scikit-learn's checks set it wherever there is one
    if mlp.solver == "br" and mlp.alpha != 0.0001:
        warn(
            f"br finds its penalty by itself and does not use alpha={shown(mlp.alpha)}: leave it "
            "out"
        )
    if best.stop_reason == "epochs":
        warn(
            f"{mlp.solver} reached max_iter={mlp.max_iter} iterations and has not converged yet.",
            ConvergenceWarning,
        )
    elif is_constant(best):
        what = "br found nothing in y that X tells, and predicts a constant"
        warn(
            f"{what}: if that is wrong, take a greater n_restarts or another random_state",
            ConvergenceWarning,
        )


def _attributes(mlp: Any, inputs: FitInputs, best: TrainingResult) -> dict[str, Any]:
    history = best.history
    record = FitRecord.begin(mlp, inputs.first_pass, inputs.validation is not None)
    record.n_iter = best.n_epochs
    record.stop_reason = best.stop_reason
    record.no_improvement_count = 0
    record.t += best.n_epochs * len(inputs.rows)
    record.loss_curve += history.loss.tolist()
    record.loss = (record.loss_curve or [np.nan])[-1]
    if record.validation_scores is None:
        record.best_loss = min(record.loss_curve, default=record.best_loss)
    else:
        scores = history.measured if len(history.measured) else -history.validation_loss
        record.validation_scores += scores.tolist()
        record.best_validation_score = max(
            record.validation_scores, default=record.best_validation_score
        )
    if inputs.validation is not None and record.validation_loss_curve is not None:
        record.validation_loss_curve += history.validation_loss.tolist()
    return record.attributes() | ({"gamma_": best.gamma} if mlp.solver == "br" else {})


def _dense(A: Any) -> Any:
    return contiguous(dense(A) if isinstance(A, SparseRows) else A, DOUBLE)
