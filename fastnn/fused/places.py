"""Places in arrays, and the numbers and vectors that are read and written there.

Arrays are one-dimensional and contiguous; an index is in elements, and a vector may begin at any element. In compiled
code an array is handed on as a place in it, a bare address (`at`); in Python it is the rest of the array.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from fastnn.fused.lowering import INT32, INT64, Traced, compiled, const, intrinsic_ir, primitive, splat_ir
from fastnn.fused.simd import VECTOR_BYTES, Lanes, Vec
from fastnn.fused.words import DATA, After, digest

BYTES = ir.IntType(8).as_pointer()


class Place(types.Type):
    """A place in an array, in compiled code a bare address: nothing to count references of, one word to hand over."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Place({dtype})")


@register_model(Place)
class PlaceModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, dmm.lookup(fe_type.dtype).get_data_type().as_pointer())


class ArrayObject(types.Type):
    """An array as Python hands it over: its object, which knows where the numbers are."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"ArrayObject({dtype})")


@register_model(ArrayObject)
class ArrayObjectModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, BYTES)


class Words(types.Type):
    """A NamedTuple's arrays and numbers as 8-byte words in memory, the way `words.pack` lays them.

    `known`, where it is given, has what kernels for one network may take as known: a field's integer or array, or
    `After`; None for what they may not.
    """

    def __init__(self, kind, fields, known=None):
        self.kind, self.fields, self.known = kind, tuple(fields), known or (None,) * len(fields)
        super().__init__(name=f"Words({kind.__name__}, {self.fields}, {digest(self.known)})")


@register_model(Words)
class WordsModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, INT64.as_pointer())


class Known(types.NamedTuple):
    """A NamedTuple in compiled code of which some fields are known: integers, and what arrays hold."""

    def __init__(self, words):
        self.known = tuple(None if isinstance(value, After) else value for value in words.known)
        self.digest = digest(self.known)
        super().__init__(words.fields, words.kind)
        self.name += self.digest

    @property
    def key(self):
        return *super().key, self.digest


register_model(Known)(models.TupleModel)


def address_ir(context, builder, a, value, i):
    """The address of ``a[i]``, `a` an array or a place: no wraparound, no check."""
    start = context.make_array(a)(context, builder, value).data if isinstance(a, types.Array) else value
    return builder.gep(start, [i])


@primitive
def at(a, i):
    """The rest of the array, from element `i` on: how a panel or a layer's weights are handed to a function."""
    assert i >= 0, "a place before the array"
    return a[i:]


@compiled(at)
def _(a, i):
    def codegen(context, builder, sig, args):
        return address_ir(context, builder, a, *args)

    return Place(a.dtype)(a, types.intp), codegen


@primitive
def places(argument):
    """What Python handed over: an array as a place, a NamedTuple of arrays and numbers out of its words."""
    return argument


@compiled(places)
def _(argument):
    if isinstance(argument, ArrayObject):
        return Place(argument.dtype)(argument), _place_of_array
    words = argument

    def codegen(context, builder, sig, args):
        values = []
        for k, (kind, known) in enumerate(zip(words.fields, words.known, strict=True)):
            llvm_type = context.get_value_type(kind)
            if isinstance(known, int):
                values.append(const(known))
            elif isinstance(known, After):  # told so, LLVM knows that what is written here changes nothing there
                start = builder.bitcast(values[0], BYTES)
                values.append(builder.bitcast(builder.gep(start, [const(known.bytes)]), llvm_type))
            else:
                values.append(builder.load(builder.bitcast(builder.gep(args[0], [const(k)]), llvm_type.as_pointer())))
        return context.make_tuple(builder, sig.return_type, values)

    return Known(words)(words), codegen


def _place_of_array(context, builder, sig, args):
    place = builder.gep(args[0], [const(DATA)])
    return builder.load(builder.bitcast(place, context.get_value_type(sig.return_type).as_pointer()))


@primitive
def lanes(a):
    """Lanes of a vector of array a's dtype; a constant of the compiled code (an itemsize is not)."""
    return VECTOR_BYTES // a.itemsize


@compiled(lanes)
def _(a):
    return types.intp(a), lambda context, builder, sig, args: const(Vec(a.dtype).lanes)


