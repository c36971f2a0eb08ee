"""Count how much there is to read: syntax nodes of the code and words of the texts, by folder.

``python tests/support/size.py [COMMIT]`` prints them beside those of a commit, or of HEAD.
"""

import ast
import collections
import io
import pathlib
import re
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).parents[2]
CODE = {"fastnn": "package", "tests": "tests", "benchmarks": "benchmarks"}
"""The number in nodes.txt for each folder of code."""


def place(path):
    """The number that a file belongs to and its folder, or None if it does not count."""
    top, *others = path.split("/")
    folder = "/".join([top, *others][:-1][:2])
    if path.endswith(".py") and top in CODE:
        return CODE[top], folder
    if path.endswith(".md") and (not others or top == "docs" or path == "benchmarks/README.md"):
        return "words", folder or "top"
    return None


def git(root, *arguments):
    """What git prints, nothing where there is no git or no history."""
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True).stdout
    except OSError:
        return b""


def files_now(root):
    """Iterate over (path, content) of what git would keep, or of what an sdist has unpacked."""
    listed = git(root, "ls-files", "-coz", "--exclude-standard").decode().split("\0")
    found = (path.relative_to(root).as_posix() for path in root.rglob("*.*"))
    for path in filter(place, listed if any(listed) else found):
        if (root / path).is_file() and not re.search(r"/[._]\w+/", path):
            yield path, (root / path).read_bytes()


def files_then(root, commit):
    """Iterate over (path, content) of a commit, over nothing where git does not know it."""
    if archive := git(root, "archive", "--format=tar", commit):
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            for member in filter(tarfile.TarInfo.isfile, opened):
                yield member.name, opened.extractfile(member).read()


def sizes(files):
    """The nodes or words of each (number, folder)."""
    counted = collections.Counter()
    for path, content in files:
        if at := place(path):
            units = content.split() if at[0] == "words" else ast.walk(ast.parse(content))
            counted[at] += sum(1 for _ in units)
    return counted


def total(counted, *numbers):
    """The sum of all folders of these numbers."""
    return sum(n for (number, _), n in counted.items() if number in numbers)


def compared(root):
    """Two lists of lines: what is above nodes.txt and where it grew, and what to lower there."""
    now = sizes(files_now(root))
    commit = git(root, "log", "-1", "--format=%h", "--", "nodes.txt").decode().strip()
    grown = now - sizes(files_then(root, commit))
    more = []
    stale = []
    for number, most in map(str.split, (root / "nodes.txt").read_text("utf-8").splitlines()):
        n = total(now, number)
        where = ", ".join(f"{at[1]} {grown[at]:+,}" for at in sorted(grown) if at[0] == number)
        if n > int(most):
            more.append(f"{number} {n} is {n - int(most):,} above nodes.txt; grown: {where}")
        if n < int(most):
            stale.append(f"write {number} {n}")
    return more, stale


def table(before, after):
    """The lines of a table: each folder, the totals, and the sum of the code."""
    yield f"{'':30}{'before':>10}{'after':>10}{'change':>10}"
    places = sorted(before.keys() | after.keys())
    rows = [(f"{at[0]}: {at[1]}", before[at], after[at]) for at in places]
    sums = {"words": ["words"], **{name: [name] for name in CODE.values()}, "sum": CODE.values()}
    rows += [(name, total(before, *of), total(after, *of)) for name, of in sums.items()]
    yield from (f"{name:30}{old:10,}{new:10,}{new - old:+10,}" for name, old, new in rows)


def main(commit="HEAD"):
    """Print the table; the sum is that of package, tests and benchmarks."""
    before = sizes(files_then(ROOT, commit))
    if not before:
        sys.exit(f"git knows no commit {commit} here")
    sys.stdout.write("\n".join([*table(before, sizes(files_now(ROOT))), ""]))


if __name__ == "__main__":
    main(*sys.argv[1:])
