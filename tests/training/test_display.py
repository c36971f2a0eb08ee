"""Printed objects are short, and a result at the end of a notebook's cell is a card."""

import html.parser
import re

import numpy as np
import pytest
from public import OBJECTS, X

from fastnn import History, Network, Stop, get_backend, train
from fastnn.checking import display
from fastnn.state import Data, Steps, Task


def trained(backend, **options):
    stop = Stop(validation=0.4)
    return train(
        Network((2, 3, 1), "tanh"), X, X[:, :1], **{"epochs": 3, "seed": 0, "stop": stop, **options}, backend=backend
    )


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


def test_without_epochs_or_validation_data_less_is_shown(backend):
    result = trained(backend, epochs=0, stop=None)
    assert re.search(r"epochs 0, seconds", repr(result))
    assert "validation" not in repr(result) + repr(result.history)


def test_the_best_epoch_is_one_with_a_number(backend):
    result = trained(backend)
    result.history.validation_loss[:] = [np.nan, 2, 1]
    assert "(best 1 in epoch 3)" in repr(result)
    result.history.validation_loss[:] = np.nan
    assert "validation nan" in repr(result)


def test_a_network_of_many_layers_is_cut_short():
    result = train(Network((2,) * 300), X, X, epochs=0, backend="numpy")
    assert "network 2-2-2-2-...-2-2-2-2, " in repr(result)


def test_a_state_shows_where_it_stands(backend):
    assert re.fullmatch(r"<TrainingState: optimizer \w+, parameters 13 float64, steps 3>", repr(trained(backend).state))
    state = trained(backend).state
    state.batch = 2
    assert repr(state).endswith(", of which in a new epoch 2>")


@pytest.mark.nojit
def test_back_ends_are_shown_as_they_are_made():
    assert repr(get_backend("numpy")) == "NumpyBackend()"
    assert repr(get_backend("numba")) == "NumbaBackend()"
    assert repr(get_backend("numba", specialize=True)) == "NumbaBackend(specialize=True)"


class Cells(html.parser.HTMLParser):
    """The texts of a card's table and of its picture, and the tags that are open."""

    def __init__(self):
        super().__init__()
        self.texts, self.open, self.labels, self.points = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.points += [value.split() for name, value in attrs if name == "points"]

    def handle_startendtag(self, tag, attrs):  # else both of the others are called, in turn
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.labels if "svg" in self.open else self.texts).append(data)


def card(thing):
    """The parts of an object's card, which is well-formed."""
    cells = Cells()
    cells.feed(thing._repr_html_())
    assert cells.open == []
    return cells


def test_a_notebook_shows_a_card_with_the_same_facts(backend):
    result = trained(backend)
    cells = card(result)
    assert cells.texts[:3] == ["TrainingResult", "network", "2-3-1"]
    pairs = dict(zip(cells.texts[1::2], cells.texts[2::2], strict=True))
    assert pairs["ended by"] == "'epochs'"
    assert pairs["loss"] == f"{result.history.loss[-1]:.4g}"
    assert pairs["parameters"] == "13 float64"
    assert len(pairs) < 15


def test_a_network_is_a_card_that_says_what_is_unusual_in_it():
    assert card(Network((2, 3, 1), "tanh")).texts == [
        *("Network", "layers", "2-3-1", "activation", "tanh", "output", "identity", "loss function", "squared_error"),
        *("parameters", "13"),
    ]
    unusual = card(Network((2, 3, 4, 1), ("tanh", "relu"), bias="none", bias_init=0.5)).texts
    assert unusual[4] == "tanh, relu"
    assert unusual[-4:] == ["bias", "none", "bias init", "0.5"]


def test_the_card_has_a_picture_of_the_losses(backend):
    """A point for each epoch, from left to right; the greatest loss is the highest point."""
    result = trained(backend, epochs=9, stop=Stop(validation=0.5))
    cells = card(result)
    loss, validation = [np.array([point.split(",") for point in curve], float) for curve in cells.points]
    assert [label.strip() for label in cells.labels if "loss" in label] == ["loss", "validation loss"]
    for points, values in ((loss, result.history.loss), (validation, result.history.validation_loss)):
        assert points.shape == (9, 2)
        assert (np.diff(points[:, 0]) > 0).all()
        assert points[:, 1].argmin() == values.argmax()
    assert f"best, epoch {result.history.best_epoch}" in cells.labels
    assert {"1", "9", "epoch"} <= set(cells.labels)
    assert card(result.history).points == cells.points


def test_a_long_history_has_a_small_card():
    history = History(1 + np.random.RandomState(0).rand(100_000), np.zeros(0), 1.0)
    assert len(history._repr_html_()) < 8000


@pytest.mark.parametrize("losses", [[], [0.5], [np.nan, np.inf]])
def test_there_is_no_picture_of_what_makes_no_curve(losses):
    assert card(History(np.array(losses), np.zeros(0), 1.0)).points == []


@pytest.mark.parametrize("losses", [[1.0, 1.0], [-1.0, 5.0], [0.0, 1e-300], [1.0, np.nan, 1e300]])
def test_odd_losses_lie_within_the_picture(losses):
    ((*points,),) = card(History(np.array(losses), np.zeros(0), 1.0)).points
    places = np.array([point.split(",") for point in points], float)
    assert ((places >= 0) & (places <= [display.WIDTH, display.HEIGHT])).all()


def test_a_card_escapes_what_could_be_read_as_html(backend):
    class Odd(type(get_backend(backend))):
        name = "<b>mine</b>"

    assert "&lt;b&gt;mine&lt;/b&gt;" in trained(Odd())._repr_html_()


def test_a_stop_rule_shows_what_was_given_and_no_array():
    assert repr(Stop()) == "Stop()"
    assert repr(Stop(validation=0.1, patience=5)) == "Stop(patience=5, validation=0.1)"
    large = np.zeros((1000, 2))
    shown = "Stop(validation=(ndarray of shape (1000, 2), ndarray of shape (1000,)))"
    assert repr(Stop(validation=(large, large[:, 0]))) == shown
