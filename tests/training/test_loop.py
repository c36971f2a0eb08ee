"""The loop in chunks: no bit depends on where they end, be it at a Ctrl-C, after which a training
is resumed."""

import numpy as np
import pytest
from chunks import chunks_of
from small_training import NETWORK, N, Recorder

from fastnn import train
from fastnn.training import steps as pace


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


def test_chunks_within_an_epoch_share_its_rows(data, monkeypatch):
    """To put the rows of an epoch together for each chunk took longer than steps, of many rows."""
    made = []

    def rows_at(rows, positions):
        made.append(positions)
        return positions if rows is None else rows.take(positions)

    monkeypatch.setattr(pace, "rows_at", rows_at)
    chunks_of(monkeypatch, 1)
    rows = np.arange(0, N, 2)
    n_epochs = 3
    options = {"epochs": n_epochs, "batch_size": 5, "seed": 1}
    in_chunks = train(NETWORK, *data, rows=rows, **options)
    assert len(made) == n_epochs
    chunks_of(monkeypatch, 1000)
    at_once = train(NETWORK, *data, rows=rows, **options)
    np.testing.assert_array_equal(in_chunks.params, at_once.params)
    np.testing.assert_array_equal(in_chunks.state.index, at_once.state.index)
    np.testing.assert_array_equal(in_chunks.history.loss, at_once.history.loss)
