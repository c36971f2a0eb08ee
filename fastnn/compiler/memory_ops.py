"""Pointers: how compiled code reads and writes numbers and vectors in memory, and how its arguments arrive.

Arrays are one-dimensional and contiguous; an index is in elements, and a vector may begin at any element. In compiled
code an array is handed on as a pointer to one of its elements (`offset`); in Python it is the rest of the array from
that element on. Compiled code checks no index, Python asserts on each.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from fastnn.compiler.arguments import DATA, AfterFirst, digest
from fastnn.compiler.instructions import INT32, INT64, const, intrinsic_ir, splat_ir
from fastnn.compiler.tracing import Traced, compiled, primitive
from fastnn.compiler.vectors import VECTOR_BYTES, Lanes, Vec

BYTES = ir.IntType(8).as_pointer()


class Pointer(types.Type):
    """Numba's type of a pointer to an element of an array: no reference count, one word to hand over."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Pointer({dtype})")


@register_model(Pointer)
class PointerModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, dmm.lookup(fe_type.dtype).get_data_type().as_pointer())


class ArrayObject(types.Type):
    """Numba's type of an array as Python hands it over: its object, which holds the data pointer."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"ArrayObject({dtype})")


@register_model(ArrayObject)
class ArrayObjectModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, BYTES)


class ArgumentBlock(types.Type):
    """Numba's type of a NamedTuple's arrays and numbers in memory, 8-byte words as `arguments.pack` lays them.

    `constants`, where it is given, has what a specialized kernel takes as constant: for a field its integer or array,
    or `AfterFirst`; None for what is none.
    """

    def __init__(self, kind, fields, constants=None):
        self.kind, self.fields, self.constants = kind, tuple(fields), constants or (None,) * len(fields)
        # Numba takes types of one name for one type, so the constants are part of the name.
        super().__init__(name=f"ArgumentBlock({kind.__name__}, {self.fields}, {digest(self.constants)})")


@register_model(ArgumentBlock)
class ArgumentBlockModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, INT64.as_pointer())


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
        return *super().key, self.digest  # Numba's own compares class and fields: two networks would share a kernel


register_model(Unpacked)(models.TupleModel)


def address_ir(context, builder, a, value, i):
    """Emit the address of ``a[i]``, `a` an array or a pointer: no wraparound, no check."""
    start = context.make_array(a)(context, builder, value).data if isinstance(a, types.Array) else value
    return builder.gep(start, [i])


@primitive
def offset(a, i):
    """Return a pointer to ``a[i]``: how a panel or a layer's weights are handed to a function."""
    assert i >= 0, "a pointer before the array"  # Python would count from the end
    return a[i:]


@compiled(offset)
def lower_offset(a, i):
    def codegen(context, builder, sig, args):
        return address_ir(context, builder, a, *args)

    return Pointer(a.dtype)(a, types.intp), codegen


@primitive
def unpack(argument):
    """Read what Python handed over: an array as a pointer, a NamedTuple out of its argument block."""
    return argument


@compiled(unpack)
def lower_unpack(argument):
    if isinstance(argument, ArrayObject):
        return Pointer(argument.dtype)(argument), _data_pointer_ir
    block = argument

    def codegen(context, builder, sig, args):
        values = []
        for k, (kind, constant) in enumerate(zip(block.fields, block.constants, strict=True)):
            llvm_type = context.get_value_type(kind)
            if isinstance(constant, int):
                values.append(const(constant))  # in the place of a load: LLVM sees the number, too
            elif isinstance(constant, AfterFirst):  # so LLVM knows that what is written here changes nothing there
                start = builder.bitcast(values[0], BYTES)
                values.append(builder.bitcast(builder.gep(start, [const(constant.bytes)]), llvm_type))
            else:  # no constant, or an array: its numbers are constants while tracing, its pointer is read
                values.append(builder.load(builder.bitcast(builder.gep(args[0], [const(k)]), llvm_type.as_pointer())))
        return context.make_tuple(builder, sig.return_type, values)

    return Unpacked(block)(block), codegen


def _data_pointer_ir(context, builder, sig, args):
    """Emit the data pointer of an array's object."""
    pointer = builder.gep(args[0], [const(DATA)])
    return builder.load(builder.bitcast(pointer, context.get_value_type(sig.return_type).as_pointer()))


@primitive
def lanes(a):
    """Return the lanes of a vector of array a's dtype; a constant of the compiled code (an itemsize is not)."""
    return VECTOR_BYTES // a.itemsize


@compiled(lanes)
def lower_lanes(a):
    return types.intp(a), lambda context, builder, sig, args: const(Vec(a.dtype).lanes)


def lanes_of(a):
    """Return the lanes of a vector of array a's dtype: a Python integer, also while tracing."""
    return Vec(a.type.dtype).lanes if isinstance(a, Traced) else lanes(a)


