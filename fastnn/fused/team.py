"""Threads that share each step of a training: how many pay, their buffers, their parts of the parameters."""

from __future__ import annotations

import ctypes
import functools
import math
import sys
import time
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.loader import IN_PYTHON, is_at_hand, load_kernel, prepared
from fastnn.cores import borrow, cores_of_thread, cpus, idle_cores
from fastnn.fused.layout import LAYER_FIELDS, SMALL, Model, Scratch, make_scratch
from fastnn.memory import ALIGNMENT, ROW_BLOCK, aligned_zeros, ceil_div
from fastnn.network import Layer, Network
from fastnn.state import Steps

WARM = 0.01
"""Seconds before the first trial: the first steps take longer than others."""
TRIAL, LONG_TRIAL = 0.002, 0.016
"""Seconds of the first stretches of a trial, and of its last ones: each is twice the last one."""
PAUSE, LONG_PAUSE = 0.2, 4.0
"""Seconds between trials: each pause is twice the last one."""
COST = 40
"""How many times as long as a trial has lost is the pause after it, at least: a trial of a number that is worse."""
WATCH = 0.02
"""Seconds of steps with several threads before it is looked at again what they take."""
GAIN, LOSS, FAILURE = 0.97, 1.2, 2.0
"""A number is better where a step takes so many times as long as with the chosen one; trouble where one takes so many
times as long as it did; and a trial ends at once where one takes so many times as long."""
SHORT_STEP = 50e-6
"""Seconds of a step from which on it may be shared."""


class BestNumber:
    """The number of threads with which steps take least, by measurement, again and again: others may use the machine.

    It begins with one. 2, 4 and so on up to `most` are tried against their neighbors, in turns, since what others do
    changes from moment to moment. Stretches of steps are short at first: beside a busy process, threads that wait for
    one another may take many times as long as one.
    """

    def __init__(self, most: int) -> None:
        self._numbers = [*(1 << k for k in range(most.bit_length()) if 1 << k < most), most]
        self._seconds = math.inf  # of a step with the chosen number, as last measured
        self._chosen, self._tried, self._turn = 0, 0, 0  # places in the list; whose turn it is
        self._way = 1  # that of the next trial: to more threads, or -1 to fewer
        self._pause, self._rest = PAUSE, WARM
        self._stretch, self._sums, self._lost = 0.0, [0.0, 0.0], 0.0  # of a trial: seconds of its next turn

    def next(self) -> tuple[int, float]:
        """Return a number of threads, and with how many steps to measure it."""
        stretch = self._stretch if self._tried != self._chosen else min(self._rest, WATCH if self._chosen else math.inf)
        return self._numbers[self._turn], math.inf if self._seconds == math.inf else stretch / self._seconds

    def measured(self, n_steps: int, seconds: float) -> None:
        """Take in the time of the steps."""
        a_step, before = seconds / n_steps, self._seconds
        if self._turn == self._chosen:
            self._seconds = a_step
        if self._tried != self._chosen:
            self._take_turn(a_step, seconds - n_steps * before)
            return
        self._rest -= seconds
        if before == math.inf and a_step > WARM:
            self._rest = 0.0
        if self._rest <= 0 and a_step < SHORT_STEP:
            self._rest = math.inf
        if self._chosen and a_step > LOSS * before:
            self._way, self._rest = -1, 0.0
        if self._rest <= 0:
            self._way = self._way if self._is_open() else -self._way
            self._tried = self._turn = self._chosen + self._way
            self._stretch, self._sums = 0.0, [0.0, 0.0]

    def _take_turn(self, a_step: float, lost: float) -> None:
        """Take in a turn of a trial, the tried number's or, after it, the chosen one's, which ends a round."""
        if self._stretch == 0.0:  # a step that does not count: its buffers are new
            self._stretch = TRIAL
            return
        ends_round = self._turn == self._chosen
        self._sums[ends_round] += a_step * self._stretch
        if not ends_round:
            self._lost = lost
        tried, chosen = self._sums
        if (not ends_round and a_step > FAILURE * self._seconds) or (ends_round and tried > GAIN * chosen):
            self._way = -self._way  # that of the next trial
            self._choose(self._chosen)
            self._rest = max(self._rest, COST * self._lost)
        elif not ends_round:
            self._turn = self._chosen
        elif self._stretch < LONG_TRIAL:
            self._turn, self._stretch = self._tried, 2 * self._stretch
        else:
            self._seconds = tried / chosen * self._seconds
            self._choose(self._tried)
            self._rest = 0.0 if self._is_open() else self._rest  # further at once

    def _is_open(self) -> bool:
        """Return whether there is another number on the way of trials."""
        return 0 <= self._chosen + self._way < len(self._numbers)

    def _choose(self, k: int) -> None:
        """Choose a number; pauses grow with each choice, so that numbers that change places cost little."""
        self._chosen = self._tried = self._turn = k
        self._rest, self._pause = self._pause, min(2 * self._pause, LONG_PAUSE)


VECTORS = 2  # vectors of rows that each thread has at least: with fewer, waiting for one another costs what it saves

