"""The format "numpy" of tables: a module of Python that takes tables as they are, and needs NumPy alone."""

from __future__ import annotations

import numpy as np

from fastnn import __version__
from fastnn.files.export import from_template, label_list
from fastnn.files.to_numpy import literal, text_of
from fastnn.memory import Array
from fastnn.tabular.export import TableModel
from fastnn.tabular.preparation import LIMIT, ROUNDS

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
    text = from_template(
        "table.py.txt",
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
