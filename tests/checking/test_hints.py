"""Arguments: hints for another library's keyword or name, what stands in errors, numbers and
learning rates as text."""

import functools
import inspect
import re
import typing
from dataclasses import dataclass

import numpy as np
import pytest
from fuzz_values import LONG_NAME, nested
from good_input import refusal
from numpy.random import RandomState

import fastnn
from fastnn import (
    MLPClassifier,
    MLPRegressor,
    Network,
    Stop,
    TabularClassifier,
    TabularRegressor,
    train,
)
from fastnn.checking.arguments import amount, cut, decimal, describe, described, listed, shown
from fastnn.checking.hints import _NO_DROPOUT, ALIASES, REMEDIES
from fastnn.losses import ACTIVATIONS, LOSSES
from fastnn.network import INITS, REDUCTIONS
from fastnn.optimizers import SGD, Adam, AdamW, BayesianRegularization
from fastnn.schedules import SCHEDULES, cosine

X = np.linspace(-1, 1, 12).reshape(6, 2)
NETWORK = Network((2, 3, 1))
fit = functools.partial(train, NETWORK, X, X[:, 0])
fit_many, population = (
    functools.partial(call, NETWORK, X, X[:, 0], seed=range(2))
    for call in (fastnn.train_many, fastnn.Population)
)
resume = functools.partial(fit(epochs=0, seed=0, backend="numpy").resume, X, X[:, 0], epochs=1)
FITS = MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor


def fit_of(kind):
    return functools.partial(kind().fit, X, [0, 1] * 3)


CASES = [
    (fit, {"epoch": 3}, "train has no argument 'epoch': say epochs=..."),
    (
        fit,
        {"epochs": 1, "lr": 0.1},
        "train has no argument 'lr': say optimizer=Adam(learning_rate=...)",
    ),
    (fit, {"epochs": 1, "validation_split": 0.1}, "say stop=Stop(validation=0.1)"),
    (fit, {"epochs": 1, "validation_data": (X, X)}, "say stop=Stop(validation=(X, Y))"),
    (fit_many, {"epochs": 1, "verbose": 1}, "say progress=True"),
    (fit, {"epochs": 1, "loss": "huber"}, "say Network(..., loss=...)"),
    (
        fit,
        {"epochs": 1, "device": "cuda"},
        "train has no argument 'device': fastnn computes on the CPU only",
    ),
    (
        fit,
        {"epochs": 1, "qqq": 3},
        "train has no argument 'qqq'; it has network, X, Y, sample_weight",
    ),
    (resume, {"random_state": 0}, "train has no argument 'random_state': say seed=..."),
    (
        fit,
        {"epochs": 1, "n_jobs": 2},
        "train has no argument 'n_jobs': say threads=..., which share each step",
    ),
    (
        fit_many,
        {"epochs": 1, "threads": 2},
        "train_many has no argument 'threads': say n_jobs=..., the members that",
    ),
    (Stop, {"scheduler": 0.1}, "Stop has no argument 'scheduler': say reduce=ReduceRate()"),
    (fastnn.ReduceRate, {"min_lr": 0.1}, "ReduceRate has no argument 'min_lr': say least=..."),
    (Adam, {"lr": 0.1}, "Adam has no argument 'lr': say learning_rate=..."),
    (AdamW, {"betas": (0.9, 0.99)}, "AdamW has no argument 'betas': say beta_1=..., beta_2=..."),
    (
        Network,
        {"sizes": (2, 1), "use_bias": False},
        "Network has no argument 'use_bias': say bias=...",
    ),
    (
        Network,
        {"sizes": (2, 1), "dropout": 0.5},
        f"Network has no argument 'dropout': {_NO_DROPOUT}",
    ),
    *(
        (
            fit_of(e),
            {"eval_set": X},
            f"{e.__name__}.fit has no argument 'eval_set': say X_val=..., y_val",
        )
        for e in FITS
    ),
    (
        TabularClassifier,
        {"loss": "focal"},
        "has no argument 'loss': TabularClassifier has the log loss",
    ),
    (
        fit_many,
        {"epochs": 1, "validation": 0.1},
        "no argument 'validation': say validation_rows=..., the same rows for all networks",
    ),
    (population, {"validation_split": 0.1}, "say validation_rows=..., the same rows for all"),
    (population, {"dropout": 0.5}, f"Population has no argument 'dropout': {_NO_DROPOUT}"),
]


@pytest.mark.parametrize(("function", "options", "text"), CASES, ids=[case[2] for case in CASES])
def test_another_librarys_keyword_says_what_to_write(function, options, text):
    with pytest.raises(TypeError) as caught:
        function(**options)
    assert text in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_table_estimators_say_what_learns_from_a_stream():
    with pytest.raises(
        AttributeError, match=r"TabularClassifier has no partial_fit: .* MLPClassifier or train"
    ):
        TabularClassifier().partial_fit(X, X[:, 0])


def test_signatures_show_the_defaults_that_are_taken():
    for function in (train, fastnn.train_many, fastnn.Population):
        text = str(inspect.signature(function))
        assert "not given" not in text
        assert "numpy." not in text
        assert re.search(
            r"batch_size: '(int \| None|Any)' = 200, shuffle: '(bool|Any)' = True", text
        ), text
    assert typing.get_type_hints(train)["batch_size"] == int | None


