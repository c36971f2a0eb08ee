"""The rules of the house: what an import costs and brings along, how compiled code is made."""

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
import importlib, sys, numpy
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
    """Besides NumPy's, and importlib, which NumPy 2.2 leaves to us. `fastnn bench` measures how
    long that takes.
    """
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
