"""The driver: what it draws, what it hands to a back end, when it stops; no bit depends on where chunks end."""

import dataclasses
import functools
import itertools
import math
import pickle
import signal
import threading
import time

import numpy as np
import pytest
from bits import bits, history_bits, result_bits, state_bits
from chunks import chunks_of

from fastnn import SGD, Adam, DivergenceError, InterruptWarning, Network, Stop, cosine, get_backend, step_decay, train
from fastnn import loss_and_gradient as public_loss
from fastnn import predict as public_predict
from fastnn.optimizers import RPROP, RMSprop
from fastnn.training import pace
from fastnn.training.state import TrainingState
from fastnn.training.stopping import Patience

NETWORK = Network((3, 4, 2), activation="tanh")
N = 23


@pytest.fixture(scope="module")
def data():
    random_state = np.random.RandomState(0)
    X = random_state.randn(N, 3)
    return X, np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)


@pytest.fixture
def go(data, backend):
    """`train` on the data with some options; 5 steps an epoch, the last of 3 rows."""
    defaults = {"optimizer": Adam(0.01), "epochs": 6, "batch_size": 5, "seed": 3, "backend": backend}

    def run(X=data[0], Y=data[1], network=NETWORK, **options):
        options = defaults | options
        if "resume" in options or "params" in options:
            options.setdefault("seed", None)
        if "resume" in options:
            options["seed"] = None
        return train(network, X, Y, **options)

    return run


class Recorder:
    """The reference back end, which keeps what it was given."""

    name = "recorder"

    def __init__(self):
        self.inner = get_backend("numpy")
        self.supports, self.predict = self.inner.supports, self.inner.predict
        self.loss_and_gradient = self.inner.loss_and_gradient
        self.rows, self.rates, self.losses, self.chunks, self.data = [], [], [], [], None

    def train_steps(self, task, state, steps):
        good = self.inner.train_steps(task, state, steps)
        self.data = task.data
        self.chunks.append(len(steps.loss))
        for s in range(good):
            self.rows.append(steps.rows[steps.start[s] : steps.stop[s]].copy())
        self.rates += steps.learning_rate[:good].tolist()
        self.losses += steps.loss[:good].tolist()
        return good


# -------------------------------------------------------------------------------------------------------- what is drawn


def test_same_seed_gives_the_same_bits_and_another_seed_does_not(go):
    assert result_bits(go()) == result_bits(go()) == result_bits(go(seed=np.int64(3)))
    assert bits(go().params) != bits(go(seed=4).params)
    assert bits(go(seed=None).params) != bits(go(seed=None).params)


def test_a_random_state_is_used_as_it_is(go):
    random_state = np.random.RandomState(3)
    result = go(seed=random_state)
    assert result_bits(result) == result_bits(go())
    assert random_state.get_state()[2] == result.state.random_state["state"]["pos"]
    assert bits(go(seed=random_state).params) != bits(result.params)  # it has gone on


def test_both_back_ends_see_the_same_weights_order_and_split(data):
    runs = [
        train(NETWORK, *data, epochs=3, batch_size=5, seed=3, backend=name, stop=Stop(validation=0.3))
        for name in ("numpy", "numba")
    ]
    for name in ("index", "validation_rows"):
        assert np.array_equal(*(getattr(run.state, name) for run in runs))
    np.testing.assert_allclose(runs[0].params, runs[1].params, rtol=1e-9)
    np.testing.assert_allclose(runs[0].history.loss, runs[1].history.loss, rtol=1e-9)


@pytest.mark.parametrize("validation", [None, 0.3])
@pytest.mark.parametrize("given", [False, True])
def test_order_of_draws(data, validation, given):
    """Weights (unless given), then the split, then one shuffle an epoch, composed."""
    recorder = Recorder()
    random_state = np.random.RandomState(8)
    initial = np.arange(NETWORK.n_params) / 10 if given else NETWORK.init_params(random_state, np.float64)
    index = np.arange(N)
    if validation:
        order = random_state.permutation(N)
        index = order[math.ceil(0.3 * N) :]
    expected = []
    for _ in range(3):
        p = np.arange(len(index))
        random_state.shuffle(p)
        index = index[p]
        expected += [index[i : i + 5].tolist() for i in range(0, len(index), 5)]
    result = train(
        NETWORK,
        *data,
        optimizer=SGD(0.0),
        epochs=3,
        batch_size=5,
        seed=8,
        params=initial if given else None,
        stop=Stop(validation=validation),
        backend=recorder,
    )
    assert [rows.tolist() for rows in recorder.rows] == expected
    assert bits(result.params) == bits(initial)
    assert result.state.random_state["state"]["pos"] == random_state.get_state()[2]


@pytest.mark.parametrize("batch_size", [None, N, N + 1, 10**9])
def test_full_batches_are_not_shuffled(data, batch_size):
    recorder = Recorder()
    result = train(NETWORK, *data, epochs=3, batch_size=batch_size, seed=8, backend=recorder)
    assert [rows.tolist() for rows in recorder.rows] == [list(range(N))] * 3
    random_state = np.random.RandomState(8)
    NETWORK.init_params(random_state, np.float64)
    assert result.state.random_state["state"]["pos"] == random_state.get_state()[2]


