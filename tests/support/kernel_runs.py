"""What all entry points of the kernel compute, over networks, optimizers and sizes, as bits."""

import numpy as np
from bits import all_bits

from fastnn import Network, get_backend, loss_and_gradient, predict
from fastnn.losses import HIDDEN
from fastnn.optimizers import OPTIMIZERS, SGD, Adam
from fastnn.state import Data, Steps, StepState, Task
from fastnn.testing.cases import draw

MIXED = Network((5, *range(3, 3 + len(HIDDEN)), 3), tuple(HIDDEN), "softmax", "cross_entropy")
SMALL = Network((5, 7, 3), "tanh", "softmax", "cross_entropy", bias="scalar")


def do_steps(network, optimizer, problem, backend, calls=(30,), batch_size=13, alpha=0.01):
    """30 steps by so many calls of the back end; the state's vectors and the losses."""
    n = len(problem.X)
    rows = np.concatenate([np.random.RandomState(k).permutation(n) for k in range(30)])
    start = np.arange(30) * batch_size
    start[20:25] = start[20]  # the same rows again
    loss = np.empty(30)
    state = StepState.create(problem.params, optimizer.n_slots)
    task, first = Task(network, optimizer, Data(*problem[1:]), alpha), 0
    for n_steps in calls:
        part = slice(first, first := first + n_steps)
        rates = np.linspace(0.01, 0.02, 30)[part]
        steps = Steps(rows, start[part], start[part] + batch_size, rates, loss[part])
        done = get_backend(backend).train_steps(task, state, steps)
        assert done == n_steps
    assert (state.t, first) == (30, 30)
    assert not state.storage[0, state.n_params :].any()
    return all_bits(state.vectors, state.beta_products, loss)


OPTIMIZER_CASES = [kind() for kind in OPTIMIZERS.values()] + [SGD(momentum=0.9, nesterov=True), Adam(sequential=True)]


def everything(dtype):
    """The bits of what all three entry points compute, over the networks and optimizers of this file."""
    found = []
    for network in (SMALL, MIXED, Network((2, 1)), Network((3, 20, 1), "silu", bias="none")):
        for n in (1, 9, 300):
            problem = draw(network, n, dtype)
            found += all_bits(predict(network, problem.params, problem.X))
            found += all_bits(*loss_and_gradient(network, *problem[:3], sample_weight=problem.sample_weight, alpha=0.2))
        problem = draw(network, 270, dtype)
        for optimizer in OPTIMIZER_CASES:
            for batch_size in (1, 13, 265):
                found += do_steps(network, optimizer, problem, "numba", [19, 11], batch_size)
    return found


def full_batches(n, n_steps=1, rate=1.0):
    """Steps on all of n rows, in their order."""
    start = np.zeros(n_steps, int)
    return Steps(np.arange(n), start, start + n, np.full(n_steps, rate), np.zeros(n_steps))
