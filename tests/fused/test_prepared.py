"""What the Numba back end prepares is prepared once a training, for the arrays that it was prepared
for only."""

import collections
import copy
import itertools
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bits import all_bits
from chunks import chunks_of
from guards import full_batches

from fastnn import SGD, Adam, Network, Stop, get_backend, kit, train
from fastnn.fused import backend as fused_backend
from fastnn.fused import preparation
from fastnn.state import Data, StepState, Task

NETWORK = Network((3, 4, 2), "tanh")
X = np.random.RandomState(0).standard_normal((23, 3))
Y = np.sin(X[:, :2])

PARTS = ("Workspace", "check_data", "check_state", "check_steps", "prepared")


@pytest.fixture
def made(monkeypatch):
    """Counts of the parts of calls that were made or checked, by their names in the modules that
    make them."""
    counts = collections.Counter()
    for module, name in itertools.product((fused_backend, preparation), PARTS):
        if right := getattr(module, name, None):
            monkeypatch.setattr(
                module, name, lambda *a, n=name, right=right: counts.update([n]) or right(*a)
            )
    kit.clear()
    chunks_of(monkeypatch, 10**6)  # whatever time they take
    return counts


STOPS = [None, Stop(validation=(X[:5], Y[:5]), patience=10**6), Stop(restore_best=True)]


@pytest.mark.parametrize("stop", [*STOPS, Stop(validation=0.2, restore_best=True)])
@pytest.mark.parametrize(
    "optimizer", [Adam(), SGD(sequential=True)], ids=lambda optimizer: optimizer.name
)
@pytest.mark.parametrize(
    "options", [{"batch_size": None}, {"shuffle": False, "batch_size": 5}, {"batch_size": 5}]
)
def test_no_epoch_prepares_what_an_earlier_one_has(made, stop, optimizer, options):
    """With a callback, for which calls of the back end end with each epoch."""

    def parts(epochs):
        made.clear()
        shared = {"optimizer": optimizer, "seed": 0, "callbacks": [lambda progress: None]}
        train(NETWORK, X, Y, epochs=epochs, **shared, stop=stop, **options)
        return {name: made[name] for name in PARTS}

    first, few, many = (parts(epochs) for epochs in (2, 3, 30))
    assert 1 <= first["Workspace"] <= 2  # one to train and one to score
    assert few["Workspace"] == 0  # the next training has those of the last one
    if options == {"batch_size": 5}:  # each epoch has its own order of rows
        assert many["check_steps"] == 30
        few = {
            name: many[name] if name in ("check_steps", "prepared") else n
            for name, n in few.items()
        }
    assert many == few


def problem(seed=0, n=8):
    """Parameters, and six steps on `n` rows in full batches."""
    random_state = np.random.RandomState(seed)
    state = StepState.create(NETWORK.init_params(random_state, np.float64), 2)
    rows = random_state.permutation(n)
    return state, full_batches(n, 6)._replace(rows=rows, learning_rate=random_state.rand(6))


def task_of(n=20, optimizer=Adam(), alpha=0.1):  # noqa: B008 - it is a value
    return Task(
        Network((3, 4, 2), "tanh"), optimizer, Data(X[:n].copy(), Y[:n].copy(), np.ones(n)), alpha
    )


def trained(task, state, steps):
    assert get_backend("numba").train_steps(task, state, steps) == 6
    return all_bits(state.vectors, state.beta_products, steps.loss)


@pytest.fixture
def known():
    """A task, a state and steps that the back end has seen."""
    task = task_of()
    state, steps = problem()
    trained(task, state, steps)
    return task, state, steps


def test_other_arrays_of_the_same_task_give_their_own_bits():
    """Other states, other steps, more rows in a batch, in turn."""
    task = task_of()
    backend = get_backend("numba")
    for seed, n in ((0, 8), (1, 8), (0, 8), (2, 20), (3, 5)):
        fresh = task_of()
        assert trained(task, *problem(seed, n)) == trained(fresh, *problem(seed, n))
        params = problem(seed)[0].params
        loss, gradient = backend.loss_and_gradient(NETWORK, params, task.data, 0.1)
        written = np.empty_like(params)
        assert backend.loss(task, params) == backend.loss(fresh, params) == loss
        assert backend.loss(task, params, written) == loss
        np.testing.assert_array_equal(written, gradient)


