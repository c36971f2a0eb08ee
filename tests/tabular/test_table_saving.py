"""The estimators of tables in files: the same bits after loading, and damaged files."""

import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from model_files import packed
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
    assert outputs(again).tobytes() == outputs(model).tobytes()
    assert again.get_params() == model.get_params()
    assert vars(again).keys() == vars(model).keys()
    for name, value in vars(model).items():
        if isinstance(value, (np.ndarray, float, int, str)):
            np.testing.assert_array_equal(getattr(again, name), value, name)
    assert again._facts() == model._facts()
    assert again.history_.validation_loss.tobytes() == model.history_.validation_loss.tobytes()
    assert again.preparation_.levels_ == model.preparation_.levels_
    if hasattr(model, "_residuals"):
        assert (
            again.predict_interval(FRAME, 0.8).tobytes()
            == model.predict_interval(FRAME, 0.8).tobytes()
        )
        assert (
            again.predict(FRAME, return_std=True)[1].tobytes()
            == model.predict(FRAME, return_std=True)[1].tobytes()
        )


OBJECTS = [np.array(labels, object) for labels in (["a", "b"], [True, False], [0, 1])]


@pytest.mark.parametrize("labels", [np.array([3, 1, 2]), np.array([True, False]), *OBJECTS])
def test_labels_of_any_kind_are_kept(labels, path):
    y = labels[np.arange(60) % len(labels)]
    model = fit("classifier", y=y, class_weight=dict.fromkeys(labels.tolist(), 2.0))
    model.save(path)
    again = TabularClassifier.load(path)
    assert again.classes_.dtype == model.classes_.dtype
    assert model.classes_.tolist() == sorted(labels.tolist())
    assert again.predict(FRAME).tolist() == model.predict(FRAME).tolist()
    assert again.class_weight == model.class_weight


def test_several_targets_and_objects_as_parameters(path):
    # an array has no names
    X, y = (np.random.RandomState(0).rand(60, 3), np.column_stack([NUMBERS, -NUMBERS]))
    model = fit("regressor", X, y, cv=KFold(3), random_state=np.random.RandomState(0))
    model.save(path)
    again = TabularRegressor.load(path)
    assert (again.cv, again.random_state) == (None, None)
    assert outputs(again, X).tobytes() == outputs(model, X).tobytes()


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


C = ["classifier"]
R = ["regressor"]
# files of which kinds, a part of them, the name of what is changed in it, values, or functions of
# arrays
CHANGES = [
    (C + R, "header", "scores", [{}]),
    (C + R, "parameters", "preset", ["slow"]),
    (C + R, "network", "activation", ["relu"]),
    (C + R, "network", "sizes", [[3, 1]]),
    (C + R, "columns", "n", [0, 7.0]),
    (C + R, "columns", "names", [["a"], [[]] * 10**6]),
    (C + R, "columns", "numbers", [[0, 0, 0], [0, 1, 99]]),
    (C + R, "columns", "words", [[[2, [], False, False]], [[2, ["b", "a"], False, True]]]),
    (C + R, "columns", "words", [[[2, ["a", 1], False, True]]]),
    (C + R, "arrays", "params", [infinite]),
    (C + R, "arrays", "numbers", [lambda a: a * np.nan]),
    (C + R, "arrays", "imputation", [lambda a: np.zeros((1, 1)), infinite]),
    (C + R, "arrays", "imputation_steps", [infinite, lambda a: np.ones(99)]),
    (C + R, "arrays", "gap_patterns", [lambda a: a[:, 1:]]),
    (C + R, "columns", "sources", [[0], [99] * 11, "x"]),
    (C + R, "columns", "word_gaps", [[], [True]]),
    (C + R, "arrays", "losses", [lambda a: np.zeros((2, 9, 4))]),
    (
        C,
        "header",
        "unsmoothing",
        [[-0.1, 0.001], [0.6, 0.001], [0.05, 0.0], [0.05, 2.0], [0.05], None],
    ),
    (R, "arrays", "residual_params", [infinite, lambda a: a[:1]]),
    (R, "arrays", "residual_scores", [lambda a: -a]),
    (R, "arrays", "residual_mean", [lambda a: np.ones(2)]),
    (R, "arrays", "donors", [infinite, lambda a: a[:, 1:]]),
]


@pytest.mark.parametrize(
    ("kind", "part", "name", "value"),
    [
        (kind, part, name, value)
        for kinds, part, name, values in CHANGES
        for kind in kinds
        for value in values
    ],
)
def test_damaged_files_are_refused(kind, part, name, value, path):
    model = fit(kind)
    model.save(path)
    arrays = dict(np.load(path))
    said = {name: json.loads(arrays[name].tobytes()) for name in ("header", "columns")}
    if part == "arrays":
        arrays[name] = value(arrays[name])
    else:
        said.get(part, said["header"].get(part))[name] = value
    np.savez(path, **arrays | {name: packed(value) for name, value in said.items()})
    with pytest.raises(ModelFileError):
        type(model).load(path)


def test_a_category_of_gaps_alone_has_no_levels(path):
    X = FRAME.assign(grade=pd.Categorical([np.nan] * len(FRAME), categories=[1.0, 2.0]))
    model = fit("regressor", X)
    model.save(path)
    assert outputs(TabularRegressor.load(path), X).tobytes() == outputs(model, X).tobytes()
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
    assert outputs(again).tobytes() == outputs(model).tobytes()
    assert (again.label_smoothing, again.estimators_[0].network) == (
        0.0,
        model.estimators_[0].network,
    )
