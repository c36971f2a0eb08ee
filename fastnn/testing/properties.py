"""The properties of a back end: how steps change its state, what gradients and trainings are, whatever the numbers."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastnn import reference
from fastnn.backends import Backend, Data, Steps, StepState, Task, Wrapper
from fastnn.losses import HIDDEN, LOSSES
from fastnn.memory import Array
from fastnn.network import BIASES, Network
from fastnn.optimizers import OPTIMIZERS, BayesianRegularization, LevenbergMarquardt, Optimizer
from fastnn.testing import cases, tolerances
from fastnn.testing.gradients import assert_gradients_match
from fastnn.testing.trainings import assert_trainings_match
from fastnn.training import train
from fastnn.training.results import TrainingResult
from fastnn.training.stopping import Stop

_NUMPY = reference.NumpyBackend()

Property = Callable[[str, Backend], float | None]
"""The body of a check, for a dtype and a back end; None where nothing may differ."""

_PROPERTIES: dict[str, Property] = {}
"""{a sentence: the function that checks it}"""


def _property(what: str) -> Callable[[Property], Property]:
    """Register the decorated function as the check of a property."""

    def keep(function: Property) -> Property:
        _PROPERTIES[what] = function
        return function

    return keep


# ----------------------------------------------------- the state: how steps change it, and what they must not depend on


def _checked(function: Property, dtype: str, backend: Backend) -> float:
    return function(dtype, backend) or 0.0


def _require(holds: Any, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _steps(bounds: Sequence[tuple[int, int]], rows: Array, learning_rate: float = 0.01) -> Steps:
    start, stop = np.array(bounds, np.int64).T.copy()
    return Steps(rows, start, stop, np.full(len(bounds), learning_rate), np.full(len(bounds), np.nan))


class _Start:
    """A state, data, and five steps on them: two with the same rows, the third of weight 0, the last one short.

    Penalty and weights are there if the back end supports them. A property about them does not leave that open, see
    `nearest`.
    """

    bounds = ((0, 4), (0, 4), (4, 8), (8, 12), (12, 14))

    def __init__(self, backend: Backend, dtype: str, about: Sequence[str] = ()) -> None:
        self.backend = backend
        momentum = [cases.optimizer_of(name) for name in ("Adam", "AdamW")]  # with beta products, if there is a choice
        case = cases.nearest(backend, cases.Setting(alpha=0.1, weighted=True), about, [*momentum, *cases.PLAIN])
        self.network, self.optimizer, self.alpha, weighted = case
        params, X, Y, _ = cases.draw_training(self.network, 14, dtype)
        self.rows = np.random.RandomState(2).permutation(14)
        weight = np.ones(14, dtype)
        if weighted:
            weight[self.rows[4:8]] = 0
        self.data = cases.read_only(X, Y, weight)
        self.state = StepState.create(params, self.optimizer.n_slots)

    def supports(self, optimizer: Optimizer) -> bool:
        """Return whether the back end supports these steps with this optimizer too."""
        weighted = not self.data.sample_weight.all()
        return self.backend.supports(self.network, optimizer, alpha=self.alpha, sample_weight=weighted)

    def steps(self, *which: int) -> Steps:
        return _steps([self.bounds[s] for s in which], self.rows)

    def task(self, optimizer: Optimizer | None = None, value_alpha: float | None = None) -> Task:
        """Return the task, with another optimizer or another penalty in the value of the loss if given."""
        return Task(self.network, optimizer or self.optimizer, self.data, self.alpha, value_alpha)

    def run(self, state: StepState, steps: Steps, backend: Backend | None = None) -> int:
        return (backend or self.backend).train_steps(self.task(), state, steps)

    def done(self, *which: int, backend: Backend | None = None) -> tuple[StepState, Steps]:
        """Do steps on a copy of the state."""
        state, steps = self.state.copy(), self.steps(*which)
        self.run(state, steps, backend)
        return state, steps


def _same_bits(name: str, a: Array, b: Array) -> None:
    if a.tobytes() != b.tobytes():
        i = int(np.flatnonzero(a.ravel() != b.ravel())[0]) if (a != b).any() else 0
        raise AssertionError(f"{name}, number {i}: {a.ravel()[i]!r} is not {b.ravel()[i]!r}, to the bit")


@_property("the same steps from the same state give the same bits")
def _repeated(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype)  # the last step has as many rows as the first: what it leaves would fit
    (first, losses), (second, others) = (start.done(0, 1, 2, 3) for _ in range(2))
    _same_bits("vectors, at the second time", first.vectors, second.vectors)
    _same_bits("losses, at the second time", losses.loss, others.loss)


@_property("steps in two calls give the bits of one call")
def _in_two_calls(dtype: str, backend: Backend) -> None:
    """Divide the steps anywhere: a training may be resumed within an epoch, with its rows in other arrays."""
    start = _Start(backend, dtype)
    whole, steps = start.done(*range(5))
    for place in range(1, 5):
        state, losses = start.state.copy(), []
        for which in (range(place), range(place, 5)):
            bounds = np.array(start.bounds)[list(which)]
            part = _steps([(a - bounds[0, 0], b - bounds[0, 0]) for a, b in bounds], start.rows[bounds[0, 0] :].copy())
            start.run(state, part)
            losses.append(part.loss)
        _same_bits(f"vectors, with a new call after step {place}", state.vectors, whole.vectors)
        _same_bits(f"losses, with a new call after step {place}", np.concatenate(losses), steps.loss)


@_property("a batch of weight 0 is skipped: loss 0, and nothing but t changes")
def _skipped(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype, about=["weighted"])
    state, _ = start.done(0)
    before, steps = state.copy(), start.steps(2)
    if start.run(state, steps) != 1:
        raise AssertionError("a skipped step is not counted as a good one")
    _same_bits("vectors after a skipped step", state.vectors, before.vectors)
    _same_bits("beta_products after a skipped step", state.beta_products, before.beta_products)
    _same_bits("loss of a skipped step", steps.loss, np.zeros(1))


@_property("t counts all steps, beta_products those that are not skipped")
def _counted(dtype: str, backend: Backend) -> float:
    start = _Start(backend, dtype)
    (expected, _), (actual, _) = start.done(*range(5), backend=_NUMPY), start.done(*range(5))
    _require(actual.t == expected.t, f"t is {actual.t} after {expected.t} steps")
    units = tolerances.ulp_difference(actual.beta_products, expected.beta_products).max()
    right = expected.beta_products
    _require(units <= tolerances.UPDATE_ULPS, f"beta_products are {actual.beta_products} where {right} is right")
    return float(units) / tolerances.UPDATE_ULPS


@_property("the state is changed in place, and all good steps are counted")
def _in_place(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype)
    state = start.state.copy()
    storage, before = state.storage, state.vectors.copy()
    n_good = start.run(state, start.steps(0, 1, 2, 3, 4))
    _require(n_good == 5, f"train_steps returned {n_good}, but all 5 steps are good")
    _require(state.storage is storage, "state.storage was replaced by another array")
    for row, (new, old) in enumerate(zip(state.vectors, before, strict=True)):
        if (new == old).all():
            raise AssertionError(f"vector {row} of the state has not changed in five steps")


@_property("nothing is written but the state and the losses")
def _untouched(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype)
    steps, state = start.steps(0, 1, 2, 3, 4), start.state.copy()
    given = {**start.data._asdict(), **steps._asdict(), "params": state.params}
    before = {name: array.copy() for name, array in given.items()}
    backend.predict(start.network, state.params, start.data.X)
    backend.loss_and_gradient(start.network, state.params, start.data, start.alpha)
    _same_bits("params after predict and loss_and_gradient", state.params, before["params"])
    start.run(state, steps)
    for name in given.keys() - {"params", "loss"}:
        _same_bits(f"{name} after train_steps", given[name], before[name])
    _require(np.isfinite(steps.loss).all(), f"not every loss was written: {steps.loss}")


@_property("the penalty of the loss may be stronger than that of the gradient")
def _penalty_of_the_loss(dtype: str, backend: Backend) -> float:
    """Check that the loss takes `Task.penalty`, which the estimators set apart from alpha for several outputs."""
    start, penalty = _Start(backend, dtype, about=["alpha"]), 0.7
    equal, apart, reference_state = start.state.copy(), start.state.copy(), start.state.copy()
    steps = [start.steps(0) for _ in range(3)]
    start.run(equal, steps[0])
    task = start.task(value_alpha=penalty)
    backend.train_steps(task, apart, steps[1])
    _NUMPY.train_steps(task, reference_state, steps[2])
    _same_bits("vectors, with a stronger penalty of the loss", apart.vectors, equal.vectors)
    rows = start.rows[slice(*start.bounds[0])]
    first = Data(*(array[rows] for array in start.data))
    scale = tolerances.loss_scale(start.network, start.state.params, first, penalty)
    allowed = tolerances.rounding_unit(start.network, len(rows), dtype) * scale
    return tolerances.assert_within(steps[1].loss, steps[2].loss, allowed, "loss, with a stronger penalty")


@_property("the loss has the same bits with its gradient and without")
def _loss_alone(dtype: str, backend: Backend) -> None:
    """Check the method `loss`, which is called again and again with the same task."""
    start = _Start(backend, dtype)
    task = start.task()
    for params in (start.state.params, -start.state.params):
        loss, gradient = backend.loss_and_gradient(start.network, params, start.data, start.alpha)
        written = np.full_like(gradient, np.nan)
        losses = backend.loss(task, params), backend.loss(task, params, written)
        _same_bits("loss without its gradient, and with it", np.array(losses), np.array([loss, loss]))
        _same_bits("gradient", written, gradient)


@_property("a step whose loss or parameters are not finite ends the steps, and is not counted")
def _diverged(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype)
    for optimizer in filter(start.supports, cases.PLAIN):
        for place in range(3):
            counts = []
            for one in (_NUMPY, backend):
                steps = _steps([(0, 4)] * 6, start.rows)
                steps.learning_rate[place:] = np.finfo(dtype).max
                state = StepState.create(start.state.params, optimizer.n_slots)
                counts.append(one.train_steps(start.task(optimizer), state, steps))
            if counts[0] != counts[1]:
                raise AssertionError(
                    f"{counts[1]} good steps of {optimizer.name} where the reference has {counts[0]}: "
                    f"step {place} has a learning rate of {np.finfo(dtype).max:.2g}"
                )


# ----------------------------------------------- gradients and trainings: row weights, batches, biases, kinks, equality


_HUGE = 1e30  # overflows float32 when squared


def property_checks(dtypes: Sequence[str]) -> Iterator[cases.Check]:
    """Yield each property in each dtype, and those on kinks and equality for each activation and loss."""
    for dtype in dtypes:
        for what, function in _PROPERTIES.items():
            yield cases.Check("property", what, dtype, run=partial(_checked, function, dtype))
        for name in HIDDEN:
            what = f"{name}: the slope where z is 0 is that of the left"
            yield cases.Check("property", what, dtype, activation=name, run=partial(_kink, name, dtype))
        for loss in LOSSES:
            what = f"{loss}: no slope, and no NaN, where output and target are equal"
            yield cases.Check("property", what, dtype, loss=loss, run=partial(_equal, loss, dtype))
        if dtype == "float64":  # the only one that it computes in
            for kind in (LevenbergMarquardt, BayesianRegularization):
                what = f"{kind.__name__}: a step solves the damped normal equations of all rows"
                yield cases.Check("property", what, dtype, run=partial(_method, kind(damping=0.01, min_grad=0.0)))


# ----------------------------------------------------------------------------------------------- one loss and gradient


def _gradient_property(what: str, *, n: int = 20, **about: Any) -> None:
    """Add a property: loss and gradient of a case with these fields are those of the reference."""
    _PROPERTIES[what] = partial(_match_gradients, n=n, about=about)


def _match_gradients(dtype: str, backend: Backend, *, n: int, about: dict[str, Any]) -> float:
    case = cases.supported(backend, **about)
    params, X, Y, sample_weight = cases.draw(case.network, n, dtype)
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


@_property("rows of weight 0 count for nothing, whatever they hold")
def _zero_weights(dtype: str, backend: Backend) -> float:
    """Compare gradients with rows of weight 0, which must be left out: 0 times a number that overflows would be NaN."""
    network = cases.supported(backend, weighted=True).network
    params, X, Y, sample_weight = cases.draw(network, 20, dtype)
    used = sample_weight > 0
    clean = Data(X[used], Y[used], sample_weight[used])
    filled = X.copy()
    filled[~used] = _HUGE
    expected = _NUMPY.loss_and_gradient(network, params, clean, 0.0)[1]
    actual = backend.loss_and_gradient(network, params, cases.read_only(filled, Y, sample_weight), 0.0)[1]
    allowed = tolerances.rounding_unit(network, len(X), dtype) * tolerances.gradient_scale(network, params, clean)
    what = f"where rows of weight 0 hold {_HUGE:g}, gradient by", backend.name, "numpy, without these rows"
    return tolerances.assert_tensors_within(network, actual, expected, allowed, *what)


@_property("each layer has an activation of its own")
def _mixed_layers(dtype: str, backend: Backend) -> float:
    network = cases.supported(backend).network
    names = [name for name in HIDDEN if _trains(backend, dataclasses.replace(network, activation=name))]
    mixed = dataclasses.replace(network, sizes=(3, *range(3, 3 + len(names)), 2), activation=tuple(names))
    if not _trains(backend, mixed):
        raise cases.Declined(f"{backend.name} does not support layers of {', '.join(names)}, one after another")
    params, X, Y, _ = cases.draw(mixed, 30, dtype)
    return assert_gradients_match(mixed, params, X, Y, backend=backend)


def _kink(name: str, dtype: str, backend: Backend) -> float:
    """Compare gradients where z is exactly 0: in the first layer for a row of zeros, everywhere for zero weights."""
    network = dataclasses.replace(cases.supported(backend, activation=name).network, bias_init=0.0)
    params, X, Y, _ = cases.draw(network, 5, dtype)
    X[1] = 0
    worst = assert_gradients_match(network, params, X, Y, backend=backend)
    return max(worst, assert_gradients_match(network, np.zeros_like(params), X, Y, backend=backend))


def _trains(backend: Backend, network: Network) -> bool:
    return any(backend.supports(network, optimizer) for optimizer in cases.EVERY)


def _equal(loss: str, dtype: str, backend: Backend) -> float:
    """Compare where a = y: |a - y| and its slope are 0, 0 log 0 = 0; only the loss' value clips probabilities."""
    output = LOSSES[loss].matched or "identity"
    about: dict[str, Any] = {"pair": (loss, output), "inputs": 2, "hidden": (), "outputs": 3, "bias": "none"}
    network = cases.supported(backend, **about).network
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
    return cases.RATE / (1 + step)


