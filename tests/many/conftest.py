"""What the tests of many trainings share."""

import pytest

from fastnn.many import block


@pytest.fixture(autouse=True)
def tiny_blocks(monkeypatch):
    """Tests train tiny members: without this they would be one block, for which no second thread or
    worker pays."""
    monkeypatch.setattr(block, "LEAST_WORK", 1)
    monkeypatch.setattr(block, "MEMBER_WORK", 1)
