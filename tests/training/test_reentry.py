"""fastnn called in the midst of a call of fastnn, by a signal's handler or a finalizer: both give right numbers."""

import pathlib
import sys

import numpy as np
import pytest
from bits import all_bits, bits, result_bits

import fastnn
from fastnn import SGD, Adam, Network, Stop, get_backend, loss_and_gradient, predict, train
from fastnn.backends import complete
from fastnn.state import Data, Steps, StepState, Task

NETWORK = Network((3, 4, 2), "tanh")
PACKAGE = str(pathlib.Path(fastnn.__file__).parent)
X = np.random.RandomState(0).randn(9, 3)
Y = np.sin(X[:, :2])
PARAMS = np.linspace(-1, 1, NETWORK.n_params)


class At:
    """While this context lasts, `do` is called once: before the n-th line that fastnn runs."""

    def __init__(self, n, do):
        self.left, self.do = n, do

    def __enter__(self):
        self.old = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *error):
        sys.settrace(self.old)

    def _trace(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                self.do()
        return self._trace


def outputs(backend, params, X):
    return bits(predict(NETWORK, params, X, backend=backend))


def gradient(backend, alpha):
    loss, gradient = loss_and_gradient(NETWORK, PARAMS, X, Y, alpha=alpha, backend=backend)
    return loss, bits(gradient)


def trained(backend, optimizer, seed):
    options = {"epochs": 2, "batch_size": 5, "alpha": 0.1}
    return result_bits(train(NETWORK, X, Y, optimizer=optimizer, seed=seed, backend=backend, **options))


def validated(backend, part):
    stop = Stop(validation=part, restore_best=True)
    return result_bits(train(NETWORK, X, Y, epochs=3, batch_size=4, seed=0, stop=stop, backend=backend))


def steps(backend, task, seed):
    """Two steps, and the loss after them: a handler may be given the very task."""
    random_state = np.random.RandomState(seed)
    state = StepState.create(NETWORK.init_params(random_state, np.float64), task.optimizer.n_slots)
    rows = Steps(np.arange(9), np.array([0, 5]), np.array([5, 9]), random_state.rand(2), np.empty(2))
    assert backend.train_steps(task, state, rows) == 2
    return all_bits(state.vectors, state.beta_products, rows.loss), complete(backend).loss(task, state.params)


TASK = Task(NETWORK, Adam(), Data(X, Y, np.ones(9)), 0.1)

CALLS = {
    "predict": (outputs, (PARAMS, X), (PARAMS[::-1], X)),
    "predict one row": (outputs, (PARAMS, X[:1]), (PARAMS[::-1], X[1:2])),
    "loss and gradient": (gradient, (0.3,), (7.0,)),
    "train": (trained, (Adam(0.01), 0), (SGD(0.3, momentum=0.5), 5)),
    "train and validate": (validated, (0.3,), (0.5,)),
    "steps of one task": (steps, (TASK, 0), (TASK, 1)),
}


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("options", [{}, {"specialize": True}], ids=["general", "own kernels"])
def test_a_call_in_the_midst_of_another_changes_no_bit_of_either(name, options, every, backend):
    """The same function with other numbers, before every so-many-th line that the first call runs in turn."""
    if backend == "numpy" and options:
        pytest.skip("a back end without options")
    backend, within = get_backend(backend, **options), []
    call, one, other = CALLS[name]
    expected, expected_within, n = call(backend, *one), call(backend, *other), 0
    while len(within) * every == n:  # as long as there is an n-th line
        n += every
        with At(n, lambda: within.append(call(backend, *other))):
            assert call(backend, *one) == expected, f"line {n}"
    assert n > 20
    assert all(numbers == expected_within for numbers in within)
