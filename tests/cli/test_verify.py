"""``fastnn verify``: what it prints and writes, and with what it ends."""

import json
import re
import sys

import pytest
from mutants import MUTANTS, Part

from fastnn import LOSSES, register_backend
from fastnn.testing import conformance, conformance_checks


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """``fastnn verify`` adds the current folder to the path."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def cells(out, row):
    """The cells of the first row that begins with this name."""
    line = next(line for line in out.splitlines() if re.match(rf"│ {row} ", line))
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


@pytest.fixture
def few(monkeypatch):
    """The checks of two activations: tests/testing/test_conformance.py runs all of them."""
    every = conformance_checks(["float64"])
    few = [check for check in every if check.activation in ("tanh", "gelu", "")]
    monkeypatch.setattr(conformance, "conformance_checks", lambda dtypes: iter(few))
    return few


def test_the_kernel_is_verified(few, succeed, tmp_path):
    out, _ = succeed("verify", "--dtype", "float64", "--json", "report.json")
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert content["backend"] == "numba"
    assert (content["failed"], content["skipped"]) == (0, 0)
    assert content["passed"] == len(content["checks"]) == len(few)
    assert f"back end 'numba' passes {content['passed']} checks" in out
    assert {case["dtype"] for case in content["checks"]} == {"float64"}
    assert all(0 <= case["deviation"] <= 1 for case in content["checks"])
    for row in ("tanh", "gelu", "Adam", "SGD momentum=0.9 nesterov=True"):
        assert len(cells(out, row)) == len(LOSSES)
        assert all(re.fullmatch(r"<\.01|\.\d\d|1\.00", cell) for cell in cells(out, row))
    kinds = ("property", "gradient", "update", "training")
    assert [cells(out, kind)[-1] for kind in kinds] == ["pass"] * 4


def test_a_broken_back_end_ends_with_1_and_its_messages(run, tmp_path):
    register_backend("broken", MUTANTS["no bias gradient"].make)
    code, out, _ = run("verify", "--backend", "broken", "--json", "report.json")
    assert code == 1
    assert cells(out, "tanh")[0] == "fails fails"
    assert cells(out, "gelu")[0] == "- -"
    assert re.fullmatch(r"\d+ fail", cells(out, "gradient")[-1])
    assert "gradient by b of layer 1" in out
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert content["failed"] == sum(case["verdict"] == "failed" for case in content["checks"]) > 0


def test_a_back_end_in_the_current_folder(few, succeed, tmp_path):
    (tmp_path / "kernel_of_mine.py").write_text(
        "import mutants\n\nclass Kernel(mutants.Part):\n    name = 'mine'\n"
    )
    out, _ = succeed("verify", "--backend", "kernel_of_mine:Kernel", "--dtype", "float64")
    assert "back end 'mine' passes" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backend", "nothing"], "supports no network"),
        (["--backend", "nope"], "unknown backend 'nope'"),
        (["--backend", "mutants:MUTANTS"], "is no back end"),
        (["--dtype", "float16"], "float32, float64 or both"),
    ],
)
def test_wrong_usage_ends_with_2(few, refused, arguments, words):
    class Nothing(Part):
        def supports(self, *arguments, **options):
            return False

    register_backend("nothing", Nothing)
    assert words in refused("verify", *arguments)
