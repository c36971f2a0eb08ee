"""The fused kernel's promises on bits and memory: the same result each time, nothing touched that
is not its own."""

import functools
import sys

import numpy as np
import pytest
from bits import all_bits
from drawn import assert_single_rows_are_panels
from guards import Guards, full_batches
from survival import python

from fastnn import Network, get_backend, kit, loss_and_gradient, predict, testing
from fastnn.compiler.loader import bound_in_python
from fastnn.fused import backend as fused_backend
from fastnn.fused import preparation
from fastnn.fused.updates import LEAST_SQUARED
from fastnn.losses import HIDDEN
from fastnn.optimizers import OPTIMIZERS, SGD, Adam, AdamW, RMSprop
from fastnn.state import Data, Steps, StepState, Task
from fastnn.testing.cases import draw

MIXED = Network((5, *range(3, 3 + len(HIDDEN)), 3), tuple(HIDDEN), "softmax", "cross_entropy")
SMALL = Network((5, 7, 3), "tanh", "softmax", "cross_entropy", bias="scalar")


def do_steps(network, optimizer, problem, backend, calls=(30,), batch_size=13, alpha=0.01):
    """30 steps by so many calls of the back end; the state's vectors and the losses."""
    n = len(problem.X)
    rows = np.concatenate([np.random.RandomState(k).permutation(n) for k in range(30)])
    start = np.arange(30) * batch_size
    start[20:25] = start[20]  # the same rows again
    loss = np.empty(30)
    state = StepState.create(problem.params, optimizer.n_slots)
    task = Task(network, optimizer, Data(*problem[1:]), alpha)
    first = 0
    for n_steps in calls:
        part = slice(first, first := first + n_steps)
        rates = np.linspace(0.01, 0.02, 30)[part]
        steps = Steps(rows, start[part], start[part] + batch_size, rates, loss[part])
        done = get_backend(backend).train_steps(task, state, steps)
        assert done == n_steps
    assert (state.t, first) == (30, 30)
    assert not state.storage[0, state.n_params :].any()
    return all_bits(state.vectors, state.beta_products, loss)


OPTIMIZER_CASES = [kind() for kind in OPTIMIZERS.values()] + [
    SGD(momentum=0.9, nesterov=True),
    Adam(sequential=True),
]


def everything(dtype):
    """The bits of what all three entry points compute, over the networks and optimizers of this
    file."""
    found = []
    for network in (SMALL, MIXED, Network((2, 1)), Network((3, 20, 1), "silu", bias="none")):
        for n in (1, 9, 300):
            params, X, Y, weight = draw(network, n, dtype)
            outputs = predict(network, params, X)
            options = {"sample_weight": weight, "alpha": 0.2}
            found += all_bits(outputs, *loss_and_gradient(network, params, X, Y, **options))
        problem = draw(network, 270, dtype)
        for optimizer in OPTIMIZER_CASES:
            for batch_size in (1, 13, 265):
                found += do_steps(network, optimizer, problem, "numba", [19, 11], batch_size)
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZER_CASES, ids=repr)
@pytest.mark.parametrize(
    ("network", "n", "batch_size"), [(SMALL, 40, 13), (MIXED, 40, 13), (SMALL, 700, 300)]
)
def test_chunks_and_repetition(network, n, batch_size, optimizer, dtype, backend):
    """Some rows stay the same for some steps; the last problem's batches have more than one
    block."""
    problem = draw(network, n, dtype)
    once = do_steps(network, optimizer, problem, backend, batch_size=batch_size)
    for calls in ([30], [1] * 30, [7, 7, 7, 7, 2], [22, 8]):
        assert do_steps(network, optimizer, problem, backend, calls, batch_size) == once, calls
    assert do_steps(network, optimizer, problem, backend, [30], batch_size, alpha=0.02) != once


def after_a_step(backend, network, optimizer, vectors, data):
    state = StepState.create(vectors[0], optimizer.n_slots)
    state.vectors[:, : network.n_params] = vectors
    data = Data(*(np.array([a], vectors.dtype) for a in data), np.ones(1, vectors.dtype))
    task = Task(network, optimizer, data)
    assert get_backend(backend).train_steps(task, state, full_batches(1, rate=1e-3)) == 1
    return state.vectors[:, : network.n_params].copy()


