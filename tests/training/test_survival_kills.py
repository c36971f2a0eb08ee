"""SIGTERM and SIGKILL: no kill loses what was saved."""

import os
import random
import signal

import pytest
from survival import TRAINING, Child, python

from fastnn import load, train

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


CHECKPOINTS = (
    TRAINING
    + """
def checkpoint(progress):
    progress.result().save(sys.argv[2])
    print("saved", progress.epoch, flush=True)

train(network, X, Y, epochs=10**9, seed=1, callbacks=[checkpoint], **options)
"""
)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_kill_loses_nothing_that_a_callback_has_saved(signum, tmp_path):
    path = tmp_path / "model"
    with Child(CHECKPOINTS, "numba", path) as child:
        for _ in range(20):
            told = int(child.wait_for("saved").split()[1])
        child.send(signum)
        assert child.end() == -signum
    saved = load(path)
    assert saved.n_epochs >= told
    namespace = {"__name__": "training"}
    exec(TRAINING.replace("sys.argv[1]", "'numba'"), namespace)
    network, X, Y, options = (namespace[name] for name in ("network", "X", "Y", "options"))
    more = train(network, X, Y, epochs=3, resume=saved.state, **options)
    whole = train(network, X, Y, epochs=saved.n_epochs + 3, seed=1, **options)
    assert more.state.vectors.tobytes() == whole.state.vectors.tobytes()


SAVING = """
import os, signal, sys, time
import numpy as np
from fastnn import SGD, Network, load, train
path, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
network = Network((300, 400, 1))
X, options = np.ones((1, 300)), {"optimizer": SGD(), "epochs": 0, "backend": "numpy"}
results = [train(network, X, [1.0], seed=s, **options) for s in (1, 2)]
known = [result.params.tobytes() for result in results]
results[0].save(path)
random_state, seen = np.random.RandomState(seed), set()
for _ in range(kills):
    pid = os.fork()
    if not pid:
        try:
            while True:
                for result in results:
                    result.save(path)
        finally:
            os._exit(1)
    time.sleep(random_state.uniform(0.002, 0.05))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    seen.add(known.index(load(path).params.tobytes()))
left = [name for name in os.listdir(os.path.dirname(path)) if name != os.path.basename(path)]
assert all(name.startswith(".") and name.endswith(".tmp") for name in left)
print("in the midst", len(left), "seen", len(seen))
"""


def test_a_kill_during_save_leaves_a_whole_file(tmp_path):
    """The old or the new one; a fair part of the kills must have hit the writing itself."""
    (line,) = python(SAVING, tmp_path / "model", 30, random.Random(0).randrange(2**31))
    _, _, _, left, _, seen = line.split()
    assert int(left) >= 5
    assert int(seen) == 2
