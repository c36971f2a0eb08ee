"""Each name of fastnn that a document, an example or a docstring mentions, or version 0.1 showed,
can be imported."""

import ast
import functools
import pkgutil
import re

import pytest
from pages import ROOT

RECIPES = ROOT / "docs" / "development" / "recipes.md"  # its names are to be added
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted(
        page
        for page in (ROOT / "docs").rglob("*.md")
        if "_build" not in page.parts and page != RECIPES
    ),
    *sorted((ROOT / "examples").rglob("*.py")),
    *sorted((ROOT / "fastnn").rglob("*.py")),
]
IMPORT = re.compile(r"\bfrom (fastnn(?:\.\w+)*) import (?:\(([^)]*)\)|([\w, ]+))")
DOTTED = re.compile(r"(?<![\w./-])fastnn(?:\.[A-Za-z_]\w*)+(?![\w/])")


def docstrings(source):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    found = (
        ast.get_docstring(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, documented)
    )
    return "\n".join(filter(None, found))


def names_in(text):
    """The dotted names that a text imports from fastnn or mentions."""
    for module, in_parentheses, in_line in IMPORT.findall(text):
        for imported in (in_parentheses or in_line).split(","):
            if name := imported.split(" as ")[0].strip():
                yield f"{module}.{name}"
    yield from DOTTED.findall(text)


@functools.cache
def resolves(dotted):
    """Whether the name is a module, or an attribute that can be reached from one."""
    try:
        return pkgutil.resolve_name(dotted) is not None
    except (AttributeError, ImportError):
        return False


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_names_that_a_text_mentions_are_there(file):
    for package in ("sklearn", "matplotlib", "rich"):
        pytest.importorskip(package)
    text = file.read_text("utf-8")
    named = names_in(docstrings(text) if file.is_relative_to(ROOT / "fastnn") else text)
    assert [name for name in sorted(set(named)) if not resolves(name)] == []


# Lines that version 0.1 showed to users, who have them in their programs now: they hold whatever
# moves in the package.
SHOWN_IN_0_1 = [
    (
        "from fastnn import SGD, Adam, AdamW, RMSprop, RPROP, Network, Stop, train, load, predict, "
        "loss_and_gradient"
    ),
    "from fastnn import ACTIVATIONS, LOSSES, OPTIMIZERS, constant, cosine, exponential, step_decay",
    (
        "from fastnn import History, Progress, TrainingResult, TrainingState, Backend, "
        "get_backend, register_backend"
    ),
    (
        "from fastnn import DivergenceError, FastnnError, InterruptWarning, ModelFileError, "
        "TrainingInterrupted"
    ),
    "from fastnn import MLPClassifier, MLPRegressor, plotting, testing, workloads",
    "from fastnn.estimators import MLPClassifier, MLPRegressor",
    "from fastnn.gate import measure",
    "from fastnn.reference import NumpyBackend",
    "from fastnn.testing import check_backend, check_gradient, tolerances",
    "from fastnn.training import train",
]


@pytest.mark.parametrize("line", SHOWN_IN_0_1)
def test_what_version_0_1_showed_can_be_imported(line):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    exec(line, {})
