"""The back end's preparations: workspaces, packed arguments, and calls that need no second check."""

from __future__ import annotations

import numpy as np

from fastnn import kit
from fastnn.compiler.loader import load_kernel, prepared
from fastnn.cores import share
from fastnn.fused import layout, team
from fastnn.fused.guard import check, check_data, hold
from fastnn.fused.layout import EpochEnds, Epochs, UpdateSpec, make_scratch
from fastnn.fused.team import Team, Threads
from fastnn.memory import ROW_BLOCK, address, ceil_div
from fastnn.network import as_made
from fastnn.optimizers import Method
from fastnn.state import Steps, StepState, member_steps

NO_ENDS = EpochEnds(0, 0, 0, np.zeros(1, np.int64))
"""The ends of epochs where nothing is decided at them."""
NOTHING = prepared(NO_ENDS)


def _address(block):
    """Return the address of an argument block, which is the end of an object: bytes, and one more."""
    return id(block) + bytes.__basicsize__ - 1


def member_arguments(tasks, which, state, steps, n_steps, workspace, ends, chosen, begun):
    """Return the arguments of `train_members` for the `chosen` members (m,) of those of `train_group`.

    These are the arguments of each one, addresses and numbers (m, N_TRAIN), and its constants (m, N_CONSTANTS); then
    comes what has to stay in memory during the call. `ends` are their `Ends`, or None; `begun` are the steps that each
    member of the group has done before.
    """
    storage, beta_products = state.storage, state.beta_products
    which, begun, m, stride = which[chosen], begun[chosen], len(chosen), storage.shape[2]
    plain = [workspace.spec_of(task, stride) for task in tasks]
    specs = [prepared(spec) for spec in plain]
    data = [prepared(task.data) for task in tasks]
    constants = np.zeros((len(tasks), layout.N_CONSTANTS), storage.dtype)
    for task, row in zip(tasks, constants, strict=True):
        layout.set_task_constants(row, task)
    blocks = np.empty((m, len(steps)), np.int64)  # a member's steps, as an argument block
    for k, array in enumerate(steps):
        shared = array.ndim == 1 or len(array) == 1
        done = begun * array.itemsize if k > 0 else 0  # k = 0: the rows, of which `start` and `stop` say where
        blocks[:, k] = address(array) + done + (0 if shared else chosen * array.strides[0])
    places = chosen.tolist()
    objects = [storage[k] for k in places], [beta_products[k] for k in places]
    columns = (
        *([id(array) for array in views] for views in objects),
        n_steps[chosen] - begun,
        _address(workspace.scratch),
        _address(workspace.model),
        np.array([_address(spec) for spec in specs])[which],
        np.array([_address(arrays) for arrays in data])[which],
        address(blocks) + np.arange(m) * blocks.strides[0],
        _address(NOTHING) if ends is None else address(ends.each) + np.arange(m) * ends.each.strides[0],
    )
    arguments = np.stack(np.broadcast_arrays(*columns), axis=1)
    return arguments, constants[which], [objects, plain, specs, data, blocks]


def train_each(good, kernel, tasks, which, state, steps, n_steps, workspace, chosen):
    """Call `train_steps` for each chosen member, where kernels run as plain Python: what `train_members` does."""
    for k in chosen.tolist():
        task = tasks[which[k]]
        layout.set_task_constants(workspace.buffers.update_constants, task)
        own, spec = member_steps(steps, k, int(n_steps[k])), workspace.spec_of(task, state.storage.shape[2])
        blocks = workspace.scratch, workspace.model, prepared(spec), prepared(task.data), prepared(own), NOTHING
        good[k] = kernel(state.storage[k], state.beta_products[k], int(n_steps[k]), *blocks)


def of_epochs(network, rules, storage, losses, calls, codes):
    """Return what `end_epoch` reads and writes, with the words of its `calls`, to the machine code at `codes`.

    `storage` (m, any, any) are the states of all members, `losses` (m, n_steps) those of the steps.
    """
    n, labels = len(rules.scored[0].data.X) if rules.scored else 0, rules.labels
    labels = np.zeros(0, np.int64) if labels is None else labels
    outputs = np.empty((n if labels.size else 0, network.n_outputs), storage.dtype)
    own = rules.ended, rules.rules, rules.losses, rules.measured, labels, outputs, rules.best_params, storage
    sizes = rules.losses.shape[1], rules.best_params.shape[1], storage[0].size
    n_labels, scored, exclusive = labels[0].size if labels.size else 0, rules.labels is not None, labels.ndim == 2
    of_scores = n, network.n_outputs, n_labels, int(scored), int(exclusive)
    of_steps = rules.first, rules.per_epoch, losses.shape[1], len(rules.factors), int(rules.mean), rules.divisor
    return Epochs(*own, *calls, losses, rules.factors, rules.sums, *codes, *sizes, *of_scores, *of_steps)


