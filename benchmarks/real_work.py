"""What it takes to validate, call back, stop early and train a little at a time: ``python -m benchmarks.real_work``.

Each version measures in processes of its own, which take turns. A figure is the median of the processes; in brackets
stand the quartiles. Before anything is timed, the answers are compared: between the back ends, between versions to the
bit, and the estimators' with scikit-learn's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys

import numpy as np

from benchmarks.instructions import ROOT, source
from benchmarks.peers.aims import Ratio
from benchmarks.peers.tables import seconds

PROBE = ROOT / "benchmarks" / "real_work_probe.py"
HERE = "fastnn"
ROUNDS = 5


def probe(folder: pathlib.Path, what: str) -> dict:
    """What a version's process answers."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", str(PROBE), what]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def different(answers: dict[str, dict[str, str]]) -> list[str]:
    """The work of which a version has other bits than this tree."""
    return [
        f"{name}: {version}"
        for version, hashes in answers.items()
        for name in hashes
        if hashes[name] != answers[HERE][name]
    ]


def table(samples: dict[str, list[dict[str, float]]]) -> str:
    """A line for each kind of work and a column for each version, as Markdown."""
    lines = [f"| real work | {' | '.join(samples)} |", f"|---|{'---|' * len(samples)}"]
    for line in samples[HERE][0]:
        columns = [[found[line] for found in rounds] for rounds in samples.values()]
        if "times" in line:
            cells = [str(Ratio(*np.percentile(column, [25, 50, 75]))) for column in columns]
        else:
            cells = [seconds(column) for column in columns]
        lines.append(f"| {line} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_work", description=__doc__)
    parser.add_argument("--against", action="append", default=[], metavar="BASE", help="a commit, or a folder")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"processes of each version ({ROUNDS})")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as sources:
        folders = {HERE: ROOT} | {base: sources.enter_context(source(base)) for base in options.against}
        if wrong := different({version: probe(folder, "check") for version, folder in folders.items()}):
            print(f"Other bits, so nothing was timed: {'; '.join(wrong)}")
            return 1
        samples: dict[str, list[dict[str, float]]] = {version: [] for version in folders}
        for _ in range(options.rounds):
            for version, folder in folders.items():
                samples[version].append(probe(folder, "time"))
    print(table(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
