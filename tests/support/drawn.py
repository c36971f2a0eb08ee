"""A strategy of hypothesis: any network, and any training of it."""

from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np

from fastnn import Network, cosine, step_decay, train
from fastnn.losses import HIDDEN
from fastnn.network import BIASES, REDUCTIONS
from fastnn.optimizers import OPTIMIZERS
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
    loss, output = pick(pair for pair in PAIRS if not avoid & {*pair})
    network = Network(
        (draw(st.integers(1, 9)), *hidden, draw(st.integers(2 if output == "softmax" else 1, 6))),
        tuple(pick(name for name in HIDDEN if name not in avoid) for _ in hidden),
        output,
        loss,
        bias=pick(BIASES),
        bias_gradient=pick(["exact", "times_bias"]),
        reduction=pick(REDUCTIONS),
        bias_init=pick(["same", 0.5]),
    )
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
