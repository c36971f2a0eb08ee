"""Both back ends compute today what the reference once computed from stored numbers; nothing is
drawn.

Each file holds initial weights, data, row order and learning rates of a small training, and the
reference's weights after 1, 10 and 100 steps. The files are as they were written: none is written
again.
"""

import json
import pathlib

import numpy as np
import pytest

from fastnn import Network, get_backend
from fastnn.optimizers import OPTIMIZERS
from fastnn.state import Data, Steps, StepState, Task
from fastnn.testing.tolerances import assert_tensors_within, assert_within, longest_sum
from fastnn.testing.trainings import growth_of, moved

FILES = sorted((pathlib.Path(__file__).parents[1] / "support" / "data" / "golden_v1").glob("*.npz"))
assert len(FILES) >= 12


def load(path):
    """The task of a file, and its arrays."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    name = header["optimizer"].pop("name")
    optimizer = OPTIMIZERS[name](
        learning_rate=float(arrays["learning_rate"][0]), **header["optimizer"]
    )
    data = Data(arrays["X"], arrays["Y"], arrays["sample_weight"])
    task = Task(Network.from_dict(header["network"]), optimizer, data, header["alpha"])
    return task, arrays


def weights_along(task, arrays, backend, start):
    """The parameters (n_times, n_params) after some numbers of steps, and the losses of all."""
    state = StepState.create(start, task.optimizer.n_slots)
    losses = np.zeros(100)
    params = []
    names = ("start", "stop", "learning_rate")
    for first, stop in zip([0, *arrays["at"][:-1]], arrays["at"], strict=True):
        part = [arrays[name][first:stop] for name in names]
        steps = Steps(arrays["rows"], *part, losses[first:stop])
        assert get_backend(backend).train_steps(task, state, steps) == stop - first
        params.append(state.params.copy())
    return params, losses


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_trainings(path, backend):
    task, arrays = load(path)
    assert tuple(arrays["at"]) == (1, 10, 100)
    assert abs(arrays["params"][-1] - arrays["initial"]).max() > 0.05
    found, losses = weights_along(task, arrays, backend, arrays["initial"])
    runs = [weights_along(task, arrays, "numpy", start) for start in moved(arrays["initial"])]
    n = longest_sum(task.network, int((arrays["stop"] - arrays["start"]).max()))
    for i, step in enumerate(arrays["at"]):
        growth = growth_of([(params[i], loss) for params, loss in runs], n)
        names = (f"after {step} steps", backend, "the file")
        right = arrays["params"][i]
        assert_tensors_within(task.network, found[i], right, growth.params_bound, *names)
    assert_within(losses, arrays["loss"], growth.loss_bound, "loss, step", "the file")
