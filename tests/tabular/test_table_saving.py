"""The estimators of tables in files: the same bits after loading, and damaged files."""

import json

import numpy as np
import pytest
from sklearn.model_selection import KFold
from small_tables import both, mixed

from fastnn import ModelFileError, TabularClassifier, TabularRegressor

FRAME, LABELS, NUMBERS = mixed()


def outputs(model):
    return model.predict_proba(FRAME) if hasattr(model, "classes_") else model.predict(FRAME)


@pytest.fixture(params=["classifier", "regressor"])
def model(request):
    model, which = both(max_time=1e6)[request.param]
    return model.fit(FRAME, (FRAME, LABELS, NUMBERS)[which])


def test_all_that_was_learned_is_there_again(model, tmp_path):
    model.save(tmp_path / "table.npz")
    again = type(model).load(tmp_path / "table.npz")
    assert outputs(again).tobytes() == outputs(model).tobytes()
    assert again.get_params() == model.get_params()
    assert vars(again).keys() == vars(model).keys()
    for name in ("best_validation_score_", "oob_score_", "n_features_in_"):
        assert getattr(again, name) == getattr(model, name)
    assert again.feature_names_in_.tolist() == model.feature_names_in_.tolist()
    assert again.history_.validation_loss.tobytes() == model.history_.validation_loss.tobytes()
    assert again._out_of_bag.tobytes() == model._out_of_bag.tobytes()
    if hasattr(model, "_residuals"):
        assert again._residuals.scores.tobytes() == model._residuals.scores.tobytes()
    assert again.preparation_.levels_ == model.preparation_.levels_


@pytest.mark.parametrize("labels", [np.array([3, 1, 2]), np.array([True, False]), np.array(["a", "b"], object)])
def test_labels_of_any_kind_are_kept(labels, tmp_path):
    y = labels[np.arange(60) % len(labels)]
    model = both()["classifier"][0].set_params(class_weight=dict.fromkeys(labels.tolist(), 2.0)).fit(FRAME, y)
    model.save(tmp_path / "table.npz")
    again = TabularClassifier.load(tmp_path / "table.npz")
    assert again.classes_.dtype == model.classes_.dtype
    assert again.predict(FRAME).tolist() == model.predict(FRAME).tolist()
    assert again.class_weight == model.class_weight


def test_several_targets_and_objects_as_parameters(tmp_path):
    y = np.column_stack([NUMBERS, -NUMBERS])
    model = both(cv=KFold(3), random_state=np.random.RandomState(0))["regressor"][0].fit(FRAME, y)
    model.save(tmp_path / "table.npz")
    again = TabularRegressor.load(tmp_path / "table.npz")
    assert (again.cv, again.random_state) == (None, None)
    assert outputs(again).tobytes() == outputs(model).tobytes()


def test_the_other_kind_of_estimator_is_refused(model, tmp_path):
    model.save(tmp_path / "table.npz")
    other = TabularRegressor if isinstance(model, TabularClassifier) else TabularClassifier
    with pytest.raises(ModelFileError, match="of tables, not a"):
        other.load(tmp_path / "table.npz")


def rewritten(path, change):
    """Write a file anew with a changed header, columns and arrays."""
    arrays = dict(np.load(path))
    header, columns = (json.loads(arrays[name].tobytes()) for name in ("header", "columns"))
    change(header, columns, arrays)
    for name, value in (("header", header), ("columns", columns)):
        arrays[name] = np.frombuffer(json.dumps(value).encode(), np.uint8)
    np.savez(path, **arrays)


def put(place, key, value):
    """A change of what stands at a key of the header, the columns or the arrays."""

    def change(header, columns, arrays):
        {"header": header, "columns": columns, "arrays": arrays}[place][key] = value

    return change


def scaled(name, factor):
    return lambda header, columns, arrays: arrays.update({name: arrays[name] * factor})


DAMAGED = {
    "params are infinite": scaled("params", np.float32(np.inf)),
    "another preset": lambda header, columns, arrays: header["parameters"].update(preset="slow"),
    "another network": lambda header, columns, arrays: header["network"].update(activation="relu"),
    "fewer layers": lambda header, columns, arrays: header["network"].update(sizes=[3, 1]),
    "no columns": put("columns", "n", 0),
    "names that are not all": put("columns", "names", ["a"]),
    "numbers twice": put("columns", "numbers", [0, 0, 0]),
    "a column that is not there": put("columns", "numbers", [0, 1, 99]),
    "no levels": put("columns", "words", [[2, [], False, False]]),
    "levels out of order": put("columns", "words", [[2, ["b", "a"], False, True]]),
    "levels of two kinds": put("columns", "words", [[2, ["a", 1], False, True]]),
    "a scale that is NaN": scaled("numbers", np.nan),
    "a shorter imputation": lambda header, columns, arrays: arrays.update(imputation=np.zeros((1, 1))),
    "losses of another number": lambda header, columns, arrays: arrays.update(losses=np.zeros((2, 9, 4))),
    "no score": lambda header, columns, arrays: header.update(scores={}),
    "many values": put("columns", "names", [[]] * 10**6),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_refused(case, model, tmp_path):
    path = tmp_path / "table.npz"
    model.save(path)
    rewritten(path, DAMAGED[case])
    with pytest.raises(ModelFileError):
        type(model).load(path)


DAMAGED_RESIDUALS = {
    "params are infinite": scaled("residual_params", np.float32(np.inf)),
    "one network": lambda header, columns, arrays: arrays.update(residual_params=arrays["residual_params"][:1]),
    "sizes below 0": scaled("residual_scores", -1.0),
    "a mean of another number": lambda header, columns, arrays: arrays.update(residual_mean=np.ones(2)),
}


@pytest.mark.parametrize("values", [[-0.1, 0.001], [0.6, 0.001], [0.05, 0.0], [0.05, 2.0], [0.05], None])
def test_damaged_probabilities_are_refused(values, tmp_path):
    path = tmp_path / "table.npz"
    both()["classifier"][0].fit(FRAME, LABELS).save(path)
    rewritten(path, put("header", "unsmoothing", values))
    with pytest.raises(ModelFileError):
        TabularClassifier.load(path)


@pytest.mark.parametrize("case", DAMAGED_RESIDUALS)
def test_damaged_residuals_are_refused(case, tmp_path):
    path = tmp_path / "table.npz"
    both()["regressor"][0].fit(FRAME, NUMBERS).save(path)
    rewritten(path, DAMAGED_RESIDUALS[case])
    with pytest.raises(ModelFileError):
        TabularRegressor.load(path)


def test_a_name_that_promises_another_format_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="save writes fastnn's own format"):
        model.save(tmp_path / "table.onnx")


def test_load_says_who_reads_it(model, tmp_path):
    import fastnn

    model.save(tmp_path / "table.npz")
    with pytest.raises(ModelFileError, match=f"{type(model).__name__}.load reads it"):
        fastnn.load(tmp_path / "table.npz")
