"""Arguments of kernels: addresses in place of arrays, and NamedTuples as words."""

import functools
import struct
import typing

import numpy as np
import pytest
from kernel_runs import everything

from fastnn import Network, kit
from fastnn.compiler import loader, program
from fastnn.compiler.loader import bound_in_python, load_kernel
from fastnn.fused.layout import Model, Scratch, UpdateSpec, describe, make_scratch
from fastnn.state import Data, Steps


def arrays(tmp_path):
    rows = np.arange(60.0).reshape(12, 5)
    read_only = rows.copy()
    read_only.flags.writeable = False
    mapped = np.memmap(tmp_path / "mapped", np.float64, "w+", shape=(7,))
    yield from (rows, rows[3:], rows[::-1], rows[:, 2], rows.T, read_only, mapped, mapped[2:], np.empty(0), rows[5:5])
    yield from (np.array(3.0), np.empty((0, 4)), np.broadcast_to(rows[0], (4, 5)), np.float32([1, 2])[1:])
    yield from (np.arange(3), np.zeros(3, np.uint8)[1:], np.frombuffer(b"12345678" * 2)[1:], rows.view(np.recarray))


@pytest.mark.nojit
def test_addresses_are_those_that_numpy_tells(tmp_path):
    kinds = list(arrays(tmp_path))
    assert len(kinds) == 18
    for array in kinds:
        assert program.address(array) == array.ctypes.data
        assert program.pack(array) == array.ctypes.data


class Words(typing.NamedTuple):
    first: "np.typing.NDArray"
    whole: int
    real: float


@pytest.mark.nojit
def test_a_named_tuple_is_packed_by_its_annotations():
    """An int where a float is asked for becomes one, as its bits would mean another number."""
    array = np.arange(3.0)
    assert program.pack(Words(array, 7, 2)) == struct.pack("qqd", array.ctypes.data, 7, 2.0)
    assert program.pack(Words(array[1:], -1, np.float32(0.5))) == struct.pack("qqd", array.ctypes.data + 8, -1, 0.5)
    assert program.pack(Words(array, np.int64(7), True)) == struct.pack("qqd", array.ctypes.data, 7, 1.0)
    with pytest.raises(struct.error):
        program.pack(Words(array, 7.5, 2))


def test_what_the_back_end_hands_over_is_what_is_annotated(dtype, monkeypatch):
    """Each value of each call: arrays of the annotated dtype, contiguous, and numbers of the annotated kind."""
    from fastnn.fused import backend, kernels, preparation

    checked = set()

    def check(where, hint, value):
        checked.add(where)
        if hint is int:
            assert isinstance(value, (int, np.integer)), where
        elif hint is float:
            assert isinstance(value, (int, float, np.number)), where
        elif isinstance(hint, type) and issubclass(hint, tuple):
            assert type(value) is hint, where
            for name, field in typing.get_type_hints(hint).items():
                check(f"{hint.__name__}.{name}", field, getattr(value, name))
        else:
            assert value.flags.c_contiguous, where
            assert value.dtype == program.element(hint, np.dtype(dtype)), where

    def checking_load(name, working):
        hints = typing.get_type_hints(getattr(kernels, name) if loader.IN_PYTHON else getattr(kernels, name).py_func)
        del hints["return"]

        def call(*values):
            for (parameter, hint), value in zip(hints.items(), values, strict=True):
                check(f"{name}({parameter})", hint, value)
            return load_kernel(name, working)(*(loader.prepared(v) if isinstance(v, tuple) else v for v in values))

        call.bound = functools.partial(bound_in_python, call)
        return call

    for module in (backend, preparation):
        monkeypatch.setattr(module, "load_kernel", checking_load)
    monkeypatch.setattr(preparation, "prepared", lambda arguments: arguments)
    monkeypatch.setattr(preparation, "NOTHING", preparation.NO_ENDS)
    monkeypatch.setattr(kit, "shelf_of", kit.Shelf)
    everything(dtype)
    for kind in (Model, Scratch, UpdateSpec, Data, Steps):
        assert {f"{kind.__name__}.{name}" for name in kind._fields} <= checked
    entries = {name.partition("(")[0] for name in checked if "(" in name}
    assert entries == {"train_steps", "loss_and_gradient", "predict"}


@pytest.mark.nojit
def test_what_is_prepared_once_is_what_is_packed_each_time(dtype):
    network = Network((3, 4, 2))
    for value in (describe(network, np.dtype(dtype)), make_scratch(network, np.dtype(dtype), 5, 5)):
        once = loader.prepared(value)
        if loader.IN_PYTHON:
            assert all(x.ndim == 1 for x in once if isinstance(x, np.ndarray))
        else:
            assert once == program.pack(value)
            assert len(once) == 8 * len(value)
