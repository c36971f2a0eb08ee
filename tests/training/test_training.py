"""`train` itself: its defaults, the options that it refuses, and the result, which is the caller's
own."""

import gc
import pickle
import weakref

import numpy as np
import pytest
from bits import assert_same_result, result_bits, state_bits
from small_training import NETWORK, N, Recorder

from fastnn import (
    SGD,
    Adam,
    History,
    Network,
    ScaleWarning,
    Stop,
    backends,
    get_backend,
    register_backend,
    train,
)
from fastnn.optimizers import RPROP


def test_defaults(backend):
    """Adam, in batches of 200 rows or in full ones for who takes no others; epochs are the caller's
    to say."""
    X = np.random.RandomState(0).randn(450, 3)

    def go(**options):
        return train(NETWORK, X, np.sin(X[:, :2]), epochs=2, seed=1, backend=backend, **options)

    assert_same_result(go(), go(optimizer=Adam(), batch_size=200, shuffle=True, alpha=0.0))
    assert go().state.t == go(optimizer=SGD(sequential=True)).state.t == 2 * 3
    assert go(batch_size=None).state.t == go(optimizer=RPROP()).state.t == 2
    with pytest.raises(TypeError, match="epochs"):
        train(NETWORK, X, X[:, :2])


def test_result_belongs_to_nobody_else(go):
    result = go()
    with pytest.raises(ValueError, match="read-only"):
        result.params[0] = 1
    result.state.vectors[...] = result.state.index[...] = 0
    assert result.params.any()
    full = go(batch_size=None)
    full.state.index[...] = 0
    assert sorted(go(batch_size=None).state.index) == list(range(N))
    twin = pickle.loads(pickle.dumps(go()))
    assert state_bits(go(resume=twin.state).state) == state_bits(go(epochs=12).state)


def test_settings_that_were_checked_are_known_again_and_no_others(data, monkeypatch):
    for name in ("_factories", "_made"):
        monkeypatch.setattr(backends, name, dict(getattr(backends, name)))

    def go(optimizer=SGD(0.1), **others):  # noqa: B008 - it is a value
        options = {"epochs": 2, "batch_size": 1, "shuffle": True, "seed": 0, "backend": "mine"}
        return train(NETWORK, *data, optimizer=optimizer, **options | others)

    register_backend("mine", Recorder)
    first = go()
    for name, equal, kind in (
        ("epochs", 2.0, "an int"),
        ("batch_size", True, "an int"),
        ("shuffle", 1, "True or"),
    ):
        with pytest.raises(TypeError, match=f"{name} must be {kind}"):
            go(**{name: equal})
    assert result_bits(go(optimizer=SGD(0.2))) != result_bits(first)
    assert result_bits(go()) == result_bits(go()) == result_bits(first)
    register_backend("mine", lambda: get_backend("numpy"))
    assert go().backend.name == "numpy"


def test_settings_that_are_kept_hold_no_functions_and_no_data(data):
    def rate(step):
        return 0.1

    X = np.zeros((1, 3))
    kept = [weakref.ref(rate), weakref.ref(X)]
    stop = Stop(validation=(X, np.zeros((1, 2))))
    train(NETWORK, *data, optimizer=SGD(rate), epochs=1, seed=0, backend="numpy")
    train(NETWORK, *data, epochs=1, seed=0, stop=stop, backend="numpy")
    del rate, X, stop
    gc.collect()
    assert [there() for there in kept] == [None, None]


def test_a_result_makes_state_and_history_once_and_keeps_no_data_for_them():
    X = np.random.RandomState(0).rand(9, 2)
    data = weakref.ref(X)
    result = train(Network((2, 3, 1)), X, X[:, :1].copy(), epochs=2, seed=0, backend="numpy")
    del X
    assert data() is None
    assert result.state is result.state
    assert result.history is result.history
    assert result.state.counters["epoch"] == len(result.history.loss) == 2
    with pytest.raises(AttributeError, match="'TrainingResult' object has no attribute 'paramet"):
        _ = result.parameters


def test_a_result_that_nobody_has_looked_at_is_that_of_its_moment():
    generator = np.random.RandomState(3)
    seen = []
    X = np.random.RandomState(0).rand(9, 2)

    def go(seed=3, epochs=3, **options):
        options |= {"seed": seed, "epochs": epochs, "batch_size": 2, "backend": "numpy"}
        return train(Network((2, 3, 1)), X, X[:, :1], **options)

    result = go(generator, callbacks=[lambda p: seen.append(p.result())])
    generator.rand(1000)
    assert_same_result(result, go())
    for epochs, snapshot in enumerate(seen, 1):
        assert result_bits(snapshot) == result_bits(go(epochs=epochs)) | {"stop_reason": "running"}


