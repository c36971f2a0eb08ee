"""Recording: a Python function of numbers becomes a formula by running once, on symbols.

A symbol records the arithmetic that is done with it. NumPy hands its functions over by the methods
``__array_ufunc__`` and ``__array_function__``, so that a function is written as for arrays.
"""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from fastnn.checking.arguments import misfit, shown
from fastnn.formulas import MOST_NODES, OPERATIONS, Formula, Node, pruned, text

MOST_POWER = 16
LN2 = math.log(2)


class Recorder:
    """The nodes of a formula, each of them once, and the simplifications that keep digits."""

    def __init__(self, nodes: Sequence[Node] = (), most: float = MOST_NODES) -> None:
        self.nodes = list(nodes)
        self.most = most
        self._places = {node: k for k, node in enumerate(nodes)}
        self._done: dict[tuple[Any, ...], Symbol] = {}
        """{operation and places of its operands: what it gave}. Selections by conditions are made
        of those by their parts, which may be shared: without this, in steps that double."""
        self._conditions: dict[int, bool] = {}

    def node(self, *node: Any) -> Symbol:
        """Return the symbol of a node, which is added where it is not there yet."""
        if len(self.nodes) >= self.most:
            raise ValueError(f"it has more than {self.most} operations")
        place = self._places.setdefault(node, len(self.nodes))
        if place == len(self.nodes):
            self.nodes.append(node)
        return Symbol(self, place)

    def symbol(self, x: Any) -> Symbol:
        """Return a number as a symbol."""
        if isinstance(x, Symbol):
            if x.recorder is not self:
                raise TypeError("it uses a value of another call: make it of the arguments alone")
            return x
        if isinstance(x, np.ndarray) and x.size == 1:
            x = x.item()
        if not isinstance(x, (numbers.Real, np.bool_)):
            beside = "numbers beside the arguments must be single ones, the same for all outputs"
            raise TypeError(f"{beside}, not {shown(x)}")
        if not math.isfinite(x):
            raise ValueError(f"a number in it is {float(x)}: it must be finite")
        return self.node("number", float(x))

    def do(self, name: str, *values: Any) -> Symbol:
        """Record an operation. One of numbers alone is done here."""
        symbols = [self.symbol(value) for value in values]
        known = [symbol.number for symbol in symbols]
        if None not in known:
            with np.errstate(all="ignore"):
                result = OPERATIONS[name].function(*map(np.float64, known))
            return self.symbol(float(result))
        if name in ("add", "mul") and known[0] is not None:
            symbols.reverse()  # numbers are on the right
        node = (name, *(symbol.place for symbol in symbols))
        if node not in self._done:
            simpler = _SIMPLER[name](*symbols) if name in _SIMPLER else None
            self._done[node] = self.node(*node) if simpler is None else simpler
        return self._done[node]

    def is_condition(self, place: int) -> bool:
        """Return whether a node is 1 or 0."""
        if place not in self._conditions:
            name, *rest = self.nodes[place]
            if name == "where_gt":
                self._conditions[place] = all(map(self.is_condition, rest[2:]))
            else:
                self._conditions[place] = name == "number" and rest[0] in (0.0, 1.0)
        return self._conditions[place]


