"""Checks of a back end's training against another's: updates, each step, all steps together."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import reference
from fastnn.backends import (
    BACKENDS,
    Backend,
    Data,
    Steps,
    StepState,
    Task,
    check_supported,
    get_backend,
)
from fastnn.checking.arguments import check_integer
from fastnn.measuring.workloads import Workload
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.reference import Rates
from fastnn.testing import tolerances
from fastnn.testing.gradients import assert_gradients_match
from fastnn.training import train
from fastnn.training.exceptions import DivergenceError
from fastnn.training.steps import learning_rates

Rows = NDArray[np.int64]

# -------------------------------------------------------------------------- one update

_PARTS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of a bound


def updated(optimizer: Optimizer, vectors: Array, gradient: Array, rates: Rates) -> Array:
    """Return parameters and state (1 + n_slots, n) after one update of the reference."""
    after = vectors.copy()
    with np.errstate(all="ignore"):
        reference.UPDATES[optimizer.name](optimizer, after[0], after[1:], gradient, rates)
    return after


def update_terms(optimizer: Optimizer, vectors: Array, gradient: Array, rates: Rates) -> Array:
    """Return the largest term (1 + n_slots, n) of each entry of an update."""
    sizes = abs(vectors)
    added = [updated(optimizer, sizes, sign * abs(gradient), rates) for sign in (1, -1)]
    terms = np.maximum(*(abs(v) for v in added))
    terms[0] = np.maximum(*(abs(v[0] - sizes[0]) for v in added))
    return np.maximum(terms, sizes)


def update_range(
    optimizer: Optimizer, vectors: Array, gradient: Array, bound: Array, rates: Rates
) -> tuple[Array, Array]:
    """Return the least and the largest update for gradients within `bound` of `gradient`.

    A learning rate times the bound would not do: Adam, RMSprop and RPROP divide a gradient by its
    own size or take its sign, and so make a whole step of the rounding error of a gradient that is
    0. Parameters do not depend on one another here, and an update is monotone in a gradient but
    for where its sign changes: so the ends of the interval, the point of it that is nearest to 0,
    and some between them tell the range.
    """
    low = gradient - bound
    high = gradient + bound
    points = [gradient + part * bound for part in _PARTS]
    points.append(np.clip(np.zeros_like(low), low, high))
    results = [updated(optimizer, vectors, point.astype(vectors.dtype), rates) for point in points]
    return np.min(results, axis=0), np.max(results, axis=0)


_FAR = 1e30  # a target that no output comes near


def assert_updates_match(
    optimizer: Optimizer, params: Array, gradients: Array, *, backend: str | Backend = "numba"
) -> float:
    """Assert that a back end updates parameters as the reference does, from the same gradients.

    Each step begins with the reference's state, so differences do not add up. The gradient is
    given through a network without hidden layer, one row of data and the absolute error: its
    gradient by W is the row itself, exactly, that by the bias 1 and -1 in turn.

    Parameters
    ----------
    optimizer : Optimizer
        Its class and hyper-parameters.
    params : ndarray (n + 1,)
        The first parameters, float32 or float64; the last one is a bias.
    gradients : ndarray (n_steps, n)
        The gradient of each step, of the same dtype.
    backend : name or Backend
        The one that is checked.

    Returns
    -------
    float
        The worst difference of parameters and optimizer state as a part of its bound:
        `UPDATE_ULPS` units in the last place of the largest number that the update adds up.

    Raises
    ------
    AssertionError
        That names the first step and the parameter that differ by more.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Adam, testing
    >>> r = np.random.RandomState(0)
    >>> testing.assert_updates_match(Adam(), r.randn(9), r.randn(20, 8), backend="numba") <= 1
    True
    """
    n_steps, n_inputs = gradients.shape
    signs = np.where(np.arange(n_steps) % 2, -1, 1).astype(params.dtype)[:, None]
    network = Network((n_inputs, 1), loss="absolute_error", reduction="sum")
    data = Data(signs * gradients, -signs * _FAR, np.ones(n_steps, params.dtype))
    places = np.arange(n_steps)
    rates = learning_rates(optimizer.learning_rate, 0, n_steps)
    steps = Steps(places, places, places + 1, rates, np.zeros(n_steps))
    state = StepState.create(params, optimizer.n_slots)
    course = Course(Task(network, optimizer, data), state, steps)
    return assert_steps_match(course, get_backend("numpy"), get_backend(backend), exact=True)[0]


# ---------------------------------------------------------- the growth of a small difference


class Growth(NamedTuple):
    """The result of a training of the reference, and how far another back end's may be from it.

    Attributes
    ----------
    params : ndarray (n_params,)
        The parameters at the end.
    loss : ndarray (n_epochs,) or (n_steps,)
        The losses.
    params_bound : float
        By how much each parameter may differ.
    loss_bound : ndarray (n_epochs,) or (n_steps,)
        By how much each loss may differ.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> testing.growth_bound(network, X, Y, params, epochs=5, seed=0).loss_bound.shape
    (5,)
    """

    params: Array
    loss: Array
    params_bound: float
    loss_bound: Array


def growth_bound(network: Network, X: Any, Y: Any, params: Array, **options: Any) -> Growth:
    """Train the reference, and again with every initial weight moved by one unit in the last place.

    Rounding grows along a training as any small perturbation does, little or without limit: this
    measures how much. The bound is `GROWTH` times the largest drift of `GROWTH_RUNS` such
    trainings, plus ``GRADIENT_FACTOR * n * eps`` of the largest parameter (of the loss).

    Parameters
    ----------
    network : Network
        Sizes, activations and loss.
    X : array-like (n, n_inputs)
        The inputs.
    Y : array-like (n, n_outputs)
        The targets.
    params : ndarray (n_params,)
        Initial parameters, float32 or float64.
    **options : dict
        Those of `fastnn.train`; they need a seed if rows are shuffled.

    Returns
    -------
    Growth
        The reference's result and the bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> bool(testing.growth_bound(network, X, Y, params, epochs=5, seed=0).params_bound < 1e-10)
    True
    """
    results = [
        train(network, X, Y, params=start, backend="numpy", **options) for start in moved(params)
    ]
    n_rows = min(results[0].state.counters["batch_size"] or len(X), len(X))
    runs = [(result.params, result.history.loss) for result in results]
    return growth_of(runs, tolerances.longest_sum(network, n_rows))


def moved(params: Array) -> list[Array]:
    """Return the parameters, and `GROWTH_RUNS` times with each moved by one unit in the last
    place.
    """
    starts = [params]
    for seed in range(1, 1 + tolerances.GROWTH_RUNS):
        toward = np.random.RandomState(seed).choice([-np.inf, np.inf], params.size)
        starts.append(np.nextafter(params, toward.astype(params.dtype)))
    return starts


def growth_of(runs: Sequence[tuple[Array, Array]], n_terms: int) -> Growth:
    """Return the bounds of `growth_bound`, from trainings of the reference that began with `moved`.

    A run is parameters (n_params,) and losses; `n_terms` is the n of the bound.
    """
    (params, loss), *others = runs
    unit = tolerances.GRADIENT_FACTOR * n_terms * float(np.finfo(params.dtype).eps)
    drift = max(float(abs(other - params).max()) for other, _ in others)
    loss_drift = np.max([abs(other - loss) for _, other in others], axis=0)
    params_bound = tolerances.GROWTH * drift + unit * float(abs(params).max())
    return Growth(params, loss, params_bound, tolerances.GROWTH * loss_drift + unit * abs(loss))


def assert_trainings_match(
    network: Network,
    X: Any,
    Y: Any,
    params: Array,
    *,
    backend: str | Backend = "numba",
    **options: Any,
) -> float:
    """Assert that a training on a back end ends where the reference's does, by `growth_bound`.

    Parameters
    ----------
    network : Network
        Sizes, activations and loss.
    X : array-like (n, n_inputs)
        The inputs.
    Y : array-like (n, n_outputs)
        The targets.
    params : ndarray (n_params,)
        Initial parameters, float32 or float64.
    backend : name or Backend
        The one that is checked.
    **options : dict
        Those of `fastnn.train`; they need a seed if rows are shuffled.

    Returns
    -------
    float
        The worst difference of final parameters and of the epochs' losses as a part of its bound.

    Raises
    ------
    AssertionError
        That names the first epoch's loss, or the layer nearest to the output, that differs by more.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> network, r = Network((3, 4, 2), "tanh"), np.random.RandomState(0)
    >>> params, X, Y = network.init_params(r), r.randn(5, 3), r.randn(5, 2)
    >>> options = {"backend": "numba", "epochs": 5, "seed": 0}
    >>> testing.assert_trainings_match(network, X, Y, params, **options) <= 1
    True
    """
    growth = growth_bound(network, X, Y, params, **options)
    result = train(network, X, Y, params=params, backend=backend, **options)
    name = get_backend(backend).name
    losses = result.history.loss
    worst = tolerances.assert_within(
        losses, growth.loss, growth.loss_bound, f"{name}'s loss of epoch"
    )
    what = f"after {result.n_epochs} epochs"
    part = tolerances.assert_tensors_within(
        network, result.params, growth.params, growth.params_bound, what, name, "numpy"
    )
    return max(worst, part)


# ------------------------------------------------- a training with nothing left to draw


class Course(NamedTuple):
    """A planned training: all inputs of its steps, so that any back end can repeat it."""

    task: Task
    state: StepState
    """The state before the first step."""
    steps: Steps
    """Row order and learning rates; its `loss` is not used."""

    @property
    def n_steps(self) -> int:
        """Number of planned steps."""
        return len(self.steps.start)

    def rows_away_from_kinks(self, s: int, params: Array) -> Rows:
        """Return the rows of step s without those that rounding could carry across a kink."""
        rows = self.steps.rows[self.steps.start[s] : self.steps.stop[s]]
        X, Y, _ = self.batch(rows)
        return rows[tolerances.away_from_kinks(self.task.network, params, X, Y)]

    def batch(self, rows: Rows) -> Data:
        """Return the data of some rows."""
        return Data(*(array[rows] for array in self.task.data))

    def do(self, backend: Backend, state: StepState, steps: Steps | None = None) -> Array:
        """Do steps, or all, in one call of a back end; return the losses of the good ones."""
        steps = self.steps if steps is None else steps
        steps = steps._replace(loss=np.zeros(len(steps.start)))
        data = Data(*self.task.data)  # a new one: nothing kept from an earlier call may come back
        n_good = backend.train_steps(dataclasses.replace(self.task, data=data), state, steps)
        return steps.loss[:n_good]


class _Planned(Exception):
    """Enough steps are recorded."""


class _Recorder(reference.NumpyBackend):
    """The reference, which records what it is called with until it has `n_steps`."""

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps
        self.calls: list[tuple[Task, StepState]] = []
        self.parts: list[tuple[Array, Array]] = []  # the rows and the learning rate of each step

    def train_steps(self, task: Task, state: StepState, steps: Steps) -> int:
        self.calls.append((task, state.copy()))
        for start, stop, rate in zip(steps.start, steps.stop, steps.learning_rate, strict=True):
            self.parts.append((steps.rows[start:stop].copy(), rate))
        if len(self.parts) >= self.n_steps:
            raise _Planned
        return super().train_steps(task, state, steps)


def plan_course(
    network: Network | Workload,
    X: Any,
    Y: Any,
    n_steps: int,
    seed: int | np.random.RandomState,
    **options: Any,
) -> Course:
    """Record the first `n_steps` steps of the training that `fastnn.train` does with these
    arguments.

    Raises
    ------
    ValueError
        If the reference diverges before.
    """
    if isinstance(network, Workload):
        if X is not None or Y is not None:
            raise TypeError("a workload brings its own X and Y: leave them out")
        X = network.X
        Y = network.Y
        options = network.train_options | options
        options.pop("epochs")
        network = network.network
    recorder = _Recorder(check_integer("steps", n_steps, low=1))
    try:
        train(network, X, Y, seed=seed, epochs=n_steps, backend=recorder, **options)
    except _Planned:
        pass
    except DivergenceError:
        raise ValueError(_diverged("numpy", len(recorder.parts))) from None
    task, state = recorder.calls[0]
    rows, rates = zip(*recorder.parts[:n_steps], strict=True)
    stop = np.cumsum([len(part) for part in rows])
    start = np.concatenate([[0], stop[:-1]])
    steps = Steps(np.concatenate(rows), start, stop, np.array(rates), np.zeros(n_steps))
    return Course(task, StepState.create(state.params, task.optimizer.n_slots), steps)


def _not_finite(what: str, other: Backend, first: Backend) -> str:
    """Say that a back end diverges where the first one does not."""
    return (
        f"{what}: {other.name} reports a loss or a parameter that is not finite; "
        f"{first.name} does not"
    )


def _diverged(name: str, s: int) -> str:
    """Say that the back end which is right diverges."""
    return (
        f"{name} diverges at step {s}, so there is nothing to compare with: "
        "take a smaller learning rate"
    )


# ----------------------------------------------- each step by itself, from the same state


def assert_steps_match(
    course: Course, first: Backend, other: Backend, *, exact: bool = False
) -> tuple[float, Array]:
    """Assert that each step, from the state that `first` has come to, is the same on another.

    Parameters
    ----------
    course : Course
    first, other : Backend
        The one that is right, and the one that is checked.
    exact : bool
        Whether the gradients are known exactly, so that nothing is allowed for their rounding.

    Returns
    -------
    worst : float
        The worst difference as a part of what is allowed.
    allowed : (n_params,)
        How much is allowed for each parameter in all steps together.

    Raises
    ------
    AssertionError
        That names the first step that is not, and in it the layer nearest to the output.
    ValueError
        If `first` diverges.
    """
    network = course.task.network
    name = course.task.optimizer.name
    state = course.state.copy()
    worst = 0.0
    total = np.zeros(network.n_params)
    for s in range(course.n_steps):
        what = f"update in lockstep, step {s} of {name}"
        rows = course.rows_away_from_kinks(s, state.params)
        if not len(rows):
            continue
        rate = course.steps.learning_rate[s : s + 1]
        start = course.steps.start[s : s + 1]
        order = course.steps.rows.copy()
        order[start[0] : start[0] + len(rows)] = rows
        step = Steps(order, start, start + len(rows), rate, np.zeros(1))
        expected = state.copy()
        actual = state.copy()
        if not len(course.do(first, expected, step)):
            raise ValueError(_diverged(first.name, s))
        if not len(course.do(other, actual, step)):
            raise AssertionError(_not_finite(what, other, first))
        with np.errstate(all="ignore"):
            allowed = _allowed(course, s, rows, state, expected, actual, exact)
        ratio = tolerances.assert_tensors_within(
            network, actual.vectors, expected.vectors, allowed, f"{what}:", other.name, first.name
        )
        right = np.array([expected.t, *expected.beta_products])
        counts = np.array([actual.t, *actual.beta_products])
        few = tolerances.UPDATE_ULPS * np.spacing(right)  # less than a step
        names = f"{what}: t and beta_products of {other.name}"
        tolerances.assert_within(counts, right, few, names, first.name)
        worst = max(worst, ratio)
        total += allowed[0]
        state = expected
    return worst, total


def _allowed(
    course: Course,
    s: int,
    rows: Rows,
    before: StepState,
    expected: StepState,
    actual: StepState,
    exact: bool,
) -> Array:
    """Bound the difference of two updates from one state, by the bound of their gradients."""
    task = course.task
    batch = course.batch(rows)
    network = task.network
    optimizer = task.optimizer
    if not batch.sample_weight.any():
        return np.zeros(before.vectors.shape)  # the step is skipped
    is_weight = network.is_weight(before.params.dtype)
    rates = Rates(float(course.steps.learning_rate[s]), expected.beta_products, is_weight)
    gradient = _known_gradient(task, batch, before.params, actual.params)
    bound = np.zeros(network.n_params)
    if not exact:
        above = actual.params if optimizer.sequential else None
        scale = tolerances.gradient_scale(network, before.params, batch, task.alpha, above)
        unit = tolerances.rounding_unit(network, len(rows), before.params.dtype)
        bound = unit * scale + tolerances.UPDATE_FLOOR
    center = updated(optimizer, before.vectors, gradient, rates).astype(np.float64)
    least, largest = update_range(optimizer, before.vectors, gradient, bound, rates)
    allowed = np.maximum(largest - center, center - least)
    if optimizer.sequential:  # what is allowed in one layer moves the gradient of those below it
        theirs = _known_gradient(task, batch, before.params, expected.params)
        allowed += abs(updated(optimizer, before.vectors, theirs, rates) - center)
    terms = update_terms(optimizer, before.vectors, gradient, rates)
    units = np.spacing(np.maximum(terms, abs(expected.vectors))).astype(np.float64)
    return allowed + tolerances.UPDATE_ULPS * units + tolerances.UPDATE_FLOOR


def _known_gradient(task: Task, batch: Data, params: Array, after: Array) -> Array:
    """Return the reference's gradient; a sequential one goes back through the parameters
    `after`.
    """
    network = task.network
    moved = params.copy()
    gradient = np.zeros_like(params)
    rows = reference.take(network, batch, slice(None))
    v = reference.views(network, moved)

    def replace(l: int) -> None:
        moved[network.layers[l].all] = after[network.layers[l].all]

    passed = reference.forward(network, v, rows.X)
    d = reference.views(network, gradient)
    after_layer = replace if task.optimizer.sequential else None
    reference.backward(network, v, d, rows, passed, task.alpha, after_layer)
    return gradient


# ------------------------------------------------------------ two back ends on one training


class Match(NamedTuple):
    """The worst differences of back ends that match, as fractions of their bounds.

    Attributes
    ----------
    gradient : float
        The gradient and the loss of the first batch.
    update : float
        The steps that begin with the same state.
    free : float
        The steps that each back end did by itself.

    Examples
    --------
    >>> from fastnn import testing, workloads
    >>> iris = workloads.load("iris")
    >>> match = testing.assert_backends_match(iris, backends=("numpy", "numba"), steps=5)
    >>> match.gradient <= 1, match.update <= 1, match.free <= 1
    (True, True, True)
    """

    gradient: float
    update: float
    free: float


def assert_backends_match(
    network: Network | Workload,
    X: Any = None,
    Y: Any = None,
    *,
    backends: Sequence[str | Backend] = BACKENDS,
    steps: int = 20,
    seed: int | np.random.RandomState = 0,
    **options: Any,
) -> Match:
    """Assert that back ends train a network alike: the others are compared with the first one.

    Three parts, each of which finds bugs that the others do not:

    1. The loss and the gradient of the first batch, see `assert_gradients_match`.
    2. Updates in lockstep: at each step all back ends begin with the first one's state. So
       differences do not add up, and the message names the step that is wrong. The bound is the
       reference's update of the gradient's bound, plus `UPDATE_ULPS`; a row near a kink is left out
       of that step (see `away_from_kinks`).
    3. Free steps: all steps in one call, as `fastnn.train` does them, within `growth_bound` of the
       first back end's and what part 2 allows in all steps together. This finds what goes wrong
       between steps. It is measured, not proved: of 4,500 drawn trainings, many of them on data
       whose gradients cancel, 4 right ones failed in this part.

    Parameters
    ----------
    network : Network or Workload
        A workload, such as ``fastnn.workloads.load("iris")``, brings data and options along.
    X, Y : array-like (n, n_inputs) and (n, n_outputs)
        Inputs and targets. float32 is trained in float32, everything else in float64.
    backends : sequence of names or Backends
        At least two; the first one is right.
    steps : int
        How many steps: as many batches of `batch_size` rows, in the order that `fastnn.train` takes
        with this seed.
    seed : int or RandomState
        Draws the initial parameters, unless they are given, and the order of the rows.
    **options : dict
        Those of `fastnn.train`: ``sample_weight``, ``params``, ``optimizer``, ``batch_size``,
        ``shuffle``, ``alpha``.

    Returns
    -------
    Match
        How near the back ends came to the bounds.

    Raises
    ------
    AssertionError
        That names the part, the first step and in it the layer nearest to the output that differ by
        more than allowed, its worst number, both values, the ULP between them and the bound. Steps
        are counted from 0; where the losses of all free steps are right, parameters are compared
        after the last one.
    ValueError, TypeError
        For what `fastnn.train` refuses, fewer than two back ends, one that does not support this
        training, and a training in which the first back end diverges.

    Examples
    --------
    >>> from fastnn import testing, workloads
    >>> iris = workloads.load("iris")
    >>> match = testing.assert_backends_match(iris, backends=("numpy", "numba"), steps=5)
    >>> max(match) <= 1
    True
    """
    first, *others = (get_backend(backend) for backend in backends)
    if not others:
        raise ValueError("backends needs at least two of them to be compared")
    course = plan_course(network, X, Y, steps, seed, **options)
    task = course.task
    weighted = bool((task.data.sample_weight != 1).any())
    for backend in (first, *others):
        check_supported(
            backend, task.network, task.optimizer, alpha=task.alpha, sample_weight=weighted
        )
    match = Match(0.0, 0.0, 0.0)
    for other in others:
        gradient = _first_gradient(course, first, other)
        update, allowed = assert_steps_match(course, first, other)
        parts = (gradient, update, _free(course, first, other, allowed))
        match = Match(*map(max, match, parts))
    return match


def _first_gradient(course: Course, first: Backend, other: Backend) -> float:
    """Compare the gradients of the first batch that has a row away from kinks."""
    task = course.task
    params = course.state.params
    for s in range(course.n_steps):
        batch = course.batch(course.rows_away_from_kinks(s, params))
        if batch.sample_weight.any():
            break
    else:
        raise ValueError(
            "all rows have weight 0 or lie near a kink: take another seed, more rows or more steps"
        )
    try:
        options: dict[str, Any] = {"alpha": task.alpha, "sample_weight": batch.sample_weight}
        return assert_gradients_match(
            task.network, params, batch.X, batch.Y, **options, backend=other, expected=first
        )
    except AssertionError as error:
        raise AssertionError(f"batch of step {s}: {error}") from None


def _free(course: Course, first: Backend, other: Backend, allowed: Array) -> float:
    """Compare all steps in one call: the losses step by step, the parameters after the last."""
    network = course.task.network
    name = f"free steps of {course.task.optimizer.name}"
    runs = []
    for start in moved(course.state.params):
        state = StepState.create(start, course.task.optimizer.n_slots)
        losses = course.do(first, state)
        if len(losses) < course.n_steps:
            raise ValueError(_diverged(first.name, len(losses)))
        runs.append((state.params, losses))
    n_rows = int((course.steps.stop - course.steps.start).max())
    growth = growth_of(runs, tolerances.longest_sum(network, n_rows))
    state = course.state.copy()
    losses = course.do(other, state)
    n = len(losses)
    what = f"{name}: {other.name}'s loss of step"
    worst = tolerances.assert_within(
        losses, growth.loss[:n], growth.loss_bound[:n], what, first.name
    )
    if n < course.n_steps:
        raise AssertionError(_not_finite(f"{name}, step {n}", other, first))
    bound = growth.params_bound + allowed
    names = (f"{name}, after {n} steps:", other.name, first.name)
    part = tolerances.assert_tensors_within(network, state.params, growth.params, bound, *names)
    return max(worst, part)
