"""Operations on memory: compiled code reads and writes numbers and vectors.

Arrays are one-dimensional and contiguous; an index is in elements, and a vector may begin at any
element. In compiled code an array is handed on as a pointer to one of its elements (`offset`); in
Python it is the rest of the array from that element on. Compiled code checks no index, Python
asserts on each.

An array may consist of numbers that many networks have, see `vectors.Many`: such a number is a
vector by itself.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastnn.compiler.tracing import (
    INT32,
    INT64,
    Traced,
    compiled,
    const,
    intrinsic_ir,
    primitive,
    splat_ir,
)
from fastnn.compiler.vectors import VECTOR_BYTES, Lanes, Many, ManyLanes, Vec

BYTES = ir.IntType(8).as_pointer()


def address_ir(a, i, kind=None):
    """Emit the address of ``a[i]``: no wraparound, no check. `i` is LLVM's, as is `kind`, that of a
    vector there.
    """
    address = a.builder.gep(a.value, [i])
    return a.builder.bitcast(address, kind.as_pointer()) if kind else address


@primitive(lambda a, i: types.CPointer(a.dtype), lambda a, i: address_ir(a, i.value))
def offset(a, i):
    """Return a pointer to ``a[i]``: how a panel or a layer's weights are handed to a function."""
    assert i >= 0, "a pointer before the array"  # Python would count from the end
    return a[i:]


def has_many(a):
    """Return whether array a's numbers are those of many networks: a Python bool, also while
    tracing.
    """
    return isinstance(a.type.dtype, Many) if isinstance(a, Traced) else a.ndim == 2


def lanes_of(a):
    """Return the lanes of a vector of array a's dtype: a Python integer, also while tracing; 1 if
    it has many's.
    """
    return a.lanes() if isinstance(a, Traced) else 1 if a.ndim == 2 else VECTOR_BYTES // a.itemsize


compiled(lanes_of, lambda a: types.intp, lambda a: const(lanes_of(a)))  # in ordinary Numba code


def row_lanes_of(a):
    """Return the lanes over which the format divides the rows of a batch, whatever a vector of
    array a's dtype is.
    """
    if has_many(a):
        return a.type.dtype.lanes if isinstance(a, Traced) else a.shape[1]
    return lanes_of(a)


def _vector(a, *indices):
    """Return the type of a vector of array a's dtype."""
    return a.dtype if isinstance(a.dtype, Many) else Vec(a.dtype)


def _llvm_vector(a):
    """Return LLVM's type of a vector of array a's dtype."""
    return a.context.get_value_type(_vector(a.type))


