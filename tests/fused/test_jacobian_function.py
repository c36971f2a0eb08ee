"""Exported networks with their derivatives by inputs: in C with the bits of input_jacobian, and in
NumPy. As a function of this process: test_function.py."""

import ctypes
import re
import runpy
import shutil
import subprocess

import numpy as np
import pytest
from exported import EVERYTHING, NETWORKS
from in_c import STRICT
from object_file import symbols_of

from fastnn import SGD, Adam, Network, train
from fastnn.files.description import without_state
from fastnn.testing import tolerances

CASES = NETWORKS | {
    "everything": EVERYTHING,
    "wide": Network((3, 17, 40, 2), "gelu", "softplus"),
    "many inputs": Network((70, 2)),
    "of users": Network((3, 9, 2), (lambda z: z / (1 + np.exp(-1.5 * z)),)),
}
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler cc")


def drawn(network, dtype, n=7):
    """A result with drawn parameters, and rows, of which the first holds large numbers."""
    rs = np.random.RandomState(0)
    params = (0.5 * rs.randn(network.n_params)).astype(dtype)
    X = rs.randn(n, network.n_inputs).astype(dtype)
    X[0] *= 100
    return without_state(network, params, "numba"), X


def each_row(call, result, X):
    """The outputs and derivatives of rows by calls of one row each."""
    network = result.network
    out = np.full((len(X), network.n_outputs), 7, X.dtype)
    J = np.full((len(X), network.n_outputs, network.n_inputs), 7, X.dtype)
    for k, x in enumerate(X):
        call(x, out[k], J[k])
    return out.tobytes(), J.tobytes()


def right_bits(result, X):
    return result.predict(X).tobytes(), result.jacobian(X).copy().tobytes()


def exported(result, folder, **options):
    """The function `net_jacobian` of exported C, for one row of arrays."""
    result.export(folder / "net.c", jacobian=True, **options)
    command = ["cc", *STRICT, "-O2", "-shared", "-fPIC", "-o", "net.so", "net.c", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    function = ctypes.CDLL(str(folder / "net.so")).net_jacobian
    return lambda *arrays: function(*(ctypes.c_void_p(array.ctypes.data) for array in arrays))


@needs_cc
@pytest.mark.parametrize("name", CASES)
def test_exported_c_has_the_same_bits(name, dtype, tmp_path):
    result, X = drawn(CASES[name], dtype)
    assert each_row(exported(result, tmp_path), result, X) == right_bits(result, X)


@needs_cc
@pytest.mark.parametrize("learn", [SGD(0.1), Adam()])
def test_exported_c_may_learn_too(learn, dtype, tmp_path):
    """Matched outputs, whose step of learning takes no derivative of the activation, among them."""
    for k, network in enumerate((CASES["wide"], Network((4, 3), output="softmax"))):
        folder = tmp_path / str(k)
        folder.mkdir()
        result, X = drawn(network, dtype)
        assert each_row(exported(result, folder, learn=learn), result, X) == right_bits(result, X)


@needs_cc
def test_the_header_says_how_much_memory_it_takes(dtype, tmp_path):
    result, _ = drawn(Network((5, 16, 9, 3), "gelu", "softmax"), dtype)
    _, header = result.export(tmp_path / "net.c", jacobian=True)
    subprocess.run(["cc", *STRICT, "-O0", "-c", "net.c"], cwd=tmp_path, check=True)
    _, sizes = symbols_of(tmp_path / "net.o")
    assert re.search(r"RAM: ([\d,]+) bytes", header.read_text())[1] == f"{sizes['b']:,}"


@pytest.mark.parametrize("name", CASES)
def test_the_numpy_module(name, dtype, tmp_path):
    """To rounding: NumPy's products have another order."""
    result, X = drawn(CASES[name], dtype)
    result.export(tmp_path / "net.py", jacobian=True)
    jacobian = runpy.run_path(tmp_path / "net.py")["jacobian"]
    found = jacobian(X)
    right = result.jacobian(X)
    assert found.shape == right.shape
    assert found.dtype == right.dtype
    scale = np.abs(right).max(axis=(1, 2), keepdims=True)
    bound = tolerances.export_bound(np.broadcast_to(scale, right.shape))
    tolerances.assert_within(found, right, bound, "derivatives", "our own")
    with pytest.raises(ValueError, match=rf"X must have the shape \(n, {X.shape[1]}\)"):
        jacobian(X[:, :-1])


def test_other_formats_have_no_derivatives(tmp_path):
    result = train(Network((1, 1)), [[0.0]], [0.0], epochs=0)
    with pytest.raises(ValueError, match="jacobian=True is for the formats 'c' and 'numpy'"):
        result.export(tmp_path / "net.safetensors", jacobian=True)
