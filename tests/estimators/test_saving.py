"""Estimators in files: saved and loaded, or exported, they predict what they did."""

import copy
import json
import os
import pathlib

import numpy as np
import pytest
import sklearn.base
from bits import bits
from exported import assert_same, module_of, rows
from memory_of_files import little_memory
from model_files import parts_of, write
from sklearn.exceptions import NotFittedError

import fastnn
from fastnn import Elu, LeakyRelu, MLPClassifier, MLPRegressor, ModelFileError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


LABELS = {
    "text": np.array(["no", 'ye"s', "per\nhaps"]),
    "two": np.array([-1, 7]),
    "one": np.array([4]),
    "booleans": np.array([False, True]),
    "floats": np.array([0.0, 1.0, 3.0]),
}


@pytest.mark.parametrize("case", LABELS)
def test_a_classifier_predicts_labels(tmp_path, case, dtype):
    X, labels = rows(dtype), LABELS[case]
    y = labels[np.arange(len(X)) % len(labels)]
    mlp = MLPClassifier((8,), max_iter=3, random_state=0, tol=0).fit(X, y)
    module = module_of(mlp, tmp_path)
    assert_same(module["predict_proba"](X), mlp.predict_proba(X), case)
    assert module["predict"](X).tolist() == mlp.predict(X).tolist()


def test_a_classifier_of_several_labels_predicts_zeros_and_ones(tmp_path):
    X = rows()
    mlp = MLPClassifier((8,), max_iter=3, random_state=0).fit(X, X[:, :3] > 0)
    module = module_of(mlp, tmp_path)
    assert_same(module["predict_proba"](X), mlp.predict_proba(X), "probabilities")
    assert np.array_equal(module["predict"](X), mlp.predict(X))


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_regressor_predicts_numbers(tmp_path, n_outputs):
    X = rows()
    mlp = MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, random_state=0).fit(X, X[:, :n_outputs].squeeze())
    assert_same(module_of(mlp, tmp_path)["predict"](X), mlp.predict(X), "outputs")


def test_unfitted_and_damaged_estimators_are_refused(tmp_path):
    with pytest.raises(NotFittedError, match="MLPRegressor instance is not fitted yet"):
        MLPRegressor().export(tmp_path / "net.py")
    mlp = MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, tol=0).fit(rows(), rows()[:, 0])
    mlp.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="coefs_ and intercepts_ must be finite"):
        mlp.export(tmp_path / "net.py")


X = rows(n=60)
CLASSES = np.arange(60) % 3
TEXTS = np.array(["b", "a", "longer"])
KINDS = {
    "regressor": (MLPRegressor(), X[:, 0]),
    "two outputs": (MLPRegressor("huber", [6, 5], ("tanh", "gelu")), X[:, :2]),
    "poisson": (MLPRegressor("poisson", 7, LeakyRelu(0.25)), abs(X[:, 0])),
    "values": (MLPRegressor("huber", [6, 5], ("tanh", Elu(0.5))), X[:, 0]),
    "lbfgs": (MLPRegressor(solver="lbfgs", max_iter=20), X[:, 0]),
    "no hidden layer": (MLPClassifier(()), CLASSES),
    "an array": (MLPClassifier(np.array([4, 3]), n_iter_no_change=np.inf), CLASSES),
    "early stopping": (MLPClassifier((6,), early_stopping=True, class_weight={0: 2.0, 2: np.float64(1)}), CLASSES),
    "two classes": (MLPClassifier((6,), solver="rprop", alpha=np.float32(0.5)), CLASSES == 1),
    "one class": (MLPClassifier((6,)), np.full(60, 7)),
    "text": (MLPClassifier((6,), class_weight={"a": 2.0}), TEXTS[CLASSES]),
    "objects": (MLPClassifier((6,)), TEXTS.astype(object)[CLASSES]),
    "unsigned": (MLPClassifier((6,)), CLASSES.astype(np.uint8)),
    "floats": (MLPClassifier((6,)), CLASSES.astype(np.float32)),
    "several labels": (MLPClassifier((6,), class_weight=[{0: 1, 1: 2}, {0: 1, 1: 3}]), X[:, :2] > 0),
    "a generator": (MLPClassifier((6,), random_state=np.random.RandomState(3)), CLASSES),
}
NEVER = {"_flat", "_optimizer", "_random_state", "_seeded", "_label_binarizer", "coefs_", "intercepts_"}
NEVER |= {"_best_coefs", "_best_intercepts"}


def fitted(kind, dtype=np.float64):
    mlp, y = KINDS[kind]
    more = {} if mlp.random_state is not None or "lbfgs" in kind else {"random_state": 0, "max_iter": 5}
    return sklearn.base.clone(mlp).set_params(**more).fit(X.astype(dtype), y)


