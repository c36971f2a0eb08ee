"""Hostile values for the survival tests: what no one should pass, and how a call must answer it."""

import array
import collections
import contextlib
import decimal
import fractions
import math
import os
import sys
import time
import traceback

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from fastnn import FastnnError

SCALES = [1, pytest.param(50, marks=pytest.mark.slow)]
"""How many times the cases of an ordinary run a test does."""

DOCUMENTED = (ValueError, TypeError, MemoryError, FastnnError)
SECONDS = 10
"""What one call may take, on a busy machine."""
BYTES = 1 << 30
"""What all calls of a test together may add to the memory of the process."""
UNCHECKED = ("reference.py", "loop.py", "store.py", "backend.py", "kernels.py", "memory.py")
"""Modules that take their input on trust: an error that comes out of them was not meant."""


class Opaque:
    def __repr__(self):
        return "opaque"


SCALARS = [
    *(None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63, 2**64, -(2**70), 10**400, -(10**400), 0.5, -0.0, 1e-320, 1e300),
    *(math.nan, math.inf, -math.inf, 1j, "", "text", "relu", "ünï\0", "x" * 1000, b"", b"bytes", (), [], {}, set()),
    *(np.float32(0.5), np.float64("nan"), np.int64(3), np.uint8(255), np.bool_(True), np.array(3), np.array([1, 2])),
    *(np.datetime64("2020-01-01"), np.longdouble(1), np.complex64(1j), fractions.Fraction(10**400), decimal.Decimal(1)),
    *(object, Opaque(), len, Ellipsis, NotImplemented, slice(3), range(3), iter([1]), memoryview(b"abc"), int),
    *([[]], [1, [2]], [None], [math.nan], ["a"], {"a": 1}, {1, 2}, (1, 2, 3), [10**400], [True, False], [[1, 2], [3]]),
]
scalars = st.sampled_from(SCALARS)

NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 1e-310, -1e-45, 1e38, -1e38, 1e200, 1e308, math.nan, math.inf, -math.inf]
DTYPES = [
    *("f8", "f4", "f2", ">f8", ">f4", "g", "i1", "i8", ">i4", "u1", "u8"),
    *("?", "c8", "c16", "U3", "S2", "O", "M8[s]", "m8[s]", "V8"),
]


@st.composite
def arrays(draw, shape):
    """An array that might fit `shape`, or nearly so, or not at all."""
    others = [(), (0,), (1,), (0, 0), (*shape, 1), (shape[0] + 1, *shape[1:]), (0, *shape[1:])]
    shape = draw(st.one_of(*map(st.just, (shape, shape[:-1], shape[::-1])), st.sampled_from(others)))
    seed = draw(st.integers(0, 2**16))
    tame = draw(st.booleans())
    values = np.random.RandomState(seed).choice(NUMBERS[:6] if tame else NUMBERS, shape)
    with np.errstate(all="ignore"):
        dtype = np.dtype(draw(st.sampled_from(DTYPES)))
        if dtype.kind in "iuMmV":
            values = np.nan_to_num(values, posinf=9, neginf=-9).clip(-100, 100).astype(np.int64)
        values = values.view(dtype) if dtype.kind == "V" else values.astype(dtype)
    return draw(st.sampled_from(LAYOUTS))(np.asarray(values))


def _strided(a):
    return np.repeat(a, 2, axis=0)[::2] if a.ndim else a


def _read_only(a):
    a.flags.writeable = False
    return a


def _unaligned(a):
    return np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape) if not a.dtype.hasobject else a


LAYOUTS = [
    *(np.asarray, np.asarray, np.asarray, np.asfortranarray, _strided, _read_only, _unaligned),
    lambda a: a.tolist(),
    lambda a: tuple(a.tolist()) if a.ndim else a,
    lambda a: a[::-1] if a.ndim else a,
    lambda a: np.broadcast_to(a, (3, *a.shape)),
    lambda a: a.view(type("Mine", (np.ndarray,), {})),
    lambda a: np.ma.masked_invalid(a) if a.dtype.kind == "f" else a,
    lambda a: memoryview(a) if a.dtype.str in ("<f8", "<f4", "<i8") else a,
    lambda a: array.array("d", a.ravel()) if a.dtype.str == "<f8" else a,
    lambda a: collections.UserList(a.tolist()) if a.ndim else a,
]


def any_array(shape):
    """An array-like for `shape`, more often an array than not."""
    return st.one_of(arrays(shape), arrays(shape), scalars)


class Outcomes(collections.Counter):
    """Counts of how a test's calls ended; each must end as documented."""

    @contextlib.contextmanager
    def call(self):
        """One call: it works or raises what is documented, from where input is checked, within bounded time."""
        before = time.perf_counter()
        try:
            yield
            self["works"] += 1
        except DOCUMENTED as error:
            frames = traceback.extract_tb(error.__traceback__)
            ours = [os.path.basename(frame.filename) for frame in frames if f"{os.sep}fastnn{os.sep}" in frame.filename]
            if ours and ours[-1] in UNCHECKED and not isinstance(error, MemoryError):
                raise AssertionError(f"{ours}: {error!r}") from error
            self[type(error).__name__] += 1
        assert time.perf_counter() - before < SECONDS

    def check(self, n):
        """Assert that they were so many, and of each kind a fair part."""
        assert self.total() >= 0.9 * n, self
        assert self["works"] >= 0.05 * n, self
        assert self["ValueError"] + self["TypeError"] + self["ModelFileError"] >= 0.05 * n, self


@contextlib.contextmanager
def bounded_memory():
    """Let no allocation kill the machine, and see that the process does not grow."""
    if sys.platform != "linux":
        yield
        return
    import resource

    def used(kind):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(kind))

    before, old = used("VmRSS"), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used("VmSize") + 4 * BYTES, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)
    assert used("VmRSS") - before < BYTES


def run(strategy, body, n):
    """Do `body` with `n` drawn cases; what they came to."""
    outcomes = Outcomes()

    @hypothesis.settings(max_examples=n, print_blob=False, verbosity=hypothesis.Verbosity.quiet)
    @hypothesis.given(strategy)
    def cases(case):
        try:
            with outcomes.call():
                body(**case)
        except BaseException as error:
            error.add_note("; ".join(f"{name}={value!r:.300}" for name, value in case.items()))
            raise

    with bounded_memory():
        cases()
    outcomes.check(n)
    return outcomes


@st.composite
def spoiled(draw, good, bad):
    """The `good` arguments, up to three of them replaced by `bad` ones."""
    case = {name: draw(value) for name, value in good.items()}
    for name in draw(st.lists(st.sampled_from(sorted(bad)), max_size=3, unique=True)):
        case[name] = draw(bad[name])
    return case
