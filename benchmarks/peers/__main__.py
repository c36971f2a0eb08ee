"""Measure fastnn beside its peers, and write tables and pictures: ``python -m benchmarks.peers --help``."""

from __future__ import annotations

import argparse
import json
import pathlib
import time

from benchmarks.peers.aims import aims
from benchmarks.peers.lanes import ROOT, quiet
from benchmarks.peers.measure import FULL, SECTIONS, TINY, Measurement
from benchmarks.peers.threads import ALL
from benchmarks.readme import replace

IMAGES = pathlib.Path("docs", "images")
RESULTS = pathlib.Path("benchmarks", "results", "peers.json")


def measure(sections: list[str], tiny: bool, say=print) -> dict:
    """All that is asked for; what one section finds is kept when the next one is interrupted."""
    start = time.perf_counter()
    with Measurement(TINY if tiny else FULL, say) as measurement:
        measurement.about()
        for section in sections:
            begun = time.perf_counter()
            try:
                getattr(measurement, section)()
            except KeyboardInterrupt:
                say(f"interrupted in {section}")
                break
            say(f"[{section}: {time.perf_counter() - begun:.0f} s]")
        measurement.found["about"] |= {
            "seconds": round(time.perf_counter() - start),
            "rounds": quiet.rounds,
            "busy": quiet.busy,
        }
        return measurement.found


def write(found: dict, folder: pathlib.Path) -> list[pathlib.Path]:
    """Draw the pictures, and put the tables between the markers of the pages; what was written."""
    from benchmarks.peers import charts, short, tables
    from benchmarks.peers.many import chart
    from benchmarks.peers.many import tables as many_tables

    written = []
    long, pages = [tables.about(found)], {}
    images = folder / IMAGES
    images.mkdir(parents=True, exist_ok=True)

    def picture(name: str, figure, text: str) -> None:
        figure.savefig(images / name, metadata={"Software": None})
        written.append(images / name)
        long.append(f"![{text}](../{(IMAGES / name).as_posix()})")

    if found.get("training"):
        long.append(tables.training(found["training"]))
        long.append(tables.TRAINING_NOTES)
        picture("peers.png", charts.side_by_side(found), "Iterations a second of fastnn and its peers, by workload")
    if found.get("validated"):
        long.append(tables.training(found["validated"]))
        long.append(tables.validated_notes(found))
    if found.get("own kernels"):
        long.append(tables.own(found))
    if "prediction" in found:
        long.append(tables.other(found))
    if found.get("crossover"):
        picture("crossover.png", charts.crossover(found), "Speed of fastnn by that of the best peer, over layer width")
        if any(ALL in lanes for lanes in found["crossover"].values()):
            text = "The same with all cores for fastnn too"
            picture("crossover_all_cores.png", charts.crossover(found, ALL), text)
    if found.get("threads"):
        pages["README.md"] = short.table(found)
        long.append(tables.by_threads(found["threads"]))
    if many := found.get("many"):
        long.append(many_tables.about(many))
        long.append(many_tables.table(many))
        long.append(many_tables.NOTES)
        picture("many.png", chart.members_by_time(many), "Time of many networks by their number, fastnn and its peers")
    long.append(tables.aims_table([*aims(found), *many_tables.aims(found.get("many", {}))]))
    long.append(tables.limits(found))
    if missing := tables.skipped(found):
        long.append(missing)
    pages["benchmarks/README.md"] = "\n\n".join(long)
    for page, content in pages.items():
        path = folder / page
        path.write_text(replace(path.read_text("utf-8"), "peers", content), "utf-8")
        written.append(path)
    return written


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="seconds, not minutes: does it run?")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="a section; the file keeps the others")
    parser.add_argument("--from", dest="source", type=pathlib.Path, help="measure nothing, write what this file holds")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / RESULTS, help=f"all samples ({RESULTS})")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT, help="where README.md is; the project's")
    parser.add_argument("--no-write", action="store_true", help="leave pages and pictures alone")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait, in all, while others keep it busy")
    options = parser.parse_args(arguments)
    quiet.patience = options.patience
    if options.source:
        found = json.loads(options.source.read_text("utf-8"))
    else:
        found = measure(options.only or list(SECTIONS), options.tiny)
        if options.only and options.json.exists():
            before = json.loads(options.json.read_text("utf-8"))
            itself = {"many", "threads", "crossover", "validated"}  # they say themselves where they were
            about = before["about"] if itself.issuperset(options.only) else found["about"]
            found = before | found | {"about": about}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(options.json)
    if not options.no_write:
        print(*write(found, options.folder), sep="\n")


if __name__ == "__main__":
    main()
