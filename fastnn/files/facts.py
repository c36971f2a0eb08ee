"""The entries of a result's header, by their names: which there are, and which values each of them may have.

A name such as "counters.epoch" is of an entry within another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastnn.errors import ModelFileError
from fastnn.network import Network
from fastnn.training.state import COUNTERS, COUNTS, GENERATOR, is_count, is_text, network_counters
from fastnn.training.stopping import STOP_REASONS

MOST_ROWS = 1 << 48
"""A number of rows or parameters that no file has: beyond, arithmetic might overflow."""

MOST_FACTS = 128
"""Most names of entries that the results of a file have together, thrice as many as fastnn's own optimizers need."""

OPTIMIZER = "counters.optimizer."
"""What the names of an optimizer's settings begin with, whatever it and its schedule have: they may be the user's."""


def _is_size(value: Any, low: int = 1) -> bool:
    return is_count(value, low) and value < MOST_ROWS


OF_NETWORK: dict[str, Callable[[Any], bool]] = {
    "network": lambda value: isinstance(value, dict),  # `network_of` checks it
    "dtype": lambda value: value in ("float32", "float64"),
    "n_params": _is_size,
    "backend": is_text,
    "stop_reason": lambda value: value in STOP_REASONS,
}
"""The checks of the entries that each result has."""

OF_STATE: dict[str, Callable[[Any], bool]] = {
    "n_vectors": _is_size,
    "n_rows": _is_size,
    "n_validation": lambda value: value is None or _is_size(value, 0),
    "optimizer": is_text,
    **COUNTS,
    "beta_products": lambda value: (
        isinstance(value, list) and len(value) == 2 and all(type(b) in (int, float) and 0 <= b <= 1 for b in value)
    ),
    **{f"random_state.{name}": fits for name, fits in GENERATOR.items()},
    "seconds": lambda value: type(value) in (int, float),
    "monitor": is_text,
}
"""Those of the entries that each result with a state has besides."""

OF_SOME: dict[str, Callable[[Any], bool]] = {
    **{
        f"counters.{name}": fits
        for name, fits in COUNTERS.items()
        if name not in ("optimizer", *network_counters(Network((1, 1))))
    },
    "counters": lambda value: value == {},
    f"{OPTIMIZER}name": is_text,
}
"""Those of entries that some results with a state have."""

_CHECKS = OF_NETWORK | OF_STATE | OF_SOME


def leaves(said: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over the entries of a header by their names, those within others in place of these."""
    for name, value in said.items():
        if isinstance(value, dict) and value and name != "network":
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def nested(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the header of which these are the `leaves`."""
    header: dict[str, Any] = {}
    for name, value in facts.items():
        inner = header
        *path, last = name.split(".")
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return header


def is_fact(name: str, state: bool) -> bool:
    """Return whether results have an entry of this name, those without a state or those with one."""
    return name in OF_NETWORK or (state and (name in OF_STATE or name in OF_SOME or name.startswith(OPTIMIZER)))


def check_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Raise ModelFileError that names the first entry that no result has; those of other names are not looked at."""
    for name, value in facts:
        if name in _CHECKS and not _CHECKS[name](value):
            raise ModelFileError(f"damaged: {name} is {value!r:.200} in its header")
