"""Checks of single values, of fields and of learning rates: errors say what was wrong, where, and
what is right.
"""

import contextlib
import dataclasses
import functools
import inspect
import math
import numbers
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np

from fastnn.checking.hints import ALIASES, ANSWERS, instead_of
from fastnn.errors import hide_frames
from fastnn.memory import Array

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100

MOST_CHARACTERS = 200
"""Characters of a text that comes from a caller, in an error, which has several of them and at most
1,000 in all."""


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters, by leaving out what stands before its last
    quarter.
    """
    if len(text) <= most:
        return text
    return f"{text[: most * 3 // 4]}...{text[len(text) - most // 4 + 3 :]}"


def cut(text: object) -> str:
    """Return a text that may come from anywhere, such as a name or another error's, in one line
    that is not long.
    """
    return shortened(" ".join(str(text).split()), MOST_CHARACTERS)


MOST_IN_ALL = 900
"""Characters of an error that another library raises."""


@contextlib.contextmanager
def short_errors() -> Iterator[None]:
    """Shorten the texts of errors, in which scikit-learn, NumPy and scipy may write all of a
    value.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        if len(str(error)) > MOST_IN_ALL:
            error.args = (shortened(str(error), MOST_IN_ALL),)
        hide_frames(error)
        raise
    except OverflowError as error:
        raise ValueError(f"an integer is too large for a number of float64: {error}") from error


@contextlib.contextmanager
def errors_of(what: str) -> Iterator[None]:
    """Say at the beginning of errors of which argument they are."""
    try:
        yield
    except (ValueError, TypeError) as error:
        error.args = (f"{what}: {error}",)
        raise


class Faults:
    """The errors of several parts, such as columns, to be raised as one."""

    def __init__(self) -> None:
        self._errors: list[Exception] = []
        self._labels: dict[str, list[str]] = {}

    @contextlib.contextmanager
    def part(self, label: str = "") -> Iterator[None]:
        """Collect the ValueError or TypeError of a part, whose text may begin with its label."""
        try:
            yield
        except (ValueError, TypeError) as error:
            self._errors.append(error)
            self._labels.setdefault(str(error).removeprefix(label), []).append(label)

    def check(self) -> None:
        """Raise a single error as it is, several as a ValueError with a line for each text."""
        if len(self._errors) == 1:
            raise self._errors[0]
        lines = []
        for text, (first, *others) in self._labels.items():
            same = ", ".join(label.removeprefix("column ") for label in others)
            lines.append(f"{first}{text}{'; the same in ' * bool(same)}{same}")
        if lines:
            raise ValueError("\n".join(lines))


def shown(value: Any) -> str:
    """Return a value's text in errors: the shape of an array or a data frame, else a short repr."""
    try:
        shape = getattr(value, "shape", ())
        if isinstance(shape, tuple) and shape:
            return cut(f"{type(value).__name__} of shape {shape}")
        return cut(_SHORT.repr(value))
    # an integer of so many digits that Python does not write it, or what has no repr
    except Exception:
        return cut(f"an object of type {type(value).__name__}")


def misfit(function: Callable[..., Any], *arguments: Any, **named: Any) -> TypeError | None:
    """Return the error that a call with these arguments would raise; None for a function that takes
    them.
    """
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError as error:
        return error
    except ValueError:  # a function of an extension module need not have a signature
        pass
    return None


def class_of(value: Any) -> str:
    """Return the name of a value's type in errors."""
    return cut(type(value).__name__)


def decimal(number: Any) -> str:
    """Return the shortest decimal that is this number in its dtype, one of NumPy's, whatever its
    print options are.
    """
    if number == 0 or 1e-4 <= float(abs(number)) < 1e16:
        return np.format_float_positional(number, trim="0")
    return np.format_float_scientific(number, trim="-")


MOST_WRITTEN = 10**24


def amount(n: int) -> str:
    """Return a count in errors; of one with more digits than anybody reads, how large it is at
    least.
    """
    return f"{n:,}" if n <= MOST_WRITTEN else "more than 10^24"


def counted(n: int, noun: str) -> str:
    """Return "1 column", "2 columns"."""
    return f"{n if n <= MOST_WRITTEN else amount(n)} {noun}{'' if n == 1 else 's'}"


def listed(names: Sequence[Any], others: Sequence[str] = ()) -> str:
    """Return names in errors, of many the first ones; each with the nearest one of `others`."""
    said = [shown(name) + (did_you_mean(name, others) if others else "") for name in names[:5]]
    return ", ".join(said) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def check_choice(name: str, value: Any, legal: Iterable[str]) -> str:
    """Return `value` if it is one of the names in `legal`, else raise an error that suggests the
    right one.
    """
    legal = list(legal)
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be one of {', '.join(legal)}, not {shown(value)} of type "
            f"{class_of(value)}"
        )
    if value in legal:
        return str(value)
    raise ValueError(
        f"unknown {name} {shown(value)}{did_you_mean(value, legal)}; one of {', '.join(legal)}"
    )


