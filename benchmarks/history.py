"""Measure commits with asv and publish its page in ``.asv/html``: ``python -m benchmarks.history [RANGE]``.

RANGE is git's, by default ``HEAD^!``, the last commit alone; ``HEAD..HEAD`` publishes what ``.asv/results`` has.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys

from benchmarks.readme import ROOT
from fastnn.measuring.machine import cpu_model

QUICK = ("rounds=1", "warmup_time=0.05")
"""asv's settings in place of the suite's: one process a curve, and ten samples at least in it."""


def machine() -> dict[str, str]:
    """What the machine is called: curves of one processor stay together, whatever the host's name or its kernel."""
    cores = str(os.cpu_count())
    name = re.sub(r"[^a-z0-9]+", "-", f"{cpu_model()} {cores} cores".lower()).strip("-")
    facts = {"os": platform.system(), "arch": platform.machine(), "cpu": cpu_model(), "num_cpu": cores}
    return {"machine": name, **facts, "ram": "any"}


def main(revisions: str = "HEAD^!") -> int:
    """Run asv on each commit that has no results yet, and publish; asv's exit code, 2 where a benchmark failed."""
    here = machine()
    quick = [argument for setting in QUICK for argument in ("--attribute", setting)]
    options = ["--skip-existing-successful", "--show-stderr", f"--machine={here['machine']}"]
    run = [["run", revisions, *options, *quick]]
    command = ["git", "rev-list", "--first-parent", revisions]
    commits = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    named = ["machine", "--yes", *(f"--{name}={value}" for name, value in here.items())]
    for arguments in (named, *(run if commits else []), ["publish"]):
        done = subprocess.run([sys.executable, "-m", "asv", *arguments], cwd=ROOT / "benchmarks")
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
