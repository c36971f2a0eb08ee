"""The data that the driver hands to a back end: the task, the steps to do, and the state that they
change.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from fastnn.memory import Array, Floats, Integers, aligned_zeros, padded_size
from fastnn.network import Network
from fastnn.optimizers import Optimizer


class Data(NamedTuple):
    """The rows to train on: of one dtype, in C order, read-only, checked."""

    X: Array  # (n, n_inputs)
    Y: Array  # (n, n_outputs)
    sample_weight: Array  # (n,)


class TableRow(NamedTuple):
    """Numbers that make inputs of a row of a table, before an ensemble, and its outputs of their
    mean, behind it.

    ``s = clip((x - center) * factor, -bound, bound)`` becomes ``s / sqrt(1 + (s / limit)^2)``. A
    gap, NaN, becomes what is estimated of the row's other numbers: ``step * imputation'z + (1 -
    step) z`` of numbers z less their means, 0 for gaps, for each of `steps`. The flags are inputs
    that say where gaps are. Ramps ``height * (clip((z - low) / width, 0, 1) - 1/2)`` of inputs z
    are the last inputs. A mean of outputs becomes ``clip(mean * scale + shift, low, high)``,
    divided by the sum of a row's if that is asked.
    """

    n_columns: int
    places: Integers  # (k,): the columns of the inputs
    flags: Integers  # those of 0 .. k - 1 that have a flag
    # (4, k): centers, factors, means, and infinity where gaps are refused, else 0
    preparation: Floats
    imputation: Floats  # (k, k)
    steps: Floats  # (n_rounds,)
    ramped: Integers  # (n_ramps,): those of 0 .. k - 1 that ramps are made of
    ramps: Floats  # (3, n_ramps): lows, widths, heights
    limit: float
    bound: float
    largest: (
        float  # of a row that holds a larger number, or a gap that is refused, the outputs are NaN
    )
    targets: Floats  # (4, n_outputs): scale, shift, low, high
    adds_up: bool


@dataclass(frozen=True, eq=False)
class Task:
    """Network, optimizer, data and penalty of a training; made once."""

    network: Network
    optimizer: Optimizer
    data: Data
    alpha: float = 0.0
    """Strength of the L2 penalty in the gradient, and in the value of the loss unless `value_alpha`
    is given."""
    value_alpha: float | None = None
    """Strength of the L2 penalty in the *value* of the loss alone; see `penalty`."""
    threads: int | None = 1
    """Threads that share each step, as far as it has work for them; None leaves their number to the
    back end."""
    kept: dict[Any, Any] = dataclasses.field(default_factory=dict, init=False, repr=False)
    """Preparations of back ends for the task, each under keys of its own, to be found again in the
    next call."""

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        data: Data,
        alpha: float = 0.0,
        value_alpha: float | None = None,
        threads: int | None = 1,
    ) -> None:
        # The `__init__` of a frozen dataclass takes three times as long.
        vars(self).update(
            network=network,
            optimizer=optimizer,
            data=data,
            alpha=alpha,
            value_alpha=value_alpha,
            threads=threads,
            kept={},
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "kept": {}}  # it may hold addresses, which a copy must not share

    @property
    def penalty(self) -> float:
        """Strength of the L2 penalty in the value of the loss.

        It is `alpha`, except in scikit-learn's squared error of several outputs, whose value is a
        mean over the outputs and whose gradient is that of the sum: the estimators ask for a
        penalty n_outputs times as large and divide.
        """
        return self.alpha if self.value_alpha is None else self.value_alpha


class Steps(NamedTuple):
    """The steps of one chunk: step s trains on the data's rows ``rows[start[s]:stop[s]]`` and
    writes ``loss[s]``.

    Consecutive steps with equal start and stop see the same rows: a back end may keep what it
    gathered for the first. The driver uses the arrays again, for later chunks and other trainings:
    whoever keeps them makes a copy.

    For m members of a group `rows`, `learning_rate` and `loss` have a row for each, see
    `member_steps`: (m, any) and (m, n_steps). Row numbers and rates that are the same for all are
    there once: (1, any) and (1, n_steps).
    """

    rows: Integers  # (any,)
    start: Integers  # (n_steps,)
    stop: Integers  # (n_steps,)
    learning_rate: Floats  # (n_steps,)
    # (n_steps,), written: the batch's loss before the step; 0 for a skipped one
    loss: Floats


@dataclass
class StepState:
    """The part of a training's state that its steps change: parameters, the optimizer's state,
    counts.
    """

    storage: Array
    """(1 + n_slots, padded): what `vectors` is a view of; begins at a multiple of 64 bytes."""
    n_params: int
    t: int = 0
    """Steps done, skipped ones included."""
    beta_products: Floats = dataclasses.field(default_factory=np.array([1.0, 1.0]).copy)
    """(2,): ``beta_1 ** k`` and ``beta_2 ** k`` as running products over the k steps that were not
    skipped."""
    threads: int = dataclasses.field(default=1, init=False, repr=False)
    """The most threads that were there to share a step, if the back end has threads."""

    @classmethod
    def create(cls, params: Array, n_slots: int) -> Self:
        """Make the state of a training that begins, with the optimizer's state zero.

        Parameters
        ----------
        params : ndarray (n_params,)
            The first parameters, float32 or float64, which are copied.
        n_slots : int
            The number of the optimizer's vectors of state.

        Returns
        -------
        StepState
            Of the class on which this was called.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import TrainingState
        >>> TrainingState.create(np.zeros(26), n_slots=2).vectors.shape
        (3, 26)
        """
        state = cls(make_storage(params.size, n_slots, params.dtype), params.size)
        state.params[...] = params
        return state

    @property
    def vectors(self) -> Array:
        """The parameters, and the optimizer's vectors below them: (1 + n_slots, n_params), a
        view.
        """
        return self.storage[:, : self.n_params]

    @property
    def params(self) -> Array:
        """The parameters (n_params,), a view."""
        return self.storage[0, : self.n_params]

    def copy(self) -> Self:
        """Copy the state.

        Returns
        -------
        StepState
            An independent copy, of the same class.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import TrainingState
        >>> state = TrainingState.create(np.zeros(3), n_slots=0)
        >>> twin = state.copy()
        >>> twin.params[:] = 1
        >>> state.params
        array([0., 0., 0.])
        """
        twin = copy.copy(self)
        vars(twin).update(
            {name: copy.deepcopy(value) for name, value in vars(self).items() if name != "storage"}
        )
        twin.storage = make_storage(self.n_params, len(self.storage) - 1, self.storage.dtype)
        twin.vectors[...] = self.vectors
        return twin

    def restore(self, other: StepState) -> None:
        """Take over the content of another state; the arrays stay this state's own.

        Parameters
        ----------
        other : StepState
            A state of the same shape.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import TrainingState
        >>> state = TrainingState.create(np.zeros(3), n_slots=0)
        >>> state.restore(TrainingState.create(np.ones(3), n_slots=0))
        >>> state.params
        array([1., 1., 1.])
        """
        self.storage[...] = other.storage
        self.beta_products[...] = other.beta_products
        self.t = other.t


def make_storage(n_params: int, n_slots: int, dtype: np.dtype[Any]) -> Array:
    """Return the storage of a state, zeros: of the parameters and the optimizer's vectors."""
    return aligned_zeros((1 + n_slots, padded_size(n_params, dtype)), dtype)


