"""Trajectories: recorded, saved, done again, compared; what is no trajectory is refused."""

import io
import json
import zipfile

import numpy as np
import pytest

from fastnn import SGD, Adam, ModelFileError, Network, cosine, load, testing, train, workloads
from fastnn.network import ACTIVATIONS
from fastnn.reference import NumpyBackend
from fastnn.testing import Trajectory, compare, record

NETWORK = Network((3, 4, 2), "tanh")
X = np.random.RandomState(0).standard_normal((13, 3))
Y = np.sin(X[:, :2])
OPTIONS = {"optimizer": Adam(cosine(0.05, 20)), "batch_size": 5, "alpha": 0.1, "sample_weight": np.arange(13) % 4}


def recorded(backend="numpy", dtype=np.float64, **options):
    return record(NETWORK, X.astype(dtype), Y, backend=backend, **{"at": (1, 3, 9)} | OPTIONS | options)


class Shifted(NumpyBackend):
    """The reference, and from step 3 on another number in W of layer 1 [2, 1]: index 21."""

    name = "shifted"

    def __init__(self, size):
        self.size = size

    def train_steps(self, task, state, steps):
        n_good = super().train_steps(task, state, steps)
        if state.t == 3:
            state.params[21] *= 1 + self.size
        return n_good


def test_what_is_recorded_are_the_weights_of_a_training(backend, dtype):
    found = recorded(backend, dtype)
    assert found.params.shape == (3, NETWORK.n_params)
    assert (found.params.dtype, found.backend, found.about["numpy"]) == (dtype, backend, np.__version__)
    for epochs, row in ((1, 1), (3, 2)):
        result = train(NETWORK, X.astype(dtype), Y, epochs=epochs, seed=0, backend=backend, **OPTIONS)
        assert found.params[row].tobytes() == result.params.tobytes()


def test_there_and_back_and_again(tmp_path, backend, dtype):
    first = recorded(backend, dtype)
    first.save(tmp_path / "path.npz")
    loaded = Trajectory.load(tmp_path / "path.npz")
    assert compare(loaded, first).same_bits
    assert loaded.about == first.about
    again = loaded.again(backend)
    assert testing.assert_trajectories_match(again, first) < 0.5
    if backend == "numba":
        assert str(compare(again, first)) == "a (numba) and b (numba) have the same bits"
    other = loaded.again("numpy" if backend == "numba" else "numba")
    assert 0 < testing.assert_trajectories_match(other, first) < 0.5
    assert not compare(other, first).same_bits
    with np.load(tmp_path / "path.npz") as file:
        assert file["params"].tobytes() == first.params.tobytes()


def test_the_optimizer_comes_back_with_its_options(tmp_path):
    for optimizer in (SGD(0.1, 0.9, nesterov=True), Adam(0.1, sequential=True, beta_1=0.5)):
        first = recorded(optimizer=optimizer)
        first.save(tmp_path / "a")
        assert Trajectory.load(tmp_path / "a").course.optimizer == optimizer


def test_where_bits_differ_first():
    found = compare(recorded(Shifted(2**-50)), recorded())
    assert (found.same_bits, found.step, found.difference.where) == (False, 3, "W of layer 1 [2, 1]")
    assert 4 <= found.difference.ulp <= 8
    assert found.largest_ulp >= found.difference.ulp
    assert str(found).startswith("after 3 steps W of layer 1 [2, 1] is ")
    assert " in a (shifted) and " in str(found)
    assert "other numbers: 1 of 8 in W of layer 1" in str(found)


def test_another_loss_alone_is_a_difference():
    class Louder(NumpyBackend):
        def train_steps(self, task, state, steps):
            n_good = super().train_steps(task, state, steps)
            steps.loss[...] *= 2
            return n_good

    found = compare(recorded(Louder()), recorded())
    assert (found.same_bits, found.step, found.difference, found.largest_ulp) == (False, 0, None, 0)
    with pytest.raises(AssertionError, match=r"loss of numpy, step\[\d\]: .* where numpy, as expected has"):
        testing.assert_trajectories_match(recorded(Louder()), recorded())