class Workspace:
    """A workspace: a network's model and buffers, and both packed as arguments of kernels."""

    def __init__(self, shelf, rows):
        self.shelf = shelf
        network, dtype, self.block, many, *_ = shelf.key
        self.network = network = as_made(network)
        self.description = layout.describe(network, dtype, self.block, many)
        self.buffers = make_scratch(network, dtype, rows, self.block, many)
        self.model, self.scratch = prepared(self.description), prepared(self.buffers)
        self.nbytes = sum(buffer.nbytes for buffer in self.buffers)
        self.predict = None  # the kernel of this name, from the first prediction on
        self.specialized = {}
        self.steps = None
        self.rows, self._teams = rows, {}

    least_squares = None  # the buffers of a method, from the first training by one on

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Let another call use it."""
        self.shelf.put(self, self.nbytes)

    def team(self, n):
        """Return the team of `n` threads, made when first asked for."""
        if n not in self._teams:
            made = self._teams[n] = Team(n, self)
            self.nbytes += made.nbytes
        return self._teams[n]

    def spec_of(self, task, stride):
        """Return the optimizer of a task in numbers."""
        if not isinstance(task.optimizer, Method):
            return layout.update_spec(task, stride)
        if self.least_squares is None:
            self.least_squares = made = layout.make_least_squares(self.network, self.description.block)
            self.nbytes += sum(x.nbytes for x in made if isinstance(x, np.ndarray))
        return layout.least_squares_spec(self.least_squares, task, stride)

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
            constants = layout.constants_of(self.description, spec, self.buffers)
            self.specialized[kind] = load_kernel("train_steps", self.buffers.params.dtype, constants)
        return self.specialized[kind]


def has_work(threads, network, rows):
    """Return whether several threads may share steps on `rows` rows: as asked for; for None, given enough work."""
    return min(rows, ROW_BLOCK) * network.n_params >= 2 * team.WORK if threads is None else threads > 1 and rows > 0


def kernel_name(optimizer):
    """Return the name of the entry point that does the steps of an optimizer."""
    if isinstance(optimizer, Method):
        return "levenberg_marquardt"
    return "train_with_options" if optimizer.has_options else "train_steps"


class BoundSteps:
    """The kernel `train_steps`, bound to a workspace and a task's formulas; data, state and steps are set anew."""

    def __init__(self, workspace, task, formulas):
        *_, stride, special = self.formulas = formulas
        self.spec = spec = workspace.spec_of(task, stride)  # kept: the block has the addresses of its arrays
        layout.set_task_constants(workspace.buffers.update_constants, task)
        dtype = workspace.buffers.params.dtype
        name = kernel_name(task.optimizer)
        self.kernel = workspace.specialized_kernel(spec) if special else load_kernel(name, dtype)
        self.prepared = workspace.scratch, workspace.model, prepared(spec)
        self.call = self.kernel.bound(None, None, 0, *self.prepared, None, None, NOTHING)
        self.storage, self.beta_products, self.n_steps, *_, self.data, self.steps, self.ends = self.call.places
        self.numbers = None  # the `StepNumbers` of the steps


def take_workspace(network, dtype, rows, block, many=False):
    """Return a workspace for batches of up to `rows` rows in blocks of `block`: one of the kit, or a new one.

    Used as a context, it goes back at the end of that.
    With `many`, it is one of networks whose numbers are vectors, see `train_in_lanes`.
    """
    # A network is known by its identity first, so that one whose sizes were written to has to be known by these too.
    shelf = kit.shelf_of((network, dtype, block, many, min(rows, block), rows > block, network.sizes, network.bias))
    return shelf.take() or Workspace(shelf, rows)


class Prepared:
    """The preparations for calls on the same task or data; when they are deleted, the workspace goes back."""

    workspace = None

    def __del__(self):
        if (workspace := self.workspace) is not None:  # else the constructor has raised an error
            workspace.shelf.put(workspace, workspace.nbytes)


class Ends(Prepared):
    """The preparations for what a call decides at the ends of epochs, by checked rules, for some of the members (m,).

    In its workspace are the rows that are scored, which are gathered once in a call of a member.
    """

    def __init__(self, network, rules, storage, losses, members):
        dtype, m, n = storage.dtype, len(members), len(rules.scored[0].data.X) if rules.scored else 0
        self.workspace = workspace = take_workspace(network, dtype, max(n, 1), ROW_BLOCK)
        workspace.steps, known = None, {}
        loss, predict = (np.empty((len(storage), n_words), np.int64) for n_words in (layout.N_LOSS, layout.N_PREDICT))
        codes = (load_kernel(name, dtype).code for name in ("loss_and_gradient", "predict"))
        epochs = of_epochs(network, rules, storage, losses, (loss, predict), codes)
        rows, views = np.arange(n), [storage[k] for k in members.tolist()]
        of_network, size = (_address(workspace.scratch), _address(workspace.model)), workspace.buffers.params.size

        def block(key, value):
            """Return the address of an argument block, made once for each key."""
            if key not in known:
                known[key] = value, prepared(value)
            return _address(known[key][1])

        for k, view in zip(members.tolist() if rules.scored else [], views, strict=False):
            data, penalty = rules.scored[k].data, rules.scored[k].penalty
            spec = UpdateSpec(layout.LOSS_ALONE, size, 0, penalty, 1.0, 1.0, 0.0, *layout.NO_OPTIONS[dtype])
            of_task = block(("penalty", penalty), spec), block(("data", id(data)), data)
            loss[k] = id(view), n, 0, *of_network, *of_task, id(rows)
            predict[k] = id(epochs.outputs), id(view), n, *of_network, id(data.X)
        words = np.empty((m, 1 + layout.N_END), np.int64)  # of each member: what `end_epoch` returns, and its arguments
        words[:, 1], words[:, 2] = members, block("epochs", epochs)
        self.each = np.empty((m, len(EpochEnds._fields)), np.int64)  # the `EpochEnds` of each, as argument blocks
        self.each[:, :3] = rules.first, rules.per_epoch, load_kernel("end_epoch", dtype).code
        self.each[:, 3] = address(words) + np.arange(m) * words.strides[0]
        self._held = rules, [hold(task.data) for task in rules.scored], words, rows, views, known

    @property
    def of_one(self):
        """Those of the first member, as an argument block."""
        return self.each[0].tobytes()


