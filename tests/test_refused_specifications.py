"""Networks, optimizers, schedules, stop rules and back ends that make no sense are refused where
they are made."""

import math
from functools import partial

import numpy as np
import pytest
from good_input import NETWORK, PARAMS, X, refusal

from fastnn import (
    SGD,
    Adam,
    BayesianRegularization,
    Network,
    ReduceRate,
    Stop,
    cosine,
    every,
    get_backend,
    step_decay,
)
from fastnn.losses import LOSSES, Elu, Huber, LeakyRelu, LogLoss, Pinball, Value
from fastnn.optimizers import OPTIMIZERS, AdamW
from fastnn.reference import NumpyBackend

Own = type("Own", (Value,), {"name": "huber"})  # of somebody's own, of fastnn's name
UNEXPECTED = "these options: got an unexpected keyword argument "
LEGAL_LOSSES = ", ".join(LOSSES)
WEIGHTS = NETWORK.weights(PARAMS)
BIASES = NETWORK.biases(PARAMS)
OF_VALUES = [
    (
        lambda: Network((3, 4, 2), "rleu"),
        "unknown activation 'rleu' (did you mean 'relu'?); one of identity, sigmoid,",
    ),
    (lambda: Network((3, 4, 2), "ReLU"), "did you mean 'relu'?"),
    (lambda: Network((3, 2), loss="quality"), f"unknown loss 'quality'; one of {LEGAL_LOSSES}"),
    (
        lambda: Network((3, 2), loss="mse"),
        f"unknown loss 'mse' (did you mean 'squared_error'?); one of {LEGAL_LOSSES}",
    ),
    (
        lambda: Network((3, 4, 2), "softmax"),
        "activation 'softmax' (for the last layer only, by output=); one of",
    ),
    (
        lambda: Network((3, 4, 4, 2), ("tanh", "logistic")),
        "activation[1] 'logistic' (did you mean 'sigmoid'?)",
    ),
    (
        lambda: Network((3, 1), output="softmax"),
        "neuron is always 1: take output='sigmoid' with loss='log_loss'",
    ),
    (
        lambda: NETWORK.pack(WEIGHTS[:1], BIASES),
        "weights must have one array for each of the 2 layers, not 1",
    ),
    (lambda: NETWORK.pack([X, X], BIASES), "weights[0] must have the shape (3, 4), not (12, 3)"),
    (
        lambda: NETWORK.pack([W.T for W in WEIGHTS], BIASES),
        "the shape (3, 4), not (4, 3); weights[0].T has it",
    ),
    (lambda: Network((3, 2), bias="vectors"), "unknown bias 'vectors' (did you mean"),
    (lambda: Network((3, 2), bias_gradient="x"), "exact, times_bias"),
    (lambda: Network((3, 2), reduction="average"), "mean'?); one of mean, sum"),
    (lambda: Network((3, 2), init="xavier"), "glorot_uniform, glorot_normal, he, norm"),
    (lambda: Network((3, 2), bias_init=math.inf), "bias_init must be finite"),
    (
        lambda: Network.from_dict({"loss": "huber"}),
        "values must have 'sizes', such as (3, 5, 1), and have ['loss']",
    ),
    (lambda: Network((3, 4, 2), ("relu", "tanh")), "2 names for 1 hidden"),
    (
        lambda: Network((3, 2), loss="log_loss"),
        "with output 'identity'; it goes with sigmoid, and 'identity' with",
    ),
    (lambda: Network((3, 0, 2)), "sizes[1] must be at least 1, not 0"),
    (lambda: Network((3,)), "sizes needs at least the inputs and the outputs"),
    (lambda: SGD(math.inf), "learning_rate must be finite, not inf"),
    (lambda: SGD(momentum=1.5), "momentum must be at least 0 and at most 1"),
    (lambda: Adam(beta_2=1.0), "beta_2 must be at least 0 and less than 1, not 1"),
    (lambda: Adam(epsilon=0), "epsilon must be greater than 0, not 0"),
    (lambda: AdamW(weight_decay=-1), "weight_decay must be at least 0"),
    (
        lambda: BayesianRegularization(first_steps=2**63),
        "at most 9,007,199,254,740,992, not 9223372036854775808",
    ),
    (lambda: cosine(0.1, 0), "steps must be at least 1"),
    (lambda: step_decay(-0.1, 5), "learning_rate must be at least 0"),
    (lambda: step_decay(0.1, 5, 0), "factor must be greater than 0"),
    (
        lambda: get_backend("nunba"),
        "unknown backend 'nunba' (did you mean 'numba'?); one of numpy, numba",
    ),
    (lambda: get_backend("cuda"), "unknown backend 'cuda' (fastnn computes on the CPU only)"),
    (lambda: get_backend("GPU"), "unknown backend 'GPU' (fastnn computes on the CPU only)"),
    (lambda: get_backend("cupy", specialize=True), "one of numpy, numba"),
    (lambda: Stop(tol=-1), "tol must be at least 0"),
    (lambda: Stop(tol=math.nan), "tol must be finite"),
    (lambda: Stop(patience=-1), "patience must be at least 0, not -1"),
    (lambda: Stop(validation=0), "validation must be greater than 0 and"),
    (lambda: Stop(validation=1), "validation must be greater than 0 and less than 1, not 1"),
    (
        lambda: Stop(validation=20),
        "less than 1, not 20: for so many rows say 20 / len(X), or train(",
    ),
    (lambda: Stop(validation=(1,)), "not 1 things"),
    (lambda: Stop(max_seconds=0), "max_seconds must be greater than 0"),
    (lambda: Stop(on_divergence="ignore"), "raise, stop"),
    (lambda: Stop(on_interrupt="ask"), "on_interrupt"),
    (lambda: ReduceRate(factor=1), "factor must be greater than 0 and less than 1, not 1"),
    (lambda: ReduceRate(factor=0), "factor must be greater than 0 and less than 1, not 0"),
    (lambda: ReduceRate(patience=-2), "patience must be at least 0, not -2"),
    (lambda: ReduceRate(least=-0.1), "least must be at least 0"),
    (lambda: ReduceRate(least=math.nan), "least must be finite"),
    (lambda: every(0, print), "k must be at least 1, not 0"),
    (lambda: Pinball(1.0), "quantiles must be greater than 0 and less than 1, not 1"),
    (lambda: Pinball((0.1, 0.1)), "one number or several in ascending order"),
    (lambda: Pinball(()), "one number or several"),
    (
        lambda: Network((3, 5, 2), loss=Pinball((0.1, 0.5, 0.9))),
        "3 quantiles, which want as many outputs",
    ),
    (lambda: Huber(0), "delta must be greater than 0"),
    (lambda: Elu(np.inf), "alpha must be finite"),
    (lambda: LeakyRelu(2), "slope must be at least 0 and at most 1"),
    (lambda: LogLoss(1), "label_smoothing must be at least 0 and less than 1"),
    (lambda: Network((3, 1), loss=Elu()), "unknown loss 'elu'"),
    (lambda: Network((3, 1), loss="quantile"), "did you mean 'pinball'"),
    (
        lambda: Network.from_dict({"sizes": [3, 1], "loss": {"name": "poisson", "x": 1}}),
        "no parameters",
    ),
]
OF_TYPES = [
    (lambda: Stop(patience=1.5), "patience must be an integer, not 1.5"),
    (lambda: Stop(validation=True), "not True"),
    (lambda: Stop(validation="0.1"), "between 0 and 1"),
    (lambda: Stop(restore_best=1), "True or False"),
    (lambda: Stop(reduce=0.5), "reduce must be a ReduceRate, such as ReduceRate(0.5), not 0.5"),
    (lambda: ReduceRate(factor="half"), "factor must be a number"),
    (lambda: ReduceRate(patience=0.5), "patience must be an integer, not 0.5"),
    (lambda: cosine(lr=0.1), "cosine has no argument 'lr': say learning_rate=..."),
    (lambda: every(1.5, print), "k must be an integer"),
    (lambda: every(1, None), "None cannot be called"),
    (lambda: Pinball("0.5"), "quantiles must be a number or one for each output"),
    (lambda: Network((3, 1), loss=Huber), "loss must be made of Huber: say Huber()"),
    (lambda: Network((3, 1), loss=Own()), "must be one of fastnn's own"),
    (
        lambda: Network.from_dict({"sizes": [3, 1], "loss": {"delta": 1}}),
        "not None of type NoneType",
    ),
    (
        lambda: Network.from_dict({"sizes": [3, 1], "loss": {"name": [1]}}),
        ", not [1] of type list",
    ),
    (lambda: Network((3, 4, 2), output=X), "not ndarray of shape (12, 3) of type ndarray"),
    (
        lambda: NETWORK.pack(WEIGHTS, [["a"] * 4, ["b"] * 2]),
        "biases[0] must hold real numbers, not <U1",
    ),
    (lambda: Network((3, 2), bias_init="zero"), 'or "same"'),
    (lambda: Network((3, 2), bias_init=np.zeros(2)), "bias_init must be a number"),
    (lambda: Network((3, 4, 2), 3), "activation must be one of"),
    (lambda: Network((3, 1.5, 2)), "sizes[1] must be an integer"),
    (lambda: Network(3), "sizes must be a sequence of integers such as"),
    (lambda: Network("345"), "of integers such as (3, 5, 1), not '345'"),
    (lambda: Adam("fast"), "learning_rate must be a number or a function"),
    (lambda: SGD(nesterov="yes"), "nesterov must be True or False"),
    (
        lambda: get_backend(3),
        "3 is no back end: a back end is an object of a subclass of fastnn.Backend",
    ),
    (
        lambda: get_backend("numpy", specialize=True),
        "'numpy' does not take " + UNEXPECTED + "'specialize'",
    ),
    (
        lambda: get_backend("numba", special=True),
        "'numba' does not take " + UNEXPECTED + "'special'",
    ),
    (lambda: get_backend("numba", specialize="yes"), "specialize must be True or False"),
    (lambda: get_backend(get_backend("numba"), specialize=True), "options need the name"),
    (lambda: get_backend(NumpyBackend), "is a class, not a back end: say NumpyBackend()"),
]
NEGATIVE = [
    (partial(kind, -0.1), "learning_rate must be at least 0, not -0.1")
    for kind in OPTIMIZERS.values()
]


@pytest.mark.parametrize(
    ("kind", "make", "text"),
    [(ValueError, *case) for case in OF_VALUES + NEGATIVE]
    + [(TypeError, *case) for case in OF_TYPES],
)
def test_making_refuses(kind, make, text):
    found, message = refusal(make)
    assert found is kind
    assert text in message
