"""Learning rates that change with the step."""

import dataclasses
import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.cached import cached_property
from fastnn.checking.arguments import (
    COUNT,
    NOT_NEGATIVE,
    PART_WITHIN,
    POSITIVE,
    CheckedFields,
    optional,
)
from fastnn.memory import Floats, Integers

NEVER = 2**62
"""A number of steps that no training reaches and an int64 can hold."""


@dataclass(frozen=True)
class Schedule(CheckedFields):
    """A learning rate as a function of the absolute step, counted from 0 over all of the training,
    resumed or not.
    """

    learning_rate: float = field(metadata=NOT_NEGATIVE)

    def rates(self, steps: Integers) -> Floats:
        """Compute the rates of some steps.

        Parameters
        ----------
        steps : ndarray (n,)
            The absolute steps, int64, 0-based.

        Returns
        -------
        ndarray (n,)
            Their learning rates, float64.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import step_decay
        >>> step_decay(0.4, every=2).rates(np.arange(5))
        array([0.4, 0.4, 0.2, 0.2, 0.1])
        """
        raise NotImplementedError

    def __call__(self, step: int) -> float:
        """The rate of one step."""
        return float(self.rates(np.array([step]))[0])


@dataclass(frozen=True)
class constant(Schedule):
    """A constant learning rate.

    Parameters
    ----------
    learning_rate : float
        Not negative.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import constant
    >>> constant(0.1)(1000)
    0.1
    """

    def rates(self, steps: Integers) -> Floats:
        """The rates (n,) of the steps (n,)."""
        return np.full(steps.shape, self.learning_rate)


