"""How kernels are called: from the disk cache without Numba, with addresses in place of arrays,
from many threads."""

import ctypes
import io
import itertools
import json
import os
import signal
import struct
import sys
import threading
import typing
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from survival import HEAVY, python, run
from watched import watch

from fastnn.compiler import arguments, cache, loader
from fastnn.compiler.arguments import Table, pack
from fastnn.compiler.codegen import compile_entry
from fastnn.compiler.loader import load_kernel
from fastnn.memory import COMPILED_DATA

ENTRIES = ("train_steps", "loss_and_gradient", "predict")
MAKE = "_in_python" if loader.IN_PYTHON else "_machine_code"
"""The function of the loader that makes a kernel, of its name and, where it is compiled, its dtype
and constants."""

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
from fastnn.compiler.loader import CACHE, origins
print(digest.hexdigest())
print(json.dumps({name: origin == CACHE for name, origin in origins.items()}))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""  # noqa: E501


@pytest.mark.parametrize(
    ("dtypes", "cached"),
    [(["float64"], ENTRIES[:2]), pytest.param(["float32", "float64"], [], marks=pytest.mark.slow)],
)
def test_a_warm_process_needs_no_numba(tmp_path, monkeypatch, dtypes, cached):
    """All three kernels, from a folder that other processes filled: the dearest are this one's, but
    for slow tests."""
    folder = tmp_path / "cache"
    unset = {name: None for name in os.environ if name.startswith("NUMBA_")}
    for name in cached:
        content = cache.load(f"{name}.float64") or compile_entry(name, np.dtype(np.float64))
        with monkeypatch.context() as patch:
            patch.setenv("FASTNN_CACHE_DIR", str(folder))
            cache.save(f"{name}.float64", content)
    cold, warm = (python(ALL_OF_IT, *dtypes, **unset, FASTNN_CACHE_DIR=folder) for _ in range(2))
    assert warm[0] == cold[0]
    names = {f"{name}.{dtype}": name in cached for name in ENTRIES for dtype in dtypes}
    assert json.loads(cold[1]) == names
    assert json.loads(warm[1]) == dict.fromkeys(names, True)
    assert "numba" in json.loads(cold[2])
    assert HEAVY & set(json.loads(warm[2])) == {"llvmlite"} or sys.platform == "win32"


WITHOUT_NUMBA = """
import sys
missing = sys.argv[1:]
sys.modules.update(dict.fromkeys(missing))
import importlib.util
spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in missing else spec(name)
import fastnn
from fastnn.compiler import shipped
for problem in [], ["it is damaged"]:
    shipped._errors[:] = problem
    try:
        fastnn.predict(fastnn.Network((1, 1)), [1.0, 1.0], [[1.0]])
    except ImportError as error:
        print(error)
        assert error.name == "numba" and error.__suppress_context__
"""


@pytest.mark.parametrize("missing", [["numba"], ["numba", "llvmlite"]])
def test_a_missing_numba_is_named_where_a_kernel_must_be_compiled(tmp_path, missing):
    plain, damaged = python(
        WITHOUT_NUMBA, *missing, FASTNN_CACHE_DIR=tmp_path / "cache", FASTNN_KERNELS="none"
    )
    words = "compiling a kernel needs numba, which is not installed: python -m pip install numba"
    assert plain == words
    assert damaged == f"the kernels that came with fastnn are not used (it is damaged), and {words}"


@pytest.mark.nojit
def test_each_kernel_is_loaded_once_whatever_the_number_of_threads(monkeypatch):
    loads = watch(monkeypatch, loader, MAKE)
    barrier = threading.Barrier(8)
    monkeypatch.setattr(loader, "_kernels", {})
    keys = list(itertools.product(ENTRIES, (np.dtype(np.float64), np.dtype(np.float32))))

    def load_all(order):
        barrier.wait()
        kernels = {key: load_kernel(*key) for key in keys[::order]}
        return [kernels[key] for key in keys]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(load_all, [1, -1] * 4))
    assert sorted(call.arguments[0] for call in loads) == sorted(ENTRIES * 2)
    assert found == found[:1] * 8


