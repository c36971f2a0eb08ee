"""The command `fastnn demo`: the tutorial's numbers, its pictures, and what it does without
them."""

import functools
import pathlib
import re
import sys

import pytest
import seed_page
from terminal import uninstall

pytest.importorskip("matplotlib")


@pytest.fixture
def quick(monkeypatch):
    """The demo, timed once and briefly."""
    from fastnn.cli import app  # noqa: F401

    demo = sys.modules["fastnn.cli.demo"]
    less = {
        "ROUNDS": 1,
        "DIGITS_ROUNDS": 1,
        "TIMED_ITERATIONS": dict.fromkeys(demo.TIMED_ITERATIONS, 10),
    }
    for name, few in less.items():
        monkeypatch.setattr(demo, name, few)
    return demo


def test_demo_prints_the_tutorials_numbers_and_saves_pictures(succeed, quick, tmp_path):
    out, _ = succeed("demo", "--seed", "2", "--output", "new/folder")
    expected = seed_page.BY_SEED[2]
    for number in (expected.last_error, expected.output_110, expected.output_111):
        assert out.count(f"{number:.10f}") == 3  # the loop and both back ends
    for words in (
        "iterations per second",
        "times the tutorial's loop",
        "time per epoch",
        "compiled or loaded",
    ):
        assert words in out
    assert out.count("Largest difference of a weight between the back ends") == 2
    accuracies = re.search(r"held-out digits\D+(0\.\d+)\D+(0\.\d+)", out)
    assert all(float(accuracy) >= 0.96 for accuracy in accuracies.groups())
    for name in ("error_curve.png", "digits_loss.png"):
        path = pathlib.Path("new/folder", name)
        assert str(path) in out
        assert (tmp_path / path).read_bytes().startswith(b"\x89PNG")


report_of = functools.cache(lambda run_demo: run_demo(0, lambda: None))  # once for all widths


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_loses_no_digit_and_no_line_has_blanks_at_its_end(
    succeed, quick, monkeypatch, tmp_path, width
):
    """Nothing is written, for it was not told where."""
    from fastnn.cli.console import out as console

    for part in ("run_seed", "run_digits"):
        known = functools.partial(report_of, getattr(quick, part))
        monkeypatch.setattr(quick, part, lambda *_, known=known: known())
    monkeypatch.setattr(type(console), "width", property(lambda self: width))
    out, _ = succeed("demo")
    assert "…" not in out
    for number in re.findall(r"\d\.\d{5,}", out):
        assert len(number) in (8, 12), number  # the digits' losses, the tutorial's numbers
    assert out.count("0.0343976601") == 3
    lines = [line for line in out.splitlines() if not line.startswith(tuple("│┃┏┡├└"))]
    assert all(line == line.rstrip() and len(line) <= width for line in lines if line)
    assert list(tmp_path.iterdir()) == []


def test_demo_times_nothing_when_the_answers_differ(run, quick, monkeypatch):
    drawn = quick.tutorial.initial_weights
    monkeypatch.setattr(quick.tutorial, "initial_weights", lambda seed: drawn(seed + 1))
    monkeypatch.setattr(quick, "interleaved", lambda *_: pytest.fail("timed"))
    code, out, err = run("demo")
    assert code == 2
    assert re.fullmatch(r"fastnn: .*relative distance.*nothing was timed\n", err)
    assert "iterations per second" not in out


@pytest.mark.parametrize(
    ("package", "arguments", "told"),
    [
        ("matplotlib", ("--output", "pictures"), r"fastnn-numba\[cli\]"),
        ("none", ("--output", "file"), "'file'"),
        ("sklearn", (), r"fastnn-numba\[sklearn\]"),
    ],
)
def test_what_is_missing_is_named_before_the_work_but_for_the_digits(
    run, quick, monkeypatch, tmp_path, package, arguments, told
):
    (tmp_path / "file").touch()
    uninstall(monkeypatch, package)
    code, out, err = run("demo", *arguments)
    assert code == 2
    assert ("iterations per second" in out) == (package == "sklearn")
    assert re.fullmatch(rf"fastnn: .*{told}.*\n", err)
