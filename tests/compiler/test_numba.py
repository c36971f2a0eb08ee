"""The parts of Numba's internals that the package rests on: a version that moved one of them fails
here, by name."""

import importlib
import pathlib

import numba
import pytest
from numba import njit

from fastnn.compiler import control, program, tracing

NEEDED = [
    ("numba.core.dispatcher", "Dispatcher.compile", "codegen.py"),
    ("numba.core.compiler", "CompileResult.library", "codegen.py"),
    ("numba.core.funcdesc", "FunctionDescriptor.llvm_func_name", "codegen.py"),
    ("numba.core.codegen", "JITCodeLibrary.serialize_using_object_code", "codegen.py"),
    ("numba.core.codegen", "JITCodeLibrary.get_llvm_str", "ship_kernels.py"),
    (
        "numba.core.callconv",
        "CPUCallConv.get_return_type",
        "loader.py, how compiled code is called",
    ),
    *(("numba.core.config", name, "program.py") for name in program.NUMBAS_DEFAULTS),
    ("numba.core.registry", "cpu_target.target_context.codegen", "tracing.py, cpu_has"),
    ("numba.core.codegen", "JITCPUCodegen.magic_tuple", "tracing.py, cpu_has"),
    *(
        ("numba.core.typing", f"BaseContext.resolve_{name}_type", "tracing.py")
        for name in ("value", "function")
    ),
    *(
        ("numba.core.base", f"BaseContext.{name}", "tracing.py")
        for name in ("get_function", "cast")
    ),
    ("numba.core.types", "NamedTuple.key", "calls.py, the constants of a NamedTuple"),
    ("numba.core.datamodel.models", "TupleModel", "calls.py, the same"),
    ("numba.core.cgutils", "get_or_insert_function", "tracing.py, LLVM's intrinsics"),
    ("numba.core.types", "WrapperAddressProtocol", "first_class.py"),
    ("numba.experimental.function_type", "typeof_function_type", "first_class.py"),
]


@pytest.mark.parametrize(("module", "name", "user"), NEEDED)
def test_numba_still_has(module, name, user):
    try:
        thing = importlib.import_module(module)
        for part in name.split("."):
            thing = getattr(thing, part)
    except (ImportError, AttributeError) as missing:
        pytest.fail(
            f"numba {numba.__version__} moved {module}.{name}, which compiler/{user} needs: "
            f"{missing}"
        )


def test_numbas_version_is_read_without_its_import():
    text = pathlib.Path(numba.__file__).with_name("_version.py").read_text("utf-8")
    assert f'"version": "{numba.__version__}"' in text, (
        "compiler/cache.py tells Numba's versions apart by this file"
    )


@tracing.traced
def branches(n):
    """On a traced value: it would be decided once, while compiling."""
    if n:
        pass


@tracing.traced
def leaves_a_loop(n):
    """The compiled loop would go on to its end."""
    for _ in control.each(n):
        break


REFUSED = [
    (branches, "a traced value is not known yet"),
    (leaves_a_loop, "leaves_a_loop: a loop of compiled code cannot be left by `break`"),
]


@pytest.mark.parametrize(("wrong", "text"), REFUSED)
def test_what_cannot_be_compiled_is_refused(wrong, text):
    with pytest.raises(Exception, match=text):
        njit(lambda n: wrong(n))(3)
