"""Trained networks to export, one for each activation and kind of bias, and rows to compare
predictions on."""

import runpy

import numpy as np
import pytest
from numpy.random import RandomState

from fastnn import ACTIVATIONS, SGD, Elu, LeakyRelu, Network, train
from fastnn.testing import tolerances


def every_operation(z):
    """An activation by each operation that a formula of a user's has."""
    soft = np.logaddexp(0, z) - np.log1p(z * z) + np.log(2 + abs(z)) / (1 + np.exp(-z))
    small = np.expm1(-z * z) + np.exp(-abs(z)) / (2 + z * z)
    return np.where((z > -1) & ~(z > 3), np.tanh(soft), -np.sqrt(1 + z**2)) + small


def leaky(z):
    return np.maximum(z, 0.1 * z)


def bent(z):
    return z * 0.5 + np.clip(z, -1, 0.25)


HIDDEN = [name for name, line in ACTIVATIONS.items() if line.hidden]
NETWORKS = {
    **{name: Network((5, 16, 8, 3), name) for name in HIDDEN},
    "parameters": Network((5, 16, 7, 3), (LeakyRelu(0.3), Elu(0.25)), Elu(1.5)),
    **{f"output {name}": Network((5, 16, 3), "tanh", name) for name in ACTIVATIONS},
    "scalar biases": Network((5, 16, 3), "relu", bias="scalar"),
    "no biases": Network((5, 16, 3), "relu", bias="none"),
    "one layer": Network((5, 3)),
    "functions": Network((5, 16, 7, 3), (every_operation, leaky), bent),
}

EVERYTHING = Network((5, *[6] * len(HIDDEN), 4), tuple(HIDDEN), "exp")
"""A network with every hidden activation, one a layer."""


def rows(dtype=np.float64, n=500):
    """Rows (n, 5) of all sizes that inputs have, zeros among them."""
    random_state = RandomState(1)
    X = random_state.randn(n, 5) * 10.0 ** random_state.uniform(-3, 1, (n, 1))
    X[random_state.rand(n, 5) < 0.1] = 0
    return X.astype(dtype)


def trained(network, dtype, backend="numba"):
    """A training of one step from drawn weights."""
    random_state = RandomState(0)
    X = random_state.randn(20, network.n_inputs).astype(dtype)
    Y = random_state.uniform(0.1, 0.9, (20, network.n_outputs))
    Y /= Y.sum(axis=1, keepdims=True)
    return train(
        network, X, Y, epochs=1, batch_size=None, optimizer=SGD(0.01), seed=0, backend=backend
    )


def module_of(model, folder):
    """The names of the Python module that a model is exported to."""
    model.export(folder / "net.py")
    return runpy.run_path(folder / "net.py")


def onnx_session(graph):
    """What computes a graph, by its file or its bytes, by ONNX Runtime in one thread."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def onnx_outputs(graph, X):
    """The outputs of a graph for rows, by their names."""
    session = onnx_session(graph)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": X}), strict=True))


def assert_same(actual, expected, what):
    """Outputs of an exported network are ours, within the tolerance of exports; return the largest
    part of it."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    return tolerances.assert_within(
        actual, expected, tolerances.export_bound(expected), what, "our own prediction"
    )
