"""Trainings by a method, Levenberg-Marquardt: ends, stop rules, resuming, files, members, and what
is refused."""

import signal

import numpy as np
import pytest
from bits import assert_same_params, assert_same_result, bits

import fastnn
from fastnn import Network, Stop, train, train_many
from fastnn.backends import Wrapper, get_backend
from fastnn.optimizers import METHODS, BayesianRegularization, LevenbergMarquardt, Optimizer

NETWORK = Network((1, 5, 1), "tanh")
X = np.linspace(-1, 1, 41)[:, None]
Y = np.sin(np.pi * X)
OPTIONS = {"optimizer": LevenbergMarquardt(), "epochs": 30, "seed": 0}
ENDS = {
    "converged": BayesianRegularization(min_grad=1e-3),
    "goal": LevenbergMarquardt(goal=1e-3),
    "gradient": LevenbergMarquardt(min_grad=1e-2),
    "damping": LevenbergMarquardt(most_damping=2e-3, damping=1e-3, adapt="tenfold"),
}


@pytest.fixture
def go(backend):
    return lambda **options: train(NETWORK, X, Y, backend=backend, **{**OPTIONS, **options})


@pytest.mark.parametrize("reason", ENDS)
def test_the_result_says_why_the_method_ended_and_a_file_keeps_it(go, reason, tmp_path):
    result = go(optimizer=ENDS[reason], epochs=1000)
    result.save(tmp_path / "result.npz")
    loaded = fastnn.load(tmp_path / "result.npz")
    assert result.stop_reason == loaded.stop_reason == reason
    assert 0 < result.n_epochs == len(result.history.loss) == result.state.t < 1000
    if reason != "converged":  # the loss of which has a penalty
        of_params = fastnn.loss_and_gradient(NETWORK, result.params, X, Y)[0]
        assert of_params == pytest.approx(result.history.loss[-1], rel=1e-12)
    assert bits(loaded.state.vectors) == bits(result.state.vectors)
    assert Optimizer.from_dict(loaded.state.counters["optimizer"]) == ENDS[reason]
    for state in (result.state, loaded.state):
        again = go(epochs=5, optimizer=None, resume=state, seed=None)
        assert (again.n_epochs, again.stop_reason) == (0, reason)
        assert_same_params(again, result)


def test_a_resumed_training_has_the_bits_of_one_call(go, tmp_path):
    whole = go()
    first = go(epochs=12)
    assert (whole.stop_reason, set(whole.history.learning_rate)) == ("epochs", {1.0})
    assert (np.diff(whole.history.loss) < 0).all()
    first.save(tmp_path / "first.npz")
    loaded = fastnn.load(tmp_path / "first.npz")
    rest = go(epochs=18, optimizer=None, resume=loaded.state, seed=None)
    assert bits(rest.state.vectors) == bits(whole.state.vectors)
    assert bits(np.concatenate([first.history.loss, rest.history.loss])) == bits(whole.history.loss)


def test_members_are_trainings(backend):
    unpenalized, *methods = ENDS.values()
    methods += [LevenbergMarquardt(), LevenbergMarquardt(adapt="tenfold")]

    def check(methods, **options):
        options |= {"epochs": 40, "backend": backend}
        many = train_many(NETWORK, X, Y, optimizer=methods, seed=range(len(methods)), **options)
        for k, method in enumerate(methods):
            assert_same_result(many[k], train(NETWORK, X, Y, optimizer=method, seed=k, **options))

    check([unpenalized, *methods])
    check([unpenalized, *methods], stop=Stop(validation=0.3, patience=6, restore_best=True))
    check(methods, alpha=0.01)


def test_members_of_a_population_end_by_the_method():
    population = fastnn.Population(NETWORK, X, Y, optimizer=ENDS["goal"], seed=range(4))
    for _ in range(3):
        population.advance(20)
    assert set(population.results().stop_reason) == {"goal"}


def test_ctrl_c_ends_between_two_epochs(go):
    def press(progress):
        if progress.epoch == 7:
            signal.raise_signal(signal.SIGINT)

    with pytest.warns(fastnn.InterruptWarning):
        result = go(callbacks=[press])
    assert (result.stop_reason, result.n_epochs) == ("interrupted", 7)
    assert_same_params(result, go(epochs=7))


def test_a_training_that_begins_beyond_all_numbers_diverges(go):
    with pytest.raises(fastnn.DivergenceError):
        go(params=np.full(NETWORK.n_params, 1e200))


