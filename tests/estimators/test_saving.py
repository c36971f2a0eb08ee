"""Estimators in files: saved, exported, or in a Pipeline that skl2onnx converts, they predict what
they did."""

import copy
import os

import numpy as np
import pytest
from bits import assert_same_bits
from exported import assert_same, module_of, onnx_outputs
from memory_of_files import little_memory
from model_files import packed, parts_of, write
from numpy.testing import assert_array_equal
from pages import ROOT
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_estimators import CLASSES, KINDS, ROWS, fitted, unfitted

import fastnn
from fastnn import MLPClassifier, MLPRegressor, ModelFileError, register_onnx_converters


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_module_predicts(tmp_path, kind, dtype):
    mlp = fitted(kind, dtype)
    X = ROWS.astype(dtype)
    module = module_of(mlp, tmp_path)
    if isinstance(mlp, MLPRegressor):
        assert_same(module["predict"](X), mlp.predict(X), kind)
    else:
        assert_same(module["predict_proba"](X), mlp.predict_proba(X), kind)
        assert module["predict"](X).tolist() == mlp.predict(X).tolist()


def assert_equal(a, b):
    assert type(a) is type(b)
    assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_comes_back(path, kind, dtype):
    mlp = fitted(kind, dtype)
    X = ROWS.astype(dtype)
    mlp.save(path)
    loaded = type(mlp).load(path)
    for method in ("predict", "predict_proba"):
        if hasattr(mlp, method):
            for some in (X, X[:1]):
                assert_equal(getattr(loaded, method)(some), getattr(mlp, method)(some))
    for a, b in zip(loaded.coefs_ + loaded.intercepts_, mlp.coefs_ + mlp.intercepts_, strict=True):
        assert_same_bits(a, b)
    parameters = mlp.get_params() | ({"random_state": None} if kind == "a generator" else {})
    parameters |= {"hidden_layer_sizes": [4, 3]} if kind == "an array" else {}
    assert loaded.get_params() == parameters
    own = {
        "_flat",
        "_optimizer",
        "_random_state",
        "_seeded",
        "_label_binarizer",
        "_best_coefs",
        "_best_intercepts",
    }
    attributes, found = (vars(one).keys() - parameters.keys() - own for one in (mlp, loaded))
    assert attributes == found
    for name in attributes - {"coefs_", "intercepts_"}:
        assert_equal(getattr(loaded, name), getattr(mlp, name))
    if hasattr(mlp, "partial_fit") and not mlp.early_stopping and kind != "lbfgs":
        assert loaded.partial_fit(X, KINDS[kind][1]).t_ == mlp.t_ + len(X)
        assert not np.array_equal(loaded.coefs_[0], mlp.coefs_[0])
    assert loaded.fit(X, KINDS[kind][1]).n_features_in_ == X.shape[1]


def test_a_file_that_was_once_written_is_read():
    loaded = MLPClassifier.load(ROOT / "tests/support/data/format_2/estimator.npz")
    assert loaded.classes_.tolist() == ["no", "perhaps", "yes"]
    assert (loaded.hidden_layer_sizes, loaded.n_iter_, len(loaded.loss_curve_)) == ((4,), 5, 5)
    assert set(loaded.predict(ROWS[:, :3])) <= {"no", "perhaps", "yes"}


def test_a_subclass_loads_as_what_it_is(path):
    mine = type("Mine", (MLPClassifier,), {})
    fitted("text").save(path)
    assert type(mine.load(path)) is mine


def test_what_cannot_be_saved_is_refused(path):
    for method in (MLPRegressor().save, MLPRegressor().export):
        with pytest.raises(NotFittedError, match="MLPRegressor instance is not fitted yet"):
            method(path)
    mlp = fitted("text")
    for change, match in (
        (
            {"classes_": np.array([("a", 1), None, 2], object)},
            "only labels that are finite numbers, booleans or texts",
        ),
        (
            {"verbose": 1j},
            "verbose cannot be saved: it holds complex, which is neither number nor text",
        ),
        (
            {"alpha": -1.0},
            "this cannot be saved, for no file of it would load: The 'alpha' parameter",
        ),
        ({"best_loss_": [1]}, r"no file of it would load: best_loss_ is \[1\] in its header"),
        ({"gamma_": {"a": 1}}, "no file of it would load: gamma_ is"),
    ):
        changed = copy.deepcopy(mlp)
        vars(changed).update(change)
        with pytest.raises((TypeError, ValueError), match=match):
            changed.save(path)
    mlp.coefs_[0][0, 0] = np.nan
    for method in (mlp.save, lambda path: mlp.export(path, "numpy")):
        with pytest.raises(ValueError, match="coefs_ and intercepts_ must be finite"):
            method(path)
    assert os.listdir(path.parent) == []


def test_other_files_are_refused_and_say_what_reads_them(path):
    fitted("text").save(path)
    with pytest.raises(ModelFileError, match="it holds a classifier, not a regressor"):
        MLPRegressor.load(path)
    words = "it holds an estimator, not a training result: MLPClassifier.load reads"
    with pytest.raises(ModelFileError, match=words):
        fastnn.load(path)
    fitted("text").to_result().save(path, state=False)
    with pytest.raises(
        ModelFileError, match=r"a training result, no estimator: fastnn.load reads it, from_result"
    ):
        MLPClassifier.load(path)
    with pytest.raises(FileNotFoundError):
        MLPClassifier.load(path.parent / "nothing")


