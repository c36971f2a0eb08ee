"""Errors in a notebook: two places of bad input, all frames of a bug and of a callback's error."""

import re

import pytest
from survival import python

SHELL = """
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance(colors="nocolor")
shell.run_cell('''
import numpy as np
from fastnn import *
from fastnn import MLPRegressor, TabularRegressor
from fastnn.training import options as checks

def failing(progress):
    return {}["mine"]

def mistaken(progress):
    return Stop(patience=-1)

def broken(*arguments, **options):
    return {}["a bug"]

X, network = np.ones((9, 2)), Network((2, 3, 1))
options = {"epochs": 1, "backend": "numpy"}
T = np.arange(40.0)[:, None]
''')
shell.run_cell(sys.argv[1])
"""


def shown(cell):
    """The text of a cell's error, as IPython writes it."""
    pytest.importorskip("IPython")
    return "\n".join(python(SHELL, cell))


@pytest.mark.parametrize(
    ("cell", "raises"),
    [
        ("train(network, X, X[:, 0], epochs=-1)", "ValueError: epochs must be at least 0, not -1"),
        ("train(network, X * np.nan, X[:, 0], **options)", "ValueError: X must be finite"),
        ("train(network, X, X[:, 0], lr=1, **options)", "TypeError: train has no argument 'lr'"),
        ("train_many(network, X, X[:, 0], n=-1, epochs=1)", "ValueError: n must be at least"),
        ("Network((2, 3, 1), 'rel')", "ValueError: unknown activation 'rel' (did you mean"),
        (
            "train(network, X, X[:, 0], **options).predict(X[:, :1])",
            "ValueError: X has 1 column, the network has 2 inputs",
        ),
        (
            "TabularRegressor('fast', epochs=1).fit(T, T[:, 0]).predict(X)",
            "ValueError: X has 2 features, but TabularRegressor is expecting 1",
        ),
        ("MLPRegressor(alpha=-1).fit(X, X[:, 0])", "InvalidParameterError: The 'alpha' parameter"),
    ],
)
def test_bad_input_shows_the_callers_line_and_the_one_that_raised(cell, raises):
    """At most one frame more: that of scikit-learn's around `fit`."""
    text = shown(cell)
    assert f"----> 1 {cell}" in text
    assert raises in text
    assert len(re.findall(r"^(?:File|Cell) ", text, re.MULTILINE)) <= 3, text
    assert len(text.splitlines()) <= 30


def test_an_error_in_a_callback_shows_all_frames():
    text = shown("train(network, X, X[:, 0], callbacks=[failing], **options)")
    assert '{}["mine"]' in text
    assert "in train(" in text
    assert "hidden" not in text


def test_bad_input_within_a_callback_shows_the_callback():
    text = shown("train(network, X, X[:, 0], callbacks=[mistaken], **options)")
    assert "return Stop(patience=-1)" in text
    assert "patience must be at least" in text
    assert "in train(" not in text


def test_a_bug_shows_all_frames():
    text = shown("checks.check_params = broken\ntrain(network, X, X[:, 0], params=X, **options)")
    assert "a bug" in text
    assert "in train(" in text
    assert "hidden" not in text
