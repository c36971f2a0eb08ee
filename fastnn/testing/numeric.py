"""The numeric checks: every activation, loss and optimizer against the reference.

Four functions, one for each kind of check, compare a back end with the reference on one `Case`. The list of checks
calls them for all names, with the sizes and options that suit the back end, and for some cases that are
drawn from all that it supports.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastnn import reference
from fastnn.backends import Backend
from fastnn.losses import HIDDEN, LOSSES, Loss, Value
from fastnn.network import BIASES, REDUCTIONS, Network
from fastnn.schedules import cosine
from fastnn.testing import cases
from fastnn.testing.gradients import assert_gradients_match, check_gradient
from fastnn.testing.tolerances import assert_within, output_scale, rounding_unit
from fastnn.testing.trainings import (
    assert_steps_match,
    assert_trainings_match,
    assert_updates_match,
    plan_course,
)

TRAINED = [
    case for case in cases.OPTIMIZER_CASES if case[1] in ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True})
]
"""The optimizers that train a network of each activation and loss."""
_SHAPES = (((5,), 23), ((17,), 1), ((), 9), ((7, 3, 9), 50), ((3, 10), 257))  # hidden layers, rows


def numeric_checks(dtypes: Sequence[str]) -> Iterator[cases.Check]:
    """Yield checks: gradients of activations and losses, updates of optimizers, trainings of all, drawn cases."""
    for dtype in dtypes:
        for i, activation in enumerate(HIDDEN):
            for j, (loss, output) in enumerate(cases.PAIRS):
                what, names = f"{activation}, {loss} of {output}", (activation, loss, output)
                run = partial(_gradient, names, i + j, dtype)
                yield cases.Check("gradient", what, dtype, *names, run=run)
                if dtype == dtypes[-1]:  # float64, if there is a choice: differences say more then
                    yield cases.Check("derivative", what, dtype, *names, run=partial(_derivative, names, i + j, dtype))
        for k, value in enumerate(cases.VARIANTS):
            is_loss = isinstance(value.line, Loss)
            of: Names = ("tanh", value, value.line.outputs[0]) if is_loss else (value, "squared_error", "identity")
            yield cases.Check("gradient", f"{value}", dtype, run=partial(_gradient, of, k, dtype))
            if dtype == dtypes[-1]:
                yield cases.Check("derivative", f"{value}", dtype, run=partial(_derivative, of, k, dtype))
        for name, options in cases.OPTIMIZER_CASES:
            run = partial(_update, name, options, dtype)
            yield cases.Check("update", title(name, options), dtype, optimizer=name, run=run)
        for i, activation in enumerate(HIDDEN):
            for j, (loss, line) in enumerate(LOSSES.items()):
                for k, (name, options) in enumerate(TRAINED):
                    outputs = [line.outputs[(i + k + m) % len(line.outputs)] for m in range(len(line.outputs))]
                    what = f"{activation}, {loss}, {title(name, options)}"
                    run = partial(_training, (activation, loss), outputs, (name, options), i + j + k, dtype)
                    yield cases.Check(
                        "training", what, dtype, activation, loss, optimizer=title(name, options), run=run
                    )
        for kind in KINDS:
            for k in range(len(ROWS[kind])):
                yield cases.Check(kind, f"drawn case {k + 1}", dtype, run=partial(_drawn, kind, k, dtype))


def coverage_checks(dtypes: Sequence[str]) -> Iterator[cases.Check]:
    """Yield the property that at least one check runs, for each kind of check.

    It fails where all checks of a kind would be skipped, since nothing would have been compared.
    """
    for dtype in dtypes:
        for kind in KINDS:
            yield cases.Check("property", f"at least one {kind} check runs", dtype, run=partial(_runs, kind))


def title(name: str, options: dict[str, Any]) -> str:
    """Name an optimizer with its options: ``SGD momentum=0.9``."""
    return " ".join([name, *(f"{key}={value}" for key, value in options.items())])


# ----------------------------------------------------------------------------------------- one case, by kind of check


def compare_gradients(case: cases.Case, n: int, seed: int, dtype: str, backend: Backend) -> float:
    """Compare loss, gradient and predictions of n rows with the reference's."""
    params, X, Y, sample_weight = cases.draw(case.network, n, dtype, seed)
    options = case.options(sample_weight)
    worst = assert_gradients_match(case.network, params, X, Y, backend=backend, **options)
    return max(worst, assert_predictions_match(case.network, params, X, backend))


