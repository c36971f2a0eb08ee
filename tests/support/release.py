"""Check what is to be released: one version in all places, whole archives without paths of this
machine, fresh figures.

python tests/support/release.py DIST; with --version in place of DIST it prints the version.
"""

import datetime
import json
import pathlib
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
MOST_DAYS = 60
"""The age at which a benchmark's figures are no longer those of what is released."""

IN_EACH_SDIST = (
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "SECURITY.md",
    "CITATION.cff",
    "noxfile.py",
    "tests",
    "docs",
)
IN_EACH_WHEEL = ("fastnn/__init__.py", "fastnn/__init__.pyi", "fastnn/py.typed")
VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)
SECTION = re.compile(r"^## \[(\d[^\]]*)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
CITED = re.compile(r'^version: "?([^"\n]+)"?\ndate-released: "?([^"\n]+)"?$', re.MULTILINE)
PRINTED = re.compile(r"Printed on (\d{4}-\d\d-\d\d) by `([^`]+)`")


def version() -> str:
    """Return the version that the package says."""
    (found,) = VERSION.findall((ROOT / "fastnn" / "__init__.py").read_text("utf-8"))
    return found


def other_versions() -> Iterator[str]:
    """Iterate over the places that say another version, or another date, than package and
    changelog."""
    ours = version()
    newest, date = next(
        iter(SECTION.findall((ROOT / "CHANGELOG.md").read_text("utf-8"))), ("none", "none")
    )
    if newest != ours:
        yield (
            f'CHANGELOG.md: the newest section with a date is {newest}, not {ours}: write "## '
            f'[{ours}] - YYYY-MM-DD"'
        )
    cited = CITED.findall((ROOT / "CITATION.cff").read_text("utf-8"))
    if cited != [(ours, date)]:
        yield f"CITATION.cff: says {cited}, not version {ours} of {date}"


def stale_figures(today: datetime.date) -> Iterator[str]:
    """Iterate over the benchmarks' files and printed tables that are too old."""
    made = []
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        stored = json.loads(path.read_text("utf-8"))
        made.append((stored.get("about", stored)["date"], path.name))
    pages = [*(ROOT / "benchmarks").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for path in [ROOT / "README.md", *sorted(pages)]:
        made += [
            (date, f"{path.relative_to(ROOT)}, {what}")
            for date, what in PRINTED.findall(path.read_text("utf-8"))
        ]
    for date, what in made:
        days = (today - datetime.date.fromisoformat(date)).days
        if days > MOST_DAYS:
            yield f"{what}: measured {days} days ago, more than {MOST_DAYS}"


def members(archive: pathlib.Path) -> dict[str, bytes]:
    """Read all files of a wheel or an sdist, by their names; those of an sdist without its
    folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as opened:
            return {name: opened.read(name) for name in opened.namelist()}
    with tarfile.open(archive) as opened:
        files = (member for member in opened.getmembers() if member.isfile())
        return {file.name.partition("/")[2]: opened.extractfile(file).read() for file in files}


def faults(archive: pathlib.Path, ours: str, paths: list[str]) -> Iterator[str]:
    """Iterate over what is wrong with an archive: its version, files that lack, paths of this
    machine."""
    if archive.name.removesuffix(".tar.gz").split("-")[1] != ours:
        yield f"{archive.name}: not of version {ours}"
    files = members(archive)
    wanted = IN_EACH_WHEEL if archive.suffix == ".whl" else IN_EACH_SDIST
    for name in wanted:
        if not any(file == name or file.startswith(f"{name}/") for file in files):
            yield f"{archive.name}: lacks {name}"
    for name, content in files.items():
        if found := [path for path in paths if path.encode() in content]:
            yield f"{archive.name}: {name} holds a path of this machine, {found[0]}"


def complaints(dist: pathlib.Path, today: datetime.date) -> Iterator[str]:
    """Iterate over all that is not as a release must be."""
    yield from other_versions()
    yield from stale_figures(today)
    archives = sorted([*dist.glob("*.whl"), *dist.glob("*.tar.gz")])
    if not any(archive.suffix == ".whl" for archive in archives) or len(archives) < 2:
        yield (
            f"{dist}: an sdist and wheels are wanted, there are "
            f"{[archive.name for archive in archives]}"
        )
    paths = [str(path) for path in (ROOT, pathlib.Path(sys.prefix)) if len(path.parts) > 2]
    for archive in archives:
        yield from faults(archive, version(), paths)


def main(dist: str) -> str:
    """Return the version, or what is ready, by its size."""
    if dist == "--version":
        return version()
    if found := list(complaints(pathlib.Path(dist), datetime.date.today())):
        sys.exit("\n".join(["Not ready:", *found]))
    sizes = [
        f"{path.name} {path.stat().st_size / 1e6:.2f} MB"
        for path in sorted(pathlib.Path(dist).glob("fastnn*"))
    ]
    return "\n".join([f"fastnn {version()} is ready:", *sizes])


if __name__ == "__main__":
    sys.stdout.write(f"{main(*sys.argv[1:])}\n")
