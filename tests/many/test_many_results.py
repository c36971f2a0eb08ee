"""The results of train_many: stacked arrays, slices, scores, predictions, columns, pickles, what a
notebook shows."""

import copy
import pickle
import re

import numpy as np
import pytest
from bits import assert_same_params, assert_same_result, assert_same_results, bits
from watched import watch

import fastnn
from fastnn import SGD, ManyResult, Network, Stop, train, train_many
from fastnn.many import results as many_results
from fastnn.training import generator

RANDOM = np.random.RandomState(4)
NETWORK = Network((3, 5, 1))
EPOCHS = [3, 7, 0, 5, 1]
X = RANDOM.rand(24, 3)
Y = RANDOM.rand(24, 1)


@pytest.fixture
def many(backend):
    """Members of blocks, whose epochs differ."""
    return train_many(NETWORK, X, Y, seed=range(5), epochs=EPOCHS, batch_size=None, backend=backend)


@pytest.fixture
def validated(backend):
    """Members that are trained alone."""
    options = {
        "stop": Stop(validation=0.25, restore_best=True),
        "learning_rate": [0.1, 0.3, 1.0],
        "optimizer": SGD(),
    }
    return train_many(NETWORK, X, Y, seed=0, epochs=8, **options, backend=backend)


def test_arrays_are_stacked(many):
    assert many.params.shape == (5, NETWORK.n_params)
    assert not many.params.flags.writeable
    assert many.n_epochs.tolist() == EPOCHS
    assert many.stop_reason.tolist() == ["epochs"] * 5
    assert many.networks == [NETWORK] * 5
    for name in ("loss", "learning_rate", "score"):
        stacked = getattr(many.history, name)
        assert stacked.shape == (5, 7)
        for row, result, n in zip(stacked, many, EPOCHS, strict=True):
            assert bits(row[:n]) == bits(getattr(result.history, name))
            assert np.isnan(row[n:]).all()
    assert np.isnan(many.history.validation_loss).all()
    for row, result in zip(many.params, many, strict=True):
        assert bits(row) == bits(result.params)


def test_networks_of_several_sizes_give_lists(backend):
    many = train_many([NETWORK, Network((3, 8, 1))], X, Y, seed=0, epochs=1, backend=backend)
    assert [params.shape for params in many.params] == [(26,), (41,)]
    assert many.predict(X).shape == (2, 24, 1)
    of_two_outputs = train(Network((3, 2)), X, X[:, :2], epochs=0, backend=backend)
    with pytest.raises(ValueError, match="have different numbers of outputs"):
        ManyResult([*many, of_two_outputs]).predict(X)


def test_indices_and_slices(many):
    """Members are chosen as from an array: by a number, a slice, numbers or a mask, such as those
    that have trained."""
    assert_same_result(many[-1], many[4])
    assert_same_result(many[np.int64(1)], many[1])
    numbers = ([3, 0], np.array([3, 0]), [True, False, False, True, False], many.n_epochs > 0)
    slices = (slice(1, 3), slice(None, None, -2))
    assert len(many[5:9]) == 0
    for chosen in (*numbers, *slices):
        assert isinstance(many[chosen], ManyResult)
        assert_same_results(many[chosen], [many[int(i)] for i in np.arange(5)[chosen]])
        assert bits(many[chosen].params) == bits(many.params[chosen])
    with pytest.raises(IndexError, match="index 5"):
        many[[5]]
    with pytest.raises(TypeError):
        many["loss"]


def test_no_member(many):
    none = many[:0]
    assert none.params.size == none.scores.size == none.history.loss.size == 0
    assert len(none.to_dict()["member"]) == len(none.history.to_dict()["member"]) == 0
    for call, *arguments in ((none.best,), (none.predict, X), (none.save, "a.npz")):
        with pytest.raises(ValueError, match="no member"):
            call(*arguments)
    with pytest.raises(ValueError, match="no member"):
        none.predict(X, spread=True)


