"""`predict`, `loss_and_gradient`, derivatives by inputs: formulas; no bit by threads, other rows,
calls within."""

import contextlib
import copy
import dataclasses
import math
import pathlib
import sys

import numpy as np
import pytest
from bits import all_bits, bits, result_bits
from small_training import NETWORK
from watched import watch

import fastnn
from fastnn import (
    SGD,
    Adam,
    Network,
    Stop,
    cores,
    get_backend,
    loss_and_gradient,
    predict,
    train,
    train_many,
)
from fastnn.cores import Cores
from fastnn.losses import ACTIVATIONS, HIDDEN, Elu, LeakyRelu
from fastnn.state import Data, Steps, StepState, Task


def test_predict_and_loss_and_gradient(data, backend, dtype):
    X, Y = data
    params = NETWORK.init_params(0, dtype)
    (W1, W2), (b1, b2) = NETWORK.weights(params), NETWORK.biases(params)
    right = np.tanh(X @ W1 + b1) @ W2 + b2
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    output = predict(NETWORK, params, X, backend=backend)
    loss, gradient = loss_and_gradient(NETWORK, params, X, Y, alpha=2.0, backend=backend)
    assert output.dtype == gradient.dtype == dtype
    assert type(loss) is float
    assert gradient.shape == params.shape
    np.testing.assert_allclose(output, right, rtol=tolerance, atol=tolerance)
    penalty = sum(np.square(w, dtype=np.float64).sum() for w in (W1, W2))
    right_loss = (((right - Y) ** 2).sum() / 2 + penalty) / len(X)
    np.testing.assert_allclose(loss, right_loss, rtol=10 * tolerance)


