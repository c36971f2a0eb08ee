"""The estimators of tables in files: the same bits after loading, and damaged files."""

import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from bits import assert_same_bits
from model_files import packed
from numpy.random import RandomState
from numpy.testing import assert_array_equal
from sklearn.model_selection import KFold
from small_tables import FRAME, NUMBERS, fit, outputs

import fastnn
from fastnn import ModelFileError, TabularClassifier, TabularRegressor


@pytest.fixture
def model(kind):
    return fit(kind, max_time=1e6)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.npz"


def test_all_that_was_learned_is_there_again(model, path):
    model.save(path)
    again = type(model).load(path)
    assert_same_bits(outputs(again), outputs(model))
    assert again.get_params() == model.get_params()
    assert vars(again).keys() == vars(model).keys()
    for name, value in vars(model).items():
        if isinstance(value, (np.ndarray, float, int, str)):
            assert_array_equal(getattr(again, name), value, name)
    assert again._facts() == model._facts()
    assert_same_bits(again.history_.validation_loss, model.history_.validation_loss)
    assert again.preparation_.levels_ == model.preparation_.levels_
    if hasattr(model, "_residuals"):
        assert_same_bits(again.predict_interval(FRAME, 0.8), model.predict_interval(FRAME, 0.8))
        stds = [one.predict(FRAME, return_std=True)[1] for one in (again, model)]
        assert_same_bits(*stds)


def test_several_targets_and_objects_as_parameters(path):
    # an array has no names
    X = RandomState(0).rand(60, 3)
    y = np.column_stack([NUMBERS, -NUMBERS])
    model = fit("regressor", X, y, cv=KFold(3), random_state=RandomState(0))
    model.save(path)
    again = TabularRegressor.load(path)
    assert (again.cv, again.random_state) == (None, None)
    assert_same_bits(outputs(again, X), outputs(model, X))


def test_levels_that_no_file_holds_are_refused_before_it_is_written(path):
    """Booleans beside numbers are levels like numbers; fractions are no levels of a file."""
    color = np.array([True, 2, 3.5], object)[np.arange(60) % 3]
    model = fit("regressor", FRAME.assign(color=color))
    model.set_params(max_categories=2).save(path)  # that of another fit
    assert TabularRegressor.load(path).preparation_.levels_ == model.preparation_.levels_
    odd = fit(
        "regressor", FRAME.assign(color=pd.Categorical([Fraction(1, 3), Fraction(2, 3)] * 30))
    )
    with pytest.raises(TypeError, match="column 'color' cannot be saved: its levels, such as"):
        odd.save(path)


def infinite(a):
    return np.full_like(a, np.inf)


def exchanged(numbers):
    """The least numbers of columns in place of the largest ones."""
    return numbers[[0, 1, 2, 3, 5, 4]]


# a part of a file, the name of what is changed in it, values, or functions of arrays
OF_BOTH = [
    ("header", "scores", [{}]),
    ("parameters", "preset", ["slow"]),
    ("network", "activation", ["relu"]),
    ("network", "sizes", [[3, 1]]),
    ("columns", "n", [0, 7.0]),
    ("columns", "names", [["a"], [[]] * 10**6]),
    ("columns", "numbers", [[0, 0, 0], [0, 1, 99]]),
    ("columns", "words", [[[2, [], False, False]], [[2, ["b", "a"], False, True]]]),
    ("columns", "words", [[[2, ["a", 1], False, True]]]),
    ("arrays", "params", [infinite]),
    ("arrays", "numbers", [lambda a: a * np.nan, exchanged]),
    ("arrays", "imputation", [lambda a: np.zeros((1, 1)), infinite]),
    ("arrays", "imputation_steps", [infinite, lambda a: np.ones(99)]),
    ("arrays", "gap_patterns", [lambda a: a[:, 1:]]),
    ("columns", "sources", [[0], [99] * 11, "x"]),
    ("columns", "word_gaps", [[], [True]]),
    ("arrays", "losses", [lambda a: np.zeros((2, 9, 4))]),
]
UNSMOOTHINGS = [[-0.1, 0.001], [0.6, 0.001], [0.05, 0.0], [0.05, 2.0], [0.05], None]
CHANGES = {
    "classifier": [*OF_BOTH, ("header", "unsmoothing", UNSMOOTHINGS)],
    "regressor": [
        *OF_BOTH,
        ("arrays", "residual_params", [infinite, lambda a: a[:1]]),
        ("arrays", "residual_scores", [lambda a: -a]),
        ("arrays", "residual_mean", [lambda a: np.ones(2)]),
        ("arrays", "donors", [infinite, lambda a: a[:, 1:]]),
    ],
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Good files: {a kind: the estimator's class and the arrays of its file}"""
    path = tmp_path_factory.mktemp("good") / "table.npz"
    files = {}
    for kind in CHANGES:
        model = fit(kind)
        model.save(path)
        files[kind] = (type(model), dict(np.load(path)))
    return files


@pytest.mark.parametrize(
    ("kind", "part", "name", "value"),
    [
        (kind, part, name, value)
        for kind, changes in CHANGES.items()
        for part, name, values in changes
        for value in values
    ],
)
def test_damaged_files_are_refused(saved, kind, part, name, value, path):
    estimator, arrays = saved[kind]
    texts = {name: json.loads(arrays[name].tobytes()) for name in ("header", "columns")}
    changed = {}
    if part == "arrays":
        changed[name] = value(arrays[name])
    else:
        texts.get(part, texts["header"].get(part))[name] = value
    np.savez(path, **arrays | changed | {name: packed(text) for name, text in texts.items()})
    with pytest.raises(ModelFileError):
        estimator.load(path)


def test_a_category_of_gaps_alone_has_no_levels(path):
    X = FRAME.assign(grade=pd.Categorical([np.nan] * len(FRAME), categories=[1.0, 2.0]))
    model = fit("regressor", X)
    model.save(path)
    assert_same_bits(outputs(TabularRegressor.load(path), X), outputs(model, X))
    assert len(model.preparation_.levels_) == len(fit("regressor").preparation_.levels_) - 1


def test_other_names_and_other_readers_are_refused(model, path):
    with pytest.raises(ValueError, match="save writes fastnn's own format"):
        model.save(path.with_suffix(".onnx"))
    model.save(path)
    with pytest.raises(ModelFileError, match=f"{type(model).__name__}.load reads it"):
        fastnn.load(path)
    other = TabularRegressor if isinstance(model, TabularClassifier) else TabularClassifier
    with pytest.raises(ModelFileError, match="of tables, not a"):
        other.load(path)


@pytest.mark.parametrize("changed", [{"n_members": 0}, {"hidden_layer_sizes": np.array(2.5)}])
def test_parameters_that_load_would_refuse_are_refused_before(model, path, changed):
    with pytest.raises(
        ValueError, match=f"no file of it would load: The '{next(iter(changed))}' parameter"
    ):
        model.set_params(**changed).save(path)
    assert not path.exists()


def test_the_smoothing_of_the_next_fit_is_none_of_the_network(path):
    model = fit("classifier").set_params(label_smoothing=0.0)
    model.save(path)
    again = TabularClassifier.load(path)
    assert_same_bits(outputs(again), outputs(model))
    assert again.label_smoothing == 0.0
    assert again.estimators_[0].network == model.estimators_[0].network
