"""Formulas as data: lists of operations of a closed set, their values by NumPy, their text, and
checks of those that come from files.

A formula is recorded from a Python function (`recording.py`), has a derivative of the same
operations (`derivatives.py`), is traced into machine code (`fused/formulas.py`) and stored in files
as lists of names and numbers: what a file holds is never run as code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn.checking.arguments import shortened, shown
from fastnn.memory import Array

Node = tuple[Any, ...]
"""An operation's name and the places of its operands; ``("input", name)``; ``("number", x)``."""

MOST_NODES = 250
"""The most operations, inputs and numbers of a function's formula, its derivative not counted."""

LONGEST_TEXT = 300
"""Characters from which on a formula is shortened where it is shown."""


class Formula(NamedTuple):
    """Nodes, of which each takes earlier ones, and the places of the results among them."""

    nodes: tuple[Node, ...]
    results: tuple[int, ...]

    @property
    def inputs(self) -> set[str]:
        """The names of its inputs."""
        return {node[1] for node in self.nodes if node[0] == "input"}


def absolute(x: Any) -> Any:
    """``|x|``, of a complex number by the sign of its real part"""
    return x * np.sign(x.real)


def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``"""
    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    """``log(1 + exp(x))``, written so that nothing overflows"""
    positive = x.real > 0
    return np.where(positive, x, x.real.dtype.type(0)) + np.log1p(np.exp(np.where(positive, -x, x)))


def where_gt(x: Any, y: Any, p: Any, q: Any) -> Any:
    """``p where x > y else q``"""
    return np.where(x.real > y.real, p, q)


LEAST_DELTA = {"float32": 2.0**-100, "float64": 2.0**-960}
"""What is smaller counts as 0: a delta, relative to its row's weight, and the factor of a gate."""
GATE_BEGINS = {"float32": -69.5, "float64": -666.0}
"""Where sigmoid and softplus are below LEAST_DELTA, and not yet subnormal."""


def flush(x: Any) -> Any:
    """x, but 0 where it is below LEAST_DELTA"""
    return np.where(x.real < LEAST_DELTA[x.real.dtype.name], 0, x)


def bounded(x: Any) -> Any:
    """x, but no less than GATE_BEGINS, from which on what is made of it is flushed"""
    least = GATE_BEGINS[x.real.dtype.name]
    return np.where(x.real < least, least, x)


def probability(p: Any) -> Any:
    """A probability kept within [eps, 1 - eps] of its dtype"""
    eps = np.finfo(p.dtype).eps
    return np.where(p.real < eps, eps, np.where(p.real > 1 - eps, 1 - eps, p))


CALL, NAME = 4, 5
"""The ranks of calls and names among Python's operators: they need no parentheses."""


class Operation(NamedTuple):
    """An operation: its function of arrays, real or complex, and its text in NumPy's words.

    The text has a rank among Python's operators, and each operand needs one.
    """

    function: Callable[..., Any]
    text: str
    needs: tuple[int, ...]
    rank: int = CALL


OPERATIONS: dict[str, Operation] = {
    "add": Operation(lambda x, y: x + y, "{} + {}", (1, 2), 1),
    "sub": Operation(lambda x, y: x - y, "{} - {}", (1, 2), 1),
    "fma": Operation(lambda x, y, z: x * y + z, "{} * {} + {}", (2, 3, 2), 1),
    "mul": Operation(lambda x, y: x * y, "{} * {}", (2, 3), 2),
    "div": Operation(lambda x, y: x / y, "{} / {}", (2, 3), 2),
    "neg": Operation(lambda x: -x, "-{}", (CALL,), 3),
    "abs": Operation(absolute, "np.abs({})", (0,)),
    "sqrt": Operation(np.sqrt, "np.sqrt({})", (0,)),
    "exp": Operation(np.exp, "np.exp({})", (0,)),
    "expm1": Operation(np.expm1, "np.expm1({})", (0,)),
    "log": Operation(np.log, "np.log({})", (0,)),
    "log1p": Operation(np.log1p, "np.log1p({})", (0,)),
    "tanh": Operation(np.tanh, "np.tanh({})", (0,)),
    "sigmoid": Operation(sigmoid, "1 / (1 + np.exp(-{}))", (CALL,), 2),
    "softplus": Operation(softplus, "np.logaddexp(0.0, {})", (0,)),
    "where_gt": Operation(where_gt, "np.where({} > {}, {}, {})", (0, 0, 0, 0)),
    "flush": Operation(flush, "", (0,)),
    "bounded": Operation(bounded, "", (0,)),
    "probability": Operation(probability, "", (0,)),
}
"""The last three, which only see to numbers near the bounds of a dtype, are left out of texts."""


def operands(node: Node) -> tuple[int, ...]:
    """Return the places of a node's operands."""
    return node[1:] if node[0] in OPERATIONS else ()


def evaluate(formula: Formula, **inputs: Array) -> list[Array]:
    """Return the results of a formula, for arrays of one shape and dtype, real or complex."""
    first = next(iter(inputs.values()))
    dtype = first.real.dtype
    values: list[Any] = []
    for name, *rest in formula.nodes:
        if name == "input":
            values.append(inputs[rest[0]])
        elif name == "number":
            values.append(dtype.type(rest[0]))
        else:
            values.append(OPERATIONS[name].function(*(values[place] for place in rest)))
    results = (values[place] for place in formula.results)
    return [x if np.ndim(x) else np.full(first.shape, x) for x in results]


