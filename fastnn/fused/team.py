"""Threads that share each step of a training: how many there are, their buffers, their parts of the
parameters.
"""

from __future__ import annotations

import ctypes
import functools
import math
import platform
import sys
import threading
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.loader import IN_PYTHON, is_at_hand, load_kernel, prepared
from fastnn.cores import borrow, cores_of_thread, cpu_of_thread, cpus, idle_cores, leave_cpu
from fastnn.fused.layout import LAYER_FIELDS, SMALL, Model, Scratch, make_scratch, panel_rows
from fastnn.memory import ROW_BLOCK, aligned_zeros, ceil_div, vector_lanes
from fastnn.network import Layer, Network

# vectors of rows that each thread has at least: with fewer, waiting for one another costs what it
# saves
VECTORS = 2

WORK = 500_000
"""Rows of a block times parameters for each thread that nobody has asked for: two share a block of
some 30 us."""

# times as long as a number of a product takes one of a gradient that is made of inner products
INNER = 3

# units of the parameters for each thread; of the columns, whose panels are better wide, it is one
PARTS = 2

# of the processor's clock, some 20 us, in which a thread that waits looks before it sleeps
TICKS = 50_000

# numbers from one that threads change to another: two cache lines, which processors fetch together
LINE = 16
# places of numbers behind those of the threads, see `Share`
DONE, BAD, SLEEPERS, TIME = (k * LINE for k in range(4))
AWAY = 1 << 60  # more than all units: these have been done
LONGEST = 10_000_000  # nanoseconds of a sleep, should nobody end it

FUTEX = {"x86_64": 202, "aarch64": 98}  # the number of Linux' system call by the processor


class Share(NamedTuple):
    """What a call of `train_together` has as one thread of a team."""

    n: int  # threads
    t: int  # this thread; the first, 0, is the caller's
    # (any,): how many units of each thread are claimed; units done; the bad step + 1; sleepers; the
    # length of a sleep
    numbers: NDArray[np.int64]
    # (any,): the records of the parts of layers that are units' parameters
    parts: NDArray[np.int64]
    # (n PARTS + 1,): the first part of each unit, and the number of all parts
    first_part: NDArray[np.int64]
    # (n + 1,), written: the first column of a block for each unit, and their number
    first_column: NDArray[np.int64]
    # (2,), written: the sum of those of a step's blocks up to here, and of the last block
    weights: NDArray[np.float64]
    ticks: int  # of looking, before it sleeps, of a thread that waits
    sleeper: int  # the address of a C function, see `_sleeper`
    futex: int  # the number of the system call that this function calls; 0: it lets a thread nap


class Team:
    """The calling thread and helpers, `n` in all, for steps in a workspace of the back end."""

    def __init__(self, n, workspace):
        self._model = workspace.description  # read in each call, also by a helper that is late
        network = workspace.network
        dtype = workspace.buffers.params.dtype
        block = workspace.block
        self._kernel = load_kernel("train_together", dtype)
        parts, first_part = divide(network, workspace.description, vector_lanes(dtype), n * PARTS)
        weights = np.zeros(2)
        ticks = TICKS if n <= cpus() else 0
        buffers = workspace.buffers
        # of each thread: its buffers, and these and its share as the kernel takes them
        self._members = []
        for t, scratch in enumerate(
            make_scratches(network, dtype, workspace.rows, block, n, workspace.sparse)
        ):
            scratch = scratch._replace(
                gradient=buffers.gradient, update_constants=buffers.update_constants
            )
            columns = np.zeros(n + 1, np.int64)
            share = Share(
                n, t, np.zeros(0, np.int64), parts, first_part, columns, weights, ticks, *_sleeper()
            )
            self._members.append((scratch, prepared(scratch), share))
        of_others = (n - 1) * sum(getattr(scratch, name).nbytes for name in OWN)
        self.nbytes = of_others + sum(buffer.nbytes for buffer in scratch)
        self._busy = [threading.Lock() for _ in range(n)]

    def train(self, steps, state, *rest):
        """Do steps, and return the number of good ones; each helper takes part as soon as it comes,
        if it comes.
        """
        # New ones each time: a late helper may still read the last ones.
        n = len(self._members)
        numbers = aligned_zeros((n + 4) * LINE, np.int64)
        place = n * LINE
        cpu = cpu_of_thread()
        numbers[place + DONE] = -1  # nobody begins before this thread does
        numbers[place + TIME + 1] = LONGEST
        arguments = numbers, steps, state.storage, state.beta_products, steps.loss.size, *rest
        helpers = borrow(n - 1)
        state.threads = max(state.threads, 1 + len(helpers))
        try:
            for t, helper in enumerate(helpers, 1):
                helper.put(functools.partial(self._help, t, cpu, *arguments))
            return self._call(0, *arguments)
        except BaseException:  # from a signal's handler, perhaps before this thread has begun
            numbers[: place + DONE + 1] = AWAY
            raise
        finally:
            helpers.clear()

    def _help(self, t, cpu, *arguments):
        """Take part as thread `t`, which a late helper may still be; in Python, the first thread
        does all.
        """
        if not IN_PYTHON and self._busy[t].acquire(blocking=False):
            try:
                leave_cpu(cpu)  # where the first thread keeps this one from running
                self._call(t, *arguments)
            finally:
                self._busy[t].release()

    def _call(self, t, numbers, steps, storage, beta_products, n_steps, *rest):
        _, scratch, share = self._members[t]
        share = prepared(share._replace(numbers=numbers))
        return self._kernel(storage, beta_products, n_steps, scratch, *rest, prepared(steps), share)


