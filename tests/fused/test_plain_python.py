"""Small cases of what the kernel does, which `nox -s nojit` runs as plain Python: trainings as by
the reference, rows in CSR form as dense ones, members side by side that stop by a rule as alone.
"""

import numpy as np
import pytest
import scipy.sparse

from fastnn import SGD, Adam, Network, Stop, get_backend, testing, train, train_many
from fastnn.compiler.loader import IN_PYTHON
from fastnn.fused import side_by_side
from fastnn.fused.backend import NumbaBackend
from fastnn.sparse import sparse_rows
from fastnn.state import Data, Steps, StepState, Task

pytestmark = pytest.mark.nojit

RANDOM = np.random.RandomState(0)
X = RANDOM.rand(9, 3)
Y = RANDOM.rand(9, 2)
LABELS = RANDOM.randint(2, size=9)


def softsign(z):
    return z / (1 + np.abs(z))


def log_cosh(a, y):
    return np.log(np.cosh(a - y))


NETWORKS = {
    "two layers": Network((3, 5, 4, 2), ("tanh", "gelu")),
    "one layer": Network((3, 2), output="softmax", loss="cross_entropy"),
    "a scalar bias": Network((3, 4, 2), "relu", bias="scalar", bias_gradient="times_bias"),
    "functions": Network((3, 4, 2), softsign, loss=log_cosh),
}
OPTIONS = {
    "batches": {"optimizer": Adam(0.01), "batch_size": 4, "alpha": 0.1},
    "rows": {"optimizer": SGD(0.1, momentum=0.9, nesterov=True), "batch_size": 1},
    "in turn": {"optimizer": SGD(0.1, sequential=True), "batch_size": 4},
    "clipped": {"optimizer": SGD(0.1, clip_norm=0.1), "batch_size": 1},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_training_is_that_of_the_reference(network, options, dtype):
    params = network.init_params(np.random.RandomState(1), dtype)
    targets = np.eye(2)[LABELS] if network.output == "softmax" else Y
    data = X.astype(dtype), targets.astype(dtype)
    testing.assert_trainings_match(network, *data, params, epochs=1, seed=0, **options)


@pytest.mark.parametrize("sequential", [False, True])
def test_layers_have_rates_of_their_own(sequential, dtype):
    network = NETWORKS["functions"]
    params = network.init_params(np.random.RandomState(1), dtype)
    optimizer = SGD(0.1, sequential=sequential, rates=(0.5, 1.0))
    data = X.astype(dtype), Y.astype(dtype)
    testing.assert_trainings_match(network, *data, params, epochs=1, seed=0, optimizer=optimizer)


def outcome(network, rows, optimizer, batch_size):
    """The bits of two epochs on rows, of a loss and its gradient, and of predictions."""
    backend = get_backend("numba")
    task = Task(network, optimizer, Data(rows, Y.astype(rows.dtype), np.ones(9, rows.dtype)), 0.1)
    params = network.init_params(np.random.RandomState(1), rows.dtype)
    state = StepState.create(params, optimizer.n_slots)
    start = np.arange(0, 18, batch_size)
    rate = np.full(len(start), optimizer.learning_rate)
    stop = np.minimum(start + batch_size, 18)
    steps = Steps(np.tile(np.arange(9), 2), start, stop, rate, np.zeros(len(start)))
    assert backend.train_steps(task, state, steps) == len(start)
    gradient = backend.loss_and_gradient(network, params, task.data, 0.1)[1]
    outputs = [backend.predict(network, params, some) for some in (rows, rows[:1])]
    return [array.tobytes() for array in (state.params, steps.loss, gradient, *outputs)]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("sizes", [(3, 5, 4, 2), (3, 2)])
def test_rows_in_csr_form_have_the_bits_of_dense_ones(sizes, options, dtype):
    network = Network(sizes, "tanh")
    dense = np.where(X > 0.6, X, 0).astype(dtype)
    sparse = sparse_rows("X", scipy.sparse.csr_array(dense), np.dtype(dtype))
    optimizer = options["optimizer"]
    right = outcome(network, dense, optimizer, options["batch_size"])
    assert outcome(network, sparse, optimizer, options["batch_size"]) == right


STOPS = {
    "patience": Stop(patience=2, tol=1e-4),
    "own rows": Stop(patience=1, tol=1e-2, validation=0.3, restore_best=True),
    "accuracy": Stop(
        patience=1, validation=(X[:4], LABELS[:4]), restore_best=True, monitor="accuracy"
    ),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_members_that_decide_side_by_side_are_those_of_train(stop, monkeypatch):
    """In Python, a training alone decides after each call."""
    network = Network((3, 2, 1), "tanh", "sigmoid", "log_loss")
    options = {"epochs": 4, "batch_size": 4, "optimizer": SGD(0.5, momentum=0.5), "stop": stop}
    monkeypatch.setattr(side_by_side, "most_numbers", lambda lanes: 1 << 30)
    with monkeypatch.context() as patch:
        if IN_PYTHON:
            patch.setattr(NumbaBackend, "decides", lambda *about: True)
            patch.setattr(side_by_side, "CALLS", 1)
        many = train_many(network, X, LABELS, seed=range(8), n_jobs=1, **options)
    for k in (0, 3, 7):
        alone = train(network, X, LABELS, seed=k, **options)
        assert many[k].params.tobytes() == alone.params.tobytes()
        assert many[k].n_epochs == alone.n_epochs