def assert_equal(a, b):
    if isinstance(a, (np.ndarray, list, tuple)):
        assert type(a) is type(b)
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_comes_back(path, kind, dtype):
    mlp = fitted(kind, dtype)
    mlp.save(path)
    loaded = type(mlp).load(path)
    rows = X.astype(dtype)
    for method in ("predict", "predict_proba"):
        if hasattr(mlp, method):
            for some in (rows, rows[:1]):
                assert_equal(getattr(loaded, method)(some), getattr(mlp, method)(some))
    for a, b in zip(loaded.coefs_ + loaded.intercepts_, mlp.coefs_ + mlp.intercepts_, strict=True):
        assert bits(a) == bits(b)
    parameters = mlp.get_params() | ({"random_state": None} if kind == "a generator" else {})
    parameters |= {"hidden_layer_sizes": [4, 3]} if kind == "an array" else {}
    assert loaded.get_params() == parameters
    attributes = vars(mlp).keys() - parameters.keys() - NEVER
    assert attributes == vars(loaded).keys() - parameters.keys() - NEVER
    for name in attributes:
        assert_equal(getattr(loaded, name), getattr(mlp, name))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("lbfgs", "early stopping")])
def test_what_was_loaded_can_be_fitted_further(path, kind):
    mlp, y = fitted(kind), KINDS[kind][1]
    mlp.save(path)
    loaded = type(mlp).load(path)
    assert loaded.partial_fit(X, y).n_iter_ > 0
    assert loaded.t_ == mlp.t_ + len(X)
    assert not np.array_equal(loaded.coefs_[0], mlp.coefs_[0])
    loaded.fit(X, y)
    assert loaded.n_features_in_ == X.shape[1]


def test_names_of_features_are_kept(path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "ünï", "", "d" * 1000, "e"])
    mlp = MLPRegressor(max_iter=3).fit(frame, X[:, 0])
    mlp.save(path)
    loaded = MLPRegressor.load(path)
    assert_equal(loaded.feature_names_in_, mlp.feature_names_in_)
    assert_equal(loaded.predict(frame), mlp.predict(frame))
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(frame[["ünï", "a", "", "d" * 1000, "e"]])


def test_a_file_that_was_once_written_is_read():
    loaded = MLPClassifier.load(pathlib.Path(__file__).parents[1] / "support" / "data" / "format_2" / "estimator.npz")
    assert loaded.classes_.tolist() == ["no", "perhaps", "yes"]
    assert (loaded.hidden_layer_sizes, loaded.n_iter_, len(loaded.loss_curve_)) == ((4,), 5, 5)
    assert set(loaded.predict(X[:, :3])) <= {"no", "perhaps", "yes"}


class Mine(MLPClassifier):
    """A class of the user's own."""


def test_a_subclass_loads_as_what_it_is(path):
    fitted("text").save(path)
    assert type(Mine.load(path)) is Mine


def test_an_estimator_takes_little_more_than_its_weights(path):
    mlp = MLPClassifier((64,), max_iter=5).fit(np.random.RandomState(0).rand(100, 64), np.arange(100) % 10)
    mlp.save(path)
    assert path.stat().st_size < 8 * (64 * 64 + 64 + 64 * 10 + 10) + 3500


def test_what_cannot_be_saved_is_refused(path):
    with pytest.raises(NotFittedError):
        MLPRegressor().save(path)
    mlp = fitted("text")
    for change, match in (
        ({"classes_": np.array([("a", 1), None, 2], object)}, "only labels that are finite numbers, booleans or texts"),
        ({"verbose": 1j}, "verbose cannot be saved: it holds complex, which is neither number nor text"),
    ):
        changed = copy.deepcopy(mlp)
        vars(changed).update(change)
        with pytest.raises((TypeError, ValueError), match=match):
            changed.save(path)
    mlp.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="coefs_ and intercepts_ must be finite"):
        mlp.save(path)
    assert os.listdir(path.parent) == []


def test_other_files_are_refused_and_say_what_reads_them(path):
    fitted("text").save(path)
    with pytest.raises(ModelFileError, match="it holds a classifier, not a regressor"):
        MLPRegressor.load(path)
    with pytest.raises(ModelFileError, match=r"it holds an estimator, not a training result: MLPClassifier.load reads"):
        fastnn.load(path)
    fitted("text").to_result().save(path, state=False)
    with pytest.raises(ModelFileError, match=r"a training result, no estimator: fastnn.load reads it, from_result"):
        MLPClassifier.load(path)
    with pytest.raises(FileNotFoundError):
        MLPClassifier.load(path.parent / "nothing")


