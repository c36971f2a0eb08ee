"""The generators of trainings: NumPy's MT19937 by its words, and the row orders that it shuffles.

`words_of` hands out the 624 words of a generator and the position in them, where NumPy keeps them.
NumPy's `get_state` and `set_state` convert them one by one in Python, which takes as long as
hundreds of steps of a small network.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fastnn import kit
from fastnn.checking.arguments import check_seed, class_of
from fastnn.memory import Array
from fastnn.network import Network, draw, holds_back

Seed = int | np.integer[Any] | RandomState | None

ShuffleRows = Callable[[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]], None]
"""The method of a back end that shuffles in compiled code,
`fastnn.fused.backend.NumbaBackend.shuffle_rows`."""

BY_NUMPY = 2**20
"""Rows that NumPy shuffles in a process, in about 20 ms, before a back end does, which may have to
compile first."""

_n_shuffled = [0]
"""The rows that this process has shuffled."""

N_WORDS = 625
"""MT19937's 624 words, and the position in them."""

GENERATORS = kit.shelf()
"""Generators that no training uses now, each with the view of its words."""


def take_generator() -> tuple[RandomState, NDArray[np.uint32]]:
    """Return a generator in an arbitrary state, to be seeded or set, and its words."""
    taken: tuple[RandomState, NDArray[np.uint32]] | None = GENERATORS.take()
    # making one takes 150 us, as long as many a small training; seeding one takes 2 us
    if taken is not None:
        return taken
    random_state = RandomState(np.random.MT19937())
    words = words_of(random_state)
    assert words is not None
    return random_state, words


def make_random_state(seed: Seed) -> RandomState:
    """Return the generator of a seed. A RandomState is used itself, so its owner sees the draws."""
    check_seed("seed", seed)
    if isinstance(seed, RandomState):
        return seed
    random_state, _ = take_generator()
    random_state.seed(system_words() if seed is None else int(seed))
    return random_state


def system_words() -> NDArray[np.uint32]:
    """Return a seed from the system, of as many bits as NumPy uses for None, without the 150 us
    that NumPy takes.
    """
    return np.frombuffer(os.urandom(16), np.uint32)


def words_of(random_state: RandomState) -> NDArray[np.uint32] | None:
    """Return a view (625,) of the words of a generator: the key (624,) and the position in it.

    None if the generator may draw from anything but NumPy's MT19937, or by methods that are not
    NumPy's.
    """
    if (
        type(random_state) is not RandomState
        or type(random_state._bit_generator) is not np.random.MT19937
    ):
        return None
    _check_layout()
    return _view(random_state._bit_generator)


@functools.lru_cache(maxsize=8)  # a training with a generator of the caller's asks in each epoch
def _view(bit_generator: Any) -> NDArray[np.uint32]:
    memory = (ctypes.c_uint32 * N_WORDS).from_address(bit_generator.ctypes.state_address)
    memory.owner = bit_generator  # type: ignore[attr-defined]  # it must live as long as any view
    return np.frombuffer(memoryview(memory), np.uint32)


@functools.cache
def _check_layout() -> None:
    """Raise RuntimeError if the C struct of MT19937 does not have the layout, which NumPy does not
    document.
    """
    probe = np.random.MT19937(1)
    state = probe.state["state"]
    if not np.array_equal(_view(probe), [*state["key"], state["pos"]]):
        raise RuntimeError(
            f"NumPy {np.__version__} changed the layout of MT19937 in memory: install numpy<3"
        )


def bookmark(random_state: RandomState) -> Callable[[], None]:
    """Return a function that restores the present state of the generator after shuffles."""
    words = words_of(random_state)
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
    random_state: RandomState, orders: Array, order: Array, compiled: ShuffleRows | None = None
) -> None:
    """Write orders (k, n) of rows. Each is the order before it, at first `order` (n,), shuffled
    once more.

    To shuffle an order in place is to index it by a shuffled arange: the swaps are the same.
    `compiled` replaces the `shuffle` of NumPy for many rows; it gives the same orders and leaves
    the same words.
    """
    _n_shuffled[0] += orders.size
    if compiled is not None and _n_shuffled[0] > BY_NUMPY and order.size <= 2**32:
        words = words_of(random_state)
        if words is not None:
            # another thread may draw from the same generator
            with random_state._bit_generator.lock:
                compiled(words, orders, order)
            return
    before = order
    for e in range(len(orders)):
        orders[e] = before
        before = orders[e]
        random_state.shuffle(before)
    if type(random_state) is not RandomState:
        check_orders(random_state, orders, order)


def check_orders(
    random_state: RandomState, orders: NDArray[np.int64], rows: NDArray[np.int64]
) -> None:
    """Raise ValueError unless each of `orders` (any, n) is a permutation of `rows` (n,).

    Only subclasses of RandomState are checked: they may shuffle in any way that keeps each row
    once.
    """
    if type(random_state) is RandomState:
        return
    right = np.sort(rows)
    for order in orders:
        if not np.array_equal(np.sort(order), right):
            fault = (
                f"seed: {class_of(random_state)}.shuffle must return a permutation of the "
                f"rows, each row once"
            )
            raise ValueError(f"{fault}; it returned {order} for {len(rows)} rows")


