"""The benchmark of threads: it compares bits before it times, and its tables say what was measured."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")

from benchmarks import threads  # noqa: E402


def test_it_measures_and_prints():
    found = threads.speed_ups("iris", 0.2, quiet=False)
    assert min(map(min, found.values())) > 0
    rows = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
    lines = threads.tables({"quiet": {"iris": found}, "loaded": {"iris": [found] * 3}, "profile": {"iris": rows}})
    cell = threads.cell(found["None"])
    assert lines.count(cell) == 4
    assert lines.endswith("|  | 1 | 5.0 | 6.0 | 7.0 | 8.0 |")
    assert len({line.count("|") for line in lines.split("\n\n")[0].splitlines()}) == 1


def test_another_answer_is_an_error_and_no_figure(monkeypatch):
    monkeypatch.setattr(threads, "bits", lambda answer: object())
    with pytest.raises(RuntimeError, match="iris: threads show in the bits"):
        threads.speed_ups("iris", 0.1)