@pytest.mark.parametrize("n", [1024, 1025, 10_000])
def test_predictions_that_threads_share_have_the_same_bits(monkeypatch, n, dtype):
    network = Network((5, 17, 3), "tanh", "softmax", "cross_entropy")
    random_state = np.random.RandomState(0)
    params = network.init_params(random_state, dtype)
    X = random_state.standard_normal((n, 5)).astype(dtype)
    alone = predict(network, params, X)
    monkeypatch.setattr("fastnn.fused.backend.MANY", 0)
    monkeypatch.setattr("fastnn.cores.available_cores", lambda: Cores(3, "told"))
    assert predict(network, params, X).tobytes() == alone.tobytes()
    monkeypatch.undo()
    borrowed = watch(monkeypatch, cores, "borrow")
    for threads in (1, 2, 3, 5, 8):
        assert predict(network, params, X, threads=threads).tobytes() == alone.tobytes()
    n_blocks = math.ceil(n / 256)
    helpers = [call.arguments[0] for call in borrowed]
    assert helpers == [min(threads, n_blocks) - 1 for threads in (2, 3, 5, 8)]
    for row in (0, n // 2, n - 1):
        assert predict(network, params, X[[row]]).tobytes() == alone[row].tobytes()


def test_unasked_a_gradient_is_shared_where_a_block_has_enough_work(monkeypatch, shared):
    monkeypatch.setattr("fastnn.cores.available_cores", lambda: Cores(2, "told"))
    X = np.random.RandomState(0).standard_normal((600, 23))
    for n_hidden, used in ((37, []), (200, [2])):
        network = Network((23, n_hidden, 3), "tanh")
        arguments = network, network.init_params(np.random.RandomState(0)), X, np.sin(X[:, :3])
        alone, gradient = loss_and_gradient(*arguments, threads=1)
        loss_and_gradient(*arguments, threads=2)  # now the kernel need not be compiled
        del shared[:]
        loss, found = loss_and_gradient(*arguments)
        assert (loss, found.tobytes(), shared) == (alone, gradient.tobytes(), used)


def test_checks_leave_threads_of_blas_alone(monkeypatch):
    """They would go on looking for work, on the CPUs of threads that share a step: OpenBLAS has
    them from 10,000 on."""
    calls = watch(monkeypatch, np, "vdot")
    X = np.ones((12_345, 3))
    predict(NETWORK, np.ones(NETWORK.n_params), X)
    sizes = [call.arguments[0].size for call in calls]
    assert sum(sizes) >= X.size
    assert max(sizes) <= 10_000
    X[-1, -1] = math.nan
    with pytest.raises(ValueError, match=r"X\[12344, 2\] is nan"):
        predict(NETWORK, np.ones(NETWORK.n_params), X)


def test_the_parts_of_a_result_are_looked_at_again_when_they_are_others(data):
    X, _ = data
    result = train(NETWORK, *data, epochs=1, seed=0)
    for name, value, text in (
        ("params", np.zeros(3), "has 3 numbers"),
        ("network", Network((3, 9, 2)), "has 26 "),
    ):
        twin = copy.copy(result)
        twin.predict(X)
        object.__setattr__(twin, name, value)
        with pytest.raises(ValueError, match=f"params {text}"):
            twin.predict(X)
    writable = dataclasses.replace(result, params=np.repeat(result.params, 2)[::2])
    writable.predict(X)
    writable.params[:] = 0
    assert not writable.predict(X).any()


NETWORKS = {
    **{name: Network((3, 17, 4, 2), name) for name in HIDDEN},
    **{f"output {name}": Network((5, 9, 3), "tanh", name) for name in ACTIVATIONS},
    "parameters": Network((3, 6, 5, 2), (Elu(0.3), LeakyRelu(0.2)), Elu(2.0)),
    "wide": Network((40, 33, 1), "silu", bias="scalar"),
    "no bias": Network((9, 1), bias="none"),
}


def result_of(network, dtype=np.float64):
    X = np.random.RandomState(0).standard_normal((300, network.n_inputs)).astype(dtype)
    params = network.init_params(1, dtype)
    Y = get_backend("numpy").predict(network, params, X)
    return train(network, X, Y, params=params, epochs=0), X


@pytest.mark.parametrize("name", NETWORKS)
def test_they_are_those_of_complex_steps(name, backend):
    result, X = result_of(NETWORKS[name])
    J = result.jacobian(X, backend=backend)
    h = 1e-100
    of = get_backend("numpy").predict
    assert J.shape == (300, result.network.n_outputs, result.network.n_inputs)
    for k in range(result.network.n_inputs):
        moved = X.astype(complex)
        moved[:, k] += 1j * h
        expected = of(result.network, result.params.astype(complex), moved).imag / h
        np.testing.assert_allclose(J[:, :, k], expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", NETWORKS)
def test_other_rows_show_in_no_bit_and_single_precision_is_near(name):
    result, X = result_of(NETWORKS[name])
    J = result.jacobian(X)
    for rows in (slice(1), slice(7), slice(255, 258), slice(None, None, -1)):
        assert bits(result.jacobian(X[rows])) == bits(J[rows])
    single, X = result_of(NETWORKS[name], np.float32)
    np.testing.assert_allclose(
        single.jacobian(X), single.jacobian(X, backend="numpy"), rtol=2e-4, atol=2e-6
    )


def test_a_gradient_is_that_of_the_only_output():
    result, X = result_of(NETWORKS["wide"])
    assert bits(result.input_gradient(X)) == bits(result.jacobian(X)[:, 0])
    with pytest.raises(ValueError, match="2 outputs: jacobian has the derivatives of each"):
        result_of(NETWORKS["parameters"])[0].input_gradient(X[:, :3])
    with pytest.raises(ValueError, match="X has 3 columns, the network has 40 inputs"):
        result.jacobian(X[:, :3])


@pytest.mark.nojit
def test_many_results_have_those_of_their_members():
    X = np.random.RandomState(0).rand(20, 3)
    networks = [Network((3, 4, 2)), Network((3, 2), "tanh")]
    many = train_many(networks, X, X[:, :2], seed=range(2), epochs=1)
    assert bits(many.jacobian(X)) == bits(np.stack([result.jacobian(X) for result in many]))
    with pytest.raises(ValueError, match="different numbers of outputs: say many"):
        train_many(
            [networks[0], Network((3, 1))], X, [X[:, :2], X[:, 0]], seed=0, epochs=1
        ).jacobian(X)


PACKAGE = str(pathlib.Path(fastnn.__file__).parent)
PARAMS = np.linspace(-1, 1, NETWORK.n_params)
X = np.random.RandomState(0).randn(9, 3)
Y = np.sin(X[:, :2])


@contextlib.contextmanager
def at(n, do):
    """While this context lasts, `do` is called once: before the n-th line that fastnn runs."""

    def trace(frame, event, argument):
        nonlocal n
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        n -= event == "line"
        if n == 0:
            sys.settrace(None)
            do()
        return trace

    old = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(old)


def outputs(backend, params, X):
    return bits(predict(NETWORK, params, X, backend=backend))


def gradient(backend, alpha):
    return all_bits(*loss_and_gradient(NETWORK, PARAMS, X, Y, alpha=alpha, backend=backend))


def trained(backend, options):
    return result_bits(
        train(
            NETWORK, X, Y, **{"seed": 0, "batch_size": 5, "alpha": 0.1} | options, backend=backend
        )
    )


def steps(backend, task, seed):
    random_state = np.random.RandomState(seed)
    state = StepState.create(NETWORK.init_params(random_state, np.float64), task.optimizer.n_slots)
    rows = Steps(
        np.arange(9), np.array([0, 5]), np.array([5, 9]), random_state.rand(2), np.empty(2)
    )
    assert backend.train_steps(task, state, rows) == 2
    return all_bits(state.vectors, state.beta_products, rows.loss), backend.loss(task, state.params)


TASK = Task(NETWORK, Adam(), Data(X, Y, np.ones(9)), 0.1)
RULES = [Stop(validation=part, restore_best=True) for part in (0.3, 0.5)]
OPTIMIZERS = (Adam(0.01), SGD(0.3, momentum=0.5))
CALLS = {
    "predict": (outputs, (PARAMS, X), (PARAMS[::-1], X)),
    "predict one row": (outputs, (PARAMS, X[:1]), (PARAMS[::-1], X[1:2])),
    "loss and gradient": (gradient, (0.3,), (7.0,)),
    "train": (trained, *(({"epochs": 2, "optimizer": optimizer},) for optimizer in OPTIMIZERS)),
    "train and validate": (trained, *(({"epochs": 3, "stop": stop},) for stop in RULES)),
    "steps of one task": (steps, (TASK, 0), (TASK, 1)),
}


@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("options", [{}, {"specialize": True}], ids=["general", "own kernels"])
def test_a_call_in_the_midst_of_another_changes_no_bit_of_either(name, options, every, backend):
    """The same function with other numbers, before every so-many-th line that the first call runs
    in turn."""
    if backend == "numpy" and options:
        pytest.skip("a back end without options")
    backend = get_backend(backend, **options)
    within = []
    call, one, other = CALLS[name]
    expected = call(backend, *one)
    expected_within = call(backend, *other)
    n = 0
    while len(within) * every == n:  # as long as there is an n-th line
        n += every
        with at(n, lambda: within.append(call(backend, *other))):
            assert call(backend, *one) == expected, f"line {n}"
    assert n > 20
    assert all(numbers == expected_within for numbers in within)
