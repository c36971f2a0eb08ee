"""MLPRegressor(solver="lm" or "br"): starts, scales that are folded into the weights, validation,
files, errors."""

import warnings

import numpy as np
import pytest
from numpy.random import RandomState
from sklearn.exceptions import ConvergenceWarning

from fastnn import MLPRegressor, Network, get_backend, train
from fastnn.optimizers import BayesianRegularization, LevenbergMarquardt
from fastnn.testing.tolerances import assert_within

pytestmark = pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")

# far from 1, and one is constant
RAW_X = RandomState(0).uniform([100, -2e-3, 7], [900, 5e-3, 7], (120, 3))
SIGNAL = np.sin(RAW_X[:, 0] / 200) + 100 * RAW_X[:, 1]
RAW_Y = 5e4 + 1e3 * (SIGNAL + 0.05 * RandomState(1).standard_normal(120))


def regressor(solver, **options):
    default = {"hidden_layer_sizes": (4,), "activation": "tanh", "random_state": 0}
    return MLPRegressor(solver=solver, **default | options)


def scaled(A):
    low = A.min(axis=0)
    high = A.max(axis=0)
    width = np.where(high > low, high - low, 1)
    return np.where(high > low, 2 * (A - low) / width - 1, 0)


@pytest.mark.parametrize("solver", ["lm", "br"])
def test_raw_numbers_go_in_and_come_out(solver, backend, dtype):
    """Those of float32 are computed with in float64."""
    X = RAW_X.astype(dtype)
    mlp = regressor(solver, backend=backend, max_iter=1_000).fit(X, RAW_Y)
    assert mlp.score(X, 5e4 + 1e3 * SIGNAL) > 0.99
    a = np.tanh(X @ mlp.coefs_[0] + mlp.intercepts_[0]) @ mlp.coefs_[1] + mlp.intercepts_[1]
    assert mlp.predict(X) == pytest.approx(a[:, 0], rel=1e-9 if dtype is np.float64 else 1e-5)
    assert {W.dtype for W in mlp.coefs_} == {mlp.predict(X).dtype} == {np.dtype(dtype)}
    assert not mlp.coefs_[0][2].any()  # the column that does not change


def minus_evidence(result, y):
    """By the eigenvalues of J'J, with one Jacobian of the outputs, by complex steps."""
    X = scaled(RAW_X)
    Y = scaled(y)
    columns = []
    for k in range(result.params.size):
        moved = result.params.astype(complex)
        moved[k] += 1e-30j
        columns.append(get_backend("numpy").predict(result.network, moved, X).imag[:, 0] / 1e-30)
    eigenvalues = np.linalg.eigvalsh(np.array(columns) @ np.array(columns).T)
    alpha, beta = result.state.vectors[3:5, 0]
    fit = beta * ((result.predict(X)[:, 0] - Y) ** 2).sum() + alpha * (result.params**2).sum()
    return fit + (np.log1p(beta / alpha * eigenvalues.clip(0)).sum() - len(Y) * np.log(beta)) / 2


@pytest.mark.parametrize("solver", ["lm", "br"])
def test_the_best_start_is_kept_and_is_a_training_of_scaled_rows(solver):
    """Each start is `train` of these; the best has the lowest loss, for "br" the greatest
    evidence."""
    every_other = [BayesianRegularization(first_steps=n) for n in (3, 0, 3, 0, 3)]
    methods = {"lm": [LevenbergMarquardt()] * 5, "br": every_other}[solver]
    y = RAW_Y + 500 * RandomState(2).standard_normal(120)
    r = RandomState(0)
    for fan_in, fan_out in ((3, 4), (4, 1)):  # the weights that scikit-learn draws
        r.uniform(size=fan_in * fan_out + fan_out)
    options = {} if solver == "br" else {"alpha": 0.01}
    mlp = regressor(solver, max_iter=500, **options).fit(RAW_X, y)
    results = [
        train(
            Network((3, 4, 1), "tanh"),
            scaled(RAW_X),
            scaled(y),
            optimizer=method,
            epochs=500,
            seed=k,
            **options,
        )
        for k, method in zip(r.randint(2**31 - 1, size=5).tolist(), methods, strict=True)
    ]
    best = min(
        results,
        key=lambda result: result.history.loss[-1] if solver == "lm" else minus_evidence(result, y),
    )
    assert mlp.loss_curve_ == pytest.approx(best.history.loss, rel=1e-6)
    assert (mlp.n_iter_, mlp.stop_reason_) == (best.n_epochs, best.stop_reason)
    outputs = y.min() + (best.predict(scaled(RAW_X))[:, 0] + 1) / 2 * np.ptp(y)
    assert_within(mlp.predict(RAW_X), outputs, 1e-6 * np.ptp(y), "output")
    if solver == "br":
        assert mlp.gamma_ == pytest.approx(best.gamma, rel=1e-6)


