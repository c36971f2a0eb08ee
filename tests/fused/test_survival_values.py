"""Special values: both back ends agree where numbers are at their limits, or are none at all."""

import itertools
from zlib import crc32

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from fastnn import SGD, Adam, Network, loss_and_gradient, predict, testing, train
from fastnn.losses import HIDDEN
from fastnn.network import REDUCTIONS
from fastnn.testing.cases import PAIRS, draw_targets
from fastnn.testing.tolerances import output_scale
from fastnn.training.inputs import check_data

N = 20
DTYPES = [np.float32, np.float64]
SEEDS = st.integers(0, 2**16)


def seed_of(*names):
    """A seed for what has these names, whatever other names there are."""
    return crc32(" ".join(names).encode())


MIXED = sorted(
    {(min(HIDDEN, key=lambda hidden: seed_of(hidden, *pair)), *pair) for pair in PAIRS}
    | {(hidden, *min(PAIRS, key=lambda pair: seed_of(hidden, *pair))) for hidden in HIDDEN}
)
"""Hidden activation, loss and output, each once at least, with the least seed: a new name changes
none but its own."""

INPUTS = {
    "negative zeros": lambda rs, dtype: np.full((N, 3), -0.0),
    "zeros of both signs": lambda rs, dtype: rs.choice([0.0, -0.0], (N, 3)),
    "subnormals": lambda rs, dtype: (
        rs.randint(-1000, 1000, (N, 3)) * np.finfo(dtype).smallest_subnormal
    ),
    "tiny": lambda rs, dtype: rs.standard_normal((N, 3)) * np.finfo(dtype).tiny,
    "huge": lambda rs, dtype: (
        rs.standard_normal((N, 3)).astype(dtype) * np.sqrt(np.finfo(dtype).max) / 1e3
    ),
    "huge and tiny": lambda rs, dtype: 10.0 ** rs.uniform(-15, 15, (N, 3)),
    "saturating": lambda rs, dtype: rs.choice([-1, 1], (N, 3)) * rs.uniform(100, 2000, (N, 3)),
    "equal columns": lambda rs, dtype: np.repeat(rs.standard_normal((N, 1)), 3, 1),
    "constant columns": lambda rs, dtype: np.tile(rs.standard_normal((1, 3)), (N, 1)),
    "one row": lambda rs, dtype: rs.standard_normal((1, 3)),
}
FLOORS = {
    "subnormals": lambda dtype: float(np.finfo(dtype).smallest_subnormal),
    "tiny": lambda dtype: float(np.finfo(dtype).smallest_subnormal),
    "saturating": lambda dtype: testing.UPDATE_FLOOR,
}
TARGETS = {
    "drawn": lambda network, rs, n: draw_targets(network, rs, n),
    "constant": lambda network, rs, n: np.tile(draw_targets(network, rs, 1), (n, 1)),
    "one class": lambda network, rs, n: np.eye(network.n_outputs)[np.zeros(n, int)],
    "zero": lambda network, rs, n: (
        np.eye(network.n_outputs)[np.zeros(n, int)] * (network.loss == "cross_entropy")
    ),
}


