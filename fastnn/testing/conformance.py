"""check_backend(): the conformance suite, for a back end of any origin.

A suite is a list of checks (see `Check`), the same for every back end; each looks for a case that the back end's
`supports` accepts, and is skipped where there is none. The pytest plugin and ``fastnn verify`` run the same list.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fastnn.backends import Backend, get_backend, options_taken
from fastnn.checking.arguments import check_choice
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.testing.cases import Declined, supports_anything
from fastnn.testing.check import DTYPES, Check
from fastnn.testing.numeric import coverage_checks, numeric_checks
from fastnn.testing.properties import property_checks
from fastnn.testing.report import Outcome, Report


def conformance_checks(dtypes: Sequence[str] = DTYPES) -> Iterator[Check]:
    """Yield all checks of the suite: properties first, for they say most about a bug, then comparisons of numbers.

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
    yield from coverage_checks(dtypes)
    yield from numeric_checks(dtypes)


def check_backend(
    backend: str | Backend,
    *,
    dtypes: Sequence[str] = DTYPES,
    raises: bool = True,
    progress: Callable[[Check], None] | None = None,
) -> Report:
    """Check that a back end does what fastnn asks of one.

    For every activation, loss with output activation, and optimizer, it compares predictions, losses, gradients,
    updates and whole trainings with the reference's, and gradients with the derivative of the loss. It checks
    properties of row weights, batches, biases, the state, divergence and repetition. The data are the same in each run.

    Where the back end does not support the sizes, bias, reduction, penalty or row weights of a check, the check takes
    others. It is skipped only where what it is about is declined. For each kind of check, some more cases are drawn
    from all that the back end supports. Where no check of a kind can run, the property "at least one runs" fails.

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
    ...     def supports(self, network, optimizer, *, alpha=0.0, sample_weight=False):
    ...         is_plain = not alpha and not sample_weight and optimizer.name == "SGD" and not optimizer.sequential
    ...         return is_plain and network.activation == "tanh" and network.output == "identity"
    >>> report = fastnn.testing.check_backend(Small(), dtypes=["float64"])
    >>> report.count("failed"), report.count("skipped") > 0
    (0, True)
    """
    backend = find_backend(backend)
    if not supports_anything(backend):
        raise ValueError(f"back end {backend.name!r} supports no network with any optimizer")
    return run_checks(conformance_checks(dtypes), backend, raises=raises, progress=progress)


def run_checks(
    checks: Iterable[Check], backend: Backend, *, raises: bool, progress: Callable[[Check], None] | None = None
) -> Report:
    """Run some checks on a back end, and return the report; see `check_backend`."""
    outcomes = []
    for check in checks:
        if progress:
            progress(check)
        outcomes.append(_outcome(check, backend))
    report = Report(backend.name, outcomes, _hint(outcomes, backend))
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


class _Declining:
    """A back end that declines penalties and row weights, whatever it does without them."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def supports(
        self, network: Network, optimizer: Optimizer, *, alpha: float = 0.0, sample_weight: bool = False
    ) -> bool:
        return not alpha and not sample_weight and self._backend.supports(network, optimizer)


def _hint(outcomes: Sequence[Outcome], backend: Backend) -> str:
    """Return a hint where nothing would fail if the back end, which cannot decline options, declined them."""
    failed = [outcome.check for outcome in outcomes if outcome.verdict == "failed"]
    if not failed or options_taken(getattr(backend.supports, "__func__", backend.supports)):
        return ""
    declining: Any = _Declining(backend)
    if any(_outcome(check, declining).verdict == "failed" for check in failed):
        return ""
    return (
        "All failures are about penalties and row weights, which a back end may decline: return False from "
        "supports(network, optimizer, *, alpha=0.0, sample_weight=False) where it has none"
    )


def find_backend(backend: str | Backend) -> Backend:
    """Return the back end of a registered name, or of an import path.

    Parameters
    ----------
    backend : str or Backend
        ``"package.module:attribute"`` is a back end, or a class or function without arguments that makes one.

    Returns
    -------
    Backend
        The back end.

    Raises
    ------
    ValueError
        For a name that is not registered, a module or an attribute that is not there, a function that fails; the text
        says which.
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
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses another one
        raise ValueError(f"back end {backend!r}: there is no module {error.name!r}") from None
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise ValueError(f"back end {backend!r}: module {module_name!r} has no {attribute!r}")
        found = getattr(found, name)
    if isinstance(found, type) or (callable(found) and not isinstance(found, Backend)):
        try:
            found = found()
        except Exception as error:
            raise ValueError(f"back end {backend!r} cannot be made: {type(error).__name__}: {error}") from error
    return get_backend(found)
