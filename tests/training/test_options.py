"""Clipped gradients and rates by layer: what they do, on both back ends, and that no bit shows how
work is cut."""

import numpy as np
import pytest
from bits import bits
from small_training import Recorder

from fastnn import Network, Population, Stop, load, testing, train, train_many
from fastnn.optimizers import OPTIMIZERS, RPROP, SGD, Adam, LevenbergMarquardt
from fastnn.testing.cases import draw_training
from fastnn.training import loss_and_gradient

NETWORK = Network((3, 9, 5, 2), ("tanh", "gelu"))
RATES = ((0, 0), (0.5, 2), (1, 0))


def options_of(kind):
    return {"optimizer": kind(0.01), "batch_size": None if kind.full_batch else 16}


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_trainings_match_the_reference(kind, dtype):
    problem = draw_training(NETWORK, 60, dtype)
    given = {
        "params": problem.params,
        "alpha": 0.1,
        "seed": 1,
        "epochs": 4,
        "sample_weight": problem.sample_weight,
    }
    data = (NETWORK, problem.X, problem.Y)
    given = given | options_of(kind)
    for own in ({"clip_norm": 0.02}, {"rates": RATES}, {"clip_norm": 0.02, "rates": RATES}):
        testing.assert_trainings_match(*data, **given | own)
        if kind is not RPROP or "rates" in own:  # it goes by the signs of gradients
            assert bits(train(*data, **given | own).params) != bits(train(*data, **given).params)


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_sequential_optimizer_takes_rates(kind, dtype):
    """Each layer steps by its own rate before delta goes below it; in batches of several rows, and
    of one."""
    problem = draw_training(NETWORK, 40, dtype)
    given = {"params": problem.params, "alpha": 0.1, "seed": 1, "epochs": 2, "rates": RATES}
    for batch_size in [None] if kind.full_batch else [1, 16]:
        data = (NETWORK, problem.X, problem.Y)
        given = given | {"batch_size": batch_size}
        testing.assert_trainings_match(*data, **given, optimizer=kind(0.01, sequential=True))
        in_turn, at_once = (
            train(*data, **given, optimizer=kind(0.01, sequential=now)).params
            for now in (True, False)
        )
        assert bits(in_turn) != bits(at_once) or kind is RPROP
        for layer, factors in zip(NETWORK.layers, RATES, strict=True):
            assert bits(in_turn[layer.all]) != bits(problem.params[layer.all]) or factors == (0, 0)


def test_a_long_gradient_is_made_so_short_and_a_short_one_stays(backend):
    problem = draw_training(NETWORK, 20)
    _, g = loss_and_gradient(NETWORK, problem.params, problem.X, problem.Y, alpha=0.3)
    length = np.linalg.norm(g)
    for most in (length / 3, length * 1.01):
        options = {
            "optimizer": SGD(1.0),
            "epochs": 1,
            "batch_size": None,
            "params": problem.params,
            "alpha": 0.3,
        }
        result = train(NETWORK, problem.X, problem.Y, **options, clip_norm=most, backend=backend)
        np.testing.assert_allclose(
            problem.params - result.params, g * min(1, most / length), rtol=1e-9, atol=1e-14
        )


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_layer_of_rate_0_keeps_its_bits(kind, backend):
    problem = draw_training(NETWORK, 40)
    problem.params[:3] = -0.0
    options = options_of(kind) | {
        "params": problem.params,
        "epochs": 3,
        "rates": RATES,
        "alpha": 0.1,
    }
    result = train(NETWORK, problem.X, problem.Y, **options, backend=backend)
    for l, layer in enumerate(NETWORK.layers):
        for where, factor in ((layer.weight, RATES[l][0]), (layer.bias, RATES[l][1])):
            assert (bits(result.params[where]) == bits(problem.params[where])) == (factor == 0)
            assert result.state.vectors[1:, where].any() == (factor > 0 and kind is not SGD)


