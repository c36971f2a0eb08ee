"""The checks before an array's address goes to a kernel: its size, dtype and layout, and the rows
that steps take.

Compiled code trusts an address, so nothing here trusts a caller: a wrong array is an error, never
an access to foreign memory. `fastnn.training.inputs` checks that numbers are finite. A check takes
a tenth of a microsecond.
"""

from __future__ import annotations

import weakref
from typing import NamedTuple

import numpy as np

from fastnn.checking.arguments import class_of, cut, shown
from fastnn.compiler.arguments import hold
from fastnn.memory import READABLE, WRITEABLE, Array, padded_size
from fastnn.network import Network, as_made
from fastnn.optimizers import BUILT_IN, Method
from fastnn.sparse import SparseRows
from fastnn.state import N_RULE, Steps, StepStates

ARRAYS = np.ndarray, np.memmap
"""The classes of arrays that a kernel can take: others may say what they like of their shape."""

FLOATS = np.dtype(np.float64), np.dtype(np.float32)
INTEGERS = np.dtype(np.int64)
COLUMNS = np.dtype(np.int32)
WORDS = np.dtype(np.uint32)

FEW = 4096
"""Steps and rows up to which to compare them with the last ones takes less time than to check
them."""


def check(name, array, shape, dtype, flags=READABLE):
    """Raise a TypeError or ValueError unless a kernel can take this array by its address."""
    check_each((array, name, shape, dtype, flags))


def check_each(*arrays):
    """Check arrays, each with its name, as `check` does one: in one call, for there are many."""
    # The flags are one number: to ask for each by its name would take longer than all the rest.
    for array, name, shape, dtype, need in arrays:
        if (
            type(array) not in ARRAYS
            or array.shape != shape
            or array.dtype != dtype
            or array.flags.num & need != need
        ):
            _refuse(name, array, shape, dtype, need)


def check_inputs(network, params, X):
    """Check the arguments of `predict`; right ones pass the first lines in a quarter of a
    microsecond.
    """
    if (
        type(X) is type(params) is np.ndarray
        and type(network) is Network
        and X.ndim == 2
        and params.ndim == 1
        and X.shape[1] == network.sizes[0]
        and params.size == network.n_params
        and params.dtype == X.dtype
        and X.dtype in FLOATS
        and X.flags.num & params.flags.num & READABLE == READABLE
    ):
        return
    # A memory map may still be right; what is wrong gets the message of one of these checks.
    dtype = working_dtype(network, X)
    check_rows(X, network.sizes[0], dtype)
    check("params", params, (network.n_params,), dtype)


def check_data(network, data):
    """Check rows to learn from, X (n, n_inputs), Y (n, n_outputs) and weights (n,); return the
    working dtype.
    """
    X, Y, weight = data
    dtype = working_dtype(network, X)
    n = X.shape[:1]
    check_rows(X, network.sizes[0], dtype)
    check_each(
        (Y, "Y", (*n, network.sizes[-1]), dtype, READABLE),
        (weight, "sample_weight", n, dtype, READABLE),
    )
    return dtype


def check_rows(X, n_inputs, dtype):
    """Check inputs X (n, n_inputs), an array or rows in CSR form, whose arrays fit one another."""
    shape = (*X.shape[:1], n_inputs)
    if type(X) is not SparseRows:
        check_each((X, "X", shape, dtype, READABLE))
        return
    if X.shape != shape:
        raise ValueError(f"X must have the shape {shape}, not {X.shape}")
    check_each(
        (X.starts, "the starts of X", (X.shape[0] + 1,), INTEGERS, READABLE),
        (X.values, "the entries of X", np.shape(X.values)[:1], dtype, READABLE),
        (X.indices, "the columns of X", np.shape(X.indices)[:1], COLUMNS, READABLE),
    )
    # One number of a column may be read behind the last entry.
    if not X.starts[-1] <= X.values.size <= X.indices.size - 1:
        raise ValueError(
            f"the entries of X are {X.starts[-1]}, of which there are {X.values.size} numbers and "
            f"{X.indices.size - 1} columns"
        )


