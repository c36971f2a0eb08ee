"""Monitors: their formulas, what they refuse before training, and what is left where one fails."""

import contextlib
import math

import numpy as np
import pytest
from bits import bits, state_bits
from small_training import N

from fastnn import Adam, MonitorError, Network, Stop, predict, train, train_many
from fastnn.testing.tolerances import assert_within
from fastnn.training.stopping import accuracy, r2, scorer

CLASSES = Network((3, 4, 3), "tanh", "softmax")
BINARY = Network((3, 4, 2), "tanh", "sigmoid", "log_loss")


def drawn(dtype, n=40):
    r = np.random.RandomState(0)
    return r.randn(n, 3).astype(dtype), r.randn(n, 3).astype(dtype), r.uniform(0.1, 2, n).astype(dtype)


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_scikit_learn(dtype, weighted):
    metrics = pytest.importorskip("sklearn.metrics")
    Y, outputs, weight = drawn(dtype)
    weight = weight if weighted else np.ones_like(weight)
    labels = outputs.argmax(axis=1)
    labels[::3] = 1
    found = scorer("accuracy", CLASSES, np.eye(3, dtype=dtype)[labels], weight)(outputs)
    wanted = metrics.accuracy_score(labels, outputs.argmax(axis=1), sample_weight=weight)
    bound = 40 * np.finfo(dtype).eps
    assert_within(np.array([found]), np.array([wanted]), bound, "accuracy", "scikit-learn's")
    several = (Y > 0.3).astype(dtype)
    found = scorer("accuracy", BINARY, several[:, :2], weight)(outputs[:, :2])
    wanted = metrics.accuracy_score(several[:, :2], outputs[:, :2] > 0.5, sample_weight=weight)
    assert_within(np.array([found]), np.array([wanted]), bound, "accuracy", "scikit-learn's")
    Y[:, 1] = outputs[:, 1] = 0.5  # both sums are 0
    for columns in ([0, 1], [0], [1]):
        found = scorer("r2", BINARY, Y[:, columns], weight)(outputs[:, columns])
        wanted = metrics.r2_score(Y[:, columns], outputs[:, columns], sample_weight=weight)
        assert_within(np.array([found]), np.array([wanted]), 10 * bound, "R2", "scikit-learn's")


def test_scores_where_they_could_be_doubted():
    assert accuracy(np.eye(3), None, exclusive=True)(np.array([[1, 1, 0], [1, 1, 0], [0.2, 0.3, 0.3]])) == 1 / 3
    outputs = np.array([[0.5, 0.6], [0.4, 0.5], [0.6, 0.6]])
    assert accuracy(np.array([[0, 1], [0, 1], [1, 0]]), None, exclusive=False)(outputs) == 1 / 3
    constant = np.ones((3, 1))
    assert r2(constant, None)(constant) == 1.0
    assert r2(constant, None)(constant + 1) == 0.0
    assert r2(np.array([[1.0], [2.0]]), None)(np.full((2, 1), 1e200)) == -math.inf


def test_rows_of_weight_zero_are_not_scored(backend):
    r = np.random.RandomState(0)
    X, Y, weight = r.randn(N, 3), r.randn(N, 2), np.ones(N)
    weight[3] = 0
    X[3] = Y[3] = np.nan
    seen = []
    for monitor in ("r2", lambda Y, outputs: seen.append(len(Y)) or float(np.isfinite(outputs).all())):
        options = {"sample_weight": weight, "epochs": 2, "assume_finite": True, "backend": backend, "seed": 0}
        result = train(Network((3, 4, 2)), X, Y, stop=Stop(monitor=monitor), **options)
        assert np.isfinite(result.history.score).all()
    assert seen == [N - 1, N - 1]


def test_rows_left_untrained_are_not_scored(go, data, backend):
    first = go(epochs=1, stop=Stop(validation=0.3))
    seen = []
    go(epochs=1, resume=first.state, stop=Stop(monitor=lambda Y, outputs: seen.append(Y) or 0.0))
    assert bits(seen[0]) == bits(data[1][np.sort(first.state.index)])


