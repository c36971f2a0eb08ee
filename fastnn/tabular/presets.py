"""The presets of the tabular estimators, and the settings that an estimator takes from one for its number of rows."""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """The parameters that a caller does not give, for tables of up to `FULL_ROWS` rows."""

    hidden_layer_sizes: tuple[int, ...]
    n_members: int
    epochs: int
    validation_fraction: float
    classes_rate: float
    """Adam's learning rate for classes, times the square root of the layers' width."""
    numbers_rate: float
    """The same for targets that are numbers."""


PRESETS = {
    "fast": Preset((32, 32, 32), 4, 48, 0.1, 0.06, 0.10),
    "good": Preset((64, 64, 64), 8, 64, 0.125, 0.04, 0.07),
    "best": Preset((64, 64, 64), 16, 90, 0.125, 0.04, 0.07),
}

FULL_ROWS = 10_000
"""Rows from which on epochs become fewer and batches larger, both by the square root of the rows."""

BATCH_SIZE, LARGEST_BATCH_SIZE = 32, 256
FEWEST_EPOCHS = 4


class Settings(NamedTuple):
    """What the members of an ensemble have in common."""

    hidden_layer_sizes: tuple[int, ...]
    n_members: int
    epochs: int
    batch_size: int
    learning_rate: float


def settings_of(estimator: Any, n_rows: int, *, classes: bool, n_splits: int, n_copies: int = 1) -> Settings:
    """Return the settings of an estimator: its parameters, and the preset's where they are None.

    `n_splits` is the number of splits of its `cv`, 0 for none: each is left out by as many members. An epoch takes
    `n_copies` of each row, with more gaps or fewer: of several there are fewer epochs.

    Raises
    ------
    ValueError
        For hidden layers of different widths, whose learning rates would differ.
    """
    preset = PRESETS[estimator.preset]

    def chosen(name: str, default: Any) -> Any:
        value = getattr(estimator, name)
        return default if value is None else value

    sizes = chosen("hidden_layer_sizes", preset.hidden_layer_sizes)
    sizes = tuple(int(n) for n in sizes) if hasattr(sizes, "__iter__") else (int(sizes),)
    if not sizes or len(set(sizes)) > 1 or sizes[0] < 1:
        raise ValueError(
            f"hidden_layer_sizes must be equal widths, such as (64, 64), not {sizes}: all learn at one rate"
        )
    n_members = math.ceil(preset.n_members / n_splits) * n_splits if n_splits else preset.n_members
    share, copies = math.sqrt(max(1.0, n_rows / FULL_ROWS)), max(1.0, n_copies / 2)
    epochs = math.ceil(max(FEWEST_EPOCHS, math.ceil(preset.epochs / share)) / copies)
    rate = preset.classes_rate if classes else preset.numbers_rate
    return Settings(
        hidden_layer_sizes=sizes,
        n_members=chosen("n_members", n_members),
        epochs=chosen("epochs", epochs),
        batch_size=chosen("batch_size", min(LARGEST_BATCH_SIZE, int(BATCH_SIZE * share))),
        learning_rate=chosen("learning_rate", rate / math.sqrt(sizes[0])),
    )