def compare_with_differences(case: cases.Case, n: int, seed: int, dtype: str, backend: Backend) -> float:
    """Compare the gradient with differences of the back end's own loss, in float64 where that takes complex steps."""
    wide = getattr(backend, "accepts_complex", False)
    params, X, Y, sample_weight = cases.draw(case.network, n, np.float64 if wide else dtype, seed)
    return check_gradient(case.network, params, X, Y, backend=backend, **case.options(sample_weight))


def compare_steps(case: cases.Case, n: int, seed: int, dtype: str, backend: Backend) -> float:
    """Compare each of some steps, which begin with the state of the reference."""
    params, X, Y, sample_weight = cases.draw_training(case.network, n, dtype, seed)
    given = {"optimizer": case.optimizer, "batch_size": None if case.optimizer.full_batch else 8, "params": params}
    course = plan_course(case.network, X, Y, 8, seed, **given, **case.options(sample_weight))
    return assert_steps_match(course, reference.NumpyBackend(), backend)[0]


def compare_trainings(case: cases.Case, n: int, seed: int, dtype: str, backend: Backend) -> float:
    """Compare the weights at the end of a training and the losses of its epochs."""
    params, X, Y, sample_weight = cases.draw_training(case.network, n, dtype, seed)
    size, epochs = (None, 6) if case.optimizer.full_batch else (8, 3)
    given = {"optimizer": case.optimizer, "batch_size": size, "epochs": epochs, **case.options(sample_weight)}
    return assert_trainings_match(case.network, X, Y, params, backend=backend, seed=seed, **given)


def assert_predictions_match(network: Network, params: Any, X: Any, backend: Backend) -> float:
    """Assert that a back end's outputs are those of the reference; return the worst part of the bound."""
    expected = reference.NumpyBackend().predict(network, params, X)
    allowed = rounding_unit(network, 1, params.dtype) * output_scale(network, params, X)
    return assert_within(backend.predict(network, params, X), expected, allowed, f"prediction of {backend.name}")


KINDS: dict[str, Callable[[cases.Case, int, int, str, Backend], float]] = {
    "gradient": compare_gradients,
    "derivative": compare_with_differences,
    "update": compare_steps,
    "training": compare_trainings,
}
"""The kinds of checks that compare numbers, each with the function (case, rows, seed, dtype, back end) that does it."""
ROWS = dict.fromkeys(KINDS, (19, 1, 50)) | {"derivative": (19, 7, 50)}  # one may cross a kink between differences
"""The rows of drawn cases: for each kind so many run on a back end that supports anything."""


# -------------------------------------------------------------------------------------------------- which case it is


Names = tuple[str | Value, str | Value, str]
"""A hidden activation, a loss and an output activation."""


