"""The worst difference of two parameter vectors, with its layer and index, for messages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastnn.memory import Array
from fastnn.network import Network
from fastnn.testing.tolerances import ulp_difference

_LISTED = 6  # tensors


class Difference(NamedTuple):
    """The first tensor that is beyond its bound, from the output to the input, and its worst number.

    Attributes
    ----------
    where : str
        Such as "W of layer 1 [3, 2]".
    actual, expected : float
        The two numbers.
    ulp : float
        Their distance in units in the last place of the larger one.
    allowed : float
        By how much they may differ.
    beyond : str
        The number of entries beyond their bounds, tensor by tensor.

    Examples
    --------
    >>> from fastnn import testing
    >>> testing.Difference("W of layer 0 [0, 0]", 1.0, 2.0, 4.5e15, 1e-15, "1 of 1 in W of layer 0").where
    'W of layer 0 [0, 0]'
    """

    where: str
    """Such as "W of layer 1 [3, 2]"."""
    actual: float
    expected: float
    ulp: float
    """Their distance in units in the last place of the larger one."""
    allowed: float
    beyond: str
    """The number of entries beyond their bounds, tensor by tensor."""

    def between(self, actual: str, expected: str) -> str:
        """Say the difference in a sentence.

        Parameters
        ----------
        actual, expected : str
            The names of the two sides.

        Returns
        -------
        str
            The sentence, and a line on the numbers beyond their bounds.

        Examples
        --------
        >>> from fastnn import testing
        >>> difference = testing.Difference("W of layer 0 [0, 0]", 1.0, 2.0, 4.5e15, 1e-15, "1 of 1 in W of layer 0")
        >>> difference.between("mine", "numpy").splitlines()[0][:51]
        'W of layer 0 [0, 0] is 1.0 on mine and 2.0 on numpy'
        """
        return (
            f"{self.where} is {self.actual} on {actual} and {self.expected} on {expected}, {self.ulp:.3g} ULP apart: "
            f"the difference is {abs(self.actual - self.expected):.3g}, {self.allowed:.3g} is allowed\n"
            f"beyond their bounds: {self.beyond}"
        )


def find_difference(network: Network, actual: Array, expected: Array, allowed: Any) -> tuple[float, Difference | None]:
    """Return the worst difference as a fraction of its bound, and its place if that is more than 1.

    A gradient is computed from the output to the input, so a bug shows in the layer that has it and in those below:
    the layer nearest to the output is named.

    Parameters
    ----------
    actual, expected : (n_params,), or (1 + n_slots, n_params) for an optimizer's state, of one dtype
    allowed : array-like
        For each number, or for all of them.
    """
    rows, other = np.atleast_2d(actual), np.atleast_2d(expected)
    limits = np.broadcast_to(np.asarray(allowed, np.float64), rows.shape)
    with np.errstate(all="ignore"):
        parts = np.where(rows == other, 0.0, abs(rows.astype(np.float64) - other) / limits)
    parts = np.where(np.isnan(parts), np.inf, parts)
    for row in range(len(rows)):
        found = [tensor for tensor in tensors(network) if (parts[row, tensor[1]] > 1).any()]
        if found:
            break
    else:
        return float(parts.max()), None
    name, part, shape = found[0]
    worst = int(parts[row, part].argmax())
    a, b = rows[row, part][worst], other[row, part][worst]
    place = ", ".join(str(int(i)) for i in np.unravel_index(worst, shape))
    counts = [
        f"{(parts[row, part] > 1).sum()} of {math.prod(shape)} in {name}" for name, part, shape in found[:_LISTED]
    ]
    more = [f"and {len(found) - _LISTED} tensors more"] if len(found) > _LISTED else []
    return float(parts.max()), Difference(
        where=f"{name} [{place}]{f' in row {row} of the state' if row else ''}",
        actual=float(a),
        expected=float(b),
        ulp=float(ulp_difference(a, b)),
        allowed=float(limits[row, part][worst]),
        beyond=", ".join(counts + more),
    )


def tensors(network: Network) -> Iterator[tuple[str, slice, tuple[int, ...]]]:
    """Yield name, slice of the flat vector and shape of each W and b, from the output to the input."""
    for l in reversed(range(network.n_layers)):
        layer = network.layers[l]
        yield f"W of layer {l}", layer.weight, (layer.fan_in, layer.fan_out)
        if layer.n_bias:
            yield f"b of layer {l}", layer.bias, (layer.n_bias,)
