"""The exponent p of a power law y = c x^p, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

NEAR = 0.5
"""An exponent may be so far from the expected one, which is whole: caches and fixed costs bend every curve."""


class Exponent(NamedTuple):
    """How y grows with x: doubling x multiplies y by ``2 ** value``."""

    value: float
    low: float
    """The 95 % interval: of the noise, and of how far the curve is from a power law."""
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})".replace("-0.00", "0.00")


def exponent(x: Sequence[float], y: Sequence[float]) -> Exponent:
    """The slope of log y over log x.

    Parameters
    ----------
    x, y : sequence of float
        Three positive points or more, of the upper range, where fixed costs are small.

    Raises
    ------
    ValueError
        If there are fewer, or one is not positive.
    """
    if len(x) < 3 or len(x) != len(y) or min(*x, *y) <= 0:
        raise ValueError(f"an exponent needs three positive points or more, got x {list(x)}, y {list(y)}")
    # With so few points polyfit divides the residuals by what is left of their number: the usual standard error.
    (slope, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    half = stats.t.ppf(0.975, len(x) - 2) * covariance[0, 0] ** 0.5
    return Exponent(float(slope), float(slope - half), float(slope + half))
