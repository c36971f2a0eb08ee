"""The rules of a back end: what it does with weights, batches, biases, its state, and with what it is not to touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.backends import Backend, Data
from fastnn.network import BIASES, LOSSES, Network
from fastnn.optimizers import OPTIMIZERS, Optimizer
from fastnn.testing.checks import PLAIN, Check, Declined, Rules, optimizer_of, read_only, require, supported
from fastnn.testing.differences import find_difference
from fastnn.testing.gradients import assert_gradients_match
from fastnn.testing.problems import HIDDEN, PAIRS, draw, draw_training
from fastnn.testing.scales import gradient_scale, longest_sum
from fastnn.testing.state_rules import STATE_RULES
from fastnn.testing.tolerances import GRADIENT_FACTOR
from fastnn.testing.trainings import assert_trainings_match

Array = NDArray[Any]

_NUMPY = reference.NumpyBackend()
_HUGE = 1e30  # overflows float32 when squared
_RULES = Rules()


def rule_checks(dtypes: Sequence[str]) -> Iterator[Check]:
    """Each rule in each dtype; those on kinks and on equality for each activation and loss."""
    for dtype in dtypes:
        yield from _RULES.checks(dtype)
        yield from STATE_RULES.checks(dtype)
        for name in HIDDEN:
            what = f"{name}: the slope where z is 0 is that of the left"
            yield Check("rule", what, dtype, activation=name, run=partial(_kink, name, dtype))
        for loss in LOSSES:
            what = f"{loss}: no slope, and no NaN, where output and target are equal"
            yield Check("rule", what, dtype, loss=loss, run=partial(_equal, loss, dtype))


# ----------------------------------------------------------------------------------------------- one loss and gradient


def _gradient_rule(
    what: str, *, weights: Callable[[Array], Array] | None = None, alpha: float = 0.0, n: int = 20, **options: Any
) -> None:
    """Keep the rule that loss and gradient of a network with `options` are those of the reference."""

    def run(dtype: str, backend: Backend) -> float:
        network, _ = supported(backend, **options)
        params, X, Y, sample_weight = draw(network, n, dtype)
        weight = None if weights is None else weights(sample_weight)
        return assert_gradients_match(network, params, X, Y, sample_weight=weight, alpha=alpha, backend=backend)

    _RULES[what] = run


_gradient_rule("sample weights count, in a sum", weights=lambda w: 1 + w, reduction="sum")
_gradient_rule("a mean is divided by the sum of the weights", weights=lambda w: 1 + w)
_gradient_rule("a sum is divided by nothing", reduction="sum")
_gradient_rule("the penalty is one on weights, not on biases", alpha=0.7)
_gradient_rule("the penalty of a mean is divided as the loss is", alpha=0.7, weights=lambda w: 1 + w)
_gradient_rule("one row", n=1)
_gradient_rule("hundreds of rows", n=300)
for _bias in BIASES:
    _gradient_rule(f"bias {_bias}", bias=_bias)
    if _bias != "none":
        _gradient_rule(f"bias {_bias}, its gradient times the bias", bias=_bias, bias_gradient="times_bias")


@_RULES.rule("rows of weight 0 count for nothing, whatever they hold")
def _zero_weights(dtype: str, backend: Backend) -> float:
    """They are left out: 0 times what overflows would be NaN."""
    network, _ = supported(backend)
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


@_RULES.rule("each layer has an activation of its own")
def _mixed_layers(dtype: str, backend: Backend) -> float:
    names = [name for name in HIDDEN if _supports(backend, name, *PAIRS[0])]
    network = Network((3, *range(3, 3 + len(names)), 2), tuple(names), *reversed(PAIRS[0]))
    require(backend, network)
    params, X, Y, _ = draw(network, 30, dtype)
    return assert_gradients_match(network, params, X, Y, backend=backend)


def _kink(name: str, dtype: str, backend: Backend) -> float:
    """z is exactly 0 in the first layer for a row of zeros, and everywhere without weights."""
    loss, output = next((pair for pair in PAIRS if _supports(backend, name, *pair)), ("", ""))
    if not loss:
        raise Declined(f"{backend.name} does not support {name}")
    network = Network((3, 6, 2), name, output, loss, bias_init=0.0)
    params, X, Y, _ = draw(network, 5, dtype)
    X[1] = 0
    worst = assert_gradients_match(network, params, X, Y, backend=backend)
    return max(worst, assert_gradients_match(network, np.zeros_like(params), X, Y, backend=backend))


def _supports(backend: Backend, activation: str, loss: str, output: str) -> bool:
    network = Network((3, 6, 2), activation, output, loss)
    return any(backend.supports(network, optimizer_of(name)) for name in OPTIMIZERS)


def _equal(loss: str, dtype: str, backend: Backend) -> float:
    """|a - y| and its slope are 0; 0 log 0 = 0; probabilities of 0 and 1 are clipped in the value alone."""
    output = LOSSES[loss].matched or "identity"
    network = Network((2, 3), output=output, loss=loss, bias="none")
    require(backend, network)
    X, Y = np.zeros((4, 2), dtype), np.eye(3, dtype=dtype)[[0, 1, 2, 1]]
    worst = assert_gradients_match(network, np.zeros(6, dtype), X, Y, backend=backend)
    if output == "exp":
        return worst
    X[:, 0] = 1
    W = np.array([[400, -400, -400], [0, 0, 0]], dtype)  # probabilities of 1 and 0
    return max(worst, assert_gradients_match(network, W.ravel(), X, Y, backend=backend))


# ----------------------------------------------------------------------------------------------------- whole trainings


def _training_rule(
    what: str, optimizer: Callable[[], Optimizer] | None = None, *, n: int = 19, weighted: bool = False, **given: Any
) -> None:
    """Keep the rule that a training with these options ends where the reference's does."""

    def run(dtype: str, backend: Backend) -> float:
        network, chosen = supported(backend, *([optimizer()] if optimizer else PLAIN))
        params, X, Y, weight = draw_training(network, n, dtype)
        options = {"optimizer": chosen, "epochs": 3, "seed": 1, "sample_weight": weight if weighted else None} | given
        return assert_trainings_match(network, X, Y, params, backend=backend, **options)

    _RULES[what] = run


_training_rule("a short last batch is divided by its own rows", n=11, batch_size=4, shuffle=False)
_training_rule("rows are taken in the order that the steps say", batch_size=4)
_training_rule("rows of weight 0 in batches", batch_size=4, weighted=True)
_training_rule("one row a batch", batch_size=1, n=9)
_training_rule("hundreds of rows a batch", batch_size=300, n=700)
_training_rule("full batches, the same rows at each step", epochs=7)
_training_rule("the penalty in a training", batch_size=4, alpha=0.5)
for _name, _kind in OPTIMIZERS.items():
    _size = None if _kind.full_batch else 4
    _training_rule(
        f"{_name}: each step has its own learning rate",
        partial(_kind, lambda step: 0.01 / (1 + step)),
        batch_size=_size,
    )
    _training_rule(
        f"{_name}, sequential: a layer is updated before delta goes below it",
        partial(optimizer_of, _name, sequential=True),
        batch_size=_size,
    )
