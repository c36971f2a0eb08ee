"""Networks from PyTorch and to it: what one predicts, the other does."""

import numpy as np
import pytest
from bits import bits
from exported import NETWORKS, assert_same, rows, trained

from fastnn import Network, from_torch, train
from fastnn.files import frameworks

torch = pytest.importorskip("torch")
nn = torch.nn


def outputs_of(module, X):
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if network.output in frameworks.MODULES])
def test_there_and_back(name, dtype):
    result = trained(NETWORKS[name], dtype)
    X = rows(dtype)
    module = result.to_torch()
    assert_same(outputs_of(module, X), result.predict(X), name)
    back = from_torch(module)
    assert back.network.sizes == result.network.sizes
    assert back.network.activations == result.network.activations
    assert bits(back.predict(X)) == bits(result.predict(X))
    with torch.no_grad():
        module[0].weight.zero_()
    assert bits(back.predict(X)) == bits(result.predict(X))
    assert bits(from_torch(result.to_torch()).params) == bits(back.params)


def test_what_is_built_in_pytorch(dtype):
    of = {"dtype": torch.from_numpy(np.zeros(0, dtype)).dtype}
    module = nn.Sequential(
        nn.Sequential(nn.Identity(), nn.Linear(5, 7, bias=False, **of), nn.GELU("tanh"), nn.Dropout(0.5)),
        nn.Linear(7, 6, **of),
        nn.Linear(6, 3, **of),
    ).eval()
    X = rows(dtype)
    result = from_torch(module)
    assert result.network == Network((5, 7, 6, 3), ("gelu", "identity"))
    assert_same(outputs_of(module, X), result.predict(X), "outputs")
    classifier = from_torch(module, output="softmax")
    assert classifier.network.loss == "cross_entropy"
    p = nn.functional.softmax(torch.from_numpy(outputs_of(module, X)), 1).numpy()
    assert_same(p, classifier.predict(X), "probabilities")
    more = train(classifier.network, X, np.arange(len(X)) % 3, epochs=1, params=classifier.params, seed=0)
    assert more.params.dtype == dtype


def after(*parts):
    return nn.Sequential(nn.Linear(2, 1), *parts)


REFUSED = [
    (lambda: nn.Linear(2, 1), TypeError, r"from_torch takes a torch.nn.Sequential, not Linear\("),
    (lambda: "model.pt", TypeError, "from_torch takes a torch.nn.Sequential, not 'model.pt'"),
    (lambda: nn.Sequential(), ValueError, "there is no Linear layer"),
    (lambda: after(nn.Conv1d(1, 1, 1)), ValueError, r"no layer of fastnn's is like Conv1d"),
    (lambda: nn.Sequential(nn.ReLU(), nn.Linear(2, 1)), ValueError, r"ReLU\(\) must stand after a Linear layer"),
    (lambda: after(nn.ReLU(), nn.Tanh()), ValueError, r"Tanh\(\) must stand after a Linear"),
    (lambda: after(nn.GELU()), ValueError, "fastnn's gelu is that of approximate='tanh'"),
    (lambda: after(nn.Softmax(0)), ValueError, "fastnn's softmax is that of dim=-1 or 1"),
    (lambda: after(nn.Softmax(1), nn.Linear(1, 1)), ValueError, "unknown .* 'softmax'"),
    (lambda: after(nn.Linear(2, 1)), ValueError, r"weights\[1\] must have the shape \(1, 1\)"),
    (lambda: after().half(), TypeError, "weights must be float32 or float64, not torch.float16"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_other_modules_are_refused(case):
    make, kind, match = REFUSED[case]
    with pytest.raises(kind, match=match):
        from_torch(make())


def test_options_and_weights_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"the last layer has an activation, tanh: output='softmax' cannot be given besides"
    ):
        from_torch(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), output="softmax")
    with pytest.raises(ValueError, match="unknown output 'softmin'"):
        from_torch(nn.Sequential(nn.Linear(2, 2)), output="softmin")
    linear = nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="the weights must be finite"):
        from_torch(nn.Sequential(linear))
    with pytest.raises(ValueError, match=r"the format torch\.nn has no activation 'exp'"):
        trained(NETWORKS["output exp"], np.float32).to_torch()
