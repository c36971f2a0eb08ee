"""How objects show themselves: lines for `repr`, cards and charts in notebooks, tables of
registries in docstrings.
"""

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple, TypeVar

import numpy as np

from fastnn.cached import cached_property
from fastnn.checking.hints import explains_keywords
from fastnn.memory import Floats

K = TypeVar("K", bound=type)


def line(thing: object, facts: Mapping[str, object]) -> str:
    """Return an object's line for `repr`: its class, and facts by their names."""
    return (
        f"<{type(thing).__name__}: {', '.join(f'{name} {fact}' for name, fact in facts.items())}>"
    )


class Shown:
    """The base of objects that show facts: as a line for `repr`, and in notebooks as a card with a
    chart.
    """

    def __repr__(self) -> str:
        return line(self, self._facts())

    def _repr_html_(self) -> str:
        return card(self, self._facts(), self._chart())

    def _facts(self) -> dict[str, object]:
        """Return the facts by their names."""
        raise NotImplementedError

    def _chart(self) -> str:
        """Return a picture in HTML."""
        return ""


def sizes_text(sizes: Sequence[int]) -> str:
    """Return the widths of a network's layers as "3-5-1", the middle of many left out."""
    shown = list(map(str, sizes))
    if len(shown) > 9:
        shown[4:-4] = ["..."]
    return "-".join(shown)


def card(thing: object, facts: Mapping[str, object], picture: str = "") -> str:
    """Return an object's card for a notebook, in HTML: a table with a row for each fact, and a
    picture beside it.

    It has the colors of the page that it is shown in, light or dark.
    """
    rows = "".join(
        f'<tr style="background:none"><th style="text-align:left;padding:1px 12px 1px '
        f"0;font-weight:normal;"
        f'opacity:0.7">{escape(name)}</th><td style="text-align:left;padding:1px '
        f'0">{escape(str(fact))}</td></tr>'
        for name, fact in facts.items()
    )
    caption = (
        f'<caption style="text-align:left;font-weight:bold;padding:0 0 '
        f'4px">{escape(type(thing).__name__)}'
    )
    table = f'<table style="border:none;margin:0">{caption}</caption><tbody>{rows}</tbody></table>'
    look = (
        "display:flex;flex-wrap:wrap;gap:8px 32px;align-items:center;padding:8px "
        "12px;border-radius:6px"
    )
    border = (
        "border:1px solid "
        "rgba(128,128,128,0.4);width:fit-content;max-width:100%;box-sizing:border-box"
    )
    return f'<div class="fastnn-card" style="{look};{border}">{table}{picture}</div>'


