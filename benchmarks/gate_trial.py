"""Measure the false alarms of the performance gate, and which changes it finds: python benchmarks/gate_trial.py --help.

A copy of the package is compared with itself, again and again: every alarm is a false one. Then with a copy that
trains 15 % slower: every gate that passes has missed it. Then with copies that have lost the fast path, each in another
way, which the counts must show without any timing.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import shutil
import sys
import tempfile
import time
from statistics import median
from typing import NamedTuple

from readme import replace

from fastnn.gate.compare import GateSettings, Outcome, compare
from fastnn.measuring import machine

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "gate_trial.json"
PROBE = ROOT / "benchmarks" / "gate_probe.py"
RUNS = 20


class Change(NamedTuple):
    """A change of one file of the package: text that stands there once, and what takes its place."""

    what: str
    file: str
    old: str
    new: str

    def apply(self, package: pathlib.Path) -> None:
        path = package / self.file
        text = path.read_text("utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} holds {text.count(self.old)} times, not once: {self.old!r}")
        path.write_text(text.replace(self.old, self.new), "utf-8")


SLOWER = Change(
    "the fused back end does 15 % of its steps twice, the second time with a copy of the state",
    "fused/backend.py",
    "SPECIAL = 10_000",
    """
from dataclasses import replace as _replace

_train_steps, _owed = NumbaBackend.train_steps, [0.0]


def _slower(self, task, state, steps):
    _owed[0] += 0.15 * len(steps.loss)
    n = min(int(_owed[0]), len(steps.loss))
    _owed[0] -= n
    if n:
        if "slower" not in task.kept:
            task.kept["slower"] = _replace(task), state.copy()
        again = steps._replace(
            start=steps.start[:n], stop=steps.stop[:n], learning_rate=steps.learning_rate[:n], loss=np.zeros(n)
        )
        _train_steps(self, *task.kept["slower"], again)
    return _train_steps(self, task, state, steps)


NumbaBackend.train_steps = _slower


SPECIAL = 10_000""",
)
LOSSES = {
    "numpy": Change(
        "the fused back end trains by the NumPy reference",
        "fused/backend.py",
        "SPECIAL = 10_000",
        "from fastnn.reference import NumpyBackend\nNumbaBackend.train_steps = NumpyBackend.train_steps\n\n"
        "SPECIAL = 10_000",
    ),
    "cache": Change(
        "kernels are not found on disk", "compiler/loader.py", "content = cache.load(title, variant)", "content = None"
    ),
    "import": Change(
        "`import fastnn` imports Numba", "__init__.py", "def __getattr__(", "import numba\n\ndef __getattr__("
    ),
}


class Copies:
    """Copies of the package, each with its own kernel cache, and the commands that measure them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def command(self, name: str, change: Change | None = None) -> str:
        """The command that measures a copy of the working tree's package, with a change."""
        path, cache = self.folder / name, self.folder / f"{name}-cache"
        shutil.copytree(ROOT / "fastnn", path / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
        cache.mkdir(mode=0o700)
        if change:
            change.apply(path / "fastnn")
        variables = (f"PYTHONPATH={path}", f"FASTNN_CACHE_DIR={cache}")
        return shlex.join(["env", *variables, sys.executable, str(PROBE)])


def trial(runs: int, say=print) -> dict:
    """All three parts; `say` is told of each gate."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        copies = Copies(pathlib.Path(folder))
        base, same, slow = copies.command("base"), copies.command("same"), copies.command("slow", SLOWER)
        found = {"about": about(), "losses": [], "same": [], "slow": []}
        for name, change in LOSSES.items():
            outcome = compare(base, copies.command(name, change), GateSettings(timed=False))
            found["losses"].append({"what": change.what, "passed": outcome.passed, "by": worse(outcome)})
            say(f"{change.what}: {', '.join(worse(outcome)) or 'NOT NOTICED'}")
        for i in range(runs):  # in turn, so that both see the same machine
            for kind, head in (("same", same), ("slow", slow)):
                outcome = compare(base, head, GateSettings())
                found[kind].append(summary(outcome))
                slower = [c.quantity.name for c in outcome.comparisons if c.slower]
                say(f"{i + 1} of {runs}, {kind}: {', '.join(slower) or 'passed'} ({outcome.seconds:.0f} s)")
        found["about"]["minutes"] = round((time.perf_counter() - start) / 60, 1)
        return found


def about() -> dict:
    return {"date": time.strftime("%Y-%m-%d"), "cpu": machine.cpu_model(), "versions": machine.versions()}


def worse(outcome: Outcome) -> list[str]:
    return [f"{count.name}: {count.base} to {count.head}" for count in outcome.counts if count.worse]


def summary(outcome: Outcome) -> dict:
    """What is kept of one gate."""
    quantities = {
        c.quantity.name: {"ratio": round(c.ratio.middle, 4), "verdicts": c.verdicts, "slower": c.slower}
        for c in outcome.comparisons
    }
    return {"passed": outcome.passed, "seconds": round(outcome.seconds, 1), "quantities": quantities}


def table(found: dict) -> str:
    """The results as Markdown."""
    about, same, slow = found["about"], found["same"], found["slow"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    seconds = [f"{median(gate['seconds'] for gate in gates):.0f} s" for gates in (same, slow)]
    lines = [
        f"Measured on {about['date']} by `python benchmarks/gate_trial.py` on one {about['cpu']} ({versions}), in "
        f"{about['minutes']:.0f} minutes. A gate took {seconds[0]} where it passed and {seconds[1]} where it did not "
        "(medians).",
        "",
        f"| what | against itself, {len(same)} gates | alarms | kernel slowed, {len(slow)} gates | caught |",
        "|---|---|---|---|---|",
    ]
    for name in same[0]["quantities"]:
        cells = [cell for gates in (same, slow) for cell in _ratio_and_count(gates, name)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    failed = [f"{sum(not gate['passed'] for gate in gates)} of {len(gates)}" for gates in (same, slow)]
    lines += [
        f"| **the gate fails** | | **{failed[0]}** | | **{failed[1]}** |",
        "",
        "Ratios, head by base: their median over the gates and, in brackets, the least and the most. An alarm needs "
        f"two rounds. Slowed: {SLOWER.what}. Prediction and start stay as they are, a training of one step mostly "
        "does, and the copy takes some memory.",
        "",
        "| lost | noticed without timing, by |",
        "|---|---|",
        *(f"| {loss['what']} | {'; '.join(loss['by']) or '**not noticed**'} |" for loss in found["losses"]),
    ]
    return "\n".join(lines)


def _ratio_and_count(gates: list[dict], name: str) -> tuple[str, str]:
    ratios = [gate["quantities"][name]["ratio"] for gate in gates]
    count = sum(gate["quantities"][name]["slower"] for gate in gates)
    return f"{median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})", str(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="gates of each kind")
    parser.add_argument("--json", type=pathlib.Path, default=RESULTS, help="where the results go, or come from")
    parser.add_argument("--print", action="store_true", help="print the table of kept results, and measure nothing")
    parser.add_argument("--readme", action="store_true", help="put the table into benchmarks/README.md")
    options = parser.parse_args()
    if not options.print:
        options.json.write_text(json.dumps(trial(options.runs), indent=1) + "\n", "utf-8")
    content = table(json.loads(options.json.read_text("utf-8")))
    print(content)
    if options.readme:
        page = ROOT / "benchmarks" / "README.md"
        page.write_text(replace(page.read_text("utf-8"), "gate", content), "utf-8")


if __name__ == "__main__":
    main()
