"""Tables whose words have many levels: their rows are in CSR form, with the bits of dense ones."""

import numpy as np
import pandas as pd
import pytest
from bits import assert_same_bits
from numpy.testing import assert_array_equal

import fastnn.sparse
from fastnn import Network, TablePreparation, TabularClassifier, TabularRegressor
from fastnn.backends import get_backend
from fastnn.sparse import SparseRows
from fastnn.tabular import members, preparation
from fastnn.training.inputs import laid_out

N = 600
R = np.random.RandomState(0)
WORDS = pd.DataFrame(
    {
        "size": R.randn(N),
        "height": np.where(R.rand(N) < 0.1, np.nan, R.randn(N)),
        "town": [f"town {k}" for k in R.randint(0, 150, N)],
        "street": [f"street {k}" if k else None for k in R.randint(0, 40, N)],
        "is_new": R.rand(N) < 0.5,
    }
)
Y = WORDS["size"].to_numpy() + R.randn(N) + R.randn(150)[WORDS["town"].str[5:].astype(int)]
NEW = WORDS[:50].assign(town="none of them", size=[*[np.nan] * 25, *[0.5] * 25])
WAYS = {
    "plain": {},
    "weights": {"sample_weight": R.rand(N)},
    "rows to choose by": {"X_val": WORDS[:90], "y_val": Y[:90]},
}


def fitted(kind, way, preset="fast"):
    y = (Y > 0).astype(int) if kind is TabularClassifier else Y
    own = dict(way, y_val=y[:90]) if "y_val" in way else way
    return kind(preset, n_members=2, epochs=4, random_state=0).fit(WORDS, y, **own)


def outputs_of(model, X):
    """All that a model predicts of rows, as bytes."""
    if isinstance(model, TabularClassifier):
        made = [model.predict_proba(X)]
    else:
        made = [model.predict(X)]
        if model._residuals.members:
            made += [*model.predict(X, return_std=True), model.predict_interval(X)]
    return [array.tobytes() for array in made]


@pytest.fixture
def trained_on(monkeypatch):
    """The types of the inputs that members are trained on."""
    seen = []
    train_many = members.train_many

    def watch(network, X, *others, **options):
        seen.append(type(X))
        return train_many(network, X, *others, **options)

    monkeypatch.setattr(members, "train_many", watch)
    return seen


@pytest.mark.filterwarnings("ignore:X has")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_rows_in_csr_form_have_the_bits_of_dense_ones(kind, way, monkeypatch, trained_on):
    sparse = fitted(kind, WAYS[way])
    of_sparse = [outputs_of(sparse, X) for X in (WORDS, NEW)]
    assert set(trained_on) == {SparseRows}
    trained_on.clear()
    monkeypatch.setattr(preparation, "may_pay", lambda *_: False)
    dense = fitted(kind, WAYS[way])
    assert set(trained_on) == {np.ndarray}
    assert [outputs_of(dense, X) for X in (WORDS, NEW)] == of_sparse
    assert [outputs_of(sparse, X) for X in (WORDS, NEW)] == of_sparse
    assert_same_bits(dense._out_of_bag, sparse._out_of_bag)
    assert not isinstance(sparse.preparation_.transform(NEW), SparseRows)


def test_ramps_lie_beside_rows_in_csr_form(monkeypatch, trained_on):
    """The table is one without gaps, which 600 rows of two numbers have ramps for."""
    frame = WORDS.assign(height=R.randn(N))
    predictions = []
    for pays in (preparation.may_pay, lambda *_: False):
        monkeypatch.setattr(preparation, "may_pay", pays)
        model = TabularRegressor("fast", epochs=4, random_state=0).fit(frame, Y)
        predictions.append(outputs_of(model, frame))
    assert len(model.preparation_.ramps_.columns)
    assert predictions[0] == predictions[1]
    assert set(trained_on) == {SparseRows, np.ndarray}


def entries_of(monkeypatch, chunk):
    """The rows of the table and their copies with more gaps, scaled, made by such chunks."""
    monkeypatch.setattr(preparation, "CHUNK", chunk)
    monkeypatch.setattr(fastnn.sparse, "CHUNK", chunk)
    rows, _ = TablePreparation()._fit_inputs(WORDS, np.random.RandomState(0), None, None)
    return rows.scaled(np.arange(rows.shape[1], dtype=np.float32))


def test_rows_in_csr_form_are_the_same_made_by_any_chunks(monkeypatch):
    few = entries_of(monkeypatch, 7)
    many = entries_of(monkeypatch, 10**6)
    assert len(few) == 4 * N
    assert_same_bits(few.values, many.values)
    assert_same_bits(few.indices, many.indices)
    assert_same_bits(few.starts, many.starts)


def test_copies_with_more_gaps_are_the_same_in_csr_form(monkeypatch):
    arguments = WORDS, np.random.RandomState(0), None, None
    rows, n_copies = TablePreparation()._fit_inputs(*arguments)
    monkeypatch.setattr(preparation, "may_pay", lambda *numbers: False)
    dense = TablePreparation().fit_with_gaps(WORDS, np.random.RandomState(0))
    assert type(rows) is SparseRows
    assert n_copies == len(dense) == 4
    assert_array_equal(rows.toarray(), np.vstack(dense))


@pytest.mark.parametrize(("width", "form"), [(16, SparseRows), (20, np.ndarray)], ids=str)
def test_a_layer_of_whole_vectors_takes_more_entries(width, form):
    """Rows have 10 entries in 64 columns."""
    starts = np.arange(0, 641, 10)
    rows = SparseRows(np.ones(640), np.tile(np.arange(10), 64), starts, 64)
    network = Network((64, width, 1))
    assert type(laid_out(rows, get_backend("numba"), network)) is form


@pytest.mark.parametrize("some", [slice(2, 6), [5, 1]], ids=str)
def test_columns_lie_beside_some_rows_in_csr_form(some):
    dense = R.randn(9, 7) * (R.rand(9, 7) < 0.4)
    places = np.argwhere(dense)
    starts = np.append(0, np.cumsum(np.count_nonzero(dense, axis=1)))
    rows = SparseRows(dense[tuple(places.T)], places[:, 1], starts, 7)
    more = R.randn(9, 2)
    beside = rows[some].beside(more[some]).toarray()
    assert_array_equal(beside, np.hstack([dense, more])[some])


@pytest.mark.parametrize("n_columns", [1, 2, 33, 64])
def test_scales_of_columns_are_the_same_for_any_number_of_them_at_once(n_columns, monkeypatch):
    inputs = R.randn(500, n_columns).astype(np.float32)
    targets = R.randn(500, 2).astype(np.float32)
    network = Network((n_columns, 8, 2))
    sample = members.Sample(inputs, targets, None, None)
    scales = members.input_scales(network, sample)
    monkeypatch.setattr(members, "SCALED_AT_ONCE", 10**6)
    assert_same_bits(members.input_scales(network, sample), scales)
