"""Exported networks: how near they come to ours, the sizes of files, one row's time: ``python -m
benchmarks.exports``.

``differences``: the largest of any output in 2,000 rows, in eps of the dtype, or of the output
where that is larger than 1; 0 stands for equal bits. A difference above the tolerance of the tests
ends the program. ``one_row``: by each way out of fastnn, after the answers were compared, those of
fastnn's own ways to the bit.
"""

import contextlib
import ctypes
import pathlib
import runpy
import tempfile
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numba import njit

from benchmarks.peers import limits
from benchmarks.readme import print_parts
from benchmarks.texts import times_text
from fastnn import (
    ACTIVATIONS,
    SGD,
    MLPClassifier,
    MLPRegressor,
    Network,
    TrainingResult,
    load,
    train,
)
from fastnn.measuring.timing import interleaved, markdown
from fastnn.testing.tolerances import assert_within, export_bound

N_ROWS = 2000
Predict = Callable[[np.ndarray], np.ndarray]


def by_onnx(result: TrainingResult, folder: pathlib.Path) -> Predict:
    import onnxruntime

    (path,) = result.export(folder / "net.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda X: session.run(["output"], {"X": X})[0]


def c_function(
    result: TrainingResult, folder: pathlib.Path
) -> Callable[[np.ndarray, np.ndarray], object]:
    """The exported C function of rows and outputs; ImportError where there is no compiler."""
    source, _ = result.export(folder / "net.c")
    call = limits.compiled(source, "-O2", "-ffp-contract=off", "-march=native").net_predict_batch
    return lambda X, out: call(
        ctypes.c_size_t(len(X)), *(ctypes.c_void_p(a.ctypes.data) for a in (X, out))
    )


def by_c(result: TrainingResult, folder: pathlib.Path) -> Predict:
    call = c_function(result, folder)
    n = result.network.n_outputs

    def predict(X):
        call(X, out := np.empty((len(X), n), X.dtype))
        return out

    return predict


def by_torch(result: TrainingResult, folder: pathlib.Path) -> Predict:
    import torch

    torch.set_num_threads(1)
    module = result.to_torch().requires_grad_(False)
    return lambda X: module(torch.from_numpy(X)).numpy()


WAYS: dict[str, Callable[[TrainingResult, pathlib.Path], Predict]] = {
    "NumPy": lambda result, folder: runpy.run_path(str(result.export(folder / "net.py")[0]))[
        "predict"
    ],
    "ONNX Runtime": by_onnx,
    "C": by_c,
    "safetensors": lambda result, folder: (
        load(result.export(folder / "net.safetensors")[0]).predict
    ),
    "PyTorch": by_torch,
}


def difference(way: str, network: Network, dtype: str) -> str:
    """The largest difference of an exported network's outputs, in eps; a dash where there is none
    to export.
    """
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((N_ROWS, network.n_inputs)).astype(dtype)
    Y = random_state.uniform(0.1, 0.9, (N_ROWS, network.n_outputs))
    Y /= Y.sum(axis=1, keepdims=True)
    result = train(network, X, Y, epochs=1, optimizer=SGD(0.01), seed=0)
    with tempfile.TemporaryDirectory() as folder:
        try:
            actual = WAYS[way](result, pathlib.Path(folder))(X)
        except (ImportError, ValueError):  # not installed; PyTorch has no module for exp
            return "-"
    expected = result.predict(X)
    eps = np.finfo(dtype).eps * np.maximum(1, abs(expected))
    assert_within(
        actual, expected, export_bound(expected), f"{way}, {network}", "our own prediction"
    )
    if actual.tobytes() == expected.tobytes():
        return "0"
    return f"{(abs(actual - expected) / eps).max():.1f}"


def network_of(activation: str) -> Network:
    """A network with an activation in two hidden layers, or as its output where it is for that
    only.
    """
    hidden = ACTIVATIONS[activation].hidden
    return (
        Network((8, 32, 16, 4), activation) if hidden else Network((8, 32, 4), "tanh", activation)
    )


def sizes() -> dict[str, int]:
    """The bytes of each kind of file of the network 64-64-10 in float32, and of its weights."""
    network = Network((64, 64, 10), "relu", "softmax")
    X = np.random.RandomState(0).rand(1000, 64).astype(np.float32)
    result = train(network, X, np.arange(1000) % 10, epochs=20, seed=0)
    n_bytes = {"the weights alone, in memory": result.params.nbytes}
    saves = {
        "`save(path)`, trained on 1,000 rows for 20 epochs": True,
        "`save(path, state=False)`": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        for what, state in saves.items():
            result.save(saved := pathlib.Path(folder, "net"), state=state)
            n_bytes[what] = saved.stat().st_size
        for suffix in (".safetensors", ".onnx", ".py", ".c"):
            written = result.export(saved.with_suffix(suffix))
            n_bytes[" and ".join(f"`{path.suffix}`" for path in written)] = sum(
                path.stat().st_size for path in written
            )
    return n_bytes


def differences() -> str:
    columns = [(way, dtype) for way in WAYS for dtype in ("float32", "float64")]
    rows = [
        [name, *(difference(way, network_of(name), dtype) for way, dtype in columns)]
        for name in ACTIVATIONS
    ]
    return markdown(["activation", *map(", ".join, columns)], rows)


def files() -> str:
    return markdown(
        ["64-64-10, float32", "bytes"], [[what, f"{n:,}"] for what, n in sizes().items()]
    )


NETWORKS = {
    "3-5-1, float64": Network((3, 5, 1), activation="sigmoid"),
    "64-64-10, float32": Network(
        (64, 64, 10), activation="relu", output="softmax", loss="cross_entropy"
    ),
}
ROUNDS = 15
# predicts the rows of its first argument, one by one, to its second
Way = Callable[[np.ndarray, np.ndarray], object]


def each_row(f, X, out):
    """Call a function of one row for each of them: from Python, or in compiled code."""
    for i in range(len(X)):
        f(X[i], out[i])


def rows_of(predict, X, out):
    """Call a function of several rows for each of them."""
    for i in range(len(X)):
        out[i] = predict(X[i : i + 1])[0]


def of_fastnn(result: TrainingResult, folder: pathlib.Path) -> Iterator[tuple[str, Way]]:
    """Name the ways that have the bits of `predict`, and it itself."""
    f = result.function()
    yield "predict", partial(rows_of, result.predict)
    yield "function(), from Python", partial(each_row, f)
    yield "function(), from compiled code", partial(njit(each_row), f)
    with contextlib.suppress(ImportError):
        yield "C", c_function(result, folder)


def of_others(result: TrainingResult, folder: pathlib.Path) -> Iterator[tuple[str, Way]]:
    """Name the ways of other libraries, as far as they are installed."""
    classifies = result.network.output == "softmax"
    if classifies:
        mlp = MLPClassifier.from_result(result, range(10))
    else:
        mlp = MLPRegressor.from_result(result)
    theirs = mlp.to_sklearn()
    ways: dict[str, Callable[[], Predict]] = {
        "ONNX Runtime": partial(by_onnx, result, folder),
        "scikit-learn": lambda: theirs.predict_proba if classifies else theirs.predict,
        "PyTorch": partial(by_torch, result, folder),
    }
    for name, make in ways.items():
        with contextlib.suppress(ImportError):
            yield name, partial(rows_of, make())


def measure(
    network: Network, dtype: str, rounds: int = ROUNDS, n_rows: int = 1000
) -> dict[str, list[float]]:
    """The seconds that a row takes, by way, after the answers were compared."""
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((n_rows, network.n_inputs)).astype(dtype)
    Y = np.eye(network.n_outputs)[random_state.randint(network.n_outputs, size=n_rows)]
    result = train(network, X, Y, epochs=5, batch_size=32, optimizer=SGD(0.1), seed=0)
    expected = result.predict(X)
    out = np.empty((n_rows, network.n_outputs), dtype)
    with tempfile.TemporaryDirectory() as folder:
        ours, others = (dict(ways(result, pathlib.Path(folder))) for ways in (of_fastnn, of_others))
        calls = {name: partial(way, X, out) for name, way in (ours | others).items()}
        for name, call in calls.items():
            out[:] = np.nan
            call()
            bound = 0 if name in ours else 300 * np.finfo(dtype).eps
            np.testing.assert_allclose(out, expected, rtol=bound, atol=bound, err_msg=name)
        return interleaved(calls, dict.fromkeys(calls, n_rows), rounds)


def one_row() -> str:
    columns = [measure(network, name.split()[-1]) for name, network in NETWORKS.items()]
    rows = [[way, *(times_text(column[way]) for column in columns)] for way in columns[0]]
    return markdown(["one row", *NETWORKS], rows)


if __name__ == "__main__":
    print_parts(__doc__, differences=differences, files=files, one_row=one_row)