def test_scores_are_the_last_ones_or_those_that_were_restored(many, validated):
    last = [many.history.loss[i, n - 1] if n else np.nan for i, n in enumerate(EPOCHS)]
    assert np.array_equal(many.scores, last, equal_nan=True)
    assert many.best() == np.nanargmin(many.scores)
    losses = validated.history.validation_loss
    assert validated.scores.tolist() == losses.min(axis=1).tolist()
    assert validated.history.best_epoch.tolist() == (losses.argmin(axis=1) + 1).tolist()
    assert validated.best() == validated.scores.argmin()


def test_the_best_of_another_monitor_is_the_greatest(backend):
    def go(stop):
        options = {"learning_rate": [0.01, 0.5], "optimizer": SGD(), "seed": 0, "epochs": 20}
        return train_many(NETWORK, X, Y, stop=stop, backend=backend, **options)

    many = go(Stop(monitor="r2"))
    assert many.best() == many.scores.argmax()
    for other, said in {
        Stop(monitor="r2"): "1 member by r2 on the rows trained on, 1 member by training loss",
        Stop(validation=0.25): "1 member by training loss, 1 member by validation loss",
    }.items():
        many = go([other, Stop()])
        with pytest.raises(ValueError, match=rf"compared \({said}\)"):
            many.best()


def test_scores_of_rows_are_those_of_the_members_alone(backend, monkeypatch):
    """To the bit, of networks of two kinds, with rows that are checked once for each kind."""
    networks = [NETWORK, Network((3, 2, 1), "tanh")] * 4
    weight = np.arange(len(X)) % 2
    many = train_many(networks, X, Y, n=8, epochs=2, backend=backend)
    alone = [result.score(X, Y, weight, monitor="r2") for result in many]
    checks = [watch(monkeypatch, many_results, name) for name in ("check_inputs", "score_of_rows")]
    assert many.score(X, Y, weight, monitor="r2").tolist() == alone
    assert sum(map(len, checks)) < 5
    assert len(set(alone)) == 8


def test_no_member_that_diverged_is_the_best(backend):
    """The loss of its last epoch is that of the weights before it."""
    network = Network((3, 4, 1), "relu")
    options = {"optimizer": SGD(), "epochs": 3, "backend": backend}
    options |= {"params": np.full((3, network.n_params), 0.1), "batch_size": None}
    many = train_many(network, X, 0.1 * Y[:, :1], learning_rate=[1e200, 0.0, 1e-9], **options)
    assert many.stop_reason.tolist() == ["diverged", "epochs", "epochs"]
    assert many[many.stop_reason == "epochs"].n_epochs.tolist() == many.n_epochs[1:].tolist()
    assert many.scores[0] == many.scores[1] > many.scores[2]
    assert many.best() == 2
    assert many[:2].best() == 1
    words = "each one diverged or has no finite score, as before its first"
    for none in (many[:1], train_many(network, X, Y, seed=[0], epochs=0, backend=backend)):
        with pytest.raises(ValueError, match=words):
            none.best()
    with pytest.raises(ValueError, match="no member is the best: there is none"):
        many[[]].best()


@pytest.mark.parametrize("i", [5, -6, 10**30])
def test_a_member_that_is_not_there(many, i):
    with pytest.raises(IndexError, match=r"there is no member .* of 5 members, numbered from 0"):
        many[i]


@pytest.mark.parametrize("rows", [1, 24])
def test_predictions_are_those_of_each(many, validated, rows, dtype):
    given = X[:rows].astype(dtype)
    for results in (many, validated):
        outputs = results.predict(given)
        assert outputs.shape == (len(results), rows, 1)
        for of_member, result in zip(outputs, results, strict=True):
            assert bits(of_member) == bits(result.predict(given))
        mean, deviation = results.predict(given, spread=True)
        assert np.allclose(mean, outputs.mean(axis=0), rtol=1e-14, atol=0)
        assert np.allclose(deviation, outputs.std(axis=0), rtol=1e-10, atol=1e-14)
    with pytest.raises(ValueError, match="X has 2 columns, the network has 3 inputs"):
        many.predict(X[:, :2])


