"""Clipped gradients and rates by layer: what they do, on both back ends, and that no bit shows how
work is cut."""

import numpy as np
import pytest
from bits import assert_same_params, bits
from small_training import Recorder

from fastnn import Network, Population, Stop, load, testing, train, train_many
from fastnn.optimizers import OPTIMIZERS, RPROP, SGD, Adam, LevenbergMarquardt
from fastnn.testing.cases import draw_training
from fastnn.training import loss_and_gradient

NETWORK = Network((3, 9, 5, 2), ("tanh", "gelu"))
RATES = ((0, 0), (0.5, 2), (1, 0))


each_optimizer = pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)


def options_of(kind):
    return {"optimizer": kind(0.01), "batch_size": None if kind.full_batch else 16}


def drawn(n, dtype=np.float64):
    """What is trained on n rows, and its first parameters."""
    problem = draw_training(NETWORK, n, dtype)
    return (NETWORK, problem.X, problem.Y), problem.params


@pytest.mark.parametrize(
    "options",
    [{"clip_norm": 0.02}, {"rates": RATES}, {"clip_norm": 0.02, "rates": RATES}],
    ids=" and ".join,
)
@each_optimizer
def test_trainings_match_the_reference(kind, options, dtype):
    params, X, Y, weight = draw_training(NETWORK, 60, dtype)
    data = (NETWORK, X, Y)
    given = {"params": params, "alpha": 0.1, "seed": 1, "epochs": 4, "sample_weight": weight}
    given |= options_of(kind)
    testing.assert_trainings_match(*data, **given, **options)
    if kind is not RPROP or "rates" in options:  # it goes by the signs of gradients
        changed = train(*data, **given, **options)
        assert bits(changed.params) != bits(train(*data, **given).params)


@each_optimizer
def test_a_sequential_optimizer_takes_rates(kind, dtype):
    """Each layer steps by its own rate before delta goes below it; in batches of several rows, and
    of one."""
    data, params = drawn(40, dtype)
    given = {"params": params, "alpha": 0.1, "seed": 1, "epochs": 2, "rates": RATES}
    for batch_size in [None] if kind.full_batch else [1, 16]:
        given["batch_size"] = batch_size
        testing.assert_trainings_match(*data, **given, optimizer=kind(0.01, sequential=True))
        in_turn = train(*data, **given, optimizer=kind(0.01, sequential=True)).params
        at_once = train(*data, **given, optimizer=kind(0.01)).params
        assert bits(in_turn) != bits(at_once) or kind is RPROP
        for layer, factors in zip(NETWORK.layers, RATES, strict=True):
            assert bits(in_turn[layer.all]) != bits(params[layer.all]) or factors == (0, 0)


def test_a_long_gradient_is_made_so_short_and_a_short_one_stays(backend):
    data, params = drawn(20)
    _, g = loss_and_gradient(NETWORK, params, *data[1:], alpha=0.3)
    length = np.linalg.norm(g)
    options = {"optimizer": SGD(1.0), "epochs": 1, "batch_size": None, "alpha": 0.3}
    for most in (length / 3, length * 1.01):
        result = train(*data, params=params, **options, clip_norm=most, backend=backend)
        step = g * min(1, most / length)
        np.testing.assert_allclose(params - result.params, step, rtol=1e-9, atol=1e-14)


@each_optimizer
def test_a_layer_of_rate_0_keeps_its_bits(kind, backend):
    data, params = drawn(40)
    params[:3] = -0.0
    options = options_of(kind) | {"epochs": 3, "rates": RATES, "alpha": 0.1}
    result = train(*data, params=params, **options, backend=backend)
    for layer, factors in zip(NETWORK.layers, RATES, strict=True):
        for where, factor in zip((layer.weight, layer.bias), factors, strict=True):
            assert (bits(result.params[where]) == bits(params[where])) == (factor == 0)
            assert result.state.vectors[1:, where].any() == (factor > 0 and kind is not SGD)


def test_a_list_of_rates_may_change_between_two_calls():
    data, params = drawn(20)

    def go(rates):
        return bits(train(*data, params=params, epochs=2, seed=0, rates=rates).params)

    rates = [1.0, 1.0, 1.0]
    before = go(rates)
    rates[0] = 0.0
    assert go(rates) == go(tuple(rates)) != before


BOTH = {"clip_norm": 0.05, "rates": (0, 1, 2)}


def test_no_bit_shows_how_the_work_is_cut(tmp_path):
    data, _ = drawn(64)
    options = {"optimizer": Adam(0.01), "batch_size": 32, "epochs": 6, "seed": 3} | BOTH
    whole = train(*data, **options)
    train(*data, **options | {"epochs": 2}).save(tmp_path / "third.npz")
    for threads in (None, 2):
        third = load(tmp_path / "third.npz")
        assert_same_params(third.resume(*data[1:], epochs=4, threads=threads), whole)
    for threads in (2, 3):  # of which two have vectors of 32 rows
        shared = train(*data, **options, threads=threads)
        assert shared.threads == 2
        assert_same_params(shared, whole)
    assert_same_params(train(*data, **options, callbacks=[lambda progress: None]), whole)


