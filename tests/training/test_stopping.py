"""When a training stops: patience, validation data, time, divergence; and the rates that it takes
and reduces."""

import contextlib
import itertools
import math
import time
import warnings

import numpy as np
import pytest
from bits import assert_same_params, bits, result_bits, state_bits
from small_training import NETWORK, N, Recorder
from watched import watch

import fastnn
from fastnn import (
    SGD,
    Adam,
    DivergenceError,
    Network,
    ReduceRate,
    Stop,
    one_cycle,
    step_decay,
    train,
    train_many,
)
from fastnn.schedules import Schedule
from fastnn.testing.tolerances import assert_within
from fastnn.training.steps import learning_rates
from fastnn.training.stopping import accuracy, r2, scorer


def test_patience_and_tol_each_ask_for_the_rule(go):
    """Each alone has the other's default: a tol of 0, a patience of 10. A training that learns
    nothing ends."""
    still = {"optimizer": SGD(0.0), "batch_size": None, "epochs": 50}
    for validation, reason in ((None, "tolerance"), (0.3, "validation")):
        for given, n_epochs in (
            ({"patience": 5}, 6),
            ({"patience": 1}, 2),
            ({"patience": 0}, 2),
            ({"tol": 0.0}, 11),
            ({"tol": 1e9, "patience": 3}, 4),
        ):
            result = go(**still, stop=Stop(**given, validation=validation))
            assert (result.n_epochs, result.stop_reason) == (n_epochs, reason)
        assert go(**still, stop=Stop(validation=validation)).stop_reason == "epochs"