def test_within_the_bound_or_not():
    testing.assert_trajectories_match(recorded(Shifted(2**-52)), recorded())
    with pytest.raises(AssertionError, match=r"after 3 steps W of layer 1 \[2, 1\] is .* on shifted and .* is allowed"):
        testing.assert_trajectories_match(recorded(Shifted(1e-9)), recorded())


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"seed": 1}, "initial parameters, row order"),
        ({"optimizer": SGD(0.05)}, "optimizer, learning rates"),
        ({"optimizer": Adam(cosine(0.05, 21))}, "learning rates"),
        ({"alpha": 0.0}, "alpha"),
        ({"sample_weight": None}, "data"),
        ({"dtype": np.float32}, "dtype, data, initial parameters"),
        ({"at": (1, 2, 9)}, "recorded steps"),
        ({"batch_size": 4}, "row order"),
    ],
)
def test_other_trainings_are_not_compared(other, differs):
    for check in (compare, testing.assert_trajectories_match):
        with pytest.raises(ValueError, match=f"not recordings of the same training: they differ in {differs}"):
            check(recorded(), recorded(**other))


def test_another_network_is_not_compared():
    other = recorded().course.params
    one, other = (record(Network((3, 4, 2), name), X, Y, at=[3], params=other) for name in ("tanh", "sigmoid"))
    with pytest.raises(ValueError, match=r"they differ in network$"):
        compare(one, other)


def test_a_workload_can_be_recorded():
    found = record(workloads.load("seed"), at=[5])
    assert found.course.network == workloads.load("seed").network


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"at": ()}, "at must be numbers of steps that ascend"),
        ({"at": (3, 3)}, "at must be numbers of steps that ascend, such as"),
        ({"at": (0, 3)}, r"at\[0\] must be at least 1"),
        ({"optimizer": SGD(1e200)}, "numpy diverges at step [1-3]"),
        ({"backend": "no such back end"}, "unknown backend"),
    ],
)
def test_what_cannot_be_recorded_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        recorded(**options)


