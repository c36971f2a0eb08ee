"""The layers of a network: the layout of the parameters, and their first draw."""

import dataclasses
import math

import numpy as np
import pytest
from bits import assert_same_params, bits

from fastnn import Adam, LevenbergMarquardt, Network, train, train_many
from fastnn.network import BIASES, INITS, draw, nguyen_widrow, params_of

LAYER_BY_LAYER = [init for init in INITS if init != "nguyen_widrow"]


@pytest.mark.parametrize("bias", BIASES)
def test_layout(bias):
    """Per layer W (fan_in, fan_out), row by row, and then the bias; nothing between and nothing
    left over."""
    network = Network((3, 5, 2), ("tanh",), "sigmoid", bias=bias)
    n_1, n_2 = {"vector": (5, 2), "scalar": (1, 1), "none": (0, 0)}[bias]
    assert (network.n_inputs, network.n_outputs, network.n_layers) == (3, 2, 2)
    assert network.n_params == 15 + n_1 + 10 + n_2
    assert [layer.n_bias for layer in network.layers] == [n_1, n_2]
    assert [layer.activation for layer in network.layers] == ["tanh", "sigmoid"]
    params = np.arange(network.n_params)
    W_1, W_2 = network.weights(params)
    b_1, b_2 = network.biases(params)
    assert W_1.tolist() == params[:15].reshape(3, 5).tolist()
    assert b_1.tolist() == params[15:][:n_1].tolist()
    assert W_2.tolist() == params[15 + n_1 :][:10].reshape(5, 2).tolist()
    assert b_2.tolist() == params[25 + n_1 :].tolist()
    assert all(np.shares_memory(part, params) for part in (W_1, b_1, W_2, b_2) if part.size)
    is_weight = network.is_weight(np.float32)
    assert is_weight.dtype == np.float32
    assert is_weight.tolist() == [1] * 15 + [0] * n_1 + [1] * 10 + [0] * n_2
    for layer in network.layers:
        assert params[layer.all].tolist() == [*params[layer.weight], *params[layer.bias]]


@pytest.mark.parametrize("bias", BIASES)
def test_packing_is_the_inverse_of_taking_apart(bias, dtype):
    """Of which a result shows its own."""
    network = Network((3, 5, 2), bias=bias)
    params = network.init_params(0, dtype)
    weights = network.weights(params)
    biases = network.biases(params)
    packed = network.pack(weights, biases)
    assert bits(packed) == bits(params)
    assert not np.shares_memory(packed, params)
    of_lists = network.pack([W.tolist() for W in weights], [b.tolist() for b in biases])
    assert of_lists.tolist() == params.tolist()
    result = train(network, np.ones((4, 3)), np.ones((4, 2)), epochs=1, seed=0, backend="numpy")
    assert [W.shape for W in result.weights] == [(3, 5), (5, 2)]
    assert bits(network.pack(result.weights, result.biases)) == bits(result.params)
    assert not any(part.flags.writeable for part in (*result.weights, *result.biases))


@pytest.mark.parametrize("seed", [0, np.int64(7), 2**32 - 1])
def test_a_seed_draws_what_a_training_by_it_begins_with(seed):
    network = Network((3, 5, 2), "tanh")
    begun = train(network, np.zeros((4, 3)), np.zeros((4, 2)), epochs=0, seed=seed)
    assert network.init_params(seed).tobytes() == begun.params.tobytes()
    assert network.init_params(np.random.RandomState(seed)).tobytes() == begun.params.tobytes()
    assert network.init_params(None).tobytes() != network.init_params().tobytes()


@pytest.mark.parametrize("seed", [np.random.default_rng(0), -1, 2**32, True, 0.5, "0"])
def test_what_is_no_seed_is_refused_as_by_train(seed):
    network = Network((1, 1))
    with pytest.raises((TypeError, ValueError)) as of_train:
        train(network, [[0.0]], [0.0], epochs=0, seed=seed)
    with pytest.raises(of_train.type) as caught:
        network.init_params(seed)
    assert str(caught.value) == str(of_train.value).replace("seed", "random_state", 1)


def drawn_by_numpy(layer, n, init, random_state):
    """The first n numbers of a layer, by one call of NumPy's generator."""
    fan_in = layer.fan_in
    fan_out = layer.fan_out
    if init == "glorot_uniform":
        # of sigmoid layers it is scikit-learn's
        square = (2 if layer.activation == "sigmoid" else 6) / (fan_in + fan_out)
        return random_state.uniform(-math.sqrt(square), math.sqrt(square), n)
    variances = {"he": 2 / fan_in, "normal": 1.0, "glorot_normal": 2 / (fan_in + fan_out)}
    return random_state.standard_normal(n) * math.sqrt(variances[init])


