"""Bayesian regularization: the kernel and the reference do the same, and what MacKay's formulas say."""

import numpy as np
import pytest
from test_levenberg_marquardt import NETWORKS, drawn, steps_of

import fastnn
from fastnn import BayesianRegularization, FitWarning, LevenbergMarquardt, Network, get_backend, train, train_many
from fastnn.state import StepState, Task
from fastnn.testing.tolerances import assert_within, step_bound

X = np.linspace(-1, 1, 100)[:, None]
WAVE = 4 * abs((X / 2 + 0.75) % 1 - 0.5) - 1
TRIANGLE = Network((1, 2, 1), "tanh")


def noisy(seed=0):
    return WAVE + 0.1 * np.random.RandomState(seed).standard_normal(X.shape)


def advance(network, params, data, name, n_steps, **options):
    """Do so many steps: the state, the losses, how many steps were done."""
    method = BayesianRegularization(min_grad=0, **options)
    state, steps = StepState.create(params, method.n_slots), steps_of(data, n_steps)
    good = get_backend(name).train_steps(Task(network, method, data), state, steps)
    return state, steps.loss[:good], good


@pytest.mark.nojit
@pytest.mark.parametrize("network", [pytest.param(v, id=k) for k, v in NETWORKS.items()])
@pytest.mark.parametrize(("first_steps", "n_before"), [(3, 1), (3, 4), (1, 2), (0, 1)])
def test_each_step_is_that_of_the_reference(network, first_steps, n_before):
    """The second one of three first steps has a small penalty; after them a gamma decides: the factor's inverse."""
    params, data = drawn(network, 23)
    first, _, _ = advance(network, params, data, "numpy", n_before, damping=1e-2, first_steps=first_steps)
    right, found = (StepState(first.storage.copy(), network.n_params, first.t) for _ in range(2))
    method = BayesianRegularization(min_grad=0, damping=1e-2, first_steps=first_steps)
    for state, name in ((right, "numpy"), (found, "numba")):
        assert get_backend(name).train_steps(Task(network, method, data), state, steps_of(data, 1)) == 1
    numbers = right.vectors[1:, 0]
    assert_within(found.vectors[1:, 0], numbers, 1e-7 * numbers + 1e-300, "number of the state")
    assert_within(found.params, right.params, step_bound(right.params - first.params, 1e-3) + 1e-13, "parameter")


def jacobian_of(network, params, rows):
    """The Jacobian (n_outputs * n, n_params) by complex steps."""
    columns = []
    for k in range(params.size):
        moved = params.astype(complex)
        moved[k] += 1e-30j
        columns.append(get_backend("numpy").predict(network, moved, rows).imag.T.reshape(-1) / 1e-30)
    return np.stack(columns, axis=1)


def test_gamma_is_that_of_the_eigenvalues(backend):
    """``sum beta l / (beta l + alpha)``, with weights and two outputs, by the alpha and beta of the step before."""
    network = Network((3, 6, 2), "tanh")
    params, data = drawn(network, 90)
    before, _, _ = advance(network, params, data, backend, 8)
    after, _, _ = advance(network, params, data, backend, 9)
    alpha, beta = before.vectors[3:5, 0]
    J = np.tile(np.sqrt(data.sample_weight), 2)[:, None] * jacobian_of(network, before.params, data.X)
    eigenvalues = beta * np.linalg.eigvalsh(J.T @ J)
    assert after.vectors[5, 0] == pytest.approx((eigenvalues / (eigenvalues + alpha)).sum(), rel=1e-9)


def by_hand(params, Y, n_epochs):
    """A plain loop by the formulas, MATLAB's damping: (alpha, beta, gamma) before each step; 3 have a small penalty."""
    network, n, mu, seen = TRIANGLE, TRIANGLE.n_params, 1e-3, []
    N = E = len(X)

    def residuals(p):
        return (get_backend("numpy").predict(network, p, X) - Y)[:, 0]

    gamma = n
    for epoch in range(n_epochs):
        J, r = jacobian_of(network, params, X), residuals(params)
        if epoch > 3:
            gamma = n - alpha * np.trace(np.linalg.inv(beta * J.T @ J + alpha * np.eye(n)))  # noqa: F821
        alpha, beta = gamma / (2 * params @ params), (N - gamma) / (2 * r @ r)
        seen.append((alpha, beta, gamma))
        strength = alpha if epoch >= 3 else 0.01 * alpha
        while True:
            A = beta * (J.T @ J + mu * E * np.eye(n)) + strength * np.eye(n)
            tried = params - np.linalg.solve(A, beta * J.T @ r + strength * params)
            F = [beta * residuals(p) @ residuals(p) + strength * p @ p for p in (tried, params)]
            if F[0] < F[1]:
                break
            mu *= 10
        params, mu = tried, mu * 0.1
    return params, np.array(seen)


