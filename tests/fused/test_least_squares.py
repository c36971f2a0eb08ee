"""Levenberg-Marquardt and Bayesian regularization: both back ends do the same, and what the
formulas say."""

import numpy as np
import pytest
from guards import full_batches

import fastnn
from fastnn import (
    BayesianRegularization,
    FitWarning,
    LevenbergMarquardt,
    Network,
    get_backend,
    train,
    train_many,
)
from fastnn.losses import HIDDEN
from fastnn.state import Data, StepState, Task
from fastnn.testing.tolerances import assert_within, step_bound

NETWORKS = {
    "1-5-1": Network((1, 5, 1), "tanh"),
    "no hidden layer": Network((3, 2), "tanh"),
    "one parameter": Network((1, 1), bias="none"),
    "more parameters than one product's rows": Network((5, 17, 3), "tanh"),
    "deep": Network((4, 6, 7, 2), ("silu", "tanh")),
    "scalar bias": Network((4, 6, 7, 2), "tanh", bias="scalar"),
    "no bias": Network((4, 6, 7, 2), "tanh", bias="none"),
    "sum": Network((3, 5, 2), "tanh", reduction="sum"),
    **{f"hidden {name}": Network((3, 5, 2), name) for name in HIDDEN},
    **{
        f"output {f}": Network((3, 5, 2), "tanh", f, "squared_error")
        for f in ("sigmoid", "tanh", "softmax", "exp")
    },
    "output gelu": Network((3, 5, 2), "tanh", "gelu", "squared_error"),
}


def drawn(network, n, seed=0, zero_weights=True):
    """Parameters, and rows with weights, of which every fifth is 0."""
    r = np.random.RandomState(seed)
    X = r.uniform(-1, 1, (n, network.n_inputs))
    Y = r.uniform(0.1, 0.9, (n, network.n_outputs))
    weight = r.uniform(0.5, 2, n)
    if zero_weights:
        weight[4::5] = 0
    return r.uniform(-1, 1, network.n_params), Data(X, Y, weight)


def advance(method, network, params, data, backend, n_steps=1, alpha=0.0):
    state = params if isinstance(params, StepState) else StepState.create(params, method.n_slots)
    steps = full_batches(len(data.X), n_steps)
    good = get_backend(backend).train_steps(Task(network, method, data, alpha), state, steps)
    return state, steps.loss[:good], good


def jacobian_of(network, params, rows):
    """The Jacobian (n_outputs * n, n_params) by complex steps."""
    columns = []
    for k in range(params.size):
        moved = params.astype(complex)
        moved[k] += 1e-30j
        outputs = get_backend("numpy").predict(network, moved, rows)
        columns.append(outputs.imag.T.reshape(-1) / 1e-30)
    return np.stack(columns, axis=1)


def damped(damping, **options):
    return LevenbergMarquardt(damping=damping, min_grad=0, **options)


def assert_same_step(network, n, damping=1e-2, alpha=0.0, **options):
    params, data = drawn(network, n)
    method = damped(damping, **options)
    right, loss, _ = advance(method, network, params, data, "numpy", alpha=alpha)
    found, found_loss, _ = advance(method, network, params, data, "numba", alpha=alpha)
    assert right.t == found.t == 1
    used = min(damping, right.vectors[1, 0] * 3)  # rejections raise it
    bound = step_bound(right.params - params, used) + 1e-14
    assert_within(found.params, right.params, bound, "parameter")
    assert_within(found_loss, loss, 1e-9 * loss, "loss")
    numbers = right.vectors[1:, 0]
    assert_within(found.vectors[1:, 0], numbers, 1e-6 * numbers, "state")


BLOCKS = (1, 2, 8, 255, 256, 257, 511, 513, 700)
DAMPINGS = (1e3, 1e-3, 1e-6, 1e-9)