def params_by_numpy(network, random_state):
    """The first parameters of a network, layer by layer, W and then the bias."""
    params = []
    for layer in network.layers:
        n = layer.fan_in * layer.fan_out
        if network.bias_init == "same":
            params += [drawn_by_numpy(layer, n + layer.n_bias, network.init, random_state)]
        else:
            params += [drawn_by_numpy(layer, n, network.init, random_state)]
            params += [np.full(layer.n_bias, float(network.bias_init))]
    return np.concatenate(params)


@pytest.mark.parametrize("init", LAYER_BY_LAYER)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("bias_init", ["same", 0.25, -1])
def test_draws_for_all_layers_and_several_networks_have_the_bits_of_numpys_calls(
    init, bias, bias_init, dtype
):
    """The generator then stands where it stands after a call for each layer."""
    network = Network((3, 7, 4, 2), ("sigmoid", "relu"), bias=bias, init=init, bias_init=bias_init)
    seeds = (0, 1, 2**32 - 1, np.int64(7))
    generators = [np.random.RandomState(seed) for seed in seeds]
    params = np.empty((len(seeds), network.n_params), dtype)
    params_of(network, np.array([draw(network, generator) for generator in generators]), params)
    for seed, generator, drawn in zip(seeds, generators, params, strict=True):
        twin = np.random.RandomState(seed)
        assert bits(drawn) == bits(params_by_numpy(network, twin).astype(dtype))
        assert bits(drawn) == bits(network.init_params(np.random.RandomState(seed), dtype))
        assert bits(generator.standard_normal(700)) == bits(twin.standard_normal(700))


SPREAD = Network((2, 6, 4, 1), ("tanh", "sigmoid"), init="nguyen_widrow")


def test_nguyen_and_widrow_spread_the_bends_over_the_ranges_of_the_inputs():
    """A neuron's weights, of inputs from -1 to 1, are as long as 0.7 times a root; its bend is at a
    part of that."""
    low = np.array([-3.0, 100.0])
    high = np.array([5.0, 101.0])
    numbers = draw(SPREAD, np.random.RandomState(0))
    params = nguyen_widrow(SPREAD, numbers, np.empty(SPREAD.n_params), low, high)
    W1, W2, _ = SPREAD.weights(params)
    b1, b2, _ = SPREAD.biases(params)
    scaled = W1 * ((high - low) / 2)[:, None]
    shifted = b1 + ((low + high) / 2) @ W1
    for weights, bias, size in (
        (scaled, shifted, 0.7 * 6 ** (1 / 2)),
        (W2, b2, 2 * 0.7 * 4 ** (1 / 6)),
    ):
        assert np.linalg.norm(weights, axis=0) == pytest.approx(size)
        places = abs(np.linspace(-1, 1, len(bias)))
        assert sorted(abs(bias)) == pytest.approx(sorted(size * places))
    assert abs(params[SPREAD.layers[2].all]).max() <= 1


def test_without_a_name_it_is_nguyen_and_widrow_for_methods_and_glorot_for_all_others(backend):
    X = np.random.RandomState(0).uniform(3, 7, (20, 2))
    y = X[:, 0] / 7
    X[:, 1] = 5.0  # a constant column
    X[0] = 100  # a row that has no say
    weight = (np.arange(20) > 0).astype(float)

    def start(init, optimizer):
        network = dataclasses.replace(SPREAD, init=init)
        options = {"epochs": 0, "backend": backend, "batch_size": None}
        options |= {"sample_weight": weight, "optimizer": optimizer}
        alone = train(network, X, y, seed=3, **options)
        assert_same_params(alone, train_many(network, X, y, seed=[3, 4], **options)[0])
        return bits(alone.params)

    low = X[1:].min(axis=0)
    high = X[1:].max(axis=0)
    numbers = draw(SPREAD, np.random.RandomState(3))
    spread = bits(nguyen_widrow(SPREAD, numbers, np.empty(SPREAD.n_params), low, high))
    glorot = bits(dataclasses.replace(SPREAD, init=None).init_params(3))
    assert start(None, LevenbergMarquardt()) == spread == start("nguyen_widrow", Adam())
    assert start(None, Adam()) == glorot == start("glorot_uniform", LevenbergMarquardt())


def test_networks_of_older_files_keep_their_draw():
    old = Network.from_dict({**Network((2, 3, 1)).to_dict(), "init": "glorot_uniform"})
    assert old.init == "glorot_uniform"
    assert Network.from_dict(Network((2, 3, 1)).to_dict()).init is None
