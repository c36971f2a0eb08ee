"""The back end's preparations for calls on the same task or data: checked arrays, packed arguments, a workspace."""

import numpy as np

from fastnn.compiler.loader import load_kernel, prepared
from fastnn.fused.guard import check, check_data, hold
from fastnn.fused.layout import ALPHA, LOSS_ALONE, NO_UPDATE, UpdateSpec
from fastnn.fused.team import Threads
from fastnn.memory import ROW_BLOCK
from fastnn.state import Steps, StepState


class Prepared:
    """The preparations for calls on the same task or data; when they are deleted, the workspace goes back."""

    workspace = None

    def __init__(self, backend, workspace):
        self._backend, self.workspace = backend, workspace

    def __del__(self):
        if self.workspace is not None:  # else the constructor has raised an error
            self._backend.kept.put_back(self.workspace)


class PreparedTraining(Prepared):
    """The preparations for training on a task: checked arrays, told by their identity, and packed arguments."""

    def __init__(self, backend, task, state, n_rows):
        network, dtype = task.network, state.storage.dtype
        special, n_rows, block = backend.blocks(task, n_rows, dtype)
        super().__init__(backend, backend.kept.take(network, dtype, n_rows, block))
        self.n_rows, self._state = n_rows, (state.storage, state.beta_products)
        self._bound = self.workspace.steps_of(task, state.storage.shape[1], special)
        data = prepared(task.data)
        self._bound.begin(state, data)
        self._threads = Threads.of(task, dtype, n_rows)
        self.kernel, self.of_task = self._bound.kernel, (*self._bound.prepared, data)
        self._data = tuple(task.data)
        self._held = hold((*self._data, *self._state))

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

    def take(self, steps, numbers):
        """Take over checked steps, and the `StepNumbers` that `check_steps` returned for them."""
        self._numbers, self._arrays = numbers, tuple(steps)
        self._bound.take(steps, numbers)

    def train(self, state, steps):
        """Do the steps of the last `take`, and return the number of good ones."""
        return self._threads.train(self, state, steps) if self._threads else self._bound.call()

    def knows(self, state, steps):
        """Return whether state and steps were checked: they are the same arrays, and the steps' rows are the same."""
        return self.has(state) and self._numbers.knows(steps)


class PreparedBatch(Prepared):
    """The preparations for the loss of all rows as one batch, with its gradient or without."""

    def __init__(self, backend, network, data, penalty, with_gradient):
        dtype, n = check_data(network, data), len(data.X)
        super().__init__(backend, backend.kept.take(network, dtype, n, ROW_BLOCK))
        network = self.workspace.network
        self._params = "params", (network.n_params,), dtype
        self.workspace.buffers.update_constants[ALPHA], self.workspace.steps = penalty, None
        self.gradient = self.workspace.buffers.gradient[: network.n_params]
        code, stride = NO_UPDATE if with_gradient else LOSS_ALONE, self.workspace.buffers.params.size
        self._spec = prepared(UpdateSpec(code, stride, 0, penalty, 1.0, 1.0, 0.0))
        of_network = self.workspace.scratch, self.workspace.model
        kernel, rows = load_kernel("loss_and_gradient", dtype), np.arange(n)
        self._data, self._held, self._threads = tuple(data), hold(data), None
        self._call = kernel.bound(None, n, int(with_gradient), *of_network, self._spec, prepared(data), rows)

    def divide(self, task, remembered=False):
        """Let the threads of the task share the loss and its gradient: those of a step that updates nothing."""
        n = len(task.data.X)
        if self._data[2].any():  # where no row weighs anything, a step would be skipped
            self._threads = Threads.of(task, self._params[-1], n, remembered)
        if self._threads is not None:
            params, self.n_rows, self.kernel = self.workspace.buffers.params, n, self._step_alone
            self._state = StepState(params.reshape(1, -1), self.workspace.network.n_params)
            self._steps = Steps(np.arange(n), np.array([0]), np.array([n]), np.zeros(1), np.zeros(1))
            self.of_task = self.workspace.scratch, self.workspace.model, self._spec, prepared(task.data)

    def loss(self, params):
        """Return the loss; leave its gradient, if wanted, in `gradient`."""
        name, shape, dtype = self._params
        check(name, params, shape, dtype)
        if self._threads is None:
            return self._alone(params)
        self._state.params[...] = params  # into the workspace, from which whole vectors may be read
        self._threads.train(self, self._state, self._steps)
        return float(self._steps.loss[0])

    def _alone(self, params):
        """Return the loss by one thread."""
        self._call.places[0].value = params
        return self._call()

    def _step_alone(self, storage, *_):
        """Write the loss by one thread, in the place of a kernel that does a step."""
        self._steps.loss[0] = self._alone(storage[0])
        return 1
