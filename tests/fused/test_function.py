"""A network as a function of one row, with derivatives or without: the bits of predict and of
input_jacobian, from Python, from Numba's compiled code and from C."""

import copy
import ctypes
import gc
import pathlib
import pickle
import re
import runpy
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from bits import bits
from survival import python

from fastnn import ACTIVATIONS, Elu, LeakyRelu, Network, get_backend, predict, train
from fastnn.compiler.loader import IN_PYTHON
from fastnn.losses import HIDDEN

SPECIAL = [0.0, -0.0, 1.0, -1.0, 700.0, -800.0, 3e38, -3e38, 1e-40, 5e-324, np.inf, -np.inf, np.nan]
NETWORK = Network((3, 6, 2), "tanh")


def drawn(network, dtype, n_rows=40, jacobian=False):
    """A function, its parameters, rows of which some hold numbers that functions have to take care
    of, and outputs."""
    rng = np.random.default_rng(0)
    X = rng.normal(scale=3, size=(n_rows, network.n_inputs))
    X[: n_rows // 2][rng.random((n_rows // 2, network.n_inputs)) < 0.3] = rng.choice(SPECIAL)
    with np.errstate(over="ignore"):
        params = rng.normal(scale=0.7, size=network.n_params).astype(dtype)
        X = X.astype(dtype)
    outputs = predict(network, params, X, assume_finite=True)
    if jacobian:
        derivatives = get_backend("numba").input_jacobian(network, params, X)
        outputs = np.concatenate([outputs, derivatives.reshape(n_rows, -1)], axis=1)
    return make(network, params, jacobian), params, X, outputs


def make(network, params, jacobian=False):
    return get_backend("numba").function(network, params, jacobian)


def of_ones(dtype=np.float64, jacobian=False):
    return make(NETWORK, np.ones(NETWORK.n_params, dtype), jacobian)


with_derivatives = pytest.mark.parametrize("jacobian", [False, True])


def has_bits(call, X, right):
    out = np.full_like(right, 7)
    for x, row in zip(X, out, strict=True):
        call(x, row)
    return same(out, right)


def same(found, right):
    """Whether the bits are the same, but for those of NaN."""
    found, right = (np.where(np.isnan(array), np.nan, array) for array in (found, right))
    return bits(found) == bits(right)


@numba.njit(nogil=True)
def each_row(f, X, out):
    for i in range(len(X)):
        f(X[i], out[i])


NETWORKS = [
    *(Network((3, 5, 1), hidden, bias=bias) for hidden in HIDDEN for bias in ("vector", "scalar")),
    *(Network((4, 9, 3), "tanh", output) for output in ACTIVATIONS),
    *(
        Network(sizes, "relu")
        for sizes in ((1, 1), (70, 2), (2, 70), (64, 64, 10), (1, 33, 2, 17, 5))
    ),
    Network((3, 4, 2), bias="none"),
    Network((3, 17, 40, 2), "gelu", "softplus"),
    Network((3, 9, 2), (lambda z: z / (1 + np.exp(-1.5 * z)),)),
    Network((5, 16, 7, 3), (LeakyRelu(0.3), Elu(0.25)), Elu(1.5)),
]


@pytest.mark.nojit
@with_derivatives
def test_rows_have_the_bits_of_predict(jacobian, dtype):
    """By weights of its own."""
    for network in NETWORKS[:: 7 if IN_PYTHON else 1]:
        f, params, X, right = drawn(network, dtype, jacobian=jacobian)
        params[:] = np.nan
        assert has_bits(f, X, right), network
        if not IN_PYTHON:
            out = np.zeros_like(right)
            each_row(f, X, out)
            assert same(out, right), network


@with_derivatives
def test_c_calls_it(jacobian, dtype):
    """As scipy takes such functions, and without: by its address and that of the weights."""
    scipy = pytest.importorskip("scipy")
    f, _, X, right = drawn(Network((4, 9, 3), "gelu", "softmax"), dtype, jacobian=jacobian)
    number = {np.float64: "double", np.float32: "float"}[dtype]
    signature = scipy.LowLevelCallable(f.c_function, f.c_network).signature
    assert signature == f"void ({number} *, {number} *, void *)"
    c_function = f.c_function
    c_network = f.c_network
    pointer = ctypes.POINTER(np.ctypeslib.as_ctypes_type(dtype))

    def call(*arrays):
        c_function(*(array.ctypes.data_as(pointer) for array in arrays), c_network)

    assert has_bits(call, X, right)


def test_numba_compiles_nothing_of_ours():
    """Two networks of other sizes are of one type, and the user's function is compiled for it
    once."""
    each = numba.njit(each_row.py_func)
    for f in of_ones(), make(Network((5, 7, 2)), np.ones(58)):
        each(f, np.zeros((2, f.n_inputs)), np.zeros((2, f.n_outputs)))
    assert len(each.signatures) == 1
    assert "fma" not in each.inspect_asm(each.signatures[0])


def test_compiled_code_may_hold_it_longer_than_python():
    f, _, X, right = drawn(NETWORK, "float64")

    @numba.njit
    def frozen(x, out):
        f(x, out)

    assert has_bits(frozen, X, right)
    f = None
    gc.collect()
    junk = [np.full(NETWORK.n_params + 24, np.nan) for _ in range(1000)]
    assert has_bits(frozen, X, right)
    del junk


@with_derivatives
@pytest.mark.parametrize(("n", "n_out"), [(2, 2), (4, 2), (0, 2), (3, 1), (3, 3), (3, 0), (4, 8)])
def test_a_wrong_length_in_compiled_code_gives_nan_and_touches_nothing_else(n, n_out, jacobian):
    memory = np.zeros(n_out + 8)
    f = of_ones(jacobian=jacobian)
    each_row(f, np.ones((1, n)), memory[4 : 4 + n_out].reshape(1, -1))
    assert np.isnan(memory).tolist() == [False] * 4 + [True] * n_out + [False] * 4
    assert not np.nan_to_num(memory).any()


X = np.zeros(3)
OUT = np.zeros(2)
SINGLE = np.zeros(3, np.float32)
READ_ONLY = np.frombuffer(bytes(16))
WRONG = [
    (SINGLE, OUT, "x must be .*this one is of float32$"),
    (X, SINGLE[:2], "out must be .*this one is of float32$"),
    (X[None], OUT, r"x must be .*this one is of shape \(1, 3\)$"),
    (np.zeros(6)[::2], OUT, "x must be .*; this one is not in C order$"),
    (X, READ_ONLY, "out must be .*; this one is read-only$"),
    (X, 1.0, r"out must be .*not 1\.0"),
]


@pytest.mark.parametrize(("x", "out"), [case[:2] for case in WRONG])
def test_a_wrong_type_is_refused_when_it_is_compiled(x, out):
    with pytest.raises((numba.TypingError, ValueError), match="mismatch of argument types"):
        numba.njit(lambda f, x, out: f(x, out))(of_ones(), x, out)


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        *WRONG,
        (
            np.zeros(4),
            OUT,
            r"x must be an array of float64 with shape \(3,\).*this one is of shape \(4,\)$",
        ),
        (X, np.zeros(1), r"out must be an array of float64 with shape \(2,\)"),
        (np.zeros(4, np.float16), OUT, r"x must be .*; this one is of float16, of shape \(4,\)$"),
        ([0, 0, 0], OUT, r"x must be .*not \[0, 0, 0\]"),
    ],
)
def test_wrong_arrays_are_refused_in_python(x, out, message):
    with pytest.raises((TypeError, ValueError), match=message):
        of_ones()(x, out)


