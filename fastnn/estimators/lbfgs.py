"""The solver "lbfgs": SciPy's L-BFGS-B on a back end's loss and gradient."""

import time
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from fastnn.estimators.epochs import FitInputs
from fastnn.estimators.validation import INTERRUPTED, threads_of, warn
from fastnn.memory import Array
from fastnn.optimizers import SGD
from fastnn.state import Task
from fastnn.training.exceptions import Interrupt, interruptible

_REASONS = {0: "converged", 1: "limit", 2: "abnormal"}  # of SciPy; 99 is a StopIteration


def fit_lbfgs(mlp: Any, inputs: FitInputs) -> tuple[Array, dict[str, Any]]:
    """Minimize the loss by L-BFGS; return the parameters (n_params,), and the fitted attributes of
    the fit.

    One function, however long: what SciPy calls within shares its counts.
    """
    task = Task(inputs.network, SGD(), inputs.data, float(mlp.alpha), threads=threads_of(mlp))
    started = time.perf_counter()
    n_done = 0
    stopped_by = ""
    curve = list(getattr(mlp, "validation_loss_curve_", ()))

    def objective(params: Array) -> tuple[float, Array]:
        gradient = np.empty_like(params)
        loss = inputs.backend.loss(task, params, gradient)
        return (np.nan if inputs.loss_is_nan else loss), gradient

    def after_iteration(intermediate_result: Any) -> None:
        nonlocal n_done, stopped_by
        n_done += 1
        if mlp.verbose and mlp.fix_defects:
            print(f"Iteration {n_done}, loss = {intermediate_result.fun:.8f}")  # noqa: T201
        if inputs.validation is not None:
            curve.append(inputs.validation.loss(intermediate_result.x))
        if inputs.on_epoch is not None and inputs.on_epoch(intermediate_result.x):
            stopped_by = "callback"
        elif mlp.max_time is not None and time.perf_counter() - started >= mlp.max_time:
            stopped_by = "time"
        if stopped_by or interrupt.requested:
            raise StopIteration

    def minimize() -> Any:
        return scipy.optimize.minimize(
            objective,
            inputs.params,
            method="L-BFGS-B",
            jac=True,
            options={"maxfun": mlp.max_fun, "maxiter": mlp.max_iter, "gtol": mlp.tol},
            callback=after_iteration,
        )

    interrupt = Interrupt()
    result = interruptible(interrupt, minimize)
    n_iter = min(result.nit, mlp.max_iter)
    reason = stopped_by or _REASONS.get(result.status, "abnormal")
    if interrupt.requested:
        reason = "interrupted"
        warn(INTERRUPTED)
    elif result.status not in (0, 99):
        _warn(result, n_iter, mlp.max_iter)
    attributes = {"n_iter_": n_iter, "loss_": float(result.fun), "stop_reason_": reason}
    if inputs.validation is not None:
        attributes["validation_loss_curve_"] = curve
    return np.asarray(result.x), attributes


def _warn(result: Any, n_iter: int, max_iter: int) -> None:
    text = (
        f"lbfgs failed to converge after {n_iter} iteration(s) "
        f"(status={result.status}):\n{result.message}\n"
    )
    if n_iter == max_iter:
        text += (
            f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
        )
    scaling = "https://scikit-learn.org/stable/modules/preprocessing.html"
    warn(
        f"{text}\nYou might also want to scale the data as shown in:\n    {scaling}",
        ConvergenceWarning,
    )
