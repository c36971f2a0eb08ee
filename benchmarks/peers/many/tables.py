"""Many networks as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.peers.aims import Aim, Ratio, ratio
from benchmarks.peers.many.jobs import KINDS, MIXED, network
from benchmarks.peers.many.measure import JAX, PEERS, US, US_1, USUAL
from benchmarks.peers.tables import row, seconds, separator

RIVALS = tuple(title for title in PEERS if title != US)


def about(many: dict) -> str:
    """Where, when and with what."""
    a = many["about"]
    versions = ", ".join(f"{name} {version}" for name, version in a["versions"].items())
    load = "" if a["load"] is None else f" Load before: {a['load']}."
    return f"Many networks at once, measured on {a['date']} on one {a['cpu']}, {a['cores']} cores ({versions}).{load}"


def table(many: dict) -> str:
    """A line for each number of members: our time, and how many times as long others take."""
    heads = ["iterations a member, members", "`train_many`", *(f"× {title}" for title in RIVALS), "× JAX, compiling"]
    lines = [row(heads), separator(len(heads))]
    for name, jobs in many["networks"].items():
        for job, counts in jobs.items():
            iterations, kind = job.split(", ")
            for count, lanes in counts.items():
                if US not in lanes:
                    continue
                cells = [
                    f"{describe(name)}; {int(iterations):,}, {kind}, {int(count):,}",
                    seconds(lanes[US]["seconds"]),
                ]
                cells += [str(paired(lanes[t], lanes[US])) if t in lanes else "" for t in RIVALS]
                cells.append(str(compiling(lanes)) if JAX in lanes else "")
                lines.append(row(cells))
    return "\n".join(lines)


NOTES = (
    "How many times as long as `train_many` on all cores the others take: the drawing of weights is counted, answers "
    "are compared with the reference's before, and an empty place would have taken too long. JAX: `vmap` over "
    "`lax.scan`, compiled before, and in the last column with its compilation, which each number of members and "
    "iterations needs; fastnn's kernel, compiled once on a machine, comes from the disk cache. PyTorch: "
    "`torch.func.vmap` in a loop, on one thread. Where they are mixed, members have from "
    f"{MIXED[0]:g} to {MIXED[1]:g} times so many iterations: with JAX all compute to the end of the longest, with "
    "PyTorch those that are done leave the stack. scikit-learn trains the seed by its own rules."
)


def describe(name: str) -> str:
    """A network in a few words."""
    w = network(name)
    rows = f"{len(w.X)} rows" if w.batches == 1 else f"batches of {w.batch}"
    scored = f", {len(w.held_out[0])} others validated" if w.held_out else ""
    return f"{'-'.join(map(str, w.network.sizes))}, {rows}{scored}, {w.optimizer.name}, {w.X.dtype}"


def paired(theirs: dict, ours: dict) -> Ratio:
    """Theirs by ours, of the rounds that both had."""
    n = min(len(theirs["seconds"]), len(ours["seconds"]))
    return ratio(theirs["seconds"][:n], ours["seconds"][:n])


def compiling(lanes: dict) -> Ratio:
    """JAX' first call, which compiles, by our time."""
    ours = lanes[US]["seconds"]
    return ratio([lanes[JAX]["first_call"]] * len(ours), ours)


def aims(many: dict) -> Iterator[Aim]:
    """What is wanted of many networks at once."""
    jobs = many.get("networks", {}).get("seed", {})
    for kind, title, least in ((KINDS[0], US_1, 1.0), (KINDS[0], US, 1.5), (KINDS[1], US, 2.0)):
        lanes = jobs.get(f"{USUAL}, {kind}", {}).get("64", {})
        found = paired(lanes[JAX], lanes[title]) if {JAX, title} <= lanes.keys() else None
        yield Aim(f"{title}: seed, 64 members, {kind}", JAX, least, found)
    compiled = [
        (compiling(lanes), f"{name}, {job}, {members} members")
        for name, jobs in many.get("networks", {}).items()
        for job, counts in jobs.items()
        for members, lanes in counts.items()
        if {JAX, US} <= lanes.keys()
    ]
    least_of, where = min(compiled, key=lambda one: one[0].median, default=(None, "everywhere"))
    yield Aim(f"{US}: least of all, {where}", f"{JAX}, compiling", 1.0, least_of)
