"""Losses and activations as values: what they are made of, and that a parameter, or a function of
the user's, goes wherever a name goes."""

import numpy as np
import pytest
from bits import assert_same_params
from networks_of_values import assert_bits_of_one, assert_described_and_made_again
from test_custom import NETWORKS as WITH_FUNCTIONS

from fastnn import Adam, Network, Stop, loss_and_gradient, testing, train
from fastnn.losses import CrossEntropy, Elu, Huber, LeakyRelu, LogLoss, Pinball
from fastnn.testing.cases import VARIANTS, draw, draw_training

WITH_PARAMETERS = [
    Network((3, 6, 3), "tanh", loss=Pinball((0.1, 0.5, 0.9))),
    Network((3, 6, 2), Elu(0.3), LeakyRelu(0.2), Huber(0.2)),
    Network((3, 6, 4, 2), (LeakyRelu(0.3), Elu(0.3)), "sigmoid", LogLoss(0.2)),
    Network((3, 6, 4), "mish", "softmax", CrossEntropy(0.1)),
]
NETWORKS = WITH_PARAMETERS + WITH_FUNCTIONS


@pytest.mark.parametrize("value", VARIANTS, ids=str)
def test_the_default_of_a_value_is_its_name(value):
    default = type(value)()
    is_loss = hasattr(value.line, "outputs")
    option, others = ("loss", {"output": value.line.outputs[0]}) if is_loss else ("activation", {})
    network, named, other = (
        Network((3, 5, 2), **others, **{option: v}) for v in (default, default.name, value)
    )
    assert network == named != other
    assert hash(network) == hash(named)
    assert default.name in (network.loss, network.activation)
    assert value != default


@pytest.mark.parametrize("network", WITH_PARAMETERS, ids=str)
def test_the_text_of_a_network_is_an_expression_that_makes_it(network):
    assert eval(repr(network)) == network


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_network_is_described_and_made_again(network, tmp_path):
    half = assert_described_and_made_again(network, tmp_path)
    other = Network.from_dict(network.to_dict() | {"loss": "squared_error"})
    problem = draw_training(network, 20)
    with pytest.raises(ValueError, match="loss"):
        train(other, problem.X, problem.Y, epochs=1, resume=half.state)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_both_back_ends_and_complex_steps_agree(network, dtype):
    for n in (1, 9, 50):
        problem = draw(network, n, dtype, seed=n)
        testing.assert_gradients_match(network, *problem[:3], sample_weight=problem.sample_weight)
        testing.check_gradient(
            network, *draw(network, n, seed=n)[:3], backend="numba", loss="numpy"
        )


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_members_side_by_side_and_threads_have_the_bits_of_one(network):
    held_out = draw_training(network, 20, seed=1)
    assert_bits_of_one(network, stop=Stop(validation=(held_out.X, held_out.Y)))


def test_smoothed_labels_are_targets_between(backend):
    network = Network((3, 4, 3), "tanh", "softmax", CrossEntropy(0.3))
    problem = draw(network, 9)
    labels = np.arange(9) % 3
    plain = Network((3, 4, 3), "tanh", "softmax")
    expected = loss_and_gradient(
        plain, problem.params, problem.X, np.eye(3)[labels] * 0.7 + 0.1, backend=backend
    )
    found = loss_and_gradient(network, problem.params, problem.X, labels, backend=backend)
    for one, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, right, rtol=1e-13, atol=1e-15)


def test_one_column_is_the_target_of_all_quantiles(backend):
    X = np.random.RandomState(0).uniform(-1, 1, (2000, 1))
    y = X[:, 0] * np.random.RandomState(1).standard_normal(2000)
    network = Network((1, 8, 3), "tanh", loss=Pinball((0.1, 0.5, 0.9)))
    options = {"optimizer": Adam(0.02), "seed": 0, "epochs": 20, "backend": backend}
    result = train(network, X, y, **options)
    for n in (1, 3):
        assert_same_params(result, train(network, X, np.stack([y] * n, axis=1), **options))
    shares = (y[:, None] <= result.predict(X)).mean(axis=0)
    np.testing.assert_allclose(shares, [0.1, 0.5, 0.9], atol=0.03)
    with pytest.raises(ValueError, match="Y has 2 columns"):
        train(network, X, np.stack([y] * 2, axis=1), epochs=1)
    # one quantile is that of targets of each output's own
    for loss in ("squared_error", Pinball(0.5), Pinball(0.9)):
        with pytest.raises(ValueError, match="Y must have 2 dimensions"):
            train(Network((1, 8, 3), loss=loss), X, y, epochs=1)
