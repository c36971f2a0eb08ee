"""The arguments of many trainings: one value for all members, or a list, tuple, range or array with one for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from fastnn.checking.arguments import check_integer, counted, shown
from fastnn.training.generator import make_random_state
from fastnn.training.inputs import check_network

DIMENSIONS = {"X": 2, "Y": 2, "sample_weight": 1, "rows": 1, "validation_rows": 1, "params": 1}
"""The dimensions of each argument that is an array, where it serves all members."""

FOR_ALL = ("new_rows", "backend", "dtype", "assume_finite")
"""Arguments of which there is one value for all members."""


class Spread(NamedTuple):
    """The arguments, spread over the members."""

    n_members: int
    shared: dict[str, Any]
    """{argument: the value that serves all members}."""
    own: dict[str, Sequence[Any]]
    """{argument: its values, one for each member}."""


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
    networks, seed, resume = given["networks"], given["seed"], given["resume"]
    if isinstance(resume, Sequence) and len(resume) and hasattr(resume[0], "state"):
        raise TypeError(
            "resume is a list of states, one for each member, not of results: say resume=[one.state for one in many]"
        )
    if isinstance(networks, (list, tuple)) and networks and all(isinstance(size, int) for size in networks):
        check_network(networks)  # one network's sizes: its error says what to write
    for name in FOR_ALL:
        if isinstance(given[name], (list, tuple, range)):
            raise TypeError(f"{name} is one for all members, not {shown(given[name])}")
    lists = {name: own for name, value in given.items() if (own := _one_each(name, value)) is not None}
    if "seed" not in lists:
        _check_seed(seed)
    n_members = _n_members({name: len(own) for name, own in lists.items()}, n)
    if isinstance(seed, np.random.RandomState) and n_members > 1:
        raise ValueError(
            "seed is one RandomState for all members, whose draws would depend on the order of the trainings: give a "
            "list of seeds, such as seed=range(n)"
        )
    if not lists and n_members > 1 and seed is not None:
        raise ValueError(
            f"all {shown(n_members)} members would be trained alike, by the same seed: give one each, such as "
            f"seed=range({shown(n_members)}), or leave it out"
        )
    if not lists and n_members > 1 and given["resume"] is not None:
        raise ValueError(
            f"all {shown(n_members)} members would go on alike, from the same state: give a list of states"
        )
    return Spread(n_members, {name: value for name, value in given.items() if name not in lists}, lists)


def _one_each(name: str, value: Any) -> Sequence[Any] | None:
    """Return the members' values of an argument; None where it is one value for all of them."""
    if name in FOR_ALL:
        return None
    n_dimensions = DIMENSIONS.get(name)
    if n_dimensions is None:
        if getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"):  # an array, or a column of a data frame
            return cast(list[Any], value.tolist())
        return value if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else None
    if isinstance(value, np.ndarray):
        return list(value) if value.ndim == n_dimensions + 1 else None
    if isinstance(value, (list, tuple)) and any(item is None or getattr(item, "ndim", 0) for item in value):
        return value
    if _depth(value) == n_dimensions + 1:
        raise ValueError(
            f"{name} is lists in a list, which are one array for all members, of {n_dimensions + 1} dimensions: one "
            f"for each is a list of arrays, such as {name}=[np.array(each) for each in lists]"
        )
    return None


def _depth(value: Any) -> int:
    """Return the depth of nested lists."""
    depth = 0
    while isinstance(value, (list, tuple, range)) and len(value):
        value, depth = value[0], depth + 1
    return depth


def _check_seed(seed: Any) -> None:
    try:
        make_random_state(seed)
    except TypeError as error:
        raise TypeError(f"{error}; or a list, range or array with one for each member") from None


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
            said = f"n is {shown(length)}" if first == "n" else f"{first} has {counted(length, 'value')}"
            raise ValueError(f"{said}, {name} has {counted(other, 'value')}: give one for each member, or one for all")
    if not length:
        raise ValueError(f"{first} is empty: there is no member to train")
    return length
