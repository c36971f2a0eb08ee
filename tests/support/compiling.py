"""Signals while a kernel is compiled: ``python compiling.py CALL KIND:FRACTION ...`` prints a line
for each attempt.

Each time the kernel is compiled anew, and the signals come when this fraction of the time that it
takes has passed. The line says what ended the call, and whether the same call, made again at once,
gives the right numbers.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import warnings

import numpy as np

from fastnn import SGD, Network, kit, loss_and_gradient, predict, train
from fastnn.compiler import loader
from fastnn.training import exceptions

NETWORK = Network((3, 4, 2), "tanh")
PARAMS = np.linspace(-1, 1, NETWORK.n_params)
X = np.linspace(-1, 1, 15).reshape(5, 3)
Y = np.abs(X[:, :2])
OPTIONS = {"optimizer": SGD(0.1), "epochs": 3, "batch_size": 2, "seed": 0}

CALLS = {
    "predict": lambda backend: [predict(NETWORK, PARAMS, X, backend=backend)],
    "loss_and_gradient": lambda backend: [
        *loss_and_gradient(NETWORK, PARAMS, X, Y, backend=backend)
    ],
    "train": lambda backend: [
        train(NETWORK, X, Y, params=PARAMS, backend=backend, **OPTIONS).params
    ],
}

KINDS = {
    "once": [signal.SIGINT],
    "twice": [signal.SIGINT] * 2,
    "time-out": [signal.SIGALRM],
    "nested": [signal.SIGUSR1],
}
"""The signals of each kind, 0.1 s apart."""


class TimeOut(Exception):
    """The exception of the handler of SIGALRM."""


def time_out(signum, frame):
    raise TimeOut


def nested(signum, frame):
    assert again(call) == "right"


def forget():
    """Compile again, as a process does that has nothing on disk."""
    from fastnn.fused import kernels

    loader._kernels.clear()
    kit.clear()  # workspaces have their kernels
    for name in CALLS:
        getattr(kernels, {"train": "train_steps"}.get(name, name)).overloads.clear()
    os.environ["FASTNN_CACHE_DIR"] = tempfile.mkdtemp(dir=FOLDER)
    exceptions._last_swallowed = -np.inf


def send(signals, delay, sent):
    for signum in signals:
        time.sleep(delay)
        os.kill(os.getpid(), signum)
        delay = 0.1
    sent.set()


def interrupted(call, signals, delay):
    """Make the call; return an exception's name, "return", or "late" if no signal came before its
    end."""
    sent = threading.Event()
    ended = "return"
    forget()
    threading.Thread(target=send, args=(signals, delay, sent)).start()
    try:
        call("numba")
        ended = "return" if sent.is_set() else "late"
    except (KeyboardInterrupt, Exception) as error:
        ended = type(error).__name__
    while not sent.is_set():
        with contextlib.suppress(KeyboardInterrupt, TimeOut):
            sent.wait()
    return ended


def again(call):
    """Whether the call works: "right", or what is wrong."""
    try:
        for got, expected in zip(call("numba"), call("numpy"), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-10)
    except Exception as error:
        return repr(error)
    return "right"


def seconds(call):
    forget()
    begun = time.perf_counter()
    call("numba")
    return time.perf_counter() - begun


if __name__ == "__main__":
    call = CALLS[sys.argv[1]]
    attempts = [attempt.split(":") for attempt in sys.argv[2:]]
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, time_out)
    signal.signal(signal.SIGUSR1, nested)
    with tempfile.TemporaryDirectory() as FOLDER:
        seconds(CALLS["predict"])  # Numba is imported
        takes = seconds(call)
        for kind, fraction in attempts:
            delay = float(fraction) * takes
            # while it is late, the machine is faster by now
            while (ended := interrupted(call, KINDS[kind], delay)) == "late":
                delay /= 2
            sys.stdout.write(json.dumps([kind, fraction, ended, again(call)]) + "\n")
