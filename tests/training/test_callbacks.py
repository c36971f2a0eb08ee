"""Callbacks, each so many epochs too, logs, trackers, the progress bar: what they see, may do, and
lose."""

import itertools
import math
import re
import sys
import types
from unittest import mock

import numpy as np
import pytest
from bits import ARRAYS, assert_same_params, result_bits, state_bits
from chunks import chunks_of
from pages import blocks
from small_training import NETWORK, Recorder
from terminal import uninstall

from fastnn import SGD, CsvLogger, DivergenceError, Stop, every, train


def test_chunks_end_only_where_a_callback_is_called(data):
    def chunks(*callbacks, **options):
        recorder = Recorder()
        options |= {"epochs": 12, "batch_size": None, "seed": 1, "backend": recorder}
        train(NETWORK, *data, callbacks=callbacks, **options)
        return recorder.chunks

    def look(progress):
        pass

    assert chunks() == [12]
    assert chunks(every(5, look)) == [5, 5, 2]
    assert chunks(every(5, look), every(3, look)) == [3, 2, 1, 3, 1, 2]
    assert chunks(every(5, look), look) == [1] * 12
    assert chunks(every(5, look), stop=Stop(validation=0.3)) == [1] * 12


@pytest.mark.parametrize("per_chunk", [False, True])
def test_a_callback_that_raises_loses_nothing(go, per_chunk):
    def stumble(progress):
        if progress.epoch >= 4:
            raise KeyError("key")

    stumble.per_chunk = per_chunk
    with pytest.raises(KeyError, match="key") as error:
        go(callbacks=[stumble])
    result = error.value.result
    assert "`.result` of this error" in error.value.__notes__[0]
    assert_same_params(go(epochs=6 - result.n_epochs, resume=result.state), go())


@pytest.mark.parametrize("per_chunk", [False, True])
def test_an_error_in_the_epoch_that_a_rule_ends_leaves_the_rules_reason(go, per_chunk):
    def stumble(progress):
        return {}["key"] if progress.epoch == 3 else None

    stumble.per_chunk = per_chunk
    with pytest.raises(KeyError, match="key") as error:
        go(callbacks=[stumble], stop=Stop(patience=2, tol=9.0))
    assert (error.value.result.stop_reason, error.value.result.n_epochs) == ("tolerance", 3)


def test_a_learning_rate_that_raises_loses_nothing(go):
    def rate(step, last=13):
        if step > last:
            raise KeyError("key")
        return 0.01

    stop = Stop(validation=0.2)  # an epoch a call, whose rates are asked for at once
    with pytest.raises(KeyError, match="key") as error:
        go(optimizer=SGD(rate), stop=stop)
    result = error.value.result
    assert (result.n_epochs, result.state.t) == (3, 12)
    again = go(optimizer=SGD(0.01), epochs=3, resume=result.state, stop=stop)
    assert_same_params(again, go(optimizer=SGD(0.01), stop=stop))


def test_an_error_that_has_a_result_keeps_it(go):
    inner = go(epochs=1)

    def stumble(progress):
        raise DivergenceError("of a training within", inner)

    with pytest.raises(DivergenceError) as error:
        go(callbacks=[stumble])
    assert error.value.result is inner


def assert_logged(path, *results):
    """Assert that a log has the rows of these histories, epochs counted on."""
    columns = [result.history.to_dict() for result in results]
    found = np.genfromtxt(path, delimiter=",", names=True)
    assert found.dtype.names == tuple(columns[0])
    for name in found.dtype.names:
        wanted = np.concatenate([column[name] for column in columns])
        np.testing.assert_array_equal(
            found[name], np.arange(1, len(wanted) + 1) if name == "epoch" else wanted, name
        )


