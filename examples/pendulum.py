"""An ODE whose right-hand side is a network: a pendulum that has been observed, integrated in
compiled code.

``python examples/pendulum.py`` trains the network, integrates one swing by Runge and Kutta's method
in four ways, and prints how long a call of the network takes in each; of ONNX Runtime and PyTorch
where they are installed.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from numba import njit

from fastnn import Adam, Network, cosine, train

# seconds
STEP = 0.01
N_STEPS = 500


def acceleration(state):
    """The pendulum itself: what gravity and friction do to its angle and speed."""
    angle, speed = state.T
    return np.stack([speed, -9.81 * np.sin(angle) - 0.2 * speed], axis=-1)


def integrate(f, state, n_steps, step):
    """Return the states (n_steps + 1, n) from one of them on; ``f(x, out)`` writes the derivative
    at x to `out`.
    """
    path = np.empty((n_steps + 1, state.size))
    k = np.empty((4, state.size))
    x = np.empty(state.size)
    path[0] = state
    for t in range(n_steps):
        now = path[t]
        f(now, k[0])
        x[:] = now + step / 2 * k[0]
        f(x, k[1])
        x[:] = now + step / 2 * k[1]
        f(x, k[2])
        x[:] = now + step * k[2]
        f(x, k[3])
        path[t + 1] = now + step / 6 * (k[0] + 2 * k[1] + 2 * k[2] + k[3])
    return path


def observed():
    """Train a network on states and what became of them."""
    X = np.random.RandomState(0).uniform((-np.pi, -6), (np.pi, 6), (4000, 2))
    network = Network((2, 32, 2), activation="tanh")
    return train(
        network,
        X,
        acceleration(X),
        optimizer=Adam(cosine(0.01, 25_000)),
        epochs=400,
        batch_size=64,
        seed=0,
    )


def right_hand_sides(result):
    """Yield (name, the function that integrates, the right-hand side) of each way."""
    f = result.function()
    compiled = njit(integrate)
    yield "function() in compiled code", compiled, f
    yield "function() from Python", integrate, f

    def predict(x, out):
        out[:] = result.predict(x[None])[0]

    yield "predict", integrate, predict
    yield from in_torch(result)
    yield from in_onnx_runtime(result)


def in_torch(result):
    """The same in PyTorch, where it is installed."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
    layers = [
        (torch.tensor(W), torch.tensor(b))
        for W, b in zip(result.weights, result.biases, strict=True)
    ]

    @torch.inference_mode()
    def torch_(x, out):
        (W1, b1), (W2, b2) = layers
        out[:] = (torch.tanh(torch.from_numpy(x) @ W1 + b1) @ W2 + b2).numpy()

    yield "PyTorch", integrate, torch_


def in_onnx_runtime(result):
    """The same in ONNX Runtime, where it is installed."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return
    with tempfile.TemporaryDirectory() as folder:
        (path,) = result.export(Path(folder, "pendulum.onnx"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def onnx(x, out):
        out[:] = session.run(None, {session.get_inputs()[0].name: x[None]})[0][0]

    yield "ONNX Runtime", integrate, onnx


def main():
    """Train, integrate, and print what came out and how long it took."""
    result = observed()
    start = np.array([2.5, 0.0])
    true = integrate(lambda x, out: np.copyto(out, acceleration(x)), start, N_STEPS, STEP)
    first = None
    for name, way, f in right_hand_sides(result):
        path = way(f, start, N_STEPS, STEP)  # compiled here, not below
        first = path if first is None else first
        np.testing.assert_allclose(path, first, rtol=1e-6, atol=1e-6)
        took = []
        for _ in range(5):
            begin = time.perf_counter()
            way(f, start, N_STEPS, STEP)
            took.append(time.perf_counter() - begin)
        print(f"{name:28} {min(took) / (4 * N_STEPS) * 1e6:8.3f} µs a call")
    angle = true[:, 0]
    worst = np.abs(first - true).max(axis=0)
    print(
        f"The angle goes from {angle.max():.2f} to {angle.min():.2f}; the network's is at most "
        f"{worst[0]:.3f} off."
    )


if __name__ == "__main__":
    main()
