"""Many results in one file: they come back to the bit; files that are damaged, or small and name
much, are refused."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from bits import assert_same_params, assert_same_result, assert_same_results, bits
from counted import counted_calls
from flipped import flipped
from memory_of_files import little_memory
from model_files import parts_of, parts_of_many, write, write_many
from watched import watch

import fastnn
from fastnn import SGD, Adam, ManyResult, ModelFileError, Network, ReduceRate, Stop, train_many
from fastnn.files import archive
from fastnn.files import many as many_files
from fastnn.files.load import kind_of
from fastnn.schedules import Schedule

RANDOM = np.random.RandomState(2)
X = RANDOM.rand(23, 3)
Y = RANDOM.rand(23, 1)
NETWORK = Network((3, 4, 1), "tanh")
WIDE = Network((3, 7, 2, 1), ("relu", "tanh"), bias="scalar")

RESTORING = Stop(validation=0.3, patience=1, restore_best=True)
CASES = {
    "a block": {"seed": range(5), "epochs": [3, 4, 1, 3, 0]},
    "mini-batches": {"seed": range(5), "epochs": 3, "batch_size": 5, "optimizer": Adam(0.01)},
    "one": {"n": 1, "epochs": 1},
    "alike": {"seed": [1, 1, 1], "epochs": 2},
    "mixed": {
        "networks": [NETWORK, WIDE, NETWORK, WIDE],
        "optimizer": [SGD(0.1), Adam(), SGD(0.1, momentum=0.9), Adam(sequential=True)],
        "stop": [Stop(), RESTORING, Stop(monitor="r2", restore_best=True), None],
        "rows": [None, None, np.arange(9), np.array([1, 1, 2])],
        "alpha": [0.0, 0.1, 0.2, 0.0],
        "learning_rate": [0.1, fastnn.cosine(0.1, 9), lambda step: 0.1, 1e308],
        "epochs": [3, 9, 2, 4],
        "seed": 3,
        "X": [X, X.astype(np.float32), X, X],
    },
    "two dtypes": {"seed": range(4), "epochs": 2, "X": [X, X.astype(np.float32)] * 2},
    "restored": {
        "seed": range(4),
        "epochs": 30,
        "optimizer": Adam(0.5),
        "stop": replace(RESTORING, patience=None),
    },
    "reduced": {
        "seed": range(3),
        "epochs": 9,
        "stop": Stop(patience=9, tol=1.0, reduce=ReduceRate(0.5, patience=1)),
    },
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "many.npz"


def go(case, backend="numpy", **options):
    return train_many(
        **{"networks": NETWORK, "X": X, "Y": Y} | CASES[case] | options, backend=backend
    )


def saved(many, path, **options):
    many.save(path, **options)
    return fastnn.load(path)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "many.npz"
    go("mixed").save(path)
    return path.read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_comes_back(path, case, backend, monkeypatch):
    """A result is made when it is asked for."""
    many = go(case, backend)
    made = watch(monkeypatch, many_files, "result_of")
    again = saved(many, path)
    assert isinstance(again, ManyResult)
    for one, other in zip(again.params, many.params, strict=True):
        assert bits(one) == bits(other)
    for name in ("loss", "seconds"):
        assert bits(getattr(again.history, name)) == bits(getattr(many.history, name))
    assert bits(again.predict(X)) == bits(many.predict(X))
    assert again.stop_reason.tolist() == many.stop_reason.tolist()
    assert again.n_epochs.tolist() == many.n_epochs.tolist()
    assert not made
    assert_same_result(again[-1], many[-1])
    assert len(made) == 1
    assert_same_results(again, many)
    np.testing.assert_array_equal(again.scores, many.scores)
    assert [one.backend for one in again] == [one.backend.name for one in many]
    again.save(path)
    assert_same_result(fastnn.load(path)[-1], many[-1])


def test_trainings_go_on_from_a_file_bit_for_bit(path, backend):
    states = [result.state for result in saved(go("mini-batches", backend), path)]
    more = train_many(NETWORK, X, Y, epochs=2, resume=states, backend=backend)
    assert_same_params(more, go("mini-batches", backend, epochs=5))


@pytest.mark.parametrize("case", ["a block", "mixed"])
def test_networks_alone_predict(path, case):
    many = go(case)
    again = saved(many, path, state=False)
    assert np.array_equal(again.predict(X), many.predict(X))
    assert again.stop_reason.tolist() == many.stop_reason.tolist()
    with pytest.raises(ValueError, match="no row order and no generator"):
        train_many(NETWORK, X, Y, resume=[result.state for result in again], epochs=1)
    with pytest.raises(ValueError, match=r"say save\(path, state=False\)"):
        again.save(path)
    assert_same_params(saved(again, path, state=False)[1], many[1])
    words = r"networks alone, as from a file of save\(path, state=False\)"
    for call in (again.best, again.plot):
        with pytest.raises(ValueError, match=words):
            call()
    assert repr(again) == f"<ManyResult: members {len(many)}, state none>"
    assert "state" in again._repr_html_()


@dataclass(frozen=True)
class Stairs(Schedule):
    steps: dict = field(default_factory=dict)

    def rates(self, steps):
        return np.array([self.steps.get(str(step), self.learning_rate) for step in steps])


def test_settings_of_the_users_own_come_back(path):
    rates = [Stairs(0.1, {"1": 0.5, "2": 0.2}), 0.1, fastnn.step_decay(0.1, every=2)]
    many = train_many(NETWORK, X, Y, seed=0, learning_rate=rates, epochs=3, optimizer=SGD())
    assert_same_results(saved(many, path), many)


def test_members_that_a_callback_has_ended_come_back(path):
    options = {"epochs": 9, "stop": Stop(patience=3), "callbacks": [lambda progress: True]}
    many = train_many(NETWORK, X, Y, n=9, n_jobs=1, **options)
    assert_same_results(saved(many, path), many)


def test_what_could_not_be_read_again_is_not_written(path, monkeypatch):
    many = go("a block")
    state = many[1].state.copy()
    state.counters["mine"] = 3
    changed = ManyResult([many[0], replace(many[1], state=state)])
    no_place = "member {}: there is no place in a file for 'counters.{}"
    with pytest.raises(ValueError, match=no_place.format(1, "mine' of its state")):
        changed.save(path)
    settings = Stairs(0.1, {f"{k}": 0.1 for k in range(200)})
    changed = train_many(NETWORK, X, Y, seed=0, n=1, optimizer=SGD(settings), epochs=1)
    with pytest.raises(ValueError, match=no_place.format(0, "optimizer.learn")):
        changed.save(path)
    monkeypatch.setattr(archive, "MOST_VALUES", 0)
    monkeypatch.setattr(archive, "BYTES_A_VALUE", 1000)
    words = "5 members differ in too many ways for one file: save them in several"
    with pytest.raises(ValueError, match=words):
        many.save(path)
    assert not path.exists()


def test_numpy_reads_the_file(path, content):
    """What takes one result says that there are several."""
    header, values, arrays = parts_of_many(content)
    assert (header["format"], header["members"]) == ("fastnn many", 4)
    assert {"network", "counters.alpha", "random_state.pos", "t"} <= values["facts"].keys()
    assert arrays["which"].shape == (len(header["differ"]), 4)
    path.write_bytes(content)
    with pytest.raises(
        ModelFileError, match=r"it holds 4 results: take one, fastnn\.load\(path\)\[i\]"
    ):
        kind_of(path)


def test_thousands_are_saved_and_loaded_in_little_work_and_space(path):
    """Per member: some calls of functions, no entry of the archive, and nothing that members have
    in common."""
    m = 3000
    many = train_many(NETWORK, X, Y, seed=range(m), epochs=50, optimizer=Adam(), batch_size=8)
    with counted_calls() as saving:
        many.save(path)
    with counted_calls() as loading:
        again = fastnn.load(path)
    assert saving.n < 600 * m
    assert loading.n < 20 * m
    last = many[-1]
    words = last.state.random_state["state"]["key"]
    arrays = (last.state.vectors, last.history.loss, last.history.learning_rate, words)
    assert path.stat().st_size < 1.1 * m * (sum(array.nbytes for array in arrays) + len(X))
    assert_same_params(again[m - 1], last)
    again = again[-1:]  # lets go of the others
    many.save(path, state=False)
    assert path.stat().st_size < 1.05 * many.params.nbytes


def refused(path, match):
    with pytest.raises(ModelFileError, match=match) as error:
        fastnn.load(path)
    assert str(path) in str(error.value)


def test_a_flipped_bit_is_found_or_meant_nothing(path, content):
    path.write_bytes(content)
    good = fastnn.load(path)
    found = harmless = 0
    for i in range(0, len(content), 101):
        path.write_bytes(flipped(content, i))
        try:
            many = fastnn.load(path)
        except ModelFileError:
            found += 1
        else:
            harmless += 1
            assert_same_results(many, good)
    assert found > 5 * harmless


DAMAGES = {
    "header": {
        "members": [0, -1, 3, 5, 10**9, 4.0, "4", None, True],
        "differ": [[], ["t"], ["nothing"] * 30, None, 3],
        "format_version": [2],
    },
    "facts": {  # others: as in files of one result, in tests/files/test_refused_files.py
        "network": [None, {}, {"sizes": [3] * 10**5}],
        "dtype": ["object", 3],
        "t": [-1, 1.0],
        "counters.optimizer.learning_rate.more": [0.1],
    },
    "sizes": {"loss": [[-1], [10**18], ["3"], [True], None, 3, []]},
}
WORDS = {"header": "damaged|which reads format 1", "facts": "damaged|member", "sizes": "damaged"}


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        (part, name, value)
        for part, names in DAMAGES.items()
        for name, values in names.items()
        for value in values
    ],
)
def test_headers_and_tables_that_do_not_fit_are_refused(path, content, part, name, value):
    header, table, arrays = parts_of_many(content)
    write_many(path, header, table, arrays)
    fastnn.load(path)
    changed = header if part == "header" else table[part]
    changed[name] = [value] * len(changed.get(name, [0])) if part == "facts" else value
    write_many(path, header, table, arrays)
    refused(path, WORDS[part])
    if name in ("network", "t", "dtype"):
        del changed[name]
        write_many(path, header, table, arrays)
        refused(path, WORDS[part])


ARRAYS = {
    "one member less": ("which", lambda a: a[:, 1:], "its table is"),
    "one column less": ("which", lambda a: a[1:], "its table is"),
    "a value that is not there": ("which", lambda a: a + 1, "a member has value"),
    "signed": ("which", lambda a: a.astype(np.int64), "its table is"),
    "no values": ("values", lambda a: a[:0], "damaged"),
    "values of another kind": ("values", lambda a: np.frombuffer(b"[1, 2]", np.uint8), "damaged"),
    "less numbers": ("vectors", lambda a: a[1:], "vectors has .* numbers, not those of its sizes"),
    "two dimensions": ("loss", lambda a: a[None], "loss has .* numbers"),
    "NaN": ("vectors", lambda a: a * np.nan, "member 0: damaged: params must be finite"),
    "integers": (
        "vectors",
        lambda a: a.astype(np.int64),
        "vectors is int64, not float32 or float64",
    ),
    "rows of another kind": ("order", lambda a: a.astype(np.int64), "order is int64, not uint8"),
    "a generator of another kind": (
        "random_state",
        lambda a: a.astype(np.int64),
        "random_state is int64, not uint32",
    ),
    "no generator": ("random_state", lambda a: None, r"lacks \['random_state'\]"),
    "objects": ("loss", lambda a: a.astype(object), "loss.npy holds object"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_do_not_fit_are_refused(path, content, case):
    header, arrays = parts_of(content)
    name, change, match = ARRAYS[case]
    changed = arrays | {name: change(arrays[name])}
    write(path, header, {key: value for key, value in changed.items() if value is not None})
    refused(path, match)


ONE_COLUMN = np.linspace(-1, 1, 20)[:, None]
SMALL = {"networks": Network((1, 3, 1), "tanh"), "epochs": 2}


def taken_apart(path, state=True, X=ONE_COLUMN, **options):
    """Header, table, and arrays of a good file, of three members that are alike."""
    train_many(X=X, Y=X[:, :1] ** 2, **SMALL | {"seed": [0] * 3} | options).save(path, state=state)
    return parts_of_many(path.read_bytes())


def refused_in_little_memory(path, why):
    with little_memory(path):
        refused(path, f"damaged: {why}")


def name_members(header, arrays, m):
    """Say that there are m members, all of them like the first."""
    header["members"], arrays["which"] = m, np.repeat(arrays["which"][:, :1], m, axis=1)


@pytest.mark.parametrize("prefix", ["x", "counters.x", "counters.optimizer.x"])
def test_columns_that_save_does_not_write_are_refused(path, prefix):
    header, table, arrays = taken_apart(path)
    name_members(header, arrays, 20_000)
    table["facts"] |= {f"{prefix}{k}": [0] for k in range(300)}
    write_many(path, header, table, arrays)
    refused_in_little_memory(path, "its table has 3")


@pytest.mark.parametrize("m", [3, 8])
def test_networks_of_many_layers(path, m):
    """They are made when they are asked for; where there are more numbers than a file may have,
    they are refused."""
    header, table, arrays = taken_apart(path, state=False)
    n = 30_000
    table["facts"] |= {
        "network": [table["facts"]["network"][0] | {"sizes": [1] * n}] * m,
        "n_params": [2 * (n - 1)],
    }
    table["sizes"], arrays["params"] = {"params": [2 * (n - 1)]}, np.zeros(2 * (n - 1))
    arrays["which"] = np.uint8([range(1, m + 1)])
    header["members"] = m
    header["differ"] = ["network"]
    write_many(path, header, table, arrays)
    if m == 8:
        refused_in_little_memory(path, "it has more values than a file of its size may have")
        return
    with little_memory(path):
        many = fastnn.load(path)
    assert many[0].network.n_layers == n - 1


@pytest.mark.parametrize("value", [b"{}", b"[]", b'{"a":{}}', b'"ab"', b"0.5"])
def test_a_table_of_many_values_is_refused_before_it_is_parsed(path, value):
    header, _, arrays = taken_apart(path)
    write_many(
        path,
        header,
        b'{"facts":{"t":[' + b",".join([value] * 600_000) + b']},"sizes":{}}',
        arrays,
    )
    refused_in_little_memory(path, "it has more values than a file of its size may have")


@pytest.mark.parametrize("state", [True, False])
def test_values_that_members_share_are_not_theirs_each(path, state):
    header, table, arrays = taken_apart(path, state=state)
    name_members(header, arrays, 200_000)
    write_many(path, header, table, arrays)
    with little_memory(path):
        many = fastnn.load(path)
    assert len(many) == 200_000
    assert many[0].params.tobytes() == arrays["vectors" if state else "params"][:10].tobytes()
    assert_same_params(many[-1], many[0])


COLUMN = {"networks": Network((1, 1)), "X": np.zeros((20_000, 1), np.float32)}
BROAD = {"networks": Network((1000, 10, 1)), "X": np.zeros((4, 1000))}
SHARED = {
    "vectors": BROAD | {"stop": Stop(validation=0.5)},
    "parameters": BROAD | {"stop": Stop(validation=0.5)},
    "best vectors": BROAD | {"stop": Stop(validation=0.5, restore_best=True, patience=9)},
    "an order": COLUMN | {"batch_size": 10_000},
    "rows for validation": COLUMN | {"stop": Stop(validation=0.5)},
}


@pytest.mark.parametrize("case", SHARED)
def test_what_members_share_is_made_once(path, case):
    """Loading and all states together take no more than the file, however many members refer to the
    same arrays."""
    options = SHARED[case] | {"optimizer": Adam(), "seed": [0, 1], "epochs": 1}
    header, table, arrays = taken_apart(path, state=case != "parameters", **options)
    name_members(header, arrays, 500)
    write_many(path, header, table, arrays)
    with little_memory(path):
        many = fastnn.load(path)
        states = [result.state for result in many]
    for name in ("storage", "index", "validation_rows", "best_params"):
        first = getattr(states[0], name)
        last = getattr(states[-1], name)
        if first is not None:
            assert np.shares_memory(first, last), name
            assert not last.flags.writeable, name
