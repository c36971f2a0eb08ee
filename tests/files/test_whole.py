"""The place of a file: what is wrong with it is said before anything is made, by each door that writes one."""

import os
import re

import numpy as np
import pytest

from fastnn import MLPClassifier, Network, train, train_many
from fastnn.files.export import FORMATS

NETWORK = Network((2, 3, 1))
X, Y = np.eye(2), np.array([[0.0], [1.0]])


def trained():
    return train(NETWORK, X, Y, epochs=1, backend="numpy")


def fitted():
    pytest.importorskip("sklearn")
    return MLPClassifier((2,), max_iter=1, batch_size=2).fit(X, [0, 1])


DOORS = {
    "result.save": lambda path: trained().save(path),
    "many.save": lambda path: train_many(NETWORK, X, Y, seed=range(2), epochs=1).save(path),
    "estimator.save": lambda path: fitted().save(path),
    "estimator.export": lambda path: fitted().export(path, "numpy"),
}
DOORS |= {f"result.export {name}": lambda path, name=name: trained().export(path, name) for name in FORMATS}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("door", DOORS)
def test_the_folder_that_is_missing_is_named(door, tmp_path, monkeypatch):
    """With the path as the caller wrote it, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    folder = os.path.join(os.path.realpath(tmp_path), "models", "new")
    missing = f"there is no folder {folder!r}; make it first: 'models/new/net'"
    with pytest.raises(FileNotFoundError, match=re.escape(missing)):
        DOORS[door]("models/new/net")
    with pytest.raises(NotADirectoryError, match=r"file' is a file, not a folder: 'file/net'"):
        DOORS[door]("file/net")
    assert os.listdir() == ["file"]
