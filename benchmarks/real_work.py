"""What it takes to validate, call back, stop early and train a little at a time: ``python -m benchmarks.real_work``.

Each version measures in processes of its own, which take turns, after the answers were compared: between versions to
the bit, between the back ends, and the estimators' with scikit-learn's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys

from benchmarks.instructions import ROOT, probed, source
from fastnn.measuring.timing import markdown, quartiles, seconds

HERE = "fastnn"
ROUNDS = 5


def different(answers: dict[str, dict[str, str]]) -> list[str]:
    """The work of which a version has other bits than this tree."""
    ours = answers[HERE].items()
    return [f"{name}: {version}" for version, theirs in answers.items() for name, bits in ours if theirs[name] != bits]


def table(samples: dict[str, list[dict[str, float]]]) -> str:
    """A line for each kind of work and a column for each version, as Markdown."""
    rows = []
    for line in samples[HERE][0]:
        columns = [[found[line] for found in rounds] for rounds in samples.values()]
        rows.append([line, *(str(quartiles(c)) if "times" in line else seconds(c) for c in columns)])
    return markdown(["real work", *samples], rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_work", description=__doc__)
    parser.add_argument("--against", action="append", default=[], metavar="BASE", help="a commit, or a folder")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"processes of each version ({ROUNDS})")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as sources:
        folders = {HERE: ROOT} | {base: sources.enter_context(source(base)) for base in options.against}
        if wrong := different({version: json.loads(probed("check", folder)) for version, folder in folders.items()}):
            print(f"Other bits, so nothing was timed: {'; '.join(wrong)}")
            return 1
        samples: dict[str, list[dict[str, float]]] = {version: [] for version in folders}
        for _ in range(options.rounds):
            for version, folder in folders.items():
                samples[version].append(json.loads(probed("times", folder)))
    print(table(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
