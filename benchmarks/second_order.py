"""Levenberg-Marquardt beside other ways to a small loss: ``python -m benchmarks.second_order [sinc]
[peers] ...``.

One thread; times are processor time, a figure is the median over starts. What is not reached within
`LIMIT` times of Levenberg-Marquardt's time counts as more than that. ``--plot FILE`` draws the loss
over seconds.
"""

import argparse
import contextlib
import os
import time
from collections import namedtuple
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numba
import numpy as np
from scipy.linalg import lapack
from scipy.optimize import least_squares, minimize

from fastnn import (
    Adam,
    LevenbergMarquardt,
    Network,
    cosine,
    loss_and_gradient,
    plotting,
    predict,
    train,
    train_many,
)
from fastnn.fused import levenberg_marquardt as kernel
from fastnn.fused import normal
from fastnn.measuring.timing import interleaved, seconds_of
from fastnn.memory import ALIGNMENT, ROW_BLOCK, aligned_zeros
from fastnn.network import draw, nguyen_widrow
from fastnn.reference import forward, jacobian, views

LIMIT = 60
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
BATCHES = (200, 2_000, None)
LANES = ALIGNMENT // 8
CLOCK = time.process_time
# The losses of a training, each after the processor time at which it was there
Points = list[tuple[float, float]]

say = partial(print, flush=True)


def least(*calls: Callable[[], object], rounds: int = 5) -> list[float]:
    """The least processor time of each call, in turn."""
    return [
        min(samples)
        for samples in interleaved(dict(enumerate(calls)), rounds=rounds, clock=CLOCK).values()
    ]


def start_of(network: Network, X: np.ndarray, seed: int) -> np.ndarray:
    """Nguyen and Widrow's weights, as `train` draws them."""
    numbers = draw(network, np.random.RandomState(seed))
    return nguyen_widrow(network, numbers, np.empty(network.n_params), X.min(axis=0), X.max(axis=0))


def curve_of(*data: Any, **options: Any) -> Points:
    points = Points()
    began = CLOCK()
    train(
        *data,
        **options,
        callbacks=[lambda progress: points.append((CLOCK() - began, progress.loss))],
    )
    return points


