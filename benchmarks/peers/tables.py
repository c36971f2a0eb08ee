"""The measurement as Markdown: what stands between the markers of benchmarks/README.md."""

from __future__ import annotations

from statistics import median

import numpy as np

from benchmarks.peers import workloads as peer_workloads
from benchmarks.peers.aims import COUNTED, Aim, digits, own_kernels, rate, ratio
from benchmarks.peers.measure import JAX, LOOP, OWN, OWN_PEERS, PEERS, SKLEARN, TORCH, US
from benchmarks.peers.threads import ALL, ONE_CORE
from benchmarks.peers.workloads import VALIDATION
from fastnn import workloads


def about(found: dict) -> str:
    """Where, when and with what."""
    a = found["about"]
    versions = ", ".join(f"{name} {version}" for name, version in a["versions"].items())
    blas = f" BLAS: {'; '.join(a['blas'])}." if a["blas"] else ""
    load = "" if a["load"] is None else f" Load before: {a['load']}."
    if a.get("busy"):
        load += f" {a['busy']} of {a['rounds']} rounds began while other processes kept the machine busy."
    return (
        f"Measured on {a['date']} by `nox -s measure -- peers` on one {a['cpu']}, {a['cores']} cores ({versions}; "
        f"{a['compiler'] or 'no C compiler'}).{blas}{load} fastnn uses one thread; PyTorch, JAX and the BLAS of NumPy "
        "and scikit-learn all cores, unless said."
    )


def training(trainings: dict) -> str:
    """Iterations a second, and how many times as fast as each peer."""
    titles = [t for t in PEERS if t != US and any(t in lanes for lanes in trainings.values())]
    lines = [row(["workload", "fastnn, iterations a second", *(f"× {title}" for title in titles)])]
    lines.append(separator(len(titles) + 2))
    for name, lanes in trainings.items():
        ours = lanes[US]["seconds"]
        low, middle, high = 1 / np.percentile(ours, [75, 50, 25])
        cells = [f"{describe(name)}", f"{rounded(middle)} ({rounded(low)}–{rounded(high)})"]
        for title in titles:
            theirs = lanes.get(title)
            mark = "*" if theirs and theirs["own_rules"] else ""
            cells.append(f"{ratio(theirs['seconds'], ours)}{mark}" if theirs else "")
        lines.append(row(cells))
    return "\n".join(lines)


def by_threads(found: dict) -> str:
    """Where and when; our speed on all cores, and the ratios of one core each and of all cores each."""
    titles = [*ONE_CORE, LOOP, SKLEARN, TORCH, JAX]
    heads = ["workload", "fastnn on all cores, iterations a second", "× one thread", *(f"× {t}" for t in titles)]
    lines = [row(heads), separator(len(heads))]
    for name, lanes in found["workloads"].items():
        ours = lanes[ALL]["seconds"]
        cells = [describe(name), rounded(1 / median(ours)), str(ratio(lanes[US]["seconds"], ours))]
        for title in titles:
            same = lanes[US]["seconds"] if title in ONE_CORE else ours
            mark = "*" if title in lanes and lanes[title]["own_rules"] else ""
            cells.append(f"{ratio(lanes[title]['seconds'], same)}{mark}" if title in lanes else "")
        lines.append(row(cells))
    a = found["about"]
    versions = ", ".join(f"{name} {version}" for name, version in a["versions"].items())
    return "\n".join(
        [
            f"With equal threads, measured on {a['date']} on one {a['cpu']}, {a['cores']} cores ({versions}). Load "
            f"before: {a['load']}.",
            "",
            *lines,
            "",
            BY_THREADS_NOTES,
        ]
    )


BY_THREADS_NOTES = (
    'The columns "1 core" are fastnn on one thread beside a peer that is bound to one core, the others fastnn beside a '
    "peer with all cores each. fastnn takes a thread for each core where that is faster than one, with the same bits. "
    "Threads wait for one another in each step: where another process takes a core away, as it did here at times, "
    "short steps such as those of `tab` suffer most."
)


TRAINING_NOTES = (
    "How many times as fast fastnn is: the median of the rounds' ratios and, in brackets, their quartiles. All start "
    "from the same weights, see the same rows in the same order, and are compared with the reference before they are "
    "timed; * has its own rules on the same sizes, and only has to learn."
)


def validated_notes(found: dict) -> str:
    """Return what the table of validated trainings shows, and when it was measured."""
    a = found.get("validated about", found["about"])
    return (
        "The same with the loss of held-out rows after every epoch, which is compared with the reference's too: fastnn "
        "by `Stop(validation=...)`, scikit-learn by `partial_fit`, JAX within its compiled loop, the others in Python. "
        f"Measured on {a['date']} on one {a['cpu']} with fastnn {a['versions']['fastnn']}."
    )


