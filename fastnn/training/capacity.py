"""The capacity of the machine: whether a calculation fits into its memory, before anything is allocated."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from fastnn.backends import Backend
from fastnn.checking.arguments import MOST_WRITTEN, amount
from fastnn.memory import ROW_BLOCK
from fastnn.network import Network

MEMORY_LIMIT_FRACTION = 0.9
"""Share of the machine's memory that parameters, an optimizer's state and the neurons of a block may take."""


def check_memory(
    network: Network,
    n_vectors: int,
    rows: int,
    dtype: np.dtype[Any],
    backend: Backend,
    block: int = ROW_BLOCK,
    threads: int | None = 1,
) -> None:
    """Raise MemoryError, before anything is allocated, when a calculation would not fit the machine.

    Counted are `n_vectors` vectors of parameters, and for each neuron and row, `block` of the `rows` at most, three
    numbers and one for each thread, and three more where threads share a step, who keep the deltas of all layers. A
    back end with ``whole_batches`` also holds z and a of the other rows.
    """
    block = min(rows, block)
    others = rows - block if rows > block and getattr(backend, "whole_batches", False) else 0
    n_threads = 2 if threads is None else threads
    of_a_neuron = 3 + n_threads + 3 * (n_threads > 1)
    of_rows = of_a_neuron * sum(network.sizes) * block + (2 * sum(network.sizes[1:]) * others if others else 0)
    needed = (network.n_params * n_vectors + of_rows) * dtype.itemsize
    if needed > memory() * MEMORY_LIMIT_FRACTION:
        raise MemoryError(
            f"a network of sizes {_shortened(network.sizes)} has {amount(network.n_params)} parameters; with "
            f"{n_vectors} vectors of them and {block + others:,} rows at a time it takes {amount(needed)} bytes, this "
            f"machine has {memory():,}"
        )


def _shortened(sizes: tuple[int, ...]) -> str:
    if max(sizes) > MOST_WRITTEN:
        return f"up to {amount(max(sizes))}"
    return str(sizes) if len(sizes) <= 10 else f"({', '.join(map(str, sizes[:5]))}, ..., {sizes[-1]})"


@functools.cache
def memory() -> int:
    """Return the bytes of the machine's memory; where the system does not say, the bytes that can be addressed."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**47
