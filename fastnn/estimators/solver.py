"""The state of a stochastic solver between two calls: its learning rate and the optimizer's vectors."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checking.learning_rates import LearningRate
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import RPROP, SGD, Adam, Optimizer
from fastnn.schedules import Schedule
from fastnn.state import StepState
from fastnn.training.state import TrainingState

SMALLEST_RATE = 1e-6
"""An adaptive learning rate that is no larger than this ends the training."""


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """scikit-learn's "invscaling": constant within an epoch, ``base / (t + 1) ** power_t`` with t in samples.

    `learning_rate` is that of the first epoch, `t` the number of samples seen before it.
    """

    base: float
    power_t: float
    t: int
    n_rows: int
    steps_per_epoch: int

    def of_epoch(self, epoch: int) -> float:
        """Return the rate of an epoch, counted from 0 in this call."""
        if epoch == 0:
            return self.learning_rate
        return self.base / (self.t + epoch * self.n_rows + 1) ** self.power_t

    def rates(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (n,) of the steps (n,), which ascend."""
        epochs = steps // self.steps_per_epoch
        if not len(epochs):
            return np.zeros(0)
        first = int(epochs[0])
        rates = np.array([self.of_epoch(epoch) for epoch in range(first, int(epochs[-1]) + 1)])
        return rates[epochs - first]


class Solver:
    """The counterpart of scikit-learn's `_optimizer`; it keeps the settings that it was made with.

    Attributes
    ----------
    optimizer : Optimizer
        Its learning rate is the initial one.
    schedule : {"constant", "invscaling", "adaptive"}
    learning_rate : float
        The rate now.
    t : int
        Steps done.
    """

    def __init__(self, mlp: Any) -> None:
        rate = float(mlp.learning_rate_init)
        self.schedule = mlp.learning_rate if mlp.solver == "sgd" else "constant"
        self.power_t = float(mlp.power_t)
        self.optimizer: Optimizer
        if mlp.solver == "sgd":
            self.optimizer = SGD(rate, momentum=mlp.momentum, nesterov=bool(mlp.nesterovs_momentum))
        elif mlp.solver == "adam":
            self.optimizer = Adam(rate, beta_1=mlp.beta_1, beta_2=mlp.beta_2, epsilon=mlp.epsilon)
        else:
            self.optimizer = RPROP(rate)
        self.base = self.learning_rate = rate
        self.t = 0
        self._slots: Array | None = None
        self._beta_products = np.ones(2)
        self._network: Network | None = None

    def begin(self, network: Network, params: Array) -> TrainingState:
        """Return the state of a training that begins at `params` and goes on with the last one's vectors."""
        state = TrainingState.create(params, self.optimizer.n_slots)
        state.optimizer = self.optimizer.name
        if self._slots is not None:
            if self._slots.shape[1] != network.n_params:
                raise ValueError(
                    f"coefs_ and intercepts_ hold {network.n_params} numbers, but the optimizer has moments of "
                    f"{self._slots.shape[1]}: fit begins with new ones"
                )
            state.vectors[1:] = self._slots
            state.beta_products = self._beta_products.copy()
        self._network = network
        return state

    def end(self, state: StepState) -> None:
        """Keep the vectors and counts of a training that ended."""
        self._slots, self._beta_products = state.vectors[1:], state.beta_products
        self.t += state.t
        if isinstance(self.optimizer, Adam):
            first, second = (1 - state.beta_products).tolist()
            if first > 0:
                self.learning_rate = self.base * math.sqrt(second) / first

    def rate(self, t: int, n_rows: int, steps_per_epoch: int) -> LearningRate:
        """Return the learning rate of a training that begins when `t` samples have been seen."""
        if self.schedule == "invscaling":
            return InverseScaling(self.learning_rate, self.base, self.power_t, t, n_rows, steps_per_epoch)
        return self.base if isinstance(self.optimizer, Adam) else self.learning_rate

    def patience_is_over(self) -> tuple[bool, str]:
        """Lower an adaptive rate after epochs without improvement; return whether training ends, and a text for it."""
        if self.schedule != "adaptive":
            return True, " Stopping."
        if self.learning_rate <= SMALLEST_RATE:
            return True, " Learning rate too small. Stopping."
        self.learning_rate /= 5.0
        return False, f" Setting learning rate to {self.learning_rate:f}"

    def with_rate(self, rate: LearningRate) -> Optimizer:
        """Return fastnn's optimizer with this learning rate."""
        if rate == self.optimizer.learning_rate:
            return self.optimizer
        return dataclasses.replace(self.optimizer, learning_rate=rate)

    def _slot(self, row: int) -> list[Array]:
        if self._slots is None or self._network is None or row >= len(self._slots):
            return []
        return self._network.weights(self._slots[row]) + self._network.biases(self._slots[row])

    @property
    def velocities(self) -> list[Array]:
        """SGD's momentum: those of the weights, then those of the biases."""
        return self._slot(0)

    @property
    def ms(self) -> list[Array]:
        """Adam's first moments: those of the weights, then those of the biases."""
        return self._slot(0)

    @property
    def vs(self) -> list[Array]:
        """Adam's second moments: those of the weights, then those of the biases."""
        return self._slot(1)
