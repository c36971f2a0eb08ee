"""The numbers that a back end computes: every activation, loss and optimiser of the tables against the reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastnn import reference
from fastnn.backends import Backend
from fastnn.network import BIASES, LOSSES, REDUCTIONS, Network
from fastnn.schedules import cosine
from fastnn.testing.checks import Check, optimizer_of, require
from fastnn.testing.gradients import assert_gradients_match, check_gradient
from fastnn.testing.problems import (
    HIDDEN,
    OPTIMIZER_CASES,
    PAIRS,
    draw,
    draw_training,
    gradients_of_all_sizes,
)
from fastnn.testing.scales import longest_sum, output_scale
from fastnn.testing.tolerances import GRADIENT_FACTOR, assert_within
from fastnn.testing.trainings import assert_trainings_match, assert_updates_match

TRAINED = [case for case in OPTIMIZER_CASES if case[1] in ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True})]
"""The optimisers that train a network of each activation and loss."""

_SHAPES = (((5,), 23), ((17,), 1), ((), 9), ((7, 3, 9), 50), ((3, 10), 257))  # hidden layers, rows
_BY_OPTIMIZER: dict[str, dict[str, Any]] = {"RPROP": {"batch_size": None, "epochs": 6}}  # full batch only


def numeric_checks(dtypes: Sequence[str]) -> Iterator[Check]:
    """Gradients of each activation and loss, updates of each optimiser, trainings of all three."""
    for dtype in dtypes:
        for i, activation in enumerate(HIDDEN):
            for j, (loss, output) in enumerate(PAIRS):
                what, names = f"{activation}, {loss} of {output}", (activation, loss, output)
                run = partial(_gradient, names, i + j, dtype)
                yield Check("gradient", what, dtype, *names, run=run)
                if dtype == dtypes[-1]:  # float64, if there is a choice: differences say more then
                    yield Check("derivative", what, dtype, *names, run=partial(_derivative, names, i + j, dtype))
        for name, options in OPTIMIZER_CASES:
            run = partial(_update, name, options, dtype)
            yield Check("update", title(name, options), dtype, optimizer=name, run=run)
        for i, activation in enumerate(HIDDEN):
            for j, (loss, line) in enumerate(LOSSES.items()):
                for k, (name, options) in enumerate(TRAINED):
                    outputs = [line.outputs[(i + k + m) % len(line.outputs)] for m in range(len(line.outputs))]
                    what = f"{activation}, {loss}, {title(name, options)}"
                    run = partial(_training, (activation, loss), outputs, (name, options), i + j + k, dtype)
                    yield Check("training", what, dtype, activation, loss, optimizer=title(name, options), run=run)


def title(name: str, options: dict[str, Any]) -> str:
    """An optimiser with its options, for people: ``SGD momentum=0.9``."""
    return " ".join([name, *(f"{key}={value}" for key, value in options.items())])


def _options(k: int) -> dict[str, Any]:
    """The k-th of the options that any network may have."""
    return {"bias": BIASES[k % 3], "reduction": REDUCTIONS[k // 2 % 2]}


def _extras(k: int, sample_weight: Any) -> dict[str, Any]:
    """The k-th of the options of a loss: with every combination of these and of the network's."""
    return {"sample_weight": sample_weight if k % 2 else None, "alpha": 0.1 * (k // 3 % 3)}


def _gradient(names: tuple[str, str, str], k: int, dtype: str, backend: Backend) -> float:
    """Loss, gradient and prediction of a small network and of a larger one."""
    activation, loss, output = names
    worst = 0.0
    for shape in (0, 1 + k % (len(_SHAPES) - 1)):
        hidden, n = _SHAPES[shape]
        network = Network((1 + k % 3 * 4, *hidden, 2 + k % 5), activation, output, loss, **_options(k))
        require(backend, network)
        params, X, Y, sample_weight = draw(network, n, dtype, seed=k)
        worst = max(worst, assert_gradients_match(network, params, X, Y, backend=backend, **_extras(k, sample_weight)))
        worst = max(worst, assert_predictions_match(network, params, X, backend))
    return worst


def assert_predictions_match(network: Network, params: Any, X: Any, backend: Backend) -> float:
    """Assert that a back end's outputs are those of the reference; how near they come to the bound."""
    unit = GRADIENT_FACTOR * longest_sum(network, 1) * float(np.finfo(params.dtype).eps)
    expected = reference.NumpyBackend().predict(network, params, X)
    allowed = unit * output_scale(network, params, X)
    return assert_within(backend.predict(network, params, X), expected, allowed, f"prediction of {backend.name}")


def _derivative(names: tuple[str, str, str], k: int, dtype: str, backend: Backend) -> float:
    activation, loss, output = names
    network = Network((3, 4, 2), activation, output, loss, **_options(k))
    require(backend, network)
    params, X, Y, sample_weight = draw(network, 7, seed=k)
    return check_gradient(network, params.astype(dtype), X, Y, backend=backend, **_extras(k, sample_weight))


def _update(name: str, options: dict[str, Any], dtype: str, backend: Backend) -> float:
    """Steps of a constant size and of one that falls, for one parameter and for many."""
    worst = 0.0
    for n, rate in ((1, 0.01), (21, cosine(0.1, 20))):
        optimizer = type(optimizer_of(name))(rate, **options)
        require(backend, Network((n, 1), loss="absolute_error", reduction="sum"), optimizer)
        params = np.random.RandomState(n).standard_normal(n + 1).astype(dtype)
        worst = max(
            worst, assert_updates_match(optimizer, params, gradients_of_all_sizes(20, n, dtype), backend=backend)
        )
    return worst


def _training(
    names: tuple[str, str], outputs: list[str], case: tuple[str, dict[str, Any]], k: int, dtype: str, backend: Backend
) -> float:
    """With the first of the outputs that the back end supports."""
    (activation, loss), (name, options) = names, case
    optimizer = optimizer_of(name, **options)
    networks = [Network((3, 5, 2), activation, output, loss, **_options(k)) for output in outputs]
    network = next((network for network in networks if backend.supports(network, optimizer)), networks[0])
    require(backend, network, optimizer)
    params, X, Y, sample_weight = draw_training(network, 19, dtype, seed=k)
    given = {"optimizer": optimizer, "epochs": 3, "batch_size": 8, "seed": k} | _BY_OPTIMIZER.get(name, {})
    try:
        return assert_trainings_match(network, X, Y, params, backend=backend, **given, **_extras(k, sample_weight))
    except AssertionError as error:
        raise AssertionError(f"with output {network.output}: {error}") from None