FLOAT32 = "LevenbergMarquardt computes in float64 only, .* say dtype='float64'"
HUBER = (
    "LevenbergMarquardt minimizes the squared error, not the loss 'huber': take another "
    "optimizer, such as Adam"
)
REFUSED = [
    ({"dtype": "float32"}, NETWORK, FLOAT32),
    ({"batch_size": 10}, NETWORK, "LevenbergMarquardt takes full batches only"),
    ({}, Network((1, 5, 1), "tanh", loss="huber"), HUBER),
    ({}, Network((1, 5, 1), bias_gradient="times_bias"), "takes bias_gradient='exact'"),
    ({}, Network((1, 667, 1)), "takes up to 2,000, not 2,002: make layers narrower"),
]


@pytest.mark.parametrize(("options", "network", "text"), REFUSED)
def test_what_it_cannot_train_is_refused_by_all_doors(options, network, text, backend):
    for door, seed in ((train, 0), (train_many, [0, 1])):
        with pytest.raises(ValueError, match=text):
            door(network, X, Y, **OPTIONS | options | {"seed": seed}, backend=backend)


BITS = np.indices((2, 2, 2)).reshape(3, 8).T
PARITY = 2.0 * BITS - 1, 2.0 * (BITS.sum(axis=1, keepdims=True) % 2) - 1


@pytest.mark.parametrize(
    ("network", "rows", "goal"),
    [
        (NETWORK, (X, Y), 0.002),
        (NETWORK, (X, Y), 1e-6),
        (Network((3, 10, 10, 1), "tanh"), PARITY, 0.001),
    ],
    ids=["SIN", "SIN to 1e-6", "PARITY"],
)
def test_mathworks_problems_are_solved_from_30_of_30_starts(network, rows, goal):
    """Their goals are of mean squares, twice our loss."""
    many = train_many(
        network, *rows, optimizer=LevenbergMarquardt(goal=goal / 2), epochs=1_000, seed=range(30)
    )
    assert set(many.stop_reason) == {"goal"}
    assert np.median(many.n_epochs) <= 20


def test_stop_rules_go_by_epochs_and_those_within_a_call_are_those_of_an_epoch_a_call(go):
    tol = go(epochs=500, stop=Stop(tol=1e-4, patience=2))
    assert (tol.stop_reason, tol.n_epochs < 100) == ("tolerance", True)
    targets = Y + 0.3 * np.random.RandomState(1).standard_normal(Y.shape)
    kernel = get_backend("numba")
    for restore_best in (False, True):
        stop = Stop(validation=0.3, patience=6, restore_best=restore_best)
        options = {**OPTIONS, "epochs": 300, "stop": stop}
        within = train(NETWORK, X, targets, **options, backend=kernel)
        assert within.stop_reason == "validation"
        assert within.n_epochs == within.history.best_epoch + 6
        assert_same_result(within, train(NETWORK, X, targets, **options, backend=Wrapper(kernel)))


def test_a_rate_is_no_option_of_it():
    text = (
        "has no argument 'learning_rate': its steps have no rate, they go by damping, adapt, "
        "most_damping, min_grad"
    )
    for method in METHODS.values():
        with pytest.raises(TypeError, match=f"{method.__name__} {text}"):
            method(learning_rate=0.1)
    with pytest.raises(TypeError, match="member 0: LevenbergMarquardt has no learning rate"):
        train_many(
            NETWORK, X, Y, optimizer=LevenbergMarquardt(), learning_rate=[0.1, 0.2], epochs=3
        )


@pytest.mark.parametrize(
    ("X", "Y", "text"),
    [
        (100 * X, Y, "inputs reach 100:"),
        (X, 1e-4 * Y, "targets reach 0.0001:"),
        (50 * X, 1e4 * Y, "and targets reach"),
    ],
)
def test_numbers_far_from_1_are_warned_of(X, Y, text):
    words = f"{text} .*scale them to about -1 to 1"
    for function, seed in ((train, 0), (train_many, [0, 1])):
        with pytest.warns(fastnn.ScaleWarning, match=words) as caught:
            function(NETWORK, X, Y, optimizer=LevenbergMarquardt(), seed=seed, epochs=1)
        assert [warning.filename for warning in caught] == [__file__]


def test_rows_that_are_not_trained_on_may_be_far_from_1():
    far = np.vstack([[1e3], X[1:]])
    for rows in ({"rows": range(1, len(X))}, {"validation_rows": [0]}):
        train(NETWORK, far, Y, optimizer=LevenbergMarquardt(), seed=0, epochs=1, **rows)