def test_several_outputs_are_scaled_each_by_itself(backend):
    Y = np.stack([RAW_Y, 1e-5 * RAW_X[:, 0], np.full(120, 3.0)], axis=1)
    for solver in ("lm", "br"):
        outputs = (
            regressor(solver, backend=backend, max_iter=300, n_restarts=2)
            .fit(RAW_X, Y)
            .predict(RAW_X)
        )
        assert outputs[:, 2] == pytest.approx(np.full(120, 3.0), rel=1e-12)
        errors = np.std(outputs[:, :2] - Y[:, :2], axis=0) / np.std(Y[:, :2], axis=0)
        assert errors.max() < 0.12


@pytest.mark.parametrize("solver", ["lm", "br"])
def test_rows_of_weight_0_are_not_there(solver):
    known = np.arange(120) < 40
    X = np.where(known[:, None], RAW_X, 50 * RAW_X)
    y = np.where(known, RAW_Y, 1e9)
    with_weights = regressor(solver).fit(X, y, known.astype(float))
    without = regressor(solver).fit(X[:40], y[:40])
    assert with_weights.predict(X[:40]) == pytest.approx(without.predict(X[:40]), rel=1e-6)


@pytest.mark.parametrize("scoring", [None, "loss"])
def test_lm_stops_early_and_keeps_the_best(scoring):
    y = RAW_Y + 800 * RandomState(2).standard_normal(120)
    options = {
        "early_stopping": True,
        "validation_fraction": 0.3,
        "n_iter_no_change": 6,
        "scoring": scoring,
    }
    mlp = regressor("lm", hidden_layer_sizes=(15,), **options).fit(RAW_X, y)
    assert mlp.stop_reason_ == "validation"
    assert mlp.best_validation_score_ == max(mlp.validation_scores_)
    assert mlp.n_iter_ == len(mlp.validation_scores_) == np.argmax(mlp.validation_scores_) + 1 + 6
    given = regressor("lm", hidden_layer_sizes=(15,), **options).fit(
        RAW_X[:80], y[:80], X_val=RAW_X[80:], y_val=y[80:]
    )
    assert len(given.validation_loss_curve_) == given.n_iter_
    if scoring is None:
        assert given.score(RAW_X[80:], y[80:]) == pytest.approx(
            given.best_validation_score_, abs=1e-9
        )


def test_weights_that_are_given_are_the_only_start():
    first = regressor("lm", max_iter=300).fit(RAW_X, RAW_Y)
    for given, is_near in (
        ({"coefs_init": first.coefs_, "intercepts_init": first.intercepts_}, True),
        ({}, False),
    ):
        with warnings.catch_warnings(action="ignore"):
            again = regressor("lm", max_iter=1, **given).fit(RAW_X, RAW_Y)
        assert (
            abs(again.predict(RAW_X) - first.predict(RAW_X)).max() < 1e-3 * np.ptp(RAW_Y)
        ) == is_near


@pytest.mark.parametrize(
    ("width", "seed", "reason"), [(20, 0, "collapsed"), (3, 0, "collapsed"), (3, 1, "converged")]
)
def test_noise_is_a_constant_and_is_said_to_be(width, seed, reason):
    r = RandomState(seed)
    X = r.uniform(size=(40, 5))
    y = r.uniform(-1, 1, 40)
    with pytest.warns(
        ConvergenceWarning,
        match="found nothing in y that X tells.* n_restarts or another random_state",
    ):
        mlp = regressor("br", hidden_layer_sizes=(width,), n_restarts=2).fit(X, y)
    assert mlp.stop_reason_ == reason
    assert np.ptp(mlp.predict(X)) < 1e-2


def test_a_penalty_that_is_not_used_is_warned_of():
    with pytest.warns(
        UserWarning, match="br finds its penalty by itself and does not use alpha=0.1: leave it out"
    ):
        regressor("br", alpha=0.1, max_iter=300, n_restarts=1).fit(RAW_X, RAW_Y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_warm_start_goes_on_with_the_record(early_stopping):
    mlp = regressor(
        "lm", max_iter=3, warm_start=True, early_stopping=early_stopping, n_iter_no_change=9
    )
    best = []
    for _ in range(2):
        with pytest.warns(ConvergenceWarning, match="lm reached max_iter=3 iterations"):
            mlp.fit(RAW_X, RAW_Y, validation_data=(RAW_X, RAW_Y))
        best.append(mlp.best_validation_score_)
    assert len(mlp.loss_curve_) == len(mlp.validation_loss_curve_) == 6
    assert mlp.loss_curve_[3] < mlp.loss_curve_[2]
    if early_stopping:
        assert len(mlp.validation_scores_) == 6
        assert best[1] == max(mlp.validation_scores_) >= best[0]
    else:
        assert mlp.best_loss_ == min(mlp.loss_curve_)


def test_gamma_is_of_br_alone_and_validation_rows_need_no_early_stopping():
    mlp = regressor("br", max_iter=300).fit(
        RAW_X[:80], RAW_Y[:80], X_val=RAW_X[80:], y_val=RAW_Y[80:]
    )
    assert mlp.gamma_ > 1
    assert len(mlp.validation_loss_curve_) == mlp.n_iter_
    assert mlp.validation_loss_curve_[-1] < 0.1
    assert not hasattr(mlp.set_params(solver="lbfgs").fit(RAW_X, RAW_Y), "gamma_")
    assert not hasattr(mlp.set_params(solver="lm"), "partial_fit")
