"""Work by name does what its name says on both back ends."""

import pathlib
import re

import numpy as np
import pytest

from fastnn.cli.correctness import check_same_answer
from fastnn.measuring import work

theirs = pytest.importorskip("sklearn.neural_network")


@pytest.mark.parametrize("name", work.ALL_NAMES)
def test_both_back_ends_have_the_same_answer(name, dtype):
    loaded = work.load(name, dtype)
    numba, numpy = (loaded.run(2, backend) for backend in ("numba", "numpy"))
    assert numba.dtype == dtype
    check_same_answer(name, numba, numpy)


def test_a_workload_may_have_fewer_rows_and_its_answer_is_a_change():
    loaded = work.load("tab", rows=300)
    assert (loaded.units, loaded.most, loaded.unit) == (3, 4, "iteration")
    params = loaded.workload.network.init_params(np.random.RandomState(0), np.float32)
    assert 0 < np.linalg.norm(loaded.answer("numba")) < 0.5 * np.linalg.norm(params)
    work.check(loaded, "numba")
    assert work.load("seed").most == 10**7  # all rows a step: no gradient vanishes


def test_names_are_those_that_version_0_1_had_too():
    """The file runs with other versions."""
    source = pathlib.Path(work.__file__).read_text("utf-8")
    assert set(re.findall(r"\bfastnn\.(\w+)", source.partition("import fastnn\n")[2])) == {
        "MLPClassifier",
        "Stop",
        "train",
        "workloads",
        "train_many",  # a loop over `train` takes its place there
    }
