"""The report of the conformance suite: the outcome of each check, in words for people and as JSON."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from fastnn import __version__
from fastnn.testing.check import Check
from fastnn.testing.tolerances import COMPLEX_STEP_RTOL, GRADIENT_FACTOR, GROWTH, UPDATE_ULPS

BOUNDS = {
    "property": "as the property says",
    "gradient": f"{GRADIENT_FACTOR} n eps S",
    "derivative": f"{COMPLEX_STEP_RTOL:g} S by complex step, eps^(1/3) S by differences",
    "update": f"{UPDATE_ULPS} ULP",
    "training": f"{GROWTH} times the growth of one ULP, and {GRADIENT_FACTOR} n eps",
}
"""The kinds of checks, and what each allows."""

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
    >>> network, backend = Network((1, 1)), get_backend("numba")
    >>> def loss_and_gradient(params, X, Y):
    ...     return backend.loss_and_gradient(network, params, testing.check.Data(X, Y, X[:, 0] * 0 + 1), 0.0)
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
    hint : str
        A hint at what the checks that failed have in common, where that is known.

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
    hint: str = ""
    """A hint at what the checks that failed have in common, where that is known."""

    def __repr__(self) -> str:
        counts = ", ".join(f"{verdict} {self.count(verdict)}" for verdict in ("passed", "failed", "skipped"))
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
        if not self.failed:
            counts = Counter(outcome.check.kind for outcome in self.outcomes if outcome.verdict == "passed")
            by_kind = ", ".join(f"{counts[kind]} {kind}" for kind in BOUNDS if counts[kind])
            return f"back end {self.backend!r} passes {counts.total()} checks{skipped}\npassed: {by_kind}"
        tried = Counter(outcome.check.kind for outcome in self.outcomes if outcome.verdict != "skipped")
        lines = [f"back end {self.backend!r} fails {len(self.failed)} of {tried.total()} checks{skipped}"]
        for kind in BOUNDS:
            failed = [outcome for outcome in self.failed if outcome.check.kind == kind]
            if not failed:
                continue
            lines += ["", f"{kind}: {len(failed)} of {tried[kind]} failed"]
            if kind == "property":
                lines += [f"  - {what}" for what in dict.fromkeys(outcome.check.what for outcome in failed)]
            for outcome in failed[:_IN_FULL]:
                lines += [f"  {outcome.check.name}:", textwrap.indent(outcome.message, "    ")]
        return "\n".join([*lines, *(["", self.hint] if self.hint else [])])

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
        cases = []
        for check, verdict, deviation, message in self.outcomes:
            names = {f.name: getattr(check, f.name) for f in dataclasses.fields(check) if f.name != "run"}
            case = names | {"bound": BOUNDS[check.kind], "deviation": deviation, "verdict": verdict, "message": message}
            cases.append({name: value for name, value in case.items() if value != ""})
        counts = {verdict: self.count(verdict) for verdict in ("passed", "failed", "skipped")}
        content = {"fastnn": __version__, "backend": self.backend, **counts, "checks": cases}
        path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