HEADERS = {  # what is changed in a part of the header, or in it
    "parameters": [
        {"colour": 3},
        {"alpha": -1},
        {"activation": ["relu"] * 2},
        {"class_weight": {"dict": [[[], 1]]}},
    ],
    "fitted": [
        {"predict": 1},
        {"predict": None},
        {"loss_": []},
        {"loss_curve_": 3},
        {"out_activation_": "softmin"},
    ],
    "labels": [{"kind": "O"}, {"type": "binary"}, {"type": "many"}],
    "network": [{"activation": "tanh"}],
    None: [
        {"kind": [1]},
        {"parameters": None},
        {"backend": 3},
        {"labels": None},
        {"labels": "left out"},
    ],
}
ARRAYS = {  # what is put in the place of an array; None: it is left out
    "feature_names": [
        packed(b'["a", "b", "c", "d", "e"], 3'),
        np.arange(5.0),
        packed(["a", "b"]),
        packed([1] * 5),
    ],
    "classes": [np.arange(2), None],
    "params": [np.full(57, np.inf), np.zeros(56)],
    "loss_curve": [np.zeros((2, 2))],
}
LONG = packed(["x" * 5000, *map(str, range(5000))])
CASES = [(part, changed, {}) for part, changes in HEADERS.items() for changed in changes]
CASES += [(None, {}, {name: array}) for name, arrays in ARRAYS.items() for array in arrays]
CASES += [
    ("labels", {"kind": "U"}, {"classes": classes}) for classes in (LONG, np.zeros(3, np.uint8))
]


@pytest.mark.parametrize(("part", "changed", "arrays"), CASES)
def test_damaged_files_are_refused(path, part, changed, arrays):
    fitted("unsigned").save(path)
    header, good = parts_of(path.read_bytes())
    header |= changed if part is None else {part: header[part] | changed}
    header = {name: value for name, value in header.items() if value != "left out"}
    write(
        path, header, {name: array for name, array in (good | arrays).items() if array is not None}
    )
    with pytest.raises(ModelFileError, match=r"model.npz: (damaged|it holds a)"):
        MLPClassifier.load(path)


@pytest.mark.parametrize("name", ["feature_names", "classes"])
@pytest.mark.parametrize("value", ["{}", "[]", '"ab"', '{"a":[]}'])
def test_long_lists_are_refused_before_they_are_parsed(path, name, value):
    """Of names and labels there are as many as the network has inputs and outputs, and nothing is
    within them."""
    fitted("text").save(path)
    header, arrays = parts_of(path.read_bytes())
    write(path, header, arrays | {name: packed(f"[{', '.join([value] * 300_000)}]".encode())})
    with little_memory(path, base=2_000_000, factor=4), pytest.raises(ModelFileError) as error:
        MLPClassifier.load(path)
    assert "damaged: one of its lists has more values than" in str(error.value)


def test_names_of_features_and_labels_come_back(path):
    """As long and as many as the data have them, with characters that mean something in JSON."""
    pandas = pytest.importorskip("pandas")
    names = ["ünï", "", "d" * 1000, *(f'[{{"{i}": ünï, \\}}], ' for i in range(5_000))]
    frame = pandas.DataFrame(np.eye(3, len(names)), columns=names)
    mlp = MLPClassifier((1,), max_iter=1).fit(frame, np.array(["], [", '"', "\\\n" * 100]))
    mlp.save(path)
    loaded = MLPClassifier.load(path)
    assert_equal(loaded.feature_names_in_, mlp.feature_names_in_)
    assert_equal(loaded.classes_, mlp.classes_)
    assert_equal(loaded.predict(frame), mlp.predict(frame))
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(frame[names[::-1]])


@pytest.fixture
def skl2onnx():
    register_onnx_converters()
    return pytest.importorskip("skl2onnx")


def assert_predicts(outputs, mlp, X, dtype):
    if hasattr(mlp, "predict_proba"):
        assert list(outputs) == ["label", "probabilities"]
        assert outputs["label"].tolist() == mlp.predict(X).tolist()
        assert_same(outputs["probabilities"], mlp.predict_proba(X).astype(dtype), "probabilities")
    else:
        assert list(outputs) == ["variable"]
        assert_same(
            outputs["variable"], mlp.predict(X).reshape(len(X), -1).astype(dtype), "variable"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_estimator(tmp_path, kind, dtype):
    pytest.importorskip("onnx")
    mlp = fitted(kind, dtype)
    X = ROWS.astype(mlp.coefs_[0].dtype)  # those of lbfgs are float64
    mlp.export(tmp_path / "net.onnx")
    assert_predicts(onnx_outputs(tmp_path / "net.onnx", X), mlp, X, X.dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fitted_in", [np.float32, np.float64])
def test_a_pipeline_with_a_scaler(kind, dtype, fitted_in, skl2onnx):
    """It takes rows of a dtype, in which it returns probabilities, whatever the network computes
    in."""
    (mlp, y), X = unfitted(kind), ROWS.astype(dtype)
    pipeline = make_pipeline(StandardScaler(), mlp).fit(ROWS.astype(fitted_in), y)
    graph = skl2onnx.to_onnx(pipeline, X[:1])
    assert "ZipMap" not in {node.op_type for node in graph.graph.node}
    assert_predicts(
        onnx_outputs(graph.SerializeToString(), X), mlp, pipeline[0].transform(X), dtype
    )


def test_options_and_other_inputs(skl2onnx):
    whole = CLASSES[:, None].astype(np.int64)
    mlp = unfitted("early stopping")[0].fit(whole, CLASSES)
    graph = skl2onnx.to_onnx(mlp, whole[:1], options={"zipmap": False})
    assert_predicts(onnx_outputs(graph.SerializeToString(), whole), mlp, whole, np.float32)
    with pytest.raises(NotFittedError):
        skl2onnx.to_onnx(MLPClassifier(), ROWS[:1])
