"""``fastnn bench --threads``: how many share each step of a workload."""

import pytest
import typer

from fastnn.cli import bench as command
from fastnn.cli import bench_report
from fastnn.cores import Cores

SETTINGS = bench_report.BenchSettings(rounds=2, sample_seconds=0.001, starts=0, compiled=0, workloads=())


def test_a_report_says_how_many(monkeypatch):
    """Real work and the other back end have one."""
    monkeypatch.setattr(bench_report, "_starts", lambda *_: [])
    report = bench_report.run(["tab", "seed, one call"], ["numpy", "numba"], [None], SETTINGS, threads=2)
    assert {(t.workload, t.backend) for t in report.trainings if t.threads == 2} == {("tab", "numba")}


def test_names_of_a_number(monkeypatch):
    monkeypatch.setattr(command, "available_cores", lambda: Cores(3, ""))
    assert [command._number_of_threads(text) for text in ("all", "2")] == [3, 2]
    for text in ("0", "-1", "many", "1.5"):
        with pytest.raises(typer.BadParameter, match="neither a number"):
            command._number_of_threads(text)