def test_defaults(backend):
    """Adam, in batches of 200 rows or in full ones for who takes no others; epochs are the caller's to say."""
    X = np.random.RandomState(0).randn(450, 3)

    def go(**options):
        return train(NETWORK, X, np.sin(X[:, :2]), epochs=2, seed=1, backend=backend, **options)

    assert result_bits(go()) == result_bits(go(optimizer=Adam(), batch_size=200, shuffle=True, alpha=0.0))
    assert go().state.t == go(optimizer=SGD(sequential=True)).state.t == 2 * 3
    assert go(batch_size=None).state.t == go(optimizer=RPROP()).state.t == 2
    with pytest.raises(TypeError, match="epochs"):
        train(NETWORK, X, X[:, :2])


def test_without_shuffle_rows_stay_in_order(data):
    recorder = Recorder()
    train(NETWORK, *data, epochs=2, batch_size=10, shuffle=False, seed=8, backend=recorder)
    assert [rows.tolist() for rows in recorder.rows] == [
        list(range(10)),
        list(range(10, 20)),
        list(range(20, N)),
    ] * 2


# ------------------------------------------------------------------------------------------- chunks, resume, interrupts

CASES = {
    "full batch": {"batch_size": None},
    "one batch, momentum": {"batch_size": N, "optimizer": SGD(0.1, momentum=0.9)},
    "shuffled": {},
    "not shuffled": {"shuffle": False},
    "batch 1": {"batch_size": 1, "epochs": 2},
    "sum": {"network": dataclasses.replace(NETWORK, reduction="sum"), "optimizer": SGD(0.001)},
    "weights": {"sample_weight": np.arange(N) % 3, "alpha": 0.1},
    "skipped batches": {"sample_weight": (np.arange(N) > 12).astype(int), "shuffle": False},
    "schedule": {"optimizer": Adam(step_decay(0.1, every=7))},
    "tolerance": {"epochs": 40, "optimizer": Adam(0.1), "stop": Stop(tol=1e-2, patience=1)},
    "validation": {"epochs": 15, "optimizer": Adam(0.1), "stop": Stop(tol=0.0, patience=0, validation=0.3)},
    "restore best": {"optimizer": SGD(0.5), "stop": Stop(restore_best=True)},
    "diverged": {"optimizer": SGD(30.0), "epochs": 200, "stop": Stop(on_divergence="stop")},
}


@pytest.mark.parametrize("case", CASES)
def test_chunk_length_changes_no_bit(go, monkeypatch, case):
    results = []
    for n_steps in (1, 7, 10**6):
        chunks_of(monkeypatch, n_steps)
        results.append(result_bits(go(**CASES[case])))
    assert results[0] == results[1] == results[2]
    if case in ("tolerance", "validation", "diverged"):
        assert results[0]["stop_reason"] == case


def test_chunks_have_the_length_that_was_set(data, monkeypatch):
    """The tests above would pass if chunks were never split."""
    recorder = Recorder()
    chunks_of(monkeypatch, 7)
    train(NETWORK, *data, epochs=6, batch_size=5, seed=1, backend=recorder)
    assert recorder.chunks == [7, 7, 7, 7, 2]


def test_chunk_length_follows_the_last_chunk_only():
    chunk = pace.Pace(n_params=26, batch_size=5)
    assert chunk.n_steps == pace.FIRST_CHUNK_STEPS
    chunk.measured(chunk.n_steps, 10.0)  # compilation
    assert chunk.n_steps < 10
    chunk.measured(chunk.n_steps, chunk.n_steps * 1e-5)
    assert chunk.n_steps == pytest.approx(pace.CHUNK_SECONDS / 1e-5, abs=1)
    chunk.measured(1000, 0.0)
    assert chunk.n_steps == pace.MAX_CHUNK_STEPS
    assert pace.Pace(n_params=10**6, batch_size=10**3).n_steps == 1
    assert pace.Pace(n_params=1, batch_size=2**20)._most == 4


class SignalAt:
    """An observer that sends SIGINT after so many chunks."""

    per_chunk = True

    def __init__(self, n_chunks):
        self.left = n_chunks

    def __call__(self, progress):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("n_steps", [1, 4, 5, 13, 29])
