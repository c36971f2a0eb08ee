"""Searches: each trains what its definition says, exactly, and finds what is good."""

import importlib
import pathlib

import numpy as np
import pytest
from bits import assert_same_params, assert_same_result

from fastnn import SGD, Adam, DivergenceError, Network, Population, Stop, search, train

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
X = np.random.RandomState(3).rand(20, 3)
Y = X[:, :1] ** 2
NETWORK = Network((3, 5, 1), "tanh")
RATES = np.logspace(-3, 0, 9)
HELD_OUT = np.arange(0, 20, 4)
FIXED = {
    "network": NETWORK,
    "optimizer": SGD(),
    "batch_size": None,
    "validation_rows": HELD_OUT,
    "seed": 0,
}


def alone(rate, epochs, **options):
    return train(
        NETWORK, X, Y, optimizer=SGD(rate), seed=0, batch_size=None, epochs=epochs, **options
    )


def test_successive_halving():
    """9, 3 and 1 networks with 2, 6 and 18 epochs each, of which 2, 4 and 12 are new; the winner is
    `train` alone."""
    found = search(
        {"learning_rate": RATES}, X, Y, budget=9 * 2 + 3 * 4 + 1 * 12, epochs=18, **FIXED
    )
    assert found.epochs_trained == 42
    columns = found.to_dict()
    assert columns["learning_rate"].tolist() == RATES.tolist()
    whole = [alone(rate, 18, validation_rows=HELD_OUT) for rate in RATES]
    losses = np.array([result.history.validation_loss for result in whole])
    better = np.argsort(losses[:, 1])[:3]
    best = better[losses[better, 5].argmin()]
    epochs = np.where(np.isin(range(9), better), 6, 2)
    epochs[best] = 18
    assert columns["n_epochs"].tolist() == epochs.tolist()
    assert columns["score"].tolist() == losses[range(9), epochs - 1].tolist()
    assert found.settings == {"learning_rate": RATES[best]}
    assert found.score == losses[best, -1]
    assert_same_result(found.best, whole[best])


@pytest.mark.parametrize("rows", [None, np.arange(1, 20, 4)], ids=["all others", "some"])
def test_the_winner_is_resumed_on_the_rows_of_the_search(rows):
    options = FIXED if rows is None else {**FIXED, "rows": rows}
    found = search({"learning_rate": RATES}, X, Y, budget=30, epochs=9, **options)
    of_search = {"rows": found.rows, "validation_rows": found.validation_rows}
    longer = found.best.resume(X, Y, epochs=3, **of_search)
    whole = alone(found.settings["learning_rate"], 12, rows=rows, validation_rows=HELD_OUT)
    assert_same_params(longer, whole)


def test_rows_that_the_search_draws_are_known():
    stop = Stop(monitor="r2", restore_best=True)
    options = {"network": NETWORK, "stop": stop, "seed": 0}
    found = search({"learning_rate": RATES}, X, Y, budget=30, epochs=9, **options)
    rows = found.validation_rows
    assert len(rows) == 4
    assert found.best.score(X[rows], Y[rows]) == pytest.approx(found.score)


@pytest.mark.parametrize("more", [0, 1])
def test_hyperband(more):
    """Brackets of 9, 5 and 3 networks with at first 1, 3 and 9 epochs: table 1 of its authors, for
    R = 9."""
    budget = (9 * 1 + 3 * 2 + 1 * 6) + (5 * 3 + 1 * 6) + 3 * 9
    space = {"learning_rate": lambda random: 10 ** random.uniform(-3, 0)}
    found = search(space, X, Y, budget=budget + more, epochs=9, method="hyperband", **FIXED)
    assert found.epochs_trained == budget
    columns = found.to_dict()
    assert np.bincount(columns["bracket"]).tolist() == [9, 5, 3]
    most = [sorted(columns["n_epochs"][columns["bracket"] == b])[-3:] for b in range(3)]
    assert most == [[3, 3, 9], [3, 3, 9], [9, 9, 9]]
    random = np.random.RandomState(0)
    assert columns["learning_rate"].tolist() == [10 ** random.uniform(-3, 0) for _ in range(17)]
    best = columns["score"].argmin()
    assert_same_result(
        found.best, alone(columns["learning_rate"][best], 9, validation_rows=HELD_OUT)
    )


