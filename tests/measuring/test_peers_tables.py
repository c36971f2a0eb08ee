"""The tables of the comparison with the peers."""

import json
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from benchmarks.peers import __main__ as script  # noqa: E402
from benchmarks.peers import aims, charts, short, tables  # noqa: E402
from benchmarks.peers.measure import SKLEARN, US  # noqa: E402
from benchmarks.peers.threads import ALL  # noqa: E402

ABOUT = {"date": "today", "cpu": "A", "cores": 2, "versions": {"fastnn": "0.2"}}


def test_the_short_table_has_the_faster_of_two_rivals():
    seconds = {US: [1.0, 1.0], "scikit-learn": [9.0, 9.0], "PyTorch": [3.0, 3.0], "JAX": [2.0, 8.0]}
    lanes = {title: {"seconds": times} for title, times in seconds.items()}
    found = {"about": ABOUT, "workloads": {"iris": lanes, "seed": {US: lanes[US]}}}
    table = [line.split("float64 | ")[-1] for line in short.table({"threads": found}).splitlines()]
    assert table[2:5] == ["1 | 9.00 | 3.00 |", "1 |  |  |", ""]


def test_the_short_table_counts_the_iterations_of_many_networks_together():
    digits = {US: [0.5, 0.5], "scikit-learn": [9.0, 9.0], "JAX": [2.0, 2.0]}
    members = {"train_many": [8.0, 8.0, 8.0], "JAX vmap": [16.0], "joblib, scikit-learn": [32.0, 48.0]}
    lanes, jobs = ({title: {"seconds": s} for title, s in times.items()} for times in (digits, members))
    found = {
        "threads": {"about": ABOUT, "workloads": {}},
        "validated": {"digits, validation": lanes},
        "many": {"networks": {"seed": {"1000, equal": {"64": jobs}}}},
    }
    validated, many = short.table(found).splitlines()[2:4]
    assert validated.endswith("rows validated | 2 | 18.0 | 4.00 |")
    assert many == "| 64 networks like `seed` at once, 1,000 iterations each | 8,000 | 5.00 | 2.00 |"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({}, "Measured on today with fastnn 0.2 by `nox -s measure -- peers` on one A, 2 cores: one"),
        ({"cpu": "B"}, "cores (many networks: B): one"),
        ({"date": "then", "versions": {"fastnn": "0.1"}}, "cores (many networks: then, fastnn 0.1): one"),
    ],
)
def test_the_short_table_says_by_which_version_and_where_many_networks_were_trained_if_otherwise(where, said):
    found = {"threads": {"about": ABOUT, "workloads": {}}, "many": {"about": ABOUT | where, "networks": {}}}
    assert said in short.table(found)


def by_threads():
    """fastnn takes 4 s on one thread and 2 on all cores; JAX 6 on one core and 3 on all."""
    seconds = {US: 4.0, ALL: 2.0, "JAX, 1 core": 6.0, "JAX": 3.0, SKLEARN: 20.0}
    lanes = {title: {"seconds": [s] * 3, "own_rules": title == SKLEARN} for title, s in seconds.items()}
    about = {"date": "today", "cpu": "a CPU", "cores": 2, "load": 0.1, "versions": {"fastnn": "0.2", "jax": "1"}}
    return {"about": about, "workloads": {"tab": lanes}}


def test_a_core_is_compared_with_a_core_and_all_with_all():
    heads, _, cells = (line.strip("| ").split(" | ") for line in tables.by_threads(by_threads()).splitlines()[2:5])
    found = dict(zip(heads, cells, strict=True))
    assert found["fastnn on all cores, iterations a second"] == "0"
    assert found["× one thread"] == "2.00 (2.00–2.00)"
    assert found["× JAX, 1 core"] == found["× JAX"] == "1.50 (1.50–1.50)"
    assert found["× scikit-learn"] == "10.0 (10.0–10.0)*"
    assert found["× PyTorch"] == ""


def test_aims_of_all_cores():
    """Beside the fastest peer on all cores; nothing where that was not measured."""
    named = {aim.what: aim for aim in aims.aims({"threads": by_threads()})}
    assert named["tab, all cores"].found.median == 1.5
    assert not named["tab, all cores"].met
    assert named["big, all cores"].found is None


def test_the_crossover_on_all_cores_is_a_picture_of_its_own(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "README.md").write_text("<!-- peers: begin -->\n<!-- peers: end -->\n")
    lanes = {US: [1.0], ALL: [0.5], "JAX": [2.0]}
    about = {"date": "", "cpu": "", "cores": 2, "load": None, "versions": {}, "compiler": None, "blas": []}
    found = {"about": about, "skipped": {}, "failed": {}, "crossover": {"8 wide, batch 1": lanes}}
    source = tmp_path / "found.json"
    source.write_text(json.dumps(found | {"threads": by_threads()}))
    (tmp_path / "README.md").write_text("<!-- peers: begin -->\n<!-- peers: end -->\n")
    script.main(["--from", str(source), "--folder", str(tmp_path)])
    text = (tmp_path / "benchmarks" / "README.md").read_text()
    assert "(../docs/images/crossover_all_cores.png)" in text
    assert "With equal threads, measured on today" in text
    heights = [charts.crossover(found, ours).axes[0].lines[0].get_ydata()[0] for ours in (US, ALL)]
    assert heights == [2, 4]