def test_what_was_compiled_half_is_compiled_again(monkeypatch, tmp_path):
    """An overload without machine code would be taken for a compiled one."""
    from numba.core.codegen import CPUCodeLibrary

    from fastnn.fused import epoch_ends

    def fail(library):
        raise MemoryError

    monkeypatch.setattr(
        epoch_ends.shuffle_rows, "overloads", type(epoch_ends.shuffle_rows.overloads)()
    )
    with monkeypatch.context() as patch:
        patch.setattr(CPUCodeLibrary, "serialize_using_object_code", fail)
        with pytest.raises(MemoryError):
            compile_entry("shuffle_rows", np.dtype(np.float64))
    assert len(epoch_ends.shuffle_rows.overloads) == 0
    assert (
        b"shuffle_rows" in compile_entry("shuffle_rows", np.dtype(np.float64)).partition(b"\n")[0]
    )


@pytest.mark.nojit
def test_what_fails_while_a_kernel_is_made_is_raised_to_every_caller(monkeypatch):
    """Kernels are made where no more threads can be had, too."""

    def fail(*key):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(loader, "_kernels", {})
    with monkeypatch.context() as patch:
        patch.setattr(loader, MAKE, fail)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no such luck"):
                load_kernel("predict", np.dtype(np.float64))
    monkeypatch.setattr(threading.Thread, "start", fail)
    assert load_kernel("predict", np.dtype(np.float64))


@pytest.mark.nojit
@pytest.mark.parametrize("status", [0, 1, -1])
def test_a_status_becomes_an_exception(status):
    @ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    def kernel(result, raised, n):
        ctypes.c_int64.from_address(result).value = 40 + n
        return status

    start = ctypes.cast(kernel, ctypes.c_void_p).value
    for letter, result in (("q", 42), ("-", None)):
        call = loader._callable({"kernel": start}.get, "kernel", f"{letter}q")
        if status == 0:
            assert call(2) == result
        else:
            with pytest.raises(RuntimeError, match=f"a kernel ended with status {status}"):
                call(2)


@pytest.mark.skipif(loader.IN_PYTHON, reason="no object file is loaded")
def test_addresses_are_looked_up_where_a_fork_waits(monkeypatch):
    """A child would inherit the lock of llvmlite while another thread holds it, for ever."""
    owned = []

    class Engine:
        def get_function_address(self, name):
            owned.append(loader._lock._is_owned())
            return 1

    monkeypatch.setattr(loader, "llvm_engine", Engine)
    assert loader._loaded_address("f") == 1
    assert owned == [True]


@pytest.mark.parametrize("larger", [0, 16])
def test_an_array_is_where_kernels_look_whatever_the_size_of_objects(larger, monkeypatch):
    """Those of a free-threaded Python are larger, and the machine code is the same."""
    monkeypatch.setattr(arguments, "DATA", COMPILED_DATA + larger)
    monkeypatch.setitem(loader.C_TYPES, "a", arguments.MovedArray)
    pointers = []

    @ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    def kernel(result, raised, pointer):
        pointers.append(pointer)
        return 0

    start = ctypes.cast(kernel, ctypes.c_void_p).value
    call = loader._callable({"kernel": start}.get, "kernel", "qa")
    first, second = np.ones(3), np.ones(3)
    call(first)
    again = call.bound(first)
    again()
    again.places[0].value = second
    again()
    assert pointers == [id(array) + larger for array in (first, first, second)]
    assert again.places[0].value is second


def test_a_numpy_whose_arrays_are_laid_out_otherwise_is_refused(monkeypatch):
    """Before any code is loaded that would read an address where there is none."""
    monkeypatch.setattr(loader, "address", lambda array: array.ctypes.data + 8)
    monkeypatch.setattr(loader, "_kernels", {})
    with pytest.raises(RuntimeError, match=f"NumPy {np.__version__} keeps an array's address"):
        load_kernel("predict", np.dtype(np.float64))