def align(a):
    """Return the alignment of a vector in bytes: an element's, for it may begin anywhere."""
    return min(a.type.dtype.bitwidth // 8, VECTOR_BYTES)


def load_ir(a, i):
    """Emit the load of a vector that may begin anywhere."""
    return a.builder.load(address_ir(a, i.value, _llvm_vector(a)), align=align(a))


@primitive(_vector, load_ir)
def load(a, i):
    """Read the vector ``a[i : i + lanes_of(a)]``."""
    if has_many(a):
        return get(a, i)
    v = a[i : i + lanes_of(a)].view(Lanes).copy()  # a value: it stays when the array is written
    assert i >= 0 and v.nbytes == VECTOR_BYTES, "load outside the array"
    return v


def store_ir(a, i, v):
    """Emit the store of a vector that may begin anywhere."""
    address = address_ir(a, i.value, v.value.type)
    value = v.value
    if isinstance(value, ir.SelectInstr):
        # Of a selection from what lies there LLVM 22 makes a store under a mask, which AMD's
        # processors take 20 cycles for and which loads wait for; a fence, no instruction, keeps the
        # two apart.
        value = intrinsic_ir("arithmetic.fence", v)
    a.builder.store(value, address, align=align(a))


@primitive(lambda a, i, v: types.void if v == _vector(a) else None, store_ir)
def store(a, i, v):
    """Write a vector: ``a[i : i + lanes_of(a)] = v``."""
    n = lanes_of(a)
    assert v.dtype == a.dtype and 0 <= i <= len(a) - n, (
        "store outside the array or of another dtype"
    )
    a[i : i + n] = v


@primitive(_vector, lambda a: ir.Constant(_llvm_vector(a), None))
def zero(a):
    """Return a vector of zeros of array a's dtype."""
    if has_many(a):
        return np.zeros(row_lanes_of(a), a.dtype).view(ManyLanes)
    return np.zeros(lanes_of(a), a.dtype).view(Lanes)


def put_ir(a, i, x):
    """Emit the store of a number; to many networks, of theirs or of one for all, rounded to the
    array's dtype.
    """
    value = x.value
    kind = a.context.get_value_type(a.type.dtype)
    if has_many(a):
        value = value if isinstance(x.type, Many) else splat_ir(x, row_lanes_of(a))
        value = value if value.type == kind else a.builder.fptrunc(value, kind)
    a.builder.store(value, address_ir(a, i.value), align=align(a))


def _put(a, i, x):
    """Return the signature of `put`: what many networks have is rounded by itself."""
    if isinstance(a.dtype, Many):
        return types.void(a, i, x if isinstance(x, Many) else types.float64)
    return types.void(a, i, a.dtype)


@primitive(_put, put_ir)
def put(a, i, x):
    """Write one number: ``a[i] = x``; no index counts from the end."""
    assert i >= 0, "put outside the array"
    a[i] = x


def get_ir(a, i):
    """Emit the load of a number."""
    number = a.builder.load(address_ir(a, i.value), align=align(a))
    return a.builder.sext(number, INT64) if a.type.dtype == types.int32 else number


@primitive(lambda a, i: types.intp if a.dtype == types.int32 else a.dtype, get_ir)
def get(a, i):
    """Read one number: ``a[i]``; no index counts from the end. One of 32 bits is read as an
    integer of 64, in which its products do not overflow.
    """
    assert i >= 0, "get outside the array"
    if has_many(a):
        return a[i].copy().view(ManyLanes)
    return int(a[i]) if a.dtype == np.int32 else a[i]


def broadcast_ir(a, i):
    """Emit the load of a number into each lane."""
    number = get_ir(a, i)
    return number if has_many(a) else splat_ir(a.of(a.type.dtype, number), lanes_of(a))


@primitive(_vector, broadcast_ir)
def splat(a, i):
    """Read ``a[i]`` to every lane: a broadcast."""
    if has_many(a):
        return get(a, i)
    assert i >= 0, "splat outside the array"
    return np.full(lanes_of(a), a[i]).view(Lanes)


def gather_ir(a, offsets, i):
    """Emit the loads of numbers into the lanes of a vector."""
    v = ir.Constant(_llvm_vector(a), ir.Undefined)
    base = a.builder.gep(a.value, [i.value])
    for j in range(lanes_of(a)):
        start = a.builder.load(address_ir(offsets, const(j)))
        number = a.builder.load(a.builder.gep(base, [start]))
        v = a.builder.insert_element(v, number, INT32(j))
    return v


@primitive(_vector, gather_ir)
def gather(a, offsets, i):
    """Read ``a[offsets[j] + i]`` to lane j."""
    chosen = offsets[: lanes_of(a)] + i
    assert chosen.min() >= 0, "gather outside the array"
    return a[chosen].view(Lanes)


def stack_ir(a, n):
    """Emit an allocation on the stack, aligned as vectors are."""
    memory = a.builder.alloca(a.context.get_value_type(a.type.dtype), n.value)
    memory.align = VECTOR_BYTES
    return memory


@primitive(lambda a, n: types.CPointer(a.dtype), stack_ir)
def stack(a, n):
    """Return room on the stack for `n` numbers of array a's dtype, until the function that is being
    traced returns.
    """
    return np.empty(n, a.dtype)


def prefetch_ir(a, i):
    """Emit LLVM's prefetch."""
    kind = ir.FunctionType(ir.VoidType(), [BYTES, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(a.builder.module, kind, "llvm.prefetch.p0i8")
    address = a.builder.bitcast(address_ir(a, i.value), BYTES)
    # to read; to the nearest cache; data, not code
    a.builder.call(function, [address, INT32(0), INT32(3), INT32(1)])


@primitive(lambda a, i: types.void, prefetch_ir)
def prefetch(a, i):
    """Fetch ``a[i]`` to the cache before it is read. It may lie beyond the array: nothing is read
    here.
    """
