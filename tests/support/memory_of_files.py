"""The memory that reading a file takes, and what it may take."""

import contextlib
import tracemalloc


@contextlib.contextmanager
def little_memory(path, base=20_000_000, factor=10):
    """Assert that the body takes at no time more than so many bytes, and so many times the size of the file."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < base + factor * path.stat().st_size, f"{peak / 1e6:.0f} MB for {path.stat().st_size / 1e6:.2f} MB"
