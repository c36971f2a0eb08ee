"""What a training is done with: each option as it was given, else by default."""

from __future__ import annotations

import enum
from typing import NamedTuple

from fastnn.checks import check_flag, check_integer, check_number
from fastnn.optimizers import Adam, Optimizer
from fastnn.validation import check_optimizer

BATCH_SIZE = 200
"""Rows a step where nothing is said, as in scikit-learn."""


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`, the default of arguments for which None means something else."""

    NOT_GIVEN = enum.auto()

    def __repr__(self) -> str:
        return "<not given>"


NOT_GIVEN = NotGiven.NOT_GIVEN


class Options(NamedTuple):
    """Checked options of a training."""

    optimizer: Optimizer
    batch_size: int | None  # None: all rows
    shuffle: bool
    alpha: float


def choose_options(
    optimizer: Optimizer | None = None,
    batch_size: int | NotGiven | None = NOT_GIVEN,
    shuffle: bool = True,
    alpha: float = 0.0,
) -> Options:
    """The options of a training, of which some were given.

    Raises
    ------
    TypeError, ValueError
        For an option of the wrong type or outside its range.
    """
    optimizer = Adam() if optimizer is None else optimizer
    check_optimizer(optimizer)
    if batch_size is NOT_GIVEN:
        batch_size = None if optimizer.full_batch else BATCH_SIZE
    elif batch_size is not None:
        batch_size = check_integer("batch_size", batch_size, low=1)
    return Options(optimizer, batch_size, check_flag("shuffle", shuffle), check_number("alpha", alpha, low=0))
