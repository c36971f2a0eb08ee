"""Training that goes on: from what the state says, on the same rows or on the next ones of a
stream."""

import dataclasses
import pathlib

import numpy as np
import pytest
from bits import assert_same_params, bits, state_bits
from chunks import chunks_of
from small_training import SignalAt

from fastnn import (
    RPROP,
    SGD,
    Adam,
    DivergenceError,
    InterruptWarning,
    Network,
    Stop,
    cosine,
    load,
    step_decay,
    train,
)
from fastnn.backends import get_backend
from fastnn.training.state import TrainingState

NETWORK = Network((3, 4, 2), "tanh")
N = 23
X = np.random.RandomState(0).uniform(-1, 1, (N, 3))  # exact on every machine
a, b, c = X.T
Y = np.stack([a * b, b - c], axis=1)


@pytest.fixture
def go(backend):
    defaults = {"epochs": 3, "backend": backend}
    return lambda network=NETWORK, X=X, Y=Y, **options: train(network, X, Y, **defaults | options)


CASES = {  # others: tests/house/test_properties.py
    "defaults": {},
    "schedule that ends": {"optimizer": SGD(cosine(0.1, steps=20, final=0.01)), "batch_size": 5},
    "float32 of bytes": {"X": (X * 100).astype(np.int8), "dtype": "float32", "batch_size": 5},
    "float32 of float64": {"dtype": "float32", "batch_size": 5},
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_but_the_data_and_the_epochs_is_given_again(go, case, tmp_path, backend):
    options = CASES[case]
    whole = go(**options, seed=3, epochs=5)
    first = go(**options, seed=3, epochs=2)
    rows = options.get("X", X)
    first.save(tmp_path / "model")
    rest = [start.resume(rows, Y, epochs=3) for start in (first, load(tmp_path / "model"))]
    for result in (*rest, go(X=rows, epochs=3, resume=first.state)):
        assert state_bits(result.state) == state_bits(whole.state)
        assert_same_params(result, whole)
        assert result.n_epochs == 3
    assert get_backend(result.backend).name == backend
    other = "numpy" if backend == "numba" else "numba"
    assert get_backend(first.resume(rows, Y, epochs=2, backend=other).backend).name == other


def test_what_is_given_counts(go):
    first = go(batch_size=5, alpha=0.1, seed=3)
    given = {"batch_size": 4, "shuffle": False, "alpha": 1.0, "optimizer": Adam(0.5)}
    result = first.resume(X, Y, epochs=1, **given)
    assert result.state.t - first.state.t == 6
    assert state_bits(result.state) == state_bits(go(**given, epochs=1, resume=first.state).state)
    unpenalized = first.resume(X, Y, epochs=1, **given | {"alpha": 0.0})
    assert bits(result.params) != bits(unpenalized.params)
    expected = given | {"optimizer": Adam(0.5).to_dict()}  # for the next time
    assert expected.items() <= result.state.counters.items()


def falling(step):
    return 0.1 / (1 + step)


def test_a_rate_that_is_a_function_must_be_given_again(go):
    mine = SGD(falling, momentum=0.5)
    first = go(optimizer=mine, batch_size=5, seed=3)
    with pytest.raises(
        ValueError,
        match=r"is a function \(.*falling\).*give optimizer=SGD\(learning_rate=...\) again",
    ):
        first.resume(X, Y, epochs=3)
    whole = go(optimizer=mine, batch_size=5, seed=3, epochs=6)
    assert state_bits(first.resume(X, Y, epochs=3, optimizer=mine).state) == state_bits(whole.state)


def test_an_optimizer_that_cannot_be_made_again_must_be_given(go):
    first = go(seed=3)
    for words, change in {
        "unknown optimizer 'Mine'": {"name": "Mine"},
        "less than 1, not 2": {"beta_1": 2},
        "beta_3": {"beta_3": 0.5},
        "must be at least 0": {"learning_rate": -1.0},
        "decay": {"learning_rate": {"schedule": "exponential", "learning_rate": 0.1, "decay": 0}},
    }.items():
        changed = first.state.copy()
        changed.counters["optimizer"] |= change
        with pytest.raises(
            ValueError, match=rf"optimizer cannot be made again \(.*{words}.*\): give optimizer="
        ):
            go(resume=changed)
        assert go(resume=changed, optimizer=Adam()).n_epochs == 3


def test_the_stop_rules_of_a_call_are_its_own(go):
    first = go(optimizer=SGD(0.0), epochs=50, stop=Stop(patience=3), seed=3)
    assert (first.stop_reason, first.n_epochs) == ("tolerance", 4)
    assert first.resume(X, Y, epochs=5).stop_reason == "epochs"
    # its counters are kept
    assert first.resume(X, Y, epochs=5, stop=Stop(patience=3)).n_epochs == 1


PLACES = (slice(0, 8), slice(8, 19), slice(19, 23), slice(0, 23))
CHUNKS = [(X[rows], Y[rows]) for rows in PLACES]


@pytest.mark.parametrize(
    ("batch_size", "optimizer"), [(5, Adam(0.05)), (None, RPROP()), (5, SGD(step_decay(0.1, 9)))]
)
def test_a_stream_is_the_same_as_going_on_by_hand(backend, dtype, batch_size, optimizer):
    """Chunks of unequal length: one state, one generator, and each chunk's rows shuffled from their
    own order."""
    given = {
        "optimizer": optimizer,
        "batch_size": batch_size,
        "alpha": 0.1,
        "epochs": 2,
        "backend": backend,
    }
    (x, y), *rest = [(x.astype(dtype), y) for x, y in CHUNKS]
    result = by_hand = train(NETWORK, x, y, **given, seed=3)
    for x, y in rest:
        result = result.resume(x, y, epochs=2, new_rows=True)
        state = by_hand.state.copy()
        state.index = np.arange(len(x))
        by_hand = train(NETWORK, x, y, **given, resume=state)
    assert state_bits(result.state) == state_bits(by_hand.state)
    steps = sum(2 * -(-len(x) // (batch_size or len(x))) for x, _ in CHUNKS)
    assert (result.state.t, result.state.counters["epoch"]) == (steps, 8)


def test_a_batch_size_that_was_clipped_or_full_is_so_for_each_chunk(backend):
    many = np.random.RandomState(1).uniform(-1, 1, (450, 3))
    for options, steps in (
        ({}, 3),
        ({"batch_size": 40}, 12),
        ({"batch_size": None}, 1),
        ({"optimizer": RPROP()}, 1),
    ):
        first = train(NETWORK, X, Y, epochs=1, seed=0, backend=backend, **options)
        assert first.resume(many, many[:, :2], epochs=1, new_rows=True).state.t == 1 + steps


def test_an_epoch_that_was_broken_off_is_left_out(go):
    diverging = np.where(np.arange(N)[:, None] == 12, 1e200, Y)
    with pytest.raises(DivergenceError) as error:
        go(Y=diverging, batch_size=5, shuffle=False, seed=3)
    state = error.value.result.state
    assert (state.t, state.batch) == (2, 2)
    result = go(resume=state, new_rows=True, epochs=2)
    assert (result.state.t, result.n_epochs, result.state.batch) == (2 + 2 * 5, 2, 0)
    fresh = state.copy()
    fresh.batch = 0
    fresh.counters = state.counters | {"loss_sum": 0.0, "row_sum": 0.0}
    assert bits(result.history.loss) == bits(go(resume=fresh, epochs=2).history.loss)


def test_a_stream_has_a_split_for_each_chunk(go):
    first = go(seed=3, stop=Stop(validation=0.3))
    second = first.resume(*CHUNKS[1], epochs=1, new_rows=True, stop=Stop(validation=0.3))
    assert sorted([*second.state.validation_rows, *second.state.index]) == list(range(11))
    assert (len(first.state.validation_rows), len(second.state.validation_rows)) == (7, 4)
    third = second.resume(X, Y, epochs=1, new_rows=True)
    assert (third.state.validation_rows, len(third.state.index)) == (None, N)


def test_scores_are_compared_where_the_data_are_the_same(go):
    """So a stream can stop early, and its best parameters be kept, by validation data of its
    own."""
    held_out = Stop(validation=(X[:9], Y[:9]), patience=3, restore_best=True)
    first = go(optimizer=Adam(0.05), seed=3, stop=held_out)
    best = first.state.counters["rule_best"]
    worse = first.resume(*CHUNKS[1], epochs=9, new_rows=True, stop=held_out, optimizer=Adam(10.0))
    assert (worse.stop_reason, worse.n_epochs) == ("validation", 3)
    assert_same_params(worse, first)
    assert worse.state.counters["rule_best"] == best

    split = dataclasses.replace(held_out, validation=0.3)
    first = go(optimizer=Adam(0.05), seed=3, stop=split)
    anew = first.resume(*CHUNKS[1], epochs=1, new_rows=True, stop=split, optimizer=Adam(10.0))
    assert bits(anew.params) != bits(first.params)
    best = anew.state.counters["rule_best"]
    assert best == anew.history.validation_loss[0] > first.state.counters["rule_best"]


def test_new_rows_belong_to_a_state(go):
    state = go(seed=3).state
    for given, match in (
        ({"new_rows": True}, "new_rows=True is for a training that goes on"),
        (
            {"X": X[:8], "Y": Y[:8], "resume": state},
            "on 23 rows, X has 8; for other rows say new_rows=True",
        ),
        (
            {"network": Network((3, 5, 2)), "resume": state, "new_rows": True},
            "the sizes of its state",
        ),
    ):
        with pytest.raises(ValueError, match=match):
            go(**given)


OLD = pathlib.Path(__file__).parents[1] / "support" / "data" / "version_0_1"
OLD_STOP = Stop(tol=0.0, patience=9, validation=0.3, restore_best=True)
# how version 0.1 trained them with seed 3 on "numba"; a callback saved `within` after step 7
WRITTEN = {
    "plain": {"optimizer": Adam(0.01), "batch_size": 5, "alpha": 0.1},
    "stop": {"optimizer": Adam(0.3), "batch_size": 5, "alpha": 0.1, "stop": OLD_STOP},
    "within": {"optimizer": Adam(step_decay(0.05, 4)), "batch_size": 5},
}


@pytest.mark.parametrize("name", WRITTEN)
def test_files_of_version_0_1_go_on(backend, name):
    """They say neither alpha nor shuffle; the rest need not be repeated, and counters of the stop
    rules go on."""
    old = load(OLD / f"{name}.npz")
    n_epochs, reason = (40, "validation") if name == "stop" else (6, "epochs")
    whole = train(NETWORK, X, Y, **WRITTEN[name], seed=3, epochs=n_epochs, backend=backend)
    given = {"alpha": 0.0, "shuffle": True, "backend": backend} | WRITTEN[name]
    del given["optimizer"], given["batch_size"]
    result = old.resume(X, Y, epochs=n_epochs - old.n_epochs, **given)
    assert result.stop_reason == whole.stop_reason == reason
    assert result.state.t == whole.state.t
    assert result.state.counters["epoch"] == whole.state.counters["epoch"]
    if backend == "numba":
        assert state_bits(result.state) == state_bits(whole.state)
        assert_same_params(result, whole)
    else:  # the first epochs were the kernel's
        np.testing.assert_allclose(result.params, whole.params, rtol=1e-6, atol=1e-9)


def test_the_counters_of_version_0_1_are_counted_on_but_not_for_another_monitor(backend):
    """It knew the loss only, and its files have no rates and scores."""
    old = load(OLD / "stop.npz")
    given = {"alpha": 0.1, "shuffle": True, "backend": backend}
    assert (len(old.history.learning_rate), old.history.monitor) == (0, "loss")
    assert bits(old.history.score) == bits(old.history.validation_loss)
    # with a patience of 3 one more epoch ends the training
    assert old.state.counters["rule_stale"] == 2
    result = old.resume(X, Y, epochs=9, stop=dataclasses.replace(OLD_STOP, patience=3), **given)
    assert (result.stop_reason, result.n_epochs) == ("validation", 1)
    assert_same_params(result, old)
    other = old.resume(X, Y, epochs=1, stop=dataclasses.replace(OLD_STOP, monitor="r2"), **given)
    assert_same_params(other, other.state)
    counters = other.state.counters
    assert (counters["best_score"], counters["rule_stale"]) == (-other.history.score[0], 0)


def test_what_version_0_1_did_not_keep_must_be_given(backend):
    given = {"resume": load(OLD / "plain.npz").state, "epochs": 1, "backend": backend}
    relu = Network((3, 4, 2))
    words = "state does not say shuffle and alpha, .*give shuffle=, alpha= as it was"
    with pytest.raises(ValueError, match=words):
        train(NETWORK, X, Y, **given)
    words = "does not say alpha, which version 0.1 of fastnn did not keep: give"
    with pytest.raises(ValueError, match=words):
        train(NETWORK, X, Y, **given, shuffle=True)
    with pytest.raises(ValueError, match="of its state is tanh, that of this training relu"):
        train(relu, X, Y, **given, shuffle=True, alpha=0.1)


OTHERS = {
    "activation": "relu",
    "output": "leaky_relu",
    "loss": "huber",
    "reduction": "sum",
    "sizes": (3, 5, 2),
    "bias_gradient": "times_bias",
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_state_goes_with_its_own_network(go, name):
    other = dataclasses.replace(NETWORK, **{name: OTHERS[name]})
    with pytest.raises(ValueError, match="resume does not fit") as error:
        go(other, resume=go(seed=3).state)
    words = f"{name} of its state is {getattr(NETWORK, name)}, that of this training {OTHERS[name]}"
    assert words in str(error.value)


DO_NOT_FIT = {
    "optimizer of its state is Adam, that of this training SGD": {"optimizer": SGD()},
    "dtype of its state is float64, that of this training float32": {"dtype": "float32"},
    "23 rows, X has 20": {"X": X[:20], "Y": Y[:20]},
    "0 rows for validation, validation=0.5 of 23 rows is 12": {"stop": Stop(validation=0.5)},
    "without seed and params": {"seed": 3},
    "seed and params": {"params": np.zeros(NETWORK.n_params)},
}


@pytest.mark.parametrize("words", DO_NOT_FIT)
def test_arguments_that_do_not_fit_the_state_are_refused(go, words):
    state = go(seed=3).state
    with pytest.raises(ValueError, match=words):
        go(resume=state, **DO_NOT_FIT[words])


def test_a_state_with_other_vectors_or_rows_than_a_training_leaves_is_refused(go):
    momentum = go(optimizer=SGD(0.1, momentum=0.9), seed=3).state
    words = "optimizer vectors of its state is 1, that of this training 0"
    with pytest.raises(ValueError, match=words):
        go(optimizer=SGD(0.1), resume=momentum)
    with pytest.raises(ValueError, match="no row order"):
        go(resume=TrainingState.create(np.zeros(NETWORK.n_params), 2))
    state = go(seed=3).state
    for rows in (np.arange(N) + 1, np.zeros(N, np.int64), np.arange(N) - 1):
        state.index = rows
        with pytest.raises(ValueError, match="not a permutation of the rows"):
            go(resume=state)


def test_an_epoch_that_has_begun_keeps_its_batches(go, monkeypatch):
    chunks_of(monkeypatch, 1)
    with pytest.warns(InterruptWarning):
        within = go(batch_size=5, seed=3, callbacks=[SignalAt(3)]).state
    with pytest.raises(ValueError, match="batches of 5 rows, batch_size is 4"):
        go(batch_size=4, resume=within)
    within.batch = 5
    with pytest.raises(ValueError, match="5 batches of an epoch of 5"):
        go(resume=within)
