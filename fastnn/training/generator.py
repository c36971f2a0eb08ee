"""The generator of a training: created from a seed, copied, restored, and the row orders that it shuffles.

This module reads and writes the words of MT19937, 624 and a position, in NumPy's own memory. NumPy's `get_state` and
`set_state` convert them one by one in Python, which takes as long as hundreds of steps of a small network.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import kit
from fastnn.checking.arguments import check_seed, class_of
from fastnn.memory import Array
from fastnn.network import Network, draw

Seed = int | np.integer[Any] | np.random.RandomState | None

ShuffleRows = Callable[[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]], None]
"""The method of a back end that shuffles in compiled code, `fastnn.fused.backend.NumbaBackend.shuffle_rows`."""

BY_NUMPY = 2**20
"""Rows that NumPy shuffles in a process, in about 20 ms, before a back end does, which may have to compile first."""

_n_shuffled = [0]
"""The rows that this process has shuffled."""


GENERATORS = kit.shelf()


class MT19937(np.random.MT19937):
    """NumPy's bit generator with a `state` that takes 1 us; the class name is part of the state."""

    @functools.cached_property
    def _own_words(self) -> NDArray[np.uint32]:
        """The view of `_words` for methods of this class: a view that kept its owner alive would never be freed."""
        _check_layout()
        return np.frombuffer(memoryview(_Memory.from_address(self.ctypes.state_address)), np.uint32)

    @property
    def state(self) -> Any:
        """The state, as the dictionary that NumPy's own `state` returns."""
        with self.lock:
            words = self._own_words.copy()
        return {"bit_generator": "MT19937", "state": {"key": words[:-1], "pos": words.item(624)}}

    @state.setter
    def state(self, state: Any) -> None:
        with self.lock:
            words = self._own_words
            words[:-1], words[-1] = state["state"]["key"], state["state"]["pos"]


def make_random_state(seed: Seed) -> np.random.RandomState:
    """Return the generator of a seed. A RandomState is used itself, so its owner sees the draws."""
    if type(seed) is not int or not 0 <= seed < 2**32:
        check_seed("seed", seed)
    if isinstance(seed, np.random.RandomState):
        return seed
    random_state = new_random_state()
    random_state.seed(system_words() if seed is None else int(seed))
    return random_state


def system_words() -> NDArray[np.uint32]:
    """Return a seed from the system, of as many bits as NumPy uses for None, without the 150 us that NumPy takes."""
    return np.frombuffer(os.urandom(16), np.uint32)


def new_random_state() -> np.random.RandomState:
    """Return a generator in an arbitrary state, to be seeded or set."""
    # Creating one takes 150 us, as long as many a small training; seeding one takes 2 us.
    return GENERATORS.take() or np.random.RandomState(MT19937())


@contextlib.contextmanager
def borrowed() -> Iterator[np.random.RandomState]:
    """Lend a generator in an arbitrary state for the time of a ``with``."""
    random_state = new_random_state()
    yield random_state
    GENERATORS.put(random_state)


class Seeded(NamedTuple):
    """The state of an unused generator, which follows from its seed, and from the weights if it drew them."""

    seed: Any
    drew: bool
    n_rows: int

    def state(self, network: Network) -> dict[str, Any]:
        """Return the state of the generator, drawn again from its seed."""
        with borrowed() as random_state:
            put(random_state, self, network)
            return random_state.get_state(legacy=False)


Place = Seeded | tuple[dict[str, Any], NDArray[np.int64]]
"""A position of a generator and the order of the rows there: a seed to repeat, or the state and the order."""


def put(random_state: np.random.RandomState, place: Place, network: Network) -> None:
    """Set a generator to a position."""
    if not isinstance(place, Seeded):
        random_state.set_state(place[0])
        return
    random_state.seed(place.seed)
    if place.drew:
        draw(network, random_state)


def bookmark(random_state: np.random.RandomState) -> Callable[[], None]:
    """Return a function that restores the present state of the generator after shuffles."""
    words = _words(random_state)
    if words is None:
        return functools.partial(random_state.set_state, random_state.get_state(legacy=False))
    lock = random_state._bit_generator.lock
    with lock:
        before = words.copy()

    def put_back() -> None:
        with lock:
            words[:] = before

    return put_back


def shuffle_rows(
    random_state: np.random.RandomState, orders: Array, order: Array, compiled: ShuffleRows | None = None
) -> None:
    """Write orders (k, n) of rows. Each is the order before it, at first `order` (n,), shuffled once more.

    To shuffle an order in place is to index it by a shuffled arange: the swaps are the same. `compiled` replaces the
    `shuffle` of NumPy for many rows; it gives the same orders and leaves the same words.
    """
    _n_shuffled[0] += orders.size
    if compiled is not None and _n_shuffled[0] > BY_NUMPY and order.size <= 2**32:
        words = _words(random_state)
        if words is not None:
            with random_state._bit_generator.lock:  # another thread may draw from the same generator
                compiled(words, orders, order)
            return
    before = order
    for e in range(len(orders)):
        orders[e] = before
        before = orders[e]
        random_state.shuffle(before)
    if type(random_state) is not np.random.RandomState:
        check_orders(random_state, orders, order)


def check_orders(random_state: np.random.RandomState, orders: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    """Raise ValueError unless each of `orders` (any, n) is a permutation of `rows` (n,).

    Only subclasses of RandomState are checked: they may shuffle in any way that keeps each row once.
    """
    if type(random_state) is np.random.RandomState:
        return
    right = np.sort(rows)
    for order in orders:
        if not np.array_equal(np.sort(order), right):
            fault = f"seed: {class_of(random_state)}.shuffle must return a permutation of the rows, each row once"
            raise ValueError(f"{fault}; it returned {order} for {len(rows)} rows")


def _words(random_state: np.random.RandomState) -> NDArray[np.uint32] | None:
    """Return a view (625,) of MT19937's words in memory: the key (624,) and the position in it.

    None if the generator may draw from anything else, or by methods that are not NumPy's.
    """
    own = np.random.MT19937, MT19937
    if type(random_state) is not np.random.RandomState or type(random_state._bit_generator) not in own:
        return None
    _check_layout()
    return _view(random_state._bit_generator)


class _Memory(ctypes.Array[ctypes.c_uint32]):
    _type_, _length_ = ctypes.c_uint32, 625
    owner: np.random.BitGenerator
    """The owner of the memory, which must live as long as any view."""


@functools.lru_cache(maxsize=8)  # a training asks in each epoch
def _view(bit_generator: np.random.BitGenerator) -> NDArray[np.uint32]:
    memory = _Memory.from_address(bit_generator.ctypes.state_address)
    memory.owner = bit_generator
    return np.frombuffer(memoryview(memory), np.uint32)


@functools.cache
def _check_layout() -> None:
    """Raise RuntimeError if the C struct of MT19937 does not have the layout, which NumPy does not document."""
    probe = np.random.MT19937(1)
    state = probe.state["state"]
    if not np.array_equal(_view(probe), [*state["key"], state["pos"]]):
        raise RuntimeError(f"NumPy {np.__version__} changed the layout of MT19937 in memory: install numpy<3")
