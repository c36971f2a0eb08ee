"""The recipes of docs/development/recipes.md are carried out on a copy of the source, whose tests
then pass."""

import ast
import json
import os
import pathlib
import re
import shutil
import tomllib

import pytest
import same_bits
import survival
from ordinary import Ordinary
from pages import ROOT

from fastnn.testing import check_backend

NAMES = {"softsign", "log_cosh", "expectile", "Adagrad"}
"""What the recipes add: an activation, two losses, one of which has a parameter, and an
optimizer."""

QUICK = [
    "tests/test_network.py",
    "tests/test_reference.py",
    "tests/test_refused_specifications.py",
    "tests/testing",
    "tests/house/test_docs.py",
    "tests/house/test_names.py",
    "tests/house/test_new_names.py",
    "tests/house/test_types.py",
    "tests/files/test_formats.py",
    "tests/files/test_frameworks.py",
    "tests/fused/test_equality.py",
]
"""Tests that do not take long."""

BLOCK = re.compile(
    r"^```(?:python|rst)\n(?:#|\.\.) (\S+), (in|above|with|below) (\w+|the imports)\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def place(source, where, name):
    """Return the number of lines of the source that come before what is added."""
    if where == "below":  # a line of a document
        return [line.strip() for line in source.splitlines()].index(name) + 1
    statements = ast.parse(source).body
    if where == "with":
        return max(n.end_lineno for n in statements if isinstance(n, ast.Import | ast.ImportFrom))
    (registry,) = (
        n for n in statements if re.match(rf"{name}\b", ast.unparse(n)) and hasattr(n, "value")
    )
    return (registry.end_lineno if where == "in" else registry.lineno) - 1


def carry_out(recipes, root):
    """Add each block of the recipes to the file that it names."""
    for file, where, name, added in BLOCK.findall(recipes):
        source = (root / file).read_text("utf-8")
        lines = source.splitlines(keepends=True)
        n = place(source, where, name)
        lines[n:n] = [added, "\n\n"] if where == "above" else [added]
        (root / file).write_text("".join(lines), "utf-8")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A copy of what the sdist holds and of what it links to, with all three recipes."""
    copy = tmp_path_factory.mktemp("recipes")
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]
    included = [path.strip("/") for path in hatch["build"]["targets"]["sdist"]["include"]]
    for source in (ROOT / name for name in ["pyproject.toml", ".github", "conda", *included]):
        if source.is_dir():
            shutil.copytree(
                source, copy / source.name, ignore=shutil.ignore_patterns("*-pytest-*.pyc")
            )
        elif source.exists():
            shutil.copy(source, copy)
    carry_out((copy / "docs/development/recipes.md").read_text("utf-8"), copy)
    return copy


def run(root, *arguments, **variables):
    """Run Python in the copy, with a cache of its own; return what it prints. It must end well."""
    variables |= {
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests/support'}",
        "FASTNN_CACHE_DIR": root / "cache",
    }
    ended = survival.run(*arguments, cwd=root, timeout=None, PYTEST_ADDOPTS=None, **variables)
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-5000:]
    return ended.stdout


def run_tests(root, *arguments, **variables):
    """Run the copy's tests, except these, which would copy it again."""
    # the latter collects garbage for a second
    plugins = ("-p", "no:cacheprovider", "-p", "no:unraisableexception")
    return run(
        root,
        "-m",
        "pytest",
        "-q",
        *plugins,
        "--ignore=tests/house/test_recipes.py",
        *arguments,
        **variables,
    )


def test_the_other_runs_stay_as_they_are(root):
    """The hashes are of the same runs: a new name has runs of its own."""
    code = "import fastnn, json, same_bits; print(fastnn.__file__); "
    code += "print(json.dumps({name: repr(run) for name, run in same_bits.RUNS.items()}))"
    file, runs = run(root, "-c", code).splitlines()
    assert pathlib.Path(file).is_relative_to(root)
    runs = json.loads(runs)
    here = {name: repr(run) for name, run in same_bits.RUNS.items()}
    assert {name: runs[name] for name in here} == here
    assert {
        name
        for name in NAMES
        if any(name in its.replace(" ", "_") for its in runs.keys() - here.keys())
    } == NAMES


CONFORMS = """
from ordinary import Ordinary
from fastnn.testing import conformance_checks, find_backend
from fastnn.testing.conformance import run_checks

def test_the_suite_passes():
    every = list(conformance_checks(["float64"]))
    checks = [
        check
        for check in every
        if check.kind != "training" and any(name in check.name for name in {names!r})
    ]
    assert run_checks(checks, find_backend("numba"), raises=True).count("passed") > 100
    assert run_checks(every, Ordinary(), raises=True).summary().splitlines()[-1] == {counts!r}
"""


def test_the_tests_of_the_registries_and_of_the_new_names_pass(root):
    """Those of registries, lists and documents, in float64, by kernels that LLVM does not optimize,
    of the same bits.

    A kernel without a new name meets as many checks as here, which docs/howto/backends.md counts.
    """
    counts = check_backend(Ordinary(), dtypes=["float64"]).summary().splitlines()[-1]
    content = CONFORMS.format(names=sorted(NAMES), counts=counts)
    (root / "tests" / "house" / "test_new_names.py").write_text(content, "utf-8")
    others = (
        "test_network",
        "test_layers",
        "test_refused",
        "test_docs",
        "names",
        "every_name",
        "script_has_every",
    )
    chosen = " or ".join([*NAMES, *others])
    left_out = "float32 or test_star or test_dir or ten_lines or (test_reference and numba)"
    pages = "(kernel and not cache) or testing"  # of docs/: the others' code goes through no names
    modules = "onnx or many or plotting or training.results"  # nor do the examples of these
    left_out += f" or (code_runs and not ({pages})) or (docstrings and ({modules}))"
    told = run_tests(root, *QUICK, "-k", f"({chosen}) and not ({left_out})", **survival.UNOPTIMIZED)
    assert int(re.search(r"(\d+) passed", told).group(1)) > 300


@pytest.mark.slow
def test_all_tests_pass_once_the_hashes_are_there(root):
    """`same_bits.py --write` adds hashes under the old revision, and changes none."""
    assert "0 of them changed" in run(root, "tests/support/same_bits.py", "--write")
    for few in ("first steps", "all steps"):
        old, new = (
            json.loads((at / "tests/support/hashes.json").read_text("utf-8"))[few]
            for at in (ROOT, root)
        )
        assert {name: new[name] for name in old} == old
    test = "test_code_runs_and_prints_what_the_page_says"
    page = f"tests/house/test_docs.py::{test}[docs/howto/choose-network.md]"
    # Compiled code knows no names, and other users cannot read this copy; the page prints which
    # losses there are.
    run_tests(root, "--ignore=tests/compiler", f"--deselect={page}")
