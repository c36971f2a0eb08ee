"""The Numba back end looks at every array before a kernel gets its address, of one training and of
members."""

import numpy as np
import pytest
from guards import Guards, full_batches

import fastnn
from fastnn import SGD, Adam, Network, get_backend
from fastnn.memory import aligned_zeros, padded_size
from fastnn.state import Data, Steps, StepState, StepStates, Task

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
    "unaligned": (
        lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
        ValueError,
    ),
}


def arrays_of(dtype):
    random_state = np.random.RandomState(0)
    return {
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


def call(method, dtype, changed=None, change=None):
    arrays = arrays_of(dtype)
    if changed:
        arrays[changed] = change(arrays[changed])
    params, X, Y, weight, storage, products, *steps = arrays.values()
    backend = get_backend("numba")
    data = Data(X, Y, weight)
    if method == "predict":
        return backend.predict(NETWORK, params, X)
    if method == "loss_and_gradient":
        return backend.loss_and_gradient(NETWORK, params, data, 0.1)
    task = Task(NETWORK, Adam(), data, 0.1)
    if method == "loss":
        return backend.loss(task, params)
    return backend.train_steps(
        task, StepState(storage, NETWORK.n_params, beta_products=products), Steps(*steps)
    )


M = 3  # members


def arrays_of_group(dtype):
    arrays = arrays_of(dtype)
    del arrays["params"]
    arrays["storage"] = aligned_zeros((M, 3, padded_size(NETWORK.n_params, dtype)), dtype)
    arrays["storage"][:, 0, : NETWORK.n_params] = np.random.RandomState(1).standard_normal(
        (M, NETWORK.n_params)
    )
    for name in ("beta_products", "rows", "learning_rate", "loss"):
        arrays[name] = np.array([arrays[name]] * M)
    return arrays | {"which": np.array([0, 1, 0]), "n_steps": np.array([2, 1, 2])}


def call_group(arrays, optimizer=None):
    X, Y, weight, storage, products, *steps, which, n_steps = arrays.values()
    tasks = [
        Task(NETWORK, Adam(), Data(X, Y, weight), 0.1),
        Task(NETWORK, optimizer or Adam(0.5), Data(X, Y, weight)),
    ]
    state = StepStates(storage, NETWORK.n_params, np.zeros(M, np.int64), products)
    return get_backend("numba").train(tasks, which, state, Steps(*steps), n_steps)


TAKEN = {
    "predict": ("params", "X"),
    **dict.fromkeys(("loss", "loss_and_gradient"), ("params", "X", "Y", "sample_weight")),
    "train_steps": ("X", "Y", "sample_weight", "storage", "beta_products", *Steps._fields),
}
FIT = {
    ("predict", "X"): ("one too many", "one too few"),
    ("train_steps", "rows"): ("one too many",),
}
"""What is right all the same: any number of rows, and a row's number that no step takes."""


@pytest.mark.parametrize(
    ("method", "name"), [(method, name) for method, names in TAKEN.items() for name in names]
)
def test_a_wrong_array_reaches_no_kernel(method, name, dtype):
    for kind, (change, error) in KINDS.items():
        if kind in FIT.get((method, name), ()):
            call(method, dtype, name, change)
            continue
        if name == "X":
            error = (TypeError, ValueError)  # its dtype is the working one
        with pytest.raises(error, match=r"must be an array of|the steps take"):
            call(method, dtype, name, change)


@pytest.mark.parametrize("name", list(arrays_of_group(np.float64)))
def test_a_wrong_array_of_members_reaches_no_kernel(name, dtype):
    for kind, (change, _) in KINDS.items():
        arrays = arrays_of_group(dtype)
        arrays[name] = change(arrays[name])
        if (name, kind) == ("n_steps", "no array"):  # which is any sequence of int
            assert call_group(arrays) == [2, 1, 2]
            continue
        with pytest.raises((TypeError, ValueError)):
            call_group(arrays)


def ones_of(n_rows=N, dtype=np.float64):
    return Data(np.ones((n_rows, 4), dtype), np.ones((n_rows, 2), dtype), np.ones(n_rows, dtype))


def one_task():
    """A task, a state and steps that the back end has seen, each array with one owner."""
    task = Task(NETWORK, SGD(), ones_of())
    steps = full_batches(N, 2)
    state = StepState.create(np.ones(NETWORK.n_params), 0)
    assert get_backend("numba").train_steps(task, state, steps) == 2
    return task, state, steps


@pytest.mark.parametrize("name", ["storage", "beta_products", "loss"])
def test_what_is_read_only_is_not_written(name):
    """Of members; and of one training where it becomes so between two calls, on the same task or
    another one."""
    task, state, steps = one_task()
    of_members = arrays_of_group(np.float64)
    array = steps.loss if name == "loss" else getattr(state, name)
    before = array.copy()
    array.flags.writeable = of_members[name].flags.writeable = False
    refused = pytest.raises(ValueError, match=rf"{name} must be .* and writeable")
    for each in (task, Task(task.network, task.optimizer, task.data)):
        with refused:
            get_backend("numba").train_steps(each, state, steps)
    with refused:
        call_group(of_members)
    assert np.array_equal(array, before)


def test_what_a_kernel_knows_by_its_address_cannot_be_resized():
    """Not without a check of references either: a kernel would read and write what is not the
    array's any more."""
    task, state, steps = one_task()
    other = Task(NETWORK, SGD(), ones_of())
    get_backend("numba").loss(other, np.ones(NETWORK.n_params))
    for array in (*task.data, *steps, state.storage, state.beta_products, *other.data):
        for refcheck in True, False:
            with pytest.raises(ValueError, match="cannot resize"):
                array.resize((1,), refcheck=refcheck)


OUTSIDE = [
    *[("rows", n) for n in (-1, N, -(10**6))],
    ("start", -1),
    *[("stop", n) for n in (N + 1, 2**62, -(2**63))],
]
OF_MEMBERS = [*[("which", n) for n in (-1, 2)], *[("n_steps", n) for n in (-1, 3, 2**62)]]


@pytest.mark.parametrize(("name", "value"), [*OUTSIDE, *OF_MEMBERS])
def test_rows_outside_the_data_are_refused(name, value):
    """Of one training and of members, whose numbers of tasks and of steps are looked at too."""

    def change(array, place=-1):
        array.flat[place] = value
        return array

    if (name, value) in OUTSIDE:
        with pytest.raises(ValueError, match=rf"the steps take rows? .*{value}"):
            call("train_steps", np.float64, name, change)
    for place in (0, -1):
        arrays = arrays_of_group(np.float64)
        change(arrays[name], place)
        with pytest.raises(
            ValueError, match=r"the steps take row|which must hold numbers of the 2 tasks"
        ):
            call_group(arrays)


def test_memory_maps_are_taken_and_other_subclasses_refused(dtype):
    """An array that says another shape than it has is read far beyond its end."""

    class Lying(np.ndarray):
        shape = property(lambda self: (10**6, 4))

        def __len__(self):
            return 10**6

    right = call("predict", dtype)
    assert np.array_equal(call("predict", dtype, "X", lambda a: a.view(np.memmap)), right)
    for method, names in TAKEN.items():
        for name in names:
            with pytest.raises(
                TypeError, match=f"{name} must be an array of .*, not (one of the class )?Lying"
            ):
                call(method, dtype, name, lambda a: a.view(Lying))


@pytest.mark.parametrize("optimizer", [None, SGD, type("Adam", (Adam,), {})()])
def test_only_built_in_optimizers_reach_a_kernel(optimizer):
    """Of one kind where there are members."""
    state = StepState.create(np.ones(NETWORK.n_params), 2)
    with pytest.raises(TypeError, match="trains with SGD"):
        get_backend("numba").train_steps(
            Task(NETWORK, optimizer, ones_of()), state, full_batches(N)
        )
    with pytest.raises(ValueError, match="the same kind of optimizer"):
        call_group(arrays_of_group(np.float64), SGD())


class WithOtherLayers(Network):
    layers = property(lambda self: Network((4, 300, 2)).layers)
    n_params = property(lambda self: NETWORK.n_params)


def changed(**values):
    """A network whose attributes were written to, past what a frozen dataclass refuses."""
    network = Network((4, 5, 2))
    assert network.n_params == len(network.layers) + 35  # both are kept from here on
    vars(network).update(values)
    return network


CHANGED = {
    "layers": lambda: changed(layers=Network((4, 300, 2)).layers),
    "parameters": lambda: changed(n_params=10),
    "inputs": lambda: changed(sizes=(3, 5, 2)),
    "outputs": lambda: changed(sizes=(4, 5, 300)),
    "no sizes": lambda: changed(sizes=[4, 5, 2]),
    "biases": lambda: changed(bias="none"),
    "an activation": lambda: changed(activation="x; import os"),
    "a loss": lambda: changed(loss=3),
    "a subclass": lambda: WithOtherLayers((4, 5, 2)),
}

NOT_AFTER_USE = ("a subclass", "a loss")
"""An object does not become one of a subclass; settings of a training that were checked are not
checked again."""


def calls_of(network, dtype):
    """Calls of public functions and of the back end, with arguments that are right for 4-5-2: their
    arrays."""
    params = np.ones(NETWORK.n_params, dtype)
    data = ones_of(dtype=dtype)
    X, Y, _ = data
    backend = get_backend("numba")

    def of_gradient():
        return backend.loss_and_gradient(network, params, data, 0.0)[1]

    def of_steps():
        state = StepState.create(params, 0)
        assert backend.train_steps(Task(network, SGD(), data), state, full_batches(N)) == 1
        return state.params

    def of_function():
        out = np.zeros(2, dtype)
        backend.function(network, params)(X[0], out)
        return out

    return {
        "predict": lambda: fastnn.predict(network, params, X),
        "loss_and_gradient": lambda: fastnn.loss_and_gradient(network, params, X, Y)[1],
        "train": lambda: fastnn.train(network, X, Y, epochs=1, params=params, seed=0).params,
        "train_many": lambda: fastnn.train_many(network, X, Y, epochs=1, seed=range(2)).params,
        "the back end's predict": lambda: backend.predict(network, params, X),
        "the back end's loss_and_gradient": of_gradient,
        "the back end's train_steps": of_steps,
        "the back end's function": of_function,
    }


@pytest.mark.parametrize("network", [None, (4, 5, 2), "4", WithOtherLayers((4, 5, 2))])
def test_only_networks_reach_a_kernel(network):
    for name in ("predict", "loss_and_gradient"):
        with pytest.raises(TypeError, match="must be a fastnn Network"):
            calls_of(network, np.float64)[f"the back end's {name}"]()


@pytest.mark.parametrize(
    ("name", "after"),
    [
        *((name, "made") for name in CHANGED),
        *((name, "used") for name in CHANGED if name not in NOT_AFTER_USE),
    ],
)
def test_a_network_that_was_changed_reaches_no_kernel(name, after, dtype):
    """It is refused; or nothing that was changed shows, where its buffers are known from an earlier
    call."""
    network = CHANGED[name]()
    right = calls_of(Network((4, 5, 2)), dtype)
    if after == "used":
        values = dict(vars(network))
        vars(network).clear()
        vars(network).update(vars(Network((4, 5, 2))))
        for call in calls_of(network, dtype).values():
            call()
        vars(network).update(values)
    n_refused = 0
    for door, call in calls_of(network, dtype).items():
        try:
            value = call()
        except (ValueError, TypeError):
            n_refused += 1
        else:
            assert np.array_equal(value, right[door]()), door
    assert n_refused >= (6 if after == "made" else 1)


def test_nothing_is_written_beyond_the_arrays(dtype):
    arrays = arrays_of_group(dtype)
    zones = Guards()
    for name in ("storage", "beta_products", "loss"):
        arrays[name] = zones.between(arrays[name])
    assert call_group(arrays) == [2, 1, 2]
    assert zones.intact()
    assert not arrays["storage"][:, :, NETWORK.n_params :].any()
