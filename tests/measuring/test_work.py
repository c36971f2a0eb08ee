"""Work by name does what its name says on both back ends."""

import pathlib
import re

import numpy as np
import pytest

from benchmarks.real_work import agree_fits
from fastnn import MLPClassifier, train, workloads
from fastnn.cli.correctness import check_same_answer
from fastnn.measuring import work

theirs = pytest.importorskip("sklearn.neural_network")


@pytest.mark.parametrize("name", work.ALL_NAMES)
def test_both_back_ends_have_the_same_answer(name, dtype):
    loaded = work.load(name, dtype)
    numba, numpy = (loaded.run(2, backend) for backend in ("numba", "numpy"))
    assert numba.dtype == dtype
    check_same_answer(name, numba, numpy)


@pytest.mark.parametrize("data", ["seed", "iris b32"])
def test_what_is_done_between_epochs_changes_no_weight(data):
    plain = work.load(f"{data}, plain").run(5, "numba")
    validated = work.load(f"{data}, validation").run(5, "numba")
    np.testing.assert_array_equal(validated[:-5], plain)
    np.testing.assert_array_equal(work.load(f"{data}, callback").run(5, "numba"), plain)


def test_one_call_is_the_usual_training_of_the_seed():
    seed = workloads.load("seed")
    result = train(seed.network, seed.X, seed.Y, **seed.train_options, seed=0)
    expected = np.concatenate([result.params, result.history.loss])
    np.testing.assert_array_equal(work.load("seed, one call").run(2, "numba"), expected)
    np.testing.assert_array_equal(work.load("seed").run(seed.epochs, "numba"), result.params)


def test_a_workload_may_have_fewer_rows_and_its_answer_is_a_change():
    loaded = work.load("tab", rows=300)
    assert (loaded.units, loaded.most, loaded.unit) == (3, 4, "iteration")
    params = loaded.workload.network.init_params(np.random.RandomState(0), np.float32)
    assert 0 < np.linalg.norm(loaded.answer("numba")) < 0.5 * np.linalg.norm(params)
    work.check(loaded, "numba")
    assert work.load("seed").most == 10**7  # all rows a step: no gradient vanishes


@pytest.mark.parametrize("name", work.FIT_NAMES)
def test_fits_are_those_of_scikit_learn(name):
    fit = work.load_fit(name)
    n = work.load(name).usual
    mine, other = (fit.run(classifier, n) for classifier in (MLPClassifier, theirs.MLPClassifier))
    agree_fits(mine, other)
    assert (mine.validation_scores_ is not None) == ("early" in name)
    mine.coefs_[0][0, 0] += 1e-3
    with pytest.raises(AssertionError):
        agree_fits(mine, other)


def test_names_are_those_that_version_0_1_had_too():
    """The file runs with other versions."""
    source = pathlib.Path(work.__file__).read_text("utf-8")
    assert set(re.findall(r"\bfastnn\.(\w+)", source.partition("import fastnn\n")[2])) == {
        *("MLPClassifier", "Stop", "train", "workloads"),
        "train_many",  # a loop over `train` takes its place there
    }