@pytest.mark.parametrize("case", ["shuffled", "not shuffled", "sum", "skipped batches", "schedule", "restore best"])
def test_interrupted_and_resumed_equals_uninterrupted(go, monkeypatch, case, n_steps):
    whole = go(**CASES[case])
    old = signal.getsignal(signal.SIGINT)
    chunks_of(monkeypatch, 1)
    with pytest.warns(InterruptWarning, match=f"after {n_steps // 5} epochs of this call, {n_steps} steps"):
        a = go(**CASES[case], callbacks=[SignalAt(n_steps)])
    assert signal.getsignal(signal.SIGINT) is old
    assert (a.stop_reason, a.state.t, a.n_epochs) == ("interrupted", n_steps, n_steps // 5)
    b = go(**CASES[case] | {"epochs": 6 - a.n_epochs}, resume=a.state)
    assert b.stop_reason == "epochs"
    assert state_bits(b.state) == state_bits(whole.state)
    assert history_bits(a, b) == history_bits(whole)


def test_a_second_signal_raises_and_the_handler_is_restored(go):
    def twice(progress):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    old = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        go(callbacks=[twice])
    assert signal.getsignal(signal.SIGINT) is old


def test_interrupt_in_the_last_epoch_is_not_swallowed(go):
    with pytest.warns(InterruptWarning):
        result = go(callbacks=[lambda p: p.epoch == 6 and signal.raise_signal(signal.SIGINT)])
    assert (result.stop_reason, result.n_epochs) == ("interrupted", 6)


def test_ignored_signals_stay_ignored(go):
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert go(callbacks=[lambda p: signal.raise_signal(signal.SIGINT)]).stop_reason == "epochs"
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, old)


def test_other_threads_train_without_a_handler(go):
    handlers, results = [], []
    thread = threading.Thread(
        target=lambda: results.append(go(callbacks=[lambda p: handlers.append(signal.getsignal(signal.SIGINT))]))
    )
    old = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join()
    assert result_bits(results[0]) == result_bits(go())
    assert all(handler is old for handler in handlers)
    assert len(handlers) == 6


def test_resume_refuses_what_does_not_fit(go, data, monkeypatch):
    X, Y = data
    state = go().state
    for what, options in {
        "sizes of its state is (3, 4, 2), that of this training (3, 5, 2)": {"network": Network((3, 5, 2))},
        "optimizer of its state is Adam, that of this training is? SGD": {"optimizer": SGD()},
        "dtype of its state is float64, that of this training float32": {"dtype": "float32"},
        "activation of its state is (tanh), that of this training (relu)": {"network": Network((3, 4, 2))},
        "output of its state is identity, that of this training tanh": {"network": Network((3, 4, 2), "tanh", "tanh")},
        "loss of its state is squared_error, that of this training huber": {
            "network": dataclasses.replace(NETWORK, loss="huber")
        },
        "reduction of its state is mean, that of this training sum": {
            "network": dataclasses.replace(NETWORK, reduction="sum")
        },
        "bias_gradient of its state is exact, that of this training times_bias": {
            "network": dataclasses.replace(NETWORK, bias_gradient="times_bias")
        },
        "23 rows, X has 20": {"X": X[:20], "Y": Y[:20]},
        "0 rows for validation, validation=0.5 of 23 rows is 12": {"stop": Stop(validation=0.5)},
    }.items():
        with pytest.raises(ValueError, match="resume does not fit") as error:
            go(**options, resume=state)
        assert what.replace("is? ", "") in str(error.value)
    momentum = go(optimizer=SGD(0.1, momentum=0.9)).state
    with pytest.raises(ValueError, match="optimizer vectors of its state is 1, that of this training 0"):
        go(optimizer=SGD(0.1), resume=momentum)
    for name, value in {"seed": 3, "params": np.zeros(NETWORK.n_params)}.items():
        with pytest.raises(ValueError, match="without seed and params"):
            train(NETWORK, X, Y, epochs=1, resume=state, **{name: value})
    with pytest.raises(TypeError, match=r"pass its \.state"):
        go(resume=go())
    with pytest.raises(ValueError, match="no row order"):
        go(resume=TrainingState.create(np.zeros(NETWORK.n_params), 2))
    for rows in (np.arange(N) + 1, np.zeros(N, np.int64), np.arange(N) - 1):
        damaged = state.copy()
        damaged.index = rows
        with pytest.raises(ValueError, match="each row once"):
            go(resume=damaged)
    chunks_of(monkeypatch, 1)
    with pytest.warns(InterruptWarning):
        within = go(callbacks=[SignalAt(3)]).state
    with pytest.raises(ValueError, match="batches of 5 rows, batch_size is 4"):
        go(batch_size=4, resume=within)
    within.batch = 5
    with pytest.raises(ValueError, match="5 batches of an epoch of 5"):
        go(resume=within)


def test_between_epochs_batch_size_rate_and_alpha_may_change(go):
    result = go(resume=go().state, batch_size=4, optimizer=Adam(0.5), alpha=1.0)
    assert (result.stop_reason, result.state.t) == ("epochs", 6 * 5 + 6 * 6)


