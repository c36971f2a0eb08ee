"""The derivative of a formula, as a formula of the same operations: forward differentiation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from fastnn.formulas import Formula, operands, pruned
from fastnn.recording import Recorder, Symbol, sign

# A slope is None where it is 0 everywhere. The rule of an operation takes its value v, its
# operands, and their slopes.


def _times(slope, factor):
    return None if slope is None else slope * factor


def _plus(p, q):
    if p is None or q is None:
        return q if p is None else p
    return p + q


def _of_selection(v, x, y, p, q, dx, dy, dp, dq):
    if dp is None and dq is None:
        return None
    return v.do("where_gt", x, y, *(0.0 if slope is None else slope for slope in (dp, dq)))


_RULES: dict[str, Callable[..., Any]] = {
    "add": lambda v, x, y, dx, dy: _plus(dx, dy),
    "sub": lambda v, x, y, dx, dy: _plus(dx, _times(dy, -1.0)),
    "mul": lambda v, x, y, dx, dy: _plus(_times(dx, y), _times(dy, x)),
    "div": lambda v, x, y, dx, dy: _times(_plus(dx, _times(dy, -v)), 1.0 / y),
    "fma": lambda v, x, y, z, dx, dy, dz: _plus(_plus(_times(dx, y), _times(dy, x)), dz),
    "where_gt": _of_selection,
    "neg": lambda v, x, dx: _times(dx, -1.0),
    "abs": lambda v, x, dx: _times(dx, sign(x)),
    "sqrt": lambda v, x, dx: _times(dx, 0.5 / v),
    "exp": lambda v, x, dx: _times(dx, v),
    "expm1": lambda v, x, dx: _times(dx, v + 1.0),
    "log": lambda v, x, dx: _times(dx, 1.0 / x),
    "log1p": lambda v, x, dx: _times(dx, 1.0 / (x + 1.0)),
    "tanh": lambda v, x, dx: _times(dx, 1.0 - v * v),
    "sigmoid": lambda v, x, dx: _times(dx, v * (1.0 - v)),
    "softplus": lambda v, x, dx: _times(dx, v.do("sigmoid", x)),
    **dict.fromkeys(("flush", "bounded", "probability"), lambda v, x, dx: dx),
}


@functools.lru_cache(maxsize=256)
def with_derivative(formula: Formula, by: str) -> Formula:
    """Return the formula of the value of a formula and of its derivative by an input.

    Raises
    ------
    ValueError
        Where the derivative is 0 everywhere.
    """
    result = _differentiated(formula, by)
    if result is None:
        raise ValueError(f"its derivative by {by} is 0 everywhere, so there is nothing to learn")
    return result


def _differentiated(formula: Formula, by: str) -> Formula | None:
    """Return what `with_derivative` does; None where the derivative is 0 everywhere."""
    recorder = Recorder(formula.nodes, most=math.inf)
    slopes: list[Any] = []
    for place, node in enumerate(formula.nodes):
        if node == ("input", by):
            slopes.append(recorder.symbol(1.0))
        elif not (places := operands(node)):
            slopes.append(None)
        else:
            symbols = [Symbol(recorder, k) for k in places]
            of_operands = [slopes[k] for k in places]
            rule = _RULES[node[0]]
            slopes.append(rule(Symbol(recorder, place), *symbols, *of_operands))
    (value,) = formula.results
    slope = slopes[value]
    if slope is None or slope.number == 0.0:
        return None
    return pruned(recorder.nodes, [value, slope.place])


def switches(formula: Formula, by: str) -> list[Formula]:
    """Return the formulas of what changes its sign where another branch of a formula begins, and
    of the derivative of that by an input: there the formula may have a kink.
    """
    zero = len(formula.nodes)
    nodes = [*formula.nodes, ("number", 0.0)]
    formulas = []
    for name, *places in formula.nodes:
        if name in ("where_gt", "abs"):
            sides = places[:2] if name == "where_gt" else (*places, zero)
            nodes.append(("sub", *sides))
            formulas.append(_differentiated(pruned(nodes, [len(nodes) - 1]), by))
    return [switch for switch in dict.fromkeys(formulas) if switch is not None]
