"""`rows` and `validation_rows`: a training on rows of X is one on a copy of these rows, to the last bit."""

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from bits import all_bits, assert_same_result, bits, history_bits, result_bits
from chunks import chunks_of
from good_input import WEIGHT, X, Y
from plain_rules import N, cases
from small_training import NETWORK, Recorder, SignalAt

from fastnn import SGD, Adam, InterruptWarning, Stop, load, train
from fastnn.backends import Data
from fastnn.training import exceptions


@st.composite
def drawn(draw):
    """A training, the rows that it is on, and what else is given."""
    pick = lambda *options: draw(st.sampled_from(options))  # noqa: E731
    case, r, n = draw(cases()), np.random.RandomState(draw(st.integers(0, 99))), draw(st.integers(5, 40))
    rows, weight = pick(r.randint(0, N, n), r.permutation(N)[:n]), case.data.sample_weight
    weight[rows[:4]] = 1  # some rows of weight, whichever are split off
    # rows whose weights are all 0, or too few of them, are refused in the same words, which has a test of its own
    hypothesis.assume(weight[rows].astype(bool).mean() > 0.7)
    options = {"optimizer": pick(Adam(0.05), SGD(0.2, momentum=0.9), SGD(lambda step: 0.3 / (1 + step)))}
    options |= {"batch_size": pick(None, 1, 4, 7, 100), "shuffle": pick(True, False), "alpha": pick(0.0, 0.1)}
    return case, rows, options | pick({}, {"sample_weight": None})


def ends(run):
    """All that a training gives, or the error that it ends with."""
    try:
        result = run()
    except ValueError as error:
        return type(error), str(error)
    found = result_bits(result)
    return {**found, "counters": {name: n for name, n in found["counters"].items() if name != "rows"}}


@hypothesis.settings(max_examples=60)
@hypothesis.given(drawn())
def test_training_on_rows_is_training_on_a_copy_of_them(backend, drawn):
    case, rows, options = drawn
    copies = Data(*(array[rows] for array in case.data))
    on_copy = ends(lambda: case._replace(data=copies).train(backend, **options))
    assert ends(lambda: case.train(backend, rows=rows, **options)) == on_copy


@hypothesis.settings(max_examples=25)
@hypothesis.given(drawn(), st.integers(0, 4), st.integers(1, 9), st.booleans())
def test_wherever_it_is_cut(backend, tmp_path_factory, drawn, first, n_chunks, in_chunks):
    case, rows, options = drawn
    stop = Stop(validation=0.2, restore_best=True) if case.validation == 0.3 else Stop()
    options |= {"rows": rows, "stop": stop, "epochs": 6}
    whole, path = case.train(backend, **options), tmp_path_factory.mktemp("rows") / "half.npz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exceptions, "_last_swallowed", -math.inf)
        if in_chunks:  # the first one is cut within an epoch
            chunks_of(patch, n_chunks)
            with pytest.warns(InterruptWarning):
                half = case.train(backend, **options, callbacks=[SignalAt(1)])
        else:
            half = case.train(backend, **options | {"epochs": first})
        half.save(path)
        kept = {"rows": rows, "stop": stop, "optimizer": options["optimizer"], "epochs": 6 - half.n_epochs}
        kept["sample_weight"] = options.get("sample_weight", case.data.sample_weight)
        rest = load(path).resume(case.data.X, case.data.Y, **kept, backend=backend)
    assert history_bits(half, rest) == history_bits(whole)
    assert all_bits(rest.params, rest.state.index) == all_bits(whole.params, whole.state.index)


def test_steps_take_rows_of_the_data_itself():
    recorder, rows = Recorder(), np.array([3, 11, 3, 7, 0])
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
    assert bits(result.params) == bits(train(NETWORK, X, Y, rows=np.arange(8), **given).params)


@pytest.mark.parametrize("rows", [range(2, 9), [*range(2, 9)], np.arange(2, 9, dtype=np.uint8), np.arange(2, 16)[:7]])
def test_numbers_of_any_kind(rows):
    params = lambda rows: bits(train(NETWORK, X, Y, rows=rows, epochs=2, seed=1).params)  # noqa: E731
    assert params(rows) == params(np.arange(2, 9)) != params(np.arange(7))


@pytest.mark.parametrize("options", [{}, {"batch_size": 4}, {"batch_size": 4, "sample_weight": WEIGHT}])
@pytest.mark.parametrize("rules", [{}, {"patience": 1, "tol": 0.1}, {"monitor": "r2", "restore_best": True}])
def test_validation_rows_are_as_validation_data(backend, options, rules):
    train_on, held_out = np.array([8, 0, 3, 3, 5, 9]), np.array([1, 10, 2, 10])
    weight = (options["sample_weight"][held_out],) if "sample_weight" in options else ()
    options = {"epochs": 20, "seed": 1, "backend": backend, "optimizer": Adam(0.1), **options}
    stop = Stop(validation=(X[held_out], Y[held_out], *weight), **rules)
    for given, rows in (({"rows": train_on}, train_on), ({}, np.setdiff1d(np.arange(len(X)), held_out))):
        expected = train(NETWORK, X, Y, rows=rows, stop=stop, **options)
        found = train(NETWORK, X, Y, **given, validation_rows=held_out, stop=Stop(**rules), **options)
        assert_same_result(found, expected)
        assert len(found.history.validation_loss) == found.n_epochs
        assert found.stop_reason == ("validation" if "patience" in rules else "epochs")


def test_a_new_stream_has_validation_rows_of_its_own(backend):
    options = {"stop": Stop(restore_best=True, patience=50), "backend": backend}
    first = train(NETWORK, X, Y, validation_rows=[0, 1], epochs=30, seed=1, **options)
    later = first.resume(X, 2 * Y, epochs=2, new_rows=True, rows=[3, 4, 5], validation_rows=[8], **options)
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
    with pytest.raises(ValueError, match="its state was trained on other rows of X; give the same rows="):
        result.resume(X, Y, epochs=1, **given)
    assert result.resume(X, Y, epochs=1, rows=list(ROWS)).n_epochs == 1
    assert result.resume(X, Y, epochs=1, new_rows=True, **given).n_epochs == 1
    everything = train(NETWORK, X, Y, epochs=2, seed=1, backend="numpy")
    with pytest.raises(ValueError, match="other rows of X"):
        everything.resume(X, Y, epochs=1, rows=np.zeros(len(X), int))
