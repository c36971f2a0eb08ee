"""JAX: `vmap` over one `lax.scan` for each member, under one `jit`, the drawing of weights included."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import by_jax
from benchmarks.peers.many.jobs import Job
from benchmarks.peers.workloads import PeerWorkload

VERSIONS = by_jax.VERSIONS


class Trainer:
    """Compiled once for each number of members and of steps. Where epochs are mixed, all members compute to the last
    one's end: a member that is done keeps its weights.
    """

    own_rules = False

    def __init__(self, job: Job) -> None:
        self.one = by_jax.Trainer(job.workload)
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
                new, loss = by_jax._seed_step(X[0], Y[0], carry, None)
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
        return self.flat(self.compiled_from(stacked(self.one.workload, jnp.asarray(params)), self.steps))

    def flat(self, answer) -> np.ndarray:
        layers, _ = jax.block_until_ready(answer)
        parts = [np.asarray(part).reshape(len(self.keys), -1) for layer in layers for part in layer]
        return np.concatenate(parts, axis=1)


def stacked(workload: PeerWorkload, params) -> list:
    """Each layer's W (members, fan_in, fan_out) and b (members, n_bias), of the flat vectors (members, n_params)."""
    layers = workload.network.layers
    return [(params[:, l.weight].reshape(-1, l.fan_in, l.fan_out), params[:, l.bias]) for l in layers]