def test_the_same_seed_finds_the_same(backend):
    space = {
        "hidden_layer_sizes": [3, (4, 2), ()],
        "activation": ("relu", "tanh"),
        "optimizer": [Adam(), SGD(momentum=0.9)],
        "batch_size": range(5, 9),
        "alpha": lambda random: random.choice([0.0, 0.1]),
    }
    options = {
        "network": Network((3, 5, 1)),
        "budget": 60,
        "epochs": 9,
        "seed": 4,
        "stop": Stop(monitor="r2"),
    }
    one, two = (search(space, X, Y, backend=backend, n_jobs=n, **options) for n in (1, 2))
    for trial in one.trials + two.trials:
        assert trial.pop("seconds") >= 0
    assert one.trials == two.trials
    assert_same_result(one.best, two.best)
    settings = dict(one.settings)
    hidden = settings.pop("hidden_layer_sizes")
    hidden = hidden if isinstance(hidden, tuple) else (hidden,)
    network = Network((3, *hidden, 1), settings.pop("activation"))
    held_out = np.sort(np.random.RandomState(4).permutation(20)[:4])
    options = {"stop": Stop(monitor="r2"), "seed": 4, "epochs": 9, "backend": backend}
    alone = train(network, X, Y, **settings, **options, validation_rows=held_out)
    assert_same_result(one.best, alone)
    assert one.score == max(trial["score"] for trial in one.trials if trial["n_epochs"] == 9)
    assert repr(one).startswith(
        f"<SearchResult: trials {len(one.trials)}, epochs {one.epochs_trained}, best score"
    )


def test_a_grid_is_tried_once():
    """All of it if the budget allows, else a part without repetition; distributions of scipy.stats
    are drawn from."""
    stats = pytest.importorskip("scipy.stats")
    grid = {"learning_rate": RATES[:3], "alpha": [0.0, 0.1], "network": [NETWORK, Network((3, 1))]}
    options = {"optimizer": SGD(), "seed": 0, "epochs": 1}
    for n in (5, 12, 99):
        found = search(grid, X, Y, budget=n, **options)
        tried = {tuple(trial[name] for name in grid) for trial in found.trials}
        assert len(tried) == len(found.trials) == found.epochs_trained == min(n, 12)
    for budget, epochs in ((107, [9, 9, 9, 27]), (108, [27] * 4)):  # fewer rungs, if it is enough
        found = search({"seed": range(4)}, X, Y, network=NETWORK, budget=budget, epochs=27)
        assert sorted(trial["n_epochs"] for trial in found.trials) == epochs
    found = search({"alpha": stats.uniform(1, 2)}, X, Y, network=NETWORK, budget=7, **options)
    alphas = {trial["alpha"] for trial in found.trials}
    assert len(alphas) == 7
    assert 1 <= min(alphas) <= max(alphas) <= 3


def test_a_long_range_is_no_list():
    """It is drawn from by index, and a part of its combinations is tried, each once."""
    for space in ({"seed": range(2**32)}, {"seed": range(2**32), "alpha": [0.0, 0.1]}):
        found = search(space, X, Y, network=NETWORK, budget=60, epochs=9, seed=0)
        tried = {(trial["seed"], trial.get("alpha")) for trial in found.trials}
        assert len(tried) == len(found.trials) > 9
        assert max(seed for seed, _ in tried) > 2**20


