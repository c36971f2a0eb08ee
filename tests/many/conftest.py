"""What the tests of many trainings share."""

import signal

import pytest
from ended_early import EARLY, NETWORK, After, M, X, Y

from fastnn import SGD, cores, train_many
from fastnn.many import block


@pytest.fixture(autouse=True)
def tiny_blocks(monkeypatch):
    """Tests train tiny members: without this they would be one block, for which no second thread or worker pays."""
    monkeypatch.setattr(block, "LEAST_WORK", 1)
    monkeypatch.setattr(block, "MEMBER_WORK", 1)


@pytest.fixture
def nothing_left():
    """The handler of SIGINT that was there before must be there after, and no helper of ours be at work."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is handler
    assert not cores.helpers_at_work()


@pytest.fixture(params=[1, 2])
def n_jobs(request):
    return request.param


@pytest.fixture
def go(backend, n_jobs):
    """`train_many` of seeds, each a unit of its own; later ones wait until an `After` is done, if there is one."""

    def run(callbacks=(), **options):
        until = [callback.done for callback in callbacks if isinstance(callback, After)]

        def late(step):
            assert all(done.wait(20) for done in until)
            return 0.1

        rates = [lambda step: 0.1] * EARLY + [late] * (M - EARLY)
        rest = {"epochs": 5, "seed": range(M), "learning_rate": rates, "optimizer": SGD()}
        return train_many(NETWORK, X, Y, **rest | options, backend=backend, n_jobs=n_jobs, callbacks=callbacks)

    return run
