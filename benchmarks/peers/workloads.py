"""The trainings of all peers: the same rows in the same order, from the same initial weights, by
the same optimizer.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from fastnn import SGD, Adam, Network, Stop, TrainingResult, train, workloads

Array = NDArray[Any]

GRID = re.compile(r"(\d+) wide, batch (\d+)")  # Names of the crossover chart's workloads
# Ends the name of a workload whose held-out rows are validated after every epoch
VALIDATION = ", validation"
_GRID_WORK = 4e8  # multiplications of one product in an epoch of those, which has 2 to 16 steps
_SMALL = {"2-8-1": ((2, 8, 1), 16, 16, 0.01), "10-64-32-1": ((10, 64, 32, 1), 256, 32, 0.001)}
"""{name: sizes, rows, rows per step, learning rate} of networks that are trained many times."""
PUBLISHED = "4-32-16-4"
"""The workload of SimpleChains.jl's announcement, which needs Julia: https://julialang.org/blog/2022/04/simple-chains."""


@dataclass(frozen=True, eq=False)
class PeerWorkload:
    """A training that every peer can be given. Rows stay in order, and all batches are full."""

    name: str
    network: Network
    optimizer: SGD | Adam
    X: Array
    Y: Array
    batch: int
    most_epochs: int  # In a longer training gradients vanish, which would be another workload
    held_out: tuple[Array, Array] | None = (
        None  # X and Y whose loss is taken after every epoch, if it is
    )

    @property
    def params(self) -> Array:
        """The initial weights, which are those that scikit-learn draws from seed 0 too."""
        return self.network.init_params(np.random.RandomState(0), self.X.dtype)

    @property
    def layers(self) -> list[tuple[Array, Array]]:
        """Each layer's initial W (fan_in, fan_out) and b, as copies."""
        return self.drawn(np.random.RandomState(0))

    def drawn(self, random_state: np.random.RandomState) -> list[tuple[Array, Array]]:
        """Each layer's W and b as a generator draws them."""
        network = self.network
        params = self.network.init_params(random_state, self.X.dtype)
        return [
            (W.copy(), b.copy())
            for W, b in zip(network.weights(params), network.biases(params), strict=True)
        ]

    @property
    def batches(self) -> int:  # steps an epoch
        return len(self.X) // self.batch

    @property
    def classes(self) -> bool:
        """Whether it is a classification: softmax and cross-entropy; else squared error."""
        return self.network.loss == "cross_entropy"

    @property
    def labels(self) -> Array:
        return self.Y.argmax(axis=1)

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for `fastnn.train` and `train_many`."""
        stop = Stop(validation=self.held_out)
        return {
            "optimizer": self.optimizer,
            "batch_size": self.batch,
            "shuffle": False,
            "stop": stop,
        }

    @property
    def data(self) -> tuple[Network, Array, Array]:
        return self.network, self.X, self.Y

    def expected(self, epochs: int) -> TrainingResult:
        """So many epochs of the reference back end."""
        return train(*self.data, epochs=epochs, backend="numpy", params=self.params, **self.options)


@cache
def load(name: str) -> PeerWorkload:
    """A point of the crossover chart, a network that is trained many times, or a workload cut to
    full batches.
    """
    if point := GRID.fullmatch(name):
        width, batch = map(int, point.groups())
        rows = batch * max(2, min(16, int(_GRID_WORK / (width * width * batch))))
        return _noise(name, Network((width, width, 10), "relu"), rows, batch, 0.001, 1000)
    if name in _SMALL:
        sizes, rows, batch, rate = _SMALL[name]
        return _noise(
            name, Network(sizes, "tanh" if batch == rows else "relu"), rows, batch, rate, 10**6
        )
    if name == PUBLISHED:
        return _exponentials(name)
    plain = name.removesuffix(VALIDATION)
    workload = workloads.load(plain)
    if plain != name:
        return replace(load(plain), held_out=(workload.X_test, workload.Y_test))
    batch = workload.batch_size or len(workload.X)
    rows = len(workload.X) // batch * batch
    most = workload.epochs if workload.batch_size else 10**7
    data = workload.X[:rows], workload.Y[:rows]
    return PeerWorkload(name, workload.network, workload.optimizer, *data, batch, most)


def _noise(
    name: str, network: Network, rows: int, batch: int, rate: float, most: int
) -> PeerWorkload:
    """A regression on noise in float32, by Adam."""
    random_state = np.random.RandomState(0)
    X = random_state.standard_normal((rows, network.n_inputs)).astype(np.float32)
    Y = random_state.random_sample((rows, network.n_outputs)).astype(np.float32)
    return PeerWorkload(name, network, Adam(rate), X, Y, batch, most)


def _exponentials(name: str) -> PeerWorkload:
    """The exponentials of 10,000 drawn 2 x 2 matrices in float32, learned from all of them at once
    by Adam.
    """
    matrices = np.random.RandomState(0).standard_normal((10_000, 2, 2)).astype(np.float32)
    X = matrices.reshape(-1, 4)
    Y = scipy.linalg.expm(matrices).reshape(-1, 4)
    return PeerWorkload(name, Network((4, 32, 16, 4), "tanh"), Adam(0.001), X, Y, len(X), 10**6)


def flat(layers: Any) -> NDArray[np.float64]:
    """Weights and biases, layer by layer, as fastnn lays them out."""
    return np.concatenate(
        [np.asarray(part, np.float64).ravel() for layer in layers for part in layer]
    )


def seed_step(sigmoid: Any, X: Any, Y: Any, layers: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The tutorial's iteration, its oddities included, on the arrays of any library: new layers,
    and the outputs.
    """
    (w1, b1), (w2, b2) = layers
    a1 = sigmoid(X @ w1 + b1)
    a2 = sigmoid(a1 @ w2 + b2)
    d2 = (a2 - Y) * a2 * (1 - a2)
    w2 = w2 - a1.T @ d2
    b2 = b2 - d2.sum() * b2
    d1 = (d2 @ w2.T) * a1 * (1 - a1)
    return [(w1 - X.T @ d1, b1 - d1.sum() * b1), (w2, b2)], a2


