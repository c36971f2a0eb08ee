"""Put what the demo and the benchmarks print and draw into the pages: no number is typed by hand.

``python benchmarks/readme.py NAME ...``, of those in `PAGES`, or without a name all of them.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fastnn.measuring import machine
from fastnn.measuring.timing import Interval, digits

ROOT = pathlib.Path(__file__).parents[1]
IMAGES = "docs/images"
WIDTH = "100"
OWN = "benchmarks/README.md"
HOWTO = "docs/howto"
RUN = "python -m benchmarks"
PAGES = {  # name of the place: page, and the command's arguments, besides its own name
    "demo": (OWN, "fastnn demo", "--output", IMAGES),
    "bench": (OWN, f"{RUN}.speeds", f"{IMAGES}/bench.png"),
    "estimators": (f"{HOWTO}/scikit-learn.md", f"{RUN}.real_work", "fits"),
    "sparse": (f"{HOWTO}/large-tables.md", f"{RUN}.real_work", "sparse"),
    "words": (f"{HOWTO}/tables-large.md", f"{RUN}.real_work", "words"),
    "real_work": (OWN, f"{RUN}.real_work", "usual"),
    "exports": (f"{HOWTO}/export.md", f"{RUN}.exports", "differences", "files"),
    "one_row": (f"{HOWTO}/predict-fast.md", f"{RUN}.exports", "one_row"),
    "engines": (f"{HOWTO}/engines.md", f"{RUN}.engines"),
    "searches": (f"{HOWTO}/many.md", f"{RUN}.searches"),
    "second_order": (
        f"{HOWTO}/levenberg-marquardt.md",
        f"{RUN}.second_order",
        "--plot",
        f"{IMAGES}/second-order.png",
    ),
    "threads": (OWN, f"{RUN}.threads"),
    "scaling": (OWN, f"{RUN}.scaling"),
    "flights": (
        f"{HOWTO}/tables-presets.md",
        f"{RUN}.tables",
        "--tables",
        "flights",
        "--beside",
        "fast",
    ),
    "compiling": (f"{HOWTO}/kernel-cache.md", f"{RUN}.compiling"),
    "instructions": (OWN, f"{RUN}.instructions", "--repeats=5"),
}
_CHOICE = f"{HOWTO}/choose-optimizer.md"
_INTERVALS = f"{HOWTO}/tables-intervals.md"
PAGES |= {
    name: (_CHOICE, f"{RUN}.regularization", name) for name in ("choice", "seconds", "scores")
}
PAGES |= {
    name: (_INTERVALS, f"{RUN}.calibration", name) for name in ("intervals", "probabilities", "few")
}


def replace(page: str, name: str, content: str) -> str:
    """The page with new content between the markers ``<!-- name: begin -->`` and ``<!-- name: end
    -->``.
    """
    marks = f"(<!-- {re.escape(name)}: begin -->).*?(<!-- {re.escape(name)}: end -->)"
    page, n_found = re.subn(marks, lambda m: f"{m[1]}\n{content}\n{m[2]}", page, flags=re.DOTALL)
    if n_found != 1:
        raise ValueError(f"{n_found} places are marked {name!r}, not one")
    return page


def put(path: pathlib.Path, name: str, content: str) -> pathlib.Path:
    """Write new content between the markers of a file; its path."""
    path.write_text(replace(path.read_text("utf-8"), name, content), "utf-8")
    return path


def where(about: dict) -> str:
    """When, on what and by which versions: of a benchmark's `machine.circumstances()`."""
    load = "" if about.get("load") is None else f"; load before: {about['load']}"
    cores = f", {about['cores']} cores" if "cores" in about else ""
    return f"on {about['date']} on one {about['cpu']}{cores} ({listed(about['versions'])}{load})"


def listed(versions: dict[str, str]) -> str:
    """Names with their versions."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def parser(
    name: str, description: str, results: pathlib.Path, parts: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """The options of a benchmark that keeps its samples in a file, from which tables and pictures
    can be made again.
    """
    found = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    found.add_argument(
        "--from",
        dest="source",
        type=pathlib.Path,
        help="measure nothing, take what this file holds",
    )
    found.add_argument(
        "--json", type=pathlib.Path, default=ROOT / results, help=f"all samples ({results})"
    )
    found.add_argument(
        "--folder", type=pathlib.Path, default=ROOT, help="where README.md is; the project's"
    )
    found.add_argument("--no-write", action="store_true", help="leave pages and pictures alone")
    if parts:
        found.add_argument(
            "--only", action="append", choices=parts, help="a part; the file keeps the others"
        )
    return found


def found_in(options: argparse.Namespace, measure: Callable[[], dict]) -> dict:
    """The content of the file of ``--from``; without one, the result of `measure`, which goes into
    that of ``--json``.

    With ``--only`` that file keeps what was not measured.
    """
    if options.source:
        return json.loads(options.source.read_text("utf-8"))
    found = measure()
    if getattr(options, "only", None) and options.json.exists():
        found = json.loads(options.json.read_text("utf-8")) | found
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(options.json, file=sys.stderr)
    return found


class Aim(NamedTuple):
    """A number that is meant to be reached, beside the measured one."""

    what: str
    bound: float
    measured: Interval | None  # None where it was not
    at_least: bool = True
    against: str = ""  # What it is a ratio to, where that does not stand in `what`

    @property
    def met(self) -> bool:
        """Whether the number is what it should be."""
        measured = self.measured
        bound = self.bound
        return measured is not None and (
            measured.middle >= bound if self.at_least else measured.middle <= bound
        )

    @property
    def cells(self) -> list[str]:
        """What was measured, and the verdict."""
        if self.measured:
            return [shown_ratio(self.measured), "" if self.met else "missed"]
        return ["", "not measured"]


def shown_ratio(number: Interval) -> str:
    """A ratio as text, a single one without an interval."""
    return digits(number.middle) if number.low == number.high else str(number)


def print_parts(description: str, **parts: Callable[[], str]) -> None:
    """Print the tables that the command asks for by their names, or all."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("parts", nargs="*", choices=[*parts, []], metavar="|".join(parts))
    names = options.parse_args().parts or parts
    with warnings.catch_warnings(action="ignore"):
        print("\n\n".join(parts[name]() for name in names))


def printed(command: str, *arguments: str) -> list[str]:
    """The lines that the command prints."""
    words = [sys.executable, "-m", *command.removeprefix("python -m ").split(), *arguments]
    variables = os.environ | {"COLUMNS": WIDTH, "PYTHONIOENCODING": "utf-8"}
    output = subprocess.check_output(words, cwd=ROOT, env=variables, encoding="utf-8")
    return [line.rstrip() for line in output.strip().splitlines()]


def main(names: list[str]) -> None:
    for name in names or PAGES:
        page, command, *arguments = PAGES[name]
        lines = printed(command, *arguments)
        versions = listed(machine.versions())
        made = (
            f"Printed on {datetime.date.today()} by `{command}` on one {machine.cpu_model()} "
            f"({versions}):"
        )
        # Markdown already
        block = lines if lines[0].startswith("|") else ["```text", *lines, "```"]
        put(ROOT / page, name, "\n".join([made, "", *block]))
        print(f"{page}: {len(lines)} lines of output of {command}")


if __name__ == "__main__":
    main(sys.argv[1:])