@functools.cache
def _sleeper():
    """Return the address of the system's function by which threads sleep, and Linux' number of it,
    or 0: they nap.
    """
    number = FUTEX.get(platform.machine(), 0) if sys.platform == "linux" else 0
    if sys.platform == "win32":
        function = ctypes.windll.kernel32.SwitchToThread
    else:
        function = getattr(ctypes.CDLL(None), "syscall" if number else "usleep")
    return ctypes.cast(function, ctypes.c_void_p).value, number


class Threads(NamedTuple):
    """The threads of a training: as many as were asked for, or as cores are idle and have enough
    work.
    """

    most: int
    cores: int
    is_asked: bool

    @classmethod
    def of(cls, task, dtype, rows):
        """Return the threads for steps on batches of up to `rows` rows; None where one thread does
        all.
        """
        if task.optimizer.sequential:
            return None
        rows = min(rows, ROW_BLOCK)
        is_asked = task.threads is not None
        most = ceil_div(rows, vector_lanes(dtype)) // VECTORS
        most = most if is_asked else min(most, rows * task.network.n_params // WORK)
        if most < 2:
            return None
        cores = int(task.threads or cores_of_thread())  # an estimator's may be an integer of NumPy
        return cls(min(most, cores), cores, is_asked) if cores > 1 else None

    def train(self, training, state, steps):
        """Do steps, and return the number of good ones; `training` is the back end's."""
        number = self.most if self.is_asked else min(self.most, idle_cores(self.cores))
        # Nobody who has not asked for threads waits for their kernel: one thread goes on while it
        # is compiled.
        if number == 1 or not (self.is_asked or is_at_hand("train_together", state.storage.dtype)):
            scratch, *rest = training.of_task
            return training.kernel(
                state.storage, state.beta_products, steps.loss.size, scratch, *rest, prepared(steps)
            )
        return training.workspace.team(number).train(steps, state, *training.of_task[1:])


OWN = (
    "packed",
    "nan_flag",
    "cursors",
    "counts",
    "entry_rows",
    "entry_values",
    "strip",
    "lane_sums",
)
"""The buffers that each thread of a team has for itself; all others are the same in all
workspaces."""


def make_scratches(
    network: Network, dtype: np.dtype, rows: int, block: int, n: int, sparse: bool = False
) -> list[Scratch]:
    """Make the workspaces of `n` threads that share steps on batches of up to `rows` rows; with
    `sparse`, in CSR form.
    """
    scratch = make_scratch(network, dtype, rows, block, sparse=sparse)
    width = scratch.weight.size
    panels = (panel_rows(network, sparse) + 1) * width
    # A delta for each layer, all of these transposed, and the terms of the loss.
    delta, transposed, terms = (
        aligned_zeros(n, dtype) for n in (panels, panels, network.n_outputs * width)
    )
    scratch = scratch._replace(delta=delta, transposed=transposed, delta_below=terms)
    own = {name: getattr(scratch, name) for name in OWN}
    others = (
        {name: aligned_zeros(a.size, a.dtype) for name, a in own.items()} for _ in range(n - 1)
    )
    return [scratch, *(scratch._replace(**buffers) for buffers in others)]


def divide(
    network: Network, model: Model, lanes: int, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the parameters into `n` units; return the records of parts of layers, and each unit's
    first part.

    Each unit is a stretch of the parameter vector. It ends where an update's vector does, and
    within W at the end of a row: elsewhere the vector would write back numbers that another thread
    has updated. Small layers stay whole.
    """
    # the places where a stretch may end: within W, behind a layer
    inside = []
    behind = []
    for layer in network.layers:
        start = layer.weight.start
        size = layer.bias.stop - layer.weight.start
        if size > SMALL:
            step = math.lcm(lanes, layer.fan_out)
            inside.append(np.arange(start + step, layer.weight.stop, step))
        if size % lanes == 0:
            behind.append(layer.bias.stop)
    places = np.concatenate([*inside, np.array(behind, np.int64)])
    stops = [0, *(layer.bias.stop for layer in network.layers)]
    transposes = model.layers[LAYER_FIELDS["transposes"] :: len(LAYER_FIELDS)]
    costs = np.cumsum([0, *np.where(transposes, 1, INNER) * np.diff(stops)])
    cuts = [0]
    for t in range(1, n):
        ideal = int(np.interp(costs[-1] * t / n, costs, stops))
        cuts.append(int(places[abs(places - ideal).argmin()]) if places.size else 0)
    cuts.append(network.n_params)
    shares = []
    n_shares = [0]
    for low, high in pairwise(cuts):
        for layer, record in zip(
            network.layers, model.layers.reshape(network.n_layers, -1), strict=True
        ):
            first = max(low, layer.weight.start)
            stop = min(high, layer.bias.stop)
            if first < stop:
                fields = dict(zip(LAYER_FIELDS, record, strict=True))
                shares.append(_part(layer, fields, first, stop))
        n_shares.append(len(shares))
    return np.array(shares, np.int64).reshape(-1), np.array(n_shares, np.int64)


def _part(layer: Layer, record: dict[str, int], first: int, stop: int) -> list[int]:
    """Return the record of the part of a layer that has the parameters from `first` to `stop`."""
    row = (first - layer.weight.start) // layer.fan_out
    part = record | {"weight": first, "fan_in": layer.fan_in - row, "input": record["input"] + row}
    if stop < layer.bias.stop:  # without the biases
        part |= {"fan_in": (stop - first) // layer.fan_out, "bias": stop, "n_bias": 0, "end": stop}
    return list(part.values())