CHANGES = {
    "kind": lambda header, arrays: header.update(kind=[1]),
    "network": lambda header, arrays: header["network"].update(activation="tanh"),
    "no parameters": lambda header, arrays: header.update(parameters=None),
    "unknown parameter": lambda header, arrays: header["parameters"].update(colour=3),
    "illegal parameter": lambda header, arrays: header["parameters"].update(alpha=-1),
    "activations": lambda header, arrays: header["parameters"].update(activation=["relu", "relu"]),
    "unhashable": lambda header, arrays: header["parameters"].update(class_weight={"dict": [[[], 1]]}),
    "back end": lambda header, arrays: header.update(backend=3),
    "unknown attribute": lambda header, arrays: header["fitted"].update(predict=1),
    "method": lambda header, arrays: header["fitted"].update(predict=None),
    "attribute": lambda header, arrays: header["fitted"].update(loss_=[]),
    "curve": lambda header, arrays: header["fitted"].update(loss_curve_=3),
    "output": lambda header, arrays: header["fitted"].update(out_activation_="softmin"),
    "labels": lambda header, arrays: header.pop("labels"),
    "kind of labels": lambda header, arrays: header["labels"].update(kind="O"),
    "type of labels": lambda header, arrays: header["labels"].update(type="binary"),
    "unknown type of labels": lambda header, arrays: header["labels"].update(type="many"),
    "long labels": lambda header, arrays: (
        header["labels"].update(kind="U"),
        arrays.update(classes=np.frombuffer(json.dumps(["x" * 5000, *map(str, range(5000))]).encode(), np.uint8)),
    ),
    "a curve of two dimensions": lambda header, arrays: arrays.update(loss_curve=np.zeros((2, 2))),
    "number of labels": lambda header, arrays: arrays.update(classes=np.arange(2)),
    "no labels": lambda header, arrays: arrays.pop("classes"),
    "text": lambda header, arrays: (header["labels"].update(kind="U"), arrays.update(classes=np.zeros(3, np.uint8))),
    "unended names": lambda header, arrays: arrays.update(
        feature_names=np.frombuffer(b'["a", "b", "c", "d", "e"], 3', np.uint8)
    ),
    "names that are numbers": lambda header, arrays: arrays.update(feature_names=np.arange(5.0)),
    "names": lambda header, arrays: arrays.update(feature_names=np.frombuffer(b'["a", "b"]', np.uint8)),
    "no names": lambda header, arrays: arrays.update(feature_names=np.frombuffer(b"[1, 2, 3, 4, 5]", np.uint8)),
    "weights": lambda header, arrays: arrays.update(params=arrays["params"] * np.inf),
    "fewer weights": lambda header, arrays: arrays.update(params=arrays["params"][1:]),
}


@pytest.mark.parametrize("case", CHANGES)
def test_damaged_files_are_refused(path, case):
    fitted("unsigned").save(path)
    header, arrays = parts_of(path.read_bytes())
    CHANGES[case](header, arrays)
    write(path, header, arrays)
    with pytest.raises(ModelFileError, match=r"model.npz: (damaged|it holds a)"):
        MLPClassifier.load(path)


@pytest.mark.parametrize("name", ["feature_names", "classes"])
@pytest.mark.parametrize("value", ["{}", "[]", '"ab"', '{"a":[]}'])
def test_long_lists_are_refused_before_they_are_parsed(path, name, value):
    """Of names and labels there are as many as the network has inputs and outputs, and nothing is within them."""
    fitted("text").save(path)
    header, arrays = parts_of(path.read_bytes())
    write(path, header, arrays | {name: np.frombuffer(f"[{', '.join([value] * 300_000)}]".encode(), np.uint8)})
    with little_memory(path, base=2_000_000, factor=4), pytest.raises(ModelFileError) as error:
        MLPClassifier.load(path)
    assert "damaged: one of its lists has more values than" in str(error.value)


def test_many_long_names_and_labels_come_back(path):
    """As long and as many as the data have them, with characters that mean something in JSON."""
    pandas = pytest.importorskip("pandas")
    n = 5_000
    frame = pandas.DataFrame(np.eye(3, n), columns=[f'[{{"{i}": ünï, \\}}], ' for i in range(n)])
    labels = np.array(["], [", '"', "\\\n" * 100])
    mlp = MLPClassifier((1,), max_iter=1).fit(frame, labels)
    mlp.save(path)
    loaded = MLPClassifier.load(path)
    assert_equal(loaded.feature_names_in_, mlp.feature_names_in_)
    assert_equal(loaded.classes_, mlp.classes_)
