"""Rows in CSR form on the kernel: the bits of dense rows, in drawn trainings; what is refused."""

import numpy as np
import pytest
import scipy.sparse

from fastnn import SGD, Adam, LevenbergMarquardt, Network
from fastnn.backends import Data, Steps, StepState, Task, get_backend
from fastnn.sparse import SparseRows, sparse_rows

OPTIMIZERS = [
    Adam(0.01),
    SGD(0.1),
    SGD(0.1, momentum=0.9, nesterov=True),
    SGD(0.1, sequential=True),
    SGD(0.1, clip_norm=0.5),
    SGD(0.1, sequential=True, clip_norm=None),
]
KERNEL = get_backend("numba")


def draw_network(draw):
    sizes = [draw.choice([1, 3, 17, 130, 300, 400])]
    sizes += [draw.choice([1, 2, 5, 8, 16, 24, 33, 100]), draw.choice([1, 2, 4])]
    if draw.rand() < 0.3:
        sizes.insert(2, draw.choice([3, 8]))
    elif draw.rand() < 0.3:
        del sizes[1]
    activation = draw.choice(["tanh", "relu", "gelu"])
    bias = draw.choice(["vector", "scalar"])
    return Network(tuple(map(int, sizes)), activation, bias=bias)


def draw_rows(draw, network, n, dtype):
    """Draw rows with few entries, some of them of weight 0."""
    share = draw.choice([0.01, 0.1, 0.5, 1])
    X = draw.standard_normal((n, network.n_inputs)) * (draw.rand(n, network.n_inputs) < share)
    weight = np.ones(n) if draw.rand() < 0.5 else draw.randint(0, 3, n)
    Y = draw.rand(n, network.n_outputs)
    return Data(X.astype(dtype), Y.astype(dtype), weight.astype(dtype))


