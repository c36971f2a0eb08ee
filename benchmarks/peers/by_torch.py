"""PyTorch, eager, with its fused optimizers."""

import os

import numpy as np
import torch

from benchmarks.peers.workloads import PeerWorkload, flat
from fastnn import Adam

VERSIONS = ("torch",)
ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}

if threads := os.environ.get("PEER_THREADS"):
    torch.set_num_threads(int(threads))


class Trainer:
    """The loop that every PyTorch tutorial has. The seed's three oddities are written out, without autograd."""

    own_rules = False

    def __init__(self, workload: PeerWorkload) -> None:
        self.workload = workload
        self.X, self.Y = torch.tensor(workload.X), torch.tensor(workload.Y)
        self.labels = torch.tensor(workload.labels)
        self.held_out = workload.held_out and tuple(map(torch.tensor, workload.held_out))

    def model(self) -> torch.nn.Sequential:
        parts = []
        for W, b in self.workload.layers:
            linear = torch.nn.Linear(*W.shape, dtype=self.X.dtype)
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(W.T))
                linear.bias.copy_(torch.tensor(b))
            parts += [linear, ACTIVATIONS[self.workload.network.layers[0].activation]()]
        return torch.nn.Sequential(*parts[:-1])

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        rate = self.workload.optimizer.learning_rate
        if isinstance(self.workload.optimizer, Adam):
            return torch.optim.Adam(model.parameters(), rate, fused=True)
        return torch.optim.SGD(model.parameters(), rate, fused=True)

    def train(self, epochs: int) -> np.ndarray:
        self.validation = []
        if self.workload.name == "seed":
            return self.train_seed(epochs)
        model = self.model()
        optimizer = self.optimizer(model)
        batches = [slice(k, k + self.workload.batch) for k in range(0, len(self.X), self.workload.batch)]
        for _ in range(epochs):
            self.epoch(model, optimizer, batches)
            if self.held_out:
                X, Y = self.held_out
                with torch.inference_mode():
                    self.validation.append(torch.nn.functional.cross_entropy(model(X), Y).item())
        return flat((p.weight.detach().T, p.bias.detach()) for p in model if hasattr(p, "weight"))

    @torch.inference_mode()
    def train_seed(self, epochs: int) -> np.ndarray:
        (w1, b1), (w2, b2) = ((torch.tensor(W), torch.tensor(b)) for W, b in self.workload.layers)
        X, Y = self.X, self.Y
        for _ in range(epochs):
            a1 = torch.sigmoid(X @ w1 + b1)
            a2 = torch.sigmoid(a1 @ w2 + b2)
            d2 = (a2 - Y) * a2 * (1 - a2)
            w2 -= a1.T @ d2
            b2 -= d2.sum() * b2
            d1 = (d2 @ w2.T) * a1 * (1 - a1)
            w1 -= X.T @ d1
            b1 -= d1.sum() * b1
            if self.held_out:
                x, y = self.held_out
                outputs = torch.sigmoid(torch.sigmoid(x @ w1 + b1) @ w2 + b2)
                self.validation.append(0.5 * (outputs - y).square().sum().item())
        return flat([(w1, b1), (w2, b2)])

    def epoch(self, model, optimizer, batches) -> None:
        for rows in batches:
            optimizer.zero_grad()
            output = model(self.X[rows])
            if self.workload.classes:
                loss = torch.nn.functional.cross_entropy(output, self.labels[rows])
            else:
                loss = 0.5 * (output - self.Y[rows]).square().sum() / len(output)
            loss.backward()
            optimizer.step()

    def learn(self, epochs: int, seed: int, X_test: np.ndarray) -> np.ndarray:
        """Train on shuffled rows; the labels of other rows. Initial weights are PyTorch's own."""
        torch.manual_seed(seed)
        model = self.model()
        for part in model:
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
        optimizer = self.optimizer(model)
        for _ in range(epochs):
            self.epoch(model, optimizer, torch.randperm(len(self.X)).split(self.workload.batch))
        with torch.inference_mode():
            return model(torch.tensor(X_test)).argmax(dim=1).numpy()

    def predictor(self, X: np.ndarray):
        """A function that predicts X, an array as fastnn gets it."""
        model = self.model().eval()

        @torch.inference_mode()
        def predict() -> np.ndarray:
            return torch.softmax(model(torch.from_numpy(X)), dim=1).numpy()

        return predict