def by_lbfgs(
    network: Network, X: np.ndarray, Y: np.ndarray, params: np.ndarray, goal: float, most: float
) -> Points:
    """The losses of SciPy's L-BFGS-B, up to the goal or the time."""
    points = Points()
    began = CLOCK()

    def evaluate(p: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = loss_and_gradient(network, p, X, Y, threads=1)
        points.append((CLOCK() - began, loss))
        return loss, gradient

    def stop(_: np.ndarray) -> None:
        if min(loss for _, loss in points) <= goal or points[-1][0] > most:
            raise StopIteration

    options = {"maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0, "maxcor": 20}
    minimize(evaluate, params, jac=True, method="L-BFGS-B", options=options, callback=stop)
    return points


def reached(points: Points, goal: float) -> float:
    """The time at which the goal was reached; infinite if it was not."""
    return next((t for t, loss in points if loss <= goal), float("inf"))


def sinc(n_starts: int, n_adam: int, plot: str | None) -> None:
    """np.sinc(10 x) by 1-20-1 on 20,000 rows, to a mean square of 1e-6: a loss of half that."""
    X = np.linspace(-1, 1, 20_000)[:, None]
    goal = 0.5e-6
    network = Network((1, 20, 1), "tanh")
    data = (network, X, np.sinc(10 * X))
    curves = dict[str, Points]()
    options: dict[str, Any] = {"epochs": 500, "optimizer": LevenbergMarquardt(goal=goal)}
    train(*data, **options, seed=0)
    results: list[Any] = []
    own = (
        lambda seed=seed: results.append(train(*data, **options, seed=seed))
        for seed in range(n_starts)
    )
    typical = median([seconds_of(one, CLOCK) for one in own])
    n_reached = sum(r.stop_reason == "goal" for r in results)
    epochs = median(r.n_epochs for r in results)
    say(
        f"sinc: Levenberg-Marquardt {n_reached} of {n_starts}, median {epochs:g} epochs, "
        f"{1e3 * typical:.0f} ms"
    )
    lbfgs = []
    most = LIMIT * typical
    for seed in range(n_starts):
        curves["L-BFGS"] = by_lbfgs(*data, start_of(network, X, seed), goal, most)
        lbfgs.append(min(reached(curves["L-BFGS"], goal), most))
    n_reached = sum(t < most for t in lbfgs)
    say(f"sinc: L-BFGS {median(lbfgs) / typical:.0f} times, {n_reached} of {n_starts} arrive")
    for seed in range(n_adam):
        name, size, rate, points = best_of_adam(data, seed, goal, most)
        curves[name], times = points, reached(points, goal) / typical
        say(
            f"sinc: Adam, start {seed}: best is {(size, rate)}, {times:.0f} times, loss "
            f"{points[-1][1]:.2g}"
        )
    curves["Levenberg-Marquardt"] = curve_of(*data, **options, seed=0)
    if plot:
        figure, axes = plotting.empty_figure(
            "np.sinc(10 x) by 1-20-1, 20,000 rows", "seconds", "loss"
        )
        for name, points in curves.items():
            axes.loglog(*zip(*points, strict=True), label=name)
        axes.legend()
        plotting.save(figure, plot)


def best_of_adam(
    data: tuple, seed: int, goal: float, most: float
) -> tuple[str, int | None, float, Points]:
    """The best of Adam's batches and rates in so many seconds: its name in the picture, the two,
    and its losses.
    """
    network, X, _ = data
    tried = []
    for size in BATCHES:
        steps = -(-len(X) // (size or len(X)))  # of an epoch
        some: dict[str, Any] = {
            "batch_size": size,
            "seed": seed,
            "params": start_of(network, X, seed),
            "threads": 1,
        }
        (ten,) = least(partial(train, *data, **some, epochs=10, optimizer=Adam()), rounds=2)
        n_epochs = max(1, int(10 * most / ten))
        for rate in RATES:
            points = curve_of(
                *data, **some, epochs=n_epochs, optimizer=Adam(cosine(rate, n_epochs * steps))
            )
            tried.append((f"Adam, {size or 'all'} rows, rate {rate:g}", size, rate, points))
    return min(tried, key=lambda one: (reached(one[-1], goal), one[-1][-1][1]))


def of_torch(network: Network, X: np.ndarray, Y: np.ndarray, params: np.ndarray) -> float:
    """The seconds of an iteration of torch-levenberg-marquardt; ImportError where it is not
    installed.
    """
    import torch
    import torch_levenberg_marquardt as tlm

    torch.set_num_threads(1)
    model = train(network, X, Y, epochs=0, params=params).to_torch()
    step = tlm.training.LevenbergMarquardtModule(
        model=model, loss_fn=tlm.loss.MSELoss(), solve_method="cholesky"
    )
    data = torch.from_numpy(X), torch.from_numpy(Y)
    (taken,) = least(lambda: [step.training_step(*data) for _ in range(10)])
    return taken / 10


def problem(network: Network, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows with some noise, so that a training goes on."""
    r = np.random.RandomState(0)
    X = r.uniform(-1, 1, (n, network.n_inputs))
    return X, np.sin(3 * X[:, :1]) + 0.02 * r.standard_normal((n, 1))


def slopes(network: Network, X: np.ndarray, p: np.ndarray) -> np.ndarray:
    v = views(network, p)
    return jacobian(network, v, forward(network, v, X), np.ones((len(X), 1)))


def epoch_seconds(network: Network, X: np.ndarray, Y: np.ndarray, most: int = 200) -> float:
    """The seconds of an epoch: those of many more epochs, less those of some."""

    def run(n_epochs: int) -> int:
        return train(
            network, X, Y, optimizer=LevenbergMarquardt(min_grad=0), epochs=n_epochs, seed=0
        ).n_epochs

    few, many = least(partial(run, 5), partial(run, most + 5), rounds=20)
    return (many - few) / (run(most + 5) - 5)


def fit(network: Network, X: np.ndarray, Y: np.ndarray, params: np.ndarray, **options: Any) -> Any:
    def residuals(p: np.ndarray) -> np.ndarray:
        return (predict(network, p, X, threads=1) - Y).ravel()

    return least_squares(residuals, params, partial(slopes, network, X), method="lm", **options)


def peers() -> None:
    """An iteration beside torch-levenberg-marquardt, where it is installed, and SciPy."""
    for sizes, n in (((1, 5, 1), 41), ((3, 20, 1), 1_000)):
        network = Network(sizes, "tanh")
        X, Y = problem(network, n)
        own = epoch_seconds(network, X, Y)
        params = start_of(network, X, 0)
        say(f"peers: {sizes}, {n} rows: an epoch of ours {1e6 * own:.1f} us")
        with contextlib.suppress(ImportError):
            say(
                f"peers: torch-levenberg-marquardt {of_torch(network, X, Y, params) / own:.0f} "
                f"times"
            )
        (taken,) = least(call := partial(fit, network, X, Y, params, max_nfev=60))
        times = taken / call().njev / own
        say(
            f"peers: scipy with our Jacobian {times:.0f} times, a Jacobian of it against an epoch "
            "of ours"
        )


Buffers = namedtuple("Buffers", "products factor inverse step n")
"""What the factorization takes of the method's buffers."""
Zeros = namedtuple("Zeros", "zeros")
Size = namedtuple("Size", "n_params")
"""What it takes of the workspace and of the network."""


@numba.njit(error_model="numpy")
def make_products(H, J, activations, deltas, factors, zeros, n, n_blocks):  # type: ignore[no-untyped-def]
    """J'J of blocks of rows, from their activations and deltas."""
    for block in range(n_blocks):
        normal.transpose_jacobian(J, activations, deltas, factors, n + LANES, ROW_BLOCK)
        normal.add_products(H, J, zeros, n, ROW_BLOCK, block)


_factorize = kernel.factorize


@numba.njit(error_model="numpy")
def factorize(zeros, size, buffers, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        _factorize(zeros, size, buffers, 1.5)


def peak() -> None:
    """J'J as a part of what dgemm does, and Cholesky beside LAPACK's."""
    A = np.random.rand(2_000, 2_000)
    zeros = partial(aligned_zeros, dtype=np.dtype(np.float64))
    most = 2 * 2_000**3 / least(lambda: A @ A, rounds=4)[0]
    say(f"peak: dgemm {most / 1e9:.1f} GF/s")
    for n_params in (100, 200, 500, 1_000, 2_000):
        n = -(-n_params // LANES) * LANES
        H = zeros(n * (n + LANES))
        U = zeros(n * (n + LANES))
        none = zeros(LANES)
        if n_params <= 500:
            J = zeros(ROW_BLOCK * (n + LANES))
            rows = np.arange(2 * (n + LANES)) // 6 % 40
            panel = zeros(40 * ROW_BLOCK)
            panel[:] = np.random.rand(panel.size)
            # blocks: 10,000 rows
            (taken,) = least(partial(make_products, H, J, panel, panel, rows, none, n, 39))
            share = 39 * ROW_BLOCK * n_params * (n_params + 1) / taken / most
            say(
                f"peak: J'J of 10,000 rows and {n_params} parameters, Jacobian included: "
                f"{100 * share:.0f} %"
            )
        G = np.random.rand(n + 9, n)
        full = np.concatenate([G.T @ G, np.zeros((n, LANES))], axis=1)
        H[:] = full.reshape(n, -1, LANES).transpose(1, 0, 2).ravel()
        buffers = Buffers(H, U, zeros(n), zeros(n), n)
        times = max(1, int(2e7 / n**3))
        B = np.asfortranarray(full[:, :n] + 1.5 * np.eye(n))
        own, other = least(
            partial(factorize, Zeros(none), Size(n_params), buffers, times),
            lambda B=B, times=times: [lapack.dpotrf(B, lower=0, clean=0) for _ in range(times)],
        )
        say(
            f"peak: Cholesky, {n_params} parameters: {own / other:.2f} times LAPACK's "
            f"{1e6 * other / times:.0f} us"
        )


x = np.linspace(-1, 1, 41)[:, None]
y = np.sin(np.pi * x)
noisy = y + 0.1 * np.random.RandomState(0).standard_normal(x.shape)


def restarts() -> None:
    data = (Network((1, 5, 1), "tanh"), x, noisy)
    method = LevenbergMarquardt(min_grad=0)
    call = partial(train_many, *data, optimizer=method, epochs=100, seed=range(1_000), n_jobs=1)
    (taken,) = least(call)
    n_epochs = int(call().n_epochs.sum())
    own = epoch_seconds(*data, 1_000)
    ratio = taken / n_epochs / own
    say(
        f"restarts: {1e3 * taken:.0f} ms for {n_epochs:,} epochs of {1e6 * own:.2f} us, "
        f"{ratio:.2f} times these alone"
    )


def checks() -> None:
    """MathWorks' SIN and PARITY, and the final sums of squares beside SciPy's."""
    bits = np.array([[i >> k & 1 for k in range(3)] for i in range(8)], float)
    parity = 2 * (bits.sum(axis=1, keepdims=True) % 2) - 1
    for name, sizes, X, Y, goal in (
        *(("SIN", (1, 5, 1), x, y, goal) for goal in (0.002, 1e-6)),
        ("PARITY", (3, 10, 10, 1), 2 * bits - 1, parity, 0.001),
    ):
        method = LevenbergMarquardt(goal=goal / 2)
        many = train_many(
            Network(sizes, "tanh"), X, Y, optimizer=method, epochs=1_000, seed=range(30)
        )
        n = sum(reason == "goal" for reason in many.stop_reason)
        say(f"checks: {name} to {goal:g}: {n} of 30, median {np.median(many.n_epochs):g} epochs")
    for width in (2, 3, 5):
        network = Network((1, width, 1), "tanh")
        seeds = range(100)
        many = train_many(
            network, x, noisy, optimizer=LevenbergMarquardt(min_grad=1e-9), epochs=2_000, seed=seeds
        )
        own = np.median([2 * len(x) * result.history.loss[-1] for result in many])
        other = np.median([2 * fit(network, x, noisy, start_of(network, x, k)).cost for k in seeds])
        say(
            f"checks: sum of squares, 1-{width}-1, medians of 100: {own:.4g}, {own / other:.3f} "
            "times scipy's"
        )


PARTS: dict[str, Callable[..., None]] = {
    part.__name__: part for part in (sinc, peers, peak, restarts, checks)
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="|".join(PARTS))
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--adam", type=int, default=3, help="of these starts, those of Adam")
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args(arguments)
    for name in options.parts or PARTS:
        PARTS[name](*((options.starts, options.adam, options.plot) if name == "sinc" else ()))


if __name__ == "__main__":
    main()