def test_columns_go_into_a_data_frame(many, validated):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(many.to_dict())
    assert frame.shape == (5, 9)
    assert frame["seed"].tolist() == frame["member"].tolist() == list(range(5))
    assert frame["n_epochs"].tolist() == EPOCHS
    assert frame["loss"].isna().tolist() == [n == 0 for n in EPOCHS]
    assert frame.loc[frame["score"].idxmin(), "member"] == many.best()
    assert many[[3, 1]].to_dict()["seed"] == [3, 1]
    epochs = pandas.DataFrame(validated.history.to_dict())
    assert epochs.groupby("member").size().tolist() == [8] * 3
    assert epochs.groupby("member")["validation_loss"].min().tolist() == validated.scores.tolist()
    assert epochs["epoch"].tolist() == [*range(1, 9)] * 3


@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)], ids=["drawn", "a generator"])
def test_a_seed_that_is_no_number_is_none_in_the_columns(seed):
    assert train_many(NETWORK, X, Y, seed=[seed, 5], epochs=1).to_dict()["seed"] == [None, 5]


def test_a_rate_in_the_columns_is_the_number_that_it_begins_with():
    rates = [0.5, fastnn.cosine(0.1, steps=9), lambda step: 0.1]
    many = train_many(NETWORK, X, Y, n=3, learning_rate=rates, optimizer=SGD(), epochs=1)
    np.testing.assert_array_equal(many.to_dict()["learning_rate"], [0.5, 0.1, np.nan])


@pytest.mark.parametrize("batch_size", [None, 600])
def test_pickles_hold_no_data(backend, batch_size):
    data = RANDOM.rand(2000, 3)
    options = {"seed": range(3), "epochs": 2, "batch_size": batch_size, "backend": backend}
    many = train_many(NETWORK, data, data[:, :1], **options)
    text = pickle.dumps(many)
    orders = 3 * 2000 * 8 if batch_size or backend == "numpy" else 0
    assert len(text) < orders + 3 * 6000
    for other in (pickle.loads(text), copy.copy(many), copy.deepcopy(many)):
        assert_same_results(other, many)
        assert other.history.loss.tobytes() == many.history.loss.tobytes()


def test_what_is_shown(many, validated):
    assert repr(many) == "<ManyResult: members 5, ended by 5 'epochs'>"
    assert repr(many.history) == "<ManyHistory: members 5, most epochs 7>"
    card = validated._repr_html_()
    extremes = f"{validated.scores.min():.4g} to {validated.scores.max():.4g}"
    for words in ("3-5-1", extremes, "<svg", f"member {validated.best()}, the best"):
        assert words in card
    assert "scores none" in " ".join(re.sub("<[^>]*>", " ", many[2:3]._repr_html_()).split())
    assert "<svg" in many.history._repr_html_()
    assert len(train_many(NETWORK, X, Y, n=500, epochs=300, batch_size=None)._repr_html_()) < 30_000


def test_a_member_without_a_seed_that_diverges_has_the_weights_that_it_drew(monkeypatch):
    """Its bad step is undone, and it keeps the words of the system's that it has drawn its weights
    with."""
    monkeypatch.setattr(generator, "system_words", lambda: np.arange(4, dtype=np.uint32))
    options = {"optimizer": SGD(1e200), "epochs": 3, "batch_size": None}
    many = train_many(NETWORK, 1e3 * X, Y, n=3, **options)
    stop = Stop(on_divergence="stop")
    same_words = np.random.RandomState(np.arange(4))
    alone = train(NETWORK, 1e3 * X, Y, seed=same_words, stop=stop, **options)
    assert many.stop_reason.tolist() == [alone.stop_reason] * 3 == ["diverged"] * 3
    assert_same_params(alone, *many)
