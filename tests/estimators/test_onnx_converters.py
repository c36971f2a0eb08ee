"""Estimators in ONNX, exported or in a Pipeline that skl2onnx converts: they predict what we do."""

import numpy as np
import pytest
from exported import assert_same, rows
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import MLPClassifier, MLPRegressor, register_onnx_converters

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
skl2onnx = pytest.importorskip("skl2onnx")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 200
CLASSES = np.arange(N) % 3
X = rows(n=N)
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
MODELS = {
    "text": (MLPClassifier(activation="gelu"), np.array(["b", "a", "ünï"])[CLASSES]),
    "objects": (MLPClassifier(), np.array(["b", "a", "longer"], object)[CLASSES]),
    "numbers": (MLPClassifier(activation="elu"), CLASSES * 10 - 5),
    "small numbers": (MLPClassifier(), CLASSES.astype(np.uint8)),
    "floats": (MLPClassifier(), CLASSES.astype(float)),
    "two": (MLPClassifier(activation="softplus"), np.array(["yes", "no"])[CLASSES % 2]),
    "booleans": (MLPClassifier(), CLASSES > 0),
    "one": (MLPClassifier(), np.full(N, 7)),
    "several labels": (MLPClassifier(activation="selu"), X[:, :3] > 0),
    "regressor": (MLPRegressor(activation="silu"), X[:, 0]),
    "two outputs": (MLPRegressor(activation="leaky_relu"), X[:, :2]),
    "poisson": (MLPRegressor("poisson", activation="logistic"), abs(X[:, 0])),
}


def outputs_of(graph, X):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: X}), strict=True))


def assert_predicts(outputs, mlp, X, dtype):
    """The outputs of a graph, by name, are our predictions."""
    if hasattr(mlp, "predict_proba"):
        assert list(outputs) == ["label", "probabilities"]
        assert outputs["label"].tolist() == mlp.predict(X).tolist()
        assert_same(outputs["probabilities"], mlp.predict_proba(X).astype(dtype), "probabilities")
    else:
        assert list(outputs) == ["variable"]
        assert_same(outputs["variable"], mlp.predict(X).reshape(len(X), -1).astype(dtype), "variable")


@pytest.mark.parametrize("case", MODELS)
def test_an_exported_estimator(tmp_path, case, dtype):
    mlp, y = MODELS[case]
    mlp.set_params(**SMALL).fit(X.astype(dtype), y)
    mlp.export(tmp_path / "net.onnx")
    assert_predicts(outputs_of((tmp_path / "net.onnx").read_bytes(), X.astype(dtype)), mlp, X.astype(dtype), dtype)


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("fitted_in", [np.float32, np.float64])
def test_a_pipeline_with_a_scaler(case, dtype, fitted_in):
    """It takes rows of a dtype, in which it returns probabilities, whatever the network computes in."""
    register_onnx_converters()
    mlp, y = MODELS[case]
    pipeline = make_pipeline(StandardScaler(), mlp.set_params(**SMALL)).fit(X.astype(fitted_in), y)
    graph = skl2onnx.to_onnx(pipeline, X[:1].astype(dtype))
    assert "ZipMap" not in {node.op_type for node in graph.graph.node}
    scaled = StandardScaler().fit(X.astype(fitted_in)).transform(X.astype(dtype))
    outputs = outputs_of(graph.SerializeToString(), X.astype(dtype))
    assert_predicts(outputs, mlp, scaled, dtype)


def test_options_and_other_inputs():
    register_onnx_converters()
    whole = CLASSES[:, None].astype(np.int64)
    mlp = MLPClassifier(**SMALL).fit(whole, CLASSES)
    graph = skl2onnx.to_onnx(mlp, whole[:1], options={"zipmap": False})
    assert_predicts(outputs_of(graph.SerializeToString(), whole), mlp, whole, np.float32)
    with pytest.raises(NotFittedError):
        skl2onnx.to_onnx(MLPClassifier(), X[:1])
