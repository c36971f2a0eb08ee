"""The format "c" of tables: a row's preparation in double, the members in float, with the bits of `predict`."""

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
from fastnn.tabular.preparation import LARGEST_SCALED, LIMIT, ROUNDS, Levels

PREPARATION = """\
/* Write what the networks take of a row. */
static void prepare(const double *x, float *inputs)
{{
    size_t n = 0;
{numbers}{words}
}}
"""

NUMBERS = """\
    double z[{k}], rest[{k}];
    for (size_t i = 0; i < {k}; i++) {{
        double s = (x[places[i]] - centers[i]) * factors[i];
        s = s < -{bound:g} ? -{bound:g} : s > {bound:g} ? {bound:g} : s;
        z[i] = s / sqrt(1.0 + s / {limit} * (s / {limit}));
        rest[i] = z[i] == z[i] ? z[i] - means[i] : 0.0;
    }}
{guesses}    for (size_t i = 0; i < {k}; i++)
        inputs[n++] = (float)(z[i] == z[i] ? z[i] : rest[i] + means[i]);
    for (size_t i = 0; i < {k}; i++)
        if (has_gaps[i])
            inputs[n++] = z[i] == z[i] ? 0.0f : 1.0f;
"""

GUESSES = """\
    for (int round = 0; round < {rounds}; round++) {{
        double guess[{k}] = {{0.0}};
        for (size_t i = 0; i < {k}; i++)
            for (size_t j = 0; j < {k}; j++)
                guess[j] += rest[i] * imputation[i * {k} + j];
        for (size_t j = 0; j < {k}; j++)
            if (z[j] != z[j])
                rest[j] = guess[j];
    }}
"""

ONE_OF = """\
/* Write a 1 in the place of a level, 0 in those of the others. */
static size_t one_of(float *inputs, double level, int n_levels)
{
    for (int k = 0; k < n_levels; k++)
        inputs[k] = level == k ? 1.0f : 0.0f;
    return (size_t)n_levels;
}

"""

BODY = """\
{buffers}    double total[{n}] = {{0.0}};
    prepare(x, inputs);
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
    n, n_members = model.network.n_outputs, len(model.params)
    if model.unsmoothing is None:
        end = TARGETS.format(n=n, n_members=n_members)
    else:
        offset, least = map(decimal, map(np.float64, model.unsmoothing))
        end = PROBABILITIES.format(n=n, n_members=n_members, offset=offset, least=least)
    buffers = "".join(f"    {name.upper()}_BUFFER float {key}[{size}];\n" for key, size in _buffers(model).items())
    body = BODY.format(buffers=buffers, n=n, n_members=n_members, layers="\n".join(_layers(model)))
    arrays = [array_text(key, array, str(array.shape)) for key, array in _arrays(model).items()]
    parts = {"arrays": "\n".join([*arrays, _preparation(model)]), "body": body + end, "note": note(model)}
    parts |= {"labels": "\n".join(filter(None, (_columns(model), labels_comment(model.classes, n))))}
    n_inputs = model.preparation.n_features_in_
    return sources(name, model.members[0], what=model.summary, row="double", n_inputs=n_inputs, **parts)


def note(model: TableModel) -> str:
    """Return a note on the memory that the functions take."""
    rom = sum(array.nbytes for array in _arrays(model).values())
    ram = model.params.itemsize * sum(_buffers(model).values())
    return f"ROM: {rom:,} bytes of constants, besides the code. RAM: {ram:,} bytes of buffers, besides the stack."


def _buffers(model: TableModel) -> dict[str, int]:
    """Return the sizes of the buffers by their names: the inputs, hidden layers in turn, and the outputs."""
    network = model.network
    hidden = {name: size for name, size in zip(("a0", "a1"), hidden_buffers(network), strict=True) if size}
    return {"inputs": network.n_inputs, **hidden, "z": network.n_outputs}


def _arrays(model: TableModel) -> dict[str, Array]:
    """Return the constants, by their names."""
    p = model.preparation
    of_columns = {"places": np.array(p.number_columns_, np.int32), "has_gaps": p.has_gaps_.astype(np.int32)}
    unused = () if p.imputation_.any() else ("imputation",)
    arrays = (of_columns | model.constants).items()
    return {name: array for name, array in arrays if array.size and name not in unused}


def _layers(model: TableModel) -> list[str]:
    """Return the lines that compute a member's outputs z."""
    layers = model.network.layers
    weights = [f"W{k} + m * {layer.fan_in * layer.fan_out}" for k, layer in enumerate(layers)]
    biases = [f"b{k} + m * {layer.fan_out}" for k, layer in enumerate(layers)]
    return [f"    {line}" for line in layer_calls(model.network, weights, biases, "inputs", "z")]


def _preparation(model: TableModel) -> str:
    """Return the function `prepare`, and before it `one_of` if it calls that."""
    p, k = model.preparation, len(model.preparation.number_columns_)
    guesses = GUESSES.format(k=k, rounds=ROUNDS) if p.imputation_.any() else ""
    numbers = NUMBERS.format(k=k, limit=LIMIT, bound=LARGEST_SCALED, guesses=guesses) if k else ""
    words = "".join(f"    {_word(levels)};\n" for levels in p.levels_)
    if not numbers and not words:
        words = "    (void)x;\n    inputs[n++] = 0.0f;\n"
    text = PREPARATION.format(numbers=numbers, words=words)
    return (ONE_OF if "one_of" in words else "") + text


def _word(levels: Levels) -> str:
    """Return the statement that writes the inputs of a column of words."""
    x = f"x[{levels.column}]"
    if levels.is_one_number:
        return f"inputs[n++] = {x} == 0.0 ? -1.0f : {x} == 1.0 ? 1.0f : 0.0f"
    return f"n += one_of(inputs + n, {x}, {levels.width})"


def _columns(model: TableModel) -> str:
    """Return the header's comment on what a row holds."""
    names, numbers, words, lines = model.names, set(model.preparation.number_columns_), model.levels, []
    for j in range(model.preparation.n_features_in_):
        if j in numbers:
            what = "a number, NaN where it is missing"
        elif j in words:
            levels = words[j]
            codes = [f"{k} {level!r}" for k, level in enumerate(levels.levels)]
            codes += [f"{len(codes)} another word"] if levels.has_rest else []
            what = ", ".join(codes) + ("; NaN where it is missing" if levels.has_rest else "; NaN for any other")
        else:
            what = "not looked at"
        head = f"x[{j}]" if names is None else f"x[{j}], {names[j]!r}"
        wrapped = textwrap.wrap(f"{head}: {what}", 110, subsequent_indent="    ", break_on_hyphens=False)
        lines += [f"\n   {line}" for line in wrapped]
    return comment("\n\n   A row is" + "".join(lines))
