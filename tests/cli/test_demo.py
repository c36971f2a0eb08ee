"""The command `fastnn demo`: the tutorial's numbers, its pictures, and what it does without them."""

import functools
import pathlib
import re
import sys

import pytest
import seed_page
from terminal import uninstall

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("matplotlib")

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def quick(monkeypatch):
    """The demo, timed once and briefly."""
    from fastnn.cli import app  # noqa: F401

    demo = sys.modules["fastnn.cli.demo"]
    less = {"ROUNDS": 1, "DIGITS_ROUNDS": 1, "TIMED_ITERATIONS": dict.fromkeys(demo.TIMED_ITERATIONS, 10)}
    for name, few in less.items():
        monkeypatch.setattr(demo, name, few)
    return demo


def test_demo_prints_the_tutorials_numbers_and_saves_pictures(run, quick, tmp_path):
    code, out, err = run("demo", "--seed", "2", "--output", "new/folder")
    assert code == 0, err
    expected = seed_page.BY_SEED[2]
    for number in (expected.last_error, expected.output_110, expected.output_111):
        assert out.count(f"{number:.10f}") == 3  # the loop and both back ends
    words = (
        "iterations a second",
        "times the tutorial's loop",
        "held-out digits",
        "time an epoch",
        "compiled or loaded",
    )
    assert all(said in out for said in words), out
    assert out.count("Largest difference of a weight between the back ends") == 2
    accuracies = re.search(r"held-out digits\D+(0\.\d+)\D+(0\.\d+)", out)
    assert all(float(accuracy) >= 0.96 for accuracy in accuracies.groups())
    for name in ("error_curve.png", "digits_loss.png"):
        path = pathlib.Path("new/folder", name)
        assert str(path) in out
        assert (tmp_path / path).read_bytes().startswith(PNG)


def test_demo_writes_nothing_unless_it_is_told_where(run, quick, tmp_path):
    assert run("demo")[0] == 0
    assert list(tmp_path.iterdir()) == []


report_of = functools.cache(lambda run_demo: run_demo(0, lambda: None))  # once for all widths


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_loses_no_digit_and_no_line_has_blanks_at_its_end(run, quick, monkeypatch, width):
    from fastnn.cli.console import out as console

    for part in ("run_seed", "run_digits"):
        known = functools.partial(report_of, getattr(quick, part))
        monkeypatch.setattr(quick, part, lambda *_, known=known: known())
    monkeypatch.setattr(type(console), "width", property(lambda self: width))
    code, out, _ = run("demo")
    assert code == 0
    assert "…" not in out
    for number in re.findall(r"\d\.\d{5,}", out):
        assert len(number) in (8, 12), number  # the digits' losses, the tutorial's numbers
    assert out.count("0.0343976601") == 3
    lines = [line for line in out.splitlines() if not line.startswith(tuple("│┃┏┡├└"))]
    assert all(line == line.rstrip() and len(line) <= width for line in lines if line)


def test_demo_times_nothing_when_the_answers_differ(run, quick, monkeypatch):
    drawn = quick.tutorial.initial_weights
    monkeypatch.setattr(quick.tutorial, "initial_weights", lambda seed: drawn(seed + 1))
    monkeypatch.setattr(quick, "interleaved", lambda *_: pytest.fail("timed"))
    code, out, err = run("demo")
    assert code == 2
    assert re.fullmatch(r"fastnn: .*relative distance.*nothing was timed\n", err)
    assert "iterations a second" not in out


def test_demo_reports_an_output_that_is_no_folder(run, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run("demo", "--output", "file")
    assert code == 2
    assert re.fullmatch("fastnn: .*\n", err)


@pytest.mark.parametrize(
    ("package", "arguments", "extra", "works"),
    [("matplotlib", ("--output", "pictures"), "cli", False), ("sklearn", (), "sklearn", True)],
)
def test_a_missing_package_is_named_before_the_work_or_leaves_the_tutorials_half(
    run, quick, monkeypatch, package, arguments, extra, works
):
    uninstall(monkeypatch, package)
    code, out, err = run("demo", *arguments)
    assert code == 2
    assert ("iterations a second" in out) == works
    assert re.fullmatch(rf"fastnn: .*fastnn-numba\[{extra}\].*\n", err)
