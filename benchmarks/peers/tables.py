"""The measurement as Markdown, for the places that the pages mark, and the aims: what the kernel is
meant to reach.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from statistics import median

import numpy as np

from benchmarks.peers import measure as m
from benchmarks.peers.workloads import GRID, KINDS, VALIDATION, describe, describe_many
from benchmarks.readme import Aim, where
from benchmarks.texts import rounded, times_text
from fastnn.measuring.timing import Interval, digits, markdown, ratio

CHAIN_CYCLES = 270  # The seed step's chain of operations that wait for one another
COUNTED = 100_000_000
"""Iterations over which the time to compile a kernel of its own is spread in all that is said of
its speed."""
EVERYONE = tuple(title for title in m.PEERS if title != m.US)
TORCHES = (m.TORCH, m.TORCH_1)
ON_ONE_CORE = (f"{m.JAX}, 1 core", f"{m.TORCH}, 1 core")

AIMS: dict[str, dict[str, list[tuple[tuple[str, ...], float]]]] = {
    "training": {
        "seed": [((m.C,), 1.3), ((m.LOOP,), 120), ((m.JAX,), 6)],
        "iris": [((m.JAX,), 3), ((m.SKLEARN,), 14)],
        "digits": [((m.JAX,), 2), ((m.SKLEARN,), 12), ((m.TORCH,), 30)],
        "tab": [((m.JAX,), 1.5), ((m.SKLEARN,), 5)],
        "mnist": [((m.JAX,), 1), ((m.SKLEARN,), 2.5)],
        "big": [((m.JAX, m.TORCH), 0.6), (ON_ONE_CORE, 1)],
        "online": [(EVERYONE, 4)],
    },
    "threads": {
        name: [(m.ALL_CORES[1:], least)]
        for name, least in (("tab", 1.6), ("mnist", 1.35), ("big", 0.7))
    },
    "own kernels": {
        "seed": [((m.C,), 1.3), ((m.LOOP,), 120), ((m.JAX,), 6)],
        "online": [((m.LOOP, m.JAX), 4)],
    },
    "prediction": {
        "1": [((m.SKLEARN,), 15), (TORCHES, 3)],
        "10000": [((m.SKLEARN,), 10), (TORCHES, 1.2)],
    },
    "processes": {"": [((m.SKLEARN,), 1.6), ((m.TORCH,), 4)]},
    "avx2": {name: [((m.LOOP, m.JAX), 1.2)] for name in ("digits", "tab", "mnist")},
}
"""{section: {what is compared there: beside the best of which, at least how many times as fast}}"""
TITLES: dict[str, Callable[[str], str]] = {
    "training": str,
    "threads": "{}, all cores".format,
    "own kernels": "{}, own kernel".format,
    "prediction": lambda rows: f"predict {int(rows):,} row{'s' * (rows != '1')}",
    "processes": "whole process, seed, 100 iterations".format,
    "avx2": "{} on AVX2".format,
}


def best(seconds: dict[str, list[float]], titles: tuple[str, ...]) -> str | None:
    """The title with the least median, of those that were measured."""
    return min(
        (title for title in titles if title in seconds),
        key=lambda t: median(seconds[t]),
        default=None,
    )


def of(results: dict, section: str, name: str) -> dict[str, list[float]]:
    """{title: seconds} of what is compared in a section; ours there is that of all cores, or with
    its compilation.
    """
    part = results.get(section, {})
    if section != "processes":
        part = (part.get("workloads", {}) if section == "threads" else part).get(name, {})
    seconds = {
        title: lane if isinstance(lane, list) else lane["seconds"] for title, lane in part.items()
    }
    if (instead := {"threads": m.ALL, "own kernels": m.OWN}.get(section)) and seconds.pop(
        m.US, None
    ):
        counted = part[m.OWN]["first_call"] / COUNTED if m.OWN in part else 0.0
        seconds |= {m.US: [s + counted for s in seconds[instead]]} if instead in seconds else {}
    return seconds


def aims(results: dict) -> Iterator[Aim]:
    """Every aim; its `measured` is None for what was not measured here."""
    yield from aims_of_peers(results)
    yield from aims_of_the_machine(results)
    yield from aims_of_many(results.get("many", {}).get("networks", {}))


def aims_of_peers(results: dict) -> Iterator[Aim]:
    """Times of one training beside those of its rivals."""
    for section, by_name in AIMS.items():
        for name, lines in by_name.items():
            seconds = of(results, section, name)
            for titles, least in lines:
                rival = best(seconds, titles) if m.US in seconds else None
                against = f"best of {', '.join(titles)}" if len(titles) < 4 else "best peer"
                if len(titles) == 1:
                    against = titles[0]
                elif rival:
                    against = f"{against}: {rival}"
                number = ratio(seconds[rival], seconds[m.US]) if rival else None
                yield Aim(TITLES[section](name), least, number, against=against)


def aims_of_the_machine(results: dict) -> Iterator[Aim]:
    """Rates and times beside what the processor can do, and the first training ever."""
    levels = measured_levels(results)
    for level, limits in levels.items():
        for width, rounds in limits["products"].items():
            share = Interval(*[min(rates(rounds).values()) / max(limits["peak"])] * 3)
            yield Aim(f"products {width} wide, {level}", 0.7, share, against="the core's FMA peak")
    for section in ("training", "own kernels"):
        if "native" in levels and (ours := of(results, section, "seed").get(m.US)):
            chain = CHAIN_CYCLES / (max(levels["native"]["clock"]) * 1e9)
            against = f"its dependency chain of {CHAIN_CYCLES} cycles"
            share = ratio([chain] * len(ours), ours)
            yield Aim(TITLES[section]("seed"), 1 / 1.8, share, against=against)
    if cold := results.get("cold"):
        yield Aim("first train ever, cold cache", 1, ratio([5.0] * len(cold), cold), against="5 s")


def aims_of_many(networks: dict) -> Iterator[Aim]:
    """Times of many trainings beside those of JAX's vmap."""
    for kind, title, least in (
        (KINDS[0], m.MANY_1, 1.0),
        (KINDS[0], m.MANY, 1.5),
        (KINDS[1], m.MANY, 2.0),
    ):
        lanes = networks.get("seed", {}).get(f"{m.USUAL}, {kind}", {}).get("64", {})
        both = {m.VMAP, title} <= lanes.keys()
        number = ratio(lanes[m.VMAP]["seconds"], lanes[title]["seconds"]) if both else None
        yield Aim(f"{title}: seed, 64 members, {kind}", least, number, against=m.VMAP)
    compiled = [
        (compiling(lanes), f"{name}, {job}, {members} members")
        for name, job, members, lanes in jobs_of(networks)
        if {m.VMAP, m.MANY} <= lanes.keys()
    ]
    least_of, job = min(compiled, key=lambda one: one[0].middle, default=(None, "everywhere"))
    yield Aim(f"{m.MANY}: least of all, {job}", 1.0, least_of, against=f"{m.VMAP}, compiling")


