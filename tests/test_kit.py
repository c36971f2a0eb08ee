"""The kit holds few things, no more bytes than it may, and none twice."""

import pytest

from fastnn import kit


@pytest.fixture(autouse=True)
def _empty():
    kit.clear()
    yield
    kit.clear()


def test_a_shelf_holds_few_things_and_what_is_taken_is_gone():
    shelf = kit.shelf_of("thing")
    assert shelf.take() is None
    for n in range(20):
        shelf.put(n)
    assert list(kit.shelf_of("thing")) == list(range(kit.MOST_THINGS))
    taken = [kit.shelf_of("thing").take() for _ in range(kit.MOST_THINGS + 1)]
    assert taken == [*reversed(range(kit.MOST_THINGS)), None]


def test_there_are_few_shelves():
    for n in range(kit.MOST_SHELVES + 3):
        kit.shelf_of(n).put(n)
    assert len(kit._by_key) == kit.MOST_SHELVES
    assert kit.shelf_of(0).take() is None
    assert kit.shelf_of(kit.MOST_SHELVES + 2).take() == kit.MOST_SHELVES + 2


def test_the_oldest_shelves_leave_where_bytes_are_too_many():
    kit.shelf_of("huge").put(1, kit.MOST_BYTES + 1)
    assert kit.shelf_of("huge").take() is None
    first = kit.shelf_of(0)
    first.put(0, kit.MOST_BYTES // 3)
    for n in range(1, 5):
        kit.shelf_of(n).put(n, kit.MOST_BYTES // 3)
    assert [kit.shelf_of(n).take() for n in range(5)] == [None, None, 2, 3, 4]
    first.put(0, kit.MOST_BYTES // 3)  # a workspace that comes back late is taken in again
    assert kit.shelf_of(0).take() == 0


@pytest.mark.parametrize("shelf", [kit.shelf, lambda: kit.shelf_of("thing")])
def test_without_the_kit_nothing_is_left_of_before(shelf):
    things = shelf()
    things.put(1)
    with kit.off():
        assert things.take() is None or things.key == "thing"
        for _ in range(2):
            assert kit.shelf_of("thing").take() is None
            kit.shelf_of("thing").put(2)
