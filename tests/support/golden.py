"""The golden trainings, of the reference, written once; ``--write`` writes those that are missing.

Each file of data/golden_v1/ holds initial weights, data, row order and learning rates of a small training, and the
reference's weights after 1, 10 and 100 steps. What is drawn here is drawn for writing only: tests read everything from
the files, so they also notice if a random stream, NumPy or the reference itself changes what it computes.
"""

import argparse
import json
import pathlib
import sys
from typing import NamedTuple

FOLDER = pathlib.Path(__file__).resolve().parent / "data" / "golden_v1"
if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parents[3]))  # this source tree, installed or not

import numpy as np  # noqa: E402

from fastnn import RPROP, SGD, Adam, AdamW, Network, RMSprop, cosine, get_backend  # noqa: E402
from fastnn.backends import Data, Steps  # noqa: E402
from fastnn.optimizers import OPTIMIZERS  # noqa: E402
from fastnn.testing.cases import draw_training  # noqa: E402
from fastnn.testing.trainings import Course, plan_course  # noqa: E402

AT = (1, 10, 100)
"""After how many steps the weights are kept."""

N_ROWS = 24
TUTORIAL = {"bias": "scalar", "bias_gradient": "times_bias", "reduction": "sum"}

LEAKY = Network((3, 6, 5, 2), ("leaky_relu", "identity"), bias="none")
GELU = Network((4, 6, 2), "gelu", "softmax", "squared_error")
DEEP = Network((4, 6, 5, 7, 2), ("gelu", "softplus", "sigmoid"), "softplus", "poisson", bias="scalar")

# Kinks in float64 only: in float32 a row may lie so near one that another BLAS takes it to the other side.
NETWORKS = {
    "tutorial": (Network((3, 5, 1), "sigmoid", "sigmoid", **TUTORIAL), "float64", SGD(0.1, sequential=True), {}),
    "tanh": (Network((4, 8, 3), "tanh", "softmax", "cross_entropy"), "float64", SGD(0.2), {"batch_size": 7}),
    "tanh single": (Network((4, 8, 3), "tanh", "softmax", "cross_entropy"), "float32", SGD(0.2), {"batch_size": 7}),
    "relu": (Network((4, 7, 2)), "float64", Adam(0.01), {"batch_size": 5, "alpha": 0.1}),
    "leaky relu": (LEAKY, "float64", SGD(0.05, momentum=0.9, nesterov=True), {"batch_size": 8}),
    "elu": (Network((4, 6, 2), "elu", "sigmoid", "log_loss"), "float64", SGD(0.05, momentum=0.9), {}),
    "selu": (Network((4, 6, 2), "selu", "tanh", "huber", reduction="sum"), "float64", AdamW(0.01), {"batch_size": 9}),
    "softplus": (Network((4, 6, 2), "softplus", "exp", "poisson", bias="scalar"), "float64", RMSprop(0.005), {}),
    "silu": (Network((4, 6, 2), "silu", "identity", "absolute_error"), "float64", RPROP(0.01), {}),
    "gelu": (GELU, "float64", Adam(cosine(0.05, 80)), {"batch_size": 1}),
    "silu single": (Network((4, 6, 2), "silu", "sigmoid", "log_loss"), "float32", AdamW(0.01), {"batch_size": 8}),
    "deep single": (DEEP, "float32", RMSprop(0.005), {"batch_size": 8, "alpha": 0.1}),
    "exp single": (Network((4, 2), output="exp", loss="huber"), "float32", Adam(0.01, sequential=True), {}),
}
WEIGHTED = ("tanh", "elu", "silu single", "selu")


class Recording(NamedTuple):
    course: Course
    at: np.ndarray  # (n_times,), numbers of steps
    params: np.ndarray  # (n_times, n_params)
    loss: np.ndarray  # (n_steps,)


def load(path):
    """The recording of a file."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    options = header["optimizer"]
    optimizer = OPTIMIZERS[options.pop("name")](learning_rate=float(arrays["learning_rate"][0]), **options)
    data = Data(arrays["X"], arrays["Y"], arrays["sample_weight"])
    steps = Steps(*(arrays[name] for name in ("rows", "start", "stop", "learning_rate")), np.zeros(len(arrays["loss"])))
    network = Network.from_dict(header["network"])
    course = Course(network, optimizer, data, arrays["initial"], steps, header["alpha"])
    return Recording(course, arrays["at"], arrays["params"], arrays["loss"])


def weights_along(course, at, backend, start):
    """The parameters (n_times, n_params) after these numbers of steps, and the losses of all steps."""
    state, params, losses = course.start(start), [], []
    for first, stop in zip([0, *at[:-1]], at, strict=True):
        losses.append(course.advance(get_backend(backend), state, first, stop))
        assert len(losses[-1]) == stop - first, "it diverges"
        params.append(state.params.copy())
    return np.array(params), np.concatenate(losses)


def write(name, path):
    network, dtype, optimizer, options = NETWORKS[name]
    problem = draw_training(network, N_ROWS, dtype, seed=list(NETWORKS).index(name))
    weight = problem.sample_weight if name in WEIGHTED else None
    start = {"params": problem.params, "sample_weight": weight, "optimizer": optimizer}
    course = plan_course(network, problem.X, problem.Y, AT[-1], 1, **start, **options)
    params, loss = weights_along(course, AT, "numpy", course.params)
    hyper = {key: value for key, value in course.optimizer.to_dict().items() if key != "learning_rate"}
    header = json.dumps({"network": network.to_dict(), "optimizer": hyper, "alpha": course.alpha})
    arrays = {**course.data._asdict(), "initial": course.params, **course.steps._asdict()}
    arrays |= {"at": np.array(AT), "params": params, "loss": loss}
    np.savez(path, allow_pickle=False, header=np.frombuffer(header.encode(), np.uint8), **arrays)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what is missing; what is there stays as it is")
    if not parser.parse_args().write:
        parser.error("nothing to do: tests read the files; --write adds those that are missing")
    FOLDER.mkdir(exist_ok=True)
    missing = {name: path for name in NETWORKS if not (path := FOLDER / f"{name.replace(' ', '_')}.npz").exists()}
    if not missing:
        sys.exit(f"all {len(NETWORKS)} files are there; a golden file is never written again")
    for name, path in missing.items():
        write(name, path)
        sys.stdout.write(f"{path.name}: {path.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
