"""`rows` and `validation_rows`: a training on rows of X is one on a copy of these rows, to the last bit."""

import math
from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from bits import bits, history_bits, result_bits
from chunks import chunks_of
from good_input import WEIGHT, X, Y, assert_refused
from small_training import NETWORK, Recorder, SignalAt

from fastnn import SGD, Adam, InterruptWarning, Network, ReduceRate, Stop, load, train
from fastnn.training import exceptions
from fastnn.training import rows as subsets

N = 23


class Case(NamedTuple):
    """A training on some rows."""

    network: Network
    data: dict[str, Any]
    rows: np.ndarray
    options: dict[str, Any]

    def __repr__(self):  # instead of arrays
        return f"<{self.network}, rows {self.rows.tolist()}, {self.options}>"

    def on_rows(self, **options):
        return train(self.network, **self.data, rows=self.rows, **self.options | options)

    def on_copy(self, **options):
        copies = {name: array[self.rows] for name, array in self.data.items()}
        return train(self.network, **copies, **self.options | options)


def spread(Y, outputs):
    return float(abs(Y - outputs).max())


@st.composite
def cases(draw):
    def pick(*options):
        return draw(st.sampled_from(options))

    r, dtype = np.random.RandomState(draw(st.integers(0, 99))), pick(np.float64, np.float32)
    X = r.uniform(-1, 1, (N, 3)).astype(dtype)
    data = {"X": X, "Y": X[:, :2] * X[:, 1:]}
    n_rows = draw(st.integers(5, 40))
    rows = pick(r.randint(0, N, n_rows), r.permutation(N)[:n_rows])
    if pick(True, False):
        data["sample_weight"] = np.where(r.uniform(size=N) < 0.2, 0, r.uniform(0.5, 2, N)).astype(dtype)
        data["sample_weight"][rows[:4]] = 1  # some rows of weight, whichever are split off
    stop = Stop(
        validation=pick(None, 0.2, (X[:5] / 2, X[:5, :2])),
        monitor=pick("loss", "loss", "r2", spread),
        restore_best=pick(True, False),
        patience=pick(None, 2),
        tol=pick(None, 0.05),
        reduce=pick(None, ReduceRate(0.5, 1)),
    )
    # rows whose weights are all 0, or too few of them, are refused in the same words, which has a test of its own
    hypothesis.assume(data.get("sample_weight", np.ones(N))[rows].astype(bool).mean() > 0.7)
    options = {
        "optimizer": pick(Adam(0.05), SGD(0.2, momentum=0.9), SGD(lambda step: 0.3 / (1 + step))),
        "epochs": draw(st.integers(0, 7)),
        "batch_size": pick(None, 1, 4, 7, 100),
        "shuffle": pick(True, False),
        "alpha": pick(0.0, 0.1),
        "stop": stop,
        "seed": 5,
    }
    return Case(pick(NETWORK, Network((3, 4, 2), "relu", reduction="sum")), data, rows, options)


def ends(run):
    """All that a training gives, or the error that it ends with."""
    try:
        result = run()
    except ValueError as error:
        return type(error), str(error)
    found = result_bits(result)
    return {**found, "counters": {name: n for name, n in found["counters"].items() if name != "rows"}}


@hypothesis.settings(max_examples=60)
@hypothesis.given(cases())
def test_training_on_rows_is_training_on_a_copy_of_them(backend, case):
    assert ends(lambda: case.on_rows(backend=backend)) == ends(lambda: case.on_copy(backend=backend))


@hypothesis.settings(max_examples=25)
@hypothesis.given(cases(), st.integers(0, 4), st.integers(1, 9), st.booleans())
def test_wherever_it_is_cut(backend, tmp_path_factory, case, first, n_chunks, in_chunks):
    options = {"backend": backend, "stop": case.options["stop"]}
    options["stop"] = Stop(validation=0.2, restore_best=True) if options["stop"].validation == 0.2 else Stop()
    whole = case.on_rows(**options, epochs=6)
    path = tmp_path_factory.mktemp("rows") / "half.npz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exceptions, "_last_swallowed", -math.inf)
        if in_chunks:  # the first one is cut within an epoch
            chunks_of(patch, n_chunks)
            with pytest.warns(InterruptWarning):
                half = case.on_rows(**options, epochs=6, callbacks=[SignalAt(1)])
        else:
            half = case.on_rows(**options, epochs=first)
        half.save(path)
        given = case.data | {"rows": case.rows, "stop": options["stop"], "optimizer": case.options["optimizer"]}
        rest = load(path).resume(epochs=6 - half.n_epochs, backend=backend, **given)
    assert history_bits(half, rest) == history_bits(whole)
    assert bits(rest.params) == bits(whole.params)
    assert bits(rest.state.index) == bits(whole.state.index)


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
    rows, twin = np.arange(8), np.arange(8)

    def change(progress):
        rows[:] = 10**6

    result = train(NETWORK, X, Y, rows=rows, epochs=3, batch_size=3, seed=1, callbacks=[change], backend=backend)
    assert bits(result.params) == bits(
        train(NETWORK, X, Y, rows=twin, epochs=3, batch_size=3, seed=1, backend=backend).params
    )


