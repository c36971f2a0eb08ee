"""Threads that are late, by a kernel in which they wait at random in each unit and between two: they change no bit."""

import json

import pytest
from survival import UNOPTIMIZED, python

STRETCHED = """
import hashlib, json, os, sys
import numpy as np
from fastnn import Adam, Network, kit, train

random_state = np.random.RandomState(0)
X = random_state.standard_normal((192, 23))
options = {"epochs": %d, "batch_size": 96, "optimizer": Adam(), "seed": 0, "alpha": 0.01}

def print_hash(threads):
    result = train(Network((23, 37, 3), "tanh"), X, np.sin(X[:, :3]), threads=threads, **options)
    assert result.threads == threads
    print(hashlib.sha256(result.state.storage.tobytes() + result.history.loss.tobytes()).hexdigest())

print_hash(1)  # one thread claims nothing: its kernel is the same, and need not be compiled again
os.environ |= json.loads(sys.argv[1])
from fastnn.compiler.tracing import inlined  # imports Numba, which reads the environment
from fastnn.compiler.shared_numbers import relax
from fastnn.fused import team, together

claim = together.claim

@inlined
def delay(share, k):
    n = (k * 1103515245 + share.t * 12345) // 65536 %% 512
    for _ in range(n * (n %% 3 == 0)):
        relax(share.numbers)

@inlined
def claim_late(share, before, n):
    delay(share, 2 * before)
    u = claim(share, before, n)
    delay(share, 2 * before + u + 2)
    return u

together.claim = claim_late
for team.TICKS in %s:
    kit.clear()  # a team that is kept has the ticks that it was made with
    print_hash(2)
    print_hash(3)
"""


def stretched(n_epochs, ticks, tmp_path, **variables):
    """The hashes of a training with 1, 2 and 3 threads that are late at random, and sleep after so many ticks."""
    return python(STRETCHED % (n_epochs, ticks), json.dumps({"FASTNN_CACHE_DIR": str(tmp_path / "cache"), **variables}))


def test_threads_that_come_late_change_no_bit(tmp_path):
    """Not optimized, the kernel has the same units, and the slow test has those of the optimized one."""
    hashes = stretched(30, (0, 8000), tmp_path, **UNOPTIMIZED)
    assert (len(hashes), len(set(hashes))) == (5, 1)


@pytest.mark.slow
def test_threads_that_come_late_change_no_bit_in_ten_thousand_steps(tmp_path):
    assert len(set(stretched(5000, (8000,), tmp_path))) == 1