def test_a_history_has_scores_rates_and_the_best_epoch(go, data, backend):
    X, Y = data
    scores = iter([0.1, 0.5, math.nan, 0.5, math.inf, 0.2])
    result = go(stop=Stop(monitor=lambda Y, outputs: next(scores), validation=(X, Y), restore_best=True))
    history = result.history
    assert history.best_epoch == 2
    assert bits(result.params) == bits(go(epochs=2).params)
    assert history.score[[0, 1, 3]].tolist() == [0.1, 0.5, 0.5]
    assert history.validation_loss.shape == history.learning_rate.shape == (6,)
    assert history.monitor.endswith("<lambda>")
    assert "(best 0.5 in epoch 2)" in repr(result)
    outputs = predict(result.network, result.state.params, X, backend=backend)
    assert go(stop=Stop(monitor="r2")).history.score[-1] == r2(Y, None)(outputs)


def test_another_monitor_begins_anew(go):
    """The best score and the count of epochs; the same one goes on."""
    first = go(stop=Stop(patience=50, monitor="r2", restore_best=True))
    kept = first.state.counters
    assert (kept["rule_on"], kept["best_on"], kept["best_score"]) == ("r2", "r2", -first.history.score.max())
    for monitor, goes_on in (("r2", True), ("loss", False), (lambda Y, outputs: -9.0, False)):
        stop = Stop(patience=50, monitor=monitor, restore_best=True)
        more = go(epochs=1, resume=first.state, optimizer=Adam(3.0), stop=stop)
        assert bits(more.params) == bits(first.params if goes_on else more.state.params)
        assert more.state.counters["rule_stale"] == (1 if goes_on else 0)
        plain = go(epochs=1, resume=first.state, optimizer=Adam(3.0))  # keeps the best, not the count
        again = go(epochs=1, resume=plain.state, optimizer=Adam(3.0), stop=stop)
        assert bits(again.params) == bits(first.params if goes_on else again.state.params)
    other_data = go(
        epochs=1,
        resume=first.state,
        optimizer=Adam(3.0),
        stop=Stop(monitor="r2", restore_best=True, validation=(np.ones((2, 3)), np.eye(2))),
    )
    assert bits(other_data.params) == bits(other_data.state.params)


@pytest.mark.parametrize(
    ("n", "monitor", "match"),
    [
        (
            3,
            "roc_auc",
            "'roc_auc' does not suit these 3 rows of labels of 3 classes.*multi_class.*; roc_auc_ovo, .* would suit",
        ),
        (3, "neg_max_error", None),
        (2, "f1_samples", "'f1_samples' does not suit these 3 rows of labels of 2 classes"),
        (3, "f1", "'f1' does not suit .*; f1_macro, f1_micro, f1_weighted would suit"),
        (2, "roc_ac", r"\(did you mean 'roc_auc'\?\).*or of sklearn.metrics.get_scorer_names\(\)$"),
    ],
)
def test_scorers_that_do_not_suit_are_refused_before_training(n, monitor, match):
    pytest.importorskip("sklearn")
    network = Network((3, n), output="softmax")
    with pytest.raises(ValueError, match=match) if match else contextlib.nullcontext():
        train(network, np.eye(3), np.arange(3) % n, epochs=1, backend="numpy", stop=Stop(monitor=monitor))


@pytest.mark.parametrize("monitor", ["auc", "f1", "neg_log_loss", "balanced_accuracy", "top_k_accuracy"])
def test_scorers_of_labels_ask_for_labels(monitor):
    """And those of numbers, which do not suit these, say why."""
    pytest.importorskip("sklearn")
    options = {"epochs": 1, "backend": "numpy"}
    with pytest.raises(ValueError, match="needs labels, by the loss cross_entropy or log_loss; this network's targets"):
        train(Network((3, 1)), np.eye(3), [-2.0, 0.5, 1.0], **options, stop=Stop(monitor=monitor))
    log = Stop(monitor="neg_root_mean_squared_log_error")
    with pytest.raises(ValueError, match=r"3 rows of numbers: .*less than or equal to -1"):
        train(Network((3, 1)), np.eye(3), [-2.0, 0.5, 1.0], **options, stop=log)


