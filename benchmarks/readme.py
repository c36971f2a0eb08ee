"""Put what ``fastnn demo`` and ``fastnn bench`` print and draw into the README files: no number is typed by hand.

python benchmarks/readme.py [demo] [bench]
"""

import datetime
import os
import pathlib
import re
import subprocess
import sys

from fastnn import machine

ROOT = pathlib.Path(__file__).parents[1]
IMAGES = "docs/images"
WIDTH = "100"
COMMANDS = {  # name of the place -> page, arguments
    "demo": ("README.md", ("demo", "--output", IMAGES)),
    "bench": ("benchmarks/README.md", ("bench", "--plot", f"{IMAGES}/bench.png")),
}


def replace(page: str, name: str, content: str) -> str:
    """The page with new content between the markers ``<!-- name: begin -->`` and ``<!-- name: end -->``."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page, n_found = re.subn(
        f"({re.escape(begin)}).*?({re.escape(end)})", lambda m: f"{m[1]}\n{content}\n{m[2]}", page, flags=re.DOTALL
    )
    if n_found != 1:
        raise ValueError(f"{n_found} places are marked {name!r}, not one")
    return page


def printed(arguments: tuple[str, ...]) -> list[str]:
    """The lines that the command prints."""
    output = subprocess.run(
        [sys.executable, "-m", "fastnn", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": WIDTH, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout
    return [line.rstrip() for line in output.strip().splitlines()]


def main(names: list[str]) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    for name in names or COMMANDS:
        page, arguments = COMMANDS[name]
        lines = printed(arguments)
        made = f"Printed on {datetime.date.today()} by `fastnn {name}` on one {machine.cpu_model()} ({versions}):"
        path = ROOT / page
        path.write_text(
            replace(path.read_text("utf-8"), name, "\n".join([made, "", "```text", *lines, "```"])), "utf-8"
        )
        print(f"{page}: {len(lines)} lines of output of fastnn {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
