"""The Numba back end: arrays in, one kernel call, arrays out."""

from __future__ import annotations

import numpy as np

from fastnn.compiler.loader import IN_PYTHON, kernels_are_kept, load_kernel
from fastnn.compiler.program import KERNEL_REVISION
from fastnn.cores import share
from fastnn.fused import guard, preparation
from fastnn.fused.guard import check_data, check_method, check_state, check_steps
from fastnn.fused.layout import task_constants, update_spec
from fastnn.fused.preparation import Ends, rows_are_sparse
from fastnn.fused.side_by_side import (
    FEWEST,
    can_score,
    most_numbers,
    n_at_a_time,
    train_side_by_side,
)
from fastnn.interface import Backend
from fastnn.memory import ROW_BLOCK, vector_lanes
from fastnn.network import as_made
from fastnn.optimizers import BUILT_IN, SGD, Method
from fastnn.sparse import SparseRows
from fastnn.state import Steps, Task, member_steps

__all__ = ["KERNEL_REVISION", "NumbaBackend", "kernels_are_kept", "most_numbers"]


UNUSED = SGD()
"""The optimizer of a task of which only the loss and its gradient are wanted."""


class NumbaBackend(Backend):
    """The fused kernel as a back end.

    Parameters
    ----------
    specialize : bool
        Train small networks in batches of one vector by kernels of their own, see `get_backend`.
    """

    name = "numba"
    takes_options = True
    takes_sparse = True

    def __init__(self, specialize: bool = False) -> None:
        self.specialize = specialize

    def __repr__(self):
        return f"NumbaBackend({'specialize=True' if self.specialize else ''})"

    def __reduce__(self):
        return type(self), (self.specialize,)

    @property
    def trains_groups(self):
        """Whether `train` does the work of `train_steps`, which no subclass and not the object
        overrides.
        """
        return stands_for(self, "train", "train_steps")

    def supports(self, network, optimizer, alpha=0.0, sample_weight=False):
        """Return whether the optimizer is a built-in one."""
        return BUILT_IN.get(type(optimizer).__name__) is type(optimizer)

    def predict(self, network, params, X, threads=None):
        """Return the outputs (n, n_outputs), computed by up to `threads` threads; None: as many as
        pay.
        """
        guard.check_inputs(network, params, X)
        n = len(X)
        out = np.empty((n, network.sizes[-1]), X.dtype)
        if threads == 1 or IN_PYTHON or (threads is None and n * network.n_params < MANY):
            self._predict(network, params, X, out)
        else:
            size = (
                PART
                if threads is None
                else min(PART, max(1, n // ROW_BLOCK // threads) * ROW_BLOCK)
            )
            parts = (slice(first, first + size) for first in range(0, n, size))
            share(lambda rows: self._predict(network, params, X[rows], out[rows]), parts, threads)
        return out

    def _predict(self, network, params, X, out):
        """Write the outputs of X to `out` (n, n_outputs), in a workspace of the thread that
        calls.
        """
        n = len(X)
        dtype = X.dtype
        # of the thread that calls
        sparse = type(X) is SparseRows
        workspace = preparation.take_workspace(network, dtype, n, ROW_BLOCK, sparse=sparse)
        try:
            if params.size != workspace.network.n_params:
                guard.check("params", params, (workspace.network.n_params,), dtype)
            kernel = workspace.predict
            # looked up once: a look-up takes as long as a tenth of one row's prediction
            if kernel is None:
                kernel = workspace.predict = load_kernel("predict", dtype)
            if sparse:
                kernel(out, params, n, X.values, workspace.prediction_of(X))
            else:
                kernel(out, params, n, X, workspace.prediction)
        finally:  # no `with`: it takes longer
            workspace.shelf.put(workspace, workspace.nbytes)

    def input_jacobian(self, network, params, X):
        """Return the derivatives (n, n_outputs, n_inputs) of the outputs of each row by its
        inputs.
        """
        guard.check_inputs(network, params, X)
        out = np.empty((network.sizes[-1], len(X), network.sizes[0]), X.dtype)
        with preparation.take_workspace(network, X.dtype, len(X), ROW_BLOCK) as workspace:
            guard.check("params", params, (workspace.network.n_params,), X.dtype)
            kernel = load_kernel("input_jacobian", X.dtype)
            kernel(out, params, len(X), workspace.scratch, workspace.model, X)
        return out.transpose(1, 0, 2)

    def loss_and_gradient(self, network, params, data, alpha, threads=None):
        """Return the loss and its gradient (n_params,), computed by `threads` threads; None: as
        many as pay.
        """
        task = Task(network, UNUSED, data, alpha, threads=threads)
        batch = preparation.PreparedBatch(task, with_gradient=True)
        return batch.loss(params), batch.gradient.copy()

    def loss(self, task, params, gradient=None):
        """Return the loss of all rows of the task as one batch, and write `gradient` (n_params,),
        if one is given.
        """
        with_gradient = gradient is not None
        key = self, "loss", with_gradient
        batch = task.kept.pop(key, None)
        if batch is None:
            batch = preparation.PreparedBatch(task, with_gradient)
            batch.bind()
        loss = batch.loss(params)
        if with_gradient:
            gradient[...] = batch.gradient
        task.kept[key] = batch
        return loss

    def train_steps(self, task, state, steps):
        """Train in the compiled loop; return the number of good steps."""
        good = self._train_one(task, state, steps, None)
        is_over = good == len(steps.loss) or isinstance(task.optimizer, Method)
        state.t += good if is_over else good + 1
        return good

    def train(self, tasks, which, states, steps, n_steps, rules=None, threads=1):
        """Train in the compiled loop; return the number of good steps of each training.

        With `EpochRules` a training ends with the epoch at whose end its rule fires. Up to
        `threads` threads share the trainings. A class whose `train_steps` is its own has that
        called.
        """
        if len(which) > 1 and self.trains_groups:
            return self._train_several(tasks, which, states, steps, n_steps, rules, threads)
        steps_by = getattr(self.train_steps, "__func__", None)
        if len(which) > 1 or steps_by is not NumbaBackend.train_steps:
            return super().train(tasks, which, states, steps, n_steps, rules, threads)
        n = n_steps[0]
        if n < len(steps.start):
            loss = steps.loss[:, :n]
            rate = steps.learning_rate[:, :n]
            steps = Steps(steps.rows, steps.start[:n], steps.stop[:n], rate, loss)
        return [self._train_one(tasks[which[0]], states, steps, rules)]

    def _train_one(self, task, state, steps, rules):
        """Train by the arrays of one training, with an axis of one member or without; return the
        number of good steps.
        """
        key = self, "train_steps"
        # Taken out while it is used: a signal's handler, or another thread, that trains on the task
        # makes its own.
        training = task.kept.pop(key, None)
        if training is None or not training.knows(state, steps):
            training = self._checked(training, task, state, steps)
        threads = training.threads
        if rules is None:
            good = training.call() if threads is None else threads.train(training, state, steps)
        else:
            n_steps = np.array([len(steps.start)])
            guard.check_rules(task.network, state.storage.dtype, steps.loss, n_steps, rules)
            ends = Ends(task.network, rules, state.storage, steps.loss, FIRST)
            training.places.ends.contents = ends.each[0]
            try:
                good = training.call()
            finally:
                training.places.ends.contents = preparation.NOTHING
        task.kept[key] = training
        return good

    def shuffle_rows(self, words, orders, order):
        """Write orders (k, n) of rows: `order` (n,) shuffled once, twice, and so on, by MT19937's
        words.
        """
        guard.check_shuffle(words, orders, order)
        shuffle = load_kernel("shuffle_rows", guard.FLOATS[0])  # the same for both dtypes
        shuffle(words, orders, order, order.size, len(orders))

    def function(self, network, params, jacobian=False):
        """Return the network as a `Function` of one row, which compiled code may call."""
        from fastnn.fused.function import Function  # imports Numba

        guard.check(
            "params", params, (network.n_params,), guard.working_dtype(network, params, "params")
        )
        return Function(as_made(network), params, jacobian)

    def table_function(self, network, params, row):
        """Return networks of params (m, n_params), float32, with a `TableRow` as a function of one
        row.
        """
        from fastnn.fused.function import TableFunction

        return TableFunction(as_made(network), params, row)

    def _train_several(self, tasks, which, state, steps, n_steps, rules, threads):
        """Train several members in calls of compiled code, side by side or one after another;
        return their good steps.

        Side by side train whole vectors of members whose networks are small, see `side_by_side`.
        """
        network = tasks[0].network
        n_steps = np.asarray(n_steps, None if isinstance(n_steps, np.ndarray) else np.int64)
        dtype, n_rows = guard.check_group(tasks, which, state, steps, n_steps)
        name = preparation.kernel_name(tasks[0].optimizer)
        threads = 1 if IN_PYTHON else threads
        special, n_rows, block = self.blocks(tasks[0], n_rows, dtype)
        if rules is not None:
            guard.check_rules(network, dtype, steps.loss, n_steps, rules)
        good = np.zeros(len(which), np.int64)
        members = np.arange(len(which))
        begun = np.zeros(len(which), np.int64)
        group = tasks, which, state, steps, n_steps
        sparse = rows_are_sparse(tasks[0].data)
        in_lanes = name == "train_steps" and len(which) >= FEWEST and not sparse
        if in_lanes and (rules is None or can_score(tasks, which, rules)):
            good, members, begun = train_side_by_side(*group, n_rows, block, rules, threads)

        def one_by_one(members):
            if IN_PYTHON:  # where entry points are called by their names
                for k in members.tolist():
                    member = member_steps(steps, k, n_steps[k])
                    good[k] = self._train_one(tasks[which[k]], state.member(k), member, None)
                return
            with preparation.take_workspace(
                network, dtype, n_rows, block, sparse=sparse
            ) as workspace:
                workspace.steps = None  # each member has constants of its own
                spec = update_spec(tasks[0], state.storage.shape[2]) if special else None
                kernel = workspace.specialized_kernel(spec) if special else load_kernel(name, dtype)
                constants = task_constants(tasks, dtype)[which[members]]
                ends = rules and Ends(network, rules, state.storage, steps.loss, members)
                table = preparation.table_of(*group, workspace, ends, members, begun)
                n_good = np.zeros_like(members)
                train_members = load_kernel("train_members", dtype)
                train_members(
                    n_good, members.size, kernel.code, table.words, constants, workspace.scratch
                )
                good[members] = begun[members] + n_good

        preparation.share_parts(one_by_one, members, threads)
        return good.tolist()

    def decides(self, task, rows_a_step, scored):
        """Return whether `train` takes rules for such a training; `scored` are the rows that
        are scored, or None.

        Not where threads share steps or these rows, nor in Python, where entry points are called by
        their names.
        """
        n_scored = 0 if scored is None else len(scored.data.X)
        # a method's steps take one thread
        n_shared = 0 if isinstance(task.optimizer, Method) else rows_a_step
        several = (
            preparation.has_work(task.threads, task.network, n) for n in (n_shared, n_scored)
        )
        is_own = stands_for(self, "decides", "train_steps", "loss", "predict")
        return is_own and not IN_PYTHON and not any(several)

    at_a_time = staticmethod(n_at_a_time)
    """How many such members `train` trains side by side: calls with multiples of it pay."""

    def blocks(self, task, n_rows, dtype):
        """Return whether batches of up to `n_rows` rows have a specialized kernel, and the rows to
        make buffers for.
        """
        if (
            self.specialize
            and task.network.n_params <= SPECIAL
            and n_rows <= vector_lanes(dtype)
            and not task.network.is_custom  # its addresses are those of one process
            and preparation.kernel_name(task.optimizer) == "train_steps"
            and not rows_are_sparse(task.data)
        ):
            # a kernel for all batches that fit a vector, and one for single rows
            n_rows = vector_lanes(dtype) if n_rows > 1 else 1
            return True, n_rows, n_rows
        # Buffers are made for a block of rows. A sequential optimizer updates a layer within the
        # batch, which is then one block whatever its size.
        return False, n_rows, max(n_rows, 1) if task.optimizer.sequential else ROW_BLOCK

    def _checked(self, training, task, state, steps):
        """Check the arguments of `train_steps`; return the preparations of the last call if they
        fit, or new ones.
        """
        if training is None or not training.has(state):
            training = None
            check_method(task.optimizer, task.data)
            check_state(task.network, task.optimizer, state, check_data(task.network, task.data))
        numbers = check_steps(
            steps, len(task.data.X), None if training is None else training.numbers
        )
        if training is None or numbers.largest > training.n_rows:
            training = preparation.PreparedTraining(self, task, state, numbers.largest)
        training.take(steps, numbers)
        return training


def stands_for(backend, name, *others):
    """Return whether a method does the work of `others` too: not where the object or a class below
    has these alone.
    """
    places = [vars(backend), *map(vars, type(backend).__mro__)]
    return name in next(place for place in places if not place.keys().isdisjoint((name, *others)))


FIRST = np.zeros(1, np.int64)
"""The number of the member of a training alone."""

MANY = 300_000_000
"""Rows times parameters of a prediction from which on threads share it: some 5 ms. In a shorter
one, waiting for a helper whose CPU has other work may take longer than all of it."""

PART = 4 * ROW_BLOCK
"""Rows that a thread predicts at a time: whole blocks, so that a row is in the same block whoever
predicts it."""

SPECIAL = 10_000
"""Parameters up to which a network may have a specialized kernel: larger ones gain nothing by
it."""
