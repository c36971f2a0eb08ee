"""The conformance suite, for any back end, and its report.

A suite is a list of checks (see `Check`), the same for every back end; each is skipped if the back
end's `supports` declines what it is about. The pytest plugin and
``fastnn verify`` run the same list.
"""

import dataclasses
import importlib
import json
import operator
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastnn import __version__
from fastnn.backends import Backend, get_backend
from fastnn.checking.arguments import check_choice
from fastnn.testing.cases import DTYPES, Check, Declined, plain_network
from fastnn.testing.numeric import numeric_checks
from fastnn.testing.properties import property_checks
from fastnn.testing.tolerances import GRADIENT_FACTOR, GROWTH, UPDATE_ULPS

BOUNDS = {
    "property": "as the property says",
    "gradient": f"{GRADIENT_FACTOR} n eps S",
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
    >>> from fastnn import testing
    >>> check = next(testing.conformance_checks())
    >>> testing.Outcome(check, "passed", 0.5, "").verdict
    'passed'
    """

    check: Check
    verdict: str
    deviation: float | None
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
    >>> from fastnn import testing
    >>> check = next(testing.conformance_checks())
    >>> failed = testing.Outcome(check, "failed", None, "bits differ")
    >>> report = testing.Report("mine", [failed])
    >>> report
    <Report: back end mine, passed 0, failed 1, skipped 0>
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
        >>> from fastnn import testing
        >>> check = next(testing.conformance_checks())
        >>> failed = testing.Outcome(check, "failed", None, "bits differ")
        >>> report = testing.Report("mine", [failed])
        >>> report.count("failed"), len(report.failed)
        (1, 1)
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
        >>> from fastnn import testing
        >>> check = next(testing.conformance_checks())
        >>> failed = testing.Outcome(check, "failed", None, "bits differ")
        >>> report = testing.Report("mine", [failed])
        >>> report.summary().splitlines()[0]
        "back end 'mine' fails 1 of 1 checks"
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
        >>> from fastnn import testing
        >>> check = next(testing.conformance_checks())
        >>> failed = testing.Outcome(check, "failed", None, "bits differ")
        >>> report = testing.Report("mine", [failed])
        >>> report.save(pathlib.Path("report.json"))
        >>> json.loads(pathlib.Path("report.json").read_text())["failed"]
        1
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
    losses, gradients, updates and whole trainings with the reference's. It checks properties of row
    weights, batches, biases, the state, divergence and repetition. The data are the same in each
    run.

    If the back end does not support the network of a check, the check changes the first small
    network that the back end supports only by what it is about, and is skipped if that is declined.

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
        When a check fails, with `Report.summary` as its text.
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
