"""Whole processes: from the start of Python to its end, imports included; time and most memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping

from fastnn.measuring.timing import in_process

# The seed's training, 100 iterations, as a user of each would write it.
DATA = """
import numpy as np
X = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1]], float)
Y = np.array([[0], [1], [0], [1], [0], [1]], float)
"""
SCRIPTS = {
    "fastnn": """
from fastnn import train, workloads
seed = workloads.load("seed")
result = train(seed.network, seed.X, seed.Y, **seed.train_options, seed=0)
print(result.history.loss[-1])
""",
    "NumPy loop": """
from fastnn.measuring import tutorial
weights, errors = tutorial.train(tutorial.initial_weights(0))
print(errors[-1])
""",
    "scikit-learn": DATA
    + """
import warnings
from sklearn.neural_network import MLPRegressor
warnings.simplefilter("ignore")
model = MLPRegressor(hidden_layer_sizes=(5,), activation="logistic", solver="sgd", learning_rate_init=0.5,
                     batch_size=6, max_iter=100, shuffle=False, random_state=0, tol=0, n_iter_no_change=1000)
print(model.fit(X, Y.ravel()).loss_)
""",
    "PyTorch": DATA
    + """
import torch
X, Y = torch.tensor(X), torch.tensor(Y)
model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Sigmoid(), torch.nn.Linear(5, 1), torch.nn.Sigmoid())
model.double()
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
for _ in range(100):
    optimizer.zero_grad()
    loss = 0.5 * (model(X) - Y).square().sum()
    loss.backward()
    optimizer.step()
print(loss.item())
""",
    "JAX": """
from benchmarks.peers.by_jax import Trainer
from benchmarks.peers.workloads import load
print(Trainer(load("seed")).train(100)[0])
""",
}
FIRST_TRAINING = """
import time
import numpy as np
from fastnn import SGD, Network, train
X = np.ones((2, 2), np.float32)
start = time.perf_counter()
train(Network((2, 2, 1)), X, X[:, :1], optimizer=SGD(), epochs=1)
print(time.perf_counter() - start)
"""


def whole(titles: list[str], rounds: int, variables: Mapping[str, str]) -> dict[str, dict[str, list[float]]]:
    """By title: seconds and bytes of each process, in turn, after one that fills the disk caches."""
    found: dict = {title: {"seconds": [], "bytes": []} for title in titles}
    for done in range(-1, rounds):
        for title in titles:
            process = in_process(SCRIPTS[title], variables, only=True)
            if done >= 0:
                found[title]["seconds"].append(process.seconds)
                found[title]["bytes"].append(process.peak_bytes)
    return found


def cold(rounds: int, variables: Mapping[str, str]) -> list[float]:
    """Seconds of a process's first `train` with an empty disk cache, one dtype, the import of Numba included."""
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            process = in_process(FIRST_TRAINING, {**variables, "FASTNN_CACHE_DIR": folder}, only=True)
        seconds.append(float(process.output))
    return seconds