def test_networks_and_registries_print_briefly():
    assert repr(Network((3, 5, 1))) == "Network((3, 5, 1))"
    several = Network((3, 5, 4, 3), ("tanh", "relu"), "softmax", bias="none", init="he")
    assert eval(repr(several), vars(fastnn)) == several
    assert repr(several).endswith("output='softmax', loss='cross_entropy', bias='none', init='he')")
    assert repr(LOSSES["huber"]) == "Loss('(a-y)^2 / 2 where |a-y| <= 1 else |a-y| - 1/2', ...)"
    assert max(len(repr(registry)) for registry in (LOSSES, ACTIVATIONS, fastnn.OPTIMIZERS)) < 800


def test_what_is_said_instead_exists():
    """Each remedy is no argument of train under another name: the first keyword that it says is
    one."""
    legal = inspect.signature(train).parameters
    said = [
        remedy.partition("=")[0]
        for remedy in REMEDIES.values()
        if remedy.partition("=")[0].isidentifier()
    ]
    assert set(said) <= set(legal)
    assert {"epochs", "seed", "optimizer", "stop", "progress"} <= set(said)
    # which are for those that lack them
    assert set(REMEDIES) & set(legal) == {"verbose", "optimizer"}


def test_other_type_errors_pass_as_they_are():
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'epochs'"):
        fit()
    with pytest.raises(TypeError, match="takes 3 positional arguments but 5"):
        train(NETWORK, X, X[:, 0], Adam(), 3)
    # from a call within the training
    with pytest.raises(TypeError, match="no argument 'a'; it has"):
        fit(epochs=1, callbacks=[lambda progress: Stop(a=3)])


LOSS_NAMES = {
    "squared_error": ["mse", "MSELoss", "mean_squared_error"],
    "absolute_error": ["MAE", "L1Loss"],
    "huber": ["SmoothL1Loss", "huber_loss"],
    "log_loss": ["binary_crossentropy", "BCELoss", "BCEWithLogitsLoss", "logloss"],
    "cross_entropy": [
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "CrossEntropyLoss",
        "nll_loss",
    ],
    "poisson": ["PoissonNLLLoss"],
}


@pytest.mark.parametrize(
    ("own", "name"), [(own, name) for own, names in LOSS_NAMES.items() for name in names]
)
def test_another_librarys_loss_gets_the_name_here(own, name):
    assert (
        f"unknown loss {name!r} (did you mean {own!r}?)"
        in refusal(lambda: Network((3, 2), loss=name))[1]
    )


def test_aliases_are_of_names_that_there_are():
    known = {*ACTIVATIONS, *LOSSES, *INITS, *REDUCTIONS, "logistic", "quantile"}
    assert set(ALIASES.values()) <= known
    # the core's and the estimators'
    assert set(ALIASES) & known == {"sigmoid", "logistic", "pinball", "quantile"}


def test_fields_become_what_their_checks_return():
    sgd = SGD(np.float32(0.5), momentum=np.float64(0.5), nesterov=np.True_)
    assert [type(sgd.learning_rate), type(sgd.momentum), type(sgd.nesterov)] == [float, float, bool]
    assert type(BayesianRegularization(first_steps=np.int64(3)).first_steps) is int


def test_texts_are_cut():
    """That no error is long, whatever a caller gives: `attempt` of the fuzzer."""
    assert shown("x" * 10**6) == "'" + "x" * 47 + "..." + "x" * 48 + "'"
    assert len(shown(nested(6))) == len(cut(LONG_NAME)) == 200
    assert cut("a\n b") == "a b"
    assert shown(10**5000) == "an object of type int"
    assert shown(type("Wordless", (), {"__repr__": None})()).startswith("<Wordless instance at")
    assert shown(np.zeros((2, 3))) == "ndarray of shape (2, 3)"
    assert (amount(1234), amount(10**30)) == ("1,234", "more than 10^24")


def test_long_names_in_lists_are_cut():
    assert listed(["a", "b"]) == "'a', 'b'"
    assert len(listed(["x" * 5000] * 9)) < 600


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.longdouble])
def test_a_decimal_is_the_number_whatever_the_print_options(kind):
    numbers = RandomState(0).standard_normal(300) * 10.0 ** RandomState(1).uniform(-6, 4, 300)
    for number in np.append(numbers, [0.0, -0.0, 1e-4, 60000.0, 1.0, 3.25]).astype(kind):
        text = decimal(number)
        assert kind(text) == number
        with np.printoptions(legacy="1.13", precision=1, suppress=True):
            assert decimal(number) == text


@dataclass
class Steps:
    """A function of the step that is no schedule of fastnn, with arrays that JSON does not know."""

    rates: np.ndarray

    def __call__(self, step):
        return self.rates[step]


def test_learning_rates_in_the_types_of_json():
    for rate, expected in ((max, "max"), (lambda t: t, "<lambda>"), (Steps(np.ones(3)), "Steps")):
        assert describe(rate).endswith(expected)
    for rate in (0.5, cosine(0.4, steps=3, final=0.1)):  # a number and a schedule come back
        assert described(describe(rate), SCHEDULES) == rate
    for description in ("max", {"schedule": "unknown", "learning_rate": 0.1}):
        with pytest.raises(LookupError):
            described(description, SCHEDULES)
