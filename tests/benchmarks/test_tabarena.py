"""The presets take part in TabArena, where it is installed: `nox -s measure -- tabarena`."""

import pytest

pytest.importorskip("tabarena")

from benchmarks import tabarena


@pytest.mark.filterwarnings("ignore")  # TabArena's own
def test_the_leaderboard_has_the_presets(tmp_path):
    runs = tabarena.experiments(["fast", "good"], [], n_cpus=1, seconds=60)
    leaderboard = tabarena.on_local_tables(["treasury"], runs, tmp_path)
    assert {name.split("_")[0] for name in leaderboard["method"]} == {"fastnn-fast", "fastnn-good"}
    assert (leaderboard["median_metric_error"] < 0.5).all()
