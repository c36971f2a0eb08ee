"""Checks of a back end's training against another's: updates, each step by itself, all steps together."""

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from fastnn.state import member_steps
from fastnn.testing import tolerances
from fastnn.testing.gradients import assert_gradients_match
from fastnn.training import train
from fastnn.training.epochs import learning_rates
from fastnn.training.inputs import check_data, check_network, check_params
from fastnn.training.options import NO_RULES, TrainOptions, choose_options
from fastnn.training.session import Session

_PARTS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of a bound


def updated(optimizer: Optimizer, vectors: Array, gradient: Array, rates: Rates) -> Array:
    """Return parameters and optimizer state (1 + n_slots, n) after one step of the reference from `vectors`."""
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
    """Return the least and the largest (1 + n_slots, n) update for gradients within `bound` of `gradient`.

    A learning rate times the bound would not do: Adam, RMSprop and RPROP divide a gradient by its own size or take its
    sign, and so make a whole step of the rounding error of a gradient that is 0. Parameters do not depend on one
    another here, and an update is monotone in a gradient but for where its sign changes: so the ends of the interval,
    the point of it that is nearest to 0, and some between them tell the range.
    """
    low, high = gradient - bound, gradient + bound
    points = [gradient + part * bound for part in _PARTS] + [np.clip(np.zeros_like(low), low, high)]
    results = [updated(optimizer, vectors, point.astype(vectors.dtype), rates) for point in points]
    return np.min(results, axis=0), np.max(results, axis=0)


# ----------------------------------------------------------------------------- a planned training, with nothing to draw