def working_dtype(network, X, name="X"):
    """Return the dtype of an array X, float64 or float32, which all arrays of a call share."""
    as_made(network)
    if type(X) not in (*ARRAYS, SparseRows) or X.dtype not in FLOATS:
        kind = f"an array of {cut(X.dtype)}" if type(X) in ARRAYS else class_of(X)
        raise TypeError(
            f"{name} must be an array of float64 or float32 in native byte order, not {kind}"
        )
    return X.dtype


def check_method(optimizer, data):
    """Refuse rows in CSR form for a method of second order."""
    if isinstance(optimizer, Method) and type(data.X) is SparseRows:
        raise TypeError(f"{optimizer.name} takes X as an array, not rows in CSR form")


def check_state(network, optimizer, state, dtype):
    """Check the state of one training that steps change in place: of this network and one of the
    built-in optimizers. The arrays of `StepStates` have an axis of one member.
    """
    if BUILT_IN.get(type(optimizer).__name__) is not type(optimizer):
        raise TypeError(
            f"back end 'numba' trains with {', '.join(BUILT_IN)}, not with {shown(optimizer)}"
        )
    if state.n_params != network.n_params:
        raise ValueError(
            f"the state has {shown(state.n_params)} parameters, the network {network.n_params}"
        )
    one = (1,) if isinstance(state, StepStates) else ()
    width = _width(state.storage, network, dtype)
    check_each(
        (state.storage, "storage", (*one, 1 + optimizer.n_slots, width), dtype, WRITEABLE),
        (state.beta_products, "beta_products", (*one, 2), FLOATS[0], WRITEABLE),
    )


def _width(storage, network, dtype):
    """Return the length of a row of a state: it may be longer than the padded parameters, but not
    shorter, for kernels read and write whole vectors.
    """
    shape = getattr(storage, "shape", ())
    return max((padded_size(network.n_params, dtype), *shape[-1:]))


class StepNumbers(NamedTuple):
    """The findings of `check_steps`, by which the same steps need not be checked again."""

    few: tuple[bytes, ...]  # the bytes of `rows`, `start` and `stop`, if they are few
    greatest: int  # the greatest row number
    largest: int  # the rows of the largest batch
    steps: Steps | None = None  # the arrays that were checked, if they are few
    held: tuple[weakref.ref[Array], ...] = ()  # by `hold`

    def knows(self, steps):
        """Return whether these are the steps that were checked: the same arrays, whose rows are the
        same.
        """
        same = self.steps is not None and steps is self.steps
        return same and steps.loss.flags.writeable and _as_bytes(steps) == self.few


def check_steps(steps, n_rows, last=None):
    """Check that all steps take their rows from the `n_rows` rows of the data; return their
    `StepNumbers`.

    `last` are the `StepNumbers` of steps that were checked before.
    """
    if last is not None and last.knows(steps) and last.greatest < n_rows:
        return last
    rows, start, stop, learning_rate, loss = steps
    shape = (getattr(loss, "size", 0),)
    one = (1,) if getattr(loss, "ndim", 1) == 2 else ()  # an axis of one member
    check_each(
        (loss, "loss", one + shape, FLOATS[0], WRITEABLE),
        (start, "start", shape, INTEGERS, READABLE),
        (stop, "stop", shape, INTEGERS, READABLE),
        (learning_rate, "learning_rate", one + shape, FLOATS[0], READABLE),
        (rows, "rows", (*one, getattr(rows, "size", 0)), INTEGERS, READABLE),
    )
    # There is something to compare with from the second call on.
    few = _as_bytes(steps) if last is not None and rows.size + start.size <= FEW else ()
    kept = (steps, hold(steps)) if few and type(steps) is Steps else ()
    same_batches = few and last is not None and few[1:] == last.few[1:]
    if same_batches and few[0] == last.few[0] and last.greatest < n_rows:
        return StepNumbers(few, last.greatest, last.largest, *kept)
    greatest = _greatest(rows)
    if rows.size and greatest >= n_rows:
        wrong = rows[(rows < 0) | (rows >= n_rows)][0]
        raise ValueError(f"the steps take row {wrong}; the data's rows are 0 to {n_rows - 1}")
    # of as many rows, which have been shuffled
    if same_batches and len(few[0]) == len(last.few[0]):
        return StepNumbers(few, greatest, last.largest, *kept)
    largest = _greatest(stop - start)
    if max(_greatest(start), _greatest(stop), largest) > rows.size:
        wrong = np.flatnonzero((start < 0) | (stop > rows.size) | (stop < start))[0]
        raise ValueError(f"the steps take rows {start[wrong]} to {stop[wrong]} of {rows.size}")
    return StepNumbers(few, greatest, largest, *kept)


