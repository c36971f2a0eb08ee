"""Ratios: how many times as fast fastnn is, taken round by round, and what the kernel is meant to reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.measure import FANN, JAX, LOOP, OWN, SKLEARN, TORCH, TORCH_1, US, C
from benchmarks.peers.threads import ALL

CHAIN_CYCLES = 270
"""The seed step's chain of operations that wait for one another."""


COUNTED = 100_000_000
"""Iterations over which the time to compile a kernel of its own is spread in all that is said of its speed."""


@dataclass(frozen=True)
class Ratio:
    """The median of the rounds' ratios, and their quartiles."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{digits(self.median)} ({digits(self.low)}–{digits(self.high)})"


def digits(number: float) -> str:
    """A number with two or three digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def ratio(theirs: list[float], ours: list[float]) -> Ratio:
    """Theirs by ours; the rounds were timed in turn, so that what slowed both cancels."""
    rounds = [a / b for a, b in zip(theirs, ours, strict=True)]
    return Ratio(*map(float, np.percentile(rounds, [25, 50, 75])))


def best(seconds: dict[str, list[float]], titles: tuple[str, ...]) -> str | None:
    """The title with the least median, of those that were measured."""
    there = [title for title in titles if title in seconds]
    return min(there, key=lambda title: np.median(seconds[title]), default=None)


@dataclass(frozen=True)
class Aim:
    """One line of the table of aims."""

    what: str
    against: str
    least: float
    found: Ratio | None

    @property
    def met(self) -> bool:
        """Whether the median is at least what it should be."""
        return self.found is not None and self.found.median >= self.least


def aims(found: dict) -> Iterator[Aim]:
    """Every ratio that the kernel is meant to reach; found is None for what was not measured here."""
    seconds = {
        name: {title: result["seconds"] for title, result in lanes.items()}
        for name, lanes in found.get("training", {}).items()
    }
    everyone = (LOOP, SKLEARN, TORCH_1, TORCH, JAX, FANN, C)
    for name, titles, least in (
        ("seed", (C,), 1.3),
        ("seed", (LOOP,), 120),
        ("seed", (JAX,), 6),
        ("iris", (JAX,), 3),
        ("iris", (SKLEARN,), 14),
        ("digits", (JAX,), 2),
        ("digits", (SKLEARN,), 12),
        ("digits", (TORCH,), 30),
        ("tab", (JAX,), 1.5),
        ("tab", (SKLEARN,), 5),
        ("mnist", (JAX,), 1),
        ("mnist", (SKLEARN,), 2.5),
        ("big", (JAX, TORCH), 0.6),
        ("big", ("JAX, 1 core", "PyTorch, 1 core"), 1),
        ("online", everyone, 4),
    ):
        yield _aim(name, seconds.get(name, {}), titles, least)
    by_threads = found.get("threads", {}).get("workloads", {})
    for name, least in (("tab", 1.6), ("mnist", 1.35), ("big", 0.7)):
        lanes = {title: result["seconds"] for title, result in by_threads.get(name, {}).items()}
        shared = lanes | {US: lanes[ALL]} if ALL in lanes else {}
        yield _aim(f"{name}, all cores", shared, (LOOP, SKLEARN, TORCH, JAX), least)
    own = own_kernels(found)
    for titles, least in (((C,), 1.3), ((LOOP,), 120), ((JAX,), 6)):
        yield _aim("seed, own kernel", own.get("seed", {}), titles, least)
    yield _aim("online, own kernel", own.get("online", {}), (LOOP, JAX), 4)
    prediction = found.get("prediction", {})
    for rows, titles, least in (
        ("1", (SKLEARN,), 15),
        ("1", (TORCH, TORCH_1), 3),
        ("10000", (SKLEARN,), 10),
        ("10000", (TORCH, TORCH_1), 1.2),
    ):
        yield _aim(f"predict {int(rows):,} row{'s' * (rows != '1')}", prediction.get(rows, {}), titles, least)
    processes = {title: run["seconds"] for title, run in found.get("processes", {}).items()}
    for titles, least in (((SKLEARN,), 1.6), ((TORCH,), 4)):
        yield _aim("whole process, seed, 100 iterations", processes, titles, least)
    for name in ("digits", "tab", "mnist"):
        lanes = {title: result["seconds"] for title, result in found.get("avx2", {}).get(name, {}).items()}
        yield _aim(f"{name} on AVX2", lanes, (LOOP, JAX), 1.2)
    yield from _limits(found, seconds)


def own_kernels(found: dict) -> dict[str, dict[str, list[float]]]:
    """{workload: {title: seconds an iteration}}, ours by kernels of their own with their compilation counted."""
    counted: dict[str, dict[str, list[float]]] = {}
    for name, lanes in found.get("own kernels", {}).items():
        counted[name] = {title: result["seconds"] for title, result in lanes.items() if title not in (US, OWN)}
        if OWN in lanes:
            compiled = lanes[OWN]["first_call"] / COUNTED
            counted[name][US] = [s + compiled for s in lanes[OWN]["seconds"]]
    return counted


def _aim(what: str, seconds: dict[str, list[float]], titles: tuple[str, ...], least: float) -> Aim:
    rival = best(seconds, titles)
    against = titles[0] if len(titles) == 1 else f"best of {', '.join(titles)}" if len(titles) < 4 else "best peer"
    if rival is None or US not in seconds:
        return Aim(what, against, least, None)
    if len(titles) > 1:
        against += f": {rival}"
    return Aim(what, against, least, ratio(seconds[rival], seconds[US]))


def _limits(found: dict, seconds: dict) -> Iterator[Aim]:
    """The machine's own limits; rates are the highest of the rounds, for noise only lowers them."""
    for level, limits in found.get("hardware", {}).items():
        if limits is None:
            continue
        peak = max(limits["peak"])
        for width, rounds in limits["products"].items():
            share = rate(rounds, lambda products: min(products.values())) / peak
            yield Aim(f"products {width} wide, {level}", "the core's FMA peak", 0.7, Ratio(share, share, share))
    native = found.get("hardware", {}).get("native")
    for what, lanes in (("seed", seconds), ("seed, own kernel", own_kernels(found))):
        if native and US in lanes.get("seed", {}):
            chain, ours = CHAIN_CYCLES / (max(native["clock"]) * 1e9), lanes["seed"][US]
            yield Aim(what, f"its dependency chain of {CHAIN_CYCLES} cycles", 1 / 1.8, ratio([chain] * len(ours), ours))
    if "cold" in found:
        yield Aim("first train ever, cold cache", "5 s", 1, ratio([5.0] * len(found["cold"]), found["cold"]))


def rate(rounds: list[dict], of: Callable[[dict], float]) -> float:
    """The highest of the rounds' rates, of each kind of product by itself."""
    return of({kind: max(products[kind] for products in rounds) for kind in rounds[0]})
