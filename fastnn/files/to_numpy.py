"""The format "numpy": a module of Python with one function, which needs NumPy alone."""

import base64
from typing import Any

from fastnn import __version__
from fastnn.derivatives import with_derivative
from fastnn.files.export import Model, from_template, label_list, layers_of
from fastnn.formulas import pruned, statements
from fastnn.losses import Value, formula_alone
from fastnn.memory import Array

SOFTMAX = ["a = np.exp(z - z.max(axis=1, keepdims=True))", "a /= a.sum(axis=1, keepdims=True)"]

LABELS = '''

CLASSES = np.array({classes!r})


def predict(X):
    """Return the labels (n,) for X (n, {n_inputs})."""
    return CLASSES[predict_proba(X).argmax(axis=1)]
'''

MULTILABEL = '''

def predict(X):
    """Return 0 or 1 for each label (n, {n_outputs}) for X (n, {n_inputs})."""
    return (predict_proba(X) > 0.5).astype(int)
'''


def statements_of(activation: str | Value) -> list[str]:
    """Return the statements that make the activation a of z in NumPy's words."""
    formula = formula_alone(activation)
    if formula is None:
        return SOFTMAX
    lines, result = statements(formula)
    return [*lines, f"a = {result}"]


def jacobian_text(model: Model, **sizes: Any) -> str:
    """Return the function of the derivatives."""
    forward: list[str] = []
    backward: list[str] = []
    for i, (_, b, activation) in enumerate(layers_of(model)):
        z = f"z = a @ W{i}" + ("" if b is None else f" + b{i}")
        forward += [z, *statements_of(activation), "layers.append((z, a))"]
        formula = formula_alone(activation)
        lines: list[str] = []
        d = "a * (d - (d * a).sum(axis=1, keepdims=True))"  # softmax
        if formula is not None:
            both = with_derivative(formula, "z")
            lines, slope = statements(pruned(both.nodes, both.results[1:]))
            d = f"d * ({slope})"
        line = f"d = (({d}) @ W{i}.T).astype(d.dtype)"
        backward = [f"z, a = layers[{i}]", *lines, line, *backward]
    return from_template(
        "jacobian.py.txt",
        forward="\n".join(f"        {line}" for line in forward),
        backward="\n".join(f"            {line}" for line in backward),
        dtype=model.params.dtype,
        **sizes,
    )


def contents(model: Model, name: str) -> dict[str, bytes]:
    """Return the module's text."""
    network = model.network
    arrays = ""
    layers = ""
    for i, (W, b, activation) in enumerate(layers_of(model)):
        arrays += literal(f"W{i}", W) + ("" if b is None else literal(f"b{i}", b))
        layers += f"        z = a @ W{i}{'' if b is None else f' + b{i}'}\n"
        layers += "".join(f"        {line}\n" for line in statements_of(activation))
    classifies = model.task in ("labels", "multilabel")
    n_outputs = network.n_outputs
    result = "a"
    if model.task == "labels" and n_outputs == 1:
        n_outputs = 2
        result = "np.concatenate([1 - a, a], axis=1)"
    what = f"{'probabilities' if classifies else 'outputs'} (n, {n_outputs})"
    if model.task == "numbers" and n_outputs == 1:  # as the estimator does
        what = "outputs (n,)"
        result = "a[:, 0]"
    sizes = {"n_inputs": network.n_inputs, "n_outputs": n_outputs}
    text = from_template(
        "network.py.txt",
        summary=model.summary,
        version=__version__,
        dtype=model.params.dtype,
        arrays=arrays,
        layers=layers.rstrip("\n"),
        name="predict_proba" if classifies else "predict",
        what=what,
        result=result,
        **sizes,
    )
    if model.jacobian:
        text += jacobian_text(model, **sizes)
    if model.task == "multilabel":
        text += MULTILABEL.format(**sizes)
    elif model.classes is not None:
        labels = label_list(model.classes)
        text += LABELS.format(classes=labels * 2 if len(labels) == 1 else labels, **sizes)
    return {".py": text.encode()}


def literal(name: str, array: Array) -> str:
    """Return the line that makes an array."""
    dtype = array.dtype.newbyteorder("<")
    data = base64.b64encode(array.astype(dtype).tobytes()).decode()
    parts = [data[at : at + 100] for at in range(0, max(len(data), 1), 100)]
    lines = "\n".join(f'    "{part}"' for part in parts)
    kind = ", ".join([repr(dtype.str), *map(str, array.shape)])
    return f"{name} = _array(\n{lines},\n    {kind},\n)\n"
