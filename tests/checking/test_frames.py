"""Data frames: columns of mixed kinds are numbers, and what is none is named."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pandas", reason="needs pandas")

import pandas
from bits import all_bits
from good_input import refusal

from fastnn import Network, loss_and_gradient, predict, train
from fastnn.checking.values import real_array

N = 6
MIXED = {
    "income": np.linspace(-1, 1, N),
    "owner": np.arange(N) % 2 == 0,
    "age": np.arange(N),
    "rooms": pandas.array([1, 2, 3] * 2, dtype="Int64"),
    "area": pandas.array([0.5, 1.5, 2.5] * 2, dtype="Float32"),
    "new": pandas.array([True, False] * 3, dtype="boolean"),
    "grade": pandas.Categorical([3, 1, 2] * 2),
    "any": np.array([1, 2.5, True] * 2, dtype=object),
}
# rows are taken in their order, whatever they are called
FRAME = pandas.DataFrame(MIXED, index=np.arange(N)[::-1])
TABLE = np.column_stack([np.asarray(column, float) for column in MIXED.values()])
NETWORK = Network((len(MIXED), 3, 1), "tanh")
CLASSES = Network((len(MIXED), 3), output="softmax")
TARGETS = pandas.Series(np.sin(np.arange(N)))


def test_frames_are_as_good_as_their_numbers(backend):
    before = FRAME.copy()
    found = []
    for X, y in ((FRAME, TARGETS), (TABLE, TARGETS.to_numpy())):
        result = train(NETWORK, X, y, sample_weight=abs(y) + 1, epochs=3, seed=0, backend=backend)
        loss, gradient = loss_and_gradient(NETWORK, result.params, X, y, backend=backend)
        found.append(
            all_bits(
                result.params, loss, gradient, predict(NETWORK, result.params, X, backend=backend)
            )
        )
    assert found[0] == found[1]
    pandas.testing.assert_frame_equal(FRAME, before)


def test_columns_of_frames():
    frame = pandas.concat([FRAME, FRAME], axis=1)
    assert all_bits(real_array("X", frame)) == all_bits(np.hstack([TABLE, TABLE]))
    kind, message = refusal(train, NETWORK, FRAME[[]], TARGETS, epochs=1)
    assert (kind, message) == (ValueError, "X has 0 columns, the network has 8 inputs")
    table = np.ones((4, 3))  # of one dtype: no copy
    assert np.shares_memory(real_array("X", pandas.DataFrame(table, copy=False)), table)


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (["area"], np.float32),
        (["area", "new"], np.float32),
        (["area", "income"], np.float64),
        (["age"], np.float64),
    ],
)
def test_the_dtype_is_float32_where_all_columns_fit_it(columns, kind):
    for asked, right in (({}, kind), ({"dtype": "float32"}, np.float32)):
        result = train(
            Network((len(columns), 1)), FRAME[columns], TARGETS, epochs=1, seed=0, **asked
        )
        assert result.params.dtype == right


@pytest.mark.parametrize("kind", ["category", "Int64", "Float64", "int8", "float64", "object"])
def test_labels_of_any_dtype(kind, backend):
    labels = np.arange(N) % 3
    ways = pandas.Series(labels).astype(kind), labels
    found, right = (
        train(CLASSES, FRAME, y, epochs=2, seed=0, backend=backend).params for y in ways
    )
    assert all_bits(found) == all_bits(right)


MISSING = "X has missing values, the first of column "
BAD = [
    (
        "city",
        ["Bonn", "Rome", None] * 2,
        TypeError,
        "X must hold real numbers; its column 'city' holds text",
    ),
    (
        "s",
        pandas.array(["a", None] * 3, dtype="string"),
        TypeError,
        "its column 's' holds text ('a' in row 0",
    ),
    ("c", pandas.Categorical(["a", "b"] * 3), TypeError, "its column 'c' holds text ('a' in row 0"),
    ("when", pandas.date_range("2026", periods=N), TypeError, "its column 'when' holds dates"),
    ("z", np.ones(N) * 1j, TypeError, "its column 'z' holds complex numbers"),
    (7, [1, {}] * 3, TypeError, "its column 7 holds dict ({} in row 1)"),
    (
        "rooms",
        pandas.array([1, 2, None] * 2, dtype="Int64"),
        ValueError,
        MISSING + "'rooms' in row 2: fill them in or",
    ),
    ("a", pandas.array([1.5, None] * 3, dtype="Float64"), ValueError, MISSING + "'a' in row 1"),
    ("b", pandas.array([None, True] * 3, dtype="boolean"), ValueError, MISSING + "'b' in row 0"),
    ("c", pandas.Categorical([1, None] * 3), ValueError, MISSING + "'c' in row 1"),
    ("n", np.array([1, None] * 3, dtype=object), ValueError, MISSING + "'n' in row 1"),
    ("x", [1, np.nan] * 3, ValueError, "X must be finite; X[1, 8] is nan"),
]


@pytest.mark.parametrize(("label", "values", "kind", "text"), BAD)
def test_the_column_is_named(label, values, kind, text, backend):
    frame = FRAME.drop(columns=label, errors="ignore")
    frame[label] = values
    network = Network((frame.shape[1], 1))
    found, message = refusal(train, network, frame, TARGETS, epochs=1, backend=backend)
    assert found is kind
    assert text in message
    assert (found, message) == refusal(
        predict, network, np.ones(network.n_params), frame, backend=backend
    )


@pytest.mark.parametrize("kind", ["object", "category"])
def test_labels_of_text_are_told_what_to_become(kind):
    text = (
        "it holds text ('a' in row 0); labels go in as integers: np.unique(Y, "
        "return_inverse=True)[1] has them"
    )
    y = pandas.Series(["a", "b", "c"] * 2, dtype=kind)
    assert refusal(train, CLASSES, FRAME, y, epochs=1) == (
        TypeError,
        f"Y must hold real numbers; {text}",
    )


def test_a_frame_of_another_library():
    """A frame as polars has them: columns by `get_columns`, missing values by `is_null`."""

    class Frame(SimpleNamespace):
        columns = ("a", "b")
        dtypes = ("its own",) * 2

        def __len__(self):
            return 2

    def frame(null, **columns):
        own = {"dtype": "its own", "is_null": lambda: np.array(null)}
        made = [
            SimpleNamespace(name=n, to_numpy=lambda v=v: np.array(v), **own)
            for n, v in columns.items()
        ]
        return Frame(get_columns=lambda: made)

    assert real_array("X", frame([False, False], a=[1.5, 2], b=[True, False])).tolist() == [
        [1.5, 1],
        [2, 0],
    ]
    kind, message = refusal(real_array, "X", frame([False, True], a=[1.5, np.nan]))
    assert (kind, message[:45]) == (ValueError, "X has missing values, the first of column 'a'")


def test_a_query_of_polars_is_to_be_collected():
    polars = pytest.importorskip("polars", reason="needs polars")
    lazy = polars.DataFrame({"a": [1.0, 2.0]}).lazy()
    kind, message = refusal(train, Network((1, 1)), lazy, [0.0, 1.0], epochs=1)
    assert (kind, message) == (TypeError, "X is a LazyFrame: collect() it first")