# ----------------------------------------------------------------------------------------------------- what is measured


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("zero", [False, True])
def test_loss_of_an_epoch(data, reduction, zero):
    """Weighted by rows for "mean", plainly summed for "sum"; skipped batches do not count."""
    recorder = Recorder()
    weight = np.ones(N)
    if zero:
        weight[5:10] = weight[20:] = 0
    network = dataclasses.replace(NETWORK, reduction=reduction)
    options = {"optimizer": SGD(0.01), "epochs": 3, "batch_size": 5, "shuffle": False, "sample_weight": weight}
    result = train(network, *data, **options, seed=0, backend=recorder)
    L = np.array(recorder.losses).reshape(3, 5)
    rows = np.array([5, 5, 5, 5, 3]) * ([1, 0, 1, 1, 0] if zero else 1)
    expected = L.sum(axis=1) if reduction == "sum" else (L * rows).sum(axis=1) / rows.sum()
    np.testing.assert_allclose(result.history.loss, expected, rtol=1e-14)


def test_loss_is_taken_before_the_updates(go, data, backend):
    result = go(epochs=1, batch_size=None)
    first = NETWORK.init_params(np.random.RandomState(3), np.float64)
    assert result.history.loss[0] == public_loss(NETWORK, first, *data, backend=backend)[0]


def test_skipped_batches_change_nothing_but_t(go, data):
    """Two batches of weight 0 in an otherwise full epoch: the same as an epoch of the other rows."""
    X, Y = data
    weight = np.ones(N)
    weight[5:15] = 0
    kept = np.r_[0:5, 15:N]
    with_skips = go(sample_weight=weight, shuffle=False)
    without = go(X[kept], Y[kept], shuffle=False)
    assert bits(with_skips.state.vectors) == bits(without.state.vectors)
    assert bits(with_skips.state.beta_products) == bits(without.state.beta_products)
    assert bits(with_skips.history.loss) == bits(without.history.loss)
    assert (with_skips.state.t, without.state.t) == (30, 18)


def test_learning_rate_is_of_the_absolute_step(data):
    recorder = Recorder()
    rate = cosine(0.1, steps=20)
    options = {"optimizer": SGD(rate), "epochs": 2, "batch_size": 5, "backend": recorder}
    a = train(NETWORK, *data, **options, seed=0)
    train(NETWORK, *data, **options, resume=a.state)
    assert recorder.rates == [rate(step) for step in range(20)]
    recorder.rates.clear()
    train(NETWORK, *data, **options | {"optimizer": SGD(lambda step: 1 / (1 + step))}, seed=0)
    assert recorder.rates == [1 / (1 + step) for step in range(10)]


def test_zero_epochs_give_the_initial_parameters(go):
    result = go(epochs=0)
    assert (result.n_epochs, result.state.t, result.stop_reason) == (0, 0, "epochs")
    assert bits(result.params) == bits(NETWORK.init_params(np.random.RandomState(3), np.float64))


# ------------------------------------------------------------------------------------------------------------- stopping


def plain_patience(losses, tol, patience):
    """The epochs until training stops, by the rule of `train`."""
    best, stale = math.inf, 0
    for epoch, loss in enumerate(losses):
        stale = 0 if math.isfinite(loss) and loss < best - tol else stale + 1
        best = min(best, loss) if math.isfinite(loss) else best
        if stale >= max(patience, 1):
            return epoch + 1
    return None


def sklearn_patience(losses, tol, n_iter_no_change):
    """The same by `BaseMultilayerPerceptron._update_no_improvement_count` and its caller."""
    best, stale = math.inf, 0
    for epoch, loss in enumerate(losses):
        stale = stale + 1 if loss > best - tol else 0
        best = loss if loss < best else best
        if stale > n_iter_no_change:
            return epoch + 1
    return None


RULES = {
    "train": (plain_patience, lambda tol, patience: Stop(tol, patience).rule()),
    "scikit-learn": (sklearn_patience, lambda tol, patience: Patience(tol, patience + 1, strict=False)),
}


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("spoiled", [0.0, 0.2])
def test_patience_agrees_with_a_plain_loop(kind, spoiled):
    plain, make = RULES[kind]
    random_state = np.random.RandomState(0)
    fired = 0
    for _ in range(300):
        losses = np.round(np.cumsum(random_state.randn(40)) - np.arange(40) * 0.7, 1)  # rounded: some are equal
        losses[random_state.rand(40) < spoiled] = random_state.choice([math.nan, math.inf])
        tol, patience = random_state.choice([0, 0.1, 1]), random_state.randint(0, 5)
        expected = plain(losses, tol, patience)
        for size in (1, 3, 40):  # in pieces
            rule, done = make(tol, patience), 0
            for i in range(0, 40, size):
                stopped = rule.count(losses[i : i + size])
                if stopped is not None:
                    done = i + stopped
                    break
            assert (done or None) == expected
            seen = losses[: done or 40]
            assert rule.best == min(seen[np.isfinite(seen)], default=math.inf)
        fired += expected is not None
    assert 50 < fired < 300


def test_a_loss_that_is_lower_by_just_tol_is_no_improvement():
    assert Stop(tol=0.0, patience=3).rule().count(np.ones(9)) == 4
    assert Stop(tol=0.5, patience=1).rule().count(np.array([2, 1.25, 0.75, 0.25])) == 3
    assert Patience(0.0, 1, strict=False).count(np.ones(9)) is None
    assert Patience(0.5, 1, strict=False).count(np.array([2, 1.5, 1.0, 0.75])) == 4


