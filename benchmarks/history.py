"""Measure commits with asv, publish its page and check it: ``python -m benchmarks.history [RANGE]``.

RANGE is git's, by default ``HEAD^!``, the last commit alone; ``HEAD..HEAD`` publishes what there is.
What has been measured on such a machine is not measured again. The results are kept in ``.asv/results``, the page in
``.asv/html``: it needs no other host and opens through any web server.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

from benchmarks import history_page
from fastnn.measuring.machine import cpu_model

ROOT = pathlib.Path(__file__).parents[1]
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


def commits(revisions: str) -> list[str]:
    """The commits of a range, newest first, as asv walks it."""
    command = ["git", "rev-list", "--first-parent", revisions]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


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


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("revisions", nargs="?", default="HEAD^!", help="a range of commits (the last one alone)")
    parser.add_argument("--screenshot", type=pathlib.Path, help="a PNG of the page in a browser without a window")
    options = parser.parse_args(arguments)
    wanted = commits(options.revisions)
    start = time.perf_counter()
    failed = measure(options.revisions) if wanted else 0
    print(f"{len(wanted)} commit{'s' * (len(wanted) != 1)}, {time.perf_counter() - start:.0f} s")
    if failed or asv("publish"):
        return failed or 1

    page = ROOT / ".asv" / "html"
    try:
        history_page.stand_alone(page)
    except (LookupError, RuntimeError) as error:
        sys.exit(str(error))
    missing = history_page.missing(page, wanted, BENCHMARKS)
    print(*(f"no figure: {what}" for what in missing), sep="\n", end="\n" * bool(missing))
    if browser := history_page.browser():
        look = history_page.look(browser, page, options.screenshot or page.parent / "history.png")
        print(*look, sep="\n")
        missing += [line for line in look if line.startswith("not drawn")]
    else:
        print("the page was not opened: no Chromium or Chrome is installed (Debian: apt-get install chromium)")
    print(f"{page}: {'incomplete' if missing else 'complete'}")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
