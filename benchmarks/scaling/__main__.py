"""How time and memory of a step grow with the network and the data: ``python -m benchmarks.scaling --help``."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import sys
import time

from benchmarks.readme import replace
from benchmarks.scaling import curves, report
from fastnn.measuring import machine

ROOT = pathlib.Path(__file__).parents[2]
IMAGE = pathlib.Path("docs", "images", "scaling.png")
RESULTS = pathlib.Path("benchmarks", "results", "scaling.json")
PAGE = pathlib.Path("benchmarks", "README.md")


def measure(sample_seconds: float, rounds: int, say=print) -> dict:
    """All curves, as plain numbers: by axis, by back end, by size."""
    begun = time.perf_counter()
    about = {
        "date": datetime.date.today().isoformat(),
        "cpu": machine.cpu_model(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "versions": machine.versions(),
    }
    found = {}
    for name, axis in curves.AXES.items():
        start = time.perf_counter()
        found[name] = {
            "sizes": {size: workload._asdict() for size, workload in axis.workloads.items()},
            "seconds": curves.seconds(axis, sample_seconds, rounds),
            "memory": {
                backend: {size: curves.memory(workload, backend)._asdict() for size, workload in axis.workloads.items()}
                for backend in curves.BACKENDS
            },
        }
        say(f"{name}: {time.perf_counter() - start:.0f} s")
    about["seconds"] = round(time.perf_counter() - begun)
    return json.loads(json.dumps({"about": about, "axes": found}))  # sizes become strings, as in the file


def write(found: dict, folder: pathlib.Path) -> list[pathlib.Path]:
    """Draw the picture, and put the table between the markers of benchmarks/README.md; what was written."""
    (folder / IMAGE).parent.mkdir(parents=True, exist_ok=True)
    report.chart(found).savefig(folder / IMAGE, metadata={"Software": None})
    picture = f"![Time and memory of a step, over width, depth, batch and rows](../{IMAGE.as_posix()})"
    content = "\n\n".join([report.about(found), report.table(found), picture])
    page = folder / PAGE
    page.write_text(replace(page.read_text("utf-8"), "scaling", content), "utf-8")
    return [folder / IMAGE, page]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--sample-seconds", type=float, default=0.05, help="how long a timed training takes (0.05)")
    parser.add_argument("--rounds", type=int, default=7, help="timed trainings of each size, in turn (7)")
    parser.add_argument("--from", dest="source", type=pathlib.Path, help="measure nothing, take what this file holds")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / RESULTS, help=f"all samples ({RESULTS})")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT, help="where docs/ and benchmarks/ are")
    parser.add_argument("--no-write", action="store_true", help="leave README file and picture alone")
    options = parser.parse_args(arguments)
    if options.source:
        found = json.loads(options.source.read_text("utf-8"))
    else:
        found = measure(options.sample_seconds, options.rounds)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(options.json)
    print(report.table(found))
    if not options.no_write:
        print(*write(found, options.folder), sep="\n")
    odd = [line for line in report.lines(found) if line.verdict]
    for line in odd:
        what = f"{report.QUANTITIES[line.what]} over {line.axis}, {line.backend}"
        print(f"{line.verdict} exponent: {what}: {line.found}, not {line.expected:g}")
    return int(any(line.verdict == "another" for line in odd))


if __name__ == "__main__":
    sys.exit(main())
