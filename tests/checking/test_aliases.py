"""Other libraries' names get the name here in the error."""

import pytest
from good_input import refusal

from fastnn import Network
from fastnn.checking.hints import ALIASES
from fastnn.losses import ACTIVATIONS, LOSSES
from fastnn.network import INITS, REDUCTIONS

HINTS = {
    "mse": "squared_error",
    "MSELoss": "squared_error",
    "mean_squared_error": "squared_error",
    "MAE": "absolute_error",
    "L1Loss": "absolute_error",
    "SmoothL1Loss": "huber",
    "huber_loss": "huber",
    "binary_crossentropy": "log_loss",
    "BCELoss": "log_loss",
    "BCEWithLogitsLoss": "log_loss",
    "logloss": "log_loss",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "CrossEntropyLoss": "cross_entropy",
    "nll_loss": "cross_entropy",
    "PoissonNLLLoss": "poisson",
}


@pytest.mark.parametrize("name", HINTS)
def test_another_librarys_loss_gets_the_name_here(name):
    assert f"unknown loss {name!r} (did you mean {HINTS[name]!r}?)" in refusal(lambda: Network((3, 2), loss=name))[1]


def test_aliases_are_of_names_that_there_are():
    known = {*ACTIVATIONS, *LOSSES, *INITS, *REDUCTIONS, "logistic", "quantile"}
    assert set(ALIASES.values()) <= known
    assert set(ALIASES) & known == {
        "sigmoid",
        "logistic",
        "pinball",
        "quantile",
    }  # the core has one, the estimators the other
