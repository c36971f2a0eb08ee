"""asv's page: that missing figures are noticed, that it needs no other host, and that a browser draws its curves."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import history, history_page  # noqa: E402

OLD, NEW = "a" * 40, "b" * 40

# -------------------------------------------------------------------------------------------------- missing figures


@pytest.fixture
def page(tmp_path):
    """The files that asv publishes, of two benchmarks and two commits."""
    train = {"params": [["'seed'", "'iris'"], ["'numpy'", "'numba'"]]}
    index = {
        "revision_to_hash": {"3": OLD, "4": NEW},
        "benchmarks": {"train.Train.time_train": train, "start.Import.timeraw_import": {"params": []}},
    }
    graphs = tmp_path / "graphs" / "arch-x86_64" / "machine-here"
    graphs.mkdir(parents=True)
    (tmp_path / "index.json").write_text(json.dumps(index))
    (graphs / "train.Train.time_train.json").write_text(json.dumps([[3, [1, 2, 3, 4]], [4, [1, 2, 3, 4]]]))
    (graphs / "start.Import.timeraw_import.json").write_text(json.dumps([[3, 0.1], [4, 0.2]]))
    summary = tmp_path / "graphs" / "summary"  # means, which hide what is missing
    summary.mkdir()
    (summary / "train.Train.time_train.json").write_text(json.dumps([[3, 1], [4, 1], [5, 1]]))
    return tmp_path


def missing(page, *commits):
    return history_page.missing(page, commits, [r"^train\.", r"^start\."])


def test_nothing_is_missing(page):
    assert missing(page, OLD, NEW) == []


def test_a_commit_without_figures_is_noticed(page):
    assert len(missing(page, OLD, "c" * 40)) == 5
    assert "start.Import.timeraw_import() at cccccccc" in missing(page, "c" * 40)


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_workload_without_a_figure_is_noticed(page, nothing):
    (graph,) = page.rglob("machine-here/train.Train.time_train.json")
    graph.write_text(json.dumps([[3, [1, 2, 3, 4]], [4, [1, 2, nothing, 4]]]))
    assert missing(page, OLD, NEW) == ["train.Train.time_train('iris', 'numpy') at bbbbbbbb"]


def test_figures_of_one_machine_are_enough(page):
    (graph,) = page.rglob("machine-here/train.Train.time_train.json")
    other = graph.parents[1] / "machine-there"
    other.mkdir()
    graph.write_text(json.dumps([[3, [1, 2, 3, 4]]]))
    (other / graph.name).write_text(json.dumps([[4, [1, 2, 3, 4]]]))
    assert missing(page, OLD, NEW) == []


def test_a_graph_that_is_not_there_is_noticed(page):
    next(page.rglob("machine-here/train.Train.time_train.json")).unlink()
    assert len(missing(page, NEW)) == 4


def test_a_pattern_that_chooses_nothing_is_noticed(page):
    assert history_page.missing(page, [NEW], ["^no such"]) == ["any benchmark: none is called ^no such"]


def test_the_history_follows_benchmarks_that_there_are():
    names = [
        f"{module.stem}.{line.removeprefix('class ').partition('(')[0].rstrip(':')}."
        for module in (ROOT / "benchmarks" / "suite").glob("*.py")
        for line in module.read_text("utf-8").splitlines()
        if line.startswith("class ")
    ]
    assert all(any(re.search(pattern, name) for name in names) for pattern in history.BENCHMARKS)
    assert any(history_page.SHOWN.startswith(name) for name in names)
    assert any(re.search(pattern, history_page.SHOWN) for pattern in history.BENCHMARKS)


def test_a_machine_is_named_by_its_processor(monkeypatch):
    monkeypatch.setattr(history, "cpu_model", lambda: "Some(R) CPU @ 2.0GHz")
    monkeypatch.setattr(history.os, "cpu_count", lambda: 4)
    assert history.machine()["machine"] == "some-r-cpu-2-0ghz-4-cores"


# ---------------------------------------------------------------------------------------------------- to stand alone

JQUERY = (
    '<script src="https://code.jquery.com/jquery-3.3.1.min.js" integrity="sha256-x" crossorigin="anonymous"></script>'
)
BOOTSTRAP = '<link rel="stylesheet" href="https://cdn.example/dist/css/bootstrap.min.css" integrity="sha256-y">'
OWN = '<script language="javascript" src="asv.js"></script><a href="https://example.org/">a link</a>'


def test_libraries_come_from_the_page_itself(tmp_path, monkeypatch):
    def install(packages, folder):
        assert packages == ["bootstrap@3.1.1", "jquery@3.3.1"]
        for file in ("bootstrap/dist/css/bootstrap.min.css", "jquery/dist/jquery.min.js"):
            path = pathlib.Path(folder, "node_modules", file)
            path.parent.mkdir(parents=True)
            path.write_text(file)

    monkeypatch.setattr(history_page, "_npm_install", install)
    (tmp_path / "index.html").write_text(f"{JQUERY}\n{BOOTSTRAP}\n{OWN}")
    history_page.stand_alone(tmp_path)
    lines = (tmp_path / "index.html").read_text().splitlines()
    assert lines == [
        '<script src="libraries/jquery-3.3.1.min.js"></script>',
        '<link rel="stylesheet" href="libraries/bootstrap.min.css">',
        OWN,
    ]
    assert (tmp_path / "libraries" / "jquery-3.3.1.min.js").read_text() == "jquery/dist/jquery.min.js"
    monkeypatch.setattr(history_page, "_npm_install", None)
    history_page.stand_alone(tmp_path)  # nothing to do


def test_an_unknown_library_is_named(tmp_path):
    (tmp_path / "index.html").write_text(JQUERY.replace("jquery-3.3.1", "jquery-9"))
    with pytest.raises(LookupError, match=r"jquery-9\.min\.js from another host"):
        history_page.stand_alone(tmp_path)


def test_without_npm_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(history_page.shutil, "which", lambda name: None)
    (tmp_path / "index.html").write_text(JQUERY)
    with pytest.raises(RuntimeError, match="npm, which fetches the libraries"):
        history_page.stand_alone(tmp_path)


# ---------------------------------------------------------------------------------------------------------- a browser

SUITE = """
class Ratio:
    params = (["seed", "iris"],)
    param_names = ["workload"]
    unit = "numba time / numpy time"
    def track_ratio(self, workload):
        return {"seed": 1, "iris": 3}[workload]
