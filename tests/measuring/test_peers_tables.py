"""The tables of the comparison with the peers."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")

from benchmarks.peers import tables  # noqa: E402
from benchmarks.peers.measure import US  # noqa: E402


def test_the_short_table_has_the_faster_of_two_rivals():
    seconds = {US: [1.0, 1.0], "scikit-learn": [9.0, 9.0], "PyTorch": [3.0, 3.0], "JAX": [2.0, 8.0]}
    lanes = {title: {"seconds": times} for title, times in seconds.items()}
    found = {"about": dict.fromkeys(("date", "cpu", "cores")), "training": {"iris": lanes, "seed": {US: lanes[US]}}}
    table = [line.split("float64 | ")[-1] for line in tables.short(found).splitlines()]
    assert table[2:4] == ["1 | 9.00 | 3.00 |", "1 |  |  |"]