def did_you_mean(value: str, legal: Iterable[str]) -> str:
    """Return a hint for a name that is not in `legal`, or "": the same but for case, its alias, or
    the nearest one.
    """
    legal = list(legal)
    known = {_plain(alias): name for alias, name in ALIASES.items() if name in legal} | {
        _plain(n): n for n in legal
    }
    if value.lower() in ANSWERS:
        return f" ({ANSWERS[value.lower()]})"
    import difflib  # here, where something is wrong: a process that begins need not read it

    near = known.get(_plain(value)) or next(
        iter(difflib.get_close_matches(value.lower(), legal, 1, 0.5)), None
    )
    return f" (did you mean {near!r}?)" if near else ""


def _plain(name: str) -> str:
    return re.sub(r"[\W_]|loss$", "", name.lower())


def check_integer(name: str, value: Any, low: int | None = None) -> int:
    """Return `value`, an integer of Python or NumPy that is not below `low`, as an int."""
    if type(value) is not int and (
        isinstance(value, bool) or not isinstance(value, numbers.Integral)
    ):
        raise TypeError(f"{name} must be an integer, not {shown(value)} of type {class_of(value)}")
    if low is not None and value < low:
        raise ValueError(f"{name} must be at least {low}, not {shown(value)}")
    return int(value)


def check_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the widths of a network's layers, the inputs first, each of them at least 1."""
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        raise TypeError(
            f"sizes must be a sequence of integers such as (3, 5, 1), not {shown(sizes)}"
        )
    checked = tuple(check_integer(f"sizes[{i}]", n, low=1) for i, n in enumerate(sizes))
    if len(checked) < 2:
        raise ValueError(
            f"sizes needs at least the inputs and the outputs, such as (3, 5, 1); got {checked}"
        )
    return checked


def hidden_sizes(sizes: Any) -> list[int]:
    """Return an estimator's widths of hidden layers, which may be one number."""
    if isinstance(sizes, Mapping):
        raise TypeError(f"hidden_layer_sizes must be widths such as (64, 64), not {shown(sizes)}")
    sizes = list(sizes) if np.iterable(sizes) else [sizes]
    sizes = [check_integer(f"hidden_layer_sizes[{i}]", n) for i, n in enumerate(sizes)]
    if not all(n > 0 for n in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {shown(sizes)}.")
    return sizes


def check_activation(activation: Any, n_hidden: int, check: Callable[[str, Any], Any]) -> Any:
    """Return one activation for all hidden layers, or one for each; `check` checks one, given what
    it is called.
    """
    if isinstance(activation, str) or not isinstance(activation, Iterable):
        return check("activation", activation)
    names = tuple(check(f"activation[{i}]", name) for i, name in enumerate(activation))
    if len(names) != n_hidden:
        raise ValueError(
            f"activation has {len(names)} names for {n_hidden} hidden layers; give one name, or "
            "one each"
        )
    return names


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = False,
    hint: str = "",
) -> float:
    """Return `value` as a finite float within [low, high], or the open interval."""
    if type(value) is not float and (
        isinstance(value, bool) or not isinstance(value, numbers.Real)
    ):
        raise TypeError(f"{name} must be a number{' ' + hint if hint else ''}, not {shown(value)}")
    try:
        number = float(value)
    except OverflowError:  # an integer or a fraction
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, not {number}")
    if (
        number < low
        or number > high
        or (low_open and number == low)
        or (high_open and number == high)
    ):
        raise ValueError(
            f"{name} must be {interval(low, high, low_open, high_open)}, not {number:g}"
        )
    return number