def test_denormal_moments_are_flushed(dtype):
    """The kernel sets first ones to 0, the reference keeps them; they hold less than the tolerances
    call equal."""
    network = Network((6, 1), loss="absolute_error")
    least = float(np.finfo(dtype).tiny)
    moments = least * np.array([1.0, -1.05, 0, 4, -4, 1, 1])
    vectors = np.array([np.arange(7), moments, np.zeros(7)], dtype)
    row = np.zeros(6), [-1e9]
    numpy = after_a_step("numpy", network, Adam(), vectors, row)[:, :6]
    numba = after_a_step("numba", network, Adam(), vectors, row)[:, :6]
    kept = numpy[1]
    flushed = numba[1]
    small = (abs(kept) < least) & (kept != 0)
    assert small.sum() == 3
    assert (flushed[small] == 0).all()
    assert (flushed[~small] == kept[~small]).all()
    assert abs(numba - numpy).max() < testing.UPDATE_FLOOR


@pytest.mark.parametrize(
    "optimizer", [Adam(), AdamW(), RMSprop()], ids=lambda optimizer: optimizer.name
)
def test_no_moment_of_squares_is_subnormal(optimizer, dtype):
    """The kernel squares no gradient below LEAST_SQUARED, of which the moment is normal and the
    reference's."""
    network = Network((3, 1), bias="none", reduction="sum")
    least = dtype(LEAST_SQUARED[np.dtype(dtype).name])
    vectors = np.zeros((1 + optimizer.n_slots, 3), dtype)
    row = ([least, np.nextafter(least, dtype(0)), 0], [-1])
    numpy = after_a_step("numpy", network, optimizer, vectors, row)
    numba = after_a_step("numba", network, optimizer, vectors, row)
    moments = numba[-1]
    assert moments[0] == moments[1] == moments[2] > np.finfo(dtype).tiny
    assert abs(moments[0] - numpy[-1, 0]) <= 2 * np.spacing(moments[0])
    assert abs(numba - numpy).max() < max(testing.UPDATE_FLOOR, 4 * np.finfo(dtype).eps)


# by the back end, and the padding of gradient; all else is written before it is read
FILLED = {"rates", "zeros"}


def replace_scratch(monkeypatch, change):
    """Let `change` replace each buffer, anew for each call of a kernel."""
    right = preparation.make_scratch

    def make_scratch(*args):
        scratch = right(*args)
        return scratch._replace(
            **{name: change(name, buffer, args[0]) for name, buffer in scratch._asdict().items()}
        )

    monkeypatch.setattr(preparation, "make_scratch", make_scratch)
    monkeypatch.setattr(kit, "shelf_of", kit.Shelf)
    monkeypatch.setattr(kit, "_is_on", [False])  # what is made here stays here


def test_scratch_is_written_before_it_is_read_and_padding_stays_zero(dtype, monkeypatch):
    """Updates run on to the end of a vector: beyond the parameters there are zeros, which no kernel
    changes."""
    clean = everything(dtype)
    poisoned = set()
    paddings = []

    def poison(name, buffer, network):
        if name not in FILLED:
            part = slice(network.n_params) if name == "gradient" else slice(None)
            # a row number that would crash
            buffer[part] = np.nan if buffer.dtype.kind == "f" else 2**40
            poisoned.add(name)
        if name == "gradient":
            paddings.append(buffer[network.n_params :])
        return buffer

    replace_scratch(monkeypatch, poison)
    assert everything(dtype) == clean
    assert {"activations", "slopes", "delta", "gradient", "rows_of_X"} <= poisoned
    assert len(paddings) > 100
    assert not any(padding.any() for padding in paddings)


