"""The back end's preparations: workspaces, packed arguments, and calls that need no second
check.
"""

from __future__ import annotations

import numpy as np

from fastnn import kit
from fastnn.compiler.arguments import Table, hold
from fastnn.compiler.loader import load_kernel, prepared
from fastnn.cores import share
from fastnn.fused import layout, team
from fastnn.fused.guard import check, check_data
from fastnn.fused.layout import (
    EndCall,
    EpochEnds,
    Epochs,
    LossCall,
    PredictCall,
    Prediction,
    Rows,
    Training,
    UpdateSpec,
    make_scratch,
)
from fastnn.fused.team import Team, Threads
from fastnn.memory import ROW_BLOCK, ceil_div
from fastnn.network import as_made
from fastnn.optimizers import Method
from fastnn.sparse import SparseRows
from fastnn.state import Steps, StepState

NOT_SPARSE = np.zeros(0, np.int32), np.zeros(0, np.int64)
"""The last fields of `Rows` and `Prediction` where X is an array."""


def rows_are_sparse(data):
    """Return whether X is in CSR form."""
    return isinstance(data.X, SparseRows)


def rows_of(data):
    """Return the rows to train on as a kernel reads them."""
    X, Y, weight = data
    if isinstance(X, SparseRows):
        return Rows(X.values, Y, weight, X.indices, X.starts)
    return Rows(X, Y, weight, *NOT_SPARSE)


NOTHING = prepared(EpochEnds(first=0, per_epoch=0, code=0, fired=np.zeros(1, np.int64), call=None))
"""The ends of epochs where nothing is decided at them."""


def table_of(tasks, which, state, steps, n_steps, workspace, ends, chosen, begun):
    """Return the table of the `Training` of each chosen member (m,) of those of `train`.

    `ends` are the `Ends` of these members, or None; `begun` are the steps that each member has done
    before.
    """
    which = which[chosen]
    begun = begun[chosen]
    m = len(chosen)
    of_steps = Table(Steps, m)
    of_steps.point("rows", steps.rows, chosen if len(steps.rows) > 1 else 0)
    of_steps.point("start", steps.start, begun)
    of_steps.point("stop", steps.stop, begun)
    of_steps.point(
        "learning_rate", steps.learning_rate, chosen if len(steps.learning_rate) > 1 else 0, begun
    )
    of_steps.point("loss", steps.loss, chosen, begun)
    table = Table(Training, m)
    table.point("vectors", state.storage, chosen)
    table.point("beta_products", state.beta_products, chosen)
    table.set_numbers("n_steps", n_steps[chosen] - begun)
    table.set_blocks("scratch", [workspace.scratch])
    table.set_blocks("model", [workspace.model])
    table.set_blocks(
        "spec", [prepared(workspace.spec_of(task, state.storage.shape[2])) for task in tasks], which
    )
    table.set_blocks("data", [prepared(rows_of(task.data)) for task in tasks], which)
    table.point("steps", of_steps.words, np.arange(m))
    table.set_blocks(
        "ends", [NOTHING] if ends is None else ends.each, 0 if ends is None else np.arange(m)
    )
    return table


NO_CALLS = np.zeros(0, np.int64)


def of_epochs(network, rules, storage, losses):
    """Return what `end_epoch` reads and writes, without the calls by which it scores.

    `storage` (m, any, any) are the states of all members, `losses` (m, n_steps) those of the steps.
    """
    n_rows = len(rules.scored[0].data.X) if rules.scored else 0
    labels = np.zeros((1, 0), np.int64) if rules.labels is None else rules.labels
    return Epochs(
        ended=rules.ended,
        rules=rules.rules,
        losses=rules.losses,
        measured=rules.measured,
        labels=labels,
        outputs=np.empty((n_rows if labels.size else 0, network.n_outputs), storage.dtype),
        best_params=rules.best_params,
        storage=storage,
        loss=NO_CALLS,
        predict=NO_CALLS,
        of_steps=losses,
        factors=rules.factors,
        sums=rules.sums,
        loss_code=0,
        predict_code=0,
        n_epochs=rules.losses.shape[1],
        n_kept=rules.best_params.shape[1],
        size=storage[0].size,
        n_rows=n_rows,
        n_outputs=network.n_outputs,
        n_labels=labels[0].size,
        scored=int(rules.labels is not None),
        exclusive=int(labels.ndim == 2),
        first=rules.first,
        per_epoch=rules.per_epoch,
        n_steps=losses.shape[1],
        n_factors=len(rules.factors),
        mean=int(rules.mean),
        divisor=rules.divisor,
    )