def _match_trainings(
    dtype: str,
    backend: Backend,
    *,
    optimizer: Callable[[], Optimizer] | None,
    n: int,
    about: dict[str, Any],
    given: dict[str, Any],
) -> float:
    case = cases.supported(backend, *([optimizer()] if optimizer else cases.PLAIN), **about)
    params, X, Y, weight = cases.draw_training(case.network, n, dtype)
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
    _training_property(f"{_name}: each step has its own learning rate", partial(_kind, _falling_rate), batch_size=_size)
    _training_property(
        f"{_name}, sequential: a layer is updated before delta is carried below it",
        partial(cases.optimizer_of, _name, sequential=True),
        batch_size=_size,
    )


def _method(method: LevenbergMarquardt, backend: Backend) -> float:
    """Compare steps, one after another, with the reference's, the losses after them and what the state has besides.

    Each begins where the reference is; the last of Bayesian regularization is by a gamma.
    """
    case = cases.supported(backend, method, pair=("squared_error", "identity"), bias_gradient="exact")
    params, X, Y, weight = cases.draw_training(case.network, 30)
    options: dict[str, Any] = {"optimizer": method, "epochs": 1, **case.options(weight)}
    begin: dict[str, Any] = {"params": params, "seed": 1}
    if isinstance(method, BayesianRegularization):
        del options["alpha"]
    worst = 0.0
    for _ in range(2 + getattr(method, "first_steps", 0)):
        step, right = (train(case.network, X, Y, **options, **begin, backend=each) for each in (backend, _NUMPY))
        allowed, numbers = tolerances.step_bound(right.params - params, method.damping), right.state.vectors[1:, 0]
        worst = max(
            worst,
            tolerances.assert_within(step.params, right.params, allowed, "parameter", "numpy"),
            tolerances.assert_within(step.history.loss, right.history.loss, 1e-9 * right.history.loss, "loss", "numpy"),
            tolerances.assert_within(
                step.state.vectors[1:, 0], numbers, 1e-6 * numbers + 1e-300, "number of the state", "numpy"
            ),
        )
        begin, params = {"resume": right.state}, right.params
    return worst


