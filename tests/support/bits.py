"""Bits of arrays and trainings, to be compared: two numbers may be equal and not of the same bits, 0.0 and -0.0."""

import numpy as np


def bits(array):
    """An array's dtype, shape and bytes; None for None."""
    return None if array is None else (array.dtype.str, array.shape, array.tobytes())


def all_bits(*arrays):
    """The same of some arrays, or of what becomes one."""
    return [bits(np.asarray(array)) for array in arrays]


def state_bits(state):
    """All that a training goes on from."""
    generator = state.random_state
    return {
        "vectors": bits(state.vectors),
        "t": state.t,
        "beta_products": bits(state.beta_products),
        "generator": (generator["state"]["pos"], bits(generator["state"]["key"]), generator["has_gauss"]),
        "index": bits(state.index),
        "validation_rows": bits(state.validation_rows),
        "batch": state.batch,
        "optimizer": state.optimizer,
        "feature_names": state.feature_names,
        "best_params": bits(state.best_params),
        "counters": state.counters,
    }


def result_bits(result):
    """All that a training gives, but for the time that it took."""
    return state_bits(result.state) | {
        "network": result.network,
        "params": bits(result.params),
        "loss": bits(result.history.loss),
        "validation_loss": bits(result.history.validation_loss),
        "learning_rate": bits(result.history.learning_rate),
        "score": bits(result.history.score),
        "monitor": result.history.monitor,
        "stop_reason": result.stop_reason,
    }


def assert_same_result(result, other):
    """Assert that two results are the same in everything but their times."""
    assert result_bits(result) == result_bits(other)


def assert_same_results(results, others):
    """Assert that of two lists of results each is the same as the other."""
    for one, other in zip(results, others, strict=True):
        assert_same_result(one, other)


def history_bits(*results):
    """The losses, scores and rates of trainings that followed each other, as if they had been one."""
    histories = [result.history for result in results]
    names = ("loss", "validation_loss", "score", "learning_rate")
    return [bits(np.concatenate([getattr(h, name) for h in histories])) for name in names]
