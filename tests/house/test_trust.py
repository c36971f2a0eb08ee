"""docs/explanation/trust.md keeps its word: each promise names a test, and each test that is named exists."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def promises(text):
    """Each promise, with the files and names of its tests."""
    for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:]:
        item = item.split("\n\n")[0]
        yield " ".join(item.split()), NAMED.findall(item)


def names_in(path):
    """The names of the tests of a file."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


def missing(text):
    """The mistakes of the page: promises without a test, and tests that are not there."""
    for promise, named in promises(text):
        if not named:
            yield promise
        for file, name in named:
            path = ROOT / file
            if not path.is_file() or name not in names_in(path):
                yield f"{file}::{name}"


def test_each_promise_names_a_test_that_exists():
    text = (ROOT / "docs" / "explanation" / "trust.md").read_text("utf-8")
    assert len(list(promises(text))) > 30
    assert list(missing(text)) == []


def test_each_survival_test_stands_behind_a_promise():
    """Every survival test is named, but for those that test the tests."""
    named = {
        name
        for _, tests in promises((ROOT / "docs" / "explanation" / "trust.md").read_text("utf-8"))
        for _, name in tests
    }
    files = sorted(ROOT.glob("tests/*/test_survival_*.py"))
    assert len(files) >= 7
    assert {name for file in files for name in names_in(file)} - named <= SMALLER


SMALLER = {
    "test_code_is_found_again_in_a_folder_of_the_user_alone",
    "test_code_of_another_version_is_not_taken",
    "test_what_breaks_off_while_it_is_written_leaves_no_file",
    "test_masks_are_told_apart",
    "test_the_size_of_all_weights_cancels_in_a_mean",
    "test_threads_that_train_within_callbacks",
}


@pytest.mark.parametrize("named", ["", "`tests/house/test_trust.py::test_nothing`", "`tests/no.py::test_x`"])
def test_a_promise_without_a_test_is_found(named):
    assert len(list(missing(f"- It works: {named}\n"))) == 1
