"""The Numba back end: arrays in, one kernel call, arrays out."""

from __future__ import annotations

import threading

import numpy as np

from fastnn.fused import kernels
from fastnn.fused.jit import KERNEL_REVISION, cache_folder, prepare_cache_folder
from fastnn.fused.model import ALPHA, HYPER, ROW_BLOCK, Rule, describe, make_scratch
from fastnn.memory import aligned_zeros, padded_size
from fastnn.optimizers import OPTIMIZERS, RPROP, SGD, Adam, RMSprop
from fastnn.state import Data, Steps

__all__ = ["KERNEL_REVISION", "NumbaBackend", "cache_folder", "prepare_cache_folder"]


class NumbaBackend:
    """The fused kernel as a back end."""

    name = "numba"

    def __init__(self) -> None:
        self._workspace = _Workspace()

    def __reduce__(self):
        """Pickled as a new one: the workspace belongs to its threads."""
        return NumbaBackend, ()

    def __reduce__(self):
        return type(self), ()  # each process has its own workspaces

    def supports(self, network, optimizer):
        """All of the built-in optimisers."""
        return OPTIMIZERS.get(optimizer.name) is type(optimizer)

    def predict(self, network, params, X):
        """Outputs (n, n_outputs)."""
        n = len(X)
        out = np.empty((n, network.n_outputs), X.dtype)
        model, scratch = self._workspace.of(network, X.dtype, n, ROW_BLOCK)
        kernels.predict(out.reshape(-1), _padded(params), scratch, model, _flat(X))
        return out

    def loss_and_gradient(self, network, params, data, alpha):
        """The loss and its gradient (n_params,)."""
        n = len(data.X)
        model, scratch = self._workspace.of(network, data.X.dtype, n, ROW_BLOCK)
        scratch.rates[ALPHA] = alpha
        rule = Rule(SGD.code, 0, 0, 0, float(alpha), 1.0, 1.0, 0.0)
        loss = kernels.loss_and_gradient(
            _padded(params), scratch, model, rule, _flatten(data), _read_only(np.arange(n))
        )
        return loss, scratch.gradient[: network.n_params].copy()

    def train_steps(self, network, optimizer, state, data, steps, alpha, *, penalty=None):
        """Train in the compiled loop; the number of good steps. `penalty` replaces alpha in the value of the loss."""
        rows = int((steps.stop - steps.start).max())
        block = max(rows, 1) if optimizer.sequential else ROW_BLOCK
        model, scratch = self._workspace.of(network, data.X.dtype, rows, block)
        scratch.rates[ALPHA] = alpha
        hyper = _hyper_parameters(optimizer)
        scratch.rates[HYPER : HYPER + len(hyper)] = hyper
        rule = Rule(
            optimizer.code,
            optimizer.n_slots,
            state.storage.shape[1],
            int(optimizer.sequential),
            float(alpha if penalty is None else penalty),
            float(getattr(optimizer, "beta_1", 1)),
            float(getattr(optimizer, "beta_2", 1)),
            float(getattr(optimizer, "weight_decay", 0)),
        )
        good = kernels.train_steps(
            state.storage.reshape(-1),
            state.beta_products,
            scratch,
            model,
            rule,
            _flatten(data),
            Steps(*(_read_only(np.ascontiguousarray(a)) for a in steps[:-1]), steps.loss),
        )
        state.t += good if good == len(steps.loss) else good + 1
        return good


class _Workspace(threading.local):
    """Each thread's last model and scratch: many calls for one network, one row each perhaps, make them once.

    What is larger than `KEEP` bytes is not kept.
    """

    KEEP = 2**20

    key, made = None, None

    def of(self, network, dtype, rows, block):
        """The model and the scratch for batches of up to `rows` rows in blocks of `block`."""
        key = (network, dtype, block, min(rows, block), rows > block)
        if key != self.key:
            made = describe(network, dtype, block), make_scratch(network, dtype, rows, block)
            if sum(buffer.nbytes for buffer in made[1]) > self.KEEP:
                return made
            self.key, self.made = key, made
        return self.made


def _hyper_parameters(optimizer):
    """What stands in `Scratch.rates` from HYPER on, as `updates` reads it."""
    if isinstance(optimizer, SGD):
        return [optimizer.momentum, float(optimizer.nesterov)]
    if isinstance(optimizer, Adam):
        beta_1, beta_2 = optimizer.beta_1, optimizer.beta_2
        return [beta_1, 1 - beta_1, beta_2, 1 - beta_2, optimizer.epsilon]
    if isinstance(optimizer, RMSprop):
        return [optimizer.rho, 1 - optimizer.rho, optimizer.epsilon]
    assert isinstance(optimizer, RPROP)
    return [optimizer.grow, optimizer.shrink, optimizer.smallest, optimizer.largest]


def _padded(params):
    """A copy of the parameters from which whole vectors may be read at any place."""
    storage = aligned_zeros(padded_size(params.size, params.dtype), params.dtype)
    storage[: params.size] = params
    return storage


def _flatten(data):
    return Data(_flat(data.X), _flat(data.Y), _flat(data.sample_weight))


def _flat(array):
    return _read_only(array.reshape(-1))


def _read_only(array):
    """A view that cannot be written: all inputs are handed over as such, so that one signature serves all."""
    view = array.view()
    view.flags.writeable = False
    return view
