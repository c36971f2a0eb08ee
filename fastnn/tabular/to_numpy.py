"""The format "numpy" of tables: a module of Python that takes tables as they are, and needs NumPy alone."""

from __future__ import annotations

import numpy as np

from fastnn import __version__
from fastnn.files.export import label_list
from fastnn.files.to_numpy import literal, text_of
from fastnn.memory import Array
from fastnn.tabular.export import TableModel
from fastnn.tabular.preparation import LIMIT, ROUNDS

MODULE = '''\
"""{summary}, written by fastnn {version}. It needs NumPy alone."""

import base64

import numpy as np


def _array(text, dtype, *shape):
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


NAMES = {names!r}
NUMBERS = {numbers!r}  # places of the columns of numbers
LEVELS = {levels!r}  # place of a column of words: levels, whether others are one more, whether it is one number
{arrays}

def _is_gap(value):
    return type(value).__name__ in ("NoneType", "NAType") or value != value


def _columns(X):
    if NAMES and (hasattr(X, "columns") or isinstance(X, dict)):
        if lacking := [name for name in NAMES if name not in X]:
            raise ValueError(f"X lacks the columns {{lacking}}")
        return [list(X[name]) for name in NAMES]
    rows = np.asarray(X, object)
    if rows.ndim != 2 or rows.shape[1] != {n_features}:
        raise ValueError(f"X must have the shape (n, {n_features}), not {{rows.shape}}")
    return rows.T.tolist()


def _prepared(X):
    """Return the inputs (n, {n_inputs}) of the networks."""
    columns = _columns(X)
    for j, values in enumerate(columns):
        texts = {{isinstance(value, str) for value in values if not _is_gap(value)}}
        if j in NUMBERS and True in texts:
            raise ValueError(f"column {{j}} of X holds words where it held numbers")
        if j in LEVELS and texts and texts.isdisjoint(isinstance(level, str) for level in LEVELS[j][0]):
            raise ValueError(f"column {{j}} of X holds words where it held none, or the reverse")
    numbers = [[np.nan if _is_gap(value) else value for value in columns[j]] for j in NUMBERS]
    z = np.array(numbers, float).reshape(len(NUMBERS), len(columns[0])).T
    if np.isinf(z).any():
        raise ValueError("X holds infinity")
    z = np.clip((z - CENTERS) * FACTORS, -1e9, 1e9)
    z = z / np.sqrt(1 + (z / {limit}) ** 2)
    gaps = np.isnan(z)
    rest = np.where(gaps, 0, z - MEANS)
    for _ in range({rounds}):
        rest = np.where(gaps, rest @ IMPUTATION, rest)
    parts = [np.where(gaps, rest + MEANS, z), gaps[:, HAS_GAPS]]
    for j, (levels, has_rest, is_one_number) in LEVELS.items():
        code = {{level: k for k, level in enumerate(levels)}}
        rest = len(levels) if has_rest else -1
        codes = np.array([-1 if _is_gap(value) else code.get(value, rest) for value in columns[j]])[:, None]
        one = codes == np.arange(len(levels) + has_rest)
        parts.append(one[:, 1:] * 1 - one[:, :1] if is_one_number else one)
    inputs = np.concatenate(parts, axis=1).astype(np.float32)
    return inputs if inputs.size else np.zeros((len(inputs), 1), np.float32)


def {name}(X):
    """Return the {what} for X: rows of {n_features} columns{or_frame}, None or NaN where something is missing."""
    total, inputs = 0.0, _prepared(X)
    with np.errstate(over="ignore"):
        for m in range({n_members}):
            a = inputs
{layers}
            total = total + a.astype(float)
    mean = total / {n_members}
{end}
'''

TARGETS = """\
    y = np.clip(mean * DEVIATIONS + AVERAGES, LEAST, LARGEST)
    return {result}"""

PROBABILITIES = '''\
    rest = np.maximum(mean - {offset!r}, {least!r})
    return rest / rest.sum(axis=1, keepdims=True)


CLASSES = np.array({classes!r})


def predict(X):
    """Return the labels (n,) for X."""
    return CLASSES[predict_proba(X).argmax(axis=1)]'''


def contents(model: TableModel, name: str) -> dict[str, bytes]:
    """Return the module's text."""
    p, network = model.preparation, model.network
    arrays: dict[str, Array] = {"CENTERS": p.centers_, "FACTORS": p.factors_, "MEANS": p.means_}
    arrays |= {"IMPUTATION": p.imputation_, "HAS_GAPS": p.has_gaps_}
    layers = ""
    for k, activation in enumerate(network.activations):
        arrays[f"W{k}"] = np.array([network.weights(params)[k] for params in model.params])
        arrays[f"b{k}"] = np.array([network.biases(params)[k] for params in model.params])
        lines = text_of(activation).replace("\n", "\n    ")
        layers += f"            z = a @ W{k}[m] + b{k}[m]\n            a = {lines}\n"
    if model.scaling is not None:
        arrays |= dict(zip(("AVERAGES", "DEVIATIONS", "LEAST", "LARGEST"), model.scaling, strict=True))
        end = TARGETS.format(result="y[:, 0]" if model.one_target else "y")
        what = "numbers (n,)" if model.one_target else f"numbers (n, {network.n_outputs})"
    else:
        assert model.unsmoothing is not None
        assert model.classes is not None
        offset, least = model.unsmoothing
        end = PROBABILITIES.format(offset=offset, least=least, classes=label_list(model.classes))
        what = f"probabilities (n, {network.n_outputs})"
    text = MODULE.format(
        summary=model.summary,
        version=__version__,
        names=model.names,
        numbers=p.number_columns_,
        levels={j: tuple(levels[1:]) for j, levels in model.levels.items()},
        arrays="".join(literal(key, array) for key, array in arrays.items()),
        n_features=p.n_features_in_,
        n_inputs=network.n_inputs,
        limit=LIMIT,
        rounds=ROUNDS,
        name="predict" if model.classes is None else "predict_proba",
        what=what,
        or_frame=", a data frame or a dict of columns" if model.names else "",
        n_members=len(model.params),
        layers=layers.rstrip("\n"),
        end=end,
    )
    return {".py": text.encode()}
