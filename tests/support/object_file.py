"""The symbols of an object file."""

import collections
import shutil
import subprocess

import pytest


def symbols_of(file):
    """The names of the functions that it calls, and {kind of symbol: bytes}, by nm."""
    nm = shutil.which("nm") or pytest.skip("there is no nm")
    lines = subprocess.run([nm, "-S", file], capture_output=True, check=True, text=True).stdout
    called = set()
    sizes = collections.Counter()
    for fields in map(str.split, lines.splitlines()):
        if "U" in fields:
            called.add(fields[-1])
        if len(fields) == 4:
            sizes[fields[2]] += int(fields[1], 16)
    return called, sizes