def test_max_seconds(go, monkeypatch):
    """By a clock that ticks 0.05 s each time that somebody looks."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) / 20)
    result = go(epochs=10**9, stop=Stop(max_seconds=0.2))
    assert 0.2 <= result.history.seconds < 1
    assert (result.stop_reason, go(stop=Stop(max_seconds=1000)).stop_reason) == ("time", "epochs")
    assert go(epochs=1, resume=result.state).n_epochs == 1


def test_validation_parts_must_not_be_empty(go, data):
    X, Y = data
    assert go(X.astype(np.float32), stop=Stop(validation=(X[:7], Y[:7]))).params.dtype == np.float32
    split = go(stop=Stop(validation=0.3)).state
    weight = np.ones(N)
    weight[split.validation_rows] = 0
    with pytest.raises(ValueError, match="split off for validation"):
        go(sample_weight=weight, stop=Stop(validation=0.3))
    with pytest.raises(ValueError, match="left to train on"):
        go(sample_weight=1 - weight, resume=split)


@pytest.mark.parametrize("batch_size", [None, 5])
def test_divergence(go, batch_size):
    options = {"optimizer": SGD(30.0), "epochs": 300, "batch_size": batch_size}
    stopped = go(**options, stop=Stop(on_divergence="stop"))
    assert stopped.stop_reason == "diverged"
    assert np.isfinite([*stopped.state.vectors.ravel(), *stopped.history.loss]).all()
    assert divmod(stopped.state.t, 5 if batch_size else 1) == (
        stopped.n_epochs,
        stopped.state.batch,
    )
    with pytest.raises(DivergenceError) as error:
        go(**options)
    assert result_bits(error.value.result) == result_bits(stopped)
    place = (
        f"step {stopped.state.t} (epoch {stopped.n_epochs}, batch {stopped.state.batch}, all "
        f"counted from 0)"
    )
    assert place in str(error.value)
    assert "smaller learning rate (here it was 30)" in str(error.value)
    with pytest.raises(DivergenceError) as again:
        go(**options, resume=stopped.state)
    assert place in str(again.value)
    assert state_bits(again.value.result.state) == state_bits(stopped.state)


def test_divergence_at_the_first_step(go):
    result = go(params=np.full(NETWORK.n_params, 1e200), stop=Stop(on_divergence="stop"))
    assert (result.state.t, result.n_epochs, result.stop_reason) == (0, 0, "diverged")
    assert (result.params == 1e200).all()
    # as before the shuffle that the step would have needed
    assert bits(result.state.index) == bits(np.arange(N))


def test_a_back_end_that_does_not_repeat_itself_is_found_out(data):

    class Fickle(Recorder):
        def train_steps(self, *arguments):
            return super().train_steps(*arguments) - 1

    with pytest.raises(RuntimeError, match="did not repeat its own steps"):
        train(NETWORK, *data, epochs=1, batch_size=5, backend=Fickle())


def test_a_reduced_rate_goes_on_whatever_the_rules(go):
    """Resuming keeps the least rate, which new rules may change; a schedule below it is left as it
    is."""
    options = {"optimizer": SGD(1e-200), "batch_size": None, "epochs": 9}
    stop = Stop(reduce=ReduceRate(0.5, 1, least=0.1e-200))
    first = go(**options, stop=stop)
    assert first.history.learning_rate[-1] == 0.1e-200
    more = go(**options | {"optimizer": None}, resume=first.state)
    assert more.history.learning_rate.tolist() == [0.1e-200] * 9
    less = go(**options, resume=more.state, stop=Stop(reduce=ReduceRate(0.5, 99, least=0.0)))
    assert less.history.learning_rate.tolist() == [1e-200 * 0.5**8] * 9
    falling = go(**options | {"optimizer": SGD(step_decay(1e-200, 1))}, stop=stop)
    rates = [1e-200, 0.5e-200, 0.125e-200, 0.1e-200, 0.0625e-200]
    assert falling.history.learning_rate[:5].tolist() == rates


def test_a_rate_that_falls_often_does_not_repeat_whole_chunks(data):
    """Chunks end near where the rate falls: at most twice as far is done twice."""
    recorder = Recorder()
    options = {
        "optimizer": SGD(0.0),
        "batch_size": None,
        "epochs": 3000,
        "seed": 0,
        "backend": recorder,
    }
    train(NETWORK, *data, **options, stop=Stop(reduce=ReduceRate(0.5, 10)))
    assert sum(recorder.chunks) < 5 * 3000


@pytest.mark.parametrize("first", [0, 250, 10**6])
def test_rates_are_computed_ahead(first, monkeypatch):
    """An epoch a call must not cost more than its steps: of a hundred calls, two compute."""
    calls = watch(monkeypatch, one_cycle, "rates")
    schedule = one_cycle(0.3, first + 70, start=0.1 / 3)
    steps = range(first, first + 100)
    one_by_one = [float(learning_rates(schedule, step, 1)[0]) for step in steps]
    assert len(calls) <= 2
    assert one_by_one == schedule.rates(np.array(steps)).tolist()


def test_a_schedule_of_the_users_own_is_asked_for_no_later_steps():

    class Table(Schedule):
        def rates(self, steps):
            return np.array([0.1, 0.2, 0.3])[steps]

    assert [learning_rates(Table(0.1), step, 1)[0] for step in range(3)] == [0.1, 0.2, 0.3]


CLASSES = Network((3, 4, 3), "tanh", "softmax")
BINARY = Network((3, 4, 2), "tanh", "sigmoid", "log_loss")


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_scikit_learn(dtype, weighted):
    metrics = pytest.importorskip("sklearn.metrics")
    r = np.random.RandomState(0)
    eps = np.finfo(dtype).eps
    Y, outputs, weight = (
        array.astype(dtype) for array in (r.randn(40, 3), r.randn(40, 3), r.uniform(0.1, 2, 40))
    )
    weight = weight if weighted else np.ones_like(weight)
    labels = outputs.argmax(axis=1)
    several = (Y > 0.3)[:, :2]
    labels[::3] = 1
    Y[:, 1] = outputs[:, 1] = 0.5  # both sums of R2 are 0

    def check(name, network, targets, outputs, right, bound):
        score = scorer(name, network, targets.astype(dtype), weight)(outputs)
        assert_within(np.array([score]), np.array([right]), bound * eps, name, "scikit-learn's")

    right = metrics.accuracy_score(labels, outputs.argmax(axis=1), sample_weight=weight)
    check("accuracy", CLASSES, np.eye(3)[labels], outputs, right, 40)
    right = metrics.accuracy_score(several, outputs[:, :2] > 0.5, sample_weight=weight)
    check("accuracy", BINARY, several, outputs[:, :2], right, 40)
    for columns in ([0, 1], [0], [1]):
        right = metrics.r2_score(Y[:, columns], outputs[:, columns], sample_weight=weight)
        check("r2", BINARY, Y[:, columns], outputs[:, columns], right, 400)


def test_scores_where_they_could_be_doubted():
    assert (
        accuracy(np.eye(3), None, exclusive=True)(np.array([[1, 1, 0], [1, 1, 0], [0.2, 0.3, 0.3]]))
        == 1 / 3
    )
    outputs = np.array([[0.5, 0.6], [0.4, 0.5], [0.6, 0.6]])
    assert accuracy(np.array([[0, 1], [0, 1], [1, 0]]), None, exclusive=False)(outputs) == 1 / 3
    constant = np.ones((3, 1))
    assert r2(constant, None)(constant) == 1.0
    assert r2(constant, None)(constant + 1) == 0.0
    assert r2(np.array([[1.0], [2.0]]), None)(np.full((2, 1), 1e200)) == -math.inf


def test_rows_left_untrained_are_not_scored(go, data, backend):
    first = go(epochs=1, stop=Stop(validation=0.3))
    seen = []
    go(epochs=1, resume=first.state, stop=Stop(monitor=lambda Y, outputs: seen.append(Y) or 0.0))
    assert bits(seen[0]) == bits(data[1][np.sort(first.state.index)])


def test_a_history_has_scores_rates_and_the_best_epoch(go, data, backend):
    X, Y = data
    scores = iter([0.1, 0.5, math.nan, 0.5, math.inf, 0.2])
    result = go(
        stop=Stop(monitor=lambda Y, outputs: next(scores), validation=(X, Y), restore_best=True)
    )
    history = result.history
    assert history.best_epoch == 2
    assert_same_params(result, go(epochs=2))
    assert history.score[[0, 1, 3]].tolist() == [0.1, 0.5, 0.5]
    assert history.validation_loss.shape == history.learning_rate.shape == (6,)
    assert history.monitor.endswith("<lambda>")
    assert "(best 0.5 in epoch 2)" in repr(result)
    outputs = fastnn.predict(result.network, result.state.params, X, backend=backend)
    assert go(stop=Stop(monitor="r2")).history.score[-1] == r2(Y, None)(outputs)


def test_another_monitor_begins_anew(go):
    first = go(stop=Stop(patience=50, monitor="r2", restore_best=True))
    counters = first.state.counters
    assert counters["rule_on"] == counters["best_on"] == "r2"
    assert counters["best_score"] == -first.history.score.max()
    for monitor, goes_on in (("r2", True), ("loss", False), (lambda Y, outputs: -9.0, False)):
        stop = Stop(patience=50, monitor=monitor, restore_best=True)
        more = go(epochs=1, resume=first.state, optimizer=Adam(3.0), stop=stop)
        assert_same_params(more, first if goes_on else more.state)
        assert more.state.counters["rule_stale"] == goes_on
        # keeps the best, not the count
        plain = go(epochs=1, resume=first.state, optimizer=Adam(3.0))
        again = go(epochs=1, resume=plain.state, optimizer=Adam(3.0), stop=stop)
        assert_same_params(again, first if goes_on else again.state)
    stop = Stop(monitor="r2", restore_best=True, validation=(np.ones((2, 3)), np.eye(2)))
    other_data = go(epochs=1, resume=first.state, optimizer=Adam(3.0), stop=stop)
    assert_same_params(other_data, other_data.state)


SCORED = {
    "3 classes": (Network((3, 3), output="softmax"), np.arange(3)),
    "2 classes": (Network((3, 2), output="softmax"), np.arange(3) % 2),
    "labels": (Network((3, 2), output="sigmoid", loss="log_loss"), np.eye(3)[:, :2]),
    "numbers": (Network((3, 1)), [-2.0, 0.5, 1.0]),
}
MULTI_CLASS = (
    "'roc_auc' does not suit these 3 rows of labels of 3 classes.*multi_class.*; "
    "roc_auc_ovo, .* would suit"
)
NEED_LABELS = "needs labels, by the loss cross_entropy or log_loss; this network's targets"


@pytest.mark.parametrize(
    ("data", "monitor", "match"),
    [
        ("3 classes", "roc_auc", MULTI_CLASS),
        ("3 classes", "neg_max_error", None),
        ("3 classes", "f1", "'f1' does not suit .*; f1_macro, f1_micro, f1_weighted would suit"),
        (
            "2 classes",
            "f1_samples",
            "'f1_samples' does not suit these 3 rows of labels of 2 classes",
        ),
        (
            "2 classes",
            "roc_ac",
            r"\(did you mean 'roc_auc'\?\).*or of sklearn.metrics.get_scorer_names\(\)$",
        ),
        ("labels", "rand_score", "'rand_score' does not suit these 3 rows of 2 labels a row"),
        (
            "numbers",
            "neg_root_mean_squared_log_error",
            "3 rows of numbers: .*less than or equal to -1",
        ),
        *(
            ("numbers", name, NEED_LABELS)
            for name in ("auc", "f1", "neg_log_loss", "balanced_accuracy", "top_k_accuracy")
        ),
    ],
)
def test_scorers_that_do_not_suit_are_refused_before_training(data, monitor, match):
    pytest.importorskip("sklearn")
    network, Y = SCORED[data]
    with pytest.raises(ValueError, match=match) if match else contextlib.nullcontext():
        train(network, np.eye(3), Y, epochs=1, backend="numpy", stop=Stop(monitor=monitor))


NUMBERS = Network((3, 4, 1), "tanh")


@pytest.mark.parametrize("network", [CLASSES, BINARY, NUMBERS])
def test_the_score_of_a_result(network):
    """The accuracy of labels, else R2, as scikit-learn's estimators have it; of a ManyResult one
    for each member."""
    r = np.random.RandomState(0)
    X = r.randn(40, 3)
    Y = r.randn(40, 3)
    weight = r.uniform(0.1, 2, 40)
    if network is CLASSES:
        y = Y.argmax(axis=1)
        formula = accuracy(np.eye(3)[y], weight, exclusive=True)
    elif network is BINARY:
        y = (Y[:, :2] > 0).astype(float)
        formula = accuracy(y, weight, exclusive=False)
    else:
        y = Y[:, 0]
        formula = r2(y[:, None], weight)
    many = train_many(network, X, y, seed=range(2), epochs=3)
    assert many.score(X, y, weight).tolist() == [formula(result.predict(X)) for result in many]
    assert many[1].score(X, y, weight) == many.score(X, y, weight)[1] < 1
    for wrong, match in (("loss", "score gives no loss"), ("acc", "did you mean 'accuracy'")):
        with pytest.raises(ValueError, match=match):
            many[0].score(X, y, monitor=wrong)
    with pytest.raises(ValueError, match="X has 39 rows"):
        many[0].score(X[1:], y)


@pytest.mark.parametrize(
    ("network", "options", "match"),
    [
        (
            BINARY,
            {"monitor": "acc"},
            r"unknown monitor 'acc' \(did you mean 'accuracy'\?\); one of loss, accuracy, r2",
        ),
        (
            BINARY,
            {"monitor": 3},
            "monitor must be loss, accuracy, r2 or a function of \\(Y, outputs\\), not 3",
        ),
        (
            BINARY,
            {"monitor": lambda Y: 0.0},
            r"monitor must be a function of \(Y, outputs\); .*too many positional",
        ),
        (
            Network((3, 4, 2)),
            {"monitor": "accuracy"},
            "needs labels.*this network's is 'squared_error'.*monitor='r2'",
        ),
        (
            BINARY,
            {"monitor": "r2", "validation": 0.01},
            "monitor='r2' needs at least 2 rows to score",
        ),
        (
            BINARY,
            {"monitor": "r2", "validation": (np.ones((0, 3)), np.ones((0, 2)))},
            "validation: X has no rows",
        ),
    ],
)
def test_refused_before_training(network, options, match):
    with pytest.raises((ValueError, TypeError), match=match):
        train(
            network,
            np.ones((9, 3)),
            np.ones((9, 2)),
            epochs=1,
            backend="numpy",
            stop=Stop(**options),
        )


BROKEN = {
    "ZeroDivisionError: division by zero": lambda Y, outputs: 1 / 0,
    "TypeError: it must return a number, not None": lambda Y, outputs: None,
    "TypeError: it must return a number, not True": lambda Y, outputs: True,
    "TypeError: it must return a number, not 'high'": lambda Y, outputs: "high",
    r"TypeError: it must return a number, not ndarray of shape \(2,\)": lambda Y, outputs: (
        outputs.mean(axis=0)
    ),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_monitor_that_fails_loses_nothing(go, words, tmp_path):
    fails = []

    def monitor(Y, outputs):
        return BROKEN[words](Y, outputs) if len(fails) == 2 else fails.append(None) or 0.0

    match = rf"monitor .*monitor failed after epoch 3 of this call: {words}; `.result` of"
    with pytest.raises(fastnn.MonitorError, match=match) as error:
        go(stop=Stop(monitor=monitor, patience=9))
    result = error.value.result
    assert isinstance(error.value.__cause__, Exception)
    assert (result.n_epochs, math.isnan(result.history.score[-1])) == (3, True)
    result.save(tmp_path / "saved.npz")
    assert_same_params(go(epochs=3, resume=result.state), go())
    assert bits(go(epochs=3).state.vectors) == bits(result.state.vectors)


def test_a_monitor_without_a_number_is_warned_of(go):
    for number in (math.nan, math.inf, 1.0):
        stop = Stop(validation=0.3, monitor=lambda Y, outputs, it=number: it, patience=3)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            go(stop=stop)
        told = [str(warning.message) for warning in caught]
        assert all(text.startswith("no epoch had a score, so none was the best") for text in told)
        assert len(told) == (not math.isfinite(number))
