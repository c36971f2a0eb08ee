"""The name of a file to save to, and the content of a good one."""

import pytest
from model_files import trained

from fastnn import Stop


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model.npz"
    trained(stop=Stop(tol=0.0, validation=0.3, restore_best=True)).save(path)
    return path.read_bytes()
