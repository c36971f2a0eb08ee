"""A planned training: initial parameters, the rows and the learning rate of each step, with nothing to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.backends import Backend, Data, Steps, StepState, Task, complete, get_backend
from fastnn.checking.arguments import check_integer
from fastnn.measuring.workloads import Workload
from fastnn.memory import Array
from fastnn.network import Network
from fastnn.optimizers import Optimizer
from fastnn.training.epochs import learning_rates
from fastnn.training.initial import fresh, row_order
from fastnn.training.inputs import check_data, check_network
from fastnn.training.plan import NO_RULES, Plan, choose_options


@dataclass(frozen=True, eq=False)
class Course:
    """A planned training: all inputs of its steps, so that any back end can repeat it without drawing anything."""

    network: Network
    optimizer: Optimizer
    data: Data
    params: Array
    """The initial parameters (n_params,)."""
    steps: Steps
    """Row order and learning rates; its `loss` is not used."""
    alpha: float

    @property
    def n_steps(self) -> int:
        """Number of planned steps."""
        return len(self.steps.start)

    def start(self, params: Array | None = None) -> StepState:
        """Return the state before the first step, with other initial parameters if given."""
        return StepState.create(self.params if params is None else params, self.optimizer.n_slots)

    def rows(self, s: int) -> Array:
        """Return the rows of step s."""
        return self.steps.rows[self.steps.start[s] : self.steps.stop[s]]

    def advance(self, backend: Backend, state: StepState, first: int, stop: int) -> NDArray[np.float64]:
        """Do the steps ``first ... stop - 1`` in one call of the back end; return the losses of the good ones."""
        rows, start, end, rates, _ = self.steps
        steps = Steps(rows, start[first:stop], end[first:stop], rates[first:stop], np.zeros(stop - first))
        return self._train(backend, state, steps)

    def step(self, backend: Backend, state: StepState, s: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Do step s on some of its rows; return its loss (1,), or (0,) if it is not good."""
        start = self.steps.start[s : s + 1]
        stop, order = start + len(rows), self.steps.rows.copy()
        order[start[0] : stop[0]] = rows
        return self._train(backend, state, Steps(order, start, stop, self.steps.learning_rate[s : s + 1], np.zeros(1)))

    def _train(self, backend: Backend, state: StepState, steps: Steps) -> NDArray[np.float64]:
        data = Data(*self.data)  # its own in each call: what a back end keeps from an earlier one must not come back
        n_good = backend.train_steps(Task(self.network, self.optimizer, data, self.alpha), state, steps)
        return steps.loss[:n_good]


def plan_course(
    network: Network | Workload, X: Any, Y: Any, n_steps: int, seed: int | np.random.RandomState, **options: Any
) -> Course:
    """Plan the first `n_steps` steps of the training that `fastnn.train` would do with the same arguments.

    Parameters
    ----------
    network : Network or Workload
        A workload brings data and options along; `X` and `Y` are then None, and `options` replace its own.
    options
        Those of `fastnn.train` that such a training has: ``sample_weight``, ``params``, ``optimizer``, ``batch_size``,
        ``shuffle``, ``alpha``.
    """
    if not isinstance(network, Workload):
        return _plan(network, X, Y, n_steps, seed, **options)
    if X is not None or Y is not None:
        raise TypeError("a workload brings its own X and Y: leave them out")
    given = {name: value for name, value in network.train_options.items() if name != "epochs"}
    return _plan(network.network, network.X, network.Y, n_steps, seed, **given | options)


def _plan(
    network: Network,
    X: Any,
    Y: Any,
    n_steps: int,
    seed: int | np.random.RandomState,
    *,
    sample_weight: Any = None,
    params: Any = None,
    **options: Any,
) -> Course:
    check_network(network)
    n_steps = check_integer("steps", n_steps, low=1)
    chosen = choose_options(**options)
    optimizer, data = chosen.optimizer, check_data(network, X, Y, sample_weight)
    plan = Plan(
        network,
        complete(get_backend("numpy")),
        **chosen._asdict(),
        stop=NO_RULES,
        n_epochs=0,
        new_rows=False,
        assume_finite=False,
        threads=1,
        data=data,
        seed=seed,
        params=params,
    )
    state, random_state, _ = fresh(plan, len(data.X))
    order = row_order(plan, state, random_state)
    steps = order.draw(n_steps, learning_rates(optimizer.learning_rate, 0, n_steps))
    return Course(network, optimizer, data, state.params.copy(), steps, chosen.alpha)
