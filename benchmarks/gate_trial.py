"""Measure the false alarms of the performance gate, and which changes it finds: ``python -m benchmarks.gate_trial``.

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

from benchmarks.instructions import PROBE
from benchmarks.readme import ROOT, put
from fastnn.gate.compare import GateSettings, Outcome, compare
from fastnn.measuring import machine
from fastnn.measuring.tables import Interval, markdown

RESULTS = ROOT / "benchmarks" / "results" / "gate_trial.json"
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


def command(folder: pathlib.Path, name: str, change: Change | None = None) -> str:
    """The command that measures a copy of the working tree's package, with a change and a kernel cache of its own."""
    path, cache = folder / name, folder / f"{name}-cache"
    shutil.copytree(ROOT / "fastnn", path / "fastnn", ignore=shutil.ignore_patterns("__pycache__"))
    cache.mkdir(mode=0o700)
    if change:
        change.apply(path / "fastnn")
    variables = (f"PYTHONPATH={path}", f"FASTNN_CACHE_DIR={cache}")
    return shlex.join(["env", *variables, sys.executable, PROBE, "gate"])


def trial(runs: int, say=print) -> dict:
    """All three parts; `say` is told of each gate."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        base, same, slow = command(folder, "base"), command(folder, "same"), command(folder, "slow", SLOWER)
        found = {"about": machine.circumstances(), "losses": [], "same": [], "slow": []}
        for name, change in LOSSES.items():
            outcome = compare(base, command(folder, name, change), GateSettings(timed=False))
            by = [f"{count.name}: {count.base} to {count.head}" for count in outcome.counts if count.worse]
            found["losses"].append({"what": change.what, "passed": outcome.passed, "by": by})
            say(f"{change.what}: {', '.join(by) or 'NOT NOTICED'}")
        for i in range(runs):  # in turn, so that both see the same machine
            for kind, head in (("same", same), ("slow", slow)):
                outcome = compare(base, head, GateSettings())
                found[kind].append(summary(outcome))
                slower = [c.quantity.name for c in outcome.comparisons if c.slower]
                say(f"{i + 1} of {runs}, {kind}: {', '.join(slower) or 'passed'} ({outcome.seconds:.0f} s)")
        found["about"]["minutes"] = round((time.perf_counter() - start) / 60, 1)
        return found


def summary(outcome: Outcome) -> dict:
    """What is kept of one gate."""
    quantities = {
        c.quantity.name: {"ratio": round(c.ratio.middle, 4), "verdicts": c.verdicts, "slower": c.slower}
        for c in outcome.comparisons
    }
    return {"passed": outcome.passed, "seconds": round(outcome.seconds, 1), "quantities": quantities}


def table(found: dict) -> str:
    """The results as Markdown."""
    about, both = found["about"], (found["same"], found["slow"])
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    passed, not_passed = (f"{median(gate['seconds'] for gate in gates):.0f} s" for gates in both)
    rows = []
    for name in found["same"][0]["quantities"]:
        cells = [name]
        for gates in both:
            ratios = [gate["quantities"][name]["ratio"] for gate in gates]
            low, middle, high = Interval(min(ratios), median(ratios), max(ratios))
            slower = sum(gate["quantities"][name]["slower"] for gate in gates)
            cells += [f"{middle:.3f} ({low:.3f}–{high:.3f})", str(slower)]
        rows.append(cells)
    fails = [f"**{sum(not gate['passed'] for gate in gates)} of {len(gates)}**" for gates in both]
    rows.append(["**the gate fails**", "", fails[0], "", fails[1]])
    itself, slowed = (f"{what}, {len(gates)} gates" for what, gates in zip(KINDS, both, strict=True))
    lost = [[loss["what"], "; ".join(loss["by"]) or "**not noticed**"] for loss in found["losses"]]
    return "\n\n".join(
        [
            f"Measured on {about['date']} by `python -m benchmarks.gate_trial` on one {about['cpu']} ({versions}), in "
            f"{about['minutes']:.0f} minutes. A gate took {passed} where it passed and {not_passed} where it did not "
            "(medians).",
            markdown(["what", itself, "alarms", slowed, "caught"], rows),
            "Ratios, head by base: their median over the gates and, in brackets, the least and the most. An alarm "
            f"needs two rounds. Slowed: {SLOWER.what}. Prediction and start stay as they are, a training of one step "
            "mostly does, and the copy takes some memory.",
            markdown(["lost", "noticed without timing, by"], lost),
        ]
    )


KINDS = ("against itself", "kernel slowed")


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
        put(ROOT / "benchmarks" / "README.md", "gate", content)


if __name__ == "__main__":
    main()