def test_scorers_of_one_label_a_row_say_that_there_are_several():
    pytest.importorskip("sklearn")
    network = Network((3, 2), output="sigmoid", loss="log_loss")
    with pytest.raises(ValueError, match="'rand_score' does not suit these 3 rows of 2 labels a row"):
        train(network, np.eye(3), np.eye(3)[:, :2], epochs=1, backend="numpy", stop=Stop(monitor="rand_score"))


NUMBERS = Network((3, 4, 1), "tanh")


@pytest.mark.parametrize("network", [CLASSES, BINARY, NUMBERS])
def test_the_score_of_a_result(network):
    """The accuracy of labels, else R2, as scikit-learn's estimators have it; of a ManyResult one for each member."""
    X, Y, weight = drawn(np.float64)
    y = {3: Y.argmax(axis=1), 2: (Y[:, :2] > 0).astype(float), 1: Y[:, 0]}[network.n_outputs]
    many = train_many(network, X, y, seed=range(2), epochs=3)
    labels = Y.max(axis=1, keepdims=True) == Y if network.n_outputs == 3 else y.reshape(len(y), -1)
    formula = r2(labels, weight) if network.n_outputs == 1 else accuracy(labels, weight, exclusive=network is CLASSES)
    assert many.score(X, y, weight).tolist() == [formula(result.predict(X)) for result in many]
    assert many[1].score(X, y, weight) == many.score(X, y, weight)[1] < 1
    for wrong, match in (({"monitor": "loss"}, "score gives no loss"), ({"monitor": "acc"}, "did you mean 'accuracy'")):
        with pytest.raises(ValueError, match=match):
            many[0].score(X, y, **wrong)
    with pytest.raises(ValueError, match="X has 39 rows"):
        many[0].score(X[1:], y)


@pytest.mark.parametrize(
    ("network", "options", "match"),
    [
        (BINARY, {"monitor": "acc"}, r"unknown monitor 'acc' \(did you mean 'accuracy'\?\); one of loss, accuracy, r2"),
        (BINARY, {"monitor": 3}, "monitor must be one of loss, accuracy, r2, or a function of \\(Y, outputs\\), not 3"),
        (BINARY, {"monitor": lambda Y: 0.0}, r"monitor must be a function of \(Y, outputs\); .*too many positional"),
        (Network((3, 4, 2)), {"monitor": "accuracy"}, "needs labels.*this network's is 'squared_error'.*monitor='r2'"),
        (BINARY, {"monitor": "r2", "validation": 0.01}, "monitor='r2' needs at least 2 rows to score"),
        (BINARY, {"monitor": "r2", "validation": (np.ones((0, 3)), np.ones((0, 2)))}, "validation: X has no rows"),
    ],
)
def test_refused_before_training(network, options, match):
    with pytest.raises((ValueError, TypeError), match=match):
        train(network, np.ones((9, 3)), np.ones((9, 2)), epochs=1, backend="numpy", stop=Stop(**options))


BROKEN = {
    "ZeroDivisionError: division by zero": lambda Y, outputs: 1 / 0,
    "TypeError: it must return a number, not None": lambda Y, outputs: None,
    "TypeError: it must return a number, not True": lambda Y, outputs: True,
    "TypeError: it must return a number, not 'high'": lambda Y, outputs: "high",
    r"TypeError: it must return a number, not ndarray of shape \(2,\)": lambda Y, outputs: outputs.mean(axis=0),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_monitor_that_fails_loses_nothing(go, words, tmp_path):
    fails = []

    def monitor(Y, outputs):
        return BROKEN[words](Y, outputs) if len(fails) == 2 else fails.append(None) or 0.0

    with pytest.raises(
        MonitorError, match=rf"monitor .*monitor failed after epoch 3 of this call: {words}; `.result` of"
    ) as error:
        go(stop=Stop(monitor=monitor, patience=9))
    result = error.value.result
    assert isinstance(error.value.__cause__, Exception)
    assert result.n_epochs == 3
    assert math.isnan(result.history.score[-1])
    result.save(tmp_path / "saved.npz")
    plain = go()
    more = go(epochs=3, resume=result.state)
    assert bits(more.params) == bits(plain.params)
    assert state_bits(go(epochs=3).state)["vectors"] == state_bits(result.state)["vectors"]
