"""Operations on pointers: compiled code reads and writes numbers and vectors in memory, and unpacks its arguments.

Arrays are one-dimensional and contiguous; an index is in elements, and a vector may begin at any element. In compiled
code an array is handed on as a pointer to one of its elements (`offset`); in Python it is the rest of the array from
that element on. Compiled code checks no index, Python asserts on each.

An array may consist of numbers that many networks have, see `vectors.Many`: such a number is a vector by itself.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from fastnn.compiler.arguments import AfterFirst, digest
from fastnn.compiler.instructions import INT32, INT64, const, intrinsic_ir, splat_ir
from fastnn.compiler.tracing import Traced, compiled, primitive
from fastnn.compiler.vectors import VECTOR_BYTES, Lanes, Many, ManyLanes, Vec
from fastnn.memory import DATA

BYTES = ir.IntType(8).as_pointer()


class ArrayObject(types.Type):
    """Numba's type of an array that Python passes as an object, which holds the data pointer."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"ArrayObject({dtype})")


class ArgumentBlock(types.Type):
    """Numba's type of a NamedTuple's arrays and numbers in memory: the 8-byte words of `arguments.pack`.

    `constants` are those of a specialized kernel: for each field its integer, its array or its `AfterFirst`, or None
    where it is no constant.
    """

    def __init__(self, kind, fields, constants=None):
        self.kind, self.fields, self.constants = kind, tuple(fields), constants or (None,) * len(fields)
        # Numba takes types of one name for one type, so the constants are part of the name.
        super().__init__(name=f"ArgumentBlock({kind.__name__}, {self.fields}, {digest(self.constants)})")


class Unpacked(types.NamedTuple):
    """Numba's type of a NamedTuple read from its argument block; `constants` are those of its integers and arrays."""

    def __init__(self, block):
        # A distance is no value to compute with: it has done its work when the pointer is made, in `unpack`.
        self.constants = tuple(None if isinstance(value, AfterFirst) else value for value in block.constants)
        self.digest = digest(self.constants)
        super().__init__(block.fields, block.kind)
        self.name += self.digest

    @property
    def key(self):
        """The key by which Numba compares types: class and fields alone would let two networks share a kernel."""
        return *super().key, self.digest


register_model(ArrayObject)(lambda manager, kind: models.PrimitiveModel(manager, kind, BYTES))
register_model(ArgumentBlock)(lambda manager, kind: models.PrimitiveModel(manager, kind, INT64.as_pointer()))
register_model(Unpacked)(models.TupleModel)


def address_ir(a, i, kind=None):
    """Emit the address of ``a[i]``: no wraparound, no check. `i` is LLVM's, as is `kind`, that of a vector there."""
    address = a.builder.gep(a.value, [i])
    return a.builder.bitcast(address, kind.as_pointer()) if kind else address


@primitive(lambda a, i: types.CPointer(a.dtype), lambda a, i: address_ir(a, i.value))
def offset(a, i):
    """Return a pointer to ``a[i]``: how a panel or a layer's weights are handed to a function."""
    assert i >= 0, "a pointer before the array"  # Python would count from the end
    return a[i:]


def _unpacked(argument):
    """Return Numba's type of the value that `unpack` returns."""
    return types.CPointer(argument.dtype) if isinstance(argument, ArrayObject) else Unpacked(argument)


def unpack_ir(argument):
    """Emit the loads of an argument, but for what is constant."""
    builder, context, kind = argument.builder, argument.context, argument.type

    def read(address, kind):
        """Emit a load of a number or pointer."""
        return builder.load(builder.bitcast(address, context.get_value_type(kind).as_pointer()))

    if isinstance(kind, ArrayObject):
        return read(address_ir(argument, const(DATA)), _unpacked(kind))
    values = []
    for k, (field, constant) in enumerate(zip(kind.fields, kind.constants, strict=True)):
        if isinstance(constant, int):
            values.append(const(constant))  # in the place of a load: LLVM sees the number, too
        elif isinstance(constant, AfterFirst):  # so LLVM knows that what is written here changes nothing there
            start = builder.bitcast(values[0], BYTES)
            values.append(builder.bitcast(builder.gep(start, [const(constant.bytes)]), context.get_value_type(field)))
        else:  # no constant, or an array: its numbers are constants while tracing, its pointer is read
            values.append(read(address_ir(argument, const(k)), field))
    return context.make_tuple(builder, _unpacked(kind), values)


@primitive(_unpacked, unpack_ir)
def unpack(argument):
    """Unpack an argument of an entry point: an array to a pointer, an argument block to its NamedTuple."""
    return argument


