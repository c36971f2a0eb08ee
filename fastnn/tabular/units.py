"""The loss of a TabularRegressor, in the units of y, as one of networks with scaled targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.checking.arguments import shown
from fastnn.derivatives import with_derivative
from fastnn.formulas import Formula, evaluate, operands, pruned
from fastnn.losses import CustomLoss, Huber, Pinball, Value
from fastnn.memory import Array
from fastnn.recording import Recorder, Symbol

N_TRIED = 33
LEAST_DISTANCE = 1e-6
"""Numbers, evenly over the range of y, by which a loss is found to be convex; and the least of as
many distances from each of them, in a geometric sequence, as a part of the range."""


def loss_of_targets(loss: Any, quantile: float | None, scaling: Array) -> str | Value:
    """Return the loss of networks, of targets less a mean and divided by a deviation.

    Parameters
    ----------
    loss : str, Huber, Pinball, CustomLoss or callable
        In the units of y.
    quantile : float or None
        That of the loss "quantile".
    scaling : ndarray (4, n_outputs)
        Mean, deviation, least and largest number of each target.

    Raises
    ------
    ValueError, TypeError
        For a quantile without the loss "quantile" and the reverse, for several targets where a loss
        has a unit, and for a function that is not convex or not finite within the range of y.
    """
    if (loss == "quantile") != (quantile is not None):
        raise ValueError('loss="quantile" and quantile=, a number between 0 and 1, go together')
    if quantile is not None:
        return Pinball(quantile)
    if isinstance(loss, Pinball) or loss in ("squared_error", "absolute_error"):
        return loss
    if scaling.shape[1] > 1:
        said = f"y has {scaling.shape[1]} columns, and loss={shown(loss)} is in the units of one"
        raise ValueError(f"{said}: fit an estimator for each")
    if loss == "huber":
        loss = Huber()
    if isinstance(loss, Huber):
        return Huber(loss.delta / scaling[1, 0])
    return _of_function(loss if isinstance(loss, CustomLoss) else CustomLoss(loss), *scaling[:, 0])


def _of_function(loss: CustomLoss, mean: float, deviation: float, low: float, high: float) -> Value:
    if not loss.low <= low <= high <= loss.high:
        raise ValueError(f"y is from {low:g} to {high:g}, and loss takes {loss.line.targets}")
    formula = with_derivative(loss.formula, "a")
    tried = np.linspace(low, high, N_TRIED)
    steps = (high - low) * np.geomspace(LEAST_DISTANCE, 1, N_TRIED)
    distances = np.concatenate([-steps, steps])[:, None]
    everywhere = np.broadcast_to(tried[:, None], (N_TRIED, N_TRIED))
    # predictions for each y, near to it and far from it
    a = np.sort(np.concatenate([everywhere, np.clip(tried + distances, low, high)]), axis=0)
    y = np.broadcast_to(tried, a.shape)
    with np.errstate(all="ignore"):
        _, slopes = evaluate(formula, a=a, y=y)
        # what the mean costs at one deviation from it becomes about 1
        around = mean + deviation * np.array([-1.0, 1.0])
        values, _ = evaluate(formula, a=np.full(2, mean), y=around)
        least, _ = evaluate(formula, a=around, y=around)
    if not np.isfinite(slopes).all():
        raise ValueError(
            f"loss has no finite derivative for all predictions and y in {low:g} to {high:g}"
        )
    if (np.diff(slopes, axis=0) < -1e-9 * abs(slopes).max()).any():
        why = "the mean of the members' predictions need not have a smaller loss than they"
        raise ValueError(f"loss is not convex in the prediction: {why}")
    size = float(np.mean(values - least))
    unit = size if np.isfinite(size) and size > 0 else 1.0
    return CustomLoss(in_units(loss.formula, deviation, mean, unit).nodes)


def in_units(formula: Formula, scale: float, shift: float, unit: float) -> Formula:
    """Return the formula of a loss of ``scale a + shift`` and ``scale y + shift``, over a unit.

    Differences and comparisons of a and y are made before they are shifted, which keeps their
    digits where the shift is large.
    """
    recorder = Recorder(most=np.inf)
    values: list[Symbol] = []
    scaled = {name: recorder.node("input", name) for name in ("a", "y")}
    for name, *rest in formula.nodes:
        places = operands((name, *rest))
        inputs = [formula.nodes[k][1] for k in places[:2] if formula.nodes[k][0] == "input"]
        if name == "input":
            values.append(scaled[rest[0]] * scale + shift)
        elif name == "number":
            values.append(recorder.symbol(rest[0]))
        elif name == "sub" and len(inputs) == 2:
            values.append((scaled[inputs[0]] - scaled[inputs[1]]) * scale)
        elif name == "where_gt" and len(inputs) == 2:
            branches = (values[k] for k in places[2:])
            values.append(recorder.do(name, scaled[inputs[0]], scaled[inputs[1]], *branches))
        else:
            values.append(recorder.do(name, *(values[k] for k in places)))
    result = values[formula.results[0]] / unit
    return pruned(recorder.nodes, [result.place])