def test_alpha_beta_and_gamma_are_those_of_a_plain_loop(backend):
    Y, params = noisy(), train(TRIANGLE, X, noisy(), optimizer=BayesianRegularization(), epochs=0, seed=3).params
    right, seen = by_hand(params, Y, 15)
    data = drawn(TRIANGLE, 100, zero_weights=False)[1]._replace(X=X, Y=Y, sample_weight=np.ones(100))
    for n_epochs in (1, 2, 4, 5, 15):
        state, losses, _ = advance(TRIANGLE, params, data, backend, n_epochs, adapt="tenfold")
        assert state.vectors[3:6, 0] == pytest.approx(seen[n_epochs - 1], rel=1e-7)
        alpha, beta = seen[n_epochs - 1, :2]
        alpha *= 1 if n_epochs > 3 else 0.01
        error = get_backend("numpy").predict(TRIANGLE, state.params, X) - Y
        assert losses[-1] == pytest.approx(((error**2).sum() + alpha / beta * (state.params**2).sum()) / 200, rel=1e-9)
    assert state.params == pytest.approx(right, rel=1e-6)


def test_none_of_40_starts_on_the_triangle_ends_collapsed(backend):
    many = train_many(
        TRIANGLE, X, noisy(), optimizer=BayesianRegularization(), epochs=1_000, seed=range(40), backend=backend
    )
    assert set(many.stop_reason) == {"converged"}
    gammas = [result.gamma for result in many]
    assert min(gammas) > 5
    assert max(gammas) < 7
    noise = [2 * result.history.loss[-1] for result in many]  # its variance was 0.01, and the corners are round
    assert 0.007 < min(noise) <= max(noise) < 0.016
    assert many.predict(X) == pytest.approx(np.broadcast_to(WAVE, (40, 100, 1)), abs=0.25)  # corners are round


def products_of(n_rows, n_columns, seed):
    """X, and sin(3 x0) times the other columns, with noise: no column tells anything of it without the others."""
    rs = np.random.RandomState(seed)
    rows = rs.uniform(-1, 1, (n_rows, 5 if n_columns == 3 else 2))
    return rows, np.sin(3 * rows[:, 0]) * rows[:, 1:n_columns].prod(axis=1) + 0.05 * rs.standard_normal(n_rows)


@pytest.mark.parametrize(("n_rows", "n_columns", "width", "seed"), [(150, 3, 8, 3), (60, 2, 6, 0)])
def test_no_start_on_pure_products_ends_as_a_constant(n_rows, n_columns, width, seed):
    """By a whole penalty from the first step, 94 of 100 and 58 of 100 do."""
    rows, Y = products_of(n_rows, n_columns, seed)
    network = Network((rows.shape[1], width, 1), "tanh")
    many = train_many(network, rows, Y, optimizer=BayesianRegularization(), epochs=1_000, seed=range(20))
    assert set(many.stop_reason) == {"converged"}
    assert (((many.predict(rows)[..., 0] - Y) ** 2).mean(axis=1) / Y.var()).max() < 0.1


def test_what_ends_the_first_steps_lets_the_whole_penalty_begin(backend):
    """A linear network is done after a step, as exactly as asked for: but not without its whole penalty."""
    method = BayesianRegularization(damping=1e-9, min_grad=1e-2)
    result = train(Network((1, 1)), X, X + noisy(), seed=0, optimizer=method, epochs=100, backend=backend)
    alpha, beta, _, count = result.state.vectors[3:7, 0]
    slope = (X * (result.predict(X) - X - noisy())).sum() + alpha / beta * result.weights[0][0, 0]
    assert result.stop_reason == "converged"
    assert result.n_epochs < 3
    assert count == 4  # as if three steps had been before
    assert abs(slope) < 1e-2 * ((X + noisy()) ** 2).sum()


