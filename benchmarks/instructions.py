"""Count the instructions of an iteration with valgrind: ``python -m benchmarks.instructions
[BASE]``.

With BASE, a commit, its counts stand beside those of the working tree, and one that is more than 3
% higher fails. All runs use this Python with its packages; kernels are compiled for Haswell, and
come from a disk cache that is filled.
"""

import concurrent.futures
import contextlib
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

from benchmarks.readme import ROOT, found_in, parser
from fastnn.measuring import machine
from fastnn.measuring.timing import markdown

RESULTS = pathlib.Path("benchmarks/results/instructions.json")
PROBE = str(ROOT / "benchmarks" / "probe.py")
MORE = 1.03  # A count may be so many times that of the base commit
ENVIRONMENT = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "", "PYTHONHASHSEED": "0"}
ENVIRONMENT |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

Counts = dict[str, float]  # by case: instructions of one iteration


def why_not() -> str:
    """Why nothing can be counted here, or ""."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"the counts are those of x86-64 code, and this is {platform.machine()}"
    if shutil.which("valgrind"):
        return ""
    return "valgrind is not installed (Debian: apt-get install valgrind)"


@contextlib.contextmanager
def source(base: str) -> Iterator[pathlib.Path]:
    """The folder that holds the fastnn of a version: `base` itself, or where a commit's is unpacked
    for a while.
    """
    if pathlib.Path(base, "fastnn").is_dir():
        yield pathlib.Path(base).resolve()
        return
    archive = subprocess.check_output(["git", "archive", base, "fastnn"], cwd=ROOT)
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(fileobj=io.BytesIO(archive)) as files,
    ):
        files.extractall(folder, filter="data")
        yield pathlib.Path(folder)


def probed(folder: pathlib.Path, variables: dict[str, str], *before: str) -> str:
    """What the probe prints with the fastnn of a folder, in a process of its own."""
    command = [*before, sys.executable, "-P", PROBE]
    variables = os.environ | variables | {"PYTHONPATH": str(folder)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def count(base: str, repeats: int) -> list[Counts]:
    """Count `repeats` times what the fastnn of a version does; the runs share the cores."""
    with source(base) as tree, tempfile.TemporaryDirectory() as folder:
        variables = ENVIRONMENT | {"FASTNN_CACHE_DIR": f"{folder}/cache"}
        iterations = json.loads(probed(tree, variables))  # fills the cache

        def one(i: int) -> Counts:
            file = pathlib.Path(folder, f"run{i}", "counts")
            file.parent.mkdir()
            options = ("--tool=callgrind", f"--callgrind-out-file={file}", "--dump-before=getppid")
            probed(tree, variables, "valgrind", *options)
            return per_iteration(file, iterations)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(one, range(repeats)))


def per_iteration(file: pathlib.Path, iterations: dict[str, int]) -> Counts:
    """Read callgrind's files, one for each mark of the probe, and subtract; it is an error if a
    case has not three.
    """
    dumps = sorted(file.parent.glob(f"{file.name}.*"), key=lambda dump: int(dump.suffix[1:]))
    if len(dumps) != 3 * len(iterations):
        raise RuntimeError(
            f"callgrind wrote {len(dumps)} counts, not 3 for each of {', '.join(iterations)}"
        )
    totals = [int(re.search(r"^totals: (\d+)", dump.read_text(), re.M)[1]) for dump in dumps]
    return {
        name: (totals[3 * i + 2] - totals[3 * i + 1]) / n
        for i, (name, n) in enumerate(iterations.items())
    }


def spread(samples: list[float]) -> float:
    """Largest less smallest, as a part of the median."""
    return (max(samples) - min(samples)) / median(samples)


def medians(counts: list[Counts]) -> Counts:
    return {name: median(one[name] for one in counts) for name in counts[0]}


def higher(here: list[Counts], base: list[Counts]) -> list[str]:
    ours = medians(here)
    theirs = medians(base)
    return [name for name in ours if name in theirs and ours[name] > MORE * theirs[name]]


def table(here: list[Counts], base: list[Counts] | None = None, base_name: str = "base") -> str:
    ours = medians(here)
    theirs = medians(base or [{}])
    several = len(here) > 1
    rows = []
    heads = ["case", "instructions an iteration", *[f"spread of {len(here)}"] * several]
    for name, n in ours.items():
        plain = name.partition(", ")[0]  # of a case such as "seed, clip_norm"
        case = name if name == plain else f"{name}: {n / ours[plain]:.2f} times {plain}"
        cells = [case, f"{n:,.0f}", *[f"{spread([one[name] for one in here]):.4%}"] * several]
        if name in theirs:
            told = "more" if n > MORE * theirs[name] else ""
            cells += [f"{theirs[name]:,.0f}", f"{n / theirs[name] - 1:+.2%}", told]
        elif base:
            cells += ["", "", "new"]
        rows.append(cells)
    return markdown([*heads, *[base_name, "change", ""] * bool(base)], rows, right="12345")


def measure(repeats: int) -> dict:
    valgrind = subprocess.check_output(["valgrind", "--version"], text=True).strip()
    about = machine.circumstances() | {"valgrind": valgrind, "environment": ENVIRONMENT}
    return about | {"counts": count(str(ROOT), repeats)}


def main(arguments: list[str] | None = None) -> int:
    options_of = parser("instructions", __doc__, RESULTS)
    options_of.add_argument(
        "base", nargs="?", help="a commit to compare the working tree with; nothing is kept then"
    )
    options_of.add_argument("--repeats", type=int, default=1, help="count so often (1)")
    options = options_of.parse_args(arguments)
    if not options.source and (reason := why_not()):
        print(f"No instructions were counted: {reason}.")
        return 0
    if not options.base:
        print(table(found_in(options, lambda: measure(options.repeats))["counts"]))
        return 0
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        here, base = both.map(lambda of: count(of, options.repeats), (str(ROOT), options.base))
    print(table(here, base, options.base))
    if more := higher(here, base):
        print(f"More than {MORE - 1:.0%} more instructions than {options.base}: {', '.join(more)}.")
    return int(bool(more))


if __name__ == "__main__":
    sys.exit(main())
