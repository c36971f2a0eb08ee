"""Strategies of hypothesis: any network, and any training of it; or steps on a single row, in a panel or not."""

from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import numpy as np
from bits import all_bits

from fastnn import RPROP, SGD, Adam, Network, cosine, get_backend, step_decay, train
from fastnn.fused.backend import NumbaBackend
from fastnn.losses import HIDDEN
from fastnn.memory import ALIGNMENT
from fastnn.network import BIASES, REDUCTIONS
from fastnn.optimizers import OPTIMIZERS
from fastnn.state import Data, Steps, StepState, Task
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
        """A training from the problem's parameters; `changed` options may name X, Y and network too."""
        X, Y = self.data
        call = {"network": self.network, "X": X, "Y": Y, "params": self.problem.params, "backend": backend}
        return train(**call | self.options | changed)


def network_of(draw, n_inputs, hidden, most_outputs, names, pair, **options):
    """A network of these sizes, with up to so many outputs, and any of these activations for each hidden layer."""
    loss, output = pair
    n_outputs = draw(st.integers(2 if output == "softmax" else 1, most_outputs))
    activations = tuple(draw(st.sampled_from(names)) for _ in hidden)
    return Network((n_inputs, *hidden, n_outputs), activations, output, loss, **options)


@st.composite
def trainings(draw, *, smooth=False, layers=(0, 3), rows=(1, 2, 9, 33, 70), batches=(None, 1, 7, 32), epochs=(1, 3)):
    """A few epochs of any network with any optimizer.

    Where `smooth`, those of float32 have no kinks: rounding would decide on which side of one a row lies.
    """

    def pick(options):
        return draw(st.sampled_from(list(options)))

    dtype = pick(DTYPES)
    avoid = KINKED if smooth and dtype is np.float32 else set()
    hidden = draw(st.lists(st.integers(1, 20), min_size=layers[0], max_size=layers[1]))
    names, pairs = [name for name in HIDDEN if name not in avoid], [pair for pair in PAIRS if not avoid & {*pair}]
    others = {"bias": pick(BIASES), "bias_gradient": pick(["exact", "times_bias"])}
    others |= {"reduction": pick(REDUCTIONS), "bias_init": pick(["same", 0.5])}
    network = network_of(draw, draw(st.integers(1, 9)), hidden, 6, names, pick(pairs), **others)
    name, settings = pick(OPTIMIZER_CASES)
    problem = draw_training(network, pick(rows), dtype, seed=draw(st.integers(0, 99)))
    options = {
        "optimizer": OPTIMIZERS[name](pick([1e-3, 1e-2, step_decay(1e-2, 2), cosine(1e-2, 20)]), **settings),
        "epochs": draw(st.integers(*epochs)),
        "batch_size": None if OPTIMIZERS[name].full_batch else pick(batches),
        "shuffle": pick([True, False]),
        "alpha": pick([0.0, 0.01, 1.0]),
        "sample_weight": pick([None, problem.sample_weight]),
    }
    return Drawn(network, problem, options)


class Panels(NumbaBackend):
    """The kernel in blocks of one vector, as specialized kernels take them: a single row is a panel there."""

    def blocks(self, task, n_rows, dtype):
        lanes = ALIGNMENT // dtype.itemsize
        return False, lanes, lanes


@st.composite
def steps_on_rows(draw, dtype):
    """A task on nine rows, and parameters, so that signs of zeros and huge biases would show in bits.

    The network predicts every other row exactly, where it can; silu and gelu are more often drawn than others, and
    biases of which f' is negative at z.
    """

    def pick(options):
        return draw(st.sampled_from(list(options)))

    hidden = draw(st.lists(st.sampled_from([1, 3, 7, 16, 40, 100]), min_size=1, max_size=2))
    pair = pick([("absolute_error", "identity"), ("squared_error", "identity"), *PAIRS])
    bias = pick(["vector", *BIASES])
    network = network_of(draw, draw(st.integers(1, 4)), hidden, 3, ["silu", "gelu", *HIDDEN], pair, bias=bias)
    params, X, Y, weight = draw_training(network, 9, dtype, seed=draw(st.integers(0, 99)))
    params *= dtype(pick([0.01, 1]))
    for b, shift in zip(network.biases(params), [pick([0, 1, 3])] * network.n_layers, strict=True):
        b -= shift
    if network.output == "identity":
        Y[::2] = get_backend("numba").predict(network, params, X)[::2]
    return Task(network, pick([RPROP(0.01), SGD(0.01, momentum=0.5), SGD(0.01), Adam()]), Data(X, Y, weight)), params


def bits_of(backend, task, params):
    """The bits of the state after three steps: on a row that may have no error, on eight rows, and on one of them."""
    state = StepState.create(params, task.optimizer.n_slots)
    steps = Steps(np.arange(9), np.array([8, 0, 2]), np.array([9, 8, 3]), np.full(3, 0.01), np.zeros(3))
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
