"""The loop in chunks: no bit depends on where they end, be it at a Ctrl-C, after which a training
is resumed."""

import dataclasses

import numpy as np
import pytest
from chunks import chunks_of
from small_training import NETWORK, N, Recorder, SignalAt

from fastnn import SGD, InterruptWarning, Stop, train
from fastnn.training import steps as pace
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


def test_resume_refuses_what_does_not_fit(go, data, monkeypatch):
    X, Y = data
    state = go().state
    others = {"activation": "relu", "output": "leaky_relu", "loss": "huber", "reduction": "sum"}
    others |= {"sizes": (3, 5, 2), "bias_gradient": "times_bias"}
    for what, options in {
        "optimizer of its state is Adam, that of this training SGD": {"optimizer": SGD()},
        "dtype of its state is float64, that of this training float32": {"dtype": "float32"},
        **{
            f"{name} of its state is {getattr(NETWORK, name)}, that of this training {value}": {
                "network": dataclasses.replace(NETWORK, **{name: value})
            }
            for name, value in others.items()
        },
        "23 rows, X has 20": {"X": X[:20], "Y": Y[:20]},
        "0 rows for validation, validation=0.5 of 23 rows is 12": {"stop": Stop(validation=0.5)},
    }.items():
        with pytest.raises(ValueError, match="resume does not fit") as error:
            go(**options, resume=state)
        assert what in str(error.value)
    momentum = go(optimizer=SGD(0.1, momentum=0.9)).state
    with pytest.raises(
        ValueError, match="optimizer vectors of its state is 1, that of this training 0"
    ):
        go(optimizer=SGD(0.1), resume=momentum)
    for name, value in {"seed": 3, "params": np.zeros(NETWORK.n_params)}.items():
        with pytest.raises(ValueError, match="without seed and params"):
            train(NETWORK, X, Y, epochs=1, resume=state, **{name: value})
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
