"""The sizes of the house: how long a function and a file may be, how many parameters, how deep, how many rooms."""

import ast
import pathlib

import pytest
from lines import lines_of_code

import fastnn

PACKAGE = pathlib.Path(fastnn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = pathlib.Path(__file__).parents[1]

MOST_LINES, MOST_PARAMETERS, DEEPEST = 60, 9, 4
MOST_FILE_LINES = 500
MOST_FILES_AT_THE_ROOT, MOST_FOLDERS_AT_THE_ROOT = 15, 12

BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.Match, ast.FunctionDef, ast.ClassDef)


def length(function):
    """Lines of a function without its docstring."""
    docstring = ast.get_docstring(function, clean=False)
    return function.end_lineno - function.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


def n_parameters(function):
    """Positional parameters besides self and cls."""
    return len([a for a in function.args.posonlyargs + function.args.args if a.arg not in ("self", "cls")])


def depth(node):
    """The depth of nested blocks within a node; `elif` is as deep as its `if`."""
    found = 0
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
        found = max(found, depth(child) + (isinstance(child, BLOCKS) and not is_elif))
    return found


def too_large(source):
    """Each function of a module that breaks a rule, in words."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        for what, value, most in (
            ("lines", length(node), MOST_LINES),
            ("positional parameters", n_parameters(node), MOST_PARAMETERS),
            ("levels of nesting", depth(node), DEEPEST),
        ):
            if value > most:
                yield f"line {node.lineno}, {node.name}: {value} {what}, {most} are allowed"


def name(file):
    return file.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("file", FILES, ids=name)
def test_functions_are_short(file):
    assert list(too_large(file.read_text("utf-8"))) == []


@pytest.mark.parametrize("folder", [PACKAGE, TESTS], ids=["package", "tests"])
def test_files_are_short(folder):
    """Neither documentation nor comments nor blank lines count."""
    texts = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.py")}
    lines = {name: lines_of_code(text) for name, text in texts.items() if text.count("\n") > MOST_FILE_LINES}
    assert {name: n for name, n in lines.items() if n > MOST_FILE_LINES} == {}
    assert lines_of_code('"""A title."""\n\n# a comment\nx = [\n    1,\n]\n') == 3


def test_the_root_has_few_rooms():
    files = [path for path in PACKAGE.iterdir() if path.suffix == ".py"]
    folders = [path for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert len(files) <= MOST_FILES_AT_THE_ROOT
    assert len(folders) <= MOST_FOLDERS_AT_THE_ROOT
    for folder in folders:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))), f"{folder.name} says nothing"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f():\n" + "    x = 1\n" * 60, "61 lines"),
        (f"def f(self, {', '.join('abcdefghij')}): ...", "10 positional parameters"),
        ("def f():\n if a:\n  for b in c:\n   while d:\n    with e:\n     if g: h()", "5 levels of nesting"),
    ],
)
def test_what_is_too_large_is_found(source, words):
    (found,) = too_large(source)
    assert words in found


def test_what_is_just_small_enough_passes():
    assert not list(too_large('def f():\n    """Say\n    more."""\n' + "    x = 1\n" * 59))
    assert not list(too_large("def f():\n if a: ...\n elif b: ...\n elif c: ...\n elif d: ...\n elif e: ..."))
    assert not list(too_large(f"def f(self, {', '.join('abcdefghi')}, *, j, k): ..."))
