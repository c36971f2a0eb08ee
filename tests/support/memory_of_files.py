"""The memory that a call takes, such as one that reads a file, and what it may take."""

import contextlib
import tracemalloc


@contextlib.contextmanager
def little_memory(path=None, base=20_000_000, factor=10):
    """Assert that the body never takes more bytes than `base` and `factor` times the file."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = path.stat().st_size if path else 0
    assert peak < base + factor * size, f"{peak / 1e6:.0f} MB for {size / 1e6:.2f} MB"
