"""The arguments of entry points: their types in compiled code, how it unpacks them, and how it
calls an entry point.
"""

from __future__ import annotations

import itertools
import typing

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from fastnn.compiler.arguments import ARRAY, kind_of
from fastnn.compiler.memory_ops import BYTES, address_ir
from fastnn.compiler.program import IN_PLACE_OF_CODE, AfterFirst, digest
from fastnn.compiler.tracing import INT32, INT64, const, primitive
from fastnn.compiler.vectors import VECTOR_BYTES, Many
from fastnn.memory import COMPILED_DATA


class ArrayObject(types.Type):
    """Numba's type of an array that Python passes as an object, which holds the data pointer."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"ArrayObject({dtype})")


class ArgumentBlock(types.Type):
    """Numba's type of a NamedTuple's arrays and numbers in memory: the 8-byte words of
    `arguments.pack`.

    `constants` are those of a specialized kernel: for each field its integer, its array or its
    `AfterFirst`, or None where it is no constant.
    """

    def __init__(self, kind, fields, constants=None):
        self.kind = kind
        self.fields = tuple(fields)
        self.constants = constants or (None,) * len(fields)
        # Numba takes types of one name for one type, so the constants are part of the name.
        super().__init__(
            name=f"ArgumentBlock({kind.__name__}, {self.fields}, {digest(self.constants)})"
        )


class Unpacked(types.NamedTuple):
    """Numba's type of a NamedTuple read from its argument block; `constants` are those of its
    integers and arrays.
    """

    def __init__(self, block):
        # A distance is no value to compute with: it has done its work when the pointer is made, in
        # `unpack`.
        self.constants = tuple(
            None if isinstance(value, AfterFirst) else value for value in block.constants
        )
        self.digest = digest(self.constants)
        super().__init__(block.fields, block.kind)
        self.name += self.digest

    @property
    def key(self):
        """The key by which Numba compares types: class and fields alone would let two networks
        share a kernel.
        """
        return *super().key, self.digest


register_model(ArrayObject)(lambda manager, kind: models.PrimitiveModel(manager, kind, BYTES))
register_model(ArgumentBlock)(
    lambda manager, kind: models.PrimitiveModel(manager, kind, INT64.as_pointer())
)
register_model(Unpacked)(models.TupleModel)


def _unpacked(argument):
    """Return Numba's type of the value that `unpack` returns."""
    return (
        types.CPointer(argument.dtype) if isinstance(argument, ArrayObject) else Unpacked(argument)
    )


def unpack_ir(argument):
    """Emit the loads of an argument, but for what is constant."""
    builder = argument.builder
    context = argument.context
    kind = argument.type

    def read(address, kind):
        """Emit a load of a number or pointer."""
        return builder.load(builder.bitcast(address, context.get_value_type(kind).as_pointer()))

    if isinstance(kind, ArrayObject):
        return read(address_ir(argument, const(COMPILED_DATA)), _unpacked(kind))
    values = []
    for k, (field, constant) in enumerate(zip(kind.fields, kind.constants, strict=True)):
        if isinstance(constant, int):
            values.append(const(constant))  # in the place of a load: LLVM sees the number, too
        # so LLVM knows that what is written here changes nothing there
        elif isinstance(constant, AfterFirst):
            start = builder.bitcast(values[0], BYTES)
            values.append(
                builder.bitcast(
                    builder.gep(start, [const(constant.bytes)]), context.get_value_type(field)
                )
            )
        # no constant, or an array: its numbers are constants while tracing, its pointer is read
        else:
            values.append(read(address_ir(argument, const(k)), field))
    return context.make_tuple(builder, _unpacked(kind), values)


@primitive(_unpacked, unpack_ir)
def unpack(argument):
    """Unpack an argument of an entry point: an array to a pointer, an argument block to its
    NamedTuple.
    """
    return argument


