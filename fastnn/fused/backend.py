"""The Numba back end: arrays in, one kernel call, arrays out."""

from __future__ import annotations

import threading

import numpy as np

from fastnn.compiler.folder import cache_state
from fastnn.compiler.loader import entry, kernels_are_kept, prepared
from fastnn.compiler.program import KERNEL_REVISION
from fastnn.fused.guard import FLOATS, check, check_data, check_inputs, check_shuffle, check_state, check_steps
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
                kernel = workspace.predict = entry("predict", dtype)
            kernel(out, params, n, workspace.scratch, workspace.model, X)
        finally:
            self._put_back(workspace)
        return out

    def loss_and_gradient(self, network, params, data, alpha):
        """The loss and its gradient (n_params,)."""
        dtype = check_data(network, data)
        check("params", params, (network.n_params,), dtype)
        n = len(data.X)
        workspace = self._workspace(network, dtype, n, ROW_BLOCK)
        spec = UpdateSpec(UPDATE_CODES["SGD"], 0, 0, alpha, 1.0, 1.0, 0.0)
        try:
            workspace.buffers.update_constants[ALPHA] = alpha
            kernel = entry("loss_and_gradient", dtype)
            loss = kernel(params, n, workspace.scratch, workspace.model, prepared(spec), prepared(data), np.arange(n))
            return loss, workspace.buffers.gradient[: network.n_params].copy()
        finally:
            self._put_back(workspace)

    def train_steps(self, task, state, steps):
        """Train in the compiled loop; the number of good steps."""
        network, optimizer, data = task.network, task.optimizer, task.data
        dtype = check_data(network, data)
        check_state(network, optimizer, state, dtype)
        rows, n_steps = check_steps(steps, len(data.X)), len(steps.loss)
        vector = ALIGNMENT // dtype.itemsize
        special = self.specialize and rows <= vector and network.n_params <= SPECIAL
        # Buffers are made for a block of rows. A sequential optimizer updates a layer within the batch, which is then
        # one block whatever its size.
        if special:  # one kernel for all batches that fit a vector, and one for those of a single row
            block = vector if rows > 1 else 1
            workspace = self._workspace(network, dtype, block, block)
        else:
            workspace = self._workspace(network, dtype, rows, max(rows, 1) if optimizer.sequential else ROW_BLOCK)
        spec = UpdateSpec(
            MOMENTUM if isinstance(optimizer, SGD) and optimizer.n_slots else UPDATE_CODES[optimizer.name],
            state.storage.shape[1],
            int(optimizer.sequential),
            task.penalty,
            *optimizer.betas,
            getattr(optimizer, "weight_decay", 0),
        )
        hyper = optimizer.constants
        # What the kernel reads besides its arguments: constants of the formulas, in the working dtype.
        try:
            workspace.buffers.update_constants[ALPHA] = task.alpha
            workspace.buffers.update_constants[HYPER : HYPER + len(hyper)] = hyper
            kernel = workspace.specialized_kernel(spec) if special else entry("train_steps", dtype)
            arguments = workspace.scratch, workspace.model, prepared(spec), prepared(data), prepared(steps)
            good = kernel(state.storage, state.beta_products, n_steps, *arguments)
        finally:
            self._put_back(workspace)
        state.t += good if good == n_steps else good + 1
        return good

    def shuffle_rows(self, words, orders, order):
        """Write orders (k, n) of rows, each the one before it shuffled, by MT19937's words: the optional method."""
        check_shuffle(words, orders, order)
        entry("shuffle_rows", FLOATS[0])(words, orders, order, order.size, len(orders))  # the same for both dtypes

    def _workspace(self, network, dtype, rows, block):
        """Return the workspace for batches of up to `rows` rows in blocks of `block`: this thread's last, or a new one.

        The last one is cached per thread, so that repeated small calls do not rebuild it. It is taken out while it is
        used: a signal's handler or a finalizer may call fastnn in the midst of it, and then makes its own. Exchanged in
        one statement, which nothing interrupts.
        """
        kept, key = self._kept, (network, dtype, block, min(rows, block), rows > block)
        workspace, kept.workspace = kept.workspace, None
        return workspace if workspace is not None and workspace.key == key else _Workspace(key, rows)

    def _put_back(self, workspace):
        """Keep a workspace for the thread's next call, unless it is larger than `KEEP` bytes."""
        if workspace.nbytes <= KEEP:
            self._kept.workspace = workspace


SPECIAL = 10_000
"""Parameters up to which a network may have a specialized kernel: larger ones gain nothing by it."""

KEEP = 2**23
"""Bytes that a thread may hold on to between calls: of a network of a million weights, the scratch of one row."""


class _Kept(threading.local):
    workspace = None


class _Workspace:
    """The workspace: a network's model and buffers, as kernels take them."""

    def __init__(self, key, rows):
        self.key = key
        network, dtype, block, *_ = key
        self.table = describe(network, dtype, block)
        self.buffers = make_scratch(network, dtype, rows, block)
        self.model, self.scratch = prepared(self.table), prepared(self.buffers)
        self.nbytes = sum(buffer.nbytes for buffer in self.buffers)
        self.predict = None  # the kernel of this name, from the first prediction on
        self.specialized = {}

    def specialized_kernel(self, spec):
        """Return the specialized `train_steps` for this workspace and kind of optimizer."""
        kind = spec.code, spec.stride, spec.sequential
        if kind not in self.specialized:
            constants = constants_of(self.table, spec, self.buffers)
            self.specialized[kind] = entry("train_steps", self.buffers.params.dtype, constants)
        return self.specialized[kind]
