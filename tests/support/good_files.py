"""A good file, from which the survival tests make bad ones, and how its members are taken apart and made."""

import io
import zipfile

import numpy as np
from bits import result_bits

from fastnn import Adam, Network, Stop, load, train

N = 9
NETWORK = Network((3, 4, 2), activation="tanh")
X = np.linspace(-1, 1, N * 3).reshape(N, 3)
OPTIONS = {"optimizer": Adam(), "batch_size": 4, "backend": "numpy"}


def good_file(path):
    """Write a good file; return its bytes, its members, and the bits of what it holds."""
    stop = Stop(tol=0.0, patience=50, validation=0.2, restore_best=True)
    train(NETWORK, X, np.sin(X[:, :2]), epochs=3, seed=0, stop=stop, **OPTIONS).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return path.read_bytes(), members, result_bits(load(path))


def array_of(member):
    """Return the array that a member holds."""
    return np.lib.format.read_array(io.BytesIO(member))


def npy_of(array):
    """Return the bytes of a member that holds an array."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()
