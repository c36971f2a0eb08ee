"""What an exported estimator of tables puts out, in C and in ONNX Runtime."""

import ctypes
import subprocess

import numpy as np
import pandas as pd
from exported import onnx_session
from in_c import WARNINGS

STRICT = ["-O2", "-ffp-contract=off", *WARNINGS]


def in_numbers(model, X):
    """A table as C takes it: an array (n, n_columns) with levels by their numbers."""
    table = pd.DataFrame(X)
    columns = [column.tolist() for _, column in table.items()]
    rows = np.full(table.shape, np.nan)
    for j in model.preparation_.number_columns_:
        rows[:, j] = [np.nan if pd.isna(value) else float(value) for value in columns[j]]
    for levels in model.preparation_.levels_:
        number_of = {level: k for k, level in enumerate(levels.levels)}
        rest = len(number_of) if levels.has_rest else np.nan
        for row, word in zip(rows, columns[levels.column], strict=True):
            if not pd.isna(word):
                row[levels.column] = number_of.get(word, rest)
    return rows


def library_of(model, folder, *flags, **options):
    """The library that net.c becomes, the export of a model."""
    model.export(folder / "net.c", **options)
    command = ["cc", *STRICT, *flags, "-shared", "-fPIC", "-o", "net.so", "net.c", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "net.so"))


def outputs_in_c(library, rows, shape):
    """The outputs of this shape for rows as C takes them."""
    out = np.full(shape, 7.0)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (rows, out)]
    library.net_predict_batch(ctypes.c_size_t(len(rows)), *pointers)
    return out


def outputs_in_onnx(graph, model, X):
    """The outputs of a graph for a table: words go in as texts, and a gap as one of no level."""
    session = onnx_session(graph)
    rows = in_numbers(model, X)
    levels_of = {levels.column: levels.levels for levels in model.preparation_.levels_}
    place_of = {str(name): j for j, name in enumerate(pd.DataFrame(X).columns)}
    fed = {}
    for one in session.get_inputs():
        if one.type == "tensor(string)":
            levels = levels_of[place_of[one.name]]
            text_of = {level: str(level) for level in levels}  # 1.0 is the level 1
            gap = "a gap" if "" in levels else ""
            words = X.iloc[:, place_of[one.name]]
            texts = [gap if pd.isna(word) else text_of.get(word, "unknown") for word in words]
            fed[one.name] = np.array(texts, object)[:, None]
        else:
            fed[one.name] = rows[:, [place_of[one.name]]] if levels_of else rows
    return session.run(None, fed)
