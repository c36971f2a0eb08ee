"""The formats "numpy", "onnx" and "safetensors": they predict what we do; damaged files are
refused."""

import json

import numpy as np
import pytest
from bits import assert_same_bits, bits
from exported import NETWORKS, assert_same, module_of, onnx_outputs, rows, trained
from numpy.testing import assert_allclose
from survival import python

from fastnn import ModelFileError, Network, load, reference, train


def by_module(result, folder):
    return module_of(result, folder)["predict"]


def by_onnx_runtime(result, folder):
    pytest.importorskip("onnx")
    result.export(folder / "net.onnx")
    return lambda X: onnx_outputs(folder / "net.onnx", X)["output"]


@pytest.mark.parametrize("function", [by_module, by_onnx_runtime])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_predicts_what_we_do(tmp_path, name, function, dtype):
    result = trained(NETWORKS[name], dtype)
    X = rows(dtype)
    predict = function(result, tmp_path)
    assert_same(predict(X), result.predict(X), name)
    assert_same(predict(X[:1]), result.predict(X[:1]), name)


def test_the_module_needs_numpy_alone_and_takes_lists(tmp_path):
    predict = by_module(trained(NETWORKS["gelu"], np.float32), tmp_path)
    x = np.ones((1, 5), np.float32)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.modules['fastnn'] = None; "
        f"import net, numpy as np"
    )
    told = python(code + "; print(net.predict(np.ones((1, 5), np.float32)).tobytes().hex())")
    assert told == [predict(x).tobytes().hex()]
    assert_same_bits(predict(x.tolist()), predict(x))
    for shape in ((5,), (2, 4), (1, 2, 5)):
        with pytest.raises(ValueError, match=r"X must have the shape \(n, 5\), not \("):
            predict(np.ones(shape))


@pytest.mark.parametrize("name", ["elu", "selu", "softplus"])
def test_small_outputs_keep_their_digits_in_onnx(tmp_path, name):
    """expm1 and log1p are made of operators that ONNX has, with relative errors of some eps."""
    pytest.importorskip("onnx")
    train(Network((1, 1), output=name), [[0.0]], [[0.0]], epochs=0, params=[1, 0]).export(
        tmp_path / "net.onnx"
    )
    z = -(2.0 ** np.arange(-40, 6, 0.25))
    z = np.r_[z, -z][:, None]
    expected = reference.ACTIVATION_FUNCTIONS[name].value(z)
    found = onnx_outputs(tmp_path / "net.onnx", z)["output"]
    assert_allclose(found, expected, rtol=30 * np.finfo(np.float64).eps)


def test_the_graph_says_what_it_is(tmp_path):
    onnx = pytest.importorskip("onnx")
    trained(NETWORKS["selu"], np.float32).export(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    assert (model.ir_version, model.producer_name) == (7, "fastnn")
    assert model.graph.doc_string == "A network 5-16-8-3 (selu, selu, identity), float32."
    shapes = {
        v.name: v.type.tensor_type.shape.dim for v in (*model.graph.input, *model.graph.output)
    }
    found = {name: [d.dim_value or d.dim_param for d in dims] for name, dims in shapes.items()}
    assert found == {"X": ["n", 5], "output": ["n", 3]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("name", NETWORKS)
def test_it_comes_back(path, name, dtype):
    result = trained(NETWORKS[name], dtype)
    assert result.export(path) == [path]
    loaded = load(path)
    assert loaded.network == result.network
    assert_same_bits(loaded.params, result.params)
    assert_same_bits(loaded.predict(rows(dtype)), result.predict(rows(dtype)))


@pytest.mark.parametrize("name", ["tanh", "scalar biases", "no biases"])
def test_other_programs_read_and_write_it(path, name, dtype):
    safetensors = pytest.importorskip("safetensors")
    numpy = pytest.importorskip("safetensors.numpy")
    result = trained(NETWORKS[name], dtype)
    result.export(path)
    tensors = numpy.load_file(path)
    biases = {f"layers.{i}.bias": b for i, b in enumerate(result.biases) if b.size}
    expected = {f"layers.{i}.weight": W for i, W in enumerate(result.weights)} | biases
    assert {name: bits(tensor) for name, tensor in tensors.items()} == {
        name: bits(a) for name, a in expected.items()
    }
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert json.loads(metadata["fastnn"])["network"] == result.network.to_dict()
    numpy.save_file(dict(reversed(tensors.items())), path, metadata)
    assert_same_bits(load(path).params, result.params)


def parts_of(content):
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def whole(header, data):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def described(header, **changes):
    header["__metadata__"]["fastnn"] = json.dumps(
        json.loads(header["__metadata__"]["fastnn"]) | changes
    )


CHANGES = {
    "no description": lambda h: h.pop("__metadata__"),
    "another description": lambda h: h["__metadata__"].update(fastnn="[]"),
    "another network": lambda h: described(h, network=Network((3, 3)).to_dict()),
    "many layers": lambda h: described(h, network={"sizes": [1] * 10_000}),
    "another dtype": lambda h: described(h, dtype="float64"),
    "no dtype": lambda h: described(h, dtype="object"),
    "a missing tensor": lambda h: h.pop("layers.0.bias"),
    "another tensor": lambda h: h.update(more=h.pop("layers.0.bias")),
    "another shape": lambda h: h["layers.0.weight"].update(shape=[16, 5]),
    "another type": lambda h: h["layers.0.weight"].update(dtype="F64"),
    "other places": lambda h: h["layers.0.weight"].update(data_offsets=[4, 324]),
    "places outside": lambda h: h["layers.0.weight"].update(data_offsets=[10**6, 10**6 + 320]),
    "no places": lambda h: h["layers.0.weight"].update(data_offsets=None),
    "huge places": lambda h: h["layers.0.weight"].update(data_offsets=[0, 10**30]),
}


@pytest.mark.parametrize("case", CHANGES)
def test_headers_that_do_not_fit_are_refused(path, case):
    trained(NETWORKS["output tanh"], np.float32).export(path)
    header, data = parts_of(path.read_bytes())
    CHANGES[case](header)
    path.write_bytes(whole(header, data))
    with pytest.raises(
        ModelFileError, match=r"net.safetensors: (damaged|a safetensors file of something else)"
    ):
        load(path)


def test_damaged_files_are_refused(path):
    trained(NETWORKS["tanh"], np.float32).export(path)
    content = path.read_bytes()
    header, data = parts_of(content)
    path.write_bytes(whole(header, b"\x7f" * len(data)))
    load(path)
    nested = b'{"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    parts = (content[:n] for n in (0, 4, 8, 9, 100, len(content) // 2, len(content) - 1))
    for damaged, match in (
        *((part, "damaged|not a fastnn file|its header is too long") for part in parts),
        (whole(header, b"\xff" * len(data)), "its weights must be finite"),
        ((1 << 40).to_bytes(8, "little") + content[8:], "its header is too long"),
        (len(nested).to_bytes(8, "little") + nested, "its header is nested too deeply"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match=match):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(path.parent / "nothing.safetensors")
