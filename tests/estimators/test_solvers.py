"""The solvers: L-BFGS is scikit-learn's; optimizers, schedules, losses and clipping are those of
`train`."""

import gc

import numpy as np
import pytest
import sklearn.neural_network as theirs
from bits import assert_same_bits
from numpy.random import RandomState
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from small_estimators import SMALL, X_DIABETES, X_IRIS, Y_DIABETES, Y_IRIS, assert_same, both

import fastnn
from fastnn import (
    Elu,
    Huber,
    LeakyRelu,
    MLPClassifier,
    MLPRegressor,
    Network,
    Pinball,
    Population,
    train,
    train_many,
)
from fastnn.estimators.epochs import Fit
from fastnn.optimizers import RPROP, Adam, AdamW, RMSprop
from fastnn.schedules import cosine, one_cycle, warm_up

R = RandomState(0)
X = R.uniform(-1, 1, (200, 3))
Y = np.sin(3 * X[:, 0]) + (0.1 + 0.3 * abs(X[:, 1])) * R.standard_normal(200)
C = MLPClassifier
R = MLPRegressor
SHORT = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 20, "tol": 0, "batch_size": 20}


FITS = [
    (R, {"solver": "adamw", "learning_rate_init": 0.01}, AdamW(0.01)),
    (R, {"solver": "rmsprop", "learning_rate_init": 0.01}, RMSprop(0.01)),
    (C, {"solver": "rprop", "batch_size": "auto"}, RPROP(0.001)),
    (R, {"learning_rate": cosine(0.01)}, Adam(cosine(0.01, 200))),
    (R, {"clip_norm": 0.1, "learning_rate_init": 0.01}, Adam(0.01, clip_norm=0.1)),
    (C, {"loss": "squared_error"}, Adam()),
    *((R, {"loss": loss}, Adam()) for loss in ("absolute_error", "huber")),
    *(
        (C, {"activation": name}, Adam())
        for name in ("leaky_relu", "elu", "selu", "softplus", "silu", "gelu")
    ),
    *((kind, {"activation": Elu(0.5)}, Adam()) for kind in (C, R)),
    (C, {"activation": ("tanh", LeakyRelu(0.2)), "hidden_layer_sizes": [8, 8]}, Adam()),
]


