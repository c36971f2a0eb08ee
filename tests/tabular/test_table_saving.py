"""The estimators of tables in files: the same bits after loading, and damaged files."""

import json

import numpy as np
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
        assert again._residuals.scores.tobytes() == model._residuals.scores.tobytes()
        assert again.predict_interval(FRAME, 0.8).tobytes() == model.predict_interval(FRAME, 0.8).tobytes()
        assert again.predict(FRAME, return_std=True)[1].tobytes() == model.predict(FRAME, return_std=True)[1].tobytes()


@pytest.mark.parametrize("labels", [np.array([3, 1, 2]), np.array([True, False]), np.array(["a", "b"], object)])
def test_labels_of_any_kind_are_kept(labels, path):
    y = labels[np.arange(60) % len(labels)]
    model = fit("classifier", y=y, class_weight=dict.fromkeys(labels.tolist(), 2.0))
    model.save(path)
    again = TabularClassifier.load(path)
    assert again.classes_.dtype == model.classes_.dtype
    assert again.predict(FRAME).tolist() == model.predict(FRAME).tolist()
    assert again.class_weight == model.class_weight


def test_several_targets_and_objects_as_parameters(path):
    X, y = np.random.RandomState(0).rand(60, 3), np.column_stack([NUMBERS, -NUMBERS])  # an array has no names
    model = fit("regressor", X, y, cv=KFold(3), random_state=np.random.RandomState(0))
    model.save(path)
    again = TabularRegressor.load(path)
    assert (again.cv, again.random_state) == (None, None)
    assert outputs(again, X).tobytes() == outputs(model, X).tobytes()


def infinite(a):
    return a * np.float32(np.inf)


LEVELS = ([], False, False), (["b", "a"], False, True), (["a", 1], False, True)
CHANGES = {  # what is changed in a part of a file
    "header": [{"scores": {}}],
    "parameters": [{"preset": "slow"}],
    "network": [{"activation": "relu"}, {"sizes": [3, 1]}],
    "columns": [
        *({"n": 0}, {"names": ["a"]}, {"names": [[]] * 10**6}, {"numbers": [0, 0, 0]}, {"numbers": [0, 1, 99]}),
        *({"words": [[2, *levels]]} for levels in LEVELS),
    ],
    "arrays": [
        *({"params": infinite}, {"numbers": lambda a: a * np.nan}, {"imputation": lambda a: np.zeros((1, 1))}),
        {"losses": lambda a: np.zeros((2, 9, 4))},
    ],
}
UNSMOOTHING = [-0.1, 0.001], [0.6, 0.001], [0.05, 0.0], [0.05, 2.0], [0.05], None
OWN_CHANGES = {
    "classifier": {"header": [{"unsmoothing": values} for values in UNSMOOTHING]},
    "regressor": {
        "arrays": [
            *({"residual_params": infinite}, {"residual_params": lambda a: a[:1]}, {"residual_scores": lambda a: -a}),
            {"residual_mean": lambda a: np.ones(2)},
        ]
    },
}
CASES = [
    (kind, part, changed)
    for kind, own in OWN_CHANGES.items()
    for changes in (CHANGES, own)
    for part, all_changed in changes.items()
    for changed in all_changed
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_damaged_files_are_refused(case, path):
    kind, part, changed = CASES[case]
    model = fit(kind)
    model.save(path)
    arrays = dict(np.load(path))
    said = {name: json.loads(arrays[name].tobytes()) for name in ("header", "columns")}
    if part == "arrays":
        arrays |= {name: change(arrays[name]) for name, change in changed.items()}
    else:
        said.get(part, said["header"].get(part)).update(changed)
    np.savez(path, **arrays | {name: packed(value) for name, value in said.items()})
    with pytest.raises(ModelFileError):
        type(model).load(path)


def test_a_name_that_promises_another_format_is_refused(model, path):
    with pytest.raises(ValueError, match="save writes fastnn's own format"):
        model.save(path.with_suffix(".onnx"))


def test_load_says_who_reads_it(model, path):
    model.save(path)
    with pytest.raises(ModelFileError, match=f"{type(model).__name__}.load reads it"):
        fastnn.load(path)
    other = TabularRegressor if isinstance(model, TabularClassifier) else TabularClassifier
    with pytest.raises(ModelFileError, match="of tables, not a"):
        other.load(path)
