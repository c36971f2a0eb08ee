"""Callbacks each so many epochs, and those that raise an error."""

import math

import numpy as np
import pytest
from bits import bits
from small_training import NETWORK, Recorder

from fastnn import SGD, CsvLogger, DivergenceError, History, Progress, Stop, every, train


def test_every_may_stop(go):
    assert go(epochs=20, callbacks=[every(3, lambda progress: progress.epoch > 4)]).n_epochs == 6
    assert go(epochs=20, callbacks=[every(3, every(2, lambda progress: True))]).n_epochs == 6


def test_chunks_end_only_where_a_callback_is_called(data):
    def chunks(*callbacks, **options):
        recorder = Recorder()
        train(NETWORK, *data, epochs=12, batch_size=None, seed=1, backend=recorder, callbacks=callbacks, **options)
        return recorder.chunks

    assert chunks() == [12]
    assert chunks(every(5, lambda progress: None)) == [5, 5, 2]
    assert chunks(every(5, lambda progress: None), every(3, lambda progress: None)) == [3, 2, 1, 3, 1, 2]
    assert chunks(every(5, lambda progress: None), lambda progress: None) == [1] * 12
    assert chunks(every(5, lambda progress: None), stop=Stop(validation=0.3)) == [1] * 12


def test_progress_has_score_and_rate(go):
    seen = []
    result = go(callbacks=[seen.append], stop=Stop(monitor="r2"))
    assert {type(progress.score) for progress in seen} == {float}
    assert [progress.score for progress in seen] == result.history.score.tolist()
    assert [progress.learning_rate for progress in seen] == result.history.learning_rate.tolist() == [0.01] * 6
    seen.clear()
    go(callbacks=[seen.append], stop=Stop(validation=0.3))
    assert [progress.score for progress in seen] == [progress.validation_loss for progress in seen]

    def early(progress):
        seen.append(progress)

    early.per_chunk = True
    seen.clear()
    plain = go(batch_size=1, callbacks=[early])
    assert seen[-1].score == plain.history.loss[-1]
    assert all(math.isnan(progress.score) == (progress.epoch == 0) for progress in seen)


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
    assert bits(go(epochs=6 - result.n_epochs, resume=result.state).params) == bits(go().params)


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
    assert bits(again.params) == bits(go(optimizer=SGD(0.01), stop=stop).params)


def test_an_error_that_has_a_result_keeps_it(go):
    inner = go(epochs=1)

    def stumble(progress):
        raise DivergenceError("of a training within", inner)

    with pytest.raises(DivergenceError) as error:
        go(callbacks=[stumble])
    assert error.value.result is inner


@pytest.mark.parametrize(
    ("k", "callback", "match"),
    [
        (0, print, "k must be at least 1, not 0"),
        (-1, print, "k must be at least 1"),
        (1.5, print, "k must be an integer"),
        (1, None, "None cannot be called"),
        (1, lambda: None, "functions of one argument, the progress"),
    ],
)
def test_every_refuses(k, callback, match):
    with pytest.raises((TypeError, ValueError), match=match):
        every(k, callback)


def rows_of(path):
    """The rows of a log: whole ones, as numbers; the header is that of the history."""
    header, *rows = path.read_text().split("\n")
    assert rows.pop() == ""
    assert header.split(",") == [*History(*[np.zeros(1)] * 2, 0.0).to_dict()]
    return [[float(value) for value in row.split(",")] for row in rows]


def wanted(*results):
    """The rows of their histories, epochs counted on."""
    tables = [list(map(list, zip(*result.history.to_dict().values(), strict=True))) for result in results]
    rows = [row for table in tables for row in table]
    return [[epoch, *row[1:]] for epoch, row in enumerate(rows, 1)]


def test_a_log_copies_no_parameters(go, tmp_path, monkeypatch):
    """It takes the numbers that it writes; all of them with the loss of all rows as the score, too."""
    monkeypatch.setattr(Progress, "result", lambda self: pytest.fail("a copy of the training"))
    for stop in Stop(), Stop(restore_best=True), Stop(monitor="r2"), Stop(validation=0.3):
        result = go(callbacks=[CsvLogger(tmp_path / "log.csv")], stop=stop)
        assert np.array_equal(rows_of(tmp_path / "log.csv"), wanted(result), equal_nan=True)


def test_a_log_has_the_rows_of_the_history(go, tmp_path):
    """As they come, over all runs; what is begun anew replaces it. What else may be in the file: the fuzzer."""
    path, seen, kept = tmp_path / "log.csv", [], []  # who keeps a Progress keeps its training alive
    log = CsvLogger(path)
    look = [log, lambda progress: seen.append(len(rows_of(path)))]
    first = go(callbacks=look, stop=Stop(monitor="r2", validation=0.3))
    assert seen == [1, 2, 3, 4, 5, 6]
    assert rows_of(path) == wanted(first)
    more = go(epochs=3, resume=first.state, callbacks=[CsvLogger(path)], stop=Stop(monitor="r2", validation=0.3))
    assert rows_of(path) == wanted(first, more)
    go(epochs=4, alpha=0.1, callbacks=[log, kept.append])
    again = go(epochs=9, callbacks=[log])
    assert np.array_equal(rows_of(path), wanted(again), equal_nan=True)  # no validation loss
    assert bits(again.params) == bits(go(epochs=9).params)
    with pytest.raises(OSError, match="nowhere"):
        CsvLogger(tmp_path / "nowhere" / "log.csv")
