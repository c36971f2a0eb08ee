"""Full disks and memory: whichever write or allocation fails, nothing is lost or half written.

SQLite's habit: a job is done again and again, and its n-th step fails, for n = 1, 2, ... until the
job has no more steps. What there was before is there each time, and the job can be done again.
"""

import errno
import functools
import os
import shutil

import failing
import numpy as np
import pytest
from kernel_cache import KERNELS, count_warnings, is_found

import fastnn
from fastnn import Adam, CsvLogger, LevenbergMarquardt, Network, Population, Stop, plotting, train
from fastnn.compiler import cache
from fastnn.files.export import FORMATS

NETWORK = Network((3, 4, 1), activation="tanh")
X = np.random.RandomState(0).uniform(-1, 1, (24, 3))
Y = np.sin(X[:, :1])
OPTIONS = {"optimizer": Adam(0.01), "batch_size": 8}


def learn(epochs=4, **options):
    return train(NETWORK, X, Y, epochs=epochs, **OPTIONS | {"seed": 0} | options)


def bits(result):
    """All of a result that a training goes on from."""
    state = result.state
    generator = state.random_state["state"]
    arrays = result.params, state.vectors, state.index, generator["key"]
    return [array.tobytes() for array in arrays], state.t, state.batch, generator["pos"]


@functools.cache
def trained(seed=0):
    return learn(seed=seed)


@functools.cache
def many(seed):
    return fastnn.train_many(NETWORK, X, Y, epochs=4, seed=[seed, 9], n_jobs=1, **OPTIONS)


@functools.cache
def estimator(seed):
    pytest.importorskip("sklearn")
    options = {"hidden_layer_sizes": (4,), "max_iter": 3, "tol": 9.0, "n_iter_no_change": 1}
    return fastnn.MLPRegressor(**options, random_state=seed).fit(X, Y[:, 0])


@functools.cache
def table(seed):
    pytest.importorskip("sklearn")
    return fastnn.TabularRegressor("fast", n_members=2, random_state=seed).fit(X, Y[:, 0])


@functools.cache
def figure(seed):
    pytest.importorskip("matplotlib")
    return trained(seed).plot()


WRITERS = {  # {name of a file: a function of its path and a seed that writes it}
    "result.npz": lambda path, seed: trained(seed).save(path),
    "network.npz": lambda path, seed: trained(seed).save(path, state=False),
    "many.npz": lambda path, seed: many(seed).save(path),
    "estimator.npz": lambda path, seed: estimator(seed).save(path),
    "table.npz": lambda path, seed: table(seed).save(path),
    "table.c": lambda path, seed: table(seed).export(path),
    "loss.png": lambda path, seed: plotting.save(figure(seed), path),
}
for form in FORMATS.values():
    WRITERS[f"network{form.suffix}"] = lambda path, seed: trained(seed).export(path)
READERS = {
    "result.npz": fastnn.load,
    "network.npz": fastnn.load,
    "many.npz": fastnn.load,
    "network.safetensors": fastnn.load,
    "estimator.npz": lambda path: fastnn.MLPRegressor.load(path),
    "table.npz": lambda path: fastnn.TabularRegressor.load(path),
}


def contents(folder):
    """{name of a file: its content}"""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return failing.Memory(tmp_path_factory.mktemp("memory"))


# ---------------------------------------------------------------------------------------- files


BY_OTHERS = ("loss.png", "network.onnx")
"""What matplotlib and onnx make, who have their own ways with allocations that fail."""
CASES = [(name, "disk") for name in WRITERS]
CASES += [(name, "memory") for name in WRITERS if name not in BY_OTHERS]


@pytest.mark.parametrize(("name", "what"), CASES)
def test_whatever_fails_while_files_are_written_the_old_ones_stay(name, what, tmp_path, memory):
    """All of them, and no others. The error of a disk is the system's, and names a path."""
    path = tmp_path / name
    write = WRITERS[name]
    write(path, 1)
    new = contents(tmp_path)
    write(path, 0)
    old = contents(tmp_path)
    assert old != new
    paths = [str(tmp_path / file) for file in new]
    n_failures = 0
    steps = failing.writes if what == "disk" else memory.allocations
    for error in failing.errors(steps, lambda: write(path, 1)):
        n_failures += 1
        if what == "disk":
            assert error.errno == errno.ENOSPC
            assert error.filename in paths
        else:
            assert isinstance(error, MemoryError)
        assert contents(tmp_path) == old
    assert n_failures > 4 or what == "memory"
    assert contents(tmp_path) == new


@pytest.mark.parametrize("what", ["disk", "memory"])
@pytest.mark.parametrize("name", READERS)
def test_whatever_fails_while_a_good_file_is_read_it_is_not_called_damaged(
    name, what, tmp_path, memory
):
    path = tmp_path / name
    WRITERS[name](path, 0)
    steps = failing.reads if what == "disk" else memory.allocations
    n_failures = 0
    for error in failing.errors(steps, lambda: READERS[name](path)):
        n_failures += 1
        assert isinstance(error, MemoryError if what == "memory" else OSError)
    assert n_failures > 1