def test_patience_counts_nan_and_infinity_as_no_improvement():
    rule = Stop(tol=0.0, patience=4).rule()
    assert rule.count(np.array([1.0, math.nan, -math.inf, math.inf, math.nan])) == 5
    assert rule.best == 1.0
    assert Stop(patience=2).rule().count(np.full(5, math.nan)) == 2


def test_patience_and_tol_each_ask_for_the_rule(go):
    """Each alone has the other's default: a tol of 0, a patience of 10. A training that learns nothing ends."""
    still = {"optimizer": SGD(0.0), "batch_size": None, "epochs": 50}
    for given, n_epochs in (
        ({}, 50),
        ({"patience": 5}, 6),
        ({"patience": 1}, 2),
        ({"patience": 0}, 2),
        ({"tol": 0.0}, 11),
        ({"tol": 1e9, "patience": 3}, 4),
    ):
        for validation, reason in ((None, "tolerance"), (0.3, "validation")):
            result = go(**still, stop=Stop(**given, validation=validation))
            assert (result.n_epochs, result.stop_reason) == (n_epochs, reason if given else "epochs")


def test_tolerance_stops_at_exactly_the_epoch(go):
    options = {"optimizer": Adam(0.1), "batch_size": None}
    long = go(**options, epochs=120)
    wanted = plain_patience(long.history.loss, 1e-3, 2)
    assert 5 < wanted < 110
    result = go(**options, epochs=120, stop=Stop(tol=1e-3, patience=2))
    assert (result.stop_reason, result.n_epochs) == ("tolerance", wanted)
    assert bits(result.params) == bits(go(**options, epochs=wanted).params)
    assert bits(result.history.loss) == bits(long.history.loss[:wanted])


def test_tolerance_comes_before_a_later_divergence(go, monkeypatch):
    """One chunk holds both."""
    chunks_of(monkeypatch, 10**6)
    options = {"optimizer": SGD(30.0), "epochs": 200, "batch_size": None}
    diverged = go(**options, stop=Stop(on_divergence="stop"))
    wanted = plain_patience(diverged.history.loss, 0.0, 0)
    assert wanted < diverged.n_epochs
    assert go(**options, stop=Stop(tol=0.0, patience=0)).n_epochs == wanted


def test_validation_split(go, data, backend):
    X, Y = data
    result = go(epochs=3, stop=Stop(validation=0.3))
    rows, trained = result.state.validation_rows, result.state.index
    assert len(rows) == math.ceil(0.3 * N)
    assert sorted([*rows, *trained]) == list(range(N))
    loss = public_loss(NETWORK, result.params, X[rows], Y[rows], backend=backend)[0]
    assert result.history.validation_loss.shape == (3,)
    assert result.history.validation_loss[-1] == loss
    assert go(epochs=3).history.validation_loss.shape == (0,)


def test_validation_data_are_not_trained_on_and_not_penalized(go, data, backend):
    X, Y = data
    weight = np.linspace(0.1, 2, 7)
    given = (X[:7] + 1, Y[:7].tolist(), weight)
    result = go(alpha=0.5, stop=Stop(validation=given))
    assert bits(result.params) == bits(go(alpha=0.5).params)
    loss = public_loss(NETWORK, result.params, X[:7] + 1, Y[:7], sample_weight=weight, backend=backend)[0]
    assert result.history.validation_loss[-1] == loss
    single = go(X.astype(np.float32), stop=Stop(validation=(X[:7], Y[:7])))  # takes the dtype of the training
    assert single.params.dtype == np.float32


def test_validation_rule_and_restore_best(go):
    options = {"epochs": 60, "optimizer": Adam(0.3), "batch_size": None}
    long = go(**options, stop=Stop(validation=0.4))
    losses = long.history.validation_loss
    wanted = plain_patience(losses, 0.0, 4)
    best = int(losses[:wanted].argmin())
    assert best + 1 < wanted < 60
    result = go(**options, stop=Stop(validation=0.4, patience=4, restore_best=True))
    assert (result.stop_reason, result.n_epochs) == ("validation", wanted)
    assert bits(result.params) == bits(go(**options | {"epochs": best + 1}, stop=Stop(validation=0.4)).params)
    assert bits(result.state.params) == bits(go(**options | {"epochs": wanted}, stop=Stop(validation=0.4)).params)
    # The best parameters of the first run outlive a worse second one.
    again = go(**options | {"epochs": 1}, stop=Stop(validation=0.4, restore_best=True), resume=result.state)
    assert bits(again.params) == bits(result.params)


