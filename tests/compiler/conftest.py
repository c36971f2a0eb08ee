"""A cache folder for each test."""

import pytest

from fastnn.compiler import cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder of its own, and no warning given yet."""
    path = tmp_path / "cache"
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(path))
    monkeypatch.setattr(cache, "_errors", [])
    monkeypatch.setattr(cache, "_warned", [])
    # Whoever edits sources while tests run need not see these fail.
    cache.source_stamp.cache_clear()
    return path
