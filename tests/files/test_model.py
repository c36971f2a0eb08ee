"""Models in files: what is saved comes back and goes on bit for bit."""

import json
import subprocess
import sys

import numpy as np
import pytest
from bits import bits, result_bits, state_bits
from chunks import chunks_of
from model_files import data, parts_of, trained, write

from fastnn import SGD, Adam, Network, ReduceRate, Stop, cosine, load, one_cycle, train, warm_up

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
    result = trained(dtype=dtype, **OPTIONS[case])
    result.save(path)
    loaded = load(path)
    assert result_bits(loaded) == result_bits(result)
    assert loaded.network == result.network
    assert loaded.history.seconds == result.history.seconds
    assert loaded.backend == "numpy"
    X, _ = data()
    assert bits(loaded.predict(X)) == bits(result.predict(X))
    with pytest.raises(ValueError, match="read-only"):
        loaded.params[0] = 1


@pytest.mark.parametrize("case", OPTIONS)
def test_training_goes_on_from_a_file_bit_for_bit(path, backend, case, dtype):
    options = OPTIONS[case]
    whole = trained(backend, dtype, **options | {"epochs": 10})
    trained(backend, dtype, **options).save(path)
    state = load(path).state
    assert state.storage.ctypes.data % 64 == 0
    resumed = trained(backend, dtype, **options | {"resume": state, "seed": None})
    assert state_bits(resumed.state) == state_bits(whole.state)
    assert bits(resumed.params) == bits(whole.params)


def test_training_goes_on_within_an_epoch(path, monkeypatch):
    class Stopper:
        per_chunk = True

        def __call__(self, progress):
            if progress.step == 7:
                progress.result().save(path)

    chunks_of(monkeypatch, 1)
    whole = trained(callbacks=[Stopper()])
    loaded = load(path)
    assert (loaded.stop_reason, loaded.n_epochs, loaded.state.batch) == ("running", 1, 2)
    resumed = trained(epochs=4, resume=loaded.state, seed=None)
    assert state_bits(resumed.state) == state_bits(whole.state)


def test_every_option_of_the_network_comes_back(path):
    network = Network(
        (3, 5, 4, 2),
        activation=("relu", "sigmoid"),
        output="sigmoid",
        loss="log_loss",
        bias="scalar",
        bias_gradient="times_bias",
        reduction="sum",
        init="normal",
        bias_init=1.5,
    )
    X, Y = data()
    train(network, X, Y > 0, epochs=1, backend="numpy").save(path)
    assert load(path).network == network


def test_numpy_reads_the_file(path):
    result = trained()
    result.save(path)
    with np.load(path) as file:
        assert bits(file["params"]) == bits(result.params)
        header = json.loads(file["header"].tobytes())
    assert (header["format"], header["format_version"]) == ("fastnn", 1)
    assert header["counters"]["optimizer"]["learning_rate"] == 0.01
    assert header["versions"]["numpy"] == np.__version__


def test_another_process_reads_the_file(path):
    trained().save(path)
    code = "import fastnn, sys; print(fastnn.load(sys.argv[1]).params.tobytes().hex(), 'numba' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert output.split() == [load(path).params.tobytes().hex(), "False"]


def test_a_file_of_the_other_byte_order_is_read(path, content):
    header, arrays = parts_of(content)
    swapped = {name: a.astype(a.dtype.newbyteorder("S")) for name, a in arrays.items()}
    write(path, header, swapped)
    loaded = load(path)
    assert bits(loaded.params) == bits(arrays["params"])
    assert loaded.state.index.dtype.isnative