def measured_levels(results: dict) -> dict[str, dict]:
    """The machine's own limits by its instruction sets."""
    return {level: limits for level, limits in results.get("hardware", {}).items() if limits}


def check_peaks(results: dict) -> None:
    """Raise ValueError where the peak of the core cannot be one: noise only lowers what was
    measured.

    A peak is more than any product reaches, and at most four multiply-adds of 64 bytes per cycle.
    """
    for level, hardware in measured_levels(results).items():
        peak = max(hardware["peak"])
        clock = max(hardware["clock"])
        if not 0.5 < clock < 10:
            raise ValueError(f"{level}: the clock is {clock:.3g} GHz")
        if peak > 4 * 32 * clock:
            raise ValueError(
                f"{level}: the peak of {peak:.3g} GF/s is more than 128 operations a cycle"
            )
        for width, rounds in hardware["products"].items():
            highest = max(rates(rounds).values())
            if highest > 1.1 * peak:
                too_fast = f"products of {width} columns do {highest:.3g} GF/s"
                raise ValueError(f"{level}: {too_fast}, more than the peak of {peak:.3g} GF/s")


def jobs_of(networks: dict) -> Iterator[tuple[str, str, str, dict]]:
    """Network, job, number of members, and lanes."""
    for name, jobs in networks.items():
        for job, counts in jobs.items():
            yield from ((name, job, members, lanes) for members, lanes in counts.items())


def rates(rounds: list[dict]) -> dict[str, float]:
    """The highest of the rounds' rates, of each kind of product by itself: noise only lowers
    them.
    """
    return {kind: max(products[kind] for products in rounds) for kind in rounds[0]}


def compiling(lanes: dict) -> Interval:
    ours = lanes[m.MANY]["seconds"]
    return ratio([lanes[m.VMAP]["first_call"]] * len(ours), ours)


