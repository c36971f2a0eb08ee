"""Arrays of several trainings are looked at before train_group gets their addresses, and it writes its own only."""

import numpy as np
import pytest
from guards import between_guards, intact
from test_guard import KINDS, NETWORK, N

from fastnn import SGD, Adam, get_backend, train_many
from fastnn.memory import aligned_zeros, padded_size
from fastnn.reference import NumpyBackend
from fastnn.state import Data, GroupState, Steps, StepState, Task

M, N_STEPS = 3, 2


def arrays_of(dtype):
    """All arrays of a call, right."""
    random_state = np.random.RandomState(0)
    storage = aligned_zeros((M, 3, padded_size(NETWORK.n_params, dtype)), dtype)
    storage[:, 0, : NETWORK.n_params] = random_state.standard_normal((M, NETWORK.n_params))
    return {
        "X": random_state.standard_normal((N, 4)).astype(dtype),
        "Y": random_state.standard_normal((N, 2)).astype(dtype),
        "sample_weight": np.ones(N, dtype),
        "which": np.array([0, 1, 0]),
        "storage": storage,
        "beta_products": np.ones((M, 2)),
        "rows": np.array([np.arange(N)] * M),
        "start": np.array([0, 3]),
        "stop": np.array([3, 6]),
        "learning_rate": np.full((M, N_STEPS), 0.1),
        "loss": np.zeros((M, N_STEPS)),
        "n_steps": np.array([2, 1, 2]),
    }


def call(arrays, optimizer=None):
    """Train members on the arrays."""
    X, Y, weight, which, storage, products, *steps, n_steps = arrays.values()
    tasks = [Task(NETWORK, Adam(), Data(X, Y, weight), 0.1), Task(NETWORK, optimizer or Adam(0.5), Data(X, Y, weight))]
    state = GroupState(storage, NETWORK.n_params, np.zeros(M, np.int64), products)
    return get_backend("numba").train_group(tasks, which, state, Steps(*steps), n_steps)


@pytest.mark.nojit
@pytest.mark.parametrize("name", list(arrays_of(np.float64)))
def test_a_wrong_array_reaches_no_kernel(name, dtype):
    for change, _ in KINDS.values():
        arrays = arrays_of(dtype)
        arrays[name] = change(arrays[name])
        with pytest.raises((TypeError, ValueError)):
            call(arrays)


@pytest.mark.nojit
@pytest.mark.parametrize("name", ["storage", "beta_products", "loss"])
def test_what_is_read_only_is_not_written(name):
    arrays = arrays_of(np.float64)
    arrays[name].flags.writeable = False
    with pytest.raises(ValueError, match=rf"{name} must be .* and writeable"):
        call(arrays)


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("rows", value) for value in (-1, N, -(10**6))],
        *[("which", value) for value in (-1, 2)],
        *[("n_steps", value) for value in (-1, 3, 2**62)],
        *[("start", -1), ("stop", N + 1), ("stop", 2**62), ("stop", -(2**63))],
    ],
)
@pytest.mark.parametrize("place", [0, -1])
def test_numbers_outside_are_refused(name, value, place):
    arrays = arrays_of(np.float64)
    arrays[name].flat[place] = value
    with pytest.raises(ValueError, match=r"the steps take row|which must hold numbers of the 2 tasks"):
        call(arrays)


@pytest.mark.nojit
def test_optimizers_of_two_kinds_are_no_members_of_one_call():
    with pytest.raises(ValueError, match="the same kind of optimizer"):
        call(arrays_of(np.float64), SGD())


def test_nothing_is_written_beyond_the_arrays(dtype):
    arrays, zones = arrays_of(dtype), []
    for name in ("storage", "beta_products", "loss"):
        arrays[name], guard = between_guards(arrays[name])
        zones.append(guard)
    before = arrays["storage"].copy()
    assert call(arrays).tolist() == [2, 1, 2]
    assert all(map(intact, zones))
    assert not arrays["storage"][:, :, NETWORK.n_params :].any()
    for m, which in enumerate(arrays["which"]):
        X, Y, weight, *_ = arrays.values()
        state = StepState(before[m].copy(), NETWORK.n_params)
        n = int(arrays["n_steps"][m])
        steps = Steps(np.arange(N), arrays["start"][:n], arrays["stop"][:n], np.full(n, 0.1), np.zeros(n))
        task = Task(NETWORK, Adam(0.5 if which else 0.001), Data(X, Y, weight), 0.0 if which else 0.1)
        assert get_backend("numba").train_steps(task, state, steps) == n
        assert state.storage.tobytes() == arrays["storage"][m].tobytes()
        assert steps.loss.tobytes() == arrays["loss"][m, :n].tobytes()


class Mine:
    """A back end of somebody else's, with no method but the interface's."""

    name = "mine"

    def __init__(self):
        own = NumpyBackend()
        self.predict, self.loss_and_gradient, self.train_steps = own.predict, own.loss_and_gradient, own.train_steps

    def supports(self, network, optimizer):
        return optimizer.name == "SGD"


def test_a_back_end_of_somebody_elses_gets_the_loop():
    X = np.random.RandomState(0).rand(9, 4)
    options = {"seed": range(4), "epochs": [3, 1, 0, 2], "batch_size": 4, "optimizer": SGD(0.1)}
    mine, numpys = (train_many(NETWORK, X, X[:, :2], **options, backend=b) for b in (Mine(), "numpy"))
    assert mine.params.tobytes() == numpys.params.tobytes()
    assert mine.predict(X).tobytes() == numpys.predict(X).tobytes()
    with pytest.raises(ValueError, match=r"^member 1: back end 'mine' cannot train this network with Adam"):
        train_many(NETWORK, X, X[:, :2], optimizer=[SGD(), Adam()], seed=0, epochs=1, backend=Mine())


def test_specialized_kernels_give_members_the_same_bits():
    X = np.random.RandomState(0).rand(7, 4)
    options = {"seed": range(3), "epochs": [9, 1, 5], "alpha": [0.0, 0.1, 0.2]}  # too few for vectors of members
    options["optimizer"] = SGD(0.1, momentum=0.9, nesterov=True)
    special, general = (
        train_many(NETWORK, X, X[:, :2], **options, backend=get_backend("numba", specialize=flag))
        for flag in (True, False)
    )
    assert special.params.tobytes() == general.params.tobytes()
    assert special.history.loss.tobytes() == general.history.loss.tobytes()