def test_no_kernel_writes_beyond_its_buffers(dtype, monkeypatch):
    """Each buffer, and each array that is written, lies between two guard zones."""
    clean = everything(dtype)
    guards = Guards()
    replace_scratch(monkeypatch, lambda name, buffer, network: guards.between(buffer))
    monkeypatch.setattr(
        "fastnn.state.aligned_zeros", lambda shape, dtype: guards.between(np.zeros(shape, dtype))
    )
    right = fused_backend.load_kernel
    called = set()

    def load_kernel(name, dtype):
        """The kernel on copies of its arrays, those of its last NamedTuples too, that lie between
        guards."""

        def call(*values):
            called.add(name)
            pairs = []

            def guarded(value):
                if isinstance(value, np.ndarray):
                    pairs.append((value, guards.between(value)))
                    return pairs[-1][1]
                return type(value)(*map(guarded, value)) if isinstance(value, tuple) else value

            result = right(name, dtype)(*map(guarded, values))
            for array, copy in pairs:
                if array.flags.writeable:
                    array[...] = copy
            return result

        call.bound = functools.partial(bound_in_python, call)
        return call

    for module in (fused_backend, preparation):
        monkeypatch.setattr(module, "load_kernel", load_kernel)
    assert everything(dtype) == clean
    assert called == {"train_steps", "predict", "loss_and_gradient"}
    assert len(guards) > 2000
    assert guards.intact()


AT_THE_END = """
import ctypes, mmap
import numpy as np
from fastnn import Network, get_backend, loss_and_gradient, predict
from fastnn.network import BIASES

libc, page = ctypes.CDLL(None), mmap.PAGESIZE

def at_the_end(array):
    size = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, size + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(start + size), page, 0) == 0
    raw = np.frombuffer(memory, np.uint8)[size - array.nbytes : size]
    raw[...] = array.view(np.uint8).reshape(-1)
    return raw.view(array.dtype).reshape(array.shape)

random_state = np.random.RandomState(0)
for dtype in (np.float32, np.float64):
    for sizes in ((3, 5, 1), (4, 16, 3), (64, 64, 10), (20, 3, 2, 1), (7, 40), (2, 1, 1, 1, 1), (5, 300, 33)):
        for bias in BIASES:
            network = Network(sizes, bias=bias)
            for n in (1, 2, 40):
                X = random_state.standard_normal((n, sizes[0])).astype(dtype)
                Y = random_state.standard_normal((n, sizes[-1])).astype(dtype)
                params = network.init_params(random_state, dtype)
                ends = [at_the_end(array) for array in (params, X, Y)]
                assert (predict(network, *ends[:2]) == predict(network, params, X)).all()
                assert loss_and_gradient(network, *ends)[0] == loss_and_gradient(network, params, X, Y)[0]
            x, out = (at_the_end(array[0]) for array in (X, Y))
            get_backend("numba").function(network, params)(x, out)
            assert (out == predict(network, params, X[:1])).all()
print("nothing beyond was read")
"""  # noqa: E501


@pytest.mark.skipif(sys.platform == "win32", reason="there is no mprotect")
def test_no_kernel_reads_beyond_its_arrays():
    """Parameters, inputs and targets end where memory does that may not be read; to do so would end
    the process."""
    assert python(AT_THE_END) == ["nothing beyond was read"]


def test_a_single_row_has_the_bits_of_a_panel(dtype):
    """With other vectors: in test_same_bits.py."""
    assert_single_rows_are_panels(dtype, 300)


@pytest.mark.nojit
@pytest.mark.parametrize("activation", HIDDEN)
def test_huge_biases_do_not_show_in_padding(activation, dtype):
    """In padding z is the bias, which overflows when squared; in each row that counts it
    cancels."""
    network = Network((1, 3, 2), activation)
    params = np.linspace(-1, 1, network.n_params, dtype=dtype)
    huge = np.sqrt(np.finfo(dtype).max) * 4
    (W, _), (b, _) = network.weights(params), network.biases(params)
    W[0, 1] = -huge
    b[1] = huge
    X = np.ones((5, 1), dtype)
    Y = np.full((5, 2), 0.5, dtype)
    weight = np.array([1, 1, 0, 1, 1], dtype)
    X[2] = 7
    expected = loss_and_gradient(network, params, X, Y, sample_weight=weight, backend="numpy")
    assert np.isfinite(expected[1]).all()
    testing.assert_gradients_match(network, params, X, Y, sample_weight=weight, backend="numba")