def pruned(nodes: Sequence[Node], results: Iterable[int]) -> Formula:
    """Return the formula of some nodes: those alone that they are made of, in the same order."""
    results = tuple(results)
    needed: set[int] = set()
    waiting = list(results)
    while waiting:
        place = waiting.pop()
        if place not in needed:
            needed.add(place)
            waiting += operands(nodes[place])
    order = sorted(needed)
    moved = {place: k for k, place in enumerate(order)}
    moved_nodes = []
    for place in order:
        node = nodes[place]
        places = [moved[k] for k in operands(node)]
        moved_nodes.append((node[0], *places) if places else node)
    return Formula(tuple(moved_nodes), tuple(moved[place] for place in results))


# ------------------------------------------------------------------------------------------- text


def text(formula: Formula) -> str:
    """Return a formula of one result in NumPy's words, shortened where it is long."""
    lines, result = statements(formula)
    return shortened("; ".join([*lines, result]), LONGEST_TEXT)


def statements(formula: Formula) -> tuple[list[str], str]:
    """Return a formula of one result as Python: assignments to t0, t1, ... of what is used more
    than once, and the expression that is left.
    """
    uses = [place for node in formula.nodes for place in operands(node)]
    lines: list[str] = []
    texts: list[tuple[str, int]] = []
    for k, node in enumerate(formula.nodes):
        part, rank = _text(node, texts)
        if uses.count(k) > 1 and rank < NAME:
            lines.append(f"t{len(lines)} = {part}")
            part, rank = f"t{len(lines) - 1}", NAME
        texts.append((part, rank))
    return lines, texts[formula.results[0]][0]


def with_numbers(formula: Formula, **numbers: float) -> Formula:
    """Return a formula with numbers in place of some inputs."""
    nodes = (
        ("number", float(numbers[node[1]])) if node[0] == "input" and node[1] in numbers else node
        for node in formula.nodes
    )
    return formula._replace(nodes=tuple(nodes))


def _text(node: Node, texts: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Return the text of a node, of those of its operands, and its rank."""
    name, *rest = node
    if name == "input":
        return rest[0], NAME
    if name == "number":
        return str(rest[0]), NAME if rest[0] >= 0 else OPERATIONS["neg"].rank
    operation = OPERATIONS[name]
    if not operation.text:
        return texts[rest[0]]
    parts = []
    for place, need in zip(rest, operation.needs, strict=True):
        part, rank = texts[place]
        parts.append(part if rank >= need else f"({part})")
    return operation.text.format(*parts), operation.rank


# ----------------------------------------------------------------------------------------- checks


def checked_formula(name: str, nodes: Any, inputs: tuple[str, ...]) -> Formula:
    """Return the formula of nodes from a file, which may hold anything.

    Raises
    ------
    ValueError
        For what is no list of nodes, for too many of them, for an unknown operation or input, for
        an operand that is not an earlier node, and for a number that is not finite.
    """
    fault = f"{name} is no formula of {' and '.join(inputs)}"
    if not isinstance(nodes, (list, tuple)):
        raise ValueError(f"{fault}: it is {shown(nodes)}")
    if not 0 < len(nodes) <= MOST_NODES:
        raise ValueError(f"{fault}: it has {len(nodes)} operations, not 1 to {MOST_NODES}")
    for k, node in enumerate(nodes):
        if not _is_node(node, k, inputs):
            raise ValueError(f"{fault}: operation {k} is {shown(node)}")
    return Formula(tuple(map(tuple, nodes)), (len(nodes) - 1,))


def _is_node(node: Any, k: int, inputs: tuple[str, ...]) -> bool:
    """Return whether this is a node that may stand at the place k."""
    if not isinstance(node, (list, tuple)) or len(node) < 2 or type(node[0]) is not str:
        return False
    name, *rest = node
    if name == "input":
        return rest in [[each] for each in inputs]
    if name == "number":
        return len(rest) == 1 and type(rest[0]) is float and math.isfinite(rest[0])
    are_places = all(type(place) is int and 0 <= place < k for place in rest)
    return are_places and name in OPERATIONS and len(rest) == len(OPERATIONS[name].needs)


_SIZES = np.array([0.0, 1e-3, 0.1, 0.25, 0.5, 0.9, 1.5, 2.0, 5.0, 10.0])
TRIED = np.unique([-_SIZES, _SIZES])
"""The numbers with which a function is tried."""


def check_finite(name: str, formula: Formula, **tried: Array) -> None:
    """Raise ValueError where the value of a function or its derivative, the results of a formula,
    is not finite for some of the numbers that are tried, of each input.
    """
    points = dict(zip(tried, np.meshgrid(*tried.values(), indexing="ij"), strict=True))
    with np.errstate(all="ignore"):
        results = evaluate(formula, **points)
    for result, word in zip(results, ("value", "derivative"), strict=True):
        wrong = np.argwhere(~np.isfinite(result))
        if len(wrong):
            place = tuple(wrong[0])
            at = ", ".join(f"{key} = {grid[place]:g}" for key, grid in points.items())
            way = "choose harmless arguments by np.where first"
            if result.dtype == np.float32:
                at += " in float32, in which numbers below 1e-45 are 0"
                way += ", or train in float64"
            if "y" in points:
                way += ", or say which targets it takes: CustomLoss(function, low=, high=)"
            raise ValueError(f"{name}: its {word} is {result[place]} at {at}: {way}")