@dataclass(eq=False, repr=False)
class StepStates:
    """The part of the states of m trainings that their steps change: a row of each array for each
    of them.
    """

    storage: Array
    """(m, 1 + n_slots, padded), as `StepState.storage`."""
    n_params: int
    t: list[int]
    """(m,): the steps before a call of the back end, which leaves them."""
    beta_products: Floats
    """(m, 2)"""
    threads: int = 1
    """The most threads that were there to share a step."""

    def member(self, k: int) -> StepState:
        """Return member k's part, whose arrays are views."""
        return StepState(self.storage[k], self.n_params, int(self.t[k]), self.beta_products[k])


def member_steps(steps: Steps, k: int, n: int) -> Steps:
    """Return the first `n` of member k's steps, views of arrays (m, any); (1, any) are the same for
    all members.
    """
    rows, rate, loss = (
        a[k if len(a) > 1 else 0] for a in (steps.rows, steps.learning_rate, steps.loss)
    )
    return Steps(rows, steps.start[:n], steps.stop[:n], rate[:n], loss[:n])


TOL, LIMIT, EACH, STRICT, RULE_BEST, STALE, BEST, N_RULE = range(8)
"""The places of numbers in a row of `EpochRules.rules`."""


class EpochRules(NamedTuple):
    """What is decided at the ends of epochs, within a call of a back end: a row of each array for
    each of m members.
    """

    first: int
    """Steps of the current epoch that were done before."""
    per_epoch: int
    """Steps of an epoch."""
    scored: list[Task]
    """The rows whose loss is taken after each epoch, with the network and the penalty: a task for
    each member, or none where the rule goes by the losses of steps and no parameters are kept."""
    labels: Integers | None
    """The score is the accuracy by these, not the loss: (m, n), numbers of classes, or (m, n,
    n_outputs), 1 for yes."""
    factors: Floats
    """(n_steps,), or (0,): the rule goes by the sums of the losses of an epoch's steps, each times
    its factor."""
    mean: bool
    """Whether such a sum is divided by that of the factors."""
    divisor: int
    """By which losses of steps are divided first, 1 but in an estimator."""
    rules: Floats
    """(m, N_RULE), written: by how much a score has to be lower, epochs in a row that may fail, or
    0 for no rule, and after how many of them the rule fires too; when an epoch fails, see
    `fastnn.training.stopping`; the rule's best score and its failed epochs so far; the best score
    so far."""
    losses: Floats
    """(m, n_epochs), written: the losses."""
    measured: Floats
    """(m, n_epochs), written: the accuracies; (m, 0) where there are none."""
    best_params: Array
    """(m, n_params), written: the parameters of the best epoch; (m, 0) where they are not kept."""
    sums: Floats
    """(m, 2): both sums over the steps of the current epoch that were done before."""
    ended: Integers
    """(m, 2), written: how many epochs ended, and whether the rule fired."""
