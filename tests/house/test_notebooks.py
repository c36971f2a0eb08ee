"""What a notebook shows: progress bars without widgets, cards, pictures; in a real kernel, where
there is one."""

import os
import pathlib
import sys
from unittest import mock

import pytest
from survival import environment

import fastnn
from fastnn.training import callbacks as progress

CELLS = (
    (
        "import numpy as np, fastnn\nX = np.linspace(-1, 1, 60)[:, None]\nnetwork = "
        "fastnn.Network((1, 8, 1), 'tanh')"
    ),
    (
        "result = fastnn.train(network, X, X**2, epochs=50, seed=0, progress=True, "
        "backend='numpy')\nresult"
    ),
    "result.plot()",
    "fastnn.train_many(network, X, X**2, seed=range(9), epochs=50, progress=True, backend='numpy')",
)


def test_a_bar_is_updated_in_its_place_and_members_are_counted(monkeypatch):
    """By IPython's `display`, in a notebook without a kernel."""
    display = mock.Mock()
    monkeypatch.setattr(progress, "notebook_display", lambda: display)
    monkeypatch.setattr(progress.InNotebook, "PAUSE", 0.0)
    given = (fastnn.Network((1, 1)), [[1.0]], [[2.0]])
    options = {"backend": "numpy", "progress": True}
    result = fastnn.train(*given, epochs=3, **options)
    (begun,), updates = display.call_args_list, display.return_value.update.call_args_list
    assert begun.kwargs["display_id"]
    assert all(call.kwargs["raw"] for call in (begun, *updates))
    assert len(updates) > 1
    first = begun.args[0]
    last = updates[-1].args[0]
    assert '<progress value="0"' in first["text/html"]
    assert '<progress value="3" max="3"' in last["text/html"]
    assert f"epoch 3/3  loss {result.history.loss[-1]:.6g}" in last["text/plain"]
    fastnn.train_many(*given, seed=range(3), epochs=2, **options)
    assert "member 3/3" in display.return_value.update.call_args.args[0]["text/plain"]


@pytest.mark.slow
def test_a_real_kernel_shows_bars_cards_and_pictures(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    root = str(pathlib.Path(fastnn.__file__).parents[1])
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *sys.path[1:]]))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    _, training, picture, many = (
        [output["data"] for output in cell.outputs] for cell in notebook.cells
    )
    bar, card = training
    assert '<progress value="50" max="50"' in bar["text/html"]
    assert "epoch 50/50" in bar["text/plain"]
    assert "<svg" in card["text/html"]
    assert card["text/plain"].startswith("<TrainingResult: ")
    assert "image/png" in picture[0]
    assert "member 9/9" in many[0]["text/plain"]
    assert "<svg" in many[1]["text/html"]
