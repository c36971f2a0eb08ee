"""Losses and activations: the lines of their registries, and those that have parameters as values.

Where a network takes a name it takes a value as well: ``"huber"`` is ``Huber()``, and
``Huber(0.1)`` another loss. `CustomLoss` and `CustomActivation` are made of functions of users.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastnn import definitions
from fastnn.checking.arguments import (
    PART,
    PART_BELOW_ONE,
    PART_WITHIN,
    POSITIVE,
    CheckedFields,
    check_choice,
    check_number,
    errors_of,
    interval,
    shown,
)
from fastnn.definitions import GELU_CUBIC, SELU_ALPHA, SELU_SCALE
from fastnn.derivatives import with_derivative
from fastnn.formulas import (
    TRIED,
    Formula,
    check_finite,
    checked_formula,
    evaluate,
    pruned,
    text,
    with_numbers,
)
from fastnn.memory import Array
from fastnn.recording import formula_of, recorded


class Activation(NamedTuple):
    """A line of `ACTIVATIONS`: its formula, the functions that compute it, where it may be used.

    The functions are those from which formulas are recorded, see `definitions.py`. Without `delta`
    and `slope` the derivative is derived.
    """

    formula: str  # of a pre-activation z
    function: Callable[..., Any] | Formula | None = None  # of z; None: the row's outputs make one
    delta: Callable[..., Any] | None = None  # of d = dL/da and a, where z is not needed
    slope: Callable[..., Any] | None = None  # the derivative, of z
    hidden: bool = True
    default_loss: str = "squared_error"  # of a network with this output that names none
    kinks: tuple[float, ...] = ()  # the z at which its derivative jumps
    low: float = -math.inf  # the bounds of what it gives, which targets must not go beyond
    high: float = math.inf
    value: Value | None = None  # what holds its parameters

    def __repr__(self) -> str:
        return f"Activation({self.formula!r}, ...)"

    @property
    def needs_z(self) -> bool:
        """Whether the derivative is a function of z, not of the activation itself."""
        return self.function is not None and self.delta is None

    @property
    def forward(self) -> Formula:
        """The formula of a, and behind it that of the derivative where it needs z."""
        inputs = ("z", *names_of(self.value))
        if self.needs_z:
            return _differentiable(inputs, self.function, self.slope)
        return _recorded(inputs, self.function)

    @property
    def backward(self) -> Formula:
        """The formula of delta, of d and a; or of d and the derivative, where that needs z."""
        inputs = ("d", "slope") if self.needs_z else ("d", "a", *names_of(self.value))
        return _recorded(inputs, self.delta or operator.mul)


class Loss(NamedTuple):
    """A line of `LOSSES`: its formula, the functions that compute it, the output activations that
    it goes with, and its targets.

    The functions are those from which formulas are recorded, see `definitions.py`. Without
    `derivative` that is derived.
    """

    formula: str  # of one output a and its target y
    outputs: tuple[str, ...]
    function: Callable[..., Any] | Formula | None = None  # of a and y
    derivative: Callable[..., Any] | None = None  # by a; of one that is always matched, delta
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

    @property
    def recording(self) -> Formula:
        """The formula of the value and of the derivative by a."""
        inputs = ("a", "y", *names_of(self.value))
        return _differentiable(inputs, self.function, self.derivative)

    @property
    def is_always_matched(self) -> bool:
        """Whether it goes with no output but the matched one."""
        return self.outputs == (self.matched,)


def names_of(value: Value | None) -> tuple[str, ...]:
    """Return the names of the numbers that functions take after their arrays."""
    return tuple(value._numbers(1)) if value else ()


_recorded = functools.lru_cache(maxsize=256)(formula_of)


def _differentiable(inputs: tuple[str, ...], function: Any, derivative: Any) -> Formula:
    """Return the formula of a function and of its derivative by the first input, which is derived
    where none is given.
    """
    if derivative is not None:
        return _recorded(inputs, function, derivative)
    formula = function if isinstance(function, Formula) else _recorded(inputs, function)
    return with_derivative(formula, inputs[0])


LEAKY_SLOPE = 0.01


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

    def _numbers(self, n_outputs: int) -> dict[str, Any]:
        """Return what its functions take after their arrays, by the names there: numbers, of a loss
        also one for each output.
        """
        return {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}

    def _check_network(self, network: Any) -> None:
        """Raise ValueError where a loss does not fit the outputs of the network that has it."""


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
        return Activation(
            f"z where z > 0 else {self.slope:g} z",
            definitions.leaky_relu,
            definitions.leaky_relu_delta,
            kinks=kinks,
            low=low,
            value=self,
        )


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
        is_smooth = self.alpha == 1
        factor = "" if is_smooth else f"{self.alpha:g} "
        return Activation(
            f"z where z > 0 else {factor}(exp(z) - 1)",
            definitions.elu,
            definitions.elu_delta,
            kinks=() if is_smooth else (0.0,),
            low=-self.alpha,
            value=self,
        )


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation("z", operator.pos, definitions.identity_delta),
    "sigmoid": Activation(
        "1 / (1 + exp(-z))", definitions.sigmoid, definitions.sigmoid_delta, low=0, high=1
    ),
    "tanh": Activation("tanh z", np.tanh, definitions.tanh_delta, low=-1, high=1),
    "relu": Activation(
        "z where z > 0 else 0",
        definitions.relu,
        definitions.relu_delta,
        kinks=(0.0,),
        low=0,
    ),
    "leaky_relu": LeakyRelu().line,
    "elu": Elu().line,
    "selu": Activation(
        f"{SELU_SCALE:.5g} (z where z > 0 else {SELU_ALPHA:.5g} (exp(z) - 1))",
        definitions.selu,
        definitions.selu_delta,
        kinks=(0.0,),
        low=-SELU_SCALE * SELU_ALPHA,
    ),
    "softplus": Activation(
        "log(1 + exp(z))",
        definitions.softplus,
        definitions.softplus_delta,
        low=0,
    ),
    "silu": Activation(
        "z sigmoid(z)", definitions.silu, slope=definitions.silu_slope, low=-0.2784645428
    ),
    "gelu": Activation(
        f"z (1 + tanh u) / 2, u = sqrt(2/pi) (z + {GELU_CUBIC} z^3)",
        definitions.gelu,
        slope=definitions.gelu_slope,
        low=-0.1700407506,
    ),
    "softmax": Activation(
        "exp(z) / sum(exp(z)) over the outputs of a row",
        hidden=False,
        default_loss="cross_entropy",
        low=0,
        high=1,
    ),
    "exp": Activation("exp(z)", np.exp, operator.mul, hidden=False, low=0),
    "mish": Activation(
        "z tanh(log(1 + exp(z)))", definitions.mish, slope=definitions.mish_slope, low=-0.3088434131
    ),
}

HIDDEN = tuple(name for name, line in ACTIVATIONS.items() if line.hidden)

ANY_OUTPUT = tuple(ACTIVATIONS)
"""The outputs of losses that go with all, also with those by functions of users."""


def check_quantiles(name: str, quantiles: Any) -> float | tuple[float, ...]:
    """Return a quantile, or several in ascending order."""
    check = PART_WITHIN["check"]
    if isinstance(quantiles, str) or not isinstance(quantiles, Iterable):
        return check(name, quantiles, hint="or one for each output")
    checked = tuple(check(f"{name}[{k}]", q) for k, q in enumerate(quantiles))
    if not checked or any(b <= a for a, b in pairwise(checked)):
        raise ValueError(
            f"{name} must be one number or several in ascending order, not {shown(checked)}"
        )
    return checked if len(checked) > 1 else checked[0]


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
        formula = f"(a-y)^2 / 2 where |a-y| <= {d} else {beyond}"
        functions = definitions.huber, definitions.huber_derivative
        return Loss(formula, ANY_OUTPUT, *functions, value=self)


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
        functions = definitions.pinball, definitions.pinball_derivative
        return Loss(formula, ANY_OUTPUT, *functions, kinks=(0.0,), value=self)

    def _check_network(self, network: Any) -> None:
        """Raise ValueError where there are several quantiles, and not one for each output."""
        n_outputs = network.n_outputs
        if isinstance(self.quantiles, tuple) and len(self.quantiles) != n_outputs:
            fault = f"loss has {len(self.quantiles)} quantiles, which want as many outputs"
            raise ValueError(f"{fault}: write them as the last number of sizes, not {n_outputs}")


@dataclass(frozen=True)
class Smoothed(Value):
    """The base of losses of labels, which may be smoothed: ``(1 - s) y + s / k`` in the place of y,
    of k classes.
    """

    label_smoothing: float = field(default=0.0, metadata=PART_BELOW_ONE)

    def _numbers(self, n_outputs: int) -> dict[str, float]:
        """Return what y is multiplied by, and what is added."""
        return {"keep": 1 - self.label_smoothing, "share": self.label_smoothing / n_outputs}


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
        return Loss(
            "-[y log a + (1-y) log(1-a)]",
            ("sigmoid",),
            definitions.log_loss,
            definitions.smoothed_difference,
            "sigmoid",
            "numbers from 0 to 1",
            low=0,
            high=1,
            clips=True,
            value=self,
        )

    def _numbers(self, n_outputs: int) -> dict[str, float]:
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
        return Loss(
            "-y log a",
            ("softmax",),
            definitions.cross_entropy,
            definitions.smoothed_difference,
            "softmax",
            "rows of probabilities that sum to 1, or integer labels",
            low=0,
            high=1,
            clips=True,
            value=self,
        )


LOSSES: dict[str, Loss] = {
    "squared_error": Loss(
        "(a-y)^2 / 2", ANY_OUTPUT, definitions.squared_error, operator.sub, "identity"
    ),
    "absolute_error": Loss("|a-y|", ANY_OUTPUT, definitions.absolute_error, kinks=(0.0,)),
    "huber": Huber().line,
    "log_loss": LogLoss().line,
    "cross_entropy": CrossEntropy().line,
    "poisson": Loss(
        "y log(y/a) - y + a",
        ("exp", "softplus"),
        definitions.poisson,
        definitions.poisson_derivative,
        "exp",
        "numbers that are not negative",
        low=0,
    ),
    "pinball": Pinball().line,
}


INFINITE = (-math.inf, math.inf)
"""Bounds that are none; JSON has no such numbers."""


def check_bound(name: str, bound: Any) -> float:
    """Return the least or the largest target, which may be infinite."""
    return bound if bound in INFINITE else check_number(name, bound)


@dataclass(frozen=True, repr=False)
class Custom(Value):
    """The base of activations and losses by a function, of which the formula is stored."""

    formula: Any

    inputs: ClassVar[tuple[str, ...]]
    """The names of what the function takes; the derivative is by the first one."""

    def __post_init__(self) -> None:
        kind = self.name.replace("custom_", "the ")
        formula = self.formula
        if callable(formula):
            object.__setattr__(self, "formula", recorded(kind, formula, self.inputs))
        elif not isinstance(formula, Formula):
            object.__setattr__(self, "formula", checked_formula(kind, formula, self.inputs))
        with errors_of(kind):
            with_derivative(self.formula, self.inputs[0])
        super().__post_init__()

    def _check_in_float32(self, network: Any) -> None:
        """Raise ValueError where a network's function is not finite in float32 near 0, in which
        constants may be 0 that float64 has.
        """
        self._check_finite(network, TRIED[abs(TRIED) <= 1].astype(np.float32))

    def _check_finite(self, network: Any, tried: Array) -> None:
        """Raise ValueError where a network's function is not finite for numbers that are tried."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({text(self.formula)})"

    def _numbers(self, n_outputs: int) -> dict[str, Any]:
        """Return none: the formula has its numbers."""
        return {}


