"""The rules of the house: what an import costs and brings along, how compiled code is made, how
flat code must be."""

import ast
import importlib.resources
import io
import pathlib
import tokenize

import pytest
from survival import HEAVY, python

import fastnn

PACKAGE = pathlib.Path(fastnn.__file__).parent
each_file = pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: f.relative_to(PACKAGE).as_posix()
)

IMPORT = """
import sys, numpy
before = set(sys.modules)
import fastnn
print(set(sys.modules) - before)
fastnn.train
print(len(set(sys.modules) - before))
"""


def test_import_and_describing_a_network_bring_nothing_heavy_along():
    code = (
        "import fastnn, sys; fastnn.Network((2, 3, 1)), fastnn.Adam(), fastnn.train, "
        "fastnn.get_backend('numpy')"
    )
    loaded = python(code + "; print(*sys.modules, sep='\\n')")
    assert "fastnn" in loaded
    assert HEAVY.isdisjoint(loaded)


def test_import_brings_one_module_and_train_few():
    """Besides NumPy's. `fastnn bench` measures how long that takes."""
    added, n_of_train = python(IMPORT)
    assert added == "{'fastnn'}"
    assert int(n_of_train) < 100


def test_unknown_name_is_an_attribute_error_and_types_ship():
    with pytest.raises(AttributeError, match="no_such_name"):
        fastnn.no_such_name  # noqa: B018
    assert importlib.resources.files("fastnn").joinpath("py.typed").is_file()


COMPILERS = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "generated_jit", "jitclass"}
UNREPEATABLE = {"fastmath", "parallel", "prange", "random"}


def uses(source, words):
    """The lines of `source` on which one of the words is a name, a flag or a key."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sorted({token.start[0] for token in tokens if token.string.strip("'\"") in words})


@each_file
def test_compiled_code_is_made_in_one_place_without_fast_math_threads_or_randomness(file):
    assert uses(file.read_text("utf-8"), COMPILERS) == [] or file.name == "tracing.py"
    if file.parent.name in ("fused", "compiler"):
        assert uses(file.read_text("utf-8"), UNREPEATABLE) == []


def test_these_lines_break_a_rule():
    source = (
        "from numba import njit\nflags = {'fastmath': True}\ninlined(f, "
        "fastmath=True)\nnp.random.rand(3)\n"
    )
    assert uses(f"from fastnn.compiler import tracing\n{source}", UNREPEATABLE | COMPILERS) == [
        2,
        3,
        4,
        5,
    ]


# ------------------------------------- how many parameters a function may have, how deep its blocks


BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.Match, ast.FunctionDef, ast.ClassDef)


def n_parameters(function):
    """Positional parameters besides self and cls."""
    return len(
        [a for a in function.args.posonlyargs + function.args.args if a.arg not in ("self", "cls")]
    )


def depth(node):
    """The depth of nested blocks within a node; `elif` is as deep as its `if`."""
    found = 0
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
        found = max(found, depth(child) + (isinstance(child, BLOCKS) and not is_elif))
    return found


NESTING = "levels of nesting, 4 are allowed"
RULES = {"positional parameters": (n_parameters, 9), "levels of nesting": (depth, 4)}


def too_large(source):
    """Each function of a module that breaks a rule, in words."""
    for node in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)):
        for what, (measure, most) in RULES.items():
            if measure(node) > most:
                yield f"line {node.lineno}, {node.name}: {measure(node)} {what}, {most} are allowed"


@each_file
def test_functions_have_few_parameters_and_are_flat(file):
    assert list(too_large(file.read_text("utf-8"))) == []


def test_what_is_too_large_is_found_and_what_is_just_small_enough_is_not():
    for source, found in (
        (
            "def f(self, a, b, c, d, e, f, g, h, i, j): ...",
            ["line 1, f: 10 positional parameters, 9 are allowed"],
        ),
        ("def f(self, a, b, c, d, e, f, g, h, i, *, j, k): ...", []),
        (
            "def f():\n if a:\n  for b in c:\n   while d:\n    with e:\n     if g: h()",
            [f"line 1, f: 5 {NESTING}"],
        ),
        ("def f():\n if a: ...\n elif b: ...\n elif c: ...\n elif d: ...\n elif e: ...", []),
    ):
        assert list(too_large(source)) == found
