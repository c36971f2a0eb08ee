"""The properties of a back end: its state, gradients and trainings in special cases."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastnn import reference
from fastnn.backends import Backend, Data, Steps, StepState, Task
from fastnn.losses import HIDDEN, LOSSES
from fastnn.memory import Array
from fastnn.optimizers import OPTIMIZERS, BayesianRegularization, LevenbergMarquardt, Optimizer
from fastnn.testing.cases import (
    EVERY,
    MINIBATCH,
    RATE,
    Check,
    Fields,
    choose,
    draw,
    draw_training,
    optimizer_of,
    read_only,
)
from fastnn.testing.gradients import assert_gradients_match
from fastnn.testing.numeric import compare
from fastnn.testing.tolerances import (
    UPDATE_ULPS,
    assert_tensors_within,
    assert_within,
    gradient_scale,
    loss_scale,
    rounding_unit,
    step_bound,
)
from fastnn.training import train

_NUMPY = reference.NumpyBackend()

Property = Callable[[str, Backend], float | None]
"""The body of a check, for a dtype and a back end; None if nothing may differ."""

_PROPERTIES: dict[str, Property] = {}
"""{a sentence: the function that checks it}"""


def property_checks(dtypes: Sequence[str]) -> Iterator[Check]:
    """Yield each property in each dtype, and those of each activation and loss."""
    for dtype in dtypes:
        for what, function in _PROPERTIES.items():
            yield Check("property", what, dtype, run=partial(_checked, function, dtype))
        for name in HIDDEN:
            what = f"{name}: the slope where z is 0 is that of the left"
            yield Check("property", what, dtype, name, run=partial(_kink, name, dtype))
        for loss in LOSSES:
            what = f"{loss}: no slope, and no NaN, where output and target are equal"
            yield Check("property", what, dtype, loss=loss, run=partial(_equal, loss, dtype))
    if "float64" in dtypes:  # the only one that they compute in
        for kind in (LevenbergMarquardt, BayesianRegularization):
            what = f"{kind.__name__}: a step solves the damped normal equations of all rows"
            run = partial(_method, kind(damping=0.01, min_grad=0.0))
            yield Check("property", what, "float64", run=run)


def _checked(function: Property, dtype: str, backend: Backend) -> float:
    return function(dtype, backend) or 0.0


def _property(what: str) -> Callable[[Property], Property]:
    """Register the decorated function as the check of a property."""

    def register(function: Property) -> Property:
        _PROPERTIES[what] = function
        return function

    return register


# ----------------------------------------- the state: how steps change it, what they depend on


def _require(holds: Any, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _same_bits(name: str, actual: Array, expected: Array) -> None:
    message = f"{name}: {actual} where {expected} is right, to the bit"
    _require(actual.tobytes() == expected.tobytes(), message)


class _Start:
    """A state, data, and five steps: two of the same rows, one of weight 0, the last one short.

    Penalty and weights are there if the back end supports them, or if `about` names them.
    """

    bounds = np.array([(0, 4), (0, 4), (4, 8), (8, 12), (12, 14)])

    def __init__(self, backend: Backend, dtype: str, **about: Any) -> None:
        self.backend = backend
        adam = [optimizer_of(name) for name in ("Adam", "AdamW")]  # whose products of betas count
        wanted = {"alpha": 0.1, "weighted": True}
        self.case = case = choose(backend, about, wanted=wanted, optimizers=[*adam, *MINIBATCH])
        params, X, Y, weight = draw_training(case.network, 14, dtype)
        self.rows = np.random.RandomState(2).permutation(14)
        weight[:] = 1
        if case.weighted:
            weight[self.rows[4:8]] = 0
        self.task = Task(case.network, case.optimizer, read_only(X, Y, weight), case.alpha)
        self.state = StepState.create(params, case.optimizer.n_slots)

    def steps(self, *which: int, skipped: int = 0) -> Steps:
        """Return some steps, on the rows without the first `skipped` ones."""
        start, stop = self.bounds[list(which)].T.copy() - skipped
        rates = np.full(len(which), RATE)
        return Steps(self.rows[skipped:].copy(), start, stop, rates, np.full(len(which), np.nan))

    def do(
        self, *which: int, backend: Backend | None = None, **changed: Any
    ) -> tuple[StepState, Steps]:
        """Do steps on a copy of the state, with some fields of the task changed."""
        state = self.state.copy()
        steps = self.steps(*which)
        task = dataclasses.replace(self.task, **changed)
        n_good = (backend or self.backend).train_steps(task, state, steps)
        _require(n_good == len(which), f"{n_good} steps are counted, but {len(which)} are good")
        return state, steps


@_property("the same steps from the same state give the same bits")
def _repeated(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype)
    first, losses = start.do(0, 1, 2, 3)  # as many rows in the last step as in the first
    second, others = start.do(0, 1, 2, 3)
    _same_bits("vectors, at the second time", second.vectors, first.vectors)
    _same_bits("losses, at the second time", others.loss, losses.loss)


@_property("steps in two calls give the bits of one call")
def _in_two_calls(dtype: str, backend: Backend) -> None:
    """Divide the steps anywhere, with the rows of the second call in another array."""
    start = _Start(backend, dtype)
    whole, steps = start.do(*range(5))
    for place in range(1, 5):
        state, first = start.do(*range(place))
        rest = start.steps(*range(place, 5), skipped=start.bounds[place, 0])
        backend.train_steps(start.task, state, rest)
        losses = np.concatenate([first.loss, rest.loss])
        _same_bits(f"vectors, with a new call after step {place}", state.vectors, whole.vectors)
        _same_bits(f"losses, with a new call after step {place}", losses, steps.loss)


@_property("a batch of weight 0 is skipped: loss 0, and nothing but t changes")
def _skipped(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype, weighted=True)
    before, _ = start.do(0)
    after, steps = start.do(0, 2)
    _same_bits("vectors after a skipped step", after.vectors, before.vectors)
    _same_bits("beta_products after a skipped step", after.beta_products, before.beta_products)
    _same_bits("loss of a skipped step", steps.loss[1:], np.zeros(1))


@_property("t counts all steps, beta_products those that are not skipped")
def _counted(dtype: str, backend: Backend) -> float:
    start = _Start(backend, dtype)
    actual, _ = start.do(*range(5))
    _require(actual.t == 5, f"t is {actual.t} after 5 steps")
    right = start.do(*range(5), backend=_NUMPY)[0].beta_products
    allowed = UPDATE_ULPS * np.spacing(right)
    return assert_within(actual.beta_products, right, allowed, "beta_products")


@_property("the state is changed in place, and all good steps are counted")
def _in_place(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype)
    before = start.state.copy()
    storage = start.state.storage
    n_good = backend.train_steps(start.task, start.state, start.steps(*range(5)))
    _require(n_good == 5, f"train_steps returned {n_good}, but all 5 steps are good")
    _require(start.state.storage is storage, "state.storage was replaced by another array")
    unchanged = (start.state.vectors == before.vectors).all(axis=1)
    _require(not unchanged.any(), f"vectors of the state that have not changed: {unchanged}")


@_property("nothing is written but the state and the losses")
def _untouched(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype)
    task = start.task
    steps = start.steps(*range(5))
    params = start.state.params
    arrays = {**task.data._asdict(), **steps._asdict(), "params": params}
    losses = arrays.pop("loss")
    before = {name: array.copy() for name, array in arrays.items()}
    backend.predict(task.network, params, task.data.X)
    backend.loss_and_gradient(task.network, params, task.data, task.alpha)
    backend.train_steps(task, start.state.copy(), steps)
    for name, array in arrays.items():
        _same_bits(f"{name}, which is not to be written", array, before[name])
    _require(np.isfinite(losses).all(), f"not every loss was written: {losses}")


@_property("the penalty of the loss may be stronger than that of the gradient")
def _penalty_of_the_loss(dtype: str, backend: Backend) -> float:
    """Check that the loss takes `Task.penalty`, and the gradient `Task.alpha`."""
    start = _Start(backend, dtype, alpha=0.1)
    penalty = 0.7
    equal, _ = start.do(0)
    apart, steps = start.do(0, value_alpha=penalty)
    _, right = start.do(0, value_alpha=penalty, backend=_NUMPY)
    _same_bits("vectors, with a stronger penalty of the loss", apart.vectors, equal.vectors)
    first = Data(*(array[start.rows[:4]] for array in start.task.data))
    network = start.task.network
    scale = loss_scale(network, start.state.params, first, penalty)
    allowed = rounding_unit(network, 4, dtype) * scale
    return assert_within(steps.loss, right.loss, allowed, "loss, with a stronger penalty")


@_property("the loss has the same bits with its gradient and without")
def _loss_alone(dtype: str, backend: Backend) -> None:
    """Check the method `loss`, which is called again and again with the same task."""
    start = _Start(backend, dtype)
    task = start.task
    for params in (start.state.params, -start.state.params):
        loss, gradient = backend.loss_and_gradient(task.network, params, task.data, task.alpha)
        written = np.full_like(gradient, np.nan)
        losses = np.array([backend.loss(task, params), backend.loss(task, params, written)])
        _same_bits("loss without its gradient, and with it", losses, np.array([loss, loss]))
        _same_bits("gradient", written, gradient)


@_property("a step whose loss or parameters are not finite ends the steps, and is not counted")
def _diverged(dtype: str, backend: Backend) -> None:
    start = _Start(backend, dtype)
    largest = float(np.finfo(dtype).max)
    for optimizer, place in itertools.product(MINIBATCH, range(3)):
        if start.case._replace(optimizer=optimizer).is_supported(backend):
            task = dataclasses.replace(start.task, optimizer=optimizer)
            counts = []
            for each in (backend, _NUMPY):
                steps = start.steps(0, 0, 0, 0, 0, 0)
                steps.learning_rate[place:] = largest
                state = StepState.create(start.state.params, optimizer.n_slots)
                counts.append(each.train_steps(task, state, steps))
            message = f"{counts[0]} good steps of {optimizer.name} where {counts[1]} is right: "
            message += f"step {place} has a learning rate of {largest:.2g}"
            _require(counts[0] == counts[1], message)


# ----------------------------------------------------------------- comparisons in special cases


def _gradient(what: str, n: int = 20, **about: Any) -> None:
    """Add a property: the gradient of a case with these fields is that of the reference."""
    _PROPERTIES[what] = partial(_compared, "gradient", n, [about], EVERY, {})


def _training(what: str, n: int = 19, about: Fields | None = None, **options: Any) -> None:
    """Add a property: the training of a case with these fields is that of the reference."""
    optimizers = [options.pop("optimizer")] if "optimizer" in options else MINIBATCH
    _PROPERTIES[what] = partial(_compared, "training", n, [about or {}], optimizers, options)


def _compared(
    kind: str,
    n: int,
    abouts: list[Fields],
    optimizers: Sequence[Optimizer],
    options: Fields,
    dtype: str,
    backend: Backend,
) -> float:
    case = choose(backend, *abouts, optimizers=optimizers)
    return compare(kind, case, n, 1, dtype, backend, **options)


_gradient("sample weights count, in a sum", weighted=True, reduction="sum")
_gradient("a mean is divided by the sum of the weights", weighted=True, reduction="mean")
_gradient("a sum is divided by nothing", reduction="sum")
_gradient("the penalty is one on weights, not on biases", alpha=0.7)
_gradient(
    "the penalty of a mean is divided as the loss is", alpha=0.7, weighted=True, reduction="mean"
)
_gradient("one row", 1)
_gradient("hundreds of rows", 300)
_gradient("no hidden layer", sizes=(4, 3))
_gradient("bias none", bias="none")
for _bias in ("vector", "scalar"):
    _gradient(f"bias {_bias}", bias=_bias)
    _gradient(f"bias {_bias}, its gradient times the bias", bias=_bias, bias_gradient="times_bias")
_MIXED = [
    {"activation": names, "sizes": (3, *range(3, 3 + len(names)), 2)}
    for names in (HIDDEN, *itertools.combinations(HIDDEN, 2))
]
_PROPERTIES["each layer has an activation of its own"] = partial(
    _compared, "gradient", 30, _MIXED, EVERY, {}
)

_training(
    "a short last batch is divided by its own rows",
    11,
    {"reduction": "mean"},
    batch_size=4,
    shuffle=False,
)
_training("rows are taken in the order that the steps say", batch_size=4)
_training("rows of weight 0 in batches", about={"weighted": True}, batch_size=4)
_training("one row a batch", 9, batch_size=1)
_training("hundreds of rows a batch", 700, batch_size=300)
_training("full batches, the same rows at each step", batch_size=None, epochs=7)
_training("the penalty in a training", about={"alpha": 0.5}, batch_size=4)


def _falling_rate(step: int) -> float:
    return RATE / (1 + step)


for _name, _kind in OPTIMIZERS.items():
    _training(f"{_name}: each step has its own learning rate", optimizer=_kind(_falling_rate))
    _training(
        f"{_name}, sequential: a layer is updated before delta is carried below it",
        optimizer=_kind(RATE, sequential=True),
    )


@_property("rows of weight 0 count for nothing, whatever they hold")
def _zero_weights(dtype: str, backend: Backend) -> float:
    """Fill rows of weight 0 with numbers that overflow: 0 times infinity would be NaN."""
    network = choose(backend, {"weighted": True}).network
    params, X, Y, weight = draw(network, 20, dtype)
    used = weight > 0
    without = Data(X[used], Y[used], weight[used])
    _, expected = _NUMPY.loss_and_gradient(network, params, without, 0.0)
    X[~used] = 1e30
    _, actual = backend.loss_and_gradient(network, params, read_only(X, Y, weight), 0.0)
    allowed = rounding_unit(network, 20, dtype) * gradient_scale(network, params, without)
    names = ("where rows of weight 0 hold 1e30, gradient by", backend.name, "numpy, without them")
    return assert_tensors_within(network, actual, expected, allowed, *names)


def _kink(name: str, dtype: str, backend: Backend) -> float:
    """Compare where z is exactly 0: in the first layer for a row of zeros, then everywhere."""
    network = choose(backend, {"activation": name, "bias_init": 0.0}).network
    params, X, Y, _ = draw(network, 5, dtype)
    X[1] = 0
    zeros = np.zeros_like(params)
    return max(assert_gradients_match(network, p, X, Y, backend=backend) for p in (params, zeros))


def _equal(loss: str, dtype: str, backend: Backend) -> float:
    """Compare where a = y: |a - y| and its slope are 0, 0 log 0 = 0; only the value is clipped."""
    output = LOSSES[loss].matched or "identity"
    about = {"loss": loss, "output": output, "sizes": (2, 3), "bias": "none"}
    network = choose(backend, about).network
    X = np.zeros((4, 2), dtype)
    Y = np.eye(3, dtype=dtype)[[0, 1, 2, 1]]
    worst = assert_gradients_match(network, np.zeros(6, dtype), X, Y, backend=backend)
    if output == "exp":
        return worst
    X[:, 0] = 1
    params = np.array([400, -400, -400, 0, 0, 0], dtype)  # probabilities of 1 and 0
    return max(worst, assert_gradients_match(network, params, X, Y, backend=backend))


def _method(method: LevenbergMarquardt, backend: Backend) -> float:
    """Compare steps from the reference's state; the last one of Bayesian ones is by a gamma."""
    about = {"loss": "squared_error", "output": "identity", "bias_gradient": "exact"}
    network = choose(backend, about, optimizers=[method]).network
    params, X, Y, _ = draw_training(network, 30)
    begin: Fields = {"params": params, "seed": 1}
    worst = 0.0
    for _ in range(2 + getattr(method, "first_steps", 0)):
        options = {"optimizer": method, "epochs": 1, **begin}
        step = train(network, X, Y, **options, backend=backend)
        right = train(network, X, Y, **options, backend=_NUMPY)
        loss = right.history.loss
        numbers = right.state.vectors[1:, 0]
        bound = step_bound(right.params - params, method.damping)
        for what, actual, expected, allowed in (
            ("parameter", step.params, right.params, bound),
            ("loss", step.history.loss, loss, 1e-9 * loss),
            ("number of the state", step.state.vectors[1:, 0], numbers, 1e-6 * numbers + 1e-300),
        ):
            worst = max(worst, assert_within(actual, expected, allowed, what, "numpy"))
        begin = {"resume": right.state}
        params = right.params
    return worst
