"""Count the instructions of an iteration with valgrind: ``python -m benchmarks.instructions [BASE]``.

A count has next to no noise, so that a change of a few per cent shows on any machine, however busy. It is no time: it
knows neither caches nor how wide an instruction is, and valgrind knows no AVX-512, so that kernels are compiled for
Haswell. With BASE, a commit, its counts stand beside those of the working tree, and one that is more than 3 % higher
fails. All runs use this Python with its packages; kernels come from a disk cache that was filled before.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import datetime
import io
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from statistics import median

from benchmarks.readme import replace
from fastnn.measuring import machine

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = pathlib.Path("benchmarks", "results", "instructions.json")
PROBE = ROOT / "benchmarks" / "instructions_probe.py"
MORE = 1.03
"""A count may be so many times that of the base commit."""
ENVIRONMENT = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "",
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

Counts = dict[str, float]  # by case: instructions of one iteration


def why_not() -> str:
    """Why nothing can be counted here, or ""."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"the counts are those of x86-64 code, and this is {platform.machine()}"
    if shutil.which("valgrind") is None:
        return "valgrind is not installed (Debian: apt-get install valgrind)"
    return ""


def count(source: pathlib.Path, repeats: int) -> list[Counts]:
    """Count `repeats` times what the fastnn of a source tree does; the runs share the cores."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(source), "FASTNN_CACHE_DIR": f"{folder}/cache"}
        iterations = json.loads(_run([sys.executable, "-P", str(PROBE)], environment))  # fills the cache
        parts = [pathlib.Path(folder, f"run{i}", "counts") for i in range(repeats)]

        def one(file: pathlib.Path) -> Counts:
            file.parent.mkdir()
            options = ["--tool=callgrind", f"--callgrind-out-file={file}", "--dump-before=getppid"]
            _run(["valgrind", *options, sys.executable, "-P", str(PROBE)], environment)
            return per_iteration(file, iterations)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(one, parts))


def per_iteration(file: pathlib.Path, iterations: dict[str, int]) -> Counts:
    """Read callgrind's files, one for each mark of the probe, and subtract.

    Raises
    ------
    RuntimeError
        If there are not three for each case.
    """
    dumps = sorted(file.parent.glob(f"{file.name}.*"), key=lambda dump: int(dump.suffix[1:]))
    if len(dumps) != 3 * len(iterations):
        raise RuntimeError(f"callgrind wrote {len(dumps)} counts, not 3 for each of {', '.join(iterations)}")
    totals = [int(re.search(r"^totals: (\d+)", dump.read_text(), re.M)[1]) for dump in dumps]
    return {name: (totals[3 * i + 2] - totals[3 * i + 1]) / n for i, (name, n) in enumerate(iterations.items())}


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def source(base: str) -> Iterator[pathlib.Path]:
    """The folder that holds the fastnn of a version: `base` itself, or where a commit's is unpacked for a while."""
    if pathlib.Path(base, "fastnn").is_dir():
        yield pathlib.Path(base).resolve()
        return
    archive = subprocess.run(["git", "archive", base, "fastnn"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
        yield pathlib.Path(folder)


def of_commit(commit: str, repeats: int) -> list[Counts]:
    """Count what a commit's fastnn does."""
    with source(commit) as folder:
        return count(folder, repeats)


# -------------------------------------------------------------------------------------------------------------- results


def spread(samples: list[float]) -> float:
    """Largest less smallest, as a part of the median."""
    return (max(samples) - min(samples)) / median(samples)


def table(here: list[Counts], base: list[Counts] | None, base_name: str = "base") -> str:
    """A line a case, as Markdown."""
    repeated = len(here) > 1
    heads = ["case", "instructions an iteration", *([f"spread of {len(here)}"] if repeated else [])]
    heads += [base_name, "change", ""] if base else []
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for name in here[0]:
        ours = [counts[name] for counts in here]
        cells = [name, f"{median(ours):,.0f}", *([f"{spread(ours):.4%}"] if repeated else [])]
        if base and name in base[0]:
            theirs = median(counts[name] for counts in base)
            verdict = "more" if median(ours) > MORE * theirs else ""
            cells += [f"{theirs:,.0f}", f"{median(ours) / theirs - 1:+.2%}", verdict]
        elif base:
            cells += ["", "", "new"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def higher(here: list[Counts], base: list[Counts]) -> list[str]:
    """The cases that take more instructions than they may."""
    shared = [name for name in here[0] if name in base[0]]
    return [n for n in shared if median(c[n] for c in here) > MORE * median(c[n] for c in base)]


def write(found: dict, page: pathlib.Path) -> None:
    """Put the table between the markers of benchmarks/README.md."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    about = (
        f"Counted on {found['date']} by `python -m benchmarks.instructions --write` ({versions}; {found['valgrind']})."
    )
    content = replace(page.read_text("utf-8"), "instructions", f"{about}\n\n{table(found['counts'], None)}")
    page.write_text(content, "utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("base", nargs="?", help="a commit to compare the working tree with")
    parser.add_argument("--repeats", type=int, help="count so often (1; with --write 5)")
    parser.add_argument("--json", type=pathlib.Path, help="write the counts to this file")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS} and the table in benchmarks/README.md")
    options = parser.parse_args(arguments)
    if reason := why_not():
        print(f"No instructions were counted: {reason}.")
        return 0
    repeats = options.repeats or (5 if options.write else 1)
    with concurrent.futures.ThreadPoolExecutor() as both:
        counted = both.submit(of_commit, options.base, repeats) if options.base else None
        here, base = count(ROOT, repeats), counted and counted.result()
    print(table(here, base, options.base or ""))
    valgrind = subprocess.run(["valgrind", "--version"], stdout=subprocess.PIPE, text=True).stdout.strip()
    about = {"date": datetime.date.today().isoformat(), "versions": machine.versions(), "valgrind": valgrind}
    found = about | {"environment": ENVIRONMENT, "counts": here, "base": options.base, "base_counts": base}
    for file in filter(None, [options.json, ROOT / RESULTS if options.write else None]):
        file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(file)
    if options.write:
        write(found, ROOT / "benchmarks" / "README.md")
    if base and (more := higher(here, base)):
        print(f"More than {MORE - 1:.0%} more instructions than {options.base}: {', '.join(more)}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