@dataclass(frozen=True)
class step_decay(Schedule):
    """Stairs: ``learning_rate * factor ** (step // every)``, by multiplication, with the same bits
    on every machine.

    Parameters
    ----------
    learning_rate : float
        Not negative.
    every : int
        Steps (not epochs) after which the rate changes, at least 1.
    factor : float
        What it is multiplied with, greater than 0.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import step_decay
    >>> [step_decay(0.4, every=2)(step) for step in range(6)]
    [0.4, 0.4, 0.2, 0.2, 0.1, 0.1]
    """

    every: int = field(metadata=COUNT)
    factor: float = field(default=0.5, metadata=POSITIVE)

    def rates(self, steps: Integers) -> Floats:
        """The rates (n,) of the steps (n,)."""
        stages, stage_of_step = np.unique(steps // min(self.every, NEVER), return_inverse=True)
        passed, rate = self._begun[0]
        rates: list[float] = []
        for stage in map(int, stages):  # ascending: each rate is the last one, multiplied on
            if stage < passed:
                passed = 0
                rate = self.learning_rate
            while passed < stage and (after := rate * self.factor) != rate:
                passed = passed + 1
                rate = after
            passed = stage  # a rate that stays as it is, such as 0, does so for good
            if not rates:
                self._begun[0] = (passed, rate)
            rates.append(rate)
        return np.array(rates)[stage_of_step]

    @cached_property
    def _begun(self) -> list[tuple[int, float]]:
        """First stage of the last call and its rate, so that the next chunk of a training need not
        begin at stage 0.
        """
        return [(0, self.learning_rate)]


@dataclass(frozen=True)
class exponential(Schedule):
    """Exponential decay: ``learning_rate * decay ** step``.

    The power is the C library's: its last bit may differ between machines.

    Parameters
    ----------
    learning_rate : float
        Not negative.
    decay : float
        What the rate is multiplied with in each step (not epoch), greater than 0.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import exponential
    >>> [exponential(0.4, decay=0.5)(step) for step in range(4)]
    [0.4, 0.2, 0.1, 0.05]
    """

    decay: float = field(default=0.999, metadata=POSITIVE)

    def rates(self, steps: Integers) -> Floats:
        """The rates (n,) of the steps (n,)."""
        return self.learning_rate * self.decay ** steps.astype(np.float64)


@dataclass(frozen=True)
class cosine(Schedule):
    """Half a cosine from `learning_rate` down to `final` over `steps` steps, and `final` from then
    on.

    Loshchilov and Hutter, SGDR, ICLR 2017, equation 5. The same bits on every machine.

    Parameters
    ----------
    learning_rate : float
        Not negative.
    steps : int, optional
        Steps (not epochs), at least 1; those of the training where it is not given.
    final : float
        The rate from then on, not negative.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import cosine
    >>> [round(cosine(0.4, steps=4)(step), 3) for step in range(6)]
    [0.4, 0.341, 0.2, 0.059, 0.0, 0.0]
    """

    steps: int | None = field(default=None, metadata=optional(COUNT))
    final: float = field(default=0.0, metadata=NOT_NEGATIVE)

    def rates(self, steps: Integers) -> Floats:
        """The rates (n,) of the steps (n,)."""
        n = steps_of(self)
        height = _half_cosine(np.minimum(steps, n) / n)
        return self.final + (self.learning_rate - self.final) * height


@dataclass(frozen=True)
class warm_up(Schedule):
    """A straight line from `start` up to `learning_rate` over `steps` steps, and `learning_rate`
    from then on.

    Goyal et al., Accurate, large minibatch SGD, 2017, section 2.2. The same bits on every machine.

    Parameters
    ----------
    learning_rate : float
        Not negative.
    steps : int, optional
        Steps (not epochs), at least 1; those of the training where it is not given.
    start : float
        The first rate, not negative.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import warm_up
    >>> [warm_up(0.5, steps=4)(step) for step in range(6)]
    [0.0, 0.125, 0.25, 0.375, 0.5, 0.5]
    """

    steps: int | None = field(default=None, metadata=optional(COUNT))
    start: float = field(default=0.0, metadata=NOT_NEGATIVE)

    def rates(self, steps: Integers) -> Floats:
        """The rates (n,) of the steps (n,)."""
        return _lines(steps, (0, self.start), (steps_of(self), self.learning_rate))


@dataclass(frozen=True)
class one_cycle(Schedule):
    """Two straight lines over `steps` steps: from `start` up to `learning_rate`, then down to
    `final`, which stays.

    Smith and Topin, Super-convergence, 2018, section 3. The same bits on every machine.

    Parameters
    ----------
    learning_rate : float
        Not negative.
    steps : int, optional
        Steps (not epochs) of both lines, at least 1; those of the training where it is not given.
    start, final : float
        The first rate and the last one, not negative.
    rise : float
        The part of the steps that the first line takes, between 0 and 1.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import one_cycle
    >>> [one_cycle(0.5, steps=8, rise=0.5)(step) for step in range(0, 10, 2)]
    [0.0, 0.25, 0.5, 0.25, 0.0]
    """

    steps: int | None = field(default=None, metadata=optional(COUNT))
    start: float = field(default=0.0, metadata=NOT_NEGATIVE)
    final: float = field(default=0.0, metadata=NOT_NEGATIVE)
    rise: float = field(default=0.3, metadata=PART_WITHIN)

    def rates(self, steps: Integers) -> Floats:
        """The rates (n,) of the steps (n,)."""
        n = steps_of(self)
        return _lines(steps, (0, self.start), (self.rise * n, self.learning_rate), (n, self.final))


def steps_of(schedule: Any) -> int:
    """Return the steps of a schedule; ValueError where they were not given, nor known by a
    training.
    """
    if schedule.steps is None:
        name = type(schedule).__name__
        raise ValueError(
            f"{name} without steps ends with a training, and here none ends: say {name}(..., "
            f"steps=...)"
        )
    return min(schedule.steps, NEVER)


def lacks_steps(rate: Any) -> bool:
    """Return whether a learning rate is a schedule that ends with its training."""
    return isinstance(rate, Schedule) and getattr(rate, "steps", 0) is None


def ending_after(rate: Any, steps: int) -> Any:
    """Return a learning rate; a schedule without steps as one of so many of them."""
    return dataclasses.replace(rate, steps=steps) if lacks_steps(rate) and steps else rate


def _half_cosine(part: Floats) -> Floats:
    """Return ``(1 + cos(pi part)) / 2`` of parts (n,) from 0 to 1: 1 at 0, 0 at 1, with an error of
    3e-16 between.

    It is ``(1 - sin(pi (part - 1/2))) / 2`` by the sine's Taylor polynomial of degree 23, in
    products and sums that all machines round alike; the last bit of `numpy.cos` differs between
    processors.
    """
    x = math.pi * (part - 0.5)
    series = np.ones_like(x)
    for k in range(22, 0, -2):
        series = 1 - x * x / (k * (k + 1)) * series
    return np.clip((1 - x * series) / 2, 0, 1) * (part < 1)


def _lines(steps: Integers, *points: tuple[float, float]) -> Floats:
    """Return the rates (n,) of the steps (n,) on straight lines through some points (step, rate),
    level after the last.

    Each product is rounded by itself, which `numpy.interp` does not promise.
    """
    rates = np.full(steps.shape, points[0][1])
    for (begin, first), (end, last) in itertools.pairwise(points):
        part = (np.clip(steps, begin, end) - begin) / (end - begin)
        rates = np.where(steps > begin, first * (1 - part) + last * part, rates)
    return rates


_KINDS = constant, step_decay, exponential, cosine, warm_up, one_cycle
SCHEDULES: dict[str, type[Schedule]] = {kind.__name__: kind for kind in _KINDS}
