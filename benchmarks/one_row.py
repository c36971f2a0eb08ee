"""How long the prediction of one row takes, by each way out of fastnn: ``python -m benchmarks.one_row``.

Before anything is timed, the answers are compared, those of fastnn's own ways to the bit.
"""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numba import njit

from benchmarks.exports import Predict, by_onnx, by_torch, compiled
from fastnn import SGD, MLPClassifier, MLPRegressor, Network, TrainingResult, train
from fastnn.measuring.timing import interleaved, markdown, seconds

NETWORKS = {
    "3-5-1, float64": Network((3, 5, 1), activation="sigmoid"),
    "64-64-10, float32": Network((64, 64, 10), activation="relu", output="softmax", loss="cross_entropy"),
}
N_ROWS, ROUNDS = 1000, 15

Way = Callable[[np.ndarray, np.ndarray], object]
"""Predicts the rows of its first argument, one by one, to those of its second."""


def each_row(f, X, out):
    """Call a function of one row for each of them: from Python, or in compiled code."""
    for i in range(len(X)):
        f(X[i], out[i])


def row_by_row(predict: Predict) -> Way:
    """Return the way of a function that predicts several rows."""

    def way(X, out):
        for i in range(len(X)):
            out[i] = predict(X[i : i + 1])[0]

    return way


def of_fastnn(result: TrainingResult, folder: pathlib.Path) -> Iterator[tuple[str, Way]]:
    """Name the ways that have the bits of `predict`, and it itself."""
    f, compiled_loop = result.function(), njit(each_row)
    yield "predict", row_by_row(result.predict)
    yield "function(), from Python", partial(each_row, f)
    yield "function(), from compiled code", partial(compiled_loop, f)
    with contextlib.suppress(ImportError):
        yield "C", compiled(result, folder)


def of_others(result: TrainingResult, folder: pathlib.Path) -> Iterator[tuple[str, Way]]:
    """Name the ways of other libraries, as far as they are installed."""
    classifies = result.network.output == "softmax"
    mlp = MLPClassifier.from_result(result, range(10)) if classifies else MLPRegressor.from_result(result)
    theirs = mlp.to_sklearn()
    ways: dict[str, Callable[[], Predict]] = {
        "ONNX Runtime": partial(by_onnx, result, folder),
        "scikit-learn": lambda: theirs.predict_proba if classifies else theirs.predict,
        "PyTorch": partial(by_torch, result, folder),
    }
    for name, make in ways.items():
        with contextlib.suppress(ImportError):
            yield name, row_by_row(make())


def measure(network: Network, dtype: str, rounds: int = ROUNDS, n_rows: int = N_ROWS) -> dict[str, list[float]]:
    """Return the seconds that a row takes, by way, after the answers were compared."""
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((n_rows, network.n_inputs)).astype(dtype)
    Y = np.eye(network.n_outputs)[random_state.randint(network.n_outputs, size=n_rows)]
    result = train(network, X, Y, epochs=5, batch_size=32, optimizer=SGD(0.1), seed=0)
    expected, out = result.predict(X), np.empty((n_rows, network.n_outputs), dtype)
    with tempfile.TemporaryDirectory() as folder:
        ours, others = (dict(ways(result, pathlib.Path(folder))) for ways in (of_fastnn, of_others))
        for name, way in (ours | others).items():
            out[:] = np.nan
            way(X, out)
            bound = 0 if name in ours else 300 * np.finfo(dtype).eps
            np.testing.assert_allclose(out, expected, rtol=bound, atol=bound, err_msg=name)
        calls = {name: partial(way, X, out) for name, way in (ours | others).items()}
        return interleaved(calls, dict.fromkeys(calls, n_rows), rounds)


def main() -> None:
    """Print a line for each way, a column for each network, as Markdown."""
    columns = [measure(network, name.split()[-1]) for name, network in NETWORKS.items()]
    rows = [[way, *(seconds(column[way]) for column in columns)] for way in columns[0]]
    print(markdown(["one row", *NETWORKS], rows))


if __name__ == "__main__":
    main()
