"""Ctrl-C: training returns at once and goes on later; a compilation that it interrupts leaves a
working kernel."""

import json
import os
import signal
import time

import numpy as np
import pytest
from small_training import Recorder
from survival import HERE, TRAINING, UNOPTIMIZED, Child, python

from fastnn import SGD, Network, train

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

INTERRUPTED = f"""{TRAINING}
result = train(network, X, Y, epochs=10**9, seed=1, callbacks=[Ready()], **options)
print("returned", result.stop_reason, flush=True)
assert np.isfinite(result.state.vectors).all() and np.isfinite(result.params).all()
more = train(network, X, Y, epochs=2, resume=result.state, **options)
whole = train(network, X, Y, epochs=result.n_epochs + 2, seed=1, **options)
assert more.state.t == whole.state.t == 7 * (result.n_epochs + 2)
assert more.state.vectors.tobytes() == whole.state.vectors.tobytes()
print("resumed")
"""


@pytest.fixture(scope="module", autouse=True)
def _warm():
    """The kernel is compiled, and kept, before any signal."""
    train(Network((1, 1)), [[1.0]], [1.0], epochs=1)


def test_ctrl_c_returns_and_training_goes_on_to_the_same_bits(backend):
    with Child(INTERRUPTED, backend) as child:
        child.wait_for("ready")
        child.send(signal.SIGINT)
        assert child.wait_for("returned") == "returned interrupted"
        assert child.wait_for("resumed")
        assert child.end() == 0


SECOND = f"""{TRAINING}
import os, signal
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)  # Python writes a byte when a signal comes

def busy(progress):  # what keeps the first signal waiting: a callback, as well as a long step
    if progress.epoch == 3:
        print("ready", flush=True)
        os.read(reader, 1)
        print("waits", flush=True)
        time.sleep(3600)

try:
    train(network, X, Y, epochs=10**9, seed=1, callbacks=[busy], **options)
except KeyboardInterrupt:
    print("stopped", flush=True)
a, b = (train(network, X, Y, epochs=5, seed=1, **options) for _ in range(2))
assert a.stop_reason == "epochs" and a.params.tobytes() == b.params.tobytes()
print("trained")
"""


def test_a_second_ctrl_c_stops_at_once_and_leaves_a_working_process(backend):
    with Child(SECOND, backend) as child:
        child.wait_for("ready")
        child.send(signal.SIGINT)
        child.wait_for("waits")
        child.send(signal.SIGINT)
        child.wait_for("stopped")
        child.wait_for("trained")
        assert child.end() == 0


IMPORTING = """
import _thread, threading, time
from compiling import CALLS, again
call, stopped = CALLS["predict"], 0
for delay in (0.03, 0.1, 0.2, 0.3):  # the first ones while Numba is imported
    timer = threading.Timer(delay, _thread.interrupt_main)
    try:
        timer.start()
        call("numba")
        timer.join()
    except KeyboardInterrupt:
        stopped += 1
    timer.join()
print(again(call), stopped)
"""


def test_ctrl_c_while_a_kernel_is_compiled_leaves_a_working_process(tmp_path):
    """A finalizer may swallow one of the four; compilation then goes on to its end."""
    said = python(IMPORTING, FASTNN_CACHE_DIR=tmp_path / "cache", **UNOPTIMIZED)
    assert said[-1] in ("right 2", "right 3", "right 4")


FEW = ["nested:0.2", "once:0.3", "time-out:0.8", "twice:0.9"]
"""Signals and when they come, as parts of the time to compile: often near its end, where machine
code is made.

Kernels are made in one way, whichever it is: signals come while the smallest one is made, which
takes least time, and in the slow tests at many moments while any of them is.
"""
MANY = [f"{kind}:{(n + 0.5) / 20:.3f}" for n in range(20) for kind in ("once", "twice", "time-out")]


SLOW = [
    (call, MANY[part::4]) for call in ("predict", "loss_and_gradient", "train") for part in range(4)
]


@pytest.mark.parametrize(
    ("call", "attempts"),
    [("predict", FEW), *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)],
)
def test_a_signal_at_any_moment_of_a_compilation_leaves_a_kernel_that_works(call, attempts):
    """Each of these compiles anew; optimized only where that takes little time."""
    optimized = call == "predict" and attempts != FEW
    script = HERE.joinpath("compiling.py").read_text("utf-8")
    said = [
        json.loads(line)
        for line in python(script, call, *attempts, **{} if optimized else UNOPTIMIZED)
    ]
    assert len(said) == len(attempts)
    assert [line for line in said if line[3] != "right"] == []
    ends = {ended for _, _, ended, _ in said}
    assert ends <= {"KeyboardInterrupt", "TimeOut", "return"}
    assert attempts != FEW or ends >= {"KeyboardInterrupt", "return"}


ENDING = """
import os, signal, threading, time
import fastnn

def press():
    while "fastnn compiles" not in {thread.name for thread in threading.enumerate()}:
        time.sleep(0.001)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=press, daemon=True).start()
fastnn.predict(fastnn.Network((1, 1)), [1.0, 1.0], [[1.0]])
"""


def test_a_process_that_ctrl_c_ends_while_it_compiles_ends_well_and_keeps_the_kernel(tmp_path):
    with Child(ENDING, FASTNN_CACHE_DIR=tmp_path / "cache", **UNOPTIMIZED) as child:
        assert "KeyboardInterrupt" in list(iter(child.line, None))
        assert child.end() in (1, -signal.SIGINT)  # no crash; the first for `python -c`
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.name.startswith("predict.float64.")


class Slow(Recorder):
    """A back end that learns nothing, in 0.2 ms for each row that has a weight, in no time for the
    others.

    `seconds` is the time by its own clock.
    """

    seconds = 0.0

    def train_steps(self, task, state, steps):
        steps.loss[...] = task.data.sample_weight[steps.rows[steps.start]]
        state.t += len(steps.loss)
        self.chunks.append(np.count_nonzero(steps.loss))
        self.seconds += 0.0002 * self.chunks[-1]
        return len(steps.loss)


def test_batches_that_are_skipped_do_not_make_a_later_chunk_long(monkeypatch):
    """The cost of a step must not be learned from steps that did nothing: Ctrl-C waits for the end
    of a chunk."""
    n_skipped = 5000
    n = 5000
    slow = Slow()
    monkeypatch.setattr(time, "perf_counter", lambda: slow.seconds)
    X = np.linspace(1, 2, n_skipped + n)[:, None]
    weight = np.ones(n_skipped + n)
    weight[:n_skipped] = 0
    in_order = {"epochs": 1, "batch_size": 1, "shuffle": False, "seed": 0}
    train(Network((1, 1)), X, -X, optimizer=SGD(), sample_weight=weight, backend=slow, **in_order)
    assert sum(slow.chunks) == n
    assert 0.0002 * max(slow.chunks) < 0.5