INNER = 3  # times as long as a number of a product takes one of a gradient that is made of inner products

SPINS = 20_000  # looks, each some 10 to 50 ns after the last one, before a thread that waits takes naps in between
CROWDED = 40  # as many where threads share CPUs: one that looks keeps another from what it waits for

LINE = 16  # numbers from one thread's to another's: two cache lines, which processors fetch together
AWAY = 1 << 62  # in place of the first thread's number of meetings: not all have come, and no training begins
ALONE = -1  # in place of the number of good steps: the caller has to do them alone


class Share(NamedTuple):
    """The part of each step that a call of `train_together` does: one thread's if compiled, in Python those of all."""

    n: int  # threads
    first: int  # the threads of this call are first to stop - 1
    stop: int
    numbers: NDArray[np.int64]  # (2 n, LINE): the meetings that each thread has come to; then whether its step was good
    parts: NDArray[np.int64]  # (any,): the records of the parts of layers that threads update
    first_part: NDArray[np.int64]  # (n + 1,): the first part of each thread, and the number of all parts
    first_column: NDArray[np.int64]  # (n + 1,), written: the first column of a block for each thread, and their number
    spins: int  # looks of a thread that waits, before it takes naps in between
    sleeper: int  # see `_sleeper`


class Team:
    """The calling thread and helpers, `n` in all, for the steps of a training of the back end."""

    def __init__(self, n, training):
        workspace, n_rows = training.workspace, training.n_rows
        network, dtype, block = workspace.network, workspace.buffers.params.dtype, workspace.block
        self._kernel = load_kernel("train_together", dtype)
        self._scratches = make_scratches(network, dtype, n_rows, block, n)
        for scratch in self._scratches:
            scratch.update_constants[...] = workspace.buffers.update_constants
        self._scratches = [x._replace(gradient=workspace.buffers.gradient) for x in self._scratches]
        self._prepared = [prepared(scratch) for scratch in self._scratches]
        parts, first_part = divide(network, workspace.description, ALIGNMENT // dtype.itemsize, n)
        calls = [(0, n)] if IN_PYTHON else [(t, t + 1) for t in range(n)]
        waiting = (SPINS if n <= cpus() else CROWDED, _sleeper())
        self._shares = [
            Share(n, *call, np.zeros(0, np.int64), parts, first_part, np.zeros(n + 1, np.int64), *waiting)
            for call in calls
        ]

    def train(self, storage, beta_products, n_steps, *rest):
        """Do steps, and return the number of good ones; ALONE where the helpers do not come: then nothing is done."""
        # New ones each time: a late helper may still read the last ones.
        numbers = aligned_zeros(2 * self._shares[0].n * LINE, np.int64)
        helpers = borrow(len(self._shares) - 1)
        try:
            if len(helpers) < len(self._shares) - 1:
                return ALONE
            for t, helper in enumerate(helpers, 1):
                helper.put(functools.partial(self._call, t, numbers, storage, beta_products.copy(), n_steps, *rest))
            return self._call(0, numbers, storage, beta_products, n_steps, *rest)
        except BaseException:  # from a signal's handler, before this thread came to the first meeting
            numbers[0] = AWAY
            raise
        finally:
            helpers.clear()

    def _call(self, t, numbers, storage, beta_products, n_steps, *rest):
        """Do the part of thread `t`, with meetings counted in `numbers`."""
        share = self._shares[t]._replace(numbers=numbers)
        return self._kernel(storage, beta_products, n_steps, self._prepared[t], *rest, prepared(share))


@functools.cache
def _sleeper():
    """Return the address of the system's function by which a thread sleeps some microseconds, or gives way."""
    function = ctypes.windll.kernel32.SwitchToThread if sys.platform == "win32" else ctypes.CDLL(None).usleep
    return ctypes.cast(function, ctypes.c_void_p).value


@functools.lru_cache(maxsize=64)
def _best_of(network, dtype, rows, most):
    """Return the measurements of such steps: calls of a single step take them over from one another."""
    return BestNumber(most)


class Threads:
    """The threads of a training: as many as were asked for, or as many as pay by measurement."""

    def __init__(self, most, cores, best):
        self._most, self._cores, self._best, self._teams = most, cores, best, {}

    @classmethod
    def of(cls, task, dtype, rows, remembered=False):
        """Return the threads for steps on batches of up to `rows` rows; None where one thread does all.

        `remembered`: without a number that was asked for, go on from the measurements of earlier calls of such steps.
        """
        most = ceil_div(min(rows, ROW_BLOCK), ALIGNMENT // dtype.itemsize) // VECTORS
        if most < 2 or task.optimizer.sequential:
            return None
        cores = int(task.threads or cores_of_thread())  # an estimator's may be an integer of NumPy
        if cores < 2:
            return None
        most, best = min(most, cores), None
        if task.threads is None:
            best = _best_of(task.network, dtype, rows, most) if remembered else BestNumber(most)
        return cls(most, cores, best)

    def train(self, training, state, steps):
        """Do steps, and return the number of good ones; `training` is the back end's."""
        if self._best is None:
            return self._part(self._most, training, state, steps)
        n_steps, done = len(steps.loss), 0
        while done < n_steps:
            number, n = self._best.next()
            # Nobody who has not asked for threads waits for their kernel: one thread goes on while it is compiled.
            at_hand = number == 1 or is_at_hand("train_together", state.storage.dtype)
            stop = int(min(n_steps, done + max(1, n))) if at_hand else n_steps
            part = Steps(steps.rows, *(array[done:stop] for array in steps[1:]))
            started = time.perf_counter()
            good = self._part(number if at_hand and number <= idle_cores(self._cores) else 1, training, state, part)
            if at_hand:
                self._best.measured(stop - done, time.perf_counter() - started)
            if good < stop - done:
                return done + good
            done = stop
        return done

    def _team(self, number, training):
        """Return the team of so many threads, made when first asked for; None for one thread."""
        if number > 1 and number not in self._teams:
            self._teams[number] = Team(number, training)
        return self._teams.get(number)

    def _part(self, number, training, state, steps):
        """Do steps with so many threads, or with one where the others do not come."""
        arguments = state.storage, state.beta_products, len(steps.loss)
        scratch, *rest = *training.of_task, prepared(steps)
        if number > 1 and (good := self._team(number, training).train(*arguments, *rest)) != ALONE:
            state.threads = max(state.threads, number)
            return good
        return training.kernel(*arguments, scratch, *rest)


OWN = ("weight", "packed", "update_constants", "sum_of_l", "nan_flag", "rows_of_X", "rows_of_Y")
"""The buffers that each thread of a team has for itself; panels and gradients are the same in all workspaces."""


def make_scratches(network: Network, dtype: np.dtype, rows: int, block: int, n: int) -> list[Scratch]:
    """Make the workspaces of `n` threads that share steps on batches of up to `rows` rows."""
    scratch = make_scratch(network, dtype, rows, block)
    width = scratch.weight.size
    panels = (sum(network.sizes) + network.n_layers + 1) * width
    scratch = scratch._replace(
        delta=aligned_zeros(panels, dtype),  # one for each layer
        transposed=aligned_zeros(panels, dtype),  # all of these transposed
        delta_below=aligned_zeros(network.n_outputs * width, dtype),  # the terms of the loss
    )
    own = {name: getattr(scratch, name) for name in OWN}
    others = ({name: aligned_zeros(a.size, a.dtype) for name, a in own.items()} for _ in range(n - 1))
    return [scratch, *(scratch._replace(**buffers) for buffers in others)]


def divide(network: Network, model: Model, lanes: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the parameters among `n` threads; return the records of parts of layers, and each thread's first part.

    Each thread has a stretch of the parameter vector. It ends where an update's vector does, and within W at the end of
    a row: elsewhere the vector would write back numbers that another thread has updated. Small layers stay whole.
    """
    inside, behind = [], []  # the places where a stretch may end: within W, behind a layer
    for layer in network.layers:
        start, size, step = layer.weight.start, layer.bias.stop - layer.weight.start, math.lcm(lanes, layer.fan_out)
        inside += [places] if size > SMALL and (places := range(start + step, layer.weight.stop, step)) else []
        behind += [layer.bias.stop] if size % lanes == 0 else []
    stops = [0, *(layer.bias.stop for layer in network.layers)]
    transposes = model.layers[LAYER_FIELDS["transposes"] :: len(LAYER_FIELDS)]
    costs = np.cumsum([0, *np.where(transposes, 1, INNER) * np.diff(stops)])
    cuts = [0]
    for t in range(1, n):
        ideal = int(np.interp(costs[-1] * t / n, costs, stops))
        near = (
            k for places in inside for k in places[max((ideal - places.start) // places.step, 0) :][:2] or places[-1:]
        )
        cuts.append(min(chain(near, behind), key=lambda cut: abs(cut - ideal), default=0))
    cuts.append(network.n_params)
    shares, n_shares = [], [0]
    for low, high in pairwise(cuts):
        for layer, record in zip(network.layers, model.layers.reshape(network.n_layers, -1), strict=True):
            first, stop = (min(max(cut, layer.weight.start), layer.bias.stop) for cut in (low, high))
            if first < stop:
                shares.append(_part(layer, dict(zip(LAYER_FIELDS, record, strict=True)), first, stop))
        n_shares.append(len(shares))
    return np.array(shares, np.int64).reshape(-1), np.array(n_shares, np.int64)


def _part(layer: Layer, record: dict[str, int], first: int, stop: int) -> list[int]:
    """Return the record of the part of a layer that has the parameters from `first` to `stop`."""
    row = (first - layer.weight.start) // layer.fan_out
    part = record | {"weight": first, "fan_in": layer.fan_in - row, "input": record["input"] + row}
    if stop < layer.bias.stop:  # without the biases
        part |= {"fan_in": (stop - first) // layer.fan_out, "bias": stop, "n_bias": 0, "end": stop}
    return list(part.values())
