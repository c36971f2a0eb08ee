"""The names of a frame's columns are kept, and compared wherever rows come in later: no column is
taken for another."""

import pickle
import re
import types

import numpy as np
import pytest

pytest.importorskip("pandas", reason="needs pandas")
pytest.importorskip("sklearn", reason="needs scikit-learn")

import pandas
from bits import assert_same_params, assert_same_result
from good_input import refusal
from model_files import parts_of_many, write_many

import fastnn
from fastnn import (
    MLPClassifier,
    MLPRegressor,
    Network,
    Population,
    Stop,
    loss_and_gradient,
    predict,
    train,
    train_many,
)

TABLE = np.random.RandomState(0).uniform(-1, 1, (8, 3))
Y = TABLE[:, 0] * TABLE[:, 1]
NAMES = ("income", "age", "rooms")
FRAME = pandas.DataFrame(TABLE, columns=list(NAMES))
OTHER_ORDER = FRAME[["income", "rooms", "age"]]
NETWORK = Network((3, 4, 1), "tanh")
IN_ANOTHER_ORDER = (
    ValueError,
    "X has the columns that were trained on, in another order: column 1 is 'rooms' and was 'age'; "
    "X[list(result.feature_names)] has them as they were",
)


def fit(X=FRAME, **options):
    return train(NETWORK, X, Y, **{"epochs": 2, "seed": 0, **options})


def names_of(results):
    return [result.feature_names for result in results]


def test_frames_with_other_columns_are_refused(backend):
    result = fit(backend=backend)
    assert result.feature_names == NAMES
    assert refusal(result.predict, OTHER_ORDER) == IN_ANOTHER_ORDER
    words = (
        "X has other columns than those that were trained on: it lacks 'age' and has besides "
        "'years'; result.feature_names has those that were, in their order"
    )
    assert refusal(result.predict, FRAME.rename(columns={"age": "years"})) == (ValueError, words)
    assert "it has besides 'Y'" in refusal(result.predict, FRAME.assign(Y=Y))[1]
    assert "it lacks 'rooms'" in refusal(result.predict, FRAME[["income", "age"]])[1]
    as_they_were = OTHER_ORDER[list(result.feature_names)]
    assert np.array_equal(result.predict(as_they_were), result.predict(FRAME))


def test_where_one_side_has_no_names_columns_go_by_position(backend):
    unnamed = pandas.DataFrame(TABLE)
    named = fit(FRAME, backend=backend)
    by_numbers = fit(unnamed, backend=backend)
    array = fit(TABLE, backend=backend)
    assert by_numbers.feature_names is array.feature_names is None
    for result in (named, by_numbers, array):
        for X in (FRAME, unnamed, TABLE, TABLE.tolist()):
            assert np.array_equal(result.predict(X), named.predict(FRAME))
    _, text = refusal(by_numbers.predict, unnamed[[1, 0, 2]])
    assert "in another order: column 0 is '1' and was '0'" in text
    by_position = predict(NETWORK, array.params, OTHER_ORDER.to_numpy(), backend=backend)
    assert np.array_equal(array.predict(OTHER_ORDER), by_position)
    of_no_training = predict(NETWORK, named.params, OTHER_ORDER, backend=backend)
    assert np.array_equal(of_no_training, by_position)
    assert loss_and_gradient(NETWORK, named.params, FRAME, Y)[0] > 0


def test_a_frame_that_goes_on_training_is_compared(backend):
    first = fit(backend=backend)
    whole = fit(backend=backend, epochs=5)
    for new_rows in (False, True):
        refused = refusal(first.resume, OTHER_ORDER, Y, epochs=3, new_rows=new_rows)
        assert refused == IN_ANOTHER_ORDER
    for X in (FRAME, TABLE):
        again = first.resume(X, Y, epochs=3)
        assert again.feature_names == NAMES
        assert_same_params(again, whole)
    assert fit(TABLE, backend=backend).resume(FRAME, Y, epochs=1).feature_names == NAMES


def test_validation_data_are_compared_and_callbacks_have_the_names():
    kind, text = refusal(fit, stop=Stop(validation=(OTHER_ORDER, Y)))
    assert (kind, text) == (ValueError, f"validation: {IN_ANOTHER_ORDER[1]}")
    seen = []
    look = [lambda progress: seen.append(progress.result().feature_names)]
    for X in (FRAME, TABLE):
        fit(stop=Stop(validation=(X, Y)), callbacks=look)
    assert seen == [NAMES] * 4


ALONE = {"stop": Stop(validation=0.25)}  # which no block of members does


@pytest.mark.parametrize("options", [{}, ALONE], ids=["in a block", "alone"])
def test_members_have_the_names(options):
    many = train_many(NETWORK, FRAME, Y, seed=range(3), epochs=2, **options)
    assert names_of(many) == [NAMES] * 3
    assert refusal(many.predict, OTHER_ORDER) == IN_ANOTHER_ORDER
    assert np.array_equal(many.predict(FRAME), many.predict(TABLE))
    assert_same_result(many[1], fit(seed=1, **options))
    go_on = {"resume": [result.state for result in many], "epochs": 1}
    assert names_of(train_many(NETWORK, TABLE, Y, **go_on)) == [NAMES] * 3
    kind, text = refusal(train_many, NETWORK, OTHER_ORDER, Y, **go_on)
    assert (kind, text.removeprefix("member 0: ")) == IN_ANOTHER_ORDER


