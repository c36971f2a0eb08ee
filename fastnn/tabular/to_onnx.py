"""The format "onnx" of tables: a graph from numbers in double and words in texts to predictions in
double.

A table with words has an input (n, 1) for each column that is looked at, by its name; one of
numbers alone has the input X (n, n_features).
"""

import itertools
from functools import reduce
from typing import Any

import numpy as np

from fastnn.files.export import Model
from fastnn.files.to_onnx import Graph, add_network, add_results, graph_bytes, value_info
from fastnn.tabular.export import TableModel
from fastnn.tabular.imputation import Imputation
from fastnn.tabular.preparation import LARGEST_SCALED, LIMIT, Levels
from fastnn.tabular.ramps import Ramps

DOUBLE = np.dtype(np.float64)
FLOAT = np.dtype(np.float32)
TO_FLOAT = 1
TO_BOOL = 9
TO_DOUBLE = 11
"""ONNX's numbers of these types."""


def contents(model: TableModel, name: str) -> dict[str, bytes]:
    """Return the graph's bytes."""
    count = itertools.count()
    g = Graph(DOUBLE, lambda name: f"fastnn/{name}/{next(count)}")
    inputs, parts = _add_columns(g, model)
    matrix = g.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    g.dtype = FLOAT
    outputs = [
        g.add("Cast", add_network(g, member, matrix), to=TO_DOUBLE) for member in model.members
    ]
    g.dtype = DOUBLE
    mean = g.add("Div", reduce(lambda a, b: g.add("Add", a, b), outputs), float(len(outputs)))
    task = "numbers" if model.classes is None else "labels"
    end = _add_end(g, model, mean)
    if model.refuses_gaps.any():
        end = g.add("Where", _add_are_all_known(g, matrix), end, np.nan)
    results = add_results(g, Model(model.network, model.params[0], task, model.classes), end)
    values = {one.name for one in g.constants}.union(*(node.output for node in g.nodes))
    for info in inputs:
        if not info.name:
            raise ValueError(
                "a column has the name '', and an input of a graph needs a name: rename it"
            )
        if info.name in results or info.name in values:
            what = "an output" if info.name in results else "another value"
            raise ValueError(
                f"the column {info.name!r} has the name of {what} of the graph: rename it"
            )
    return {".onnx": graph_bytes(g, inputs, results, f"{model.summary}.")}


def _add_columns(g: Graph, model: TableModel) -> tuple[list[Any], list[str]]:
    """Add the inputs and the preparation; return the inputs, and the names of the parts (n, width)
    of the matrix.
    """
    p = model.preparation
    if not p.levels_:
        inputs = [value_info("X", DOUBLE, [p.n_features_in_])]
        numbers = g.add("Gather", "X", np.array(p.number_columns_, np.int64), axis=1)
    else:
        names = model.names or [f"column {j}" for j in range(p.n_features_in_)]
        used = sorted([*p.number_columns_, *model.levels])
        inputs = [
            value_info(names[j], np.dtype(str) if j in model.levels else DOUBLE, [1]) for j in used
        ]
        numbers = ""
        if p.number_columns_:
            numbers = g.add("Concat", *(names[j] for j in p.number_columns_), axis=1)
    words = [_add_word(g, levels, names[j]) for j, levels in model.levels.items()]
    parts = [*(_add_numbers(g, model, numbers, words) if p.number_columns_ else []), *words]
    if len(p.ramps_.columns):
        parts.append(_add_ramps(g, p.ramps_, parts[0]))
    if not parts:  # nothing but constants
        zeros = g.add("Cast", g.add("Less", "X", "X"), to=TO_FLOAT)
        parts = [g.add("Gather", zeros, np.array([0], np.int64), axis=1)]
    return inputs, parts


def _add_numbers(g: Graph, model: TableModel, numbers: str, words: list[str]) -> list[str]:
    """Add the preparation of numbers (n, k), as by `TablePreparation`; return the names of its
    parts of the matrix.

    `words` are the numbers (n, width) of levels, 0 for gaps and unknown words. Numbers, and so the
    centers taken off them, are scaled first: ONNX Runtime leaves out the subtraction of a number
    that is 0 as a float32.
    """
    p = model.preparation
    imputation = model.imputation
    gaps = g.add("IsNaN", numbers)
    known = g.add("Where", gaps, p.centers_, numbers)
    mantissas, exponents = np.frexp(p.factors_)
    powers = np.ldexp(1.0, exponents)  # a product by a power of two loses no bit
    s = g.add("Sub", g.add("Mul", known, powers), p.centers_ * powers)
    s = g.add("Mul", s, mantissas)
    s = g.add("Min", g.add("Max", s, -LARGEST_SCALED), LARGEST_SCALED)
    part = g.add("Div", s, LIMIT)
    z = filled = g.add("Div", s, g.add("Sqrt", g.add("Add", g.add("Mul", part, part), 1.0)))
    if len(imputation.steps):
        cells = g.add("Where", gaps, np.nan, z)
        if len(imputation.means) > len(p.means_):
            cells = g.add("Concat", cells, *(_add_gaps_of_words(g, one) for one in words), axis=1)
        estimates = _add_estimates(g, imputation, cells)
        of_numbers = g.add("Gather", estimates, np.arange(len(p.means_)), axis=1)
        filled = g.add("Where", gaps, of_numbers, z)
    if model.refuses_gaps.any():
        filled = g.add("Where", g.add("And", gaps, model.refuses_gaps), np.nan, filled)
    filled = g.add("Cast", filled, to=TO_FLOAT)
    if not p.has_gaps_.any():
        return [filled]
    flags = g.add("Cast", gaps, to=TO_FLOAT)
    return [filled, g.add("Gather", flags, np.flatnonzero(p.has_gaps_), axis=1)]