@pytest.mark.parametrize(
    ("n", "damping"), [*((n, 1e-2) for n in BLOCKS), *((100, damping) for damping in DAMPINGS)]
)
def test_a_step_of_many_rows_is_as_near_as_the_tolerance_of_its_damping_says(n, damping):
    for name in ("1-5-1", "deep"):
        assert_same_step(NETWORKS[name], n, damping)


@pytest.mark.nojit
@pytest.mark.parametrize("damping", [1e-3, 1e-8, 1e-12])
def test_a_step_solves_the_least_squares_problem_of_the_jacobian(damping, backend):
    """The step d minimizes ``|J d - r|^2 + mu S |d|^2``; J by differences of the outputs along
    complex steps."""
    network = Network((2, 7, 1), "tanh")
    params, data = drawn(network, 200, zero_weights=False)
    # so that it is accepted
    near = params + np.sqrt(damping) * np.random.RandomState(1).standard_normal(params.size)
    data = data._replace(Y=get_backend("numpy").predict(network, near, data.X))
    state, _, good = advance(damped(damping), network, params, data, backend)
    assert good == 1
    assert state.vectors[1, 0] < damping, "a rejected step, whose damping is another"
    root = np.sqrt(data.sample_weight)
    J = root[:, None] * jacobian_of(network, params, data.X)
    r = root * (get_backend("numpy").predict(network, params, data.X) - data.Y)[:, 0]
    damped_rows = np.sqrt(damping * data.sample_weight.sum()) * np.eye(params.size)
    augmented = np.concatenate([J, damped_rows])
    targets = np.concatenate([r, np.zeros(params.size)])
    right = np.linalg.lstsq(augmented, targets, rcond=None)[0]
    error = np.linalg.norm(params - state.params - right)
    assert_within(error, 0, step_bound(right, damping) + 1e-15, "step")


def test_duplicate_and_constant_columns_and_more_parameters_than_rows_are_no_problem(backend):
    r = np.random.RandomState(0)
    x = r.uniform(-1, 1, (6, 1))
    X = np.concatenate([x, x, np.ones_like(x)], axis=1)
    network = Network((3, 8, 1), "tanh")
    data = Data(X, np.sin(3 * x), np.ones(6))
    params = r.uniform(-1, 1, network.n_params)
    _, losses, _ = advance(damped(1e-3), network, params, data, backend, 30)
    assert losses[-1] < 1e-8
    assert (np.diff(losses) < 0).all()


@pytest.mark.parametrize("scale", [1e160, 1e-170])
def test_numbers_that_overflow_or_vanish_end_a_training_and_crash_nothing(scale, backend):
    network = Network((1, 3, 1), "tanh")
    params, data = drawn(network, 9)
    data = data._replace(Y=data.Y * scale)
    state, losses, _ = advance(damped(1e-3), network, params, data, backend, 50)
    assert np.isfinite(state.params).all()
    assert np.isfinite(losses).all()


# -- Bayesian regularization

X = np.linspace(-1, 1, 100)[:, None]
WAVE = 4 * abs((X / 2 + 0.75) % 1 - 0.5) - 1
NOISY = WAVE + 0.1 * np.random.RandomState(0).standard_normal(X.shape)
TRIANGLE = Network((1, 2, 1), "tanh")
BAYESIAN = {"optimizer": BayesianRegularization()}


def by_hand(params, Y, n_epochs):
    """A plain loop by the formulas, MATLAB's damping: (alpha, beta, gamma) before each step; 3 have
    a small penalty."""
    network = TRIANGLE
    n = TRIANGLE.n_params
    mu = 1e-3
    seen = []
    N = E = len(X)

    def residuals(p):
        return (get_backend("numpy").predict(network, p, X) - Y)[:, 0]

    gamma = n
    for epoch in range(n_epochs):
        J = jacobian_of(network, params, X)
        r = residuals(params)
        if epoch > 3:
            gamma = n - alpha * np.trace(np.linalg.inv(beta * J.T @ J + alpha * np.eye(n)))  # noqa: F821
        alpha = gamma / (2 * params @ params)
        beta = (N - gamma) / (2 * r @ r)
        seen.append((alpha, beta, gamma))
        strength = alpha if epoch >= 3 else 0.01 * alpha
        while True:
            A = beta * (J.T @ J + mu * E * np.eye(n)) + strength * np.eye(n)
            tried = params - np.linalg.solve(A, beta * J.T @ r + strength * params)
            F = [beta * residuals(p) @ residuals(p) + strength * p @ p for p in (tried, params)]
            if F[0] < F[1]:
                break
            mu *= 10
        params = tried
        mu = mu * 0.1
    return params, np.array(seen)