@pytest.mark.parametrize("rows", [range(2, 9), [*range(2, 9)], np.arange(2, 9, dtype=np.uint8), np.arange(2, 16)[:7]])
def test_numbers_of_any_kind(rows):
    def params(rows):
        return bits(train(NETWORK, X, Y, rows=rows, epochs=2, seed=1, backend="numpy").params)

    assert params(rows) == params(np.arange(2, 9)) != params(np.arange(7))


@pytest.mark.parametrize("options", [{}, {"batch_size": 4}, {"batch_size": 4, "sample_weight": WEIGHT}])
@pytest.mark.parametrize("rules", [{}, {"patience": 1, "tol": 0.1}, {"monitor": "r2", "restore_best": True}])
def test_validation_rows_are_as_validation_data(backend, options, rules):
    train_on, held_out = np.array([8, 0, 3, 3, 5, 9]), np.array([1, 10, 2, 10])
    weight = (options["sample_weight"][held_out],) if "sample_weight" in options else ()
    options = {"epochs": 20, "seed": 1, "backend": backend, "optimizer": Adam(0.1), **options}
    stop = Stop(validation=(X[held_out], Y[held_out], *weight), **rules)
    expected = train(NETWORK, X, Y, rows=train_on, stop=stop, **options)
    found = train(NETWORK, X, Y, rows=train_on, validation_rows=held_out, stop=Stop(**rules), **options)
    assert result_bits(found) == result_bits(expected)
    assert len(found.history.validation_loss) == found.n_epochs
    assert found.stop_reason == ("validation" if "patience" in rules else "epochs")

    others = np.setdiff1d(np.arange(len(X)), held_out)
    expected = train(NETWORK, X, Y, rows=others, stop=stop, **options)
    found = train(NETWORK, X, Y, validation_rows=held_out, stop=Stop(**rules), **options)
    assert result_bits(found) == result_bits(expected)


def test_a_new_stream_has_validation_rows_of_its_own(backend):
    options = {"stop": Stop(restore_best=True, patience=50), "backend": backend}
    first = train(NETWORK, X, Y, validation_rows=[0, 1], epochs=30, seed=1, **options)
    later = first.resume(X, 2 * Y, epochs=2, new_rows=True, rows=[3, 4, 5], validation_rows=[8], **options)
    assert later.state.counters["best_score"] == later.history.validation_loss.min()
    assert later.state.counters["best_score"] > first.state.counters["best_score"]
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


OF_TYPES = [
    ({"rows": X[:, 0] > 0}, "rows must hold integers, the numbers of rows, not bool: say rows=np"),
    ({"rows": [True] * 12}, "not bool: say rows=np.flatnonzero(mask)"),
    ({"rows": [0.5, 1]}, "rows must hold integers, the numbers of rows, not float64"),
    ({"rows": ["a"]}, "rows must hold real numbers, not text"),
    ({"rows": slice(3)}, "rows must be an array of numbers, not slice(None, 3, None)"),
    (
        {"validation_rows": X[:, 0] > 0},
        "validation_rows must hold integers, the numbers of rows, not bool: say validation_rows=np.flatnonzero(mask)",
    ),
]
OF_VALUES = [
    ({"rows": 3}, "rows must have 1 dimension, not 0 (shape ()): the numbers of rows"),
    ({"rows": [[0, 1], [2, 3]]}, "rows must have 1 dimension, not 2"),
    ({"rows": []}, "rows is empty: give the numbers of rows, or leave it out"),
    ({"rows": [0, 11, 12]}, "rows[2] is 12, the rows of X are 0 to 11"),
    ({"rows": np.array([2**63], np.uint64)}, "rows[0] is 9223372036854775808, the"),
    ({"rows": [3, -1]}, "rows[1] is -1, the rows of X are 0 to 11; negative numbers do not count from the end"),
    ({"validation_rows": [12]}, "validation_rows[0] is 12, the"),
    (
        {"rows": [4, 5, 5, 6, 7], "validation_rows": [7, 5, 5, 1]},
        "row 5 is in rows and in validation_rows, as are 2 in all",
    ),
    ({"validation_rows": range(12)}, "validation_rows are all 12 rows of X: none is left to"),
    (
        {"validation_rows": [1], "stop": Stop(validation=0.1)},
        "validation_rows and Stop(validation=...) are both given: leave one of them out",
    ),
    ({"rows": [0, 2], "sample_weight": np.arange(12) % 2}, "sample_weight is 0 for all rows that are left to train on"),
    ({"rows": [0, 2], "sample_weight": [1, 1]}, "has 2 numbers, X has 12 rows"),
]


@pytest.mark.parametrize(
    ("kind", "options", "text"), [(ValueError, *case) for case in OF_VALUES] + [(TypeError, *case) for case in OF_TYPES]
)
def test_rows_that_are_refused(kind, options, text):
    assert_refused((options, kind, text), train)


def test_a_digest_knows_order_and_number():
    assert len({subsets.digest(np.array(rows)) for rows in ([0, 1], [1, 0], [0, 1, 0], [0])}) == 4
