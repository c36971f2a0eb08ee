"""The format "numpy" of tables: a module of Python that takes tables as they are, and needs NumPy
alone.
"""

import numpy as np

from fastnn import __version__
from fastnn.files.export import from_template, label_list
from fastnn.files.to_numpy import literal, statements_of
from fastnn.tabular.export import TableModel
from fastnn.tabular.preparation import LARGEST_SCALED, LIMIT, Levels

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
    p = model.preparation
    network = model.network
    arrays = {"HAS_GAPS": p.has_gaps_, "REFUSES_GAPS": model.refuses_gaps}
    arrays |= {name.upper(): array for name, array in model.constants.items()}
    layers = ""
    for k, activation in enumerate(network.activations):
        for line in [f"z = a @ W{k}[m] + B{k}[m]", *statements_of(activation)]:
            layers += f"            {line}\n"
    if model.classes is None:
        function = "predict"
        what = "numbers (n,)" if model.one_target else f"numbers (n, {network.n_outputs})"
        end = TARGETS.format(result="y[:, 0]" if model.one_target else "y")
    else:
        assert model.unsmoothing is not None
        function = "predict_proba"
        what = f"probabilities (n, {network.n_outputs})"
        labels = label_list(model.classes)
        end = PROBABILITIES.format(classes=labels, **model.unsmoothing._asdict())
    levels = ", ".join(f"{j}: {_levels_text(levels)}" for j, levels in model.levels.items())
    text = from_template(
        "table.py.txt",
        summary=model.summary,
        version=__version__,
        name=function,
        what=what,
        or_frame=", a data frame or a dict of columns" if model.names else "",
        n_features=p.n_features_in_,
        n_inputs=network.n_inputs,
        n_members=len(model.params),
        names=model.names,
        numbers=p.number_columns_,
        levels=f"{{{levels}}}",
        limit=LIMIT,
        bound=LARGEST_SCALED,
        arrays="".join(map(literal, arrays, arrays.values())),
        layers=layers.rstrip("\n"),
        end=end,
    )
    return {".py": text.encode()}


def _levels_text(levels: Levels) -> str:
    """Return what the module says of a column of words: plain literals, of which infinity has
    none.
    """
    texts = [
        f'float("{level}")' if level in (-np.inf, np.inf) else repr(level)
        for level in levels.levels
    ]
    return f"([{', '.join(texts)}], {levels.has_rest}, {levels.is_one_number})"
