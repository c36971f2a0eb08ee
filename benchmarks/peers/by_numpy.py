"""The bare loop in NumPy: the tutorial's own for the seed, and the same for the other workloads."""

import numpy as np

from benchmarks.peers.workloads import PeerWorkload, flat
from fastnn import Adam
from fastnn.measuring import tutorial

VERSIONS = ("numpy",)


class Trainer:
    """Products, activations and updates as one writes them down, nothing else."""

    def __init__(self, workload: PeerWorkload) -> None:
        self.workload = workload

    def train(self, epochs: int) -> np.ndarray:
        self.validation = []
        if self.workload.name != "seed":
            return flat(_train(self.workload, epochs, self.validation))
        weights = tutorial.initial_weights(0)
        if not self.workload.held_out:
            return tutorial.flat(tutorial.train(weights, epochs)[0])
        X, Y = self.workload.held_out
        for _ in range(epochs):
            weights, _ = tutorial.train(weights, 1)
            self.validation.append(np.sum((Y - tutorial.predict(weights, X)) ** 2 / 2))
        return tutorial.flat(weights)


def _train(workload: PeerWorkload, epochs: int, validation: list) -> list:
    layers = workload.layers
    dtype = workload.X.dtype.type
    batch = workload.batch
    adam = isinstance(workload.optimizer, Adam)
    rate = dtype(workload.optimizer.learning_rate)
    means, squares = ([[np.zeros_like(p) for p in layer] for layer in layers] for _ in range(2))
    tanh = workload.network.activation == "tanh"
    t = 0
    for _ in range(epochs):
        for k in range(0, len(workload.X), batch):
            activations = _forward(workload, layers, workload.X[k : k + batch])
            delta = activations.pop()
            delta -= workload.Y[k : k + batch]
            delta /= dtype(batch)
            t += 1
            step = rate * dtype(np.sqrt(1 - 0.999**t) / (1 - 0.9**t)) if adam else rate
            for l in reversed(range(len(layers))):
                gradients = activations[l].T @ delta, delta.sum(axis=0)
                if l:
                    a = activations[l]
                    delta = delta @ layers[l][0].T
                    delta *= 1 - a * a if tanh else a > 0
                for p, g, m, v in zip(layers[l], gradients, means[l], squares[l], strict=True):
                    if adam:
                        m += (g - m) * dtype(0.1)
                        v += (g * g - v) * dtype(0.001)
                        p -= step * m / (np.sqrt(v) + dtype(1e-8))
                    else:
                        p -= step * g
        if workload.held_out:
            X, Y = workload.held_out
            validation.append(-np.log(_forward(workload, layers, X)[-1][Y > 0]).mean())
    return layers


def _forward(workload: PeerWorkload, layers: list, X: np.ndarray) -> list[np.ndarray]:
    activations = [X]
    tanh = workload.network.activation == "tanh"
    for W, b in layers:
        z = activations[-1] @ W
        z += b
        if len(activations) < len(layers):
            np.tanh(z, out=z) if tanh else np.maximum(z, 0, out=z)
        elif workload.classes:
            z -= z.max(axis=1, keepdims=True)
            np.exp(z, out=z)
            z /= z.sum(axis=1, keepdims=True)
        activations.append(z)
    return activations
