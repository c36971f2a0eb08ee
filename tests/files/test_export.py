"""Export: the format by the suffix or by name, all files or none, and clear errors."""

import os
import re
import runpy
import sys

import numpy as np
import pytest
from exported import EVERYTHING, NETWORKS, trained

import fastnn
from fastnn import Network
from fastnn.files import export, to_numpy


@pytest.fixture
def result():
    return trained(NETWORKS["tanh"], np.float64)


def test_the_suffix_says_the_format_unless_it_is_named(tmp_path, result):
    assert result.export(tmp_path / "net.PY") == [tmp_path / "net.PY"]
    assert result.export(str(tmp_path / "net.txt"), "numpy") == [tmp_path / "net.txt"]
    assert (tmp_path / "net.PY").read_bytes() == (tmp_path / "net.txt").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["net.PY", "net.txt"]


def test_what_cannot_be_written_is_refused_before_there_is_anything_to_write(
    tmp_path, result, monkeypatch
):
    monkeypatch.setattr(
        to_numpy, "contents", lambda *arguments: pytest.fail("it was written before it was checked")
    )
    (tmp_path / "net.py").mkdir()
    for given, error, match in (
        (["net.py"], OSError, "not a regular file"),
        (["net.pb"], ValueError, r"the suffix of '.*net.pb' says no format: write \.py \(numpy\)"),
        (["net", "nunpy"], ValueError, r"unknown format 'nunpy' \(did you mean 'numpy'\?\)"),
    ):
        with pytest.raises(error, match=match):
            result.export(tmp_path / given[0], *given[1:])
    assert os.listdir(tmp_path) == ["net.py"]


def test_a_file_that_was_not_named_is_replaced_if_it_is_our_own(tmp_path, result):
    (tmp_path / "keep.h").write_text("#define MINE 1\n")
    with pytest.raises(
        FileExistsError, match=r"written beside keep\.c, and is another file, .*: take another name"
    ):
        result.export(tmp_path / "keep.c")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("keep.h", "#define MINE 1\n")
    ]
    for _ in range(2):
        assert len(result.export(tmp_path / "net.c")) == 2


@pytest.mark.parametrize("suffix", [".onnx", ".c", ".py", ".safetensors", ".ONNX"])
def test_save_refuses_the_suffixes_of_export(tmp_path, result, suffix):
    """`save` would write an .npz archive under that name."""
    path = tmp_path / f"net{suffix}"
    for kept, remedy in (result, "result"), (fastnn.ManyResult([result]), r"many\[i\]"):
        for name, state in (path, True), (str(path), False):
            with pytest.raises(ValueError, match=rf"say {remedy}\.export\("):
                kept.save(name, state=state)
    assert os.listdir(tmp_path) == []


def test_all_files_are_written_or_none(tmp_path, result, monkeypatch):
    (tmp_path / "net.txt").write_text("old, written by fastnn")
    files = {".py": b"new", ".txt": b"new, written by fastnn"}
    monkeypatch.setattr(to_numpy, "contents", lambda model, name: files)
    assert result.export(tmp_path / "net.py") == [tmp_path / "net.py", tmp_path / "net.txt"]
    assert (tmp_path / "net.txt").read_text() == "new, written by fastnn"
    files |= {".py": b"newer", ".txt": "no bytes"}
    with pytest.raises(TypeError):
        result.export(tmp_path / "net.py")
    assert (tmp_path / "net.py").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["net.py", "net.txt"]


@pytest.mark.parametrize("format", [*export.FORMATS, "save"])
def test_print_options_of_numpy_show_in_no_file(format, dtype, tmp_path):
    """Doctests and notebooks set them for the whole process; in the form of 1.13 weights lost their
    last digits."""
    if format == "onnx":
        pytest.importorskip("onnx", reason="onnx is not installed")
    result = trained(EVERYTHING, dtype)
    write = result.save if format == "save" else lambda path: result.export(path, format)
    written = []
    for options in (
        {},
        {"legacy": "1.13"},
        {"precision": 2, "suppress": True, "threshold": 1, "floatmode": "fixed"},
    ):
        with np.printoptions(**options):
            write(tmp_path / "net.x")
        written.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
        assert written[-1] == written[0]


class Label(str):
    """A text whose repr is other code."""

    def __repr__(self):
        return "0]); import os; raise SystemExit; np.array([0"


@pytest.mark.parametrize(
    "labels",
    [[Label("a"), Label("b")], [True, False], [3, 5], [0.5, np.float64(2.0)], [np.str_("a"), "b"]],
)
def test_labels_are_written_as_pythons_own(labels, tmp_path):
    model = export.Model(
        Network((1, 2), output="softmax"),
        np.array([1.0, -1.0, 0, 0]),
        "labels",
        np.array(labels, object),
    )
    export.export(model, tmp_path / "net.py")
    classes = runpy.run_path(tmp_path / "net.py")["predict"](np.array([[1.0], [-1.0]]))
    assert classes.tolist() == [str(label) if isinstance(label, str) else label for label in labels]
    assert "import os" not in (tmp_path / "net.py").read_text()
    for path in export.export(model, tmp_path / "net.c"):
        assert "import os" not in path.read_text()


@pytest.mark.parametrize("label", [float("nan"), float("inf"), None, ("a", 1), 1j])
@pytest.mark.parametrize("format", export.FORMATS)
def test_labels_without_a_literal_are_refused(label, format, tmp_path):
    if format == "onnx":
        pytest.importorskip("onnx", reason="onnx is not installed")
    model = export.Model(
        Network((1, 2), output="softmax"), np.zeros(4), "labels", np.array([0, label], object)
    )
    with pytest.raises(
        ValueError, match="only labels that are finite numbers, booleans or texts can be written"
    ):
        export.export(model, tmp_path / "net", format)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("package", "method", "given", "told"),
    [
        ("torch", "to_torch", [], "to_torch needs torch, {}torch"),
        ("keras", "to_keras", [], "to_keras needs keras, {}keras"),
        ("onnx", "export", ["net.onnx"], 'the format onnx needs onnx, {}"fastnn-numba[onnx]"'),
    ],
)
def test_without_a_package_it_says_what_to_install(
    tmp_path, monkeypatch, result, package, method, given, told
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "fastnn.files.to_onnx", raising=False)
    told = told.format("which is not installed: python -m pip install ")
    with pytest.raises(ImportError, match=f"^{re.escape(told)}$"):
        getattr(result, method)(*given)
    assert os.listdir(tmp_path) == []