def own(found: dict) -> str:
    """Kernels of their own beside the generic one and the peers."""
    lines = [row(["workload", "iterations a second", *(f"× {title}" for title in OWN_PEERS), "compiled in", "repaid"])]
    lines.append(separator(len(OWN_PEERS) + 4))
    for name, lanes in found["own kernels"].items():
        if OWN not in lanes or US not in lanes:
            continue
        ours, generic, compiled = own_kernels(found)[name][US], lanes[US]["seconds"], lanes[OWN]["first_call"]
        theirs = [ratio(lanes[t]["seconds"], ours) if t in lanes else "" for t in OWN_PEERS]
        saved = median(generic) - median(lanes[OWN]["seconds"])
        repaid = f"after {rounded(compiled / saved / 1e6)} million iterations" if saved > 0 else "never"
        lines.append(row([describe(name), rounded(1 / median(ours)), *map(str, theirs), f"{compiled:.1f} s", repaid]))
    return "\n".join([*lines, "", OWN_NOTES])


OWN_NOTES = (
    'With `get_backend("numba", specialize=True)` a small network, in batches that fit one vector, trains by a kernel '
    "compiled for it, with the same bits. All figures but the last include that compilation, from an empty cache and "
    f"before Numba is imported, spread over {COUNTED // 10**6} million iterations."
)


def describe(name: str) -> str:
    """A workload in a few words."""
    held_out = peer_workloads.load(name).held_out
    name = name.removesuffix(VALIDATION)
    w = workloads.load(name)
    batch = min(w.batch_size or len(w.X), len(w.X))
    sizes = "-".join(map(str, w.network.sizes))
    return f"`{name}`: {sizes}, {batch} row{'s' * (batch > 1)}, {w.optimizer.name}, {w.dtype}" + (
        f"; {len(held_out[0])} rows validated" if held_out else ""
    )


def other(found: dict) -> str:
    """What is not training speed: a table of medians, one line a peer."""
    rows, heads = [], ["", "predict 1 row", "predict 10,000 rows", "0.96 of held-out digits", "process", "memory"]
    for title in PEERS:
        cells = [title]
        cells += [seconds(found.get("prediction", {}).get(n, {}).get(title)) for n in ("1", "10000")]
        learned = found.get("accuracy", {}).get(title, {})
        epochs = f", {median(learned['epochs']):.0f} epochs" if learned.get("epochs") else ""
        cells.append(seconds(learned.get("seconds")) + epochs)
        process = found.get("processes", {}).get(title, {})
        cells.append(seconds(process.get("seconds")))
        known = [size for size in process.get("bytes", ()) if size]
        cells.append(f"{median(known) / 1e6:.0f} MB" if known else "")
        if any(cells[1:]):
            rows.append(row(cells))
    notes = OTHER_NOTES
    if "cold" in found:
        notes += f" The first `train` ever on a machine, with an empty cache: {seconds(found['cold'])}."
    return "\n".join([row(heads), separator(len(heads)), *rows, "", notes])


OTHER_NOTES = (
    "Medians and quartiles. Prediction: a 64-64-10 classifier, float32. Digits: warm, on shuffled rows, as many epochs "
    "as each seed needs. Process, and the most memory that it takes: the seed's 100 iterations, from the start of "
    "Python to its end; fastnn's kernel comes from the disk cache."
)


def aims_table(aims: list[Aim]) -> str:
    """Each ratio that is meant to be reached."""
    lines = [row(["what", "against", "at least", "measured", ""]), separator(5)]
    for aim in aims:
        verdict = "not measured" if aim.found is None else "" if aim.met else "missed"
        measured = "" if aim.found is None else str(aim.found)
        if aim.found and aim.found.low == aim.found.high:
            measured = digits(aim.found.median)
        lines.append(row([aim.what, aim.against, f"{aim.least:.3g}", measured, verdict]))
    return "\n".join(lines)


def limits(found: dict) -> str:
    """GF/s of the core and of the products in the kernel."""
    levels = {level: limits for level, limits in found.get("hardware", {}).items() if limits}
    if not levels:
        return "The core's peak was not measured: no C compiler."
    lines = [row(["float32, one core, GF/s", *levels]), separator(1 + len(levels))]
    lines.append(row(["FMA peak", *(f"{max(l['peak']):.0f} at {max(l['clock']):.2f} GHz" for l in levels.values())]))
    for width in next(iter(levels.values()))["products"]:
        for kind in ("forward", "forward and back"):
            cells = [f"{width} wide, {kind}"]
            for l in levels.values():
                found_rate = rate(l["products"][width], lambda products, kind=kind: products[kind])
                cells.append(f"{found_rate:.0f} ({found_rate / max(l['peak']):.0%})")
            lines.append(row(cells))
    return "\n".join(lines)


def skipped(found: dict) -> str:
    """What was not measured, and why."""
    lines = [f"- {title} was skipped: {reason}" for title, reason in found["skipped"].items()]
    lines += [f"- {what} failed: {reason}" for what, reason in found["failed"].items()]
    return "\n".join(lines)


def seconds(samples: list[float] | None) -> str:
    """The median of times, and their quartiles."""
    if not samples:
        return ""
    low, middle, high = np.percentile(samples, [25, 50, 75])
    size, unit = next(((s, u) for s, u in ((1, "s"), (1e-3, "ms")) if middle >= s), (1e-6, "µs"))
    return f"{digits(middle / size)} {unit} ({digits(low / size)}–{digits(high / size)})"


def rounded(number: float) -> str:
    """Three digits are enough."""
    return f"{float(f'{number:.3g}'):,.0f}"


def row(cells: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def separator(n: int) -> str:
    """The line below the heads."""
    return f"|{'---|' * n}"
