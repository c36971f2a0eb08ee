"""The reference's update: of one gradient, of all gradients within a bound, and the sizes of its terms."""

from __future__ import annotations

import numpy as np

from fastnn import reference
from fastnn.memory import Array
from fastnn.optimizers import Optimizer
from fastnn.reference import Rates

_PARTS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of a bound


def updated(optimizer: Optimizer, vectors: Array, gradient: Array, rates: Rates) -> Array:
    """Return parameters and optimizer state (1 + n_slots, n) after one step of the reference from `vectors`."""
    after = vectors.copy()
    with np.errstate(all="ignore"):
        reference.UPDATES[optimizer.name](optimizer, after[0], after[1:], gradient, rates)
    return after


def update_terms(optimizer: Optimizer, vectors: Array, gradient: Array, rates: Rates) -> Array:
    """Return the largest term (1 + n_slots, n) of each entry of an update."""
    sizes = abs(vectors)
    added = [updated(optimizer, sizes, sign * abs(gradient), rates) for sign in (1, -1)]
    terms = np.maximum(*(abs(v) for v in added))
    terms[0] = np.maximum(*(abs(v[0] - sizes[0]) for v in added))
    return np.maximum(terms, sizes)


def update_range(
    optimizer: Optimizer, vectors: Array, gradient: Array, bound: Array, rates: Rates
) -> tuple[Array, Array]:
    """Return the least and the largest (1 + n_slots, n) update for gradients within `bound` of `gradient`.

    A learning rate times the bound would not do: Adam, RMSprop and RPROP divide a gradient by its own size or take its
    sign, and so make a whole step of the rounding error of a gradient that is 0. Parameters do not depend on one
    another here, and an update is monotone in a gradient but for where its sign changes: so the ends of the interval,
    the point of it that is nearest to 0, and some between them tell the range.
    """
    low, high = gradient - bound, gradient + bound
    points = [gradient + part * bound for part in _PARTS] + [np.clip(np.zeros_like(low), low, high)]
    results = [updated(optimizer, vectors, point.astype(vectors.dtype), rates) for point in points]
    return np.min(results, axis=0), np.max(results, axis=0)