def _setting(names: Names, k: int, **fields: Any) -> cases.Setting:
    """Return the k-th setting of the options that any network may have: k runs through their combinations."""
    activation, loss, output = names
    fields |= {"bias": BIASES[k % 3], "reduction": REDUCTIONS[k // 2 % 2]}
    fields |= {"weighted": k % 2 == 1, "alpha": 0.1 * (k // 3 % 3)}
    return cases.Setting(activation, (loss, output), **fields)


_NAMES = ("activation", "pair")


def _gradient(names: Names, k: int, dtype: str, backend: Backend) -> float:
    """Compare a gradient on a small network and on a larger one."""
    worst = 0.0
    for shape in (0, 1 + k % (len(_SHAPES) - 1)):
        hidden, n = _SHAPES[shape]
        wanted = _setting(names, k, inputs=1 + k % 3 * 4, hidden=hidden, outputs=2 + k % 5)
        worst = max(worst, compare_gradients(cases.nearest(backend, wanted, _NAMES), n, k, dtype, backend))
    return worst


def _derivative(names: Names, k: int, dtype: str, backend: Backend) -> float:
    wanted = _setting(names, k, inputs=3, hidden=(4,), outputs=2)
    case = cases.nearest(backend, wanted, (*_NAMES, "bias_gradient"))
    return compare_with_differences(case, 7, k, dtype, backend)


def _training(
    names: tuple[str, str], outputs: list[str], case: tuple[str, dict[str, Any]], k: int, dtype: str, backend: Backend
) -> float:
    """Compare a training with the first output activation that the back end supports."""
    (activation, loss), optimizer = names, cases.optimizer_of(case[0], **case[1])
    wanted = [_setting((activation, loss, output), k, inputs=3, hidden=(5,), outputs=2) for output in outputs]
    exact = (cases.accepted(backend, setting, [optimizer]) for setting in wanted)
    near = (cases.approached(backend, setting, _NAMES, [optimizer]) for setting in wanted)
    found = next(filter(None, itertools.chain(exact, near)), None)
    if found is None:
        raise cases.Declined(f"{backend.name} does not support {activation} with {loss} by {title(*case)}")
    try:
        return compare_trainings(found, 19, k, dtype, backend)
    except AssertionError as error:
        raise AssertionError(f"with output {found.network.output}: {error}") from None


def _update(name: str, options: dict[str, Any], dtype: str, backend: Backend) -> float:
    """Compare updates at a constant rate and at a falling one, for one parameter and for many.

    From gradients of all sizes, where the back end supports the network that hands them over exactly; else from those
    of a network that it supports.
    """
    worst = 0.0
    exact = cases.Setting(pair=("absolute_error", "identity"), hidden=(), outputs=1, reduction="sum")
    constant = cases.optimizer_of(name, **options)
    for n, rate in ((1, 0.01), (21, cosine(0.1, 20))):
        rates = [dataclasses.replace(constant, learning_rate=rate), constant]
        if case := cases.accepted(backend, exact._replace(inputs=n), rates):
            params = np.random.RandomState(n).standard_normal(n + 1).astype(dtype)
            gradients = cases.gradients_of_all_sizes(20, n, dtype)
            found = assert_updates_match(case.optimizer, params, gradients, backend=backend)
        else:
            found = compare_steps(cases.supported(backend, *rates), n, n, dtype, backend)
        worst = max(worst, found)
    return worst


_ABOUT = {"derivative": ["bias_gradient"]}  # the exact one, for the other is not the derivative of the loss


def _runs(kind: str, backend: Backend) -> float:
    try:
        cases.drawn(backend, 0, _ABOUT.get(kind, []))
    except cases.Declined:
        exact = " with the exact bias gradient" if kind in _ABOUT else ""
        raise AssertionError(
            f"no {kind} check runs, so nothing was compared: supports() of {backend.name} declines every loss, "
            f"output and activation{exact}, with none, one and two hidden layers, one and three outputs, "
            "each bias and reduction, by every optimizer"
        ) from None
    return 0.0


def _drawn(kind: str, k: int, dtype: str, backend: Backend) -> float:
    case = cases.drawn(backend, k, _ABOUT.get(kind, []))
    try:
        return KINDS[kind](case, ROWS[kind][k], k, dtype, backend)
    except AssertionError as error:
        network = ", ".join(str(part) for part in (case.network, case.optimizer))
        weights = ", row weights" * case.weighted
        raise AssertionError(f"{network}, alpha {case.alpha:g}{weights}: {error}") from None