def _as_bytes(steps):
    """Return the bytes of the numbers that say which rows the steps take."""
    return steps.rows.tobytes(), steps.start.tobytes(), steps.stop.tobytes()


def check_group(tasks, which, state, steps, n_steps):
    """Check the arguments of `train`; return the working dtype and the size of the largest
    batch.
    """
    first = tasks[0]
    m = np.size(which)
    dtype = _check_members(tasks)
    shape = (m, 1 + first.optimizer.n_slots, _width(state.storage, first.network, dtype))
    check_each(
        (state.storage, "storage", shape, dtype, WRITEABLE),
        (state.beta_products, "beta_products", (m, 2), FLOATS[0], WRITEABLE),
        (which, "which", (m,), INTEGERS, READABLE),
        (n_steps, "n_steps", (m,), INTEGERS, READABLE),
    )
    rows, start, _, learning_rate, loss = steps
    most = np.size(start)
    if m and (_greatest(which) >= len(tasks) or _greatest(n_steps) > most):
        raise ValueError(
            f"which must hold numbers of the {len(tasks)} tasks, from 0, and n_steps at most {most}"
        )
    n_orders = 1 if len(rows) == 1 else m
    n_rates = 1 if len(learning_rate) == 1 else m
    check_each(
        (rows, "rows", (n_orders, *np.shape(rows)[-1:]), INTEGERS, READABLE),
        (learning_rate, "learning_rate", (n_rates, most), FLOATS[0], READABLE),
        (loss, "loss", (m, most), FLOATS[0], WRITEABLE),
    )
    n_rows = min(len(task.data.X) for task in tasks)
    if rows.size and _greatest(rows.reshape(-1)) >= n_rows:
        raise ValueError(f"the steps take rows beyond the data's rows, 0 to {n_rows - 1}")
    of_first = steps._replace(rows=rows[0], learning_rate=learning_rate[0], loss=loss[0])
    return dtype, check_steps(of_first, n_rows).largest


def _check_members(tasks):
    """Check that tasks may be trained by one call; return the working dtype."""
    first = tasks[0]
    check_method(first.optimizer, first.data)
    dtype = check_data(first.network, first.data)
    for task in tasks[1:]:
        if task.network is not first.network or type(task.optimizer) is not type(first.optimizer):
            raise ValueError(
                "the members of one call have the same network and the same kind of optimizer"
            )
        if (type(task.data.X) is SparseRows) != (type(first.data.X) is SparseRows):
            raise ValueError("the members of one call have X as arrays, or all in CSR form")
        if check_data(task.network, task.data) != dtype:
            raise ValueError(
                f"the members of one call have the same dtype: X of one of them is not of {dtype}"
            )
    slots = {
        (task.optimizer.n_slots, task.optimizer.sequential, task.optimizer.has_options)
        for task in tasks
    }
    if len(slots) > 1 or BUILT_IN.get(type(first.optimizer).__name__) is not type(first.optimizer):
        raise ValueError(
            f"back end 'numba' cannot train members with these optimizers in one call: "
            f"{shown(first.optimizer)}"
        )
    return dtype


