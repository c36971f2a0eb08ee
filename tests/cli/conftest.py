"""Commands that end well, and commands that are refused."""

import pytest


@pytest.fixture
def succeed(run):
    """Run ``fastnn``, which must end with 0; return what it prints, and what on stderr."""

    def succeed(*arguments):
        code, out, err = run(*arguments)
        assert code == 0, err
        return out, err

    return succeed


@pytest.fixture
def refused(run):
    """Run ``fastnn``, which must end with 2 and print nothing; return what it says, in one line."""

    def refused(*arguments):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        return " ".join(err.replace("│", " ").split())

    return refused
