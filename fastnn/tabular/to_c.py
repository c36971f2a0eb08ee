"""The format "c" of tables: a row's preparation in double, the members in float, with the bits of
`predict`.
"""

import textwrap

import numpy as np

from fastnn.checking.arguments import decimal
from fastnn.files.to_c import (
    array_text,
    comment,
    hidden_buffers,
    labels_comment,
    layer_calls,
    sources,
)
from fastnn.memory import Array
from fastnn.tabular.export import TableModel
from fastnn.tabular.preparation import LARGEST_SCALED, LIMIT, Levels

PREPARATION = """\
/* Write what the networks take of a row; return whether all is known that must be. */
static int prepare(const double *x, float *inputs)
{{
    double cells[{n_cells}];
    size_t n = 0;
{cells}{guesses}{inputs}    return 1;
}}
"""

NUMBERS = """\
    for (size_t i = 0; i < {k}; i++) {{
        double s = (x[places[i]] - centers[i]) * factors[i];
        s = s < -{bound:g} ? -{bound:g} : s > {bound:g} ? {bound:g} : s;
        cells[n++] = s / sqrt(1.0 + s / {limit} * (s / {limit}));
    }}
"""

REFUSALS = """\
    for (size_t i = 0; i < {k}; i++)
        if (cells[i] != cells[i]{unless})
            return 0;
"""

GUESSES = """\
    double rest[{n_means}];
    for (size_t i = 0; i < {n_means}; i++)
        rest[i] = cells[i] == cells[i] ? cells[i] - means[i] : 0.0;
    for (size_t round = 0; round < {n_steps}; round++) {{
        double guess[{n_means}] = {{0.0}};
        for (size_t i = 0; i < {n_sources}; i++)
            for (size_t j = 0; j < {n_means}; j++)
                guess[j] += rest[sources[i]] * matrix[i * {n_means} + j];
        for (size_t j = 0; j < {n_means}; j++)
            if (cells[j] != cells[j])
                rest[j] = steps[round] * guess[j] + (1.0 - steps[round]) * rest[j];
    }}
"""

INPUTS = """\
    n = 0;
    for (size_t i = 0; i < {k}; i++)
        inputs[n++] = (float)({number});
    for (size_t i = 0; i < {k}; i++)
        if (has_gaps[i])
            inputs[n++] = cells[i] == cells[i] ? 0.0f : 1.0f;
"""

WORDS = """\
    for (size_t i = {k}; i < {n_cells}; i++)
        inputs[n++] = cells[i] == cells[i] ? (float)cells[i] : 0.0f;
"""

RAMPS = """\
    for (size_t i = 0; i < {n_ramps}; i++) {{
        double place = ((double)inputs[ramp_columns[i]] - ramp_lows[i]) / ramp_widths[i];
        place = place < 0.0 ? 0.0 : place > 1.0 ? 1.0 : place;
        inputs[n++] = (float)(ramp_heights[i] * (place - 0.5));
    }}
"""

ONE_OF = """\
/* Write a 1 in the place of a level, 0 in those of the others, NaN where it is none. */
static size_t one_of(double *cells, double level, int n_levels)
{
    int is_known = 0;
    for (int k = 0; k < n_levels; k++)
        is_known |= level == k;
    for (int k = 0; k < n_levels; k++)
        cells[k] = !is_known ? NAN : level == k ? 1.0 : 0.0;
    return (size_t)n_levels;
}

"""

BODY = """\
{buffers}    double total[{n}] = {{0.0}};
    if (!prepare(x, inputs)) {{
        for (size_t k = 0; k < {n}; k++)
            out[k] = NAN;
        return;
    }}
    for (size_t m = 0; m < {n_members}; m++) {{
{layers}
        for (size_t k = 0; k < {n}; k++)
            total[k] += z[k];
    }}
"""

TARGETS = """\
    for (size_t k = 0; k < {n}; k++) {{
        double y = total[k] / {n_members}.0 * deviations[k] + averages[k];
        out[k] = y < least[k] ? least[k] : y > largest[k] ? largest[k] : y;
    }}"""

PROBABILITIES = """\
    double sum = 0.0;
    for (size_t k = 0; k < {n}; k++) {{
        double rest = total[k] / {n_members}.0 - {offset};
        out[k] = rest > {least} ? rest : {least};
        sum += out[k];
    }}
    for (size_t k = 0; k < {n}; k++)
        out[k] /= sum;"""


def contents(model: TableModel, name: str) -> dict[str, bytes]:
    """Return the texts of the source and of its header."""
    n = model.network.n_outputs
    n_members = len(model.params)
    if model.unsmoothing is None:
        end = TARGETS.format(n=n, n_members=n_members)
    else:
        offset, least = map(decimal, map(np.float64, model.unsmoothing))
        end = PROBABILITIES.format(n=n, n_members=n_members, offset=offset, least=least)
    buffers = "".join(
        f"    {name.upper()}_BUFFER float {key}[{size}];\n" for key, size in _buffers(model).items()
    )
    body = BODY.format(buffers=buffers, n=n, n_members=n_members, layers="\n".join(_layers(model)))
    arrays = [array_text(key, array, str(array.shape)) for key, array in _arrays(model).items()]
    comments = (_columns(model), labels_comment(model.classes, n))
    return sources(
        name,
        model.members[0],
        row="double",
        what=model.summary,
        n_inputs=model.preparation.n_features_in_,
        arrays="\n".join([*arrays, _preparation(model)]),
        body=body + end,
        note=note(model),
        labels="\n".join(filter(None, comments)),
    )