def test_a_list_of_rates_may_change_between_two_calls():
    problem = draw_training(NETWORK, 20)
    rates = [1.0, 1.0, 1.0]
    given = {"params": problem.params, "epochs": 2, "seed": 0, "optimizer": Adam()}
    go = lambda rates: bits(train(NETWORK, problem.X, problem.Y, **given, rates=rates).params)  # noqa: E731
    before = go(rates)
    rates[0] = 0.0
    assert go(rates) == go(tuple(rates)) != before


def test_no_bit_shows_how_the_work_is_cut(tmp_path):
    problem = draw_training(NETWORK, 64)
    own = {"clip_norm": 0.05, "rates": (0, 1, 2)}
    data = (NETWORK, problem.X, problem.Y)
    options = {"optimizer": Adam(0.01), "batch_size": 32, "epochs": 6}
    whole = train(*data, **options, **own, seed=3)
    train(*data, **options | own | {"epochs": 2}, seed=3).save(tmp_path / "half.npz")
    rest = [
        load(tmp_path / "half.npz").resume(*data[1:], epochs=4, threads=threads)
        for threads in (None, 2)
    ]
    # of two for 32 rows
    shared = [train(*data, **options, **own, seed=3, threads=threads) for threads in (2, 3)]
    assert [result.threads for result in shared] == [2, 2]
    watched = train(*data, **options, **own, seed=3, callbacks=[lambda progress: None])
    several = train_many(*data, **options, seed=3, clip_norm=[0.05, None], rates=own["rates"])
    member = train_many(*data, **options, **own, seed=range(9))[3]
    assert {
        result.params.tobytes() for result in (*rest, *shared, watched, several[0], member)
    } == {whole.params.tobytes()}
    assert bits(several[1].params) != bits(whole.params)
    options |= own | {"epochs": 30, "stop": Stop(validation=0.25, patience=2, restore_best=True)}
    alone = train(*data, **options, seed=3)
    many = train_many(*data, **options, seed=range(4))
    assert bits(many[3].params) == bits(alone.params)


def test_a_new_optimizer_keeps_them_unless_others_are_given():
    problem = draw_training(NETWORK, 40)
    own = {"clip_norm": 0.05, "rates": (0, 1, 2)}
    data = NETWORK, problem.X, problem.Y
    first = train(*data, optimizer=Adam(0.01), **own, epochs=2, seed=0)
    new = Adam(0.002)
    on = {"epochs": 3, "resume": first.state}
    right = train(*data, optimizer=Adam(0.002, **own), **on)
    assert bits(train(*data, optimizer=new, **on).params) == bits(right.params)
    assert bits(train_many(*data, n=1, optimizer=new, **on)[0].params) == bits(right.params)
    for other in ({"rates": None}, {"clip_norm": None}, {"clip_norm": 0.01}, {"rates": (1, 0, 0)}):
        expected = bits(train(*data, optimizer=new, **on, **own | other).params)
        assert (
            bits(train(*data, optimizer=new, **on, **other).params)
            == expected
            != bits(right.params)
        )
        if None not in other.values():
            assert bits(train(*data, optimizer=Adam(0.002, **other), **on).params) == expected
    population = Population(*data, n=1, optimizer=Adam(0.01), resume=first.state, **own)
    population.replace(0, optimizer=new)
    population.advance(3)
    assert bits(population[0].params) == bits(right.params)
    population.replace(0, rates=None)
    population.advance(1)
    assert bits(population[0].params) == bits(right.resume(*data[1:], epochs=1, rates=None).params)


def test_none_is_nothing_for_a_method():
    X = np.linspace(-1, 1, 9)[:, None]
    given = {"optimizer": LevenbergMarquardt(), "epochs": 2, "seed": 0}
    result = train(Network((1, 2, 1), "tanh"), X, X**2, **given, clip_norm=None, rates=None)
    assert bits(result.params) == bits(train(Network((1, 2, 1), "tanh"), X, X**2, **given).params)


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
