"""A property that is computed once, without a lock that a forked process would inherit."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class cached_property(functools.cached_property[T]):
    """`functools.cached_property`, which before Python 3.12 computes under a lock: where another
    thread holds it while a process forks, the child waits for ever.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        super().__init__(function)
        self.lock = contextlib.nullcontext()
