"""The properties that a back end's gradients and trainings must have: row weights, batches, biases, kinks, equality."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastnn import reference
from fastnn.backends import Backend, Completed, Data, supports_with
from fastnn.memory import Array
from fastnn.network import BIASES, HIDDEN, LOSSES, Network
from fastnn.optimizers import OPTIMIZERS, LevenbergMarquardt, Optimizer
from fastnn.testing.cases import EVERY, PLAIN, RATE, Declined, optimizer_of, supported
from fastnn.testing.check import Check, Properties, read_only
from fastnn.testing.differences import find_difference
from fastnn.testing.gradients import assert_gradients_match
from fastnn.testing.problems import draw, draw_training
from fastnn.testing.scales import gradient_scale, longest_sum
from fastnn.testing.state_properties import STATE_PROPERTIES
from fastnn.testing.tolerances import GRADIENT_FACTOR, assert_within, step_bound
from fastnn.testing.trainings import assert_trainings_match
from fastnn.training import train
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import Stop

_NUMPY = reference.NumpyBackend()
_HUGE = 1e30  # overflows float32 when squared
_PROPERTIES = Properties()


def property_checks(dtypes: Sequence[str]) -> Iterator[Check]:
    """Yield each property in each dtype, and those on kinks and equality for each activation and loss."""
    for dtype in dtypes:
        yield from _PROPERTIES.checks(dtype)
        yield from STATE_PROPERTIES.checks(dtype)
        for name in HIDDEN:
            what = f"{name}: the slope where z is 0 is that of the left"
            yield Check("property", what, dtype, activation=name, run=partial(_kink, name, dtype))
        for loss in LOSSES:
            what = f"{loss}: no slope, and no NaN, where output and target are equal"
            yield Check("property", what, dtype, loss=loss, run=partial(_equal, loss, dtype))
        if dtype == "float64":  # the only one that it computes in
            what = "LevenbergMarquardt: a step solves the damped normal equations of all rows"
            yield Check("property", what, dtype, run=_method)


# ----------------------------------------------------------------------------------------------- one loss and gradient


def _gradient_property(what: str, *, n: int = 20, **about: Any) -> None:
    """Add a property: loss and gradient of a case with these fields are those of the reference."""
    _PROPERTIES[what] = partial(_match_gradients, n=n, about=about)


def _match_gradients(dtype: str, backend: Backend, *, n: int, about: dict[str, Any]) -> float:
    case = supported(backend, **about)
    params, X, Y, sample_weight = draw(case.network, n, dtype)
    return assert_gradients_match(case.network, params, X, Y, **case.options(1 + sample_weight), backend=backend)


_gradient_property("sample weights count, in a sum", weighted=True, reduction="sum")
_gradient_property("a mean is divided by the sum of the weights", weighted=True, reduction="mean")
_gradient_property("a sum is divided by nothing", reduction="sum")
_gradient_property("the penalty is one on weights, not on biases", alpha=0.7)
_gradient_property("the penalty of a mean is divided as the loss is", alpha=0.7, weighted=True, reduction="mean")
_gradient_property("one row", n=1)
_gradient_property("hundreds of rows", n=300)
for _bias in BIASES:
    _gradient_property(f"bias {_bias}", bias=_bias)
    if _bias != "none":
        _gradient_property(f"bias {_bias}, its gradient times the bias", bias=_bias, bias_gradient="times_bias")


@_PROPERTIES.add("rows of weight 0 count for nothing, whatever they hold")
def _zero_weights(dtype: str, backend: Backend) -> float:
    """Compare gradients with rows of weight 0, which must be left out: 0 times a number that overflows would be NaN."""
    network = supported(backend, weighted=True).network
    params, X, Y, sample_weight = draw(network, 20, dtype)
    used = sample_weight > 0
    clean = Data(X[used], Y[used], sample_weight[used])
    filled = X.copy()
    filled[~used] = _HUGE
    expected = _NUMPY.loss_and_gradient(network, params, clean, 0.0)[1]
    actual = backend.loss_and_gradient(network, params, read_only(filled, Y, sample_weight), 0.0)[1]
    unit = GRADIENT_FACTOR * longest_sum(network, len(X)) * float(np.finfo(dtype).eps)
    ratio, difference = find_difference(network, actual, expected, unit * gradient_scale(network, params, clean))
    if difference is not None:
        where = f"where rows of weight 0 hold {_HUGE:g}"
        raise AssertionError(f"{where}, gradient by {difference.between(backend.name, 'numpy, without these rows')}")
    return ratio


@_PROPERTIES.add("each layer has an activation of its own")
def _mixed_layers(dtype: str, backend: Backend) -> float:
    network = supported(backend).network
    names = [name for name in HIDDEN if _trains(backend, dataclasses.replace(network, activation=name))]
    mixed = dataclasses.replace(network, sizes=(3, *range(3, 3 + len(names)), 2), activation=tuple(names))
    if not _trains(backend, mixed):
        raise Declined(f"{backend.name} does not support layers of {', '.join(names)}, one after another")
    params, X, Y, _ = draw(mixed, 30, dtype)
    return assert_gradients_match(mixed, params, X, Y, backend=backend)


def _kink(name: str, dtype: str, backend: Backend) -> float:
    """Compare gradients where z is exactly 0: in the first layer for a row of zeros, everywhere for zero weights."""
    network = dataclasses.replace(supported(backend, activation=name).network, bias_init=0.0)
    params, X, Y, _ = draw(network, 5, dtype)
    X[1] = 0
    worst = assert_gradients_match(network, params, X, Y, backend=backend)
    return max(worst, assert_gradients_match(network, np.zeros_like(params), X, Y, backend=backend))


def _trains(backend: Backend, network: Network) -> bool:
    return any(supports_with(backend)(network, optimizer) for optimizer in EVERY)


def _equal(loss: str, dtype: str, backend: Backend) -> float:
    """Compare where a = y: |a - y| and its slope are 0, 0 log 0 = 0; only the loss' value clips probabilities."""
    output = LOSSES[loss].matched or "identity"
    about: dict[str, Any] = {"pair": (loss, output), "inputs": 2, "hidden": (), "outputs": 3, "bias": "none"}
    network = supported(backend, **about).network
    X, Y = np.zeros((4, 2), dtype), np.eye(3, dtype=dtype)[[0, 1, 2, 1]]
    worst = assert_gradients_match(network, np.zeros(6, dtype), X, Y, backend=backend)
    if output == "exp":
        return worst
    X[:, 0] = 1
    W = np.array([[400, -400, -400], [0, 0, 0]], dtype)  # probabilities of 1 and 0
    return max(worst, assert_gradients_match(network, W.ravel(), X, Y, backend=backend))


