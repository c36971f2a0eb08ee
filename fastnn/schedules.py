"""Learning rates that change with the step."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.arguments import check_integer, check_number

LearningRate = float | Callable[[int], float]
"""A number, one of the schedules below, or any function of the absolute step (0-based) that returns a number."""

NEVER = 2**62
"""A number of steps that no training reaches and an int64 can hold."""

RATE_BLOCK = 256
"""Steps whose rates a built-in schedule computes at once, where at most a quarter of them are asked for."""


@dataclass(frozen=True)
class Schedule:
    """A learning rate as a function of the absolute step, counted from 0 over all of the training, resumed or not."""

    learning_rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "learning_rate", check_number("learning_rate", self.learning_rate, low=0))

    def rates(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
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

    def rates(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (n,) of the steps (n,)."""
        return np.full(steps.shape, self.learning_rate)


@dataclass(frozen=True)
class step_decay(Schedule):
    """Stairs: ``learning_rate * factor ** (step // every)``, by multiplication, with the same bits on every machine.

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

    every: int
    factor: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "every", check_integer("every", self.every, low=1))
        object.__setattr__(self, "factor", check_number("factor", self.factor, low=0, low_open=True))

    def rates(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (n,) of the steps (n,)."""
        stages, stage_of_step = np.unique(steps // min(self.every, NEVER), return_inverse=True)
        passed, rate = self._begun[0]
        rates: list[float] = []
        for stage in map(int, stages):  # ascending: each rate is the last one, multiplied on
            if stage < passed:
                passed, rate = 0, self.learning_rate
            while passed < stage and (after := rate * self.factor) != rate:
                passed, rate = passed + 1, after
            passed = stage  # a rate that stays as it is, such as 0, does so for good
            if not rates:
                self._begun[0] = (passed, rate)
            rates.append(rate)
        return np.array(rates)[stage_of_step]

    @functools.cached_property
    def _begun(self) -> list[tuple[int, float]]:
        """First stage of the last call and its rate, so that the next chunk of a training need not begin at stage 0."""
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

    decay: float = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "decay", check_number("decay", self.decay, low=0, low_open=True))

    def rates(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (n,) of the steps (n,)."""
        return self.learning_rate * self.decay ** steps.astype(np.float64)


@dataclass(frozen=True)
class cosine(Schedule):
    """Half a cosine from `learning_rate` down to `final` over `steps` steps, and `final` from then on.

    Loshchilov and Hutter, SGDR, ICLR 2017, equation 5. The cosine is the C library's: its last bit may differ between
    machines.

    Parameters
    ----------
    learning_rate : float
        Not negative.
    steps : int
        Steps (not epochs), at least 1.
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

    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "steps", check_integer("steps", self.steps, low=1))
        object.__setattr__(self, "final", check_number("final", self.final, low=0))

    def rates(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (n,) of the steps (n,)."""
        n = min(self.steps, NEVER)
        part = np.minimum(steps, n) / n
        return self.final + (self.learning_rate - self.final) * (1 + np.cos(math.pi * part)) / 2


@dataclass(frozen=True)
class warm_up(Schedule):
    """A straight line from `start` up to `learning_rate` over `steps` steps, and `learning_rate` from then on.

    Goyal et al., Accurate, large minibatch SGD, 2017, section 2.2. The same bits on every machine.

    Parameters
    ----------
    learning_rate : float
        Not negative.
    steps : int
        Steps (not epochs), at least 1.
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

    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "steps", check_integer("steps", self.steps, low=1))
        object.__setattr__(self, "start", check_number("start", self.start, low=0))

    def rates(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (n,) of the steps (n,)."""
        return _lines(steps, (0, self.start), (min(self.steps, NEVER), self.learning_rate))


@dataclass(frozen=True)
class one_cycle(Schedule):
    """Two straight lines over `steps` steps: from `start` up to `learning_rate`, then down to `final`, which stays.

    Smith and Topin, Super-convergence, 2018, section 3. The same bits on every machine.

    Parameters
    ----------
    learning_rate : float
        Not negative.
    steps : int
        Steps (not epochs) of both lines, at least 1.
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

    steps: int
    start: float = 0.0
    final: float = 0.0
    rise: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "steps", check_integer("steps", self.steps, low=1))
        object.__setattr__(self, "start", check_number("start", self.start, low=0))
        object.__setattr__(self, "final", check_number("final", self.final, low=0))
        rise = check_number("rise", self.rise, low=0, high=1, low_open=True, high_open=True)
        object.__setattr__(self, "rise", rise)

    def rates(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (n,) of the steps (n,)."""
        n = min(self.steps, NEVER)
        return _lines(steps, (0, self.start), (self.rise * n, self.learning_rate), (n, self.final))


def _lines(steps: NDArray[np.int64], *points: tuple[float, float]) -> NDArray[np.float64]:
    """Return the rates (n,) of the steps (n,) on straight lines through some points (step, rate), level after the last.

    Each product is rounded by itself, which `numpy.interp` does not promise.
    """
    rates = np.full(steps.shape, points[0][1])
    for (begin, first), (end, last) in itertools.pairwise(points):
        part = (np.clip(steps, begin, end) - begin) / (end - begin)
        rates = np.where(steps > begin, first * (1 - part) + last * part, rates)
    return rates


def check_learning_rate(value: object) -> LearningRate:
    """Return a learning rate as the optimizers keep it: a float that is not negative, or a function of the step."""
    return value if callable(value) else check_number("learning_rate", value, low=0, hint="or a function of the step")


class Reduction(NamedTuple):
    """The reduction of learning rates so far: a rate r becomes ``max(factor r, min(r, least))``."""

    factor: float = 1.0
    least: float = 0.0

    def of(self, rates: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
        """Return the reduced rates (n,), or the reduced rate."""
        return rates if self.factor == 1 else np.maximum(rates * self.factor, np.minimum(rates, self.least))


def learning_rates(rate: LearningRate, first: int, n: int) -> NDArray[np.float64]:
    """Return the rates (n,) of the steps ``first ... first + n - 1``.

    Raises
    ------
    ValueError
        When a function of the step returns a negative number or one that is not finite, or a schedule's `rates`
        something else than one real number for each step.
    """
    if not callable(rate):
        rates = np.empty(n)
        rates.fill(rate)  # `np.full` takes three times as long for the first chunk of a small training
        return rates
    if isinstance(rate, Schedule) and type(rate) in SCHEDULES.values():  # one's own may know no others
        block, at = divmod(first, RATE_BLOCK)
        if 4 * n <= RATE_BLOCK and at + n <= RATE_BLOCK:
            return _rates_of_block(rate, block)[at : at + n].copy()
    if isinstance(rate, Schedule):
        rates = np.asarray(rate.rates(np.arange(first, first + n)))
        if rates.shape != (n,) or rates.dtype.kind not in "fiu":
            raise ValueError(
                f"{type(rate).__name__}.rates must return {n} real numbers, one for each step, not an array of "
                f"{rates.dtype} with shape {rates.shape}"
            )
        return np.require(rates, np.float64, ["C", "A"])
    values = (check_number(f"learning_rate({step})", rate(step), low=0) for step in range(first, first + n))
    return np.fromiter(values, np.float64, n)


@functools.lru_cache(maxsize=16)
def _rates_of_block(rate: Schedule, block: int) -> NDArray[np.float64]:
    """Return the rates (RATE_BLOCK,) of a block of steps; those of one step would take as long as many small epochs."""
    return rate.rates(np.arange(block * RATE_BLOCK, (block + 1) * RATE_BLOCK))


SCHEDULES: dict[str, type[Schedule]] = {
    kind.__name__: kind for kind in (constant, step_decay, exponential, cosine, warm_up, one_cycle)
}


def describe(rate: LearningRate) -> object:
    """Describe a learning rate in JSON's types, from which `described` makes it again; a function is only named."""
    if isinstance(rate, Schedule):
        return {"schedule": type(rate).__name__, **dataclasses.asdict(rate)}
    return getattr(rate, "__qualname__", type(rate).__name__) if callable(rate) else rate


def described(description: Any) -> LearningRate:
    """Make the learning rate again that `describe` described.

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
        return check_learning_rate(description)
    values = dict(description)
    return SCHEDULES[values.pop("schedule", "constant")](**values)
