"""Compare two commands: run them in turn, pair by pair, until every ratio is decided; run again
what looks slower.

The two runs of a pair are neighbors in time, so what slows the machine for longer than a pair
cancels in the ratio; the order within the pairs alternates (base head, head base), so that a drift
cancels too. A disturbance of a single run makes an outlier, which does not move the median while
outliers are the minority.
"""

import datetime
import functools
import time
from collections.abc import Callable, Collection, Sequence
from statistics import median
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.gate import CommandError, Quantity, Sample, run
from fastnn.measuring import machine
from fastnn.measuring.timing import Interval

FEWEST = 6  # Pairs before anything is decided; then two more at a time, one in each order
PAIRS = 20  # Pairs at most, in a round; what is undecided then has not been shown to be slower
THRESHOLD = 1.05
"""A ratio above it is slower. `tests/gate/test_statistics.py` simulates what it finds, and how
often it is wrong."""
COARSE = 1.2
"""The same for starts: a process has one sample, or the system's work with memory and files is a
part of it."""
CONFIDENCE = 0.95  # Level of the interval: about how often it contains the true ratio
RESAMPLES = 1_000
SEED = 0  # The same samples always give the same verdict

Pair = tuple[float, float]
Verdict = Literal["slower", "undecided", "no slower", "faster"]


