"""Measure commits with asv and publish its page: ``python -m benchmarks.history [RANGE]``.

RANGE is git's, by default ``HEAD^!``, the last commit alone; ``HEAD..HEAD`` publishes what there is. What has been
measured on such a machine is not measured again. The results are kept in ``.asv/results``, the page in ``.asv/html``,
which opens through any web server. It fails where a benchmark of a commit has no figure.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import pathlib
import platform
import re
import subprocess
import sys
from collections.abc import Iterable

from benchmarks.readme import ROOT
from fastnn.measuring.machine import cpu_model

BENCHMARKS = (r"^train\.", r"^predict\.Predict\.", r"^real_work\.", r"^start\.Import\.", r"^start\.Warm\.")
"""What the history follows; the rest of the suite is for comparing two commits."""
QUICK = ("rounds=1", "warmup_time=0.05")
"""asv's settings in place of the suite's: one process a curve, and ten samples at least in it."""


def machine() -> dict[str, str]:
    """What the machine is called: curves of one processor stay together, whatever the host's name or its kernel."""
    cores = str(os.cpu_count())
    name = re.sub(r"[^a-z0-9]+", "-", f"{cpu_model()} {cores} cores".lower()).strip("-")
    facts = {"os": platform.system(), "arch": platform.machine(), "cpu": cpu_model(), "num_cpu": cores}
    return {"machine": name, **facts, "ram": "any"}


def asv(*arguments: str) -> int:
    """Run asv on this project's configuration; its exit code."""
    return subprocess.run([sys.executable, "-m", "asv", *arguments], cwd=ROOT / "benchmarks").returncode


def measure(revisions: str) -> int:
    """Run the benchmarks on each commit that has no results yet; 0, or 2 where one of them failed."""
    here = machine()
    asv("machine", "--yes", *(f"--{name}={value}" for name, value in here.items()))
    chosen = [argument for pattern in BENCHMARKS for argument in ("--bench", pattern)]
    quick = [argument for setting in QUICK for argument in ("--attribute", setting)]
    options = ["--skip-existing-successful", "--show-stderr", f"--machine={here['machine']}"]
    return asv("run", revisions, *options, *chosen, *quick)


def missing(page: pathlib.Path, commits: Iterable[str]) -> list[str]:
    """What asv's page has no figure of, a line each: every followed benchmark, with every value of its parameters."""
    index = json.loads((page / "index.json").read_text("utf-8"))
    number = {commit: int(n) for n, commit in index["revision_to_hash"].items()}
    chosen = {n: b for n, b in index["benchmarks"].items() if any(re.search(p, n) for p in BENCHMARKS)}
    lines = [] if chosen else [f"any benchmark: none is called {' or '.join(BENCHMARKS)}"]
    for name, benchmark in chosen.items():
        there: set[tuple[int, int]] = set()  # number of the commit, case
        for file in (page / "graphs").rglob(f"*/machine-*/**/{name}.json"):
            for n, values in json.loads(file.read_text("utf-8")):
                values = values if isinstance(values, list) else [values]
                there |= {(n, i) for i, value in enumerate(values) if value is not None and math.isfinite(value)}
        cases = list(enumerate(itertools.product(*benchmark["params"])))
        for commit in commits:
            lacking = [case for i, case in cases if (number.get(commit, -1), i) not in there]
            lines += [f"{name}({', '.join(case)}) at {commit[:8]}" for case in lacking]
    return lines


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("revisions", nargs="?", default="HEAD^!", help="a range of commits (the last one alone)")
    revisions = parser.parse_args(arguments).revisions
    command = ["git", "rev-list", "--first-parent", revisions]
    commits = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    failed = measure(revisions) if commits else 0
    if failed or asv("publish"):
        return failed or 1
    page = ROOT / ".asv" / "html"
    lines = missing(page, commits)
    print(*(f"no figure: {what}" for what in lines), f"{page}: {'in' * bool(lines)}complete", sep="\n")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
