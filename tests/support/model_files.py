"""A training to save, and the parts of the file that it becomes."""

import io
import json

import numpy as np

from fastnn import Adam, Network, train

NETWORK = Network((3, 4, 2), activation="tanh")


def data(dtype=np.float64):
    random_state = np.random.RandomState(0)
    return random_state.randn(23, 3).astype(dtype), random_state.randn(23, 2).astype(dtype)


def trained(backend="numpy", dtype=np.float64, **options):
    defaults = {
        "optimizer": Adam(0.01),
        "epochs": 5,
        "batch_size": 5,
        "seed": 3,
        "backend": backend,
    }
    return train(NETWORK, *data(dtype), **defaults | options)


def parts_of(content):
    """Header and arrays of a file."""
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    return json.loads(arrays.pop("header").tobytes()), arrays


def write(path, header, arrays):
    with open(path, "wb") as file:
        np.savez(file, header=packed(header), **arrays)


def packed(value):
    """A header or a table as it is in a file; bytes are taken as they are."""
    text = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return np.frombuffer(text, np.uint8)


def parts_of_many(content):
    """Header, table and arrays of a file of many results."""
    header, arrays = parts_of(content)
    return header, json.loads(arrays.pop("values").tobytes()), arrays


def write_many(path, header, table, arrays):
    write(path, header, arrays | {"values": packed(table)})
