"""The format "onnx": a graph of basic operators, which ONNX Runtime computes in the dtype of the
weights.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import __version__
from fastnn.checking.hints import missing_package
from fastnn.files.export import Model, formula, label_list, layers_of
from fastnn.losses import GELU_CUBIC, GELU_SCALE, SELU_ALPHA, SELU_SCALE

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
        array = (
            np.asarray(value, self.dtype)
            if isinstance(value, float)
            else np.ascontiguousarray(value)
        )
        if array.dtype.kind == "U":
            array = array.astype(object)
        name = self._unique(name)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str | float, output: str = "", **attributes: Any) -> str:
        """Add a node of names and numbers, and return the name of its output."""
        names = [self.constant(value) if isinstance(value, float) else value for value in inputs]
        output = output or self._unique(operator.lower())
        self.nodes.append(helper.make_node(operator, names, [output], **attributes))
        return output


Formula = Callable[..., str]
"""A function (graph, z) that adds nodes for a of the values with the name z, and returns the name
of a; parameters of the activation go in by their names."""


def _gated(g: Graph, z: str, u: str) -> str:
    return g.add("Mul", z, g.add("Sigmoid", u))


def _leaky_relu(g: Graph, z: str, slope: float) -> str:
    return g.add("Max", z, g.add("Mul", z, slope))  # slope is at most 1


def _elu(g: Graph, z: str, alpha: float) -> str:
    """``max(z, 0) + alpha (exp(m) - 1)``, m = min(z, 0), where no digits get lost: it is
    ``tanh(m/2) (exp(m) + 1)``.
    """
    m = g.add("Min", z, 0.0)
    grown = g.add("Mul", g.add("Tanh", g.add("Mul", m, 0.5)), g.add("Add", g.add("Exp", m), 1.0))
    return g.add("Add", g.add("Max", z, 0.0), g.add("Mul", grown, alpha) if alpha != 1 else grown)


def _selu(g: Graph, z: str) -> str:
    return g.add("Mul", _elu(g, z, SELU_ALPHA), SELU_SCALE)


def _softplus(g: Graph, z: str) -> str:
    """``max(z, 0) + log1p(e)``, e = exp(-|z|), as ``log(u) e / (u - 1)``, u = 1 + e, where no
    digits get lost.

    Goldberg, What every computer scientist should know about floating-point arithmetic, 1991,
    theorem 4.
    """
    e = g.add("Exp", g.add("Neg", g.add("Abs", z)))
    u = g.add("Add", e, 1.0)
    exact = g.add("Div", g.add("Mul", g.add("Log", u), e), g.add("Sub", u, 1.0))
    log1p = g.add("Where", g.add("Equal", u, 1.0), e, exact)
    return g.add("Add", g.add("Max", z, 0.0), log1p)


def _gelu(g: Graph, z: str) -> str:
    cube = g.add("Mul", g.add("Mul", z, z), z)
    return _gated(g, z, g.add("Mul", g.add("Add", z, g.add("Mul", cube, GELU_CUBIC)), GELU_SCALE))


FORMULAS: dict[str, Formula] = {
    "identity": lambda g, z: z,
    "sigmoid": lambda g, z: g.add("Sigmoid", z),
    "tanh": lambda g, z: g.add("Tanh", z),
    "relu": lambda g, z: g.add("Relu", z),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "silu": lambda g, z: _gated(g, z, z),
    "gelu": _gelu,
    "softmax": lambda g, z: g.add("Softmax", z, axis=1),
    "exp": lambda g, z: g.add("Exp", z),
    "mish": lambda g, z: g.add("Mul", z, g.add("Tanh", _softplus(g, z))),
}
"""ONNX Runtime has no LeakyRelu, Elu, Selu, Softplus and Gelu of float64: they are made of what it
has."""


def add_network(g: Graph, model: Model, a: str) -> str:
    """Add the layers of a network to a graph, and return the name of the outputs (n, n_outputs)."""
    for W, b, activation in layers_of(model):
        a = g.add("MatMul", a, g.constant(W, "weights"))
        a = a if b is None else g.add("Add", a, g.constant(b, "biases"))
        make, numbers = formula(FORMULAS, activation, "onnx")
        a = make(g, a, **numbers)
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
    classes = np.array(label_list(model.classes) * (2 if len(model.classes) == 1 else 1))
    if n == 1:
        a = g.add("Concat", g.add("Sub", g.constant(1.0), a), a, axis=1)
        n = 2
    label = g.add("Gather", g.constant(classes, "classes"), g.add("ArgMax", a, axis=1, keepdims=0))
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