def test_more_weight_is_more_rows(backend):
    weight = np.random.RandomState(1).randint(0, 4, 100)
    options = {"optimizer": BayesianRegularization(), "epochs": 500, "seed": 0, "backend": backend}
    weighted = train(TRIANGLE, X, noisy(), sample_weight=weight, **options)
    params = train(TRIANGLE, X, noisy(), sample_weight=weight, **{**options, "epochs": 0}).params
    repeated = train(
        TRIANGLE, *(a.repeat(weight, axis=0) for a in (X, noisy())), params=params, **options | {"seed": None}
    )
    assert weighted.gamma == pytest.approx(repeated.gamma, rel=1e-4)
    assert weighted.params == pytest.approx(repeated.params, rel=1e-3)


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
        Network((1, 4, 1), "tanh"), X, Y, optimizer=BayesianRegularization(), epochs=400, seed=range(5), backend=backend
    )
    assert set(many.stop_reason) <= ends
    assert np.isfinite(many.params).all()
    gammas = [result.gamma for result in many]
    assert np.isfinite(gammas).all()
    assert max(gammas) <= 13
    if case != "targets that overflow":
        assert abs(many.predict(X) - (0 if "noise" in case else Y)).max() < (1 if "noise" in case else 1e-5)


def test_rows_known_by_heart_are_warned_of(backend):
    Y = np.random.RandomState(0).uniform(-1, 1, 12)
    network, options = Network((1, 100, 1), "tanh"), {"optimizer": BayesianRegularization(), "backend": backend}
    with pytest.warns(FitWarning, match="the network knows its rows by heart: .*parameters .gamma. as") as caught:
        train(network, X[:96:8], Y, epochs=300, seed=1, **options)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(FitWarning, match="2 of 2 networks know their rows by heart"):
        train_many(network, X[:96:8], Y, epochs=300, seed=[1, 2], **options)


def test_collapsed_networks_are_warned_of(backend):
    options = {"optimizer": BayesianRegularization(), "epochs": 5, "backend": backend}
    text = ", nearly: .* take another start, by seed=, and leave such a network out of a mean"
    with pytest.warns(FitWarning, match="the network is a constant" + text) as caught:
        result = train(TRIANGLE, X, noisy(), params=np.zeros(TRIANGLE.n_params), **options)
    assert (result.stop_reason, result.n_epochs) == ("collapsed", 0)
    assert [warning.filename for warning in caught] == [__file__]
    start = train(TRIANGLE, X, noisy(), **options, seed=0).params
    with pytest.warns(FitWarning, match="1 of 2 networks are constants" + text):
        train_many(TRIANGLE, X, noisy(), params=[np.zeros(TRIANGLE.n_params), start], **options)


def test_a_penalty_besides_is_an_error():
    text = "BayesianRegularization finds the strength of its penalty by itself: leave alpha=0.1 out"
    options = {"optimizer": BayesianRegularization(), "epochs": 1}
    with pytest.raises(ValueError, match=text):
        train(TRIANGLE, X, noisy(), alpha=0.1, **options)
    with pytest.raises(ValueError, match=text):
        train_many(TRIANGLE, X, noisy(), alpha=[0, 0.1], seed=0, **options)


def test_gamma_is_there_after_loading_and_of_no_other_optimizer(tmp_path):
    result = train(TRIANGLE, X, noisy(), optimizer=BayesianRegularization(), epochs=1_000, seed=0)
    result.save(tmp_path / "triangle.npz")
    assert fastnn.load(tmp_path / "triangle.npz").gamma == result.gamma > 5
    assert train(TRIANGLE, X, noisy(), optimizer=LevenbergMarquardt(), epochs=1, seed=0).gamma is None


def test_first_steps_that_nobody_counts():
    with pytest.raises(
        ValueError, match=r"first_steps must be at most 9,007,199,254,740,992, not 9223372036854775808$"
    ):
        BayesianRegularization(first_steps=2**63)


def test_members_and_chunks_have_the_bits_of_one_call():
    network = Network((2, 4, 1), "tanh")
    params, data = drawn(network, 300)
    whole, losses, good = advance(network, params, data, "numba", 12)
    method, seen = BayesianRegularization(min_grad=0), []
    state = StepState.create(params, method.n_slots)
    for n in (1, 4, 7):
        steps = steps_of(data, n)
        assert get_backend("numba").train_steps(Task(network, method, data), state, steps) == n
        seen.append(steps.loss)
    assert good == 12
    assert state.vectors.tobytes() == whole.vectors.tobytes()
    assert np.concatenate(seen).tobytes() == losses.tobytes()
