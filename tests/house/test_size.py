"""The ratchet: code and texts grow only together with nodes.txt."""

import sys
import warnings

import pytest
import size
from pages import ROOT

FILES = [  # number of nodes.txt, file, its text, its size, how a message names its folder
    ("package", "fastnn/files/model.py", "x = 1\n", 5, "fastnn/files +5"),
    ("tests", "tests/house/test_kit.py", "pass\n", 2, "tests/house +2"),
    ("benchmarks", "benchmarks/speeds.py", "pass\n", 2, "benchmarks +2"),
    ("words", "docs/howto/speed.md", "three words here\n", 3, "docs/howto +3"),
]


def write(root, more):
    """Write a small project whose nodes.txt is above its numbers by `more`."""
    for number, path, text, n, _ in FILES:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
        with open(root / "nodes.txt", "a", encoding="utf-8") as numbers:
            numbers.write(f"{number} {n + more}\n")


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="its first ones parse f-strings anew")
@pytest.mark.filterwarnings("default")
def test_there_is_no_more_to_read_than_nodes_txt_says():
    """Less is welcome: a warning says which numbers to write."""
    more, stale = size.compared(ROOT)
    advice = "remove what the change replaces, or raise nodes.txt and say why"
    assert not more, "\n".join([*more, advice])
    if stale:
        warnings.warn(f"nodes.txt is stale: {', '.join(stale)}", stacklevel=1)


def test_one_more_is_refused_with_its_folder(tmp_path):
    write(tmp_path, -1)
    assert size.compared(tmp_path) == (
        [f"{number} {n} is 1 above nodes.txt; grown: {named}" for number, _, _, n, named in FILES],
        [],
    )


def test_less_names_the_numbers_to_write(tmp_path):
    write(tmp_path, 1)
    assert size.compared(tmp_path) == ([], [f"write {file[0]} {file[3]}" for file in FILES])


def test_with_history_only_the_folders_that_grew_are_named(tmp_path):
    """Since the commit that wrote nodes.txt; new files count before they are added."""
    write(tmp_path, 0)
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"]):
        size.git(tmp_path, *command)
    if not size.git(tmp_path, "log"):
        pytest.skip("there is no git")
    assert size.compared(tmp_path) == ([], [])
    (tmp_path / "fastnn" / "new.py").write_text("pass\n", "utf-8")
    assert size.compared(tmp_path)[0] == ["package 7 is 2 above nodes.txt; grown: fastnn +2"]