@pytest.mark.parametrize("every", [2, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("targets", TARGETS)
def test_gradients_at_the_limits(inputs, targets, every, dtype):
    compared = 0
    first = [*TARGETS].index(targets) + [*INPUTS].index(inputs) + (dtype == np.float32)
    for activation, loss, output in MIXED[first % every :: every]:
        seed = seed_of(inputs, targets, activation, loss, output)
        rs = np.random.RandomState(seed)
        reduction = REDUCTIONS[seed % 2]
        network = Network((3, 7, 2), activation, output, loss, reduction=reduction)
        X = INPUTS[inputs](rs, dtype).astype(dtype)
        Y = TARGETS[targets](network, rs, len(X)).astype(dtype)
        params = network.init_params(rs, dtype)
        away = testing.away_from_kinks(network, params, X, Y)
        value, gradient = loss_and_gradient(network, params, X, Y, backend="numpy")
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            assert masks_agree(network, params, X, Y), network
            continue
        away &= settled(network, predict(network, params, X, backend="numpy"))
        if not away.any():
            continue
        compared += 1
        if inputs in FLOORS:
            floor = FLOORS[inputs](dtype)
            assert_gradients_match_but_for(floor, network, params, X[away], Y[away])
        else:
            testing.assert_gradients_match(network, params, X[away], Y[away])
    assert compared > 5


def settled(network, output):
    """The rows whose loss is not decided by the last bit of a probability near 1, of which it takes
    ``log(1 - p)``."""
    if network.loss not in ("log_loss", "cross_entropy"):
        return np.ones(len(output), bool)
    eps = np.finfo(output.dtype).eps
    return ((abs(output - 0.5) < 0.49) | (output < eps / 2) | (output > 1 - eps / 4)).all(axis=1)


def assert_gradients_match_but_for(floor, network, params, X, Y):
    """The usual bound, and `floor` for each term of a sum: what a subnormal is rounded by, or of
    the tail of an exp.

    For S may be subnormal itself, and ``exp(z)`` for a z of -70 has 70 times the relative error of
    z. S does not know how the sums of a probability are rounded: delta has their error where inputs
    of 1,000 happen not to saturate it.
    """
    both = [loss_and_gradient(network, params, X, Y, backend=name) for name in ("numpy", "numba")]
    (loss, gradient), (other_loss, other) = both
    unit = testing.GRADIENT_FACTOR * testing.longest_sum(network, len(X))
    eps = float(np.finfo(X.dtype).eps)
    data = check_data(network, X, Y)
    scale = testing.gradient_scale(network, params, data)
    if network.loss in ("log_loss", "cross_entropy"):
        outputs = predict(network, params, X, backend="numpy")
        scale = scale * max(
            1, output_scale(network, params, X).max() / (abs(outputs) + abs(Y)).max()
        )
    allowed = unit * (eps * scale + floor)
    assert (abs(gradient.astype(float) - other) <= allowed).all(), network
    assert abs(loss - other_loss) <= unit * eps * testing.loss_scale(network, params, data, 0.0), (
        network
    )


def masks_agree(network, params, X, Y, weight=None):
    """Whether outputs, loss and gradient of both back ends are finite, infinite or NaN in the same
    places."""
    seen = []
    for name in ("numpy", "numba"):
        options = {"backend": name, "assume_finite": True}
        loss, gradient = loss_and_gradient(network, params, X, Y, sample_weight=weight, **options)
        seen.append(
            [
                np.where(np.isfinite(a), 0, a)
                for a in (predict(network, params, X, **options), loss, gradient)
            ]
        )
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*seen, strict=True))


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_masks_of_nan_and_infinity_agree(loss, output, every, dtype):
    drawn = {
        activation: np.random.RandomState(seed_of(activation, loss, output))
        for activation in HIDDEN
    }
    for activation, k in itertools.product(HIDDEN, range(6)):
        if k % every != seed_of(activation, loss, output) % every:
            continue
        rs = drawn[activation]
        network = Network((3, 5, 2), activation, output, loss, reduction=REDUCTIONS[k % 2])
        params = network.init_params(rs, dtype)
        X = rs.standard_normal((N, 3)).astype(dtype)
        Y = draw_targets(network, rs, N).astype(dtype)
        part = X if k % 3 else Y
        part[rs.randint(0, N, 2), rs.randint(0, part.shape[1], 2)] = rs.choice(
            [np.nan, np.inf, -np.inf], 2
        )
        weight = rs.choice([0.0, 1.0, 2.0], N).astype(dtype) + (np.arange(N) == 0)
        assert masks_agree(network, params, X, Y, weight if k % 2 else None), network


@hypothesis.settings(max_examples=300)
@hypothesis.given(
    st.sampled_from(HIDDEN),
    st.sampled_from(["sigmoid", "softmax"]),
    st.sampled_from(DTYPES),
    st.floats(0, 300),
    SEEDS,
)
def test_saturated_outputs_have_a_finite_loss(activation, output, dtype, size, seed):
    """Probabilities of 0 and 1, on the wrong side: a loss of at most -log eps, and a gradient that
    is not lost."""
    rs = np.random.RandomState(seed)
    network = Network(
        (3, 4, 2), activation, output, "log_loss" if output == "sigmoid" else "cross_entropy"
    )
    params = (network.init_params(rs, dtype) * size).astype(dtype)
    X = rs.standard_normal((N, 3)).astype(dtype)
    Y = np.eye(2)[rs.randint(0, 2, N)]
    for name in ("numpy", "numba"):
        loss, gradient = loss_and_gradient(network, params, X, Y, backend=name)
        assert 0 <= loss <= -2.01 * np.log(np.finfo(dtype).eps)
        assert np.isfinite(gradient).all()


DEGENERATE = [(inputs, "drawn") for inputs in ("one row", "constant columns", "negative zeros")]
DEGENERATE += [("equal columns", "one class"), ("equal columns", "constant")]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("inputs", "targets"), DEGENERATE)
def test_degenerate_data_can_be_trained_on(inputs, targets, reduction, dtype):
    rs = np.random.RandomState(0)
    network = Network((3, 6, 2), "tanh", "softmax", "cross_entropy", reduction=reduction)
    X = INPUTS[inputs](rs, dtype).astype(dtype)
    Y = TARGETS[targets](network, rs, len(X)).astype(dtype)
    params = network.init_params(rs, dtype)
    for optimizer in (SGD(0.05, momentum=0.9), Adam(0.01)):
        options = {"optimizer": optimizer, "epochs": 30}
        testing.assert_trainings_match(network, X, Y, params, **options)
        result = train(network, X, Y, params=params, **options)
        assert result.history.loss[-1] <= result.history.loss[0]


@pytest.mark.parametrize("weight", [float(np.finfo(np.float32).tiny), 1e-30, 1e-10, 1e10, 1e30])
def test_the_size_of_all_weights_cancels_in_a_mean(weight, backend, dtype):
    rs = np.random.RandomState(0)
    network = Network((3, 6, 2), "tanh")
    params = network.init_params(rs, dtype)
    X = rs.standard_normal((N, 3)).astype(dtype)
    (one, gradient), (other, found) = (
        loss_and_gradient(network, params, X, X[:, :2], sample_weight=w, backend=backend)
        for w in (None, [weight] * N)
    )
    rtol = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(other, one, rtol=rtol)
    np.testing.assert_allclose(found, gradient, rtol=rtol, atol=rtol * abs(gradient).max())
