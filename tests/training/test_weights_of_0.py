"""Rows of weight 0: what they hold, even NaN or infinity, shows in no bit of a loss, a gradient, a
training or a score.

Those of the estimators: tests/estimators/test_second_order.py and tests/tabular/test_estimators.py,
`test_rows_of_weight_0_are_not_there`.
"""

import hypothesis.strategies as st
import numpy as np
import pytest
from bits import bits, result_bits
from drawn import DTYPES, Drawn, mixed, run, trainings
from small_training import N

from fastnn import Adam, LevenbergMarquardt, Network, Stop, loss_and_gradient, train
from fastnn.testing.cases import PAIRS, draw_training

SEEDS = st.integers(0, 2**16)


@pytest.mark.parametrize(("loss", "output"), PAIRS)
@run(3, trainings(rows=(2, 21, 70, 257, 300), epochs=(1, 2)), SEEDS)
def test_rows_of_weight_0_show_in_no_bit(backend, loss, output, drawn, seed):
    draw = np.random.RandomState(seed)
    n = len(drawn.problem.X)
    n = min(n, 21) if backend == "numpy" else n  # the kernel alone has blocks of rows
    network = mixed(draw, output, loss, bias=drawn.network.bias, reduction=drawn.network.reduction)
    assert_rows_show_nowhere(
        network, n, 1 + draw.permutation(n - 1)[: draw.randint(1, n)], draw, backend, drawn, seed
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_last_block_of_one_row_of_weight_0_shows_in_no_bit(backend, dtype):
    network = Network((5, 7, 2), "tanh")
    drawn = Drawn(
        network,
        draw_training(network, 257, dtype),
        {"optimizer": Adam(), "epochs": 1, "batch_size": None},
    )
    assert_rows_show_nowhere(network, 257, [256], np.random.RandomState(0), backend, drawn, 0)


def assert_rows_show_nowhere(network, n, unused, draw, backend, drawn, seed):
    """Assert that n rows, of which those that are unused weigh nothing, give the same bits whatever
    stands there."""
    problem = draw_training(network, n, drawn.problem.X.dtype, seed)
    seen = []
    weight = problem.sample_weight.copy()
    weight[unused] = 0
    options = {
        "params": problem.params,
        "sample_weight": weight,
        "backend": backend,
        "assume_finite": True,
    }
    for values in ([0.25], [np.nan], [np.nan, np.inf, -np.inf, 1e30, -0.0]):
        X = problem.X.copy()
        Y = problem.Y.copy()
        for array in (X, Y):
            array[unused] = draw.choice(values, array[unused].shape)
        value, gradient = loss_and_gradient(network, X=X, Y=Y, alpha=0.1, **options)
        assert np.isfinite(value)
        result = train(
            network, X, Y, **drawn.options | options, seed=1, stop=Stop(on_divergence="stop")
        )
        seen.append((value, bits(gradient), result_bits(result)))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.nojit
def test_a_row_of_weight_0_shows_in_no_bit_of_second_order_methods(backend):
    network = Network((2, 4, 1), "tanh")
    params, X, Y, weight = draw_training(network, 30)
    broken = np.where(weight[:, None] == 0, np.nan, X)
    options = {
        "params": params,
        "sample_weight": weight,
        "optimizer": LevenbergMarquardt(),
        "epochs": 5,
        "seed": 0,
        "assume_finite": True,
        "backend": backend,
    }
    right = train(network, X, Y, **options)
    assert result_bits(train(network, broken, Y, **options)) == result_bits(right)


def test_rows_of_weight_0_are_not_scored(backend):
    r = np.random.RandomState(0)
    X = r.randn(N, 3)
    Y = r.randn(N, 2)
    weight = np.ones(N)
    weight[3] = 0
    X[3] = Y[3] = np.nan
    seen = []
    for monitor in (
        "r2",
        lambda Y, outputs: seen.append(len(Y)) or float(np.isfinite(outputs).all()),
    ):
        options = {
            "sample_weight": weight,
            "epochs": 2,
            "assume_finite": True,
            "backend": backend,
            "seed": 0,
        }
        result = train(Network((3, 4, 2)), X, Y, stop=Stop(monitor=monitor), **options)
        assert np.isfinite(result.history.score).all()
    assert seen == [N - 1, N - 1]
