"""Exported estimators of tables: in C with our bits; in ONNX and as a module of Python to rounding."""

import contextlib
import ctypes
import runpy
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from bits import bits
from exported import assert_same
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from small_tables import SHORT, both, mixed

from fastnn import TabularClassifier, TabularRegressor

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler cc")
FLAGS = ["cc", "-O2", "-ffp-contract=off", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]


def with_gaps(frame, seed=0):
    """The frame without a tenth of what its columns hold."""
    return frame.mask(np.random.RandomState(seed).rand(*frame.shape) < 0.1)


def of_iris():
    frame, y = load_iris(return_X_y=True, as_frame=True)
    return frame, np.array(["setosa", "versicolor", "virginica"])[y]


def of_breast_cancer():
    """With gaps in the numbers, and a column of words."""
    frame, y = load_breast_cancer(return_X_y=True, as_frame=True)
    frame = with_gaps(frame.iloc[:, :8])
    return frame.assign(size=pd.cut(frame["mean radius"], 4, labels=["s", "m", "l", "xl"]).astype(object)), y


def of_wine():
    """Words of 12 levels, of which the rarest are one, and a column of two levels."""
    frame, y = load_wine(return_X_y=True, as_frame=True)
    letters = np.array(list("abcdefghijkl"))[pd.qcut(frame["hue"], 12, labels=False)]
    return pd.DataFrame({"letter": letters, "old": frame["alcohol"] > 13, "ash": frame["ash"], "none": 1.0}), y


def of_diabetes():
    frame, y = load_diabetes(return_X_y=True, as_frame=True)
    return with_gaps(frame.assign(sex=np.where(frame["sex"] > 0, "f", "m"))), y.to_numpy()


def of_words():
    frame, y = of_wine()
    return frame[["letter"]], y


def of_mixed():
    frame, labels, _ = mixed()
    return frame, labels


def of_targets():
    frame, y = load_diabetes(return_X_y=True)
    return frame, np.column_stack([y, frame[:, 0]])


def of_constants():
    return np.ones((40, 2)), np.arange(40.0)


CLASSES = {"iris": of_iris, "breast cancer": of_breast_cancer, "wine": of_wine, "words": of_words, "mixed": of_mixed}
TARGETS = {"diabetes": of_diabetes, "two targets": of_targets, "constants": of_constants}


@pytest.fixture(scope="module", params=[*CLASSES, *TARGETS])
def fitted(request):
    """An estimator, a table of more gaps and unknown words, and what it predicts of it."""
    X, y = {**CLASSES, **TARGETS}[request.param]()
    kind = TabularClassifier if request.param in CLASSES else TabularRegressor
    model = kind("fast", max_categories=8, **SHORT)
    rare = request.param in ("wine", "words")
    with pytest.warns(UserWarning, match="has 12 levels") if rare else contextlib.nullcontext():
        model.fit(X, y)
    if isinstance(X, pd.DataFrame):
        X = pd.concat([X, with_gaps(X, 1)], ignore_index=True)
        for name in ("letter", "size", "color"):
            if name in X and X[name].dtype == object:
                X.loc[X.index % 5 == 0, name] = "unknown"
    else:
        X = np.where(np.random.RandomState(1).rand(*X.shape) < 0.1, np.nan, X)
    predicted = model.predict_proba(X) if kind is TabularClassifier else model.predict(X)
    return model, X, predicted


def in_numbers(model, X):
    """A table as C takes it: levels by their numbers."""
    columns = [X[name].tolist() for name in X] if isinstance(X, pd.DataFrame) else X.T.tolist()
    levels = {one.column: one for one in model.preparation_.levels_}
    x = np.full((len(X), len(columns)), np.nan)
    for j, column in enumerate(columns):
        for i, value in enumerate(column):
            gap = value is None or value is pd.NA or value != value
            if j in levels:
                known = levels[j].levels
                rest = len(known) if levels[j].has_rest and not gap else np.nan
                x[i, j] = known.index(value) if not gap and value in known else rest
            elif not gap:
                x[i, j] = value
    return x


