"""The fused kernel's promises on bits and memory: the same result each time, nothing touched that is not its own."""

import functools
import shutil

import numpy as np
import pytest
from bits import all_bits
from guards import between_guards, intact
from kernel_runs import MIXED, OPTIMIZER_CASES, SMALL, do_steps, everything

from fastnn import Network, get_backend, kit, loss_and_gradient, testing
from fastnn.compiler import cache, program
from fastnn.compiler.loader import bound_in_python
from fastnn.fused import backend as fused_backend
from fastnn.fused import preparation
from fastnn.fused.updates import LEAST_SQUARED
from fastnn.optimizers import Adam, AdamW, RMSprop
from fastnn.state import Data, Steps, StepState, Task
from fastnn.testing.cases import draw


@pytest.mark.parametrize("optimizer", OPTIMIZER_CASES, ids=repr)
@pytest.mark.parametrize("network", [SMALL, MIXED], ids=["small", "mixed"])
def test_chunks_and_repetition(network, optimizer, dtype, backend):
    problem = draw(network, 40, dtype)
    once = do_steps(network, optimizer, problem, backend)
    assert do_steps(network, optimizer, problem, backend) == once
    assert do_steps(network, optimizer, problem, backend, [1] * 30) == once
    assert do_steps(network, optimizer, problem, backend, [7, 7, 7, 7, 2]) == once
    assert do_steps(network, optimizer, problem, backend, [22, 8]) == once
    assert do_steps(network, optimizer, problem, backend, alpha=0.02) != once


def test_blocks_and_repetition(dtype, backend):
    """Batches of more than one block, whose rows stay the same for some steps."""
    problem = draw(SMALL, 700, dtype)
    once = do_steps(SMALL, Adam(), problem, backend, batch_size=300)
    assert do_steps(SMALL, Adam(), problem, backend, [1] * 30, batch_size=300) == once


def test_a_batch_without_weight_changes_nothing_but_t(backend, dtype):
    problem = draw(SMALL, 10, dtype)
    state = StepState.create(problem.params, 2)
    state.vectors[1:] = 0.5
    before = all_bits(state.vectors, state.beta_products)
    data = Data(problem.X * np.nan, problem.Y, np.zeros(10, dtype))
    steps = Steps(np.arange(10), np.array([0, 5]), np.array([5, 10]), np.ones(2), np.full(2, 9.0))
    assert get_backend(backend).train_steps(Task(SMALL, Adam(), data, 0.3), state, steps) == 2
    assert (all_bits(state.vectors, state.beta_products), state.t, steps.loss.tolist()) == (before, 2, [0, 0])


def test_denormal_moments_are_flushed(dtype):
    """The kernel sets first ones to 0, the reference keeps them; they hold less than the tolerances call equal."""
    network, least = Network((6, 1), loss="absolute_error"), float(np.finfo(dtype).tiny)
    found = {}
    for backend in ("numpy", "numba"):
        state = StepState.create(np.arange(7, dtype=dtype), 2)
        state.vectors[1] = least * np.array([1.0, -1.05, 0, 4, -4, 1, 1])
        data = Data(np.zeros((1, 6), dtype), np.full((1, 1), -1e9, dtype), np.ones(1, dtype))
        steps = Steps(np.array([0]), np.array([0]), np.array([1]), np.array([1e-3]), np.empty(1))
        assert get_backend(backend).train_steps(Task(network, Adam(), data), state, steps) == 1
        found[backend] = state.vectors[:, :6].copy()
    kept, flushed = found["numpy"][1], found["numba"][1]
    small = (abs(kept) < least) & (kept != 0)
    assert small.sum() == 3
    assert (flushed[small] == 0).all()
    assert (flushed[~small] == kept[~small]).all()
    assert abs(found["numba"] - found["numpy"]).max() < testing.UPDATE_FLOOR


@pytest.mark.parametrize("optimizer", [Adam(), AdamW(), RMSprop()], ids=lambda optimizer: type(optimizer).__name__)
def test_no_moment_of_squares_is_subnormal(optimizer, dtype):
    """The kernel squares no gradient below LEAST_SQUARED, of which the moment is normal and the reference's."""
    network, least = Network((3, 1), bias="none", reduction="sum"), dtype(LEAST_SQUARED[np.dtype(dtype).name])
    found = {}
    for backend in ("numpy", "numba"):
        state = StepState.create(np.zeros(3, dtype), optimizer.n_slots)
        data = Data(
            np.array([[least, np.nextafter(least, dtype(0)), 0]], dtype), -np.ones((1, 1), dtype), np.ones(1, dtype)
        )
        steps = Steps(np.array([0]), np.array([0]), np.array([1]), np.array([1e-3]), np.empty(1))
        assert get_backend(backend).train_steps(Task(network, optimizer, data), state, steps) == 1
        found[backend] = state.vectors.copy()
    moments = found["numba"][-1, :3]
    assert moments[0] == moments[1] == moments[2] > np.finfo(dtype).tiny
    assert abs(moments[0] - found["numpy"][-1, 0]) <= 2 * np.spacing(moments[0])
    assert abs(found["numba"] - found["numpy"]).max() < max(testing.UPDATE_FLOOR, 4 * np.finfo(dtype).eps)


