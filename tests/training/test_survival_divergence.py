"""Divergence: in whichever way numbers overflow, both back ends stop at the same step, with finite
parameters."""

import numpy as np
import pytest

from fastnn import SGD, Adam, AdamW, DivergenceError, Network, RMSprop, Stop, train

N = 12
TANH = Network((3, 5, 2), "tanh")
LINEAR = Network((3, 2))
X = np.random.RandomState(0).standard_normal((N, 3))
Y = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)
BOUNDED = Network((3, 5, 2), "tanh", "tanh", reduction="sum")
POISSON = Network((3, 5, 2), "relu", "exp", "poisson")
GROWING = SGD(lambda step: 0.1 * 3.0 ** min(step, 600))
MANY = np.random.RandomState(0).standard_normal((700, 3))
SUM = Network((3, 2), loss="absolute_error", reduction="sum")

CASES = {  # `top` is the largest number of the dtype
    "loss, slowly": lambda top: (TANH, {"optimizer": SGD(30.0), "epochs": 3000}),
    # by a few per cent a step, so that a limit twice as high is met many steps later
    "loss of many rows": lambda top: (
        LINEAR,
        {"X": MANY, "Y": MANY[:, :2], "optimizer": SGD(2.0), "epochs": 10**4},
    ),
    "loss, at once": lambda top: (TANH, {"params": np.full(TANH.n_params, top / 9)}),
    "gradient at once, the loss is finite": lambda top: (
        SUM,
        {
            "optimizer": SGD(1e-30),
            "X": np.full((N, 3), top / 4),
            "Y": abs(Y) + 1,
            "params": np.zeros(8),
        },
    ),
    "weight": lambda top: (
        Network((3, 2), loss="huber"),
        {"optimizer": SGD(top / 4), "epochs": 500},
    ),
    "weight, hidden by tanh, at once": lambda top: (BOUNDED, {"optimizer": SGD(top), "Y": Y * 50}),
    "momentum": lambda top: (LINEAR, {"optimizer": SGD(2.0, momentum=1.0), "epochs": 5000}),
    "step of RMSprop": lambda top: (TANH, {"optimizer": RMSprop(top / 40), "epochs": 50}),
    "step of Adam": lambda top: (TANH, {"optimizer": Adam(top / 4), "epochs": 50}),
    "weight decay of AdamW": lambda top: (
        TANH,
        {"optimizer": AdamW(0.1, weight_decay=1e4), "epochs": 500},
    ),
    "penalty": lambda top: (TANH, {"optimizer": SGD(0.1), "alpha": 1e5, "epochs": 500}),
    "exp output": lambda top: (POISSON, {"optimizer": SGD(5.0), "Y": abs(Y) * 20, "epochs": 500}),
    "learning rate that grows": lambda top: (LINEAR, {"optimizer": GROWING, "epochs": 300}),
    "NaN in the data": lambda top: (TANH, {"X": np.where(X.max() == X, np.nan, X)}),
    "infinity in the data": lambda top: (TANH, {"Y": np.where(Y.max() == Y, np.inf, Y)}),
}


def diverged(case, name, dtype, batch_size):
    """The step at which a training diverges, and what is said of it."""
    network, options = CASES[case](float(np.finfo(dtype).max))
    options = {
        "X": X,
        "Y": Y,
        "optimizer": SGD(),
        "epochs": 5,
        "seed": 3,
        "batch_size": batch_size,
    } | options
    options |= {
        key: np.asarray(options[key], dtype) for key in options.keys() & {"X", "Y", "params"}
    }
    options |= {"backend": name, "assume_finite": True}
    with pytest.raises(DivergenceError) as error:
        train(network, **options)
    stopped = train(network, stop=Stop(on_divergence="stop"), **options)
    result = error.value.result
    assert stopped.stop_reason == result.stop_reason == "diverged"
    assert stopped.state.vectors.tobytes() == result.state.vectors.tobytes()
    assert np.isfinite([*result.params, *result.history.loss]).all()
    assert result.history.loss.shape == (result.n_epochs,)
    return result.state.t, str(error.value).split(". ")[0]


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("case", CASES)
def test_both_back_ends_diverge_at_the_same_step(case, batch_size, dtype):
    numpys, numbas = (diverged(case, name, dtype, batch_size) for name in ("numpy", "numba"))
    assert numpys == numbas
    assert numpys[0] > 100 or batch_size or case != "loss of many rows"
    assert "in the data" in case or (numpys[0] == 0) is ("at once" in case)


def test_a_second_moment_that_overflows_stops_its_parameter_in_both_back_ends(dtype):
    """It is no divergence: the step of Adam is m over infinity."""
    inputs = (X * np.sqrt(float(np.finfo(dtype).max)) * 1e3).astype(dtype)
    options = {"optimizer": Adam(0.1), "epochs": 5, "params": np.linspace(-1, 1, 8)}
    network = Network((3, 2), loss="absolute_error")
    first, second = (
        train(network, inputs, Y, **options, backend=b).state.vectors for b in ("numpy", "numba")
    )
    assert np.isinf(first[2, :6]).all()
    assert np.array_equal(first[0, :6], np.linspace(-1, 1, 8).astype(dtype)[:6])
    assert np.array_equal(np.isinf(first), np.isinf(second))
    assert np.array_equal(first[0, :6], second[0, :6])
