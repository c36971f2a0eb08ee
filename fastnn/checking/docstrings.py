"""Tables in docstrings: made of the registries, which name each thing once, when a docstring is first read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping


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
    """Return for each class of a registry its name, and the first paragraph of its docstring as one line."""
    texts = {name: inspect.getdoc(kind) or "" for name, kind in kinds.items()}
    return [(name, " ".join(text.partition("\n\n")[0].split())) for name, text in texts.items()]


def fill(text: str | None, values: Mapping[str, str]) -> str:
    """Return a docstring with values in the places ``%(name)s``, whose indent all lines of the value get."""
    lines = []
    for line in inspect.cleandoc(text or "").splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        lines.append((line % values).replace("\n", f"\n{indent}"))
    return "\n".join(lines)


class Filled:
    """A class' docstring that is filled when it is first read, so that an import need not wait for its tables.

    Python asks what stands as ``__doc__`` in a class for the docstring, if it has a ``__get__``.
    """

    def __init__(self, text: str | None, values: Callable[[], Mapping[str, str]]) -> None:
        self._text, self._values = text, values

    def __get__(self, thing: object, kind: type | None = None) -> str:
        return self._filled

    @functools.cached_property
    def _filled(self) -> str:
        return fill(self._text, self._values())
