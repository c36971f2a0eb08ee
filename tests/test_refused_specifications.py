"""Networks, optimizers, schedules, stop rules and back ends that make no sense are refused where they are made."""

import math

import pytest
from good_input import NETWORK, PARAMS, X, refusal

import fastnn
from fastnn import SGD, Adam, Network, Stop
from fastnn.losses import LOSSES
from fastnn.optimizers import OPTIMIZERS, AdamW

LEGAL_LOSSES = ", ".join(LOSSES)
MADE = {
    "an unknown activation": (
        lambda: Network((3, 4, 2), "rleu"),
        ValueError,
        "unknown activation 'rleu' (did you mean 'relu'?); one of identity, sigmoid, tanh, relu,",
    ),
    "an unknown activation in a list": (lambda: Network((3, 4, 4, 2), ("tanh", "x")), ValueError, "activation[1] 'x'"),
    "capitals": (lambda: Network((3, 4, 2), "ReLU"), ValueError, "did you mean 'relu'?"),
    "an unknown output": (lambda: Network((3, 2), output="softmaxx"), ValueError, "did you mean 'softmax'?"),
    "an unknown loss": (
        lambda: Network((3, 2), loss="quality"),
        ValueError,
        f"unknown loss 'quality'; one of {LEGAL_LOSSES}",
    ),
    "an output for a hidden activation": (
        lambda: Network((3, 4, 2), "softmax"),
        ValueError,
        "unknown activation 'softmax' (for the last layer only, by output=); one of",
    ),
    "another library's name": (
        lambda: Network((3, 2), loss="mse"),
        ValueError,
        f"unknown loss 'mse' (did you mean 'squared_error'?); one of {LEGAL_LOSSES}",
    ),
    "another library's name in a list": (
        lambda: Network((3, 4, 4, 2), ("tanh", "logistic")),
        ValueError,
        "activation[1] 'logistic' (did you mean 'sigmoid'?)",
    ),
    "an array for a name": (
        lambda: Network((3, 4, 2), output=X),
        TypeError,
        "not ndarray of shape (12, 3) of type ndarray",
    ),
    "a softmax of one": (
        lambda: Network((3, 4, 1), "relu", "softmax"),
        ValueError,
        "output 'softmax' of one neuron is always 1: take output='sigmoid' with loss='log_loss'",
    ),
    "weights of too few layers": (
        lambda: NETWORK.pack(NETWORK.weights(PARAMS)[:1], NETWORK.biases(PARAMS)),
        ValueError,
        "weights must have one array for each of the 2 layers, not 1",
    ),
    "weights of another shape": (
        lambda: NETWORK.pack([X, X], NETWORK.biases(PARAMS)),
        ValueError,
        "weights[0] must have the shape (3, 4), not (12, 3)",
    ),
    "weights of outputs and inputs": (
        lambda: NETWORK.pack([W.T for W in NETWORK.weights(PARAMS)], NETWORK.biases(PARAMS)),
        ValueError,
        "weights[0] must have the shape (3, 4), not (4, 3); weights[0].T has it",
    ),
    "biases of text": (
        lambda: NETWORK.pack(NETWORK.weights(PARAMS), [["a"] * 4, ["b"] * 2]),
        TypeError,
        "biases[0] must hold real numbers, not <U1",
    ),
    "an unknown bias": (lambda: Network((3, 2), bias="vectors"), ValueError, "unknown bias 'vectors' (did you mean"),
    "an unknown bias gradient": (lambda: Network((3, 2), bias_gradient="x"), ValueError, "exact, times_bias"),
    "an unknown reduction": (lambda: Network((3, 2), reduction="average"), ValueError, "mean'?); one of mean, sum"),
    "an unknown init": (lambda: Network((3, 2), init="xavier"), ValueError, "glorot_uniform, glorot_normal, he, norm"),
    "a bias that is no number": (lambda: Network((3, 2), bias_init="zero"), TypeError, 'or "same"'),
    "a bias that is not finite": (lambda: Network((3, 2), bias_init=math.inf), ValueError, "bias_init must be finite"),
    "softmax inside": (lambda: Network((3, 4, 2), "softmax"), ValueError, "unknown activation 'softmax'"),
    "a number for a name": (lambda: Network((3, 4, 2), 3), TypeError, "activation must be one of"),
    "names for other layers": (lambda: Network((3, 4, 2), ("relu", "tanh")), ValueError, "2 names for 1 hidden"),
    "an illegal pair": (
        lambda: Network((3, 2), output="identity", loss="log_loss"),
        ValueError,
        "loss 'log_loss' does not go with output 'identity'; it goes with sigmoid, and 'identity' with squared_error",
    ),
    "a layer of no neurons": (lambda: Network((3, 0, 2)), ValueError, "sizes[1] must be at least 1, not 0"),
    "half a neuron": (lambda: Network((3, 1.5, 2)), TypeError, "sizes[1] must be an integer"),
    "inputs alone": (lambda: Network((3,)), ValueError, "sizes needs at least the inputs and the outputs"),
    "one number for sizes": (lambda: Network(3), TypeError, "sizes must be a sequence of integers"),
    "text for sizes": (lambda: Network("345"), TypeError, "sizes must be a sequence of integers"),
    **{
        f"a negative rate of {name}": (
            lambda kind=kind: kind(-0.1),
            ValueError,
            "learning_rate must be at least 0, not -0.1",
        )
        for name, kind in OPTIMIZERS.items()
    },
    "a rate that is not finite": (lambda: SGD(math.inf), ValueError, "learning_rate must be finite, not inf"),
    "a rate that is no number": (lambda: Adam("fast"), TypeError, "learning_rate must be a number or a function"),
    "a momentum above 1": (lambda: SGD(momentum=1.5), ValueError, "momentum must be at least 0 and at most 1"),
    "a beta of 1": (lambda: Adam(beta_2=1.0), ValueError, "beta_2 must be at least 0 and less than 1, not 1"),
    "an epsilon of 0": (lambda: Adam(epsilon=0), ValueError, "epsilon must be greater than 0, not 0"),
    "a negative decay": (lambda: AdamW(weight_decay=-1), ValueError, "weight_decay must be at least 0"),
    "a word for a flag": (lambda: SGD(nesterov="yes"), TypeError, "nesterov must be True or False"),
    "a schedule of no steps": (lambda: fastnn.cosine(0.1, 0), ValueError, "steps must be at least 1"),
    "a negative schedule": (lambda: fastnn.step_decay(-0.1, 5), ValueError, "learning_rate must be at least 0"),
    "a factor of 0": (lambda: fastnn.step_decay(0.1, 5, 0), ValueError, "factor must be greater than 0"),
    "an unknown back end": (
        lambda: fastnn.get_backend("nunba"),
        ValueError,
        "unknown backend 'nunba' (did you mean 'numba'?); one of numpy, numba",
    ),
    "something else for a back end": (lambda: fastnn.get_backend(3), TypeError, "3 is no back end: it lacks name, s"),
    "negative patience": (lambda: Stop(patience=-1), ValueError, "patience must be at least"),
}


@pytest.mark.parametrize("case", MADE)
def test_making_refuses(case):
    make, kind, text = MADE[case]
    found, message = refusal(make)
    assert found is kind
    assert text in message
