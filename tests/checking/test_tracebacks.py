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
for cell in sys.argv[1:]:
    print("CELL", cell)
    shell.run_cell(cell)
"""

BAD_INPUT = [  # a cell, and the error that it raises
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
]
IN_A_CALLBACK = "train(network, X, X[:, 0], callbacks=[{}], **options)"
A_BUG = "checks.check_params = broken; train(network, X, X[:, 0], params=X, **options)"


@pytest.fixture(scope="module")
def shown():
    """{a cell: the text of its error, as IPython writes it}; the last cell leaves a bug behind."""
    pytest.importorskip("IPython")
    callbacks = [IN_A_CALLBACK.format(name) for name in ("failing", "mistaken")]
    printed = "\n".join(python(SHELL, *(cell for cell, _ in BAD_INPUT), *callbacks, A_BUG))
    texts = printed.split("CELL ")[1:]
    return dict(text.split("\n", 1) for text in texts)


@pytest.mark.parametrize(("cell", "raises"), BAD_INPUT)
def test_bad_input_shows_the_callers_line_and_the_one_that_raised(shown, cell, raises):
    """At most one frame more: that of scikit-learn's around `fit`."""
    text = shown[cell]
    assert f"----> 1 {cell}" in text
    assert raises in text
    assert len(re.findall(r"^(?:File|Cell) ", text, re.MULTILINE)) <= 3, text
    assert len(text.splitlines()) <= 30


@pytest.mark.parametrize(
    ("cell", "words"), [(IN_A_CALLBACK.format("failing"), '{}["mine"]'), (A_BUG, "a bug")]
)
def test_another_error_shows_all_frames(shown, cell, words):
    assert words in shown[cell]
    assert "in train(" in shown[cell]
    assert "hidden" not in shown[cell]


def test_bad_input_within_a_callback_shows_the_callback(shown):
    text = shown[IN_A_CALLBACK.format("mistaken")]
    assert "return Stop(patience=-1)" in text
    assert "patience must be at least" in text
    assert "in train(" not in text
