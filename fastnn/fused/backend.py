"""The Numba back end: arrays in, one kernel call, arrays out."""

from __future__ import annotations

import threading

import numpy as np

from fastnn.compiler.folder import cache_state
from fastnn.compiler.loader import kernels_are_kept, load_kernel, prepared
from fastnn.compiler.program import KERNEL_REVISION
from fastnn.fused.guard import (
    FLOATS,
    check,
    check_data,
    check_inputs,
    check_shuffle,
    check_state,
    check_steps,
    working_dtype,
)
from fastnn.fused.layout import (
    ALPHA,
    HYPER,
    MOMENTUM,
    UPDATE_CODES,
    UpdateSpec,
    constants_of,
    describe,
    make_scratch,
)
from fastnn.memory import ALIGNMENT, ROW_BLOCK
from fastnn.optimizers import OPTIMIZERS, SGD

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
        self._kept = _Kept()

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
        n, dtype = len(X), X.dtype
        out = np.empty((n, network.sizes[-1]), dtype)
        workspace = self._workspace(network, dtype, n, ROW_BLOCK)
        try:
            kernel = workspace.predict
            if kernel is None:  # looked up once: a look-up takes as long as a tenth of one row's prediction
                kernel = workspace.predict = load_kernel("predict", dtype)
            kernel(out, params, n, workspace.scratch, workspace.model, X)
        finally:
            self._put_back(workspace)
        return out

    def loss_and_gradient(self, network, params, data, alpha):
        """The loss and its gradient (n_params,)."""
        batch = _WholeBatch(self, network, data, alpha, True)
        return batch.loss(params), batch.gradient.copy()

    def loss(self, task, params, gradient=None):
        """The loss of all rows of the task as one batch, as by `loss_and_gradient`; writes `gradient` (n_params,)."""
        with_gradient = gradient is not None
        key = self, "loss", with_gradient
        batch = task.kept.pop(key, None) or _WholeBatch(self, task.network, task.data, task.penalty, with_gradient)
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
        good = training.call(state.storage)
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

    def _workspace(self, network, dtype, rows, block):
        """Return a workspace for batches of up to `rows` rows in blocks of `block`: one that the thread keeps, or new.

        It is taken out while it is used, at once: a signal's handler or a finalizer may call fastnn in the midst of it.
        """
        key, kept = (network, dtype, block, min(rows, block), rows > block), self._kept.workspaces
        for _ in range(KEPT):
            try:
                workspace = kept.pop()
            except IndexError:
                break
            if workspace.key == key:
                return workspace
            kept.insert(0, workspace)
        return _Workspace(key, rows)

    def _put_back(self, workspace):
        """Keep a workspace for the thread's next call, unless it is larger than `KEEP` bytes."""
        if workspace.nbytes <= KEEP:
            kept = self._kept.workspaces
            kept.append(workspace)
            if workspace.is_new or len(kept) > KEPT:  # else it only goes back to where it was
                workspace.is_new = False
                while len(kept) > KEPT or (len(kept) > 1 and sum(workspace.nbytes for workspace in kept) > KEEP):
                    del kept[:1]


SPECIAL = 10_000
"""Parameters up to which a network may have a specialized kernel: larger ones gain nothing by it."""

KEEP = 2**23
"""Bytes that a thread may hold on to between calls: of a network of a million weights, the scratch of one row."""

KEPT = 4
"""Workspaces that it may hold on to: those of a training, of its validation rows and of predictions."""


FEW = 4096
"""Steps and rows up to which to compare them with the last ones takes less time than to check them."""


class _Kept(threading.local):
    def __init__(self):
        self.workspaces = []  # the last one was used last


