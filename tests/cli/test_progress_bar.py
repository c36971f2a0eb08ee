"""Progress on stderr: a bar at a terminal, a line now and then in a log."""

import io

import pytest
from terminal import uninstall, without_colors

import fastnn

pytest.importorskip("rich")


def test_a_log_is_told_now_and_then_how_far_a_command_is(capsys, monkeypatch):
    """There is no bar where stderr is no terminal."""
    from fastnn.cli import console

    clock = iter([0.0, 2.0, 5.0, 5.0, 6.0, 11.0, 11.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress("begin", 7) as advance:
        for what in ("a", "b", "c", None):
            advance(what)
    assert capsys.readouterr() == ("", "fastnn: b, 2 of 7\nfastnn: begin, 4 of 7\n")


def test_progress_bar_follows_the_training():
    from rich.console import Console

    from fastnn.training.callbacks import ProgressBar

    drawn = io.StringIO()
    with ProgressBar(Console(file=drawn, force_terminal=True, width=120)) as bar:
        result = fastnn.train(fastnn.Network((1, 1)), [[1.0]], [[2.0]], epochs=3, callbacks=[bar], backend="numpy")
    assert result.n_epochs == 3
    last = without_colors(drawn.getvalue())
    assert "epoch 3/3" in last
    assert f"loss {result.history.loss[-1]:.6g}" in last


def test_progress_on_request_draws_on_stderr(capsys):
    fastnn.train(fastnn.Network((1, 1)), [[1.0]], [[2.0]], epochs=3, progress=True, backend="numpy")
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err


def test_missing_rich_is_named_with_its_extra(monkeypatch):
    uninstall(monkeypatch, "rich")
    with pytest.raises(ImportError, match=r"fastnn-numba\[cli\]"):
        fastnn.train(fastnn.Network((1, 1)), [[1.0]], [[2.0]], epochs=1, progress=True, backend="numpy")