@pytest.mark.nojit
def test_derivatives_want_their_place_behind_the_outputs():
    with pytest.raises(ValueError, match=r"out must be an array of float64 with shape \(8,\)"):
        of_ones(jacobian=True)(X, OUT)
    result = train(NETWORK, X[None], OUT[None], epochs=0)
    with pytest.raises(TypeError, match="jacobian must be True or False, not 'yes'"):
        result.function(jacobian="yes")


@pytest.mark.nojit
@pytest.mark.parametrize(
    "params", [np.zeros(3), np.zeros(38, np.int64), [0.0] * 38, np.zeros(76)[::2]]
)
def test_wrong_parameters_are_refused(params):
    with pytest.raises((TypeError, ValueError), match="params must be an array"):
        make(NETWORK, params)


@pytest.mark.nojit
def test_the_stack_is_not_overrun(dtype):
    """A network of which a call would take more than 64 kB is refused; one that takes almost as
    much has its bits."""
    largest = (65536 - 128) // np.dtype(dtype).itemsize
    f, _, X, right = drawn(Network((largest - 64, 8, 2), "relu"), dtype, n_rows=2)
    assert has_bits(f, X, right)
    words = r"would take [\d,]+ bytes of the stack, more than 65,536: use predict"
    for sizes, jacobian in (((largest, 8, 2), False), ((3, 6000, 1), True)):
        network = Network(sizes, "relu")
        with pytest.raises(ValueError, match=words):
            make(network, np.zeros(network.n_params, dtype), jacobian)


def test_threads_call_it_at_once():
    f, _, X, right = drawn(Network((8, 40, 3), "tanh", "softmax"), "float64", n_rows=2000)
    outs = [np.zeros_like(right) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(each_row, f, X, out) for out in outs]
        assert has_bits(f, X[:300], right[:300])
    assert [call.exception() for call in calls] == [None] * 4
    assert all(same(out, right) for out in outs)


@pytest.mark.nojit
@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_picklable_and_says_what_it_takes(way):
    f = of_ones(np.float32)
    assert repr(f) == "<function of x (3,) and out (2,), float32>"
    with pytest.raises(TypeError, match="addresses of this process: pickle or save the result"):
        way(f)


IN_PLAIN_PYTHON = """
import numpy as np
from fastnn import Network, get_backend
f = get_backend("numba").function(Network((2, 1)), np.ones(3))
out = np.zeros(1)
f(np.ones(2), out)
print(out[0])
for get in (f.__wrapper_address__, lambda: f.c_function, lambda: f.c_network):
    try:
        get()
    except RuntimeError as error:
        print(error)
"""


def test_plain_python_has_no_address():
    value, *errors = python(IN_PLAIN_PYTHON, NUMBA_DISABLE_JIT="1")
    told = "with NUMBA_DISABLE_JIT there is no compiled function to call: call f(x, out) from"
    assert value == "3.0"
    assert errors == [f"{told} Python"] * 3


def test_a_result_gives_it():
    X = np.random.default_rng(0).normal(size=(20, 3))
    result = train(NETWORK, X, X[:, :2], epochs=2, seed=0)
    f = result.function()
    assert (f.n_inputs, f.n_outputs, f.dtype) == (3, 2, np.float64)
    assert has_bits(f, X, result.predict(X))


def test_the_example_integrates(capsys):
    example = pathlib.Path(__file__).parents[2] / "examples" / "pendulum.py"
    main = runpy.run_path(str(example))["main"]
    main.__globals__["N_STEPS"] = 200
    main()
    *ways, last = capsys.readouterr().out.splitlines()
    assert len(ways) >= 3
    assert all(re.fullmatch(r".{28} +[\d.]+ µs a call", line) for line in ways)
    high, low, off = map(float, re.findall(r"-?\d+\.\d+", last))
    assert high == 2.5
    assert low < -1.5
    assert off < 0.05
