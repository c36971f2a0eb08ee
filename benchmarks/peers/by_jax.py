"""JAX: the whole training one `lax.scan` under one `jit`, with optax' optimizers; many by `vmap`
over that.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers.workloads import Job, PeerWorkload, flat, seed_error, seed_step
from fastnn import Adam

VERSIONS = ("jax", "optax")
ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}

# the seed and iris are float64; float32 arrays stay what they are
jax.config.update("jax_enable_x64", True)


class Trainer:
    """Compiled once for each number of epochs; the compiling call is not timed."""

    def __init__(self, workload: PeerWorkload) -> None:
        self.workload = workload
        self.seed = workload.name == "seed"
        self.X = jnp.asarray(workload.X.reshape(workload.batches, workload.batch, -1))
        self.Y = jnp.asarray(workload.Y.reshape(workload.batches, workload.batch, -1))
        self.held_out = workload.held_out and tuple(map(jnp.asarray, workload.held_out))
        self.layers = [(jnp.asarray(W), jnp.asarray(b)) for W, b in workload.layers]
        adam = isinstance(workload.optimizer, Adam)
        self.optimizer = (optax.adam if adam else optax.sgd)(workload.optimizer.learning_rate)

    def outputs(self, layers, x):
        """What the output layer sums up, before a softmax."""
        activation = ACTIVATIONS[self.workload.network.layers[0].activation]
        for W, b in layers[:-1]:
            x = activation(x @ W + b)
        W, b = layers[-1]
        return x @ W + b

    def loss(self, layers, x, y):
        if self.seed:
            return seed_error(jax.nn.sigmoid, x, y, layers)
        output = self.outputs(layers, x)
        if self.workload.classes:
            return optax.softmax_cross_entropy(output, y).mean()
        return 0.5 * jnp.square(output - y).sum() / len(x)

    def step(self, carry, batch):
        (layers, state), (x, y) = carry, batch
        if self.seed:
            layers, outputs = seed_step(jax.nn.sigmoid, x, y, layers)
            return (layers, state), 0.5 * jnp.square(outputs - y).sum()
        loss, gradient = jax.value_and_grad(self.loss)(layers, x, y)
        updates, state = self.optimizer.update(gradient, state)
        return (optax.apply_updates(layers, updates), state), loss

    @partial(jax.jit, static_argnums=(0, 2))
    def run(self, layers, steps: int, own=None):
        """So many steps, and their losses, or those of held-out rows after each epoch.

        A member that has taken its `own` steps keeps its weights.
        """
        n = self.workload.batches

        def do(carry, i):
            return self.step(
                carry, (self.X[i % n], self.Y[i % n]) if n > 1 else (self.X[0], self.Y[0])
            )

        if self.held_out:  # whole epochs
            do = self.validated
            steps = steps // n
            own = own if own is None else own // n

        def do_or_keep(carry, i):
            new, loss = do(carry, i)
            if own is not None:
                new = jax.tree.map(
                    lambda old, changed: jnp.where(i < own, changed, old), carry, new
                )
            return new, loss

        return jax.lax.scan(do_or_keep, (layers, self.optimizer.init(layers)), jnp.arange(steps))

    def validated(self, carry, _):
        """An epoch, and then the loss of the rows that are held out."""
        carry, _ = jax.lax.scan(self.step, carry, (self.X, self.Y))
        return carry, self.loss(carry[0], *self.held_out)

    @partial(jax.jit, static_argnums=0)
    def epoch(self, carry, order):
        X = self.X.reshape(-1, self.X.shape[-1])
        Y = self.Y.reshape(-1, self.Y.shape[-1])
        return jax.lax.scan(lambda carry, rows: self.step(carry, (X[rows], Y[rows])), carry, order)[
            0
        ]

    @partial(jax.jit, static_argnums=0)
    def probabilities(self, layers, x):
        return jax.nn.softmax(self.outputs(layers, x))

    def train(self, epochs: int) -> np.ndarray:
        (layers, _), self.validation = jax.block_until_ready(
            self.run(self.layers, epochs * self.workload.batches)
        )
        return flat(layers)

    def learn(self, epochs: int, seed: int, X_test: np.ndarray) -> np.ndarray:
        random_state = np.random.RandomState(seed)
        workload = self.workload
        layers = [tuple(map(jnp.asarray, layer)) for layer in workload.drawn(random_state)]
        carry = layers, self.optimizer.init(layers)
        for _ in range(epochs):
            carry = self.epoch(
                carry, random_state.permutation(len(workload.X)).reshape(-1, workload.batch)
            )
        return np.asarray(self.probabilities(carry[0], X_test)).argmax(axis=1)

    def predictor(self, X: np.ndarray):
        return lambda: np.asarray(self.probabilities(self.layers, X))


class Members:
    """Compiled once for each number of members and steps. Mixed epochs: all members compute to the
    last one's end.
    """

    def __init__(self, job: Job) -> None:
        one = Trainer(job.workload)
        steps = np.array(job.epochs) * job.workload.batches
        self.network = job.workload.network
        self.dtype = job.workload.X.dtype
        self.steps = jnp.asarray(steps)
        self.keys = jax.random.split(jax.random.key(0), job.members)
        most = int(steps.max())
        train = jax.vmap(lambda layers, own: one.run(layers, most, own if job.mixed else None))
        self.compiled = jax.jit(lambda keys, steps: train(jax.vmap(self.draw)(keys), steps))
        self.compiled_from = jax.jit(train)

    def draw(self, key: jax.Array) -> list:
        layers = []
        same = self.network.bias_init == "same"
        for layer in self.network.layers:
            key, of_weights, of_bias = jax.random.split(key, 3)
            shape = (layer.fan_in, layer.fan_out)
            bound = np.sqrt(6 / (layer.fan_in + layer.fan_out))
            normal = self.network.init == "normal"
            between = partial(jax.random.uniform, minval=-bound, maxval=bound)
            W = (jax.random.normal if normal else between)(of_weights, shape, self.dtype)
            one = jnp.full(layer.n_bias, self.network.bias_init if not same else 0, self.dtype)
            layers.append((W, between(of_bias, one.shape, self.dtype) if same else one))
        return layers

    def train(self) -> np.ndarray:
        return self.flat(self.compiled(self.keys, self.steps))

    def train_from(self, params: np.ndarray) -> np.ndarray:
        own = jnp.asarray(params)
        layers = self.network.layers
        stacked = [
            (own[:, l.weight].reshape(-1, l.fan_in, l.fan_out), own[:, l.bias]) for l in layers
        ]
        return self.flat(self.compiled_from(stacked, self.steps))

    def flat(self, answer) -> np.ndarray:
        (layers, _), _ = jax.block_until_ready(answer)
        parts = [np.asarray(part).reshape(len(self.keys), -1) for layer in layers for part in layer]
        return np.concatenate(parts, axis=1)