def _fields_of_many(fields):
    """Return the types of fields with numbers of many networks in the place of their floats."""
    is_float = [isinstance(getattr(field, "dtype", None), types.Float) for field in fields]
    lanes = VECTOR_BYTES * 8 // min(x.dtype.bitwidth for x in itertools.compress(fields, is_float))
    return [
        types.CPointer(Many(field.dtype, lanes)) if has_many else field
        for field, has_many in zip(fields, is_float, strict=True)
    ]


def _type_of_many(kind):
    """Return Numba's type of what `as_many` returns."""
    return Unpacked(ArgumentBlock(kind.instance_class, _fields_of_many(kind.types)))


def as_many_ir(buffers):
    """Emit the pointers of other types."""
    context = buffers[0].context
    builder = buffers[0].builder
    fields = _fields_of_many([x.type for x in buffers])
    values = [
        builder.bitcast(x.value, context.get_value_type(field))
        for x, field in zip(buffers, fields, strict=True)
    ]
    return context.make_tuple(builder, Unpacked(ArgumentBlock(type(buffers), fields)), values)


@primitive(_type_of_many, as_many_ir)
def as_many(buffers):
    """Return a NamedTuple of arrays whose floats are numbers of as many networks as a vector of its
    dtype has lanes.
    """
    is_float = [a.dtype.kind == "f" for a in buffers]
    lanes = VECTOR_BYTES // min(a.itemsize for a in itertools.compress(buffers, is_float))
    fields = []
    for array, has_many in zip(buffers, is_float, strict=True):
        fields.append(array.reshape(-1, lanes) if has_many else array)
    return type(buffers)(*fields)


def call_block_ir(place, out, second, A, Y, weight, n, width):
    """Emit a call of the function whose address is the first word of a block."""
    builder = place.builder
    words = builder.inttoptr(place.value, INT64.as_pointer())
    pointers = [builder.bitcast(x.value, BYTES) for x in (out, second, A, Y, weight)]
    values = [*pointers, words, n.value, width.value]
    function = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    builder.call(builder.inttoptr(builder.load(words), function.as_pointer()), values)


@primitive(lambda place, out, second, A, Y, weight, n, width: types.void, call_block_ir)
def call_block(place, out, second, A, Y, weight, n, width):
    """Call the function of the block at the address `place`, see `formulas.custom_panel`."""
    arrays = (x.reshape(-1) for x in (out, second, A, Y, weight))  # numbers of many networks too
    IN_PLACE_OF_CODE[int(place)](*arrays, n=n, width=width)


def caller(kind):
    """Return the primitive that calls an entry point whose parameters are the fields of a
    NamedTuple.

    ``call(code, result, arguments)`` reads them from the NamedTuple's argument block, and writes
    what the entry point returns to `result`.
    """
    kinds = [kind_of(hint) for hint in typing.get_type_hints(kind).values()]

    def argument_ir(builder, address, kind):
        if kind is ARRAY:  # an object that has the array's address at an offset: it is this word
            return builder.sub(builder.ptrtoint(address, INT64), const(COMPILED_DATA))
        return builder.load(address)

    def call_ir(code, result, arguments):
        builder = code.builder
        words = [
            argument_ir(builder, address_ir(arguments, const(k)), kind)
            for k, kind in enumerate(kinds)
        ]
        # Numba's calling convention, see `loader._callable`: an integer goes the same way as a
        # pointer.
        function = ir.FunctionType(
            INT32, [INT64.as_pointer(), BYTES.as_pointer(), *[INT64] * len(words)]
        )
        unused = cgutils.alloca_once(builder, BYTES)
        written = builder.bitcast(result.value, INT64.as_pointer())  # or a float, of as many bytes
        builder.call(builder.inttoptr(code.value, function.as_pointer()), [written, unused, *words])

    @primitive(lambda code, result, arguments: types.void, call_ir)
    def call(code, result, arguments):
        """Call the entry point at the address `code`."""
        raise NotImplementedError("in plain Python, entry points are called by their names")

    return call
