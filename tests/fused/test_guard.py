"""The Numba back end looks at every array before a kernel gets its address, whoever calls it, and however."""

import numpy as np
import pytest

from fastnn import SGD, Adam, Network, get_backend
from fastnn.state import Data, Steps, StepState, Task

pytestmark = pytest.mark.nojit

NETWORK = Network((4, 5, 2))
N = 6
KINDS = {
    "no array": (lambda a: a.tolist(), TypeError),
    "a number": (lambda a: a.dtype.type(1e-310), TypeError),
    "None": (lambda a: None, TypeError),
    "one too many": (lambda a: np.concatenate([a, a[-1:]]), ValueError),
    "one too few": (lambda a: a[:-1].copy(), ValueError),
    "one dimension more": (lambda a: a[None], ValueError),
    "one dimension": (lambda a: np.zeros((), a.dtype), ValueError),
    "strided": (lambda a: np.repeat(a, 2, -1)[..., ::2], ValueError),
    "backwards": (lambda a: a[::-1], ValueError),
    "other byte order": (lambda a: a.astype(a.dtype.newbyteorder(">")), ValueError),
    "other size": (lambda a: a.astype(f"{a.dtype.kind}{12 - a.dtype.itemsize}"), ValueError),
    "other kind": (lambda a: a.astype("f8" if a.dtype.kind == "i" else "i8"), ValueError),
    "complex": (lambda a: a.astype(complex), ValueError),
    "objects": (lambda a: a.astype(object), ValueError),
    "unaligned": (lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape), ValueError),
}


def call(method, dtype, changed, change):
    """Call a method of the back end, one of whose arrays was changed."""
    random_state = np.random.RandomState(0)
    arrays = {
        "params": random_state.standard_normal(NETWORK.n_params).astype(dtype),
        "X": random_state.standard_normal((N, 4)).astype(dtype),
        "Y": random_state.standard_normal((N, 2)).astype(dtype),
        "sample_weight": np.ones(N, dtype),
        "storage": StepState.create(np.ones(NETWORK.n_params, dtype), 2).storage,
        "beta_products": np.ones(2),
        "rows": np.arange(N),
        "start": np.array([0, 3]),
        "stop": np.array([3, 6]),
        "learning_rate": np.full(2, 0.1),
        "loss": np.zeros(2),
    }
    if changed:
        arrays[changed] = change(arrays[changed])
    params, X, Y, weight, storage, products, *steps = arrays.values()
    backend, data = get_backend("numba"), Data(X, Y, weight)
    if method == "predict":
        return backend.predict(NETWORK, params, X)
    if method == "loss_and_gradient":
        return backend.loss_and_gradient(NETWORK, params, data, 0.1)
    task = Task(NETWORK, Adam(), data, 0.1)
    if method == "loss":
        return backend.loss(task, params)
    return backend.train_steps(task, StepState(storage, NETWORK.n_params, beta_products=products), Steps(*steps))


TAKEN = {
    "predict": ("params", "X"),
    **dict.fromkeys(("loss", "loss_and_gradient"), ("params", "X", "Y", "sample_weight")),
    "train_steps": ("X", "Y", "sample_weight", "storage", "beta_products", *Steps._fields),
}
FIT = {("predict", "X"): ("one too many", "one too few"), ("train_steps", "rows"): ("one too many",)}
"""What is right all the same: any number of rows, and a row's number that no step takes."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "name"), [(method, name) for method, names in TAKEN.items() for name in names])
def test_a_wrong_array_reaches_no_kernel(method, name, kind, dtype):
    change, error = KINDS[kind]
    if kind in FIT.get((method, name), ()):
        call(method, dtype, name, change)
        return
    if name == "X":
        error = (TypeError, ValueError)  # its dtype is the working one
    with pytest.raises(error, match=r"must be an array of|the steps take"):
        call(method, dtype, name, change)


@pytest.mark.parametrize("name", ["storage", "beta_products", "loss"])
def test_what_is_read_only_is_not_written(name):
    def lock(array):
        array.flags.writeable = False
        return array

    with pytest.raises(ValueError, match=rf"{name} must be .* and writeable"):
        call("train_steps", np.float64, name, lock)


def one_task():
    """A task, a state and steps that the back end has seen, each array with one owner."""
    task = Task(NETWORK, SGD(), Data(np.ones((N, 4)), np.ones((N, 2)), np.ones(N)))
    state = StepState.create(np.ones(NETWORK.n_params), 0)
    steps = Steps(np.arange(N), np.array([0, 3]), np.array([3, 6]), np.full(2, 0.1), np.zeros(2))
    assert get_backend("numba").train_steps(task, state, steps) == 2
    return task, state, steps


@pytest.mark.parametrize("name", ["storage", "beta_products", "loss"])
def test_what_becomes_read_only_between_two_calls_is_not_written(name):
    task, state, steps = one_task()
    array = steps.loss if name == "loss" else getattr(state, name)
    array.flags.writeable = False
    before = array.copy()
    for each in task, Task(task.network, task.optimizer, task.data):
        with pytest.raises(ValueError, match=rf"{name} must be .* and writeable"):
            get_backend("numba").train_steps(each, state, steps)
    assert np.array_equal(array, before)


def test_what_a_kernel_knows_by_its_address_cannot_be_resized():
    task, _, steps = one_task()
    for owner in (task.data, steps):
        for i in range(len(owner)):
            with pytest.raises(ValueError, match="cannot resize"):
                owner[i].resize((1,))
    other = Task(NETWORK, SGD(), Data(np.ones((N, 4)), np.ones((N, 2)), np.ones(N)))
    get_backend("numba").loss(other, np.ones(NETWORK.n_params))
    for i in range(3):
        with pytest.raises(ValueError, match="cannot resize"):
            other.data[i].resize((1,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", -1),
        ("rows", N),
        ("rows", -(10**6)),
        ("start", -1),
        ("stop", N + 1),
        ("stop", 2**62),
        ("stop", -(2**63)),
    ],
)
def test_rows_outside_the_data_are_refused(name, value):
    def change(array):
        array[1] = value
        return array

    with pytest.raises(ValueError, match=rf"the steps take rows? .*{value}"):
        call("train_steps", np.float64, name, change)


def test_subclasses_of_arrays_are_taken(dtype):
    class Mine(np.ndarray):
        pass

    assert np.array_equal(call("predict", dtype, "X", lambda a: a.view(Mine)), call("predict", dtype, None, None))


@pytest.mark.parametrize("optimizer", [None, SGD, type("Adam", (Adam,), {})()])
def test_only_built_in_optimizers_reach_a_kernel(optimizer):
    state = StepState.create(np.ones(NETWORK.n_params), 2)
    data = Data(np.ones((N, 4)), np.ones((N, 2)), np.ones(N))
    steps = Steps(np.arange(N), np.array([0]), np.array([N]), np.ones(1), np.zeros(1))
    with pytest.raises(TypeError, match="trains with SGD"):
        get_backend("numba").train_steps(Task(NETWORK, optimizer, data), state, steps)


@pytest.mark.parametrize("network", [None, (4, 5, 2), "network"])
def test_only_networks_reach_a_kernel(network):
    backend, X = get_backend("numba"), np.ones((N, 4))
    data = Data(X, np.ones((N, 2)), np.ones(N))
    params = np.ones(NETWORK.n_params)
    for call in (
        lambda: backend.predict(network, params, X),
        lambda: backend.loss_and_gradient(network, params, data, 0),
    ):
        with pytest.raises(TypeError, match="must be a fastnn Network"):
            call()
