"""Steps on a single row, as it lies and in a panel: drawn so that signs of zeros and huge biases would show in bits."""

from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import numpy as np
from bits import all_bits

from fastnn import RPROP, SGD, Adam, Network, get_backend
from fastnn.fused.backend import NumbaBackend
from fastnn.losses import HIDDEN
from fastnn.memory import ALIGNMENT
from fastnn.network import BIASES
from fastnn.state import Data, Steps, StepState, Task
from fastnn.testing.cases import PAIRS, Problem, draw_training


class Panels(NumbaBackend):
    """The kernel in blocks of one vector, as specialized kernels take them: a single row is a panel there."""

    def blocks(self, task, n_rows, dtype):
        lanes = ALIGNMENT // dtype.itemsize
        return False, lanes, lanes


class Drawn(NamedTuple):
    """A network, and what is drawn of its parameters and data."""

    network: Network
    optimizer: Any
    seed: int
    scale: float  # of the parameters
    shift: float  # of the biases: f' of silu and gelu is negative at such z

    def problem(self, dtype):
        """Nine rows, every other one of which the network predicts exactly, where it can."""
        params, X, Y, weight = draw_training(self.network, 9, dtype, seed=self.seed)
        params *= dtype(self.scale)
        for b in self.network.biases(params):
            b -= self.shift
        if self.network.output == "identity":
            Y[::2] = get_backend("numba").predict(self.network, params, X)[::2]
        return Problem(params, X, Y, weight)


@st.composite
def steps_on_rows(draw):
    """Steps on few rows of any network, silu and gelu more often than others."""

    def pick(options):
        return draw(st.sampled_from(list(options)))

    hidden = draw(st.lists(st.sampled_from([1, 3, 7, 16, 40, 100]), min_size=1, max_size=2))
    loss, output = pick([("absolute_error", "identity"), ("squared_error", "identity"), *PAIRS])
    network = Network(
        (draw(st.integers(1, 4)), *hidden, draw(st.integers(2 if output == "softmax" else 1, 3))),
        tuple(pick(["silu", "gelu", *HIDDEN]) for _ in hidden),
        output,
        loss,
        bias=pick(["vector", *BIASES]),
    )
    optimizer = pick([RPROP(0.01), SGD(0.01, momentum=0.5), SGD(0.01), Adam()])
    return Drawn(network, optimizer, draw(st.integers(0, 99)), pick([0.01, 1]), pick([0, 1, 3]))


def bits_of(backend, drawn, dtype):
    """The bits of the state after three steps: on a row that may have no error, on eight rows, and on one of them."""
    params, *rows = drawn.problem(dtype)
    state = StepState.create(params, drawn.optimizer.n_slots)
    steps = Steps(np.arange(9), np.array([8, 0, 2]), np.array([9, 8, 3]), np.full(3, 0.01), np.zeros(3))
    assert backend.train_steps(Task(drawn.network, drawn.optimizer, Data(*rows)), state, steps) == 3
    return all_bits(state.vectors, steps.loss)


def assert_single_rows_are_panels(dtype, n):
    """Assert that both ways give the same bits, for n drawn cases."""

    @hypothesis.settings(max_examples=n, derandomize=True, database=None, deadline=None)
    @hypothesis.given(steps_on_rows())
    def check(drawn):
        same = bits_of(Panels(), drawn, dtype) == bits_of(get_backend("numba"), drawn, dtype)
        assert same, "a single row has other bits in a panel"

    check()
