"""PyTorch with its fused optimizers, eager or compiled; many by `torch.func.vmap` over one's
gradient, or by hand.
"""

import os

import numpy as np
import torch

from benchmarks.peers.workloads import Job, PeerWorkload, flat, seed_error, seed_step
from fastnn import Adam

VERSIONS = ("torch",)
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
MODULES = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}
SLOPES = {"relu": lambda a: a > 0, "tanh": lambda a: 1 - a * a}
compiled = torch.compile if os.environ.get("PEER_COMPILE") else lambda function: function

if threads := os.environ.get("PEER_THREADS"):
    torch.set_num_threads(int(threads))


class Trainer:
    """The loop that every PyTorch tutorial has. The seed's three oddities are without autograd."""

    def __init__(self, workload: PeerWorkload) -> None:
        self.workload = workload
        self.X = torch.tensor(workload.X)
        self.Y = torch.tensor(workload.Y)
        self.labels = torch.tensor(workload.labels)
        self.held_out = workload.held_out and tuple(map(torch.tensor, workload.held_out))
        parts = []
        seed = workload.name == "seed"
        for W, _ in [] if seed else workload.layers:
            parts += [
                torch.nn.Linear(*W.shape, dtype=self.X.dtype),
                MODULES[workload.network.layers[0].activation](),
            ]
        self.model = torch.nn.Sequential(*parts[:-1])
        self.step = compiled(self.seed_step if seed else self.loss)

    def restart(self) -> torch.optim.Optimizer:
        with torch.no_grad():
            for linear, (W, b) in zip(self.model[::2], self.workload.layers, strict=True):
                linear.weight.copy_(torch.tensor(W.T))
                linear.bias.copy_(torch.tensor(b))
        optimizer = self.workload.optimizer
        kind = torch.optim.Adam if isinstance(optimizer, Adam) else torch.optim.SGD
        return kind(self.model.parameters(), optimizer.learning_rate, fused=True)

    def train(self, epochs: int) -> np.ndarray:
        self.validation = []
        if self.workload.name == "seed":
            return self.train_seed(epochs)
        optimizer = self.restart()
        size = self.workload.batch
        batches = [slice(k, k + size) for k in range(0, len(self.X), size)]
        for _ in range(epochs):
            self.epoch(optimizer, batches)
            if self.held_out:
                with torch.inference_mode():
                    self.validation.append(self.step(*self.held_out).item())
        return flat((p.weight.detach().T, p.bias.detach()) for p in self.model[::2])

    @torch.inference_mode()
    def train_seed(self, epochs: int) -> np.ndarray:
        layers = [tuple(map(torch.tensor, layer)) for layer in self.workload.layers]
        for _ in range(epochs):
            layers = self.step(layers)
            if self.held_out:
                self.validation.append(seed_error(torch.sigmoid, *self.held_out, layers).item())
        return flat(layers)

    def seed_step(self, layers: list) -> list:
        return seed_step(torch.sigmoid, self.X, self.Y, layers)[0]

    def loss(self, X: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
        output = self.model(X)
        if self.workload.classes:
            return torch.nn.functional.cross_entropy(output, Y)
        return 0.5 * (output - Y).square().sum() / len(output)

    def epoch(self, optimizer, batches) -> None:
        targets = self.labels if self.workload.classes else self.Y
        for rows in batches:
            optimizer.zero_grad()
            self.step(self.X[rows], targets[rows]).backward()
            optimizer.step()

    def learn(self, epochs: int, seed: int, X_test: np.ndarray) -> np.ndarray:
        """Train on shuffled rows; the labels of other rows. Initial weights are PyTorch's own."""
        torch.manual_seed(seed)
        optimizer = self.restart()
        for part in self.model[::2]:
            part.reset_parameters()
        for _ in range(epochs):
            self.epoch(optimizer, torch.randperm(len(self.X)).split(self.workload.batch))
        with torch.inference_mode():
            return self.model(torch.tensor(X_test)).argmax(dim=1).numpy()

    def predictor(self, X: np.ndarray):
        self.restart()

        @torch.inference_mode()
        def predict() -> np.ndarray:
            return torch.softmax(self.model(torch.from_numpy(X)), dim=1).numpy()

        return predict


class Members:
    """A loop of steps in Python. Where epochs are mixed, the members that are done leave the
    stack.
    """

    def __init__(self, job: Job) -> None:
        w = self.workload = job.workload
        self.X, self.Y = (torch.tensor(a).reshape(w.batches, w.batch, -1) for a in (w.X, w.Y))
        self.labels = torch.tensor(w.labels).reshape(w.batches, w.batch)
        steps = np.array(job.epochs) * w.batches
        self.order = np.argsort(-steps, kind="stable")  # who trains longest comes first
        self.steps = steps[self.order]
        self.gradient = torch.func.vmap(torch.func.grad(self.loss), in_dims=(0, None))

    def loss(self, parts: list, i: int) -> torch.Tensor:
        a = self.X[i]
        for W, b in zip(parts[:-2:2], parts[1:-2:2], strict=True):
            a = ACTIVATIONS[self.workload.network.layers[0].activation](a @ W + b)
        output = a @ parts[-2] + parts[-1]
        if self.workload.classes:
            return torch.nn.functional.cross_entropy(output, self.labels[i])
        return 0.5 * (output - self.Y[i]).square().sum() / len(output)

    def draw(self) -> list:
        network = self.workload.network
        m = len(self.steps)
        dtype = self.X.dtype
        parts = []
        for layer in network.layers:
            shape = (m, layer.fan_in, layer.fan_out)
            bound = (6 / (layer.fan_in + layer.fan_out)) ** 0.5
            if network.init == "normal":
                parts += [torch.randn(shape, dtype=dtype), torch.ones(m, 1, dtype=dtype)]
            else:
                parts += [
                    torch.empty(size, dtype=dtype).uniform_(-bound, bound)
                    for size in (shape, (m, layer.n_bias))
                ]
        return parts

    def train(self) -> np.ndarray:
        return self.run(self.draw())

    def train_from(self, params: np.ndarray) -> np.ndarray:
        own = torch.tensor(params[self.order])
        parts = []
        for layer in self.workload.network.layers:
            parts += [
                own[:, layer.weight].reshape(-1, layer.fan_in, layer.fan_out).clone(),
                own[:, layer.bias].clone(),
            ]
        return self.run(parts)

    def run(self, parts: list) -> np.ndarray:
        """All steps; the parameters (members, n_params)."""
        step = self.seed_step if self.workload.name == "seed" else self.step(parts)
        done = 0
        for until in sorted(set(self.steps.tolist())):
            active = [part[: int((self.steps >= until).sum())] for part in parts]
            for i in range(done, until):
                step(active, i % len(self.X))
            done = until
        rows = torch.cat([part.reshape(len(part), -1) for part in parts], dim=1).numpy()
        return rows[np.argsort(self.order)]

    def step(self, parts: list):
        rate = self.workload.optimizer.learning_rate
        adam = isinstance(self.workload.optimizer, Adam)
        means, squares = ([torch.zeros_like(part) for part in parts] for _ in range(2))
        t = torch.zeros((), dtype=torch.float32)
        options = {"lr": rate, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
        options |= {"amsgrad": False, "maximize": False}

        def step(active: list, i: int) -> None:
            gradients = list(self.gradient(active, i))
            n = len(active[0])
            if not adam:
                torch._foreach_add_(active, gradients, alpha=-rate)
                return
            state = [m[:n] for m in means], [v[:n] for v in squares], [], [t] * len(active)
            t.add_(1)
            torch._fused_adam_(active, gradients, *state, **options)

        return step

    def seed_step(self, active: list, _: int) -> None:
        for part, new in zip(active, torch.func.vmap(self.seed_member)(*active), strict=True):
            part.copy_(new)

    def seed_member(self, w1, b1, w2, b2) -> tuple:
        layers, _ = seed_step(torch.sigmoid, self.X[0], self.Y[0], [(w1, b1), (w2, b2)])
        return *layers[0], *layers[1]


class Batched(Members):
    """Written by hand: every product is one `torch.bmm` of all members, in the gradients and in the
    seed's step too.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.gradient = self.gradients

    def gradients(self, parts: list, i: int) -> list:
        """The gradients of all members' weights on a batch, by the formulas."""
        name = self.workload.network.layers[0].activation
        weights = parts[::2]
        inputs = [self.X[i].expand(len(weights[0]), -1, -1)]
        for W, b in zip(weights[:-1], parts[1:-2:2], strict=True):
            inputs.append(ACTIVATIONS[name](torch.baddbmm(b[:, None], inputs[-1], W)))
        output = torch.baddbmm(parts[-1][:, None], inputs[-1], parts[-2])
        delta = ((output.softmax(dim=2) if self.workload.classes else output) - self.Y[i]) / len(
            self.Y[i]
        )
        gradients = []
        for W, a in zip(reversed(weights), reversed(inputs), strict=True):
            gradients = [torch.bmm(a.transpose(1, 2), delta), delta.sum(dim=1), *gradients]
            if a is not inputs[0]:
                delta = torch.bmm(delta, W.transpose(1, 2)) * SLOPES[name](a)
            else:
                delta = None
        return gradients

    def seed_step(self, active: list, _: int) -> None:
        w1, b1, w2, b2 = active
        X = self.X[0].expand(len(w1), -1, -1)
        a1 = torch.sigmoid(torch.baddbmm(b1[:, None], X, w1))
        a2 = torch.sigmoid(torch.baddbmm(b2[:, None], a1, w2))
        d2 = (a2 - self.Y[0]) * a2 * (1 - a2)
        w2 -= torch.bmm(a1.transpose(1, 2), d2)
        d1 = torch.bmm(d2, w2.transpose(1, 2)) * a1 * (1 - a1)
        b2 -= d2.sum(dim=(1, 2))[:, None] * b2
        w1 -= torch.bmm(X.transpose(1, 2), d1)
        b1 -= d1.sum(dim=(1, 2))[:, None] * b1
