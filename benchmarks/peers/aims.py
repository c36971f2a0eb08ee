"""What the kernel is meant to reach: how many times as fast as a peer, or a part of what the machine can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.measure import (
    ALL,
    ALL_CORES,
    FANN,
    JAX,
    LOOP,
    MANY,
    MANY_1,
    OWN,
    SKLEARN,
    TORCH,
    TORCH_1,
    US,
    USUAL,
    VMAP,
    C,
)
from benchmarks.peers.workloads import KINDS
from fastnn.measuring.tables import Interval, ratio

CHAIN_CYCLES = 270
"""The seed step's chain of operations that wait for one another."""
COUNTED = 100_000_000
"""Iterations over which the time to compile a kernel of its own is spread in all that is said of its speed."""
EVERYONE = (LOOP, SKLEARN, TORCH_1, TORCH, JAX, FANN, C)
TORCHES, ON_ONE_CORE = (TORCH, TORCH_1), ("JAX, 1 core", "PyTorch, 1 core")

AIMS = {  # section: what is compared there, beside the best of which, at least how many times as fast
    "training": (
        *(("seed", (C,), 1.3), ("seed", (LOOP,), 120), ("seed", (JAX,), 6), ("iris", (JAX,), 3)),
        *(("iris", (SKLEARN,), 14), ("digits", (JAX,), 2), ("digits", (SKLEARN,), 12), ("digits", (TORCH,), 30)),
        *(("tab", (JAX,), 1.5), ("tab", (SKLEARN,), 5), ("mnist", (JAX,), 1), ("mnist", (SKLEARN,), 2.5)),
        *(("big", (JAX, TORCH), 0.6), ("big", ON_ONE_CORE, 1), ("online", EVERYONE, 4)),
    ),
    "threads": tuple((name, ALL_CORES[1:], least) for name, least in (("tab", 1.6), ("mnist", 1.35), ("big", 0.7))),
    "own kernels": (("seed", (C,), 1.3), ("seed", (LOOP,), 120), ("seed", (JAX,), 6), ("online", (LOOP, JAX), 4)),
    "prediction": (("1", (SKLEARN,), 15), ("1", TORCHES, 3), ("10000", (SKLEARN,), 10), ("10000", TORCHES, 1.2)),
    "processes": (("", (SKLEARN,), 1.6), ("", (TORCH,), 4)),
    "avx2": tuple((name, (LOOP, JAX), 1.2) for name in ("digits", "tab", "mnist")),
}
TITLES: dict[str, Callable[[str], str]] = {
    "training": str,
    "threads": lambda name: f"{name}, all cores",
    "own kernels": lambda name: f"{name}, own kernel",
    "prediction": lambda rows: f"predict {int(rows):,} row{'s' * (rows != '1')}",
    "processes": lambda _: "whole process, seed, 100 iterations",
    "avx2": lambda name: f"{name} on AVX2",
}


@dataclass(frozen=True)
class Aim:
    """One line of the table of aims."""

    what: str
    against: str
    least: float
    found: Interval | None

    @property
    def met(self) -> bool:
        """Whether the median is at least what it should be."""
        return self.found is not None and self.found.middle >= self.least


def best(seconds: dict[str, list[float]], titles: tuple[str, ...]) -> str | None:
    """The title with the least median, of those that were measured."""
    there = [title for title in titles if title in seconds]
    return min(there, key=lambda title: np.median(seconds[title]), default=None)


def of(found: dict, section: str, name: str) -> dict[str, list[float]]:
    """{title: seconds} of what is compared in a section; ours there is that of all cores, or with its compilation."""
    part = found.get(section, {})
    if section != "processes":
        part = (part.get("workloads", {}) if section == "threads" else part).get(name, {})
    seconds = {title: lane if isinstance(lane, list) else lane["seconds"] for title, lane in part.items()}
    if (instead := {"threads": ALL, "own kernels": OWN}.get(section)) and seconds.pop(US, None):
        counted = part[OWN]["first_call"] / COUNTED if OWN in part else 0.0
        seconds |= {US: [s + counted for s in seconds[instead]]} if instead in seconds else {}
    return seconds


def aims(found: dict) -> Iterator[Aim]:
    """Every aim; its found is None for what was not measured here."""
    for section, lines in AIMS.items():
        for name, titles, least in lines:
            seconds = of(found, section, name)
            rival = best(seconds, titles)
            against = f"best of {', '.join(titles)}" if len(titles) < 4 else "best peer"
            against = titles[0] if len(titles) == 1 else f"{against}: {rival}" if rival and US in seconds else against
            number = ratio(seconds[rival], seconds[US]) if rival and US in seconds else None
            yield Aim(TITLES[section](name), against, least, number)
    yield from _limits(found)
    yield from _many(found.get("many", {}).get("networks", {}))


def _limits(found: dict) -> Iterator[Aim]:
    """The machine's own limits; rates are the highest of the rounds, for noise only lowers them."""
    levels = {level: limits for level, limits in found.get("hardware", {}).items() if limits}
    for level, limits in levels.items():
        for width, rounds in limits["products"].items():
            share = min(rates(rounds).values()) / max(limits["peak"])
            yield Aim(f"products {width} wide, {level}", "the core's FMA peak", 0.7, Interval(share, share, share))
    for section in ("training", "own kernels"):
        if "native" in levels and (ours := of(found, section, "seed").get(US)):
            chain = CHAIN_CYCLES / (max(levels["native"]["clock"]) * 1e9)
            against = f"its dependency chain of {CHAIN_CYCLES} cycles"
            yield Aim(TITLES[section]("seed"), against, 1 / 1.8, ratio([chain] * len(ours), ours))
    if "cold" in found:
        yield Aim("first train ever, cold cache", "5 s", 1, ratio([5.0] * len(found["cold"]), found["cold"]))


def rates(rounds: list[dict]) -> dict[str, float]:
    """The highest of the rounds' rates, of each kind of product by itself."""
    return {kind: max(products[kind] for products in rounds) for kind in rounds[0]}


def compiling(lanes: dict) -> Interval:
    """JAX' first call, which compiles, by our time."""
    ours = lanes[MANY]["seconds"]
    return ratio([lanes[VMAP]["first_call"]] * len(ours), ours)


def _many(networks: dict) -> Iterator[Aim]:
    """What is wanted of many networks at once."""
    for kind, title, least in ((KINDS[0], MANY_1, 1.0), (KINDS[0], MANY, 1.5), (KINDS[1], MANY, 2.0)):
        lanes = networks.get("seed", {}).get(f"{USUAL}, {kind}", {}).get("64", {})
        both = {VMAP, title} <= lanes.keys()
        found = ratio(lanes[VMAP]["seconds"], lanes[title]["seconds"]) if both else None
        yield Aim(f"{title}: seed, 64 members, {kind}", VMAP, least, found)
    compiled = [
        (compiling(lanes), f"{name}, {job}, {members} members")
        for name, jobs in networks.items()
        for job, counts in jobs.items()
        for members, lanes in counts.items()
        if {VMAP, MANY} <= lanes.keys()
    ]
    least_of, where = min(compiled, key=lambda one: one[0].middle, default=(None, "everywhere"))
    yield Aim(f"{MANY}: least of all, {where}", f"{VMAP}, compiling", 1.0, least_of)
