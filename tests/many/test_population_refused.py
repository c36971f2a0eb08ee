"""What a population refuses, and Ctrl-C and errors while it advances: its members stay whole and go on exactly."""

import copy
import os
import signal
import time

import numpy as np
import pytest
from bits import assert_same_result, assert_same_results

from fastnn import SGD, Adam, InterruptWarning, MonitorError, Network, Population, Stop, TrainingInterrupted, train
from fastnn.many import block
from fastnn.training import epochs as pace
from fastnn.training.loop import Group

RANDOM = np.random.RandomState(5)
X = RANDOM.rand(20, 3)
Y = RANDOM.rand(20, 1)
NETWORK = Network((3, 5, 1), "sigmoid", "sigmoid")
M = 4


def small(**options):
    """A population of four plain networks."""
    return Population(NETWORK, X, Y, **{"seed": range(M), "optimizer": SGD(0.5), "batch_size": 7} | options)


REFUSED = {
    "dropped": (lambda p: p[0], KeyError, "member 0 was dropped"),
    "no such": (lambda p: p[4], KeyError, "there is no member 4: they are 0 to 3"),
    "negative": (lambda p: p[-1], KeyError, "there is no member -1"),
    "a flag": (lambda p: p[True], TypeError, "member must be an integer, not True"),
    "flags to drop": (lambda p: p.drop([True, True, True]), TypeError, "member must be an integer, not True"),
    "a name": (lambda p: p["a"], TypeError, "member must be an integer, not 'a'"),
    "epochs": (lambda p: p.advance(-1), ValueError, "epochs must be at least 0"),
    "half an epoch": (lambda p: p.advance(0.5), TypeError, "epochs must be an integer"),
    "a list": (lambda p: p.advance([1, 2]), TypeError, "epochs must be an integer"),
    "epochs of one": (lambda p: p.advance({1: 2, 2: -1}), ValueError, "epochs of member 2 must be at least 0"),
    "epochs of a dropped one": (lambda p: p.advance({1: 2, 0: 1}), KeyError, "member 0 was dropped"),
    "drop twice": (lambda p: p.drop([1, 0]), KeyError, "member 0 was dropped"),
    "by a dropped one": (lambda p: p.replace(1, by=0), KeyError, "member 0 was dropped"),
    "a dropped one": (lambda p: p.replace(0, by=1), KeyError, "member 0 was dropped"),
    "other class": (lambda p: p.replace(1, optimizer=Adam()), ValueError, "optimizer of its state is SGD"),
    "other state": (lambda p: p.replace(1, optimizer=SGD(momentum=0.5)), ValueError, "number of optimizer vectors"),
    "rate": (lambda p: p.replace(1, learning_rate="fast"), TypeError, "learning_rate must be"),
    "alpha": (lambda p: p.replace(1, alpha=-1), ValueError, "alpha must be at least 0"),
    "misspelt": (lambda p: Population(NETWORK, X, Y, epochs=3), TypeError, "Population has no argument 'epochs'"),
    "lr": (lambda p: p.replace(1, lr=0.1), TypeError, "replace has no argument 'lr': say learning_rate="),
    "bad member": (lambda p: small(learning_rate=[0.1, 0.2, -1, 0.1]), ValueError, "member 2: learning_rate"),
    "lengths": (lambda p: small(alpha=[0.1]), ValueError, "seed has 4 values, alpha has 1 value"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, error, text = REFUSED[name]
    population = small()
    population.advance(2)
    population.drop(0)
    before = dict(population)
    with pytest.raises(error, match=text):
        call(population)
    assert population.members == [1, 2, 3]
    assert population.epochs_trained == 8
    for i, result in population.items():
        assert_same_result(result, before[i])


@pytest.mark.parametrize("rate", [1e9, 1e150])
def test_where_no_member_is_the_best(rate):
    """All have diverged, with the second rate in their first epoch."""
    wide = Network((3, 9, 4, 1), ("tanh", "relu"))
    population = Population(wide, X, Y, seed=range(M), optimizer=SGD(rate), batch_size=7)
    population.advance(5)
    assert (population.epochs_trained > 0) == (rate < 1e100)
    assert population.ranking() == [0, 1, 2, 3]
    population.drop([0, 1])
    for dropped in [], [2, 3]:
        population.drop(dropped)
        with pytest.raises(ValueError, match="each one diverged or has no finite score"):
            population.best()
    assert population.ranking() == []


class Pressing:
    """A monitor that presses Ctrl-C, or raises an error, when it is called for the nth time."""

    __name__ = "pressing"

    def __init__(self, nth, what):
        self.nth, self.what, self.n = nth, what, 0

    def __call__(self, targets, outputs):
        self.n += 1
        if self.n == self.nth:
            self.what()
        return 0.5


def ctrl_c():
    signal.raise_signal(signal.SIGINT)
    time.sleep(0.2)  # in a thread: the calling one handles it


def twice():
    ctrl_c()
    ctrl_c()


def fail():
    raise OSError("disk full")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_keeps_what_was_trained(n_jobs, backend):
    """Members under way stop, those that had not begun stay as they were, and the next call goes on exactly."""
    handler = signal.getsignal(signal.SIGINT)
    stop = Stop(monitor=Pressing(6 * M + 7, ctrl_c))
    population = small(stop=stop, n_jobs=n_jobs, backend=backend)
    population.advance(6)
    with pytest.warns(
        InterruptWarning, match=r"interrupted when \d of 4 members were through, .* population keeps"
    ) as told:
        population.advance(8)
    assert signal.getsignal(signal.SIGINT) is handler
    reasons = [result.stop_reason for result in population.values()]
    assert "interrupted" in reasons
    epochs = {i: result.n_epochs for i, result in population.items()}
    assert 4 * 6 < sum(epochs.values()) == population.epochs_trained <= 4 * 14
    assert_same_results(told[0].message.result, population.values())
    # two more than they had to do: one may have been interrupted after its last
    population.advance({i: 16 - n for i, n in epochs.items()})
    for i, result in population.items():
        other = train(NETWORK, X, Y, seed=i, optimizer=SGD(0.5), batch_size=7, epochs=16, stop=stop, backend=backend)
        assert_same_result(result, other)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_member_within_an_epoch_goes_on_exactly_beside_others(backend, monkeypatch):
    """Others that are like it but for that, which a block can train."""
    population = small(n_jobs=1, backend=backend)
    population.advance(2)
    right = Group.chunk

    def chunk(group):
        signal.raise_signal(signal.SIGINT)
        return right(group)

    with monkeypatch.context() as patch:
        patch.setattr(block, "MOST_WORK", 0)  # it is trained alone, as a long training is
        patch.setattr(pace, "FIRST_CHUNK_STEPS", 2)
        patch.setattr(Group, "chunk", chunk)
        with pytest.warns(InterruptWarning):
            population.advance({3: 9})
    assert population[3].state.batch == 2
    population.advance(4)
    for i, n_epochs in enumerate([6, 6, 6, 6]):
        other = train(NETWORK, X, Y, seed=i, optimizer=SGD(0.5), batch_size=7, epochs=n_epochs, backend=backend)
        assert_same_result(population[i], other)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_raises_where_a_member_says_so():
    population = small(stop=Stop(monitor=Pressing(9, ctrl_c), on_interrupt="raise"), n_jobs=1)
    population.drop(0)
    with pytest.raises(TrainingInterrupted) as caught:
        population.advance(8)
    assert [result.n_epochs for result in caught.value.result] == [8, 1, 0]
    assert [result.n_epochs for result in population.values()] == [8, 1, 0]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    ("what", "error", "n_jobs"), [(twice, KeyboardInterrupt, 1), (fail, MonitorError, 1), (fail, MonitorError, 2)]
)
def test_errors_leave_all_members_as_they_were(what, error, n_jobs, backend):
    """Ctrl-C pressed twice, and an error of a monitor."""
    population = small(stop=Stop(monitor=Pressing(2 * M + 7, what)), n_jobs=n_jobs, backend=backend)
    population.advance(2)
    before = dict(population)
    with pytest.raises(error):
        population.advance(5)
    for i, result in population.items():
        assert_same_result(result, before[i])
    assert population.epochs_trained == 2 * M


def test_a_callback_ends_an_advance():
    """By returning True; the members that had not begun have the reason, and go on with the next call."""
    seen = []
    population = small(
        stop=Stop(monitor="r2"), callbacks=[lambda progress: seen.append(progress.ended) or True], n_jobs=1
    )
    population.advance(2)
    assert seen == [[0]]
    assert [result.n_epochs for result in population.values()] == [2, 0, 0, 0]
    assert [result.stop_reason for result in population.values()] == ["epochs", "callback", "callback", "callback"]
    population.drop(0)
    population.advance(3)
    assert seen == [[0], [1]]
    assert [result.n_epochs for result in population.values()] == [3, 0, 0]


CHANGES = {
    "advance": lambda population: population.advance(1),
    "drop": lambda population: population.drop(3),
    "replace": lambda population: population.replace(3, by=0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_callback_may_not_change_what_is_advanced(name):
    """It may look at it, and copy it; the members stay as they were."""
    seen = []

    def callback(progress):
        seen.append((population.members, copy.deepcopy(population)))
        CHANGES[name](population)

    population = small(callbacks=[callback], n_jobs=1)
    with pytest.raises(RuntimeError, match="the population is being advanced: a callback, or another thread, may not"):
        population.advance(2)
    members, twin = seen[0]
    assert population.members == members == [0, 1, 2, 3]
    assert population.epochs_trained == 0
    twin._caller.callbacks.clear()
    for each in twin, population:
        each._caller.callbacks.clear()
        each.advance(1)
        CHANGES[name](each)
        assert each.epochs_trained > 0
