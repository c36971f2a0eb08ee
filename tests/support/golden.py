"""The golden trajectories: trainings of the reference, written once; ``--write`` writes those that are missing.

Each file of data/golden_v1/ holds initial weights, data, row order and learning rates of a small training, and the
reference's weights after 1, 10 and 100 steps. What is drawn here is drawn for writing only: tests read everything from
the files, so they also notice if a random stream, NumPy or the reference itself changes what it computes.
"""

import argparse
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent / "data" / "golden_v1"
if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parents[3]))  # this source tree, installed or not

from fastnn import RPROP, SGD, Adam, AdamW, Network, RMSprop, cosine, testing  # noqa: E402
from fastnn.testing.problems import draw_training  # noqa: E402

N_ROWS = 24
TUTORIAL = {"bias": "scalar", "bias_gradient": "times_bias", "reduction": "sum"}

# Kinks in float64 only: in float32 a row may lie so near one that another BLAS takes it to the other side.
NETWORKS = {
    "tutorial": (Network((3, 5, 1), "sigmoid", "sigmoid", **TUTORIAL), "float64", SGD(0.1, sequential=True), {}),
    "tanh": (Network((4, 8, 3), "tanh", "softmax", "cross_entropy"), "float64", SGD(0.2), {"batch_size": 7}),
    "tanh single": (Network((4, 8, 3), "tanh", "softmax", "cross_entropy"), "float32", SGD(0.2), {"batch_size": 7}),
    "relu": (Network((4, 7, 2)), "float64", Adam(0.01), {"batch_size": 5, "alpha": 0.1}),
    "leaky relu": (
        Network((3, 6, 5, 2), ("leaky_relu", "identity"), bias="none"),
        "float64",
        SGD(0.05, momentum=0.9, nesterov=True),
        {"batch_size": 8},
    ),
    "elu": (Network((4, 6, 2), "elu", "sigmoid", "log_loss"), "float64", SGD(0.05, momentum=0.9), {}),
    "selu": (Network((4, 6, 2), "selu", "tanh", "huber", reduction="sum"), "float64", AdamW(0.01), {"batch_size": 9}),
    "softplus": (Network((4, 6, 2), "softplus", "exp", "poisson", bias="scalar"), "float64", RMSprop(0.005), {}),
    "silu": (Network((4, 6, 2), "silu", "identity", "absolute_error"), "float64", RPROP(0.01), {}),
    "gelu": (
        Network((4, 6, 2), "gelu", "softmax", "squared_error"),
        "float64",
        Adam(cosine(0.05, 80)),
        {"batch_size": 1},
    ),
    "silu single": (Network((4, 6, 2), "silu", "sigmoid", "log_loss"), "float32", AdamW(0.01), {"batch_size": 8}),
    "deep single": (
        Network((4, 6, 5, 7, 2), ("gelu", "softplus", "sigmoid"), "softplus", "poisson", bias="scalar"),
        "float32",
        RMSprop(0.005),
        {"batch_size": 8, "alpha": 0.1},
    ),
    "exp single": (Network((4, 2), output="exp", loss="huber"), "float32", Adam(0.01, sequential=True), {}),
}
WEIGHTED = ("tanh", "elu", "silu single", "selu")


def write(name, path):
    network, dtype, optimizer, options = NETWORKS[name]
    problem = draw_training(network, N_ROWS, dtype, seed=list(NETWORKS).index(name))
    weight = problem.sample_weight if name in WEIGHTED else None
    start = {"params": problem.params, "sample_weight": weight, "optimizer": optimizer, "seed": 1}
    testing.record(network, problem.X, problem.Y, backend="numpy", **start, **options).save(path)


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
