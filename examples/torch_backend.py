"""A back end of one's own, here on PyTorch: the forward pass is PyTorch's, the gradient its
autograd's.

``python examples/torch_backend.py`` runs fastnn's conformance suite on it. It declines sequential
updates, the bias gradient times the bias, and all optimizers but SGD and Adam. Their steps are
written out: ``torch.optim`` has others.
"""

import math

import torch
from torch.nn import functional

from fastnn import SGD, Adam, Backend, testing

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": torch.selu,
    "softplus": lambda z: torch.logaddexp(z, torch.zeros_like(z)),
    "silu": functional.silu,
    "gelu": lambda z: functional.gelu(z, approximate="tanh"),
    "softmax": lambda z: torch.softmax(z, dim=1),
    "exp": torch.exp,
}
LOSSES = {
    "squared_error": lambda a, y: (a - y) ** 2 / 2,
    "absolute_error": lambda a, y: (a - y).abs(),
    "huber": lambda a, y: functional.huber_loss(a, y, reduction="none"),
    "log_loss": lambda a, y: functional.binary_cross_entropy(a, y, reduction="none"),
    "cross_entropy": lambda a, y: -y * a.log(),
    "poisson": lambda a, y: torch.xlogy(y, y / a) - y + a,
}


def forward(network, params, X):
    """The last layer's pre-activations and activations, and the weights."""
    a = X
    weights = []
    for layer in network.layers:
        W = params[layer.weight].reshape(layer.fan_in, layer.fan_out)
        z = a @ W + params[layer.bias] if layer.n_bias else a @ W
        a = ACTIVATIONS[layer.activation](z)
        weights.append(W)
    return z, a, weights


def loss_and_gradient(network, params, batch, alpha, penalty):
    """The loss of a batch (X, Y, weight) of tensors, and its gradient by `params`, which has the
    penalty `alpha`.
    """
    X, Y, weight = batch
    params = params.detach().requires_grad_()
    z, a, weights = forward(network, params, X)
    weight = weight[:, None]
    eps = torch.finfo(X.dtype).eps
    p = a.clamp(eps, 1 - eps) if network.loss in ("log_loss", "cross_entropy") else a
    total = (weight * LOSSES[network.loss](p, Y)).sum()
    if network.matched:  # delta = a - y, also where the loss clips a probability
        total = total.detach() + (weight * (a - Y).detach() * (z - z.detach())).sum()
    squares = sum((W * W).sum() for W in weights)
    total = total + alpha / 2 * squares + (penalty - alpha) / 2 * squares.detach()
    loss = total / weight.sum() if network.reduction == "mean" else total
    return loss.item(), torch.autograd.grad(loss, params)[0]


class TorchBackend(Backend):
    """Trains on PyTorch."""

    name = "torch"

    def supports(self, network, optimizer, alpha=0.0, sample_weight=False):
        """SGD and Adam, all layers at once, with the exact gradient, of the functions in
        `ACTIVATIONS` and `LOSSES`.
        """
        known = network.loss in LOSSES and all(
            layer.activation in ACTIVATIONS for layer in network.layers
        )
        exact = network.bias_gradient == "exact" and not optimizer.sequential
        return known and exact and type(optimizer) in (SGD, Adam)

    def predict(self, network, params, X, threads=None):
        """Outputs (n, n_outputs)."""
        return forward(network, torch.tensor(params), torch.tensor(X))[1].numpy()

    def loss_and_gradient(self, network, params, data, alpha, threads=None):
        """The loss and its gradient (n_params,)."""
        batch = [torch.from_numpy(array[data.sample_weight > 0]) for array in data]
        loss, gradient = loss_and_gradient(network, torch.tensor(params), batch, alpha, alpha)
        return loss, gradient.numpy()

    def train_steps(self, task, state, steps):
        """Do the steps; the number of good ones."""
        network = task.network
        optimizer = task.optimizer
        data = task.data
        vectors = torch.from_numpy(state.vectors)  # the same memory
        for s in range(len(steps.loss)):
            rows = steps.rows[steps.start[s] : steps.stop[s]]
            rows = rows[data.sample_weight[rows] > 0]
            state.t += 1
            steps.loss[s] = 0.0
            if not len(rows):
                continue
            state.beta_products *= optimizer.betas
            batch = [torch.from_numpy(array[rows]) for array in data]
            steps.loss[s], gradient = loss_and_gradient(
                network, vectors[0], batch, task.alpha, task.penalty
            )
            update(optimizer, vectors, gradient, float(steps.learning_rate[s]), state.beta_products)
            if not (math.isfinite(steps.loss[s]) and vectors[0].isfinite().all()):
                return s
        return len(steps.loss)


def update(optimizer, vectors, g, learning_rate, beta_products):
    """Change parameters and optimizer state in place."""
    p, *slots = vectors
    if isinstance(optimizer, Adam):
        m, v = slots
        m.mul_(optimizer.beta_1).add_(g, alpha=1 - optimizer.beta_1)
        v.mul_(optimizer.beta_2).addcmul_(g, g, value=1 - optimizer.beta_2)
        lr_t = float(learning_rate * math.sqrt(1 - beta_products[1]) / (1 - beta_products[0]))
        p -= lr_t * m / (v.sqrt() + optimizer.epsilon)
    elif optimizer.momentum:
        v = slots[0].mul_(optimizer.momentum).sub_(g, alpha=learning_rate)
        p += optimizer.momentum * v - learning_rate * g if optimizer.nesterov else v
    else:
        p.sub_(g, alpha=learning_rate)


if __name__ == "__main__":
    print(testing.check_backend(TorchBackend()).summary())