def check_rules(network, dtype, losses, n_steps, rules):
    """Check what `end_epoch` reads and writes, and set `ended`: no epoch has."""
    m = len(n_steps)
    if len(rules.scored) not in (0, m) or not (0 <= rules.first < rules.per_epoch):
        raise ValueError(
            f"the rules are those of {len(rules.scored)} members of {m}, or begin behind an "
            f"epoch's end"
        )
    data = [task.data for task in rules.scored]
    n = len(data[0].X) if data else 0
    n_epochs = np.shape(rules.losses)[-1]
    for task in rules.scored:
        if (
            task.network is not network
            or check_data(network, task.data) != dtype
            or len(task.data.X) != n
        ):
            raise ValueError(
                "the rows that are scored are as many for each member, of its network and dtype"
            )
    n_kept, n_measured = (np.shape(array)[-1] for array in (rules.best_params, rules.measured))
    if not data and (n_kept or rules.labels is not None):
        raise ValueError("parameters are kept, or labels scored, and there are no rows to score")
    n_factors = np.shape(losses)[-1] if np.size(rules.factors) else 0
    check_each(
        (rules.factors, "factors", (n_factors,), FLOATS[0], READABLE),
        (rules.sums, "sums", (m, 2), FLOATS[0], READABLE),
        (rules.rules, "rules", (m, N_RULE), FLOATS[0], WRITEABLE),
        (rules.losses, "losses", (m, n_epochs if data else 0), FLOATS[0], WRITEABLE),
        (rules.measured, "measured", (m, n_epochs if n_measured else 0), FLOATS[0], WRITEABLE),
        (
            rules.best_params,
            "best_params",
            (m, network.n_params if n_kept else 0),
            dtype,
            WRITEABLE,
        ),
        (rules.ended, "ended", (m, 2), INTEGERS, WRITEABLE),
    )
    most = (rules.first + int(n_steps.max(initial=0))) // rules.per_epoch
    if data and most > n_epochs:
        raise ValueError(f"{most} epochs may end, the rules have room for the losses of {n_epochs}")
    rules.ended[...] = 0
    if rules.labels is not None:
        shape = (m, n) if np.ndim(rules.labels) == 2 else (m, n, network.n_outputs)
        check("labels", rules.labels, shape, INTEGERS)
        if n_measured != n_epochs:
            raise ValueError("labels are scored, and there is no room for it in `measured`")


def _greatest(numbers):
    """Return the greatest of the integers (n,), a negative one counted as very large; 0 if there
    are none.
    """
    numbers = numbers.view(np.uint64)
    # a reduction of a few takes five times as long
    return numbers.item(numbers.argmax()) if numbers.size else 0


def check_shuffle(words, orders, order):
    """Check a generator's words (625,), the orders (k, n) that are written, and the order (n,)
    before them.
    """
    n = np.size(order)
    check_each(
        (words, "words", (625,), WORDS, WRITEABLE),
        (orders, "orders", (*np.shape(orders)[:1], n), INTEGERS, WRITEABLE),
        (order, "order", (n,), INTEGERS, READABLE),
    )
    if words[624] > 624:
        raise ValueError(f"the generator is damaged: its position in 624 words is {words[624]}")


def _refuse(name, array, shape, dtype, flags):
    """Raise the error of `check`, which says what is wrong with the array."""
    wanted = f"{name} must be an array of {dtype} with shape {shape}, in C order and aligned"
    if flags == WRITEABLE:
        wanted += " and writeable"
    if type(array) not in ARRAYS:
        kind = (
            f"one of the class {class_of(array)}" if isinstance(array, np.ndarray) else shown(array)
        )
        raise TypeError(f"{wanted}, not {kind}")
    found = {
        f"of {cut(array.dtype)}": array.dtype != dtype,
        f"of shape {array.shape}": array.shape != shape,
        "not in C order": not array.flags.c_contiguous,
        "not aligned": not array.flags.aligned,
        "read-only": flags == WRITEABLE and not array.flags.writeable,
    }
    raise ValueError(
        f"{wanted}; this one is {', '.join(what for what, is_wrong in found.items() if is_wrong)}"
    )