def _operators(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the two methods of an operator: of what stands on its left, and on its right."""
    return (
        lambda self, other: self.do(name, self, other),
        lambda self, other: self.do(name, other, self),
    )


class Symbol:
    """A node of a recorder, as functions see it. A comparison is one that is 1 or 0."""

    def __init__(self, recorder: Recorder, place: int) -> None:
        self.recorder = recorder
        self.place = place
        self.name, *self._rest = recorder.nodes[place]

    def __repr__(self) -> str:
        return text(pruned(self.recorder.nodes, [self.place]))

    @property
    def number(self) -> float | None:
        """The number that it is, else None."""
        return self._rest[0] if self.name == "number" else None

    @property
    def is_condition(self) -> bool:
        """Whether it is 1 or 0."""
        return self.recorder.is_condition(self.place)

    def operand(self, k: int) -> Symbol:
        """Return the k-th operand of the operation that it is."""
        return Symbol(self.recorder, self._rest[k])

    def do(self, name: str, *values: Any) -> Symbol:
        """Record an operation."""
        return self.recorder.do(name, *values)

    __add__, __radd__ = _operators("add")
    __sub__, __rsub__ = _operators("sub")
    __mul__, __rmul__ = _operators("mul")
    __truediv__, __rtruediv__ = _operators("div")
    __hash__ = None  # type: ignore[assignment]

    def __neg__(self):
        return self.do("neg", self)

    def __pos__(self):
        return self

    def __abs__(self):
        return self.do("abs", self)

    def __pow__(self, exponent):
        return power(self, exponent)

    def __rpow__(self, base):
        return power(base, self)

    # ------------------------------------------------------------------------------- conditions

    def __gt__(self, other):
        return self.do("where_gt", self, other, 1.0, 0.0)

    def __lt__(self, other):
        return self.do("where_gt", other, self, 1.0, 0.0)

    def __le__(self, other):
        return self.do("where_gt", self, other, 0.0, 1.0)

    def __ge__(self, other):
        return self.do("where_gt", other, self, 0.0, 1.0)

    def __eq__(self, other):
        return self.do("where_gt", self, other, 0.0, self >= other)

    def __ne__(self, other):
        return ~(self == other)

    def __and__(self, other):
        return where(self, where(self.recorder.symbol(other), 1.0, 0.0), 0.0)

    def __or__(self, other):
        return where(self, 1.0, where(self.recorder.symbol(other), 1.0, 0.0))

    def __invert__(self):
        return where(self, 0.0, 1.0)

    __rand__ = __and__
    __ror__ = __or__

    # --------------------------------------------------------------------------- NumPy's functions

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        name = ufunc.__name__
        if method != "__call__":
            _refuse(f"np.{name}.{method}")
        if options:
            raise TypeError(f"{name} takes no {', '.join(options)} here: leave it out")
        if name in _FUNCTIONS:
            return _FUNCTIONS[name](*map(self.recorder.symbol, inputs))
        if name not in OPERATIONS:
            _refuse(f"np.{name}" if hasattr(np, name) else name)
        return self.do(name, *inputs)

    def __array_function__(self, function, _, arguments, options):
        if function is np.where and len(arguments) == 3:
            return where(*arguments)
        if function is not np.clip:
            _refuse(f"{function.__module__}.{function.__name__}".replace("numpy", "np"))
        names = {"a_min": "low", "min": "low", "a_max": "high", "max": "high"}
        options = {names.get(k, k): x for k, x in options.items() if x is not np._NoValue}
        return clip(*arguments, **options)

    # ------------------------------------------------------------------- what cannot be recorded

    def __bool__(self):
        raise TypeError(
            "it runs once, for all numbers, so no `if`, `and`, `or`, `max`, `min` or `while` may "
            "depend on its arguments: write np.where(condition, yes, no), & in place of `and`, "
            "with parentheses as in (a > 0) & (y > 0), and np.maximum in place of `max`"
        )

    def __float__(self):
        raise TypeError(
            "its arguments are no numbers yet, as math.exp, float and round want them: write "
            "np.exp in place of math.exp"
        )

    __int__ = __index__ = __float__

    def __len__(self):
        raise TypeError(
            "an argument is one number, of one output of one row, without length, index or loop: "
            "return the loss of one output; the sum and the mean are taken already"
        )

    def __getitem__(self, _):
        return len(self)

    def __iter__(self):
        return iter([len(self)])

    def __array__(self, *_, **__):
        raise TypeError("an argument is no array: apply np.exp, np.where and so on to it as it is")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise TypeError(
            f"an argument is one number and has no {name!r}: {_HINTS.get(name, _KNOWN)}"
        )


_OF_ONE = "return the loss of one output: its sum over the outputs of a row is taken already"
_OF_ROW = "return the loss of one output: the mean over the rows is taken already"
_HINTS = dict.fromkeys(("sum", "norm", "dot", "inner", "matmul"), _OF_ONE)
_HINTS |= dict.fromkeys(("mean", "average"), _OF_ROW)
_KNOWN = (
    "a formula is made of + - * / **, comparisons, np.where, abs, sign, maximum, minimum, clip, "
    "sqrt, square, exp, expm1, log, log1p, tanh, cosh, logaddexp and scipy.special.expit"
)


def _refuse(name: str) -> None:
    raise TypeError(f"{name} cannot be recorded: {_HINTS.get(name.split('.')[-1], _KNOWN)}")


# ------------------------------------------------------------------- functions made of operations


def _symbols(*values: Any) -> list[Symbol]:
    """Return values, of which one at least is a symbol, as symbols."""
    recorder = next(value.recorder for value in values if isinstance(value, Symbol))
    return [recorder.symbol(value) for value in values]


def where(condition, yes, no):
    """Record ``yes where condition else no``."""
    condition, yes, no = _symbols(condition, yes, no)
    if not condition.is_condition:
        right = "set comparisons in parentheses, as in np.where((a > 0) & (y > 0), yes, no)"
        raise TypeError(f"np.where, &, | and ~ are for comparisons, not for numbers: {right}")
    return condition.do("where_gt", condition, 0.0, yes, no)


def sign(x):
    """Record the sign of x, and x itself where it is 0 or NaN."""
    return where(x > 0.0, 1.0, where(x < 0.0, -1.0, x))


def maximum(x, y):
    """Record the larger one."""
    x, y = _symbols(x, y)
    if x.number is not None:
        x, y = y, x  # NaN of x stays NaN
    return where(y > x, y, x)


def minimum(x, y):
    """Record the smaller one."""
    x, y = _symbols(x, y)
    if x.number is not None:
        x, y = y, x
    return where(x > y, y, x)


def clip(x, low=None, high=None):
    """Record x within bounds, of which None is none."""
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def power(x, exponent):
    """Record ``x ** exponent`` by products and a root."""
    x, exponent = _symbols(x, exponent)
    p = exponent.number
    if p is None or p * 2 % 1 or abs(p) > MOST_POWER:
        way = "write np.exp(p * np.log(x)) for another one"
        raise TypeError(f"an exponent must be a multiple of 1/2, up to {MOST_POWER}: {way}")
    result = np.sqrt(x) if p % 1 else x.recorder.symbol(1.0)
    for bit in reversed(f"{int(abs(p)):b}"):
        result = result * x if bit == "1" else result
        x = x * x
    return result if p >= 0 else 1.0 / result


def logaddexp(x, y):
    """Record ``log(exp(x) + exp(y))``."""
    if x.number is not None:
        x, y = y, x
    return y + x.do("softplus", x - y)


def fma(x, y, z):
    """Record ``x y + z``, which the kernel rounds once."""
    x, y, z = _symbols(x, y, z)
    return y if x.number == 1.0 and z.number == 0.0 else x.do("fma", x, y, z)


def bounded(x):
    """Record x, but no less than what leads to something that is flushed."""
    return x.do("bounded", x)


def flush(x):
    """Record x, but 0 where it is tiny."""
    return x.do("flush", x)


def probability(x):
    """Record a probability that is neither 0 nor 1."""
    return x.do("probability", x)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
    "absolute": abs,
    "fabs": abs,
    "sign": sign,
    "square": lambda x: x * x,
    "power": power,
    "expit": lambda x: x.do("sigmoid", x),
    "cosh": lambda x: (np.exp(x) + np.exp(-x)) * 0.5,
    "hypot": lambda x, y: np.sqrt(x * x + y * y),
    "logaddexp": logaddexp,
    "maximum": maximum,
    "minimum": minimum,
    "clip": clip,
    "greater": operator.gt,
    "less": operator.lt,
    "greater_equal": operator.ge,
    "less_equal": operator.le,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "logical_and": operator.and_,
    "bitwise_and": operator.and_,
    "logical_or": operator.or_,
    "bitwise_or": operator.or_,
    "logical_not": operator.invert,
}
"""{function of NumPy's or of scipy.special that is not an operation by its name: of symbols}."""


# ------------------------------------------------- simplifications: without them digits get lost
# Each takes the operands of an operation, and returns what has the same value, or None.


def _simpler_sum(x, y):
    if y.number == 0.0:
        return x
    return x - y.operand(0) if y.name == "neg" else None


def _simpler_difference(x, y):
    if y.number == 0.0:
        return x
    if y.number == 1.0 and x.name == "exp":
        return x.do("expm1", x.operand(0))
    return x + y.operand(0) if y.name == "neg" else None


def _simpler_product(x, y):
    if y.number == 1.0:
        return x
    return -x if y.number == -1.0 else None


def _simpler_quotient(x, y):
    """``x / (1 + e^u)`` as ``x sigmoid(-u)``, whose derivative is never infinity by infinity."""
    if y.number == 1.0:
        return x
    if y.name == "add" and y.operand(1).number == 1.0 and y.operand(0).name == "exp":
        return x * y.do("sigmoid", -y.operand(0).operand(0))
    return None


def _simpler_log(x):
    """``log(1 + u)`` as log1p, and the logarithm of a hyperbolic cosine, which would overflow."""
    if x.name == "add" and x.operand(1).number == 1.0:
        return x.do("log1p", x.operand(0))
    if x.name == "mul" and x.operand(0).name == "add" and x.operand(0).operand(0).name == "exp":
        u: Any = x.operand(0).operand(0).operand(0)
        if np.cosh(u).place == x.place:
            return x.do("softplus", u + u) - u - LN2
    return None


def _simpler_log1p(x):
    return x.do("softplus", x.operand(0)) if x.name == "exp" else None


def _simpler_negative(x):
    if x.name == "mul" and (factor := x.operand(1).number) is not None:
        return x.operand(0) * -factor
    return x.operand(0) if x.name == "neg" else None


def _simpler_selection(x, y, p, q):
    """Selections by a condition as ones by its comparison."""
    if p.place == q.place:
        return p
    if x.number is not None and y.number is not None:
        return p if x.number > y.number else q
    if y.number == 0.0 and x.name == "where_gt" and x.is_condition:
        branches = (x.do("where_gt", x.operand(k), 0.0, p, q) for k in (2, 3))
        return x.do("where_gt", x.operand(0), x.operand(1), *branches)
    return None


_SIMPLER: dict[str, Callable[..., Any]] = {
    "add": _simpler_sum,
    "sub": _simpler_difference,
    "mul": _simpler_product,
    "div": _simpler_quotient,
    "log": _simpler_log,
    "log1p": _simpler_log1p,
    "neg": _simpler_negative,
    "where_gt": _simpler_selection,
}


# --------------------------------------------------------------------------------------- recording


def formula_of(inputs: Sequence[str], *functions: Callable[..., Any]) -> Formula:
    """Return the formula of functions of the same inputs, a result for each."""
    recorder = Recorder()
    symbols = [recorder.node("input", name) for name in inputs]
    values = [recorder.symbol(function(*symbols)) for function in functions]
    return pruned(recorder.nodes, [value.place for value in values])


def recorded(name: str, function: Any, inputs: Sequence[str]) -> Formula:
    """Return the formula of a function of a user's.

    Raises
    ------
    TypeError, ValueError
        For what is no function of so many arguments, and for one that does what cannot be recorded;
        the text names its line.
    """
    unfit = misfit(function, *inputs) if callable(function) else f"{shown(function)} is none"
    if unfit:
        raise TypeError(f"{name} must be a function of {' and '.join(inputs)}: {unfit}")

    def checked(*symbols: Symbol) -> Symbol:
        value = function(*symbols)
        if not isinstance(value, Symbol):
            raise TypeError(f"it returns {shown(value)}, and must return a value of its arguments")
        return value

    try:
        return formula_of(inputs, checked)
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}{_line_of(error.__traceback__)}: {error}") from error


def _line_of(traceback: TracebackType | None) -> str:
    """Return the line of a user's code in which an error was raised, in words."""
    line = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename != __file__:
            line = f", line {traceback.tb_lineno} of {os.path.basename(code.co_filename)}"
        traceback = traceback.tb_next
    return line
