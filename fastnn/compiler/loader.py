"""Python functions that call the kernels: machine code from the wheel, else from the disk cache,
else compiled.

Numba is imported only to compile, and LLVM only to load what was compiled: a process that finds its
kernels is at work before Numba would have been imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from fastnn.checking.hints import missing_package
from fastnn.compiler import cache, shipped
from fastnn.compiler.arguments import ArrayPointer, BlockPointer, flatten, pack
from fastnn.compiler.program import digest, entry_point, numba_settings, symbol
from fastnn.cores import is_worker
from fastnn.memory import address

IN_PYTHON = "DISABLE_JIT" in numba_settings()
"""Whether kernels run as plain Python, for a debugger: with the same bits, some thousand times
slower."""

prepared = flatten if IN_PYTHON else pack
"""Packs a NamedTuple as kernels take it, once or many times; the block keeps its arrays."""

ORIGINS = WHEEL, CACHE, COMPILED = "from the wheel", "from the disk cache", "compiled"
origins: dict[str, str] = {}
"""{kernel that this process has made: where its machine code came from}: one of the three above."""

C_TYPES = {
    "q": ctypes.c_int64,
    "d": ctypes.c_double,
    "a": ArrayPointer,
    "w": BlockPointer,
    "-": None,
}
"""{letter of a kernel's header: its type in C}: integer, float, array, argument block; "-" is no
result."""

WORKER = "fastnn compiles"  # the name of the thread that makes kernels

_kernels: dict[tuple, Callable] = {}
_under_way: set[tuple] = set()  # what threads compile that nobody waits for
_lock = threading.RLock()
"""Held by the thread that makes a kernel; reentrant, for a finalizer may need one in the midst of
it."""

if hasattr(os, "register_at_fork"):  # else a child would wait for ever for a thread of its parent
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def load_kernel(name: str, dtype: np.dtype, constants: tuple = ()) -> Callable:
    """Return an entry point for a dtype as a function of its parameters; NamedTuples are packed by
    `prepared`.

    Its attribute `bound` takes all parameters and returns a function of none, whose calls take less
    time. The `places` of that are the parameters, each of which is set anew by its attribute
    `value`, a block by its `contents`; one thread at a time may use it. The attribute `code` is the
    address of the machine code, and `address_of` finds those of the functions for C that were
    compiled with it, see `tracing.exported` (neither is there where kernels run as plain Python).
    An argument that is to be an array is not checked. `constants` are the NamedTuples of a
    specialized kernel, see `memory_ops.ArgumentBlock`: it serves only calls with the same values in
    these fields.
    """
    key = (name, dtype, *map(digest, constants))
    if (kernel := _kernels.get(key)) is not None:
        return kernel
    _uninterrupted(functools.partial(_make, key, constants))
    shipped.warn_once()  # here, where the stack leads to the caller
    cache.warn_once()
    return _kernels[key]


def _make(key, constants):
    """Make the kernel of a key, once for all threads that ask for it."""
    name, dtype, *_ = key
    with _lock:
        if key not in _kernels:
            _kernels[key] = _in_python(name) if IN_PYTHON else _machine_code(name, dtype, constants)


def is_at_hand(name: str, dtype: np.dtype) -> bool:
    """Return whether an entry point can be had without compiling; if not, another thread begins to
    compile it.
    """
    key = name, dtype
    if key in _kernels:
        return True
    if key not in _under_way:
        if IN_PYTHON or origin(f"{name}.{dtype.name}") != COMPILED:
            return True
        _under_way.add(key)
        # no more threads can be had, or the interpreter is about to end
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=load_kernel, args=key, name="fastnn compiles ahead").start()
    return False


def _uninterrupted(work):
    """Call `work` in a thread of its own, wait for it, and raise what it raises.

    Python runs the handlers of signals in the main thread. An exception of theirs,
    KeyboardInterrupt first of all, ends the wait, but neither a compilation nor Numba's import,
    half of which is of no use: `work` goes on to its end, and the next call finds the kernel. The
    interpreter, too, waits for the thread before it ends: it is no daemon.
    """
    if threading.current_thread().name == WORKER:
        work()  # a finalizer calls fastnn: this thread would wait for itself
        return
    # not `join`: interrupted once, it takes the thread for one that has ended
    done = threading.Event()
    raised = []

    def run():
        try:
            work()
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    worker = threading.Thread(target=run, name=WORKER, daemon=False)
    try:
        worker.start()
        done.wait()
    except BaseException as error:
        if isinstance(error, RuntimeError) and worker.ident is None:
            # No more threads can be had: a limit of the system, or the interpreter is about to end.
            work()
            return
        if _announced:  # a signal's handler raised this, and the thread runs
            _say(
                "the compilation cannot be cut short: it goes on, and the process does not end "
                "before it ..."
            )
        raise
    if raised:
        raise raised[0]


def _in_python(name):
    """Return an entry point as a plain Python function of the same arguments."""
    function = entry_point(name)

    def call(*values):
        return function(*map(flatten, values))

    call.bound = functools.partial(bound_in_python, call)
    return call


class Place:
    """An argument of a bound call: an array or a number as its `value`, a block as its
    `contents`.
    """

    def __init__(self, value):
        self.value = value

    @property
    def contents(self):
        """The same as `value`."""
        return self.value

    @contents.setter
    def contents(self, block):
        self.value = block


def bound_in_python(call, *values):
    """Return a function of no parameters that calls `call`, like `bound` of compiled kernels."""
    places = [Place(value) for value in values]

    def call_again():
        return call(*(place.value for place in places))

    call_again.places = places
    return call_again


def origin(title: str) -> str:
    """Return the origin of a general kernel, such as "predict.float64": where it would come from
    now.
    """
    return WHEEL if shipped.has(title) else COMPILED if cache.load(title) is None else CACHE


def _machine_code(name, dtype, constants):
    """Load a kernel from the wheel or the cache, or compile and cache it; return it as a Python
    function.
    """
    probe = np.empty(1)
    if address(probe) != probe.ctypes.data:
        raise RuntimeError(
            f"NumPy {np.__version__} keeps an array's address where kernels do not look: use a "
            f"NumPy 2"
        )
    title = f"{name}.{dtype.name}"
    if not constants and shipped.has(title):
        origins[title] = WHEEL
        library = shipped.library()
        return _callable(library.address_of, symbol(name, dtype.name), library.signatures[title])
    variant = "".join(map(digest, constants))
    content = cache.load(title, variant)
    origins[title] = COMPILED if content is None else CACHE
    try:
        if content is None:
            from fastnn.compiler import codegen  # imports Numba

            with _announced_compilation():
                content = codegen.compile_entry(name, dtype, constants)
            cache.save(title, content, variant)
        # the header tells what Numba knew of the types, without Numba
        header, _, code = content.partition(b"\n")
        function, *signature = json.loads(header)
        load_object(code)
    except ModuleNotFoundError as error:
        # Numba or LLVM, to compile a kernel or to load it from the disk cache
        if str(error.name).partition(".")[0] not in ("llvmlite", "numba"):
            raise
        problem = shipped.problem()
        why = f"the kernels that came with fastnn are not used ({problem}), and " if problem else ""
        raise missing_package("numba", f"{why}compiling a kernel needs") from None
    return _callable(_loaded_address, function, signature)


def load_object(code: bytes) -> None:
    """Load an object file, which stays until the process ends."""
    import llvmlite.binding as llvm

    llvm_engine().add_object_file(llvm.ObjectFileRef.from_data(code))
    llvm_engine().finalize_object()


def _loaded_address(name: str) -> int:
    """Return the address of a function of the object files that were loaded."""
    with (
        _lock
    ):  # a fork waits for it, so that no child inherits llvmlite's own lock while it is held
        return llvm_engine().get_function_address(name)


@functools.cache
def llvm_engine():
    """Return LLVM's loader. It compiles nothing but a few instructions, so no processor is named to
    it.
    """
    import llvmlite.binding as llvm

    if sys.platform == "win32":
        from numba.core.registry import cpu_target

        cpu_target.target_context.refresh()  # registers functions that Microsoft's C library lacks
    # an OSError where the system lets no process run code that it has written
    llvm.check_jit_execution()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # The code is complete, so neither the target machine's settings nor the empty module matter.
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def address_in_module(name: str, module: str) -> int:
    """Compile a module in LLVM's language, which stays as long as the process; return a function's
    address in it.
    """
    import llvmlite.binding as llvm

    with _lock:
        llvm_engine().add_module(llvm.parse_assembly(module))
        llvm_engine().finalize_object()
        return _loaded_address(name)


def kernels_are_kept() -> bool:
    """Return whether the general kernels that this process has made, at least one, are in the wheel
    or the cache.
    """
    return bool(origins) and all(origin(title) != COMPILED for title in list(origins))


COMPILE_SECONDS = 10
"""About how long the first `fit` of a table compiles, in seconds of one core, by ``python -m
benchmarks.compiling``.

Pages quote it; a test compares them.
"""

PATIENCE = 3.0
"""Seconds of compilation after which a process says so where nobody watches."""

QUIET = "FASTNN_QUIET"
"""The environment variable by which a process says nothing of compilations."""

_announced: list[bool] = []
_compiled_for: list[float] = []  # seconds of each compilation of this process


@contextlib.contextmanager
def _announced_compilation():
    """Print, once in a process, that the body compiles: at once at a terminal and in a notebook.

    Elsewhere it is printed when the process has compiled for longer than `PATIENCE`, and not by
    workers.
    """
    began = time.monotonic()
    is_watched = sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    alarm = threading.Timer(PATIENCE - sum(_compiled_for), _announce)
    alarm.daemon = True
    if is_watched:
        _announce()
    elif not is_worker():
        with contextlib.suppress(RuntimeError):  # no more threads can be had
            alarm.start()
    try:
        yield
    finally:
        alarm.cancel()
        _compiled_for.append(time.monotonic() - began)


def _announce():
    if not _announced and not os.environ.get(QUIET):
        _announced.append(True)
        ahead = "`fastnn warmup` does it ahead"
        _say(
            f"compiling kernels, about {COMPILE_SECONDS} seconds, once on this machine; {ahead} ..."
        )


def _say(what):
    """Write a line to stderr, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"fastnn: {what}\n")
        sys.stderr.flush()