# ----------------------------------------------------------------------------------------------------- whole trainings


def _training_property(
    what: str,
    optimizer: Callable[[], Optimizer] | None = None,
    *,
    n: int = 19,
    about: dict[str, Any] | None = None,
    **given: Any,
) -> None:
    """Add a property: a training with these options, of a case with these fields, ends as the reference's does."""
    _PROPERTIES[what] = partial(_match_trainings, optimizer=optimizer, n=n, about=about or {}, given=given)


def _falling_rate(step: int) -> float:
    return RATE / (1 + step)


def _match_trainings(
    dtype: str,
    backend: Backend,
    *,
    optimizer: Callable[[], Optimizer] | None,
    n: int,
    about: dict[str, Any],
    given: dict[str, Any],
) -> float:
    case = supported(backend, *([optimizer()] if optimizer else PLAIN), **about)
    params, X, Y, weight = draw_training(case.network, n, dtype)
    options = {"optimizer": case.optimizer, "epochs": 3, "seed": 1, **case.options(weight)} | given
    return assert_trainings_match(case.network, X, Y, params, backend=backend, **options)


_training_property(
    "a short last batch is divided by its own rows", about={"reduction": "mean"}, n=11, batch_size=4, shuffle=False
)
_training_property("rows are taken in the order that the steps say", batch_size=4)
_training_property("rows of weight 0 in batches", about={"weighted": True}, batch_size=4)
_training_property("one row a batch", batch_size=1, n=9)
_training_property("hundreds of rows a batch", batch_size=300, n=700)
_training_property("full batches, the same rows at each step", epochs=7)
_training_property("the penalty in a training", about={"alpha": 0.5}, batch_size=4)
for _name, _kind in OPTIMIZERS.items():
    _size = None if _kind.full_batch else 4
    _training_property(
        f"{_name}: each step has its own learning rate",
        partial(_kind, _falling_rate),
        batch_size=_size,
    )
    _training_property(
        f"{_name}, sequential: a layer is updated before delta is carried below it",
        partial(optimizer_of, _name, sequential=True),
        batch_size=_size,
    )


def _method(backend: Backend) -> float:
    """Compare a step with the reference's, and its loss, which is that after it."""
    method = LevenbergMarquardt(damping=0.01, min_grad=0.0)
    case = supported(backend, method, pair=("squared_error", "identity"), bias_gradient="exact")
    params, X, Y, weight = draw_training(case.network, 30)
    options: dict[str, Any] = {"params": params, "optimizer": method, "epochs": 1, "seed": 1, **case.options(weight)}
    step, right = (train(case.network, X, Y, **options, backend=each) for each in (backend, _NUMPY))
    allowed = step_bound(right.params - params, method.damping)
    worst = assert_within(step.params, right.params, allowed, "parameter", "numpy")
    return max(worst, assert_within(step.history.loss, right.history.loss, 1e-9 * right.history.loss, "loss", "numpy"))


@_PROPERTIES.add("validation, patience and the best parameters, decided within a call, are those of an epoch a call")
def _decisions(dtype: str, backend: Backend) -> float:
    """Compare with the same back end without `train_group`, to the bit, and the epochs with the reference's.

    The rows to validate have the outputs of the sixth epoch for targets: their loss falls until then, and rises again.
    """
    case, best_epoch = supported(backend, *PLAIN), 6
    params, X, Y, weight = draw_training(case.network, 24, dtype)
    data, scored = (case.network, X[:16], Y[:16]), X[16:]
    options: dict[str, Any] = {"params": params, "optimizer": case.optimizer, "batch_size": 4, "seed": 1}
    options |= case.options(weight[:16])
    targets = train(*data, **options, epochs=best_epoch, backend=_NUMPY).predict(scored)
    for patience, restore_best, validation in itertools.product((0, 1, 5), (False, True), ((scored, targets), None)):
        stop = Stop(tol=1e-6, validation=validation, patience=patience, restore_best=restore_best)
        within, apart, right = (
            train(*data, **options, epochs=30, stop=stop, backend=each)
            for each in (backend, Completed(backend), _NUMPY)
        )
        for name, array in _decided(within).items():
            if array.tobytes() != _decided(apart)[name].tobytes():
                raise AssertionError(f"with patience {patience}, {name} differ from those of an epoch a call")
        ended = [(one.stop_reason, one.n_epochs, one.history.best_epoch) for one in (within, right)]
        if ended[0] != ended[1]:
            raise AssertionError(
                f"with patience {patience} training ends with (reason, epochs, best epoch) = {ended[0]}; with the "
                f"reference {ended[1]}"
            )
    return 0.0


def _decided(result: TrainingResult) -> dict[str, Array]:
    history = result.history
    return {"parameters": result.params, "last parameters": result.state.params, "scores": history.score}