@pytest.mark.parametrize("same_task", [True, False])
@pytest.mark.parametrize(
    ("name", "value"), [("rows", 20), ("rows", -1), ("start", -1), ("stop", 9), ("stop", 2**62)]
)
def test_numbers_of_rows_are_looked_at_again_where_they_have_changed(name, value, same_task, known):
    task, state, steps = known
    task = task if same_task else task_of()
    getattr(steps, name)[2] = value
    with pytest.raises(ValueError, match=rf"the steps take rows? .*{value}"):
        trained(task, state, steps)
    # other rows, which are there
    getattr(steps, name)[2] = {"rows": 1, "start": 1, "stop": 7}[name]
    assert trained(task, problem()[0], steps) == trained(task_of(), problem()[0], steps)


def test_numbers_of_rows_that_were_there_are_refused_where_there_are_fewer():
    state, steps = problem(n=20)
    twin, equal_steps = problem(n=20)
    trained(task_of(), state, steps)
    for each in (equal_steps, steps):
        with pytest.raises(ValueError, match="the steps take row 19; the data's rows are 0 to 18"):
            trained(task_of(19), twin, each)


def test_other_rows_of_the_same_steps_are_taken(known):
    task, state, steps = known
    twin = state.copy()
    backwards = steps.rows[::-1].copy()
    found = trained(task, state, steps._replace(rows=backwards))
    assert found == trained(task_of(), twin, problem()[1]._replace(rows=backwards))
    with pytest.raises(ValueError, match="the steps take rows 0 to 8 of 7"):
        trained(task, state, steps._replace(rows=steps.rows[:7].copy()))


@pytest.mark.parametrize("name", ["storage", "beta_products"])
def test_arrays_of_a_state_are_looked_at_again_where_they_are_others(name, known):
    task, state, steps = known
    setattr(state, name, getattr(state, name)[..., :1].copy())
    with pytest.raises(ValueError, match=f"{name} must be an array"):
        trained(task, state, steps)


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda task: pickle.loads(pickle.dumps(task))]
)
def test_a_copy_of_a_task_begins_with_nothing_prepared(twin):
    """Addresses of one task's arrays must not be taken for another's."""
    task = task_of()
    expected = trained(task, *problem())
    assert task.kept
    other = twin(task)
    assert not other.kept
    assert trained(other, *problem()) == expected


def test_threads_may_share_a_task():
    task = task_of()
    backend = get_backend("numba")

    def work(seed):
        state, steps = problem(seed)
        found = [backend.loss(task, state.params)]
        return found + trained(task, state, steps)

    expected = [work(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, [0, 1, 2, 3] * 100)) == expected * 100


def test_the_formulas_of_one_task_are_not_those_of_the_next(made):
    """One workspace serves all of them, in turn, whose networks are equal; a loss with a penalty of
    its own, too."""
    backend = get_backend("numba")
    cases = [(Adam(), 0.1), (Adam(), 0.1), (Adam(), 0.3), (Adam(beta_1=0.5), 0.3), (Adam(), 0.1)]
    found = [trained(task_of(20, *case), *problem()) for case in cases]
    for case, expected in zip(cases, found, strict=True):
        backend.loss_and_gradient(NETWORK, problem()[0].params, task_of(8).data, 0.7)
        assert trained(task_of(20, *case), *problem()) == expected
    assert found[0] == found[1] == found[4]
    assert len(set(map(tuple, found))) == 3
    assert made["Workspace"] == 1


def test_a_training_that_is_over_keeps_no_array_alive():
    task = task_of()
    state, steps = problem()
    trained(task, state, steps)
    arrays = [weakref.ref(array) for array in (*task.data, state.storage, state.beta_products)]
    del task, state, steps
    assert [array() for array in arrays] == [None] * 5
