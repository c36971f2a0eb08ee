"""Properties that are computed once."""

import threading

from fastnn.cached import cached_property


class Slow:
    """Its property takes as long as the event is not set."""

    def __init__(self):
        self.began = threading.Event()
        self.may_end = threading.Event()
        self.n_computed = 0

    @cached_property
    def value(self):
        self.n_computed += 1
        self.began.set()
        assert self.may_end.wait(120)
        return self.n_computed


def test_a_property_is_computed_once():
    owner = Slow()
    owner.may_end.set()
    assert (owner.value, owner.value, owner.n_computed) == (1, 1, 1)


def test_one_is_computed_while_that_of_another_object_is_under_way():
    """As in a forked process, whose parent's thread will never end the other one."""
    first = Slow()
    thread = threading.Thread(target=lambda: first.value)
    thread.start()
    assert first.began.wait(60)
    second = Slow()
    second.may_end.set()
    values = []
    other = threading.Thread(target=lambda: values.append(second.value))
    other.start()
    other.join(60)
    computed_meanwhile = [*values]
    first.may_end.set()
    thread.join()
    other.join()
    assert computed_meanwhile == [1]
