"""Put what ``fastnn demo`` prints, and the pictures that it draws, into the README: no number there is typed by hand.

python benchmarks/readme.py
"""

import datetime
import os
import pathlib
import re
import subprocess
import sys

from fastnn import machine

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
IMAGES = "docs/images"
WIDTH = "100"


def replace(page: str, name: str, content: str) -> str:
    """Return the page with new content between the markers ``<!-- name: begin -->`` and ``<!-- name: end -->``."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page, n_found = re.subn(
        f"({re.escape(begin)}).*?({re.escape(end)})", lambda m: f"{m[1]}\n{content}\n{m[2]}", page, flags=re.DOTALL
    )
    if n_found != 1:
        raise ValueError(f"{README.name} has {n_found} places marked {name!r}, not one")
    return page


def main() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "fastnn", "demo", "--output", IMAGES],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": WIDTH, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    lines = [line.rstrip() for line in demo.stdout.strip().splitlines()]
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    made = f"Printed on {datetime.date.today()} by `fastnn demo` on one {machine.cpu_model()} ({versions}):"
    page = replace(README.read_text("utf-8"), "demo", "\n".join([made, "", "```text", *lines, "```"]))
    README.write_text(page, "utf-8")
    print(f"{README}: {len(lines)} lines of output, pictures in {IMAGES}")


if __name__ == "__main__":
    main()
