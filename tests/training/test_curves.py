"""The curves of a picture: what is none, and what has no losses, is refused in words that say why."""

import numpy as np
import pytest

import fastnn
from fastnn import Network, plotting, train
from fastnn.plotting import curves_by_label

pytest.importorskip("matplotlib")

X = np.linspace(-1, 1, 20).reshape(10, 2)
DRAW = (curves_by_label, plotting.loss_curves, plotting.error_curve)


def trained(epochs=4):
    return train(Network((2, 1)), X, X[:, :1], epochs=epochs, seed=0, backend="numpy")


@pytest.mark.parametrize("draw", DRAW)
@pytest.mark.parametrize(
    ("curves", "error", "text"),
    [
        ({}, ValueError, "curves is empty"),
        ([], ValueError, r"curves must be a curve of at least one number.*shape \(0,\)"),
        ({"a": []}, ValueError, r"curves\['a'\] must be a curve"),
        ({"a": [[1.0]]}, ValueError, r"curves\['a'\] must be .* it has the shape \(1, 1\)"),
        (3.0, ValueError, r"curves must be .* it has the shape \(\)"),
        ({"a": "losses"}, TypeError, r"curves\['a'\] must be a TrainingResult, a History or numbers, not 'losses'"),
        (fastnn, TypeError, "curves must be a TrainingResult"),
    ],
)
def test_what_is_no_curve_is_refused(draw, curves, error, text):
    with pytest.raises(error, match=text):
        draw(curves)


def test_a_training_without_epochs_is_refused():
    with pytest.raises(ValueError, match=r"curves\['mine'\] has no losses to draw: no epoch of the training ended"):
        plotting.loss_curves({"mine": trained(epochs=0)})
    with pytest.raises(ValueError, match="no epoch of the training ended"):
        trained(epochs=0).plot()
    with pytest.raises(ValueError, match=r"curves\['mine'\] must be a curve of at least one number"):
        plotting.loss_curves({"mine": []})


def test_a_result_without_its_history_is_refused(tmp_path):
    trained().save(tmp_path / "alone.npz", state=False)
    with pytest.raises(ValueError, match=r"holds a network alone, without its history, as save\(path, state=False\)"):
        fastnn.load(tmp_path / "alone.npz").plot()


@pytest.mark.parametrize("draw", DRAW)
def test_a_list_of_results_is_told_to_have_labels(draw):
    with pytest.raises(TypeError, match=r"several have labels, such as \{'a': result_a"):
        draw([trained(), trained()])
