"""The entry points of the program compiled for a dtype: their machine code, as an object file in
memory.
"""

from __future__ import annotations

import json
import typing

import numpy as np
from numba import from_dtype, types

from fastnn.compiler.calls import ArgumentBlock, ArrayObject
from fastnn.compiler.program import element, entry_point


def compile_entry(name: str, dtype: np.dtype, constants: tuple = ()) -> bytes:
    """Compile an entry point; return a header, a line of JSON, and its object file.

    The header is [symbol, result, *arguments], the last in letters of `loader.C_TYPES`. `constants`
    are the NamedTuples of a specialized kernel, see `memory_ops.ArgumentBlock`.
    """
    overload, signature = compiled_entry(name, dtype, constants)
    try:
        _, _, (code, _) = overload.library.serialize_using_object_code()
    except BaseException:
        # Interrupted here, the overload would be taken for a compiled one ever after.
        del entry_point(name).overloads[signature.args]
        raise
    return json.dumps([overload.fndesc.llvm_func_name, *letters(signature)]).encode() + b"\n" + code


def letters(signature) -> list[str]:
    """Return the letters of a result and of arguments, as `loader.C_TYPES` has them."""
    numbers = {types.int64: "q", types.float64: "d", types.none: "-"}
    kinds = signature.return_type, *signature.args
    return [numbers.get(kind, "w" if isinstance(kind, ArgumentBlock) else "a") for kind in kinds]


def compiled_entry(name, dtype, constants=()):
    """Compile an entry point; return Numba's result and the signature that its annotations ask
    for.
    """
    dispatcher = entry_point(name)
    # by the annotation of the parameter that has them
    constants = {type(values): values for values in constants}
    hints = typing.get_type_hints(dispatcher.py_func)
    kinds = {
        name: _type_of(hint, dtype, constants=constants.get(hint)) for name, hint in hints.items()
    }
    # a signature is made by calling the result's type
    signature = kinds.pop("return")(*kinds.values())
    dispatcher.compile(signature.args)  # does nothing where it is compiled already
    overload = dispatcher.overloads[signature.args]
    # The result is inferred by Numba; the loader goes by the annotation.
    assert overload.signature.return_type == signature.return_type, overload.signature
    return overload, signature


_NUMBERS = {int: types.int64, float: types.float64, type(None): types.none}


def _type_of(hint, dtype, array=ArrayObject, constants=None):
    """Return Numba's type for an annotation; `array` is that of arrays: objects as arguments,
    pointers in blocks.
    """
    if hint in _NUMBERS:
        return _NUMBERS[hint]
    if isinstance(hint, type) and issubclass(hint, tuple):
        fields = typing.get_type_hints(hint).values()
        return ArgumentBlock(
            hint, [_type_of(field, dtype, types.CPointer) for field in fields], constants
        )
    return array(from_dtype(element(hint, dtype)))
