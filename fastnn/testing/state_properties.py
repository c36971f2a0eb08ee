"""The properties that a back end's state must have: how steps change it, and what they must not depend on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn import reference
from fastnn.backends import Backend, Data, Steps, StepState, Task, supports_with
from fastnn.memory import Array
from fastnn.optimizers import Optimizer
from fastnn.testing.cases import PLAIN, Declined, Setting, nearest, optimizer_of
from fastnn.testing.check import Properties, read_only
from fastnn.testing.problems import draw_training
from fastnn.testing.scales import longest_sum, loss_scale
from fastnn.testing.tolerances import GRADIENT_FACTOR, UPDATE_ULPS, assert_within, ulp_difference

_NUMPY = reference.NumpyBackend()
STATE_PROPERTIES = Properties()


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
        momentum = [optimizer_of(name) for name in ("Adam", "AdamW")]  # with beta products, if there is a choice
        case = nearest(backend, Setting(alpha=0.1, weighted=True), about, [*momentum, *PLAIN])
        self.network, self.optimizer, self.alpha, weighted = case
        params, X, Y, _ = draw_training(self.network, 14, dtype)
        self.rows = np.random.RandomState(2).permutation(14)
        weight = np.ones(14, dtype)
        if weighted:
            weight[self.rows[4:8]] = 0
        self.data = read_only(X, Y, weight)
        self.state = StepState.create(params, self.optimizer.n_slots)

    def supports(self, optimizer: Optimizer) -> bool:
        """Return whether the back end supports these steps with this optimizer too."""
        weighted = not self.data.sample_weight.all()
        return supports_with(self.backend, alpha=self.alpha, sample_weight=weighted)(self.network, optimizer)

    def steps(self, *which: int) -> Steps:
        return _steps([self.bounds[s] for s in which], self.rows)

    def task(self, optimizer: Optimizer | None = None, value_alpha: float | None = None) -> Task:
        """Return the task, with another optimizer or another penalty in the value of the loss if given."""
        return Task(self.network, optimizer or self.optimizer, self.data, self.alpha, value_alpha)

    def run(self, state: StepState, steps: Steps, backend: Backend | None = None) -> int:
        return (backend or self.backend).train_steps(self.task(), state, steps)


def _same_bits(name: str, a: Array, b: Array) -> None:
    if a.tobytes() != b.tobytes():
        i = int(np.flatnonzero(a.ravel() != b.ravel())[0]) if (a != b).any() else 0
        raise AssertionError(f"{name}, number {i}: {a.ravel()[i]!r} is not {b.ravel()[i]!r}, to the bit")


@STATE_PROPERTIES.add("the same steps from the same state give the same bits")
def _repeated(dtype: str, backend: Backend) -> float:
    start, runs = _Start(backend, dtype), []  # the last step has as many rows as the first: what it leaves would fit
    for _ in range(2):
        state, steps = start.state.copy(), start.steps(0, 1, 2, 3)
        start.run(state, steps)
        runs.append((state.vectors, steps.loss))
    _same_bits("vectors, at the second time", runs[0][0].copy(), runs[1][0].copy())
    _same_bits("losses, at the second time", runs[0][1], runs[1][1])
    return 0.0


@STATE_PROPERTIES.add("steps in two calls give the bits of one call")
def _in_two_calls(dtype: str, backend: Backend) -> float:
    """Divide the steps anywhere: a training may be resumed within an epoch, with its rows in other arrays."""
    start = _Start(backend, dtype)
    whole, steps = start.state.copy(), start.steps(0, 1, 2, 3, 4)
    start.run(whole, steps)
    for place in range(1, 5):
        state, losses = start.state.copy(), []
        for which in (range(place), range(place, 5)):
            bounds = np.array(start.bounds)[list(which)]
            part = _steps([(a - bounds[0, 0], b - bounds[0, 0]) for a, b in bounds], start.rows[bounds[0, 0] :].copy())
            start.run(state, part)
            losses.append(part.loss)
        _same_bits(f"vectors, with a new call after step {place}", state.vectors.copy(), whole.vectors.copy())
        _same_bits(f"losses, with a new call after step {place}", np.concatenate(losses), steps.loss)
    return 0.0


@STATE_PROPERTIES.add("a batch of weight 0 is skipped: loss 0, and nothing but t changes")
def _skipped(dtype: str, backend: Backend) -> float:
    start = _Start(backend, dtype, about=["weighted"])
    state = start.state.copy()
    start.run(state, start.steps(0))
    before, steps = state.copy(), start.steps(2)
    if start.run(state, steps) != 1:
        raise AssertionError("a skipped step is not counted as a good one")
    _same_bits("vectors after a skipped step", state.vectors.copy(), before.vectors.copy())
    _same_bits("beta_products after a skipped step", state.beta_products, before.beta_products)
    _same_bits("loss of a skipped step", steps.loss, np.zeros(1))
    return 0.0


@STATE_PROPERTIES.add("t counts all steps, beta_products those that are not skipped")
def _counted(dtype: str, backend: Backend) -> float:
    start = _Start(backend, dtype)
    expected, actual = start.state.copy(), start.state.copy()
    start.run(expected, start.steps(0, 1, 2, 3, 4), _NUMPY)
    start.run(actual, start.steps(0, 1, 2, 3, 4))
    if actual.t != expected.t:
        raise AssertionError(f"t is {actual.t} after {expected.t} steps")
    units = ulp_difference(actual.beta_products, expected.beta_products).max()
    if not units <= UPDATE_ULPS:
        raise AssertionError(f"beta_products are {actual.beta_products} where {expected.beta_products} is right")
    return float(units) / UPDATE_ULPS


@STATE_PROPERTIES.add("the state is changed in place, and all good steps are counted")
def _in_place(dtype: str, backend: Backend) -> float:
    start = _Start(backend, dtype)
    state = start.state.copy()
    storage, before = state.storage, state.vectors.copy()
    n_good = start.run(state, start.steps(0, 1, 2, 3, 4))
    if n_good != 5:
        raise AssertionError(f"train_steps returned {n_good}, but all 5 steps are good")
    if state.storage is not storage:
        raise AssertionError("state.storage was replaced by another array")
    for row, (new, old) in enumerate(zip(state.vectors, before, strict=True)):
        if (new == old).all():
            raise AssertionError(f"vector {row} of the state has not changed in five steps")
    return 0.0


@STATE_PROPERTIES.add("nothing is written but the state and the losses")
def _untouched(dtype: str, backend: Backend) -> float:
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
    if not np.isfinite(steps.loss).all():
        raise AssertionError(f"not every loss was written: {steps.loss}")
    return 0.0


@STATE_PROPERTIES.add("the penalty of the loss may be stronger than that of the gradient")
def _penalty_of_the_loss(dtype: str, backend: Backend) -> float:
    """Check that the loss takes `Task.penalty`, which the estimators set apart from alpha for several outputs."""
    start, penalty = _Start(backend, dtype, about=["alpha"]), 0.7
    equal, apart, reference_state = start.state.copy(), start.state.copy(), start.state.copy()
    steps = [start.steps(0) for _ in range(3)]
    start.run(equal, steps[0])
    task = start.task(value_alpha=penalty)
    backend.train_steps(task, apart, steps[1])
    _NUMPY.train_steps(task, reference_state, steps[2])
    _same_bits("vectors, with a stronger penalty of the loss", apart.vectors.copy(), equal.vectors.copy())
    rows = start.rows[slice(*start.bounds[0])]
    first = Data(*(array[rows] for array in start.data))
    eps = float(np.finfo(dtype).eps)
    n_terms = longest_sum(start.network, len(rows))
    allowed = GRADIENT_FACTOR * n_terms * eps * loss_scale(start.network, start.state.params, first, penalty)
    return assert_within(steps[1].loss, steps[2].loss, allowed, "loss, with a stronger penalty")


@STATE_PROPERTIES.add("the loss has the same bits with its gradient and without")
def _loss_alone(dtype: str, backend: Backend) -> float:
    """Check the optional method `loss`, which is called again and again with the same task."""
    if not hasattr(backend, "loss"):
        raise Declined("it has no method `loss`")
    start = _Start(backend, dtype)
    task = start.task()
    for params in (start.state.params, -start.state.params):
        loss, gradient = backend.loss_and_gradient(start.network, params, start.data, start.alpha)
        written = np.full_like(gradient, np.nan)
        losses = backend.loss(task, params), backend.loss(task, params, written)
        _same_bits("loss without its gradient, and with it", np.array(losses), np.array([loss, loss]))
        _same_bits("gradient", written, gradient)
    return 0.0


@STATE_PROPERTIES.add("a step whose loss or parameters are not finite ends the steps, and is not counted")
def _diverged(dtype: str, backend: Backend) -> float:
    start = _Start(backend, dtype)
    for optimizer in filter(start.supports, PLAIN):
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
    return 0.0
