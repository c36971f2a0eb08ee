"""Any network and training of it; steps on a single row, in a panel or not; groups of members, in
lanes or not."""

from collections import namedtuple
from typing import Any, NamedTuple
from unittest import mock

import hypothesis
import hypothesis.strategies as st
import numpy as np
from bits import all_bits

from fastnn import RPROP, SGD, Adam, Network, cosine, get_backend, step_decay, train
from fastnn.fused import side_by_side
from fastnn.fused.backend import NumbaBackend
from fastnn.losses import HIDDEN, LOSSES
from fastnn.memory import ALIGNMENT, aligned_zeros, padded_size
from fastnn.network import BIAS_GRADIENTS, BIASES, REDUCTIONS
from fastnn.optimizers import OPTIMIZERS
from fastnn.state import Data, Steps, StepState, StepStates, Task
from fastnn.testing.cases import OPTIMIZER_CASES, PAIRS, Problem, draw_training

DTYPES = (np.float32, np.float64)
KINKED = {"relu", "leaky_relu", "selu", "absolute_error"}


class Drawn(NamedTuple):
    """A network, what it is trained on, and how."""

    network: Network
    problem: Problem
    options: dict[str, Any]

    @property
    def data(self):
        return self.problem.X, self.problem.Y

    def train(self, backend, **changed):
        """A training from the problem's parameters; `changed` options may name X, Y and network
        too."""
        X, Y = self.data
        call = {
            "network": self.network,
            "X": X,
            "Y": Y,
            "params": self.problem.params,
            "backend": backend,
        }
        return train(**call | self.options | changed)


def mixed(random_state, output, loss="squared_error", **options):
    """A network with a hidden layer of each activation, in any order and of any width."""
    activations = tuple(random_state.permutation(HIDDEN).tolist())
    *sizes, n_outputs = random_state.randint(1, 20, len(HIDDEN) + 2).tolist()
    n_outputs = max(n_outputs, 2) if output == "softmax" else n_outputs
    return Network((*sizes, n_outputs), activations, output, loss, **options)


def run(n, *strategies):
    """A decorator: the test is called with `n` draws of the strategies."""
    return lambda test: hypothesis.settings(max_examples=n)(hypothesis.given(*strategies)(test))


def network_of(draw, n_inputs, hidden, most_outputs, names, pair, **options):
    """A network of these sizes, with up to so many outputs, and any of these activations for each
    hidden layer."""
    loss, output = pair
    n_outputs = draw(st.integers(2 if output == "softmax" else 1, most_outputs))
    activations = tuple(draw(st.sampled_from(names)) for _ in hidden)
    return Network((n_inputs, *hidden, n_outputs), activations, output, loss, **options)


@st.composite
def trainings(
    draw,
    *,
    smooth=False,
    layers=(0, 3),
    rows=(1, 2, 9, 33, 70),
    batches=(None, 1, 7, 32),
    epochs=(1, 3),
):
    """A few epochs of any network with any optimizer; without kinks where `smooth`, on whose sides
    rounding decides."""

    def pick(options):
        return draw(st.sampled_from(list(options)))

    dtype = pick(DTYPES)
    avoid = KINKED if smooth and dtype is np.float32 else set()
    hidden = draw(st.lists(st.integers(1, 20), min_size=layers[0], max_size=layers[1]))
    names = [name for name in HIDDEN if name not in avoid]
    pairs = [pair for pair in PAIRS if not avoid & {*pair}]
    others = {"bias": pick(BIASES), "bias_gradient": pick(["exact", "times_bias"])}
    others |= {"reduction": pick(REDUCTIONS), "bias_init": pick(["same", 0.5])}
    network = network_of(draw, draw(st.integers(1, 9)), hidden, 6, names, pick(pairs), **others)
    name, settings = pick(OPTIMIZER_CASES)
    problem = draw_training(network, pick(rows), dtype, seed=draw(st.integers(0, 99)))
    options = {
        "optimizer": OPTIMIZERS[name](
            pick([1e-3, 1e-2, step_decay(1e-2, 2), cosine(1e-2, 20)]), **settings
        ),
        "epochs": draw(st.integers(*epochs)),
        "batch_size": None if OPTIMIZERS[name].full_batch else pick(batches),
        "shuffle": pick([True, False]),
        "alpha": pick([0.0, 0.01, 1.0]),
        "sample_weight": pick([None, problem.sample_weight]),
    }
    return Drawn(network, problem, options)