def aims_table(results: dict) -> str:
    rows = ([aim.what, aim.against, f"{aim.bound:.3g}", *aim.cells] for aim in aims(results))
    return markdown(["what", "against", "at least", "measured", ""], rows)


def about(results: dict) -> str:
    """Where, when and with what; what was not measured, and why."""
    a = results["about"]
    blas = f" BLAS: {'; '.join(a['blas'])}." if a["blas"] else ""
    made = (
        f"Measured by `nox -s measure -- peers` {where(a)}; "
        f"{a['compiler'] or 'no C compiler'}.{blas} fastnn uses "
        "one thread; PyTorch, JAX and the BLAS of NumPy and scikit-learn all cores, unless said."
    )
    skipped = [f"- {title} was skipped: {reason}" for title, reason in results["skipped"].items()]
    failed = [f"- {what} failed: {reason}" for what, reason in results["failed"].items()]
    return "\n".join([made, "", *skipped, *failed]).strip()


def measured(titles: Iterable[str], rows: Collection[dict]) -> list[str]:
    return [title for title in titles if any(title in lanes for lanes in rows)]


def by_peers(trainings: dict) -> str:
    """Iterations per second, and how many times as fast as each peer."""
    titles = measured(list(m.PEERS)[1:], trainings.values())
    rows = []
    for name, lanes in trainings.items():
        ours = lanes[m.US]["seconds"]
        low, middle, high = (rounded(1 / s) for s in np.percentile(ours, [75, 50, 25]))
        rows.append(
            [
                describe(name),
                f"{middle} ({low}–{high})",
                *(_beside(lanes, title, ours) for title in titles),
            ]
        )
    return markdown(
        ["workload", "fastnn, iterations per second", *(f"× {title}" for title in titles)], rows
    )


def _beside(lanes: dict, title: str, ours: list[float]) -> str:
    """How many times as fast as a peer, if it was measured; marked where that has rules of its
    own.
    """
    lane = lanes.get(title)
    return f"{ratio(lane['seconds'], ours)}{'*' * lane.get('own_rules', False)}" if lane else ""


def validated(results: dict) -> str:
    """The same with the loss of held-out rows after every epoch, and when it was measured."""
    a = results.get("validated about", results["about"])
    made = f"Measured on {a['date']} on one {a['cpu']} with fastnn {a['versions']['fastnn']}."
    return f"{by_peers(results['validated'])}\n\n{made}"


def by_threads(results: dict) -> str:
    """Where and when; our speed on all cores, and the ratios of one core each and of all cores
    each.
    """
    workloads = results["threads"]["workloads"]
    titles = measured((*m.ONE_CORE, *m.ALL_CORES[1:], m.JAX_OLD), workloads.values())
    rows = []
    for name, lanes in workloads.items():
        ours = lanes[m.ALL]["seconds"]
        one = lanes[m.US]["seconds"]
        cells = [_beside(lanes, title, one if title in m.ONE_CORE else ours) for title in titles]
        rows.append([describe(name), rounded(1 / median(ours)), str(ratio(one, ours)), *cells])
    heads = [
        "workload",
        "fastnn on all cores, iterations per second",
        "× one thread",
        *(f"× {t}" for t in titles),
    ]
    return (
        f"With equal threads, measured "
        f"{where(results['threads']['about'])}.\n\n{markdown(heads, rows)}"
    )


SIMPLECHAINS = {
    "SimpleChains.jl, 18 cores (Intel i9-10980XE)": "41 µs",
    "SimpleChains.jl, 32 cores (AMD EPYC 7513)": "72 µs",
    "PyTorch, 18 cores (Intel i9-10980XE)": "1.5 ms",
    "PyTorch, 32 cores (AMD EPYC 7513)": "7 ms",
}
"""{library and processor: the time of an epoch that SimpleChains.jl's announcement states}"""


def published(results: dict) -> str:
    """The time of an epoch here, and below it what was published of other machines."""
    here = results["published"]
    titles = [m.US, m.ALL, *m.ONE_CORE, *m.ALL_CORES[1:]]
    rows = [
        [title, times_text(here["lanes"][title]["seconds"]), "here"]
        for title in titles
        if title in here["lanes"]
    ]
    rows += [[title, time, "its announcement"] for title, time in SIMPLECHAINS.items()]
    return f"Measured {where(here['about'])}.\n\n{markdown(['', 'per epoch', 'measured'], rows)}"


