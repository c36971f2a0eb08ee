"""Files of many results that are small and name much: refused, or read with 20 MB and ten times their size at most."""

import numpy as np
import pytest
from bits import assert_same_result, state_bits
from memory_of_files import little_memory
from model_files import parts_of_many, write_many

import fastnn
from fastnn import Adam, ModelFileError, Network, Stop, train_many

X = np.linspace(-1, 1, 20)[:, None]
M = 3
DIFFERENT = {"networks": Network((1, 3, 1), "tanh"), "seed": range(M), "epochs": 2}
SAME = {"networks": Network((1, 3, 1), "tanh"), "seed": [0] * M, "epochs": 2}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "many.npz"


def taken_apart(path, state=True, X=X, **options):
    """Header, table, and arrays of a good file."""
    train_many(X=X, Y=X[:, :1] ** 2, **options).save(path, state=state)
    return parts_of_many(path.read_bytes())


def name_members(header, arrays, m):
    """Say that there are m members, all of them like the first."""
    header["members"], arrays["which"] = m, np.repeat(arrays["which"][:, :1], m, axis=1)


def refused(path, why):
    with little_memory(path), pytest.raises(ModelFileError) as error:
        fastnn.load(path)
    assert f"damaged: {why}" in str(error.value)


@pytest.mark.parametrize("prefix", ["x", "counters.x", "counters.optimizer.x"])
def test_columns_that_save_does_not_write_are_refused(path, prefix):
    """A value that does not differ was a number for each member and column."""
    header, table, arrays = taken_apart(path, **SAME)
    name_members(header, arrays, 20_000)
    table["facts"] |= {f"{prefix}{k}": [0] for k in range(300)}
    write_many(path, header, table, arrays)
    refused(path, "its table has 3")


@pytest.mark.parametrize("sizes", [{"params": [10]}, {"params": [10], "loss": [10]}], ids=["in no table", "too many"])
def test_arrays_that_save_does_not_write_are_refused(path, sizes):
    header, table, arrays = taken_apart(path, state=False, **SAME)
    write_many(path, header, {**table, "sizes": sizes}, arrays | {"loss": np.zeros(10)})
    refused(path, "its table has 5 columns, lacks none and has the unexpected ['loss']")


def test_networks_of_many_layers_are_refused(path):
    """Each layer was an object."""
    header, table, arrays = taken_apart(path, state=False, **SAME)
    n = 30_000
    network = table["facts"]["network"][0] | {"sizes": [1] * n}
    table["facts"] |= {"network": [network] * 8, "n_params": [2 * (n - 1)]}
    table["sizes"], arrays["params"] = {"params": [2 * (n - 1)]}, np.zeros(2 * (n - 1))
    arrays["which"], header["members"], header["differ"] = np.uint8([range(1, 9)]), 8, ["network"]
    write_many(path, header, table, arrays)
    refused(path, "it has more values than a file of its size may have")


@pytest.mark.parametrize("value", [b"{}", b"[]", b'{"a":{}}', b'"ab"', b"0.5"])
def test_a_table_of_many_values_is_refused_before_it_is_parsed(path, value):
    header, _, arrays = taken_apart(path, **SAME)
    write_many(path, header, b'{"facts":{"t":[' + b",".join([value] * 1_000_000) + b']},"sizes":{}}', arrays)
    refused(path, "it has more values than a file of its size may have")


@pytest.mark.parametrize("state", [True, False])
def test_values_that_members_share_are_not_theirs_each(path, state):
    header, table, arrays = taken_apart(path, state=state, **SAME)
    name_members(header, arrays, 200_000)
    write_many(path, header, table, arrays)
    with little_memory(path):
        many = fastnn.load(path)
    assert len(many) == 200_000
    assert many[0].params.tobytes() == arrays["vectors" if state else "params"][:10].tobytes()
    assert many[-1].params.tobytes() == many[0].params.tobytes()


def test_networks_of_many_layers_are_made_when_they_are_asked_for(path):
    header, table, arrays = taken_apart(path, state=False, **SAME)
    n = 30_000
    table["facts"] |= {"network": [table["facts"]["network"][0] | {"sizes": [1] * n}] * 3, "n_params": [2 * (n - 1)]}
    table["sizes"], arrays["params"] = {"params": [2 * (n - 1)]}, np.zeros(2 * (n - 1))
    arrays["which"], header["differ"] = np.uint8([[1, 2, 3]]), ["network"]
    write_many(path, header, table, arrays)
    with little_memory(path):
        many = fastnn.load(path)
    assert many[0].network.n_layers == n - 1


SHARED = {
    "vectors": {"networks": Network((1000, 10, 1)), "X": np.zeros((2, 1000)), "stop": Stop(validation=0.5)},
    "best vectors": {
        "networks": Network((1000, 10, 1)),
        "X": np.zeros((4, 1000)),
        "stop": Stop(validation=0.5, restore_best=True, patience=9),
    },
    "an order": {"networks": Network((1, 1)), "X": np.zeros((20_000, 1), np.float32), "batch_size": 10_000},
    "rows for validation": {
        "networks": Network((1, 1)),
        "X": np.zeros((20_000, 1), np.float32),
        "stop": Stop(validation=0.5),
    },
}


@pytest.mark.parametrize("case", [*SHARED, "parameters"])
def test_what_members_share_is_made_once(path, case):
    """Loading and all states together take no more than the file, however many members refer to the same arrays."""
    options = SHARED.get(case, SHARED["vectors"]) | {"optimizer": Adam(), "seed": [0, 1], "epochs": 1}
    header, table, arrays = taken_apart(path, state=case != "parameters", **options)
    name_members(header, arrays, 500)
    write_many(path, header, table, arrays)
    with little_memory(path):
        many = fastnn.load(path)
        states = [result.state for result in many]
    for name in ("storage", "index", "validation_rows", "best_params"):
        first, last = getattr(states[0], name), getattr(states[-1], name)
        assert first is last is None or (np.shares_memory(first, last) and not last.flags.writeable), name


def test_members_that_share_nothing_have_arrays_of_their_own(path):
    train_many(X=X, Y=X**2, **DIFFERENT | {"batch_size": 8}).save(path)
    first, second = (result.state for result in fastnn.load(path)[:2])
    before = second.copy()
    first.vectors[:] = first.index[:] = 0
    assert state_bits(second) == state_bits(before)


def test_ten_thousand_members_that_share_an_order_of_rows(path):
    options = {"networks": Network((1, 1)), "X": X, "Y": X, "batch_size": None, "epochs": 1}
    many = train_many(seed=range(10_000), **options)
    many.save(path)
    with little_memory(path):
        again = fastnn.load(path)
    for k in (0, 5_000, -1):
        assert_same_result(again[k], many[k])
    some = slice(4_000, 4_003)
    more = train_many(**options, resume=[result.state for result in again[some]])
    assert more.params.tobytes() == train_many(**options | {"epochs": 2}, seed=range(4_000, 4_003)).params.tobytes()
