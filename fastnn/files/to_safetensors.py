"""The format "safetensors": the weights of each layer, and the network's description; `fastnn.load`
reads it.

A file is the length of its header (8 bytes, the low ones first), the header, JSON, and the numbers
of all tensors. Here these are ``layers.0.weight`` (fan_in, fan_out), ``layers.0.bias`` (n_bias,)
and so on. ``__metadata__`` has the description as JSON under "fastnn", and so a classifier's labels
under "classes".
"""

import json
import os

import numpy as np

from fastnn.checking.arguments import cut
from fastnn.errors import ModelFileError
from fastnn.files.archive import (
    MAX_HEADER_BYTES,
    Arrays,
    Bounded,
    Header,
    header_of,
    open_bounded,
)
from fastnn.files.description import checked_network, shared_header, without_state
from fastnn.files.export import Model, label_list
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.training.results import TrainingResult

_DTYPES = {"float32": "F32", "float64": "F64"}


def _tensors(network: Network, params: Array) -> Arrays:
    """Return the layers' weights and biases by their names, views of `params`, in the order in
    which they lie there.
    """
    tensors: Arrays = {}
    for i, (W, b) in enumerate(zip(network.weights(params), network.biases(params), strict=True)):
        tensors[f"layers.{i}.weight"] = W
        if b.size:
            tensors[f"layers.{i}.bias"] = b
    return tensors


def contents(model: Model, name: str) -> dict[str, bytes]:
    """Return the file's bytes."""
    params = model.params.astype(model.params.dtype.newbyteorder("<"))
    metadata = {
        "format": "fastnn",
        "fastnn": json.dumps(shared_header(model.network, model.params, "numba")),
    }
    if model.classes is not None:
        metadata["classes"] = json.dumps(label_list(model.classes))
    header: Header = {"__metadata__": metadata}
    end = 0
    for tensor, array in _tensors(model.network, params).items():
        begin = end
        end += array.nbytes
        header[tensor] = {
            "dtype": _DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(
            f"a file holds at most {MAX_HEADER_BYTES:,} bytes of layers, not {len(text):,}"
        )
    return {".safetensors": len(text).to_bytes(8, "little") + text + params.tobytes()}


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins like one of this format."""
    with open_bounded(path) as file:
        return _header_size(file) is not None


def _header_size(file: Bounded) -> int | None:
    """Return the length of the header; None for another kind of file."""
    begin = file.read(9) if file.is_regular and file.size >= 9 else b""
    return int.from_bytes(begin[:8], "little") if begin[8:] == b"{" else None


def read_safetensors(path: str | os.PathLike[str]) -> TrainingResult:
    """Read a network that was exported, as a result without a state.

    Raises
    ------
    OSError
        When there is no such file or it cannot be read.
    ModelFileError
        When it holds no network of fastnn's, or is damaged.
    """
    with open_bounded(path) as file:
        try:
            size = _header_size(file)
            if size is None or size > min(MAX_HEADER_BYTES, file.size - 8):
                raise ModelFileError("no safetensors file of fastnn's (its header is too long)")
            file.seek(8)
            header = header_of(file.read(size))
            file.limit = file.size
            return _result(header, file.read())
        except ModelFileError as error:
            raise ModelFileError(f"{cut(os.fsdecode(path))}: {error}") from None
        except Exception as error:  # which JSON, NumPy and missing entries raise for a damaged file
            file.raise_what_failed(error)
            message = f"damaged, or no safetensors file of fastnn's ({error!s:.200})"
            raise ModelFileError(f"{cut(os.fsdecode(path))}: {message}") from error


def _result(header: Header, data: bytes) -> TrainingResult:
    metadata = header.pop("__metadata__", {})
    if "fastnn" not in metadata:
        raise ModelFileError(
            "a safetensors file of something else: it has no description of a network of fastnn's"
        )
    facts = header_of(metadata["fastnn"].encode())
    spans = sorted(tuple(tensor["data_offsets"]) for tensor in header.values())
    begins = [begin for begin, _ in spans]
    ends = [end for _, end in spans]
    has_holes = [0, *ends] != [*begins, len(data)]
    if facts["dtype"] not in _DTYPES or has_holes:
        raise ModelFileError("damaged: it holds other numbers than its header says")
    params = np.zeros(len(data) // np.dtype(facts["dtype"]).itemsize, facts["dtype"])
    network = checked_network(facts, {"params": params})
    places = _tensors(network, params)
    if places.keys() != header.keys():
        raise ModelFileError("damaged: its tensors are not the layers of its network")
    for name, place in places.items():
        one = header[name]
        if one["dtype"] != _DTYPES[facts["dtype"]] or tuple(one["shape"]) != place.shape:
            raise ModelFileError(
                f"damaged: {name} is {one['dtype']!s:.20} {one['shape']!s:.50}, not {place.shape}"
            )
        begin, end = one["data_offsets"]
        place[...] = np.frombuffer(data[begin:end], place.dtype.newbyteorder("<")).reshape(
            place.shape
        )
    if not np.isfinite(params).all():
        raise ModelFileError("damaged: its weights must be finite")
    return without_state(network, params, facts["backend"])
