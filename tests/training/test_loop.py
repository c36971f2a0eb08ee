"""The loop in chunks: no bit depends on where they end, be it at a Ctrl-C, after which a training is resumed."""

import dataclasses
import signal
import threading

import numpy as np
import pytest
from bits import result_bits
from chunks import chunks_of
from small_training import NETWORK, N, Recorder, SignalAt

from fastnn import SGD, Adam, InterruptWarning, Network, Stop, train
from fastnn.training import epochs as pace
from fastnn.training.state import TrainingState


def test_chunks_have_the_length_that_was_set(data, monkeypatch):
    """Tests that set it would pass if chunks were never split."""
    recorder = Recorder()
    chunks_of(monkeypatch, 7)
    train(NETWORK, *data, epochs=6, batch_size=5, seed=1, backend=recorder)
    assert recorder.chunks == [7, 7, 7, 7, 2]


def test_chunk_length_follows_the_last_chunk_only():
    chunk = pace.Pace(n_params=26, batch_size=5)
    assert chunk.n_steps == pace.FIRST_CHUNK_STEPS
    chunk.measured(chunk.n_steps, 10.0)  # compilation
    assert chunk.n_steps < 10
    chunk.measured(chunk.n_steps, chunk.n_steps * 1e-5)
    assert chunk.n_steps == pytest.approx(pace.CHUNK_SECONDS / 1e-5, abs=1)
    chunk.measured(1000, 0.0)
    assert chunk.n_steps == pace.MAX_CHUNK_STEPS
    assert pace.Pace(n_params=10**6, batch_size=10**3).n_steps == 1
    assert pace.Pace(n_params=1, batch_size=2**20)._most == 4


def test_interrupt_in_the_last_epoch_is_not_swallowed(go):
    with pytest.warns(InterruptWarning):
        result = go(callbacks=[lambda p: p.epoch == 6 and signal.raise_signal(signal.SIGINT)])
    assert (result.stop_reason, result.n_epochs) == ("interrupted", 6)


def test_other_threads_train_without_a_handler(go):
    handlers, results = [], []
    thread = threading.Thread(
        target=lambda: results.append(go(callbacks=[lambda p: handlers.append(signal.getsignal(signal.SIGINT))]))
    )
    old = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join()
    assert result_bits(results[0]) == result_bits(go())
    assert all(handler is old for handler in handlers)
    assert len(handlers) == 6


def test_resume_refuses_what_does_not_fit(go, data, monkeypatch):
    X, Y = data
    state = go().state
    for what, options in {
        "sizes of its state is (3, 4, 2), that of this training (3, 5, 2)": {"network": Network((3, 5, 2))},
        "optimizer of its state is Adam, that of this training is? SGD": {"optimizer": SGD()},
        "dtype of its state is float64, that of this training float32": {"dtype": "float32"},
        "activation of its state is tanh, that of this training relu": {"network": Network((3, 4, 2))},
        "output of its state is identity, that of this training leaky_relu": {
            "network": Network((3, 4, 2), "tanh", "leaky_relu")
        },
        "loss of its state is squared_error, that of this training huber": {
            "network": dataclasses.replace(NETWORK, loss="huber")
        },
        "reduction of its state is mean, that of this training sum": {
            "network": dataclasses.replace(NETWORK, reduction="sum")
        },
        "bias_gradient of its state is exact, that of this training times_bias": {
            "network": dataclasses.replace(NETWORK, bias_gradient="times_bias")
        },
        "23 rows, X has 20": {"X": X[:20], "Y": Y[:20]},
        "0 rows for validation, validation=0.5 of 23 rows is 12": {"stop": Stop(validation=0.5)},
    }.items():
        with pytest.raises(ValueError, match="resume does not fit") as error:
            go(**options, resume=state)
        assert what.replace("is? ", "") in str(error.value)
    momentum = go(optimizer=SGD(0.1, momentum=0.9)).state
    with pytest.raises(ValueError, match="optimizer vectors of its state is 1, that of this training 0"):
        go(optimizer=SGD(0.1), resume=momentum)
    for name, value in {"seed": 3, "params": np.zeros(NETWORK.n_params)}.items():
        with pytest.raises(ValueError, match="without seed and params"):
            train(NETWORK, X, Y, epochs=1, resume=state, **{name: value})
    with pytest.raises(TypeError, match=r"pass its \.state"):
        go(resume=go())
    with pytest.raises(ValueError, match="no row order"):
        go(resume=TrainingState.create(np.zeros(NETWORK.n_params), 2))
    for rows in (np.arange(N) + 1, np.zeros(N, np.int64), np.arange(N) - 1):
        damaged = state.copy()
        damaged.index = rows
        with pytest.raises(ValueError, match="not a permutation of the rows"):
            go(resume=damaged)
    chunks_of(monkeypatch, 1)
    with pytest.warns(InterruptWarning):
        within = go(callbacks=[SignalAt(3)]).state
    with pytest.raises(ValueError, match="batches of 5 rows, batch_size is 4"):
        go(batch_size=4, resume=within)
    within.batch = 5
    with pytest.raises(ValueError, match="5 batches of an epoch of 5"):
        go(resume=within)


def test_between_epochs_batch_size_rate_and_alpha_may_change(go):
    result = go(resume=go().state, batch_size=4, optimizer=Adam(0.5), alpha=1.0)
    assert (result.stop_reason, result.state.t) == ("epochs", 6 * 5 + 6 * 6)