def own(results: dict) -> str:
    rows = []
    for name, lanes in results["own kernels"].items():
        if m.OWN not in lanes or m.US not in lanes:
            continue
        ours = of(results, "own kernels", name)[m.US]
        compiled = lanes[m.OWN]["first_call"]
        saved = median(lanes[m.US]["seconds"]) - median(lanes[m.OWN]["seconds"])
        repaid = (
            f"after {rounded(compiled / saved / 1e6)} million iterations" if saved > 0 else "never"
        )
        theirs = [_beside(lanes, title, ours) for title in m.OWN_PEERS]
        rows.append(
            [describe(name), rounded(1 / median(ours)), *theirs, f"{compiled:.1f} s", repaid]
        )
    heads = [
        "workload",
        "iterations per second",
        *(f"× {title}" for title in m.OWN_PEERS),
        "compiled in",
        "repaid",
    ]
    return markdown(heads, rows)


def other(results: dict) -> str:
    """What is not training speed: a table of medians, one line a peer."""
    rows = []
    for title in m.PEERS:
        learned, process = (
            results.get(section, {}).get(title, {}) for section in ("accuracy", "processes")
        )
        known = [size for size in process.get("bytes", ()) if size]
        cells = [
            times_text(results.get("prediction", {}).get(n, {}).get(title)) for n in ("1", "10000")
        ]
        epochs = f", {median(learned['epochs']):.0f} epochs" if learned.get("epochs") else ""
        cells += [times_text(learned.get("seconds")) + epochs, times_text(process.get("seconds"))]
        cells.append(f"{median(known) / 1e6:.0f} MB" if known else "")
        rows += [[title, *cells]] if any(cells) else []
    heads = [
        "",
        "predict 1 row",
        "predict 10,000 rows",
        "0.96 of held-out digits",
        "process",
        "memory",
    ]
    cold = (
        f"The first `train` ever on a machine, with an empty cache: "
        f"{times_text(results.get('cold'))}."
    )
    return markdown(heads, rows) + (f"\n\n{cold}" if "cold" in results else "")


def limits(results: dict) -> str:
    """GF/s of the core and of the products in the kernel."""
    if not (levels := measured_levels(results)):
        return "The core's peak was not measured: no C compiler."
    rows = [
        [
            "FMA peak",
            *(f"{max(l['peak']):.0f} at {max(l['clock']):.2f} GHz" for l in levels.values()),
        ]
    ]
    for width in next(iter(levels.values()))["products"]:
        for kind in ("forward", "forward and back"):
            reached = ((rates(l["products"][width])[kind], max(l["peak"])) for l in levels.values())
            rows.append(
                [
                    f"{width} wide, {kind}",
                    *(f"{rate:.0f} ({rate / peak:.0%})" for rate, peak in reached),
                ]
            )
    return markdown(["float32, one core, GF/s", *levels], rows)


def crossover_ratios(results: dict, ours: str = m.US) -> dict[tuple[int, int], tuple[float, str]]:
    """How many times as fast as the best peer, and which that is, by width and rows per step."""
    ratios = {}
    for name, lanes in results["crossover"].items():
        rival = best(lanes, (m.JAX, m.JAX_OLD, m.TORCH))
        point = tuple(map(int, GRID.fullmatch(name).groups()))
        ratios[point] = median(lanes[rival]) / median(lanes[ours]), rival
    return ratios


def crossover(results: dict) -> str:
    """Where the best peer gets ahead: a row for each width of the layers, a column for each number
    of rows per step.
    """
    ratios = crossover_ratios(results)
    a = results.get("crossover about", results["about"])
    batches = sorted({batch for _, batch in ratios})
    rows = []
    for width in sorted({width for width, _ in ratios}):
        cells = (ratios.get((width, batch)) for batch in batches)
        rows.append([f"{width:,}", *("-" if cell is None else f"{cell[0]:.1f}" for cell in cells)])
    heads = ["width", *(f"{batch:,} row{'s' * (batch > 1)} per step" for batch in batches)]
    names = {m.JAX: f"JAX {a['versions']['jax']}"}
    fastest = sorted({names.get(rival, rival) for _, rival in ratios.values()})
    made = f"Measured on {a['date']} on {a['cpu']}, {a['cores']} cores. The fastest peer of a cell "
    made += f"was {' or '.join(fastest)}."
    return f"{markdown(heads, rows)}\n\n{made}"


