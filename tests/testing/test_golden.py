"""Both back ends compute today what the reference once computed from stored numbers; nothing is drawn.

Each file holds initial weights, data, row order and learning rates of a small training, and the reference's weights
after 1, 10 and 100 steps. The files are as they were written: none is written again.
"""

import json
import pathlib

import numpy as np
import pytest

from fastnn import Network, get_backend
from fastnn.optimizers import OPTIMIZERS
from fastnn.state import Data, Steps
from fastnn.testing.tolerances import assert_tensors_within, assert_within, longest_sum
from fastnn.testing.trainings import Course, measured_growth

FILES = sorted((pathlib.Path(__file__).parents[1] / "support" / "data" / "golden_v1").glob("*.npz"))
assert len(FILES) >= 12


def load(path):
    """The training of a file, and the numbers of steps, the weights after them, and the losses that belong to it."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    name = header["optimizer"].pop("name")
    optimizer = OPTIMIZERS[name](learning_rate=float(arrays["learning_rate"][0]), **header["optimizer"])
    data = Data(arrays["X"], arrays["Y"], arrays["sample_weight"])
    steps = Steps(*(arrays[name] for name in ("rows", "start", "stop", "learning_rate")), np.zeros(len(arrays["loss"])))
    network = Network.from_dict(header["network"])
    course = Course(network, optimizer, data, arrays["initial"], steps, header["alpha"])
    return course, arrays["at"], arrays["params"], arrays["loss"]


def weights_along(course, at, backend, start):
    """The parameters (n_times, n_params) after these numbers of steps, and the losses of all steps."""
    state, params, losses = course.start(start), [], []
    for first, stop in zip([0, *at[:-1]], at, strict=True):
        losses.append(course.advance(get_backend(backend), state, first, stop))
        params.append(state.params.copy())
    return np.array(params), np.concatenate(losses)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_trainings(path, backend):
    course, at, params, loss = load(path)
    assert tuple(at) == (1, 10, 100)
    assert abs(params[-1] - course.params).max() > 0.05
    found, losses = weights_along(course, at, backend, course.params)
    n = longest_sum(course.network, int((course.steps.stop - course.steps.start).max()))
    growth = measured_growth(lambda start: weights_along(course, at, "numpy", start), course.params, n)
    for step, mine, right, bound in zip(at, found, params, growth.params_bound, strict=True):
        assert_tensors_within(course.network, mine, right, bound, f"after {step} steps", backend, "the file")
    assert_within(losses, loss, growth.loss_bound, "loss, step", "the file")
