"""The Numba back end: arrays in, one kernel call, arrays out."""

from __future__ import annotations

import numpy as np

from fastnn.compiler.folder import cache_state
from fastnn.compiler.loader import IN_PYTHON, kernels_are_kept, load_kernel, prepared
from fastnn.compiler.program import KERNEL_REVISION
from fastnn.cores import share
from fastnn.fused.guard import (
    FLOATS,
    check,
    check_data,
    check_inputs,
    check_members,
    check_shuffle,
    check_state,
    check_steps,
    working_dtype,
)
from fastnn.fused.layout import ALPHA, NO_UPDATE, UPDATE_CODES, UpdateSpec
from fastnn.fused.members import member_arguments, train_each, update_spec
from fastnn.fused.team import Threads
from fastnn.fused.workspace import Workspaces
from fastnn.memory import ALIGNMENT, ROW_BLOCK
from fastnn.optimizers import OPTIMIZERS
from fastnn.state import Steps, StepState

__all__ = ["KERNEL_REVISION", "NumbaBackend", "cache_state", "kernels_are_kept"]


class NumbaBackend:
    """The fused kernel as a back end.

    Parameters
    ----------
    specialize : bool
        Train small networks in batches of one vector by kernels of their own, see `get_backend`.
    """

    name = "numba"

    def __init__(self, specialize: bool = False) -> None:
        self.specialize = specialize
        self._kept = Workspaces()

    def __repr__(self):
        return f"NumbaBackend({'specialize=True' if self.specialize else ''})"

    def __reduce__(self):
        return type(self), (self.specialize,)  # each process has its own workspaces

    def supports(self, network, optimizer):
        """All of the built-in optimizers."""
        return OPTIMIZERS.get(optimizer.name) is type(optimizer)

    def predict(self, network, params, X):
        """Outputs (n, n_outputs)."""
        check_inputs(network, params, X)
        n = len(X)
        out = np.empty((n, network.sizes[-1]), X.dtype)
        if n * network.n_params < MANY or IN_PYTHON:
            self._predict(network, params, X, out)
        else:
            parts = (slice(first, first + PART) for first in range(0, n, PART))
            share(lambda rows: self._predict(network, params, X[rows], out[rows]), parts)
        return out

    def _predict(self, network, params, X, out):
        n, dtype = len(X), X.dtype
        workspace = self._kept.take(network, dtype, n, ROW_BLOCK)  # of the thread that calls
        try:
            kernel = workspace.predict
            if kernel is None:  # looked up once: a look-up takes as long as a tenth of one row's prediction
                kernel = workspace.predict = load_kernel("predict", dtype)
            kernel(out, params, n, workspace.scratch, workspace.model, X)
        finally:
            self._kept.put_back(workspace)

    def loss_and_gradient(self, network, params, data, alpha):
        """The loss and its gradient (n_params,)."""
        batch = _WholeBatch(self, network, data, alpha, True)
        return batch.loss(params), batch.gradient.copy()

    def loss(self, task, params, gradient=None):
        """The loss of all rows of the task as one batch, as by `loss_and_gradient`; writes `gradient` (n_params,)."""
        with_gradient = gradient is not None
        key = self, "loss", with_gradient
        batch = task.kept.pop(key, None)
        if batch is None:
            batch = _WholeBatch(self, task.network, task.data, task.penalty, with_gradient)
            batch.divide(task)
        loss = batch.loss(params)
        if with_gradient:
            gradient[...] = batch.gradient
        task.kept[key] = batch
        return loss

    def train_steps(self, task, state, steps):
        """Train in the compiled loop; the number of good steps."""
        key = self, "train_steps"
        # Taken out while it is used: a signal's handler, or another thread, that trains on the task makes its own.
        training = task.kept.pop(key, None)
        if training is None or not training.knows(state, steps):
            training = self._checked(training, task, state, steps)
        good = training.train(state, steps)
        task.kept[key] = training
        state.t += good if good == len(steps.loss) else good + 1
        return good

    def shuffle_rows(self, words, orders, order):
        """Write orders (k, n) of rows, each the one before it shuffled, by MT19937's words: the optional method."""
        check_shuffle(words, orders, order)
        shuffle = load_kernel("shuffle_rows", FLOATS[0])  # the same for both dtypes
        shuffle(words, orders, order, order.size, len(orders))

    def function(self, network, params):
        """The network as a `Function` of one row, which compiled code may call: the optional method."""
        from fastnn.fused.function import Function  # imports Numba

        check("params", params, (network.n_params,), working_dtype(network, params, "params"))
        return Function(network, params)

    def train_members(self, tasks, which, storage, beta_products, steps, n_steps):
        """Train several members, one after another in one call of compiled code: the optional method."""
        dtype, n_rows = check_members(tasks, which, storage, beta_products, steps, n_steps)
        special, n_rows, block = self._blocks(tasks[0], n_rows, dtype)
        workspace = self._kept.take(tasks[0].network, dtype, n_rows, block)
        spec = update_spec(tasks[0], storage.shape[2])
        kernel = workspace.specialized_kernel(spec) if special else load_kernel("train_steps", dtype)
        workspace.steps = None  # each member has constants of its own
        good = np.zeros(len(which), np.int64)
        try:
            given = tasks, which, storage, beta_products, steps, n_steps, workspace
            if IN_PYTHON:
                train_each(good, kernel, *given)
            else:  # pragma: no cover - compiled
                members, arguments = load_kernel("train_members", dtype), member_arguments(*given)
                members(good, len(good), kernel.code, arguments.rows, arguments.constants, workspace.scratch)
        finally:
            self._kept.put_back(workspace)
        return good

    def _blocks(self, task, n_rows, dtype):
        """Return whether batches of up to `n_rows` rows have a specialized kernel, and the rows to make buffers for."""
        vector = ALIGNMENT // dtype.itemsize
        if self.specialize and n_rows <= vector and task.network.n_params <= SPECIAL:
            n_rows = vector if n_rows > 1 else 1  # a kernel for all batches that fit a vector, and one for single rows
            return True, n_rows, n_rows
        # Buffers are made for a block of rows. A sequential optimizer updates a layer within the batch, which is then
        # one block whatever its size.
        return False, n_rows, max(n_rows, 1) if task.optimizer.sequential else ROW_BLOCK

    def _checked(self, training, task, state, steps):
        """Check what `train_steps` was given; return the training as it was prepared last if it fits, or a new one."""
        if training is None or not training.has(state):
            training = None
            check_state(task.network, task.optimizer, state, check_data(task.network, task.data))
        n_rows = check_steps(steps, len(task.data.X))
        if training is None or n_rows > training.n_rows:
            training = _Training(self, task, state, n_rows)
        training.take(steps)
        return training