# ---------------------------------------------------------------------------------------------------------------- files


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a good file."""
    path = tmp_path_factory.mktemp("good") / "path.npz"
    recorded().save(path)
    return path.read_bytes()


def changed(content, change):
    """The file with other members; `change(header, arrays)` works on them."""
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    out = io.BytesIO()
    np.savez(out, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    return out.getvalue()


def refused(path, match):
    with pytest.raises(ModelFileError, match=match) as error:
        Trajectory.load(path)
    assert str(path) in str(error.value)


ARRAYS = {
    "a row beyond the data": ("rows", lambda a: a + 13, "rows has a value that"),
    "a negative row": ("rows", lambda a: a - 1, "rows has a value that"),
    "rows that are no integers": ("rows", lambda a: a.astype(float), "rows is float64"),
    "a batch before the first row": ("start", lambda a: a - 1, "start has a value that"),
    "a batch that ends before it starts": ("start", lambda a: a + 10**6, "start has a value that"),
    "a batch beyond the rows": ("stop", lambda a: a + 100, "stop has a value that"),
    "a rate that is no number": ("learning_rate", lambda a: a * np.nan, "learning_rate has a value that"),
    "a negative rate": ("learning_rate", lambda a: a - 1, "learning_rate has a value that"),
    "a rate too few": ("learning_rate", lambda a: a[1:], "learning_rate is float64"),
    "times that descend": ("at", lambda a: a[::-1], "at has a value that"),
    "times beyond the steps": ("at", lambda a: a + 1, "at has a value that"),
    "no times": ("at", lambda a: a[:0], "params is float64"),
    "infinite weights": ("params", lambda a: a * np.inf, "params has a value that"),
    "a weight too few": ("params", lambda a: a[:, 1:], "params is float64"),
    "a loss that is no number": ("loss", lambda a: a * np.nan, "loss has a value that"),
    "initial weights that are no numbers": ("initial", lambda a: a * np.nan, "params must be finite"),
    "integers": ("initial", lambda a: a.astype(np.int64), "X is float64"),
    "data that are no numbers": ("X", lambda a: a * np.nan, "X must be finite"),
    "data of another dtype": ("X", lambda a: a.astype(np.float32), "X is float32"),
    "a target too few": ("Y", lambda a: a[1:], "Y is float64"),
    "negative sample weights": ("sample_weight", lambda a: a - 1, "must not be negative"),
    "no data": ("X", lambda a: None, r"lacks \['X'\]"),
    "something else": ("extra", lambda a: np.zeros(1), r"unexpected \['extra'\]"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_do_not_fit_are_refused(tmp_path, content, case):
    name, change, match = ARRAYS[case]

    def put(header, arrays):
        value = change(arrays.pop(name, None))
        if value is not None:
            arrays[name] = value

    (tmp_path / "a").write_bytes(changed(content, put))
    refused(tmp_path / "a", match)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network", None),
        ("network", {"sizes": [3, 5, 2]}),
        ("optimizer", {"name": "Nothing"}),
        ("optimizer", {"name": "Adam", "beta_1": 2}),
        ("optimizer", {"name": "Adam", "unknown": 2}),
        ("optimizer", []),
        ("alpha", -1),
        ("alpha", "0"),
        ("versions", 3),
        ("format_version", 2),
    ],
)
def test_headers_that_do_not_fit_are_refused(tmp_path, content, name, value):
    path = tmp_path / "a"
    path.write_bytes(changed(content, lambda header, arrays: None))
    Trajectory.load(path)
    path.write_bytes(changed(content, lambda header, arrays: header.update({name: value})))
    refused(path, "damaged|in format 2")


def test_damaged_bytes_are_refused_or_meant_nothing(tmp_path, content):
    path, good = tmp_path / "a", recorded()
    for n in (0, 4, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:n])
        refused(path, "damaged|not a fastnn trajectory file")
    found = 0
    for i in range(0, len(content), 53):
        path.write_bytes(content[:i] + bytes([content[i] ^ 1 << i % 8]) + content[i + 1 :])
        try:
            assert compare(Trajectory.load(path), good).same_bits
        except ModelFileError:
            found += 1
    assert found > 0.8 * len(content) / 53


def test_a_model_is_no_trajectory_and_the_other_way_round(tmp_path, content):
    (tmp_path / "trajectory").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"not a fastnn file .its header says that it is 'fastnn trajectory'"):
        load(tmp_path / "trajectory")
    train(NETWORK, X, Y, epochs=1, backend="numpy").save(tmp_path / "model")
    refused(tmp_path / "model", "not a fastnn trajectory file .its header says that it is 'fastnn'")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path / "zip", "not a fastnn trajectory file")
    with pytest.raises(FileNotFoundError):
        Trajectory.load(tmp_path / "nothing")


# --------------------------------------------------------------------------------------------------------------- golden


def golden():
    from golden import FOLDER

    return sorted(FOLDER.glob("*.npz"))


@pytest.mark.parametrize("path", golden(), ids=lambda path: path.stem)
def test_golden_trajectories(path, backend):
    """Both back ends compute today what the reference once computed from these numbers; nothing is drawn."""
    expected = Trajectory.load(path)
    assert (expected.backend, expected.at.tolist()) == ("numpy", [1, 10, 100])
    assert abs(expected.params[-1] - expected.course.params).max() > 0.05
    testing.assert_trajectories_match(expected.again(backend), expected)


def test_golden_trajectories_are_of_everything():
    """Every name is met that existed when they were written."""
    courses = [Trajectory.load(path).course for path in golden()]
    layers = [layer for course in courses for layer in course.network.layers]
    assert len(courses) >= 12
    assert len({layer.activation for layer in layers}) >= 12 <= len(ACTIVATIONS)
    assert len({course.network.loss for course in courses}) >= 6
    assert len({course.optimizer.name for course in courses}) >= 5
    assert {course.network.bias for course in courses} == {"vector", "scalar", "none"}
    assert {course.params.dtype.name for course in courses} == {"float32", "float64"}
    assert sum(path.stat().st_size for path in golden()) < 300_000