def test_a_log_has_the_rows_of_the_history(go, tmp_path):
    """As they come, over all runs; what is begun anew replaces it. What else may be in the file:
    the fuzzer."""
    # who keeps a Progress keeps its training alive
    path = tmp_path / "log.csv"
    seen = []
    kept = []
    log = CsvLogger(path)
    stop = Stop(monitor="r2", validation=0.3)
    first = go(
        callbacks=[log, lambda progress: seen.append(path.read_text().count("\n"))], stop=stop
    )
    assert seen == [2, 3, 4, 5, 6, 7]
    more = go(epochs=3, resume=first.state, callbacks=[CsvLogger(path)], stop=stop)
    assert_logged(path, first, more)
    go(epochs=4, alpha=0.1, callbacks=[log, kept.append])
    again = go(epochs=9, callbacks=[log])
    assert_logged(path, again)
    assert_same_params(again, go(epochs=9))
    with pytest.raises(OSError, match="nowhere"):
        CsvLogger(tmp_path / "nowhere" / "log.csv")


def test_callbacks_see_every_epoch(go):
    seen = []
    result = go(callbacks=[seen.append, lambda p: None], stop=Stop(validation=0.3))
    assert [(p.epoch, p.step) for p in seen] == [(e, 4 * e) for e in range(1, 7)]
    assert {(p.n_epochs, p.part) for p in seen} == {(6, 0.0)}
    for name in ("loss", "score", "validation_loss", "learning_rate"):
        assert [getattr(p, name) for p in seen] == getattr(result.history, name).tolist()
    assert result.history.learning_rate.tolist() == [0.01] * 6
    assert all(
        a.seconds <= b.seconds <= result.history.seconds for a, b in itertools.pairwise(seen)
    )
    assert_same_params(result, go(stop=Stop(validation=0.3)))  # they change nothing
    seen.clear()
    result = go(callbacks=[seen.append], stop=Stop(monitor="r2"))
    assert [(type(p.score), p.score) for p in seen] == [
        (float, score) for score in result.history.score
    ]
    seen.clear()
    assert go(callbacks=[seen.append]).history.loss.tolist() == [p.score for p in seen]


@pytest.mark.parametrize("true", [True, np.True_])
def test_a_callback_may_stop(go, true):
    calls = []
    result = go(callbacks=[lambda p: true if p.epoch == 2 else "no", calls.append])
    assert (result.stop_reason, result.n_epochs, len(calls)) == ("callback", 2, 2)
    assert_same_params(result, go(epochs=2))
    for each in (
        every(3, lambda progress: true if progress.epoch > 4 else 1),
        every(3, every(2, lambda progress: true)),
    ):
        assert go(epochs=20, callbacks=[each]).n_epochs == 6


def test_per_chunk_callbacks_only_observe(go, monkeypatch):
    seen = []

    def observe(progress):
        seen.append((progress.epoch, progress.part))
        assert math.isnan(progress.loss) == math.isnan(progress.score) == (progress.epoch == 0)
        return True

    observe.per_chunk = True
    chunks_of(monkeypatch, 3)
    result = go(epochs=2, callbacks=[observe])
    assert seen == [(0, 0.6), (1, 0.2), (1, 0.8), (2, 0.0)]
    assert result.stop_reason == "epochs"


def test_snapshots_can_be_resumed_and_are_made_at_their_time(go):
    """What is in them: tests/training/test_training.py."""
    snapshots = []
    late = []
    whole = go(callbacks=[lambda p: snapshots.append(p.result()), late.append])
    assert state_bits(go(epochs=2, resume=snapshots[3].state).state) == state_bits(whole.state)
    for progress in (late[2], late[-1]):
        with pytest.raises(RuntimeError, match="has gone on"):
            progress.result()


def test_what_is_written_into_a_snapshot_changes_nothing(go):
    stop = Stop(restore_best=True, validation=0.2, monitor=lambda targets, outputs: 1.0)

    def write(progress):
        result = progress.result()
        of_state = [getattr(result.state, name) for name in ARRAYS]
        for array in (result.params, result.history.score, *of_state):
            if array.flags.writeable:
                array[...] = 1

    result = go(stop=stop)
    before = result_bits(result)
    assert result_bits(go(stop=stop, callbacks=[write])) == before
    go(stop=stop, callbacks=[write], resume=result.state)
    assert result_bits(result) == before


