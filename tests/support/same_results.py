"""Comparison of training results to the bit."""

from __future__ import annotations

import numpy as np


def assert_same_result(result, other):
    """Assert that two results are equal in everything but their times."""
    assert result.network == other.network
    assert result.stop_reason == other.stop_reason
    assert result.params.tobytes() == other.params.tobytes()
    for name in ("loss", "validation_loss", "learning_rate", "measured"):
        assert getattr(result.history, name).tobytes() == getattr(other.history, name).tobytes(), name
    assert result.history.monitor == other.history.monitor
    assert_same_state(result.state, other.state)


def assert_same_state(state, other):
    """Assert that two states are equal."""
    assert state.vectors.tobytes() == other.vectors.tobytes()
    assert state.beta_products.tobytes() == other.beta_products.tobytes()
    for name in ("t", "batch", "optimizer", "counters", "feature_names"):
        assert getattr(state, name) == getattr(other, name), name
    for name in ("index", "validation_rows", "best_params"):
        assert np.array_equal(getattr(state, name), getattr(other, name)), name
    words, others = dict(state.random_state), dict(other.random_state)
    inner, its = words.pop("state"), others.pop("state")
    assert words == others
    assert inner["pos"] == its["pos"]
    assert np.array_equal(inner["key"], its["key"])
