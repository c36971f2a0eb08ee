"""Members that train side by side, each in a lane of vectors: which ones do, and their calls of `train_in_lanes`."""

from __future__ import annotations

import functools

import numpy as np

from fastnn.compiler.loader import load_kernel, prepared
from fastnn.fused.layout import N_CONSTANTS, LaneNumbers, Members, padded, set_task_constants, update_spec
from fastnn.fused.preparation import put_back, take_workspace
from fastnn.memory import ALIGNMENT, ROW_BLOCK, aligned_zeros


@functools.cache
def most_numbers(lanes):
    """Return the numbers of a network up to which that many lanes pay, by the code for this processor."""
    return load_kernel("most_numbers", np.dtype(np.float64))(lanes)


def numbers_of(network, dtype, n_rows):
    """Return how many numbers a step of `n_rows` rows keeps in the cache, each of which is a vector in lanes.

    A network alone computes whole vectors of rows: where half of their lanes would be padding, it takes twice as long,
    and twice as many numbers pay. A single row has no padding.
    """
    rows = min(n_rows, ROW_BLOCK)
    used = rows / padded(rows, ALIGNMENT // dtype.itemsize) if rows > 1 else 1.0
    return (network.n_params + rows * sum(network.sizes)) * used


def n_at_a_time(network, dtype, n_rows):
    """Return how many networks train side by side, by batches of up to `n_rows` rows: those of a vector, or 1."""
    lanes = ALIGNMENT // dtype.itemsize
    return lanes if numbers_of(network, dtype, n_rows) <= most_numbers(lanes) else 1


def orders_of(tasks, which, steps, n_steps, dtype, n_rows):
    """Return the members that train side by side: [(the first one's task, order (any,) of whole vectors of members)].

    A group has the same data and the same numbers in its formula; if members are left over, the last one is there
    several times. Those with sample weights train alone, and where too many lanes would do nothing.
    """
    network, lanes = tasks[0].network, ALIGNMENT // dtype.itemsize
    if len(which) * 2 < lanes or not (steps.stop > steps.start).all() or n_at_a_time(network, dtype, n_rows) == 1:
        return []
    # Lanes without steps to do cost as much as others; measured, the gain is near the fifth root of what is behind 1 /.
    least = max(0.5, (numbers_of(network, dtype, n_rows) / most_numbers(lanes)) ** 0.2)
    kinds, of_task = {}, []
    for task in tasks:
        spec = update_spec(task, 0)._replace(penalty=0.0)
        of_task.append(kinds.setdefault((*map(id, task.data), *spec), len(kinds)))
    kind = np.array(of_task)[which]
    orders, by_steps = [], np.lexsort((-n_steps, kind))
    for k in range(len(kinds)):
        members = by_steps[kind[by_steps] == k]
        members = members[: np.count_nonzero(n_steps[members])]
        if members.size and (tasks[which[members[0]]].data.sample_weight == 1).all():
            last = np.full(-members.size % lanes, members[-1])
            groups = np.concatenate([members, last]).reshape(-1, lanes)
            done, most = n_steps[groups], n_steps[groups[:, 0]] * lanes
            done[-1, lanes - last.size :] = 0
            groups = groups[done.sum(axis=1) >= least * most]
            if groups.size:
                orders.append((tasks[which[groups[0, 0]]], groups.reshape(-1)))
    return orders


def train_side_by_side(good, tasks, which, state, steps, n_steps, n_rows, block):
    """Train what can be trained side by side; write its good steps to `good` (m,), return the other members (any,)."""
    storage, dtype, alone = state.storage, state.storage.dtype, np.ones(len(which), bool)
    orders = orders_of(tasks, which, steps, n_steps, dtype, n_rows)
    if not orders:
        return np.flatnonzero(alone)
    network, (_, n_vectors, stride), lanes = tasks[0].network, storage.shape, ALIGNMENT // dtype.itemsize
    constants = np.zeros((len(tasks), N_CONSTANTS), dtype)
    for task, row in zip(tasks, constants, strict=True):
        set_task_constants(row, task)
    penalty = np.array([task.penalty for task in tasks], np.float64)[which]
    own = [aligned_zeros(n_vectors * network.n_params * lanes, dtype)]
    own += [aligned_zeros(n * lanes, np.float64) for n in (2, 1, 1, 1)] + [np.zeros(lanes, np.int64) for _ in range(3)]
    numbers = prepared(LaneNumbers(*own))
    row_step, rate_step = (0 if len(a) == 1 else a.shape[1] for a in (steps.rows, steps.learning_rate))
    constants, shape = constants[which], (n_vectors, stride, row_step, rate_step, steps.loss.shape[1])
    workspace = take_workspace(network, dtype, n_rows, block, many=True)
    workspace.steps = None
    try:
        kernel = load_kernel("train_in_lanes", dtype)
        for task, order in orders:
            arrays = order, n_steps, good, storage, state.beta_products, constants, penalty
            spec = update_spec(task, network.n_params)._replace(penalty=float(penalty[order].any()))
            kernel(
                order.size // lanes,
                workspace.scratch,
                workspace.model,
                prepared(spec),
                prepared(task.data),
                prepared(steps),
                prepared(Members(*arrays, *shape)),
                numbers,
            )
            alone[order] = False
    finally:
        put_back(workspace)
    del own
    return np.flatnonzero(alone)