def seed_error(sigmoid: Any, X: Any, Y: Any, layers: Any) -> Any:
    """The tutorial's error of rows."""
    (w1, b1), (w2, b2) = layers
    return 0.5 * ((sigmoid(sigmoid(X @ w1 + b1) @ w2 + b2) - Y) ** 2).sum()


def describe(name: str) -> str:
    w = load(name)
    rows = f"{w.batch} row{'s' * (w.batch > 1)}, {w.optimizer.name}, {w.X.dtype}"
    validated = f"; {len(w.held_out[0])} rows validated" if w.held_out else ""
    return (
        f"`{name.removesuffix(VALIDATION)}`: {'-'.join(map(str, w.network.sizes))}, "
        f"{rows}{validated}"
    )


VALIDATED = f"seed{VALIDATION}"
NETWORKS = ("seed", VALIDATED, "2-8-1", "iris", "10-64-32-1")  # What is trained many times
KINDS = ("equal", "mixed")
# The fewest and most epochs of a member where they are mixed, as parts of the mean
MIXED = (0.1, 1.9)


@dataclass(frozen=True)
class Job:
    """The trainings of some members of a network, from the seeds 0, 1, ..."""

    name: str  # Of `NETWORKS`
    members: int
    iterations: int  # Steps of a member; of mixed ones the mean
    mixed: bool

    @property
    def workload(self) -> PeerWorkload:
        return load(self.name)

    @property
    def epochs(self) -> list[int]:
        """Of each member."""
        mean = self.iterations / self.workload.batches
        if self.mixed and self.members > 1:
            shares = np.linspace(*MIXED, self.members)
        else:
            shares = np.ones(self.members)
        order = np.random.RandomState(0).permutation(self.members)
        return [max(1, round(mean * share)) for share in shares[order]]

    @property
    def params(self) -> Array:
        """(members, n_params): the weights that the seeds draw."""
        w = self.workload
        return np.array(
            [
                w.network.init_params(np.random.RandomState(i), w.X.dtype)
                for i in range(self.members)
            ]
        )

    def trained(self, begins: Iterable[dict[str, Any]] | None = None, **options: Any) -> Array:
        """(members, n_params): what `train` gives, member after member, from their seeds or from
        other beginnings.
        """
        w = self.workload
        begins = begins or ({"seed": i} for i in range(self.members))
        each = zip(begins, self.epochs, strict=True)
        return np.array(
            [train(*w.data, **begin, epochs=n, **w.options, **options).params for begin, n in each]
        )


def describe_many(name: str) -> str:
    w = load(name)
    rows = f"{len(w.X)} rows" if w.batches == 1 else f"batches of {w.batch}"
    scored = f", {len(w.held_out[0])} others validated" if w.held_out else ""
    return f"{'-'.join(map(str, w.network.sizes))}, {rows}{scored}, {w.optimizer.name}, {w.X.dtype}"