# ---------------------- tables in docstrings, made of the registries when a docstring is first read


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table as reStructuredText has it, which `help` shows as it is.

    >>> print(table(("name", "formula"), [("square", "``z^2``")]))
    ====== =======
    name   formula
    ====== =======
    square ``z^2``
    ====== =======
    """
    lines = [list(heads), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    border = " ".join("=" * width for width in widths)
    head, *body = (" ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "\n".join([border, head, border, *body, border])


def summaries(kinds: Mapping[str, type]) -> list[tuple[str, str]]:
    """Return for each class of a registry its name, and the first paragraph of its docstring as one
    line.
    """
    texts = {name: inspect.getdoc(kind) or "" for name, kind in kinds.items()}
    return [(name, " ".join(text.partition("\n\n")[0].split())) for name, text in texts.items()]


def fill(text: str | None, values: Mapping[str, str]) -> str:
    """Return a docstring with values in the places ``%(name)s``, whose indent all lines of the
    value get.
    """
    lines = []
    for line in inspect.cleandoc(text or "").splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        lines.append((line % values).replace("\n", f"\n{indent}"))
    return "\n".join(lines)


_HEAD = re.compile(r"^(\w[\w ]*)\n-+\n", re.MULTILINE)


def _sections(text: str | None) -> dict[str, str]:
    """Return {head: text} of the sections of a docstring in numpydoc's form, what stands before
    them under "".
    """
    first, *others = _HEAD.split(inspect.cleandoc(text or ""))
    return {"": first} | dict(zip(others[::2], others[1::2], strict=True))


def _entries(section: str) -> dict[str, str]:
    """Return {first name: text} of the entries of a section."""
    return {
        re.split(r"\W", entry, maxsplit=1)[0]: entry
        for entry in re.split(r"\n(?=\S)", section.strip())
        if entry
    }


def documented(estimator: K) -> K:
    """Put the parameters and attributes that an estimator's base documents beside those of its own
    docstring.

    Parameters stand in the order of the signature. Keywords that the estimator does not have are
    explained besides.
    """
    sections = _sections(estimator.__doc__)
    base = _sections(estimator.__bases__[-1].__doc__)
    order = list(inspect.signature(estimator).parameters)
    heads = "Parameters", "Attributes"
    parameters, attributes = (
        _entries(base.get(head, "")) | _entries(sections.pop(head, "")) for head in heads
    )
    ordered = sorted(parameters.items(), key=lambda entry: order.index(entry[0]))
    merged = {
        "Parameters": "\n".join(dict(ordered).values()),
        "Attributes": "\n".join(attributes.values()),
    }
    parts = (
        f"{head}\n{'-' * len(head)}\n{text.strip()}\n\n"
        for head, text in (merged | sections).items()
        if head
    )
    estimator.__doc__ = "".join([sections[""], *parts]).rstrip()
    return explains_keywords(estimator)


class Filled:
    """A class' docstring that is filled when it is first read, so that an import need not wait for
    its tables.

    Python asks what stands as ``__doc__`` in a class for the docstring, if it has a ``__get__``.
    """

    def __init__(self, text: str | None, values: Callable[[], Mapping[str, str]]) -> None:
        self._text = text
        self._values = values

    def __get__(self, thing: object, kind: type | None = None) -> str:
        return self._filled

    @cached_property
    def _filled(self) -> str:
        return fill(self._text, self._values())


# ------------------------------------- charts in SVG, without matplotlib, in the colors of the page


WIDTH = 320
HEIGHT = 150
LEFT = 56
RIGHT = 8
TOP = 20
BOTTOM = 22
"""The margins, in which the labels stand."""

MOST_POINTS = 160
MOST_POINTS_IN_ALL = 2000
"""Points of a curve, and of all curves: more would not be seen."""

MOST_CURVES = 40
"""Members whose losses the picture of many shows, besides those of the best one."""

COLORS = ("#3b82c4", "#d9730d")
"""Of the first curve and the second: both are read on white and on black."""


def some_of(n: int) -> list[int]:
    """Return the numbers of at most `MOST_CURVES` of n members, evenly spread."""
    n_shown = min(n, MOST_CURVES)
    step = (n - 1) / max(1, n_shown - 1)
    return sorted({round(k * step) for k in range(n_shown)})


class Curve(NamedTuple):
    """A curve: a number for each epoch, its name in the legend ("" for none), and how it is
    drawn.
    """

    values: Floats
    name: str = ""
    color: str = COLORS[0]
    opacity: float = 1.0


class _Axes(NamedTuple):
    """The axes of a chart: `n` epochs, and numbers from `low` to `high`."""

    n: int
    low: float
    high: float

    @property
    def is_log(self) -> bool:
        """Whether the numbers are positive and differ by much."""
        return self.low > 0 and self.high > 4 * self.low

    def height(self, value: float) -> float:
        """Return a value as a part of the axis; what is not positive lies at the bottom of a log
        axis.
        """
        low = self.low
        high = self.high
        if self.is_log:
            value = math.log(value) if value > 0 else math.log(low)
            low = math.log(low)
            high = math.log(high)
        return (value - low) / (high - low) if high > low else 0.5

    def place(self, i: int, value: float) -> tuple[float, float]:
        """Return x and y of a value of the epoch i, from 0."""
        x = LEFT + i / (self.n - 1) * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - self.height(value) * (HEIGHT - TOP - BOTTOM)
        return x, y

    def line(self, curve: Curve, most_points: int) -> str:
        """Draw a curve through at most so many of its points."""
        values = curve.values
        n_points = min(len(values), most_points)
        chosen = np.unique(np.linspace(0, len(values) - 1, n_points).round().astype(int))
        places = [self.place(i, values[i]) for i in chosen.tolist() if np.isfinite(values[i])]
        if len(places) == 1:
            places *= 2  # a dot
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        return (
            f'<polyline points="{points}" fill="none" stroke="{curve.color}" stroke-width="1.5" '
            f'stroke-opacity="{curve.opacity:g}" stroke-linecap="round"/>'
        )

    def dot(self, epoch: int, value: float, text: str) -> str:
        """Mark a value of an epoch, counted from 1, and say what it is."""
        x, y = self.place(epoch - 1, value)
        title = f"<title>{escape(text)}</title>"
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLORS[-1]}">{title}</circle>'


def chart(curves: Sequence[Curve], mark: tuple[int, float, str] | None = None) -> str:
    """Draw curves against the epoch; the axis is logarithmic where the numbers are positive and
    differ by much.

    Parameters
    ----------
    curves : sequence of Curve
        At least one of them should have a finite number.
    mark : (epoch from 1, value, text), optional
        A point to be marked, and what it is.

    Returns
    -------
    str
        An SVG element; "" where there are no two epochs, or no finite number.
    """
    finite = [curve.values[np.isfinite(curve.values)] for curve in curves]
    numbers = np.concatenate([np.zeros(0), *finite])
    n = max((len(curve.values) for curve in curves), default=0)
    if n < 2 or not len(numbers):
        return ""
    axes = _Axes(n, float(numbers.min()), float(numbers.max()))
    most_points = min(MOST_POINTS, MOST_POINTS_IN_ALL // len(curves))
    parts = [_frame(axes), *(axes.line(curve, most_points) for curve in curves)]
    if mark is not None and math.isfinite(mark[1]):
        parts.append(axes.dot(*mark))
    colors = {curve.name: curve.color for curve in curves if curve.name}
    legend = "".join(
        f'<tspan fill="{color}">{escape(name)}  </tspan>' for name, color in colors.items()
    )
    parts.append(
        f'<text x="{LEFT + 4}" y="12" xml:space="preserve" font-weight="bold">{legend}</text>'
    )
    label = f"{', '.join(colors) or 'loss'} by epoch, from {axes.low:.3g} to {axes.high:.3g}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(label)}" '
        f'style="font:10px sans-serif;fill:currentColor;max-width:100%">{"".join(parts)}</svg>'
    )


def _frame(axes: _Axes) -> str:
    """Return the axes, with the least and the greatest number, and the first and the last epoch."""
    right = WIDTH - RIGHT
    bottom = HEIGHT - BOTTOM
    lines = (
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="currentColor" '
        f'stroke-opacity="0.4"/>'
    )
    labels = [(LEFT + 1, HEIGHT - 8, "middle", "1"), (right, HEIGHT - 8, "end", f"{axes.n:,}")]
    labels.append(((LEFT + right) // 2, HEIGHT - 8, "middle", "epoch"))
    if axes.high > axes.low:
        labels += [
            (LEFT - 4, TOP + 4, "end", f"{axes.high:.3g}"),
            (LEFT - 4, bottom, "end", f"{axes.low:.3g}"),
        ]
    else:
        labels.append((LEFT - 4, (TOP + bottom) // 2 + 3, "end", f"{axes.low:.3g}"))
    if axes.is_log:
        labels.append((right, 12, "end", "log scale"))
    return lines + "".join(
        f'<text x="{x}" y="{y}" text-anchor="{side}">{text}</text>' for x, y, side, text in labels
    )
