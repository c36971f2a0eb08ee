"""Learning rates as optimizers are given them: checked, described in JSON's types, and made again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from fastnn.checking.arguments import check_number
from fastnn.checking.fields import CheckedFields

LearningRate = float | Callable[[int], float]
"""A number, a schedule, or any function of the absolute step (0-based) that returns a number."""


def check_learning_rate(name: str, value: object) -> LearningRate:
    """Return a learning rate as the optimizers keep it: a float that is not negative, or a function of the step."""
    return value if callable(value) else check_number(name, value, low=0, hint="or a function of the step")


RATE = {"check": check_learning_rate}
"""What `dataclasses.field(metadata=...)` takes, as those of `fastnn.checking.fields`."""


def describe(rate: LearningRate) -> object:
    """Describe a learning rate in JSON's types, from which `described` makes it again; a function is only named."""
    if isinstance(rate, CheckedFields):  # a schedule
        return {"schedule": type(rate).__name__, **dataclasses.asdict(rate)}
    return getattr(rate, "__qualname__", type(rate).__name__) if callable(rate) else rate


def described(description: Any, schedules: Mapping[str, Callable[..., LearningRate]]) -> LearningRate:
    """Make the learning rate again that `describe` described, of one of these schedules or a number.

    Raises
    ------
    LookupError
        When it was a function, or a schedule that is not one of these.
    ValueError, TypeError
        For what `describe` does not make.
    """
    if isinstance(description, str):
        raise LookupError(f"{description} is a function")
    if not isinstance(description, dict):
        return check_learning_rate("learning_rate", description)
    values = dict(description)
    return schedules[values.pop("schedule", "constant")](**values)