@needs_cc
@pytest.mark.parametrize("flags", [[], ["-O3", "-march=native", "-DNET_BUFFER="]], ids=["plain", "native"])
def test_c_has_the_bits_of_predict(fitted, flags, tmp_path):
    model, X, predicted = fitted
    model.export(tmp_path / "net.c")
    command = [*FLAGS, *flags, "-shared", "-fPIC", "-o", "net.so", "net.c", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    x, out = in_numbers(model, X), np.full(predicted.shape, 7.0)
    library = ctypes.CDLL(str(tmp_path / "net.so"))
    library.net_predict_batch(ctypes.c_size_t(len(x)), *(ctypes.c_void_p(a.ctypes.data) for a in (x, out)))
    assert bits(out) == bits(predicted)


def test_the_header_says_what_a_row_is(tmp_path):
    X, y = of_wine()
    X = X.rename(columns={"ash": "ash */"})
    with pytest.warns(UserWarning, match="has 12 levels"):
        model = TabularClassifier("fast", max_categories=8, **SHORT).fit(X, y)
    _, header = model.export(tmp_path / "net.c")
    text = header.read_text()
    levels = model.preparation_.levels_[0].levels
    assert "#define NET_N_INPUTS 4\n#define NET_N_OUTPUTS 3\n" in text
    told = ", ".join(f"{k} {level!r}" for k, level in enumerate(levels))
    assert f"x[0], 'letter': {told}, 7 another word; NaN where it is missing\n" in text
    assert "x[1], 'old': 0 False, 1 True; NaN for any other\n" in text
    assert "x[2], 'ash * /': a number, NaN where it is missing\n" in text
    assert "x[3], 'none': not looked at\n" in text
    assert "Outputs are probabilities, of the labels [0, 1, 2]." in text


@needs_cc
def test_the_header_says_how_much_memory_it_takes(tmp_path):
    nm = shutil.which("nm") or pytest.skip("there is no nm")
    _, header = both()["classifier"][0].fit(*of_mixed()).export(tmp_path / "net.c")
    subprocess.run([*FLAGS, "-fno-builtin", "-O0", "-c", "net.c"], cwd=tmp_path, check=True)
    lines = subprocess.run([nm, "-S", tmp_path / "net.o"], capture_output=True, check=True, text=True).stdout
    symbols = [line.split() for line in lines.splitlines()]
    sizes = {kind: sum(int(s[1], 16) for s in symbols if len(s) == 4 and s[2] == kind) for kind in "br"}
    assert f"ROM: {sizes['r']:,} bytes of constants" in header.read_text()
    assert f"RAM: {sizes['b']:,} bytes of buffers" in header.read_text()


def test_the_module_of_python_takes_the_table_as_it_is(fitted, tmp_path):
    model, X, predicted = fitted
    (path,) = model.export(tmp_path / "net.py")
    module = runpy.run_path(path)
    function = module["predict_proba" if "classes_" in vars(model) else "predict"]
    tables = [X]
    if isinstance(X, pd.DataFrame):
        tables = [X[X.columns[::-1]], {name: X[name].tolist() for name in X}, X.to_numpy(object)]
    for table in tables:
        found = function(table)
        assert_same(found.astype(np.float32), predicted.astype(np.float32), "the module's prediction")
        if "classes_" in vars(model):
            same = np.sort(predicted)[:, -1] - np.sort(predicted)[:, -2] > 1e-4
            assert (module["predict"](table)[same] == model.predict(X)[same]).all()


def test_the_module_refuses_rows_of_another_length(tmp_path):
    (path,) = both()["classifier"][0].fit(*of_mixed()).export(tmp_path / "net.py")
    with pytest.raises(ValueError, match=r"X must have the shape \(n, 7\), not \(2, 3\)"):
        runpy.run_path(path)["predict"](np.zeros((2, 3)))


REFUSED_ROWS = [
    ({"worn": ["True", "False"]}, "column 0 of X holds words where it held none, or the reverse"),
    ({"size": ["1", "large"]}, "column 1 of X holds words where it held numbers"),
    ({"size": [1.0, np.inf]}, "X holds infinity"),
    ({"color": [1.0, 2.0]}, "column 2 of X holds words where it held none, or the reverse"),
]


def test_the_module_refuses_what_predict_refuses(tmp_path):
    random_state = np.random.RandomState(0)
    columns = {"worn": [True, False] * 20, "size": random_state.rand(40), "color": ["red", "blue"] * 20}
    X = pd.DataFrame(columns)
    model = TabularRegressor("fast", **SHORT).fit(X, X["worn"] + X["size"])
    model.export(tmp_path / "table.py")
    predict = runpy.run_path(str(tmp_path / "table.py"))["predict"]
    for changed, message in REFUSED_ROWS:
        rows = X[:2].assign(**changed)
        with pytest.raises(ValueError, match=message):
            predict(rows)
        with pytest.raises(ValueError, match=next(iter(changed))):
            model.predict(rows)
    with pytest.raises(ValueError, match=r"X lacks the columns \['size'\]"):
        predict(X.drop(columns="size"))


def test_onnx_has_no_text_left_for_a_gap_beside_the_empty_one_and_a_rest(tmp_path):
    words = ["", "a", "b", "c", *"defghijklm"] * 4
    with pytest.warns(UserWarning, match="infrequent|levels"):
        model = TabularRegressor("fast", max_categories=5, **SHORT).fit([[word] for word in words], np.arange(56.0))
    with pytest.raises(ValueError, match="has the empty text as a level"):
        model.export(tmp_path / "table.onnx")


def test_onnx_takes_words_as_texts(fitted, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, X, predicted = fitted
    (path,) = model.export(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = {}
    for one in session.get_inputs():
        if one.name == "X":
            fed["X"] = np.asarray(X, float)
        elif one.type == "tensor(string)":
            number = X.columns.get_loc(one.name)
            levels = next(levels.levels for levels in model.preparation_.levels_ if levels.column == number)
            text_of = {level: str(level) for level in levels}  # 1.0 is the level 1
            texts = ["" if pd.isna(word) else text_of.get(word, "unknown") for word in X[one.name]]
            fed[one.name] = np.array(texts, object)[:, None]
        else:
            fed[one.name] = X[[one.name]].to_numpy(float, na_value=np.nan)
    found = session.run(None, fed)
    outputs = found[-1][:, 0] if predicted.ndim == 1 else found[-1]
    assert found[-1].dtype == np.float64
    assert_same(outputs.astype(np.float32), predicted.astype(np.float32), "ONNX Runtime's prediction")
    if "classes_" in vars(model):
        same = np.sort(predicted)[:, -1] - np.sort(predicted)[:, -2] > 1e-4
        assert (found[0][same] == model.predict(X)[same]).all()


def test_a_column_with_the_name_of_an_output_is_refused(tmp_path):
    pytest.importorskip("onnx")
    X, y = of_wine()
    X = X.rename(columns={"ash": "label"}).drop(columns="letter")
    model = TabularClassifier("fast", **SHORT).fit(X, y)
    with pytest.raises(ValueError, match="the column 'label' has the name of an output of the graph: rename it"):
        model.export(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_format_of_networks_alone_is_refused(tmp_path):
    model = TabularClassifier("fast", **SHORT).fit(*of_iris())
    with pytest.raises(ValueError, match=r"says no format: write \.py \(numpy\), \.c \(c\), \.onnx \(onnx\);"):
        model.export(tmp_path / "net.safetensors")
