"""Numbers as text, for the pages of the benchmarks."""

from collections.abc import Sequence

from fastnn.measuring.timing import digits, quartiles


def rounded(number: float) -> str:
    """Return a large number with three digits that say something."""
    return f"{float(f'{number:.3g}'):,.0f}"


def times_text(samples: Sequence[float] | None) -> str:
    """Return the median of seconds and their quartiles as text, "" of none."""
    if not samples:
        return ""
    interval = quartiles(samples)
    size, unit = next(
        ((s, u) for s, u in ((1, "s"), (1e-3, "ms")) if interval.middle >= s), (1e-6, "µs")
    )
    low, middle, high = (digits(number / size) for number in interval)
    return f"{middle} {unit} ({low}–{high})"