class _Workspace:
    """The workspace: a network's model and buffers, as kernels take them."""

    def __init__(self, key, rows):
        self.key = key
        network, dtype, block, *_ = key
        self.description = describe(network, dtype, block)
        self.buffers = make_scratch(network, dtype, rows, block)
        self.model, self.scratch = prepared(self.description), prepared(self.buffers)
        self.nbytes = sum(buffer.nbytes for buffer in self.buffers)
        self.is_new = True
        self.predict = None  # the kernel of this name, from the first prediction on
        self.specialized = {}

    def specialized_kernel(self, spec):
        """Return the specialized `train_steps` for this workspace and kind of optimizer."""
        kind = spec.code, spec.stride, spec.sequential
        if kind not in self.specialized:
            constants = constants_of(self.description, spec, self.buffers)
            self.specialized[kind] = load_kernel("train_steps", self.buffers.params.dtype, constants)
        return self.specialized[kind]


class _Prepared:
    """What is prepared for calls on the same task or data, whose owner keeps it; its workspace goes back at its end."""

    workspace = None

    def __init__(self, backend, workspace):
        self._backend, self.workspace = backend, workspace

    def __del__(self):
        if self.workspace is not None:  # else what was to be prepared was refused
            self._backend._put_back(self.workspace)


class _Training(_Prepared):
    """A task that is trained on: what was checked is known by its identity, what is packed stays so."""

    def __init__(self, backend, task, state, n_rows):
        network, optimizer, dtype = task.network, task.optimizer, state.storage.dtype
        vector = ALIGNMENT // dtype.itemsize
        special = backend.specialize and n_rows <= vector and network.n_params <= SPECIAL
        # Buffers are made for a block of rows. A sequential optimizer updates a layer within the batch, which is then
        # one block whatever its size.
        if special:  # one kernel for all batches that fit a vector, and one for those of a single row
            n_rows = block = vector if n_rows > 1 else 1
        else:
            block = max(n_rows, 1) if optimizer.sequential else ROW_BLOCK
        super().__init__(backend, backend._workspace(network, dtype, n_rows, block))
        self.n_rows, self._state = n_rows, (state.storage, state.beta_products)
        spec = UpdateSpec(
            MOMENTUM if isinstance(optimizer, SGD) and optimizer.n_slots else UPDATE_CODES[optimizer.name],
            state.storage.shape[1],
            int(optimizer.sequential),
            task.penalty,
            *optimizer.betas,
            getattr(optimizer, "weight_decay", 0),
        )
        # What the kernel reads besides its arguments: constants of the formulas, in the working dtype.
        constants, hyper = self.workspace.buffers.update_constants, optimizer.constants
        constants[ALPHA] = task.alpha
        constants[HYPER : HYPER + len(hyper)] = hyper
        self._kernel = self.workspace.specialized_kernel(spec) if special else load_kernel("train_steps", dtype)
        self._of_task = self.workspace.scratch, self.workspace.model, prepared(spec), prepared(task.data)
        self._data = tuple(task.data)  # an array that is referred to refuses to be resized

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
        few = steps.rows.size + steps.start.size <= FEW
        self._known = (steps, *(array.tobytes() for array in steps[:3])) if few else (None, b"", b"", b"")
        self._steps = tuple(steps)
        self.call = self._kernel.bound(self._state[1], len(steps.loss), *self._of_task, prepared(steps))

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
        super().__init__(backend, backend._workspace(network, dtype, n, ROW_BLOCK))
        self._params = "params", (network.n_params,), dtype
        self.workspace.buffers.update_constants[ALPHA] = alpha
        self.gradient = self.workspace.buffers.gradient[: network.n_params]
        spec = prepared(UpdateSpec(UPDATE_CODES["SGD"], 0, 0, alpha, 1.0, 1.0, 0.0))
        of_network = self.workspace.scratch, self.workspace.model
        kernel, rows = load_kernel("loss_and_gradient", dtype), np.arange(n)
        self._data = tuple(data)
        self._call = kernel.bound(n, int(with_gradient), *of_network, spec, prepared(data), rows)

    def loss(self, params):
        """Return the loss; leave its gradient, if wanted, in `gradient`."""
        name, shape, dtype = self._params
        check(name, params, shape, dtype)
        return self._call(params)