def test_progress_bar(go, capsys):
    pytest.importorskip("rich")
    assert_same_params(go(progress=True), go())
    printed = capsys.readouterr()
    assert "6/6" in printed.err
    assert "score" not in printed.err
    assert printed.out == ""
    result = go(progress=True, stop=Stop(monitor="r2"))
    printed = capsys.readouterr().err
    assert "epoch 6/6" in printed
    for name in ("loss", "score"):
        assert f"{name} {getattr(result.history, name)[-1]:.6g}" in printed


def test_lines(go, capsys):
    first = go(epochs=3, stop=Stop(validation=0.3))
    printed = {}
    whole = go(epochs=7, stop=Stop(validation=0.3))
    for verbose in (2, True, False, 0):
        result = go(epochs=4, resume=first.state, stop=Stop(validation=0.3), verbose=verbose)
        printed[repr(verbose)] = capsys.readouterr().out.splitlines()
        assert_same_params(result, whole)
    assert printed["False"] == printed["0"] == []
    for epoch, line in enumerate(printed["True"][:4], 1):
        assert line.startswith(f"epoch {epoch}/4")
    one, two, end = printed["2"]
    history = result.history
    for line, epoch in (one, 1), (two, 3):
        losses = (
            f"loss {history.loss[epoch - 1]:.6g}  validation "
            f"{history.validation_loss[epoch - 1]:.6g}"
        )
        assert re.fullmatch(rf"epoch {epoch}/4  {losses}  rate 0.01  [\d.e-]+ s", line)
    assert end.startswith("<TrainingResult: network")


@pytest.mark.parametrize(
    ("n", "first", "k"), [(6, [1, 2], 1), (45, [1, 2, 5], 5), (205, [1, 2, 5, 10, 20], 20)]
)
def test_about_twenty_lines_the_first_of_them_soon(go, capsys, n, first, k):
    """An early stop is not a surprise; resumed, the lines go on."""
    result = go(epochs=n, verbose=True)
    printed = [
        int(line.split("/")[0].removeprefix("epoch "))
        for line in capsys.readouterr().out.splitlines()[:-1]
    ]
    assert printed == sorted({*first, *range(k, n + 1, k)})
    assert_same_params(result, go(epochs=n))


def test_missing_rich_is_named_with_its_extra(monkeypatch):
    uninstall(monkeypatch, "rich")
    with pytest.raises(ImportError, match=r"fastnn-numba\[cli\]"):
        train(NETWORK, np.ones((1, 3)), np.ones((1, 2)), epochs=1, progress=True, backend="numpy")


# -- the recipes for TensorBoard and MLflow: what they call of the libraries

NAMES = ["loss", "validation_loss", "learning_rate"]


def test_the_page_on_trackers(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    writer = mock.Mock()
    mlflow = mock.MagicMock()
    namespace = {}
    modules = {
        "tensorboard": types.ModuleType("tensorboard"),
        "tensorboard.summary": mock.Mock(Writer=writer),
    }
    for name, module in (modules | {"mlflow": mlflow}).items():
        monkeypatch.setitem(sys.modules, name, module)
    for code, _ in blocks("docs/howto/trackers.md"):
        exec(code, namespace)
    columns = namespace["result"].history.to_dict()
    rows = {epoch: {name: columns[name][epoch - 1] for name in NAMES} for epoch in range(5, 61, 5)}
    scalars = [
        mock.call().add_scalar(name, row[name], epoch)
        for epoch, row in rows.items()
        for name in NAMES
    ]
    assert writer.mock_calls == [mock.call("runs/first"), *scalars, mock.call().close()]
    begin, enter, params, *metrics, artifact, end = mlflow.mock_calls
    assert [begin, enter] == [mock.call.start_run(), mock.call.start_run().__enter__()]
    assert metrics == [mock.call.log_metrics(row, step=epoch) for epoch, row in rows.items()]
    assert (params[1][0]["seed"], end) == (0, mock.call.start_run().__exit__(None, None, None))
    assert (tmp_path / artifact[1][0]).exists()
