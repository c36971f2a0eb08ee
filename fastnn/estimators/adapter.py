"""The back end of the estimators: adds scikit-learn's value of the squared error, sparse X, and
diverging steps.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend, Wrapper
from fastnn.memory import READABLE, Array
from fastnn.network import Network
from fastnn.optimizers import SGD
from fastnn.reference import UPDATES, Rates, clip_norm
from fastnn.state import Data, EpochRules, Steps, StepState, StepStates, Task

DENSE_BYTES = 64 << 20
"""The most of a sparse X that is dense at any time."""


class Adapter(Wrapper):
    """A back end on top of another one, which adds a mean over the outputs and sparse X.

    Parameters
    ----------
    backend : Backend
    mean_over_outputs : bool
        scikit-learn's squared error with several outputs: the *value* is the mean over the outputs,
        the gradient that of the sum (scikit-learn issue 8349). ``L = D / n_outputs + P`` has the
        gradient of ``D + P``.
    """

    def __init__(self, backend: Backend, mean_over_outputs: bool = False) -> None:
        super().__init__(backend)
        self.mean_over_outputs = mean_over_outputs

    def predict(self, network: Network, params: Array, X: Any, threads: int | None = None) -> Array:
        """Return the outputs (n, n_outputs); a sparse X is made dense block by block."""
        if isinstance(X, np.ndarray):
            return super().predict(network, params, X, threads)
        outputs = np.empty((X.shape[0], network.n_outputs), params.dtype)
        for block in _blocks(X.shape[0], _rows_at_once(X, params.dtype)):
            outputs[block] = super().predict(
                network, params, _dense(X[block], params.dtype), threads
            )
        return outputs

    def loss_and_gradient(
        self, network: Network, params: Array, data: Data, alpha: float, threads: int | None = None
    ) -> tuple[float, Array]:
        """Return the loss of all rows as one batch, and its gradient (n_params,)."""
        gradient = np.empty_like(params)
        return self.loss(
            Task(network, SGD(), data, alpha, threads=threads or 1), params, gradient
        ), gradient

    def loss(self, task: Task, params: Array, gradient: Array | None = None) -> float:
        """Return the loss of all rows of a task as one batch; write `gradient` (n_params,), where
        one is given.
        """
        network = task.network
        data = task.data
        alpha = task.alpha
        if isinstance(data.X, np.ndarray):
            loss = super().loss(task, params, gradient)
            if self.mean_over_outputs:
                p = self._penalty(network, params, data, alpha)
                loss = (loss - p) / network.n_outputs + p
            return loss
        total = 0.0
        d_total = np.zeros_like(params)
        weights = 0.0
        for block in _blocks(len(data.Y), _rows_at_once(data.X, params.dtype)):
            part = Data(
                _dense(data.X[block], params.dtype), data.Y[block], data.sample_weight[block]
            )
            weight = float(part.sample_weight.sum())
            loss, d = self.backend.loss_and_gradient(network, params, part, 0.0)
            if weight:
                total = total + loss * weight
                d_total = d_total + d * weight
                weights = weights + weight
        if gradient is not None:
            for layer in network.layers:
                d_total[layer.weight] += alpha * params[layer.weight]
            gradient[...] = d_total / params.dtype.type(weights)
        total /= weights * (network.n_outputs if self.mean_over_outputs else 1)
        return total + self._penalty(network, params, data, alpha)

    def value_alpha(self, network: Network, alpha: float) -> float | None:
        """Return the penalty's strength in the value of a loss that is divided by n_outputs later;
        None: `alpha`.
        """
        return alpha * network.n_outputs if self.mean_over_outputs else None

    def decides(self, task: Task, rows_a_step: int, scored: Task | None) -> bool:
        """Return the answer of the back end below, where it gets all rows as they are."""
        are_dense = all(isinstance(rows.data.X, np.ndarray) for rows in (task, scored or task))
        of_steps = scored is None or not self.mean_over_outputs
        return are_dense and of_steps and self.backend.decides(task, rows_a_step, scored)

    def train(
        self,
        tasks: Sequence[Task],
        which: NDArray[np.int64],
        states: StepStates,
        steps: Steps,
        n_steps: Sequence[int],
        rules: EpochRules | None = None,
        threads: int = 1,
    ) -> list[int]:
        """Train, and return the number of good steps of each training; a sparse X by
        `train_steps`.
        """
        if not isinstance(tasks[0].data.X, np.ndarray):
            return super().train(tasks, which, states, steps, n_steps, rules, threads)
        if self.mean_over_outputs and rules is not None:
            rules = rules._replace(divisor=tasks[0].network.n_outputs)
        good = self.backend.train(tasks, which, states, steps, n_steps, rules, threads)
        self._divide(tasks[0].network, steps)
        return good

    def _divide(self, network: Network, steps: Steps) -> None:
        """Make means over the outputs of the losses of steps."""
        if self.mean_over_outputs:
            steps.loss[...] /= network.n_outputs

    def train_steps(self, task: Task, state: StepState, steps: Steps) -> int:
        """Train, and return the number of good steps. A sparse X is made dense for the steps that
        fit `DENSE_BYTES`.
        """
        data = task.data
        if isinstance(data.X, np.ndarray):
            good = self.backend.train_steps(task, state, steps)
            self._divide(task.network, steps)
            return good
        at_once = _rows_at_once(data.X, state.storage.dtype)
        n_rows = steps.stop - steps.start
        s = 0
        while s < len(n_rows):
            n_steps = max(
                1, int(np.searchsorted(np.cumsum(n_rows[s : s + at_once]), at_once, side="right"))
            )
            group = slice(s, s + n_steps)
            if n_steps == 1 and n_rows[s] > at_once:
                rows = steps.rows[steps.start[s] : steps.stop[s]]
                part = Data(data.X[rows], data.Y[rows], data.sample_weight[rows])
                rate = float(steps.learning_rate[s])
                steps.loss[s] = self.one_step(task, state, part, rate)
                good = int(math.isfinite(steps.loss[s]) and bool(np.isfinite(state.params).all()))
            else:
                taken = [
                    steps.rows[a:b]
                    for a, b in zip(steps.start[group], steps.stop[group], strict=True)
                ]
                rows = np.concatenate(taken)
                stop = np.cumsum(n_rows[group])
                part = Data(
                    _dense(data.X[rows], state.storage.dtype),
                    data.Y[rows],
                    data.sample_weight[rows],
                )
                places = np.arange(len(rows)), stop - n_rows[group], stop
                few = Steps(*places, steps.learning_rate[group], steps.loss[group])
                good = self.train_steps(dataclasses.replace(task, data=part), state, few)
            if good < n_steps:
                return s + good
            s += n_steps
        return s

    def one_step(self, task: Task, state: StepState, batch: Data, rate: float) -> float:
        """Do one step, diverging or not, on all rows of `batch` with NumPy's update; return the
        loss before it.
        """
        network = task.network
        optimizer = task.optimizer
        state.t += 1
        if not batch.sample_weight.any():
            return 0.0
        loss, gradient = self.loss_and_gradient(network, state.params, batch, task.alpha)
        state.beta_products *= optimizer.betas
        if optimizer.clip_norm:
            clip_norm(gradient, optimizer.clip_norm)
        with np.errstate(all="ignore"):
            rates = Rates(rate, state.beta_products, network.is_weight(gradient.dtype))
            UPDATES[optimizer.name](optimizer, state.params, state.vectors[1:], gradient, rates)
        return loss

    @staticmethod
    def _penalty(network: Network, params: Array, data: Data, alpha: float) -> float:
        """Return the value of the penalty, with its squares summed as scikit-learn does, not as the
        reference.
        """
        squares = sum(
            float(np.dot(params[layer.weight], params[layer.weight])) for layer in network.layers
        )
        return 0.5 * alpha * squares / float(data.sample_weight.sum())


def _rows_at_once(X: Any, dtype: np.dtype[Any]) -> int:
    return max(1, DENSE_BYTES // (X.shape[1] * dtype.itemsize))


def _blocks(n: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def _dense(X: Any, dtype: np.dtype[Any]) -> Array:
    return np.asarray(X.toarray(), dtype, order="C")


def contiguous(X: Any, dtype: np.dtype[Any]) -> Any:
    """Return X dense in C order, or as CSR if it would take more than `DENSE_BYTES`: an `Adapter`
    reads both.
    """
    if isinstance(X, np.ndarray):
        readable = X.dtype == dtype and X.flags.num & READABLE == READABLE
        return X.view(np.ndarray) if readable else np.array(X, dtype, order="C")
    if math.prod(X.shape) * dtype.itemsize <= DENSE_BYTES:
        return _dense(X, dtype)
    return X.tocsr().astype(dtype, copy=False)
