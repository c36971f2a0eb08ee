"""Functions that a test watches: what they are called with, and what they return."""

from typing import Any, NamedTuple


class Call(NamedTuple):
    """One call of a watched function."""

    arguments: tuple
    result: Any


def watch(monkeypatch, owner, name):
    """Return a list to which each call of the function `owner.name` is added as it returns."""
    original = getattr(owner, name)
    calls = []

    def watched(*arguments, **options):
        result = original(*arguments, **options)
        calls.append(Call(arguments, result))
        return result

    monkeypatch.setattr(owner, name, watched)
    return calls