def check_flag(name: str, value: Any) -> bool:
    """Return `value`, Python's or NumPy's, as a bool."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def check_seed(name: str, seed: Any) -> None:
    """Raise TypeError or ValueError unless `seed` is None, an integer below 2**32, or a RandomState
    on MT19937.
    """
    if isinstance(seed, np.random.RandomState):
        if not isinstance(seed._bit_generator, np.random.MT19937):
            kind = class_of(seed._bit_generator)
            raise ValueError(
                f"{name} must be a RandomState with NumPy's frozen stream (MT19937), not with "
                f"{kind}"
            )
    elif isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer, type(None))):
        raise TypeError(
            f"{name} must be None, an integer or a numpy.random.RandomState, not {class_of(seed)}"
        )
    elif seed is not None and not 0 <= seed < 2**32:
        raise ValueError(f"{name} must be from 0 to {2**32 - 1}, not {shown(seed)}")


def interval(low: float, high: float, low_open: bool = False, high_open: bool = False) -> str:
    """Return "at least 0 and at most 1", or the part of it that says something."""
    lower = f"{'greater than' if low_open else 'at least'} {low:g}" if low > -math.inf else ""
    upper = f"{'less than' if high_open else 'at most'} {high:g}" if high < math.inf else ""
    return " and ".join(filter(None, (lower, upper)))


def fill_layers(name: str, places: Sequence[Array], arrays: Sequence[Any]) -> None:
    """Copy the array of each layer to its place, if there are as many, of the same shapes and of
    real numbers.
    """
    if len(arrays) != len(places):
        raise ValueError(
            f"{name} must have one array for each of the {len(places)} layers, not {len(arrays)}"
        )
    for i, (place, given) in enumerate(zip(places, arrays, strict=True)):
        array = np.asarray(given)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name}[{i}] must hold real numbers, not {cut(array.dtype)}")
        if array.shape != place.shape:
            hint = f"; {name}[{i}].T has it" if array.T.shape == place.shape else ""
            raise ValueError(
                f"{name}[{i}] must have the shape {place.shape}, not {array.shape}{hint}"
            )
        place[...] = array


# --------------------------------------------------------------------- fields of frozen dataclasses


Check = Callable[[str, Any], Any]
"""A function of a field's name and value that returns the value to keep, or raises an error that
names the field."""

# What `dataclasses.field(metadata=...)` takes.
FLAG = {"check": check_flag}
COUNT = {"check": partial(check_integer, low=1)}
COUNT_FROM_ZERO = {"check": partial(check_integer, low=0)}
NOT_NEGATIVE = {"check": partial(check_number, low=0)}
POSITIVE = {"check": partial(check_number, low=0, low_open=True)}
PART = {"check": partial(check_number, low=0, high=1)}
PART_BELOW_ONE = {"check": partial(check_number, low=0, high=1, high_open=True)}
PART_WITHIN = {"check": partial(check_number, low=0, high=1, low_open=True, high_open=True)}


def choice(*legal: str) -> dict[str, Check]:
    """Return the check of a field that is one of some names."""
    return {"check": partial(check_choice, legal=legal)}


def optional(metadata: Mapping[str, Check]) -> dict[str, Check]:
    """Return the check of a field that may be None besides."""
    check = metadata["check"]
    return {"check": lambda name, value: None if value is None else check(name, value)}


@dataclasses.dataclass(frozen=True)
class CheckedFields:
    """The base of frozen dataclasses whose fields are replaced by what the checks in their metadata
    return.

    A field that a subclass defines anew without a check, such as one with another default, keeps
    that of the base.
    """

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Refuse a keyword that is no field, with what to write in its place."""
        for name in options:
            if name not in cls.__dataclass_fields__ or not cls.__dataclass_fields__[name].init:
                legal = [field.name for field in dataclasses.fields(cls) if field.init]
                raise TypeError(
                    f"{cls.__name__} has no argument {name!r:.200}{instead_of(name, legal)}"
                )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        kind: type = type(self)
        for name, check in _checks_of(kind).items():
            # frozen for users, not for its own normalization
            object.__setattr__(self, name, check(name, getattr(self, name)))


@functools.lru_cache(maxsize=100)
def _checks_of(kind: type) -> dict[str, Check]:
    """Return {field: its check} of a dataclass, each of the nearest class that gives the field
    one.
    """
    checks: dict[str, Check] = {}
    for base in reversed(kind.__mro__):
        fields = vars(base).get("__dataclass_fields__", {})
        checks |= {
            name: field.metadata["check"]
            for name, field in fields.items()
            if "check" in field.metadata
        }
    return {
        field.name: checks[field.name] for field in dataclasses.fields(kind) if field.name in checks
    }


# ----------------------------------------------------------------------------------- learning rates


LearningRate = float | Callable[[int], float]
"""A number, a schedule, or any function of the absolute step (0-based) that returns a number."""


def check_learning_rate(name: str, value: object) -> LearningRate:
    """Return a learning rate as the optimizers keep it: a float that is not negative, or a function
    of the step.
    """
    if callable(value):
        return value
    return check_number(name, value, low=0, hint="or a function of the step")


RATE = {"check": check_learning_rate}
"""What `dataclasses.field(metadata=...)` takes, as those above."""


def describe(rate: LearningRate) -> object:
    """Describe a learning rate in JSON's types, from which `described` makes it again; a function
    is only named.
    """
    if isinstance(rate, CheckedFields):  # a schedule
        return {"schedule": type(rate).__name__, **dataclasses.asdict(rate)}
    return getattr(rate, "__qualname__", type(rate).__name__) if callable(rate) else rate


def described(
    description: Any, schedules: Mapping[str, Callable[..., LearningRate]]
) -> LearningRate:
    """Make the learning rate again that `describe` described, of one of these schedules or a
    number.

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


def store_parameters(estimator: Any, values: dict[str, Any]) -> None:
    """Store each argument of a constructor, unchanged, as the attribute of its name, as
    scikit-learn asks.
    """
    for name, value in values.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)
