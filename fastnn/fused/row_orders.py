"""The entry point shuffle_rows: the same orders of rows as NumPy's `RandomState.shuffle`, from the same random words.

Nothing here knows a network, and no other entry point calls it: it is compiled when first used, once for both dtypes.
"""

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.memory_ops import get, offset, put, unpack
from fastnn.compiler.tracing import entry, inlined


@inlined
def renew(words):
    """Renew MT19937's 624 words (625,): word k from the words k, k + 1 and k + 397, counted modulo 624."""
    # In two parts, each of which takes its third word from the other one: no index is divided.
    first, step = 0, 397
    for stop in (227, 624):
        for k in range(first, stop):
            bits = (get(words, k) & 0x80000000) | (get(words, k + 1) & 0x7FFFFFFF)
            put(words, k, get(words, k + step) ^ (bits >> 1) ^ ((bits & 1) * 0x9908B0DF))
        first, step = 227, -227
        put(words, 624, get(words, 0))  # what follows the last word


@entry
def shuffle_rows(
    words: NDArray[np.uint32], orders: NDArray[np.int64], order: NDArray[np.int64], n_rows: int, n_orders: int
) -> None:
    """Write `orders` (n_orders, n_rows): `order` (n_rows,) shuffled once, twice, and so on, by `words` (625,).

    The words are those of MT19937 (Matsumoto and Nishimura, 1998), then the position of the next one; both go on. From
    the last row on, each row is exchanged with one of those before it or with itself. NumPy draws the number of that
    row, below 2**32, as the lowest bits of a word, as many as are needed, and rejects numbers that are too large. Here
    a rejected draw exchanges the row with itself in place of a jump, which a processor would have to guess: it takes a
    third of the time.
    """
    words, orders, order = unpack(words), unpack(orders), unpack(order)
    position = get(words, 624)
    for e in range(n_orders):
        rows = offset(orders, e * n_rows)
        for k in range(n_rows):
            put(rows, k, get(order, k))
        last, mask = n_rows - 1, 0
        while mask < last:  # as many bits as `last` has
            mask = 2 * mask + 1
        while last > 0:
            if position == 624:
                renew(words)
                position = 0
            y = get(words, position)
            position += 1
            # MT19937's tempering, by which a word becomes a random number
            y ^= y >> 11
            y ^= (y << 7) & 0x9D2C5680
            y ^= (y << 15) & 0xEFC60000
            drawn = (y ^ (y >> 18)) & mask
            taken = drawn <= last
            other = drawn if taken else last  # a selection, no jump
            row = get(rows, last)
            put(rows, last, get(rows, other))
            put(rows, other, row)
            last -= taken  # stays where the draw was rejected
            mask = mask >> 1 if last <= mask >> 1 else mask
        order = rows
    put(words, 624, position)
