"""Models in files: what is saved comes back and goes on bit for bit."""

import json
import math

import numpy as np
import pytest
from bits import all_bits, assert_same_bits, result_bits, state_bits
from chunks import chunks_of
from model_files import data, parts_of, trained, write
from pages import ROOT
from survival import python

from fastnn import (
    SGD,
    Adam,
    ModelFileError,
    ReduceRate,
    Stop,
    cosine,
    load,
    one_cycle,
    train,
    warm_up,
)
from fastnn.files import description

OPTIONS = {
    "plain": {},
    "full batch": {"batch_size": None, "optimizer": SGD(0.1)},
    "momentum": {"optimizer": SGD(0.1, momentum=0.9)},
    "validation": {"stop": Stop(tol=0.0, patience=50, validation=0.3, restore_best=True)},
    "tolerance": {"stop": Stop(tol=0.0, patience=50)},
    "monitor": {"stop": Stop(monitor="r2", restore_best=True, reduce=ReduceRate(0.5, 1))},
    "schedule": {"optimizer": Adam(cosine(0.1, 100))},
    "warm_up": {"optimizer": Adam(warm_up(0.1, 100, 0.01))},
    "one_cycle": {"optimizer": Adam(one_cycle(0.1, 100))},
    "function": {"optimizer": Adam(lambda step: 0.1 / (1 + step))},
}


@pytest.mark.parametrize("case", OPTIONS)
def test_what_is_saved_comes_back(path, case, dtype):
    result, (X, _) = trained(dtype=dtype, **OPTIONS[case]), data(dtype)
    result.save(path)
    loaded = load(path)
    assert result_bits(loaded) == result_bits(result)
    assert loaded.history.seconds == result.history.seconds
    with pytest.raises(ValueError, match="read-only"):
        loaded.params[0] = 1
    result.save(path, state=False)
    assert path.stat().st_size < result.params.nbytes + 1200
    alone = load(path)
    assert alone.stop_reason == result.stop_reason
    assert_same_bits(alone.params, result.params)
    for one in (loaded, alone):
        assert (one.network, one.backend) == (result.network, "numpy")
        assert_same_bits(one.predict(X), result.predict(X))
    assert repr(alone) == "<TrainingResult: network 3-4-2, state none, back end numpy>"
    assert (
        repr(alone.state)
        == f"<TrainingState: optimizer none, parameters 26 {np.dtype(dtype)}, steps 0>"
    )
    assert (alone.n_epochs, len(alone.history.score), alone.history.best_epoch) == (0, 0, 0)


@pytest.mark.parametrize("case", OPTIONS)
def test_training_goes_on_from_a_file_bit_for_bit(path, backend, case, dtype):
    options = OPTIONS[case]
    whole = trained(backend, dtype, **options | {"epochs": 10})
    trained(backend, dtype, **options).save(path)
    state = load(path).state
    assert state.storage.ctypes.data % 64 == 0
    resumed = trained(backend, dtype, **options | {"resume": state, "seed": None})
    assert state_bits(resumed.state) == state_bits(whole.state)
    assert_same_bits(resumed.params, whole.params)


def test_training_goes_on_within_an_epoch(path, monkeypatch):
    def stop(progress):
        if progress.step == 7:
            progress.result().save(path)

    stop.per_chunk = True
    chunks_of(monkeypatch, 1)
    whole = trained(callbacks=[stop])
    loaded = load(path)
    assert (loaded.stop_reason, loaded.n_epochs, loaded.state.batch) == ("running", 1, 2)
    assert state_bits(trained(epochs=4, resume=loaded.state, seed=None).state) == state_bits(
        whole.state
    )


def test_numpy_and_another_process_read_the_file(path):
    result = trained()
    result.save(path)
    with np.load(path) as file:
        assert_same_bits(file["params"], result.params)
        header = json.loads(file["header"].tobytes())
    assert (header["format"], header["format_version"]) == ("fastnn", 2)
    assert header["counters"]["optimizer"]["learning_rate"] == 0.01
    assert header["versions"]["numpy"] == np.__version__
    code = (
        "import fastnn, sys; print(fastnn.load(sys.argv[1]).params.tobytes().hex(), 'numba' in "
        "sys.modules)"
    )
    assert python(code, path) == [f"{result.params.tobytes().hex()} False"]


