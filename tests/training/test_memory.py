"""What would not fit the machine's memory is refused before it is allocated, by what the back end holds at once."""

import re
import tracemalloc

import numpy as np
import pytest

from fastnn import SGD, Network, Stop, loss_and_gradient, predict, train
from fastnn.training import inputs


def test_activations_that_do_not_fit_are_refused_before_anything_is_allocated(monkeypatch, backend):
    """The parameters would: a network of few of them can have very many neurons, for each row of a block or a batch."""
    monkeypatch.setattr(inputs, "memory", lambda: 10_000_000)
    network, X = Network((1, 2000, 1)), np.ones((300, 1))
    params, rows = np.zeros(network.n_params), 256 if backend == "numba" else 300
    for call in (
        lambda: train(network, X, X, optimizer=SGD(), epochs=1, batch_size=None, backend=backend),
        lambda: predict(network, params, X, backend=backend),
        lambda: loss_and_gradient(network, params, X, X, backend=backend),
    ):
        with pytest.raises(MemoryError, match=f"{rows} rows at a time it takes"):
            call()
    assert train(network, X, X, optimizer=SGD(), epochs=1, batch_size=1, backend=backend).stop_reason == "epochs"


@pytest.mark.parametrize("stop", [Stop(validation=0.99), Stop(restore_best=True)])
def test_numpy_needs_memory_for_each_row_that_it_looks_at(monkeypatch, stop):
    """A block of rows of this network takes 4 MB, so the kernel does with less."""
    monkeypatch.setattr(inputs, "memory", lambda: 10_000_000)
    network, X = Network((1, 500, 1)), np.ones((2000, 1))
    params = np.zeros(network.n_params)

    def calls(backend):
        yield lambda: train(network, X, X, optimizer=SGD(), epochs=1, batch_size=None, backend=backend)
        yield lambda: train(network, X, X, optimizer=SGD(), epochs=1, batch_size=1, stop=stop, backend=backend)
        yield lambda: predict(network, params, X, backend=backend)
        yield lambda: loss_and_gradient(network, params, X, X, backend=backend)

    for call in calls("numpy"):
        with pytest.raises(MemoryError, match=r"(2,000|1,980) rows at a time it takes"):
            call()
    for call in calls("numba"):
        call()


def test_numpy_is_refused_what_it_would_hold(monkeypatch):
    network, X = Network((20, 200, 50, 5), "tanh"), np.ones((10_000, 20))
    params = np.zeros(network.n_params)
    tracemalloc.start()
    predict(network, params, X, backend="numpy")
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    monkeypatch.setattr(inputs, "memory", lambda: 0)
    with pytest.raises(MemoryError) as error:
        predict(network, params, X, backend="numpy")
    asked = int(re.search(r"it takes ([0-9,]+) bytes", str(error.value))[1].replace(",", ""))
    assert 0.9 * held < asked < 1.1 * held
