"""`rows` and `validation_rows`: which of X's rows, copied or not. Wherever a training on some is
cut: test_rules.py."""

import numpy as np
import pytest
from bits import assert_same_params, assert_same_result, bits, result_bits
from good_input import WEIGHT, X, Y
from small_training import NETWORK, Recorder

from fastnn import Adam, Stop, load, train


def test_steps_take_rows_of_the_data_itself():
    recorder = Recorder()
    rows = np.array([3, 11, 3, 7, 0])
    result = train(NETWORK, X, Y, rows=rows, batch_size=2, epochs=30, seed=1, backend=recorder)
    assert np.shares_memory(recorder.data.X, X)
    assert np.shares_memory(recorder.data.Y, Y)
    epochs = np.concatenate(recorder.rows).reshape(30, 5)
    assert (np.sort(epochs) == np.sort(rows)).all()
    assert (rows[result.state.index] == epochs[-1]).all()
    assert sorted(result.state.index) == [0, 1, 2, 3, 4]


def test_rows_are_looked_at_once(backend):
    rows = np.arange(8)

    def change(progress):
        rows[:] = 10**6

    given = {"epochs": 3, "batch_size": 3, "seed": 1, "backend": backend}
    result = train(NETWORK, X, Y, rows=rows, callbacks=[change], **given)
    assert_same_params(result, train(NETWORK, X, Y, rows=np.arange(8), **given))


@pytest.mark.parametrize(
    "options", [{}, {"batch_size": 4, "alpha": 0.1}, {"batch_size": 4, "shuffle": False}], ids=str
)
def test_training_on_rows_is_training_on_a_copy_of_them(backend, options):
    rows = np.array([3, 11, 3, 7, 0, 3])
    options = {"epochs": 3, "seed": 1, "backend": backend, **options}
    copy = train(NETWORK, X[rows], Y[rows], **options)
    found = train(NETWORK, X, Y, rows=rows, **options)
    assert found.state.counters.pop("rows")
    assert result_bits(found) == result_bits(copy)


@pytest.mark.parametrize(
    "rows", [range(2, 9), [*range(2, 9)], np.arange(2, 9, dtype=np.uint8), np.arange(2, 16)[:7]]
)
def test_numbers_of_any_kind(rows):
    def params(rows):
        return bits(train(NETWORK, X, Y, rows=rows, epochs=2, seed=1).params)

    assert params(rows) == params(np.arange(2, 9)) != params(np.arange(7))


@pytest.mark.parametrize(
    "options", [{}, {"batch_size": 4}, {"batch_size": 4, "sample_weight": WEIGHT}]
)
@pytest.mark.parametrize(
    "rules", [{}, {"patience": 1, "tol": 0.1}, {"monitor": "r2", "restore_best": True}]
)
def test_validation_rows_are_as_validation_data(backend, options, rules):
    train_on = np.array([8, 0, 3, 3, 5, 9])
    held_out = np.array([1, 10, 2, 10])
    weight = (options["sample_weight"][held_out],) if "sample_weight" in options else ()
    options = {"epochs": 20, "seed": 1, "backend": backend, "optimizer": Adam(0.1), **options}
    stop = Stop(validation=(X[held_out], Y[held_out], *weight), **rules)
    for given, rows in (
        ({"rows": train_on}, train_on),
        ({}, np.setdiff1d(np.arange(len(X)), held_out)),
    ):
        expected = train(NETWORK, X, Y, rows=rows, stop=stop, **options)
        found = train(
            NETWORK, X, Y, **given, validation_rows=held_out, stop=Stop(**rules), **options
        )
        assert_same_result(found, expected)
        assert len(found.history.validation_loss) == found.n_epochs
        assert found.stop_reason == ("validation" if "patience" in rules else "epochs")


def test_a_new_stream_has_validation_rows_of_its_own(backend):
    options = {"stop": Stop(restore_best=True, patience=50), "backend": backend}
    first = train(NETWORK, X, Y, validation_rows=[0, 1], epochs=30, seed=1, **options)
    later = first.resume(
        X, 2 * Y, epochs=2, new_rows=True, rows=[3, 4, 5], validation_rows=[8], **options
    )
    best = later.state.counters["best_score"]
    assert best == later.history.validation_loss.min() > first.state.counters["best_score"]
    assert sorted(later.state.index) == [0, 1, 2]


ROWS = np.array([1, 4, 4, 9, 2])
OTHER_ROWS = {
    "none of them": {},
    "others": {"rows": [1, 4, 4, 9, 3]},
    "the same in another order": {"rows": ROWS[::-1]},
    "more": {"rows": [*ROWS, 3]},
    "all but some": {"validation_rows": np.setdiff1d(np.arange(len(X)), ROWS)},
}


@pytest.mark.parametrize("given", OTHER_ROWS.values(), ids=OTHER_ROWS)
@pytest.mark.parametrize("saved", [True, False])
def test_other_rows_are_not_resumed(tmp_path, given, saved):
    result = train(NETWORK, X, Y, rows=ROWS, epochs=2, seed=1, backend="numpy")
    if saved:
        result.save(tmp_path / "x.npz")
        result = load(tmp_path / "x.npz")
    with pytest.raises(
        ValueError, match="its state was trained on other rows of X; give the same rows="
    ):
        result.resume(X, Y, epochs=1, **given)
    assert result.resume(X, Y, epochs=1, rows=list(ROWS)).n_epochs == 1
    assert result.resume(X, Y, epochs=1, new_rows=True, **given).n_epochs == 1
    everything = train(NETWORK, X, Y, epochs=2, seed=1, backend="numpy")
    with pytest.raises(ValueError, match="other rows of X"):
        everything.resume(X, Y, epochs=1, rows=np.zeros(len(X), int))