class PreparedTraining(Prepared):
    """The preparations for training on a task: checked arrays, told by their identity, and packed arguments."""

    def __init__(self, backend, task, state, n_rows):
        network, dtype = task.network, state.storage.dtype
        special, n_rows, block = backend.blocks(task, n_rows, dtype)
        self.workspace = take_workspace(network, dtype, n_rows, block)
        self.n_rows, self._state = n_rows, (state.storage, state.beta_products)
        self._bound = bound = self.workspace.steps_of(task, state.storage.shape[1], special)
        data = prepared(task.data)
        bound.storage.value, bound.beta_products.value, bound.data.value = state.storage, state.beta_products, data
        shares = has_work(task.threads, network, n_rows) and not isinstance(task.optimizer, Method)
        self.threads = Threads.of(task, dtype, n_rows) if shares else None
        self.call = bound.call  # does the steps of the last `take`, by one thread
        self.ends = bound.ends  # the place of what is decided in such a call
        self.of_task = *bound.prepared, data
        self._data = tuple(task.data)
        self._held = hold((*self._data, *self._state))

    _bound = None

    def __del__(self):
        if (bound := self._bound) is not None:  # with None, ctypes would hold on to the arrays of the state
            bound.storage.value = bound.beta_products.value = ()
        super().__del__()

    def has(self, state):
        """Return whether these are the arrays of the state that was checked, and may still be written."""
        storage, beta_products = self._state
        is_same = state.storage is storage and state.beta_products is beta_products
        return is_same and storage.flags.writeable and beta_products.flags.writeable

    def kernel(self, *arguments):
        """Do steps by one thread, in the place of a team."""
        return self._bound.kernel(*arguments, NOTHING)

    def take(self, steps, numbers):
        """Take over checked steps, and the `StepNumbers` that `check_steps` returned for them."""
        self._numbers, self._arrays, bound = numbers, tuple(steps), self._bound
        if numbers is not bound.numbers:
            bound.n_steps.value, bound.steps.value, bound.numbers = steps.loss.size, prepared(steps), numbers

    def knows(self, state, steps):
        """Return whether state and steps were checked: they are the same arrays, and the steps' rows are the same."""
        return self.has(state) and self._numbers.knows(steps)


class PreparedBatch(Prepared):
    """The preparations for the loss of all rows as one batch, with its gradient or without."""

    def __init__(self, network, data, penalty, with_gradient):
        dtype, n = check_data(network, data), len(data.X)
        self.workspace = take_workspace(network, dtype, n, ROW_BLOCK)
        network = self.workspace.network
        self._params = "params", (network.n_params,), dtype
        self.workspace.buffers.update_constants[layout.ALPHA], self.workspace.steps = penalty, None
        self.gradient = self.workspace.buffers.gradient[: network.n_params]
        code, stride = layout.NO_UPDATE if with_gradient else layout.LOSS_ALONE, self.workspace.buffers.params.size
        self._spec = prepared(UpdateSpec(code, stride, 0, penalty, 1.0, 1.0, 0.0, *layout.NO_OPTIONS[dtype]))
        of_network = self.workspace.scratch, self.workspace.model
        kernel, rows = load_kernel("loss_and_gradient", dtype), np.arange(n)
        self._data, self._held, self._threads = tuple(data), hold(data), None
        self._call = kernel.bound(None, n, int(with_gradient), *of_network, self._spec, prepared(data), rows)

    def divide(self, task):
        """Let the threads of the task share the loss and its gradient: those of a step that updates nothing."""
        n = len(task.data.X)
        if has_work(task.threads, task.network, n) and self._data[2].any():  # without weight a step would be skipped
            self._threads = Threads.of(task, self._params[-1], n)
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


def share_parts(work, members, threads, size=1):
    """Call ``work(part)`` for parts of members (any,), each of a multiple of `size`, which up to `threads` share."""
    if threads == 1 and members.size:
        work(members)
    elif members.size:
        n = ceil_div(members.size, size * threads * PARTS) * size
        share(work, (members[first : first + n] for first in range(0, members.size, n)), threads)


PARTS = 2  # for each thread: who begins late takes fewer
