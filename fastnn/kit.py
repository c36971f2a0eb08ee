"""The kit: what a next small training may use again, in place of making it anew.

Generators, arrays of steps and workspaces take as long to make, and to check, as hundreds of steps of a small network.
Whoever needs one takes it from here, where there is one, and makes it elsewhere: without the kit (`off`) all is the
same, but slower. What is taken is gone from the kit at once, so that a signal's handler, a finalizer or another thread
that trains in the midst of a training makes its own.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

MOST_KEYS = 32
MOST_OF_A_KEY = 8
"""Threads may each have one."""
MOST_BYTES = 2**23
"""Bytes of the things of all keys, one of each: of a network of a million weights, the workspace of one row."""

_things: dict[Hashable, list[Any]] = {}
_bytes: dict[Hashable, int] = {}
_is_on = [True]


def take(key: Hashable) -> Any:
    """Take a thing out of the kit; None where there is none of this key."""
    things = _things.get(key)
    try:
        return things.pop() if things else None
    except IndexError:  # another thread was faster
        return None


def put(key: Hashable, thing: Any, nbytes: int = 0) -> None:
    """Put a thing into the kit, `nbytes` large, unless there are enough of its key."""
    things = _things.get(key)
    if things is None:
        things = _make_room(key, nbytes)
    if len(things) < MOST_OF_A_KEY:
        things.append(thing)


def _make_room(key: Hashable, nbytes: int) -> list[Any]:
    """Return the list of a new key, those of the oldest ones are left out; of one that has no room, a list to lose."""
    if nbytes > MOST_BYTES or not _is_on[0]:
        return []
    while len(_things) >= MOST_KEYS or sum([*_bytes.values()]) + nbytes > MOST_BYTES:
        oldest = next(iter([*_things]), None)
        _things.pop(oldest, None)
        _bytes.pop(oldest, None)
    _bytes[key] = nbytes
    return _things.setdefault(key, [])


def remembered(function: Callable[..., T]) -> Callable[..., T]:
    """Let a function whose results nobody changes be called once for each of its last arguments."""
    return functools.lru_cache(maxsize=32)(function)


def clear() -> None:
    """Leave out all things."""
    _things.clear()
    _bytes.clear()


@contextlib.contextmanager
def off() -> Iterator[None]:
    """Let all things be made anew within the context, as tests do."""
    clear()
    _is_on[0] = False
    try:
        yield
    finally:
        _is_on[0] = True
