"""The entry points of the program compiled for a dtype: their machine code, as an object file in memory."""

from __future__ import annotations

import json

import numpy as np
from numba import from_dtype, types

from fastnn.compiler.arguments import element, hints
from fastnn.compiler.memory_ops import ArgumentBlock, ArrayObject
from fastnn.compiler.program import entry_point


def compile_entry(name: str, dtype: np.dtype, constants: tuple = ()) -> bytes:
    """Compile an entry point; return a header, a line of JSON, and its object file.

    The header is [symbol, result, *arguments], the last in letters of `loader.C_TYPES`. `constants` are the NamedTuples
    of a specialized kernel, see `memory_ops.ArgumentBlock`.
    """
    overload, signature = compiled_entry(name, dtype, constants)
    try:
        _, _, (code, _) = overload.library.serialize_using_object_code()
    except BaseException:
        # Interrupted here, the overload would be taken for a compiled one ever after.
        del entry_point(name).overloads[signature.args]
        raise
    letters = [_letter(kind) for kind in (signature.return_type, *signature.args)]
    return json.dumps([overload.fndesc.llvm_func_name, *letters]).encode() + b"\n" + code


def _letter(kind):
    """Return the letter of `loader.C_TYPES` for one of Numba's types."""
    numbers = {types.int64: "q", types.float64: "d", types.none: "-"}
    return numbers.get(kind, "w" if isinstance(kind, ArgumentBlock) else "a")


def compiled_entry(name, dtype, constants=()):
    """Compile an entry point; return Numba's result and the signature that its annotations ask for."""
    dispatcher = entry_point(name)
    signature = signature_of(dispatcher.py_func, dtype, constants)
    dispatcher.compile(signature.args)  # does nothing where it is compiled already
    overload = dispatcher.overloads[signature.args]
    # The result is inferred by Numba; the loader goes by the annotation.
    assert overload.signature.return_type == signature.return_type, overload.signature
    return overload, signature


def signature_of(function, dtype, constants=()):
    """Return Numba's types of the arguments and the result of an entry point, by its annotations."""
    constants = {type(values): values for values in constants}  # by the annotation of the parameter that has them
    kinds = {name: _type_of(hint, dtype, constants=constants.get(hint)) for name, hint in hints(function).items()}
    return kinds.pop("return")(*kinds.values())  # a signature is made by calling the result's type


_NUMBERS = {int: types.int64, float: types.float64, type(None): types.none}


def _type_of(hint, dtype, array=ArrayObject, constants=None):
    """Return Numba's type for an annotation; `array` is that of arrays: objects as arguments, pointers in blocks."""
    if hint in _NUMBERS:
        return _NUMBERS[hint]
    if isinstance(hint, type) and issubclass(hint, tuple):
        return ArgumentBlock(
            hint, [_type_of(field, dtype, types.CPointer) for field in hints(hint).values()], constants
        )
    return array(from_dtype(element(hint, dtype)))
