"""Levenberg-Marquardt beside other ways to a small loss: ``python -m benchmarks.second_order [sinc] [peers] ...``.

One thread; times are processor time, a figure is the median over starts. What is not reached within `LIMIT` times of
Levenberg-Marquardt's time counts as more than that. ``--torch PYTHON`` is an interpreter that has PyTorch and
torch-levenberg-marquardt. ``--plot FILE`` draws the loss over seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numba
import numpy as np
from scipy.linalg import lapack
from scipy.optimize import least_squares, minimize

from fastnn import Adam, LevenbergMarquardt, Network, cosine, loss_and_gradient, predict, train, train_many
from fastnn.files.figures import empty_figure, save
from fastnn.fused import levenberg_marquardt as kernel
from fastnn.fused import normal
from fastnn.memory import ALIGNMENT, ROW_BLOCK, aligned_zeros
from fastnn.network import draw, nguyen_widrow
from fastnn.reference import forward, jacobian, views

LIMIT = 60
RATES, BATCHES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), (200, 2_000, None)
LANES = ALIGNMENT // 8


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """The least processor time of a call, of several."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return min(times)


def say(*parts: object) -> None:
    """Print a line, as soon as it is known."""
    print(*parts, flush=True)


def start_of(network: Network, X: np.ndarray, seed: int) -> np.ndarray:
    """Nguyen and Widrow's weights, as `train` draws them."""
    numbers = draw(network, np.random.RandomState(seed))
    return nguyen_widrow(network, numbers, np.empty(network.n_params), X.min(axis=0), X.max(axis=0))


# ---------------------------------------------------------------------------------------------------------------- sinc


