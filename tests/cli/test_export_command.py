"""The command ``fastnn export``."""

import os
import pathlib

import pytest
from exported import NETWORKS, trained

import fastnn


@pytest.fixture
def result(run):  # in the empty folder of `run`
    result = trained(NETWORKS["tanh"], "float64")
    result.save("model.npz")
    return result


def assert_is_the_export_of(model, file="model.py", **options):
    """Assert that a file is what the model's own method writes."""
    model.export("other.py", **options)
    assert pathlib.Path(file).read_bytes() == pathlib.Path("other.py").read_bytes()


@pytest.mark.parametrize(("to", "file"), [("net.py", "net.py"), ("numpy", "model.py")])
def test_it_writes_what_the_method_does(succeed, result, to, file):
    printed = succeed("export", "model.npz", "--to", to)
    assert printed == (f"{file}  {os.path.getsize(file):,} bytes\n", "")
    assert_is_the_export_of(result, file)


def test_an_estimator_keeps_its_labels(succeed):
    pytest.importorskip("sklearn")
    mlp = fastnn.MLPClassifier((3,), solver="lbfgs", tol=1.0, random_state=0).fit(
        [[0.0], [1.0]], ["no", "yes"]
    )
    mlp.save("model.npz")
    succeed("export", "model.npz", "--to", "numpy")
    assert_is_the_export_of(mlp)
    assert "CLASSES = np.array(['no', 'yes'])" in pathlib.Path("model.py").read_text()


@pytest.mark.parametrize("kind", ["TabularClassifier", "TabularRegressor"])
def test_a_model_of_a_table_goes_whole(succeed, refused, kind):
    pytest.importorskip("sklearn")
    model = getattr(fastnn, kind)("fast", epochs=1, random_state=0, n_jobs=1).fit(
        [["red"], ["blue"]] * 20, [1, 0] * 20
    )
    model.save("model.npz")
    succeed("export", "model.npz", "--to", "numpy")
    assert_is_the_export_of(model)
    succeed("export", "model.npz", "--to", "numpy", "--estimates")
    assert_is_the_export_of(model, estimates=True)
    assert "ROM: " in succeed("export", "model.npz", "--to", "net.c")[0]
    assert "says no format" in refused("export", "model.npz", "--to", "safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("model.npz", "--to", "net.pb"),
            "Invalid value for --to: the suffix of 'net.pb' says no format",
        ),
        (
            ("model.npz", "--to", "net.pb"),
            ".safetensors (safetensors); or name a format, numpy, c, onnx",
        ),
        (("nothing.npz", "--to", "numpy"), "No such file or directory: 'nothing.npz'"),
        (("model.npz", "--to", "nowhere/net.py"), "nowhere'; make it first: 'nowhere/net.py'"),
        (("junk", "--to", "numpy"), "fastnn: junk: not a fastnn file"),
        (("model.npz",), "Missing option"),
        (
            ("model.npz", "--to", "net.c", "--estimates"),
            "--estimates: it takes the model of a table",
        ),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_says_why(refused, result, arguments, message):
    pathlib.Path("junk").write_text("junk")
    assert message in refused("export", *arguments)
    assert sorted(os.listdir()) == ["junk", "model.npz"]
