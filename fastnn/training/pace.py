"""How long a chunk of steps is: what Ctrl-C, progress and time limits wait for."""

from __future__ import annotations

CHUNK_SECONDS = 0.05
"""What a chunk should take: Ctrl-C, progress and time limits wait for its end."""
MAX_CHUNK_STEPS = 65_536
MAX_CHUNK_ROWS = 1 << 22
"""Limits the memory that the row numbers of a chunk take: 32 MB."""
FIRST_CHUNK_STEPS = 1_024
FIRST_CHUNK_WORK = 1 << 22
"""The first chunk has no measurement to go by: at most so many rows times parameters."""


class Pace:
    """The length of chunks: about `CHUNK_SECONDS`, judged by the last chunk only, so that compiling spoils just one."""

    def __init__(self, n_params: int, batch_size: int) -> None:
        self._most = max(1, min(MAX_CHUNK_STEPS, MAX_CHUNK_ROWS // batch_size))
        self.n_steps = max(1, min(self._most, FIRST_CHUNK_STEPS, FIRST_CHUNK_WORK // max(1, n_params * batch_size)))

    def measured(self, n_steps: int, seconds: float) -> None:
        """A chunk in which so many steps were not skipped took so long; a chunk of none says nothing."""
        if n_steps:
            self.n_steps = max(1, min(self._most, int(n_steps * CHUNK_SECONDS / max(seconds, 1e-9))))
