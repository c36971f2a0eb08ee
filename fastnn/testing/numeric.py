"""The checks that compare numbers: every activation, loss and optimizer with the reference."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from fastnn import reference
from fastnn.backends import Backend
from fastnn.losses import HIDDEN, LOSSES, Loss, name_of
from fastnn.memory import Array
from fastnn.network import BIASES, REDUCTIONS, Network
from fastnn.optimizers import Optimizer
from fastnn.schedules import cosine
from fastnn.testing.cases import (
    CUSTOM,
    EVERY,
    OPTIMIZER_CASES,
    PAIRS,
    RATE,
    VARIANTS,
    Case,
    Check,
    Fields,
    choose,
    draw,
    draw_training,
    gradients_of_all_sizes,
    optimizer_of,
)
from fastnn.testing.gradients import assert_gradients_match
from fastnn.testing.tolerances import assert_within, output_scale, rounding_unit
from fastnn.testing.trainings import (
    assert_steps_match,
    assert_trainings_match,
    assert_updates_match,
    plan_course,
)

# ------------------------------------------------------------- one case, by the kind of check


def compare_gradients(case: Case, n: int, seed: int, dtype: str, backend: Backend) -> float:
    """Compare loss, gradient and predictions of n rows with the reference's."""
    params, X, Y, weight = draw(case.network, n, dtype, seed)
    options = case.options(weight)
    worst = assert_gradients_match(case.network, params, X, Y, backend=backend, **options)
    return max(worst, assert_predictions_match(case.network, params, X, backend))


def assert_predictions_match(network: Network, params: Array, X: Array, backend: Backend) -> float:
    """Assert that a back end's outputs are those of the reference, within their bound."""
    expected = reference.NumpyBackend().predict(network, params, X)
    actual = backend.predict(network, params, X)
    allowed = rounding_unit(network, 1, params.dtype) * output_scale(network, params, X)
    return assert_within(actual, expected, allowed, f"prediction of {backend.name}")


def compare_steps(case: Case, n: int, seed: int, dtype: str, backend: Backend) -> float:
    """Compare each of some steps, which begin with the state of the reference."""
    params, X, Y, weight = draw_training(case.network, n, dtype, seed)
    options = {**case.options(weight), "optimizer": case.optimizer, "params": params}
    size = None if case.optimizer.full_batch else 8
    course = plan_course(case.network, X, Y, 8, seed, batch_size=size, **options)
    return assert_steps_match(course, reference.NumpyBackend(), backend)[0]


def compare_trainings(
    case: Case, n: int, seed: int, dtype: str, backend: Backend, **changed: Any
) -> float:
    """Compare the weights at the end of a training and the losses of its epochs."""
    params, X, Y, weight = draw_training(case.network, n, dtype, seed)
    options = {**case.options(weight), "optimizer": case.optimizer, "seed": seed}
    size, epochs = (None, 6) if case.optimizer.full_batch else (8, 3)
    options |= {"batch_size": size, "epochs": epochs, **changed}
    return assert_trainings_match(case.network, X, Y, params, backend=backend, **options)


KINDS: dict[str, Callable[..., float]] = {
    "gradient": compare_gradients,
    "update": compare_steps,
    "training": compare_trainings,
}
"""Each kind of check, with its function of (case, rows, seed, dtype, back end)."""


def compare(
    kind: str, case: Case, n: int, seed: int, dtype: str, backend: Backend, **options: Any
) -> float:
    """Compare a back end with the reference by a kind of check; the error names the case."""
    try:
        return KINDS[kind](case, n, seed, dtype, backend, **options)
    except AssertionError as error:
        weights = ", row weights" if case.weighted else ""
        how = f"{case.optimizer}, alpha {case.alpha:g}{weights}"
        raise AssertionError(f"{error}\nin {case.network}, {how}") from None


# --------------------------------------------------------------------------- the list of checks


def title(name: str, options: Fields) -> str:
    """Name an optimizer with its options: ``SGD momentum=0.9``."""
    return " ".join([name, *(f"{key}={value}" for key, value in options.items())])


TRAINED = {
    title(name, options): optimizer_of(name, **options)
    for name, options in OPTIMIZER_CASES
    if options in ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True})
}
"""The optimizers that train a network of each loss."""