def test_a_callback_ends_a_search():
    options = {
        "budget": 69,
        "epochs": 9,
        "method": "hyperband",
        "callbacks": [lambda progress: True],
    }
    found = search({"learning_rate": RATES}, X, Y, **options, **FIXED)
    assert (found.epochs_trained, found.best.n_epochs, len(found.trials)) == (9, 1, 9)


def test_the_best_is_of_the_last_rung_in_which_not_all_diverged():
    options = {**FIXED, "optimizer": SGD(lambda step: 0.01 if step < 5 else 1e300)}
    found = search({"alpha": RATES}, X, Y, budget=21, epochs=9, **options)
    assert (found.best.n_epochs, found.best.stop_reason) == (3, "epochs")
    assert np.isfinite(found.score)
    assert [trial["stop_reason"] for trial in found.trials].count("diverged") == 1


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_max_seconds_are_those_of_the_search(n_jobs, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "fastnn.many.population.train_alone", lambda *given: pytest.fail("it begins after the end")
    )

    def tick(_):
        clock[0] += 1.0

    stop = Stop(max_seconds=2.5)
    space = {"hidden_layer_sizes": [1, 2, 3, 4], "seed": range(2)}
    options = {
        "network": NETWORK,
        "budget": 99,
        "epochs": 9,
        "callbacks": [tick],
        "n_jobs": n_jobs,
        "stop": stop,
    }
    found = search(space, X, Y, **options)
    reasons = [trial["stop_reason"] for trial in found.trials]
    assert reasons.count("epochs") in range(3, 9)  # blocks of several members
    assert reasons.count("time") > 0
    assert np.isfinite(found.score)


def test_a_search_without_the_time_for_one_epoch_is_refused(monkeypatch):
    clock = [0.0]
    advance = Population.advance

    def advance_in_a_second(self, epochs):
        clock[0] += 1.0
        advance(self, 1)

    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr(Population, "advance", advance_in_a_second)
    words = r"max_seconds=0\.5 of stop were over .*: raise them, or lower b"
    options = {"network": NETWORK, "budget": 99, "epochs": 9, "stop": Stop(max_seconds=0.5)}
    with pytest.raises(ValueError, match=words):
        search({"seed": range(8)}, X, Y, **options)


def test_all_diverge():
    rates = [1e300 * i for i in range(1, 10)]
    words = "all 9 networks of the search diverged, or have no finite score: try smaller"
    with pytest.raises(DivergenceError, match=words) as caught:
        search({"learning_rate": rates}, X, Y, budget=21, epochs=9, **FIXED)
    assert [trial["learning_rate"] for trial in caught.value.trials] == rates
    assert len(caught.value.result) == 9


def test_optimizers_of_trials_have_the_rates_that_were_searched():
    space = {"optimizer": [Adam(), SGD()], "learning_rate": [0.1, 0.2]}
    found = search(space, X, Y, network=NETWORK, budget=8, epochs=2, seed=0)
    optimizers = {trial["optimizer"] for trial in found.trials}
    assert optimizers == {Adam(0.1), Adam(0.2), SGD(0.1), SGD(0.2)}
    assert found.settings["optimizer"].learning_rate == found.settings["learning_rate"]


def test_an_interrupt_between_trainings_loses_nothing(monkeypatch):
    results = Population.results
    calls = []

    def interrupted(self):
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return results(self)

    monkeypatch.setattr(Population, "results", interrupted)
    found = search({"learning_rate": RATES}, X, Y, budget=21, epochs=9, **FIXED)
    assert len(calls) == 2
    assert found.best.n_epochs == 1
    assert np.isfinite(found.score)


