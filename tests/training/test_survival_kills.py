"""SIGTERM and SIGKILL: no kill loses what was saved."""

import os
import signal

import pytest
from survival import TRAINING, Child, python

from fastnn import load, train

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


CHECKPOINTS = f"""{TRAINING}
def checkpoint(progress):
    progress.result().save(sys.argv[2])
    print("saved", progress.epoch, flush=True)

train(network, X, Y, epochs=10**9, seed=1, callbacks=[checkpoint], **options)
"""


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
import os, signal, sys
import numpy as np
from fastnn import SGD, Network, load, train
path, kills = sys.argv[1], int(sys.argv[2])
network = Network((300, 400, 1))
X, options = np.ones((1, 300)), {"optimizer": SGD(), "epochs": 0, "backend": "numpy"}
results = [train(network, X, [1.0], seed=s, **options) for s in (1, 2)]
known = [result.params.tobytes() for result in results]

def save(moment):
    # Save the second result, and be killed at that call or return of a function; return how many there are.
    moments = 0
    def count(*event):
        nonlocal moments
        moments += 1
        if moments == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(count)
    results[1].save(path)
    sys.setprofile(None)
    return moments

save(0)
seen = []
for moment in np.linspace(1, save(0), kills).astype(int).tolist():
    results[0].save(path)
    pid = os.fork()
    if not pid:
        save(moment)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    seen.append(known.index(load(path).params.tobytes()))
left = [name for name in os.listdir(os.path.dirname(path)) if name != os.path.basename(path)]
assert all(name.startswith(".") and name.endswith(".tmp") for name in left)
assert seen == sorted(seen)
print("in the midst", len(left), "old", seen.count(0), "new", seen.count(1))
"""  # noqa: E501


def test_a_kill_during_save_leaves_a_whole_file(tmp_path):
    """At 60 moments, from its first call to its last return: the old file up to one of them, then
    the new one."""
    (line,) = python(SAVING, tmp_path / "model", 60)
    _, _, _, left, _, old, _, new = line.split()
    assert 0 < int(left) < int(old) < 60
    assert int(new) > 0
