"""Exported estimators of tables: in C and as a function of one row with our bits; in ONNX and
Python to rounding."""

import ctypes
import enum
import re
import runpy
import subprocess

import numpy as np
import pandas as pd
import pytest
from bits import assert_same_bits, bits
from exported import assert_same, onnx_outputs
from exported_tables import STRICT, in_numbers, library_of, outputs_in_c, outputs_in_onnx
from in_c import needs_cc
from numpy.random import RandomState
from numpy.testing import assert_array_equal
from object_file import symbols_of
from small_tables import (
    FRAME,
    LABELS,
    fit,
    ignores_far,
    ignores_new_gaps,
    ignores_new_words,
    mixed,
    outputs,
)
from tree import ROOT

from fastnn import Network, TablePreparation, predict
from fastnn.compiler.loader import IN_PYTHON
from fastnn.tabular import to_c
from fastnn.tabular.calibration import Unsmoothing
from fastnn.tabular.export import TableModel

ignores_many_levels = pytest.mark.filterwarnings("ignore:column .* has 1[0-9] levels")
pytestmark = [ignores_many_levels, ignores_new_gaps, ignores_new_words]


def with_gaps(frame, seed=0):
    """The frame without a tenth of what its columns hold."""
    return frame.mask(RandomState(seed).rand(*frame.shape) < 0.1)


def tables():
    """By name: a frame or an array, and classes or numbers."""
    frame, _, numbers = mixed(150)
    thirds = pd.qcut(numbers, 3, labels=False)
    plain = pd.DataFrame(RandomState(2).randn(150, 8), columns=[f"column {j}" for j in range(8)])
    # the rarest are one
    letter = np.array(list("abcdefghijkl"))[pd.qcut(plain["column 1"], 12, labels=False)]
    many, labels, _ = mixed(420)
    rows = RandomState(3).randn(420, 3)
    sizes = pd.cut(plain["column 0"], 4, labels=["s", "m", "l", "xl"]).astype(object)
    return {
        "numbers": (plain.iloc[:, :4], np.array(["setosa", "versicolor", "virginica"])[thirds]),
        "gaps": (with_gaps(plain).assign(size=sizes), thirds > 1),
        "rare words": (
            pd.DataFrame({"letter": letter, "old": frame["new"], "ash": numbers, "none": 1.0}),
            thirds,
        ),
        "words": (pd.DataFrame({"letter": letter}), thirds),
        "mixed": (FRAME, LABELS),
        "a target": (with_gaps(plain.assign(sex=np.where(frame["new"], "f", "m"))), numbers),
        "two targets": (plain.to_numpy(), np.column_stack([numbers, plain["column 0"]])),
        "constants": (np.ones((40, 2)), np.arange(40.0)),
        "ramps": (with_gaps(pd.DataFrame(rows)).to_numpy(), np.sign(rows[:, 0]) + rows[:, 1]),
        "ramps and words": (many, labels),
    }


TABLES = tables()


def fitted_to(name, X=None):
    own, y = TABLES[name]
    return fit(
        "regressor" if y.dtype.kind == "f" else "classifier",
        own if X is None else X,
        y,
        max_categories=8,
    )


@pytest.fixture(scope="module", params=TABLES)
def fitted(request):
    """An estimator, a table of more gaps and unknown words, and what it predicts of it."""
    model = fitted_to(request.param)
    X = TABLES[request.param][0]
    if isinstance(X, pd.DataFrame):
        X = pd.concat([X, with_gaps(X, 1)], ignore_index=True)
        for name in ("letter", "size", "color"):
            if name in X and X[name].dtype == object:
                X.loc[X.index % 5 == 0, name] = "unknown"
    else:
        X = np.where(RandomState(1).rand(*X.shape) < 0.1, np.nan, X)
    return model, X, outputs(model, X)


NATIVE = ["-O3", "-march=native", "-DNET_BUFFER="]
COMPILED = [
    pytest.param([], True, id="estimates"),
    pytest.param([], False, id="refusals"),
    pytest.param(NATIVE, True, id="estimates, native"),
    pytest.param(NATIVE, False, id="refusals, native", marks=pytest.mark.slow),
]