def _add_ramps(g: Graph, ramps: Ramps, numbers: str) -> str:
    """Add the ramps (n, n_ramps) of prepared numbers (n, k)."""
    known = g.add("Gather", g.add("Cast", numbers, to=TO_DOUBLE), ramps.columns, axis=1)
    places = g.add("Div", g.add("Sub", known, ramps.lows), ramps.widths)
    places = g.add("Min", g.add("Max", places, 0.0), 1.0)
    heights = g.add("Mul", g.add("Sub", places, 0.5), ramps.heights)
    return g.add("Cast", heights, to=TO_FLOAT)


def _add_gaps_of_words(g: Graph, word: str) -> str:
    """Add the cells (n, width) of numbers of levels: NaN where all are 0."""
    is_known = g.add("Cast", _add_sums(g, g.add("Abs", word)), to=TO_BOOL)
    return g.add("Where", is_known, g.add("Cast", word, to=TO_DOUBLE), np.nan)


def _add_are_all_known(g: Graph, matrix: str) -> str:
    """Add whether (n, 1) a row of the matrix has no NaN."""
    gaps = g.add("Cast", g.add("IsNaN", matrix), to=TO_FLOAT)
    return g.add("Not", g.add("Cast", _add_sums(g, gaps), to=TO_BOOL))


def _add_sums(g: Graph, columns: str) -> str:
    """Add the sums (n, 1) of the rows of columns (n, k)."""
    return g.add("ReduceSum", columns, np.array([1], np.int64), keepdims=1)


def _add_estimates(g: Graph, imputation: Imputation, cells: str) -> str:
    """Add the estimates of cells (n, n_cells), NaN for gaps."""
    gaps = g.add("IsNaN", cells)
    means = g.constant(imputation.means)
    first = rest = g.add("Where", gaps, 0.0, g.add("Sub", cells, means))
    sources = g.constant(imputation.sources)
    matrix = g.constant(imputation.matrix)
    for step in imputation.steps.tolist():
        guess = g.add("MatMul", g.add("Gather", rest, sources, axis=1), matrix)
        moved = g.add("Add", g.add("Mul", guess, step), g.add("Mul", rest, 1 - step))
        rest = g.add("Where", gaps, moved, first)
    return g.add("Add", rest, means)


def _add_word(g: Graph, levels: Levels, words: str) -> str:
    """Add the numbers (n, width) of words (n, 1); a gap is an empty text."""
    texts = [str(level) for level in levels.levels]
    if levels.has_rest and "" in texts:
        raise ValueError(
            f"the column {words!r} has the empty text as a level, so that none is left for a gap: "
            "name it"
        )
    known = texts if not levels.has_rest or "" in texts else [*texts, ""]
    one_hot = g.add("OneHotEncoder", words, domain="ai.onnx.ml", cats_strings=known, zeros=1)
    # from (n, 1, levels)
    one_hot = g.add("Reshape", one_hot, np.array([-1, len(known)], np.int64))
    if levels.is_one_number:
        return g.add("MatMul", one_hot, np.array([[-1], [1]], np.float32))
    if not levels.has_rest:
        return one_hot
    other = g.add("Sub", np.array(1, np.float32), _add_sums(g, one_hot))
    of_levels = g.add("Gather", one_hot, np.arange(len(texts)), axis=1)
    return g.add("Concat", of_levels, other, axis=1)


def _add_end(g: Graph, model: TableModel, mean: str) -> str:
    """Add the predictions from the members' mean outputs."""
    if model.unsmoothing is not None:
        rest = g.add("Max", g.add("Sub", mean, model.unsmoothing.offset), model.unsmoothing.least)
        return g.add("Div", rest, _add_sums(g, rest))
    assert model.scaling is not None
    average, deviation, low, high = model.scaling
    mantissas, exponents = np.frexp(deviation)
    powers = np.ldexp(1.0, exponents)  # last, as for the centers of columns
    y = g.add("Mul", g.add("Add", g.add("Mul", mean, mantissas), average / powers), powers)
    return g.add("Min", g.add("Max", y, low), high)
