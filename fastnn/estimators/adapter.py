"""The back end of the estimators: adds scikit-learn's value of the squared error."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.backends import Backend, Wrapper
from fastnn.memory import READABLE, Array, Integers
from fastnn.network import Network
from fastnn.optimizers import SGD
from fastnn.sparse import SparseRows, sparse_rows
from fastnn.state import Data, EpochRules, Steps, StepState, StepStates, Task
from fastnn.training.inputs import laid_out


class Adapter(Wrapper):
    """A back end on top of another one, which adds a mean over the outputs.

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
        loss = super().loss(task, params, gradient)
        if self.mean_over_outputs:
            p = self._penalty(task.network, params, task.data, task.alpha)
            loss = (loss - p) / task.network.n_outputs + p
        return loss

    def value_alpha(self, network: Network, alpha: float) -> float | None:
        """Return the penalty's strength in the value of a loss that is divided by n_outputs later;
        None: `alpha`.
        """
        return alpha * network.n_outputs if self.mean_over_outputs else None

    def decides(self, task: Task, rows_a_step: int, scored: Task | None) -> bool:
        """Return the answer of the back end below; False where losses of rows would be means over
        the outputs, which it does not take.
        """
        of_steps = scored is None or not self.mean_over_outputs
        return of_steps and self.backend.decides(task, rows_a_step, scored)

    def train(
        self,
        tasks: Sequence[Task],
        which: Integers,
        states: StepStates,
        steps: Steps,
        n_steps: Sequence[int],
        rules: EpochRules | None = None,
        threads: int = 1,
    ) -> list[int]:
        """Train, and return the number of good steps of each training."""
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
        """Train, and return the number of good steps."""
        good = self.backend.train_steps(task, state, steps)
        self._divide(task.network, steps)
        return good

    @staticmethod
    def _penalty(network: Network, params: Array, data: Data, alpha: float) -> float:
        """Return the value of the penalty, with its squares summed as scikit-learn does, not as the
        reference.
        """
        squares = sum(
            float(np.dot(params[layer.weight], params[layer.weight])) for layer in network.layers
        )
        return 0.5 * alpha * squares / float(data.sample_weight.sum())


def contiguous(X: Any, dtype: np.dtype[Any], backend: Backend | None = None) -> Any:
    """Return X in C order, or in CSR form if it is sparse, where the back end is faster on that."""
    if isinstance(X, np.ndarray):
        readable = X.dtype == dtype and X.flags.num & READABLE == READABLE
        return X.view(np.ndarray) if readable else np.array(X, dtype, order="C")
    if isinstance(X, SparseRows):
        return X.astype(dtype)
    assert backend is not None  # only X may be sparse
    return laid_out(sparse_rows("X", X, dtype), backend)