@dataclass(frozen=True, eq=False)
class Course:
    """A planned training: all inputs of its steps, so that any back end can repeat it without drawing anything."""

    network: Network
    optimizer: Optimizer
    data: Data
    params: Array
    """The initial parameters (n_params,)."""
    steps: Steps
    """Row order and learning rates; its `loss` is not used."""
    alpha: float

    @property
    def n_steps(self) -> int:
        """Number of planned steps."""
        return len(self.steps.start)

    def start(self, params: Array | None = None) -> StepState:
        """Return the state before the first step, with other initial parameters if given."""
        return StepState.create(self.params if params is None else params, self.optimizer.n_slots)

    def rows(self, s: int) -> Array:
        """Return the rows of step s."""
        return self.steps.rows[self.steps.start[s] : self.steps.stop[s]]

    def advance(
        self, backend: Backend, state: StepState, first: int, stop: int
    ) -> NDArray[np.float64]:
        """Do the steps ``first ... stop - 1`` in one call of the back end; return the losses of the good ones."""
        rows, start, end, rates, _ = self.steps
        steps = Steps(
            rows, start[first:stop], end[first:stop], rates[first:stop], np.zeros(stop - first)
        )
        return self._train(backend, state, steps)

    def step(
        self, backend: Backend, state: StepState, s: int, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Do step s on some of its rows; return its loss (1,), or (0,) if it is not good."""
        start = self.steps.start[s : s + 1]
        stop, order = start + len(rows), self.steps.rows.copy()
        order[start[0] : stop[0]] = rows
        return self._train(
            backend,
            state,
            Steps(order, start, stop, self.steps.learning_rate[s : s + 1], np.zeros(1)),
        )

    def _train(self, backend: Backend, state: StepState, steps: Steps) -> NDArray[np.float64]:
        data = Data(
            *self.data
        )  # its own in each call: what a back end keeps from an earlier one must not come back
        n_good = backend.train_steps(
            Task(self.network, self.optimizer, data, self.alpha), state, steps
        )
        return steps.loss[:n_good]


def plan_course(
    network: Network | Workload,
    X: Any,
    Y: Any,
    n_steps: int,
    seed: int | np.random.RandomState,
    **options: Any,
) -> Course:
    """Plan the first `n_steps` steps of the training that `fastnn.train` would do with the same arguments.

    Parameters
    ----------
    network : Network or Workload
        A workload brings data and options along; `X` and `Y` are then None, and `options` replace its own.
    options
        Those of `fastnn.train` that such a training has: ``sample_weight``, ``params``, ``optimizer``, ``batch_size``,
        ``shuffle``, ``alpha``.
    """
    if isinstance(network, Workload):
        if X is not None or Y is not None:
            raise TypeError("a workload brings its own X and Y: leave them out")
        given = {name: value for name, value in network.train_options.items() if name != "epochs"}
        X, Y, options = network.X, network.Y, given | options
        network = network.network
    sample_weight, params = options.pop("sample_weight", None), options.pop("params", None)
    check_network(network)
    n_steps = check_integer("steps", n_steps, low=1)
    chosen = choose_options(**options)
    data = check_data(network, X, Y, sample_weight)
    planned = TrainOptions(
        network=network,
        backend=get_backend("numpy"),
        optimizer=chosen.optimizer,
        batch_size=chosen.batch_size,
        shuffle=chosen.shuffle,
        alpha=chosen.alpha,
        stop=NO_RULES,
        n_epochs=n_steps,
        data=data,
        params=None if params is None else check_params(network, params, data.X.dtype),
    )
    session = Session([planned], [seed])
    steps = member_steps(session.draw(n_steps), 0, n_steps)
    session.close()
    return Course(network, chosen.optimizer, data, session.params(0).copy(), steps, chosen.alpha)


# ----------------------------------------------------------------------------------------- updates, and whole trainings


_FAR = 1e30  # a target that no output comes near


def assert_updates_match(
    optimizer: Optimizer, params: Array, gradients: Array, *, backend: str | Backend = "numba"
) -> float:
    """Assert that a back end updates parameters as the reference does, given the same gradients and the same state.

    Each step begins with the reference's state, so differences do not add up. The gradient is given through a network
    without hidden layer, one row of data and the absolute error: its gradient by W is the row itself, exactly, that by
    the bias 1 and -1 in turn.

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
        The worst difference of parameters and optimizer state as a part of its bound: `UPDATE_ULPS` units in the last
        place of the largest number that the update adds up.

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
    network = Network((gradients.shape[1], 1), loss="absolute_error", reduction="sum")
    rates = learning_rates(optimizer.learning_rate, 0, len(gradients))
    state, worst = StepState.create(params, optimizer.n_slots), 0.0

    def step(
        name: str | Backend, s: int, gradient: Array, sign: int, before: StepState
    ) -> StepState:
        after, one = before.copy(), np.ones((1, 1), params.dtype)
        data = Data(sign * gradient[None], -sign * _FAR * one, one[0])
        steps = Steps(np.array([0]), np.array([0]), np.array([1]), rates[s : s + 1], np.empty(1))
        if get_backend(name).train_steps(Task(network, optimizer, data), after, steps) != 1:
            raise AssertionError(f"step {s} of {optimizer.name}: parameters or loss are not finite")
        return after

    for s, gradient in enumerate(gradients):
        before, sign = state, -1 if s % 2 else 1
        state = step("numpy", s, gradient, sign, before)
        expected, actual = state.vectors, step(backend, s, gradient, sign, before).vectors
        rate = Rates(float(rates[s]), state.beta_products, network.is_weight(params.dtype))
        terms = update_terms(
            optimizer, before.vectors, np.append(gradient, sign).astype(params.dtype), rate
        )
        units = tolerances.ulp_difference(expected, actual, terms)
        units[abs(expected - actual) < tolerances.UPDATE_FLOOR] = 0
        if not units.max() <= tolerances.UPDATE_ULPS:
            row, i = np.unravel_index(int(units.argmax()), units.shape)
            raise AssertionError(
                f"step {s} of {optimizer.name}, vector {row}, parameter {i}: {actual[row, i]} where the reference "
                f"has {expected[row, i]}, {units[row, i]:.3g} ULP apart; {tolerances.UPDATE_ULPS} are allowed"
            )
        worst = max(worst, float(units.max()) / tolerances.UPDATE_ULPS)
    return worst


class Growth(NamedTuple):
    """The result of a training of the reference, and how far another back end's may be from it.

    Attributes
    ----------
    params : ndarray (n_params,) or (n_times, n_params)
        The parameters at the end, or at several times.
    loss : ndarray (n_epochs,) or (n_steps,)
        The losses.
    params_bound : float, or ndarray (n_times, 1)
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
    params_bound: Any
    loss_bound: Array


def growth_bound(network: Network, X: Any, Y: Any, params: Array, **options: Any) -> Growth:
    """Train the reference, and again with every initial weight moved by one unit in the last place, up or down.

    Rounding grows along a training as any small perturbation does, little or without limit: this measures how much.
    The bound is `GROWTH` times the largest drift of `GROWTH_RUNS` such trainings, plus ``GRADIENT_FACTOR * n * eps`` of
    the largest parameter (of the loss).

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

    def run(start: Array) -> tuple[Array, Array]:
        result = train(network, X, Y, params=start, backend="numpy", **options)
        return result.params, result.history.loss

    given = {name: options[name] for name in ("optimizer", "batch_size") if name in options}
    batch_size = choose_options(**given).batch_size
    n_rows = min(batch_size or len(X), len(X))
    return measured_growth(run, params, tolerances.longest_sum(network, n_rows))


def measured_growth(
    run: Callable[[Array], tuple[Array, Array]], params: Array, n_terms: int
) -> Growth:
    """Return the bound of `growth_bound` for any training `run` that takes initial parameters.

    `run` returns parameters (n_params,), or (n_times, n_params) at several times with a bound each, and losses.
    `n_terms` is the n of the bound.
    """
    runs = []
    for k in range(1 + tolerances.GROWTH_RUNS):
        toward = (
            np.random.RandomState(k).choice([-np.inf, np.inf], params.size).astype(params.dtype)
        )
        runs.append(run(np.nextafter(params, toward) if k else params))
    (found, loss), moved = runs[0], runs[1:]
    unit = tolerances.GRADIENT_FACTOR * n_terms * float(np.finfo(found.dtype).eps)
    keep: Any = found.ndim > 1  # NumPy's stubs take a literal only
    drift = np.max([abs(p - found).max(axis=-1, keepdims=keep) for p, _ in moved], axis=0).astype(
        np.float64
    )
    largest = abs(found).max(axis=-1, keepdims=keep).astype(np.float64)
    loss_drift = np.max([abs(l - loss) for _, l in moved], axis=0)
    return Growth(
        found,
        loss,
        tolerances.GROWTH * drift + unit * largest,
        tolerances.GROWTH * loss_drift + unit * abs(loss),
    )


def assert_trainings_match(
    network: Network,
    X: Any,
    Y: Any,
    params: Array,
    *,
    backend: str | Backend = "numba",
    **options: Any,
) -> float:
    """Assert that a training on a back end ends where the reference's does, within `growth_bound`.

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
    >>> testing.assert_trainings_match(network, X, Y, params, backend="numba", epochs=5, seed=0) <= 1
    True
    """
    bound = growth_bound(network, X, Y, params, **options)
    result = train(network, X, Y, params=params, backend=backend, **options)
    name = get_backend(backend).name
    what = f"{name}'s loss of epoch"
    worst = tolerances.assert_within(result.history.loss, bound.loss, bound.loss_bound, what)
    names = f"after {result.n_epochs} epochs", name, "numpy"
    return max(
        worst,
        tolerances.assert_tensors_within(
            network, result.params, bound.params, bound.params_bound, *names
        ),
    )


# ----------------------------------------------------------------------------- each step by itself, from the same state


def assert_steps_match(course: Course, first: Backend, other: Backend) -> tuple[float, Array]:
    """Assert that each step of a training, from the state that `first` has come to, is the same on another back end.

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
        Where `first` diverges.
    """
    state, worst, total = course.start(), 0.0, np.zeros(course.network.n_params)
    for s in range(course.n_steps):
        rows, what = (
            without_kinks(course, s, state.params),
            f"update in lockstep, step {s} of {course.optimizer.name}",
        )
        if not len(rows):
            continue
        expected, actual = state.copy(), state.copy()
        if not len(course.step(first, expected, s, rows)):
            raise ValueError(diverged(first, s))
        if not len(course.step(other, actual, s, rows)):
            raise AssertionError(not_finite(what, other, first))
        with np.errstate(all="ignore"):
            allowed = _allowed(course, s, batch_of(course, rows), state, expected, actual)
        names = f"{what}:", other.name, first.name
        ratio = tolerances.assert_tensors_within(
            course.network, actual.vectors, expected.vectors, allowed, *names
        )
        few = tolerances.UPDATE_ULPS * np.spacing(expected.beta_products)
        named = (("steps counted by {} (t)", "t", 0), ("beta_products of {}", "beta_products", few))
        for words, name, most in named:
            found, right = getattr(actual, name), getattr(expected, name)
            tolerances.assert_within(
                found, right, most, f"{what}: {words.format(other.name)}", first.name
            )
        state, worst, total = expected, max(worst, ratio), total + allowed[0]
    return worst, total


def _allowed(
    course: Course, s: int, batch: Data, before: StepState, expected: StepState, actual: StepState
) -> Array:
    """Bound the difference of two updates (1 + n_slots, n_params) from one state, by the bound of their gradients."""
    if not batch.sample_weight.any():
        return np.zeros(before.vectors.shape)  # the step is skipped
    optimizer, dtype = course.optimizer, before.vectors.dtype
    rates = Rates(
        float(course.steps.learning_rate[s]),
        expected.beta_products,
        course.network.is_weight(dtype),
    )
    gradient, bound = _known_gradient(course, batch, before.params, actual.params)
    center = updated(optimizer, before.vectors, gradient, rates).astype(np.float64)
    least, largest = update_range(optimizer, before.vectors, gradient, bound, rates)
    allowed = np.maximum(largest - center, center - least)
    if optimizer.sequential:  # what is allowed in one layer moves the gradient of those below it
        theirs, _ = _known_gradient(course, batch, before.params, expected.params)
        allowed += abs(updated(optimizer, before.vectors, theirs, rates) - center)
    terms = np.maximum(
        update_terms(optimizer, before.vectors, gradient, rates), abs(expected.vectors)
    )
    return (
        allowed
        + tolerances.UPDATE_ULPS * np.spacing(terms).astype(np.float64)
        + tolerances.UPDATE_FLOOR
    )


def _known_gradient(
    course: Course, batch: Data, params: Array, after: Array
) -> tuple[Array, Array]:
    """Return the reference's gradient and its bound; a sequential one goes back through the parameters `after`."""
    network, sequential = course.network, course.optimizer.sequential
    moved, gradient = params.copy(), np.zeros_like(params)
    rows, v = reference.take(network, batch, slice(None)), reference.views(network, moved)

    def replace(l: int) -> None:
        moved[network.layers[l].all] = after[network.layers[l].all]

    passed, d = reference.forward(network, v, rows.X), reference.views(network, gradient)
    reference.backward(network, v, d, rows, passed, course.alpha, replace if sequential else None)
    unit = tolerances.rounding_unit(network, len(batch.X), params.dtype)
    scale = tolerances.gradient_scale(
        network, params, batch, course.alpha, after if sequential else None
    )
    return gradient, unit * scale + tolerances.UPDATE_FLOOR


def without_kinks(course: Course, s: int, params: Array) -> NDArray[np.int64]:
    """Return the rows of step s without those that rounding could carry across a kink."""
    rows = course.rows(s)
    return rows[
        tolerances.away_from_kinks(course.network, params, course.data.X[rows], course.data.Y[rows])
    ]


def batch_of(course: Course, rows: NDArray[np.int64]) -> Data:
    """Return the data of some rows."""
    return Data(*(array[rows] for array in course.data))


def not_finite(what: str, other: Backend, first: Backend) -> str:
    """Say that a back end diverges where the first one does not."""
    return f"{what}: {other.name} reports a loss or a parameter that is not finite; {first.name} does not"


def diverged(backend: Backend, s: int) -> str:
    """Say that the back end which is right diverges."""
    return f"{backend.name} diverges at step {s}, so there is nothing to compare with: take a smaller learning rate"


# ---------------------------------------------------------------------------------------- two back ends on one training


class Match(NamedTuple):
    """The worst differences of back ends that match, as fractions of their bounds.

    Attributes
    ----------
    gradient : float
        The first gradient.
    update : float
        Each step from the same state.
    free : float
        The steps that each back end did by itself.

    Examples
    --------
    >>> from fastnn import testing, workloads
    >>> match = testing.assert_backends_match(workloads.load("iris"), backends=("numpy", "numba"), steps=5)
    >>> match.gradient <= 1, match.update <= 1, match.free <= 1
    (True, True, True)
    """

    gradient: float
    """The gradient and the loss of the first batch."""
    update: float
    """The steps that begin with the same state."""
    free: float
    """The steps that each back end did by itself."""


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
    """Assert that back ends train a network alike: the first of them is what the others are compared with.

    Three parts, each of which finds bugs that the others do not:

    1. The loss and the gradient of the first batch, see `assert_gradients_match`.
    2. Updates in lockstep: at each step all back ends begin with the first one's state. So differences do not add up,
       and the message names the step that is wrong. The bound is the reference's update of the gradient's bound, plus
       `UPDATE_ULPS`; a row near a kink is left out of that step (see `away_from_kinks`).
    3. Free steps: all steps in one call, as `fastnn.train` does them, within `growth_bound` of the first back end's
       and what part 2 allows in all steps together. This finds what goes wrong between steps. It is measured, not
       proved: of 4,500 drawn trainings, many of them on data whose gradients cancel, 4 right ones failed in this part.

    Parameters
    ----------
    network : Network or Workload
        A workload, such as ``fastnn.workloads.load("iris")``, brings data and options along.
    X, Y : array-like (n, n_inputs) and (n, n_outputs)
        Inputs and targets. float32 is trained in float32, everything else in float64.
    backends : sequence of names or Backends
        At least two; the first one is right.
    steps : int
        How many steps: as many batches of `batch_size` rows, in the order that `fastnn.train` takes with this seed.
    seed : int or RandomState
        Draws the initial parameters, unless they are given, and the order of the rows.
    **options : dict
        Those of `fastnn.train`: ``sample_weight``, ``params``, ``optimizer``, ``batch_size``, ``shuffle``, ``alpha``.

    Returns
    -------
    Match
        How near the back ends came to the bounds.

    Raises
    ------
    AssertionError
        That names the part, the first step and in it the layer nearest to the output that differ by more than allowed,
        its worst number, both values, the ULP between them and the bound. Steps are counted from 0.
    ValueError, TypeError
        For what `fastnn.train` refuses, fewer than two back ends, one that does not support this training, and a
        training in which the first back end diverges.

    Examples
    --------
    >>> from fastnn import testing, workloads
    >>> match = testing.assert_backends_match(workloads.load("iris"), backends=("numpy", "numba"), steps=5)
    >>> max(match) <= 1
    True
    """
    course = plan_course(network, X, Y, steps, seed, **options)
    first, *others = (get_backend(backend) for backend in backends)
    if not others:
        raise ValueError("backends needs at least two of them to be compared")
    weighted = bool((course.data.sample_weight != 1).any())
    for backend in (first, *others):
        check_supported(
            backend, course.network, course.optimizer, alpha=course.alpha, sample_weight=weighted
        )
    matches = []
    for other in others:
        gradient = _first_gradient(course, first, other)
        update, allowed = assert_steps_match(course, first, other)
        matches.append(Match(gradient, update, _free(course, first, other, allowed)))
    return Match(*(max(part) for part in zip(*matches, strict=True)))


# ----------------------------------------------------------------------------------------------------------- gradient


def _first_gradient(course: Course, first: Backend, other: Backend) -> float:
    """Compare the gradients of the first batch that has a row away from kinks."""
    for s in range(course.n_steps):
        batch = batch_of(course, without_kinks(course, s, course.params))
        if batch.sample_weight.any():
            break
    else:
        raise ValueError(
            "all rows have weight 0 or lie near a kink: take another seed, more rows or more steps"
        )
    options: dict[str, Any] = {"sample_weight": batch.sample_weight, "alpha": course.alpha}
    try:
        return assert_gradients_match(
            course.network,
            course.params,
            batch.X,
            batch.Y,
            **options,
            backend=other,
            expected=first,
        )
    except AssertionError as error:
        raise AssertionError(f"batch of step {s}: {error}") from None


# --------------------------------------------------------------------------------------------------------- free steps


def _free(course: Course, first: Backend, other: Backend, allowed: Array) -> float:
    def assert_match_after(n: int) -> float:
        growth = _growth(course, first, n)
        growth = growth._replace(params_bound=growth.params_bound + allowed)
        return _assert_free_steps(course, growth, first, other, n)

    def differs_after(n: int) -> bool:
        try:
            assert_match_after(n)
        except AssertionError:
            return True
        return False

    try:
        return assert_match_after(course.n_steps)
    except AssertionError:
        n = 1 + bisect.bisect_left(range(1, course.n_steps), True, key=differs_after)
    try:
        return assert_match_after(n)
    except AssertionError as error:
        raise AssertionError(f"{error}{_kink_before(course, first, n)}") from None


def _growth(course: Course, first: Backend, n: int) -> Growth:
    def run(params: Array) -> tuple[Array, Array]:
        state = course.start(params)
        losses = course.advance(first, state, 0, n)
        if len(losses) < n:
            raise ValueError(diverged(first, len(losses)))
        return state.params, losses

    n_rows = max(len(course.rows(s)) for s in range(n))
    return measured_growth(run, course.params, tolerances.longest_sum(course.network, n_rows))


def _assert_free_steps(
    course: Course, growth: Growth, first: Backend, other: Backend, n: int
) -> float:
    state, worst, what = course.start(), 0.0, ""
    losses = course.advance(other, state, 0, n)
    for s, (loss, expected, bound) in enumerate(
        zip(losses, growth.loss, growth.loss_bound, strict=False)
    ):
        what = f"free steps, step {s} of {course.optimizer.name}"
        worst = max(
            worst,
            tolerances.assert_within(
                loss, expected, bound, f"{what}: loss of {other.name}", first.name
            ),
        )
    if len(losses) < n:
        raise AssertionError(
            not_finite(f"free steps, step {len(losses)} of {course.optimizer.name}", other, first)
        )
    bounds = growth.params, growth.params_bound, f"{what}:", other.name, first.name
    return max(worst, tolerances.assert_tensors_within(course.network, state.params, *bounds))


def _kink_before(course: Course, first: Backend, n: int) -> str:
    """Return a hint if a row lies so near a kink that rounding alone may explain the difference."""
    state = course.start()
    for s in range(n):
        rows = course.rows(s)
        if not tolerances.away_from_kinks(
            course.network, state.params, course.data.X[rows], course.data.Y[rows]
        ).all():
            return f"\nA row lies near a kink at step {s}, where rounding may decide: see whether another seed passes"
        course.advance(first, state, s, s + 1)
    return ""
