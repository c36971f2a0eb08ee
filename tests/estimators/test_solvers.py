"""The estimators' share of optimizers, schedules, losses and clipping."""

import gc

import numpy as np
import pytest
from bits import bits
from sklearn.base import clone

from fastnn import Huber, MLPClassifier, MLPRegressor, Network, Pinball, Population, train, train_many
from fastnn.estimators.epochs import Epochs
from fastnn.optimizers import Adam, AdamW, RMSprop
from fastnn.schedules import cosine, one_cycle, warm_up

R = np.random.RandomState(0)
X = R.uniform(-1, 1, (200, 3))
Y = np.sin(3 * X[:, 0]) + (0.1 + 0.3 * abs(X[:, 1])) * R.standard_normal(200)
SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 20, "tol": 0, "batch_size": 20}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("given", "optimizer"),
    [
        ({"solver": "adamw", "learning_rate_init": 0.01}, AdamW(0.01)),
        ({"solver": "rmsprop", "learning_rate_init": 0.01}, RMSprop(0.01)),
        ({"learning_rate": cosine(0.01)}, Adam(cosine(0.01, 200))),
        ({"clip_norm": 0.1, "learning_rate_init": 0.01}, Adam(0.01, clip_norm=0.1)),
    ],
    ids=str,
)
def test_a_fit_is_the_training_of_this_optimizer(given, optimizer):
    mlp = MLPRegressor(**SMALL | {"shuffle": False, "alpha": 0.0} | given).fit(X, Y)
    network = mlp.to_result().network
    again = clone(mlp).set_params(solver="sgd", learning_rate="constant", learning_rate_init=1e-300, clip_norm=None)
    first = again.set_params(max_iter=1, momentum=0.0).fit(X, Y)
    options = {"params": first.to_result().params, "epochs": 20, "batch_size": 20, "shuffle": False}
    right = train(network, X, Y, optimizer=optimizer, **options)
    np.testing.assert_allclose(mlp.to_result().params, right.params, rtol=1e-8, atol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("given", [{}, {"early_stopping": True}], ids=str)
def test_a_fit_leaves_nothing_to_the_garbage_collector(given):
    """The data would stay until it looks."""
    gc.disable()
    try:
        MLPRegressor(**SMALL | {"solver": "sgd"} | given).fit(X, Y)
        assert not any(type(thing) is Epochs for thing in gc.get_objects())
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_quantiles(tmp_path):
    given = SMALL | {"loss": "quantile", "learning_rate_init": 0.02, "max_iter": 100}
    low, high = (MLPRegressor(**given, quantile=q).fit(X, Y) for q in (0.1, 0.9))
    assert 0.05 < (low.predict(X) >= Y).mean() < 0.15
    assert 0.85 < (high.predict(X) >= Y).mean() < 0.95
    result = high.to_result()
    assert result.network.loss == Pinball(0.9)
    assert bits(MLPRegressor.from_result(result).predict(X)) == bits(high.predict(X))
    assert MLPRegressor.from_result(result).quantile == 0.9
    high.save(tmp_path / "high.npz")
    assert bits(MLPRegressor.load(tmp_path / "high.npz").predict(X)) == bits(high.predict(X))
    with pytest.raises(ValueError, match='loss="quantile" needs quantile='):
        MLPRegressor(loss="quantile").fit(X, Y)
    with pytest.raises(ValueError, match=r"quantile=0.9 is for loss=.quantile., not loss='huber'"):
        MLPRegressor("huber", quantile=0.9).fit(X, Y)
    with pytest.raises(ValueError, match="'quantile' parameter"):
        MLPRegressor(loss="quantile", quantile=1.5).fit(X, Y)
    with pytest.raises(ValueError, match="has no output 'identity' with the loss Huber"):
        MLPRegressor.from_result(train(Network((3, 1), loss=Huber(0.1)), X, Y, epochs=1))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_schedule_goes_on_in_further_fits_and_is_saved(tmp_path):
    mlp = MLPClassifier(**SMALL | {"learning_rate": warm_up(0.1, 30)})
    for _ in range(4):  # ten steps each
        mlp.partial_fit(X, Y > 0, classes=[False, True])
    assert mlp._optimizer.t == 40
    mlp.save(tmp_path / "mlp.npz")
    assert MLPClassifier.load(tmp_path / "mlp.npz").learning_rate == warm_up(0.1, 30)
    mlp.set_params(learning_rate=lambda step: 0.1).save(tmp_path / "mlp.npz")
    assert MLPClassifier.load(tmp_path / "mlp.npz").learning_rate == "constant"
    with pytest.raises(ValueError, match="warm_up without steps ends with a training"):
        MLPClassifier(learning_rate=warm_up(0.1)).partial_fit(X, Y > 0, classes=[False, True])


@pytest.mark.parametrize("schedule", [cosine, warm_up, one_cycle])
def test_a_schedule_without_steps_ends_with_the_training(schedule):
    data, options = (Network((3, 4, 1)), X, Y), {"batch_size": 30, "seed": 1}
    right = train(*data, **options, epochs=6, optimizer=Adam(schedule(0.1, 42)))
    ours = train(*data, **options, epochs=6, optimizer=Adam(schedule(0.1)))
    assert bits(ours.params) == bits(right.params)
    assert ours.state.counters["optimizer"] == right.state.counters["optimizer"]
    many = train_many(*data, batch_size=30, seed=[1, 2], epochs=[6, 3], optimizer=Adam(schedule(0.1)))
    assert bits(many[0].params) == bits(right.params)
    assert many[1].history.learning_rate[-1] == schedule(0.1, 21)(20)
    part = train(*data, **options, epochs=2, optimizer=Adam(schedule(0.1, 14)))
    on = part.resume(X, Y, epochs=4, optimizer=Adam(schedule(0.1)))
    assert on.history.learning_rate[-1] == schedule(0.1, 42)(41)
    with pytest.raises(ValueError, match="without steps ends with a training, and here none ends"):
        Population(*data, seed=range(2), optimizer=Adam(schedule(0.1))).advance(1)
