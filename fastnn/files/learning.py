"""A training that goes on in C, row by row: where it begins there, and the state that comes back.

It is that of ``train(..., batch_size=1, shuffle=False)``, which makes the state here, too.
"""

import hashlib
import json
import struct
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from fastnn.checking.arguments import check_integer, shown
from fastnn.memory import Array, read_only
from fastnn.optimizers import Adam, Optimizer, RMSprop, with_rate
from fastnn.training import train
from fastnn.training.inputs import check_network, check_optimizer, check_params
from fastnn.training.results import TrainingResult
from fastnn.training.state import TrainingState, network_counters
from fastnn.training.steps import reduced

IN_C = ("SGD", "Adam", "AdamW", "RMSprop")
"""The optimizers that have a step on one row in C."""

HEADER = struct.Struct("<QQdd")
"""What stands before the vectors: the format, the steps, and the products of Adam's decay rates."""

MOST_ROWS = 10**8
"""The rows of the longest epoch that is read back: their numbers are an array of the state."""


class Learning(NamedTuple):
    """How a training goes on in C, and from where."""

    optimizer: Optimizer
    """Its learning rate is a number."""
    alpha: float
    began: TrainingResult
    """A training of no epochs, from which C goes on."""
    format: int
    """A hash of all this."""

    @property
    def state(self) -> TrainingState:
        """The state with which C begins."""
        return self.began.state


def begin(result: TrainingResult, optimizer: Optimizer) -> Learning:
    """Return how the training of a result goes on in C by an optimizer.

    Where the optimizer is of the class of the result's own, and the result has the parameters of
    its last step, that training goes on: its vectors and its count of steps. Else a new one begins,
    at the result's parameters.

    Raises
    ------
    ValueError, TypeError
        For an optimizer without a step on one row in C.
    """
    network = result.network
    check_network(network)
    check_optimizer(optimizer, "learn", IN_C)
    params, state = check_params(network, result.params), result.state
    is_last = state.index is not None and np.array_equal(params, state.params)
    options: dict[str, Any] = {"resume": state, "new_rows": True}
    if not is_last or (optimizer.name, 1 + optimizer.n_slots) != (
        state.optimizer,
        len(state.vectors),
    ):
        options = {"params": params, "seed": 0, "alpha": state.counters.get("alpha", 0.0)}
    options |= {"optimizer": optimizer, "batch_size": 1, "shuffle": False, "epochs": 0}
    row = (np.zeros((1, n), params.dtype) for n in (network.n_inputs, network.n_outputs))
    began = train(network, *row, assume_finite=True, **options)
    counters = began.state.counters
    rate: Any = optimizer.learning_rate
    description = counters["optimizer"]
    is_plain = not (optimizer.full_batch or optimizer.sequential or callable(rate))
    if not is_plain or description.keys() & {"clip_norm", "rates"}:
        raise ValueError(
            "learn must be SGD, Adam, AdamW or RMSprop, with a learning rate that is a number, and "
            f"without sequential, clip_norm and rates, also in the training, not {optimizer!r}"
        )
    factor, least = counters.get("rate_factor", 1.0), counters.get("rate_least", 0.0)
    rate = float(reduced(np.array([rate]), factor, least)[0])
    described = [network_counters(network), description, rate, counters["alpha"], began.state.t]
    parts = json.dumps(described).encode() + began.state.vectors.tobytes()
    number = int.from_bytes(hashlib.sha256(parts).digest()[:8], "little")
    return Learning(with_rate(optimizer, rate), counters["alpha"], began, number)


def read_back(
    result: TrainingResult, data: bytes, learn: Optimizer, n_rows: int | None = None
) -> TrainingResult:
    """Return the training that C went on with: `TrainingResult.read_back`."""
    learning = begin(result, learn)
    state = learning.state
    size = HEADER.size + state.vectors.nbytes
    try:
        data = memoryview(data).tobytes()
    except TypeError:
        what = "data must be bytes, those of the state in C"
        raise TypeError(f"{what}, not {shown(data)}") from None
    in_c = size + -size % 8  # a struct ends at a multiple of 8
    if len(data) not in (size, in_c):
        raise ValueError(f"the state in C has {in_c} bytes, not {len(data)}: write sizeof of it")
    number, t, *products = HEADER.unpack_from(data)
    if number != learning.format:
        raise ValueError(
            "these bytes are the state of another export: give the result that was exported, "
            f"learn= as then, not {learn!r}, and bytes in little-endian order"
        )
    done = t - state.t
    n_rows = max(done, 1) if n_rows is None else check_integer("n_rows", n_rows, low=1)
    if done < 0 or done % n_rows:
        raise ValueError(
            f"C has done {done:,} steps since the export, which is no whole number of epochs of "
            f"{n_rows:,} rows: read the state after the last row of an epoch"
        )
    if n_rows > MOST_ROWS:
        raise ValueError(
            f"an epoch has at most {MOST_ROWS:,} rows, not {n_rows:,}: say how many by n_rows="
        )
    dtype = state.storage.dtype.newbyteorder("<")
    vectors = np.frombuffer(data, dtype, state.vectors.size, HEADER.size)
    state.vectors[...] = vectors.reshape(state.vectors.shape)
    if not np.isfinite(state.vectors).all():
        raise ValueError(
            "the parameters in C are not finite, or its vectors: a step returned OVERFLOW, after "
            "which the state is spoilt; read a copy from before"
        )
    _check_moments(state.vectors, state.beta_products, products, done, learn)
    state.t = t
    state.beta_products[...] = products
    state.index = np.arange(n_rows)
    state.counters["epoch"] += done // n_rows
    state.check()
    params = read_only(state.params.copy())
    return replace(learning.began, params=params, state=state, backend=result.backend)


def _check_moments(
    vectors: Array, before: Array, products: list[float], done: int, learn: Optimizer
) -> None:
    """Raise ValueError for means of squares below 0, and for powers of Adam's betas that so many
    steps do not leave.
    """
    damaged = isinstance(learn, (Adam, RMSprop)) and bool((vectors[-1] < 0).any())
    if isinstance(learn, Adam):
        betas = np.array([learn.beta_1, learn.beta_2])
        powers = before * betas**done
        damaged = damaged or not np.allclose(products, powers, rtol=1e-2, atol=1e-30)
    if damaged:
        raise ValueError("the state in C is damaged: no step leaves such moments of gradients")
