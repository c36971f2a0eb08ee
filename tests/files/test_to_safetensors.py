"""The format "safetensors": it comes back exactly, other programs read it, and damaged files are refused."""

import json

import numpy as np
import pytest
from bits import bits
from exported import NETWORKS, rows, trained

from fastnn import ModelFileError, Network, load, train


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("name", NETWORKS)
def test_it_comes_back(path, name, dtype):
    result = trained(NETWORKS[name], dtype)
    assert result.export(path) == [path]
    loaded = load(path)
    assert loaded.network == result.network
    assert bits(loaded.params) == bits(result.params)
    assert bits(loaded.predict(rows(dtype))) == bits(result.predict(rows(dtype)))
    with pytest.raises(ValueError, match="no row order"):
        loaded.resume(rows(dtype), rows(dtype)[:, :3], epochs=1)


@pytest.mark.parametrize("name", ["tanh", "scalar biases", "no biases"])
def test_other_programs_read_and_write_it(path, name, dtype):
    safetensors = pytest.importorskip("safetensors")
    numpy = pytest.importorskip("safetensors.numpy")
    result = trained(NETWORKS[name], dtype)
    result.export(path)
    tensors = numpy.load_file(path)
    biases = {f"layers.{i}.bias": b for i, b in enumerate(result.biases) if b.size}
    expected = {f"layers.{i}.weight": W for i, W in enumerate(result.weights)} | biases
    assert {name: bits(tensor) for name, tensor in tensors.items()} == {name: bits(a) for name, a in expected.items()}
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert json.loads(metadata["fastnn"])["network"] == result.network.to_dict()
    numpy.save_file(dict(reversed(tensors.items())), path, metadata)
    assert bits(load(path).params) == bits(result.params)


def parts_of(content):
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def whole(header, data):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def described(header, **changes):
    said = json.loads(header["__metadata__"]["fastnn"]) | changes
    header["__metadata__"]["fastnn"] = json.dumps(said)


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
    with pytest.raises(ModelFileError, match=r"net.safetensors: (damaged|a safetensors file of something else)"):
        load(path)


def test_damaged_files_are_refused(path):
    trained(NETWORKS["tanh"], np.float32).export(path)
    content = path.read_bytes()
    for n in (0, 4, 8, 9, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:n])
        with pytest.raises(ModelFileError, match=r"damaged|not a fastnn file|its header is too long"):
            load(path)
    header, data = parts_of(content)
    path.write_bytes(whole(header, bytes(range(0x7F, 0x80)) * len(data)))
    load(path)
    path.write_bytes(whole(header, b"\xff" * len(data)))
    with pytest.raises(ModelFileError, match="its weights must be finite"):
        load(path)
    path.write_bytes((1 << 40).to_bytes(8, "little") + content[8:])
    with pytest.raises(ModelFileError, match="its header is too long"):
        load(path)
    text = b'{"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelFileError, match="its header is nested too deeply"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(path.parent / "nothing.safetensors")


def test_what_could_not_be_read_again_is_not_written(path):
    result = train(Network((1,) * 1000), [[1.0]], [[1.0]], epochs=0, backend="numpy")
    with pytest.raises(ValueError, match="a file holds at most 65,536 bytes of layers, not "):
        result.export(path)
    assert not path.exists()
