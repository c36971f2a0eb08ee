"""The conformance suite, for any back end or for functions that are none, and its report.

A suite is a list of checks (see `Check`), the same for every back end; each is skipped if the back
end's `supports` declines what it is about. The pytest plugin and
``fastnn verify`` run the same list.
"""

import dataclasses
import importlib
import inspect
import json
import operator
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastnn import __version__, reference
from fastnn.backends import Backend, Data, Steps, StepState, Task, get_backend
from fastnn.checking.arguments import check_choice
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.testing.cases import DTYPES, Case, Check, Declined, optimizer_of, plain_network
from fastnn.testing.numeric import compare, numeric_checks
from fastnn.testing.properties import property_checks
from fastnn.testing.tolerances import COMPLEX_STEP_RTOL, GRADIENT_FACTOR, GROWTH, UPDATE_ULPS
from fastnn.training.inputs import check_network

BOUNDS = {
    "property": "as the property says",
    "gradient": f"{GRADIENT_FACTOR} n eps S",
    "derivative": f"{COMPLEX_STEP_RTOL:g} S by complex step, eps^(1/3) S by differences",
    "update": f"{UPDATE_ULPS} ULP",
    "training": f"{GROWTH} times the growth of one ULP, and {GRADIENT_FACTOR} n eps",
}
"""The kinds of checks, and what each allows."""

_VERDICTS = ("passed", "failed", "skipped")
_IN_FULL = 2  # messages of each kind that a summary repeats


class Outcome(NamedTuple):
    """The result of a check.

    Attributes
    ----------
    check : Check
        What was checked.
    verdict : {"passed", "failed", "skipped"}
        How it ended.
    deviation : float or None
        The worst difference as a part of what is allowed, where the check passed.
    message : str
        Why it failed or was skipped.

    Examples
    --------
    >>> from fastnn import Network, get_backend, testing
    >>> from fastnn.backends import Data
    >>> network, backend = Network((1, 1)), get_backend("numba")
    >>> def loss_and_gradient(params, X, Y):
    ...     return backend.loss_and_gradient(network, params, Data(X, Y, X[:, 0] * 0 + 1), 0.0)
    >>> report = testing.check_functions(network, loss_and_gradient=loss_and_gradient)
    >>> report.outcomes[0].verdict, report.outcomes[0].deviation <= 1
    ('passed', True)
    """

    check: Check
    verdict: str
    """"passed", "failed" or "skipped"."""
    deviation: float | None
    """The worst difference as a part of what is allowed, where the check passed."""
    message: str

    def __repr__(self) -> str:
        return f"<Outcome: {self.check.name}: {self.verdict}>"