@pytest.mark.parametrize("validation", [None, 0.3])
def test_a_history_as_columns_of_one_length(go, validation):
    pandas = pytest.importorskip("pandas")
    history = go(epochs=3, stop=Stop(validation=validation)).history
    columns = {"epoch": [1, 2, 3], "loss": history.loss, "validation_loss": np.full(3, np.nan)}
    columns |= {"learning_rate": [0.01] * 3, "score": history.loss}
    if validation:
        columns["validation_loss"] = columns["score"] = history.validation_loss
    frame = pandas.DataFrame(history.to_dict())
    pandas.testing.assert_frame_equal(frame, pandas.DataFrame(columns), check_exact=True)


def test_the_best_epoch_is_that_of_the_validation_data_where_there_are_some():
    losses = np.array([3.0, 1.0, 2.0])
    none = np.zeros(0)
    assert (History(losses, none, 0.1).best_epoch, History(none, none, 0.1).best_epoch) == (2, 0)
    assert History(losses, np.array([np.nan, 5.0, 4.0]), 0.1).best_epoch == 3
    nothing = History(losses, none, 0.1, measured=np.full(3, np.nan), monitor="mine")
    assert (nothing.best_epoch, "mine nan," in repr(nothing)) == (0, True)
    assert (
        History(losses, losses, 0.1, measured=np.array([0.5, np.nan, 0.5]), monitor="r2").best_epoch
        == 1
    )


def homes():
    """Inputs of the size of 1, and targets of a mean of 500 and a deviation of 100."""
    X = np.random.RandomState(0).randn(300, 3)
    return X, 500 + 100 * X[:, :1]


def test_targets_that_are_not_scaled_and_were_not_learned_are_warned_of(backend):
    X, Y = homes()
    rows = np.arange(0, 300, 2)
    debts = r"is no better than .* whose numbers reach 7\d\d:"
    with pytest.warns(ScaleWarning, match=debts):
        train(Network((3, 16, 1)), X, -Y, epochs=50, seed=0, backend=backend)
    fault = r"the loss, 1\.\d+e\+05, is no better than .*e\+03, that of always predicting the mean "
    fault += r"of Y, whose numbers reach 7\d\d: scale Y to about -1 to 1, such as by sklearn"
    for options in ({}, {"rows": rows}, {"sample_weight": np.arange(300.0)}):
        with pytest.warns(ScaleWarning, match=fault) as caught:
            train(Network((3, 16, 1)), X, Y, epochs=50, seed=0, backend=backend, **options)
        assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("shift", [0, 50])
def test_the_mean_of_y_is_that_of_all_kinds_of_rows(shift, backend):
    """Also where every second row is alike."""
    kind = np.arange(20_000) % 2
    X = np.column_stack([2.0 * kind - 1, np.ones(20_000)])
    options = {"epochs": 10, "seed": 0, "backend": backend, "optimizer": Adam(0.0)}
    Y = 1000.0 * kind + shift
    fault = r"is no better than 1\.2\de\+05, .* reach (1e\+03|1\.05e\+03):"
    with pytest.warns(ScaleWarning, match=fault):
        train(Network((2, 1)), X, Y, **options)
    options["optimizer"] = Adam(10.0)
    assert train(Network((2, 1)), X, Y, **options).history.loss[-1] < 1e5  # without a warning


SILENT = {
    "they were learned": {"optimizer": Adam(1.0), "epochs": 200},
    "few epochs": {"epochs": 9},
    "a callback ended it": {"epochs": 50, "callbacks": [lambda progress: progress.epoch == 20]},
    "it goes on": {"epochs": 50, "resume": True},
    "another loss": {"epochs": 50, "network": Network((3, 16, 1), loss="huber")},
    "no mean": {"epochs": 50, "network": Network((3, 16, 1), reduction="sum")},
    "they are scaled": {"epochs": 50, "Y": homes()[1] / 500, "optimizer": Adam(0.0)},
}


@pytest.mark.parametrize("why", SILENT)
def test_nothing_is_warned_of_where(why, backend):
    X, Y = homes()
    options = {"network": Network((3, 16, 1)), "X": X, "Y": Y, "backend": backend} | SILENT[why]
    if options.pop("resume", False):
        options["resume"] = train(**options | {"epochs": 5, "seed": 0}).state
    else:
        options["seed"] = 0
    result = train(**options)
    assert np.isfinite(result.history.loss).all()