# ------------------------------------------------------------ the generators of a session's members


NO_WORDS = np.empty((0, N_WORDS), np.uint32)

Held = tuple[int, float]
"""Whether a generator holds back a normal number, which come in pairs, and which."""


class Generators:
    """One generator for each of m members, which a single `RandomState` plays in turn.

    Parameters
    ----------
    m : int
    keeps_words : bool
        Whether members go on to draw. If not, what they have drawn is drawn again when their state
        is asked for.
    compiled : callable, optional
        The `shuffle_rows` of a back end.

    Attributes
    ----------
    seeds : list
        The seed of each member: an int, or words of the system; or the caller's own RandomState,
        which is used itself, so that its owner sees the draws.
    words : ndarray (m, 625) or (0, 625), uint32
        Where each generator is, if words are kept.
    held : list of (int, float)
        What each holds back.
    """

    def __init__(self, m: int, keeps_words: bool, compiled: ShuffleRows | None) -> None:
        self.seeds: list[Any] = [None] * m
        self.words = np.empty((m, N_WORDS), np.uint32) if keeps_words else NO_WORDS
        self.held: list[Held] = [(0, 0.0)] * m
        self.owned: dict[int, RandomState] = {}
        """The callers' own generators, by their members."""
        self._compiled = compiled
        self._player, self._players_words = take_generator()
        self._saved = self.words
        self._undo: dict[int, Callable[[], None]] = {}

    def seed(self, k: int, seed: Seed) -> RandomState:
        """Begin member k's generator; return it, to draw from until `put`."""
        if type(seed) is not int or not 0 <= seed < 2**32:
            check_seed("seed", seed)
        if isinstance(seed, RandomState):
            self.owned[k] = seed
            return seed
        self.seeds[k] = own = system_words() if seed is None else int(seed)
        self._player.seed(own)
        return self._player

    def put(self, k: int) -> None:
        """Keep where member k's generator is after draws."""
        if len(self.words) and k not in self.owned:
            self.words[k] = self._players_words

    def hold(self, k: int) -> None:
        """Keep the normal number that member k's generator holds back."""
        if len(self.words) and k not in self.owned:
            self.held[k] = held_by(self._player)

    def set(self, k: int, state: dict[str, Any]) -> None:
        """Let member k's generator go on from a state as NumPy describes it."""
        inner = state["state"]
        self.words[k, :-1] = inner["key"]
        self.words[k, -1] = inner["pos"]
        self.held[k] = state["has_gauss"], state["gauss"]

    def take(self, k: int) -> RandomState:
        """Return member k's generator where it is now, to draw from until `put`."""
        if k in self.owned:
            return self.owned[k]
        self._players_words[:] = self.words[k]
        return self._player

    def save(self) -> None:
        """Remember where all generators are, for `rewind`."""
        self._saved = self.words.copy()
        self._undo = {k: bookmark(owner) for k, owner in self.owned.items()}

    def rewind(self, k: int) -> None:
        """Go back to where member k's generator was at the last `save`."""
        if k in self._undo:
            self._undo[k]()
        else:
            self.words[k] = self._saved[k]

    def shuffle(self, k: int, orders: Array, order: Array) -> None:
        """Write orders (n, n_rows): each is the one before it, at first `order`, shuffled once
        more.
        """
        shuffle_rows(self.take(k), orders, order, self._compiled)
        self.put(k)

    def close(self) -> None:
        """Give the generator that plays them back, for the next session."""
        GENERATORS.put((self._player, self._players_words))


@contextlib.contextmanager
def seeded(seed: Any) -> Iterator[tuple[RandomState, NDArray[np.uint32]]]:
    """Lend a generator that begins at a seed, and its words, for the time of a ``with``."""
    random_state, words = take_generator()
    random_state.seed(seed)
    yield random_state, words
    GENERATORS.put((random_state, words))


def held_by(random_state: RandomState) -> Held:
    """Return what a generator holds back of a pair of normal numbers: slow, see the top."""
    state = random_state.get_state(legacy=False)
    return state["has_gauss"], state["gauss"]


def described(words: NDArray[np.uint32], held: Held) -> dict[str, Any]:
    """Return a generator's state as NumPy's ``get_state(legacy=False)`` describes it."""
    has_gauss, gauss = held
    inner = {"key": words[:-1].copy(), "pos": int(words[-1])}
    return {"bit_generator": "MT19937", "state": inner, "has_gauss": has_gauss, "gauss": gauss}


def state_after_draw(seed: Any, network: Network, draws: bool) -> dict[str, Any]:
    """Return the state of a generator that begins at a seed and draws the weights, if it `draws`
    any.
    """
    with seeded(seed) as (random_state, words):
        held = 0, 0.0
        if draws:
            draw(network, random_state)
            if holds_back(network):
                held = held_by(random_state)
        return described(words, held)