def stderr(monkeypatch, is_terminal):
    """A function of what is said on a stderr that is a terminal or none."""
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    monkeypatch.setattr(sys, "stderr", stream)
    return stream.getvalue


class Alarm:
    """A `threading.Timer` that goes off when it is started, if it has no time to wait."""

    def __init__(self, seconds, function):
        self.seconds = seconds
        self.function = function

    def start(self):
        if self.seconds <= 0:
            self.function()

    def cancel(self):
        pass


@pytest.fixture
def compile_twice(monkeypatch):
    """A function that has two kernels compiled, each in so many seconds, and returns the lines on
    stderr."""

    def run(*, is_terminal=False, cached=False, seconds=0.0):
        said = stderr(monkeypatch, is_terminal)
        now = [0.0]

        def compiled(*about):
            now[0] += seconds
            return b"not JSON\n"

        for name, value in (("_announced", []), ("_compiled_for", []), ("origins", {})):
            monkeypatch.setattr(loader, name, value)
        monkeypatch.setattr(loader.threading, "Timer", Alarm)
        monkeypatch.setattr(loader.time, "monotonic", lambda: now[0])
        monkeypatch.setattr("fastnn.compiler.codegen.compile_entry", compiled)
        monkeypatch.setattr(loader.cache, "load", lambda *name: b"not JSON\n" if cached else None)
        monkeypatch.setattr(loader.cache, "save", lambda *kernel: None)
        for _ in range(2):
            with pytest.raises(json.JSONDecodeError):
                loader._machine_code("predict", np.dtype(np.float64), ())
        return said().splitlines()

    monkeypatch.delenv(loader.QUIET, raising=False)
    return run


ANNOUNCED = (
    f"fastnn: compiling kernels, about {loader.COMPILE_SECONDS} seconds, once on this machine; "
    "`fastnn warmup` does it ahead ..."
)


@pytest.mark.parametrize(("cached", "lines"), [(False, [ANNOUNCED]), (True, [])])
def test_a_compilation_says_so_once_at_a_terminal(compile_twice, cached, lines):
    assert compile_twice(is_terminal=True, cached=cached) == lines


@pytest.mark.parametrize(("seconds", "lines"), [(2.9, []), (3.1, [ANNOUNCED])])
def test_elsewhere_a_long_compilation_says_so_once(compile_twice, seconds, lines):
    """Here the second one does, before which the first has taken so long."""
    assert compile_twice(seconds=seconds) == lines


def test_workers_and_who_is_told_to_be_quiet_say_nothing(compile_twice, monkeypatch):
    monkeypatch.setattr(loader, "is_worker", lambda: True)
    assert compile_twice(seconds=4.0) == []
    monkeypatch.setenv("FASTNN_QUIET", "1")
    assert compile_twice(is_terminal=True) == []


LONG = """
import sys, time
from fastnn.compiler import loader
loader.PATIENCE = 0.0
with loader._announced_compilation():
    while not loader._announced:
        time.sleep(0.01)
"""


def test_a_process_without_a_terminal_is_told_while_it_compiles():
    done = run("-c", LONG, FASTNN_QUIET=None)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [ANNOUNCED]


@pytest.mark.nojit
def test_a_kernel_that_is_not_there_is_compiled_meanwhile_and_once(monkeypatch):
    asked = []
    go_on = threading.Event()
    dtype = np.dtype(np.float32)

    def load(*key):
        asked.append(key)
        go_on.wait(60)
        loader._kernels[key] = len

    for name, value in (
        ("_kernels", {}),
        ("_under_way", set()),
        ("IN_PYTHON", False),
        ("load_kernel", load),
    ):
        monkeypatch.setattr(loader, name, value)
    monkeypatch.setattr(loader.cache, "load", lambda title: None)
    assert [loader.is_at_hand("predict", dtype) for _ in range(2)] == [False, False]
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "fastnn compiles ahead":
            thread.join(60)
    assert loader.is_at_hand("predict", dtype)
    assert asked == [("predict", dtype)]
    monkeypatch.setattr(loader.cache, "load", lambda title: b"")
    assert loader.is_at_hand("train_steps", dtype), (
        "loading one from the disk cache takes no time to speak of"
    )