@needs_cc
@pytest.mark.parametrize(("flags", "estimates"), COMPILED)
def test_c_has_the_bits_of_predict(fitted, flags, estimates, tmp_path):
    model, X, predicted = fitted
    library = library_of(model, tmp_path, *flags, estimates=estimates)
    out = outputs_in_c(library, in_numbers(model, X), predicted.shape)
    assert_same_bits(out, predicted if estimates else where_gaps_are_known(model, X, predicted))


def where_gaps_are_known(model, X, predicted):
    """The predictions, and NaN of rows with a gap in a column of numbers that had none in fit."""
    rows = model.preparation_._read(X)
    unknown = (rows.gaps & ~model.preparation_.has_gaps_).any(axis=1)
    return np.where(unknown if predicted.ndim == 1 else unknown[:, None], np.nan, predicted)


def test_the_header_says_what_a_row_is(tmp_path):
    model = fitted_to("rare words", TABLES["rare words"][0].rename(columns={"ash": "ash */"}))
    _, header = model.export(tmp_path / "net.c")
    text = header.read_text()
    levels = model.preparation_.levels_[0].levels
    assert "#define NET_N_INPUTS 4\n#define NET_N_OUTPUTS 3\n" in text
    told = ", ".join(f"{k} {level!r}" for k, level in enumerate(levels))
    assert f"x[0], 'letter': {told}, 7 another word; NaN where it is missing\n" in text
    assert "x[1], 'old': 0 False, 1 True; NaN for any other\n" in text
    assert "x[2], 'ash * /': a number; fit had no gap here, and NaN makes all outputs NaN\n" in text
    assert "x[3], 'none': not looked at\n" in text
    X = pd.DataFrame({"whole": np.arange(60.0), "gaps": [np.nan, 1.0, 2.0] * 20})
    of_gaps = fit("regressor", X, np.arange(60.0))
    for estimates, told in (
        (False, "a number; fit had no gap here"),
        (True, "a number, NaN where"),
    ):
        _, header = of_gaps.export(tmp_path / "net.c", estimates=estimates)
        assert f"x[0], 'whole': {told}" in header.read_text()
        assert "x[1], 'gaps': a number, NaN where it is missing\n" in header.read_text()
    assert "Outputs are probabilities, of the labels [0, 1, 2]." in text