def many(results: dict) -> str:
    """A line for each number of members: our time, and how many times as long others take."""
    jobs = list(jobs_of(results["many"]["networks"]))
    rivals = measured(list(m.WAYS)[1:], [lanes for *_, lanes in jobs])
    rows = []
    for name, job, count, lanes in jobs:
        if m.MANY in lanes:
            (iterations, kind), ours = job.split(", "), lanes[m.MANY]["seconds"]
            what = f"{describe_many(name)}; {int(iterations):,}, {kind}, {int(count):,}"
            cells = [_beside(lanes, title, ours) for title in rivals]
            rows.append(
                [what, times_text(ours), *cells, str(compiling(lanes)) if m.VMAP in lanes else ""]
            )
    heads = [
        "iterations per member, members",
        f"`{m.MANY}`",
        *(f"× {title}" for title in rivals),
        "× JAX, compiling",
    ]
    return (
        f"Many networks at once, measured "
        f"{where(results['many']['about'])}.\n\n{markdown(heads, rows)}"
    )


PAGE: dict[str, tuple[str, Callable[[dict], str]]] = {
    "about": ("about", about),
    "training": ("training", lambda results: by_peers(results["training"])),
    "validated": ("validated", validated),
    "own kernels": ("own kernels", own),
    "other": ("prediction", other),
    "threads": ("threads", by_threads),
    "published": ("published", published),
    "many": ("many", many),
    "aims": ("about", aims_table),
    "limits": ("hardware", limits),
}
"""{place in benchmarks/README.md, "peers" before it: the section that it shows, and what is
there}"""


RIVALS = ("PyTorch, 1 core", "JAX, 1 core", m.TORCH, m.TORCH_1, m.COMPILED, m.JAX, m.JAX_OLD)
MEMBERS = 64


def short(results: dict) -> str:
    """The table and where it comes from; of the sections "validated" and "many" only what was
    measured.
    """
    trainings = results["threads"]["workloads"] | {
        name: lanes
        for name, lanes in results.get("validated", {}).items()
        if name == f"digits{VALIDATION}"
    }
    rows = [
        [describe(name), *_short_cells(lanes, m.US, m.SKLEARN, RIVALS, 1)]
        for name, lanes in trainings.items()
    ]
    networks = results.get("many", {}).get("networks", {})
    lanes = networks.get("seed", {}).get(f"{m.USUAL}, equal", {}).get(str(MEMBERS), {})
    if m.MANY in lanes:
        rivals = (m.VMAP, m.VMAP_OLD, m.TORCH_VMAP, m.TORCH_BMM)
        cells = _short_cells(lanes, m.MANY, m.JOBLIB, rivals, MEMBERS * m.USUAL)
        rows.append(
            [f"{MEMBERS} networks like `seed` at once, {m.USUAL:,} iterations each", *cells]
        )
    a = results["threads"]["about"]
    b = results.get("many", {}).get("about", {})
    facts = [
        (f["date"], f["cpu"], f"fastnn {f['versions']['fastnn']}") if f else () for f in (a, b)
    ]
    elsewhere = ", ".join(theirs for ours, theirs in zip(*facts, strict=False) if ours != theirs)
    made = (
        f"Measured on {a['date']} with {facts[0][-1]} by `nox -s measure -- peers` on one "
        f"{a['cpu']}, {a['cores']} cores{f' (many networks: {elsewhere})' if elsewhere else ''}: "
        "one training of fastnn on one thread, many networks and scikit-learn's BLAS on all cores, "
        "PyTorch and JAX on one or on all, whichever is faster. Answers are compared before "
        "anything is timed; figures are medians."
    )
    heads = ["training", "iterations per second", "× scikit-learn", "× PyTorch or JAX, the faster"]
    return f"{markdown(heads, rows)}\n\n{made}"


def _short_cells(lanes: dict, us: str, sklearn: str, rivals: tuple[str, ...], n: int) -> list[str]:
    """Our iterations per second, `n` a sample's unit, and the ratios of scikit-learn and of the
    best rival.
    """
    samples = {title: lane["seconds"] for title, lane in lanes.items()}
    both = (sklearn, best(samples, rivals))
    ratios = [
        digits(ratio(samples[title], samples[us]).middle) if title in samples else ""
        for title in both
    ]
    return [rounded(n / median(samples[us])), *ratios]