MANY = 300_000_000
"""Rows times parameters of a prediction from which on threads share it: some 5 ms. In a shorter one, waiting for a
helper whose CPU has other work may take longer than all of it."""

PART = 4 * ROW_BLOCK
"""Rows that a thread predicts at a time: whole blocks, so that a row is in the same block whoever predicts it."""

SPECIAL = 10_000
"""Parameters up to which a network may have a specialized kernel: larger ones gain nothing by it."""

FEW = 4096
"""Steps and rows up to which to compare them with the last ones takes less time than to check them."""


class _Prepared:
    """The preparations for calls on the same task or data, kept by its owner; at their end the workspace goes back."""

    workspace = None

    def __init__(self, backend, workspace):
        self._backend, self.workspace = backend, workspace

    def __del__(self):
        if self.workspace is not None:  # else what was to be prepared was refused
            self._backend._kept.put_back(self.workspace)


class _Training(_Prepared):
    """A task that is trained on: what was checked is known by its identity, what is packed stays so."""

    def __init__(self, backend, task, state, n_rows):
        network, dtype = task.network, state.storage.dtype
        special, n_rows, block = backend._blocks(task, n_rows, dtype)
        super().__init__(backend, backend._kept.take(network, dtype, n_rows, block))
        self.n_rows, self._state = n_rows, (state.storage, state.beta_products)
        self._bound = self.workspace.steps_of(task, state.storage.shape[1], special)
        data = prepared(task.data)
        self._bound.begin(state, data)
        self._threads = Threads.of(task, dtype, n_rows)
        self.kernel, self.of_task = self._bound.kernel, (*self._bound.prepared, data)
        self._data = tuple(task.data)  # an array that is referred to refuses to be resized

    _bound = None

    def __del__(self):
        if self._bound is not None:
            self._bound.end()
        super().__del__()

    def has(self, state):
        """Return whether these are the arrays of the state that was checked, and may still be written."""
        storage, beta_products = self._state
        return (
            state.storage is storage
            and state.beta_products is beta_products
            and storage.flags.writeable
            and beta_products.flags.writeable
        )

    def take(self, steps):
        """Take over steps that were checked; few of them are known again by the numbers that choose their rows."""
        rows, start, stop, *_ = self._steps = tuple(steps)
        few = rows.size + start.size <= FEW
        self._known = (steps, rows.tobytes(), start.tobytes(), stop.tobytes()) if few else (None, b"", b"", b"")
        self._bound.take(start.size, prepared(steps))

    def train(self, state, steps):
        """Do the steps that were taken over, and return the number of good ones."""
        return self._threads.train(self, state, steps) if self._threads else self._bound.call()

    def knows(self, state, steps):
        """Return whether state and steps were checked: they are the same arrays, and the steps' rows are the same."""
        known, rows, start, stop = self._known
        return (
            steps is known
            and self.has(state)
            and known.loss.flags.writeable
            and known.rows.tobytes() == rows
            and known.start.tobytes() == start
            and known.stop.tobytes() == stop
        )


