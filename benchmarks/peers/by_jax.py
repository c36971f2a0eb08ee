"""JAX: the whole training one `lax.scan` under one `jit`, with optax' optimizers; many by `vmap` over that."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers.workloads import Job, PeerWorkload, flat
from fastnn import Adam

VERSIONS = ("jax", "optax")
ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}

jax.config.update("jax_enable_x64", True)  # the seed and iris are float64; float32 arrays stay what they are


class Trainer:
    """Compiled once for each number of epochs; the compiling call is not timed."""

    own_rules = False

    def __init__(self, workload: PeerWorkload) -> None:
        self.workload = workload
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
        output = self.outputs(layers, x)
        if self.workload.classes:
            return optax.softmax_cross_entropy(output, y).mean()
        return 0.5 * jnp.square(output - y).sum() / len(x)

    def step(self, carry, batch):
        layers, state = carry
        loss, gradient = jax.value_and_grad(self.loss)(layers, *batch)
        updates, state = self.optimizer.update(gradient, state)
        return (optax.apply_updates(layers, updates), state), loss

    @partial(jax.jit, static_argnums=(0, 2))
    def run(self, carry, epochs: int):
        if self.held_out:
            return jax.lax.scan(self.validated, carry, length=epochs)
        if self.workload.name == "seed":
            return jax.lax.scan(partial(_seed_step, self.X[0], self.Y[0]), carry, length=epochs)
        n = self.workload.batches
        return jax.lax.scan(
            lambda carry, i: self.step(carry, (self.X[i % n], self.Y[i % n])), carry, jnp.arange(epochs * n)
        )

    def validated(self, carry, _):
        """An epoch, and then the loss of the rows that are held out."""
        if self.workload.name == "seed":
            carry, _ = _seed_step(self.X[0], self.Y[0], carry, None)
            return carry, _seed_error(carry, *self.held_out)
        carry, _ = jax.lax.scan(self.step, carry, (self.X, self.Y))
        return carry, self.loss(carry[0], *self.held_out)

    @partial(jax.jit, static_argnums=0)
    def epoch(self, carry, order):
        """One epoch on rows in a new order."""
        X, Y = self.X.reshape(-1, self.X.shape[-1]), self.Y.reshape(-1, self.Y.shape[-1])
        return jax.lax.scan(lambda carry, rows: self.step(carry, (X[rows], Y[rows])), carry, order)[0]

    @partial(jax.jit, static_argnums=0)
    def probabilities(self, layers, x):
        return jax.nn.softmax(self.outputs(layers, x))

    def train(self, epochs: int) -> np.ndarray:
        carry = self.layers if self.workload.name == "seed" else (self.layers, self.optimizer.init(self.layers))
        carry, self.validation = jax.block_until_ready(self.run(carry, epochs))
        return flat(carry if self.workload.name == "seed" else carry[0])

    def learn(self, epochs: int, seed: int, X_test: np.ndarray) -> np.ndarray:
        """Train on shuffled rows; the labels of other rows."""
        random_state = np.random.RandomState(seed)
        network = self.workload.network
        params = network.init_params(random_state, self.workload.X.dtype)
        parts = zip(network.weights(params), network.biases(params), strict=True)
        layers = [(jnp.asarray(W), jnp.asarray(b)) for W, b in parts]
        carry = layers, self.optimizer.init(layers)
        for _ in range(epochs):
            order = random_state.permutation(len(self.workload.X)).reshape(self.workload.batches, self.workload.batch)
            carry = self.epoch(carry, order)
        return np.asarray(self.probabilities(carry[0], X_test)).argmax(axis=1)

    def predictor(self, X: np.ndarray):
        """A function that predicts X."""
        return lambda: np.asarray(self.probabilities(self.layers, X))


def _seed_step(X, Y, carry, _):
    """The tutorial's iteration, its oddities included."""
    (w1, b1), (w2, b2) = carry
    a1 = jax.nn.sigmoid(X @ w1 + b1)
    a2 = jax.nn.sigmoid(a1 @ w2 + b2)
    error = 0.5 * jnp.square(a2 - Y).sum()
    d2 = (a2 - Y) * a2 * (1 - a2)
    w2 -= a1.T @ d2
    b2 -= d2.sum() * b2
    d1 = (d2 @ w2.T) * a1 * (1 - a1)
    return [(w1 - X.T @ d1, b1 - d1.sum() * b1), (w2, b2)], error


