"""Formulas of users as the kernel takes them: code of their own, and blocks that lead to it.

A block is 8-byte words: the address of the code, and behind it the formula's numbers, so that
formulas that differ in these alone share their code. That is an entry point specialized for the
operations, compiled once on a machine and kept in the disk cache as other kernels are. No other
kernel is compiled anew.

This module is imported without Numba, by processes that find their kernels in the disk cache.
"""

import functools
import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.hints import missing_package
from fastnn.compiler.loader import IN_PYTHON, load_kernel
from fastnn.compiler.program import IN_PLACE_OF_CODE, digest, entry_point, symbol
from fastnn.formulas import Formula
from fastnn.memory import address


class Source(NamedTuple):
    """A formula as a compile-time constant of machine code."""

    # (any,): its nodes and results in JSON, with places in place of numbers
    text: NDArray[np.uint8]


def source_of(formula: Formula) -> tuple[Source, list[float]]:
    """Return the constant of a formula, and its numbers apart from it."""
    numbers: list[float] = []
    nodes = []
    for node in formula.nodes:
        if node[0] == "number":
            numbers.append(node[1])
            node = ("number", len(numbers) - 1)
        nodes.append(node)
    text = json.dumps([nodes, formula.results])
    return Source(np.frombuffer(text.encode(), np.uint8)), numbers


def decoded(text: NDArray[np.uint8]) -> Formula:
    """Return the formula of a constant."""
    nodes, results = json.loads(text.tobytes())
    return Formula(tuple(map(tuple, nodes)), tuple(results))


def name_of(source: Source) -> str:
    """Return the name of the function of a formula, of which `symbol` makes that for C."""
    return f"custom_{digest(source)}"


FORMULAS: dict[int, Formula] = {}
"""{address of a block: its formula}, for code that calls no address."""

_blocks: list[NDArray[np.int64]] = []
"""All blocks: kernels hold their addresses."""


def block_words(code: int, numbers: list[float]) -> NDArray[np.int64]:
    """Return a block: the address of the code, and the bits of the numbers."""
    return np.array([code, *np.array(numbers, np.float64).view(np.int64)])


@functools.cache
def block_of(formula: Formula, dtype: np.dtype[Any]) -> int:
    """Return the address of the block of a formula with its derivative, for vectors of a dtype.

    Raises
    ------
    ImportError
        Where it must be compiled and Numba is not installed.
    """
    source, numbers = source_of(formula)
    if IN_PYTHON:
        place = len(IN_PLACE_OF_CODE) + 1
        panel = entry_point("custom_panel")(decoded(source.text))
        words = block_words(0, numbers)
        IN_PLACE_OF_CODE[place] = functools.partial(panel, block=words)
        FORMULAS[place] = formula
        return place
    try:
        kernel: Any = load_kernel("custom", dtype, (source,))
    except ImportError as error:
        needs = "a loss or an activation by a function is compiled, once on a machine, which needs"
        raise missing_package(error.name or "numba", needs) from None
    code = kernel.address_of(symbol(name_of(source), dtype.name))
    _blocks.append(block_words(code, numbers))
    place = address(_blocks[-1])
    FORMULAS[place] = formula
    return place
