"""Run scikit-learn's own tests of its MLP on fastnn's estimators: `python
tests/support/sklearn_suite.py`.

Only the import of the estimators is replaced. Arguments go to pytest.
"""

import pathlib
import sys
import tempfile

import pytest
import sklearn.neural_network

THEIRS = "from sklearn.neural_network import MLPClassifier, MLPRegressor\n"
OURS = "from fastnn import MLPClassifier, MLPRegressor\n"

REACHES_INSIDE = {
    "test_gradient": (
        "it differentiates the private method _loss_grad_lbfgs; test_solvers.py compares iterates"
    )
}


def main(arguments: list[str]) -> int:
    tests = pathlib.Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
    text = tests.read_text(encoding="utf-8")
    if text.count(THEIRS) != 1:
        raise SystemExit(f"{tests} does not import its estimators by the line {THEIRS!r}")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "test_mlp_of_scikit_learn.py")
        path.write_text(text.replace(THEIRS, OURS), encoding="utf-8")
        # their tests under their rules: warnings are no errors
        config = pathlib.Path(folder, "pytest.ini")
        config.write_text("[pytest]\n", encoding="utf-8")
        for name, reason in REACHES_INSIDE.items():
            arguments += ["--deselect", f"{path.name}::{name}"]
            sys.stdout.write(f"without {name}: {reason}\n")
        options = [
            "-q",
            "-c",
            str(config),
            "--rootdir",
            folder,
            "-p",
            "sklearn.conftest",
            "-p",
            "no:cacheprovider",
        ]
        return int(pytest.main([*options, str(path), *arguments]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