FILLED = {"rates", "zeros"}  # by the back end, and the padding of gradient; all else is written before it is read


def replace_scratch(monkeypatch, change):
    """Let `change` replace each buffer, anew for each call of a kernel."""
    right = preparation.make_scratch

    def make_scratch(*args):
        scratch = right(*args)
        return scratch._replace(**{name: change(name, buffer, args[0]) for name, buffer in scratch._asdict().items()})

    monkeypatch.setattr(preparation, "make_scratch", make_scratch)
    monkeypatch.setattr(kit, "shelf_of", kit.Shelf)


def test_scratch_is_written_before_it_is_read(dtype, monkeypatch):
    clean = everything(dtype)
    poisoned = []

    def poison(name, buffer, network):
        if name not in FILLED:
            part = slice(network.n_params) if name == "gradient" else slice(None)
            buffer[part] = np.nan if buffer.dtype.kind == "f" else 2**40  # a row number that would crash
            poisoned.append(name)
        return buffer

    replace_scratch(monkeypatch, poison)
    assert everything(dtype) == clean
    assert {"activations", "slopes", "delta", "gradient", "rows_of_X"} <= set(poisoned)


def test_padding_stays_zero(dtype, monkeypatch):
    """Updates run on to the end of a vector: beyond the parameters there are zeros, which no kernel changes."""
    gradients = []

    def keep(name, buffer, network):
        if name == "gradient":
            gradients.append(buffer[network.n_params :])
        return buffer

    replace_scratch(monkeypatch, keep)
    everything(dtype)
    assert len(gradients) > 100
    assert not any(padding.any() for padding in gradients)


def test_a_poisoned_zero_is_noticed(monkeypatch):
    problem = draw(SMALL, 9)
    clean = all_bits(*loss_and_gradient(SMALL, *problem[:3]))
    replace_scratch(monkeypatch, lambda name, buffer, network: buffer + np.nan if name == "zeros" else buffer)
    assert all_bits(*loss_and_gradient(SMALL, *problem[:3])) != clean


def test_no_kernel_writes_beyond_its_buffers(dtype, monkeypatch):
    """Each buffer, and each array that is written, lies between two guard zones."""
    clean = everything(dtype)
    guarded = []

    def guard(array):
        inside, zones = between_guards(array)
        guarded.append(zones)
        return inside

    replace_scratch(monkeypatch, lambda name, buffer, network: guard(buffer))
    monkeypatch.setattr("fastnn.state.aligned_zeros", lambda shape, dtype: guard(np.zeros(shape, dtype)))
    right, called = fused_backend.load_kernel, set()

    def load_kernel(name, dtype):
        """The kernel on copies of its arrays, those of its last NamedTuples too, that lie between guards."""

        def call(*values):
            called.add(name)
            copies = [guarded_copy(value) for value in values]
            result = right(name, dtype)(*copies)
            for value, copy in zip(values, copies, strict=True):
                write_back(value, copy)
            return result

        call.bound = functools.partial(bound_in_python, call)
        return call

    def guarded_copy(value):
        if isinstance(value, np.ndarray):
            return guard(value)
        return type(value)(*map(guarded_copy, value)) if isinstance(value, tuple) else value

    def write_back(value, copy):
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value[...] = copy
        elif isinstance(value, tuple):
            for field, copied in zip(value, copy, strict=True):
                write_back(field, copied)

    for module in (fused_backend, preparation):
        monkeypatch.setattr(module, "load_kernel", load_kernel)
    assert everything(dtype) == clean
    assert called == {"train_steps", "predict", "loss_and_gradient"}
    assert len(guarded) > 1000
    assert all(map(intact, guarded))
    guarded[0][1][0] = 0
    assert not intact(guarded[0])


def stamp():
    return cache.source_stamp.__wrapped__()


def test_the_cache_is_keyed_on_every_file_of_the_compiler_and_the_kernels(tmp_path, monkeypatch):
    before = stamp()
    copies = [shutil.copytree(folder, tmp_path / folder.name) for folder in program.FOLDERS]
    monkeypatch.setattr(program, "FOLDERS", tuple(copies))
    assert stamp() == before == cache.source_stamp()
    for copy in copies:
        files = sorted(copy.glob("*.py"))
        assert len(files) > 8
        for file in files:
            text = file.read_text("utf-8")
            file.write_text(text + "# edited\n", "utf-8")
            assert stamp() != before, file.name
            file.write_text(text, "utf-8")
        assert stamp() == before
        (copy / "new.py").write_text("")
        assert stamp() != before
        (copy / "new.py").unlink()
        (copy / "notes.txt").write_text("")
        assert stamp() == before
