"""The pages of the documentation: their text, their code with what it prints, and the names that
they document."""

import inspect
import pathlib
import re

import fastnn

ROOT = pathlib.Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text(page):
    return (ROOT / page).read_text("utf-8")


def blocks(page):
    """(code, expected output or None) of each Python block; a ``text`` block right after it says
    what it prints."""
    fences = [(m.group(1), m.group(2), m.start(), m.end()) for m in FENCE.finditer(text(page))]
    for i, (language, body, _, end) in enumerate(fences):
        if language == "python":
            after = fences[i + 1] if i + 1 < len(fences) else None
            yield (
                body,
                after[1]
                if after and after[0] == "text" and not text(page)[end : after[2]].strip()
                else None,
            )


def public_names():
    """The public names as a user writes them, without ``fastnn.``; those of modules with the
    module's name."""
    for name in dir(fastnn):
        thing = getattr(fastnn, name)
        if not inspect.ismodule(thing):
            yield name
            continue
        here = (
            one
            for one, value in vars(thing).items()
            if getattr(value, "__module__", "") == thing.__name__
        )
        yield from (
            f"{name}.{one}" for one in getattr(thing, "__all__", here) if not one.startswith("_")
        )