def test_members_may_have_them_each_or_all():
    data, _ = drawn(64)
    options = {"optimizer": Adam(0.01), "batch_size": 32, "epochs": 6} | BOTH
    alone = train(*data, **options, seed=3)
    one, other = train_many(*data, **options | {"clip_norm": [0.05, None]}, seed=3)
    assert_same_params(one, alone)
    assert bits(other.params) != bits(alone.params)
    assert_same_params(train_many(*data, **options, seed=range(9))[3], alone)
    options |= {"epochs": 30, "stop": Stop(validation=0.25, patience=2, restore_best=True)}
    alone = train(*data, **options, seed=3)
    assert_same_params(train_many(*data, **options, seed=range(4))[3], alone)


@pytest.fixture
def begun():
    """Data, and the options of trainings that go on from a state with both options."""
    data, _ = drawn(40)
    first = train(*data, optimizer=Adam(0.01), **BOTH, epochs=2, seed=0)
    return data, {"epochs": 3, "resume": first.state}


def test_a_new_optimizer_keeps_them(begun):
    data, options = begun
    right = train(*data, optimizer=Adam(0.002, **BOTH), **options)
    assert_same_params(train(*data, optimizer=Adam(0.002), **options), right)
    assert_same_params(train_many(*data, n=1, optimizer=Adam(0.002), **options)[0], right)
    population = Population(*data, n=1, optimizer=Adam(0.01), resume=options["resume"], **BOTH)
    population.replace(0, optimizer=Adam(0.002))
    population.advance(3)
    assert_same_params(population[0], right)
    population.replace(0, rates=None)
    population.advance(1)
    assert_same_params(population[0], right.resume(*data[1:], epochs=1, rates=None))


@pytest.mark.parametrize(
    "others",
    [{"rates": None}, {"clip_norm": None}, {"clip_norm": 0.01}, {"rates": (1, 0, 0)}],
    ids=str,
)
def test_others_that_are_given_count(begun, others):
    data, options = begun
    expected = train(*data, optimizer=Adam(0.002), **options, **BOTH | others)
    assert bits(expected.params) != bits(train(*data, optimizer=Adam(0.002), **options).params)
    assert_same_params(train(*data, optimizer=Adam(0.002), **options, **others), expected)
    if None not in others.values():
        assert_same_params(train(*data, optimizer=Adam(0.002, **others), **options), expected)


def test_none_is_nothing_for_a_method():
    X = np.linspace(-1, 1, 9)[:, None]
    network = Network((1, 2, 1), "tanh")
    given = {"optimizer": LevenbergMarquardt(), "epochs": 2, "seed": 0}
    result = train(network, X, X**2, **given, clip_norm=None, rates=None)
    assert_same_params(result, train(network, X, X**2, **given))


REFUSED = [
    ({"clip_norm": 0}, ValueError, "clip_norm must be greater than 0"),
    ({"clip_norm": "1"}, TypeError, "clip_norm must be a number"),
    ({"rates": (1, 1)}, ValueError, "rates has 2 factors, the network 3 layers"),
    ({"rates": (0, 0, (0, 0))}, ValueError, "must not be 0 for all layers"),
    ({"rates": (1, -1, 1)}, ValueError, r"rates\[1\] must be at least 0"),
    ({"rates": (1, np.inf, 1)}, ValueError, r"rates\[1\] must be finite"),
    ({"rates": (1, (1, 2, 3), 1)}, ValueError, "one for weights and one for biases"),
    ({"rates": 1}, TypeError, "rates must have a number"),
    ({"rates": []}, ValueError, "rates has 0 factors, the network 3 layers"),
    (
        {"rates": {0: 1, 1: 1, 2: 1}},
        TypeError,
        "rates must have a number, .*, for each layer in order, not",
    ),
    ({"clip_norm": 1, "optimizer": SGD(sequential=True)}, ValueError, "goes without clip_norm"),
    (
        {"clip_norm": 1, "optimizer": LevenbergMarquardt()},
        TypeError,
        "LevenbergMarquardt has no clip_norm",
    ),
    ({"clip_norm": 1, "backend": Recorder()}, ValueError, "knows no clip_norm and no rates"),
]


@pytest.mark.parametrize(("given", "error", "text"), REFUSED, ids=[text for *_, text in REFUSED])
def test_what_does_not_fit_is_refused(given, error, text):
    for fit, members in ((train, {}), (train_many, {"n": 2})):
        with pytest.raises(error, match=text):
            fit(NETWORK, np.zeros((4, 3)), np.zeros((4, 2)), epochs=1, **given, **members)