@pytest.mark.nojit
def test_alpha_beta_and_gamma_are_those_of_a_plain_loop(backend):
    params = train(TRIANGLE, X, NOISY, **BAYESIAN, epochs=0, seed=3).params
    method = BayesianRegularization(min_grad=0, adapt="tenfold")
    data = Data(X, NOISY, np.ones(100))
    right, seen = by_hand(params, NOISY, 15)
    for n_epochs in (1, 2, 4, 5, 15):
        state, losses, _ = advance(method, TRIANGLE, params, data, backend, n_epochs)
        assert state.vectors[3:6, 0] == pytest.approx(seen[n_epochs - 1], rel=1e-7)
        alpha, beta, _ = seen[n_epochs - 1]
        strength = alpha if n_epochs > 3 else 0.01 * alpha
        error = get_backend("numpy").predict(TRIANGLE, state.params, X) - NOISY
        expected = ((error**2).sum() + strength / beta * (state.params**2).sum()) / 200
        assert losses[-1] == pytest.approx(expected, rel=1e-9)
    assert state.params == pytest.approx(right, rel=1e-6)


def test_none_of_40_starts_on_the_triangle_ends_collapsed(backend):
    many = train_many(TRIANGLE, X, NOISY, **BAYESIAN, epochs=1_000, seed=range(40), backend=backend)
    assert set(many.stop_reason) == {"converged"}
    gammas = [result.gamma for result in many]
    assert 5 < min(gammas) <= max(gammas) < 7
    # its variance was 0.01, and the corners are round
    noise = [2 * result.history.loss[-1] for result in many]
    assert 0.007 < min(noise) <= max(noise) < 0.016
    # corners are round
    assert many.predict(X) == pytest.approx(np.broadcast_to(WAVE, (40, 100, 1)), abs=0.25)


@pytest.mark.parametrize(("n_rows", "n_factors", "width", "seed"), [(150, 3, 8, 3), (60, 2, 6, 0)])
def test_no_start_on_pure_products_ends_as_a_constant(n_rows, n_factors, width, seed):
    """By a whole penalty from the first step, 94 of 100 and 58 of 100 do: no column tells of it
    without the others."""
    rs = np.random.RandomState(seed)
    n_inputs = 5 if n_factors == 3 else 2
    rows = rs.uniform(-1, 1, (n_rows, n_inputs))
    Y = np.sin(3 * rows[:, 0]) * rows[:, 1:n_factors].prod(axis=1)
    Y += 0.05 * rs.standard_normal(n_rows)
    network = Network((n_inputs, width, 1), "tanh")
    many = train_many(network, rows, Y, **BAYESIAN, epochs=1_000, seed=range(20))
    assert set(many.stop_reason) == {"converged"}
    assert (((many.predict(rows)[..., 0] - Y) ** 2).mean(axis=1) / Y.var()).max() < 0.1


def test_what_ends_the_first_steps_lets_the_whole_penalty_begin(backend):
    """A linear network is done after a step, as exactly as asked for: but not without its whole
    penalty."""
    method = BayesianRegularization(damping=1e-9, min_grad=1e-2)
    Y = X + NOISY
    result = train(Network((1, 1)), X, Y, seed=0, optimizer=method, epochs=100, backend=backend)
    alpha, beta, _, count = result.state.vectors[3:7, 0]
    slope = (X * (result.predict(X) - Y)).sum() + alpha / beta * result.weights[0][0, 0]
    assert result.stop_reason == "converged"
    assert result.n_epochs < 3
    assert count == 4  # as if three steps had been before
    assert abs(slope) < 1e-2 * (Y**2).sum()


