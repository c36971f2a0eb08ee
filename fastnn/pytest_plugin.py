"""The pytest plugin, by which a project tests its back end with one fixture of its own and one
test.

::

    @pytest.fixture(scope="session")
    def fastnn_backend():
        return MyBackend()


    def test_conformance(fastnn_check):
        fastnn_check()

The test then runs once for each check of the suite, by its name. Where all checks of a kind would
be skipped, the check "at least one runs" fails. pytest loads this module wherever fastnn is
installed: it imports fastnn when a test first asks for one of these fixtures, and adds no option
and no marker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from fastnn.backends import Backend


DECLINED = "does not support what this check is about"


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Print no letter for a check that the back end declines: of a small one they would be thirty
    lines of s.
    """
    is_declined = (
        report.skipped and isinstance(report.longrepr, tuple) and DECLINED in report.longrepr[2]
    )
    return ("skipped", "", "SKIPPED") if is_declined else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test that takes `fastnn_check` one test for each check."""
    if "fastnn_check" in metafunc.fixturenames:
        from fastnn.testing import conformance_checks

        checks = list(conformance_checks())
        metafunc.parametrize(
            "fastnn_check", checks, ids=[check.name for check in checks], indirect=True
        )


@pytest.fixture
def fastnn_backend() -> Backend:
    """The back end to test: override this fixture."""
    pytest.fail(
        "define a fixture `fastnn_backend` that returns the back end to test", pytrace=False
    )


@pytest.fixture
def fastnn_check(
    request: pytest.FixtureRequest, fastnn_backend: str | Backend
) -> Callable[[], float]:
    """One check of the conformance suite: call it.

    It returns the worst difference as a part of what is allowed, raises AssertionError where it is
    more, and skips what the back end's `supports` declines. `fastnn_backend` may also return a name
    or ``"package.module:attribute"``.
    """
    from fastnn.testing import Declined, find_backend

    backend = find_backend(fastnn_backend)

    def check() -> float:
        __tracebackhide__ = True
        try:
            return request.param.run(backend)
        except Declined:  # in the same words each time: pytest folds such skips into one line
            pytest.skip(f"{backend.name} {DECLINED}")
        except AssertionError as error:  # which says all that the way through the suite would
            raise AssertionError(str(error)) from None

    return check


@pytest.fixture(scope="session")
def fastnn_tolerances() -> ModuleType:
    """The tolerance policy: the module `fastnn.testing.tolerances`."""
    from fastnn.testing import tolerances

    return tolerances
