"""The table of the crossover: printed from the figures of the chart."""

import json
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("matplotlib")

from benchmarks import crossover  # noqa: E402


def test_a_cell_has_the_ratio_to_the_best_peer():
    lanes = {"fastnn": [1.0, 1.0, 2.0], "JAX": [4.0, 4.0, 4.0], "PyTorch": [2.0, 2.5, 3.0]}
    about = {"date": "2026-01-02", "cpu": "a processor", "cores": 2}
    found = {"crossover": {"4 wide, batch 1": lanes, "1024 wide, batch 32": lanes}, "about": about}
    assert crossover.table(found).splitlines() == [
        "| width | 1 row a step | 32 rows a step |",
        "|---|---|---|",
        "| 4 | 2.5 | - |",
        "| 1,024 | - | 2.5 |",
        "",
        "Measured on 2026-01-02 on a processor, 2 cores. The best peer was PyTorch.",
    ]


def test_the_page_has_the_figures_of_the_results():
    page = (ROOT / "docs/explanation/when-not.md").read_text("utf-8")
    assert crossover.table(json.loads(crossover.RESULTS.read_text("utf-8"))) in page