def _callable(address_of, function_name, signature):
    """Make a Python function of a compiled one; `address_of` finds its machine code and that of its
    other functions.

    Numba's calling convention: pointers for the result and for an exception come first; the return
    value is a status, here always 0. The call lets other threads run. It is as short as can be: a
    prediction of one row takes longer to call than to compute.
    """
    address_of_code = address_of(function_name)
    pointer = ctypes.c_void_p
    result_type, *argument_types = map(C_TYPES.get, signature)
    function = ctypes.CFUNCTYPE(ctypes.c_int32, pointer, pointer, *argument_types)(address_of_code)
    function.errcheck = lambda status, *_: _refuse(status) if status != 0 else None
    of_converted = ctypes.CFUNCTYPE(ctypes.c_int32)(address_of_code)
    byref = ctypes.byref
    unused = byref(pointer())  # kernels raise nothing, so no exception is ever written

    def call(*values):
        result = result_type()
        function(byref(result), unused, *values)
        return result.value

    def bound(*values):
        result = result_type()
        places = [
            kind() if value is None else kind(value)
            for kind, value in zip(argument_types, values, strict=True)
        ]
        again = functools.partial(of_converted, byref(result), unused, *places)

        def call_again():
            status = again()
            if status != 0:
                _refuse(status)
            return result.value

        call_again.places = places
        return call_again

    chosen = call if result_type else functools.partial(function, unused, unused)
    chosen.bound = bound
    chosen.code = address_of_code
    chosen.address_of = address_of
    return chosen


def _refuse(status):
    """Raise an error for the status of a kernel, which is 0 where all is well."""
    raise RuntimeError(f"a kernel ended with status {status}, which none should: please report it")
