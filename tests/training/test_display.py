"""Printed objects are short, a result at the end of a notebook's cell is a card, and what is no
curve is not drawn."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from public import OBJECTS, X

import fastnn
from fastnn import History, Network, Stop, get_backend, plotting, train
from fastnn.checking import display
from fastnn.state import Data, Steps, Task


def trained(backend, **options):
    options = {"epochs": 3, "seed": 0, "stop": Stop(validation=0.4), **options}
    return train(Network((2, 3, 1), "tanh"), X, X[:, :1], **options, backend=backend)


PRINTED = [thing for thing in OBJECTS if not isinstance(thing, (Data, Steps, Task, dict))]


@pytest.mark.parametrize("i", range(len(PRINTED)), ids=lambda i: f"{i} {type(PRINTED[i]).__name__}")
def test_a_public_object_is_shown_without_its_arrays(i):
    shown = repr(PRINTED[i])
    assert len(shown) < 500
    assert shown.count("\n") <= 1
    assert not re.search(r"array\(|\[\[| at 0x", shown)


def test_a_result_shows_what_was_trained_and_how_far(backend):
    result = trained(backend)
    losses = result.history.validation_loss
    assert re.fullmatch(
        rf"<TrainingResult: network 2-3-1, epochs 3, loss {result.history.loss[-1]:.4g}, "
        rf"validation {losses[-1]:.4g} \(best {losses.min():.4g} in epoch {losses.argmin() + 1}\), "
        rf"seconds [\d.e-]+, ended by 'epochs', back end {backend}>",
        repr(result),
    )
    assert repr(result.history).removeprefix("<History: ").removesuffix(">") in repr(result)


def test_other_results_show_less(backend):
    """Without epochs or validation data, with NaN, of many layers; the best epoch is one with a
    number."""
    result = trained(backend, epochs=0, stop=None)
    assert re.search(r"epochs 0, seconds", repr(result))
    assert "validation" not in repr(result) + repr(result.history)
    result = trained(backend)
    result.history.validation_loss[:] = [np.nan, 2, 1]
    assert "(best 1 in epoch 3)" in repr(result)
    result.history.validation_loss[:] = np.nan
    assert "validation nan" in repr(result)
    deep = train(Network((2,) * 300), X, X, epochs=0, backend=backend)
    assert "network 2-2-2-2-...-2-2-2-2, " in repr(deep)


def card(thing):
    """The texts of an object's card, which is well-formed, and the points of its curves."""
    root = ElementTree.fromstring(f"<div>{thing._repr_html_()}</div>")
    svg = root.find(".//svg")
    drawn = [] if svg is None else list(svg.iter())
    texts = [element.text for element in root.iter() if element.text and element not in drawn]
    points = [element.get("points").split() for element in drawn if element.get("points")]
    return texts, points


def facts(thing):
    """The title of an object's card, and what it says."""
    (title, *texts), _ = card(thing)
    return title, dict(zip(texts[::2], texts[1::2], strict=True))


def test_a_notebook_shows_a_card_with_the_same_facts(backend):
    result = trained(backend)
    title, shown = facts(result)
    assert title == "TrainingResult"
    expected = {
        "network": "2-3-1",
        "ended by": "'epochs'",
        "loss": f"{result.history.loss[-1]:.4g}",
        "parameters": "13 float64",
    }
    assert expected.items() <= shown.items()
    assert len(shown) < 15


def test_a_network_is_a_card_that_says_what_is_unusual_in_it():
    usual = {
        "layers": "2-3-1",
        "activation": "tanh",
        "output": "identity",
        "loss function": "squared_error",
        "parameters": "13",
    }
    assert facts(Network((2, 3, 1), "tanh")) == ("Network", usual)
    _, shown = facts(Network((2, 3, 4, 1), ("tanh", "relu"), bias="none", bias_init=0.5))
    assert shown["activation"] == "tanh, relu"
    assert shown.keys() - usual.keys() == {"bias", "bias init"}
    assert (shown["bias"], shown["bias init"]) == ("none", "0.5")


RANDOM = 1 + np.random.RandomState(0).rand(100_000)


def curve(losses):
    return History(np.array(losses), np.zeros(0), 1.0)


@pytest.mark.parametrize(
    "losses", [[1.0, 1.0], [-1.0, 5.0], [0.0, 1e-300], [1.0, np.nan, 1e300], RANDOM]
)
def test_odd_losses_lie_within_the_picture_which_is_small(losses):
    assert len(curve(losses)._repr_html_()) < 8000
    _, (points,) = card(curve(losses))
    places = np.array([point.split(",") for point in points], float)
    assert ((places >= 0) & (places <= [display.WIDTH, display.HEIGHT])).all()


def test_a_card_escapes_what_could_be_read_as_html(backend):
    Odd = type("Odd", (type(get_backend(backend)),), {"name": "<b>mine</b>"})
    assert "&lt;b&gt;mine&lt;/b&gt;" in trained(Odd())._repr_html_()


def test_a_stop_rule_shows_what_was_given_and_no_array():
    assert repr(Stop()) == "Stop()"
    assert repr(Stop(validation=0.1, patience=5)) == "Stop(patience=5, validation=0.1)"
    large = np.zeros((1000, 2))
    shown = "Stop(validation=(ndarray of shape (1000, 2), ndarray of shape (1000,)))"
    assert repr(Stop(validation=(large, large[:, 0]))) == shown


DRAW = (plotting.curves_by_label, plotting.loss_curves, plotting.error_curve)


@pytest.mark.parametrize("draw", DRAW)
@pytest.mark.parametrize(
    ("curves", "error", "text"),
    [
        ({}, ValueError, "curves is empty"),
        ([], ValueError, r"curves must be a curve of at least one number.*shape \(0,\)"),
        ({"a": []}, ValueError, r"curves\['a'\] must be a curve"),
        ({"a": [[1.0]]}, ValueError, r"curves\['a'\] must be .* it has the shape \(1, 1\)"),
        (3.0, ValueError, r"curves must be .* it has the shape \(\)"),
        (
            {"a": "losses"},
            TypeError,
            r"curves\['a'\] must be a TrainingResult, a History or numbers, not 'losses'",
        ),
        (fastnn, TypeError, "curves must be a TrainingResult"),
        ([trained("numpy")] * 2, TypeError, r"several have labels, such as \{'a': result_a"),
    ],
)
def test_what_is_no_curve_is_refused(draw, curves, error, text):
    pytest.importorskip("matplotlib")
    with pytest.raises(error, match=text):
        draw(curves)


def test_a_training_without_losses_is_refused(tmp_path):
    pytest.importorskip("matplotlib")
    nothing = trained("numpy", epochs=0)
    words = "no epoch of the training ended"
    with pytest.raises(ValueError, match=rf"curves\['mine'\] has no losses to draw: {words}"):
        plotting.loss_curves({"mine": nothing})
    with pytest.raises(ValueError, match=words):
        nothing.plot()
    trained("numpy").save(tmp_path / "alone.npz", state=False)
    alone = fastnn.load(tmp_path / "alone.npz")
    words = r"holds a network alone, without its history, as save\(path, state=False\)"
    with pytest.raises(ValueError, match=words):
        alone.plot()
