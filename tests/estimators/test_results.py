"""Between estimators and results of train: what one predicts, the other does."""

import numpy as np
import pytest
from bits import assert_same_bits
from exported import rows, trained
from numpy.testing import assert_allclose
from small_estimators import KINDS, ROWS, fitted

import fastnn
from fastnn import MLPClassifier, MLPRegressor, Network


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize(
    "labels", [["a", "b", "c"], ["c", "a", "b"], [30, -1, 2], np.array(["x", "y", "w"], object)]
)
def test_a_classifier_of_a_result(labels, loss, dtype):
    """Its labels are those of the outputs, in whatever order they are."""
    result = trained(Network((5, 6, 3), "tanh", "softmax", loss), dtype)
    X = rows(dtype)
    p = result.predict(rows(dtype))
    mlp = MLPClassifier.from_result(result, labels, max_iter=3)
    given = [str(label) if isinstance(labels[0], str) else label for label in labels]
    assert mlp.classes_.tolist() == sorted(given)
    order = [given.index(label) for label in mlp.classes_.tolist()]
    assert_allclose(mlp.predict_proba(X), p[:, order], rtol=10 * np.finfo(dtype).eps)
    assert mlp.predict(X).tolist() == [given[i] for i in p.argmax(axis=1)]
    assert mlp.loss == {"cross_entropy": "log_loss"}.get(loss, loss)
    y = np.array(given)[np.arange(len(X)) % 3]
    mlp.partial_fit(X, y)
    assert mlp.score(X, y) == (mlp.predict(X) == y).mean()
    assert set(mlp.fit(X, y).classes_) == set(given)


@pytest.mark.parametrize("labels", [["no", "yes"], ["yes", "no"], [True, False]])
def test_a_classifier_of_one_sigmoid_output(labels, dtype):
    """The second label is that of the output 1."""
    result = trained(Network((5, 6, 1), "tanh", "sigmoid", "log_loss"), dtype)
    X = rows(dtype)
    p = result.predict(rows(dtype))[:, 0]
    mlp = MLPClassifier.from_result(result, labels)
    assert mlp.predict(X).tolist() == [labels[int(yes)] for yes in p > 0.5]
    column = mlp.classes_.tolist().index(labels[1])
    assert_allclose(mlp.predict_proba(X)[:, column], p, rtol=0, atol=10 * np.finfo(dtype).eps)


def test_a_classifier_of_several_sigmoid_outputs(dtype):
    result = trained(Network((5, 6, 3), "tanh", "sigmoid", "log_loss"), dtype)
    X = rows(dtype)
    p = result.predict(rows(dtype))
    mlp = MLPClassifier.from_result(result, range(3))
    assert_same_bits(mlp.predict_proba(X), p)
    assert np.array_equal(mlp.predict(X), p > 0.5)
    mlp.partial_fit(X, p > 0.5)
    with pytest.raises(
        ValueError, match=r"of several sigmoid outputs must be range\(3\), not \['a', 'b', 'c'\]"
    ):
        MLPClassifier.from_result(result, ["a", "b", "c"])


def test_results_that_make_no_estimator_are_refused():
    softmax, tanh, huber = (
        trained(Network((5, 3), output=output, loss=loss), np.float64)
        for output, loss in (
            ("softmax", "cross_entropy"),
            ("tanh", "squared_error"),
            ("softmax", "huber"),
        )
    )
    for error, kind, given, options, match in (
        (
            ValueError,
            MLPRegressor,
            [softmax],
            {},
            "no output 'softmax' with the loss 'cross_entropy'; it has identity",
        ),
        (
            ValueError,
            MLPClassifier,
            [tanh, [1, 2, 3]],
            {},
            "Classifier has no output 'tanh' .*; it has softmax with",
        ),
        (
            ValueError,
            MLPClassifier,
            [huber, [1, 2, 3]],
            {},
            "has no output 'softmax' with the loss 'huber'",
        ),
        (
            TypeError,
            MLPRegressor,
            [tanh.network],
            {},
            "MLPRegressor.from_result takes a result of train, not Network",
        ),
        (
            TypeError,
            MLPClassifier,
            [softmax, [1, 2, 3]],
            {"loss": "huber"},
            "loss cannot be given: the result's netw",
        ),
        (TypeError, MLPClassifier, [softmax, [1, 2, 3]], {"colour": 3}, "colour"),
    ):
        with pytest.raises(error, match=match):
            kind.from_result(*given, **options)
    for classes, match in (
        ([1, 2], r"classes must be the labels of 3 outputs, not \[1, 2\]"),
        ([1, 2, 2], r"classes must differ, unlike \[1, 2, 2\]"),
        ([{}, True, {}], "classes must be labels that can be sorted, not"),
        (3, "classes must be the labels of 3 outputs, not 3"),
        ([[1], [2], [3]], "classes must be the labels of 3 outputs"),
        (None, "classes must be the labels of 3 outputs, not None"),
    ):
        with pytest.raises(ValueError, match=match):
            MLPClassifier.from_result(softmax, classes)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in ("one class", "several labels")]
)
def test_a_result_of_an_estimator(tmp_path, kind, dtype):
    X = ROWS.astype(dtype)
    mlp = fitted(kind, dtype)
    result = mlp.to_result()
    outputs = mlp.predict_proba(X) if hasattr(mlp, "classes_") else mlp.predict(X)
    outputs = outputs[:, 1:] if kind == "two classes" else outputs.reshape(len(X), -1)
    assert_same_bits(result.predict(X), outputs)
    assert result.history.loss.tolist() == getattr(mlp, "loss_curve_", [])
    assert (result.backend, result.stop_reason) == (
        mlp.backend,
        "epochs" if kind == "lbfgs" else mlp.stop_reason_,
    )
    result.save(tmp_path / "model", state=False)
    assert_same_bits(fastnn.load(tmp_path / "model").predict(X), outputs)
    back = type(mlp).from_result(result, *([mlp.classes_] if hasattr(mlp, "classes_") else []))
    assert back.predict(X).tolist() == mlp.predict(X).tolist()
    with pytest.raises(ValueError, match="no row order"):
        result.resume(X, outputs, epochs=1)
