"""The format "numpy": a module of Python with one function, which needs NumPy alone."""

import base64

from fastnn import __version__
from fastnn.files.export import Model, formula, from_template, label_list, layers_of
from fastnn.losses import GELU_CUBIC, GELU_SCALE, SELU_ALPHA, SELU_SCALE, Value
from fastnn.memory import Array

FORMULAS = {
    "identity": "z",
    "sigmoid": "1 / (1 + np.exp(-z))",
    "tanh": "np.tanh(z)",
    "relu": "np.where(z < 0, 0, z)",
    "leaky_relu": "np.where(z < 0, {slope!r} * z, z)",
    "elu": "np.where(z > 0, z, {alpha!r} * np.expm1(np.minimum(z, 0)))",
    "selu": f"{SELU_SCALE!r} * np.where(z > 0, z, {SELU_ALPHA!r} * np.expm1(np.minimum(z, 0)))",
    "softplus": "np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))",
    "silu": "z / (1 + np.exp(-z))",
    "gelu": f"z / (1 + np.exp(-{GELU_SCALE!r} * (z + {GELU_CUBIC!r} * z * z * z)))",
    "softmax": (
        "np.exp(z - z.max(axis=1, keepdims=True))\n        a /= a.sum(axis=1, keepdims=True)"
    ),
    "exp": "np.exp(z)",
    "mish": "z * np.tanh(np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))))",
}
"""Formulas as in `fastnn/reference.py`, of real z (n, fan_out), with the names of parameters in
braces."""

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


def formula_text(activation: str | Value) -> str:
    """Return the formula of an activation in NumPy's words."""
    text, numbers = formula(FORMULAS, activation, "numpy")
    return str(text.format(**numbers))


def contents(model: Model, name: str) -> dict[str, bytes]:
    """Return the module's text."""
    network = model.network
    dtype = model.params.dtype
    arrays = ""
    layers = ""
    for i, (W, b, activation) in enumerate(layers_of(model)):
        arrays += literal(f"W{i}", W) + ("" if b is None else literal(f"b{i}", b))
        layers += f"        z = a @ W{i}{'' if b is None else f' + b{i}'}\n"
        layers += f"        a = {formula_text(activation)}\n"
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
    head = {"summary": model.summary, "version": __version__, "dtype": dtype}
    function = "predict_proba" if classifies else "predict"
    parts = {
        "arrays": arrays,
        "layers": layers.rstrip("\n"),
        "name": function,
        "what": what,
        "result": result,
    }
    text = from_template("network.py.txt", **head, **parts, **sizes)
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
    lines = "\n".join(f'    "{data[at : at + 100]}"' for at in range(0, max(len(data), 1), 100))
    return (
        f"{name} = _array(\n{lines},\n    "
        f"{', '.join([repr(dtype.str), *map(str, array.shape)])},\n)\n"
    )
