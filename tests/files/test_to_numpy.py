"""The format "numpy": one function, which predicts what the reference does."""

import runpy

import numpy as np
import pytest
from bits import bits
from exported import NETWORKS, assert_same, module_of, rows, trained
from survival import python

import fastnn


@pytest.mark.parametrize("name", NETWORKS)
def test_it_predicts_what_we_do(tmp_path, name, dtype):
    result = trained(NETWORKS[name], dtype)
    predict = module_of(result, tmp_path)["predict"]
    assert_same(predict(rows(dtype)), result.predict(rows(dtype)), name)
    assert bits(predict(rows(dtype)[:1].tolist())) == bits(predict(rows(dtype)[:1]))


def test_it_needs_numpy_alone(tmp_path):
    result = trained(NETWORKS["gelu"], np.float32)
    result.export(tmp_path / "net.py")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.modules['fastnn'] = None; import net, numpy as np"
    told = python(code + "; print(net.predict(np.ones((1, 5), np.float32)).tobytes().hex())")
    expected = runpy.run_path(tmp_path / "net.py")["predict"](np.ones((1, 5), np.float32))
    assert told == [expected.tobytes().hex()]


def test_a_million_weights_take_a_second(tmp_path):
    """Lines of text were made in a time that grows with the square of their number."""
    network = fastnn.Network((1000, 1000), "identity")
    result = fastnn.train(network, np.zeros((1, 1000)), np.zeros((1, 1000)), epochs=0, seed=0)
    result.export(tmp_path / "net.py")
    assert bits(runpy.run_path(tmp_path / "net.py")["W0"]) == bits(result.params[:1_000_000].reshape(1000, 1000))


def test_other_shapes_are_refused(tmp_path):
    predict = module_of(trained(NETWORKS["relu"], np.float64), tmp_path)["predict"]
    for shape in ((5,), (2, 4), (1, 2, 5)):
        with pytest.raises(ValueError, match=r"X must have the shape \(n, 5\), not \("):
            predict(np.ones(shape))