class Curve:
    """The losses of a training, and the processor time at which each was there: a callback."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []
        self.began = time.process_time()

    def __call__(self, progress: Any) -> None:
        self.points.append((time.process_time() - self.began, progress.loss))


def by_lbfgs(network: Network, X: np.ndarray, Y: np.ndarray, params: np.ndarray, goal: float, most: float) -> Any:
    """The (seconds, loss) of each evaluation by SciPy's L-BFGS-B, up to the goal or the time."""
    points, began = list[tuple[float, float]](), time.process_time()

    class Over(Exception):
        pass

    def evaluate(p: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = loss_and_gradient(network, p, X, Y, threads=1)
        points.append((time.process_time() - began, loss))
        if loss <= goal or points[-1][0] > most:
            raise Over
        return loss, gradient

    options = {"maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0, "maxcor": 20}
    with contextlib.suppress(Over):
        minimize(evaluate, params, jac=True, method="L-BFGS-B", options=options)
    return points


def reached(points: list[tuple[float, float]], goal: float) -> float:
    """The time at which the goal was reached; infinite if it was not."""
    return next((t for t, loss in points if loss <= goal), float("inf"))


def sinc(n_starts: int, n_adam: int, plot: str | None) -> None:
    """np.sinc(10 x) by 1-20-1 on 20,000 rows, to a mean square of 1e-6: a loss of half that."""
    X, goal, network = np.linspace(-1, 1, 20_000)[:, None], 0.5e-6, Network((1, 20, 1), "tanh")
    Y, curves = np.sinc(10 * X), dict[str, Any]()
    data, own, lbfgs, adam = (network, X, Y), [], [], []
    options: dict[str, Any] = {"epochs": 500, "optimizer": LevenbergMarquardt(goal=goal)}
    train(*data, **options, seed=0)
    for seed in range(n_starts):
        begin = time.process_time()
        result = train(*data, **options, seed=seed)
        own.append((time.process_time() - begin, result.n_epochs, result.stop_reason))
    typical = statistics.median(t for t, *_ in own)
    n_reached = sum(reason == "goal" for *_, reason in own)
    epochs = statistics.median(n for _, n, _ in own)
    say(f"sinc: Levenberg-Marquardt {n_reached} of {n_starts}, median {epochs:g} epochs, {1e3 * typical:.0f} ms")
    for seed in range(n_starts):
        points = by_lbfgs(*data, start_of(network, X, seed), goal, LIMIT * typical)
        lbfgs.append(min(reached(points, goal), LIMIT * typical))
        curves["L-BFGS"] = points
    n_reached, times = sum(t < LIMIT * typical for t in lbfgs), statistics.median(lbfgs) / typical
    say(f"sinc: L-BFGS {times:.0f} times, {n_reached} of {n_starts} arrive")
    for seed in range(n_adam):
        params, tried = start_of(network, X, seed), {}
        for size in BATCHES:
            steps_a_epoch = -(-len(X) // (size or len(X)))
            some: dict[str, Any] = {"batch_size": size, "seed": seed, "params": params, "threads": 1}
            of_epoch = seconds(lambda some=some: train(*data, **some, epochs=10, optimizer=Adam()), 2) / 10
            n_epochs = max(1, int(LIMIT * typical / of_epoch))
            for rate in RATES:
                optimizer, curve = Adam(cosine(rate, n_epochs * steps_a_epoch)), Curve()
                train(*data, **some, epochs=n_epochs, optimizer=optimizer, callbacks=[curve])
                tried[size, rate] = reached(curve.points, goal), curve.points[-1][1], curve.points
        best = min(tried, key=lambda key: tried[key][:2])
        adam.append(min(tried[best][0], LIMIT * typical))
        curves[f"Adam, {best[0] or 'all'} rows, rate {best[1]:g}"] = tried[best][2]
        say(
            f"sinc: Adam, start {seed}: best is {best}, {tried[best][0] / typical:.0f} times, loss {tried[best][1]:.2g}"
        )
    curve = Curve()
    train(*data, **options, seed=0, callbacks=[curve])
    curves["Levenberg-Marquardt"] = curve.points
    if plot:
        draw_curves(curves, plot)


def draw_curves(curves: dict[str, Any], file: str) -> None:
    """Draw the loss over seconds."""
    figure, axes = empty_figure("np.sinc(10 x) by 1-20-1, 20,000 rows", "seconds", "loss")
    for name, points in curves.items():
        axes.loglog(*zip(*points, strict=True), label=name)
    axes.legend()
    save(figure, file)


# --------------------------------------------------------------------------------------------------------------- peers

TORCH = """
import json, sys, time, torch, torch_levenberg_marquardt as tlm
torch.set_num_threads(1); torch.set_default_dtype(torch.float64)
X, Y, width, layers = json.load(sys.stdin)
X, Y = torch.tensor(X), torch.tensor(Y)
model = torch.nn.Sequential(torch.nn.Linear(X.shape[1], width), torch.nn.Tanh(), torch.nn.Linear(width, 1))
with torch.no_grad():
    for tensor, values in zip(model.parameters(), layers): tensor.copy_(torch.tensor(values))
step = tlm.training.LevenbergMarquardtModule(model=model, loss_fn=tlm.loss.MSELoss(), solve_method="cholesky")
for _ in range(5): step.training_step(X, Y)
times = []
for _ in range(5):
    begin = time.process_time()
    for _ in range(10): step.training_step(X, Y)
    times.append((time.process_time() - begin) / 10)
print(min(times))
"""


def of_torch(python: str, network: Network, X: np.ndarray, Y: np.ndarray, params: np.ndarray) -> float:
    """The seconds of an iteration of torch-levenberg-marquardt."""
    pairs = zip(network.weights(params), network.biases(params), strict=True)
    layers = [array.tolist() for W, b in pairs for array in (W.T, b)]
    given = json.dumps([X.tolist(), Y.tolist(), network.sizes[1], layers])
    done = subprocess.run([python, "-c", TORCH], input=given, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def problem(network: Network, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows with some noise, so that a training goes on."""
    r = np.random.RandomState(0)
    X = r.uniform(-1, 1, (n, network.n_inputs))
    return X, np.sin(3 * X[:, :1]) + 0.02 * r.standard_normal((n, 1))


def slopes_of(network: Network, X: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The Jacobian as a function of the parameters."""

    def slopes(p: np.ndarray) -> np.ndarray:
        v = views(network, p)
        return jacobian(network, v, forward(network, v, X), np.ones((len(X), 1)))

    return slopes


def epoch_seconds(network: Network, X: np.ndarray, Y: np.ndarray, most: int = 200) -> float:
    """The seconds of an epoch: those of many more epochs, less those of some."""

    def run(n_epochs: int) -> int:
        return train(network, X, Y, optimizer=LevenbergMarquardt(min_grad=0), epochs=n_epochs, seed=0).n_epochs

    few, many = (seconds(lambda n=n: run(n)) for n in (5, most + 5))
    return (many - few) / (run(most + 5) - 5)


def peers(torch: str | None) -> None:
    """An iteration beside torch-levenberg-marquardt and SciPy."""
    for sizes, n in (((1, 5, 1), 41), ((3, 20, 1), 1_000)):
        network = Network(sizes, "tanh")
        X, Y = problem(network, n)
        own = epoch_seconds(network, X, Y)
        say(f"peers: {sizes}, {n} rows: an epoch of ours {1e6 * own:.1f} us")
        params = start_of(network, X, 0)
        if torch:
            say(f"peers: torch-levenberg-marquardt {of_torch(torch, network, X, Y, params) / own:.0f} times")

        def residuals(p: np.ndarray) -> np.ndarray:
            return (predict(network, p, X, threads=1) - Y).ravel()  # noqa: B023

        slopes = slopes_of(network, X)
        found = least_squares(residuals, params, slopes, method="lm", max_nfev=60)
        taken = seconds(lambda: least_squares(residuals, params, slopes, method="lm", max_nfev=60))  # noqa: B023
        taken /= found.njev
        say(f"peers: scipy with our Jacobian {taken / own:.0f} times, a Jacobian of it against an epoch of ours")


# ---------------------------------------------------------------------------------------------------------------- peak


class Buffers(NamedTuple):
    """What the factorization takes of the method's buffers."""

    products: np.ndarray
    factor: np.ndarray
    inverse: np.ndarray
    step: np.ndarray
    n: int


class Zeros(NamedTuple):
    """What it takes of the workspace."""

    zeros: np.ndarray


class Size(NamedTuple):
    """What it takes of the network."""

    n_params: int


@numba.njit(error_model="numpy")
def make_products(H, J, activations, deltas, factors, zeros, n, n_blocks):  # type: ignore[no-untyped-def]
    """J'J of blocks of rows, from their activations and deltas."""
    for block in range(n_blocks):
        normal.transpose_jacobian(J, activations, deltas, factors, n + LANES, ROW_BLOCK)
        normal.add_products(H, J, zeros, n, ROW_BLOCK, block)


_factorize = kernel.factorize


@numba.njit(error_model="numpy")
def factorize(zeros, size, buffers, times):  # type: ignore[no-untyped-def]
    """The factor, so many times."""
    for _ in range(times):
        _factorize(zeros, size, buffers, 1.5)


def peak() -> None:
    """J'J as a part of what dgemm does, and Cholesky beside LAPACK's."""
    A = np.random.rand(2_000, 2_000)
    most = 2 * 2_000**3 / seconds(lambda: A @ A, 4)
    say(f"peak: dgemm {most / 1e9:.1f} GF/s")
    double = np.dtype(np.float64)
    for n_params in (100, 200, 500, 1_000, 2_000):
        n = -(-n_params // LANES) * LANES
        H, U = (aligned_zeros(n * (n + LANES), double) for _ in range(2))
        zeros = aligned_zeros(LANES, double)
        if n_params <= 500:
            J, rows = aligned_zeros(ROW_BLOCK * (n + LANES), double), np.arange(2 * (n + LANES)) // 6 % 40
            panel = aligned_zeros(40 * ROW_BLOCK, double)
            panel[:] = np.random.rand(panel.size)
            arguments = H, J, panel, panel, rows, zeros, n, 39  # blocks: 10,000 rows
            make_products(*arguments)
            taken = seconds(lambda arguments=arguments: make_products(*arguments))
            share = 39 * ROW_BLOCK * n_params * (n_params + 1) / taken / most
            say(f"peak: J'J of 10,000 rows and {n_params} parameters, Jacobian included: {100 * share:.0f} %")
        G = np.random.rand(n + 9, n)
        full = np.concatenate([G.T @ G, np.zeros((n, LANES))], axis=1)
        H[:] = full.reshape(n, -1, LANES).transpose(1, 0, 2).ravel()
        buffers = Buffers(H, U, aligned_zeros(n, double), aligned_zeros(n, double), n)
        times = max(1, int(2e7 / n**3))
        factorize(Zeros(zeros), Size(n_params), buffers, times)
        own = seconds(lambda b=buffers, z=zeros, p=n_params, t=times: factorize(Zeros(z), Size(p), b, t)) / times
        B = np.asfortranarray(full[:, :n] + 1.5 * np.eye(n))
        other = seconds(lambda B=B, t=times: [lapack.dpotrf(B, lower=0, clean=0) for _ in range(t)]) / times
        say(f"peak: Cholesky, {n_params} parameters: {own / other:.2f} times LAPACK's {1e6 * other:.0f} us")


# ------------------------------------------------------------------------------------------------------------ restarts


def restarts() -> None:
    """1,000 restarts of 1-5-1 on 41 rows in one call, against the epochs that they take."""
    network = Network((1, 5, 1), "tanh")
    X = np.linspace(-1, 1, 41)[:, None]
    Y = np.sin(np.pi * X) + 0.1 * np.random.RandomState(0).standard_normal(X.shape)
    options: dict[str, Any] = {"optimizer": LevenbergMarquardt(min_grad=0), "epochs": 100, "seed": range(1_000)}
    many = train_many(network, X, Y, n_jobs=1, **options)
    taken = seconds(lambda: train_many(network, X, Y, n_jobs=1, **options))
    n_epochs, own = int(many.n_epochs.sum()), epoch_seconds(network, X, Y, 1_000)
    ratio = taken / n_epochs / own
    say(f"restarts: {1e3 * taken:.0f} ms for {n_epochs:,} epochs of {1e6 * own:.2f} us, {ratio:.2f} times these alone")


# -------------------------------------------------------------------------------------------------------------- checks


def checks() -> None:
    """MathWorks' SIN and PARITY, and the final sums of squares beside SciPy's."""
    x = np.linspace(-1, 1, 41)[:, None]
    bits = np.array([[i >> k & 1 for k in range(3)] for i in range(8)], float)
    parity = 2 * (bits.sum(axis=1, keepdims=True) % 2) - 1
    for name, sizes, X, Y, goal in (
        ("SIN", (1, 5, 1), x, np.sin(np.pi * x), 0.002),
        ("SIN", (1, 5, 1), x, np.sin(np.pi * x), 1e-6),
        ("PARITY", (3, 10, 10, 1), 2 * bits - 1, parity, 0.001),
    ):
        method = LevenbergMarquardt(goal=goal / 2)
        many = train_many(Network(sizes, "tanh"), X, Y, optimizer=method, epochs=1_000, seed=range(30))
        n = sum(reason == "goal" for reason in many.stop_reason)
        say(f"checks: {name} to {goal:g}: {n} of 30, median {np.median(many.n_epochs):g} epochs")
    Y = np.sin(np.pi * x) + 0.1 * np.random.RandomState(0).standard_normal(x.shape)
    for width in (2, 3, 5):
        network = Network((1, width, 1), "tanh")
        many = train_many(network, x, Y, optimizer=LevenbergMarquardt(min_grad=1e-9), epochs=2_000, seed=range(100))
        own = np.median([2 * len(x) * result.history.loss[-1] for result in many])

        def residuals(p: np.ndarray) -> np.ndarray:
            return (predict(network, p, x) - Y).ravel()  # noqa: B023

        found = [
            least_squares(residuals, start_of(network, x, k), slopes_of(network, x), method="lm") for k in range(100)
        ]
        other = np.median([2 * one.cost for one in found])
        say(f"checks: sum of squares, 1-{width}-1, medians of 100: {own:.4g}, {own / other:.3f} times scipy's")


def main() -> None:
    """Measure what is asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="sinc|peers|peak|restarts|checks")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--adam", type=int, default=3, help="of these starts, those of Adam")
    parser.add_argument("--torch", metavar="PYTHON")
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args()
    parts = {
        "sinc": lambda: sinc(options.starts, options.adam, options.plot),
        "peers": lambda: peers(options.torch),
        "peak": peak,
        "restarts": restarts,
        "checks": checks,
    }
    if unknown := set(options.parts) - parts.keys():
        sys.exit(f"there is no {', '.join(sorted(unknown))}: {', '.join(parts)}")
    for name in options.parts or parts:
        parts[name]()


if __name__ == "__main__":
    main()
