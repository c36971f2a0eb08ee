"""A network as a function of one row: the bits of predict, from Python, from Numba's compiled code and from C."""

import copy
import ctypes
import gc
import importlib.util
import pathlib
import pickle
import re
import threading

import numba
import numpy as np
import pytest
from survival import python

from fastnn import ACTIVATIONS, Network, get_backend, predict, train
from fastnn.compiler.loader import IN_PYTHON
from fastnn.losses import HIDDEN

compiled = pytest.mark.skipif(IN_PYTHON, reason="no machine code")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 700.0, -800.0, 3e38, -3e38, 1e-40, 5e-324, np.inf, -np.inf, np.nan]


def drawn(network, dtype, n_rows=40, seed=0):
    """Parameters, and rows of which some hold numbers that functions have to take care of."""
    rng = np.random.default_rng(seed)
    X = rng.normal(scale=3, size=(n_rows, network.n_inputs))
    X[: n_rows // 2][rng.random((n_rows // 2, network.n_inputs)) < 0.3] = rng.choice(SPECIAL)
    with np.errstate(over="ignore"):
        return rng.normal(scale=0.7, size=network.n_params).astype(dtype), X.astype(dtype)


def make(network, params):
    return get_backend("numba").function(network, params)


def evaluated(call, network, X):
    """The outputs for each row, by a function of x and out."""
    out = np.full((len(X), network.n_outputs), 7, X.dtype)
    for x, row in zip(X, out, strict=True):
        call(x, row)
    return out


def same(found, right):
    return found.tobytes() == right.tobytes() or np.array_equal(found, right, equal_nan=True)


@numba.njit
def each_row(f, X, out):
    for i in range(len(X)):
        f(X[i], out[i])


NETWORKS = [
    *(Network((3, 5, 1), hidden, bias=bias) for hidden in HIDDEN for bias in ("vector", "scalar")),
    *(Network((4, 9, 3), "tanh", output) for output in ACTIVATIONS),
    *(Network(sizes, "relu") for sizes in ((1, 1), (70, 2), (2, 70), (64, 64, 10), (1, 33, 2, 17, 5))),
    Network((3, 4, 2), bias="none"),
]


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_have_the_bits_of_predict(dtype):
    for network in NETWORKS[:: 7 if IN_PYTHON else 1]:
        params, X = drawn(network, dtype)
        right = predict(network, params, X, assume_finite=True)
        f = make(network, params)
        assert same(evaluated(f, network, X), right), network
        if not IN_PYTHON:
            out = np.zeros_like(right)
            each_row(f, X, out)
            assert same(out, right), network


@compiled
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_c_calls_it(dtype):
    """As scipy takes such functions, and without: by its address and that of the weights."""
    scipy = pytest.importorskip("scipy")
    network = Network((4, 9, 3), "gelu", "softmax")
    params, X = drawn(network, dtype)
    f = make(network, params)
    number = {"float64": "double", "float32": "float"}[dtype]
    assert scipy.LowLevelCallable(f.c_function, f.c_network).signature == f"void ({number} *, {number} *, void *)"
    c_function, c_network, pointer = f.c_function, f.c_network, np.ctypeslib.as_ctypes_type(dtype)

    def call(x, out):
        c_function(*(a.ctypes.data_as(ctypes.POINTER(pointer)) for a in (x, out)), c_network)

    assert same(evaluated(call, network, X), predict(network, params, X, assume_finite=True))


@compiled
def test_numba_compiles_nothing_of_ours():
    """Two networks of other sizes are of one type, and the user's function is compiled for it once."""
    functions = [make(network, drawn(network, "float64")[0]) for network in (Network((3, 1)), Network((5, 7, 2)))]
    each = numba.njit(each_row.py_func)
    for f in functions:
        each(f, np.zeros((2, f.n_inputs)), np.zeros((2, f.n_outputs)))
    assert len(each.signatures) == 1
    assert "fma" not in each.inspect_asm(each.signatures[0])


@compiled
def test_compiled_code_may_hold_it_longer_than_python():
    """A function that compiled code has frozen into itself is not freed."""
    network = Network((3, 6, 2), "tanh")
    params, X = drawn(network, "float64")
    f = make(network, params)

    @numba.njit
    def frozen(x, out):
        f(x, out)

    right = evaluated(frozen, network, X)
    f = None
    gc.collect()
    junk = [np.full(network.n_params + 24, np.nan) for _ in range(1000)]
    assert same(evaluated(frozen, network, X), right)
    del junk


@compiled
@pytest.mark.parametrize(("n", "n_out"), [(2, 2), (4, 2), (0, 2), (3, 1), (3, 3), (3, 0)])
def test_a_wrong_length_in_compiled_code_gives_nan_and_touches_nothing_else(n, n_out):
    f = make(network := Network((3, 6, 2), "tanh"), drawn(network, "float64")[0])
    memory = np.zeros(n_out + 8)
    each_row(f, np.ones((1, n)), memory[4 : 4 + n_out].reshape(1, -1))
    assert np.isnan(memory[4 : 4 + n_out]).all()
    assert not memory[:4].any()
    assert not memory[4 + n_out :].any()


@compiled
@pytest.mark.parametrize(
    ("x", "out"),
    [
        (np.zeros(3, np.float32), np.zeros(2)),
        (np.zeros(3), np.zeros(2, np.float32)),
        (np.zeros((1, 3)), np.zeros(2)),
        (np.zeros(6)[::2], np.zeros(2)),
        (np.zeros(3), np.frombuffer(bytes(16))),
        (np.zeros(3), 1.0),
    ],
)
def test_a_wrong_type_is_refused_when_it_is_compiled(x, out):
    f = make(network := Network((3, 6, 2)), drawn(network, "float64")[0])
    with pytest.raises((numba.TypingError, ValueError), match="mismatch of argument types"):
        numba.njit(lambda f, x, out: f(x, out))(f, x, out)


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (np.zeros(4), np.zeros(2), r"x must be an array of float64 with shape \(3,\).*this one is of shape \(4,\)$"),
        (np.zeros(3), np.zeros(1), r"out must be an array of float64 with shape \(2,\)"),
        (np.zeros(3, np.float32), np.zeros(2), "x must be .*this one is of float32$"),
        (np.zeros(4, np.float16), np.zeros(2), r"x must be .*; this one is of float16, of shape \(4,\)$"),
        (np.zeros(6)[::2], np.zeros(2), "x must be .*; this one is not in C order$"),
        (np.zeros(3), np.frombuffer(bytes(16)), "out must be .*; this one is read-only$"),
        ([0, 0, 0], np.zeros(2), r"x must be .*not \[0, 0, 0\]"),
        (np.zeros(3), None, "out must be .*not None"),
    ],
)
def test_wrong_arrays_are_refused_in_python(x, out, message):
    f = make(network := Network((3, 6, 2)), drawn(network, "float64")[0])
    with pytest.raises((TypeError, ValueError), match=message):
        f(x, out)