def test_whatever_write_fails_the_last_checkpoint_stays(tmp_path):
    """A training that saves itself after each epoch goes on to the same bits, from the file too."""
    path = tmp_path / "checkpoint.npz"

    def save(progress):
        progress.result().save(path)

    def begin():
        path.unlink(missing_ok=True)
        learn(callbacks=[save])

    right = bits(learn())
    for error in failing.errors(failing.writes, begin):
        done = error.result
        assert bits(done.resume(X, Y, epochs=4 - done.n_epochs)) == right
        assert path.exists() == (done.n_epochs > 1)
        if path.exists():
            saved = fastnn.load(path)
            assert saved.n_epochs == done.n_epochs - 1
            assert bits(saved.resume(X, Y, epochs=4 - saved.n_epochs)) == right
    assert bits(fastnn.load(path)) == right


def test_whatever_write_fails_a_log_has_whole_rows(tmp_path):
    """The error has the training so far, which goes on, and in its history the rows that lack."""
    path = tmp_path / "log.csv"

    def log(**options):
        path.touch()
        callbacks = [CsvLogger(path), lambda progress: None]  # this one is called after each epoch
        return learn(callbacks=callbacks, **options)

    def begin():
        path.unlink(missing_ok=True)
        log()

    right = bits(log())
    header, *rows = path.read_bytes().splitlines(keepends=True)
    n_failures = 0
    for error in failing.errors(failing.writes, begin):
        n_failures += 1
        there = path.read_bytes().splitlines(keepends=True)
        logged = there[1:]
        assert there in ([], [header, *rows[: len(logged)]])
        if hasattr(error, "result"):
            done = error.result
            assert len(logged) in (0, done.n_epochs - 1)
            assert bits(log(epochs=4 - done.n_epochs, resume=done.state, seed=None)) == right
            assert path.read_bytes() == b"".join([header, *logged, *rows[done.n_epochs :]])
    assert n_failures > 4


def test_whatever_write_fails_the_kernel_cache_has_whole_files(folder):
    """There is one warning and no error, and the code that could not be kept is compiled anew."""
    warned = []

    def begin():
        shutil.rmtree(folder, ignore_errors=True)
        cache._errors.clear()
        cache._warned.clear()
        finds = [functools.partial(is_found, kernel) for kernel in KERNELS]
        warned[:] = count_warnings(*finds)

    n_failures = 0
    for error in failing.errors(failing.writes, begin):
        n_failures += 1
        assert error is None
        (text,) = warned
        assert os.strerror(errno.ENOSPC) in text
        assert {path.suffix for path in folder.iterdir()} == {".o"}
        assert sorted(map(is_found, KERNELS)) == [False, True, True, True]
        assert all(map(is_found, KERNELS))
    assert n_failures > len(KERNELS)
    assert warned == []


# ------------------------------------------------------------------------------------ trainings


STOP = Stop(validation=0.25, patience=5, restore_best=True)


def fitted(solver):
    """The weights that a solver of scikit-learn's learns."""
    pytest.importorskip("sklearn")
    options = {"hidden_layer_sizes": (4,), "max_iter": 3, "tol": 9.0, "n_iter_no_change": 1}
    model = fastnn.MLPRegressor(solver=solver, random_state=0, **options).fit(X, Y[:, 0])
    return [weights.tobytes() for weights in model.coefs_]


TRAININGS = {
    "train": lambda: bits(learn()),
    "train by rules": lambda: bits(learn(stop=STOP)),
    "train on threads": lambda: bits(learn(threads=2)),
    "train by NumPy": lambda: bits(learn(epochs=1, backend="numpy")),
    "least squares": lambda: bits(learn(optimizer=LevenbergMarquardt(), batch_size=None)),
    "resume": lambda: bits(trained().resume(X, Y, epochs=3)),
    "predict": lambda: trained().predict(X).tobytes(),
    "jacobian": lambda: trained().jacobian(X).tobytes(),
    "train_many": lambda: many.__wrapped__(0).params.tobytes(),
    "adam": lambda: fitted("adam"),
    "lbfgs": lambda: fitted("lbfgs"),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_whatever_allocation_fails_the_same_call_works_when_it_is_made_again(name, memory):
    """With the same bits; data, and the result that a training goes on from, are as they were."""
    call = TRAININGS[name]
    right = call()
    before = X.tobytes(), Y.tobytes(), bits(trained())
    n_failures = 0
    for error in failing.errors(memory.allocations, call):
        n_failures += 1
        assert isinstance(error, MemoryError)
        assert call() == right
        assert (X.tobytes(), Y.tobytes(), bits(trained())) == before
    assert n_failures > 1


def test_whatever_allocation_fails_all_members_of_a_population_stay_as_they_were(memory):
    def made():
        members = Population(NETWORK, X, Y, seed=range(3), **OPTIONS)
        members.advance(2)
        return members

    def look(members):
        return [bits(members[number]) for number in members.members]

    def advance():
        members.advance(3)

    before = look(made())
    whole = made()
    whole.advance(3)
    right = look(whole)
    members = made()
    n_failures = 0
    for error in failing.errors(memory.allocations, advance):
        n_failures += 1
        if error is None:  # what could not be freed is freed by the next call
            assert look(members) == right
            members = made()
        else:
            assert isinstance(error, MemoryError)
            assert look(members) == before
    assert n_failures > 10
    assert look(members) == right