@dataclass(frozen=True, repr=False)
class CustomActivation(Custom):
    """An activation by a function of your own, whose derivative is derived from it.

    Parameters
    ----------
    formula : callable
        A function of z, a number: arithmetic, comparisons and NumPy's elementary functions, with
        ``np.where`` in place of ``if``. It is run once, and its formula is stored.

    Raises
    ------
    ValueError, TypeError
        For a function that does what no formula can have, and for one whose value or derivative is
        not finite for some z within 10.

    See Also
    --------
    CustomLoss : The same for losses.

    Examples
    --------
    >>> from fastnn import CustomActivation, Network
    >>> softsign = CustomActivation(lambda z: z / (1 + abs(z)))
    >>> Network((3, 5, 1), softsign).activation
    CustomActivation(z / (np.abs(z) + 1.0))
    """

    name: ClassVar[str] = "custom_activation"
    inputs: ClassVar[tuple[str, ...]] = ("z",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_finite(None, TRIED)

    def _check_finite(self, network: Any, tried: Array) -> None:
        """Raise ValueError where it is not finite for some z, in any network."""
        check_finite("the activation", with_derivative(self.formula, "z"), z=tried)

    @property
    def line(self) -> Activation:
        """Its line of the registry."""
        return Activation(text(self.formula), self.formula, value=self)


OUTPUT_NAMES = ("a", "output", "outputs", "pred", "prediction", "predictions", "y_pred", "y_hat")
TARGET_NAMES = ("y", "target", "targets", "y_true")
"""Names of the parameters of losses."""


def check_order(function: Callable[..., Any]) -> None:
    """Raise TypeError if the names of parameters say that the target is first, as in the metrics of
    scikit-learn.
    """
    try:
        names = list(inspect.signature(function).parameters)[:2]
    except ValueError:  # a function of an extension module need not have a signature
        return
    if len(names) == 2 and (names[0] in TARGET_NAMES or names[1] in OUTPUT_NAMES):
        fault = f"the loss is a function of an output and its target, not ({', '.join(names)})"
        right = "the output comes first, so write (y_pred, y_true), or (a, y)"
        raise TypeError(f"{fault}: {right}")


@dataclass(frozen=True, repr=False)
class CustomLoss(Custom):
    """A loss by a function of your own, whose derivative is derived from it.

    Parameters
    ----------
    formula : callable
        A function of an output a and its target y, both numbers: arithmetic, comparisons and
        NumPy's elementary functions, with ``np.where`` in place of ``if``. It returns the loss of
        one output: the sum over the outputs of a row and the mean over rows are taken besides. It
        is run once, and its formula is stored.
    low, high : float
        The least and the largest target that it takes.

    Raises
    ------
    ValueError, TypeError
        For a function that does what no formula can have. A network raises ValueError where the
        value or the derivative is not finite for some of its outputs and targets within 10.

    See Also
    --------
    CustomActivation : The same for activations.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import CustomLoss, Network
    >>> cost = CustomLoss(lambda a, y: np.where(y > a, 3 * (y - a), a - y))
    >>> Network((3, 5, 1), loss=cost).loss
    CustomLoss(np.where(y > a, (y - a) * 3.0, a - y))
    """

    name: ClassVar[str] = "custom_loss"
    inputs: ClassVar[tuple[str, ...]] = ("a", "y")
    low: float = field(default=-math.inf, metadata={"check": check_bound})
    high: float = field(default=math.inf, metadata={"check": check_bound})

    def __post_init__(self) -> None:
        if callable(self.formula):
            check_order(self.formula)
        super().__post_init__()

    @property
    def line(self) -> Loss:
        """Its line of the registry."""
        bounds = interval(self.low, self.high)
        return Loss(
            text(self.formula),
            ANY_OUTPUT,
            self.formula,
            targets=f"numbers that are {bounds}" if bounds else "any number",
            low=self.low,
            high=self.high,
            value=self,
        )

    def _check_network(self, network: Any) -> None:
        self._check_finite(network, TRIED)

    def _check_finite(self, network: Any, tried: Array) -> None:
        """Raise ValueError where a loss of the network's outputs and targets is not finite."""
        output = network.output_line
        outputs = tried[(output.low < tried) & (output.high > tried)]
        if isinstance(network.output, CustomActivation):
            outputs = evaluate(network.output.formula, z=tried)[0]
        least = max(output.low, self.low)
        largest = min(output.high, self.high)
        targets = np.unique(np.clip(tried, least, largest))
        check_finite("the loss", with_derivative(self.formula, "a"), a=outputs, y=targets)


CUSTOM: dict[str, type[Custom]] = {kind.name: kind for kind in (CustomActivation, CustomLoss)}
"""The kinds of activations and losses by functions of users, which are in no registry."""


def checked(name: str, value: Any, registry: Mapping[str, Any], legal: Iterable[str]) -> Any:
    """Return one of the `legal` names, or a value of such a name; that with the default parameters
    becomes the name.

    Raises
    ------
    ValueError, TypeError
        For another name, and for what is none.
    """
    custom = CustomLoss if registry is LOSSES else CustomActivation
    if isinstance(value, custom):
        return value
    if not isinstance(value, Value):
        if isinstance(value, type) and issubclass(value, Value):
            right = f"{value.__name__}({'function' * issubclass(value, Custom)})"
            raise TypeError(f"{name} must be made of {value.__name__}: say {right}")
        if callable(value):
            return custom(value)
        return check_choice(name, value, legal)
    if isinstance(value, Custom):
        raise TypeError(f"{name} must be a {custom.__name__}, not {shown(value)}")
    default = registry[check_choice(name, value.name, legal)].value
    if type(default) is not type(value):
        raise TypeError(f"{name} must be one of fastnn's own, not {shown(value)}")
    return value.name if value == default else value


Function = Callable[..., Any]
"""A function of a user's, in the place of a name or a value: of z, or of a and y."""


def name_of(value: str | Value) -> str:
    """Return the name of what is a name or a value."""
    return value if isinstance(value, str) else value.name


def line_of(value: str | Value, registry: Mapping[str, Any]) -> Any:
    """Return the line of a name in its registry, or that of a value."""
    return registry[value] if isinstance(value, str) else value.line


def formula_alone(activation: str | Value) -> Formula | None:
    """Return the formula of an activation without derivatives, its parameters as numbers; None for
    softmax.
    """
    line = line_of(activation, ACTIVATIONS)
    if line.function is None:
        return None
    numbers = line.value._numbers(1) if line.value else {}
    return with_numbers(pruned(line.forward.nodes, line.forward.results[:1]), **numbers)


def plain(value: Any) -> Any:
    """Describe names, values and tuples of them in JSON's types."""
    if isinstance(value, Value):
        parts = {name: plain(part) for name, part in vars(value).items()}
        return {"name": value.name} | {name: x for name, x in parts.items() if x not in INFINITE}
    if isinstance(value, Formula):
        return [*map(list, value.nodes)]
    return [*map(plain, value)] if isinstance(value, tuple) else value


def from_plain(description: Any, registry: Mapping[str, Any]) -> Any:
    """Return what `plain` described."""
    if isinstance(description, Mapping):
        parts = dict(description)
        if (kind := CUSTOM.get(str(description.get("name")))) is not None:
            return kind(**{name: part for name, part in parts.items() if name != "name"})
        default = registry[check_choice("name", parts.pop("name", None), registry)].value
        if default is None:
            raise ValueError(f"{description['name']} has no parameters")
        return dataclasses.replace(default, **parts)
    return (
        [from_plain(part, registry) for part in description]
        if isinstance(description, list)
        else description
    )
