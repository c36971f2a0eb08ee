"""The format "onnx": what ONNX Runtime computes of it, and what is in the graph."""

import importlib

import numpy as np
import pytest
from exported import NETWORKS, assert_same, rows, trained

from fastnn import reference

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
to_onnx = importlib.import_module("fastnn.files.to_onnx")


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_computes_what_we_do(tmp_path, name, dtype):
    result = trained(NETWORKS[name], dtype)
    result.export(tmp_path / "net.onnx")
    session = session_of(tmp_path / "net.onnx")
    for X in (rows(dtype), rows(dtype)[:1]):
        (output,) = session.run(["output"], {"X": X})
        assert_same(output, result.predict(X), name)


@pytest.mark.parametrize("name", ["elu", "selu", "softplus"])
def test_small_outputs_keep_their_digits(tmp_path, name):
    """expm1 and log1p are made of operators that ONNX has, with relative errors of some eps."""
    z = -(2.0 ** np.arange(-40, 6, 0.25))
    z = np.r_[z, -z][:, None]
    (tmp_path / "net.onnx").write_bytes(_one_activation(name))
    (a,) = session_of(tmp_path / "net.onnx").run(None, {"z": z})
    expected = reference.ACTIVATION_FUNCTIONS[name].value(z)
    np.testing.assert_allclose(a, expected, rtol=30 * np.finfo(np.float64).eps)


def _one_activation(name):
    g = to_onnx.Graph(np.dtype(np.float64))
    make, numbers = to_onnx.formula(to_onnx.FORMULAS, name, "onnx")
    g.add("Identity", make(g, "z", **numbers), output="a")
    values = [onnx.helper.make_tensor_value_info(v, onnx.TensorProto.DOUBLE, ["n", 1]) for v in "za"]
    graph = onnx.helper.make_graph(g.nodes, "one", values[:1], values[1:], g.constants)
    opset = [onnx.helper.make_opsetid("", to_onnx.OPSET)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=to_onnx.IR_VERSION).SerializeToString()


def test_the_graph_says_what_it_is(tmp_path):
    trained(NETWORKS["selu"], np.float32).export(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert (model.ir_version, model.producer_name) == (7, "fastnn")
    assert model.graph.doc_string == "A network 5-16-8-3 (selu, selu, identity), float32."
    (graph_input,), (graph_output,) = model.graph.input, model.graph.output
    assert (graph_input.name, graph_output.name) == ("X", "output")
    sizes = [[d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim] for v in (graph_input, graph_output)]
    assert sizes == [["n", 5], ["n", 3]]
