"""Networks from Keras and to it: what one predicts, the other does."""

import os

import numpy as np
import pytest
from bits import bits
from exported import NETWORKS, assert_same, rows, trained

from fastnn import Network, from_keras, train
from fastnn.files.frameworks import _NAMES

BACKEND = os.environ.setdefault("KERAS_BACKEND", "torch")
if BACKEND == "torch":
    pytest.importorskip("torch", reason="Keras wants PyTorch, or what KERAS_BACKEND names: it is not installed")
keras = pytest.importorskip("keras")
layers = keras.layers

WRITTEN = {
    name: network
    for name, network in NETWORKS.items()
    if all(layer.activation in (*_NAMES, "leaky_relu") for layer in network.layers)
}


def outputs_of(model, X):
    return keras.ops.convert_to_numpy(model(X))


def assert_near(outputs, expected, what):
    """Outputs are ours, to float32's rounding: so Keras multiplies float64, too, where PyTorch computes it."""
    assert_same(outputs.astype(np.float32), expected.astype(np.float32), what)


def sequence(*parts, n_inputs=2, dtype="float32"):
    return keras.Sequential([keras.Input((n_inputs,), dtype=dtype), *parts])


@pytest.mark.parametrize("name", WRITTEN)
def test_there_and_back(name, dtype):
    result = trained(WRITTEN[name], dtype)
    X = rows(dtype)
    model = result.to_keras()
    assert_near(outputs_of(model, X), result.predict(X), name)
    back = from_keras(model)
    assert back.network.sizes == result.network.sizes
    assert back.network.activations == result.network.activations
    assert bits(back.predict(X)) == bits(result.predict(X))  # float64's weights, whole
    model.layers[0].set_weights([np.zeros_like(array) for array in model.layers[0].get_weights()])
    assert bits(back.predict(X)) == bits(result.predict(X))
    assert bits(from_keras(result.to_keras()).params) == bits(back.params)


def test_what_is_built_in_keras(dtype):
    of = {"dtype": np.dtype(dtype).name}
    first = sequence(layers.Dense(7, use_bias=False, **of), layers.LeakyReLU(0.01, **of), n_inputs=5, **of)
    model = sequence(
        first,
        layers.Dropout(0.5, **of),
        layers.Dense(6, "swish", **of),
        layers.Dense(4, **of),
        layers.Activation("tanh", **of),
        layers.Dense(3, **of),
        n_inputs=5,
        **of,
    )
    X = rows(dtype)
    result = from_keras(model)
    assert result.network == Network((5, 7, 6, 4, 3), ("leaky_relu", "silu", "tanh"))
    assert_near(outputs_of(model, X), result.predict(X), "outputs")
    classifier = from_keras(model, output="softmax")
    assert classifier.network.loss == "cross_entropy"
    p = keras.ops.convert_to_numpy(keras.ops.softmax(model(X)))
    assert_near(p, classifier.predict(X), "probabilities")
    more = train(classifier.network, X, np.arange(len(X)) % 3, epochs=1, params=classifier.params, seed=0)
    assert more.params.dtype == dtype


def tanh(x):
    """A function of the user's own, with a name that Keras has too."""
    return 2 * x


REFUSED = [
    (lambda: layers.Dense(1), TypeError, "from_keras takes a keras.Sequential, not <Dense"),
    (lambda: "model.keras", TypeError, "from_keras takes a keras.Sequential, not 'model.keras'"),
    (lambda: sequence(), ValueError, "there is no Dense layer"),
    (lambda: keras.Sequential([layers.Dense(1)]), ValueError, "must have weights, 2 arrays, not 0: is the model built"),
    (lambda: sequence(layers.BatchNormalization()), ValueError, "no layer of fastnn's is like <BatchNormalization"),
    (lambda: sequence(layers.ReLU(), layers.Dense(1)), ValueError, "<ReLU .* must stand after a Dense layer"),
    (lambda: sequence(layers.Dense(1, "relu"), layers.ELU()), ValueError, "<ELU .* must stand after a Dense layer"),
    (lambda: sequence(layers.Dense(1, "gelu")), ValueError, "is Keras' gelu .ours is that of approximate=True"),
    (lambda: sequence(layers.Dense(1, "leaky_relu")), ValueError, "is Keras' leaky_relu .our slope is 0.01"),
    (lambda: sequence(layers.Dense(1, tanh)), ValueError, "no activation of fastnn's is Keras' tanh"),
    (lambda: sequence(layers.Dense(1), layers.ReLU(6)), ValueError, "fastnn's relu is that of max_value=None"),
    (lambda: sequence(layers.Dense(2, "softmax"), layers.Dense(1)), ValueError, "unknown .* 'softmax'"),
    (lambda: sequence(layers.Dense(1, dtype="float16")), TypeError, "must compute in float32 or float64, not float16"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_other_models_are_refused(case):
    make, kind, match = REFUSED[case]
    with pytest.raises(kind, match=match):
        from_keras(make())


def test_options_and_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"the last layer has an activation, tanh: output='softmax' cannot be given"):
        from_keras(sequence(layers.Dense(2, "tanh")), output="softmax")
    model = sequence(layers.Dense(2))
    model.layers[0].set_weights([np.full((2, 2), np.nan), np.zeros(2)])
    with pytest.raises(ValueError, match="the weights must be finite"):
        from_keras(model)
    with pytest.raises(ValueError, match="the format keras has no activation 'gelu'"):
        trained(NETWORKS["gelu"], np.float32).to_keras()