class Panels(NumbaBackend):
    """The kernel in blocks of one vector, as specialized kernels take them: a single row is a panel
    there."""

    def blocks(self, task, n_rows, dtype):
        lanes = ALIGNMENT // dtype.itemsize
        return False, lanes, lanes


@st.composite
def steps_on_rows(draw, dtype):
    """A task on nine rows, every other one predicted exactly, and parameters: signs of zeros would
    show in bits."""

    def pick(options):
        return draw(st.sampled_from(list(options)))

    hidden = draw(st.lists(st.sampled_from([1, 3, 7, 16, 40, 100]), min_size=1, max_size=2))
    pair = pick([("absolute_error", "identity"), ("squared_error", "identity"), *PAIRS])
    bias = pick(["vector", *BIASES])
    network = network_of(
        draw, draw(st.integers(1, 4)), hidden, 3, ["silu", "gelu", *HIDDEN], pair, bias=bias
    )
    params, X, Y, weight = draw_training(network, 9, dtype, seed=draw(st.integers(0, 99)))
    params *= dtype(pick([0.01, 1]))
    for b, shift in zip(network.biases(params), [pick([0, 1, 3])] * network.n_layers, strict=True):
        b -= shift
    if network.output == "identity":
        Y[::2] = get_backend("numba").predict(network, params, X)[::2]
    return Task(
        network, pick([RPROP(0.01), SGD(0.01, momentum=0.5), SGD(0.01), Adam()]), Data(X, Y, weight)
    ), params


def bits_of(backend, task, params):
    """The bits of the state after three steps: on a row that may have no error, on eight rows, and
    on one of them."""
    state = StepState.create(params, task.optimizer.n_slots)
    steps = Steps(
        np.arange(9), np.array([8, 0, 2]), np.array([9, 8, 3]), np.full(3, 0.01), np.zeros(3)
    )
    assert backend.train_steps(task, state, steps) == 3
    return all_bits(state.vectors, steps.loss)


def assert_single_rows_are_panels(dtype, n):
    """Assert that both ways give the same bits, for n drawn cases."""

    @hypothesis.settings(max_examples=n, derandomize=True, database=None, deadline=None)
    @hypothesis.given(steps_on_rows(dtype))
    def check(drawn):
        same = bits_of(Panels(), *drawn) == bits_of(get_backend("numba"), *drawn)
        assert same, "a single row has other bits in a panel"

    check()


SEEDS = (*range(12), 68)  # one of few where it shows that padding makes 0.0 of -0.0
DrawnGroup = namedtuple("DrawnGroup", "tasks, which, state, steps, n_steps")
"""The arguments of `train`."""


def draw_network(random):
    """Draw a network: some small, some so large that their products go in tiles, or transpose
    delta."""
    sizes = tuple(
        int(n) for n in random.randint(1, int(random.choice([3, 6, 20, 36])), random.randint(2, 5))
    )
    if random.rand() < 0.3:
        sizes = (int(random.choice([16, 17, 19])), int(random.choice([8, 16])), *sizes[1:])
    loss = random.choice(list(LOSSES))
    loss = "huber" if sizes[-1] == 1 and loss == "cross_entropy" else loss
    outputs = [name for name in LOSSES[loss].outputs if name != "softmax" or sizes[-1] > 1]
    activations = tuple(random.choice(HIDDEN) for _ in sizes[2:]) or "tanh"
    options = {"output": random.choice(outputs), "bias": random.choice(BIASES)}
    options |= {
        "bias_gradient": random.choice(BIAS_GRADIENTS),
        "reduction": random.choice(["mean", "sum"]),
    }
    return Network(sizes, activations, loss=loss, **options)


def draw_optimizer(random):
    """Draw a kind of optimizer, and return a function that draws one of it."""
    kind = OPTIMIZERS[random.choice(list(OPTIMIZERS))]
    options: dict[str, Any] = {"sequential": bool(random.rand() < 0.3)}
    if kind is SGD and random.rand() < 0.5:
        options |= {"momentum": 0.9, "nesterov": bool(random.rand() < 0.5)}
    return lambda: kind(learning_rate=float(2.0 ** random.randint(-9, -2)), **options)


