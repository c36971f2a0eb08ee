"""Functions that users' Numba code calls by their addresses: how arrays are passed, and a last
argument bound.
"""

from __future__ import annotations

import itertools

from fastnn.compiler.loader import address_in_module

try:
    from numba import types
    from numba.experimental import function_type  # noqa: F401  so that Numba takes such an object for a function

    FirstClass = types.WrapperAddressProtocol
    """The base of objects that compiled code may call: with the methods `__wrapper_address__` and
    `signature`."""
except ImportError:  # then there is no code of Numba's to call them
    FirstClass = object

_number = itertools.count()


def of_arrays(dtype):
    """Return Numba's signature of a function that reads one array and writes another, both (n,) and
    in C order.
    """
    from numba import from_dtype

    number = from_dtype(dtype)
    return types.void(types.Array(number, 1, "C", readonly=True), types.Array(number, 1, "C"))


def bound(target, data, signature):
    """Make a function of arrays which calls one for C with pointer and length of each, then `data`;
    return its address.

    The addresses of `target` and `data` are constants in its few instructions, which stay as long
    as the process.
    """
    from llvmlite import ir
    from numba.core.registry import cpu_target

    from fastnn.compiler.tracing import const

    context = cpu_target.target_context
    module = ir.Module()
    name = f"fastnn_bound_{next(_number)}"
    kinds = [context.get_value_type(kind) for kind in (signature.return_type, *signature.args)]
    function = ir.Function(module, ir.FunctionType(kinds[0], kinds[1:]), name)
    builder = ir.IRBuilder(function.append_basic_block())
    words = []
    for kind, argument in zip(signature.args, function.args, strict=True):
        array = context.make_array(kind)(context, builder, argument)
        words += [array.data, builder.extract_value(array.shape, 0)]
    words.append(builder.inttoptr(const(data), ir.IntType(8).as_pointer()))
    called = ir.FunctionType(ir.VoidType(), [word.type for word in words])
    builder.call(builder.inttoptr(const(target), called.as_pointer()), words)
    builder.ret(ir.Constant(kinds[0], None))
    return address_in_module(name, str(module))
