"""The benchmark of threads: it compares bits before it times, and its tables say what was measured."""

import io
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from benchmarks import threads  # noqa: E402
from benchmarks.threads_chart import first_lines  # noqa: E402
from fastnn import plotting  # noqa: E402


def test_it_measures_and_prints():
    found = threads.speed_ups("iris", 0.05, quiet=False)
    assert min(map(min, found.values())) > 0
    found = {name: [3.5 + i] * 3 for i, name in enumerate(found)}  # as many numbers, no two cells of which are alike
    rows = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
    lines = threads.tables({"quiet": {"iris": found}, "loaded": {"iris": [found] * 3}, "profile": {"iris": rows}})
    cell = threads.cell(found["None"])
    assert lines.count(cell) == 4
    assert lines.endswith("|  | 1 | 5.0 | 6.0 | 7.0 | 8.0 |")
    assert len({line.count("|") for line in lines.split("\n\n")[0].splitlines()}) == 1


def test_the_chart_shows_each_load(tmp_path):
    samples = {"1": [1.0], "2": [1.5, 1.7, 1.6], "None": [1.2, 1.4, 1.3]}
    figure = threads.chart({"iris": [samples] * 3, "tab": [samples] * 3}, {"iris": "iris", "tab": "tab, batches of 9"})
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["alone", "beside one busy process", "beside two"]
    assert all([bar.get_height() for bar in axes.patches] == [1.6, 1.6, 1.3, 1.3] for axes in panels)
    assert panels[0].get_xticklabels()[1].get_text() == "tab\nbatches of 9"
    assert plotting.save(figure, tmp_path / "threads.png").stat().st_size > 1000


def test_first_trainings_have_a_table():
    lines = first_lines({"compiled by it": [1.0, 2.0, 3.0]})
    assert lines[-1] == "| compiled by it | 1.00 | 2.00 | 3.00 |"


@pytest.mark.parametrize(("line", "seconds"), [("cpu  9 9 9 9 9 9 9 250 9 9\ncpu0 1", 2.5), ("cpu  9 9 9\n", 0.0)])
def test_time_that_a_virtual_machine_has_lost_is_read(line, seconds, monkeypatch):
    monkeypatch.setattr("builtins.open", lambda *_, **__: io.StringIO(line))
    monkeypatch.setattr(threads.os, "sysconf", {"SC_CLK_TCK": 100}.get, raising=False)
    assert threads.taken_away() == seconds


def test_lost_time_counts_as_time_without_a_cpu(monkeypatch):
    lost = iter(range(10**9))
    monkeypatch.setattr(threads, "taken_away", lambda: float(next(lost)))
    monkeypatch.setattr(threads, "waited", lambda: 0.0)
    seconds, without_cpu = threads.timed(lambda n: None, 1)
    assert without_cpu == 1.0 > seconds


def test_another_answer_is_an_error_and_no_figure(monkeypatch):
    monkeypatch.setattr(threads, "bits", lambda answer: object())
    with pytest.raises(RuntimeError, match="iris: threads show in the bits"):
        threads.speed_ups("iris", 0.1)