@pytest.mark.nojit
@pytest.mark.skipif(sys.platform == "win32", reason="a signal of another kind")
@pytest.mark.parametrize("announced", [True, False])
def test_what_ends_the_wait_for_a_compilation_says_that_it_goes_on(monkeypatch, announced):
    over = threading.Event()

    def work():
        os.kill(os.getpid(), signal.SIGINT)
        over.wait(60)

    monkeypatch.setattr(loader, "_announced", [True] * announced)
    said = stderr(monkeypatch, announced)
    try:
        with pytest.raises(KeyboardInterrupt):
            loader._uninterrupted(work)
        assert ("the compilation cannot be cut short" in said()) == announced
    finally:
        over.set()


class Words(typing.NamedTuple):
    first: "np.typing.NDArray"
    whole: int
    real: float


@pytest.mark.nojit
def test_a_named_tuple_is_packed_by_its_annotations():
    """An array becomes its address, and an int where a float is asked for becomes one: its bits
    mean another number."""
    array = np.arange(3.0)
    for first, whole, real in (
        (array, 7, 2),
        (array[1:], -1, np.float32(0.5)),
        (array, np.int64(7), True),
    ):
        packed = struct.pack("qqd", first.ctypes.data, whole, real)
        block = pack(Words(first, whole, real))
        assert bytes(block) == packed, (whole, real)
        assert (block.first, block.whole, block.real) == (first.ctypes.data, whole, real)
    with pytest.raises(struct.error):
        pack(Words(array, 7.5, 2))


class Outer(typing.NamedTuple):
    array: "np.typing.NDArray"
    words: Words


@pytest.mark.nojit
def test_a_table_by_columns_has_the_words_of_its_rows_and_holds_their_arrays():
    array = np.arange(12.0).reshape(3, 4)
    blocks = [pack(Words(array[k], k, 0.0)) for k in range(2)]
    table = Table(Outer, 2)
    table.point("array", array, np.array([2, 0]), 1)
    table.set_blocks("words", blocks, np.array([1, 1]))
    rows = Table(Outer, 2)
    rows[0] = Outer(array[2, 1:], blocks[1])
    rows[1] = Outer(array[0, 1:], blocks[1])
    assert table.words.tolist() == rows.words.tolist()
    with pytest.raises(ValueError, match="cannot resize"):
        array.resize(1000, refcheck=False)
    held = weakref.ref(array)
    words = table.words
    del array, table, rows, blocks
    assert held() is not None
    del words
    assert held() is None


@pytest.mark.nojit
@pytest.mark.parametrize("n_calls", [None, 3])
def test_who_holds_a_block_or_the_words_of_a_table_holds_its_arrays(n_calls):
    """Those of blocks within it too; and none of them may be resized, which would move its
    numbers."""
    inner = np.arange(3.0)
    array = np.arange(4.0)
    arguments = Outer(array, pack(Words(inner, 1, 2.0)))
    if n_calls is None:
        block = pack(arguments)
        words = np.frombuffer(block, np.int64)
    else:
        table = Table(Outer, n_calls)
        table[1] = arguments
        block = table.words
        words = table.words[1]
        del table
    assert words.tolist() == [array.ctypes.data, ctypes.addressof(arguments.words)]
    for each in inner, array:
        with pytest.raises(ValueError, match="cannot resize"):
            each.resize(1000, refcheck=False)
    dead = [weakref.ref(each) for each in (inner, array)]
    del inner, array, each, arguments
    assert [ref() is None for ref in dead] == [False, False]
    del block, words
    assert [ref() is None for ref in dead] == [True, True]