class Report(NamedTuple):
    """The results of all checks of a back end.

    Attributes
    ----------
    backend : str
        Its name.
    outcomes : list of Outcome
        Those of the checks, in order.

    Examples
    --------
    >>> from fastnn import Network, testing
    >>> def wrong(params, X, Y):
    ...     return 0.0, 0 * params
    >>> report = testing.check_functions(Network((1, 1)), loss_and_gradient=wrong, raises=False)
    >>> report
    <Report: back end mine, passed 3, failed 3, skipped 0>
    """

    backend: str
    outcomes: list[Outcome]

    def __repr__(self) -> str:
        counts = ", ".join(f"{verdict} {self.count(verdict)}" for verdict in _VERDICTS)
        return f"<Report: back end {self.backend}, {counts}>"

    @property
    def failed(self) -> list[Outcome]:
        """The outcomes of the checks that failed."""
        return [outcome for outcome in self.outcomes if outcome.verdict == "failed"]

    def count(self, verdict: str) -> int:
        """Count the checks with a verdict.

        Parameters
        ----------
        verdict : {"passed", "failed", "skipped"}
            The verdict.

        Returns
        -------
        int
            How many checks have it.

        Examples
        --------
        >>> from fastnn import Network, testing
        >>> def wrong(params, X, Y):
        ...     return 0.0, 0 * params
        >>> report = testing.check_functions(Network((1, 1)), loss_and_gradient=wrong, raises=False)
        >>> report.count("failed"), len(report.failed)
        (3, 3)
        """
        return sum(outcome.verdict == verdict for outcome in self.outcomes)

    def summary(self) -> str:
        """Say how many checks passed and what failed.

        Returns
        -------
        str
            Lines for people: properties by name, the first messages of each kind in full.

        Examples
        --------
        >>> from fastnn import Network, testing
        >>> def wrong(params, X, Y):
        ...     return 0.0, 0 * params
        >>> report = testing.check_functions(Network((1, 1)), loss_and_gradient=wrong, raises=False)
        >>> report.summary().splitlines()[0]
        "back end 'mine' fails 3 of 6 checks"
        """
        n_skipped = self.count("skipped")
        skipped = f"; {n_skipped} that it does not support were skipped" if n_skipped else ""
        tried = Counter(o.check.kind for o in self.outcomes if o.verdict != "skipped")
        if not self.failed:
            by_kind = ", ".join(f"{tried[kind]} {kind}" for kind in BOUNDS if tried[kind])
            name = f"back end {self.backend!r}"
            return f"{name} passes {tried.total()} checks{skipped}\npassed: {by_kind}"
        counts = f"fails {len(self.failed)} of {tried.total()} checks"
        lines = [f"back end {self.backend!r} {counts}{skipped}"]
        for kind in BOUNDS:
            failed = [outcome for outcome in self.failed if outcome.check.kind == kind]
            if failed:
                lines += ["", f"{kind}: {len(failed)} of {tried[kind]} failed"]
            for i, outcome in enumerate(failed):
                if i < _IN_FULL:
                    message = textwrap.indent(outcome.message, "    ")
                    lines += [f"  {outcome.check.name}:", message]
                elif kind == "property":
                    lines.append(f"  {outcome.check.name}")
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Write every check with its deviation, bound and verdict as JSON.

        Parameters
        ----------
        path : pathlib.Path
            The file; an existing one is replaced.

        Raises
        ------
        OSError
            When the file cannot be written.

        Examples
        --------
        >>> import json, pathlib
        >>> from fastnn import Network, testing
        >>> def wrong(params, X, Y):
        ...     return 0.0, 0 * params
        >>> report = testing.check_functions(Network((1, 1)), loss_and_gradient=wrong, raises=False)
        >>> report.save(pathlib.Path("report.json"))
        >>> json.loads(pathlib.Path("report.json").read_text())["failed"]
        3
        """
        fields = [f.name for f in dataclasses.fields(Check) if f.name != "run"]
        checks = []
        for check, verdict, deviation, message in self.outcomes:
            line = {name: getattr(check, name) for name in fields}
            line |= {"bound": BOUNDS[check.kind], "deviation": deviation}
            line |= {"verdict": verdict, "message": message}
            checks.append({name: value for name, value in line.items() if value != ""})
        counts = {verdict: self.count(verdict) for verdict in _VERDICTS}
        content = {"fastnn": __version__, "backend": self.backend, **counts, "checks": checks}
        path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


# -------------------------------------------------------------------------------- the suite


def conformance_checks(dtypes: Sequence[str] = DTYPES) -> Iterator[Check]:
    """Yield all checks of the suite: properties first, which say most about a bug, then numbers.

    Parameters
    ----------
    dtypes : sequence of {"float32", "float64"}
        In which dtypes.

    Yields
    ------
    Check
        One check after the other, the same for every back end.

    Raises
    ------
    ValueError
        For an unknown dtype.

    Examples
    --------
    >>> from fastnn import testing
    >>> {check.dtype for check in testing.conformance_checks(["float32"])}
    {'float32'}
    """
    for dtype in dtypes:
        check_choice("dtype", dtype, DTYPES)
    yield from property_checks(dtypes)
    yield from numeric_checks(dtypes)


def check_backend(
    backend: str | Backend,
    *,
    dtypes: Sequence[str] = DTYPES,
    raises: bool = True,
    progress: Callable[[Check], None] | None = None,
) -> Report:
    """Check that a back end does what fastnn asks of one.

    For every activation, loss with output activation, and optimizer, it compares predictions,
    losses, gradients, updates and whole trainings with the reference's, and gradients with the
    derivative of the loss. It checks properties of row weights, batches, biases, the state,
    divergence and repetition. The data are the same in each run.

    If the back end does not support the network of a check, the check changes the first small
    network that the back end supports only by what it is about, and is skipped if that is declined.
    If no check of a kind can run, the property "at least one runs" fails.

    Parameters
    ----------
    backend : name, ``"package.module:attribute"`` or Backend
        See `find_backend`. What its `supports` declines is skipped.
    dtypes : sequence of {"float32", "float64"}
        A subset for a back end that has only one of them.
    raises : bool
        Whether a failed check raises. False: look at the report.
    progress : callable, optional
        Called before each check.

    Returns
    -------
    Report
        The outcomes of all checks.

    Raises
    ------
    AssertionError
        When a check fails, or none of a kind could run, with `Report.summary` as its text.
    ValueError, TypeError
        When there is no such back end or dtype; when the back end supports nothing at all.

    Examples
    --------
    A back end that trains one kind of network only:

    >>> import fastnn
    >>> class Small(type(fastnn.get_backend("numpy"))):
    ...     name = "small"
    ...
    ...     def supports(self, network, optimizer, *, alpha=0.0, sample_weight=False):
    ...         names = (network.activation, network.output, optimizer.name)
    ...         return names == ("tanh", "identity", "SGD") and not alpha and not sample_weight
    >>> report = fastnn.testing.check_backend(Small(), dtypes=["float64"])
    >>> report.count("failed"), report.count("skipped") > 0
    (0, True)
    """
    backend = find_backend(backend)
    try:
        plain_network(backend)
    except Declined as reason:
        raise ValueError(f"back end {reason}") from None
    return run_checks(conformance_checks(dtypes), backend, raises=raises, progress=progress)


def run_checks(
    checks: Iterable[Check],
    backend: Backend,
    *,
    raises: bool,
    progress: Callable[[Check], None] | None = None,
) -> Report:
    """Run some checks on a back end, and return the report; see `check_backend`."""
    outcomes = []
    for check in checks:
        if progress:
            progress(check)
        outcomes.append(_outcome(check, backend))
    report = Report(backend.name, outcomes)
    if report.failed and raises:
        raise AssertionError(report.summary())
    return report


def _outcome(check: Check, backend: Backend) -> Outcome:
    try:
        return Outcome(check, "passed", check.run(backend), "")
    except Declined as reason:
        return Outcome(check, "skipped", None, str(reason))
    except Exception as error:  # whatever a back end raises is a failed check
        name = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        return Outcome(check, "failed", None, f"{name}{error}")


def find_backend(backend: str | Backend) -> Backend:
    """Return the back end of a registered name, or of an import path.

    Parameters
    ----------
    backend : str or Backend
        ``"package.module:attribute"`` is a back end, or a class or function without arguments that
        makes one.

    Returns
    -------
    Backend
        The back end.

    Raises
    ------
    ValueError
        For a name that is not registered, a module or an attribute that is not there, a function
        that fails; the text says which.
    TypeError
        For an object that lacks one of the methods of `Backend`.

    Examples
    --------
    >>> from fastnn import testing
    >>> testing.find_backend("numpy")
    NumpyBackend()
    >>> testing.find_backend("fastnn.reference:NumpyBackend")
    NumpyBackend()
    """
    if not isinstance(backend, str) or ":" not in backend:
        return get_backend(backend)
    module_name, _, attribute = backend.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses another one
        raise ValueError(f"back end {backend!r}: there is no module {error.name!r}") from None
    try:
        found = operator.attrgetter(attribute)(found)
    except AttributeError as error:
        raise ValueError(f"back end {backend!r}: {error}") from None
    if (callable(found) and not isinstance(found, Backend)) or isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(f"back end {backend!r} cannot be made: {what}") from error
    return get_backend(found)


# ------------------------------------------------------------ functions that are no back end


def check_functions(
    network: Network,
    *,
    loss_and_gradient: Callable[..., tuple[float, Any]] | None = None,
    step: Callable[..., Any] | None = None,
    dtypes: Sequence[str] = ("float64",),
    raises: bool = True,
) -> Report:
    """Check a function that computes a network's loss and gradient, one that does a step, or both.

    They are compared with the reference on drawn parameters and data, as `check_backend` does it:
    the gradient with the reference's and with differences of the function's own loss; each of some
    steps; the weights after some epochs.

    Parameters
    ----------
    network : Network
        What the functions compute: sizes, activations, loss, bias and reduction.
    loss_and_gradient : callable, optional
        ``loss_and_gradient(params, X, Y)`` returns the loss of all rows as one batch and its
        gradient (n_params,). `params` (n_params,) holds W (fan_in, fan_out) and then the bias of
        each layer, as `Network.weights` and `Network.biases` take it apart; X is (n, n_inputs), Y
        (n, n_outputs). If it takes ``alpha`` or ``sample_weight`` by keyword, it is checked with a
        penalty and with row weights (n,) too.
    step : callable, optional
        ``step(params, X, Y, learning_rate)`` does one step of plain gradient descent on these rows.
        It returns the new parameters, or None where it has changed `params` in place. ``alpha`` and
        ``sample_weight`` as above.
    dtypes : sequence of {"float32", "float64"}
        In which dtypes the functions are called.
    raises : bool
        Whether a failed check raises. False: look at the report.

    Returns
    -------
    Report
        The outcomes of all checks.

    Raises
    ------
    AssertionError
        When a check fails, with `Report.summary` as its text.
    ValueError, TypeError
        For an unknown dtype, and where there is no function to check.

    Examples
    --------
    Linear regression, its loss and gradient:

    >>> import numpy as np
    >>> from fastnn import Network, testing
    >>> def loss_and_gradient(params, X, Y):
    ...     error = X @ params[:2, None] + params[2] - Y
    ...     return (error**2).mean() / 2, np.append(X.T @ error, error.sum()) / len(X)
    >>> report = testing.check_functions(Network((2, 1)), loss_and_gradient=loss_and_gradient)
    >>> report.count("failed")
    0
    """
    check_network(network)
    for dtype in dtypes:
        check_choice("dtype", dtype, DTYPES)
    if loss_and_gradient is None and step is None:
        raise TypeError(
            "check_functions takes a function as loss_and_gradient, one as step, or both"
        )
    checks = _checks(network, loss_and_gradient, step, dtypes)
    return run_checks(checks, _Functions(loss_and_gradient, step), raises=raises)


def _checks(network: Network, gradient: Any, step: Any, dtypes: Sequence[str]) -> Iterator[Check]:
    functions = {"gradient": gradient, "derivative": gradient, "update": step, "training": step}
    if network.bias_gradient != "exact":
        functions["derivative"] = None  # the gradient is not the derivative of the loss
    for dtype, (kind, function) in product(dtypes, functions.items()):
        if function is None:
            continue
        taken = _options_taken(function)
        alphas = (0.0, 0.3) if "alpha" in taken else (0.0,)
        weights = (False, True) if "sample_weight" in taken else (False,)
        rows = (19, 7, 50) if kind == "derivative" else (19, 1, 50)
        for k, (alpha, weighted, n) in enumerate(product(alphas, weights, rows)):
            case = Case(network, optimizer_of("SGD"), alpha, weighted)
            words = f"{n} rows, alpha {alpha:g}{', row weights' if weighted else ''}"
            yield Check(kind, words, dtype, run=partial(compare, kind, case, n, k, dtype))


class _Functions(reference.NumpyBackend):
    """The reference, with functions in place of its methods."""

    name = "mine"
    accepts_complex = False

    def __init__(
        self, gradient: Callable[..., Any] | None, step: Callable[..., Any] | None
    ) -> None:
        self._gradient = gradient
        self._step = step

    def loss_and_gradient(
        self,
        network: Network,
        params: Array,
        data: Data,
        alpha: float,
        threads: int | None = None,
    ) -> tuple[Any, Array]:
        if self._gradient is None:
            return super().loss_and_gradient(network, params, data, alpha)
        loss, gradient = _call(self._gradient, params.copy(), data, alpha)
        return float(loss), _as_parameters("the gradient", gradient, params)

    def train_steps(self, task: Task, state: StepState, steps: Steps) -> int:
        for s, rate in enumerate(steps.learning_rate):
            params = state.params.copy()
            parts: Any = (array[s : s + 1] for array in steps[1:])
            one = Steps(steps.rows, *parts)
            if not super().train_steps(task, state, one):  # for the loss and the counts
                return s
            rows = steps.rows[steps.start[s] : steps.stop[s]]
            batch = Data(*(array[rows] for array in task.data))
            if batch.sample_weight.any():
                after = _call(self._step, params, batch, task.alpha, float(rate))
                after = params if after is None else after
                state.params[...] = _as_parameters("what step returns", after, params)
            if not np.isfinite(state.params).all():
                return s
        return len(steps.loss)


def _call(function: Any, params: Array, data: Data, alpha: float, *rates: float) -> Any:
    """Call a function with those of the options that it takes."""
    options = {"alpha": alpha, "sample_weight": data.sample_weight}
    taken = {name: options[name] for name in _options_taken(function)}
    return function(params, data.X, data.Y, *rates, **taken)


def _options_taken(function: Callable[..., Any]) -> list[str]:
    """Return which of the options "alpha" and "sample_weight" a function takes as keywords."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # a function of an extension module need not have a signature
        return []
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return [name for name in ("alpha", "sample_weight") if takes_all or name in parameters]


def _as_parameters(what: str, values: Any, params: Array) -> Array:
    array = np.asarray(values)
    if array.shape != params.shape or array.dtype != params.dtype:
        raise AssertionError(
            f"{what} has the shape {array.shape} and dtype {array.dtype}; "
            f"right is {params.shape} and {params.dtype}"
        )
    return array
