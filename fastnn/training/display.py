"""The short forms of fastnn's objects: one line for `repr`, and a card for a notebook."""

from __future__ import annotations

from collections.abc import Mapping


def line(thing: object, facts: Mapping[str, object]) -> str:
    """Return an object's line for `repr`: its class, and facts by their names."""
    return f"<{type(thing).__name__}: {', '.join(f'{name} {fact}' for name, fact in facts.items())}>"


def card(thing: object, facts: Mapping[str, object]) -> str:
    """Return an object's card for a notebook: a table in HTML with a row for each fact."""
    from html import escape

    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(fact))}</td></tr>" for name, fact in facts.items())
    return f"<table><caption>{escape(type(thing).__name__)}</caption><tbody>{rows}</tbody></table>"
