"""How kernels are called: from the disk cache without Numba, with addresses in place of arrays, from many threads."""

import ctypes
import io
import json
import os
import signal
import struct
import sys
import threading
import typing

import numpy as np
import pytest
from heavy import HEAVY
from kernel_runs import everything
from survival import python

from fastnn import Network, get_backend
from fastnn.compiler import arguments, loader
from fastnn.compiler.loader import load_kernel
from fastnn.fused.layout import Model, Scratch, UpdateSpec, describe, make_scratch
from fastnn.state import Data, Steps

compiled = pytest.mark.skipif(loader.IN_PYTHON, reason="nothing is compiled")

ENTRIES = ("train_steps", "loss_and_gradient", "predict")

# --------------------------------------------------------------------------------------------------- without a compiler

ALL_OF_IT = """
import hashlib, json, sys
import numpy as np
import fastnn
digest = hashlib.sha256()
for dtype in sys.argv[1:]:
    X = np.linspace(-1, 1, 60, dtype=dtype).reshape(20, 3)
    network, options = fastnn.Network((3, 5, 1), "tanh"), {"optimizer": fastnn.SGD(), "batch_size": 7, "seed": 0}
    result = fastnn.train(network, X, X[:, 0], epochs=3, **options)
    loss, gradient = fastnn.loss_and_gradient(result.network, result.params, X, X[:, 0])
    digest.update(result.params.tobytes() + gradient.tobytes() + result.predict(X).tobytes())
from fastnn.compiler.loader import found_in_cache
print(digest.hexdigest())
print(json.dumps(found_in_cache))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@compiled
@pytest.mark.parametrize("dtypes", [["float64"], pytest.param(["float32", "float64"], marks=pytest.mark.slow)])
def test_a_warm_process_needs_no_numba(tmp_path, dtypes):
    """All three kernels, from a folder that another process filled: with the bits of compiled ones."""
    unset = {name: None for name in os.environ if name.startswith("NUMBA_")}
    cold, warm = (python(ALL_OF_IT, *dtypes, **unset, FASTNN_CACHE_DIR=tmp_path / "cache") for _ in range(2))
    names = sorted(f"{name}.{dtype}" for name in ENTRIES for dtype in dtypes)
    for (digest, found, loaded), expected in ((cold, False), (warm, True)):
        assert digest == cold[0]
        assert json.loads(found) == dict.fromkeys(names, expected)
        assert ("numba" in loaded) == (not expected or sys.platform == "win32")
    assert HEAVY & set(json.loads(warm[2])) == {"llvmlite"} or sys.platform == "win32"


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import importlib.util
spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "numba" else spec(name)
import fastnn
try:
    fastnn.predict(fastnn.Network((1, 1)), [1.0, 1.0], [[1.0]])
except ImportError as error:
    print(error)
"""


@compiled
def test_a_missing_numba_is_named_where_a_kernel_must_be_compiled(tmp_path):
    (said,) = python(WITHOUT_NUMBA, FASTNN_CACHE_DIR=tmp_path / "cache")
    assert "numba" in said


# -------------------------------------------------------------------------------------------------------------- threads


@compiled
def test_each_kernel_is_loaded_once_whatever_the_number_of_threads(monkeypatch):
    loads, barrier, found = [], threading.Barrier(8), []
    right = loader._machine_code

    def machine_code(*key):
        loads.append(key)
        return right(*key)

    monkeypatch.setattr(loader, "_kernels", {})
    monkeypatch.setattr(loader, "_machine_code", machine_code)
    dtypes = (np.dtype(np.float64), np.dtype(np.float32))

    def work(k):
        barrier.wait()
        found.append({(dtype, name): load_kernel(name, dtype) for dtype in dtypes[:: (-1) ** k] for name in ENTRIES})

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(loads, key=str) == sorted(((name, dtype, ()) for name in ENTRIES for dtype in dtypes), key=str)
    assert len(found) == 8
    assert all(kernels == found[0] for kernels in found)


@compiled
def test_what_was_compiled_half_is_compiled_again(monkeypatch, tmp_path):
    """An overload without machine code would be taken for a compiled one."""
    from numba.core.codegen import CPUCodeLibrary

    from fastnn.compiler.codegen import compile_entry
    from fastnn.fused import kernels

    def fail(library):
        raise MemoryError

    monkeypatch.setattr(kernels.predict, "overloads", type(kernels.predict.overloads)())
    with monkeypatch.context() as patch:
        patch.setattr(CPUCodeLibrary, "serialize_using_object_code", fail)
        with pytest.raises(MemoryError):
            compile_entry("predict", np.dtype(np.float64))
    assert len(kernels.predict.overloads) == 0
    assert b"predict" in compile_entry("predict", np.dtype(np.float64)).partition(b"\n")[0]