def test_restore_best_without_validation_takes_the_training_loss_after_each_epoch(go, data, backend):
    options = {"optimizer": SGD(1.6), "alpha": 0.1, "batch_size": None, "epochs": 12}
    runs = [go(**options | {"epochs": e}) for e in range(1, 13)]
    losses = [public_loss(NETWORK, run.params, *data, alpha=0.1, backend=backend)[0] for run in runs]
    assert 0 < int(np.argmin(losses)) < 11
    result = go(**options, stop=Stop(restore_best=True))
    assert bits(result.params) == bits(runs[int(np.argmin(losses))].params)
    assert bits(result.state.params) == bits(runs[-1].params)
    assert result.history.validation_loss.shape == (0,)


def test_max_seconds(go):
    before = time.perf_counter()
    result = go(epochs=10**9, stop=Stop(max_seconds=0.2))
    assert result.stop_reason == "time"
    assert 0.2 <= result.history.seconds <= time.perf_counter() - before < 20
    assert go(stop=Stop(max_seconds=1000)).stop_reason == "epochs"
    assert go(epochs=1, resume=result.state).n_epochs == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tol": -1}, "tol must be at least 0"),
        ({"tol": math.nan}, "tol must be finite"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"patience": 1.5}, "patience must be an integer"),
        ({"validation": 0}, "greater than 0"),
        ({"validation": 1.0}, "less than 1"),
        ({"validation": True}, "between 0 and 1"),
        ({"validation": "0.1"}, "between 0 and 1"),
        ({"validation": (1,)}, "not 1 things"),
        ({"restore_best": 1}, "True or False"),
        ({"max_seconds": 0}, "max_seconds must be greater than 0"),
        ({"on_divergence": "ignore"}, "raise, stop"),
    ],
)
def test_stop_refuses(options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        Stop(**options)


def test_validation_parts_must_not_be_empty(go, data):
    X, Y = data
    with pytest.raises(ValueError, match="none to train on"):
        go(X[:2], Y[:2], stop=Stop(validation=0.6))
    with pytest.raises(ValueError, match="validation: X has 2 columns"):
        go(stop=Stop(validation=(X[:, :2], Y)))
    with pytest.raises(ValueError, match="validation: Y must be finite"):
        go(stop=Stop(validation=(X, Y * math.nan)))
    split = go(stop=Stop(validation=0.3)).state
    weight = np.ones(N)
    weight[split.validation_rows] = 0
    with pytest.raises(ValueError, match="split off for validation"):
        go(sample_weight=weight, stop=Stop(validation=0.3))
    with pytest.raises(ValueError, match="left to train on"):
        go(sample_weight=1 - weight, resume=split)


# ----------------------------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("batch_size", [None, 5])
def test_divergence(go, batch_size):
    options = {"optimizer": SGD(30.0), "epochs": 300, "batch_size": batch_size}
    stopped = go(**options, stop=Stop(on_divergence="stop"))
    assert stopped.stop_reason == "diverged"
    assert np.isfinite(stopped.state.vectors).all()
    assert np.isfinite(stopped.history.loss).all()
    steps_per_epoch = 5 if batch_size else 1
    assert divmod(stopped.state.t, steps_per_epoch) == (stopped.n_epochs, stopped.state.batch)
    with pytest.raises(DivergenceError) as error:
        go(**options)
    assert result_bits(error.value.result) == result_bits(stopped)
    place = f"step {stopped.state.t} (epoch {stopped.n_epochs}, batch {stopped.state.batch}, all counted from 0)"
    assert place in str(error.value)
    assert "smaller learning rate (here it was 30)" in str(error.value)
    with pytest.raises(DivergenceError) as again:
        go(**options, resume=stopped.state)
    assert place in str(again.value)
    assert state_bits(again.value.result.state) == state_bits(stopped.state)


def test_both_back_ends_diverge_at_the_same_step(data):
    errors = []
    for name in ("numpy", "numba"):
        with pytest.raises(DivergenceError) as error:
            train(NETWORK, *data, optimizer=SGD(30.0), epochs=300, batch_size=5, seed=3, backend=name)
        errors.append(str(error.value))
    assert errors[0] == errors[1]


def test_divergence_at_the_first_step(go):
    result = go(params=np.full(NETWORK.n_params, 1e200), stop=Stop(on_divergence="stop"))
    assert (result.state.t, result.n_epochs, result.stop_reason) == (0, 0, "diverged")
    assert (result.params == 1e200).all()
    index = np.arange(N)
    assert bits(result.state.index) == bits(index)  # as before the shuffle that the step would have needed


def test_a_back_end_that_does_not_repeat_itself_is_found_out(data):
    class Fickle(Recorder):
        def train_steps(self, *args):
            return super().train_steps(*args) - 1

    with pytest.raises(RuntimeError, match="did not repeat its own steps"):
        train(NETWORK, *data, epochs=1, batch_size=5, backend=Fickle())


# ------------------------------------------------------------------------------------------------------------ callbacks


def test_callbacks_see_every_epoch(go):
    seen = []
    result = go(callbacks=[seen.append, lambda p: None], stop=Stop(validation=0.3))
    assert [p.epoch for p in seen] == [1, 2, 3, 4, 5, 6]
    assert [p.n_epochs for p in seen] == [6] * 6
    assert [p.step for p in seen] == [4 * e for e in range(1, 7)]
    assert [p.loss for p in seen] == result.history.loss.tolist()
    assert [p.validation_loss for p in seen] == result.history.validation_loss.tolist()
    assert all(a.seconds <= b.seconds <= result.history.seconds for a, b in itertools.pairwise(seen))
    assert {p.part for p in seen} == {0.0}
    assert bits(result.params) == bits(go(stop=Stop(validation=0.3)).params)  # they change nothing


@pytest.mark.parametrize("true", [True, np.True_])
def test_a_callback_may_stop(go, true):
    calls = []
    result = go(callbacks=[lambda p: true if p.epoch == 2 else "no", calls.append])
    assert (result.stop_reason, result.n_epochs, len(calls)) == ("callback", 2, 2)
    assert bits(result.params) == bits(go(epochs=2).params)


def test_per_chunk_callbacks_only_observe(go, monkeypatch):
    class Observer:
        per_chunk = True

        def __init__(self):
            self.seen = []

        def __call__(self, progress):
            self.seen.append((progress.epoch, progress.part, math.isnan(progress.loss)))
            return True

    chunks_of(monkeypatch, 3)
    observer = Observer()
    result = go(epochs=2, callbacks=[observer])
    assert observer.seen == [(0, 0.6, True), (1, 0.2, False), (1, 0.8, False), (2, 0.0, False)]
    assert result.stop_reason == "epochs"


def test_an_exception_in_a_callback_comes_out_and_the_handler_is_restored(go):
    def fail(progress):
        raise LookupError("mine")

    old = signal.getsignal(signal.SIGINT)
    with pytest.raises(LookupError, match="mine"):
        go(callbacks=[fail])
    assert signal.getsignal(signal.SIGINT) is old


def test_training_within_a_callback(go):
    inner = []
    outer = go(callbacks=[lambda p: inner.append(go(seed=p.epoch).params)])
    assert bits(outer.params) == bits(go().params) == bits(inner[2])


def test_snapshots(go):
    snapshots, late = [], []
    whole = go(callbacks=[lambda p: snapshots.append(p.result()), late.append])
    assert [s.n_epochs for s in snapshots] == [1, 2, 3, 4, 5, 6]
    assert {s.stop_reason for s in snapshots} == {"running"}
    assert bits(snapshots[3].params) == bits(go(epochs=4).params)
    assert state_bits(go(epochs=2, resume=snapshots[3].state).state) == state_bits(whole.state)
    for progress in (late[2], late[-1]):
        with pytest.raises(RuntimeError, match="has gone on"):
            progress.result()


@pytest.mark.parametrize(("callbacks", "match"), [(print, "put this one into a list"), ([print, 3], "3 cannot")])
def test_what_is_no_callback(go, callbacks, match):
    with pytest.raises(TypeError, match=match):
        go(callbacks=callbacks)


def test_progress_bar(go, capsys):
    pytest.importorskip("rich")
    assert bits(go(progress=True).params) == bits(go().params)
    printed = capsys.readouterr()
    assert "6/6" in printed.err
    assert not printed.out


# ---------------------------------------------------------------------------------------------------------------- input


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def _strided(array):
    wide = np.full((2 * len(array), 2 * array.shape[1]), np.nan)
    wide[::2, ::2] = array
    return wide[::2, ::2]


LAYOUTS = {
    "read-only": _read_only,
    "Fortran": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "longdouble": lambda a: a.astype(np.longdouble),
    "list": lambda a: a.tolist(),
    "matrix subclass": lambda a: a.view(type("Mine", (np.ndarray,), {})),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_gives_the_same_bits_and_is_not_written(go, data, layout):
    X, Y = (LAYOUTS[layout](array) for array in data)
    weight = LAYOUTS[layout](np.linspace(1, 2, N)[:, None])
    weight = np.reshape(weight, N) if layout == "list" else weight[:, 0]
    params = np.linspace(-1, 1, NETWORK.n_params)
    given = [X, Y, weight, params]
    before = [np.array(a).tobytes() for a in given]
    result = go(X, Y, sample_weight=weight, params=params, stop=Stop(validation=(X, Y, weight)))
    assert [np.array(a).tobytes() for a in given] == before
    plain = go(sample_weight=np.linspace(1, 2, N), params=params, stop=Stop(validation=(*data, np.linspace(1, 2, N))))
    assert result_bits(result) == result_bits(plain)
    assert bits(np.asarray(result.predict(X))) == bits(plain.predict(data[0]))


@pytest.mark.parametrize("kind", [np.int8, np.uint64, bool, np.float16])
def test_other_real_dtypes_become_float64(go, data, kind):
    X = (data[0] * 3).clip(0, 5).astype(kind)
    assert bits(go(X).params) == bits(go(X.astype(np.float64)).params)


def test_memory_mapped_input(go, data, tmp_path):
    maps = []
    for name, array in zip("XY", data, strict=True):
        np.save(tmp_path / name, array)
        maps.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    assert bits(go(*maps).params) == bits(go().params)


def test_dtype_is_that_of_X(go, data, dtype):
    X = data[0].astype(dtype)
    result = go(X)
    assert result.params.dtype == result.state.vectors.dtype == result.predict(X).dtype == dtype
    assert result.predict(data[0]).dtype == dtype  # computed as it was trained
    assert result.history.loss.dtype == np.float64


def test_result_belongs_to_nobody_else(go):
    result = go()
    with pytest.raises(ValueError, match="read-only"):
        result.params[0] = 1
    result.state.vectors[...] = 0
    assert result.params.any()
    twin = pickle.loads(pickle.dumps(go()))
    assert state_bits(go(resume=twin.state).state) == state_bits(go(epochs=12).state)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epochs": -1}, "epochs must be at least 0"),
        ({"epochs": 1.0}, "epochs must be an integer"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 2.0}, "batch_size must be an integer"),
        ({"shuffle": "no"}, "shuffle must be True or False"),
        ({"assume_finite": 1}, "assume_finite must be True or False"),
        ({"alpha": -1}, "alpha must be at least 0"),
        ({"alpha": math.inf}, "alpha must be finite"),
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 2**32}, "seed must be from 0"),
        ({"seed": 1.0}, "seed must be None, an integer"),
        ({"seed": True}, "seed must be None, an integer"),
        ({"seed": np.random.default_rng(0)}, "not Generator"),
        ({"seed": np.random.RandomState(np.random.PCG64(1))}, "not with PCG64"),
        ({"optimizer": "adam"}, "optimizer must be a fastnn Optimizer"),
        ({"optimizer": 0}, "optimizer must be a fastnn Optimizer, not 0"),
        ({"shuffle": None}, "shuffle must be True or False"),
        ({"alpha": None}, "alpha must be a number"),
        ({"optimizer": RPROP()}, "RPROP takes full batches only"),
        ({"stop": "never"}, "stop must be a fastnn Stop"),
        ({"network": (3, 4, 2)}, "network must be a fastnn Network"),
        ({"params": np.zeros(3)}, "params has 3 numbers, the network has 26"),
        ({"optimizer": SGD(lambda step: -1.0)}, r"learning_rate\(0\) must be at least 0"),
    ],
)
def test_refused_options(go, options, match):
    with pytest.raises((TypeError, ValueError), match=match):
        go(**options)