@_property("validation, patience and the best parameters, decided within a call, are those of an epoch a call")
def _decisions(dtype: str, backend: Backend) -> None:
    """Compare with the same back end without `train_group`, to the bit, and the epochs with the reference's.

    The rows to validate have the outputs of the sixth epoch for targets: their loss falls until then, and rises again.
    """
    case, best_epoch = cases.supported(backend, *cases.PLAIN), 6
    params, X, Y, weight = cases.draw_training(case.network, 24, dtype)
    data, scored = (case.network, X[:16], Y[:16]), X[16:]
    options: dict[str, Any] = {"params": params, "optimizer": case.optimizer, "batch_size": 4, "seed": 1}
    options |= case.options(weight[:16])
    targets = train(*data, **options, epochs=best_epoch, backend=_NUMPY).predict(scored)
    for patience, restore_best, validation in itertools.product((0, 1, 5), (False, True), ((scored, targets), None)):
        stop = Stop(tol=1e-6, validation=validation, patience=patience, restore_best=restore_best)
        within, apart, right = (
            train(*data, **options, epochs=30, stop=stop, backend=each) for each in (backend, Wrapper(backend), _NUMPY)
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


def _decided(result: TrainingResult) -> dict[str, Array]:
    history = result.history
    return {"parameters": result.params, "last parameters": result.state.params, "scores": history.score}