GUARDS = {
    "all targets the same": (np.full_like(X, 0.7), {"goal", "converged", "epochs"}),
    "all targets 0": (np.zeros_like(X), {"goal", "converged", "collapsed", "epochs"}),
    "noise alone": (np.random.RandomState(0).uniform(-1, 1, X.shape), {"converged", "collapsed"}),
    "without error": (X / 2, {"goal", "converged", "epochs"}),
    "targets that overflow": (1e150 * X**2, {"converged", "collapsed", "epochs"}),
    "targets that vanish": (1e-170 * X**2, {"goal", "converged", "collapsed", "epochs"}),
}


@pytest.mark.filterwarnings("ignore::fastnn.ScaleWarning", "ignore::fastnn.FitWarning")
@pytest.mark.parametrize("case", GUARDS)
def test_what_has_no_evidence_ends_well(case, backend):
    Y, ends = GUARDS[case]
    many = train_many(
        Network((1, 4, 1), "tanh"), X, Y, **BAYESIAN, epochs=400, seed=range(5), backend=backend
    )
    assert set(many.stop_reason) <= ends
    assert np.isfinite(many.params).all()
    gammas = [result.gamma for result in many]
    assert np.isfinite(gammas).all()
    assert max(gammas) <= 13
    if case == "noise alone":
        assert abs(many.predict(X)).max() < 1
    elif case != "targets that overflow":
        assert abs(many.predict(X) - Y).max() < 1e-5


def test_rows_known_by_heart_are_warned_of(backend):
    Y = np.random.RandomState(0).uniform(-1, 1, 12)
    options = {**BAYESIAN, "epochs": 300, "backend": backend}
    words = "the network knows its rows by heart: .*parameters .gamma. as"
    with pytest.warns(FitWarning, match=words) as caught:
        train(Network((1, 100, 1), "tanh"), X[:96:8], Y, seed=1, **options)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(FitWarning, match="2 of 2 networks know their rows by heart"):
        train_many(Network((1, 100, 1), "tanh"), X[:96:8], Y, seed=[1, 2], **options)


def test_collapsed_networks_are_warned_of(backend):
    options = {**BAYESIAN, "epochs": 5, "backend": backend}
    text = ", nearly: .* take another start, by seed=, and leave such a network out of a mean"
    with pytest.warns(FitWarning, match="the network is a constant" + text) as caught:
        result = train(TRIANGLE, X, NOISY, params=np.zeros(TRIANGLE.n_params), **options)
    assert (result.stop_reason, result.n_epochs) == ("collapsed", 0)
    assert [warning.filename for warning in caught] == [__file__]
    start = train(TRIANGLE, X, NOISY, **options, seed=0).params
    with pytest.warns(FitWarning, match="1 of 2 networks are constants" + text):
        train_many(TRIANGLE, X, NOISY, params=[np.zeros(TRIANGLE.n_params), start], **options)


def test_a_penalty_besides_is_an_error():
    text = "BayesianRegularization finds the strength of its penalty by itself: leave alpha=0.1 out"
    for function, options in (
        (train, {"alpha": 0.1}),
        (train_many, {"alpha": [0, 0.1], "seed": 0}),
    ):
        with pytest.raises(ValueError, match=text):
            function(TRIANGLE, X, NOISY, epochs=1, **BAYESIAN, **options)


def test_gamma_is_there_after_loading_and_of_no_other_optimizer(tmp_path):
    result = train(TRIANGLE, X, NOISY, **BAYESIAN, epochs=1_000, seed=0)
    result.save(tmp_path / "triangle.npz")
    assert fastnn.load(tmp_path / "triangle.npz").gamma == result.gamma > 5
    assert train(TRIANGLE, X, NOISY, optimizer=LevenbergMarquardt(), epochs=1, seed=0).gamma is None
