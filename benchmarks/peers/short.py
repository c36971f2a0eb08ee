"""The table of README.md: what fastnn does, and how many times as fast it is as the peers that people know."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.peers.aims import best, digits
from benchmarks.peers.many import measure as many
from benchmarks.peers.many.tables import paired
from benchmarks.peers.measure import JAX, SKLEARN, TORCH, US
from benchmarks.peers.tables import describe, rounded, row, separator
from benchmarks.peers.workloads import VALIDATION

RIVALS = ("PyTorch, 1 core", "JAX, 1 core", TORCH, JAX)
VALIDATED = f"digits{VALIDATION}"
MEMBERS = 64


def table(found: dict) -> str:
    """Return the table and where it comes from; of the sections "validated" and "many" only what was measured."""
    lines = [row(["training", "iterations a second", "× scikit-learn", "× PyTorch or JAX, the faster"]), separator(4)]
    lines += [row([describe(name), *_cells(lanes)]) for name, lanes in found["threads"]["workloads"].items()]
    if VALIDATED in found.get("validated", {}):
        lines.append(row([describe(VALIDATED), *_cells(found["validated"][VALIDATED])]))
    lines += [row(cells) for cells in _many(found.get("many", {}).get("networks", {}))]
    a, b = found["threads"]["about"], found.get("many", {}).get("about", {})
    facts = [(f["date"], f["cpu"], f"fastnn {f['versions']['fastnn']}") if f else () for f in (a, b)]
    own = ", ".join(other for one, other in zip(*facts, strict=False) if one != other)
    elsewhere = f" (many networks: {own})" if own else ""
    return "\n".join(
        [
            *lines,
            "",
            f"Measured on {a['date']} with {facts[0][-1]} by `nox -s measure -- peers` on one {a['cpu']}, "
            f"{a['cores']} cores{elsewhere}: one training of fastnn on one thread, many "
            "networks and scikit-learn's BLAS on all cores, PyTorch and JAX on one or on all, whichever is faster. "
            "Answers are compared before anything is timed; figures are medians.",
        ]
    )


def _cells(
    lanes: dict, us: str = US, sklearn: str = SKLEARN, rivals: tuple[str, ...] = RIVALS, n: int = 1
) -> list[str]:
    """Return our iterations a second, `n` a sample's unit, and the ratios of scikit-learn and of the best rival."""
    seconds = {title: lane["seconds"] for title, lane in lanes.items()}
    ratios = [
        digits(paired(lanes[title], lanes[us]).median) if title in lanes else ""
        for title in (sklearn, best(seconds, rivals))
    ]
    return [rounded(n / float(np.median(seconds[us]))), *ratios]


def _many(networks: dict) -> Iterator[list[str]]:
    """Yield the line of many networks, whose iterations are counted together, if it was measured."""
    lanes = networks.get("seed", {}).get(f"{many.USUAL}, equal", {}).get(str(MEMBERS), {})
    if many.US in lanes:
        what = f"{MEMBERS} networks like `seed` at once, {many.USUAL:,} iterations each"
        rivals = (many.JAX, many.TORCH)
        yield [what, *_cells(lanes, many.US, many.SKLEARN, rivals, MEMBERS * many.USUAL)]
