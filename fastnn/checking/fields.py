"""Frozen dataclasses, the fields of which are checked by functions that stand beside them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from functools import partial

from fastnn.checking.arguments import check_flag, check_integer, check_number

# What `dataclasses.field(metadata=...)` takes.
FLAG = {"check": check_flag}
COUNT = {"check": partial(check_integer, low=1)}
NOT_NEGATIVE = {"check": partial(check_number, low=0)}
POSITIVE = {"check": partial(check_number, low=0, low_open=True)}
PART = {"check": partial(check_number, low=0, high=1)}
PART_BELOW_ONE = {"check": partial(check_number, low=0, high=1, high_open=True)}
PART_WITHIN = {"check": partial(check_number, low=0, high=1, low_open=True, high_open=True)}


@dataclasses.dataclass(frozen=True)
class CheckedFields:
    """The base of frozen dataclasses whose fields are replaced by what the checks in their metadata return.

    A field that a subclass defines anew without a check, such as one with another default, keeps that of the base.
    """

    def __post_init__(self) -> None:
        kind: type = type(self)
        for name, check in _checks_of(kind).items():
            # frozen for users, not for its own normalization
            object.__setattr__(self, name, check(name, getattr(self, name)))


@functools.lru_cache(maxsize=100)
def _checks_of(kind: type) -> dict[str, Callable[[str, object], object]]:
    """Return {field: its check} of a dataclass, each of the nearest class that gives the field one."""
    given: dict[str, Callable[[str, object], object]] = {}
    for base in reversed(kind.__mro__):
        fields = vars(base).get("__dataclass_fields__", {})
        given |= {name: field.metadata["check"] for name, field in fields.items() if "check" in field.metadata}
    return {field.name: given[field.name] for field in dataclasses.fields(kind) if field.name in given}