@pytest.mark.parametrize("options", [{}, ALONE], ids=["in a block", "alone"])
def test_members_of_a_population_have_the_names(options):
    population = Population(NETWORK, FRAME, Y, seed=range(2), **options)
    for _ in range(2):
        population.advance(1)
        population.replace(1, by=0, learning_rate=0.1)
    assert names_of(population.values()) == [NAMES] * 2
    assert refusal(population.results().predict, OTHER_ORDER) == IN_ANOTHER_ORDER


@pytest.mark.parametrize("state", [True, False])
def test_files_keep_them(tmp_path, state):
    for i, X in enumerate((FRAME, TABLE)):
        result = fit(X)
        result.save(tmp_path / f"{i}.npz", state=state)
        again = fastnn.load(tmp_path / f"{i}.npz")
        assert again.feature_names == result.feature_names
        assert np.array_equal(again.predict(FRAME), result.predict(FRAME))
    assert refusal(fastnn.load(tmp_path / "0.npz").predict, OTHER_ORDER) == IN_ANOTHER_ORDER


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize(
    "frames", [FRAME, [FRAME, OTHER_ORDER, TABLE]], ids=["one frame", "one for each"]
)
def test_files_of_many_keep_them(tmp_path, state, frames):
    many = train_many(NETWORK, frames, Y, seed=range(3), epochs=2)
    reversed_order = FRAME[["rooms", "age", "income"]]
    many.save(tmp_path / "many.npz", state=state)
    again = fastnn.load(tmp_path / "many.npz")
    assert refusal(again.predict, reversed_order) == refusal(many.predict, reversed_order)
    names = [NAMES] * 3 if frames is FRAME else [NAMES, tuple(OTHER_ORDER), None]
    assert names_of(again) == names_of(many) == names
    # they share them
    assert (again[0].feature_names is again[2].feature_names) == (frames is FRAME)
    assert np.array_equal(again[[0, 2]].predict(FRAME), many.predict(TABLE)[[0, 2]])


DAMAGED = ['["a", "b"]', '["a", "b", 3]', '["a", "b", ["c"]]', "{}", "[[], [], []]", '["a']


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_names_are_refused(tmp_path, state, text):
    path = tmp_path / "bad.npz"
    names = np.frombuffer(text.encode(), np.uint8)
    fit().save(path, state=state)
    np.savez(path, **dict(np.load(path)) | {"feature_names": names})
    words = "bad.npz: damaged.*(names of 3 columns|one of its lists|than texts|string)"
    with pytest.raises(fastnn.ModelFileError, match=words):
        fastnn.load(path)


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_names_of_a_member_are_refused(tmp_path, state, text):
    path = tmp_path / "bad.npz"
    names = np.frombuffer(text.encode(), np.uint8)
    many = train_many(NETWORK, [FRAME, OTHER_ORDER, FRAME], Y, seed=range(3), epochs=2)
    many.save(path, state=state)
    header, table, arrays = parts_of_many(path.read_bytes())
    right, other = table["sizes"]["feature_names"]
    table["sizes"]["feature_names"] = [right, len(text)]
    arrays["feature_names"] = np.append(arrays["feature_names"][:-other], names)
    write_many(path, header, table, arrays)
    words = "bad.npz: member 1: (damaged|Unterminated string)"
    with pytest.raises(fastnn.ModelFileError, match=words):
        fastnn.load(path)


def test_estimators_hand_them_on_and_take_them_over():
    result = fit()
    mlp = MLPRegressor.from_result(result)
    assert mlp.feature_names_in_.tolist() == list(NAMES)
    assert "The feature names should match" in refusal(mlp.predict, OTHER_ORDER)[1]
    assert mlp.to_result().feature_names == NAMES
    labels = Network((3, 4, 2), output="softmax")
    classified = train(labels, FRAME, Y > 0, epochs=1, seed=0)
    assert MLPClassifier.from_result(classified, [0, 1]).to_result().feature_names == NAMES
    assert MLPRegressor.from_result(fit(TABLE)).to_result().feature_names is None


def test_a_state_with_names_that_are_none_is_damaged():
    """But that of version 0.2, which had no names, goes on."""
    older = pickle.loads(pickle.dumps(fit(TABLE).state))
    del older.feature_names
    assert train(NETWORK, FRAME, Y, epochs=1, resume=older).feature_names == NAMES
    state = fit().state
    for wrong in (list(NAMES), (1, 2, 3), NAMES[:2], "abc"):
        state.feature_names = wrong
        words = re.escape(f"no training leaves this feature_names: {wrong!r}")
        with pytest.raises(ValueError, match=words):
            state.check()


def test_frames_of_other_libraries_have_names_too():
    polars = types.SimpleNamespace(columns=["a", "b"], dtypes=["f64"] * 2)
    from fastnn.checking.values import column_names

    assert column_names(polars) == ("a", "b")
    assert column_names(pandas.DataFrame({"a": [1], 2: [2]})) == ("a", "2")
    assert column_names(pandas.DataFrame([[1, 2]])) is None
    assert column_names(TABLE) is column_names([[1.0]]) is None
