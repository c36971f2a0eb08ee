"""The rules of the house: what an import costs and brings along, what is public, and how compiled code is made."""

import ast
import importlib.resources
import pathlib

import pytest
from heavy import HEAVY
from survival import python

import fastnn

PACKAGE = pathlib.Path(fastnn.__file__).parent
FUSED = sorted([*(PACKAGE / "fused").rglob("*.py"), *(PACKAGE / "compiler").rglob("*.py")])

TIMED_IMPORT = """
import time, numpy
start = time.process_time()
import fastnn
print(time.process_time() - start)
"""


def test_import_brings_nothing_heavy_along():
    loaded = python("import fastnn, sys; print(*sys.modules, sep='\\n')")
    assert "fastnn" in loaded
    assert HEAVY.isdisjoint(loaded)


def test_describing_a_network_needs_no_compiler():
    code = "import fastnn, sys; fastnn.Network((2, 3, 1)), fastnn.Adam(), fastnn.train, fastnn.get_backend('numpy')"
    assert HEAVY.isdisjoint(python(code + "; print(*sys.modules, sep='\\n')"))


def test_import_is_quick():
    """Less than 0.15 s of the processor's time more than NumPy: the least of five, however busy the machine is."""
    assert min(float(python(TIMED_IMPORT)[0]) for _ in range(5)) < 0.15


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        fastnn.no_such_name  # noqa: B018


def test_types_ship():
    assert importlib.resources.files("fastnn").joinpath("py.typed").is_file()


def names(source):
    """Each name, dotted name, key and flag of a module with its line, but for what it imports from fastnn."""
    ours = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastnn":
            ours.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, (ast.Attribute, ast.Name)) and ast.unparse(node).split(".")[0] not in ours:
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value.lineno
        elif isinstance(node, ast.Dict):
            yield from (
                (k.value, k.lineno) for k in node.keys if isinstance(k, ast.Constant) and isinstance(k.value, str)
            )


def uses(source, words):
    """The lines of `source` on which one of the words is a name or a part of a dotted one."""
    return sorted({line for name, line in names(source) if words & set(name.split("."))})


def room_and_name(file):
    return f"{file.parent.name}.{file.stem}"


COMPILERS = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "generated_jit", "jitclass"}
UNREPEATABLE = {"fastmath", "parallel", "prange", "random"}


@pytest.mark.parametrize("file", FUSED, ids=room_and_name)
def test_fused_has_no_fast_math_threads_or_randomness(file):
    assert uses(file.read_text("utf-8"), UNREPEATABLE) == []


@pytest.mark.parametrize("file", [f for f in FUSED if f.name != "tracing.py"], ids=room_and_name)
def test_compiled_code_is_made_in_one_place(file):
    assert uses(file.read_text("utf-8"), COMPILERS) == []


def test_nothing_outside_fused_is_compiled():
    for file in set(PACKAGE.rglob("*.py")) - set(FUSED):
        assert uses(file.read_text("utf-8"), COMPILERS) == [], file.name


@pytest.mark.parametrize(
    "source",
    [
        "from numba import njit",
        "import numba as nb\nf = nb.njit(g)",
        "flags = {'fastmath': True}",
        "inlined(f, fastmath=True)",
        "import numpy as np\nnp.random.rand(3)",
        "from numpy import random",
        "from numpy.random import rand",
        "from numba import prange",
    ],
)
def test_these_break_a_rule(source):
    assert uses(source, UNREPEATABLE | COMPILERS)


def test_our_own_decorators_break_none():
    imports = "from fastnn.compiler.tracing import inlined\nfrom fastnn.compiler import tracing\n"
    source = imports + "f = inlined(g)\nh = tracing.entry(g)"
    assert uses(source, UNREPEATABLE | COMPILERS) == []