@pytest.mark.parametrize(("kind", "given", "optimizer"), FITS, ids=str)
def test_a_fit_is_the_training_of_this_optimizer_and_network(kind, given, optimizer, backend):
    y = Y > 0 if kind is C else Y
    mlp = kind(**SHORT | {"shuffle": False, "alpha": 0.0, "backend": backend} | given).fit(X, y)
    network = mlp.to_result().network
    assert all(
        getattr(network, name) == given[name] for name in given.keys() & {"activation", "loss"}
    )
    again = clone(mlp).set_params(
        solver="sgd", learning_rate="constant", learning_rate_init=1e-300, clip_norm=None
    )
    first = again.set_params(max_iter=1, momentum=0.0).fit(X, y)
    options = {
        "params": first.to_result().params,
        "epochs": 20,
        "shuffle": False,
        "backend": backend,
    }
    right = train(
        network,
        X,
        y,
        optimizer=optimizer,
        batch_size=None if optimizer.full_batch else 20,
        **options,
    )
    assert_allclose(mlp.to_result().params, right.params, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("given", [{}, {"early_stopping": True}], ids=str)
def test_a_fit_leaves_nothing_to_the_garbage_collector(given):
    """The data would stay until it looks."""
    gc.collect()  # what other tests left, such as errors of fits
    gc.disable()
    try:
        MLPRegressor(**SHORT | {"solver": "sgd"} | given).fit(X, Y)
        assert not any(type(thing) is Fit for thing in gc.get_objects())
    finally:
        gc.enable()


def test_quantiles():
    given = SHORT | {"loss": "quantile", "learning_rate_init": 0.02, "max_iter": 100}
    low, high = (MLPRegressor(**given, quantile=q).fit(X, Y) for q in (0.1, 0.9))
    assert 0.05 < (low.predict(X) >= Y).mean() < 0.15
    assert 0.85 < (high.predict(X) >= Y).mean() < 0.95
    assert high.to_result().network.loss == Pinball(0.9)
    assert MLPRegressor.from_result(high.to_result()).quantile == 0.9
    with pytest.raises(ValueError, match="has no output 'identity' with the loss Huber"):
        MLPRegressor.from_result(train(Network((3, 1), loss=Huber(0.1)), X, Y, epochs=1))


def test_a_schedule_goes_on_in_further_fits_and_is_saved(tmp_path):
    mlp = MLPClassifier(**SHORT | {"learning_rate": warm_up(0.1, 30)})
    for _ in range(4):  # ten steps each
        mlp.partial_fit(X, Y > 0, classes=[False, True])
    assert mlp._optimizer.t == 40
    mlp.set_params(learning_rate=lambda step: 0.1).save(tmp_path / "mlp.npz")
    assert MLPClassifier.load(tmp_path / "mlp.npz").learning_rate == "constant"
    with pytest.raises(ValueError, match="warm_up without steps ends with a training"):
        MLPClassifier(learning_rate=warm_up(0.1)).partial_fit(X, Y > 0, classes=[False, True])


@pytest.mark.parametrize("schedule", [cosine, warm_up, one_cycle])
def test_a_schedule_without_steps_ends_with_the_training(schedule):
    data = (Network((3, 4, 1)), X, Y)
    options = {"batch_size": 30, "seed": 1}
    right = train(*data, **options, epochs=6, optimizer=Adam(schedule(0.1, 42)))
    ours = train(*data, **options, epochs=6, optimizer=Adam(schedule(0.1)))
    assert_same_bits(ours.params, right.params)
    assert ours.state.counters["optimizer"] == right.state.counters["optimizer"]
    many = train_many(
        *data, batch_size=30, seed=[1, 2], epochs=[6, 3], optimizer=Adam(schedule(0.1))
    )
    assert_same_bits(many[0].params, right.params)
    assert many[1].history.learning_rate[-1] == schedule(0.1, 21)(20)
    part = train(*data, **options, epochs=2, optimizer=Adam(schedule(0.1, 14)))
    on = part.resume(X, Y, epochs=4, optimizer=Adam(schedule(0.1)))
    assert on.history.learning_rate[-1] == schedule(0.1, 42)(41)
    with pytest.raises(ValueError, match="without steps ends with a training, and here none ends"):
        Population(*data, seed=range(2), optimizer=Adam(schedule(0.1))).advance(1)


CASES = [
    ("MLPClassifier", Y_IRIS, {}),
    ("MLPClassifier", Y_IRIS == 1, {"activation": "tanh", "hidden_layer_sizes": (5, 4)}),
    ("MLPRegressor", np.c_[Y_IRIS, -X_IRIS[:, 0]], {"activation": "logistic"}),
    ("MLPRegressor", Y_IRIS.astype(float), {"loss": "poisson"}),
]


@pytest.mark.parametrize(("kind", "y", "parameters"), CASES)
def test_final_loss(kind, y, parameters):
    """On X moved by an ULP, half of five runs end not above the worst of scikit-learn's: L-BFGS
    amplifies rounding."""
    parameters = {**SMALL, **parameters, "solver": "lbfgs", "max_iter": 100}
    losses = {fastnn: [], theirs: []}
    for seed in range(5):
        moved = np.nextafter(X_IRIS, RandomState(seed).choice([-np.inf, np.inf], X_IRIS.shape))
        for module, found in losses.items():
            found.append(getattr(module, kind)(**parameters).fit(moved, y).loss_)
    assert np.median(losses[fastnn]) <= max(losses[theirs]) * (1 + 1e-6)


def test_lbfgs_float32():
    X = X_IRIS.astype(np.float32)
    mine, reference = both("MLPClassifier", X, Y_IRIS, solver="lbfgs", max_iter=5)
    assert_same(mine, reference, 1e-5)
    assert mine.coefs_[0].dtype == reference.coefs_[0].dtype == np.float64
    fixed = MLPClassifier(**{**SMALL, "solver": "lbfgs"}, fix_defects=True).fit(X, Y_IRIS)
    assert fixed.coefs_[0].dtype == np.float32
    assert fixed.predict_proba(X).dtype == np.float32


def test_partial_fit_of_a_regressor_with_lbfgs_warns_in_the_same_words():
    mlps = [m.MLPRegressor(**{**SMALL, "solver": "lbfgs", "max_iter": 3}) for m in (fastnn, theirs)]
    texts = []
    for mlp in mlps:
        with pytest.warns(ConvergenceWarning) as caught:
            mlp.partial_fit(X_DIABETES, Y_DIABETES)
        texts.append([str(warning.message) for warning in caught])
    assert texts[0] == texts[1]
    assert_same(*mlps, 1e-8)
    assert not hasattr(MLPRegressor(solver="lbfgs", fix_defects=True), "partial_fit")
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
