"""Attributes of fitted estimators that somebody replaced: an error says which. Any of them: the fuzzer's estimators."""

import pickle
import warnings

import numpy as np
import pytest

from fastnn import MLPClassifier, MLPRegressor

X = np.random.RandomState(0).standard_normal((30, 4))
LABELS = np.arange(30) % 3
KINDS = {"classifier": MLPClassifier, "regressor": MLPRegressor}


def fitted(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp = KINDS[kind](hidden_layer_sizes=(5,), max_iter=2, random_state=0, warm_start=True)
        return mlp.fit(X, LABELS).partial_fit(X, LABELS)


FITTED = {kind: pickle.dumps(fitted(kind)) for kind in KINDS}
CALLS = {
    "predict": lambda mlp, folder: mlp.predict(X),
    "partial_fit": lambda mlp, folder: mlp.partial_fit(X, LABELS),
    "save": lambda mlp, folder: mlp.save(folder / "mlp.npz"),
    "export": lambda mlp, folder: mlp.export(folder / "mlp.py"),
    "to_result": lambda mlp, folder: mlp.to_result(),
}


SAID = [
    ("classifier", "_label_binarizer", 3, "predict"),
    ("classifier", "_label_binarizer", "x", "partial_fit"),
    ("classifier", "classes_", 1.0, "predict"),
    ("classifier", "classes_", 1.0, "save"),
    ("classifier", "classes_", 1.0, "export"),
    ("classifier", "classes_", np.array([1, 2]), "save"),
    ("classifier", "out_activation_", [], "predict"),
    ("regressor", "activation", 3, "predict"),
    ("regressor", "n_outputs_", np.zeros(3), "predict"),
    ("regressor", "_optimizer", 3, "partial_fit"),
    ("regressor", "loss_curve_", "x", "partial_fit"),
    ("regressor", "loss_curve_", 3, "to_result"),
    ("regressor", "feature_names_in_", 3, "to_result"),
    ("regressor", "feature_names_in_", np.array(["a", "b"], object), "to_result"),
    ("classifier", "feature_names_in_", np.zeros((2, 2)), "save"),
    ("regressor", "_no_improvement_count", "x", "partial_fit"),
    ("regressor", "best_loss_", [], "partial_fit"),
    ("regressor", "alpha", "x", "partial_fit"),
    ("regressor", "batch_size", [], "partial_fit"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "name", "value", "call"), SAID)
def test_an_error_names_the_attribute(kind, name, value, call, tmp_path):
    mlp = pickle.loads(FITTED[kind])
    setattr(mlp, name, value)
    with pytest.raises((TypeError, ValueError), match=f"^(The ')?{name}"):
        CALLS[call](mlp, tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_weights_that_are_none_of_ours_are_made_anew():
    mlp = pickle.loads(FITTED["regressor"])
    right = mlp.predict(X)
    mlp._flat = 3
    assert np.array_equal(mlp.predict(X), right)
    mlp._seeded = "x"
    mlp.fit(X, LABELS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sizes", [np.broadcast_to(np.zeros(1), (2**12, 4)), np.zeros(10**5), [0] * 10**5])
def test_an_error_shows_no_whole_array(sizes):
    mlp = pickle.loads(FITTED["classifier"])
    mlp.hidden_layer_sizes = sizes
    for fit in mlp.partial_fit, mlp.fit:
        with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0, got ") as caught:
            fit(X, LABELS)
        assert len(str(caught.value)) < 500
