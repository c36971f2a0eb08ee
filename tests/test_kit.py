"""The kit holds few things, no more bytes than it may, and none twice."""

import pytest

from fastnn import kit


@pytest.fixture(autouse=True)
def _empty():
    kit.clear()
    yield
    kit.clear()


def test_what_is_taken_is_gone():
    assert kit.take("thing") is None
    kit.put("thing", 1)
    kit.put("thing", 2)
    assert [kit.take("thing") for _ in range(3)] == [2, 1, None]


def test_there_are_few_things_of_a_key_and_few_keys():
    for n in range(20):
        kit.put("thing", n)
    assert [kit.take("thing") for _ in range(kit.MOST_OF_A_KEY + 1)] == [*range(kit.MOST_OF_A_KEY - 1, -1, -1), None]
    for n in range(kit.MOST_KEYS + 3):
        kit.put(n, n)
    assert len(kit._things) == kit.MOST_KEYS
    assert kit.take(0) is None
    assert kit.take(kit.MOST_KEYS + 2) == kit.MOST_KEYS + 2


def test_the_oldest_keys_leave_where_bytes_are_too_many():
    kit.put("huge", 1, kit.MOST_BYTES + 1)
    assert kit.take("huge") is None
    for n in range(5):
        kit.put(n, n, kit.MOST_BYTES // 3)
    assert [kit.take(n) for n in range(5)] == [None, None, 2, 3, 4]


def test_without_the_kit_nothing_is_held():
    with kit.off():
        kit.put("thing", 1)
        assert kit.take("thing") is None