def test_nan_is_found_unless_told_otherwise(go, data):
    X = data[0].copy()
    X[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"X\[4, 1\] is nan"):
        go(X)
    with pytest.raises(DivergenceError):
        go(X, assume_finite=True)


def test_an_unsupported_network_is_refused(data):
    recorder = Recorder()
    recorder.supports = lambda network, optimizer: False
    with pytest.raises(ValueError, match="'recorder' cannot train this network with RMSprop"):
        train(NETWORK, *data, optimizer=RMSprop(), epochs=1, backend=recorder)


# ------------------------------------------------------------------------------------------- predict, loss_and_gradient


def test_predict_and_loss_and_gradient(data, backend, dtype):
    X, Y = data
    params = NETWORK.init_params(np.random.RandomState(0), dtype)
    W, b = NETWORK.weights(params), NETWORK.biases(params)
    expected = np.tanh(X @ W[0] + b[0]) @ W[1] + b[1]
    output = public_predict(NETWORK, params, X, backend=backend)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    assert output.dtype == dtype
    np.testing.assert_allclose(output, expected, rtol=tolerance, atol=tolerance)
    loss, gradient = public_loss(NETWORK, params, X, Y, alpha=2.0, backend=backend)
    assert isinstance(loss, float)
    squares = sum(np.square(w, dtype=np.float64).sum() for w in W)
    np.testing.assert_allclose(loss, (((expected - Y) ** 2).sum() / 2 + squares) / N, rtol=10 * tolerance)
    assert (gradient.dtype, gradient.shape) == (dtype, params.shape)
    np.testing.assert_allclose(
        NETWORK.biases(gradient)[1], (expected - Y).mean(axis=0), rtol=100 * tolerance, atol=tolerance
    )


@pytest.mark.parametrize("function", [public_predict, functools.partial(public_loss, Y=np.zeros((N, 2)))])
def test_predict_and_loss_check_their_input(function, data, backend):
    X, _ = data
    params = np.zeros(NETWORK.n_params)
    with pytest.raises(ValueError, match="X has 2 columns, the network has 3 inputs"):
        function(NETWORK, params, X=X[:, :2], backend=backend)
    with pytest.raises(ValueError, match="params has 25 numbers"):
        function(NETWORK, params[1:], X=X, backend=backend)
    with pytest.raises(ValueError, match=r"X\[0, 0\] is inf"):
        function(NETWORK, params, X=X * math.inf, backend=backend)
    with pytest.raises(ValueError, match="unknown backend"):
        function(NETWORK, params, X=X, backend="nunba")