def _seed_error(carry, X, Y):
    """The tutorial's error of other rows."""
    (w1, b1), (w2, b2) = carry
    return 0.5 * jnp.square(jax.nn.sigmoid(jax.nn.sigmoid(X @ w1 + b1) @ w2 + b2) - Y).sum()


class Members:
    """Compiled once for each number of members and of steps. Where epochs are mixed, all members compute to the last
    one's end: a member that is done keeps its weights.
    """

    own_rules = False

    def __init__(self, job: Job) -> None:
        self.one = Trainer(job.workload)
        self.network, self.dtype, self.seed = job.workload.network, job.workload.X.dtype, job.workload.name == "seed"
        n = np.array(job.epochs) * job.workload.batches
        self.steps, self.mixed = jnp.asarray(n), job.mixed
        most = int(n.max())
        self.keys = jax.random.split(jax.random.key(0), job.members)
        train = jax.vmap(lambda layers, steps: self.train_one(layers, steps, most))
        self.compiled = jax.jit(lambda keys, steps: train(jax.vmap(self.draw)(keys), steps))
        self.compiled_from = jax.jit(train)

    def draw(self, key: jax.Array) -> list:
        """The first weights of a member, by the network's rule."""
        layers, same = [], self.network.bias_init == "same"
        for layer in self.network.layers:
            key, of_weights, of_bias = jax.random.split(key, 3)
            shape, fans = (layer.fan_in, layer.fan_out), layer.fan_in + layer.fan_out
            if self.network.init == "normal":
                W = jax.random.normal(of_weights, shape, self.dtype)
            else:
                bound = np.sqrt(6 / fans)
                W = jax.random.uniform(of_weights, shape, self.dtype, -bound, bound)
            one = jnp.full(layer.n_bias, self.network.bias_init if not same else 0, self.dtype)
            layers.append((W, jax.random.uniform(of_bias, one.shape, self.dtype, -bound, bound) if same else one))
        return layers

    def train_one(self, layers: list, steps: jax.Array, most: int):
        """So many steps of a member; its weights, and the loss of each step."""
        if self.one.held_out:  # an epoch of the seed is a step
            return jax.lax.scan(self.one.validated, layers, length=most)
        X, Y, batches = self.one.X, self.one.Y, len(self.one.X)

        def step(carry, i):
            if self.seed:
                new, loss = _seed_step(X[0], Y[0], carry, None)
            else:
                new, loss = self.one.step(carry, (X[i % batches], Y[i % batches]) if batches > 1 else (X[0], Y[0]))
            if self.mixed:
                new = jax.tree.map(lambda old, changed: jnp.where(i < steps, changed, old), carry, new)
            return new, loss

        carry, losses = jax.lax.scan(
            step, layers if self.seed else (layers, self.one.optimizer.init(layers)), jnp.arange(most)
        )
        return (carry if self.seed else carry[0]), losses

    def train(self) -> np.ndarray:
        """Draw the weights and train; the parameters."""
        return self.flat(self.compiled(self.keys, self.steps))

    def train_from(self, params: np.ndarray) -> np.ndarray:
        """Train from these weights."""
        own, layers = jnp.asarray(params), self.network.layers
        stacked = [(own[:, l.weight].reshape(-1, l.fan_in, l.fan_out), own[:, l.bias]) for l in layers]
        return self.flat(self.compiled_from(stacked, self.steps))

    def flat(self, answer) -> np.ndarray:
        layers, _ = jax.block_until_ready(answer)
        parts = [np.asarray(part).reshape(len(self.keys), -1) for layer in layers for part in layer]
        return np.concatenate(parts, axis=1)