class _WholeBatch(_Prepared):
    """Rows whose loss is taken as one batch, with its gradient or without."""

    def __init__(self, backend, network, data, alpha, with_gradient):
        dtype, n = check_data(network, data), len(data.X)
        super().__init__(backend, backend._kept.take(network, dtype, n, ROW_BLOCK))
        self._params = "params", (network.n_params,), dtype
        self.workspace.buffers.update_constants[ALPHA], self.workspace.steps = alpha, None
        self.gradient = self.workspace.buffers.gradient[: network.n_params]
        spec = prepared(UpdateSpec(UPDATE_CODES["SGD"], 0, 0, alpha, 1.0, 1.0, 0.0))
        of_network = self.workspace.scratch, self.workspace.model
        kernel, rows = load_kernel("loss_and_gradient", dtype), np.arange(n)
        self._data, self._with_gradient, self._threads = tuple(data), with_gradient, None
        self._call = kernel.bound(None, n, int(with_gradient), *of_network, spec, prepared(data), rows)

    def divide(self, task):
        """Have the threads of the task share the gradient: that of a step that updates nothing."""
        (n, *_), alpha = self._data[0].shape, task.penalty
        if self._with_gradient and self._data[2].any():
            self._threads = Threads.of(task, self._params[-1], n)
        if self._threads is not None:
            params, self.n_rows, self.kernel = self.workspace.buffers.params, n, self._step_alone
            self._state = StepState(params.reshape(1, -1), task.network.n_params)
            self._steps = Steps(np.arange(n), np.array([0]), np.array([n]), np.zeros(1), np.zeros(1))
            spec = prepared(UpdateSpec(NO_UPDATE, params.size, 0, alpha, 1.0, 1.0, 0.0))
            self.of_task = self.workspace.scratch, self.workspace.model, spec, prepared(task.data)

    def loss(self, params):
        """Return the loss; leave its gradient, if wanted, in `gradient`."""
        name, shape, dtype = self._params
        check(name, params, shape, dtype)
        if self._threads is None:
            return self._alone(params)
        self._state.params[...] = params
        self._threads.train(self, self._state, self._steps)
        return float(self._steps.loss[0])

    def _alone(self, params):
        self._call.places[0].value = params
        return self._call()

    def _step_alone(self, storage, *_):
        self._steps.loss[0] = self._alone(storage[0])
        return 1