_SIZES = ((3, 5, 2), (1, 5, 4), (9, 17, 3), (5, 7, 3, 9, 4), (5, 3, 10, 5))
_ROWS = (19, 23, 1, 50, 257)


def numeric_checks(dtypes: Sequence[str]) -> Iterator[Check]:
    """Yield checks of gradients, updates and trainings."""
    names: list[tuple[Any, Any, str]] = [(each, *pair) for each in HIDDEN for pair in PAIRS]
    for value in [*VARIANTS, *CUSTOM]:
        if isinstance(value.line, Loss):
            names.append(("tanh", value, value.line.outputs[0]))
        else:
            names.append((value, "squared_error", "identity"))
    optimizers = list(TRAINED.values())
    for dtype in dtypes:
        for k, (activation, loss, output) in enumerate(names):
            what = f"{activation}, {loss} of {output}"
            plain = name_of(activation), name_of(loss), output
            about = {"activation": activation, "loss": loss, "output": output}
            run = partial(_compare, "gradient", [about], EVERY, k, dtype)
            yield Check("gradient", what, dtype, *plain, run=run)
        for by, options in OPTIMIZER_CASES:
            run = partial(_update, optimizer_of(by, **options), dtype)
            yield Check("update", title(by, options), dtype, optimizer=by, run=run)
        for k, value in enumerate(CUSTOM):
            field = "loss" if isinstance(value.line, Loss) else "activation"
            run = partial(_compare, "training", [{field: value}], optimizers, k, dtype)
            yield Check("training", f"{value}", dtype, **{field: value.name}, run=run)
        for j, (loss, line) in enumerate(LOSSES.items()):
            abouts = [{"loss": loss, "output": output} for output in line.outputs]
            for k, activation in enumerate(HIDDEN, j):
                both = [{**about, "activation": activation} for about in _from(k, abouts)]
                run = partial(_compare, "training", both, _from(k, optimizers), k, dtype)
                yield Check("training", f"{activation}, {loss}", dtype, activation, loss, run=run)
            for k, (by, optimizer) in enumerate(TRAINED.items(), j):
                run = partial(_compare, "training", _from(k, abouts), [optimizer], k, dtype)
                yield Check("training", f"{loss}, {by}", dtype, loss=loss, optimizer=by, run=run)
        for kind, k in product(KINDS, range(3)):  # for a back end that supports little
            run = partial(_compare, kind, [{}], EVERY, k, dtype)
            yield Check(kind, f"plain network, options {k + 1}", dtype, run=run)


def _from(k: int, items: list[Any]) -> list[Any]:
    """Return the items from the k-th one on, and those before it behind them."""
    k %= len(items)
    return items[k:] + items[:k]


def _compare(
    kind: str,
    abouts: Sequence[Fields],
    optimizers: Sequence[Optimizer],
    k: int,
    dtype: str,
    backend: Backend,
) -> float:
    """Compare the k-th of the sizes and options that any network may have."""
    worst = 0.0
    for size in (0, 1 + k % 4) if kind == "gradient" else (0,):
        wanted = {
            "sizes": _SIZES[size],
            "bias": BIASES[k % 3],
            "reduction": REDUCTIONS[k // 2 % 2],
            "weighted": k % 2 == 1,
            "alpha": 0.1 * (k // 3 % 3),
        }
        case = choose(backend, *abouts, wanted=wanted, optimizers=optimizers)
        worst = max(worst, compare(kind, case, _ROWS[size], k, dtype, backend))
    return worst


def _update(optimizer: Optimizer, dtype: str, backend: Backend) -> float:
    """Compare updates at a constant rate and at a falling one, for one parameter and for many.

    They are from gradients of all sizes if the back end supports the network that hands these
    over exactly; else from those of a network that it supports.
    """
    worst = 0.0
    for n, rate in ((1, RATE), (21, cosine(0.1, 20))):
        changed = dataclasses.replace(optimizer, learning_rate=rate)
        exact = Network((n, 1), "tanh", loss="absolute_error", reduction="sum")
        if Case(exact, changed).is_supported(backend):
            params = np.random.RandomState(n).standard_normal(n + 1).astype(dtype)
            gradients = gradients_of_all_sizes(20, n, dtype)
            found = assert_updates_match(changed, params, gradients, backend=backend)
        else:
            case = choose(backend, optimizers=[changed, optimizer])
            found = compare("update", case, n, n, dtype, backend)
        worst = max(worst, found)
    return worst