def _vector_ir(context, builder, array_type, array, i):
    """Emit the address of the vector at ``array[i]``; also its alignment: an element's, for it may begin anywhere."""
    vector = context.get_value_type(Vec(array_type.dtype))
    address = address_ir(context, builder, array_type, array, i)
    return builder.bitcast(address, vector.as_pointer()), array_type.dtype.bitwidth // 8


@primitive
def load(a, i):
    """Read the vector ``a[i : i + lanes(a)]``."""
    v = a[i : i + lanes(a)].view(Lanes).copy()  # a value: it stays when the array is written
    assert i >= 0 and v.nbytes == VECTOR_BYTES, "load outside the array"
    return v


@compiled(load)
def lower_load(a, i):
    def codegen(context, builder, sig, args):
        address, align = _vector_ir(context, builder, a, *args)
        return builder.load(address, align=align)

    return Vec(a.dtype)(a, types.intp), codegen


@primitive
def store(a, i, v):
    """Write a vector: ``a[i : i + lanes(a)] = v``."""
    assert v.dtype == a.dtype and 0 <= i <= a.size - v.size, "store outside the array or of another dtype"
    a[i : i + v.size] = v


@compiled(store)
def lower_store(a, i, v):
    def codegen(context, builder, sig, args):
        address, align = _vector_ir(context, builder, a, *args[:2])
        value = args[2]
        if isinstance(value, ir.SelectInstr):
            # Of a selection from what lies there LLVM 22 makes a store under a mask, which AMD's processors take 20
            # cycles for and which loads wait for; a fence, no instruction, keeps the two apart.
            value = intrinsic_ir(builder, "arithmetic.fence", value)
        builder.store(value, address, align=align)

    return (types.void(a, types.intp, v), codegen) if v == Vec(a.dtype) else None


@primitive
def put(a, i, x):
    """Write one number: ``a[i] = x``; no index counts from the end."""
    assert i >= 0, "put outside the array"
    a[i] = x


@compiled(put)
def lower_put(a, i, x):
    def codegen(context, builder, sig, args):
        builder.store(args[2], address_ir(context, builder, a, *args[:2]))

    return types.void(a, types.intp, a.dtype), codegen


@primitive
def get(a, i):
    """Read one number: ``a[i]``; no index counts from the end."""
    assert i >= 0, "get outside the array"
    return a[i]


@compiled(get)
def lower_get(a, i):
    def codegen(context, builder, sig, args):
        return builder.load(address_ir(context, builder, a, *args))

    return a.dtype(a, types.intp), codegen


@primitive
def gather(a, offsets, i):
    """Read ``a[offsets[j] + i]`` to lane j."""
    chosen = offsets[: lanes(a)] + i
    assert chosen.min() >= 0, "gather outside the array"
    return a[chosen].view(Lanes)


@compiled(gather)
def lower_gather(a, offsets, i):
    def codegen(context, builder, sig, args):
        v = ir.Constant(context.get_value_type(sig.return_type), ir.Undefined)
        base = address_ir(context, builder, a, args[0], args[2])
        for j in range(sig.return_type.lanes):
            start = builder.load(address_ir(context, builder, offsets, args[1], const(j)))
            v = builder.insert_element(v, builder.load(builder.gep(base, [start])), ir.Constant(INT32, j))
        return v

    return Vec(a.dtype)(a, offsets, types.intp), codegen


@primitive
def splat(a, i):
    """Read ``a[i]`` to every lane: a broadcast."""
    assert i >= 0, "splat outside the array"
    return np.full(lanes(a), a[i]).view(Lanes)


@compiled(splat)
def lower_splat(a, i):
    def codegen(context, builder, sig, args):
        return splat_ir(builder, builder.load(address_ir(context, builder, a, *args)), sig.return_type.lanes)

    return Vec(a.dtype)(a, types.intp), codegen


@primitive
def zero(a):
    """Return a vector of zeros of array a's dtype."""
    return np.zeros(lanes(a), a.dtype).view(Lanes)


@compiled(zero)
def lower_zero(a):
    return Vec(a.dtype)(a), lambda context, builder, sig, args: ir.Constant(
        context.get_value_type(sig.return_type), None
    )


@primitive
def prefetch(a, i):
    """Have ``a[i]`` brought to the cache before it is read. It may lie beyond the array: nothing is read here."""


@compiled(prefetch)
def lower_prefetch(a, i):
    def codegen(context, builder, sig, args):
        one, most = INT32(1), INT32(3)
        kind = ir.FunctionType(ir.VoidType(), [BYTES, INT32, INT32, INT32])
        instruction = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        address = builder.bitcast(address_ir(context, builder, a, *args), BYTES)
        builder.call(instruction, [address, INT32(0), most, one])  # for reading; to the nearest cache; data, not code

    return types.void(a, types.intp), codegen
