"""Sparse matrices of SciPy at the doors of the core: the bits of dense rows, what is refused, and
what differs.
"""

import sys

import numpy as np
import pytest
import scipy.sparse
from bits import all_bits, assert_same_params, bits, history_bits

from fastnn import (
    SGD,
    Adam,
    BayesianRegularization,
    DivergenceError,
    LevenbergMarquardt,
    MLPRegressor,
    Network,
    Stop,
    loss_and_gradient,
    predict,
    sparse,
    train,
    train_many,
)
from fastnn.backends import get_backend
from fastnn.memory import read_only
from fastnn.sparse import SparseRows, is_sparse
from fastnn.training.options import check_options

DRAW = np.random.RandomState(0)
DENSE = (DRAW.rand(60, 100) + 0.1) * (DRAW.rand(60, 100) < 0.05)
X = scipy.sparse.csr_matrix(DENSE)
Y = DRAW.rand(60)
NETWORK = Network((100, 24, 1))
PARAMS = DRAW.standard_normal(NETWORK.n_params)
TRAIN = {"epochs": 4, "seed": 0, "threads": 1}


def laid_out(rows, **options):
    """The rows as a training takes them."""
    return check_options(NETWORK, rows, Y, epochs=1, **options).data.X


def assert_same_bits(result, other):
    assert_same_params(result, other)
    assert history_bits(result) == history_bits(other)