def _block_of_many(block):
    """Return an argument block's type with numbers of many networks in the place of its floats."""
    floats = [t.dtype for t in block.fields if isinstance(t, types.CPointer) and isinstance(t.dtype, types.Float)]
    lanes = VECTOR_BYTES * 8 // min(kind.bitwidth for kind in floats)
    fields = [types.CPointer(Many(t.dtype, lanes)) if getattr(t, "dtype", t) in floats else t for t in block.fields]
    return ArgumentBlock(block.kind, fields, block.constants)


@primitive(
    lambda argument: _unpacked(_block_of_many(argument)),
    lambda argument: unpack_ir(argument.of(_block_of_many(argument.type), argument.value)),
)
def unpack_many(argument):
    """Unpack an argument block whose floats are numbers of as many networks as a vector of its dtype has lanes."""
    lanes = VECTOR_BYTES // min(a.itemsize for a in argument if isinstance(a, np.ndarray) and a.dtype.kind == "f")
    return type(argument)(
        *(a.reshape(-1, lanes) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in argument)
    )


def has_many(a):
    """Return whether array a's numbers are those of many networks: a Python bool, also while tracing."""
    return isinstance(a.type.dtype, Many) if isinstance(a, Traced) else a.ndim == 2


def lanes_of(a):
    """Return the lanes of a vector of array a's dtype: a Python integer, also while tracing; 1 if it has many's."""
    return a.lanes() if isinstance(a, Traced) else 1 if a.ndim == 2 else VECTOR_BYTES // a.itemsize


compiled(lanes_of, lambda a: types.intp, lambda a: const(lanes_of(a)))  # in ordinary Numba code


def row_lanes_of(a):
    """Return the lanes over which the format divides the rows of a batch, whatever a vector of array a's dtype is."""
    if has_many(a):
        return a.type.dtype.lanes if isinstance(a, Traced) else a.shape[1]
    return lanes_of(a)


def narrow_width(a, width):
    """Return the width of a panel that is at most one vector of rows wide: a constant but for many networks."""
    return width if has_many(a) else lanes_of(a)


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
    address, value = address_ir(a, i.value, v.value.type), v.value
    if isinstance(value, ir.SelectInstr):
        # Of a selection from what lies there LLVM 22 makes a store under a mask, which AMD's processors take 20 cycles
        # for and which loads wait for; a fence, no instruction, keeps the two apart.
        value = intrinsic_ir("arithmetic.fence", v)
    a.builder.store(value, address, align=align(a))


@primitive(lambda a, i, v: types.void if v == _vector(a) else None, store_ir)
def store(a, i, v):
    """Write a vector: ``a[i : i + lanes_of(a)] = v``."""
    n = lanes_of(a)
    assert v.dtype == a.dtype and 0 <= i <= len(a) - n, "store outside the array or of another dtype"
    a[i : i + n] = v


@primitive(_vector, lambda a: ir.Constant(_llvm_vector(a), None))
def zero(a):
    """Return a vector of zeros of array a's dtype."""
    if has_many(a):
        return np.zeros(row_lanes_of(a), a.dtype).view(ManyLanes)
    return np.zeros(lanes_of(a), a.dtype).view(Lanes)


def put_ir(a, i, x):
    """Emit the store of a number; to many networks, of theirs or of one for all, rounded to the array's dtype."""
    value, kind = x.value, a.context.get_value_type(a.type.dtype)
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
    return a.builder.load(address_ir(a, i.value), align=align(a))


@primitive(lambda a, i: a.dtype, get_ir)
def get(a, i):
    """Read one number: ``a[i]``; no index counts from the end."""
    assert i >= 0, "get outside the array"
    return a[i].copy().view(ManyLanes) if has_many(a) else a[i]


def broadcast_ir(a, i):
    """Emit the load of a number into each lane."""
    return get_ir(a, i) if has_many(a) else splat_ir(a.of(a.type.dtype, get_ir(a, i)), lanes_of(a))


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
        v = a.builder.insert_element(v, a.builder.load(a.builder.gep(base, [start])), INT32(j))
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
    """Return room on the stack for `n` numbers of array a's dtype, until the function that is being traced returns."""
    return np.empty(n, a.dtype)


def prefetch_ir(a, i):
    """Emit LLVM's prefetch."""
    kind = ir.FunctionType(ir.VoidType(), [BYTES, INT32, INT32, INT32])
    function = cgutils.get_or_insert_function(a.builder.module, kind, "llvm.prefetch.p0i8")
    address = a.builder.bitcast(address_ir(a, i.value), BYTES)
    a.builder.call(function, [address, INT32(0), INT32(3), INT32(1)])  # to read; to the nearest cache; data, not code


@primitive(lambda a, i: types.void, prefetch_ir)
def prefetch(a, i):
    """Fetch ``a[i]`` to the cache before it is read. It may lie beyond the array: nothing is read here."""
