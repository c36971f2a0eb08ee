"""Callbacks and the progress bar: what they see, and what they may do."""

import io
import itertools
import math
import re

import numpy as np
import pytest
from bits import bits, state_bits
from chunks import chunks_of
from terminal import uninstall, without_colors

import fastnn
from fastnn import Stop


def test_callbacks_see_every_epoch(go):
    seen = []
    result = go(callbacks=[seen.append, lambda p: None], stop=Stop(validation=0.3))
    assert [p.epoch for p in seen] == [1, 2, 3, 4, 5, 6]
    assert [p.n_epochs for p in seen] == [6] * 6
    assert [p.step for p in seen] == [4 * e for e in range(1, 7)]
    assert [p.loss for p in seen] == result.history.loss.tolist()
    assert [p.validation_loss for p in seen] == result.history.validation_loss.tolist()
    assert all(a.seconds <= b.seconds <= result.history.seconds for a, b in itertools.pairwise(seen))
    assert {p.part for p in seen} == {0.0}
    assert bits(result.params) == bits(go(stop=Stop(validation=0.3)).params)  # they change nothing


@pytest.mark.parametrize("true", [True, np.True_])
def test_a_callback_may_stop(go, true):
    calls = []
    result = go(callbacks=[lambda p: true if p.epoch == 2 else "no", calls.append])
    assert (result.stop_reason, result.n_epochs, len(calls)) == ("callback", 2, 2)
    assert bits(result.params) == bits(go(epochs=2).params)


def test_per_chunk_callbacks_only_observe(go, monkeypatch):
    class Observer:
        per_chunk = True

        def __init__(self):
            self.seen = []

        def __call__(self, progress):
            self.seen.append((progress.epoch, progress.part, math.isnan(progress.loss)))
            return True

    chunks_of(monkeypatch, 3)
    observer = Observer()
    result = go(epochs=2, callbacks=[observer])
    assert observer.seen == [(0, 0.6, True), (1, 0.2, False), (1, 0.8, False), (2, 0.0, False)]
    assert result.stop_reason == "epochs"


def test_training_within_a_callback(go):
    inner = []
    outer = go(callbacks=[lambda p: inner.append(go(seed=p.epoch).params)])
    assert bits(outer.params) == bits(go().params) == bits(inner[2])


def test_snapshots(go):
    snapshots, late = [], []
    whole = go(callbacks=[lambda p: snapshots.append(p.result()), late.append])
    assert [s.n_epochs for s in snapshots] == [1, 2, 3, 4, 5, 6]
    assert {s.stop_reason for s in snapshots} == {"running"}
    assert bits(snapshots[3].params) == bits(go(epochs=4).params)
    assert state_bits(go(epochs=2, resume=snapshots[3].state).state) == state_bits(whole.state)
    for progress in (late[2], late[-1]):
        with pytest.raises(RuntimeError, match="has gone on"):
            progress.result()


def test_progress_bar(go, capsys):
    pytest.importorskip("rich")
    assert bits(go(progress=True).params) == bits(go().params)
    printed = capsys.readouterr()
    assert "6/6" in printed.err
    assert "score" not in printed.err
    assert not printed.out
    result = go(progress=True, stop=Stop(monitor="r2"))
    assert f"score {result.history.score[-1]:.6g}" in capsys.readouterr().err


def test_lines(go, capsys):
    """Each second epoch of all, with the numbers of the history; then the result. The bits stay."""
    first = go(epochs=3, stop=Stop(validation=0.3))
    printed = {}
    for verbose in (2, True, False, 0):
        result = go(epochs=4, resume=first.state, stop=Stop(validation=0.3), verbose=verbose)
        printed[repr(verbose)] = capsys.readouterr().out.splitlines()
        assert bits(result.params) == bits(go(epochs=7, stop=Stop(validation=0.3)).params)
    assert not printed["False"]
    assert not printed["0"]
    assert [line.partition("/")[0] for line in printed["True"][:4]] == [f"epoch {i}" for i in range(1, 5)]
    (one, two, end), history = printed["2"], result.history
    for line, epoch in (one, 1), (two, 3):
        losses = f"loss {history.loss[epoch - 1]:.6g}  validation {history.validation_loss[epoch - 1]:.6g}"
        assert re.fullmatch(rf"epoch {epoch}/4  {losses}  rate 0.01  [\d.e-]+ s", line)
    assert end.startswith("<TrainingResult: network")


@pytest.mark.parametrize(("n", "first", "k"), [(6, [1, 2], 1), (45, [1, 2, 5], 5), (205, [1, 2, 5, 10, 20], 20)])
def test_about_twenty_lines_the_first_of_them_soon(go, capsys, n, first, k):
    """An early stop is not a surprise; resumed, the lines go on."""
    result = go(epochs=n, verbose=True)
    printed = [int(line.split("/")[0].removeprefix("epoch ")) for line in capsys.readouterr().out.splitlines()[:-1]]
    assert printed == sorted({*first, *range(k, n + 1, k)})
    assert bits(result.params) == bits(go(epochs=n).params)


def test_what_is_no_number_of_lines(go):
    with pytest.raises(TypeError, match="verbose must be an integer, not 'yes'"):
        go(verbose="yes")


def test_progress_bar_follows_the_training():
    Console = pytest.importorskip("rich.console").Console
    from fastnn.training.callbacks import ProgressBar

    drawn = io.StringIO()
    with ProgressBar(Console(file=drawn, force_terminal=True, width=120)) as bar:
        result = fastnn.train(fastnn.Network((1, 1)), [[1.0]], [[2.0]], epochs=3, callbacks=[bar], backend="numpy")
    assert result.n_epochs == 3
    last = without_colors(drawn.getvalue())
    assert "epoch 3/3" in last
    assert f"loss {result.history.loss[-1]:.6g}" in last


def test_progress_on_request_draws_on_stderr(capsys):
    pytest.importorskip("rich")
    fastnn.train(fastnn.Network((1, 1)), [[1.0]], [[2.0]], epochs=3, progress=True, backend="numpy")
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err


def test_missing_rich_is_named_with_its_extra(monkeypatch):
    uninstall(monkeypatch, "rich")
    with pytest.raises(ImportError, match=r"fastnn-numba\[cli\]"):
        fastnn.train(fastnn.Network((1, 1)), [[1.0]], [[2.0]], epochs=1, progress=True, backend="numpy")
