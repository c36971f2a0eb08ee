"""Members that train side by side, each in a lane of vectors: which ones do, and their calls of
`train_in_lanes`.
"""

from __future__ import annotations

import functools

import numpy as np

from fastnn.compiler.loader import load_kernel, prepared
from fastnn.fused.layout import LaneNumbers, Members, padded, task_constants, update_spec
from fastnn.fused.preparation import of_epochs, share_parts, take_workspace
from fastnn.memory import ROW_BLOCK, aligned_zeros, ceil_div, vector_lanes
from fastnn.state import LIMIT, N_RULE, Data, EpochRules

FEWEST = 4
"""Members of a group from which on some may train side by side: half of the smallest vector."""


@functools.cache
def most_numbers(lanes):
    """Return the numbers of a network up to which that many lanes pay, by the code for this
    processor.
    """
    return load_kernel("most_numbers", np.dtype(np.float64))(lanes)


def numbers_of(network, dtype, n_rows):
    """Return how many numbers a step of `n_rows` rows keeps in the cache, each of which is a vector
    in lanes.

    A network alone computes whole vectors of rows: where half of their lanes would be padding, it
    takes twice as long, and twice as many numbers pay. A single row has no padding.
    """
    rows = min(n_rows, ROW_BLOCK)
    used = rows / padded(rows, vector_lanes(dtype)) if rows > 1 else 1.0
    return (network.n_params + rows * sum(network.sizes)) * used


def n_at_a_time(network, dtype, n_rows):
    """Return how many networks train side by side, by batches of up to `n_rows` rows: those of a
    vector, or 1.
    """
    lanes = vector_lanes(dtype)
    return lanes if numbers_of(network, dtype, n_rows) <= most_numbers(lanes) else 1


def orders_of(members, tasks, which, steps, n_steps, n_rows, most):
    """Return which of the `members` (any,) train side by side: [(a task, order (any,) of whole
    vectors of members)].

    They have `n_steps` (m,) left, and lanes pay for up to `most` numbers. A group has the same data
    and the same numbers in its formula; if members are left over, the last one is there several
    times. Those with sample weights train alone, and where too many lanes would do nothing.
    """
    network = tasks[0].network
    dtype = tasks[0].data.X.dtype
    lanes = vector_lanes(dtype)
    numbers = numbers_of(network, dtype, n_rows)
    n = steps.stop - steps.start
    # The gradient of a single row, in a layer that fills whole vectors, is not finished where that
    # does nothing, see `updates.row_update`: a product that underflows to -0.0 stays that, where
    # the update of many makes 0.0 of it.
    fills_vectors = any(layer.fan_out % lanes == 0 for layer in network.layers)
    if (
        len(members) * 2 < lanes
        or numbers > most
        or (n == 0).any()
        or (fills_vectors and (n == 1).any())
    ):
        return []
    # Lanes without steps to do cost as much as others; measured, the gain is near the fifth root of
    # what is behind 1 /.
    least = max(0.5, (numbers / most) ** 0.2)
    kinds = {}
    of_task = []
    for task in tasks:
        spec = update_spec(task, 0)._replace(penalty=0.0, factors=None, is_weight=None)
        of_task.append(kinds.setdefault((*map(id, task.data), *spec), len(kinds)))
    kind = np.array(of_task)[which[members]]
    orders = []
    for k in range(len(kinds)):
        chosen = members[kind == k]
        chosen = chosen[np.argsort(-n_steps[chosen], kind="stable")]
        if chosen.size and (tasks[which[chosen[0]]].data.sample_weight == 1).all():
            last = np.full(-chosen.size % lanes, chosen[-1])
            groups = np.concatenate([chosen, last]).reshape(-1, lanes)
            used = n_steps[groups]
            used[-1, lanes - last.size :] = 0
            groups = groups[used.sum(axis=1) >= least * lanes * used[:, 0]]
            if groups.size:
                orders.append((tasks[which[groups[0, 0]]], groups.reshape(-1)))
    return orders


def may_stop(rules):
    """Return whether members have stop rules."""
    return rules is not None and bool(rules.rules[:, LIMIT].any())


def stops_of(most, rules):
    """Return the steps, of `most`, before which calls end, for members whose rules have fired to
    leave their lanes.

    They are at ends of epochs.
    """
    if not may_stop(rules):
        return [most]
    size = ceil_div(most, CALLS * rules.per_epoch) * rules.per_epoch
    return [min(first + size, most) for first in range(0, most, size)]


CALLS = 4
"""Calls for members with stop rules."""
GAIN = 2
"""How many times less numbers pay for them: lanes whose members have ended wait for the others."""