def interval(pairs: Sequence[Pair]) -> Interval:
    """Return the median ratio of the pairs (base, head), and its bootstrap interval.

    The pairs are drawn again, with replacement, `RESAMPLES` times; the interval holds `CONFIDENCE`
    of the medians.
    """
    base, head = np.array(pairs, np.float64).T
    ratios = np.log(head / base)
    medians = np.median(ratios[_drawn(len(ratios))], axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.exp(np.quantile(medians, [tail, 1 - tail]))
    return Interval(float(low), float(np.exp(np.median(ratios))), float(high))


@functools.cache
def _drawn(n: int) -> NDArray[np.int64]:
    """Return the pairs, of n, that each resample draws (RESAMPLES, n)."""
    return np.random.RandomState(SEED).randint(n, size=(RESAMPLES, n))


def judge(ratio: Interval, threshold: float) -> Verdict:
    """Return "slower" where the whole interval lies above the threshold, "undecided" where that is
    within.

    Otherwise it is "no slower", and "faster" where the interval lies as far below 1 as the
    threshold above.
    """
    if ratio.low > threshold:
        return "slower"
    if ratio.high > threshold:
        return "undecided"
    return "faster" if ratio.high < 1 / threshold else "no slower"


class GateSettings(NamedTuple):
    """The settings of a comparison: the most pairs to run, the threshold, and whether to time at
    all.
    """

    pairs: int = PAIRS
    threshold: float = THRESHOLD
    timed: bool = True  # Whether to compare more than the counts

    def threshold_of(self, quantity: Quantity) -> float:
        """Return the ratio above which this quantity is slower."""
        return max(self.threshold, COARSE) if quantity.kind == "starts" else self.threshold


class Sides(NamedTuple):
    """A count of both sides, or a quantity that only one side measures, so that it is not
    compared.
    """

    quantity: Quantity
    base: float | None  # None where base does not have it
    head: float | None

    @property
    def verdict(self) -> str:
        """The verdict on head beside base."""
        if self.base is None or self.head is None:
            return "new" if self.base is None else "gone"
        return "equal" if self.head == self.base else "more" if self.head > self.base else "fewer"


class Comparison(NamedTuple):
    """One quantity measured on both sides."""

    quantity: Quantity
    threshold: float
    rounds: tuple[tuple[Pair, ...], ...]
    """(base, head) in seconds or bytes, pair by pair: of the first round, and of the rerun if there
    was one."""

    @property
    def ratio(self) -> Interval:
        """Ratio head / base of the last round, with its interval."""
        return interval(self.rounds[-1])

    @property
    def base(self) -> float:
        """Median of base in the last round."""
        return median(base for base, _ in self.rounds[-1])

    @property
    def head(self) -> float:
        """Median of head in the last round."""
        return median(head for _, head in self.rounds[-1])

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdict of each round."""
        return tuple(judge(interval(pairs), self.threshold) for pairs in self.rounds)

    @property
    def slower(self) -> bool:
        """Whether the verdict of both rounds is "slower"."""
        return self.verdicts == ("slower", "slower")

    @property
    def verdict(self) -> str:
        """The verdict of both rounds in a few words."""
        verdicts = self.verdicts
        if verdicts[0] == "slower" and not self.slower:
            return "slower once, not again"
        return verdicts[-1]


class Outcome(NamedTuple):
    """The result of the gate."""

    date: str
    cpu: str
    base: str
    head: str
    first_runs: Pair
    """Seconds of each command's first run, which may compile and fill caches; no part of any
    comparison."""
    counts: tuple[Sides, ...]
    comparisons: tuple[Comparison, ...]
    alone: tuple[Sides, ...]
    seconds: float  # Seconds of the whole comparison

    @property
    def gone(self) -> list[str]:
        """Names of what base measures and head does not."""
        return [
            sides.quantity.name for sides in (*self.alone, *self.counts) if sides.verdict == "gone"
        ]

    @property
    def worse(self) -> list[Sides]:
        """The counts of which head has more."""
        return [count for count in self.counts if count.verdict == "more"]

    @property
    def passed(self) -> bool:
        """Whether no count is worse and nothing is slower."""
        return not self.worse and not any(c.slower for c in self.comparisons)


def compare(
    base: str,
    head: str,
    settings: GateSettings,
    after_each: Callable[[str], object] = lambda what: None,
) -> Outcome:
    """Run two commands in turn and say whether the second is slower.

    Both are commands for the shell that print a report (see `fastnn.gate`). Counts come first:
    where one is worse, nothing is timed. What one side alone measures is not compared. After every
    run `after_each` is called with what comes next. It is a `CommandError` if a command fails, or
    if the two measure nothing in common.
    """
    start = time.perf_counter()
    both = functools.partial(_run_both, base, head, after_each)
    first = both("first runs", "counting")
    warm = both("counting", "timing")
    values, counts = zip(*((sample.values, sample.counts) for sample in warm), strict=True)
    common = [q for q in values[0] if q in values[1]]
    if not counts[0].keys() & counts[1].keys() and not (settings.timed and common):
        what = "measure nothing" if settings.timed else "print no count"
        raise CommandError(f"base and head {what} of the same name, so they cannot be compared")
    of_counts = (
        Sides(Quantity("counts", name), *(of.get(name) for of in counts))
        for name in counts[0] | counts[1]
    )
    lone = [q for q in values[0] | values[1] if settings.timed and q not in common]
    outcome = Outcome(
        datetime.date.today().isoformat(),
        machine.cpu_model(),
        base,
        head,
        first_runs=(first[0].seconds, first[1].seconds),
        counts=tuple(of_counts),
        comparisons=(),
        alone=tuple(Sides(q, *(of.get(q) for of in values)) for q in lone),
        seconds=0.0,
    )
    if settings.timed and common and not outcome.worse:
        rounds = _round(common, settings, functools.partial(both, "timing", "timing"), [warm])
        slower = [
            q for q in common if judge(interval(rounds[q]), settings.threshold_of(q)) == "slower"
        ]
        again: dict[Quantity, tuple[Pair, ...]] = {}
        if slower:
            again = _round(
                slower, settings, functools.partial(both, "timing again", "timing again"), []
            )
        comparisons = []
        for q in common:
            pairs = (rounds[q], again[q]) if q in again else (rounds[q],)
            comparisons.append(Comparison(q, settings.threshold_of(q), pairs))
        outcome = outcome._replace(comparisons=tuple(comparisons))
    return outcome._replace(seconds=time.perf_counter() - start)


def _run_both(
    base: str,
    head: str,
    after_each: Callable[[str], object],
    second: str,
    then: str,
    turned: bool = False,
) -> tuple[Sample, Sample]:
    """Run base and head, or head and base; `after_each` hears of the second run, and what comes
    then.
    """
    commands = (head, base) if turned else (base, head)
    samples = []
    for command, next_one in zip(commands, (second, then), strict=True):
        samples.append(run(command))
        after_each(next_one)
    return (samples[1], samples[0]) if turned else (samples[0], samples[1])


def _round(
    quantities: Collection[Quantity],
    settings: GateSettings,
    run_both: Callable[[bool], tuple[Sample, Sample]],
    begun: Sequence[tuple[Sample, Sample]],
) -> dict[Quantity, tuple[Pair, ...]]:
    """Run pairs in the order base head, head base, and so on, until all is decided or the pairs are
    used up.
    """
    samples = list(begun)
    while True:
        samples.append(run_both(len(samples) % 2 == 1))
        for side, sample in zip(("base", "head"), samples[-1], strict=True):
            if lost := ", ".join(q.name for q in quantities if q not in sample.values):
                raise CommandError(
                    f"{side} does not measure the same in each run; missing this time: {lost}"
                )
        pairs = {
            q: tuple((base.values[q], head.values[q]) for base, head in samples) for q in quantities
        }
        if len(samples) >= settings.pairs:
            return pairs
        if len(samples) >= FEWEST and len(samples) % 2 == 0:  # as many of either order
            verdicts = {judge(interval(pairs[q]), settings.threshold_of(q)) for q in quantities}
            if "undecided" not in verdicts:
                return pairs
