"""The format "onnx": a graph of basic operators, which ONNX Runtime computes in the dtype of the
weights.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import __version__
from fastnn.checking.hints import missing_package
from fastnn.files.export import Model, label_list, layers_of
from fastnn.formulas import Formula
from fastnn.losses import formula_alone
from fastnn.memory import Array

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError as error:
    raise missing_package("onnx", "the format onnx needs") from error

OPSET = 13
IR_VERSION = 7
"""Of ONNX 1.8 (2020): later ones have nothing that is needed here."""

ML_OPSET = 1
"""Of the operators of the domain ai.onnx.ml."""


class Graph:
    """The nodes and constants of a graph, and unique names for its values.

    Parameters
    ----------
    dtype : numpy.dtype
        Of numbers that are written as Python's.
    unique : callable
        Makes a name unique.
    """

    def __init__(self, dtype: np.dtype[Any], unique: Callable[[str], str] | None = None) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._unique = unique or (lambda name: f"{name}_{len(self.nodes) + len(self.constants)}")

    def constant(self, value: Any, name: str = "constant") -> str:
        """Add a number or an array, and return its name."""
        if isinstance(value, float):
            array = np.asarray(value, self.dtype)
        else:
            array = np.ascontiguousarray(value)
        if array.dtype.kind == "U":
            array = array.astype(object)
        name = self._unique(name)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(
        self, operator: str, *inputs: str | float | Array, output: str = "", **attributes: Any
    ) -> str:
        """Add a node of names, numbers and arrays, and return the name of its output."""
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = output or self._unique(operator.lower())
        self.nodes.append(helper.make_node(operator, names, [output], **attributes))
        return output


def _log1p(g: Graph, x: str) -> str:
    """``log(1 + x)`` as ``log(u) x / (u - 1)``, u = 1 + x, and x where u is 1: no digits get lost.

    Goldberg, What every computer scientist should know about floating-point arithmetic, 1991,
    theorem 4.
    """
    u = g.add("Add", x, 1.0)
    product = g.add("Mul", g.add("Log", u), x)
    quotient = g.add("Div", product, g.add("Sub", u, 1.0))
    return g.add("Where", g.add("Equal", u, 1.0), x, quotient)


def _softplus(g: Graph, z: str) -> str:
    """``max(z, 0) + log1p(e)``, e = exp(-|z|)."""
    e = g.add("Exp", g.add("Neg", g.add("Abs", z)))
    return g.add("Add", g.add("Max", z, 0.0), _log1p(g, e))


def _expm1(g: Graph, x: str) -> str:
    """``exp(x) - 1``, where no digits get lost: it is ``tanh(x/2) (exp(x) + 1)``."""
    half = g.add("Tanh", g.add("Mul", x, 0.5))
    return g.add("Mul", half, g.add("Add", g.add("Exp", x), 1.0))


def _where_gt(g: Graph, x: str, y: str, p: str, q: str) -> str:
    if (x, y) == (p, q):
        return g.add("Max", x, y)
    return g.add("Where", g.add("Greater", x, y), p, q)


_MADE: dict[str, Callable[..., str]] = {
    "log1p": _log1p,
    "expm1": _expm1,
    "softplus": _softplus,
    "fma": lambda g, x, y, c: g.add("Add", g.add("Mul", x, y), c),
    "where_gt": _where_gt,
    **dict.fromkeys(("flush", "bounded", "probability"), lambda g, x: x),
}
"""{operation of a formula that is not one of ONNX: its function}."""


def _of_formula(g: Graph, z: str, formula: Formula | None) -> str:
    """Add the operations of a formula of z, None for softmax, and return the name of its result."""
    if formula is None:
        return g.add("Softmax", z, axis=1)
    names: list[str] = []
    for name, *rest in formula.nodes:
        if name == "input":
            names.append(z)
        elif name == "number":
            names.append(g.constant(rest[0]))
        else:
            operands = [names[place] for place in rest]
            if name in _MADE:
                names.append(_MADE[name](g, *operands))
            else:
                names.append(g.add(name.capitalize(), *operands))
    return names[formula.results[0]]


def add_network(g: Graph, model: Model, a: str) -> str:
    """Add the layers of a network to a graph, and return the name of the outputs (n, n_outputs)."""
    for W, b, activation in layers_of(model):
        a = g.add("MatMul", a, g.constant(W, "weights"))
        a = a if b is None else g.add("Add", a, g.constant(b, "biases"))
        a = _of_formula(g, a, formula_alone(activation))
    return a


def add_results(g: Graph, model: Model, a: str) -> dict[str, tuple[str, Any, list[int]]]:
    """Add the predictions from the outputs; return {name: (value, dtype, shape of a row)} of the
    graph's results.
    """
    n = model.network.n_outputs
    dtype = g.dtype
    if model.task == "outputs":
        return {"output": (a, dtype, [n])}
    if model.task == "numbers":
        return {"variable": (a, dtype, [n])}
    if model.task == "multilabel":
        yes = g.add("Cast", g.add("Greater", a, 0.5), to=onnx.TensorProto.INT64)
        return {"label": (yes, np.dtype(np.int64), [n]), "probabilities": (a, dtype, [n])}
    assert model.classes is not None
    labels = label_list(model.classes)
    classes = np.array(labels * 2 if len(labels) == 1 else labels)
    if n == 1:
        a = g.add("Concat", g.add("Sub", 1.0, a), a, axis=1)
        n = 2
    place = g.add("ArgMax", a, axis=1, keepdims=0)
    label = g.add("Gather", g.constant(classes, "classes"), place)
    return {"label": (label, classes.dtype, []), "probabilities": (a, dtype, [n])}


def contents(model: Model, name: str) -> dict[str, bytes]:
    """Return the graph's bytes."""
    g = Graph(model.params.dtype)
    results = add_results(g, model, add_network(g, model, "X"))
    inputs = [value_info("X", g.dtype, [model.network.n_inputs])]
    return {".onnx": graph_bytes(g, inputs, results, f"A network {model.summary}.")}


def graph_bytes(
    g: Graph, inputs: list[Any], results: dict[str, tuple[str, Any, list[int]]], about: str
) -> bytes:
    """Return the bytes of a graph with its inputs and its results, as of `add_results`."""
    outputs = []
    for result, (value, dtype, shape) in results.items():
        g.add("Identity", value, output=result)
        outputs.append(value_info(result, dtype, shape))
    graph = helper.make_graph(g.nodes, "fastnn", inputs, outputs, g.constants, about)
    domains = dict.fromkeys((node.domain for node in g.nodes), ML_OPSET) | {"": OPSET}
    opsets = [helper.make_opsetid(domain, opset) for domain, opset in domains.items()]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    made.producer_name = "fastnn"
    made.producer_version = __version__
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString())


def value_info(name: str, dtype: Any, shape: list[int]) -> Any:
    """Return an input or an output of a graph, of n rows."""
    kind = onnx.TensorProto.STRING if dtype.kind == "U" else helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, kind, ["n", *shape])
