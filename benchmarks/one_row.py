"""How long the prediction of one row takes, by each way out of fastnn: ``python -m benchmarks.one_row``.

Rows are predicted one by one: by `predict`, by ``result.function()`` from Python and in compiled code, by exported C,
and by ONNX Runtime, scikit-learn and PyTorch where they are installed. Before anything is timed, the answers are
compared, the first four to the bit. A figure is the median of rounds in which all take turns; in brackets stand the
quartiles.
"""

from __future__ import annotations

import ctypes
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
from numba import njit

from benchmarks.peers.tables import seconds
from fastnn import SGD, MLPClassifier, MLPRegressor, Network, TrainingResult, train
from fastnn.measuring.timing import interleaved

NETWORKS = {
    "3-5-1, float64": Network((3, 5, 1), activation="sigmoid"),
    "64-64-10, float32": Network((64, 64, 10), activation="relu", output="softmax", loss="cross_entropy"),
}
N_ROWS, ROUNDS = 1000, 15
C = ["cc", "-O2", "-ffp-contract=off", "-march=native", "-shared", "-fPIC"]

Way = Callable[[np.ndarray, np.ndarray], object]
"""Predicts the rows of its first argument, one by one, to those of its second."""


def each_row(f, X, out):
    """Call a function of one row for each of them."""
    for i in range(len(X)):
        f(X[i], out[i])


def of_fastnn(result: TrainingResult, folder: pathlib.Path) -> Iterator[tuple[str, Way]]:
    """Name the ways that have the bits of `predict`, and it itself."""
    f = result.function()

    @njit
    def compiled(X, out):
        for i in range(len(X)):
            f(X[i], out[i])

    def predict(X, out):
        for i in range(len(X)):
            out[i] = result.predict(X[i : i + 1])[0]

    yield "predict", predict
    yield "function(), from Python", lambda X, out: each_row(f, X, out)
    yield "function(), from compiled code", compiled
    if shutil.which(C[0]):
        result.export(folder / "net.c")
        subprocess.run([*C, "-o", "net.so", "net.c", "-lm"], cwd=folder, check=True)
        call = ctypes.CDLL(str(folder / "net.so")).net_predict_batch
        yield "C", lambda X, out: call(ctypes.c_size_t(len(X)), *(ctypes.c_void_p(a.ctypes.data) for a in (X, out)))


def of_others(result: TrainingResult, folder: pathlib.Path) -> Iterator[tuple[str, Way]]:
    """Name the ways of other libraries, as far as they are installed."""
    try:
        import onnx  # noqa: F401  by which the file is written
        import onnxruntime
    except ImportError:
        pass
    else:
        (path,) = result.export(folder / "net.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        yield "ONNX Runtime", row_by_row(lambda x: session.run(None, {name: x})[0])
    classifies = result.network.output == "softmax"
    mlp = MLPClassifier.from_result(result, range(10)) if classifies else MLPRegressor.from_result(result)
    theirs = mlp.to_sklearn()
    yield "scikit-learn", row_by_row(theirs.predict_proba if classifies else theirs.predict)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
    activation = {"sigmoid": torch.sigmoid, "relu": torch.relu}[result.network.activation]
    layers = [(torch.tensor(W), torch.tensor(b)) for W, b in zip(result.weights, result.biases, strict=True)]

    @torch.inference_mode()
    def predict(x):
        (W1, b1), (W2, b2) = layers
        z = activation(torch.from_numpy(x) @ W1 + b1) @ W2 + b2
        return (torch.softmax(z, 1) if classifies else z).numpy()

    yield "PyTorch", row_by_row(predict)


def row_by_row(predict: Callable[[np.ndarray], np.ndarray]) -> Way:
    """Return the way of a function that predicts several rows."""

    def way(X, out):
        for i in range(len(X)):
            out[i] = predict(X[i : i + 1])[0]

    return way


def measure(network: Network, dtype: str, rounds: int = ROUNDS, n_rows: int = N_ROWS) -> dict[str, list[float]]:
    """Return the seconds that a row takes, by way, after the answers were compared."""
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((n_rows, network.n_inputs)).astype(dtype)
    Y = np.eye(network.n_outputs)[random_state.randint(network.n_outputs, size=n_rows)]
    result = train(network, X, Y, epochs=5, batch_size=32, optimizer=SGD(0.1), seed=0)
    expected, out = result.predict(X), np.empty((n_rows, network.n_outputs), dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        ours, others = dict(of_fastnn(result, path)), dict(of_others(result, path))
        for name, way in (ours | others).items():
            out[:] = np.nan
            way(X, out)
            bound = 0 if name in ours else 300 * np.finfo(dtype).eps
            np.testing.assert_allclose(out, expected, rtol=bound, atol=bound, err_msg=name)
        calls = {name: lambda way=way: way(X, out) for name, way in (ours | others).items()}
        timings = interleaved(calls, dict.fromkeys(calls, n_rows), rounds)
    return {name: list(timing.seconds) for name, timing in timings.items()}


def main() -> int:
    """Print a line for each way, a column for each network, as Markdown."""
    columns = [measure(network, name.split()[-1]) for name, network in NETWORKS.items()]
    print(f"| one row | {' | '.join(NETWORKS)} |\n|---|{'---|' * len(NETWORKS)}")
    for way in columns[0]:
        print(f"| {way} | {' | '.join(seconds(column[way]) for column in columns)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