"""
CONFIGURATION = {
    "version": 1,
    "project": "small",
    "repo": ".",
    "branches": ["HEAD"],
    "environment_type": "virtualenv",
    "benchmark_dir": "suite",
    "results_dir": "results",
    "html_dir": "html",
}


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The page of a repository of two commits whose figures asv has taken, and those commits."""
    pytest.importorskip("asv")
    monkeypatch.setenv("HOME", str(tmp_path))  # where asv notes the machine

    def run(*command):
        return subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "__init__.py").touch()
    (tmp_path / "suite" / "train.py").write_text(SUITE)
    (tmp_path / "asv.conf.json").write_text(json.dumps(CONFIGURATION))
    run("git", "init", "--quiet")
    commits = []
    asv = (sys.executable, "-m", "asv")
    run(*asv, "machine", "--yes")
    for i in range(2):
        author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        run("git", *author, "commit", "--quiet", "--allow-empty", f"--message={i}")
        commits.append(run("git", "rev-parse", "HEAD"))
        run(*asv, "run", "-E", "existing:same", "--set-commit-hash", commits[-1], "--quick")
    run(*asv, "publish")
    return tmp_path / "html", commits


@pytest.mark.slow
@pytest.mark.skipif(history_page.browser() is None, reason="no Chromium or Chrome is installed")
@pytest.mark.skipif(history_page.shutil.which("npm") is None, reason="npm is not installed")
def test_a_browser_draws_the_curves(published, tmp_path, monkeypatch):
    monkeypatch.setattr(history_page, "SHOWN", "train.Ratio.track_ratio")
    page, commits = published
    assert history_page.missing(page, commits, [r"^train\."]) == []
    history_page.stand_alone(page)
    browser, png = history_page.browser(), tmp_path / "page.png"
    assert history_page.look(browser, page, png) == [
        f"{png}: train.Ratio.track_ratio",
        "drawn: seed",
        "drawn: iris",
    ]
    assert png.stat().st_size > 10_000
    for graph in page.rglob("train.Ratio.track_ratio.json"):  # one curve less, and none at all
        text = graph.read_text()
        graph.write_text(re.sub(r"\[(\d+(?:\.\d+)?), ?[\d.]+\]", r"[\1, null]", text))
    assert history_page.look(browser, page, png)[1:] == ["drawn: seed", "not drawn: iris"]
    (page / "graphdisplay.js").write_text("")
    assert history_page.look(browser, page, png)[1:] == ["not drawn: seed", "not drawn: iris"]
