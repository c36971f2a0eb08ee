"""Random groups of members, trained side by side and one by one."""

from collections import namedtuple
from typing import Any
from unittest import mock

import numpy as np

from fastnn import Network, get_backend
from fastnn.fused import side_by_side
from fastnn.losses import HIDDEN, LOSSES
from fastnn.memory import ALIGNMENT, aligned_zeros, padded_size
from fastnn.network import BIAS_GRADIENTS, BIASES
from fastnn.optimizers import OPTIMIZERS, SGD
from fastnn.state import Data, GroupState, Steps, Task

SEEDS = (*range(12), 68)  # one of few where it shows that padding makes 0.0 of -0.0


DrawnGroup = namedtuple("DrawnGroup", "tasks, which, state, steps, n_steps")
"""The arguments of `train_group`."""


def draw_network(random):
    """Draw a network: some small, some so large that their products go in tiles, or transpose delta."""
    top = int(random.choice([3, 6, 20, 36]))
    sizes = tuple(int(n) for n in random.randint(1, top, random.randint(2, 5)))
    if random.rand() < 0.3:
        sizes = (int(random.choice([16, 17, 19])), int(random.choice([8, 16])), *sizes[1:])
    loss = random.choice(list(LOSSES))
    loss = "huber" if sizes[-1] == 1 and loss == "cross_entropy" else loss
    outputs = [name for name in LOSSES[loss].outputs if name != "softmax" or sizes[-1] > 1]
    activations = tuple(random.choice(HIDDEN) for _ in sizes[2:]) or "tanh"
    options = {"output": random.choice(outputs), "bias": random.choice(BIASES)}
    options |= {"bias_gradient": random.choice(BIAS_GRADIENTS), "reduction": random.choice(["mean", "sum"])}
    return Network(sizes, activations, loss=loss, **options)


def draw_optimizer(random):
    """Draw a kind of optimizer, and return a function that draws one of it."""
    kind = OPTIMIZERS[random.choice(list(OPTIMIZERS))]
    options: dict[str, Any] = {"sequential": bool(random.rand() < 0.3)}
    if kind is SGD and random.rand() < 0.5:
        options |= {"momentum": 0.9, "nesterov": bool(random.rand() < 0.5)}
    return lambda: kind(learning_rate=float(2.0 ** random.randint(-9, -2)), **options)


def draw_group(seed, dtype):
    """Draw a group."""
    random = np.random.RandomState(seed)
    network, optimizer, lanes = draw_network(random), draw_optimizer(random), ALIGNMENT // np.dtype(dtype).itemsize
    n, m = int(random.choice([1, 2, 5, 8, 9, 16, 21, 64, 300], p=[0.1] * 2 + [0.12] * 6 + [0.08])), 2 * lanes + 3
    X = random.choice([0.0, -0.0, 1e-30, -1.5, 0.3], (n, network.n_inputs), p=[0.1, 0.1, 0.1, 0.3, 0.4])
    X = X + random.standard_normal(X.shape) * random.choice([0, 1])
    Y = random.choice([0.0, 1.0, 0.25], (n, network.n_outputs)) if random.rand() < 0.8 else np.zeros((n, 1)) + 0.5
    Y = np.broadcast_to(Y, (n, network.n_outputs))
    data = Data(*(np.ascontiguousarray(a, dtype) for a in (X, Y, np.ones(n))))
    for array in data:
        array.flags.writeable = False
    tasks = [Task(network, optimizer(), data, float(random.choice([0, 0.01]))) for _ in range(random.randint(1, 4))]
    n_steps = np.full(m, random.randint(1, 9), np.int64)
    if random.rand() < 0.3:
        n_steps = random.randint(0, 9, m)
    most, size = int(n_steps.max()), int(random.randint(1, n + 1))
    n_orders, n_rates = random.choice([1, m]), random.choice([1, m])
    start = random.randint(0, n - size + 1, most) * random.randint(2)  # or the same rows again
    rates = random.choice([0.1, 0.01, 0.3], (n_rates, most)) * random.choice([1.0, 1e-6, 1e3], p=[0.8, 0.1, 0.1])
    rows = np.array([random.permutation(n) for _ in range(n_orders)])
    steps = Steps(rows, start, start + size, rates, np.zeros((m, most)))
    n_slots = tasks[0].optimizer.n_slots
    storage = aligned_zeros((m, 1 + n_slots, padded_size(network.n_params, np.dtype(dtype))), np.dtype(dtype))
    params = random.standard_normal((m, network.n_params)) * random.choice([0.5, 1e-3, 1e-25, 3.0])
    storage[:, 0, : network.n_params] = np.where(random.rand(m, network.n_params) < 0.1, -0.0, params)
    state = GroupState(storage, network.n_params, np.zeros(m, np.int64), np.ones((m, 2)))
    return DrawnGroup(tasks, random.randint(0, len(tasks), m), state, steps, n_steps)


def trained(group, most):
    """Train a copy of a group, with so many numbers for which lanes pay; return good steps, states and losses."""
    state, steps = group.state, group.steps
    state = GroupState(state.storage.copy(), state.n_params, state.t.copy(), state.beta_products.copy())
    steps = steps._replace(loss=steps.loss.copy())
    with mock.patch.object(side_by_side, "most_numbers", return_value=most):
        good = get_backend("numba").train_group(group.tasks, group.which, state, steps, group.n_steps)
    return good, state, steps.loss


def differences(group):
    """Return what differs between members side by side and one by one: of those that did not diverge, states too."""
    (good, state, losses), (right, alone, own_losses) = (trained(group, most) for most in (1 << 30, 0))
    through = right == group.n_steps
    pairs = {
        "good": (good, right),
        "state": [x.storage[through, :, : state.n_params] for x in (state, alone)],  # padding may be anything
        "beta_products": (state.beta_products[through], alone.beta_products[through]),
        "loss": (losses[through], own_losses[through]),
    }
    return [name for name, (a, b) in pairs.items() if a.tobytes() != b.tobytes()]
