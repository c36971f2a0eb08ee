"""asv's published page: made to stand alone, searched for figures that are missing, opened in a browser."""

from __future__ import annotations

import contextlib
import functools
import http.server
import itertools
import json
import math
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator

# ------------------------------------------------------------------------------------------------------- to stand alone

LIBRARIES = {  # a file that the page loads from another host -> the npm package that has it, and where in it
    "jquery-3.3.1.min.js": ("jquery@3.3.1", "dist/jquery.min.js"),
    "jquery.flot.min.js": ("flot@0.8.3", "jquery.flot.js"),
    "jquery.flot.time.min.js": ("flot@0.8.3", "jquery.flot.time.js"),
    "jquery.flot.selection.min.js": ("flot@0.8.3", "jquery.flot.selection.js"),
    "jquery.flot.categories.min.js": ("flot@0.8.3", "jquery.flot.categories.js"),
    "jquery.flot.orderBars.js": ("flot-orderbars@1.0.0", "js/jquery.flot.orderBars.js"),
    "stupidtable.min.js": ("stupid-table-plugin@1.1.3", "stupidtable.min.js"),
    "md5.min.js": ("blueimp-md5@2.19.0", "js/md5.min.js"),
    "bootstrap.min.js": ("bootstrap@3.1.1", "dist/js/bootstrap.min.js"),
    "bootstrap.min.css": ("bootstrap@3.1.1", "dist/css/bootstrap.min.css"),
}
ELSEWHERE = re.compile(r'(<(?:script|link)\b[^>]*?\b(?:src|href)=)"(?:https?:)?//([^"]+)"[^>]*>')


def stand_alone(page: pathlib.Path) -> None:
    """Give the page copies of the libraries that it would load from other hosts; nothing to do the second time.

    Raises
    ------
    LookupError
        If it loads a file that is not in `LIBRARIES`.
    RuntimeError
        If npm, which fetches them, is missing or fails.
    """
    index = page / "index.html"
    text = index.read_text("utf-8")
    needed = [pathlib.PurePosixPath(address).name for _, address in ELSEWHERE.findall(text)]
    if unknown := set(needed) - set(LIBRARIES):
        raise LookupError(f"{index} loads {', '.join(sorted(unknown))} from another host: add it to LIBRARIES")
    if not needed:
        return
    with tempfile.TemporaryDirectory() as folder:
        _npm_install(sorted({LIBRARIES[name][0] for name in needed}), folder)
        (page / "libraries").mkdir(exist_ok=True)
        for name in needed:
            package, file = LIBRARIES[name]
            shutil.copy(
                pathlib.Path(folder, "node_modules", package.partition("@")[0], file), page / "libraries" / name
            )
    local = ELSEWHERE.sub(lambda m: f'{m[1]}"libraries/{pathlib.PurePosixPath(m[2]).name}">', text)
    index.write_text(local, "utf-8")


def _npm_install(packages: list[str], folder: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm, which fetches the libraries of asv's page, is not installed (Debian: npm)")
    command = [npm, "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"npm failed:\n{done.stdout}")


# ------------------------------------------------------------------------------------------------------ missing figures


def missing(page: pathlib.Path, commits: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """What has no figure, a line each: every benchmark that a pattern chooses, with every value of its parameters.

    Parameters
    ----------
    page : Path
        The folder that asv published to.
    commits : iterable of str
        Full hashes.
    patterns : iterable of str
        Regular expressions, as for ``asv run --bench``.
    """
    index = json.loads((page / "index.json").read_text("utf-8"))
    number = {commit: int(n) for n, commit in index["revision_to_hash"].items()}
    chosen = {n: b for n, b in index["benchmarks"].items() if any(re.search(p, n) for p in patterns)}
    if not chosen:
        return [f"any benchmark: none is called {' or '.join(patterns)}"]
    lines = []
    for name, benchmark in chosen.items():
        cases = list(itertools.product(*benchmark["params"]))
        figures = _figures(page, name)
        for commit in commits:
            found = figures.get(number.get(commit, -1), set())
            lines += [f"{name}({', '.join(case)}) at {commit[:8]}" for i, case in enumerate(cases) if i not in found]
    return lines


def _figures(page: pathlib.Path, name: str) -> dict[int, set[int]]:
    """By number of the commit: which of the benchmark's cases have a figure, on whatever machine."""
    figures: dict[int, set[int]] = {}
    for file in (page / "graphs").rglob(f"{name}.json"):
        if file.parent.name == "summary":
            continue
        for number, values in json.loads(file.read_text("utf-8")):
            values = values if isinstance(values, list) else [values]
            there = {i for i, value in enumerate(values) if value is not None and math.isfinite(value)}
            figures.setdefault(number, set()).update(there)
    return figures


# ----------------------------------------------------------------------------------------------------------- a browser


def browser() -> str | None:
    """A browser of the Chromium family, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


SHOWN = "train.Ratio.track_numba_numpy_time_ratio"  # the machine's noise is in both times, so hardly in their ratio
STATE = "?y-axis-scale=log&x-axis-scale=even"
SIZE = (1300, 900)


def look(browser: str, page: pathlib.Path, png: pathlib.Path) -> list[str]:
    """Open the graph of the ratios, keep a screenshot, and say which curves can be seen in it, a line each."""
    index = json.loads((page / "index.json").read_text("utf-8"))
    workloads = [value.strip("'") for value in index["benchmarks"][SHOWN]["params"][0]]
    dom = _open(browser, page, f"#{SHOWN}{STATE}", png)
    curves = {label: tuple(map(int, color.split(","))) for color, label in _LEGEND.findall(dom)}
    seen = _colors(png)
    lines = [f"{png}: {SHOWN}"]
    for workload in workloads:
        color = next((c for label, c in curves.items() if f"workload-{workload}" in label.split("; ")), None)
        lines.append(f"{'drawn' if color in seen else 'not drawn'}: {workload}")
    return lines


_LEGEND = re.compile(r'solid rgb\(([\d,]+)\).*?class="legendLabel">([^<]*)<')


def _open(browser: str, page: pathlib.Path, place: str, png: pathlib.Path) -> str:
    """Save a screenshot of a place of the page; its elements, after the scripts have run."""
    png.parent.mkdir(parents=True, exist_ok=True)
    with _served(page) as address, tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            "--headless",
            "--no-sandbox",  # which root may not have; nothing but our own page is opened
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--window-size={SIZE[0]},{SIZE[1]}",
            "--virtual-time-budget=20000",
            f"--screenshot={png.resolve()}",
            "--dump-dom",
            address + place,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode or not png.exists():
        raise RuntimeError(f"the browser failed:\n{done.stderr}")
    return done.stdout


def _colors(png: pathlib.Path) -> set[tuple[int, ...]]:
    """The colors in the right half of a picture, where asv draws curves and no legend."""
    from matplotlib.image import imread

    pixels = (imread(png)[:, SIZE[0] // 2 :, :3] * 255).round().astype(int)
    return set(map(tuple, pixels.reshape(-1, 3).tolist()))


@contextlib.contextmanager
def _served(folder: pathlib.Path) -> Iterator[str]:
    """A web server of the folder on a free port of this machine; its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Prints no line a request."""

    def log_message(self, *_):
        pass