def lanes_of(a):
    """The same, a Python integer also while tracing."""
    return Vec(a.type.dtype).lanes if isinstance(a, Traced) else lanes(a)


def _vector_ir(context, builder, array_type, array, i):
    """The address of the vector at ``array[i]`` and its alignment: an element's, for it may begin anywhere."""
    vector = context.get_value_type(Vec(array_type.dtype))
    address = address_ir(context, builder, array_type, array, i)
    return builder.bitcast(address, vector.as_pointer()), array_type.dtype.bitwidth // 8


@primitive
def load(a, i):
    """The vector ``a[i : i + lanes(a)]``."""
    v = a[i : i + lanes(a)].view(Lanes).copy()
    assert i >= 0 and v.nbytes == VECTOR_BYTES, "load outside the array"
    return v


@compiled(load)
def _(a, i):
    def codegen(context, builder, sig, args):
        address, align = _vector_ir(context, builder, a, *args)
        return builder.load(address, align=align)

    return Vec(a.dtype)(a, types.intp), codegen


@primitive
def store(a, i, v):
    """``a[i : i + lanes(a)] = v``"""
    assert v.dtype == a.dtype and 0 <= i <= a.size - v.size, "store outside the array or of another dtype"
    a[i : i + v.size] = v


@compiled(store)
def _(a, i, v):
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
    """``a[i] = x``, one number; no index counts from the end."""
    assert i >= 0, "put outside the array"
    a[i] = x


@compiled(put)
def _(a, i, x):
    def codegen(context, builder, sig, args):
        builder.store(args[2], address_ir(context, builder, a, *args[:2]))

    return types.void(a, types.intp, a.dtype), codegen


@primitive
def get(a, i):
    """``a[i]``, one number; no index counts from the end."""
    assert i >= 0, "get outside the array"
    return a[i]


@compiled(get)
def _(a, i):
    def codegen(context, builder, sig, args):
        return builder.load(address_ir(context, builder, a, *args))

    return a.dtype(a, types.intp), codegen


@primitive
def gather(a, places, i):
    """``a[places[j] + i]`` in lane j."""
    chosen = places[: lanes(a)] + i
    assert chosen.min() >= 0, "gather outside the array"
    return a[chosen].view(Lanes)


@compiled(gather)
def _(a, places, i):
    def codegen(context, builder, sig, args):
        v = ir.Constant(context.get_value_type(sig.return_type), ir.Undefined)
        base = address_ir(context, builder, a, args[0], args[2])
        for j in range(sig.return_type.lanes):
            place = builder.load(address_ir(context, builder, places, args[1], const(j)))
            v = builder.insert_element(v, builder.load(builder.gep(base, [place])), ir.Constant(INT32, j))
        return v

    return Vec(a.dtype)(a, places, types.intp), codegen


@primitive
def splat(a, i):
    """``a[i]`` in every lane"""
    assert i >= 0, "splat outside the array"
    return np.full(lanes(a), a[i]).view(Lanes)


@compiled(splat)
def _(a, i):
    def codegen(context, builder, sig, args):
        return splat_ir(builder, builder.load(address_ir(context, builder, a, *args)), sig.return_type.lanes)

    return Vec(a.dtype)(a, types.intp), codegen


@primitive
def zero(a):
    """A vector of zeros of array a's dtype."""
    return np.zeros(lanes(a), a.dtype).view(Lanes)


@compiled(zero)
def _(a):
    return Vec(a.dtype)(a), lambda context, builder, sig, args: ir.Constant(
        context.get_value_type(sig.return_type), None
    )


@primitive
def prefetch(a, i):
    """Have ``a[i]`` brought to the cache before it is read. It may lie beyond the array: nothing is read here."""


@compiled(prefetch)
def _(a, i):
    def codegen(context, builder, sig, args):
        one, most = INT32(1), INT32(3)
        kind = ir.FunctionType(ir.VoidType(), [BYTES, INT32, INT32, INT32])
        instruction = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        address = builder.bitcast(address_ir(context, builder, a, *args), BYTES)
        builder.call(instruction, [address, INT32(0), most, one])  # for reading; to the nearest cache; data, not code

    return types.void(a, types.intp), codegen