def test_files_of_the_other_byte_order_are_read(path, content):
    path.write_bytes(content)
    right = result_bits(load(path))
    header, arrays = parts_of(content)
    write(path, header, {name: a.astype(a.dtype.newbyteorder("S")) for name, a in arrays.items()})
    assert result_bits(load(path)) == right


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 65_536, 65_537, 100_000])
@pytest.mark.parametrize("shuffled", [False, True])
def test_an_order_of_rows_comes_back(n, shuffled, monkeypatch):
    order = np.random.RandomState(0).permutation(n) if shuffled else np.arange(n)
    packed = description.pack_order(order)
    back = description.unpack_order(packed, n)
    assert back.dtype == np.int64
    assert np.array_equal(back, order)
    assert packed.nbytes <= max(1, math.ceil(math.log2(n) / 8)) * n
    if n >= 65_536:
        least = math.lgamma(n + 1) / math.log(2) / 8  # bytes that say which of all n! orders it is
        assert packed.nbytes < (1.2 * least if shuffled else 0.03 * n)
    monkeypatch.setattr(description, "MOST_DEFLATED", n - 1)  # it is too long to deflate
    packed = description.pack_order(order)
    assert packed.shape == (packed.nbytes // n, n)
    assert np.array_equal(description.unpack_order(packed, n), order)


OLD = ROOT / "tests/support/data/format_2"
"""Files of the day when format 2 began; what is read there must go on being read."""


def test_files_that_were_once_written_are_read():
    """Row orders and the split are those of the seed; the parameters those that NumPy finds in the
    file."""
    result = load(OLD / "checkpoint.npz")
    with np.load(OLD / "checkpoint.npz") as file:
        assert_same_bits(result.params, file["params"])
    options = {"stop": Stop(tol=0.0, validation=0.3, restore_best=True)}
    old = result.state
    new = trained(**options).state
    assert all_bits(old.index, old.validation_rows) == all_bits(new.index, new.validation_rows)
    assert trained(**options, resume=result.state, seed=None, epochs=2).n_epochs == 2
    for name in ("model.npz", "net.safetensors"):
        assert_same_bits(load(OLD / name).params, result.params)


def test_a_model_alone_cannot_be_resumed_or_saved_with_a_state(path):
    trained().save(path, state=False)
    loaded = load(path)
    before = path.read_bytes()
    words = r"no row order and no generator, as after save\(path, state=False\): train"
    for go in (
        loaded.resume,
        lambda *data, **more: train(loaded.network, *data, **more, resume=loaded.state),
    ):
        with pytest.raises(ValueError, match=words):
            go(*data(), epochs=1)
    with pytest.raises(
        ValueError, match=r"a network alone, no state of a training: say save\(path, state=False\)"
    ):
        loaded.save(path)
    with pytest.raises(TypeError, match="state must be True or False, not 1"):
        loaded.save(path, state=1)
    loaded.save(path, state=False)
    assert path.read_bytes() == before
    assert (
        train(loaded.network, *data(), epochs=1, params=loaded.params, backend="numpy").n_epochs
        == 1
    )


def test_damaged_models_are_refused(path):
    trained().save(path, state=False)
    header, arrays = parts_of(path.read_bytes())
    for change, match in (
        ({"n_params": 25}, "damaged: n_params is 25 in its header"),
        ({"stop_reason": "tired"}, "damaged: stop_reason"),
        ({"dtype": "float32"}, "damaged: params is float64"),
        (
            {"format": "fastnn estimator", "kind": "regressor"},
            "it holds an estimator, .* MLPRegressor.load reads it",
        ),
    ):
        write(path, header | change, arrays)
        with pytest.raises(ModelFileError, match=match):
            load(path)
    write(path, header, arrays | {"params": arrays["params"] * np.nan})
    with pytest.raises(ModelFileError, match="params must be finite"):
        load(path)
