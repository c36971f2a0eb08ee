"""The arguments of train_members: for each member a row of those of `train_steps`, made for all members at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.loader import prepared
from fastnn.fused.layout import N_CONSTANTS, set_task_constants, update_spec
from fastnn.memory import Array, address
from fastnn.state import Steps


class MemberArguments(NamedTuple):
    """The arguments of `train_members`, and the objects that have to stay in memory during its call."""

    rows: NDArray[np.int64]  # (n_members, N_ARGUMENTS), addresses and numbers of steps
    constants: Array  # (n_members, N_CONSTANTS)
    kept: list[object]


def member_arguments(tasks, which, storage, beta_products, steps, n_steps, workspace):
    """Return the arguments of `train_members`, from those of `NumbaBackend.train_members` and a workspace."""
    m, stride = len(which), storage.shape[2]
    specs = [prepared(update_spec(task, stride)) for task in tasks]
    data = [prepared(task.data) for task in tasks]
    constants = np.zeros((len(tasks), N_CONSTANTS), storage.dtype)
    for task, row in zip(tasks, constants, strict=True):
        set_task_constants(row, task)
    blocks = np.empty((m, len(steps)), np.int64)  # a member's steps, as an argument block
    for k, array in enumerate(steps):
        shared = array.ndim == 1 or len(array) == 1
        blocks[:, k] = address(array) + (0 if shared else np.arange(m) * array.strides[0])
    objects = [*storage], [*beta_products]  # a view for each member
    columns = (
        *([id(array) for array in views] for views in objects),
        n_steps,
        _address(workspace.scratch),
        _address(workspace.model),
        np.array([_address(spec) for spec in specs])[which],
        np.array([_address(arrays) for arrays in data])[which],
        address(blocks) + np.arange(m) * blocks.strides[0],
    )
    arguments = np.empty((m, len(columns)), np.int64)
    for k, column in enumerate(columns):
        arguments[:, k] = column
    return MemberArguments(arguments, constants[which], [objects, specs, data, blocks])


def train_each(good, kernel, tasks, which, storage, beta_products, steps, n_steps, workspace):
    """Call `train_steps` for each member, where kernels run as plain Python: what `train_members` does."""
    for m, task in enumerate(np.array(tasks, object)[which]):
        set_task_constants(workspace.buffers.update_constants, task)
        own = Steps(*(a if a.ndim == 1 else a[0 if len(a) == 1 else m] for a in steps))
        blocks = workspace.scratch, workspace.model, prepared(update_spec(task, storage.shape[2])), prepared(task.data)
        good[m] = kernel(storage[m], beta_products[m], int(n_steps[m]), *blocks, prepared(own))


def _address(block):
    """Return the address of an argument block."""
    return address(np.frombuffer(block, np.uint8))