def draw_steps(draw, n, learning_rate):
    """Draw the steps of two epochs."""
    batch_size = min(n, draw.choice([1, 2, 7, 8, 16, 60, 300]))
    rows = np.concatenate([draw.permutation(n) for _ in range(2)])
    start = np.concatenate([np.arange(0, n, batch_size) + k * n for k in range(2)])
    stop = np.minimum(start + batch_size, (start // n + 1) * n)
    return Steps(rows, start, stop, np.full(len(start), learning_rate), np.zeros(len(start)))


def drawn(seed):
    """Draw a task, parameters, and steps."""
    draw = np.random.RandomState(seed)
    n = draw.randint(1, 60) if draw.rand() < 0.7 else draw.randint(200, 600)
    network = draw_network(draw)
    dtype = np.dtype(draw.choice(["f4", "f8"]))
    data = draw_rows(draw, network, n, dtype)
    optimizer = OPTIMIZERS[draw.randint(len(OPTIMIZERS))]
    params = network.init_params(draw, dtype)
    steps = draw_steps(draw, n, optimizer.learning_rate)
    alpha = float(draw.choice([0, 0.1]))
    threads = int(draw.choice([1, 2, 3]))
    return Task(network, optimizer, data, alpha, threads=threads), params, steps


def outcome(task, params, steps):
    """Return all numbers that a training gives, and its loss, gradient and predictions."""
    state = StepState.create(params, task.optimizer.n_slots)
    steps = steps._replace(loss=np.zeros(len(steps.start)))
    good = KERNEL.train_steps(task, state, steps)
    if good < len(steps.start):  # diverged: its last state is of no use
        return [good, steps.loss[: good + 1].tobytes()]
    loss, gradient = KERNEL.loss_and_gradient(
        task.network, state.params, task.data, task.alpha, threads=task.threads
    )
    trained = state.params.copy()
    outputs = [KERNEL.predict(task.network, trained, X) for X in (task.data.X, task.data.X[:1])]
    arrays = state.vectors, steps.loss, gradient, *outputs
    return [good, loss, *(array.tobytes() for array in arrays)]


def in_csr(data):
    return data._replace(X=sparse_rows("X", scipy.sparse.csr_array(data.X), data.X.dtype))


@pytest.mark.parametrize("seed", range(60))
def test_drawn_trainings_have_the_bits_of_dense_rows(seed):
    task, params, steps = drawn(seed)
    sparse = Task(task.network, task.optimizer, in_csr(task.data), task.alpha, threads=task.threads)
    assert outcome(sparse, params, steps) == outcome(task, params, steps)


@pytest.fixture
def few_rows():
    """A task on three rows, the second of which has no entry."""
    X = np.zeros((3, 5))
    X[0, 1] = 2.0
    X[2, 4] = 3.0
    data = Data(X, np.ones((3, 1)), np.ones(3))
    return Task(Network((5, 1)), SGD(0.1), data)


def test_rows_can_be_taken_by_slices_masks_and_numbers(few_rows):
    X = few_rows.data.X
    rows = in_csr(few_rows.data).X
    for some in (slice(1, 3), slice(3, 1), np.array([True, False, True]), np.array([2, 2, 0])):
        assert rows[some].toarray().tobytes() == X[some].tobytes()


@pytest.mark.nojit
def test_a_method_of_second_order_refuses_rows_in_csr_form(few_rows):
    method = LevenbergMarquardt()
    task = Task(few_rows.network, method, in_csr(few_rows.data))
    state = StepState.create(np.zeros(6), method.n_slots)
    steps = Steps(np.arange(3), np.array([0]), np.array([3]), np.ones(1), np.zeros(1))
    with pytest.raises(TypeError, match="LevenbergMarquardt takes X as an array, not rows in CSR"):
        KERNEL.train_steps(task, state, steps)


def replaced(rows, **parts):
    """Rows some of whose arrays were exchanged, past the constructor."""
    for name, value in parts.items():
        setattr(rows, name, value)
    return rows


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"values": np.ones(2, np.int64)}, "X must be an array of float64 or float32"),
        ({"values": np.ones(4)[::2]}, "the entries of X must be .* not in C order"),
        ({"values": np.ones(1)}, "the entries of X are 2, of which there are 1 numbers"),
        ({"indices": np.zeros(3, np.int64)}, "the columns of X must be an array of int32"),
        ({"indices": np.zeros(2, np.int32)}, "the entries of X are 2, .* and 1 columns"),
        ({"starts": np.zeros(2, np.int64)}, "the starts of X must be an array of int64"),
        ({"shape": (3, 6)}, "X must have the shape"),
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_reach_no_kernel(few_rows, parts, words):
    rows = replaced(in_csr(few_rows.data).X, **parts)
    with pytest.raises((TypeError, ValueError), match=words):
        KERNEL.predict(few_rows.network, np.zeros(6), rows)


@pytest.mark.parametrize(
    ("values", "indices", "starts", "words"),
    [
        ([1.0, 2.0], [0, 5], [0, 1, 2], "indices must be from 0 to 4"),
        ([1.0, 2.0], [0, -1], [0, 1, 2], "indices must be from 0 to 4"),
        ([1.0, 2.0], [1, 0], [0, 2, 2], "indices must ascend within a row"),
        ([1.0, 2.0], [1, 1], [0, 2, 2], "indices must ascend within a row"),
        ([1.0, 2.0], [0, 1], [0, 2, 1], "starts must lead from 0 to the number of entries, 2"),
        ([1.0, 2.0], [0, 1], [0, 3, 2], "starts must not decrease"),
        # of which a difference overflows
        ([1.0, 2.0], [0, 1], np.array([0, 200, 2], np.uint8), "starts must not decrease"),
        ([1.0, 2.0], [0, 1], [0, 2**63 - 1, -(2**63), -1, 2], "starts must not decrease"),
        ([1.0, 2.0], [0], [0, 1, 1], "there are 2 values and 1 indices"),
        ([1.0, 2.0], [0.0, 1.0], [0, 1, 2], "indices must be integers, not float64"),
        ([[1.0, 2.0]], [0, 1], [0, 1, 2], "values must have 1 dimension, not 2"),
    ],
)
def test_rows_are_made_of_right_places_alone(values, indices, starts, words):
    with pytest.raises(ValueError, match=words):
        SparseRows(np.array(values), np.array(indices), np.array(starts), 5)
