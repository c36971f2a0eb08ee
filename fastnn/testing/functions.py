"""check_functions(): the comparisons of the conformance suite, for functions that are not a back end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from fastnn import reference
from fastnn.backends import Data, Steps, StepState, Task, options_taken
from fastnn.checking.arguments import check_choice
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.testing.cases import Case, optimizer_of
from fastnn.testing.check import DTYPES, Check
from fastnn.testing.conformance import run_checks
from fastnn.testing.numeric import KINDS, ROWS
from fastnn.testing.report import Report
from fastnn.training.inputs import check_network

_ALPHA = 0.3


def check_functions(
    network: Network,
    *,
    loss_and_gradient: Callable[..., tuple[float, Any]] | None = None,
    step: Callable[..., Any] | None = None,
    dtypes: Sequence[str] = ("float64",),
    raises: bool = True,
) -> Report:
    """Check a function that computes a network's loss and gradient, one that does a step, or both.

    They are compared with the reference on drawn parameters and data, as `check_backend` does it: the gradient with the
    reference's and with differences of the function's own loss; each of some steps; the weights after some epochs.

    Parameters
    ----------
    network : Network
        What the functions compute: sizes, activations, loss, bias and reduction.
    loss_and_gradient : callable, optional
        ``loss_and_gradient(params, X, Y)`` returns the loss of all rows as one batch and its gradient (n_params,).
        `params` (n_params,) holds W (fan_in, fan_out) and then the bias of each layer, as `Network.weights` and
        `Network.biases` take it apart; X is (n, n_inputs), Y (n, n_outputs). If it takes ``alpha`` or
        ``sample_weight`` by keyword, it is checked with a penalty and with row weights (n,) too.
    step : callable, optional
        ``step(params, X, Y, learning_rate)`` does one step of plain gradient descent on these rows. It returns the new
        parameters, or None where it has changed `params` in place. ``alpha`` and ``sample_weight`` as above.
    dtypes : sequence of {"float32", "float64"}
        In which dtypes the functions are called.
    raises : bool
        Whether a failed check raises. False: look at the report.

    Returns
    -------
    Report
        The outcomes of all checks.

    Raises
    ------
    AssertionError
        When a check fails, with `Report.summary` as its text.
    ValueError, TypeError
        For an unknown dtype, and where there is no function to check.

    Examples
    --------
    Linear regression, its loss and gradient:

    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> def loss_and_gradient(params, X, Y):
    ...     error = X @ params[:2, None] + params[2] - Y
    ...     return (error**2).mean() / 2, np.append(X.T @ error, error.sum()) / len(X)
    >>> report = testing.check_functions(Network((2, 1)), loss_and_gradient=loss_and_gradient)
    >>> report.count("failed")
    0
    """
    check_network(network)
    for dtype in dtypes:
        check_choice("dtype", dtype, DTYPES)
    if loss_and_gradient is None and step is None:
        raise TypeError("check_functions takes a function as loss_and_gradient, one as step, or both")
    checks = _checks(network, loss_and_gradient, step, dtypes)
    return run_checks(checks, _Functions(loss_and_gradient, step), raises=raises)


def _checks(network: Network, gradient: Any, step: Any, dtypes: Sequence[str]) -> Iterator[Check]:
    functions = {"gradient": gradient, "derivative": gradient, "update": step, "training": step}
    if network.bias_gradient != "exact":
        functions["derivative"] = None  # the gradient is not the derivative of the loss
    for dtype in dtypes:
        for kind, function in functions.items():
            if function is None:
                continue
            taken = options_taken(function)
            alphas, weights = (0.0, _ALPHA)[: 1 + ("alpha" in taken)], (False, True)[: 1 + ("sample_weight" in taken)]
            for k, (alpha, weighted, n) in enumerate(product(alphas, weights, ROWS[kind])):
                case = Case(network, optimizer_of("SGD"), alpha, weighted)
                words = [f"{n} row{'s' * (n > 1)}", *([f"alpha {alpha:g}"] if alpha else [])]
                what = ", ".join([*words, *(["row weights"] if weighted else [])])
                yield Check(kind, what, dtype, run=partial(KINDS[kind], case, n, k, dtype))


class _Functions:
    """A back end made of functions; the reference stands in for those that are not given."""

    name = "mine"

    def __init__(self, gradient: Callable[..., tuple[float, Any]] | None, step: Callable[..., Any] | None) -> None:
        self._gradient, self._step = gradient, step
        self._reference = reference.NumpyBackend()

    def supports(self, network: Network, optimizer: Optimizer) -> bool:
        return True

    def predict(self, network: Network, params: Array, X: Array) -> Array:
        return self._reference.predict(network, params, X)

    def loss_and_gradient(self, network: Network, params: Array, data: Data, alpha: float) -> tuple[float, Array]:
        if self._gradient is None:
            return self._reference.loss_and_gradient(network, params, data, alpha)
        options = _options(self._gradient, alpha, data.sample_weight)
        loss, gradient = self._gradient(params.copy(), data.X, data.Y, **options)
        return float(loss), _as_parameters("the gradient", gradient, params)

    def train_steps(self, task: Task, state: StepState, steps: Steps) -> int:
        assert self._step is not None
        for s, (start, stop) in enumerate(zip(steps.start, steps.stop, strict=True)):
            batch = Data(*(array[steps.rows[start:stop]] for array in task.data))
            state.t += 1
            steps.loss[s] = 0.0
            if not batch.sample_weight.any():
                continue
            steps.loss[s] = self._reference.loss_and_gradient(task.network, state.params, batch, task.alpha)[0]
            options, params = _options(self._step, task.alpha, batch.sample_weight), state.params.copy()
            after = self._step(params, batch.X, batch.Y, float(steps.learning_rate[s]), **options)
            state.params[...] = _as_parameters("what step returns", params if after is None else after, params)
            if not np.isfinite(state.params).all():
                return s
        return len(steps.loss)


def _options(function: Callable[..., Any], alpha: float, sample_weight: Array) -> dict[str, Any]:
    options = {"alpha": alpha, "sample_weight": sample_weight}
    return {name: options[name] for name in options if name in options_taken(function)}


def _as_parameters(what: str, values: Any, params: Array) -> Array:
    array = np.asarray(values)
    if array.shape != params.shape or array.dtype != params.dtype:
        raise AssertionError(
            f"{what} has the shape {array.shape} and dtype {array.dtype}; right is {params.shape} and {params.dtype}"
        )
    return array
