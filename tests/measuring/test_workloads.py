"""The workloads are what they say; tests of the command `fastnn bench` learn them."""

import sys

import numpy as np
import pytest
import seed_page
from numpy.testing import assert_allclose, assert_array_equal

from fastnn import workloads
from fastnn.backends import BACKENDS
from fastnn.measuring import tutorial
from fastnn.training import train

SIZES = {  # sizes, rows, batch, dtype
    "seed": ((3, 5, 1), 6, None, "float64"),
    "iris": ((4, 16, 3), 150, None, "float64"),
    "digits": ((64, 64, 10), 1348, 32, "float32"),
    "online": ((64, 64, 10), 1348, 1, "float32"),
    "tab": ((32, 128, 128, 1), 8192, 128, "float32"),
    "mnist": ((784, 128, 10), 8192, 128, "float32"),
    "big": ((512, 1024, 1024, 10), 4096, 256, "float32"),
}


@pytest.mark.parametrize("name", SIZES)
def test_workload_has_the_documented_sizes(name):
    workload = workloads.load(name)
    sizes, n_rows, batch_size, dtype = SIZES[name]
    assert (workload.name, workload.network.sizes, workload.batch_size) == (name, sizes, batch_size)
    assert workload.dtype == workload.Y.dtype == dtype
    assert (workload.X.shape, workload.Y.shape) == ((n_rows, sizes[0]), (n_rows, sizes[-1]))
    assert workload.steps_per_epoch == -(-n_rows // (batch_size or n_rows))
    for array in (workload.X, workload.Y, workload.X_test, workload.Y_test):
        if array is not None:
            assert array.flags.c_contiguous
            assert not array.flags.writeable
            assert np.isfinite(array).all()


def test_other_names_and_dtypes_are_refused():
    with pytest.raises(ValueError, match="'digits'"):
        workloads.load("digit")
    for dtype in (np.int64, np.float16, "complex128"):
        with pytest.raises(ValueError, match="dtype must be float32 or float64"):
            workloads.load("seed", dtype)


@pytest.mark.parametrize("name", ["iris", "digits", "online"])
def test_missing_scikit_learn_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=rf"{name}.*scikit-learn.*fastnn-numba\[sklearn\]"):
        workloads.load(name)


WAYS = ("the tutorial's loop", *BACKENDS)


def trained(way, weights, **begin):
    """The errors, and after them both biases and the outputs, of the seed trained from weights or
    as `train` begins."""
    if way == WAYS[0]:
        before, (after, errors) = tutorial.flat(weights), tutorial.train(weights)
        assert_array_equal(tutorial.flat(weights), before)
        return errors, (after.b1, after.b2, *tutorial.predict(after, tutorial.X_TEST).ravel())
    seed = workloads.load("seed")
    begin = begin or {"params": tutorial.flat(weights)}
    result = train(seed.network, seed.X, seed.Y, **seed.train_options, **begin, backend=way)
    return result.history.loss, (
        *np.ravel(seed.network.biases(result.params)),
        *result.predict(seed.X_test).ravel(),
    )


@pytest.mark.parametrize("way", WAYS)
def test_seed_trains_to_the_tutorials_numbers(way):
    """From drawn weights, and from those that the tutorial prints."""
    for seed, expected in enumerate(seed_page.BY_SEED):
        errors, others = trained(way, tutorial.initial_weights(seed), seed=seed)
        assert_allclose((errors[0], errors[-1], *others), expected, rtol=seed_page.RTOL)
        assert errors.shape == (100,)
    errors, _ = trained(way, tutorial.Weights(seed_page.PRINTED_W1, seed_page.PRINTED_W2, 1.0, 1.0))
    places = list(seed_page.PRINTED_ERRORS)
    assert_allclose(errors[places], list(seed_page.PRINTED_ERRORS.values()), rtol=seed_page.RTOL)
