"""The command ``fastnn export``."""

import os
import pathlib

import pytest
from exported import NETWORKS, trained

import fastnn

pytest.importorskip("typer")
pytest.importorskip("rich")


@pytest.fixture
def result(run):  # in the empty folder of `run`
    result = trained(NETWORKS["tanh"], "float64")
    result.save("model.npz")
    return result


@pytest.mark.parametrize(("to", "file"), [("net.py", "net.py"), ("numpy", "model.py")])
def test_it_writes_what_the_method_does(run, result, to, file):
    code, out, err = run("export", "model.npz", "--to", to)
    size = os.path.getsize(file)
    assert (code, out, err) == (0, f"{file}  {size:,} bytes\n", "")
    result.export("other.py")
    assert pathlib.Path(file).read_bytes() == pathlib.Path("other.py").read_bytes()


def test_an_estimator_keeps_its_labels(run):
    pytest.importorskip("sklearn")
    mlp = fastnn.MLPClassifier((3,), solver="lbfgs", tol=1.0, random_state=0).fit(
        [[0.0], [1.0]], ["no", "yes"]
    )
    mlp.save("model.npz")
    mlp.export("other.py")
    assert run("export", "model.npz", "--to", "numpy")[0] == 0
    assert pathlib.Path("model.py").read_bytes() == pathlib.Path("other.py").read_bytes()
    assert "CLASSES = np.array(['no', 'yes'])" in pathlib.Path("model.py").read_text()


@pytest.mark.parametrize("kind", ["TabularClassifier", "TabularRegressor"])
def test_a_model_of_a_table_goes_whole(run, kind):
    pytest.importorskip("sklearn")
    model = getattr(fastnn, kind)("fast", epochs=1, random_state=0, n_jobs=1).fit(
        [["red"], ["blue"]] * 20, [1, 0] * 20
    )
    model.save("model.npz")
    model.export("other.py")
    assert run("export", "model.npz", "--to", "numpy")[0] == 0
    assert pathlib.Path("model.py").read_bytes() == pathlib.Path("other.py").read_bytes()
    model.export("other.py", estimates=True)
    assert run("export", "model.npz", "--to", "numpy", "--estimates")[0] == 0
    assert pathlib.Path("model.py").read_bytes() == pathlib.Path("other.py").read_bytes()
    assert "ROM: " in run("export", "model.npz", "--to", "net.c")[1]
    assert "says no format" in run("export", "model.npz", "--to", "safetensors")[2]


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
def test_what_cannot_be_done_ends_with_2_and_says_why(run, result, arguments, message):
    pathlib.Path("junk").write_text("junk")
    code, out, err = run("export", *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert sorted(os.listdir()) == ["junk", "model.npz"]
