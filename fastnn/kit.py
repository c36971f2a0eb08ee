"""The kit: what a next small training may use again, in place of making it anew.

Generators, arrays of steps and workspaces take as long to make, and to check, as hundreds of steps
of a small network. They lie on shelves, which are lists: whoever needs a thing takes it, or makes
it where there is none, and puts it back afterwards. What is taken is gone at once, so that a
signal's handler, a finalizer or another thread that trains in the midst of a training makes its
own. Without the kit (`off`) all is the same, but slower.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

MOST_THINGS = 8
"""Things on a shelf: threads may each have one."""
MOST_SHELVES = 32
"""Shelves of things that have a key."""
MOST_BYTES = 2**23
"""Bytes of one thing of each key: of a network of a million weights, the workspace of one row."""


class Shelf(list[Any]):
    """Things of one kind that no call uses now."""

    def __init__(self, key: Hashable = None) -> None:
        super().__init__()
        self.key = key
        self.nbytes = 0
        self.is_kept = key is None

    def take(self) -> Any:
        """Take a thing; None where there is none."""
        try:
            return self.pop()
        except IndexError:
            return None

    def put(self, thing: Any, nbytes: int = 0) -> None:
        """Put a thing back, `nbytes` large, unless there are enough."""
        things = self if self.is_kept else _kept(self, nbytes)
        if things.is_kept and len(things) < MOST_THINGS:
            things.append(thing)


_shelves: list[Shelf] = []
_by_key: dict[Hashable, Shelf] = {}
_last = [Shelf()]
"""The shelf that was asked for last."""
_is_on = [True]


def shelf() -> Shelf:
    """Return a new shelf, for things that all are alike."""
    _shelves.append(Shelf())
    return _shelves[-1]


def shelf_of(key: Hashable) -> Shelf:
    """Return the shelf of the things that have a key; a new one is kept as soon as a thing is put
    there.
    """
    last = _last[0]
    # faster than by the key's hash where its parts are the same objects, as they are next time
    if last.key == key:
        last.key = key
        return last
    things = _by_key.get(key)
    _last[0] = things = Shelf(key) if things is None else things
    return things


def _kept(things: Shelf, nbytes: int) -> Shelf:
    """Keep a new shelf, unless its things are too large; the oldest ones make room for it.

    Return it, or the shelf of the same key that another thing has been put on before.
    """
    before = _by_key.get(things.key)
    if before is not None or nbytes > MOST_BYTES or not _is_on[0]:
        return things if before is None else before
    while (
        len(_by_key) >= MOST_SHELVES
        or sum([each.nbytes for each in [*_by_key.values()]]) + nbytes > MOST_BYTES
    ):
        for key in [*_by_key][:1]:
            _drop(_by_key.pop(key, None))
    things.nbytes = nbytes
    things.is_kept = True
    _by_key[things.key] = things
    return things


def _drop(things: Shelf | None) -> None:
    """Let go of a shelf's things, which may know the shelf."""
    if things is not None:
        things.is_kept = False
        things.clear()


def remembered(function: Callable[..., T]) -> Callable[..., T]:
    """Let a function whose results nobody changes be called once for each of its last arguments."""
    return functools.lru_cache(maxsize=32)(function)


def clear() -> None:
    """Leave out all things."""
    for things in _shelves:
        things.clear()
    for key in [*_by_key]:
        _drop(_by_key.pop(key, None))
    _last[0] = Shelf()


if hasattr(os, "register_at_fork"):
    # a thread of the parent, which the child has not, may use one of them
    os.register_at_fork(after_in_child=clear)


@contextlib.contextmanager
def off() -> Iterator[None]:
    """Let all things that have a key be made anew within the context, and the others once, as tests
    do.
    """
    clear()
    _is_on[0] = False
    try:
        yield
    finally:
        _is_on[0] = True
