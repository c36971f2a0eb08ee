"""The entry points of `kernels.py` compiled for a dtype: their machine code, as an object file in memory."""

from __future__ import annotations

import json

from numba import from_dtype, types

from fastnn.fused import kernels
from fastnn.fused.places import ArrayObject, Place, Words
from fastnn.fused.words import element, hints


def compile_entry(name, dtype, known=()):
    """Compile an entry point: [symbol, result, *arguments] as a line of JSON, the last in letters of `entries.C_TYPES`,
    and its object file. `known` holds NamedTuples with what it may take as known, as `places.Words` does.
    """
    overload, signature = compiled_entry(name, dtype, known)
    _, _, (code, _) = overload.library.serialize_using_object_code()
    letters = [_letter(kind) for kind in (signature.return_type, *signature.args)]
    return json.dumps([overload.fndesc.llvm_func_name, *letters]).encode() + b"\n" + code


def _letter(kind):
    numbers = {types.int64: "q", types.float64: "d", types.none: "-"}
    return numbers.get(kind, "w" if isinstance(kind, Words) else "a")


def compiled_entry(name, dtype, known=()):
    """What Numba makes of an entry point, and the signature that its annotations ask for."""
    dispatcher = getattr(kernels, name)
    signature = signature_of(dispatcher.py_func, dtype, known)
    dispatcher.compile(signature.args)
    overload = dispatcher.overloads[signature.args]
    assert overload.signature.return_type == signature.return_type, overload.signature
    return overload, signature


def signature_of(function, dtype, known=()):
    """Numba's types of the arguments and the result of an entry point, by its annotations."""
    known = {type(values): values for values in known}
    kinds = {name: _type_of(hint, dtype, known=known.get(hint)) for name, hint in hints(function).items()}
    return kinds.pop("return")(*kinds.values())


_NUMBERS = {int: types.int64, float: types.float64, type(None): types.none}


def _type_of(hint, dtype, array=ArrayObject, known=None):
    if hint in _NUMBERS:
        return _NUMBERS[hint]
    if isinstance(hint, type) and issubclass(hint, tuple):
        return Words(hint, [_type_of(field, dtype, Place) for field in hints(hint).values()], known)
    return array(from_dtype(element(hint, dtype)))
