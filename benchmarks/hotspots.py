"""Where a training's time goes: ``python -m benchmarks.hotspots`` (Linux, with the ``perf`` command).

Each workload trains in a process of its own that is sampled 4,000 times a second. The process tells perf where the
functions of its kernel are; it compiles the kernel without inlining them. What is always inlined, such as gathering
rows, the products of narrow panels and the bookkeeping of a step, counts as the kernel itself.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

PARTS = {
    "products": r"wide",
    "activations": r"activations\.",
    "loss": r"losses\.",
    "update": r"updates\.",
    "kernel itself": r"train_steps|dense\.",
}
SECONDS = 2.0


def functions(code: bytes) -> dict[str, tuple[int, int]]:
    """{name: (place in the code, size)} of the functions of an ELF object file of 64 bits, little end first."""
    (start,), (n,) = struct.unpack_from("<Q", code, 40), struct.unpack_from("<H", code, 60)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, start + 64 * k) for k in range(n)]
    found = {}
    for _, kind, _, _, offset, size, link, _, _, _ in sections:
        if kind == 2:  # the table of symbols; `link` is the section of their names
            names = sections[link][4]
            for at in range(offset, offset + size, 24):
                name, info, _, _, value, length = struct.unpack_from("<IBBHQQ", code, at)
                if info & 15 == 2:
                    found[code[names + name : code.index(b"\0", names + name)].decode()] = value, length
    return found


def child(name: str) -> None:
    """Train for some seconds, and leave a map of the kernel's functions for perf."""
    from fastnn.compiler import cache, loader, tracing
    from fastnn.measuring import work

    tracing.OUTLINED_ATTRIBUTES.append("noinline")
    loaded = work.load(name, threads=1)
    loaded.run(1, "numba")
    header, _, code = cache.load(f"train_steps.{loaded.dtype}").partition(b"\n")
    symbol = json.loads(header)[0]
    found = functions(code)
    base = loader.llvm_engine().get_function_address(symbol) - found[symbol][0]
    lines = [f"{base + place:x} {size:x} {name}\n" for name, (place, size) in found.items()]
    pathlib.Path(f"/tmp/perf-{os.getpid()}.map").write_text("".join(lines))
    epochs, stop = 1, time.perf_counter() + SECONDS
    while time.perf_counter() < stop:
        loaded.run(epochs, "numba")
        epochs = min(2 * epochs, 10**5)


def profile(workload: str) -> dict[str, float]:
    """{part: share of the samples within the kernel}"""
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/perf.data"
        command = [sys.executable, "-m", "benchmarks.hotspots", workload]
        environment = os.environ | {"FASTNN_CACHE_DIR": f"{folder}/cache", "FASTNN_KERNELS": "none"}
        subprocess.run(["perf", "record", "-q", "-F", "4000", "-o", data, *command], check=True, env=environment)
        report = ["perf", "report", "-i", data, "--stdio", "-q", "--sort", "symbol", "-F", "sample,symbol"]
        text = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    samples = dict.fromkeys(PARTS, 0)
    for count, name in re.findall(r"^\s*(\d+)\s+\[\.\] ((?:_ZN6)?fastnn\S+)", text, re.M):
        samples[next(part for part, pattern in PARTS.items() if re.search(pattern, name))] += int(count)
    return {part: n / sum(samples.values()) for part, n in samples.items()}


if __name__ == "__main__":
    if sys.argv[1:]:
        child(sys.argv[1])
    else:
        from fastnn import workloads
        from fastnn.measuring.tables import markdown

        shares = {name: profile(name) for name in workloads.names()}
        rows = [[f"`{name}`", *(f"{found[part]:.0%}" for part in PARTS)] for name, found in shares.items()]
        print(markdown(["workload", *PARTS], rows))
