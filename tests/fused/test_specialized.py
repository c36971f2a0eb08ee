"""``get_backend("numba", specialize=True)``: a kernel of its own for a small network gives the
generic one's bits."""

import numpy as np
import pytest
import same_bits
from guards import Guards
from same_bits import RUNS

import fastnn
from fastnn import kit, memory
from fastnn.compiler import loader
from fastnn.fused import backend, preparation

OWN = fastnn.get_backend("numba", specialize=True)
IN_CI = ("seed float64", "online scalar float32", "online float32", "wide float32")


def has_own(run):
    n_rows = run.batch_size or len(same_bits.start_of(run)[1])
    fits = n_rows <= memory.ALIGNMENT // np.dtype(run.dtype).itemsize
    return fits and run.network.n_params <= backend.SPECIAL and not run.optimizer.has_options


def own_kernels():
    return {key for key in loader._kernels if len(key) > 2}


SLOW = sorted(name for name, run in RUNS.items() if has_own(run) and name not in IN_CI)


@pytest.mark.parametrize(
    "name", [*IN_CI, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_bits_are_those_of_every_machine(name, monkeypatch):
    """Of short last batches and calls of a few steps too; nothing is written beyond the buffers."""
    guards = Guards()
    make = preparation.make_scratch
    monkeypatch.setattr(
        preparation, "make_scratch", lambda *args: type(s := make(*args))(*map(guards.between, s))
    )
    # some runs share one, and the workspace that has it
    monkeypatch.setattr(loader, "_kernels", {})
    kit.clear()
    own = fastnn.get_backend("numba", specialize=True)
    found = same_bits.hashes_of(*same_bits.train(RUNS[name], backend=own))
    assert found == same_bits.expected()[name]
    assert own_kernels(), "the generic kernel trained"
    assert same_bits.hashes_of(*same_bits.train(RUNS[name], chunk=7, backend=own)) == found
    assert len(guards) > 30
    assert guards.intact()


@pytest.mark.nojit
@pytest.mark.skipif(not loader.IN_PYTHON, reason="compiled, all steps are done above")
@pytest.mark.parametrize("name", IN_CI[:2])
def test_the_first_steps(name):
    """The same holds in Python, where constants make no kernel but a workspace of their own."""
    few = same_bits.hashes_of(*same_bits.train(RUNS[name], same_bits.FEW, backend=OWN))
    assert few == same_bits.expected(few=True)[name]


@pytest.mark.parametrize("name", ["iris float64", "Adam float64", "deep float32"])
def test_larger_batches_and_networks_train_as_without_it(name, monkeypatch):
    before = own_kernels()
    assert (
        same_bits.hashes_of(*same_bits.train(RUNS[name], backend=OWN)) == same_bits.expected()[name]
    )
    monkeypatch.setattr(backend, "SPECIAL", 21)  # nor do larger networks have kernels of their own
    same_bits.train(RUNS["seed float64"], 3, backend=fastnn.get_backend("numba", specialize=True))
    assert own_kernels() == before


def bits_of_both(function, *data, **options):
    """The bits of a training by its own kernel, which are those by the generic one."""
    own, generic = (function(*data, backend=b, **options) for b in (OWN, "numba"))
    assert own.params.tobytes() == generic.params.tobytes()
    assert own.history.loss.tobytes() == generic.history.loss.tobytes()
    return own.params.tobytes()


def test_two_networks_do_not_share_a_kernel():
    """Networks of one shape have a kernel for each activation, which serves every batch that fits,
    and every rate."""
    X = np.arange(12.0).reshape(6, 2) / 12
    Y = np.arange(6.0)[:, None] / 6
    before = own_kernels()
    results = []
    for activation in ("relu", "tanh"):
        network = fastnn.Network((2, 3, 1), activation, "softplus", "poisson")
        options = {"seed": 0, "epochs": 3, "shuffle": False}
        for batch, rate in ((6, 0.1), (4, 0.1), (5, 0.2)):
            given = options | {"batch_size": batch, "optimizer": fastnn.SGD(rate)}
            results.append(bits_of_both(fastnn.train, network, X, Y, **given))
    assert len(set(results)) == len(results)
    assert len(own_kernels() - before) == 2


def test_the_disk_cache_has_it(tmp_path, monkeypatch):
    """The next process finds the kernel of this network, and does not take it for another one's."""
    monkeypatch.setenv("FASTNN_CACHE_DIR", str(tmp_path))
    found = []
    for network in (fastnn.Network((3, 1)), fastnn.Network((3, 1)), fastnn.Network((3, 2, 1))):
        monkeypatch.setattr(loader, "_kernels", {})
        monkeypatch.setattr(loader, "origins", {})
        kit.clear()
        own = fastnn.get_backend("numba", specialize=True)
        fastnn.train(
            network, np.eye(3), np.ones((3, 1)), optimizer=fastnn.SGD(), epochs=1, backend=own
        )
        found.append(loader.origins["train_steps.float64"] == loader.CACHE)
    assert found == [False, True, False]
    assert len(list(tmp_path.glob("train_steps.float64.*.o"))) == 2
