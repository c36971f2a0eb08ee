"""`train` itself: its defaults, the options that it refuses, and the result, which is the caller's own."""

import gc
import pickle
import weakref

import numpy as np
import pytest
from bits import result_bits, state_bits
from small_training import NETWORK, Recorder

from fastnn import SGD, Adam, Network, Stop, backends, get_backend, register_backend, train
from fastnn.optimizers import RPROP


def test_defaults(backend):
    """Adam, in batches of 200 rows or in full ones for who takes no others; epochs are the caller's to say."""
    X = np.random.RandomState(0).randn(450, 3)

    def go(**options):
        return train(NETWORK, X, np.sin(X[:, :2]), epochs=2, seed=1, backend=backend, **options)

    assert result_bits(go()) == result_bits(go(optimizer=Adam(), batch_size=200, shuffle=True, alpha=0.0))
    assert go().state.t == go(optimizer=SGD(sequential=True)).state.t == 2 * 3
    assert go(batch_size=None).state.t == go(optimizer=RPROP()).state.t == 2
    with pytest.raises(TypeError, match="epochs"):
        train(NETWORK, X, X[:, :2])


def test_dtype_is_that_of_X(go, data, dtype):
    X = data[0].astype(dtype)
    result = go(X)
    assert result.params.dtype == result.state.vectors.dtype == result.predict(X).dtype == dtype
    assert result.predict(data[0]).dtype == dtype  # computed as it was trained
    assert result.history.loss.dtype == np.float64


def test_result_belongs_to_nobody_else(go):
    result = go()
    with pytest.raises(ValueError, match="read-only"):
        result.params[0] = 1
    result.state.vectors[...] = 0
    assert result.params.any()
    twin = pickle.loads(pickle.dumps(go()))
    assert state_bits(go(resume=twin.state).state) == state_bits(go(epochs=12).state)


def test_settings_that_were_checked_are_known_again_and_no_others(data, monkeypatch):
    monkeypatch.setattr(backends, "_factories", dict(backends._factories))
    monkeypatch.setattr(backends, "_made", dict(backends._made))

    def go(**others):
        options = {"optimizer": rate, "epochs": 2, "batch_size": 1, "shuffle": True, "seed": 0, "backend": "mine"}
        return train(NETWORK, *data, **options | others)

    rate = SGD(0.1)
    register_backend("mine", Recorder)
    first = go()
    for name, equal, message in (
        ("epochs", 2.0, "epochs must be an integer"),
        ("batch_size", True, "batch_size must be an integer"),
        ("shuffle", 1, "shuffle must be True or False"),
    ):
        with pytest.raises(TypeError, match=message):
            go(**{name: equal})
    assert result_bits(go(optimizer=SGD(0.2))) != result_bits(first)
    assert result_bits(go()) == result_bits(go()) == result_bits(first)
    register_backend("mine", lambda: get_backend("numpy"))
    assert go().backend.name == "numpy"


def test_settings_that_are_kept_hold_no_functions_and_no_data(data):
    rate, X = (lambda step: 0.1), np.zeros((1, 3))
    kept = [weakref.ref(rate), weakref.ref(X)]
    stop = Stop(validation=(X, np.zeros((1, 2))))
    train(NETWORK, *data, optimizer=SGD(rate), epochs=1, seed=0, backend="numpy")
    train(NETWORK, *data, epochs=1, seed=0, stop=stop, backend="numpy")
    del rate, X, stop
    gc.collect()
    assert [there() for there in kept] == [None, None]


def test_a_result_makes_state_and_history_once_and_keeps_no_data_for_them():
    X = np.random.RandomState(0).rand(9, 2)
    data = weakref.ref(X)
    result = train(Network((2, 3, 1)), X, X[:, :1].copy(), epochs=2, seed=0, backend="numpy")
    del X
    assert data() is None
    assert result.state is result.state
    assert result.history is result.history
    assert result.state.counters["epoch"] == len(result.history.loss) == 2
    assert not hasattr(result, "states")
    with pytest.raises(AttributeError, match=r"'TrainingResult' object has no attribute 'parameters'"):
        _ = result.parameters


def test_a_result_that_nobody_has_looked_at_is_that_of_its_moment():
    """The generator, the caller's own, goes on; so does the training after a callback's result."""
    generator, seen = np.random.RandomState(3), []
    X = np.random.RandomState(0).rand(9, 2)
    options = {"epochs": 3, "batch_size": 2, "backend": "numpy"}
    result = train(
        Network((2, 3, 1)), X, X[:, :1], seed=generator, callbacks=[lambda p: seen.append(p.result())], **options
    )
    generator.rand(1000)
    again = train(Network((2, 3, 1)), X, X[:, :1], seed=3, **options)
    assert result_bits(result) == result_bits(again)
    for epochs, snapshot in enumerate(seen, 1):
        part = train(Network((2, 3, 1)), X, X[:, :1], seed=3, **options | {"epochs": epochs})
        assert result_bits(snapshot) == result_bits(part) | {"stop_reason": "running"}
