"""Models in files of any kind that fastnn saves, which `export` and `predict` read."""

from typing import Any

import typer

from fastnn.files.load import kind_of, load

MODEL = typer.Argument(metavar="MODEL", hidden=True)


def read_model(path: str) -> Any:
    """Read a result of `train`, an MLP estimator or a table estimator; nothing is executed."""
    kind = kind_of(path)
    if kind == "result":
        return load(path)
    is_classifier = kind.endswith("classifier")
    if kind.startswith("table"):
        from fastnn.tabular import TabularClassifier, TabularRegressor

        return (TabularClassifier if is_classifier else TabularRegressor).load(path)
    from fastnn.estimators import MLPClassifier, MLPRegressor

    return (MLPClassifier if is_classifier else MLPRegressor).load(path)