def train_side_by_side(tasks, which, state, steps, n_steps, n_rows, block, rules, threads):
    """Train what can be trained side by side, up to `threads` threads sharing the members.

    Return the good steps of each member (m,), the members that are left (any,), and the step (m,)
    from which on they train alone.
    """
    n_scored = len(rules.scored[0].data.X) if rules is not None and rules.scored else 0
    first = 0
    lanes = vector_lanes(state.storage.dtype)
    good = n_steps.copy()
    left = np.flatnonzero(n_steps)
    begun = np.zeros(len(which), np.int64)
    most = most_numbers(lanes) / (GAIN if may_stop(rules) else 1)
    for stop in stops_of(int(n_steps.max(initial=0)), rules):
        orders = orders_of(left, tasks, which, steps, n_steps - first, max(n_rows, n_scored), most)
        if not orders:
            break
        if first == 0:
            call = call_of(good, tasks, which, state, steps, n_steps, n_rows, block, rules)
        for task, order in orders:
            work = functools.partial(call, task, first, stop)
            share_parts(work, order, threads, lanes)
            begun[order] = stop
        left = left[(begun[left] == stop) & (good[left] == n_steps[left]) & (n_steps[left] > stop)]
        first = stop
    alone = (begun < n_steps) & (good == n_steps)
    good[alone] = 0
    return good, np.flatnonzero(alone), begun


def call_of(good, tasks, which, state, steps, n_steps, n_rows, block, rules):
    """Return a function ``(task, first, stop, order)`` that does the steps from `first` to `stop`
    of an `orders_of`.
    """
    network = tasks[0].network
    storage = state.storage
    dtype = storage.dtype
    lanes = vector_lanes(dtype)
    m, n_vectors, stride = storage.shape
    penalty = np.array([task.penalty for task in tasks], np.float64)[which]
    rules = no_rules(m, dtype) if rules is None else rules
    scored = scored_rows(rules.scored) if rules.scored else tasks[0].data
    epochs = of_epochs(network, rules, storage, steps.loss)
    n_scored = epochs.n_rows
    n_all = len(scored.X)
    members = Members(
        order=which,
        n_steps=n_steps,
        good=good,
        storage=storage,
        beta_products=state.beta_products,
        constants=task_constants(tasks, dtype)[which],
        penalty=penalty,
        scored_X=scored.X,
        scored_Y=scored.Y,
        n_groups=0,
        n_vectors=n_vectors,
        stride=stride,
        row_step=step_between(steps.rows),
        rate_step=step_between(steps.learning_rate),
        most=steps.loss.shape[1],
        scored_step=n_scored if n_all > n_scored else 0,
        scored_block=ROW_BLOCK,
        penalizes=int(any(task.penalty for task in rules.scored)),
        first=0,
        stop=0,
    )
    kernel = load_kernel("train_in_lanes", dtype)

    def call(task, first, stop, order):
        numbers = lane_numbers(n_vectors * network.n_params, n_all if n_scored else 0, lanes, dtype)
        spec = update_spec(task, network.n_params)._replace(penalty=float(penalty[order].any()))
        of_order = members._replace(
            order=order, n_groups=order.size // lanes, first=first, stop=stop
        )
        with (
            take_workspace(network, dtype, n_rows, block, many=True) as training,
            take_workspace(network, dtype, max(n_scored, 1), ROW_BLOCK, many=True) as scoring,
        ):
            kernel(
                training.scratch,
                training.model,
                prepared(spec),
                prepared(task.data),
                prepared(steps),
                prepared(of_order),
                prepared(numbers),
                scoring.scratch,
                prepared(epochs),
            )

    return call


def lane_numbers(n, n_scored, lanes, dtype):
    """Return the working memory of networks with `n` numbers in their states and `n_scored` rows
    that are scored.
    """
    return LaneNumbers(
        vectors=aligned_zeros(n * lanes, dtype),
        beta_products=aligned_zeros(2 * lanes, np.float64),
        penalty=aligned_zeros(lanes, np.float64),
        rate=aligned_zeros(lanes, np.float64),
        loss=aligned_zeros(lanes, np.float64),
        first_row=np.zeros(lanes, np.int64),
        first_rate=np.zeros(lanes, np.int64),
        first_scored=np.zeros(lanes, np.int64),
        scored_rows=np.arange(n_scored),
        right=np.zeros(lanes, np.int64),
    )


def step_between(rows):
    """Return the numbers from a member's row of an array (m, n) to the next one's: 0 for (1, n),
    which all share.
    """
    return 0 if len(rows) == 1 else rows.shape[1]


def no_rules(m, dtype):
    """Return the rules of members for which nothing is decided at the ends of epochs."""
    kinds = (
        (N_RULE, np.float64),
        *[(0, np.float64)] * 2,
        (0, dtype),
        (2, np.float64),
        (2, np.int64),
    )
    return EpochRules(
        0, 0, [], None, np.zeros(0), False, 1, *(np.zeros((m, n), kind) for n, kind in kinds)
    )


def scored_rows(scored):
    """Return the rows that are scored, of all members one after another, or once if they are the
    same for all.
    """
    if len({id(task.data) for task in scored}) == 1:
        return scored[0].data
    return Data(*(np.concatenate([task.data[k] for task in scored]) for k in range(3)))


def can_score(tasks, which, rules):
    """Return whether all rows that are scored can be so side by side: their weights are 1, the
    penalties the members'.

    Or there are no penalties.
    """
    weights = {id(task.data): task.data.sample_weight for task in rules.scored}.values()
    penalties = [task.penalty for task in rules.scored]
    of_members = [tasks[k].penalty for k in which.tolist()]
    return (
        rules.first == 0
        and all((weight == 1).all() for weight in weights)
        and (not any(penalties) or penalties == of_members)
    )
