"""The number of threads that pays, found by simulated measurements."""

import pytest

from fastnn.fused import team as best_number
from fastnn.fused.team import BestNumber

pytestmark = pytest.mark.nojit


def run(best, seconds_of, total):
    """Let so many seconds pass where a step takes ``seconds_of(threads, time)``: {threads: seconds}, steps a second."""
    now, spent, n_steps = 0.0, {}, 0.0
    while now < total:
        number, n = best.next()
        chunk = 0.05 / seconds_of(number, now)
        n = max(1, int(min(n, chunk)))
        seconds = n * seconds_of(number, now)
        best.measured(n, seconds)
        spent[number] = spent.get(number, 0) + seconds
        now, n_steps = now + seconds, n_steps + n
    return spent, n_steps / now


def scaling(k):
    """A step of 1 ms on a quiet machine, of which all but a part in k can be shared."""
    return lambda number, now: 1e-3 * (1 / k + (1 - 1 / k) / number)


@pytest.mark.parametrize("most", [2, 3, 6, 8])
def test_on_a_quiet_machine_most_threads_are_best(most):
    seconds_of = scaling(50)
    spent, speed = run(BestNumber(most), seconds_of, 10)
    assert max(spent, key=spent.get) == most
    assert speed > 0.95 / seconds_of(most, 0)


def test_the_best_number_may_be_in_between():
    def seconds_of(number, now):
        return 1e-3 * {1: 1, 2: 0.6, 4: 0.4, 8: 0.9}[number]

    spent, speed = run(BestNumber(8), seconds_of, 10)
    assert max(spent, key=spent.get) == 4
    assert speed > 0.95 / 0.4e-3


@pytest.mark.parametrize("factor", [1.0, 1.2, 2, 5, 20])
def test_beside_busy_processes_one_thread_is_nearly_as_fast_as_ever(factor):
    """However many times as long as one thread several of them take."""
    _, speed = run(BestNumber(2), lambda number, now: 1e-3 * (1 if number == 1 else factor), 10)
    assert speed > 1 / 1.05e-3


def test_load_that_comes_and_goes():
    def seconds_of(number, now):
        return 1e-3 if number == 1 else 4e-3 if 3 < now < 10 else 0.5e-3

    best = BestNumber(2)
    spent, _ = run(best, seconds_of, 3)
    assert spent[1] < 0.3
    spent, _ = run(best, lambda number, now: seconds_of(number, now + 3), 7)
    assert spent[2] < 0.6
    spent, _ = run(best, lambda number, now: seconds_of(number, now + 10), 10)
    assert spent[2] > 5


def test_short_steps_are_never_shared():
    spent, _ = run(BestNumber(2), lambda number, now: 0.9 * best_number.SHORT_STEP / number, 10)
    assert spent.keys() == {1}