class Workspace:
    """A workspace: a network's model and buffers, and both packed as arguments of kernels."""

    def __init__(self, shelf, rows):
        self.shelf = shelf
        network, dtype, self.block, many, self.sparse, *_ = shelf.key
        self.network = network = as_made(network)
        self.description = layout.describe(network, dtype, self.block, many, self.sparse)
        self.buffers = make_scratch(network, dtype, rows, self.block, many, self.sparse)
        self.model = prepared(self.description)
        self.scratch = prepared(self.buffers)
        self.prediction = prepared(Prediction(self.scratch, self.model, *NOT_SPARSE))
        self.nbytes = sum(buffer.nbytes for buffer in self.buffers)
        self.predict = None  # the kernel of this name, from the first prediction on
        self.specialized = {}
        self.steps = None
        self.rows = rows
        self._teams = {}

    def prediction_of(self, rows):
        """Return the `Prediction` of rows in CSR form, in the place of `prediction`."""
        return prepared(Prediction(self.scratch, self.model, rows.indices, rows.starts))

    least_squares = None  # the buffers of a method, from the first training by one on

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Let another call use it."""
        self.shelf.put(self, self.nbytes)

    def team(self, n):
        """Return the team of `n` threads, made when first asked for."""
        if n not in self._teams:
            self._teams[n] = Team(n, self)
            self.nbytes += self._teams[n].nbytes
        return self._teams[n]

    def spec_of(self, task, stride):
        """Return the optimizer of a task in numbers."""
        if not isinstance(task.optimizer, Method):
            return layout.update_spec(task, stride)
        if self.least_squares is None:
            block = self.description.block
            self.least_squares = layout.make_least_squares(self.network, block)
            arrays = (x for x in self.least_squares if isinstance(x, np.ndarray))
            self.nbytes += sum(array.nbytes for array in arrays)
        return layout.least_squares_spec(self.least_squares, task, stride)

    def loss_spec(self, penalty, code=layout.LOSS_ALONE):
        """Return the block of an optimizer that updates nothing; `penalty` is in the loss."""
        params = self.buffers.params
        options = layout.NO_OPTIONS[params.dtype]
        return prepared(UpdateSpec(code, params.size, 0, penalty, 1.0, 1.0, 0.0, *options))

    def steps_of(self, task, stride, special):
        """Return the bound steps of a task: the last ones where its formulas and the state's
        `stride` are the same.
        """
        formulas = task.optimizer, task.alpha, task.penalty, stride, special
        # By identity first: the learning rate may be any function, and so the optimizers cannot be
        # compared.
        last = self.steps
        if last is None or last.formulas[0] is not task.optimizer or last.formulas != formulas:
            self.steps = BoundSteps(self, task, formulas)
        return self.steps

    def specialized_kernel(self, spec):
        """Return the specialized `train_steps` for this workspace and kind of optimizer."""
        kind = spec.code, spec.stride, spec.sequential
        if kind not in self.specialized:
            constants = layout.constants_of(self.description, spec, self.buffers)
            self.specialized[kind] = load_kernel(
                "train_steps", self.buffers.params.dtype, constants
            )
        return self.specialized[kind]


def has_work(threads, network, rows):
    """Return whether several threads may share steps on `rows` rows: as asked for; for None, given
    enough work.
    """
    if threads is None:
        return min(rows, ROW_BLOCK) * network.n_params >= 2 * team.WORK
    return threads > 1 and rows > 0


def kernel_name(optimizer):
    """Return the name of the entry point that does the steps of an optimizer."""
    if isinstance(optimizer, Method):
        return "levenberg_marquardt"
    return "train_with_options" if optimizer.has_options else "train_steps"


class BoundSteps:
    """The kernel `train_steps`, bound to a workspace and a task's formulas; data, state and steps
    are set anew.
    """

    def __init__(self, workspace, task, formulas):
        *_, stride, special = self.formulas = formulas
        spec = workspace.spec_of(task, stride)
        layout.set_task_constants(workspace.buffers.update_constants, task)
        dtype = workspace.buffers.params.dtype
        name = kernel_name(task.optimizer)
        self.kernel = workspace.specialized_kernel(spec) if special else load_kernel(name, dtype)
        self.formula = workspace.scratch, workspace.model, prepared(spec)
        self.call = self.kernel.bound(
            *Training(None, None, 0, *self.formula, data=None, steps=None, ends=NOTHING)
        )
        self.places = Training(*self.call.places)
        self.numbers = None  # the `StepNumbers` of the steps


def take_workspace(network, dtype, rows, block, many=False, sparse=False):
    """Return a workspace for batches of up to `rows` rows in blocks of `block`: one of the kit, or
    a new one.

    Used as a context, it goes back at the end of that.
    With `many`, it is one of networks whose numbers are vectors, see `train_in_lanes`; with
    `sparse`, one for rows in CSR form.
    """
    # A network is known by its identity first, so that one whose sizes were written to has to be
    # known by these too.
    facts = network.sizes, network.bias
    shelf = kit.shelf_of(
        (network, dtype, block, many, sparse, min(rows, block), rows > block, *facts)
    )
    return shelf.take() or Workspace(shelf, rows)


class Prepared:
    """The preparations for calls on the same task or data; when they are deleted, the workspace
    goes back.
    """

    workspace = None

    def __del__(self):
        if self.workspace is not None:  # else the constructor has raised an error
            self.workspace.shelf.put(self.workspace, self.workspace.nbytes)


class Ends(Prepared):
    """The preparations for what a call decides at the ends of epochs, by checked rules, for some of
    the members (m,).

    In its workspace are the rows that are scored, which are gathered once in a call of a member.
    """

    def __init__(self, network, rules, storage, losses, members):
        dtype = storage.dtype
        n = len(rules.scored[0].data.X) if rules.scored else 0
        m = len(storage)
        sparse = bool(rules.scored) and rows_are_sparse(rules.scored[0].data)
        self.workspace = take_workspace(network, dtype, max(n, 1), ROW_BLOCK, sparse=sparse)
        workspace = self.workspace
        workspace.steps = None
        loss = Table(LossCall, m)
        predict = Table(PredictCall, m)
        epochs = of_epochs(network, rules, storage, losses)._replace(
            loss=loss.words,
            loss_code=load_kernel("loss_and_gradient", dtype).code,
            predict=predict.words,
            predict_code=load_kernel("predict", dtype).code,
        )
        # Members may share their rows and the penalty, and so the blocks of these.
        penalties = {task.penalty for task in rules.scored}
        specs = {penalty: workspace.loss_spec(penalty) for penalty in penalties}
        data = {id(task.data): task.data for task in rules.scored}
        data = {key: prepared(rows_of(rows)) for key, rows in data.items()}
        members = members.tolist()
        rows = np.arange(n)
        for k in members if rules.scored else []:
            task = rules.scored[k]
            loss[k] = LossCall(
                params=storage[k],
                n_rows=n,
                mode=0,
                scratch=workspace.scratch,
                model=workspace.model,
                spec=specs[task.penalty],
                data=data[id(task.data)],
                rows=rows,
            )
            if rules.labels is not None:
                X = task.data.X
                by = workspace.prediction
                if sparse:
                    by = workspace.prediction_of(X)
                    X = X.values
                predict[k] = PredictCall(epochs.outputs, storage[k], n, X, by)
        epochs = prepared(epochs)
        self.each = [
            prepared(
                EpochEnds(
                    first=rules.first,
                    per_epoch=rules.per_epoch,
                    code=load_kernel("end_epoch", dtype).code,
                    fired=np.zeros(1, np.int64),
                    call=prepared(EndCall(member=k, epochs=epochs)),
                )
            )
            for k in members
        ]
        """The `EpochEnds` of each member, as argument blocks."""


class PreparedTraining(Prepared):
    """The preparations for training on a task: checked arrays, told by their identity, and packed
    arguments.
    """

    def __init__(self, backend, task, state, n_rows):
        network = task.network
        dtype = state.storage.dtype
        special, n_rows, block = backend.blocks(task, n_rows, dtype)
        sparse = rows_are_sparse(task.data)
        self.workspace = take_workspace(network, dtype, n_rows, block, sparse=sparse)
        self.n_rows = n_rows
        self._state = (state.storage, state.beta_products)
        self._bound = self.workspace.steps_of(task, state.storage.shape[-1], special)
        bound = self._bound
        data = prepared(rows_of(task.data))
        self.places = bound.places
        places = self.places
        places.vectors.value = state.storage
        places.beta_products.value = state.beta_products
        places.data.contents = data
        shares = has_work(task.threads, network, n_rows) and not isinstance(task.optimizer, Method)
        self.threads = Threads.of(task, dtype, n_rows) if shares else None
        self.call = bound.call  # does the steps of the last `take`, by one thread
        self.of_task = *bound.formula, data
        self._held = hold(self._state)

    _bound = None

    def __del__(self):
        if self._bound is not None:
            # The workspace, which goes back, must not keep a caller's arrays. For None in place of
            # an array, ctypes would keep the last one.
            places = self.places
            places.vectors.value = ()
            places.beta_products.value = ()
            places.data.contents = NOTHING
            places.steps.contents = NOTHING
            self._bound.numbers = None
        super().__del__()

    def has(self, state):
        """Return whether these are the arrays of the state that was checked, and may still be
        written.
        """
        storage, beta_products = self._state
        is_same = state.storage is storage and state.beta_products is beta_products
        return is_same and storage.flags.writeable and beta_products.flags.writeable

    def kernel(self, *arguments):
        """Do steps by one thread, in the place of a team."""
        return self._bound.kernel(*arguments, NOTHING)

    def take(self, steps, numbers):
        """Take over checked steps, and the `StepNumbers` that `check_steps` returned for them."""
        self.numbers = numbers
        if numbers is not self._bound.numbers:
            self._bound.numbers = numbers
            self.places.n_steps.value = steps.loss.size
            self.places.steps.contents = prepared(steps)

    def knows(self, state, steps):
        """Return whether state and steps were checked: they are the same arrays, and the steps'
        rows are the same.
        """
        return self.has(state) and self.numbers.knows(steps)


class PreparedBatch(Prepared):
    """The preparations for the loss of all rows of a task as one batch, with its gradient or
    without: by one thread, or by those of a step that updates nothing.
    """

    _threads = None
    _call = None

    def __init__(self, task, with_gradient):
        data = task.data
        dtype = check_data(task.network, data)
        n = len(data.X)
        sparse = rows_are_sparse(data)
        self.workspace = take_workspace(task.network, dtype, n, ROW_BLOCK, sparse=sparse)
        workspace = self.workspace
        n_params = workspace.network.n_params
        self._params = "params", (n_params,), dtype
        workspace.buffers.update_constants[layout.ALPHA] = task.penalty
        workspace.steps = None
        self.gradient = workspace.buffers.gradient[:n_params]
        code = layout.NO_UPDATE if with_gradient else layout.LOSS_ALONE
        self._kernel = load_kernel("loss_and_gradient", dtype)
        self._arguments = LossCall(
            params=None,
            n_rows=n,
            mode=layout.WITH_GRADIENT if with_gradient else 0,
            scratch=workspace.scratch,
            model=workspace.model,
            spec=workspace.loss_spec(task.penalty, code),
            data=prepared(rows_of(data)),
            rows=np.arange(n),
        )
        shares = has_work(task.threads, task.network, n)
        if shares and data.sample_weight.any():  # without weight a step would be skipped
            self._threads = Threads.of(task, dtype, n)
        if self._threads is not None:
            self.kernel = self._step_alone
            call = self._arguments
            self.of_task = call.scratch, call.model, call.spec, call.data
            self._state = StepState(workspace.buffers.params.reshape(1, -1), n_params)
            self._steps = Steps(
                np.arange(n), np.array([0]), np.array([n]), np.zeros(1), np.zeros(1)
            )

    def bind(self):
        """Prepare for several calls, each of which then takes less time."""
        self._call = self._kernel.bound(*self._arguments)

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
        if self._call is None:
            return self._kernel(params, *self._arguments[1:])
        self._call.places[0].value = params
        return self._call()

    def _step_alone(self, storage, *_):
        """Write the loss by one thread, in the place of a kernel that does a step."""
        self._steps.loss[0] = self._alone(storage[0])
        return 1


def share_parts(work, members, threads, size=1):
    """Call ``work(part)`` for parts of members (any,), each of a multiple of `size`, which up to
    `threads` share.
    """
    if threads == 1 and members.size:
        work(members)
    elif members.size:
        n = ceil_div(members.size, size * threads * PARTS) * size
        share(work, (members[first : first + n] for first in range(0, members.size, n)), threads)


PARTS = 2  # for each thread: who begins late takes fewer