def draw_rows(random, network, n, dtype):
    """Draw n rows of weight 1, some of their numbers 0 or tiny; read-only."""
    X = random.choice(
        [0.0, -0.0, 1e-30, -1.5, 0.3], (n, network.n_inputs), p=[0.1, 0.1, 0.1, 0.3, 0.4]
    )
    X = X + random.standard_normal(X.shape) * random.choice([0, 1])
    if random.rand() < 0.8:
        Y = random.choice([0.0, 1.0, 0.25], (n, network.n_outputs))
    else:
        Y = np.full((n, network.n_outputs), 0.5)
    data = Data(*(np.ascontiguousarray(a, dtype) for a in (X, Y, np.ones(n))))
    for array in data:
        array.flags.writeable = False
    return data


def draw_steps(random, n, m):
    """Draw the steps of m members on n rows, and how many each does."""
    n_steps = np.full(m, random.randint(1, 9), np.int64)
    if random.rand() < 0.3:
        n_steps = random.randint(0, 9, m)
    most = int(n_steps.max())
    size = int(random.randint(1, n + 1))
    n_orders = random.choice([1, m])
    n_rates = random.choice([1, m])
    start = random.randint(0, n - size + 1, most) * random.randint(2)  # or the same rows again
    rates = random.choice([0.1, 0.01, 0.3], (n_rates, most))
    rates = rates * random.choice([1.0, 1e-6, 1e3], p=[0.8, 0.1, 0.1])
    rows = np.array([random.permutation(n) for _ in range(n_orders)])
    return n_steps, Steps(rows, start, start + size, rates, np.zeros((m, most)))


def draw_group(seed, dtype):
    """Draw a group."""
    random = np.random.RandomState(seed)
    network = draw_network(random)
    optimizer = draw_optimizer(random)
    lanes = ALIGNMENT // np.dtype(dtype).itemsize
    n = int(random.choice([1, 2, 5, 8, 9, 16, 21, 64, 300], p=[0.1] * 2 + [0.12] * 6 + [0.08]))
    m = 2 * lanes + 3
    data = draw_rows(random, network, n, dtype)
    tasks = [
        Task(network, optimizer(), data, float(random.choice([0, 0.01])))
        for _ in range(random.randint(1, 4))
    ]
    n_steps, steps = draw_steps(random, n, m)
    shape = (m, 1 + tasks[0].optimizer.n_slots, padded_size(network.n_params, np.dtype(dtype)))
    storage = aligned_zeros(shape, np.dtype(dtype))
    params = random.standard_normal((m, network.n_params)) * random.choice([0.5, 1e-3, 1e-25, 3.0])
    is_zero = random.rand(m, network.n_params) < 0.1
    storage[:, 0, : network.n_params] = np.where(is_zero, -0.0, params)
    state = StepStates(storage, network.n_params, np.zeros(m, np.int64), np.ones((m, 2)))
    return DrawnGroup(tasks, random.randint(0, len(tasks), m), state, steps, n_steps)


def trained(group, most):
    """Train a copy of a group, with so many numbers for which lanes pay; return good steps, states
    and losses."""
    state = group.state
    steps = group.steps
    state = StepStates(
        state.storage.copy(), state.n_params, state.t.copy(), state.beta_products.copy()
    )
    steps = steps._replace(loss=steps.loss.copy())
    with mock.patch.object(side_by_side, "most_numbers", return_value=most):
        good = get_backend("numba").train(group.tasks, group.which, state, steps, group.n_steps)
    return np.array(good), state, steps.loss


def differences(group):
    """Return what differs between members side by side and one by one: of those that did not
    diverge, states too."""
    (good, state, losses), (right, alone, own_losses) = (
        trained(group, most) for most in (1 << 30, 0)
    )
    through = right == group.n_steps
    pairs = {
        "good": (good, right),
        # padding may be anything
        "state": [x.storage[through, :, : state.n_params] for x in (state, alone)],
        "beta_products": (state.beta_products[through], alone.beta_products[through]),
        "loss": (losses[through], own_losses[through]),
    }
    return [name for name, (a, b) in pairs.items() if a.tobytes() != b.tobytes()]
