"""The arguments of many trainings: one value for all members, or a list, tuple, range or array with one for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.checking.arguments import check_integer, counted
from fastnn.training.inputs import check_network

DIMENSIONS = {"X": 2, "Y": 2, "sample_weight": 1, "rows": 1, "validation_rows": 1, "params": 1}
"""The dimensions of each argument that is an array, where it serves all members."""

FOR_ALL = ("new_rows", "backend", "dtype", "assume_finite")
"""Arguments of which there is one value for all members."""


class Spread(NamedTuple):
    """The arguments, spread over the members."""

    n_members: int
    columns: dict[str, Iterable[Any]]
    """{argument: its values, one for each member}."""
    varying: frozenset[str]
    """The arguments that have a value for each member."""


def spread(given: Mapping[str, Any], n: Any = None) -> Spread:
    """Spread arguments over the members.

    Parameters
    ----------
    given : mapping
        {name: argument}, as `train_many` takes them.
    n : int, optional
        The number of members, where no argument has one value for each.

    Raises
    ------
    TypeError, ValueError
        For arguments of unequal lengths, both of which are named, for no member, and for members that would all be
        trained alike.
    """
    if isinstance(given["networks"], (list, tuple)) and all(isinstance(size, int) for size in given["networks"]):
        check_network(given["networks"])  # one network's sizes: its error says what to write
    lists = {name: own for name, value in given.items() if (own := _one_each(name, value)) is not None}
    n_members = _n_members({name: len(own) for name, own in lists.items()}, n)
    if isinstance(given["seed"], np.random.RandomState) and n_members > 1:
        raise ValueError(
            "seed is one RandomState for all members, whose draws would depend on the order of the trainings: give a "
            "list of seeds, such as seed=range(n)"
        )
    if not lists and n_members > 1 and given["seed"] is not None:
        raise ValueError(
            f"all {n_members} members would be trained alike, by the same seed: give one each, such as "
            f"seed=range({n_members}), or leave it out"
        )
    columns: dict[str, Iterable[Any]] = {
        name: lists[name] if name in lists else itertools.repeat(value) for name, value in given.items()
    }
    return Spread(n_members, columns, frozenset(lists))


def _one_each(name: str, value: Any) -> Sequence[Any] | None:
    """Return the members' values of an argument; None where it is one value for all of them."""
    if name in FOR_ALL:
        return None
    n_dimensions = DIMENSIONS.get(name)
    if n_dimensions is None:
        if isinstance(value, np.ndarray) and value.ndim == 1:
            return value.tolist()
        return list(value) if isinstance(value, (list, tuple, range)) else None
    if isinstance(value, np.ndarray):
        return list(value) if value.ndim == n_dimensions + 1 else None
    if isinstance(value, (list, tuple)) and any(getattr(item, "ndim", 0) for item in value):
        return list(value)
    return None


def _n_members(lengths: dict[str, int], n: Any) -> int:
    """Return the number of members, which all lengths agree in."""
    if n is not None:
        lengths = {"n": check_integer("n", n, low=1), **lengths}
    if not lengths:
        raise ValueError(
            "every argument is one for all members, so their number is not known: give a list, such as "
            "seed=range(100), or n=..."
        )
    first, length = next(iter(lengths.items()))
    for name, other in lengths.items():
        if other != length:
            said = f"n is {length}" if first == "n" else f"{first} has {counted(length, 'value')}"
            raise ValueError(f"{said}, {name} has {counted(other, 'value')}: give one for each member, or one for all")
    if not length:
        raise ValueError(f"{first} is empty: there is no member to train")
    return length