@pytest.mark.parametrize(
    "page", ["howto/tables-export.md", "tutorials/frame-to-c.md", "howto/export.md"]
)
def test_each_command_for_c_names_a_processor_with_fma(page):
    """Without fma the code takes ten times as long."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    commands = re.findall(r"^.*-ffp-contract=off .*\.c\b.*$", text, re.MULTILINE)
    assert commands
    assert [
        line for line in commands if not re.search("-march=native|-mfma|-mcpu=|aarch64", line)
    ] == []


def test_the_c_file_says_how_to_compile_it(tmp_path):
    source, _ = fit("regressor").export(tmp_path / "net.c")
    text = source.read_text()
    assert "\n       cc -O2 -ffp-contract=off -march=native -c net.c\n" in text
    assert "(MSVC: cl /O2 /fp:precise /arch:AVX2)" in text


@needs_cc
def test_the_header_says_how_much_memory_it_takes(tmp_path):
    _, header = fit("classifier").export(tmp_path / "net.c")
    subprocess.run(["cc", *STRICT, "-fno-builtin", "-O0", "-c", "net.c"], cwd=tmp_path, check=True)
    _, sizes = symbols_of(tmp_path / "net.o")
    assert f"ROM: {sizes['r']:,} bytes of constants" in header.read_text()
    assert f"RAM: {sizes['b']:,} bytes of buffers" in header.read_text()


def assert_predicts(fitted, found, labels):
    """Numbers are those of the estimator to float32's rounding, and labels of rows that are not
    undecided."""
    model, X, predicted = fitted
    assert_same(found.astype(np.float32), predicted.astype(np.float32), "the prediction")
    if "classes_" in vars(model):
        sure = np.diff(np.sort(predicted)[:, -2:])[:, 0] > 1e-4
        assert (labels[sure] == model.predict(X)[sure]).all()


def test_the_module_of_python_takes_the_table_as_it_is(fitted, tmp_path):
    model, X, _ = fitted
    (path,) = model.export(tmp_path / "net.py", estimates=True)
    module = runpy.run_path(path)
    function = module["predict_proba" if "classes_" in vars(model) else "predict"]
    tables = [X]
    if isinstance(X, pd.DataFrame):
        tables = [X[X.columns[::-1]], {name: X[name].tolist() for name in X}, X.to_numpy(object)]
    for table in tables:
        assert_predicts(fitted, function(table), module["predict"](table))


def test_the_module_refuses_what_predict_refuses(tmp_path):
    X = pd.DataFrame(
        {"worn": [True, False] * 20, "size": np.arange(40.0), "color": ["red", "blue"] * 20}
    )
    model = fit("regressor", X, X["worn"] + X["size"])
    model.export(tmp_path / "table.py")
    predict = runpy.run_path(str(tmp_path / "table.py"))["predict"]
    for name, values, message in (
        ("worn", ["True", "False"], "column 0 of X holds words where it held none, or the reverse"),
        ("size", ["1", "large"], "column 1 of X holds words where it held numbers"),
        ("size", [1.0, np.inf], "X holds infinity"),
        ("color", [1.0, 2.0], "column 2 of X holds words where it held none, or the reverse"),
    ):
        rows = X[:2].assign(**{name: values})
        with pytest.raises(ValueError, match=message):
            predict(rows)
        with pytest.raises(ValueError, match=name):
            model.predict(rows)
    with pytest.raises(ValueError, match=r"X lacks the columns \['size'\]"):
        predict(X.drop(columns="size"))
    with pytest.raises(ValueError, match=r"X must have the shape \(n, 3\), not \(2, 7\)"):
        predict(np.zeros((2, 7)))


def test_an_infinite_level_is_exported(tmp_path):
    X = pd.DataFrame({"dose": pd.Categorical([1.0, np.inf, -np.inf] * 20)})
    model = fit("regressor", X, np.arange(60.0))
    paths = [*model.export(tmp_path / "table.c"), *model.export(tmp_path / "table.py")]
    assert "0 -inf, 1 1.0, 2 inf" in paths[1].read_text()
    assert np.allclose(runpy.run_path(str(paths[2]))["predict"](X), model.predict(X), rtol=1e-4)
    model.save(tmp_path / "table.npz")
    assert_same_bits(type(model).load(tmp_path / "table.npz").predict(X), model.predict(X))


class Code(str):
    """A text whose repr would be a program."""

    __slots__ = ()

    def __repr__(self):
        return "[].no_such_attribute"


ODD_LEVELS = {
    "intervals": list(pd.cut(pd.Series([1.0, 2.0]), 2)),
    "dates": list(pd.to_datetime(["2020-01-01", "2021-01-01"])),
    "pairs": [(1, 2), (3, 4)],
    "enumeration": list(enum.StrEnum("Color", ["BLUE", "RED"])),
    "texts of a class": [Code("a"), Code("b")],
    "too large for float64": [10**400, 10**401],
    "not a number": [np.nan],
}


@pytest.mark.parametrize("levels", ODD_LEVELS.values(), ids=ODD_LEVELS)
def test_levels_that_no_file_holds_are_refused_before_one_is_written(levels, tmp_path):
    """Also those that `fit` refuses or turns into texts today: a pickle of an earlier version may
    have them."""
    model = fit("regressor")
    index, own = next(
        (i, own) for i, own in enumerate(model.preparation_.levels_) if len(own.levels) == 3
    )
    model.preparation_.levels_[index] = own._replace(levels=levels)
    for write, done in ((model.export, "exported"), (model.save, "saved")):
        for suffix in [".py", ".c", ".onnx"] if done == "exported" else [".npz"]:
            with pytest.raises(
                TypeError,
                match=f"column 'color' cannot be {done}: its levels, such as .* make texts",
            ):
                write(tmp_path / f"table{suffix}")
    assert not list(tmp_path.iterdir())


def test_buffers_of_c_hold_the_widest_layer():
    """`fit` takes equal widths only, but a file may say something else."""
    network = Network((2, 3, 4, 9, 1), "gelu", "identity")
    params = network.init_params(RandomState(0), np.float32)[None]
    model = next(untrained(np.arange(6.0).reshape(3, 2)))._replace(network=network, params=params)
    text = to_c.contents(model, "net")[".c"].decode()
    assert "float a0[9];" in text
    assert "float a1[4];" in text


def test_onnx_takes_very_small_numbers(tmp_path):
    """ONNX Runtime takes constants that are 0 as a float32 for 0."""
    rs = RandomState(0)
    X = (rs.randn(60, 1) - 3) * 1e-50
    model = fit("regressor", X, (X[:, 0] * 1e50 + 30) * 1e-100)
    (path,) = model.export(tmp_path / "net.onnx")
    found = onnx_outputs(path, X)["variable"][:, 0]
    assert np.allclose(found * 1e100, model.predict(X) * 1e100, rtol=1e-6)


def test_onnx_keeps_the_digits_of_numbers_that_differ_little(tmp_path):
    X = 1e15 + np.arange(60.0)[:, None]
    model = fit("regressor", X, np.arange(60.0))
    (path,) = model.export(tmp_path / "net.onnx")
    assert np.allclose(onnx_outputs(path, X)["variable"][:, 0], model.predict(X), rtol=1e-5)


@pytest.mark.parametrize("estimates", [True, False], ids=["estimates", "refusals"])
def test_onnx_takes_words_as_texts(fitted, estimates, tmp_path):
    model, X, predicted = fitted
    (path,) = model.export(tmp_path / "net.onnx", estimates=estimates)
    found = outputs_in_onnx(path, model, X)
    outputs = found[-1][:, 0] if predicted.ndim == 1 else found[-1]
    assert found[-1].dtype == np.float64
    if estimates:
        assert_predicts(fitted, outputs, found[0])
    else:
        right = where_gaps_are_known(*fitted)
        assert_array_equal(np.isnan(outputs), np.isnan(right))
        rest = [np.nan_to_num(array).astype(np.float32) for array in (outputs, right)]
        assert_same(*rest, "the rest")


def test_what_a_format_does_not_take_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    (path,) = fit("classifier").export(tmp_path / "net.onnx")
    value = onnx.load(path).graph.node[0].output[0]
    path.unlink()
    refused = {
        "label": "the column 'label' has the name of an output of the graph: rename it",
        value: f"the column '{value}' has the name of another value of the graph: rename it",
        "": "a column has the name '', and an input of a graph needs a name: rename it",
    }
    for name, text in refused.items():
        model = fit("classifier", FRAME.rename(columns={"size": name}))
        with pytest.raises(ValueError, match=text):
            model.export(tmp_path / "net.onnx")
    with pytest.raises(
        ValueError, match=r"says no format: write \.py \(numpy\), \.c \(c\), \.onnx \(onnx\);"
    ):
        model.export(tmp_path / "net.safetensors")
    model = fit(
        "regressor",
        [[word] for word in ["", *"abcdefghijklm"] * 4],
        np.arange(56.0),
        max_categories=5,
    )
    # none is left for a gap, beside a rest
    with pytest.raises(ValueError, match="has the empty text as a level"):
        model.export(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


compiled = pytest.mark.skipif(IN_PYTHON, reason="no machine code")


def drawn(n_columns, gaps):
    """A table of numbers, one column of them constant."""
    rs = RandomState(0)
    X = rs.normal(scale=10.0 ** rs.randint(-3, 4, n_columns), size=(60, n_columns))
    X[:, n_columns // 2] = X[:, 0] if n_columns == 1 else 1.0
    X[rs.rand(*X.shape) < gaps] = np.nan
    return X


def rows(X):
    """Rows with other gaps, in columns too that had none, and with numbers that are far off."""
    rs = RandomState(1)
    X = np.concatenate([X, rs.choice([1e-300, -1e149, 0.0, -0.0, 3.0], X.shape)])
    X[rs.rand(*X.shape) < 0.2] = np.nan
    return X


def untrained(X):
    """Ensembles as they are exported: of one target, of two, of two classes and of three."""
    preparation = TablePreparation().fit(X)
    rs = RandomState(0)
    n_inputs = preparation.transform(X[:1]).shape[1]
    for n_outputs, output in ((1, "identity"), (2, "identity"), (2, "softmax"), (3, "softmax")):
        network = Network((n_inputs, 7, 7, n_outputs), "gelu", output)
        params = rs.normal(scale=0.5, size=(3, network.n_params)).astype(np.float32)
        of_task = (None, None, np.repeat([[3.0], [100.0], [-50.0], [60.0]], n_outputs, axis=1))
        if output == "softmax":
            of_task = (Unsmoothing(0.05, 1e-3), np.arange(n_outputs), None)
        yield TableModel(preparation, network, params, *of_task, n_outputs == 1, True)


def predicted(model, X):
    inputs = model.preparation.transform(X)
    members = [predict(model.network, one, inputs, assume_finite=True) for one in model.params]
    mean = sum(outputs.astype(np.float64) for outputs in members) / len(members)
    if model.unsmoothing is not None:
        return model.unsmoothing.probabilities(mean)
    average, deviation, low, high = model.scaling
    return np.clip(mean * deviation + average, low, high)


def evaluated(f, X):
    out = np.full((len(X), f.n_outputs), 7.0)
    for x, to in zip(X, out, strict=True):
        f(x, to)
    return out


@ignores_far
@compiled
def test_estimators_give_it_and_c_calls_it():
    X = drawn(8, 0.2)
    y = np.arange(60.0)
    new = rows(X)
    pointer = ctypes.POINTER(ctypes.c_double)
    for model in fit("regressor", X, y), fit("classifier", X, y > 20):
        f = model.function(estimates=True)
        right = outputs(model, new)
        by_python = evaluated(f, new)
        by_c = np.zeros_like(by_python)
        for x, out in zip(new, by_c, strict=True):
            f.c_function(*(a.ctypes.data_as(pointer) for a in (x, out)), f.c_network)
        assert bits(by_c) == bits(by_python) == bits(right.reshape(by_c.shape))


@pytest.mark.nojit
@pytest.mark.parametrize("number", [np.inf, -np.inf, 1e151, -1e300])
def test_a_row_that_predict_refuses_gives_nan(number):
    X = drawn(3, 0)
    x = np.where(np.arange(3) == 2, number, X[:1])
    for model in untrained(X):
        with pytest.raises(ValueError, match="say NaN where a number is unknown"):
            predicted(model, x)
        assert np.isnan(evaluated(model.function(), x)).all()


@pytest.mark.nojit
def test_a_gap_that_fit_had_not_gives_nan_and_without_gaps_there_are_no_constants_of_estimates():
    X = drawn(8, 0.2)
    X[:, 1] = np.arange(60)
    new = np.concatenate([X[:3], np.where(np.arange(8) == 1, np.nan, X[:3])])
    for model in untrained(X):
        f = model._replace(estimates=False).function()
        right = predicted(model, new)
        out = evaluated(f, new)
        assert_same_bits(out[:3], right[:3])
        assert np.isnan(out[3:]).all()
        assert not np.isnan(right).any()
    complete = next(untrained(drawn(3, 0)))
    f = complete._replace(estimates=False).function()
    assert np.isfinite(evaluated(f, np.ones((1, 3)))).all()
    assert (
        complete.constants["matrix"].size
        > complete._replace(estimates=False).constants["matrix"].size
        == 0
    )


def test_the_module_of_python_names_the_columns_of_new_gaps(tmp_path):
    model = fit("regressor", FRAME.assign(size=np.arange(60.0)))
    model.export(tmp_path / "table.py")
    predict = runpy.run_path(str(tmp_path / "table.py"))["predict"]
    with pytest.raises(
        ValueError,
        match=r"^columns \[0\] of X have gaps, and had none in fit: export with estimates",
    ):
        predict(FRAME.assign(size=np.nan))


def test_a_table_with_words_is_refused():
    model = fit("classifier")
    text = (
        "^columns 'color', 'grade', 'new' hold words, booleans or categories, .* numbers: "
        "export to C, which takes these"
    )
    with pytest.raises(ValueError, match=text):
        model.function()