WRONG = [
    (
        {"space": {"network": [NETWORK], "bias": ["none"]}, "network": None},
        "space has network and bias",
    ),
    ({"space": {"lr": [1.0]}}, "space has no 'lr': say learning_rate=..."),
    ({"space": {"alpa": [1.0]}}, "space has no 'alpa': did you mean 'alpha'?"),
    ({"space": {"sizes": [8]}}, "space has no 'sizes': did you mean 'hidden_layer_sizes'?"),
    ({"space": {3: [1.0]}}, "space has no 3; it has network, hidden_layer_sizes"),
    ({"space": {}}, "space must be a dict"),
    ({"space": {"alpha": []}}, "space['alpha'] is empty"),
    (
        {"space": {"seed": range(10**30)}},
        "space['seed'] has more than 9,223,372,036,854,775,807 values",
    ),
    (
        {"space": {"seed": range(2**32)}, "budget": 10**12},
        "budget is 1,000,000,000,000 epochs, for more than a million",
    ),
    ({"space": {"alpha": 0.1}}, "space['alpha'] must be a list of values, a range"),
    (
        {"space": {"alpha": [0.0, -1.0]}},
        "space['alpha']: member 1: alpha must be at least 0, not -1",
    ),
    (
        {"space": {"batch_size": lambda random: 2.5}},
        "space['batch_size']: member 0: batch_size must be an integer",
    ),
    (
        {"space": {"activation": ["rellu"]}},
        "space['activation']: unknown activation 'rellu' (did you mean 'relu'?)",
    ),
    (
        {"space": {"hidden_layer_sizes": ["8"]}},
        "space['hidden_layer_sizes']: sizes[1] must be an integer, not '8'",
    ),
    ({"alpha": 0.1}, "alpha is in the space and an argument"),
    ({"network": None}, "search needs a network"),
    ({"budget": 0}, "budget must be at least 1, not 0"),
    ({"budget": 26}, "budget is 26 epochs, less than the 27 of a single network in each halving"),
    (
        {"budget": 107, "method": "hyperband"},
        "budget is 107 epochs, less than the 108 of a single network",
    ),
    (
        {"space": {"alpha": np.random.RandomState.rand}, "budget": 10**30},
        "for more than a million networks",
    ),
    ({"method": "grid"}, "unknown method 'grid'; one of halving, hyperband"),
    ({"factor": 1}, "factor must be at least 2, not 1"),
    ({"rows": range(9), "stop": Stop(monitor="r2")}, "give validation_rows= too"),
    ({"n_job": 2}, "search has no argument 'n_job': did you mean 'n_jobs'?"),
    ({"methods": "halving"}, "search has no argument 'methods': did you mean 'method'?"),
    (
        {"n_iter": 3},
        "search has no argument 'n_iter': say budget=..., the epochs of all networks together",
    ),
    ({"networks": [NETWORK]}, "search has no argument 'networks': did you mean 'network'?"),
    (
        {"qqq": 3},
        (
            "search has no argument 'qqq'; it has space, X, Y, network, budget, epochs, method, "
            "factor, seed, sample"
        ),
    ),
    (
        {"X": X[None]},
        "X must be one for all networks of a search, not one for each: ndarray of shape (1, 20, 3)",
    ),
    ({"stop": [Stop()]}, "stop must be one for all networks of a search"),
    ({"X": 3}, "X must have 2 dimensions"),
]


@pytest.mark.parametrize(("options", "text"), WRONG, ids=[text for _, text in WRONG])
def test_refused_before_any_training(options, text, monkeypatch):
    monkeypatch.setattr(Population, "advance", lambda self, epochs: pytest.fail("it trains"))
    given = {
        "space": {"alpha": [0.0, 0.1]},
        "X": X,
        "Y": Y,
        "network": NETWORK,
        "budget": 200,
        "epochs": 27,
    } | options
    with pytest.raises((ValueError, TypeError)) as caught:
        search(given.pop("space"), given.pop("X"), given.pop("Y"), **given)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["population_based_training", "optuna_search"])
def test_examples_find_good_settings(name, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    if name == "optuna_search":
        pytest.importorskip("optuna", reason="needs Optuna: pip install optuna")
    monkeypatch.syspath_prepend(EXAMPLES)
    importlib.import_module(name).main()
    assert float(capsys.readouterr().out.rpartition(":")[2]) > 0.95