@compiled
def test_what_fails_while_a_kernel_is_made_is_raised_to_every_caller(monkeypatch):
    def fail(*key):
        raise OSError("no such luck")

    monkeypatch.setattr(loader, "_kernels", {})
    with monkeypatch.context() as patch:
        patch.setattr(loader, "_machine_code", fail)
        for _ in range(2):
            with pytest.raises(OSError, match="no such luck"):
                load_kernel("predict", np.dtype(np.float64))
    assert load_kernel("predict", np.dtype(np.float64))


@compiled
def test_kernels_are_made_where_no_more_threads_can_be_had(monkeypatch):
    def fail(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(loader, "_kernels", {})
    monkeypatch.setattr(threading.Thread, "start", fail)
    assert load_kernel("predict", np.dtype(np.float64))


# --------------------------------------------------------------------------------------------------------------- calls


def returning(status, value=0):
    """A function that is called as a kernel is, with one number for an argument, and returns a status."""

    @ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    def kernel(result, raised, n):
        ctypes.c_int64.from_address(result).value = value + n
        return status

    return kernel


def test_a_status_becomes_an_exception():
    for status in (0, 1, -1):
        kernel = returning(status, 40)  # must outlive the calls
        start = ctypes.cast(kernel, ctypes.c_void_p).value
        for result_type, result in ((ctypes.c_int64, 42), (None, None)):
            call = loader._callable(start, result_type, [ctypes.c_int64])
            if status == 0:
                assert call(2) == result
            else:
                with pytest.raises(RuntimeError, match=f"a kernel ended with status {status}"):
                    call(2)


@compiled
def test_what_is_not_as_annotated_is_refused():
    """ctypes knows the types: it is no crash."""
    kernel = load_kernel("predict", np.dtype(np.float64))
    with pytest.raises(ctypes.ArgumentError):
        kernel(np.zeros(1), np.zeros(1), 1.5, b"", b"", np.zeros(1))
    with pytest.raises(ctypes.ArgumentError):  # words that are not prepared
        kernel(np.zeros(1), np.zeros(1), 1, (), b"", np.zeros(1))
    with pytest.raises(TypeError):
        kernel(np.zeros(1), np.zeros(1), 1)


@compiled
def test_a_numpy_whose_arrays_are_laid_out_otherwise_is_refused(monkeypatch):
    """Before any code is loaded that would read an address where there is none."""
    monkeypatch.setattr(loader, "address", lambda array: array.ctypes.data + 8)
    with pytest.raises(RuntimeError, match=f"NumPy {np.__version__} keeps an array's address"):
        loader._engine.__wrapped__()


# --------------------------------------------------------------------------------------------------------------- words


def arrays(tmp_path):
    rows = np.arange(60.0).reshape(12, 5)
    read_only = rows.copy()
    read_only.flags.writeable = False
    mapped = np.memmap(tmp_path / "mapped", np.float64, "w+", shape=(7,))
    yield from (rows, rows[3:], rows[::-1], rows[:, 2], rows.T, read_only, mapped, mapped[2:], np.empty(0), rows[5:5])
    yield from (np.array(3.0), np.empty((0, 4)), np.broadcast_to(rows[0], (4, 5)), np.float32([1, 2])[1:])
    yield from (np.arange(3), np.zeros(3, np.uint8)[1:], np.frombuffer(b"12345678" * 2)[1:], rows.view(np.recarray))


def test_addresses_are_those_that_numpy_tells(tmp_path):
    kinds = list(arrays(tmp_path))
    assert len(kinds) == 18
    for array in kinds:
        assert arguments.address(array) == array.ctypes.data
        assert arguments.pack(array) == array.ctypes.data


class Words(typing.NamedTuple):
    first: "np.typing.NDArray"
    whole: int
    real: float


def test_a_named_tuple_is_packed_by_its_annotations():
    """An int where a float is asked for becomes one, as its bits would mean another number."""
    array = np.arange(3.0)
    assert arguments.pack(Words(array, 7, 2)) == struct.pack("qqd", array.ctypes.data, 7, 2.0)
    assert arguments.pack(Words(array[1:], -1, np.float32(0.5))) == struct.pack("qqd", array.ctypes.data + 8, -1, 0.5)
    assert arguments.pack(Words(array, np.int64(7), True)) == struct.pack("qqd", array.ctypes.data, 7, 1.0)
    with pytest.raises(struct.error):
        arguments.pack(Words(array, 7.5, 2))


def test_what_the_back_end_hands_over_is_what_is_annotated(dtype, monkeypatch):
    """Each value of each call: arrays of the annotated dtype, contiguous, and numbers of the annotated kind."""
    from fastnn.fused import backend, kernels, workspace

    checked = set()

    def check(where, hint, value):
        checked.add(where)
        if hint is int:
            assert isinstance(value, (int, np.integer)), where
        elif hint is float:
            assert isinstance(value, (int, float, np.number)), where
        elif isinstance(hint, type) and issubclass(hint, tuple):
            assert type(value) is hint, where
            for name, field in typing.get_type_hints(hint).items():
                check(f"{hint.__name__}.{name}", field, getattr(value, name))
        else:
            assert value.flags.c_contiguous, where
            assert value.dtype == arguments.element(hint, np.dtype(dtype)), where

    def checking_load(name, working):
        hints = typing.get_type_hints(getattr(kernels, name) if loader.IN_PYTHON else getattr(kernels, name).py_func)
        del hints["return"]

        def call(*values):
            for (parameter, hint), value in zip(hints.items(), values, strict=True):
                check(f"{name}({parameter})", hint, value)
            return load_kernel(name, working)(*(loader.prepared(v) if isinstance(v, tuple) else v for v in values))

        call.bound = lambda *values: lambda array: call(array, *values)
        return call

    for module in (backend, workspace):
        monkeypatch.setattr(module, "load_kernel", checking_load)
        monkeypatch.setattr(module, "prepared", lambda arguments: arguments)
    monkeypatch.setattr(workspace, "KEEP", -1)
    monkeypatch.setattr(get_backend("numba"), "_kept", workspace.Workspaces())
    everything(dtype)
    for kind in (Model, Scratch, UpdateSpec, Data, Steps):
        assert {f"{kind.__name__}.{name}" for name in kind._fields} <= checked
    assert {name.partition("(")[0] for name in checked if "(" in name} == set(ENTRIES)


@pytest.mark.nojit
def test_what_is_prepared_once_is_what_is_packed_each_time(dtype):
    network = Network((3, 4, 2))
    for value in (describe(network, np.dtype(dtype)), make_scratch(network, np.dtype(dtype), 5, 5)):
        once = loader.prepared(value)
        if loader.IN_PYTHON:
            assert all(x.ndim == 1 for x in once if isinstance(x, np.ndarray))
        else:
            assert once == arguments.pack(value)
            assert len(once) == 8 * len(value)


# -------------------------------------------------------------------------------------------------------- first of all


class Stderr(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.isatty = lambda: is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "cached", "lines"),
    [(True, False, 1), (True, True, 0), (False, False, 0)],
    ids=["a terminal", "nothing to compile", "a pipe"],
)
def test_a_compilation_says_so_once_where_somebody_watches(monkeypatch, is_terminal, cached, lines):
    def compile_nothing(*about):
        raise NotImplementedError

    monkeypatch.setattr(loader, "_announced", [])
    monkeypatch.setattr(loader, "found_in_cache", {})
    monkeypatch.setattr("fastnn.compiler.codegen.compile_entry", compile_nothing)
    monkeypatch.setattr(loader.cache, "load", lambda *name: b"not JSON\n" if cached else None)
    monkeypatch.setattr(sys, "stderr", Stderr(is_terminal))
    for _ in range(2):
        with pytest.raises((NotImplementedError, json.JSONDecodeError)):
            loader._machine_code("predict", np.dtype(np.float64), ())
    said = sys.stderr.getvalue().splitlines()
    assert said == ["fastnn: compiling kernels, which takes some seconds, once on this machine ..."] * lines


@pytest.mark.nojit
@pytest.mark.skipif(sys.platform == "win32", reason="a signal of another kind")
@pytest.mark.parametrize("announced", [True, False])
def test_what_ends_the_wait_for_a_compilation_says_that_it_goes_on(monkeypatch, announced):
    over = threading.Event()

    def work():
        os.kill(os.getpid(), signal.SIGINT)
        over.wait(60)

    monkeypatch.setattr(loader, "_announced", [True] * announced)
    monkeypatch.setattr(sys, "stderr", Stderr(announced))
    try:
        with pytest.raises(KeyboardInterrupt):
            loader._uninterrupted(work)
        assert ("the compilation cannot be cut short" in sys.stderr.getvalue()) == announced
    finally:
        over.set()
