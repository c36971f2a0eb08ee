"""The parts of the conformance suite: a check, and a registry of properties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from fastnn.backends import Backend, Data
from fastnn.memory import Array

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Check:
    """One check of a back end, and the activation, loss or optimizer that it is about.

    Attributes
    ----------
    kind : {"property", "gradient", "derivative", "update", "training"}
        The kind of the check.
    what : str
        The subject of the check, for people.
    dtype : {"float32", "float64"}
        The dtype of its data.
    activation, loss, output, optimizer : str
        The names that it is about; "" for those that do not matter.
    run : callable
        Takes a back end, returns its worst difference as a part of what is allowed.

    Examples
    --------
    >>> from fastnn import get_backend, testing
    >>> check = next(testing.conformance_checks())
    >>> check.kind, 0 <= check.run(get_backend("numpy")) <= 1
    ('property', True)
    """

    kind: str
    """"property", "gradient", "derivative", "update" or "training"."""
    what: str
    """The subject of the check, for people."""
    dtype: str
    activation: str = ""
    loss: str = ""
    output: str = ""
    optimizer: str = ""
    run: Callable[[Backend], float] = field(kw_only=True, repr=False)
    """Takes a back end, returns its worst difference as a part of what is allowed; AssertionError where it is more,
    `Declined` where the back end does not support this."""

    def __repr__(self) -> str:
        return f"<Check: {self.name}>"

    @property
    def name(self) -> str:
        """Name of the check for people, and the id of its test."""
        return f"{self.kind}: {self.what}, {self.dtype}"


Property = Callable[[str, Backend], float]
"""The body of a check, for a dtype and a back end."""


class Properties(dict[str, Property]):
    """A registry of properties: {a sentence: the function that checks it}."""

    def add(self, what: str) -> Callable[[Property], Property]:
        """Register the decorated function as the check of a property."""

        def keep(function: Property) -> Property:
            self[what] = function
            return function

        return keep

    def checks(self, dtype: str) -> Iterator[Check]:
        """Yield one check of each property."""
        for what, function in self.items():
            yield Check("property", what, dtype, run=partial(function, dtype))


def read_only(*arrays: Array) -> Data:
    """Return these arrays as the read-only data that a back end gets."""
    for array in arrays:
        array.flags.writeable = False
    return Data(*arrays)
