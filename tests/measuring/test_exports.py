"""The tables of exports: each way is compared with our own prediction, and refused where it is not near."""

import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import exports  # noqa: E402


@pytest.mark.parametrize("way", exports.WAYS)
def test_each_way_is_compared(way):
    found = exports.difference(way, exports.network_of("elu"), "float64")
    assert found in ("0", "-") if way in ("C", "safetensors") else found == "-" or float(found) > 0


def test_what_differs_is_no_number_of_the_table(monkeypatch):
    monkeypatch.setitem(exports.WAYS, "wrong", lambda result, folder: lambda X: np.zeros((len(X), 4)))
    with pytest.raises(AssertionError, match=r"wrong, .*our own prediction has"):
        exports.difference("wrong", exports.network_of("tanh"), "float64")


def test_sizes_are_those_of_files():
    pytest.importorskip("onnx")
    found = exports.sizes()
    weights = found.pop("the weights alone, in memory")
    assert weights == 4 * (64 * 64 + 64 + 64 * 10 + 10)
    assert min(found.values()) > weights