OPTIONS = {
    "full batches": lambda rows: {},
    "batches": lambda rows: {"batch_size": 16, "shuffle": True},
    "weights": lambda rows: {"sample_weight": np.arange(60) % 3},
    "rows": lambda rows: {"rows": np.arange(30), "validation_rows": np.arange(40, 50)},
    "a split": lambda rows: {"stop": Stop(validation=0.2, patience=2, restore_best=True)},
    "validation": lambda rows: {"stop": Stop(validation=(rows[:9], Y[:9]), patience=2)},
    "clip_norm": lambda rows: {"clip_norm": 0.1, "rates": [(0.5, 1.0), (1.0, 1.0)]},
    "float32": lambda rows: {"dtype": "float32"},
    "a method": lambda rows: {"optimizer": LevenbergMarquardt()},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_training_has_the_bits_of_dense_rows(options):
    network = Network((100, 2, 1)) if "optimizer" in options(X) else NETWORK
    given = {"optimizer": Adam(0.01)} | TRAIN
    sparse = train(network, X, Y, **given | options(X))
    dense = train(network, DENSE, Y, **given | options(DENSE))
    assert_same_bits(sparse, dense)
    assert bits(sparse.predict(X)) == bits(dense.predict(DENSE))


def test_in_parts_and_resumed_it_is_the_same():
    whole = train(NETWORK, DENSE, Y, batch_size=16, shuffle=True, **TRAIN | {"epochs": 6})
    first = train(NETWORK, X, Y, batch_size=16, shuffle=True, **TRAIN | {"epochs": 2})
    assert_same_params(first.resume(X, Y, epochs=4), whole)


def test_members_have_the_bits_of_dense_rows():
    options = {"epochs": 3, "seed": range(9), "learning_rate": [0.01, 0.02, 0.03] * 3}
    sparse = train_many(NETWORK, X, Y, **options)
    dense = train_many(NETWORK, DENSE, Y, **options)
    for result, other in zip(sparse, dense, strict=True):
        assert_same_bits(result, other)
    assert bits(sparse.predict(X)) == bits(dense.predict(DENSE))


def test_members_may_validate_on_rows_of_both_kinds():
    stops = [Stop(validation=(rows[:9], Y[:9]), patience=9) for rows in (X, DENSE)] * 3
    several = train_many(NETWORK, X, Y, epochs=3, seed=range(6), stop=stops)
    for k, result in enumerate(several):
        alone = train(NETWORK, DENSE, Y, epochs=3, seed=k, stop=stops[1])
        assert_same_bits(result, alone)


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_every_format_is_taken_and_stays_as_it_is(form, kind):
    rows = getattr(scipy.sparse, f"{form}_{kind}")(DENSE)
    assert bits(predict(NETWORK, PARAMS, rows)) == bits(predict(NETWORK, PARAMS, DENSE))
    assert (rows.toarray() == DENSE).all()


def test_loss_and_gradient_have_the_bits_of_dense_rows():
    sparse, dense = (
        all_bits(*loss_and_gradient(NETWORK, PARAMS, rows, Y, alpha=0.1)) for rows in (X, DENSE)
    )
    assert sparse == dense


def test_the_numbers_of_csr_are_used_where_they_lie_and_its_places_are_copied():
    rows = laid_out(X)
    assert np.shares_memory(rows.values, X.data)
    assert not np.shares_memory(rows.indices, X.indices)
    assert not rows.indices.flags.writeable
    assert not rows.starts.flags.writeable


def test_rows_with_many_entries_or_few_columns_are_made_dense():
    assert isinstance(laid_out(X), SparseRows)
    assert isinstance(laid_out(scipy.sparse.csr_matrix(DENSE != 1)), np.ndarray)
    narrow = check_options(Network((50, 1)), X[:, :50], Y, epochs=1).data.X
    assert isinstance(narrow, np.ndarray)


def test_rows_are_dense_where_nothing_reads_csr():
    assert isinstance(laid_out(X, backend="numpy"), np.ndarray)
    for method in (LevenbergMarquardt(), BayesianRegularization()):
        assert isinstance(laid_out(X, optimizer=method), np.ndarray)
    widrow = Network((100, 24, 1), init="nguyen_widrow")
    assert isinstance(check_options(widrow, X, Y, epochs=1).data.X, np.ndarray)


def test_a_matrix_that_no_memory_holds_dense_is_an_error_and_no_allocation():
    wide = scipy.sparse.csr_matrix((60, 2_000_000_000))
    with pytest.raises(MemoryError, match=r"X is sparse, of shape .* and made dense here"):
        train(Network((2_000_000_000, 1)), wide, Y, epochs=1, backend="numpy")


def test_the_memory_of_sparse_inputs_is_not_that_of_a_panel(monkeypatch):
    monkeypatch.setattr("fastnn.training.inputs.memory", lambda: 30_000_000)
    wide = Network((100_000, 1))
    rows = scipy.sparse.csr_matrix((60, 100_000))
    assert predict(wide, np.zeros(wide.n_params), rows).shape == (60, 1)
    with pytest.raises(MemoryError, match="made dense here"):
        predict(wide, np.zeros(wide.n_params), rows, backend="numpy")


def spoiled(**parts):
    """A copy of X some of whose arrays were exchanged."""
    bad = X.copy()
    for name, value in parts.items():
        setattr(bad, name, value)
    return bad


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


LAST = X.indptr[-1]
REFUSED = {
    "beyond": (spoiled(indices=changed(X.indices, 3, 100)), "X is a damaged sparse matrix"),
    "negative": (spoiled(indices=changed(X.indices, 3, -1)), "X is a damaged sparse matrix"),
    "starts": (spoiled(indptr=changed(X.indptr, 5, LAST)), "X is a damaged sparse matrix"),
    "lengths": (spoiled(indices=X.indices[:-1]), "X is a damaged sparse matrix"),
    "NaN": (spoiled(data=changed(X.data, 7, np.nan)), r"X must be finite; X\[\d+, \d+\] is nan"),
    "complex": (X.astype(complex), "Complex data not supported: X"),
    "columns": (X[:, :70], "X has 70 columns, the network has 100 inputs"),
    "no rows": (X[:0], "X has no rows"),
}


@pytest.mark.parametrize(("bad", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_rows_are_clear_errors_at_every_door(bad, words):
    result = train(NETWORK, X, Y, **TRAIN)
    refused = pytest.raises((ValueError, TypeError), match=words)
    with refused:
        train(NETWORK, bad, Y, **TRAIN)
    with refused:
        train_many(NETWORK, bad, Y, epochs=1, seed=range(2))
    with refused:
        train(NETWORK, X, Y, stop=Stop(validation=(bad, Y)), **TRAIN)
    with refused:
        predict(NETWORK, PARAMS, bad)
    with refused:
        loss_and_gradient(NETWORK, PARAMS, bad, Y)
    with refused:
        result.predict(bad)


ACCEPTED = {
    "unsorted": lambda: scipy.sparse.csr_matrix((X.data[::-1], X.indices[::-1], [0, *[LAST] * 60])),
    "int64": lambda: spoiled(indices=X.indices.astype(np.int64), indptr=X.indptr.astype(np.int64)),
    "integers": lambda: (X * 10).astype(np.int32),
    "booleans": lambda: X != 0,
    "float32": lambda: X.astype(np.float32),
    "explicit zeros": lambda: spoiled(data=changed(X.data, slice(0, 9), 0)),
    "duplicates": lambda: scipy.sparse.csr_matrix(
        (np.r_[X.data, X.data], np.r_[X.indices, X.indices], [0, *[2 * LAST] * 60]), (60, 100)
    ),
    "longer arrays": lambda: spoiled(
        data=np.append(X.data, np.nan), indices=np.append(X.indices, 999)
    ),
    "read-only": lambda: spoiled(data=read_only(X.data)),
}


@pytest.mark.parametrize("make", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_not_canonical_gives_the_bits_of_its_array(make):
    rows = make()
    if rows.shape != (60, 100):
        rows.resize((60, 100))
    dense = rows[:, :].toarray() if rows.data.size == rows.nnz else DENSE
    sparse = train(NETWORK, rows, Y, **TRAIN)
    assert_same_bits(sparse, train(NETWORK, dense, Y, **TRAIN))


def test_what_a_caller_does_with_the_matrix_later_reaches_no_kernel():
    rows = X.copy()

    def spoil(progress):
        rows.indices[:] = 2**30
        rows.indptr[:] = 2**30

    result = train(NETWORK, rows, Y, callbacks=[spoil], **TRAIN)
    assert_same_bits(result, train(NETWORK, DENSE, Y, **TRAIN))


@pytest.mark.parametrize("part", ["indices", "indptr"])
def test_what_a_thread_writes_after_the_check_reaches_no_kernel(part, monkeypatch):
    """The check looks at copies, which nobody else has."""
    matrix = X.copy()
    check = sparse.fault_in

    def check_and_write(*arrays):
        fault = check(*arrays)
        getattr(matrix, part)[:] = 2**31 - 1
        return fault

    monkeypatch.setattr(sparse, "fault_in", check_and_write)
    rows = sparse.sparse_rows("X", matrix)
    assert rows.toarray().tobytes() == X.toarray().tobytes()


def test_targets_have_to_be_dense():
    with pytest.raises(TypeError, match=r"Y is sparse, and has to be dense: use Y.toarray\(\)"):
        train(NETWORK, X, scipy.sparse.csr_matrix(Y[:, None]), **TRAIN)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_entries_that_float32_lacks_or_a_mask_hides_are_refused(form):
    entries = X.copy()
    entries.data[7] = 1e300
    place = r"X\[\d+, \d+\] is inf in float32, which cannot hold 1e\+300$"
    with pytest.raises(ValueError, match=place):
        train(NETWORK, entries.asformat(form), Y, **TRAIN, dtype="float32")
    masked = X.asformat(form).copy()
    masked.data = np.ma.masked_greater(masked.data, 0)
    with pytest.raises(ValueError, match="X has masked values: fill them in or leave"):
        train(NETWORK, masked, Y, **TRAIN)
    with pytest.raises(ValueError, match="X has masked values: fill them in or leave"):
        MLPRegressor(max_iter=1).fit(masked, Y)


def test_scipy_is_not_imported_for_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)  # an import of it raises ImportError
    assert not is_sparse(object())
    assert not is_sparse(DENSE)


# What differs from dense rows, see docs/explanation/limits.md


def test_a_negative_zero_as_bias_keeps_its_sign():
    params = np.zeros(101)
    params[-1] = -0.0
    empty = scipy.sparse.csr_matrix((60, 100))
    outputs = [predict(Network((100, 1)), params, rows) for rows in (empty, DENSE * 0)]
    assert (outputs[0] == outputs[1]).all()
    assert np.signbit(outputs[0]).all()
    assert not np.signbit(outputs[1]).any()


def test_a_product_that_underflows_keeps_its_sign():
    dense = np.zeros((1, 100))
    dense[0, 3] = 1e-200
    params = np.full(101, 1e-200)
    params[3] = -1e-200
    params[-1] = 0.0
    rows = scipy.sparse.csr_matrix(dense)
    sparse, other = (predict(Network((100, 1)), params, row) for row in (rows, dense))
    assert sparse == other == 0
    assert np.signbit(sparse)
    assert not np.signbit(other)


def test_a_weight_that_is_not_finite_shows_in_the_rows_that_meet_it():
    params = np.zeros(101)
    params[7] = np.inf
    rows = laid_out(X)
    outputs = [get_backend("numba").predict(Network((100, 1)), params, it) for it in (rows, DENSE)]
    meets = DENSE[:, 7] != 0
    assert np.isnan(outputs[1][~meets]).all()
    assert (outputs[0][~meets] == 0).all()
    assert (outputs[0][meets] == np.inf).all()


def test_a_delta_that_is_not_finite_shows_in_the_columns_with_entries():
    network = Network((100, 4, 1), "relu")
    params = np.full(network.n_params, 1e200)
    told = [loss_and_gradient(network, params, rows[:8], Y[:8]) for rows in (X, DENSE)]
    assert [loss for loss, _ in told] == [np.inf, np.inf]
    sparse, dense = (network.weights(gradient)[0] for _, gradient in told)
    meets = (DENSE[:8] != 0).any(axis=0)
    assert np.isnan(dense).all()
    assert not np.isfinite(sparse[meets]).any()
    assert (sparse[~meets] == 0).all()


def test_a_delta_that_is_not_finite_leaves_columns_finite_that_have_no_entry_in_its_row():
    dense = np.zeros((2, 100))
    dense[0, 3] = dense[1, 5] = 1e200
    params = np.zeros(101)
    params[3] = 1e200  # z of row 0 is infinite
    sparse, other = (
        loss_and_gradient(Network((100, 1)), params, rows, [0.0, 1.0])[1]
        for rows in (scipy.sparse.csr_matrix(dense), dense)
    )
    assert sparse[3] == other[3] == np.inf
    assert np.isnan(np.delete(other[:100], 3)).all()
    assert sparse[5] == -1e200 / 2
    assert not np.delete(sparse[:100], [3, 5]).any()


def test_a_divergence_is_reported_at_most_a_step_later():
    told = []
    for rows in (X, DENSE):
        with pytest.raises(DivergenceError) as error:
            train(NETWORK, rows, Y, optimizer=SGD(1e200), batch_size=7, **TRAIN)
        told.append(error.value.result.state.t)
    assert told[1] <= told[0] <= told[1] + 1
