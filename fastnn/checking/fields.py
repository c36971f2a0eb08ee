"""Frozen dataclasses, the fields of which are checked by functions that stand beside them."""

from __future__ import annotations

import dataclasses
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
    """The base of frozen dataclasses whose fields are replaced by what the checks in their metadata return."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if "check" in field.metadata:
                self._put(field.name, field.metadata["check"](field.name, getattr(self, field.name)))

    def _put(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen for users, not for its own normalization
