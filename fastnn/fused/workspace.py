"""Workspaces: a network's model and buffers, packed for kernels, and those that a thread keeps for its next call."""

from __future__ import annotations

import threading

from fastnn.compiler.loader import load_kernel, prepared
from fastnn.fused.layout import constants_of, describe, make_scratch, set_task_constants, update_spec
from fastnn.network import as_made

KEEP = 2**23
"""Bytes that a thread may hold on to between calls: of a network of a million weights, the scratch of one row."""

KEPT = 4
"""Workspaces that it may hold on to: those of a training, of its validation rows and of predictions."""


class Workspace:
    """A workspace: a network's model and buffers, and both packed as arguments of kernels."""

    def __init__(self, key, rows):
        self.key = key
        network, dtype, block, *_ = key
        self.network = network = as_made(network)
        self.description = describe(network, dtype, block)
        self.buffers = make_scratch(network, dtype, rows, block)
        self.model, self.scratch = prepared(self.description), prepared(self.buffers)
        self.nbytes = sum(buffer.nbytes for buffer in self.buffers)
        self.is_new = True
        self.predict = None  # the kernel of this name, from the first prediction on
        self.specialized = {}
        self.steps = None

    def steps_of(self, task, stride, special):
        """Return the bound steps of a task: the last ones where its formulas and the state's `stride` are the same."""
        formulas = task.optimizer, task.alpha, task.penalty, stride, special
        last = self.steps
        # By identity first: the learning rate may be any function, and so the optimizers cannot be compared.
        if last is None or last.formulas[0] is not task.optimizer or last.formulas != formulas:
            last = self.steps = BoundSteps(self, task, formulas)
        return last

    def specialized_kernel(self, spec):
        """Return the specialized `train_steps` for this workspace and kind of optimizer."""
        kind = spec.code, spec.stride, spec.sequential
        if kind not in self.specialized:
            constants = constants_of(self.description, spec, self.buffers)
            self.specialized[kind] = load_kernel("train_steps", self.buffers.params.dtype, constants)
        return self.specialized[kind]


class BoundSteps:
    """The kernel `train_steps`, bound to a workspace and a task's formulas; data, state and steps are set anew."""

    def __init__(self, workspace, task, formulas):
        *_, stride, special = self.formulas = formulas
        spec = update_spec(task, stride)
        set_task_constants(workspace.buffers.update_constants, task)
        dtype = workspace.buffers.params.dtype
        self.kernel = workspace.specialized_kernel(spec) if special else load_kernel("train_steps", dtype)
        self.prepared = workspace.scratch, workspace.model, prepared(spec)
        self.call = self.kernel.bound(None, None, 0, *self.prepared, None, None)
        self._storage, self._beta_products, self._n_steps, *_, self._data, self._steps = self.call.places
        self._numbers = None

    def begin(self, state, data):
        """Set the state, and the data as an argument block, of the steps that follow."""
        self._storage.value, self._beta_products.value, self._data.value = state.storage, state.beta_products, data

    def take(self, steps, numbers):
        """Set the steps, unless they are the last ones; `numbers` are their `StepNumbers`."""
        if numbers is not self._numbers:
            self._n_steps.value, self._steps.value, self._numbers = steps.loss.size, prepared(steps), numbers

    def end(self):
        """Let go of the state."""
        self._storage.value = self._beta_products.value = ()  # with None, ctypes would hold on to what was there


class Workspaces(threading.local):
    """The workspaces that a thread holds on to between calls."""

    def __init__(self):
        self.workspaces = []  # the last one was used last
        self.numbers = None  # those of the steps that were checked last

    def take(self, network, dtype, rows, block):
        """Return a workspace for batches of up to `rows` rows in blocks of `block`: one that the thread keeps, or new.

        It is taken out while it is used, at once: a signal's handler or a finalizer may call fastnn in the midst of it.
        """
        # The network is told by its identity; so are its sizes, with which somebody may have exchanged others.
        key = network, dtype, block, rows if rows < block else block, rows > block, network.sizes, network.bias
        kept = self.workspaces
        for _ in range(KEPT):
            try:
                workspace = kept.pop()
            except IndexError:
                break
            if workspace.key == key:
                workspace.key = key  # the next call brings the same network, not an equal one: equality takes longer
                return workspace
            kept.insert(0, workspace)
        return Workspace(key, rows)

    def put_back(self, workspace):
        """Keep a workspace for the thread's next call, unless it is larger than `KEEP` bytes."""
        if workspace.nbytes <= KEEP:
            kept = self.workspaces
            kept.append(workspace)
            if workspace.is_new or len(kept) > KEPT:  # else it only goes back to where it was
                workspace.is_new = False
                while len(kept) > KEPT or (len(kept) > 1 and sum(workspace.nbytes for workspace in kept) > KEEP):
                    del kept[:1]