def note(model: TableModel) -> str:
    """Return a note on the memory that the functions take."""
    rom = sum(array.nbytes for array in _arrays(model).values())
    ram = model.params.itemsize * sum(_buffers(model).values())
    return (
        f"ROM: {rom:,} bytes of constants, besides the code. RAM: {ram:,} bytes of buffers, "
        f"besides the stack."
    )


def _buffers(model: TableModel) -> dict[str, int]:
    """Return the sizes of the buffers by their names: the inputs, hidden layers in turn, and the
    outputs.
    """
    network = model.network
    hidden = {f"a{k}": size for k, size in enumerate(hidden_buffers(network)) if size}
    return {"inputs": network.n_inputs, **hidden, "z": network.n_outputs}


def _arrays(model: TableModel) -> dict[str, Array]:
    """Return the constants, by their names."""
    p = model.preparation
    arrays = {"places": np.array(p.number_columns_, int), "has_gaps": p.has_gaps_.astype(int)}
    arrays |= model.constants
    return {
        name: array.astype(np.int32) if array.dtype.kind == "i" else array
        for name, array in arrays.items()
        if array.size
    }


def _layers(model: TableModel) -> list[str]:
    """Return the lines that compute a member's outputs z."""
    layers = model.network.layers
    weights = [f"W{k} + m * {layer.fan_in * layer.fan_out}" for k, layer in enumerate(layers)]
    biases = [f"b{k} + m * {layer.fan_out}" for k, layer in enumerate(layers)]
    return [f"    {line}" for line in layer_calls(model.network, weights, biases, "inputs", "z")]


def _preparation(model: TableModel) -> str:
    """Return the function `prepare`, and before it `one_of` if it calls that."""
    p = model.preparation
    k = len(model.preparation.number_columns_)
    imputation = model.imputation
    n_cells = sum(p._widths)
    if not n_cells:
        return PREPARATION.format(
            n_cells=1,
            cells="    (void)x, (void)cells;\n",
            guesses="",
            inputs="    inputs[n++] = 0.0f;\n",
        )
    cells = NUMBERS.format(k=k, limit=LIMIT, bound=LARGEST_SCALED) if k else ""
    cells += "".join(f"    {_word(levels)};\n" for levels in p.levels_)
    if model.refuses_gaps.any():
        cells += REFUSALS.format(k=k, unless=" && !has_gaps[i]" if p.has_gaps_.any() else "")
    guesses = ""
    number = "cells[i]"
    if len(imputation.steps):
        sizes = {"n_means": len(imputation.means), "n_sources": len(imputation.sources)}
        guesses = GUESSES.format(n_steps=len(imputation.steps), **sizes)
        number = "cells[i] == cells[i] ? cells[i] : rest[i] + means[i]"
    inputs = INPUTS.format(k=k, number=number) if k else "    n = 0;\n"
    inputs += WORDS.format(k=k, n_cells=n_cells) if p.levels_ else ""
    n_ramps = len(p.ramps_.columns)
    inputs += RAMPS.format(n_ramps=n_ramps) if n_ramps else ""
    text = PREPARATION.format(n_cells=n_cells, cells=cells, guesses=guesses, inputs=inputs)
    return (ONE_OF if "one_of" in cells else "") + text


def _word(levels: Levels) -> str:
    """Return the statement that writes the cells of a column of words."""
    x = f"x[{levels.column}]"
    if levels.is_one_number:
        return f"cells[n++] = {x} == 0.0 ? -1.0 : {x} == 1.0 ? 1.0 : NAN"
    return f"n += one_of(cells + n, {x}, {levels.width})"


def _columns(model: TableModel) -> str:
    """Return the header's comment on what a row holds."""
    names = model.names
    words = model.levels
    lines = []
    numbers = dict(zip(model.preparation.number_columns_, model.refuses_gaps, strict=True))
    for j in range(model.preparation.n_features_in_):
        if j in numbers:
            what = "a number, NaN where it is missing"
            if numbers[j]:
                what = "a number; fit had no gap here, and NaN makes all outputs NaN"
        elif j in words:
            levels = words[j]
            codes = [f"{k} {level!r}" for k, level in enumerate(levels.levels)]
            gap = "NaN for any other"
            if levels.has_rest:
                codes.append(f"{len(codes)} another word")
                gap = "NaN where it is missing"
            what = f"{', '.join(codes)}; {gap}"
        else:
            what = "not looked at"
        head = f"x[{j}]" if names is None else f"x[{j}], {names[j]!r}"
        text = f"{head}: {what}"
        wrapped = textwrap.wrap(text, 110, subsequent_indent="    ", break_on_hyphens=False)
        lines += [f"\n   {line}" for line in wrapped]
    return comment("\n\n   A row is" + "".join(lines))
