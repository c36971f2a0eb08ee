"""Printed objects are short, and a result at the end of a notebook's cell is a card."""

import html.parser
import re

import numpy as np
import pytest
from public import OBJECTS, X

from fastnn import Network, Stop, get_backend, train
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


def test_back_ends_are_shown_as_they_are_made():
    assert repr(get_backend("numpy")) == "NumpyBackend()"
    assert repr(get_backend("numba")) == "NumbaBackend()"
    assert repr(get_backend("numba", specialize=True)) == "NumbaBackend(specialize=True)"


class Cells(html.parser.HTMLParser):
    """The texts of a table, and the tags that are open."""

    def __init__(self):
        super().__init__()
        self.texts, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_a_notebook_shows_a_card_with_the_same_facts(backend):
    result, cells = trained(backend), Cells()
    cells.feed(result._repr_html_())
    assert cells.open == []
    assert cells.texts[:3] == ["TrainingResult", "network", "2-3-1"]
    pairs = dict(zip(cells.texts[1::2], cells.texts[2::2], strict=True))
    assert pairs["ended by"] == "'epochs'"
    assert pairs["loss"] == f"{result.history.loss[-1]:.4g}"
    assert pairs["parameters"] == "13 float64"
    assert len(pairs) < 15


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
