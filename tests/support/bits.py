"""Bits of arrays and trainings, to be compared: two numbers may be equal and not of the same bits,
0.0 and -0.0."""

import numpy as np


def bits(array):
    """An array's dtype, shape and bytes; None for None."""
    return None if array is None else (array.dtype.str, array.shape, array.tobytes())


def all_bits(*arrays):
    """The same of some arrays, or of what becomes one."""
    return [bits(np.asarray(array)) for array in arrays]


def assert_same_bits(actual, expected):
    """Assert that two arrays have one dtype and shape, and the same bits."""
    assert bits(actual) == bits(expected), f"{actual} is not to the bit {expected}"


def assert_same_bits_or_nan(actual, expected):
    """The same, where any NaN is as good as another one."""
    assert_same_bits(*(np.where(np.isnan(a), a.dtype.type("nan"), a) for a in (actual, expected)))


ARRAYS = "vectors", "beta_products", "index", "validation_rows", "best_params"
OTHERS = "t", "batch", "optimizer", "feature_names", "counters"
HISTORY = "loss", "validation_loss", "score", "learning_rate"


def state_bits(state):
    """All that a training goes on from."""
    generator = state.random_state
    found = {name: bits(getattr(state, name)) for name in ARRAYS} | {
        name: getattr(state, name) for name in OTHERS
    }
    return found | {
        "generator": (
            generator["state"]["pos"],
            bits(generator["state"]["key"]),
            generator["has_gauss"],
        )
    }


def result_bits(result):
    """All that a training gives, but for the time that it took."""
    found = {
        "network": result.network,
        "params": bits(result.params),
        "stop_reason": result.stop_reason,
    }
    found |= {name: bits(getattr(result.history, name)) for name in HISTORY} | {
        "monitor": result.history.monitor
    }
    return state_bits(result.state) | found


def assert_same_result(result, other):
    """Assert that two results are the same in everything but their times."""
    assert result_bits(result) == result_bits(other)


def assert_same_params(result, *others):
    """Assert that the parameters of all these results have the same bits."""
    for other in others:
        assert bits(other.params) == bits(result.params)


def assert_same_results(results, others):
    """Assert that of two lists of results each is the same as the other."""
    for one, other in zip(results, others, strict=True):
        assert_same_result(one, other)


def history_bits(*results):
    """The losses, scores and rates of trainings that followed each other, as if they had been
    one."""
    return [
        bits(np.concatenate([getattr(result.history, name) for result in results]))
        for name in HISTORY
    ]
