"""Trainings in chunks of a given length, wherever the clock would cut them."""

from fastnn.training import steps as pace


def chunks_of(monkeypatch, n_steps):
    monkeypatch.setattr(pace, "MAX_CHUNK_STEPS", n_steps)
    monkeypatch.setattr(pace, "FIRST_CHUNK_STEPS", n_steps)
    monkeypatch.setattr(pace, "CHUNK_SECONDS", 1e9)
