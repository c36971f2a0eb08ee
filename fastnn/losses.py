"""Losses and activations: the lines of their registries, and those that have parameters as values.

Where a network takes a name it takes a value as well: ``"huber"`` is ``Huber()``, and
``Huber(0.1)`` another loss.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from fastnn.checking.arguments import (
    PART,
    PART_BELOW_ONE,
    POSITIVE,
    CheckedFields,
    check_choice,
    check_number,
    shown,
)


class Activation(NamedTuple):
    """A line of `ACTIVATIONS`: its formula, where it may be used, and what its derivative needs."""

    formula: str  # of a pre-activation z
    hidden: bool = True
    needs_z: bool = False  # its derivative is a function of z, not of the activation itself
    default_loss: str = "squared_error"  # of a network with this output that names none
    kinks: tuple[float, ...] = ()  # the z at which its derivative jumps
    low: float = -math.inf  # the bounds of what it gives, which targets must not go beyond
    high: float = math.inf
    value: Value | None = None  # what holds its parameters

    def __repr__(self) -> str:
        return f"Activation({self.formula!r}, ...)"


class Loss(NamedTuple):
    """A line of `LOSSES`: its formula, the output activations that it goes with, and its
    targets.
    """

    formula: str  # of one output a and its target y
    outputs: tuple[str, ...]
    matched: str = ""  # the output activation with which delta = a - y; "" where there is none
    targets: str = "any number"
    low: float = -math.inf  # the least target, and `high` the largest: what `targets` says in words
    high: float = math.inf
    kinks: tuple[float, ...] = ()  # the a - y at which its derivative jumps
    clips: bool = (
        False  # its value takes a probability within [eps, 1 - eps], its gradient as it is
    )
    value: Value | None = None  # what holds its parameters

    def __repr__(self) -> str:
        return f"Loss({self.formula!r}, ...)"


LEAKY_SLOPE = 0.01
# Klambauer et al., NeurIPS 2017, equation 14
SELU_SCALE, SELU_ALPHA = (1.0507009873554805, 1.6732632423543772)
# a delta below it, times its row's weight, is 0
LEAST_DELTA = {"float32": 2.0**-100, "float64": 2.0**-960}
# Hendrycks and Gimpel, 2016, its tanh form: z sigmoid(2u)
GELU_CUBIC, GELU_SCALE = (0.044715, math.sqrt(8 / math.pi))


@dataclass(frozen=True)
class Value(CheckedFields):
    """The base of losses and activations with parameters, its fields, whose defaults are those of
    its name.
    """

    name: ClassVar[str]

    @property
    def line(self) -> Any:
        """Its line of the registry."""
        raise NotImplementedError

    def _numbers(self, n_outputs: int) -> tuple[float | tuple[float, ...], ...]:
        """Return what its functions take after their arrays: numbers, of a loss also one for each
        output.
        """
        return tuple(getattr(self, part.name) for part in dataclasses.fields(self))

    def _check_outputs(self, n_outputs: int) -> None:
        """Raise ValueError where the parameters are those of another number of outputs."""


@dataclass(frozen=True)
class LeakyRelu(Value):
    """An activation: z where it is positive, else a part of it.

    Parameters
    ----------
    slope : float
        The part, from 0 to 1; "leaky_relu" is that of 0.01.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import LeakyRelu, Network
    >>> Network((3, 5, 1), LeakyRelu(0.2)).activation
    LeakyRelu(slope=0.2)
    """

    name: ClassVar[str] = "leaky_relu"
    slope: float = field(default=LEAKY_SLOPE, metadata=PART)

    @property
    def line(self) -> Activation:
        """Its line of the registry."""
        kinks = () if self.slope == 1 else (0.0,)
        low = -math.inf if self.slope else 0.0
        return Activation(f"z where z > 0 else {self.slope:g} z", kinks=kinks, low=low, value=self)


@dataclass(frozen=True)
class Elu(Value):
    """An activation: z where it is positive, else ``alpha (exp(z) - 1)``.

    Parameters
    ----------
    alpha : float
        Greater than 0; "elu" is that of 1. Others have a kink at 0.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import Elu, Network
    >>> Network((3, 5, 1), Elu(0.5)).activation
    Elu(alpha=0.5)
    """

    name: ClassVar[str] = "elu"
    alpha: float = field(default=1.0, metadata=POSITIVE)

    @property
    def line(self) -> Activation:
        """Its line of the registry."""
        kinks, factor = ((), "") if self.alpha == 1 else ((0.0,), f"{self.alpha:g} ")
        return Activation(
            f"z where z > 0 else {factor}(exp(z) - 1)", kinks=kinks, low=-self.alpha, value=self
        )


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation("z"),
    "sigmoid": Activation("1 / (1 + exp(-z))", low=0, high=1),
    "tanh": Activation("tanh z", low=-1, high=1),
    "relu": Activation("z where z > 0 else 0", kinks=(0.0,), low=0),
    "leaky_relu": LeakyRelu().line,
    "elu": Elu().line,
    "selu": Activation(
        f"{SELU_SCALE:.5g} (z where z > 0 else {SELU_ALPHA:.5g} (exp(z) - 1))",
        kinks=(0.0,),
        low=-SELU_SCALE * SELU_ALPHA,
    ),
    "softplus": Activation("log(1 + exp(z))", low=0),
    "silu": Activation("z sigmoid(z)", needs_z=True, low=-0.2784645428),
    "gelu": Activation(
        f"z (1 + tanh u) / 2, u = sqrt(2/pi) (z + {GELU_CUBIC} z^3)",
        needs_z=True,
        low=-0.1700407506,
    ),
    "softmax": Activation(
        "exp(z) / sum(exp(z)) over the outputs of a row",
        hidden=False,
        default_loss="cross_entropy",
        low=0,
        high=1,
    ),
    "exp": Activation("exp(z)", hidden=False, low=0),
    "mish": Activation("z tanh(log(1 + exp(z)))", needs_z=True, low=-0.3088434131),
}

HIDDEN = tuple(name for name, line in ACTIVATIONS.items() if line.hidden)


def check_quantiles(name: str, quantiles: Any) -> float | tuple[float, ...]:
    """Return a quantile, or several in ascending order."""
    within: Any = {"low": 0, "high": 1, "low_open": True, "high_open": True}
    if isinstance(quantiles, str) or not isinstance(quantiles, Iterable):
        return check_number(name, quantiles, **within, hint="or one for each output")
    found = tuple(check_number(f"{name}[{k}]", q, **within) for k, q in enumerate(quantiles))
    if not found or any(b <= a for a, b in pairwise(found)):
        raise ValueError(
            f"{name} must be one number or several in ascending order, not {shown(found)}"
        )
    return found if len(found) > 1 else found[0]


@dataclass(frozen=True)
class Huber(Value):
    """A loss: half the square of a small error, the absolute value of a large one, by which
    outliers count less.

    Parameters
    ----------
    delta : float
        The error from which on it is the absolute one, in the unit of the targets, greater than 0;
        "huber" is that of 1.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import Huber, Network
    >>> Network((3, 5, 1), loss=Huber(0.1)).loss
    Huber(delta=0.1)
    """

    name: ClassVar[str] = "huber"
    delta: float = field(default=1.0, metadata=POSITIVE)

    @property
    def line(self) -> Loss:
        """Its line of the registry."""
        d = f"{self.delta:g}"
        beyond = "|a-y| - 1/2" if self.delta == 1 else f"{d} |a-y| - {d}^2 / 2"
        return Loss(f"(a-y)^2 / 2 where |a-y| <= {d} else {beyond}", tuple(ACTIVATIONS), value=self)


@dataclass(frozen=True)
class Pinball(Value):
    """A loss: that whose least value is at a quantile of the targets, given the inputs.

    Parameters
    ----------
    quantiles : float or sequence of float
        Between 0 and 1: one for all outputs, each with targets of its own, or one for each output,
        in ascending order, of which Y with one column is the target of all. "pinball" is that of
        0.5, the median.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Notes
    -----
    Koenker and Bassett, Regression quantiles, Econometrica 46, 1978. Outputs are trained each by
    itself, so for some inputs a lower quantile's may be above a higher one's: there the network
    does not know the distribution well, and ``np.sort(outputs, axis=1)`` is never farther from the
    truth.

    Examples
    --------
    >>> from fastnn import Network, Pinball
    >>> Network((3, 5, 3), loss=Pinball((0.05, 0.5, 0.95))).loss
    Pinball(quantiles=(0.05, 0.5, 0.95))
    """

    name: ClassVar[str] = "pinball"
    quantiles: float | tuple[float, ...] = field(default=0.5, metadata={"check": check_quantiles})

    @property
    def line(self) -> Loss:
        """Its line of the registry."""
        formula = f"(1-q) (a-y) where a > y else q (y-a), q = {self.quantiles}"
        return Loss(formula, tuple(ACTIVATIONS), kinks=(0.0,), value=self)

    def _check_outputs(self, n_outputs: int) -> None:
        """Raise ValueError where there are several quantiles, and not one for each output."""
        if isinstance(self.quantiles, tuple) and len(self.quantiles) != n_outputs:
            fault = f"loss has {len(self.quantiles)} quantiles, which want as many outputs"
            raise ValueError(f"{fault}: write them as the last number of sizes, not {n_outputs}")


@dataclass(frozen=True)
class Smoothed(Value):
    """The base of losses of labels, which may be smoothed: ``(1 - s) y + s / k`` in the place of y,
    of k classes.
    """

    label_smoothing: float = field(default=0.0, metadata=PART_BELOW_ONE)

    def _numbers(self, n_outputs: int) -> tuple[float, float]:
        """Return what y is multiplied by, and what is added."""
        return 1 - self.label_smoothing, self.label_smoothing / n_outputs


@dataclass(frozen=True)
class LogLoss(Smoothed):
    """A loss of probabilities, yes or no for each output; with label smoothing, of answers that are
    less sure.

    Parameters
    ----------
    label_smoothing : float
        From 0, which is "log_loss", to less than 1: targets become ``(1 - s) y + s / 2``, also in
        losses of validation.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Examples
    --------
    >>> from fastnn import LogLoss, Network
    >>> Network((3, 5, 1), output="sigmoid", loss=LogLoss(label_smoothing=0.1)).loss
    LogLoss(label_smoothing=0.1)
    """

    name: ClassVar[str] = "log_loss"

    @property
    def line(self) -> Loss:
        """Its line of the registry."""
        texts = "-[y log a + (1-y) log(1-a)]", ("sigmoid",), "sigmoid", "numbers from 0 to 1"
        return Loss(*texts, 0, 1, clips=True, value=self)

    def _numbers(self, n_outputs: int) -> tuple[float, float]:
        """Return those of two classes."""
        return super()._numbers(2)


@dataclass(frozen=True)
class CrossEntropy(Smoothed):
    """A loss of the probabilities of classes; with label smoothing, of labels that are less sure.

    Parameters
    ----------
    label_smoothing : float
        From 0, which is "cross_entropy", to less than 1: the targets of k outputs become ``(1 - s)
        y + s / k``, also in losses of validation.

    Raises
    ------
    ValueError, TypeError
        For a value of the wrong type or outside its range.

    Notes
    -----
    Szegedy et al., Rethinking the Inception architecture for computer vision, CVPR 2016, section 7.

    Examples
    --------
    >>> from fastnn import CrossEntropy, Network
    >>> Network((4, 16, 3), output="softmax", loss=CrossEntropy(label_smoothing=0.1)).loss
    CrossEntropy(label_smoothing=0.1)
    """

    name: ClassVar[str] = "cross_entropy"

    @property
    def line(self) -> Loss:
        """Its line of the registry."""
        targets = "rows of probabilities that sum to 1, or integer labels"
        return Loss("-y log a", ("softmax",), "softmax", targets, 0, 1, clips=True, value=self)


LOSSES: dict[str, Loss] = {
    "squared_error": Loss("(a-y)^2 / 2", tuple(ACTIVATIONS), "identity"),
    "absolute_error": Loss("|a-y|", tuple(ACTIVATIONS), kinks=(0.0,)),
    "huber": Huber().line,
    "log_loss": LogLoss().line,
    "cross_entropy": CrossEntropy().line,
    "poisson": Loss(
        "y log(y/a) - y + a", ("exp", "softplus"), "exp", "numbers that are not negative", 0
    ),
    "pinball": Pinball().line,
}


NO_FUNCTION = (
    "loss must be a name or a value, such as Pinball(0.8) for costs that differ by sign, not a "
    "function; for a loss of your own, weight the rows (sample_weight) in a loop of your own: "
    "docs/howto/own-loop.md"
)


def checked(name: str, value: Any, registry: Mapping[str, Any], legal: Iterable[str]) -> Any:
    """Return one of the `legal` names, or a value of such a name; that with the default parameters
    becomes the name.

    Raises
    ------
    ValueError, TypeError
        For another name, and for what is none.
    """
    if not isinstance(value, Value):
        if isinstance(value, type) and issubclass(value, Value):
            raise TypeError(f"{name} must be made of {value.__name__}: say {value.__name__}()")
        if name == "loss" and callable(value):
            raise TypeError(NO_FUNCTION)
        return check_choice(name, value, legal)
    default = registry[check_choice(name, value.name, legal)].value
    if type(default) is not type(value):
        raise TypeError(f"{name} must be one of fastnn's own, not {shown(value)}")
    return value.name if value == default else value


def name_of(given: str | Value) -> str:
    """Return the name of what is a name or a value."""
    return given if isinstance(given, str) else given.name


def line_of(given: str | Value, registry: Mapping[str, Any]) -> Any:
    """Return the line of a name in its registry, or that of a value."""
    return registry[given] if isinstance(given, str) else given.line


def plain(given: Any) -> Any:
    """Describe names, values and tuples of them in JSON's types."""
    if isinstance(given, Value):
        return {"name": given.name} | {name: plain(part) for name, part in vars(given).items()}
    return [*map(plain, given)] if isinstance(given, tuple) else given


def from_plain(given: Any, registry: Mapping[str, Any]) -> Any:
    """Return what `plain` described."""
    if isinstance(given, Mapping):
        parts = dict(given)
        default = registry[check_choice("name", parts.pop("name", None), registry)].value
        if default is None:
            raise ValueError(f"{given['name']} has no parameters")
        return dataclasses.replace(default, **parts)
    return [from_plain(part, registry) for part in given] if isinstance(given, list) else given
