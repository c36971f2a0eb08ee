"""The length of a chunk of steps, which Ctrl-C, progress and time limits wait for."""

from __future__ import annotations

CHUNK_SECONDS = 0.05
"""The time that a chunk should take: Ctrl-C, progress and time limits wait for its end."""
MAX_CHUNK_STEPS = 65_536
MAX_CHUNK_ROWS = 1 << 22
"""Limits the memory that the row numbers of a chunk take: 32 MB."""
FIRST_CHUNK_STEPS = 1_024
FIRST_CHUNK_WORK = 1 << 22
"""The first chunk has no measurement to go by: at most so many rows times parameters."""


class Pace:
    """The length of the next chunk: about `CHUNK_SECONDS` by the time of the last one, so compiling spoils one only."""

    def __init__(self, n_params: int, batch_size: int) -> None:
        self._most = max(1, min(MAX_CHUNK_STEPS, MAX_CHUNK_ROWS // batch_size))
        self.n_steps = max(1, min(self._most, FIRST_CHUNK_STEPS, FIRST_CHUNK_WORK // (n_params * batch_size)))

    def is_representative(self, n_steps: int, seconds: float) -> bool:
        """Return whether a chunk is as long as was planned, not shorter because an epoch ended, or took too long."""
        return n_steps == self.n_steps or seconds > CHUNK_SECONDS

    def measured(self, n_steps: int, seconds: float) -> None:
        """Take in the time of a chunk in which `n_steps` steps were not skipped; 0 steps leave the length as it is."""
        if n_steps:
            self.n_steps = max(1, min(self._most, int(n_steps * CHUNK_SECONDS / max(seconds, 1e-9))))