@pytest.mark.nojit
@pytest.mark.parametrize("params", [np.zeros(3), np.zeros(38, np.int64), [0.0] * 38, np.zeros(76)[::2]])
def test_wrong_parameters_are_refused(params):
    with pytest.raises((TypeError, ValueError), match="params must be an array"):
        make(Network((3, 6, 2)), params)


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_stack_is_not_overrun(dtype):
    """A network of which a call would take more than 64 kB is refused; one that takes almost as much has its bits."""
    largest = (65536 - 128) // np.dtype(dtype).itemsize
    network = Network((largest - 64, 8, 2), "relu")
    params, X = drawn(network, dtype, n_rows=2)
    right = predict(network, params, X, assume_finite=True)
    assert same(evaluated(make(network, params), network, X), right)
    larger = Network((largest, 8, 2), "relu")
    with pytest.raises(ValueError, match=r"would take [\d,]+ bytes of the stack, more than 65,536: use predict"):
        make(larger, drawn(larger, dtype, n_rows=1)[0])


@pytest.mark.nojit
def test_it_keeps_its_own_weights():
    network = Network((3, 6, 2), "tanh")
    params, X = drawn(network, "float64")
    right, f = predict(network, params, X, assume_finite=True), make(network, params)
    params[:] = np.nan
    del params
    gc.collect()
    assert same(evaluated(f, network, X), right)


@compiled
def test_threads_call_it_at_once():
    network = Network((8, 40, 3), "tanh", "softmax")
    params, X = drawn(network, "float64", n_rows=2000)
    right, f = predict(network, params, X, assume_finite=True), make(network, params)
    loop = numba.njit(each_row.py_func, nogil=True)
    outs = [np.zeros_like(right) for _ in range(4)]
    threads = [threading.Thread(target=loop, args=(f, X, out)) for out in outs]
    for thread in threads:
        thread.start()
    assert same(evaluated(f, network, X[:300]), right[:300])
    for thread in threads:
        thread.join()
    assert all(same(out, right) for out in outs)


@pytest.mark.nojit
@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_picklable(way):
    f = make(network := Network((3, 6, 2)), drawn(network, "float64")[0])
    with pytest.raises(TypeError, match="addresses of this process: pickle or save the result"):
        way(f)


@pytest.mark.nojit
def test_it_says_what_it_takes():
    f = make(network := Network((3, 6, 2)), drawn(network, "float32")[0])
    assert repr(f) == "<function of x (3,) and out (2,), float32>"


def test_plain_python_has_no_address():
    code = "import numpy as np; from fastnn import Network, get_backend; "
    code += "f = get_backend('numba').function(Network((2, 1)), np.ones(3)); out = np.zeros(1); "
    code += "f(np.ones(2), out); print(out[0])\n"
    code += "for get in (f.__wrapper_address__, lambda: f.c_function, lambda: f.c_network):\n"
    code += "    try: get()\n    except RuntimeError as error: print(error)"
    value, *errors = python(code, NUMBA_DISABLE_JIT="1")
    assert value == "3.0"
    assert len(errors) == 3
    assert set(errors) == {"with NUMBA_DISABLE_JIT there is no compiled function to call: call f(x, out) from Python"}


def test_a_result_gives_it():
    X = np.random.default_rng(0).normal(size=(20, 3))
    result = train(Network((3, 6, 2), "tanh"), X, X[:, :2], epochs=2, seed=0)
    f = result.function()
    assert (f.n_inputs, f.n_outputs, f.dtype) == (3, 2, np.float64)
    assert same(evaluated(f, result.network, X), result.predict(X))


def test_the_example_integrates(capsys, monkeypatch):
    spec = importlib.util.spec_from_file_location(
        "pendulum", pathlib.Path(__file__).parents[2] / "examples" / "pendulum.py"
    )
    pendulum = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pendulum)
    monkeypatch.setattr(pendulum, "N_STEPS", 200)
    pendulum.main()
    *ways, last = capsys.readouterr().out.splitlines()
    assert len(ways) >= 3
    assert all(re.fullmatch(r".{28} +[\d.]+ µs a call", line) for line in ways)
    high, low, off = map(float, re.findall(r"-?\d+\.\d+", last))
    assert high == 2.5
    assert low < -1.5
    assert off < 0.05
