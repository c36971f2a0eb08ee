"""The short forms of fastnn's objects: one line for `repr`, and a card for a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def line(thing: object, facts: Mapping[str, object]) -> str:
    """Return an object's line for `repr`: its class, and facts by their names."""
    return f"<{type(thing).__name__}: {', '.join(f'{name} {fact}' for name, fact in facts.items())}>"


def sizes_text(sizes: Sequence[int]) -> str:
    """Return the widths of a network's layers as "3-5-1", the middle of many left out."""
    shown = list(map(str, sizes))
    if len(shown) > 9:
        shown[4:-4] = ["..."]
    return "-".join(shown)


def card(thing: object, facts: Mapping[str, object], picture: str = "") -> str:
    """Return an object's card for a notebook, in HTML: a table with a row for each fact, and a picture beside it.

    It has the colors of the page that it is shown in, light or dark.
    """
    from html import escape

    rows = "".join(
        f'<tr style="background:none"><th style="text-align:left;padding:1px 12px 1px 0;font-weight:normal;'
        f'opacity:0.7">{escape(name)}</th><td style="text-align:left;padding:1px 0">{escape(str(fact))}</td></tr>'
        for name, fact in facts.items()
    )
    caption = f'<caption style="text-align:left;font-weight:bold;padding:0 0 4px">{escape(type(thing).__name__)}'
    table = f'<table style="border:none;margin:0">{caption}</caption><tbody>{rows}</tbody></table>'
    look = "display:flex;flex-wrap:wrap;gap:8px 32px;align-items:center;padding:8px 12px;border-radius:6px"
    border = "border:1px solid rgba(128,128,128,0.4);width:fit-content;max-width:100%;box-sizing:border-box"
    return f'<div class="fastnn-card" style="{look};{border}">{table}{picture}</div>'
